"""What an experiment is measured by, and how it is read: its goal, metrics, guardrails and design, as written."""

from collections.abc import Collection
from typing import cast

from msgspec import Struct

from cashwrap.declarations import DesignDecl, Method
from cashwrap.metrics import BUILT_IN, PROFIT
from cashwrap.model import Millis
from cashwrap.playbook.document import Node
from cashwrap.playbook.metric_schema import DESIGNS, MAX_DAYS, MAX_LOOKS
from cashwrap.playbook.schema import DEFINITIONS
from cashwrap.playbook.shape import Shape

MAX_METRICS = 20
"""Metrics that an experiment names, and guardrails as many again: more would leave little chance to find anything."""
DAY: Millis = 86_400_000
ALPHA = (10, 2_000)
POWER = (5_000, 9_900)
"""Parts of 10,000: between these an error rate, and a power, mean something."""
_Fields = dict[str, Node]


class Measured(Struct, frozen=True):
    """By what an experiment is measured."""

    goal: str
    metrics: tuple[str, ...]
    guardrails: dict[str, int]
    design: DesignDecl


def read_measured(shape: Shape, fields: _Fields, known: Collection[str]) -> Measured:
    """``known`` are the shop's own metrics; the built-in ones are known anyway."""
    names = [*known, *BUILT_IN]
    goal = _metric(shape, fields["goal"], names) if "goal" in fields else PROFIT
    members = shape.items(fields.get("metrics"), "metrics")
    guarded = shape.entries(fields["guardrails"], "guardrails") if "guardrails" in fields else {}
    for key, count in (("metrics", len(members)), ("guardrails", len(guarded))):
        if count > MAX_METRICS:
            shape.fail(fields[key], "too_many", f"an experiment may have {MAX_METRICS} {key}")
    found: dict[str, None] = {}
    for member in members[:MAX_METRICS]:
        name = _metric(shape, member, names)
        if name in found:
            shape.fail(member, "repeated", f"{name!r} is already in this list")
        found[name] = None
    for name, value in guarded.items():
        _known(shape, name, value, names)
    return Measured(
        goal=goal,
        metrics=tuple(found),
        guardrails={name: _margin(shape, value) for name, value in guarded.items()},
        design=read_design(shape, fields["design"]) if "design" in fields else DesignDecl(),
    )


def _metric(shape: Shape, node: Node, names: Collection[str]) -> str:
    name = shape.text(node, "a metric")
    if name and name not in names:
        shape.fail(node, "unknown_metric", _unknown(shape, name, names))
    return name


def _known(shape: Shape, name: str, node: Node, names: Collection[str]) -> None:
    if name not in names:
        shape.faults.error(shape.key_spot(node), "unknown_metric", _unknown(shape, name, names))


def _unknown(shape: Shape, name: str, names: Collection[str]) -> str:
    hint = shape.faults.did_you_mean(name, names) or f"; declare it under 'metrics', or take {', '.join(BUILT_IN)}"
    return f"{name!r} is not a metric{hint}"


def _margin(shape: Shape, node: Node) -> int:
    share = shape.share(node, "a guardrail's margin")
    if share == 0:
        shape.fail(node, "bad_value", "no experiment can show that nothing at all became worse; write 1% or more")
    return share or 0


# --- the design ---


def read_design(shape: Shape, node: Node) -> DesignDecl:
    """How an experiment is read; what is left out has its default."""
    fields, default = shape.fields(node, DEFINITIONS["design"], "a design"), DesignDecl()
    if isinstance(node.value, dict) and not fields:
        shape.fail(node, "empty", "a design has days, looks, window, maturity, detect, alpha, power or method")
    method = shape.choice(fields["method"], DESIGNS, "a method") if "method" in fields else None
    days = shape.integer(fields.get("days"), "how many days it takes", (1, MAX_DAYS), default.days)
    looks = 1 if method == "fixed" else min(default.looks, days)
    design = DesignDecl(
        method=cast("Method", method or default.method),
        days=days,
        looks=shape.integer(fields.get("looks"), "how often it is looked at", (1, MAX_LOOKS), looks),
        window=shape.duration(fields.get("window"), "a window") or default.window,
        maturity=shape.duration(fields.get("maturity"), "a maturity") or default.maturity,
        alpha=_within(shape, fields.get("alpha"), "alpha", ALPHA, default.alpha),
        power=_within(shape, fields.get("power"), "power", POWER, default.power),
        detect=_within(shape, fields.get("detect"), "detect", (1, 10_000), default.detect),
    )
    _sensible(shape, fields, design)
    return design


def _within(shape: Shape, node: Node | None, what: str, limits: tuple[int, int], default: int) -> int:
    if node is None:
        return default
    share = shape.share(node, f"{what!r}")
    if share is None:
        return default
    if not limits[0] <= share <= limits[1]:
        shape.fail(node, "bad_value", f"{what!r} is between {limits[0] / 100:g}% and {limits[1] / 100:g}%")
        return default
    return share


def _sensible(shape: Shape, fields: _Fields, design: DesignDecl) -> None:
    """Complain about what each key may say and all together may not."""

    def fail(key: str, message: str) -> None:
        shape.fail(fields[key], "bad_design", message)

    if design.method == "fixed" and design.looks != 1:
        fail("looks", "a fixed design is looked at once, at its end; leave 'looks' out, or take group_sequential")
    elif design.method == "always_valid" and "looks" in fields:
        fail("looks", "an always_valid design may be looked at every day; leave 'looks' out")
    elif design.looks > design.days:
        key = "looks" if "looks" in fields else "days"
        fail(key, f"{design.looks} looks in {design.days} days: one a day at most")
    if design.window + design.maturity > MAX_DAYS * DAY:
        key = "maturity" if "maturity" in fields else "window"
        fail(key, f"window and maturity together are {MAX_DAYS} days at most")
