"""Files of the data folder that somebody removes, replaces or damages while a server has them open."""

from pathlib import Path

import pytest

from cashwrap.adapters.audit import FileAudit
from cashwrap.adapters.ballast import FILE, Ballast
from cashwrap.adapters.database import Database
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import StoreError, Unavailable
from cashwrap.ledger import Once, Reservation
from cashwrap.library import open_world
from engines import LIVE, START, TestClock, folder_world, shop_over, starter


def hold(ledger: SqliteLedger, number: int) -> None:
    asked = Reservation(number.to_bytes(12, "big"), LIVE, "spring", "EUR", 100, START, START + 60_000)
    ledger.reserve(asked, [], Once(str(number), b""), START)


@pytest.mark.parametrize("lost", ["ledger.db", "ledger.db-wal", "ledger.db-shm"])
def test_nothing_is_acknowledged_that_goes_into_a_removed_file(tmp_path: Path, lost: str) -> None:
    ledger = SqliteLedger(tmp_path)
    hold(ledger, 1)
    away = tmp_path / "away"
    (tmp_path / lost).rename(away)
    with pytest.raises(Unavailable, match="removed or replaced"):
        hold(ledger, 2)
    (tmp_path / lost).write_bytes(away.read_bytes())  # another file, though the same bytes
    with pytest.raises(Unavailable, match="removed or replaced"):
        hold(ledger, 2)
    away.replace(tmp_path / lost)
    hold(ledger, 2)
    ledger.close()


@pytest.mark.parametrize("lost", ["cashwrap.db", "cashwrap.db-wal", "keys.db"])
def test_no_event_is_acknowledged_into_a_removed_file(tmp_path: Path, lost: str) -> None:
    who = {"anonymousId": "mira-1"}
    with folder_world(tmp_path, TestClock()) as world, shop_over(world, starter()) as shop:
        shop.consents(who)
        (tmp_path / lost).rename(tmp_path / "away")
        new = {"anonymousId": "jonas-1"}
        submission, _ = shop.batch(shop.event("consent", choices={"personalization": "granted"}, **new))
        assert isinstance(submission.error, StoreError)
        (tmp_path / "away").rename(tmp_path / lost)
        assert shop.consents(new).stored == 1


def test_many_connections_and_a_checkpoint_leave_the_files_the_same(tmp_path: Path) -> None:
    """The check may never take our own work for somebody else's."""
    one, two = (Database(tmp_path / "ledger.db", "ledger") for _ in range(2))
    for turn in range(20):
        with (one if turn % 2 else two).writing() as db:
            db.execute("INSERT INTO books (tenant, lines) VALUES (?, 1)", (str(turn),))
        (two if turn % 3 else one).truncate()
    two.close()
    with one.writing() as db:
        assert db.execute("SELECT count(*) FROM books").get == 20
    one.close()


def test_a_reserve_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path, size=1 << 20)
    (tmp_path / FILE).unlink()
    ballast.tend()
    assert (tmp_path / FILE).stat().st_blocks * 512 >= 1 << 20
    assert not ballast.full()
    ballast.give()
    assert not (tmp_path / FILE).exists()


def test_an_audit_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with folder_world(tmp_path, TestClock()) as world:
        assert isinstance(world.audit, FileAudit)
        assert world.audit.entries() == []
        world.audit.path.unlink(missing_ok=True)
        world.audit.path.mkdir()
        with pytest.raises(Unavailable) as refused:
            world.audit.entries()
        assert refused.value.code == "audit_unavailable"


def test_a_ledger_that_is_gone_is_told_and_not_begun_anew(tmp_path: Path) -> None:
    """A server that was started again without the file began every limit at nothing."""
    with open_world(tmp_path, make=True):
        pass
    (tmp_path / "ledger.db").rename(tmp_path / "away")
    with pytest.raises(StoreError) as told, open_world(tmp_path):
        pass
    assert told.value.code == "ledger_missing"
    assert not (tmp_path / "ledger.db").exists()
    (tmp_path / "ledger.db").touch()  # empty books, on purpose
    with open_world(tmp_path) as world:
        assert world.ledger.check() == []
