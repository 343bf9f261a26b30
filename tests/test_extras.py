"""A room whose extra is not there says which one to install; what is broken in a room of ours stays broken."""

import pytest

from cashwrap import extras
from cashwrap.errors import CashwrapError


def lacking(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(_: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(extras, "import_module", fails)


@pytest.mark.parametrize("room", ["analysis", "learning"])
def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, room: str) -> None:
    lacking(monkeypatch, "lightgbm")
    with pytest.raises(CashwrapError, match=rf"lightgbm.*cashwrap\[{room}\]") as error:
        extras.part_of(room, "making")  # type: ignore[arg-type]
    assert error.value.code == "extra_missing"


def test_a_fault_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking(monkeypatch, "cashwrap.learning.nowhere")
    with pytest.raises(ImportError):
        extras.part_of("learning", "nowhere")
