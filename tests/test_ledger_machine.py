"""Any sequence of requests, crashes and power cuts leaves every ledger as the naive one says, to the minor unit."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cashwrap.adapters import database, sqlite_ledger
from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import Conflict, InvalidInput, Unavailable
from cashwrap.ledger import GRACE, Claim, Code, Once, Outcome, Reservation
from cashwrap.model import Tenant
from cashwrap.ports import Ledger
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import PowerDisk, write_files
from cashwrap.testing.ledger import ANN, BOB, LIVE, NOW, TEST, WEEK, asked, once, reserve
from cashwrap.testing.ledger_model import ModelLedger
from postgres import MISSING, installed, server

OFFERS = ("spring", "autumn")
SHOPPERS = (ANN, BOB)
ENDS = ("total", "budget/EUR", *(who.hex() for who in SHOPPERS))
KEYS = [f"{offer}/{end}" for offer in OFFERS for end in ENDS]
Wish = tuple[str, bytes, int, int, int]
"""An offer, for whom, how much, and how much there is in uses and in money."""
Request = Callable[[Ledger], Outcome]

_numbers = st.integers(0, 4)
_parts = st.none() | st.sampled_from([0, 1, 200, 500, 501])
_tenants = st.sampled_from([LIVE] * 7 + [TEST])
_requests = st.deferred(lambda: _reserves | _redeems | _releases | _refunds)
_reserves = st.builds(
    lambda *given: ("reserve", *given),
    _numbers,
    _tenants,
    st.tuples(
        st.sampled_from(OFFERS),
        st.sampled_from([b"", *SHOPPERS]),
        st.sampled_from([0, 200, 500]),
        st.integers(1, 4),
        st.sampled_from([400, 1_500, 5_000]),
    ),
)
_redeems = st.builds(lambda *given: ("redeem", *given), _numbers, _tenants, st.sampled_from(["o1", "o2"]), _parts)
_releases = st.builds(lambda *given: ("release", *given), _numbers, _tenants)
_refunds = st.builds(lambda *given: ("refund", *given), _numbers, _tenants, _parts)


class LedgerMachine(RuleBasedStateMachine):
    """The ledger in memory, and the rules for all."""

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelLedger()
        self.now = NOW
        self.asked: list[Request] = []
        self.ledger = self.open()

    def open(self) -> Ledger:
        return SqliteLedger(None)

    def teardown(self) -> None:
        self.ledger.close()

    # --- what happens ---

    @rule(request=_reserves)
    def reserve(self, request: tuple[object, ...]) -> None:
        self.both(self.made(*request))

    @rule(request=_redeems | _releases)
    def redeem_or_release(self, request: tuple[object, ...]) -> None:
        self.both(self.made(*request))

    @rule(request=_requests)
    def ask(self, request: tuple[object, ...]) -> None:
        self.both(self.made(*request))

    @precondition(lambda self: self.asked)
    @rule(request=_requests, again=st.integers(0, 40))
    def ask_under_a_used_key(self, request: tuple[object, ...], again: int) -> None:
        self.both(self.made(*request, key=str(again % len(self.asked))))

    @precondition(lambda self: self.asked)
    @rule(again=st.integers(0, 40))
    def ask_again(self, again: int) -> None:
        self.both(self.asked[again % len(self.asked)])

    @rule(by=st.sampled_from([1, 500, GRACE, 3 * GRACE, WEEK, -GRACE, -WEEK]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(limit=st.integers(0, 3))
    def expire(self, limit: int) -> None:
        assert self.ledger.expire(self.now, limit) == self.model.expire(self.now, limit)

    @rule(who=st.sampled_from(SHOPPERS), tenant=_tenants)
    def forget(self, who: bytes, tenant: object) -> None:
        for ledger in (self.ledger, self.model):
            ledger.forget(tenant, [who])  # type: ignore[arg-type]

    @rule(limit=st.integers(0, 4))
    def tell(self, limit: int) -> None:
        for ledger in (self.ledger, self.model):
            ledger.settle([number for number, _ in ledger.notices(limit)])

    @rule(number=_numbers, uses=st.integers(0, 2))
    def make_codes(self, number: int, uses: int) -> None:
        for ledger in (self.ledger, self.model):
            ledger.add_codes(LIVE, [Code(bytes([number]), "spring", uses), Code(b"x", "autumn")])

    # --- what must be so ---

    @invariant()
    def both_say_the_same(self) -> None:
        assert seen(self.ledger) == seen(self.model)

    @invariant()
    def the_books_add_up(self) -> None:
        assert self.ledger.check() == []
        for tenant in (LIVE, TEST):
            for offer in OFFERS:
                lines = [line for line in self.ledger.entries(tenant) if line.offer == offer]
                total = (sum(line.held for line in lines), sum(line.spent for line in lines))
                assert self.ledger.balance(tenant, offer).get("EUR", (0, 0)) == total
                assert min(total) >= 0

    # --- how ---

    def both(self, request: Request) -> None:
        assert answer(request, self.ledger) == answer(request, self.model)

    def made(self, kind: object, number: int, tenant: object, *rest: object, key: str = "") -> Request:
        """A request at this moment, under a key of its own."""
        identity, now = asked(number).id, self.now
        same = once(key or str(len(self.asked)), repr((kind, number, tenant, rest)).encode())

        def request(ledger: Ledger) -> Outcome:
            match kind:
                case "reserve":
                    return wish(ledger, number, tenant, *rest, same, now)  # type: ignore[arg-type]
                case "redeem":
                    return ledger.redeem(tenant, identity, *rest, same, now)  # type: ignore[arg-type]
                case "release":
                    return ledger.release(tenant, identity, same, now)  # type: ignore[arg-type]
                case _:
                    return ledger.roll_back(tenant, identity, *rest, same, now)  # type: ignore[arg-type]

        self.asked.append(request)
        return request


def wish(ledger: Ledger, number: int, tenant: Tenant, wished: Wish, same: Once, now: int) -> Outcome:
    """Reserve, and see that no limit asked with is passed."""
    offer, who, amount, total, budget = wished
    wanted = [Claim(f"{offer}/total", 1, total), Claim(f"{offer}/budget/EUR", amount, budget, money=True)]
    if who:
        wanted.append(Claim(f"{offer}/{who.hex()}", 1, 1))
    held = Reservation(asked(number).id, tenant, offer, "EUR", amount, now, now + 500, who)
    outcome = ledger.reserve(held, wanted, same, now)
    if not outcome.refused and not outcome.replayed:
        used = ledger.used(tenant, KEYS)
        assert all(used.get(claim.key, 0) <= claim.most for claim in wanted)
    return outcome


def answer(request: Request, ledger: Ledger) -> Outcome | str:
    try:
        return request(ledger)
    except (Conflict, InvalidInput) as error:
        return error.code


def seen(ledger: Ledger) -> list[object]:
    return [
        [ledger.reservation(tenant, asked(number).id) for tenant in (LIVE, TEST) for number in range(5)],
        [ledger.of_order(LIVE, order) for order in ("o1", "o2")],
        [ledger.used(tenant, KEYS) for tenant in (LIVE, TEST)],
        [ledger.entries(tenant) for tenant in (LIVE, TEST)],
        [ledger.code(LIVE, digest) for digest in (*map(bytes, [[n] for n in range(5)]), b"x")],
        [notice for _, notice in ledger.notices(1_000)],
    ]


class FileMachine(LedgerMachine):
    """The ledger in a file, which may be closed, left open by a process that dies, and lose its power."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.left: list[Ledger] = []
        super().__init__()

    @property
    def here(self) -> Path:
        return Path(self.folder.name) / str(self.lives)

    def open(self) -> Ledger:
        self.disk = PowerDisk(f"power-{uuid.uuid4()}", Dice(self.lives))
        return SqliteLedger(self.here, vfs=self.disk.name)

    @rule()
    def close_and_open(self) -> None:
        self.ledger.close()
        self.ledger = SqliteLedger(self.here, vfs=self.disk.name)

    @rule(request=_requests, left=st.integers(0, 12))
    def lose_power(self, request: tuple[object, ...], left: int) -> None:
        """In the middle of a request, or just after it; whoever asked asks again."""
        operations = 0

        def before(_: str) -> None:
            nonlocal operations
            operations += 1
            if operations > left:
                raise apsw.IOError("the power is gone")

        ask, heard = self.made(*request), None
        self.disk.before = before
        try:
            heard = answer(ask, self.ledger)
        except Unavailable:
            heard = None
        remains = self.disk.cut()
        self.disk.before = lambda _: None
        self.ledger.close()
        self.lives += 1
        write_files(self.here, remains)
        self.ledger = self.open()
        expected, again = answer(ask, self.model), answer(ask, self.ledger)
        assert bare(again) == bare(expected)
        assert heard is None or bare(heard) == bare(expected)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def bare(found: Outcome | str) -> object:
    """Whether it is the first answer or a replay does not matter where nobody knows if the first one arrived."""
    return found if isinstance(found, str) else (found.reservation, found.refused, found.limit)


