"""An order that is refunded or cancelled gives its offers back by itself.

What triggers it is a trusted ``Order Refunded`` or ``Order Cancelled`` that has become durable; what is given back is
read from the shopper's order book, which knows what of it counts. Nothing about it is kept beside: a mark in the
registry says up to which record of the log orders have been looked at, a start reads on from there, and the event's id
is the key under which the ledger does it once.
"""

import logging
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator
from typing import NamedTuple

from cashwrap import orders
from cashwrap.errors import Conflict, Forgotten, StoreError
from cashwrap.folding import read_events
from cashwrap.ledger import Once, Reservation
from cashwrap.model import Event, Minor, Order, Tenant
from cashwrap.offering.around import Around, Named, find
from cashwrap.offering.availability import Availability
from cashwrap.ports import Record
from cashwrap.window import Submission

log = logging.getLogger(__name__)
EVENTS = frozenset({"Order Refunded", "Order Cancelled"})
KIND, MARK = "offers", "refunds"
"""Where the mark is kept."""
EVERY = 10.0
"""Seconds between two marks: a start reads at most what came in that time, and while nobody was there."""
_WHOLE = -1
_UNDONE = frozenset({"cancelled", "returned"})


class Pending(NamedTuple):
    """A change of an order that is durable and was not looked at yet."""

    tenant: Tenant
    event: Event


class Refunds:
    """Watches what the writer commits; one process of a data folder does."""

    def __init__(self, around: Around, availability: Availability) -> None:
        self._around = around
        self._availability = availability
        self._pending: deque[Pending] = deque()
        self._caught_up = False
        self._moving = threading.Lock()
        self._looked = 0
        """The log's sequence up to which every change of an order is in ``_pending`` or was handled."""
        self._committing = 0
        self._marked = 0
        self._marked_at = 0.0
        self.outcomes: Counter[str] = Counter()

    # --- on the writer's thread ---

    def watch(self, submission: Submission, newest: int) -> None:
        """A submission is settled; ``newest`` is the log's last sequence since the commit it was in.

        Others of the same commit are told of after it: only when the next one comes have all of them been.
        """
        if submission.error is None:
            for event in submission.events:
                if event.trusted and event.name in EVENTS:
                    self._pending.append(Pending(submission.tenant, event))
        if newest != self._committing:
            with self._moving:
                self._looked, self._committing = self._committing, newest

    # --- in the background ---

    def run(self) -> int:
        """Give back what waits; how many changes of orders were looked at. Raises ``Unavailable``: try again."""
        if not self._caught_up:
            self._catch_up()
            self._caught_up = True
        with self._moving:
            looked = self._looked
        handled: set[str] = set()
        while self._pending:
            pending = self._pending[0]
            self._try(pending, self._later(pending, handled))
            handled.add(pending.event.id)
            self._pending.popleft()
        self._mark(looked)
        return len(handled)

    def _catch_up(self) -> None:
        """Queue what was committed since the last mark: nobody may have handled it before the process ended."""
        mark = self._around.world.registry.documents(KIND).get(MARK)
        last = self._marked = int(mark) if mark is not None else 0
        ledger = self._around.books()
        if not any(ledger.entries(tenant, limit=1) for tenant in self._availability.tenants()):
            return  # nothing was ever held: of a log of years there is nothing to read
        before: list[Pending] = []
        for record in self._around.world.store.log(last):
            last = record.sequence
            before += self._opened(record)
        self._pending.extendleft(reversed(before))
        with self._moving:
            self._looked = max(self._looked, last)

    def _opened(self, record: Record) -> Iterator[Pending]:
        """The changes of orders in one record of the log."""
        vault = self._around.world.vault
        try:
            events = read_events(vault.open(record.shopper, record.payload)) if record.kind == "events" else []
        except Forgotten:
            return
        for event in events:
            if event.trusted and event.name in EVENTS:
                yield Pending(record.tenant, event)

    def _mark(self, looked: int) -> None:
        now = self._around.world.clock.monotonic()
        if looked > self._marked and now - self._marked_at >= EVERY:
            self._around.world.registry.put(KIND, MARK, b"%d" % looked)
            self._marked, self._marked_at = looked, now

    # --- one change of an order ---

    def _try(self, pending: Pending, later: Collection[str]) -> None:
        """What is unavailable is tried again; what is wrong with one change must not hold up those after it."""
        try:
            self._handle(pending, later)
        except StoreError:
            raise
        except Exception:
            log.exception("a refund could not give its offers back; roll them back by hand")
            self.outcomes["failed"] += 1

    def _handle(self, pending: Pending, later: Collection[str]) -> None:
        tenant, event = pending
        name = event.properties.get("order_id")
        held = self._around.books().of_order(tenant, name) if isinstance(name, str) and name else []
        if not held:
            return
        order = self._order(tenant, event, str(name))
        for reservation in held:
            if reservation.state == "redeemed":
                self._give_back(reservation, order, pending, later)

    def _order(self, tenant: Tenant, event: Event, name: str) -> Order | None:
        """The order in its shopper's book."""
        who = Named(event.user_id, event.anonymous_id, event.email_hash, event.cart_token)
        for digest in who.digests(self._around.world.vault, tenant, with_cart=True):
            found = find(self._around, [digest])
            if found is not None and name in found.hot.profile.orders:
                return found.hot.profile.orders[name]
        return None

    def _give_back(
        self, reservation: Reservation, order: Order | None, pending: Pending, later: Collection[str]
    ) -> None:
        share = part(reservation.amount, order, pending.event.id, later) if order is not None else 0
        if share == 0:
            self.outcomes["nothing"] += 1
            return
        event = self._around.world.vault.digest("offer refund", pending.event.source, pending.event.id)
        once = Once(f"refund:{event.hex()}:{reservation.id.hex()}", b"refund")
        now, tenant = self._around.world.clock.now(), pending.tenant
        try:
            outcome = self._around.books().roll_back(tenant, reservation.id, share, once, now)
        except Conflict:  # another process is at it
            return
        self.outcomes[outcome.refused or ("part" if share is not None else "whole")] += 1

    def _later(self, pending: Pending, handled: Collection[str]) -> set[str]:
        """Refunds of the same order that come after this one and were not handled yet, by their ids."""
        order = pending.event.properties.get("order_id")
        waiting = {
            each.event.id
            for each in self._pending
            if each.tenant == pending.tenant and each.event.properties.get("order_id") == order
        }
        return waiting.difference(handled, [pending.event.id])


def part(granted: Minor, order: Order, refund: str, later: Collection[str]) -> Minor | None:
    """What a refund gives back of what an offer still takes off: ``None`` for all of it.

    ``granted`` is what is left of the offer, so its share is of what was left of the order before this refund. Rounded
    down. ``later`` are refunds in the book that come after it. 0 for one that the book does not count.
    """
    if order.state in _UNDONE:
        return None
    paid = order.refunds.get(refund, 0) if orders.is_local(order, refund) else 0
    if paid == _WHOLE:
        return None
    total = orders.gross(order, "total")
    if order.state == "hinted" or paid <= 0 or total <= 0:
        return 0
    if order.refunded >= total:
        return None
    after = (order.refunds.get(each, 0) for each in later if orders.is_local(order, each))
    before = max(0, order.refunded - paid - sum(max(0, paid_back) for paid_back in after))
    return min(granted, granted * paid // (total - before))
