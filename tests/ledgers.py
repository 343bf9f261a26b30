"""Processes at one ledger, for tests: ``python tests/ledgers.py race|kill|migrate WHERE ...``.

``WHERE`` is a folder or the address of a PostgreSQL database. The process forks its workers before anything is open.
"""

# ruff: noqa: T201 - what it found goes to whoever started it

import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw
import psycopg

from cashwrap.adapters import database, postgres_ledger, queries
from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import Unavailable
from cashwrap.faults import crash_at
from cashwrap.ledger import Claim, Once, Outcome, Reservation
from cashwrap.ports import Ledger
from cashwrap.testing.ledger import LIVE, NOW, asked, claims, reserve

T = TypeVar("T")

CAP = 100
WORKERS = 4
Request = tuple[str, int]


def opened(where: str) -> Ledger:
    return PostgresLedger(where) if "://" in where else SqliteLedger(Path(where))


def forked(work: Callable[[], None]) -> int:
    """The id of a process that does it and ends."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def until_answered(ask: Callable[[], T]) -> T:
    """As a shop does: who hears that nothing was acknowledged asks again, under the same key."""
    while True:
        try:
            return ask()
        except Unavailable:  # a file's lock goes to whoever is lucky, and patience has an end
            continue


# --- races ---


def race(where: str, workers: int, tries: int) -> None:
    """All ask for the last ones as fast as it goes, beginning at once. Prints how many were granted to each."""
    opened(where).close()
    waiting, go = os.pipe()
    found, tell = os.pipe()
    children = [forked(lambda at=at: _racer(where, at, tries, waiting, tell)) for at in range(workers)]  # type: ignore[misc]
    os.close(tell)
    with os.fdopen(found) as lines:
        for _ in children:
            assert lines.readline() == "ready\n"
        os.write(go, b"g" * workers)
        print(*(line.strip() for line in lines))
    for child in children:
        os.waitpid(child, 0)


def _racer(where: str, worker: int, tries: int, waiting: int, tell: int) -> None:
    ledger, granted = opened(where), 0
    os.write(tell, b"ready\n")
    os.read(waiting, 1)
    for number in range(tries):
        name = worker.to_bytes(6, "big") + number.to_bytes(6, "big")
        held = Reservation(name, LIVE, "spring", "EUR", 500, NOW, NOW + 1_000)
        claim, keys = Claim("spring/total", 1, CAP), (Once(name.hex(), b""), Once(f"{name.hex()} r", b""))
        if not until_answered(lambda: ledger.reserve(held, [claim], keys[0], NOW)).refused:  # noqa: B023
            spent = until_answered(lambda: ledger.redeem(LIVE, name, name.hex(), None, keys[1], NOW))  # noqa: B023
            granted += not spent.refused
    os.write(tell, b"%d\n" % granted)


# --- kills ---


def requests(worker: int) -> Iterator[Request]:
    """What a worker asks for, the same whenever it is asked."""
    chance = random.Random(worker)
    for number in range(worker * 100_000, worker * 100_000 + 100_000):
        yield "reserve", number
        what = chance.choice(["redeem", "redeem", "release", ""])
        if what:
            yield what, number
        if what == "redeem" and chance.random() < 0.3:
            yield "refund", number


def answered(ledger: Ledger, request: Request) -> Outcome:
    """Its outcome, under its one key."""
    what, number = request
    name, same = number.to_bytes(12, "big"), Once(f"{what} {number}", what.encode())
    match what:
        case "reserve":
            held = Reservation(name, LIVE, "spring", "EUR", 500, NOW, NOW + 1_000)
            return ledger.reserve(held, claims(total=10**6, budget=10**9), same, NOW)
        case "redeem":
            return ledger.redeem(LIVE, name, f"order {number}", 400, same, NOW)
        case "release":
            return ledger.release(LIVE, name, same, NOW)
        case _:
            return ledger.roll_back(LIVE, name, None, same, NOW)


def kill(where: str, *crashes: str) -> None:
    """Let workers work until they are killed, once for each of ``crashes``: a crash point in each, or so many answers.

    Prints each answer that somebody heard, as worker, request and state, and at the end how many died by a kill.
    """
    opened(where).close()
    begun, killed = [0] * WORKERS, 0
    for crash in crashes:
        found, tell = os.pipe()
        children = [
            forked(lambda at=at: _worker(where, at, begun[at], tell, crash))  # type: ignore[misc]  # noqa: B023
            for at in range(WORKERS)
        ]
        os.close(tell)
        with os.fdopen(found) as lines:
            for heard, line in enumerate(lines, start=1):
                print(line, end="")
                worker, at, _ = line.split()
                begun[int(worker)] = int(at) + 1
                if crash.isdigit() and heard == int(crash):
                    for child in children:
                        os.kill(child, signal.SIGKILL)
        killed += sum(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL for child in children)
    print("killed", killed)


def _worker(where: str, worker: int, begin: int, tell: int, crash: str) -> None:
    """Ask for one thing after another, what nobody heard of first; tell each answer once it is there."""
    if not crash.isdigit():
        crash_at(crash)
    ledger = until_answered(lambda: opened(where))  # a server that is told to stop refuses some
    for at, request in enumerate(requests(worker)):
        if at >= begin:
            outcome = until_answered(lambda: answered(ledger, request))  # noqa: B023
            state = outcome.reservation.state if outcome.reservation is not None else outcome.refused
            os.write(tell, b"%d %d %s\n" % (worker, at, state.encode()))


# --- migrations ---

NEXT_VERSION = """
CREATE TABLE more (name TEXT PRIMARY KEY);
ALTER TABLE codes ADD COLUMN note TEXT NOT NULL DEFAULT '';
INSERT INTO more SELECT offer FROM reservations;
"""


def migrate(where: str) -> None:
    """Kill a process at each statement with which it makes a ledger, or brings one up to date; open what is left.

    Prints at how many statements that was, for each of the two.
    """
    print(*(_migrations_killed(where, old=old) for old in (False, True)))


def _migrations_killed(where: str, *, old: bool) -> int:
    for count in itertools.count(1):
        place = _fresh(where, f"{old}-{count}")
        if old:
            before = opened(place)
            assert reserve(before, 1).refused == ""
            before.close()
        status = os.waitpid(forked(lambda: _migrating(place, count, old=old)), 0)[1]  # noqa: B023
        versions = _versions(old=old)
        after = opened(place)
        assert (after.reservation(LIVE, asked(1).id) is not None) is old
        assert reserve(after, 2).refused == ""
        assert after.check() == []
        after.close()
        _versions(old=False)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return count - 1
        assert versions == 1 + old
    raise AssertionError


def _fresh(where: str, name: str) -> str:
    if "://" not in where:
        return str(Path(where) / name)
    with psycopg.connect(where, autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS cashwrap CASCADE")
    return where


def _versions(*, old: bool) -> int:
    """Have this process know one version of the tables, or where ``old`` is what it finds, the next one too."""
    for module in (database, postgres_ledger):
        module.migrations = lambda name: [*queries.migrations(name), *([NEXT_VERSION] if old else [])]
    return 1 + old


def _migrating(where: str, count: int, *, old: bool) -> None:
    _versions(old=old)
    left = count

    def statement() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*_: object) -> bool:
        statement()
        return True

    def executed(db: Any, *given: Any, **more: Any) -> Any:
        statement()
        return execute(db, *given, **more)

    execute = psycopg.Connection.execute
    psycopg.Connection.execute = executed  # type: ignore[method-assign,assignment]
    apsw.connection_hooks.append(lambda db: setattr(db, "exec_trace", traced))
    opened(where).close()


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    match what:
        case "race":
            race(where, *map(int, rest))
        case "kill":
            kill(where, *rest)
        case "migrate":
            migrate(where)
