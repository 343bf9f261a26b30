"""Guardrails: metrics that an experiment may not make worse by more than a margin, whatever else it gains."""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Literal, NamedTuple

from cashwrap.analysis.results import Result, Standing
from cashwrap.analysis.statistics.compare import Difference, interval, relative_interval
from cashwrap.declarations import Better


class Harm(NamedTuple):
    """Why an experiment's traffic may not grow: this arm, by this metric."""

    metric: str
    arm: str
    by: Literal["guardrail", "primary"]


def standing(found: Difference, margin: float, better: Better, critical: float) -> Standing:
    """Whether a metric is shown not to be worse by ``margin``, a share of control's value, or shown to be.

    It *holds* where the whole interval of its relative effect lies on the good side of the margin, non-inferiority as
    of Piaggio et al. (2012), JAMA 308; it is *broken* as soon as the whole interval lies beyond, else *open*. With a
    design's ``critical`` z either is wrong with half of its alpha at most, over all looks. Where control's value is too
    close to zero for a relative effect, the difference is held against the margin itself.
    """
    bounds = relative_interval(found, critical)
    if bounds is None:
        return _undivided(found, margin, better, critical)
    worst, best = bounds if better == "higher" else (-bounds.high, -bounds.low)
    if worst > -margin:
        return "holds"
    return "broken" if best < -margin else "open"


def _undivided(found: Difference, margin: float, better: Better, critical: float) -> Standing:
    """By how much worse treatment is than the margin allows, worse - margin · |control|, against its own error."""
    if found.cov is None:
        return "open"
    way = 1 if better == "lower" else -1
    allowed = margin if found.control >= 0 else -margin
    (own, common), (_, other) = found.cov
    error = sqrt((way + allowed) ** 2 * own - 2 * (way + allowed) * way * common + other)
    beyond = way * found.absolute - allowed * found.control
    reach = error / found.error * (interval(found, critical).high - found.absolute)
    if abs(beyond) <= reach:
        return "open"
    return "broken" if beyond > 0 else "holds"


def harms(results: Sequence[Result]) -> tuple[Harm, ...]:
    """Everything that stops a ramp and rolls it back: broken guardrails, and a primary metric shown to be worse."""
    return tuple(harm for result in results for harm in _harms(result))


def _harms(result: Result) -> Iterator[Harm]:
    for effect in result.effects:
        worse = effect.absolute < 0 if result.better == "higher" else effect.absolute > 0
        if result.role == "guardrail" and effect.standing == "broken":
            yield Harm(result.metric, effect.arm, "guardrail")
        elif result.role == "primary" and effect.significant and worse:
            yield Harm(result.metric, effect.arm, "primary")
