"""What is asked of the facts: an experiment with its arms, its time and its metrics, all as plain values."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.declarations import Better, Condition, DesignDecl, Kind, MetricKind
from cashwrap.model import Millis, Tenant

Role = Literal["primary", "secondary", "guardrail", "description"]
JUDGED: frozenset[Role] = frozenset({"primary", "guardrail"})
"""The parts that a verdict rests on."""
Worth = Literal["money", "share", "milliseconds", "count"]
"""What a metric's values are: minor units of the shop's currency, parts of one, or as they are."""


class Part(Struct, frozen=True):
    """What is summed up over one unit's events within the window.

    ``of`` is a fact's column, ``net`` (an order's revenue after refunds and returns), ``profit`` (that less what the
    products cost), or a measure of the shop's own; ``None`` counts the events. ``once`` asks only whether there is any.
    A unit with any event of ``unless`` within the window has nothing of it: who began the checkout and did not order.
    """

    events: tuple[str, ...]
    of: str | None = None
    where: Condition | None = None
    once: bool = False
    unless: tuple[str, ...] = ()


class Metric(Struct, frozen=True):
    """One metric, compiled. ``per`` divides a ratio, ``steps`` are a funnel's events in order.

    ``at`` is the quantile asked for; ``caps`` are the quantiles, over all arms, beyond which a unit's value is set to
    theirs. ``window`` is how long after the exposure events count; ``margin`` how much worse, of the control's value,
    a guardrail may be. A ``time`` is that from the exposure to the first of the numerator's events, and the whole
    window for a unit without one: whoever leaves counts as lost time.
    """

    name: str
    label: str
    kind: MetricKind
    role: Role
    worth: Worth
    better: Better
    window: Millis
    numerator: Part | None = None
    per: Part | None = None
    steps: tuple[str, ...] = ()
    at: float | None = None
    caps: tuple[float, float] | None = None
    margin: float | None = None


class Question(Struct, frozen=True):
    """An experiment, or the shop's holdout against everything else, as the facts are asked about it.

    ``arms`` have their declared shares of 10,000, the control first. ``epochs`` are the moments at which the share of
    traffic changed, ascending. ``salt`` is empty for the holdout. ``rates`` are the worth of one major unit of another
    currency in the shop's own, each from a moment on.
    """

    experiment: str
    tenant: Tenant
    salt: str
    arms: Mapping[str, int]
    unit: Literal["shopper", "cart"]
    metrics: tuple[Metric, ...]
    design: DesignDecl
    currency: str
    epochs: tuple[Millis, ...] = ()
    rates: Mapping[str, tuple[tuple[Millis, str], ...]] = {}
    placement: str = ""
    """Where it is shown."""
    traffic: int = 10_000
    """The share of units that take part, of 10,000, after its last step."""
    reaching: bool = False
    """Whether everybody counts, as control, who lately reached that placement: asked before an experiment begins."""
    segments: tuple[str, ...] = ()
    """The segments that effects are broken down by, beside device and country."""
    measures: Mapping[str, Kind] = {}
    """The kinds of the fields without a column of their own that metrics ask for."""
