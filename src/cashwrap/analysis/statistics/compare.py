"""Two arms compared on one metric: difference, relative difference and their errors, from sufficient statistics.

A ratio is compared through its linearised unit, (numerator - ratio x denominator) / mean denominator, whose mean varies
as the ratio does: the delta method, Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics", sec.
2.2, doi:10.1145/3219819.3219919. A plain mean is the ratio whose denominator is always 1.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from scipy.linalg import pinvh
from scipy.stats import norm, t

from cashwrap.analysis.results import Interval
from cashwrap.analysis.statistics.moments import Array, Matrix, Moments, pooled
from cashwrap.errors import CashwrapError

SURE = 3.0
"""How many of its own errors a value must be away from zero before anything is divided by it."""
UNITS_A_COVARIATE = 10
"""With fewer units of the smaller arm for each covariate, none is used: they would fit noise."""
NOISE = 1e-12
"""What is smaller than this part of what it was worked out from is rounding, and counts as zero."""


class NoAnswer(CashwrapError):
    """Nothing can be said about this comparison; the report puts a sentence in the number's place.

    ``empty_arm``, ``too_few_units``, ``zero_denominator``, ``zero_variance``.
    """

    code = "no_answer"


class Difference(Struct, frozen=True):
    """What treatment does to a metric, against control.

    ``control`` and ``treatment`` are the arms' values as they would be if their covariates had the same means, so that
    ``absolute`` is their difference; ``error`` is its standard error and ``df`` its degrees of freedom (infinite where
    it is taken for normal). ``relative`` is of control's value without its sign, so that it points the way of
    ``absolute``; ``None`` where that value is not surely away from zero. ``removed`` is the share of the variance that
    covariates took away. ``units`` are control's and treatment's, ``cov`` the covariance of both values.
    """

    control: float
    treatment: float
    absolute: float
    error: float
    relative: float | None
    relative_error: float | None
    units: tuple[int, int]
    removed: float = 0.0
    df: float = float("inf")
    cov: Matrix | None = None


class _Arm(NamedTuple):
    """An arm with its metric linearised: ``cov`` is of (metric, covariates...), ``mean`` of the covariates."""

    n: int
    value: float
    mean: Array
    cov: Array


class _Side(NamedTuple):
    """An arm by epoch, and all of it together."""

    arms: list[_Arm]
    together: _Arm
    whole: Moments


class _Pair(NamedTuple):
    """Values of control and treatment with their covariance, and the difference's variance before covariates."""

    values: Array
    cov: Array
    plain: float
    df: float
    units: tuple[int, int]


def value(arm: Moments) -> float:
    """An arm's metric as it is, without covariates. Raises ``NoAnswer``."""
    _enough(arm, sure=0.0)
    return arm.mean[0] / arm.mean[1]


def compare(control: Moments, treatment: Moments) -> Difference:
    """Treatment against control, adjusted by whatever covariates stand behind numerator and denominator.

    The error is Welch's (1947, doi:10.1093/biomet/34.1-2.28), each arm with its own variance. Covariates are taken off
    with one slope for both arms, as in CUPED (Deng, Xu, Kohavi and Walker 2013, sec. 3, doi:10.1145/2433396.2433413)
    and analysis of covariance. It is the slope with the smallest error of the difference, which for arms of one size is
    theirs, and for others, unlike theirs, never costs precision: Lu and Liu (2024), "Tyranny-of-the-minority regression
    adjustment in randomized experiments", doi:10.1080/01621459.2024.2366043. Covariates that are constant, or say what
    others say already, change nothing.

    Raises ``NoAnswer``.
    """
    return stratified([(control, treatment)])


def stratified(pairs: Sequence[tuple[Moments, Moments]]) -> Difference:
    """The same over epochs in which units came to the arms in different shares: (control, treatment) of each.

    Each epoch is compared within, and counts with its share of the units: post-stratification, Miratrix, Sekhon and Yu
    (2013), sec. 2, doi:10.1111/j.1467-9868.2012.01048.x. Comparing the arms as wholes would blame treatment for when
    its units came (Simpson's paradox). A ratio's numerator and denominator are weighted each, so that an epoch with
    little to divide by does no harm. An epoch in which an arm has fewer than two units tells nothing and is left out.

    Raises ``NoAnswer``.
    """
    kept = [pair for pair in pairs if min(arm.n for arm in pair) >= 2]
    if not kept:
        full = all(any(pair[side].n for pair in pairs) for side in (0, 1))
        raise NoAnswer(
            "An arm has too few units: wait for more, or check that it gets traffic.",
            code="too_few_units" if full else "empty_arm",
        )
    units = [control.n + treatment.n for control, treatment in kept]
    shares = [count / sum(units) for count in units]
    sides = [_side(epochs, shares) for epochs in zip(*kept, strict=True)]
    return _difference([_pair(control, treatment) for control, treatment in zip(*_chance(sides), strict=True)], shares)


