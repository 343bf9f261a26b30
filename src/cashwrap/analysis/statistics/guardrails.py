"""Guardrails: metrics that an experiment may not make worse by more than a margin, whatever else it gains."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from cashwrap.analysis.results import Result, Standing
from cashwrap.analysis.statistics.compare import Difference, interval
from cashwrap.declarations import Better


class Harm(NamedTuple):
    """Why an experiment's traffic may not grow: this arm, by this metric."""

    metric: str
    arm: str
    by: Literal["guardrail", "primary"]


def standing(found: Difference, margin: float, better: Better, critical: float) -> Standing:
    """Whether a metric is shown not to be worse by ``margin``, a share of control's value, or shown to be.

    It *holds* where it is surely better than the margin, non-inferiority as of Piaggio et al. (2012), JAMA 308; it is
    *broken* as soon as it is surely worse, else *open*. With a design's ``critical`` z either is wrong with half of its
    alpha at most, over all looks. What is asked is whether treatment - (1 ± margin) · control is above 0, so that the
    margin is as uncertain as the value that it is a share of: Fieller (1954), JRSS B 16. The interval of the relative
    effect would say broken half as often again as it may, for metrics as rare as conversions.
    """
    if found.relative is None or found.cov is None:
        return "open"
    allowed = margin if better == "lower" else -margin
    times = 1 + allowed * math.copysign(1, found.control)
    gradient = np.array((-times, 1.0))
    error = math.sqrt(gradient @ np.array(found.cov) @ gradient)
    bounds = interval(replace(found, absolute=found.treatment - times * found.control, error=error), critical)
    worst, best = bounds if better == "higher" else (-bounds.high, -bounds.low)
    if worst > 0:
        return "holds"
    return "broken" if best < 0 else "open"


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
