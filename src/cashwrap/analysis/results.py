"""What a report says, as plain values: whoever prints, draws or exports it reads nothing else."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from cashwrap.analysis.question import Role, Worth
from cashwrap.declarations import Better, DesignDecl, MetricKind
from cashwrap.model import Millis, Tenant

Code = Literal["ship", "roll_back", "keep_running", "cannot_tell"]
Standing = Literal["holds", "broken", "open"]
"""Of a guardrail: shown not to be worse by more than its margin, shown to be, or neither yet."""


class Problem(Struct, frozen=True):
    """Why a number is missing or to be doubted: a stable code, and a plain sentence that says what to do."""

    code: str
    message: str


class Interval(NamedTuple):
    """Both ends of an interval; either may be infinite."""

    low: float
    high: float


class Effect(Struct, frozen=True):
    """What an arm did to a metric, against the control. Shares and money as the metric has them, ``relative`` of one.

    ``interval`` holds under the design's looks; ``p`` is of this look alone, ``q`` after false-discovery control.
    ``chance_better`` and ``expected_loss`` are a posterior view, and no rule to stop by. ``removed`` is the share of
    variance that covariates took away.
    """

    arm: str
    absolute: float
    interval: Interval
    error: float
    relative: float | None = None
    relative_interval: Interval | None = None
    p: float | None = None
    q: float | None = None
    significant: bool = False
    chance_better: float | None = None
    expected_loss: float | None = None
    removed: float = 0.0
    standing: Standing | None = None


class Result(Struct, frozen=True):
    """One metric over all arms; ``values`` and ``units`` by arm. A ``problem`` stands in the place of effects."""

    metric: str
    label: str
    kind: MetricKind
    role: Role
    worth: Worth
    better: Better
    values: Mapping[str, float] = {}
    units: Mapping[str, int] = {}
    effects: tuple[Effect, ...] = ()
    margin: float | None = None
    caps: Interval | None = None
    """What values were capped at."""
    problem: Problem | None = None


class ArmTally(Struct, frozen=True):
    """An arm's units. ``mature`` are those whose time is over; ``tainted`` saw another arm too; ``ghosts`` are those
    whose first moment was kept back, by what did so. ``decided`` is how often servers decided for the arm, ``seen`` how
    many of those decisions came back as exposures; ``None`` where servers kept no tally."""

    arm: str
    share: int
    units: int
    mature: int
    tainted: int = 0
    ghosts: Mapping[str, int] = {}
    decided: int | None = None
    seen: int | None = None


class Slice(Struct, frozen=True):
    """The primary metric's effect in one part of the shoppers. ``shrunk`` draws it towards that of all."""

    dimension: str
    value: str
    arm: str
    units: int
    effect: Effect
    shrunk: float
    shrunk_interval: Interval


class Heterogeneity(Struct, frozen=True):
    """Whether the parts of one dimension differ more than chance would have them."""

    dimension: str
    arm: str
    p: float


class Point(Struct, frozen=True):
    """An arm's effect on the primary metric up to a moment (``at``), or at an age of the exposure (``at`` in days)."""

    arm: str
    at: int
    effect: float
    interval: Interval
    boundary: float | None = None


class Step(Struct, frozen=True):
    """How many of an arm's units got as far as this step of the checkout."""

    arm: str
    step: str
    units: int
    of: int


class Curve(Struct, frozen=True):
    """Cumulative incidence by arm: ``times`` in milliseconds after the exposure, and the share that had completed, or
    had abandoned, by then. ``lost`` is the mean time not completed up to the horizon, abandoners at the horizon."""

    arm: str
    times: tuple[Millis, ...]
    completed: tuple[float, ...]
    abandoned: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    lost: float


class RatioCheck(Struct, frozen=True):
    """Whether units came to the arms in the declared shares.

    ``p`` stays valid however often one looks; ``classic`` is the chi-square test's, valid for one look alone.
    ``expected`` are shares of one, ``found`` units.
    """

    p: float
    classic: float
    expected: Mapping[str, float]
    found: Mapping[str, int]
    suspects: tuple[Problem, ...] = ()
    """Where the ratio is off: by browser, consent, step or release."""


class Look(Struct, frozen=True):
    """Which planned look this is. ``spent`` is the share of the error used up, ``critical`` the z that counts now."""

    number: int
    of: int
    at: Millis
    ends: Millis
    next: Millis | None
    spent: float
    critical: float


class Verdict(Struct, frozen=True):
    """What to do, in one sentence; ``harm`` is the chance that the arm is worse than control, ``stake`` what a year of
    this traffic would bring or cost, in minor units, with its interval."""

    code: Code
    sentence: str
    arm: str | None = None
    harm: float | None = None
    stake: float | None = None
    stake_interval: Interval | None = None


class Plan(Struct, frozen=True):
    """How far it is: the smallest relative effect that could be found now, and units and days until the one wanted."""

    detectable: float | None
    wanted: float
    units_needed: int | None
    units_a_day: float
    days_left: float | None
    notes: tuple[Problem, ...] = ()
    """What else would help, such as pooling experiences."""


class Report(Struct, frozen=True):
    """Everything a report says about one experiment, or about all of personalization against the shop's holdout."""

    experiment: str
    tenant: Tenant
    currency: str
    made: Millis
    through: Millis
    """Only what was exposed long enough before this moment counts."""
    started: Millis | None
    design: DesignDecl
    verdict: Verdict
    doubts: tuple[Problem, ...] = ()
    look: Look | None = None
    arms: tuple[ArmTally, ...] = ()
    ratio: RatioCheck | None = None
    results: tuple[Result, ...] = ()
    slices: tuple[Slice, ...] = ()
    heterogeneity: tuple[Heterogeneity, ...] = ()
    timeline: tuple[Point, ...] = ()
    novelty: tuple[Point, ...] = ()
    funnel: tuple[Step, ...] = ()
    curves: tuple[Curve, ...] = ()
    plan: Plan | None = None
    playbooks: tuple[str, ...] = ()
    """The releases that exposures came from."""
    sql: Mapping[str, str] = {}
    """What an analyst runs to get the same figures, by what it answers."""