class PostgresMachine(LedgerMachine):
    address = ""

    def open(self) -> Ledger:
        with psycopg.connect(self.address, autocommit=True) as db:
            db.execute("DROP SCHEMA IF EXISTS cashwrap CASCADE")
        return PostgresLedger(self.address)

    @rule()
    def close_and_open(self) -> None:
        self.ledger.close()
        self.ledger = PostgresLedger(self.address)


def run(machine: type[LedgerMachine], examples: int, *, same: bool = False) -> None:
    quickly = settings(
        max_examples=examples,
        stateful_step_count=25,
        derandomize=same,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    run_state_machine_as_test(machine, settings=quickly)  # type: ignore[no-untyped-call]


def test_any_history_in_memory() -> None:
    run(LedgerMachine, 40)


def test_any_history_in_a_file_with_power_cuts() -> None:
    run(FileMachine, 30)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if not installed:
        pytest.skip(MISSING)
    with server() as running:
        yield running.address


def test_any_history_on_postgresql(address: str) -> None:
    PostgresMachine.address = address
    run(PostgresMachine, 5)


# --- the machine is red where there is a bug ---


@pytest.mark.parametrize(
    ("statement", "right", "wrong"),
    [
        ("count", "WHERE used + excluded.used <= :most", ""),
        ("uncount", "used - :amount", "max(0, used - 2 * :amount)"),
        ("settle", "number IN", "number NOT IN"),
        ("forget_counters", "who = :who", "who = :who AND 0"),
        ("answer", "key = :key", "key = :key || ' '"),
        ("change_balance", "spent = spent + :spent", "spent = max(0, spent + :spent - 1)"),
    ],
)
def test_the_machine_is_red_on_a_planted_bug(
    monkeypatch: pytest.MonkeyPatch, statement: str, right: str, wrong: str
) -> None:
    assert right in sqlite_ledger._SQL[statement]
    monkeypatch.setitem(sqlite_ledger._SQL, statement, sqlite_ledger._SQL[statement].replace(right, wrong))
    with pytest.raises(Exception):  # noqa: B017, PT011 - by an assertion, a constraint or a group of them
        run(LedgerMachine, 300, same=True)


def lost_to_power_cuts(folder: Path) -> int:
    """Of 30 acknowledged reservations, how many a power cut just after the answer takes."""
    lost = 0
    for seed in range(30):
        disk = PowerDisk(f"power-{uuid.uuid4()}", Dice(seed))
        ledger = SqliteLedger(folder / f"{seed}", vfs=disk.name)
        assert reserve(ledger, seed).refused == ""
        remains = disk.cut()
        ledger.close()
        write_files(folder / f"{seed}-after", remains)
        after = SqliteLedger(folder / f"{seed}-after")
        lost += after.reservation(LIVE, asked(seed).id) is None
        assert after.check() == []
        after.close()
    return lost


def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path) -> None:
    assert lost_to_power_cuts(tmp_path) == 0


def test_power_cuts_are_red_with_synchronous_normal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = database._SETUP["writer"].replace("synchronous = FULL", "synchronous = NORMAL")
    monkeypatch.setitem(database._SETUP, "writer", careless)
    monkeypatch.setattr(database, "_FULL", 1)
    assert lost_to_power_cuts(tmp_path) > 0
