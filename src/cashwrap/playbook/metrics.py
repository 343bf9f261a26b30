"""Metrics of the shop's own: read as they are written, with what their kind alone rules out."""

from typing import cast

from cashwrap.declarations import Better, Condition, MetricDecl, MetricKind
from cashwrap.metrics import BUILT_IN
from cashwrap.playbook.document import Node
from cashwrap.playbook.metric_schema import BETTER, METRIC_KINDS, PARTS
from cashwrap.playbook.schema import DEFINITIONS
from cashwrap.playbook.shape import Shape

STEPS = range(2, 11)
"""How many events a funnel may have."""
_TAKES: dict[str, frozenset[str]] = {
    "mean": frozenset({"of", "where", "unless", "caps"}),
    "proportion": frozenset({"where", "unless"}),
    "ratio": frozenset({"of", "where", "per", "caps"}),
    "quantile": frozenset({"of", "where", "at"}),
    "funnel": frozenset(),
}
_NEEDS: dict[str, tuple[str, ...]] = {"ratio": ("per",), "quantile": ("of", "at")}
_ANY = frozenset({"window", "better", "description"})
_Fields = dict[str, Node]
_Part = tuple[tuple[str, ...], str | None, Condition | None]


def read_metric(shape: Shape, name: str, node: Node) -> MetricDecl | None:
    """One metric; ``None`` where it is not of exactly one kind."""
    what = f"metric {name!r}"
    shape.name(name, node, "a metric")
    if name in BUILT_IN:
        message = f"{name!r} is a metric that every experiment has already; choose another name"
        shape.faults.error(shape.key_spot(node), "reserved_name", message)
    fields = shape.fields(node, DEFINITIONS["metric"], what)
    kinds = [kind for kind in METRIC_KINDS if kind in fields]
    if len(kinds) != 1:
        if isinstance(node.value, dict):
            message = f"{what} needs one kind ({', '.join(METRIC_KINDS)}), it has {len(kinds)}"
            shape.faults.error(shape.key_spot(node), "missing_key" if not kinds else "bad_value", message)
        return None
    kind = kinds[0]
    _fitting(shape, node, fields, kind)
    per, per_of, per_where = _per(shape, fields["per"]) if "per" in fields else ((), None, None)
    better = shape.choice(fields["better"], BETTER, "a direction") if "better" in fields else None
    return MetricDecl(
        name=name,
        kind=cast("MetricKind", kind),
        events=_events(shape, fields[kind], kind),
        of=shape.text(fields["of"], "'of'") if "of" in fields else None,
        where=shape.condition(fields.get("where")),
        unless=shape.texts(fields.get("unless"), "an event"),
        per=per,
        per_of=per_of,
        per_where=per_where,
        at=_at(shape, fields["at"]) if "at" in fields else None,
        caps=_caps(shape, fields["caps"]) if "caps" in fields else None,
        window=shape.duration(fields.get("window"), "a window"),
        better=cast("Better", better or "higher"),
        description=shape.text(fields["description"], "a description") if "description" in fields else "",
        spot=shape.key_spot(node),
    )


def _fitting(shape: Shape, node: Node, fields: _Fields, kind: str) -> None:
    """Complain about keys that mean nothing for this kind, and about those that it lacks."""
    for key in fields.keys() - _TAKES[kind] - _ANY - {kind}:
        if any(key in takes for takes in _TAKES.values()):
            message = f"a {kind} has no {key!r}; it may have {', '.join(sorted(_TAKES[kind] | _ANY))}"
            shape.faults.error(shape.key_spot(fields[key]), "bad_metric", message)
    for key in _NEEDS.get(kind, ()):
        if key not in fields:
            shape.faults.error(shape.key_spot(node), "missing_key", f"a {kind} needs {key!r}")


def _events(shape: Shape, node: Node, kind: str) -> tuple[str, ...]:
    events = shape.texts(node, "an event")
    if kind == "funnel" and len(events) not in STEPS:
        shape.fail(node, "bad_metric", f"a funnel has {STEPS[0]} to {STEPS[-1]} events in their order")
    elif not events:
        shape.fail(node, "empty", f"a {kind} is about at least one event")
    return events


def _per(shape: Shape, node: Node) -> _Part:
    """What divides a ratio: events to count, or ``{sum: Order Completed, of: quantity}``."""
    if not isinstance(node.value, dict):
        return shape.texts(node, "an event"), None, None
    fields = shape.fields(node, DEFINITIONS["metric_part"], "'per'")
    parts = [part for part in PARTS if part in fields]
    if len(parts) != 1:
        shape.fail(node, "bad_metric", "'per' has either count or sum, each with its events")
        return (), None, None
    if (parts[0] == "sum") is not ("of" in fields):
        shape.fail(node, "bad_metric", "a sum needs 'of', the field it is over; a count takes none")
    of = shape.text(fields["of"], "'of'") if "of" in fields else None
    return shape.texts(fields[parts[0]], "an event"), of, shape.condition(fields.get("where"))


def _at(shape: Shape, node: Node) -> int | None:
    share = shape.share(node, "a quantile")
    if share in {0, 10_000}:
        shape.fail(node, "bad_value", "a quantile lies between 0% and 100%; the middle is 50%")
    return share


def _caps(shape: Shape, node: Node) -> tuple[int, int] | None:
    shares = [shape.share(member, "a cap") for member in shape.items(node, "caps")]
    if len(shares) != 2:
        shape.fail(node, "wrong_type", "caps are two quantiles, such as [1%, 99%]; [0%, 99%] leaves the low end alone")
        return None
    low, high = shares
    if low is None or high is None:
        return None
    if low >= high:
        shape.fail(node, "bad_value", "the first of the caps lies below the second")
    return low, high
