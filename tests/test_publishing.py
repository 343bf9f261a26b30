"""A playbook folder that is edited while it is served: whole changes are taken, broken ones reported."""

import os
from pathlib import Path

import pytest

from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.playbook.starter import starter_files
from cashwrap.publishing import (
    PATIENCE,
    PlaybookSource,
    draft_of,
    examine_files,
    examine_folder,
    read_folder,
    settle_folder,
    write_folder,
)
from cashwrap.versions import Versions
from engines import TestClock, memory_world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in starter_files().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))  # a file system may have a coarse clock


def test_an_untouched_folder_has_not_changed(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    assert [source.changed() for _ in range(3)] == [False, False, False]


def test_a_change_counts_once_it_rests(folder: Path) -> None:
    source = PlaybookSource(folder)
    before = source.load()
    edit(folder / "shoppers.yaml", "spent > 500", "spent > 400")
    assert source.changed() is False, "it was just seen: perhaps half of a save"
    assert source.changed() is True
    after = source.load()
    assert after.hash != before.hash
    assert source.changed() is False


def test_edits_in_a_row_are_one_change(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    seen = []
    for amount in (400, 300, 200):
        edit(folder / "shoppers.yaml", f"spent > {amount + 100}", f"spent > {amount}")
        seen.append(source.changed())
    assert seen == [False, False, False]
    assert source.changed() is True


def test_a_broken_change_is_told_once_and_mended_later(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    edit(folder / "shoppers.yaml", "spent > 500", "spnt > 500")
    source.changed()
    assert source.changed() is True
    with pytest.raises(PlaybookError) as raised:
        source.load()
    assert len(raised.value.faults) == 1
    assert "shoppers.yaml:17:11 unknown_attribute" in raised.value.faults[0]
    assert [source.changed() for _ in range(2)] == [False, False]
    edit(folder / "shoppers.yaml", "spnt > 500", "spent > 500")
    source.changed()
    assert source.changed() is True
    source.load()


def test_a_change_of_a_case_alone_is_a_change(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    edit(folder / "expect" / "shoppers.yaml", "basket_message: thank_regulars_by_name", "basket_message: default")
    source.changed()
    assert source.changed() is True
    with pytest.raises(PlaybookError) as raised:
        source.load()
    assert ["expectation_failed" in fault for fault in raised.value.faults] == [True]


def test_new_and_removed_files_are_changes(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    (folder / "more.yaml").write_text("segments:\n  often: {members: pushed, description: d}\n")
    source.changed()
    assert source.changed() is True
    assert "often" in source.load().segments.names
    (folder / "more.yaml").unlink()
    source.changed()
    assert source.changed() is True


def test_a_folder_that_is_gone_for_a_moment_has_not_changed(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    away = folder.with_name("away")
    folder.rename(away)
    assert [source.changed() for _ in range(3)] == [False, False, False]
    away.rename(folder)
    assert [source.changed() for _ in range(3)] == [False, False, False]


def test_other_files_are_not_watched(folder: Path) -> None:
    source = PlaybookSource(folder)
    source.load()
    (folder / "notes.txt").write_text("x")
    (folder / ".shop.yaml.swp").write_text("x")
    assert [source.changed() for _ in range(3)] == [False, False, False]


def test_a_failing_case_keeps_a_playbook_from_being_published(folder: Path) -> None:
    edit(folder / "shoppers.yaml", "spent > 500", "spent > 5000")
    playbook, faults = examine_folder(folder)
    assert playbook is None
    assert {fault.code for fault in faults} == {"expectation_failed"}
    with pytest.raises(PlaybookError):
        draft_of(folder)


def test_a_playbook_without_cases_is_fine(folder: Path) -> None:
    (folder / "expect" / "shoppers.yaml").unlink()
    (folder / "expect").rmdir()
    draft = draft_of(folder)
    assert draft.playbook.hash
    assert set(draft.files) == {path.name for path in folder.glob("*.yaml")}


def test_a_case_that_cannot_be_read_is_told_beside_other_mistakes(folder: Path) -> None:
    edit(folder / "expect" / "shoppers.yaml", "- name: What was", "- nam: What was")
    edit(folder / "shoppers.yaml", "spent > 500", "spnt > 500")
    _, faults = examine_folder(folder)
    assert {(fault.file, fault.code) for fault in faults} == {
        ("expect/shoppers.yaml", "unknown_key"),
        ("expect/shoppers.yaml", "missing_key"),
        ("shoppers.yaml", "unknown_attribute"),
    }


class TestWriting:
    def test_a_folder_becomes_the_version_and_foreign_files_stay(self, tmp_path: Path) -> None:
        version = {"shop.yaml": "a\r\n", "expect/cases.yaml": "b"}
        (tmp_path / "expect").mkdir()
        for path, words in (("notes.txt", "n"), ("shop.yaml", "old"), ("more.yaml", "x"), ("expect/old.yml", "y")):
            (tmp_path / path).write_text(words)
        assert write_folder(tmp_path, version) == ["expect/old.yml", "more.yaml"]
        assert read_folder(tmp_path) == version
        assert (tmp_path / "notes.txt").read_text() == "n"
        before = (tmp_path / "shop.yaml").stat()
        assert write_folder(tmp_path, version) == []
        assert (tmp_path / "shop.yaml").stat() == before, "what is the same already is not touched"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["expect", "notes.txt", "shop.yaml"]

    @pytest.mark.parametrize(
        "leading", ["../shop.yaml", "/shop.yaml", "expect/../shop.yaml", "a/b.yaml", ".hidden.yaml", "notes.txt", ".."]
    )
    def test_a_name_that_leads_elsewhere_is_refused(self, tmp_path: Path, leading: str) -> None:
        with pytest.raises(InvalidInput):
            write_folder(tmp_path / "playbook", {leading: "x"})
        assert list(tmp_path.iterdir()) == []


class TestWholeFolders:
    """Of several files all are written or none, whoever dies in between."""

    @pytest.fixture
    def versions(self, folder: Path) -> Versions:
        clock = TestClock()
        found = Versions(memory_world(clock).registry, clock)
        draft = draft_of(folder)
        found.keep(draft.playbook, draft.files)
        found.go_live(draft.playbook.hash, "folder")
        return found

    def begun(self, folder: Path, versions: Versions, at: int) -> dict[str, str]:
        """What the folder held before somebody died at the file of this number."""
        before = read_folder(folder)
        changed = {name: text + "# new\n" for name, text in before.items()}
        changed["shoppers.yaml"] = changed["shoppers.yaml"].replace("spent > 500 &&", "spent > 400 &&")
        files = {**changed, "more.yaml": ""}
        playbook, faults = examine_files(files)
        assert playbook is not None, faults
        live = versions.find("live")
        versions.keep(playbook, files)
        versions.begin_writing(live, playbook.hash)
        for name, text in list(files.items())[:at]:
            (folder / name).write_text(text)
        return before

    @pytest.mark.parametrize("at", range(7))
    def test_half_of_a_write_is_put_back(self, folder: Path, versions: Versions, at: int) -> None:
        before = self.begun(folder, versions, at)
        assert settle_folder(versions, folder)
        assert read_folder(folder) == before
        assert versions.writing() is None

    def test_what_somebody_edited_since_is_left_alone(self, folder: Path, versions: Versions) -> None:
        self.begun(folder, versions, 3)
        (folder / "shop.yaml").write_text("# mine\n")
        there = read_folder(folder)
        assert settle_folder(versions, folder)
        assert read_folder(folder) == there

    def test_what_went_live_stays(self, folder: Path, versions: Versions) -> None:
        self.begun(folder, versions, 6)
        begun = versions.writing()
        assert begun is not None
        versions.go_live(begun.new, "console")
        there = read_folder(folder)
        assert settle_folder(versions, folder)
        assert read_folder(folder) == there
        assert versions.of_folder() == versions.live()

    def test_a_write_that_is_young_is_waited_for(self, folder: Path, versions: Versions) -> None:
        self.begun(folder, versions, 3)
        there = read_folder(folder)
        assert not settle_folder(versions, folder, PATIENCE)
        assert read_folder(folder) == there
