"""From events to facts: what analysis may see of each, in typed columns, without payload or identity."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from cashwrap.adapters.parquet import Fact
from cashwrap.aggregates import LARGEST
from cashwrap.declarations import MetricDecl
from cashwrap.metrics import measures
from cashwrap.model import Event, Line, Millis, Minor, Purpose, Tenant

_ANALYTICS: int = Purpose.ANALYTICS.value
_EXPOSURES = frozenset({"Experience Viewed", "Experience Dismissed"})
_COLUMNS = Fact.__struct_fields__
_PLACE = {name: place for place, name in enumerate(_COLUMNS)}
_BLANK: list[Any] = [None] * len(_COLUMNS)
_TEXTS = {name: _PLACE[name] for name in ("currency", "step", "offer")}
_WHOLES = {name: _PLACE[name] for name in ("subtotal", "discount", "shipping", "tax", "quantity")}
"""Fields that any event may have, each by the column of its name."""
_PROVEN = (
    "experience", "variation", "experiment", "outcome", "held", "decision", "level", "placement", "playbook",
)  # fmt: skip
_PROVEN_TEXTS = _TEXTS | {name: _PLACE[name] for name in _PROVEN}
_PROVEN_WHOLES = _WHOLES | {name: _PLACE[name] for name in ("propensity", "latency")}
"""Those of an exposure: what its token proved."""
_AMOUNTS = ("total", "revenue", "value", "amount")
_CARTS = ("cart_token", "cart_id", "checkout_id")
_METHODS = ("payment_method", "shipping_method")
_SHARES = range(10_001)
_SIZE = 8
_REMEMBERED = 100_000
"""Digests kept in memory: an order and a cart are named by event after event."""


class Making:
    """Makes facts of one folder's events. ``metrics`` are the shop's own: fields that they ask for are kept as well."""

    def __init__(self, digest: Callable[..., bytes], metrics: Mapping[str, MetricDecl]) -> None:
        """``digest`` is that of the folder's vault."""
        self._digest = digest
        self._measures = sorted(measures(metrics))
        self._known: dict[tuple[Tenant, str, str], bytes] = {}

    def fact(self, tenant: Tenant, event: Event, *, analytic_id: bytes, session_start: Millis = 0) -> Fact | None:
        """The event as a fact, or ``None`` where its mask does not allow ``analytics``."""
        if not event.mask & _ANALYTICS:
            return None
        properties, where = event.properties, event.where
        row = _read(properties, exposure=event.name in _EXPOSURES)
        row[:6] = tenant.store, tenant.environment, analytic_id, session_start, event.time, event.name
        lines = _lines(properties)
        if lines:
            row[_PLACE["product_ids"]] = tuple([line.product_id for line in lines])
            row[_PLACE["quantities"]] = tuple([line.quantity for line in lines])
            row[_PLACE["prices"]] = tuple([line.price for line in lines])
            row[_PLACE["cost"]], row[_PLACE["quantity"]] = _totals(lines)
        row[_PLACE["mask"]], row[_PLACE["flags"]] = event.mask, event.flags
        row[_PLACE["device"]], row[_PLACE["country"]], row[_PLACE["browser"]] = (
            where.device,
            where.country,
            where.browser,
        )
        row[_PLACE["trusted"]], row[_PLACE["received"]] = event.trusted, event.received
        order = properties.get("order_id")
        if type(order) is str:
            row[_PLACE["order"]] = self._named(tenant, "order", order)
        cart = event.cart_token or _first(properties, _CARTS, str)
        if cart is not None:
            row[_PLACE["cart"]] = self._named(tenant, "cart", cart)
        if self._measures:
            row[_PLACE["measures"]] = self._measured(properties)
        return Fact(*row)

    def _named(self, tenant: Tenant, kind: str, name: str) -> bytes:
        """What stands for an order or a cart: the same in every fact of this folder, and nothing outside it."""
        key = tenant, kind, name
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            digest = self._digest("facts", kind, tenant.store, tenant.environment, name)
            known = self._known[key] = digest[:_SIZE]
        return known

    def _measured(self, properties: Mapping[str, object]) -> dict[str, float]:
        found = {}
        for name in self._measures:
            value = properties.get(name)
            if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                found[name] = float(value)
        return found


def _read(properties: Mapping[str, object], *, exposure: bool) -> list[Any]:
    """The columns that a field of the event fills by itself; a value of another type is left out."""
    row = _BLANK.copy()
    row[_PLACE["product_ids"]] = row[_PLACE["quantities"]] = row[_PLACE["prices"]] = row[_PLACE["segments"]] = ()
    row[_PLACE["measures"]] = {}
    texts, wholes = (_PROVEN_TEXTS, _PROVEN_WHOLES) if exposure else (_TEXTS, _WHOLES)
    for name, value in properties.items():  # an event has few fields, and there are many columns
        kind = type(value)
        place = texts.get(name) if kind is str else wholes.get(name) if kind is int else None
        if place is not None:
            row[place] = value
    row[_PLACE["amount"]] = _first(properties, _AMOUNTS, int)
    row[_PLACE["method"]] = _first(properties, _METHODS, str)
    if exposure:
        segments, share = properties.get("segments"), row[_PLACE["propensity"]]
        row[_PLACE["segments"]] = tuple(segments) if isinstance(segments, list) else ()
        row[_PLACE["propensity"]] = share if share in _SHARES else None
    return row


def _lines(properties: Mapping[str, object]) -> list[Line]:
    """The products of an event, whether it lists them or is about a single one."""
    products = properties.get("products")
    if isinstance(products, list):
        return [line for line in products if isinstance(line, Line)]
    single = properties.get("product_id")
    if not isinstance(single, str):
        return []
    quantity = _whole(properties.get("quantity"))
    return [Line(single, quantity=1 if quantity is None else quantity, price=_whole(properties.get("price")))]


def _totals(lines: list[Line]) -> tuple[Minor | None, int]:
    """What all of them cost the shop, as far as that is known, and how many pieces they are."""
    costs = [line.cost * line.quantity for line in lines if line.cost is not None]
    return min(LARGEST, sum(costs)) if costs else None, min(LARGEST, sum([line.quantity for line in lines]))


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _first(properties: Mapping[str, object], names: tuple[str, ...], kind: type) -> Any:
    for name in names:
        if name in properties and type(properties[name]) is kind:
            return properties[name]
    return None
