"""The order book of a profile: each order once, whoever reports it and in whatever order the reports arrive.

Only trusted events (secret key) say what an order is worth and what became of it; a browser's report is a hint that
the order exists. Within an order each part is set by the newest trusted event that carries it, refunds are kept by
message id, and cancelled beats returned beats completed, so the book ends the same in any order of arrival.
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.aggregates import LARGEST, add
from cashwrap.model import PERSONALIZATION, Event, Line, Millis, Minor, Order, Profile

ORDERS = 1000
"""Orders a profile keeps; the newest stay."""
HINTS = 20
"""Orders kept that only a browser has reported; the newest stay."""
REFUNDS = 100
"""Refunds an order keeps, those with the smallest message ids."""
LINES = 100
"""Products an order keeps, the first ones."""
BOUGHT = 50
"""Orders that are looked at to say what was bought: the newest."""
_KEPT = frozenset({"hinted", "completed"})
EVENTS = frozenset({"Order Completed", "Order Updated", "Order Refunded", "Order Cancelled", "Order Returned"})
"""What this book listens to."""

MONEY = ("subtotal", "total", "shipping", "tax", "discount")
_WHOLE = -1  # a refund without an amount pays back everything
_Stamp = tuple[Millis, str]
_NEVER: _Stamp = (0, "")
_ALWAYS: _Stamp = (1 << 63, "")
_CONTENT = "content"  # the newest event about money and lines: what it carried needs no stamp of its own
_PARTS = (*MONEY, "currency", "lines")
_CONTENTFUL = ("Order Completed", "Order Updated")
_STAMPS = {
    "Order Completed": "completed",
    "Order Updated": "updated",
    "Order Refunded": "refunded",
    "Order Cancelled": "cancelled",
    "Order Returned": "returned",
}
_STEPS = ("completed", "updated", "hinted", "refunded", "cancelled", "returned")
"""In this order they say when the order was made."""
_STATES: tuple[tuple[str, Literal["completed", "returned", "cancelled"]], ...] = (
    ("cancelled", "cancelled"),
    ("returned", "returned"),
    ("completed", "completed"),
    ("updated", "completed"),
)


class Net(Struct, frozen=True):
    """What remains of an order, in minor units of ``Order.currency``; nothing of one that does not count."""

    subtotal: Minor = 0
    total: Minor = 0
    shipping: Minor = 0
    tax: Minor = 0
    discount: Minor = 0
    refunded: Minor = 0


def apply(profile: Profile, event: Event) -> bool:
    """Take a report into the draft. Whether a feature over orders may have changed: a hint changes none."""
    report = _report(event)
    if report is None:
        return False
    known = profile.orders.get(report.id)
    if known is None:
        profile.orders[report.id] = report
        _settle(report)
        _bound(profile.orders)
    else:
        _combine(known, report)
    return event.trusted


def merge(into: Profile, other: Profile) -> None:
    """Take another profile's book into the draft."""
    for name, theirs in other.orders.items():
        mine = into.orders.get(name)
        if mine is None:
            mine = into.orders[name] = Order(name, theirs.time)
        _combine(mine, theirs)
    _bound(into.orders)


def counts(order: Order) -> bool:
    """Whether the order stands: reported by the shop's backend, and neither taken back nor paid back in full."""
    return order.state == "completed" and not (order.refunds and order.refunded >= gross(order, "total"))


def net(order: Order) -> Net:
    """What the order is worth now. A refund pays back goods first, then the rest of the total."""
    if not counts(order):
        return Net(refunded=order.refunded if order.state != "hinted" else 0)
    back = order.refunded
    return Net(
        max(0, gross(order, "subtotal") - back),
        max(0, gross(order, "total") - back),
        order.shipping,
        order.tax,
        order.discount,
        back,
    )


def bought(profile: Profile, products: int) -> tuple[tuple[str, Millis, int], ...]:
    """The products of the newest orders that personalization may look at: each with the last time and how often.

    At most so many, the newest last. What was cancelled or returned was not bought.
    """
    allowed = [each for each in profile.orders.values() if each.mask & PERSONALIZATION and each.state in _KEPT]
    newest = heapq.nlargest(BOUGHT, allowed, key=lambda order: (order.time, order.id))
    found: dict[str, tuple[Millis, int]] = {}
    for order in newest:
        for name in {line.product_id for line in order.lines}:
            time, times = found.get(name, (order.time, 0))
            found[name] = time, times + 1
    told = [(name, time, times) for name, (time, times) in found.items()]
    return tuple(heapq.nlargest(products, told, key=lambda each: (each[1], each[0]))[::-1])


def gross(order: Order, part: str) -> Minor:
    """An amount before refunds (one of ``MONEY``): as reported, else as the other amounts imply it."""
    amount: Minor = getattr(order, part)
    if _stamp(order, part) != _NEVER:
        return amount
    if part == "total":
        return gross(order, "subtotal") + order.shipping + order.tax
    if _stamp(order, "total") != _NEVER:
        return max(0, order.total - order.shipping - order.tax)
    return _goods(order.lines)


def refunded_at(order: Order) -> Millis | None:
    """When money was first paid back."""
    stamp = order.stamps.get("refunded")
    return stamp[0] if stamp else None


