"""How long an experiment has to run: power, units, the smallest effect that could be found, and what would help.

All from the shop's own control arm. Effects are relative to its value. The variance of a treated arm is taken to grow
with its value, as it does where more shoppers buy: with control's alone, a large effect gets less power than told.
"""

import math
from typing import NamedTuple

from scipy.special import ndtri

from cashwrap.analysis.statistics.compare import compare
from cashwrap.analysis.statistics.moments import Moments
from cashwrap.analysis.statistics.sequential import boundaries, crossing, inflation, sequence_critical
from cashwrap.declarations import Method

_ROUNDS = 100


class Baseline(NamedTuple):
    """The control's value, and the variance of one unit around it that covariates leave."""

    value: float
    variance: float


class Trial(NamedTuple):
    """How two arms are going to be compared. ``control`` and ``arm`` are their shares of the experiment's units."""

    alpha: float = 0.05
    power: float = 0.8
    method: Method = "group_sequential"
    looks: int = 1
    control: float = 0.5
    arm: float = 0.5

    def spread(self, baseline: Baseline, effect: float) -> float:
        """The variance of the difference, times the experiment's units, at a relative effect."""
        return baseline.variance * (1 / self.control + (1 + abs(effect)) / self.arm)


def baseline(control: Moments) -> Baseline:
    """What a control arm says about the metric: its error against an arm just like it. Raises ``NoAnswer``."""
    same = compare(control, control)
    return Baseline(same.control, same.error**2 * control.n / 2)


def detectable(baseline: Baseline, units: float, trial: Trial) -> float | None:
    """The smallest relative effect that ``units`` of the whole experiment find with the trial's power.

    Jennison and Turnbull (2000), sections 1.3 and 2.3: (z of the error + z of the power) standard errors, times the
    root of the design's inflation. ``None`` where the control's value is 0, or before a statement is possible.
    """
    if not baseline.value or units <= 0:
        return None
    reach = _reach(trial, units)
    if not math.isfinite(reach):
        return None
    each = (
        reach**2 * baseline.variance / (units * baseline.value**2)
    )  # effect² = each / control + each (1 + effect) / arm
    both = each * (1 / trial.control + 1 / trial.arm)
    return (each / trial.arm + math.sqrt((each / trial.arm) ** 2 + 4 * both)) / 2


def units_needed(baseline: Baseline, effect: float, trial: Trial) -> int | None:
    """The units of the whole experiment, all arms together, that find a relative ``effect``.

    For an always-valid design it is the number at which its power is reached at that moment alone; as it may end at any
    moment before, the power is a little more. ``None`` where the effect or the control's value is 0.
    """
    if not baseline.value or not effect:
        return None
    unit = trial.spread(baseline, effect) / (effect * baseline.value) ** 2
    units = _reach(trial, math.inf) ** 2 * unit
    for _ in range(_ROUNDS):
        following = _reach(trial, max(units, _FEWEST)) ** 2 * unit
        if abs(following - units) < 0.5:
            break
        units = following
    return math.ceil(units)


def power_of(baseline: Baseline, effect: float, units: float, trial: Trial) -> float:
    """The chance that an experiment of so many ``units`` finds a relative ``effect``, at one of its looks."""
    drift = abs(effect * baseline.value) / math.sqrt(trial.spread(baseline, effect) / units)
    if trial.method == "group_sequential":
        times = [(look + 1) / trial.looks for look in range(trial.looks)]
        return crossing(boundaries(times, times, trial.alpha), times, drift)
    return crossing([_critical(trial, units)], [1.0], drift)


def days_left(needed: float, units: float, units_a_day: float, consent: float = 1.0) -> float | None:
    """Days until there are enough units, at this traffic; 0 where there are, ``None`` where none come.

    ``consent`` is the share of the traffic that may be measured: 1 where ``units_a_day`` counts only those.
    """
    if needed <= units:
        return 0.0
    arriving = units_a_day * consent
    return (needed - units) / arriving if arriving > 0 else None


def pooled(
    baseline: Baseline, units: float, trial: Trial, experiences: int, heterogeneity: float = 0.0
) -> float | None:
    """The smallest average relative effect found by ``experiences`` experiments of ``units`` each, read as one.

    With effects all alike it is smaller by the root of their number. ``heterogeneity`` is the standard deviation of
    the true effects among them, which more units of the same experiments do not reduce: DerSimonian and Laird (1986),
    Controlled Clinical Trials 7. What is found then holds for experiences such as these on average, not for each.
    """
    alone = detectable(baseline, units, trial)
    if alone is None:
        return None
    reach = _reach(trial, units * experiences)
    return reach * math.hypot(alone / _reach(trial, units), heterogeneity) / math.sqrt(experiences)


_FEWEST = 1_000
"""Units at which the iteration for an always-valid design begins at the least: below lies its burn-in."""


def _critical(trial: Trial, units: float) -> float:
    if trial.method == "always_valid":
        return sequence_critical(int(min(units, 2**53)), trial.alpha)
    return float(ndtri(1 - trial.alpha / 2))


def _reach(trial: Trial, units: float) -> float:
    """How many standard errors an effect has to be away from nothing to be found with the power of the trial."""
    reach = _critical(trial, units) + float(ndtri(trial.power))
    if trial.method == "group_sequential":
        reach *= math.sqrt(inflation(trial.looks, trial.alpha, trial.power))
    return reach
