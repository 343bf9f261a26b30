"""The open cart, as far as events tell: the newest full picture of it, and the changes after that.

A full picture is an event that lists the cart (``Cart Viewed``, ``Checkout Started`` with ``products``) or empties it
(``Order Completed``). ``Product Added`` and ``Product Removed`` change it by pieces. Pictures and changes are kept with
their (time, event id), and only what follows the newest picture counts, so the cart is the same in any order of
arrival. It is read, not stored: whoever asks gets the picture with the changes applied in order.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from cashwrap.aggregates import MINUTE
from cashwrap.model import CartLine, Event, Line, Millis, OpenCart, Profile, Value

LINES = 200
"""Products a picture keeps, the first ones."""
CHANGES = 200
"""Changes kept after the newest picture; the newest stay."""
LONGEST = 100
"""Characters kept of a changed product's texts: two hundred changes would otherwise weigh a megabyte."""
_ALL = 10**6
"""More pieces than a cart may hold: removing without a quantity removes them all."""

_PICTURES = frozenset({"Cart Viewed", "Checkout Started"})
_CHANGES = {"Product Added": 1, "Product Removed": -1}
_TOUCHES = frozenset({"Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered"})
EVENTS = _PICTURES | _CHANGES.keys() | _TOUCHES | {"Order Completed"}
"""What the cart listens to."""


def apply(profile: Profile, event: Event, currency: str = "") -> None:
    """Take an event into the draft's cart. Prices in another currency than the shop's are unknown."""
    name = event.name
    if name not in EVENTS:
        return
    cart = profile.cart
    cart.touched = max(cart.touched, event.time)
    _token(cart, event.cart_token, event.time)
    foreign = bool(currency) and event.properties.get("currency", currency) != currency
    if name in _CHANGES:
        line = _line(event, foreign=foreign)
        if line is not None:
            _change(cart, CartLine(line, event.time, event.id))
    elif name == "Order Completed":
        _picture(cart, (), event.time, event.id)
    elif name in _PICTURES:
        products = event.properties.get("products")
        if isinstance(products, list):
            lines = [line for line in products[:LINES] if isinstance(line, Line)]
            if foreign:
                lines = [replace(line, price=None) for line in lines]
            _picture(cart, lines, event.time, event.id)


def merge(into: Profile, other: Profile) -> None:
    """Take another profile's cart into the draft: the newest picture of both, and all changes after it."""
    mine, theirs = into.cart, other.cart
    mine.touched = max(mine.touched, theirs.touched)
    _token(mine, theirs.token, theirs.token_at)
    if (theirs.cleared, theirs.cleared_by) > (mine.cleared, mine.cleared_by):
        lines = [line.line for line in theirs.lines.values()]
        _picture(mine, lines, theirs.cleared, theirs.cleared_by)
    for change in theirs.changes.values():
        _change(mine, change)


def lines(cart: OpenCart) -> dict[str, Line]:
    """The products in the cart now, by id, with how many of each."""
    found = {name: kept.line for name, kept in cart.lines.items()}
    for change in sorted(cart.changes.values(), key=lambda change: (change.time, change.id)):
        line = change.line
        old = found.get(line.product_id)
        pieces = (old.quantity if old else 0) + line.quantity
        if pieces <= 0:
            found.pop(line.product_id, None)
        else:
            known = line if old is None or line.price is not None else old
            found[line.product_id] = replace(known, quantity=pieces)
    return found


def values(profile: Profile, now: Millis) -> dict[str, Value]:
    """``open_cart.`` ``total`` and ``max_price`` (money), ``count``, ``categories``, ``products``, ``idle_minutes``.

    An empty cart has total and count 0 and empty sets; how long it is idle and its highest price are unknown. A total
    is unknown where a price is.
    """
    cart = profile.cart
    inside = lines(cart).values()
    prices = [line.price for line in inside]
    found: dict[str, Value] = {
        "open_cart.count": sum(line.quantity for line in inside),
        "open_cart.categories": frozenset(line.category for line in inside if line.category is not None),
        "open_cart.products": frozenset(line.product_id for line in inside),
    }
    if None not in prices:
        found["open_cart.total"] = sum((line.price or 0) * line.quantity for line in inside)
    known = [price for price in prices if price is not None]
    if known:
        found["open_cart.max_price"] = max(known)
    if inside:
        found["open_cart.idle_minutes"] = max(0, now - cart.touched) // MINUTE
    return found


def next_change(profile: Profile, now: Millis) -> Millis | None:
    """When ``open_cart.idle_minutes`` grows next; None for an empty cart."""
    cart = profile.cart
    if not lines(cart):
        return None
    return cart.touched + (max(0, now - cart.touched) // MINUTE + 1) * MINUTE


def _line(event: Event, *, foreign: bool) -> Line | None:
    """The product that was added or removed, with the change of its quantity."""
    facts = event.properties
    product = facts.get("product_id")
    if not isinstance(product, str) or not product:
        return None
    quantity = facts.get("quantity")
    if not isinstance(quantity, int) or quantity <= 0:
        quantity = 1 if event.name == "Product Added" else _ALL
    price = facts.get("price")
    texts = (facts.get(name) for name in ("category", "brand", "name", "sku", "variant", "coupon"))
    category, brand, name, sku, variant, coupon = (text[:LONGEST] if isinstance(text, str) else None for text in texts)
    return Line(
        product,
        quantity * _CHANGES[event.name],
        price if isinstance(price, int) and not foreign else None,
        category,
        brand,
        name,
        sku,
        variant,
        coupon,
    )


def _token(cart: OpenCart, token: str | None, time: Millis) -> None:
    if token is not None and (time, token) > (cart.token_at, cart.token or ""):
        cart.token, cart.token_at = token, time


def _picture(cart: OpenCart, inside: Iterable[Line], time: Millis, event_id: str) -> None:
    if (time, event_id) <= (cart.cleared, cart.cleared_by):
        return
    cart.cleared, cart.cleared_by = time, event_id
    cart.lines = {}
    for line in inside:
        old = cart.lines.get(line.product_id)
        pieces = line.quantity + (old.line.quantity if old else 0)
        if pieces > 0:
            cart.lines[line.product_id] = CartLine(replace(line, quantity=pieces), time, event_id)
    cart.changes = {
        name: change for name, change in cart.changes.items() if (change.time, change.id) > (time, event_id)
    }


def _change(cart: OpenCart, change: CartLine) -> None:
    if (change.time, change.id) <= (cart.cleared, cart.cleared_by):
        return
    cart.changes[change.id] = change
    if len(cart.changes) > CHANGES:
        oldest = min(cart.changes.values(), key=lambda change: (change.time, change.id))
        del cart.changes[oldest.id]
