"""What the ledger in a file promises beyond the contract: shared commits, full and broken disks, no traces."""

import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from cashwrap.adapters import sqlite_ledger
from cashwrap.adapters.ballast import FILE as BALLAST
from cashwrap.adapters.ballast import Ballast
from cashwrap.adapters.queries import statements
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import Conflict, StoreError, Unavailable
from cashwrap.ledger import Outcome
from cashwrap.testing.ledger import ANN, KEYS, LIVE, asked, claims, once, redeem, reserve
from cashwrap.testing.threads import together
from faulty_disk import FaultyDisk


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk(f"faulty-{uuid.uuid4()}")


@pytest.fixture
def ledger(tmp_path: Path, disk: FaultyDisk) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path, vfs=disk.name)
    yield ledger
    ledger.close()


def test_both_databases_have_the_same_statements() -> None:
    ours, twin = statements("ledger.sql"), statements("ledger_postgres.sql")
    only_there = {"lock_key", "settings", "begin", "begin_reading", "commit", "rollback", "fsync"}
    only_there |= {"lock_schema", "schema", "create_schema", "version", "set_version"}
    assert set(twin) - set(ours) == only_there
    assert set(ours) <= set(twin)


# --- group commit ---


class Held:
    """Keeps the first commit back until everybody else waits behind it."""

    def __init__(self, ledger: SqliteLedger, disk: FaultyDisk, followers: int) -> None:
        self.syncs = 0
        self._ledger = ledger
        self._followers = followers
        self._all_wait = threading.Event()
        disk.before_sync = self.sync

    def sync(self) -> None:
        self.syncs += 1
        if self.syncs == 1:
            assert self._all_wait.wait(30)

    def watch(self) -> None:
        while len(self._ledger._waiting) < self._followers:
            threading.Event().wait(0.001)
        self._all_wait.set()


def at_once(ledger: SqliteLedger, disk: FaultyDisk, works: list[Callable[[], None]]) -> int:
    """Run them so that the first one's commit is held until the others wait; how often the disk was synced."""
    reserve(ledger, 1_000)
    held = Held(ledger, disk, len(works))

    def first() -> None:
        redeem(ledger, 1_000)

    together(first, held.watch, *(lambda work=work: after(held, work) for work in works))  # type: ignore[misc]
    disk.before_sync = lambda: None
    return held.syncs


def after(held: Held, work: Callable[[], None]) -> None:
    while not held.syncs:
        threading.Event().wait(0.001)
    work()


def test_changes_that_wait_together_share_one_commit(ledger: SqliteLedger, disk: FaultyDisk) -> None:
    found: list[str] = []
    works = [lambda number=number: found.append(reserve(ledger, number).refused) for number in range(20)]
    assert at_once(ledger, disk, works) == 2  # type: ignore[arg-type]
    assert found == [""] * 20
    assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 21}
    assert ledger.check() == []


def test_one_that_fails_takes_nothing_from_the_others(ledger: SqliteLedger, disk: FaultyDisk) -> None:
    reserve(ledger, 7)
    found: list[str] = []

    def twin() -> None:
        with pytest.raises(Conflict):
            ledger.reserve(asked(7), claims(), once("twin"), 0)
        found.append("conflict")

    works = [twin, *(lambda number=number: found.append(reserve(ledger, number).refused) for number in range(5))]
    assert at_once(ledger, disk, works) == 2  # type: ignore[arg-type]
    assert sorted(found) == ["", "", "", "", "", "conflict"]
    assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 7}
    assert ledger.check() == []


def test_a_commit_that_fails_fails_all_who_shared_it(ledger: SqliteLedger, disk: FaultyDisk) -> None:
    heard: list[str] = []

    def ask(number: int) -> None:
        try:
            reserve(ledger, number)
        except Unavailable as error:
            heard.append(error.code)

    held = Held(ledger, disk, 5)
    hold = held.sync

    def sync() -> None:
        hold()
        if held.syncs == 2:
            raise apsw.IOError("no")

    disk.before_sync = sync
    together(lambda: ask(100), held.watch, *(lambda at=at: after(held, lambda: ask(at)) for at in range(5)))  # type: ignore[misc]
    assert heard == ["unavailable"] * 5
    assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 1}
    for number in range(5):
        assert reserve(ledger, number).replayed is False
    assert ledger.check() == []