def interval(difference: Difference, critical: float) -> Interval:
    """The difference, give or take ``critical`` errors: a normal quantile, 1.96 for 95 % looked at once.

    It is turned into the quantile of Student's t at the same tail, as in Jennison and Turnbull (2000), "Group
    Sequential Methods", sec. 11.4.
    """
    return _around(difference.absolute, difference.error * _student(critical, difference.df))


def relative_interval(difference: Difference, critical: float) -> Interval | None:
    """All relative differences that ``critical`` errors do not speak against: Fieller (1954), JRSS B 16.

    Those r for which treatment - (1 + r) control may be none. Unlike the estimate give or take its error it knows that
    control's value is as uncertain as treatment's, lies as chance has it and not evenly around the estimate, and leaves
    none out exactly where ``interval`` does. ``None`` where control's value is not surely away from zero.
    """
    if difference.relative is None or difference.cov is None:
        return None
    square = _student(critical, difference.df) ** 2
    (own, common), (_, other) = difference.cov
    control, treatment = difference.control, difference.treatment
    width = control**2 - square * own
    if not width > 0:
        return None
    middle = control * treatment - square * common
    half = sqrt(max(0.0, middle**2 - width * (treatment**2 - square * other)))
    ends = ((middle - half) / width - 1, (middle + half) / width - 1)
    return Interval(*ends) if control > 0 else Interval(-ends[1], -ends[0])


def p_value(difference: Difference) -> float:
    """The chance of a difference at least this large, either way, if the arms were alike and looked at once."""
    return float(2 * t.sf(abs(difference.absolute) / difference.error, difference.df))


def relative_to(control: float, treatment: float, cov: Array) -> tuple[float, float] | None:
    """Relative difference and its error by the delta method (Deng, Knoblich and Lu, sec. 2.2), or ``None``.

    ``cov`` is the covariance of both values, of shape (2, 2).
    """
    if abs(control) <= SURE * sqrt(cov[0, 0]):
        return None
    gradient = np.array((-treatment / control, 1.0)) / abs(control)
    return (treatment - control) / abs(control), sqrt(float(gradient @ cov @ gradient))


def _enough(arm: Moments, sure: float = SURE) -> None:
    if not arm.n:
        raise NoAnswer("An arm has no units yet: wait, or check that it gets traffic.", code="empty_arm")
    if abs(arm.mean[1]) <= sure * sqrt(max(arm.cov[1][1], 0.0) / arm.n):
        raise NoAnswer("Too little in an arm to divide by: wait for more units.", code="zero_denominator")


def _side(epochs: Sequence[Moments], shares: Sequence[float]) -> _Side:
    """One arm over the epochs, linearised at its numerator and denominator over all of them.

    Where an epoch shows no variance of its own, it has that of all.
    """
    whole = pooled(epochs)
    _enough(whole)
    at = sum(
        (share * np.array(epoch.mean) for share, epoch in zip(shares, epochs, strict=True)), np.zeros(len(whole.mean))
    )
    together = _linearised(whole, at)
    arms = [_linearised(epoch, at) for epoch in epochs]
    return _Side([arm if arm.cov[0, 0] > 0 else arm._replace(cov=together.cov) for arm in arms], together, whole)


def _linearised(arm: Moments, at: Array) -> _Arm:
    mean, cov = np.array(arm.mean), np.array(arm.cov)
    ratio = at[0] / at[1]
    rows = np.delete(np.eye(len(mean)), 1, axis=0)
    rows[0, :2] = 1 / at[1], -ratio / at[1]
    linear = rows @ cov @ rows.T
    size = np.abs(rows) @ np.abs(cov) @ np.abs(rows.T)
    alike = np.diag(linear) <= NOISE * np.diag(size) + (NOISE * np.append(ratio, mean[2:])) ** 2
    linear[alike, :] = linear[:, alike] = 0.0
    return _Arm(arm.n, float(ratio + rows[0] @ mean), mean[2:], linear)


def _chance(sides: Sequence[_Side]) -> list[list[_Arm]]:
    """Both arms' epochs, each with a variance.

    Where an arm shows none (no failure yet, say), both take that of all units, as the score test does, which stays
    honest where that arm is much the smaller: Agresti (2013), "Categorical Data Analysis", sec. 3.2. Covariates are
    left out then.
    """
    alike = [side.together.cov[0, 0] == 0 for side in sides]
    if all(alike):
        raise NoAnswer(
            "All units of an arm have the same value, perhaps none at all: see that its events arrive.",
            code="zero_variance",
        )
    if not any(alike):
        return [side.arms for side in sides]
    everyone = pooled([side.whole for side in sides])
    shared = _linearised(everyone, np.array(everyone.mean)).cov[:1, :1]
    return [[arm._replace(mean=np.zeros(0), cov=shared) for arm in side.arms] for side in sides]


