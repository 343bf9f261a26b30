"""The metrics that every experiment has, and what a metric of the shop's own may be of. Pure.

A metric is measured on facts, not on events: names here are those of the fact table's columns, wherever an event calls
them otherwise. What has no column and is a number becomes a *measure*: it is kept only if some metric asks for it.
"""

from collections.abc import Iterable, Mapping

from cashwrap.attributes import KIND_TYPES
from cashwrap.condition import Environment, Type, parse, referenced_attributes
from cashwrap.declarations import Condition, Kind, MetricDecl, Settings
from cashwrap.events.vocabulary import EventType, Vocabulary

ORDER = "Order Completed"
FAILED = "Payment Failed"
NET = "net"
PROFIT = "profit"

FIELDS: Mapping[str, Kind] = {
    "event": "text",
    "device": "text",
    "country": "text",
    "browser": "text",
    "currency": "text",
    "trusted": "boolean",
    "amount": "money",
    "subtotal": "money",
    "discount": "money",
    "shipping": "money",
    "tax": "money",
    "cost": "money",
    "quantity": "integer",
    "step": "text",
    "method": "text",
    "offer": "text",
    "placement": "text",
    "experience": "text",
    "variation": "text",
    "outcome": "text",
    "level": "text",
    "latency": "integer",
}
"""The fact table's columns that a metric may read, by kind. Money is in minor units of the fact's currency."""
DERIVED: Mapping[str, Kind] = {NET: "money", PROFIT: "money"}
"""What an order comes to after its refunds and returns, and that less what its products cost the shop."""
RENAMED = {
    "total": "amount",
    "revenue": "amount",
    "value": "amount",
    "payment_method": "method",
    "shipping_method": "method",
}
"""What events call otherwise than the fact table does."""
NUMERIC = frozenset({"integer", "number", "money"})
_PROVEN = frozenset({"placement", "experience", "variation", "outcome", "level", "latency"})
"""Columns that a decision's token fills, so that only exposures have them."""
_EXPOSURES = frozenset({"Experience Viewed", "Experience Dismissed"})
_APART = frozenset({"propensity"})
"""A column that is about how shoppers were assigned, and no outcome."""
_ALWAYS = ("event", "device", "country", "browser", "currency", "trusted")
_TRUSTED = Condition("trusted")
"""Only the shop's backend says that an order is one."""

BUILT_IN: Mapping[str, MetricDecl] = {
    each.name: each
    for each in (
        MetricDecl(PROFIT, "mean", (ORDER,), of=PROFIT, description="profit per shopper"),
        MetricDecl("conversion", "proportion", (ORDER,), where=_TRUSTED, description="conversion"),
        MetricDecl("revenue", "mean", (ORDER,), of=NET, description="revenue per shopper"),
        MetricDecl(
            "abandonment",
            "proportion",
            ("Checkout Started",),
            unless=(ORDER,),
            better="lower",
            description="checkouts abandoned",
        ),
        MetricDecl(
            "time_to_order", "time", (ORDER,), where=_TRUSTED, better="lower", description="time lost to completing"
        ),
        MetricDecl(
            "drop_off",
            "funnel",
            ("Checkout Started", "Checkout Step Viewed", "Payment Info Entered", ORDER),
            description="through the checkout",
        ),
        MetricDecl("payment_failures", "proportion", (FAILED,), better="lower", description="payment failures"),
        MetricDecl(
            "offer_cost",
            "mean",
            ("Offer Redeemed",),
            of="amount",
            better="lower",
            description="offers' cost per shopper",
        ),
        MetricDecl(
            "decision_latency",
            "quantile",
            ("Experience Viewed",),
            of="latency",
            per=("Experience Viewed",),
            at=9_000,
            better="lower",
            description="decision latency, 90th percentile",
        ),
        MetricDecl(
            "order_value",
            "ratio",
            (ORDER,),
            of=NET,
            per=(ORDER,),
            per_where=_TRUSTED,
            description="average order value",
        ),
    )
}
"""What every experiment is measured by, by name; ``profit`` is the goal where none is declared."""
DESCRIPTIONS = frozenset({"order_value", "drop_off"})
"""These describe and decide nothing: they look only at those who ordered, or began to, which the experiment changes."""


def fields_of(events: Iterable[str], vocabulary: Vocabulary) -> dict[str, Kind]:
    """What facts of these events can hold, by kind; what an order comes to in the end is not among it."""
    found: dict[str, Kind] = {}
    for name in events:
        if name in vocabulary.events:
            found |= _fields(vocabulary.events[name])
    return found


def derived_of(events: Iterable[str]) -> Mapping[str, Kind]:
    """What can be summed beside the facts' own fields: of orders, what they come to in the end."""
    return DERIVED if set(events) == {ORDER} else {}


def _fields(event: EventType) -> dict[str, Kind]:
    own = event.kinds()
    found: dict[str, Kind] = {name: FIELDS[name] for name in _ALWAYS}
    for name, kind in own.items():
        column = RENAMED.get(name, name)
        if column in _PROVEN and event.name not in _EXPOSURES:
            continue
        if FIELDS.get(column) == kind:
            found[column] = kind
        elif kind in NUMERIC and name not in FIELDS.keys() | _APART:
            found[name] = kind
    if "products" in own or "product_id" in own:
        found |= {"quantity": "integer", "cost": "money"}
    return found


def environment_of(fields: Mapping[str, Kind], settings: Settings, digits: int) -> Environment:
    """What a metric's condition may name; ``digits`` are those of the shop's currency after the point."""
    types: dict[str, Type] = {name: KIND_TYPES[kind] for name, kind in fields.items()}
    return Environment(types, frozenset(), settings.currency, digits)


def measures(metrics: Mapping[str, MetricDecl]) -> frozenset[str]:
    """The fields without a column of their own that these metrics ask for: facts keep no others."""
    names: set[str] = set()
    for each in metrics.values():
        names.update(name for name in (each.of, each.per_of) if name is not None)
        for where in (each.where, each.per_where):
            names.update(referenced_attributes(parse(where.text)) if where is not None else ())
    return frozenset(names - FIELDS.keys() - DERIVED.keys())
