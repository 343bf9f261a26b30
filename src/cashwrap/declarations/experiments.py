"""Experiments, their metrics and their design; layers and holdouts."""

from typing import Literal

from msgspec import Struct

from cashwrap.declarations.base import Condition, Spot
from cashwrap.model import Millis

MAIN = "main"
"""The variation of an experience that has only one."""
CONTROL = "control"
"""The arm that sees what it would see without the experience."""
HOLDOUT = "holdout"
"""The arm of those who are kept out for good: by the shop's holdout, or by an experiment's own."""
Unit = tuple[str, ...]
"""Who is assigned: the first of these that is known. ``anonymous``, ``user``, ``cart``, or an attribute's name."""
UNIT: Unit = ("anonymous", "user", "cart")
"""The device before the person, so that a login changes no arm; a shopper without consent is known by the cart."""


MetricKind = Literal["mean", "proportion", "ratio", "quantile", "funnel", "time"]
"""``time`` is built in alone: how long after the exposure the first event came."""
Better = Literal["higher", "lower"]
"""Which way a metric should go."""
Method = Literal["group_sequential", "always_valid", "fixed"]
"""How the looks at an experiment are paid for."""


class MetricDecl(Struct, frozen=True):
    """A metric of the shop's own, measured on every exposed unit.

    A ``mean`` is of the sum of ``of`` (of the number of events where that is ``None``), a ``proportion`` asks whether
    there was any such event, a ``ratio`` divides by ``per``, a ``quantile`` is of the unit's sum at ``at`` (of 10,000),
    a ``funnel`` follows ``events`` in order. ``caps`` are the quantiles, of 10,000, beyond which a unit's value is set
    to theirs. ``window`` is how long after the exposure; ``None`` is the design's. A unit with any event of ``unless``
    within it counts nothing.
    """

    name: str
    kind: MetricKind
    events: tuple[str, ...]
    of: str | None = None
    where: Condition | None = None
    unless: tuple[str, ...] = ()
    per: tuple[str, ...] = ()
    per_of: str | None = None
    per_where: Condition | None = None
    at: int | None = None
    caps: tuple[int, int] | None = None
    window: Millis | None = None
    better: Better = "higher"
    description: str = ""
    spot: Spot = Spot()


class DesignDecl(Struct, frozen=True):
    """How an experiment is read, declared before it begins. Shares are of 10,000.

    It is looked at ``looks`` times at even distances and ends after ``days``. ``window`` is how long after the exposure
    outcomes count, ``maturity`` how long after that refunds and returns of those orders do. ``detect`` is the relative
    effect worth finding, ``alpha`` the chance of a false find over all looks, ``power`` that of finding ``detect``.
    """

    method: Method = "group_sequential"
    days: int = 28
    looks: int = 4
    window: Millis = 7 * 86_400_000
    maturity: Millis = 0
    alpha: int = 500
    power: int = 8_000
    detect: int = 500


class ExperimentDecl(Struct, frozen=True):
    """A test of an experience's variations against a control arm.

    ``arms`` are variations, and ``control``, with their shares of 10,000, which come to 10,000. ``traffic`` is the
    share of units that take part from each moment on, ascending in time; the first holds from the beginning.
    ``control_sees`` says what control, and those kept out, get: the shop's default, or the next experience that
    fits. ``salt`` names the experiment to the hash and to the shopper's memory: another salt starts it afresh.
    """

    arms: dict[str, int]
    goal: str = "profit"
    """The one metric that the verdict is about."""
    unit: Unit = UNIT
    traffic: tuple[tuple[Millis, int], ...] = ((0, 10_000),)
    layer: str | None = None
    holdout: int = 0
    control_sees: Literal["default", "next"] = "default"
    salt: str = ""
    sticky: bool = True
    """Whether a shopper who has seen an arm stays in it whatever becomes of the shares."""
    metrics: tuple[str, ...] = ()
    """More metrics to report, beside those that every experiment has."""
    guardrails: dict[str, int] = {}
    """Metrics that may not become worse, relative to control, by more than this share of 10,000."""
    design: DesignDecl = DesignDecl()


class LayerDecl(Struct, frozen=True):
    """A group of experiments of which a unit is in one at most; all of them assign the layer's ``unit``."""

    name: str
    unit: Unit = UNIT
    spot: Spot = Spot()


class HoldoutDecl(Struct, frozen=True):
    """The share of units, of 10,000, that get the shop's default everywhere, so that the whole can be measured."""

    share: int = 0
    unit: Unit = UNIT
    salt: str = "holdout"
