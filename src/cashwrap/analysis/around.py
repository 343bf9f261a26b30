"""What stands around a verdict: parts of the shoppers, age of the exposure, the way through the checkout, and how far
it still is. None of it decides anything."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cashwrap.analysis.comparing import compared, effect_of, grouped
from cashwrap.analysis.looks import DAY, Plan
from cashwrap.analysis.question import Metric, Question
from cashwrap.analysis.render.words import relative
from cashwrap.analysis.results import Curve, Heterogeneity, Point, Problem, Slice, Step
from cashwrap.analysis.results import Plan as Outlook
from cashwrap.analysis.statistics import power
from cashwrap.analysis.statistics.compare import Difference, NoAnswer, interval
from cashwrap.analysis.statistics.shrink import heterogeneity, shrink
from cashwrap.analysis.statistics.survival import incidence, time_lost
from cashwrap.analysis.units import Units
from cashwrap.declarations import DesignDecl
from cashwrap.experiments import SHARES
from cashwrap.model import Millis

DIMENSIONS = ("device", "country")
"""What the primary effect is broken down by, beside every segment."""
VALUES = 12
"""Values of one dimension that are told: those with most units."""
AGES = 14
"""Days after the exposure whose effects are told apart."""
BINS = 100
"""Points of a curve."""
USUAL = 1.96
"""The z of a pointwise 95 % interval, which nothing is decided by."""
CHECKOUT = "drop_off"
"""The metric that follows every shopper through the checkout."""
TOGETHER = 5
"""How many experiments of the same traffic are imagined as read together."""


class Views(NamedTuple):
    """The parts of a report that only show."""

    slices: tuple[Slice, ...]
    heterogeneity: tuple[Heterogeneity, ...]
    novelty: tuple[Point, ...]
    funnel: tuple[Step, ...]
    curves: tuple[Curve, ...]


def views(units: Units, question: Question, primary: Metric, plan: Plan) -> Views:
    """All of them, over the units whose time was over at the newest look; nothing before the first one."""
    if not plan.moments:
        return Views((), (), (), (), ())
    through = plan.moments[-1]
    slices, tests = _sliced(units, question, primary, through)
    return Views(
        slices, tests, _by_age(units, question, primary), _funnel(units, question, through), _curves(units, question)
    )


# --- parts of the shoppers ---


def _sliced(
    units: Units, question: Question, primary: Metric, through: Millis
) -> tuple[tuple[Slice, ...], tuple[Heterogeneity, ...]]:
    slices: list[Slice] = []
    tests: list[Heterogeneity] = []
    for dimension in dimensions(question, primary):
        by_arm = grouped(units.moments(primary.name, by=dimension, through=through))
        control, *treated = question.arms
        for arm in treated:
            found: dict[str, Difference] = {}
            for group in _largest(by_arm.get(control, {}), by_arm.get(arm, {})):
                try:
                    found[group] = compared(primary, {"": by_arm[control][group]}, {"": by_arm[arm][group]})
                except NoAnswer:
                    continue
            if len(found) < 2:
                continue  # one part is everybody
            slices.extend(_shrunk(primary, dimension, arm, found))
            chance = heterogeneity(list(found.values()))
            if chance is not None:
                tests.append(Heterogeneity(dimension, arm, chance))
    return tuple(slices), tuple(tests)


def dimensions(question: Question, primary: Metric) -> list[str]:
    """What the primary effect is broken down by; nothing where a metric's values are not sums of units."""
    segments = (f"segment:{name}" for name in question.segments)
    return [] if primary.kind in {"quantile", "funnel"} else [*DIMENSIONS, *segments]


def _largest(control: Mapping[str, object], arm: Mapping[str, object]) -> list[str]:
    return [group for group in control if group in arm][:VALUES]


def _shrunk(primary: Metric, dimension: str, arm: str, found: Mapping[str, Difference]) -> Iterator[Slice]:
    drawn = shrink(list(found.values()), USUAL)
    for (group, each), part in zip(found.items(), drawn, strict=True):
        effect = effect_of(primary, arm, each, USUAL)
        yield Slice(dimension, group, arm, sum(each.units), effect, part.effect, part.interval)


# --- days since the exposure ---


