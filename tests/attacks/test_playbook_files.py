"""What may lie in a playbook's folder and is no playbook."""

import os
from pathlib import Path

import pytest

from cashwrap.errors import PlaybookError
from cashwrap.playbook.document import MAX_BYTES
from cashwrap.publishing import PlaybookSource


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    """A pipe or a device would hold the reader for ever, and the playbook would never change again."""
    (tmp_path / "shop.yaml").write_text("shop: {currency: EUR}\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    source = PlaybookSource(tmp_path)
    assert source.load().settings.currency == "EUR"
    assert not source.changed()


def test_a_file_beyond_the_limit_is_not_taken_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "shop.yaml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PlaybookError, match="split it"):
        PlaybookSource(tmp_path).load()
