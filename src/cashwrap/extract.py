"""What a feature reads of an event: properties as plain facts, products line by line, amounts as integers.

An event's facts are its properties. Where a feature names a field the event itself lacks and the event lists products,
the products are read one by one, each as the event's facts with the line's own on top. Money in another currency than
the shop's is unknown. Numbers become integers of 1/10,000; texts that name keys are cut at 100 characters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from cashwrap import orders
from cashwrap.aggregates import LARGEST
from cashwrap.declarations import FeatureDecl, Kind
from cashwrap.model import Line, Millis, Order

Facts = Mapping[str, object]
Test = Callable[[Facts], bool | None]
Extract = Callable[[Facts], Iterable[Any]]
"""The values an event brings to an aggregate, in the form its ``update`` takes."""

NUMBER_PLACES = 4
"""Decimal places a number keeps."""
LONGEST_KEY = 100
LINE_FIELDS = frozenset(
    {"product_id", "quantity", "price", "category", "brand", "name", "sku", "variant", "coupon", "amount"}
)
"""What a product of an event has; ``amount`` is price times quantity."""
KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("price", "amount", "value", "total", "subtotal", "revenue", "shipping", "tax", "discount", "refunded"), "money"
    ),
    **dict.fromkeys(("quantity",), "integer"),
    "rating": "number",
}
"""Kinds of the standard fields that are not texts."""
ORDER_EVENTS = frozenset({"Order Completed", "Order Refunded", "Order Cancelled", "Order Returned"})
"""Read from the order book: each order once, net, as the shop's backend reported it."""

_NOTHING: tuple[()] = ()
_KEYED = frozenset({"distinct", "top"})
_NUMERIC = frozenset({"sum", "average", "min", "max", "decayed"})