def _by_age(units: Units, question: Question, primary: Metric) -> tuple[Point, ...]:
    """The effect on each day after the exposure by itself: one that wears off was new and no more."""
    days = min(AGES, primary.window // DAY)
    if primary.kind in {"quantile", "funnel", "time"} or days < 2:
        return ()
    found = units.moments_by_age(primary.name, days)
    control, *treated = question.arms
    points = []
    for arm in treated:
        for day in range(days):
            try:
                each = compared(primary, {"": found[control, day]}, {"": found[arm, day]})
            except (NoAnswer, KeyError):
                continue
            points.append(Point(arm, day, each.absolute, interval(each, USUAL)))
    return tuple(points)


# --- the way through the checkout ---


def _funnel(units: Units, question: Question, through: Millis) -> tuple[Step, ...]:
    """The way through the checkout; a step that nobody ever takes is one that the shop does not report."""
    funnels = [metric for metric in question.metrics if metric.kind == "funnel"]
    if not funnels:
        return ()
    steps = next((each for each in funnels if each.name == CHECKOUT), funnels[0]).steps
    counts = units.funnel(steps, through=through)
    while missing := [number for number in range(1, len(steps)) if not any(each[number] for each in counts.values())]:
        steps = (*steps[: missing[0]], *steps[missing[0] + 1 :])
        counts = units.funnel(steps, through=through)
    return tuple(
        Step(arm, step, reached, counts[arm][0])
        for arm in question.arms
        if arm in counts
        for step, reached in zip(steps, counts[arm], strict=True)
    )


def _curves(units: Units, question: Question) -> tuple[Curve, ...]:
    horizon = question.design.window
    curves = []
    for arm, ends in units.completions(BINS).items():
        found = incidence(ends)
        times = tuple(int(time) for time in found.times)
        lost = time_lost(ends, horizon).value
        curves.append(Curve(arm, times, found.completed, found.abandoned, found.low, found.high, lost))
    return tuple(curves)


# --- how far it is ---


def outlook(units: Units, question: Question, primary: Metric, plan: Plan, now: Millis) -> Outlook:
    """The smallest effect that could be found by now, and what is left to the one wanted: from control alone."""
    design = question.design
    have = sum(each.units for each in units.arms() if each.arm in question.arms)
    enrolling = min(now, plan.started + design.days * DAY) - plan.started
    a_day = have / max(1.0, enrolling / DAY)
    wanted = design.detect / SHARES
    trial = _trial(question, max(1, plan.of))
    control = _control(units, question, primary, now)
    if control is None:
        return Outlook(None, wanted, None, a_day, None)
    needed = power.units_needed(control, wanted, trial)
    left = power.days_left(needed, have, a_day) if needed is not None and not plan.over else None
    smallest = power.detectable(control, have, trial)
    return Outlook(smallest, wanted, needed, a_day, left, tuple(_notes(control, have, trial, design, left)))


def prospect(units: Units, question: Question, primary: Metric, now: Millis) -> Outlook:
    """The same before the experiment begins, from everybody who lately reached its placement."""
    design, first = question.design, units.started()
    wanted = design.detect / SHARES
    if first is None:
        nobody = f"Nobody has reached {question.placement} lately, so nothing says how long it will take."
        return Outlook(None, wanted, None, 0.0, None, (Problem("prospect", nobody),))
    a_day = sum(each.units for each in units.arms()) / max(1.0, (now - first) / DAY) * question.traffic / SHARES
    trial = _trial(question, max(1, design.looks))
    control = _control(units, question, primary, now)
    if control is None:
        unknown = f"{a_day:,.0f} units a day reach {question.placement}; of what they earn too little is known yet."
        return Outlook(None, wanted, None, a_day, None, (Problem("prospect", unknown),))
    needed = power.units_needed(control, wanted, trial)
    left = power.days_left(needed, 0, a_day) if needed is not None else None
    planned = round(a_day * design.days)
    basis = Problem(
        "prospect",
        f"Judged by everybody who lately reached {question.placement}; it may be for fewer, and take longer.",
    )
    notes = (basis, *_notes(control, planned, trial, design, left))
    return Outlook(power.detectable(control, planned, trial), wanted, needed, a_day, left, notes)


def _control(units: Units, question: Question, primary: Metric, now: Millis) -> power.Baseline | None:
    """What control says of the metric by now; ``None`` where that is too little."""
    moments = units.moments(primary.name, through=now)
    try:
        return power.baseline(moments[next(iter(question.arms)), ""])
    except (NoAnswer, KeyError):
        return None


def _notes(
    control: power.Baseline, have: int, trial: power.Trial, design: DesignDecl, left: float | None
) -> Iterator[Problem]:
    """What else would help where the experiment is too small for what it is to find."""
    wanted = design.detect / SHARES
    alone, together = power.detectable(control, have, trial), power.pooled(control, have, trial, TOGETHER)
    if alone is not None and together is not None and alone > wanted:
        yield Problem(
            "pooling",
            f"{TOGETHER} experiments such as this one, read together, would find an average effect of "
            f"{relative(together)} where this one alone finds {relative(alone)}.",
        )
    if left is not None and left > design.days:
        yield Problem(
            "underpowered",
            f"At this traffic it takes {left:,.0f} days to find {relative(wanted)}, and {design.days} are planned:"
            " plan longer, give it more traffic, or look for a larger effect.",
        )


def _trial(question: Question, looks: int) -> power.Trial:
    design = question.design
    control, *treated = question.arms.values()
    whole = sum(question.arms.values())
    return power.Trial(
        alpha=design.alpha / SHARES / len(treated),
        power=design.power / SHARES,
        method=design.method,
        looks=looks,
        control=control / whole,
        arm=max(treated) / whole,
    )
