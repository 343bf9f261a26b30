"""The reserve of the disk: given away once, taken back when there is room, whole or not there."""

from pathlib import Path

import apsw
import pytest

from cashwrap.adapters.ballast import FILE, SCARCE, Ballast
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.errors import DiskFull, Unavailable
from cashwrap.model import Tenant
from cashwrap.ports import Changes, Record
from faulty_disk import FaultyDisk

SIZE = 1 << 20
PLENTY = 100 * SIZE


class Disk:
    """How much is free, as a test says."""

    def __init__(self) -> None:
        self.free = PLENTY

    def __call__(self, _: Path) -> int:
        return self.free


def test_it_is_real_blocks_that_only_the_owner_may_read(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, SIZE)
    stat = (tmp_path / FILE).stat()
    assert (ballast.full(), stat.st_size, stat.st_mode & 0o777) == (False, SIZE, 0o600)
    assert stat.st_blocks * 512 >= SIZE


def test_it_is_given_once_and_taken_when_twice_of_it_is_free(tmp_path: Path) -> None:
    disk = Disk()
    ballast = Ballast(tmp_path, SIZE, disk)
    ballast.give()
    ballast.give()
    assert ballast.full()
    assert not (tmp_path / FILE).exists()
    for free, full in ((0, True), (2 * SIZE - 1, True), (2 * SIZE, False)):
        disk.free = free
        ballast.tend()
        assert ballast.full() is full
    assert (tmp_path / FILE).stat().st_size == SIZE


@pytest.mark.parametrize(("free", "full"), [(PLENTY, False), (SIZE, False), (SCARCE - 1, True)])
def test_a_start_finds_it_as_it_was(tmp_path: Path, free: int, full: bool) -> None:
    disk = Disk()
    Ballast(tmp_path, SIZE, disk)
    disk.free = free
    assert Ballast(tmp_path, SIZE, disk).full() is full
    assert (tmp_path / FILE).exists() is not full


@pytest.mark.parametrize("left", [b"", b"cut off"])
def test_one_that_was_cut_off_half_way_is_made_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / FILE).write_bytes(left)
    disk = Disk()
    disk.free = SIZE
    assert Ballast(tmp_path, SIZE, disk).full()
    disk.free = PLENTY
    assert not Ballast(tmp_path, SIZE, disk).full()
    assert (tmp_path / FILE).stat().st_blocks * 512 >= SIZE


def test_a_disk_that_promises_more_than_it_gives_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    assert Ballast(tmp_path, SIZE, Disk()).full()
    assert list(tmp_path.iterdir()) == []


def changes(number: int) -> Changes:
    return Changes(records=[Record(Tenant(), b"s" * 16, number, "events", b"x" * 100)])


@pytest.mark.parametrize("moment", ["before_write", "before_sync"])
def test_a_store_without_room_says_so_and_gives_it_away(tmp_path: Path, moment: str) -> None:
    disk = FaultyDisk(f"ballast-{moment}")
    store = SqliteStore(tmp_path, vfs=disk.name, reserve=SIZE)
    ballast = store.ballast
    assert ballast is not None
    store.commit(changes(1))

    def refuse() -> None:
        raise apsw.FullError("no")

    setattr(disk, moment, refuse)
    with pytest.raises(DiskFull):
        store.commit(changes(2))
    assert ballast.full()
    setattr(disk, moment, lambda: None)
    ballast.tend()
    assert not ballast.full()
    assert store.commit(changes(2)) == 2
    store.close()


def test_a_broken_disk_is_not_a_full_one(tmp_path: Path) -> None:
    disk = FaultyDisk("ballast-broken")
    store = SqliteStore(tmp_path, vfs=disk.name, reserve=SIZE)

    def refuse() -> None:
        raise apsw.IOError("no")

    disk.before_write = refuse
    with pytest.raises(Unavailable) as refused:
        store.commit(changes(1))
    assert refused.value.code == "unavailable"
    assert store.ballast is not None
    assert not store.ballast.full()
    disk.before_write = lambda: None
    store.close()
