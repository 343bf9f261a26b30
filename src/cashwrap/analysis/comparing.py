"""One metric compared between the arms, as far as there is enough to tell. What is not enough is a ``Problem``."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from cashwrap.analysis.question import Metric, Question
from cashwrap.analysis.results import Effect, Problem, Result
from cashwrap.analysis.statistics.compare import (
    Difference,
    NoAnswer,
    interval,
    p_value,
    relative_interval,
    stratified,
    value,
)
from cashwrap.analysis.statistics.guardrails import standing
from cashwrap.analysis.statistics.moments import Moments, pooled
from cashwrap.analysis.statistics.multiple import false_discovery
from cashwrap.analysis.statistics.posterior import posterior
from cashwrap.analysis.statistics.quantiles import Quantile, difference_of_quantiles
from cashwrap.analysis.units import Units
from cashwrap.model import Millis

Found = Difference | Problem
ByArm = Mapping[str, Mapping[str, Moments]]
"""Moments by arm and by what they are split by."""

FEWEST_UNITS = 100
"""In each arm, before an effect is told of: below, a normal approximation of skewed money is far off."""
FEWEST_EVENTS = 25
"""Of a proportion, in both arms together."""


def differences(units: Units, question: Question, metric: Metric, through: Millis) -> dict[str, Found]:
    """Each arm's effect on a metric against the control, over the units whose time was over at ``through``."""
    return _measured(units, metric, through).differences(question)


class _Measured(NamedTuple):
    """A metric's sufficient statistics by arm: moments by epoch, or a quantile's values in order."""

    metric: Metric
    moments: ByArm
    quantiles: Mapping[str, Quantile]

    def differences(self, question: Question) -> dict[str, Found]:
        if self.metric.kind == "quantile":
            found = self.quantiles
            return _each(question, lambda control, arm: difference_of_quantiles(found[control], found[arm]))
        by_arm = self.moments
        return _each(question, lambda control, arm: compared(self.metric, by_arm[control], by_arm[arm]))

    def levels(self) -> tuple[dict[str, float], dict[str, int]]:
        """Each arm's own value, as it is, and of how many units."""
        values = {arm: each.value for arm, each in self.quantiles.items()}
        counts = {arm: each.n for arm, each in self.quantiles.items()}
        for arm, epochs in self.moments.items():
            whole = pooled(list(epochs.values()))
            counts[arm] = whole.n
            with suppress(NoAnswer):
                values[arm] = value(whole)
        return values, counts


def _measured(units: Units, metric: Metric, through: Millis) -> _Measured:
    if metric.kind == "quantile":
        return _Measured(metric, {}, units.quantile(metric.name, through=through))
    return _Measured(metric, grouped(units.moments(metric.name, by="epoch", through=through)), {})


def compared(metric: Metric, control: Mapping[str, Moments], arm: Mapping[str, Moments]) -> Difference:
    """One arm against the control, each allocation epoch within itself. Raises ``NoAnswer``."""
    both = [epoch for epoch in control if epoch in arm and min(control[epoch].n, arm[epoch].n) > 1]
    pairs = [(control[epoch], arm[epoch]) for epoch in both]
    sizes = [sum(each.n for each in side) for side in zip(*pairs, strict=True)] or [0, 0]
    if min(sizes) < FEWEST_UNITS:
        message = f"Only {min(sizes)} units of one arm have had their time; {FEWEST_UNITS} are the least to tell by."
        raise NoAnswer(message, code="too_few_units")
    if metric.kind == "proportion":
        events = sum(each.n * each.mean[0] for pair in pairs for each in pair)
        if events < FEWEST_EVENTS:
            message = f"It happened to only {events:.0f} units of both arms; {FEWEST_EVENTS} are the least to tell by."
            raise NoAnswer(message, code="too_few_events")
    return stratified(pairs)


def grouped(found: Mapping[tuple[str, str], Moments]) -> dict[str, dict[str, Moments]]:
    """Moments by arm, then by group."""
    by_arm: dict[str, dict[str, Moments]] = {}
    for (arm, group), each in found.items():
        by_arm.setdefault(arm, {})[group] = each
    return by_arm


# --- at one look ---


def at_look(units: Units, question: Question, metric: Metric, through: Millis, critical: Mapping[str, float]) -> Result:
    """A metric over all arms, with the intervals that each arm's ``critical`` z makes."""
    measured = _measured(units, metric, through)
    found = measured.differences(question)
    problems = [each for each in found.values() if isinstance(each, Problem)]
    effects = tuple(
        effect_of(metric, arm, each, critical[arm]) for arm, each in found.items() if isinstance(each, Difference)
    )
    values, counts = measured.levels()
    result = told(metric, problem=problems[0] if problems and not effects else None)
    return replace(result, values=values, units=counts, effects=effects, caps=units.caps(metric.name, through=through))


def told(metric: Metric, problem: Problem | None = None) -> Result:
    """A metric's result before anything is known of it."""
    return Result(
        metric=metric.name,
        label=metric.label,
        kind=metric.kind,
        role=metric.role,
        worth=metric.worth,
        better=metric.better,
        margin=metric.margin,
        problem=problem,
    )


def discovered(results: Sequence[Result], paid: Mapping[str, Callable[[Effect], float]], alpha: float) -> list[Result]:
    """Results with the secondary ones under false-discovery control, all their arms and metrics together.

    ``paid`` gives by arm the p value of an effect that holds over all looks.
    """
    tested = [effect for result in results if result.role == "secondary" for effect in result.effects]
    rates = iter(false_discovery([paid[effect.arm](effect) for effect in tested]))
    return [
        replace(result, effects=tuple(_found(effect, next(rates), alpha) for effect in result.effects))
        if result.role == "secondary"
        else result
        for result in results
    ]


def _found(effect: Effect, rate: float | None, alpha: float) -> Effect:
    return replace(effect, q=rate, significant=rate is not None and rate <= alpha)


def effect_of(metric: Metric, arm: str, found: Difference, critical: float) -> Effect:
    """A difference as a report tells it, with the interval that ``critical`` makes."""
    chances = posterior(found, metric.better)
    effect = Effect(
        arm=arm,
        absolute=found.absolute,
        interval=interval(found, critical),
        error=found.error,
        relative=found.relative,
        relative_interval=relative_interval(found, critical),
        p=p_value(found),
        chance_better=chances.better,
        expected_loss=chances.expected_loss,
        removed=found.removed,
    )
    if metric.role != "guardrail" or metric.margin is None:
        return effect
    return replace(effect, standing=standing(found, metric.margin, metric.better, critical))


def _each(question: Question, find: Callable[[str, str], Difference]) -> dict[str, Found]:
    control, *treated = question.arms
    found: dict[str, Found] = {}
    for arm in treated:
        try:
            found[arm] = find(control, arm)
        except NoAnswer as none:
            found[arm] = Problem(none.code, none.message)
        except KeyError:
            message = f"Nobody has been seen in {control!r} or in {arm!r}, so there is nothing to compare."
            found[arm] = Problem("one_arm", message)
    return found
