"""Quantiles of a metric compared between arms, from three of each arm's values in order."""

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from scipy.stats import binom, norm

from cashwrap.analysis.statistics.compare import Difference, NoAnswer, relative_to


class Ranks(NamedTuple):
    """Places, from 1, in an arm's values sorted upwards: of the quantile, and of its confidence interval's ends."""

    low: int
    value: int
    high: int


class Quantile(Struct, frozen=True):
    """One arm's values at ``ranks(n, q)``: ``n`` is how many units have a value, ``q`` the quantile asked for."""

    n: int
    q: float
    value: float
    low: float
    high: float


def ranks(n: int, q: float) -> Ranks:
    """Which of ``n`` values in order the caller must ask for, to compare quantile ``q`` (0 < q < 1).

    The quantile is the smallest value with at least ``q`` of all at or below it. Between the ends it lies in at least
    95 % of samples whatever the distribution: David and Nagaraja (2003), "Order Statistics", sec. 7.1.

    Raises ``NoAnswer`` (``empty_arm``, ``too_few_units``) where an end would lie outside.
    """
    if not n:
        raise NoAnswer("An arm has no units yet: wait, or check that it gets traffic.", code="empty_arm")
    low, high = int(binom.ppf(0.025, n, q)), int(binom.ppf(0.975, n, q)) + 1
    if low < 1 or high > n:
        raise NoAnswer("Too few units on one side of the quantile: wait for more.", code="too_few_units")
    return Ranks(low, max(1, ceil(n * q - 1e-9)), high)


def error(arm: Quantile) -> float:
    """The standard error of an arm's quantile: the width of its interval over the normal one's that covers as much.

    Price and Bonett (2001), "Estimating the variance of the sample median", doi:10.1080/00949650108812071, for any
    quantile; Deng, Knoblich and Lu (2018), sec. 4, doi:10.1145/3219819.3219919, for its use in experiments. Units are
    independent; a quantile over events of which one unit has many would need more.
    """
    low, _, high = ranks(arm.n, arm.q)
    covered = binom.cdf(high - 1, arm.n, arm.q) - binom.cdf(low - 1, arm.n, arm.q)
    return (arm.high - arm.low) / float(2 * norm.ppf((1 + covered) / 2))


def difference_of_quantiles(control: Quantile, treatment: Quantile) -> Difference:
    """Treatment's quantile against control's; the relative one by the delta method.

    Raises ``NoAnswer``; ``zero_variance`` where an arm's interval has no width, since too many values are the same.
    """
    errors = [error(arm) for arm in (control, treatment)]
    if min(errors) <= 0:
        raise NoAnswer("Too many units have the very value of the quantile: ask for another.", code="zero_variance")
    cov = np.diag(np.square(errors))
    relative, relative_error = relative_to(control.value, treatment.value, cov) or (None, None)
    return Difference(
        control=control.value,
        treatment=treatment.value,
        absolute=treatment.value - control.value,
        error=sqrt(float(cov.trace())),
        relative=relative,
        relative_error=relative_error,
        units=(control.n, treatment.n),
        cov=tuple(tuple(map(float, row)) for row in cov),
    )
