"""What fault runs ask of a ledger, and the book of it: what was acknowledged must be so, once, within the limits."""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from cashwrap.errors import CashwrapError
from cashwrap.ledger import Claim, Entry, Once, Outcome, Reservation
from cashwrap.model import Millis, Minor, Tenant
from cashwrap.ports import Clock, Ledger
from cashwrap.testing.chaos.dice import Dice

OFFER = "spring"
USES = "spring/total"
BUDGET = "spring/budget/EUR"
MOST = 40
"""Uses that there are of the offer."""
MONEY: Minor = 30_000
"""Its budget, in minor units: less than all uses could take."""
LIFE: Millis = 400 * 86_400_000
THANKS = "thanks"
THANKS_MOST = 25
"""The offer of the playbook that servers grant, and how many there are of it."""


class MoneyBook(Struct):
    """What was asked of a ledger and what it acknowledged."""

    states: dict[bytes, str] = {}
    """By reservation the last state that was acknowledged."""
    doubtful: set[bytes] = set()
    """Reservations of which something was asked that nobody answered yet."""
    acknowledged: int = 0

    def copy(self) -> "MoneyBook":
        """The book as it is now."""
        return MoneyBook(dict(self.states), set(self.doubtful), self.acknowledged)


class Purse:
    """Reserves, redeems, releases and takes back, and asks again with the same key where it heard nothing."""

    def __init__(self, tenant: Tenant, book: MoneyBook, dice: Dice, clock: Clock) -> None:
        self.book = book
        self._tenant = tenant
        self._dice = dice
        self._clock = clock
        self._asked = 0
        self._open: Callable[[Ledger], bool] | None = None
        """What was asked and not answered."""
        self._answered: list[tuple[Callable[[Ledger], Outcome], Outcome]] = []

    def step(self, ledger: Ledger) -> bool:
        """Ask for one thing, or once more for what was not answered; whether an answer came."""
        action = self._open or self._next()
        self._open = action
        try:
            done = action(ledger)
        except CashwrapError:
            return False
        self._open = None
        return done

    def _next(self) -> Callable[[Ledger], bool]:
        dice, held = self._dice, [name for name, state in self.book.states.items() if state == "reserved"]
        spent = [name for name, state in self.book.states.items() if state == "redeemed"]
        if self._answered and dice.chance(15):
            return self._repeated(*dice.pick(self._answered))
        what = dice.below(10)
        if held and what < 4:
            reservation = dice.pick(held)
            order = f"order-{reservation.hex()}"
            return self._asking(
                reservation,
                "redeemed",
                lambda ledger, once: ledger.redeem(self._tenant, reservation, order, None, once, self._clock.now()),
            )
        if held and what < 5:
            reservation = dice.pick(held)
            return self._asking(
                reservation,
                "released",
                lambda ledger, once: ledger.release(self._tenant, reservation, once, self._clock.now()),
            )
        if spent and what < 6:
            reservation = dice.pick(spent)
            return self._asking(
                reservation,
                "rolled_back",
                lambda ledger, once: ledger.roll_back(self._tenant, reservation, None, once, self._clock.now()),
            )
        return self._reserving()

    def _reserving(self) -> Callable[[Ledger], bool]:
        now, amount = self._clock.now(), 100 + self._dice.below(1_500)
        held = Reservation(self._dice.token(12), self._tenant, OFFER, "EUR", amount, created=now, expires=now + LIFE)
        claims = (Claim(USES, 1, MOST), Claim(BUDGET, amount, MONEY))
        return self._asking(held.id, "reserved", lambda ledger, once: ledger.reserve(held, claims, once, now))

    def _asking(
        self, reservation: bytes, state: str, ask: Callable[[Ledger, Once], Outcome]
    ) -> Callable[[Ledger], bool]:
        """A request with a key of its own, which it keeps however often it is sent."""
        self._asked += 1
        once = Once(f"once-{self._asked}-{self._dice.token(6).hex()}", reservation)

        def send(ledger: Ledger) -> Outcome:
            return ask(ledger, once)

        def run(ledger: Ledger) -> bool:
            self.book.doubtful.add(reservation)
            outcome = send(ledger)
            self.book.doubtful.discard(reservation)
            if not outcome.refused:
                self.book.states[reservation] = state
            self.book.acknowledged += 1
            self._answered.append((send, outcome))
            return True

        return run

    def _repeated(self, send: Callable[[Ledger], Outcome], first: Outcome) -> Callable[[Ledger], bool]:
        def run(ledger: Ledger) -> bool:
            again = send(ledger)
            if again.refused != first.refused or _id(again) != _id(first):
                message = f"a repeated request was answered {again} and not {first}"
                raise AssertionError(message)
            return True

        return run


def _id(outcome: Outcome) -> bytes | None:
    return outcome.reservation.id if outcome.reservation is not None else None


def wrong_money(ledger: Ledger, tenant: Tenant, book: MoneyBook) -> list[str]:
    """What of the book is not so in the ledger, in words; empty when all is well."""
    wrong = [f"ledger: {line}" for line in ledger.check()]
    for name, state in book.states.items():
        found = ledger.reservation(tenant, name)
        if found is None:
            wrong.append(f"reservation {name.hex()} was acknowledged as {state} and is gone")
        elif name not in book.doubtful and found.state != state:
            wrong.append(f"reservation {name.hex()} was acknowledged as {state} and is {found.state}")
    entries = _entries(ledger, tenant)
    lines = Counter((entry.reservation, entry.kind) for entry in entries)
    wrong += [f"{kind} of {name.hex()} is booked {count} times" for (name, kind), count in lines.items() if count > 1]
    used = ledger.used(tenant, [USES, BUDGET])
    if used.get(USES, 0) > MOST or used.get(BUDGET, 0) > MONEY:
        wrong.append(f"the limits are passed: {used}")
    thanks = Counter(entry.kind for entry in entries if entry.offer == THANKS)
    live = thanks["reserve"] - thanks["release"] - thanks["expire"] - thanks["roll_back"]
    if live > THANKS_MOST:
        wrong.append(f"{live} of {THANKS_MOST} are held or spent")
    spent = sum(entry.spent for entry in entries if entry.offer == OFFER)
    if spent > MONEY:
        wrong.append(f"{spent} were spent of a budget of {MONEY}")
    return wrong


def _entries(ledger: Ledger, tenant: Tenant) -> list[Entry]:
    """All lines."""
    found: list[Entry] = []
    while page := ledger.entries(tenant, found[-1].sequence if found else 0):
        found += page
    return found
