"""What the ledger changed, told to the log: so that profiles know what a shopper holds and used without asking.

The ledger leaves a notice of each change in the same transaction. A notice is settled when its event is durable; a
crash in between tells it again, and the event's id makes that count once. Notices hold no identity but a digest: it
finds the profile it is about. Of nobody who is known there is nothing to tell; a redemption waits a while, because
the order's own event may be what makes the shopper known.
"""

from collections import Counter, defaultdict
from collections.abc import Callable

from cashwrap.errors import Unavailable
from cashwrap.faults import crash_point
from cashwrap.ledger import Reservation
from cashwrap.model import Event, Millis, Tenant
from cashwrap.offering.around import Around, find, name_of, note
from cashwrap.profiles import REDEEMED, RELEASED, RESERVED
from cashwrap.window import Submission

AT_ONCE = 200
"""Notices told in one commit."""
PATIENCE: Millis = 10 * 60_000
"""How long a redemption waits for its shopper to become known."""
HELD = 10_000
"""Redemptions that may wait and be looked past; the oldest give way."""
_EVENTS = {"reserved": RESERVED, "redeemed": REDEEMED}
Keep = Callable[[Tenant, list[Event]], Submission]


class Notices:
    """Reads the ledger's outbox; one process of a data folder does."""

    def __init__(self, around: Around, keep: Keep) -> None:
        self._around = around
        self._keep = keep
        """Hands events to the writer and returns when they are durable, or when they failed."""
        self._held = 0
        self.told: Counter[str] = Counter()
        """By what became of them: ``told``, or ``nobody`` to tell it of."""

    def tell(self) -> int:
        """Tell what waits; how many notices are settled. Raises ``Unavailable``: they are told again then."""
        ledger = self._around.books()
        waiting = ledger.notices(AT_ONCE + min(self._held, HELD))
        events: dict[Tenant, list[Event]] = defaultdict(list)
        settled: list[int] = []
        for number, reservation in waiting:
            event = self._event(reservation)
            if event is not None:
                events[reservation.tenant].append(event)
            elif self._may_wait(reservation) and len(waiting) - len(settled) <= HELD:
                continue
            else:
                self.told["nobody"] += 1
            settled.append(number)
        for tenant, told in events.items():
            submission = self._keep(tenant, told)
            if submission.error is not None:
                raise Unavailable("what the ledger changed could not be told to the log; it is told again")
            self.told["told"] += len(told)
        self._held = len(waiting) - len(settled)
        if settled:
            crash_point("notice.told")
            ledger.settle(settled)
        return len(settled)

    def _event(self, changed: Reservation) -> Event | None:
        """``None`` where nobody is known by the reservation's digest."""
        found = find(self._around, [changed.shopper] if changed.shopper else [])
        who = name_of(found.hot) if found is not None else None
        if who is None:
            return None
        offer, number = self._around.offers().get(changed.offer), changed.id.hex()
        facts: dict[str, object] = {
            "offer": changed.offer,
            "reservation": number,
            "amount": changed.amount,
            "currency": changed.currency,
        }
        if offer is not None:
            facts["kind"] = offer.kind
        if changed.order:
            facts["order_id"] = changed.order
        name = _EVENTS.get(changed.state, RELEASED)
        return note(name, f"{number}:{changed.state}", changed.changed, who, facts)

    def _may_wait(self, changed: Reservation) -> bool:
        age = self._around.world.clock.now() - changed.changed
        return bool(changed.shopper) and changed.state == "redeemed" and age < PATIENCE
