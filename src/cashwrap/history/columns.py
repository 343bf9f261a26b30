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
_PROVEN = (
    "experience", "variation", "experiment", "outcome", "held", "decision", "level", "placement", "playbook",
)  # fmt: skip
_AMOUNTS = ("total", "revenue", "value", "amount")
_MONEY = ("subtotal", "discount", "shipping", "tax")
_CARTS = ("cart_token", "cart_id", "checkout_id")
_METHODS = ("payment_method", "shipping_method")
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
        get = properties.get
        lines = _lines(properties)
        cost, quantity = _totals(lines) if lines else (None, _whole(get("quantity")))
        proven = properties if event.name in _EXPOSURES else _NOTHING
        segments = proven.get("segments")
        money: dict[str, Any] = {name: _whole(get(name)) for name in _MONEY}
        said: dict[str, Any] = {name: _text(proven.get(name)) for name in _PROVEN} if proven else {}
        return Fact(
            tenant.store,
            tenant.environment,
            analytic_id,
            session_start,
            event.time,
            event.name,
            tuple([line.product_id for line in lines]),
            tuple([line.quantity for line in lines]),
            tuple([line.price for line in lines]),
            next((amount for name in _AMOUNTS if (amount := _whole(get(name))) is not None), None),
            _text(get("currency")),
            event.mask,
            where.device,
            where.country,
            propensity=_share(proven.get("propensity")),
            segments=tuple(segments) if isinstance(segments, list) else (),
            latency=_whole(proven.get("latency")),
            flags=event.flags,
            trusted=event.trusted,
            received=event.received,
            browser=where.browser,
            order=self._named(tenant, "order", _text(get("order_id"))),
            cart=self._named(tenant, "cart", event.cart_token or _first_text(properties, _CARTS)),
            cost=cost,
            quantity=quantity,
            step=_text(get("step")),
            method=_first_text(properties, _METHODS),
            offer=_text(get("offer")),
            measures=self._measured(properties) if self._measures else {},
            **money,
            **said,
        )

    def _named(self, tenant: Tenant, kind: str, name: str | None) -> bytes | None:
        """What stands for an order or a cart: the same in every fact of this folder, and nothing outside it."""
        if name is None:
            return None
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


_NOTHING: Mapping[str, object] = {}


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


def _share(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= 10_000 else None


def _text(value: object) -> str | None:
    return value if type(value) is str else None


def _first_text(properties: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if type(value := properties.get(name)) is str), None)