def _report(event: Event) -> Order | None:
    """The order as far as this one event knows it."""
    name = event.properties.get("order_id")
    if event.name not in EVENTS or not isinstance(name, str) or not name:
        return None
    stamp = (event.time, event.id)
    order = Order(name, event.time)
    if not event.trusted:
        order.stamps["hinted"] = stamp
        return order if event.name == "Order Completed" else None
    order.stamps[_STAMPS[event.name]] = stamp
    if event.name == "Order Refunded":
        order.refunds[event.id] = _amount(event.properties)
        currency = event.properties.get("currency")
        if isinstance(currency, str):
            order.refund_currencies[event.id] = currency
    elif event.name in _CONTENTFUL:
        order.mask = event.mask
        order.stamps[_CONTENT] = stamp
        carried = _carried(event.properties)
        for part in _PARTS:
            if part in carried:
                setattr(order, part, carried[part])
            else:
                order.stamps[part] = _NEVER
    return order


def _carried(properties: Mapping[str, object]) -> dict[str, object]:
    parts: dict[str, object] = {}
    for part in MONEY:
        amount = properties.get(part)
        if isinstance(amount, int) and not isinstance(amount, bool):
            parts[part] = amount
    if "total" not in parts and isinstance(properties.get("revenue"), int):
        parts["total"] = properties["revenue"]
    currency = properties.get("currency")
    if isinstance(currency, str):
        parts["currency"] = currency
    products = properties.get("products")
    if isinstance(products, list):
        parts["lines"] = products[:LINES]
    return parts


def _amount(properties: Mapping[str, object]) -> Minor:
    for name in ("value", "total"):
        amount = properties.get(name)
        if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0:
            return amount
    products = properties.get("products")
    if isinstance(products, list) and products:
        return _goods(products)
    return _WHOLE


def _combine(mine: Order, theirs: Order) -> None:
    """Add what ``theirs`` knows: the newest of each part, the first of each step, all refunds."""
    mask_mine, mask_theirs = _mask_rank(mine), _mask_rank(theirs)
    if mask_mine == mask_theirs:
        mine.mask &= theirs.mask
    elif mask_theirs < mask_mine:
        mine.mask = theirs.mask
    stamps = {part: max(_stamp(mine, part), _stamp(theirs, part)) for part in (_CONTENT, *_PARTS)}
    for part in _PARTS:
        if _stamp(theirs, part) > _stamp(mine, part):
            setattr(mine, part, getattr(theirs, part))
    steps = {step: min(_step(mine, step), _step(theirs, step)) for step in _STEPS}
    content = stamps[_CONTENT]
    mine.stamps = {step: stamp for step, stamp in steps.items() if stamp != _ALWAYS}
    if content != _NEVER:
        mine.stamps |= {part: stamp for part, stamp in stamps.items() if part == _CONTENT or stamp != content}
    mine.refunds |= theirs.refunds
    mine.refund_currencies |= theirs.refund_currencies
    while len(mine.refunds) > REFUNDS:
        last = max(mine.refunds)
        del mine.refunds[last]
        mine.refund_currencies.pop(last, None)
    _settle(mine)


def _stamp(order: Order, part: str) -> _Stamp:
    """Which event set the part: a part without a stamp of its own came with the newest content."""
    return order.stamps.get(part) or order.stamps.get(_CONTENT, _NEVER)


def _step(order: Order, step: str) -> _Stamp:
    return order.stamps.get(step, _ALWAYS)


def _mask_rank(order: Order) -> tuple[_Stamp, _Stamp]:
    """Allowed is what was allowed at the first completion, else at the first update."""
    return _step(order, "completed"), _step(order, "updated")


def _settle(order: Order) -> None:
    """Read state, time and money paid back off the stamps: nothing here depends on what came first."""
    stamps = order.stamps
    order.state = "hinted"
    for step, state in _STATES:
        if step in stamps:
            order.state = state
            break
    order.time = next(stamps[step][0] for step in _STEPS if step in stamps)
    refunds = [amount for event_id, amount in order.refunds.items() if is_local(order, event_id)]
    paid = 0
    for amount in refunds:
        paid = add(paid, max(0, amount))
    if _CONTENT in stamps:
        total = gross(order, "total")
        paid = total if _WHOLE in refunds else min(paid, total)
    order.refunded = paid


def is_local(order: Order, event_id: str) -> bool:
    """Whether a refund is in the order's own currency, as far as both say: 5 yen are not 5 cents."""
    named = order.refund_currencies.get(event_id)
    return named is None or not order.currency or named == order.currency


def _goods(lines: Iterable[object]) -> Minor:
    return min(LARGEST, sum((line.price or 0) * line.quantity for line in lines if isinstance(line, Line)))


def _bound(orders: dict[str, Order]) -> None:
    if len(orders) <= HINTS:
        return
    hints = [order for order in orders.values() if order.stamps.keys() == {"hinted"}]
    _drop_oldest(orders, hints, HINTS)
    if len(orders) > ORDERS:
        _drop_oldest(orders, [order for order in orders.values() if order.stamps.keys() != {"hinted"}], ORDERS)


def _drop_oldest(orders: dict[str, Order], candidates: list[Order], limit: int) -> None:
    surplus = max(0, len(candidates) - limit)
    for order in sorted(candidates, key=lambda order: (order.time, order.id))[:surplus]:
        del orders[order.id]