def test_an_interrupted_commit_leaves_nobody_waiting(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reserve(ledger, 1)
    assert reserve(ledger, 1).replayed is False


# --- disks ---


def test_no_change_is_answered_before_its_bytes_are_synced(ledger: SqliteLedger, disk: FaultyDisk) -> None:
    changes: list[Callable[[], Outcome]] = [
        lambda: reserve(ledger, 1),
        lambda: redeem(ledger, 1, 100),
        lambda: ledger.roll_back(LIVE, asked(1).id, None, once("back"), 0),
    ]
    for change in changes:
        assert change().refused == ""
        assert "ledger.db-wal" not in disk.unsynced


@pytest.mark.parametrize("moment", ["before_write", "before_sync"])
def test_the_ledger_refuses_while_the_disk_does_and_resumes_with_it(
    ledger: SqliteLedger, disk: FaultyDisk, moment: str
) -> None:
    reserve(ledger, 1)

    def refuse() -> None:
        raise apsw.IOError("no")

    setattr(disk, moment, refuse)
    for _ in range(3):
        with pytest.raises(Unavailable):
            redeem(ledger, 1)
        assert ledger.balance(LIVE, "spring") == {"EUR": (500, 0)}
    setattr(disk, moment, lambda: None)
    assert redeem(ledger, 1).refused == ""
    assert ledger.balance(LIVE, "spring") == {"EUR": (0, 500)}


@pytest.mark.parametrize("nth", [83, 131, 211])
def test_every_nth_write_and_sync_may_fail(ledger: SqliteLedger, disk: FaultyDisk, nth: int) -> None:
    """Whoever asks until there is an answer has it happen once."""
    calls = failed = 0

    def sometimes() -> None:
        nonlocal calls
        calls += 1
        if calls % nth == 0:
            raise apsw.IOError("no")

    def until_answered(change: Callable[[], Outcome]) -> Outcome:
        nonlocal failed
        while True:
            try:
                return change()
            except Unavailable:
                failed += 1

    disk.before_sync = disk.before_write = sometimes
    for number in range(40):
        assert until_answered(lambda: reserve(ledger, number)).refused == ""  # noqa: B023
        assert until_answered(lambda: redeem(ledger, number, 300)).refused == ""  # noqa: B023
    assert failed > 0
    disk.before_sync = disk.before_write = lambda: None
    assert ledger.used(LIVE, KEYS) == dict(zip(KEYS, (40, 40, 12_000), strict=True))
    assert len(ledger.entries(LIVE)) == 80
    assert ledger.check() == []


def test_an_offer_is_redeemed_on_a_full_disk_out_of_the_reserve(tmp_path: Path, disk: FaultyDisk) -> None:
    ballast = Ballast(tmp_path, 4_096)
    ledger = SqliteLedger(tmp_path, vfs=disk.name, ballast=ballast)
    reserve(ledger, 1)

    def full() -> None:
        if (tmp_path / BALLAST).exists():
            raise apsw.FullError("no room")

    disk.before_write = full
    assert redeem(ledger, 1).refused == ""
    assert ballast.full()
    assert ledger.balance(LIVE, "spring") == {"EUR": (0, 500)}
    ledger.close()


def test_a_ledger_that_is_closed_says_so(ledger: SqliteLedger) -> None:
    memory = SqliteLedger(None)
    for each in (ledger, memory):
        each.close()
        each.close()
        with pytest.raises(Unavailable):
            reserve(each, 1)
        with pytest.raises(Unavailable):
            each.check()


# --- books that are wrong ---

TAMPERED = {
    "UPDATE counters SET used = used + 1 WHERE key = 'spring/total'": ["is at 3, its claims add up to 2"],
    "UPDATE reservations SET state = 'released' WHERE state = 'reserved'": ["still has claims", "off its reservations"],
    "UPDATE balances SET spent = spent + 1": ["off its lines by 0 held and 1 spent", "off its reservations by 0 held"],
    "UPDATE reservations SET amount = amount + 5 WHERE state = 'redeemed'": ["off its reservations by 0 held and -5"],
    "UPDATE books SET lines = lines + 1": ["there should be 4 lines and there are 3"],
    "DELETE FROM claims": ["add up to 0"] * 3,
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_the_check_finds_books_that_were_tampered_with(ledger: SqliteLedger, statement: str) -> None:
    reserve(ledger, 1)
    redeem(ledger, 1)
    reserve(ledger, 2)
    assert ledger.check() == []
    with ledger._database.writing() as db:
        db.execute(statement)
    found = ledger.check()
    assert len(found) == len(TAMPERED[statement]), found
    assert all(words in line for words, line in zip(TAMPERED[statement], found, strict=True)), found


@pytest.mark.parametrize("statement", ["UPDATE entries SET spent = 0", "DELETE FROM entries"])
def test_a_line_neither_changes_nor_goes(ledger: SqliteLedger, statement: str) -> None:
    reserve(ledger, 1)
    with pytest.raises(Unavailable, match="never"), ledger._database.writing() as db:
        db.execute(statement)
    assert len(ledger.entries(LIVE)) == 1


def test_a_change_that_the_tables_refuse_is_undone_and_told(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(ledger, 1)
    with monkeypatch.context() as patch:
        patch.setitem(sqlite_ledger._SQL, "uncount", "UPDATE counters SET used = -1 WHERE number = :counter OR :amount")
        with pytest.raises(StoreError, match="check"):
            ledger.release(LIVE, asked(1).id, once("r"), 0)
    assert ledger.check() == []
    assert ledger.release(LIVE, asked(1).id, once("r"), 0).refused == ""


# --- no traces ---


def traces(folder: Path, canary: bytes) -> list[str]:
    """The files that hold the bytes; another process looks, as opening them here would drop SQLite's locks."""
    command = [shutil.which("grep") or "grep", "-rlaF", canary.decode(), str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return sorted(Path(line).name for line in found.stdout.splitlines())


def test_a_forgotten_digest_is_in_no_file(ledger: SqliteLedger) -> None:
    for number in range(40):
        reserve(ledger, number, claims(total=20))
        redeem(ledger, number)
    folder = ledger._database.path.parent  # type: ignore[attr-defined]
    for canary in (ANN, ANN.hex().encode()):
        assert "ledger.db-wal" in traces(folder, canary)
    ledger.forget(LIVE, [ANN])
    for canary in (ANN, ANN.hex().encode()):
        assert traces(folder, canary) == []
    assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 20}
    assert ledger.check() == []
