"""Many processes at one ledger: races for the last redemptions, kills at every moment, migrations cut short."""

import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from cashwrap.ledger import Claim, Outcome
from cashwrap.ports import Ledger
from cashwrap.testing.ledger import KEYS, LIVE, asked, claims, once, redeem, reserve
from cashwrap.testing.ledger_model import ModelLedger
from cashwrap.testing.threads import together
from ledgers import CAP, WORKERS, answered, opened, requests
from postgres import MISSING, Server, installed, server

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    if not installed:
        pytest.skip(MISSING)
    with server() as running:
        yield running


@pytest.fixture
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, or a database of its own."""
    if request.param == "sqlite":
        return str(tmp_path)
    running: Server = request.getfixturevalue("postgres")
    return running.database(f"d{uuid.uuid4().hex}")


def said(*command: str) -> list[str]:
    """The lines that processes at a ledger printed."""
    script = str(Path(__file__).parent / "ledgers.py")
    done = subprocess.run([sys.executable, script, *command], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- races ---


@pytest.mark.parametrize("where", KINDS, indirect=True)
def test_sixteen_processes_racing_for_the_last_hundred_get_a_hundred(where: str) -> None:
    granted = [int(word) for word in said("race", where, "16", "12")[0].split()]
    assert len(granted) == 16
    assert sum(granted) == CAP
    ledger = opened(where)
    assert ledger.used(LIVE, ["spring/total"]) == {"spring/total": CAP}
    assert ledger.balance(LIVE, "spring") == {"EUR": (0, CAP * 500)}
    assert ledger.check() == []
    ledger.close()


def naively_granted(one: Ledger, other: Ledger) -> int:
    """Two buyers with the bug of all naive counters: both read and find room, and then both write."""
    granted = 0
    for number in range(0, CAP + 20, 2):
        pair = ((one, number), (other, number + 1))
        found_room = [ledger.used(LIVE, ["spring/total"])["spring/total"] < CAP for ledger, _ in pair]
        for (ledger, mine), room in zip(pair, found_room, strict=True):
            if room:
                granted += not reserve(ledger, mine, [Claim("spring/total", 1, 10**9)]).refused
    return granted


@pytest.mark.parametrize("where", KINDS, indirect=True)
def test_the_race_is_red_where_reading_comes_before_writing(where: str) -> None:
    """One was taken before: the pair that reads 99 passes the limit."""
    one, other = opened(where), opened(where)
    reserve(one, 10_000, [Claim("spring/total", 1, CAP)])
    assert naively_granted(one, other) + 1 > CAP
    one.close()
    other.close()


@pytest.mark.parametrize("where", KINDS, indirect=True)
def test_whoever_claims_in_whatever_order_is_served(where: str) -> None:
    """Threads of two ledgers reserve, redeem for less and refund on the same counters, named both ways round."""
    ledgers = [opened(where), opened(where)]

    def work(ledger: Ledger, first: int) -> None:
        for number in range(first, first + 10):
            wanted = claims(total=10**6, budget=10**9)
            reserve(ledger, number, wanted[::-1] if number % 2 else wanted)
            redeem(ledger, number, 100)
            if number % 5 == 0:
                ledger.roll_back(LIVE, asked(number).id, None, once(f"refund {number}"), 0)

    together(*(lambda at=at: work(ledgers[at % 2], at * 100) for at in range(6)))  # type: ignore[misc]
    assert ledgers[0].check() == []
    assert ledgers[1].used(LIVE, KEYS) == dict(zip(KEYS, (48, 48, 4_800), strict=True))
    for each in ledgers:
        each.close()


# --- kills ---


def bare(outcome: Outcome) -> tuple[object, ...]:
    return (outcome.reservation, outcome.refused, outcome.limit)


def survived(where: str, lines: list[str]) -> int:
    """See that what was acknowledged is there, and that what was not happens once when asked again; how much it was."""
    ledger, model, heard = opened(where), ModelLedger(), 0
    assert ledger.check() == []
    for worker in range(WORKERS):
        mine = [line.split() for line in lines if line.startswith(f"{worker} ")]
        assert [int(at) for _, at, _ in mine] == list(range(len(mine)))
        asked_for = list(islice(requests(worker), len(mine) + 1))
        for request, (_, _, state) in zip(asked_for[:-1], mine, strict=True):
            again, expected = answered(ledger, request), answered(model, request)
            assert again.replayed
            assert bare(again) == bare(expected)
            assert state == (expected.reservation.state if expected.reservation else expected.refused)
        assert bare(answered(ledger, asked_for[-1])) == bare(answered(model, asked_for[-1]))
        heard += len(mine)
    keys = [claim.key for claim in claims()]
    assert ledger.used(LIVE, keys) == model.used(LIVE, keys)
    assert ledger.balance(LIVE, "spring") == model.balance(LIVE, "spring")
    assert len(ledger.entries(LIVE, 0, 10**6)) == len(model.entries(LIVE, 0, 10**6))
    assert ledger.check() == []
    ledger.close()
    return heard


@pytest.mark.parametrize("where", KINDS, indirect=True)
def test_a_kill_at_any_crash_point_loses_nothing_and_doubles_nothing(where: str) -> None:
    points = [f"ledger.{point}:{time}" for point in ("counted", "committed") for time in (1, 2, 7)]
    lines = said("kill", where, *points)
    assert lines.pop() == f"killed {WORKERS * len(points)}"
    assert survived(where, lines) > 0


def killed_at_random(where: str, seed: int, rounds: int) -> int:
    chance = random.Random(seed)
    lines = said("kill", where, *(str(chance.randrange(1, 60)) for _ in range(rounds)))
    assert lines.pop() == f"killed {WORKERS * rounds}"
    return survived(where, lines)


@pytest.mark.parametrize("where", KINDS, indirect=True)
def test_kills_at_random_instants_lose_nothing_and_double_nothing(where: str) -> None:
    assert killed_at_random(where, 5, 8) > 8


@pytest.mark.slow
@pytest.mark.parametrize(("where", "rounds"), [("sqlite", 40), ("postgresql", 15)], indirect=["where"])
def test_many_kills_at_random_instants_lose_nothing_and_double_nothing(where: str, rounds: int) -> None:
    assert killed_at_random(where, 6, rounds) > rounds


def test_a_lost_or_doubled_effect_is_seen(tmp_path: Path) -> None:
    """The check above, on books that are wrong: an answer nobody kept, and one that was kept twice."""
    ledger = opened(str(tmp_path))
    first = next(requests(0))
    answered(ledger, first)
    ledger.close()
    assert survived(str(tmp_path), ["0 0 reserved"]) == 1
    with pytest.raises(AssertionError):
        survived(str(tmp_path), ["0 0 reserved", "0 1 redeemed", "0 2 reserved"])


# --- migrations ---


@pytest.mark.parametrize(("where", "least"), [("sqlite", 20), ("postgresql", 8)], indirect=["where"])
def test_a_migration_killed_at_any_statement_leaves_a_ledger_that_opens(where: str, least: int) -> None:
    made, updated = map(int, said("migrate", where)[0].split())
    assert made >= least
    assert updated >= 6
