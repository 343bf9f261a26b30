"""Time to completion where shoppers may also abandon: two ends that compete.

Who abandoned will not complete later. To treat them as censored, as a Kaplan-Meier curve does, is to say that they
would have completed like the others had one only waited; an arm that drives the slow away then looks faster. Here an
abandoner has not completed at any time, and the time lost to them runs up to the horizon.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from cashwrap.analysis.statistics.moments import Array

USUAL = 1.959963984540054
"""The z of a 95 % interval."""


class Ends(NamedTuple):
    """How an arm's ``n`` units ended, by ``times`` since their exposure, ascending: completed, abandoned, or no longer
    watched (``censored``). Whoever is in none of the counts was still on the way when watching ended."""

    n: int
    times: Sequence[float]
    completed: Sequence[int]
    abandoned: Sequence[int]
    censored: Sequence[int]


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    error: float


class Incidence(NamedTuple):
    """Cumulative incidence by time, with the pointwise interval of ``completed``."""

    times: tuple[float, ...]
    completed: tuple[float, ...]
    abandoned: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def incidence(ends: Ends, critical: float = USUAL) -> Incidence:
    """The share that has completed, and that has abandoned, by each time: Aalen and Johansen (1978), Scand. J. Stat. 5.

    The interval is the complementary log-log one, so that it stays within 0 and 1; where nobody or everybody has
    completed it is Clopper and Pearson's (1934), Biometrika 26, of those who were watched.
    """
    curve = _Curve(ends)
    low, high = _log_log(curve.completed, np.sqrt(curve.variance()), critical)
    _exact(curve, low, high, critical)
    columns = (curve.times, curve.completed, curve.abandoned, low, high)
    return Incidence(*(tuple(map(float, column)) for column in columns))


def completed_by(ends: Ends, horizon: float) -> Estimate:
    """The share that completes within the horizon, abandoners counted as not completing."""
    curve = _Curve(_until(ends, horizon))
    if not len(curve.times):
        return Estimate(0.0, 0.0)
    return Estimate(float(curve.completed[-1]), math.sqrt(curve.variance()[-1]))


def time_lost(ends: Ends, horizon: float) -> Estimate:
    """The mean time not completed within the horizon, in the unit of ``times``; abandoners lose all of it.

    The area above the cumulative incidence up to the horizon: Andersen (2013), Statistics in Medicine 32, for one of
    competing causes. The error is by the delta method on the discrete hazards; with nobody censored both are the mean
    of min(time, horizon) and its standard error.
    """
    curve = _Curve(_until(ends, horizon))
    until = np.append(curve.times, horizon)
    area = np.diff(until) * curve.completed
    after = area[::-1].cumsum()[::-1] - curve.completed * (horizon - curve.times)
    complete = curve.before * (horizon - curve.times) - after * curve.onward
    abandon = -after * curve.onward
    variance = curve.product((complete, abandon), (complete, abandon)).sum()
    return Estimate(float(horizon - area.sum()), math.sqrt(max(0.0, variance)))


def difference(control: Estimate, arm: Estimate) -> Estimate:
    """What the arm has more than the control; both are of different units, so their variances add."""
    return Estimate(arm.value - control.value, math.hypot(arm.error, control.error))


class _Curve:
    """Hazards and incidences at each time, and what variances are made of.

    ``before`` is the share still on the way just before a time, ``onward`` the factor 1 / (1 - hazard) by which a
    smaller hazard leaves more for later (0 where nobody is left for later). A functional's variance is the sum over
    times of its gradient's quadratic form in the multinomial covariance of that time's hazards, which Gaynor et al.
    (1993), J. Am. Stat. Assoc. 88, derive for the incidence.
    """

    def __init__(self, ends: Ends) -> None:
        self.times, complete, abandon, censored = (
            np.asarray(column, dtype=float) for column in (ends.times, ends.completed, ends.abandoned, ends.censored)
        )
        gone = np.cumsum(complete + abandon + censored)
        self.watched = np.maximum(ends.n - np.concatenate(([0.0], gone[:-1])), 0) if len(gone) else gone
        self.hazards = tuple(
            np.divide(count, self.watched, out=np.zeros_like(count), where=self.watched > 0)
            for count in (complete, abandon)
        )
        stay = 1 - self.hazards[0] - self.hazards[1]
        on_the_way = np.cumprod(stay)
        self.before = np.concatenate(([1.0], on_the_way[:-1])) if len(gone) else gone
        self.onward = np.divide(1.0, stay, out=np.zeros_like(stay), where=stay > _NOTHING)
        self.completed = np.cumsum(self.before * self.hazards[0])
        self.abandoned = np.cumsum(self.before * self.hazards[1])

    def product(self, one: tuple[Array, Array], other: tuple[Array, Array]) -> Array:
        """Of two gradients by the hazards of completing and abandoning, their covariance at each time."""
        (a, b), (c, d), (h, g) = one, other, self.hazards
        each = a * c * h + b * d * g - (a * h + b * g) * (c * h + d * g)
        return np.asarray(np.divide(each, self.watched, out=np.zeros_like(each), where=self.watched > 0))

    def variance(self) -> Array:
        """Of the share completed, at each time: quadratic in that share, so one pass over the times is enough."""
        later = self.completed * self.onward
        level, slope = (self.before + later, later), (self.onward, self.onward)
        constant = np.cumsum(self.product(level, level))
        linear = np.cumsum(self.product(level, slope))
        square = np.cumsum(self.product(slope, slope))
        share = self.completed
        return np.maximum(0.0, constant - 2 * share * linear + share**2 * square)


_NOTHING = 1e-12
"""A share that is nothing but rounding."""


def _until(ends: Ends, horizon: float) -> Ends:
    """What was seen within the horizon."""
    kept = int(np.searchsorted(np.asarray(ends.times, dtype=float), horizon, side="right"))
    return Ends(ends.n, ends.times[:kept], ends.completed[:kept], ends.abandoned[:kept], ends.censored[:kept])


def _log_log(share: Array, error: Array, critical: float) -> tuple[Array, Array]:
    inside = (share > 0) & (share < 1)
    safe = np.where(inside, share, 0.5)
    reach = np.exp(critical * error / (safe * np.abs(np.log(safe))))
    return np.where(inside, safe**reach, share), np.where(inside, safe ** (1 / reach), share)


def _exact(curve: _Curve, low: Array, high: Array, critical: float) -> None:
    """The outer ends where the share is 0 or 1 and its variance says nothing."""
    beyond = math.erfc(critical / math.sqrt(2)) / 2
    none, everybody = (curve.completed <= 0) & (curve.watched > 0), (curve.completed >= 1) & (curve.watched > 0)
    high[none] = beta.ppf(1 - beyond, 1, curve.watched[none])
    low[everybody] = beta.ppf(beyond, curve.watched[everybody], 1)
