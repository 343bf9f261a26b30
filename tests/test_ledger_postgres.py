"""What the ledger in PostgreSQL promises beyond the contract: an end to every wait, and coming back by itself."""

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from cashwrap.adapters import postgres_ledger
from cashwrap.adapters.postgres_ledger import PostgresLedger, Turns
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import CashwrapError, Conflict, StoreError, Unavailable
from cashwrap.ledger import Claim
from cashwrap.library import open_world
from cashwrap.testing.ledger import ANN, KEYS, LIVE, asked, once, redeem, reserve
from cashwrap.testing.threads import together
from postgres import MISSING, Server, installed, server

pytestmark = pytest.mark.skipif(not installed, reason=MISSING)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
def address(postgres: Server) -> str:
    return postgres.database(f"d{uuid.uuid4().hex}")


@pytest.fixture
def ledger(address: str) -> Iterator[PostgresLedger]:
    ledger = PostgresLedger(address)
    yield ledger
    ledger.close()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(CashwrapError) as raised:
        call()
    return raised.value.code


# --- a database that is not there ---


def test_it_comes_back_with_the_server(postgres: Server, ledger: PostgresLedger) -> None:
    reserve(ledger, 1)
    together(*[lambda: ledger.check() and None] * 4)  # type: ignore[list-item,func-returns-value]
    postgres.stop("immediate")
    try:
        assert code_of(lambda: redeem(ledger, 1)) == "ledger_unreachable"
    finally:
        postgres.start()
    assert redeem(ledger, 1).refused == ""
    assert ledger.check() == []


def test_a_restart_between_requests_is_not_noticed(postgres: Server, ledger: PostgresLedger) -> None:
    reserve(ledger, 1)
    postgres.stop()
    postgres.start()
    assert redeem(ledger, 1).refused == ""


def test_a_server_that_hangs_is_not_waited_for(postgres: Server, address: str) -> None:
    """It keeps its connections and no timeouts of its own; without ours this test would not end."""
    ledger = PostgresLedger(address, patience=0.5)
    reserve(ledger, 1)
    with postgres.hung():
        assert code_of(lambda: redeem(ledger, 1)) in {"unavailable", "ledger_unreachable"}
    assert redeem(ledger, 1).refused == ""
    ledger.close()


def test_a_row_that_somebody_holds_is_not_waited_for(address: str) -> None:
    ledger = PostgresLedger(address, patience=0.5)
    reserve(ledger, 1)
    with psycopg.connect(address) as other:
        other.execute("SELECT * FROM cashwrap.reservations FOR UPDATE")
        with pytest.raises(Unavailable, match="timeout"):
            redeem(ledger, 1)
    assert redeem(ledger, 1).refused == ""
    ledger.close()


def test_connections_that_are_all_busy_are_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_ledger, "_CONNECTIONS", 1)
    ledger = PostgresLedger(address, patience=0.2)
    assert ledger._sessions._free.acquire(0)
    with pytest.raises(Unavailable, match="busy"):
        ledger.check()
    ledger._sessions._free.release()
    assert ledger.check() == []
    ledger.close()


def test_turns_go_round() -> None:
    """A semaphore lets the one who gives way take again at once: of sixteen busy clients, eight starved."""
    turns, waits, has_it = Turns(1), threading.Event(), threading.Event()

    def second() -> None:
        waits.set()
        assert turns.acquire(30)
        has_it.set()

    assert turns.acquire(0)
    other = threading.Thread(target=second)
    other.start()
    waits.wait(30)
    while not turns._waiting:
        threading.Event().wait(0.001)
    turns.release()
    assert not turns.acquire(0)
    other.join(30)
    assert has_it.is_set()
    turns.release()
    assert turns.acquire(0)
    assert not turns.acquire(0.01)


def test_an_address_that_leads_nowhere_is_told_without_its_password() -> None:
    for address in ("postgresql://u:secret@127.0.0.1:1/none", "postgresql://u:secret@[", "nonsense secret"):
        with pytest.raises(Unavailable) as raised:
            PostgresLedger(address, patience=2)
        assert raised.value.code == "ledger_unreachable"
        assert "secret" not in raised.value.message


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(postgres_ledger, "import_module", missing)
    with pytest.raises(CashwrapError, match=r"cashwrap\[postgres\]") as raised:
        PostgresLedger("postgresql://127.0.0.1/none")
    assert raised.value.code == "extra_missing"


def test_a_ledger_that_is_closed_says_so(address: str) -> None:
    ledger = PostgresLedger(address)
    ledger.close()
    ledger.close()
    with pytest.raises(Unavailable, match="closed"):
        ledger.check()


# --- transactions ---