def _pair(control: _Arm, treatment: _Arm) -> _Pair:
    return _adjusted((control, treatment), *_slope((control, treatment)))


def _slope(arms: tuple[_Arm, _Arm]) -> tuple[Array, int, float]:
    """The common slope on the covariates, how many of these say something of their own, and how far apart their means
    are, squared, in errors of that."""
    spread = sum((arm.cov / arm.n for arm in arms), np.zeros_like(arms[0].cov))
    scale = np.sqrt(np.diag(spread)[1:])
    scale[scale == 0] = np.inf
    none = np.zeros_like(scale), 0, 0.0
    if not np.isfinite(scale).any():
        return none
    inverse, rank = pinvh(spread[1:, 1:] / np.outer(scale, scale), rtol=1e-9, return_rank=True)
    if min(arm.n for arm in arms) < UNITS_A_COVARIATE * rank:
        return none
    apart = (arms[1].mean - arms[0].mean) / scale
    return inverse @ (spread[1:, 0] / scale) / scale, int(rank), float(apart @ inverse @ apart)


def _adjusted(arms: tuple[_Arm, _Arm], slope: Array, rank: int, distance: float) -> _Pair:
    """Both values at the covariates' mean over all units, each unit's part in them summed up.

    Estimating the slope costs a degree of freedom for each covariate and widens the error by how far apart the arms'
    covariates happen to be, as in a regression (Cochran 1957, "Analysis of covariance", doi:10.2307/2527916).
    """
    total = arms[0].n + arms[1].n
    centre = (arms[0].mean * arms[0].n + arms[1].mean * arms[1].n) / total
    values = np.array([arm.value - slope @ (arm.mean - centre) for arm in arms])
    cov = np.zeros((2, 2))
    parts = []
    for index, arm in enumerate(arms):
        own = np.eye(2)[index]
        influence = np.vstack((own, np.outer(slope, arm.n / total - own)))
        share = influence.T @ arm.cov @ influence / arm.n
        cov += share
        parts.append(_spread(share))
    plain = sum(arm.cov[0, 0] / arm.n for arm in arms)
    if sum(parts) <= NOISE * plain:
        raise NoAnswer("Covariates explain the metric entirely: one is measured after exposure.", code="zero_variance")
    df = sum(parts) ** 2 / sum(part**2 / (arm.n - 1) for part, arm in zip(parts, arms, strict=True))
    cov *= df / (df - rank) * (1 + distance / df)
    return _Pair(values, cov, float(plain), float(df - rank), (arms[0].n, arms[1].n))


def _difference(pairs: Sequence[_Pair], shares: Sequence[float]) -> Difference:
    """All pairs by their shares; degrees of freedom after Satterthwaite (1946), doi:10.2307/3002019."""
    weighed = list(zip(shares, pairs, strict=True))
    values = sum((share * pair.values for share, pair in weighed), np.zeros(2))
    cov = sum((share**2 * pair.cov for share, pair in weighed), np.zeros((2, 2)))
    plain = sum(share**2 * pair.plain for share, pair in weighed)
    parts = [share**2 * _spread(pair.cov) for share, pair in weighed]
    control, treatment = map(float, values)
    relative, relative_error = relative_to(control, treatment, cov) or (None, None)
    return Difference(
        control=control,
        treatment=treatment,
        absolute=treatment - control,
        error=sqrt(_spread(cov)),
        relative=relative,
        relative_error=relative_error,
        units=(sum(pair.units[0] for pair in pairs), sum(pair.units[1] for pair in pairs)),
        removed=max(0.0, 1 - _spread(cov) / plain),
        df=sum(parts) ** 2 / sum(part**2 / pair.df for part, pair in zip(parts, pairs, strict=True)),
        cov=tuple(tuple(map(float, row)) for row in cov),
    )


def _spread(cov: Array) -> float:
    """The variance of treatment less control."""
    return float(cov[0, 0] + cov[1, 1] - cov[0, 1] - cov[1, 0])


def _student(critical: float, df: float) -> float:
    tail = float(norm.sf(critical))
    # Beyond 37 errors the tail is no longer a number.
    return float(t.isf(tail, df)) if tail > 0 else critical


def _around(centre: float, half: float) -> Interval:
    return Interval(centre - half, centre + half)
