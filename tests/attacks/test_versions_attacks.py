"""Folders and versions that are made to write somewhere else."""

from pathlib import Path

import pytest

from cashwrap.errors import InvalidInput
from cashwrap.publishing import write_folder

OUTSIDE = [
    "../shop.yaml", "/etc/shop.yaml", "expect/../../shop.yaml", "a/b.yaml", ".shop.yaml", "shop.yaml\n", "shop\0.yaml",
    "expect/.shop.yaml", "shop.txt", "EXPECT/shop.yaml", "expect//shop.yaml", "..yaml", "", "expect/", ".yaml",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_version_writes_only_playbook_files_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "playbook"
    with pytest.raises(InvalidInput):
        write_folder(folder, {"shop.yaml": "fine", name: "attack"})
    assert not folder.exists()


@pytest.mark.parametrize("link", [".shop.yaml.new", "shop.yaml"])
def test_a_link_in_the_folder_leads_no_write_out_of_it(tmp_path: Path, link: str) -> None:
    folder, victim = tmp_path / "playbook", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("keep")
    (folder / link).symlink_to(victim)
    write_folder(folder, {"shop.yaml": "attack"})
    assert victim.read_text() == "keep"
    assert (folder / "shop.yaml").read_text() == "attack"
    assert not (folder / "shop.yaml").is_symlink()


def test_what_a_write_that_was_cut_off_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".shop.yaml.new").write_text("half")
    assert write_folder(tmp_path, {"shop.yaml": "whole"}) == []
    assert [path.name for path in tmp_path.iterdir()] == ["shop.yaml"]