def test_a_deadlock_is_undone_and_tried_again(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by claims that are counted in two orders, which is what sorting them avoids."""
    monkeypatch.setattr("cashwrap.adapters.bookkeeping._in_order", list)
    counted, meet = threading.local(), threading.Barrier(2)
    run = postgres_ledger._run

    def meeting(db: object, name: str, /, **values: object) -> list[tuple[object, ...]]:
        found = run(db, name, **values)
        if name == "count" and not getattr(counted, "met", False):
            counted.met = True
            meet.wait(30)
        return found

    monkeypatch.setattr(postgres_ledger, "_run", meeting)
    wanted = [Claim("a", 1, 9), Claim("b", 1, 9)]
    found: list[str] = []
    together(
        lambda: found.append(reserve(ledger, 1, wanted).refused),
        lambda: found.append(reserve(ledger, 2, wanted[::-1]).refused),
    )
    assert found == ["", ""]
    assert ledger.used(LIVE, ["a", "b"]) == {"a": 2, "b": 2}
    assert ledger.check() == []


def test_a_request_in_flight_elsewhere_is_a_conflict(ledger: PostgresLedger, address: str) -> None:
    """Another machine has the key and no answer yet."""
    other = PostgresLedger(address)
    with other._sessions.transaction("begin") as run:
        assert other._lock(run, LIVE, "reserve 1")
        with pytest.raises(Conflict) as raised:
            reserve(ledger, 1)
        assert raised.value.code == "in_flight"
    assert reserve(ledger, 1).replayed is False
    other.close()


def test_every_session_ends_its_waits_and_waits_for_the_disk(ledger: PostgresLedger) -> None:
    with ledger._sessions.transaction("begin") as run:
        asked_for = ("synchronous_commit", "statement_timeout", "lock_timeout", "search_path")
        found = [run(f"SHOW {name}")[0][0] for name in asked_for]
    assert found == ["on", "5s", "5s", "cashwrap"]


def test_a_server_that_commits_later_is_told_not_to(postgres: Server, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as db:
        db.execute(f'ALTER DATABASE "{address.rpartition("/")[2]}" SET synchronous_commit = off')
    ledger = PostgresLedger(address)
    with ledger._sessions.transaction("begin") as run:
        assert run("SHOW synchronous_commit") == [("on",)]
    ledger.close()


# --- books ---

TAMPERED = {
    "UPDATE counters SET used = used + 1 WHERE key = 'spring/total'": ["is at 3, its claims add up to 2"],
    "UPDATE reservations SET state = 'released' WHERE state = 'reserved'": ["still has claims", "off its reservations"],
    "UPDATE balances SET spent = spent + 1": ["off its lines by 0 held and 1 spent", "off its reservations by 0 held"],
    "UPDATE books SET lines = lines + 1": ["there should be 4 lines and there are 3"],
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_the_check_finds_books_that_were_tampered_with(ledger: PostgresLedger, statement: str) -> None:
    reserve(ledger, 1)
    redeem(ledger, 1)
    reserve(ledger, 2)
    assert ledger.check() == []
    with ledger._sessions.transaction("begin") as run:
        run(statement)
    found = ledger.check()
    assert len(found) == len(TAMPERED[statement]), found
    assert all(words in line for words, line in zip(TAMPERED[statement], found, strict=True)), found


@pytest.mark.parametrize("statement", ["UPDATE entries SET spent = 0", "DELETE FROM entries", "TRUNCATE entries"])
def test_a_line_neither_changes_nor_goes(ledger: PostgresLedger, statement: str) -> None:
    reserve(ledger, 1)
    with pytest.raises(StoreError, match="never"), ledger._sessions.transaction("begin") as run:
        run(statement)
    assert len(ledger.entries(LIVE)) == 1


def test_tables_of_a_newer_version_are_left_alone(ledger: PostgresLedger, address: str) -> None:
    with ledger._sessions.transaction("begin") as run:
        run("set_version", version=99)
    with pytest.raises(StoreError) as raised:
        PostgresLedger(address)
    assert raised.value.code == "schema_newer"


def test_two_processes_may_make_the_tables_at_once(address: str) -> None:
    made: list[PostgresLedger] = []
    together(*[lambda: made.append(PostgresLedger(address))] * 4)
    assert [each.check() for each in made] == [[]] * 4
    for each in made:
        each.close()


def test_a_forgotten_digest_is_in_no_row(ledger: PostgresLedger, address: str) -> None:
    reserve(ledger, 1)
    redeem(ledger, 1)
    reserve(ledger, 2, [Claim(KEYS[1], 1, 1)])
    assert mentions(address, ANN) > 0
    ledger.forget(LIVE, [ANN])
    assert mentions(address, ANN) == 0


def mentions(address: str, digest: bytes) -> int:
    """How many rows of any table show it, as text in hex or as bytes (which PostgreSQL prints in hex too)."""
    with psycopg.connect(address) as db:
        names = [row[0] for row in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'cashwrap'")]
        found = [str(row) for name in names for row in db.execute(f"SELECT t::text FROM cashwrap.{name} t")]  # noqa: S608
        return sum(digest.hex() in row for row in found)


# --- by configuration ---


def test_a_data_folder_has_the_ledger_that_is_named(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option before the environment, and without either a file."""
    with open_world(tmp_path / "a", make=True) as world:
        assert isinstance(world.ledger, SqliteLedger)
    assert (tmp_path / "a" / "ledger.db").is_file()
    monkeypatch.setenv("CASHWRAP_LEDGER", address)
    with open_world(tmp_path / "b", make=True) as world:
        assert isinstance(world.ledger, PostgresLedger)
        world.ledger.reserve(asked(1), [], once("k"), 0)
    assert not (tmp_path / "b" / "ledger.db").exists()
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(Unavailable), open_world(tmp_path / "b", ledger=nowhere):
        pass
    with open_world(tmp_path / "b") as world:
        assert world.ledger is not None
        assert world.ledger.reservation(LIVE, asked(1).id) is not None