def kind_of(field: str, measure: str, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of a field: declared, standard, or what the measure takes it for."""
    return kinds.get(field) or KINDS.get(field) or ("number" if measure in _NUMERIC else "text")


def local(facts: Facts, currency: str, kinds: Mapping[str, Kind]) -> Facts:
    """The facts in the shop's currency; without its money where the event is in another one."""
    if facts.get("currency", currency) in (currency, ""):
        return facts
    kept = {name: fact for name, fact in facts.items() if (kinds.get(name) or KINDS.get(name)) != "money"}
    products = facts.get("products")
    if isinstance(products, list):
        kept["products"] = [_priceless(line) for line in products]
    return kept


def extractor(decl: FeatureDecl, where: Test | None, kinds: Mapping[str, Kind]) -> Extract:
    """Compile what ``decl`` reads of one event that it counts."""
    needs = frozenset(field for field in (decl.of, decl.by) if field is not None)
    single = _single(decl, kinds)
    if not needs:
        return _event_extractor(where, once=(1,))
    on_lines = bool(needs & LINE_FIELDS)
    once_per_key = decl.measure == "count"

    def extract(facts: Facts) -> Iterable[Any]:
        if on_lines and "products" in facts and not facts.keys() >= needs:
            found = [value for line in lines(facts) if where is None or where(line) is True for value in single(line)]
            return dict.fromkeys(found) if once_per_key else found
        if where is not None and where(facts) is not True:
            return _NOTHING
        return single(facts)

    return extract


def event_extractor(where: Test | None, *, counted: bool) -> Extract:
    """Compile one side of a rate: True for each event counted, False for each that divides."""
    return _event_extractor(where, once=(counted,))


def _event_extractor(where: Test | None, *, once: tuple[Any, ...]) -> Extract:
    if where is None:
        return lambda facts: once  # noqa: ARG005
    test = where

    def extract(facts: Facts) -> Iterable[Any]:
        if test(facts) is True:
            return once
        if "products" in facts and any(test(line) is True for line in lines(facts)):
            return once
        return _NOTHING

    return extract


def lines(facts: Facts) -> Iterator[dict[str, object]]:
    """The products of an event, each with the event's facts underneath."""
    products = facts["products"]
    shared = {name: fact for name, fact in facts.items() if name != "products" and name not in LINE_FIELDS}
    for line in products if isinstance(products, list) else ():
        if isinstance(line, Line):
            own = dict(shared)
            for name in ("product_id", "quantity", "price", "category", "brand", "name", "sku", "variant", "coupon"):
                fact = getattr(line, name)
                if fact is not None:
                    own[name] = fact
            if line.price is not None:
                own["amount"] = line.price * line.quantity
            yield own


def order_facts(order: Order, event: str, currency: str) -> tuple[dict[str, object], Millis] | None:
    """The order as ``event`` tells it, and when; None where it did not happen to this order."""
    net = orders.net(order)
    time: Millis | None = order.time
    facts: dict[str, object] = {"order_id": order.id, "products": order.lines, "currency": order.currency or currency}
    amounts = {"subtotal": net.subtotal, "total": net.total, "shipping": net.shipping, "tax": net.tax}
    match event:
        case "Order Completed":
            happened = orders.counts(order)
        case "Order Refunded":
            happened = order.refunded > 0 and order.state != "hinted"
            time = orders.refunded_at(order)
            amounts = {"total": order.refunded, "subtotal": order.refunded}
        case "Order Cancelled":
            happened = order.state == "cancelled"
            amounts = {"subtotal": order.subtotal, "total": order.total, "shipping": order.shipping, "tax": order.tax}
        case _:
            happened = order.state == "returned"
            amounts = {"subtotal": order.subtotal, "total": order.total, "shipping": order.shipping, "tax": order.tax}
    if not happened or time is None:
        return None
    facts |= amounts
    facts |= {"revenue": amounts["total"], "value": amounts["total"], "discount": order.discount}
    facts["refunded"] = order.refunded
    return facts, time


def _single(decl: FeatureDecl, kinds: Mapping[str, Kind]) -> Extract:
    """The values of one set of facts: none, one, or several where a field is a list of texts."""
    of, by, measure = decl.of, decl.by, decl.measure
    convert = _converter(kind_of(of, measure, kinds)) if of is not None else None

    def amounts(facts: Facts) -> Iterable[Any]:
        if of is None or convert is None:
            return (1,)
        fact = _fact(facts, of)
        if measure in _KEYED:
            return [(key, 1) for key in _keys(fact)]
        value = convert(fact)
        return _NOTHING if value is None else (value,)

    if by is None:
        return amounts
    field = by

    def split(facts: Facts) -> Iterable[Any]:
        fact = facts.get(field)
        if type(fact) is str and of is None:  # nearly always
            return ((fact[:LONGEST_KEY], 1),) if fact else _NOTHING
        return [(key, value) for key in _keys(fact) for value in amounts(facts)]

    return split


def _fact(facts: Facts, field: str) -> object:
    fact = facts.get(field)
    if fact is None and field == "amount":
        price, quantity = facts.get("price"), facts.get("quantity", 1)
        if isinstance(price, int) and isinstance(quantity, int):
            return price * quantity
    return fact


def _keys(fact: object) -> tuple[str, ...]:
    match fact:
        case str():
            return (fact[:LONGEST_KEY],) if fact else ()
        case bool():
            return ("true",) if fact else ("false",)
        case int():
            return (str(fact),)
        case Decimal():
            return (f"{fact.normalize():f}"[:LONGEST_KEY],)
        case list():
            return tuple(dict.fromkeys(item[:LONGEST_KEY] for item in fact if isinstance(item, str) and item))
        case _:
            return ()


def _converter(kind: Kind) -> Callable[[object], Any]:
    match kind:
        case "money" | "integer" | "time":
            return _integer
        case "number":
            return _fixed
        case "boolean":
            return lambda fact: fact if isinstance(fact, bool) else None
        case _:
            return lambda fact: fact[:LONGEST_KEY] if isinstance(fact, str) and fact else None


def _integer(fact: object) -> int | None:
    return fact if type(fact) is int and -LARGEST <= fact <= LARGEST else None


def _fixed(fact: object) -> int | None:
    if type(fact) is int:
        return _integer(fact * 10**NUMBER_PLACES)
    if isinstance(fact, Decimal) and fact.is_finite() and abs(fact) <= LARGEST:
        return _integer(int(fact.scaleb(NUMBER_PLACES).to_integral_value(ROUND_HALF_EVEN)))
    return None


def _priceless(line: object) -> object:
    if not isinstance(line, Line):
        return line
    return Line(
        line.product_id, line.quantity, None, line.category, line.brand, line.name, line.sku, line.variant, line.coupon
    )
