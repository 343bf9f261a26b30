"""What a shopper did with products lately: the newest touches, which is what recommendations look at.

Kept are the newest by (time, event), whatever order they arrive in: what is pushed out by newer ones could never come
back in. Sensitive products are not among them, as ``enrich`` keeps those out of every event.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from cashwrap.model import Event, Line, Millis, Profile, Touch

TOUCHES = 20
"""Touches that a profile keeps: about a kilobyte."""
LONGEST = 64
"""Characters of a product's id; one with a longer id is not remembered."""
TAIL = 16
"""Characters of an event's id that are kept, the last ones: they only put in order what happened at one time."""
RECENT: Millis = 86_400_000
"""How far back is looked at the beginning of a visit, when nothing was done in it yet."""

_KINDS: dict[str, Literal["view", "add", "order", "save"]] = {
    "Product Viewed": "view",
    "Product Added": "add",
    "Product Added to Wishlist": "save",
}
_ORDERED = "Order Completed"
EVENTS = _KINDS.keys() | {_ORDERED}
"""What is listened to."""
_Key = tuple[str, str, str]


def apply(profile: Profile, event: Event) -> None:
    """Take an event into the draft. An order counts once, whoever reports it."""
    if event.name == _ORDERED:
        order, lines = event.properties.get("order_id"), event.properties.get("products")
        name = order if isinstance(order, str) else event.id
        found = [Touch(each, "order", event.time, name[-TAIL:]) for each in _products(lines)]
        if found:
            _keep(profile, found)
        return
    kind, product = _KINDS.get(event.name), event.properties.get("product_id")
    if kind is not None and isinstance(product, str) and 0 < len(product) <= LONGEST:
        _keep(profile, (Touch(product, kind, event.time, event.id[-TAIL:]),))


def merge(into: Profile, other: Profile) -> None:
    """Take another profile's touches into the draft."""
    if other.touched:
        _keep(into, other.touched)


def since(touched: Sequence[Touch], session_start: Millis, now: Millis) -> tuple[Touch, ...]:
    """What was done in the visit that began at ``session_start``; where that is nothing yet, in the last 24 hours."""
    visit = tuple([each for each in touched if each.time >= session_start])
    return visit or tuple([each for each in touched if each.time >= now - RECENT])


def _products(lines: object) -> Iterator[str]:
    for line in lines if isinstance(lines, list) else ():
        if isinstance(line, Line) and 0 < len(line.product_id) <= LONGEST:
            yield line.product_id


def _keep(profile: Profile, more: Iterable[Touch]) -> None:
    kept: dict[_Key, Touch] = {(each.kind, each.product, each.id): each for each in profile.touched}
    for each in more:
        key = each.kind, each.product, each.id
        known = kept.get(key)
        if known is None or each.time > known.time:
            kept[key] = each
    profile.touched = sorted(kept.values(), key=lambda each: (each.time, each.id, each.product, each.kind))[-TOUCHES:]
