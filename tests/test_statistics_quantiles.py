"""Quantiles between arms: ranks that cover as they say, and errors as large as the estimate really varies."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from cashwrap.analysis.statistics.compare import Difference, NoAnswer, p_value, relative_interval
from cashwrap.analysis.statistics.moments import Array
from cashwrap.analysis.statistics.quantiles import Quantile, Ranks, difference_of_quantiles, error, ranks


def asked(values: Array, q: float) -> Quantile:
    """What SQL delivers: three values in order."""
    low, at, high = ranks(len(values), q)
    values = np.sort(values)
    return Quantile(n=len(values), q=q, value=values[at - 1], low=values[low - 1], high=values[high - 1])


def check_ranks(ranks: Callable[[int, float], Ranks], n: int, q: float) -> None:
    low, at, high = ranks(n, q)
    assert 1 <= low <= at <= high <= n
    # The quantile lies at or above the low value unless fewer than `low` values are below it, and so on.
    assert binom.cdf(high - 1, n, q) - binom.cdf(low - 1, n, q) >= 0.95 - 1e-9
    assert binom.cdf(high - 2, n, q) - binom.cdf(low, n, q) < 0.95, "and they are as close as may be"
    # The smallest value with at least q of all at or below it.
    assert n * q - 1e-6 <= at < n * q + 1 + 1e-6


@given(n=st.integers(1, 10**7), q=st.sampled_from([0.05, 0.25, 0.5, 0.9, 0.95, 0.99]))
def test_between_the_ranks_lies_the_quantile_in_95_of_100_samples(n: int, q: float) -> None:
    assume(n * min(q, 1 - q) > 6)
    check_ranks(ranks, n, q)


def test_the_check_sees_ranks_one_too_far_inside() -> None:
    def planted(n: int, q: float) -> Ranks:
        low, at, high = ranks(n, q)
        return Ranks(low + 1, at, high - 1)

    with pytest.raises(AssertionError):
        check_ranks(planted, 1_000, 0.5)


def check_error(error: Callable[[Quantile], float]) -> None:
    """Against how much the quantile varies over many samples of a checkout's skewed times."""
    rng = np.random.default_rng(7)
    for q in (0.5, 0.9, 0.95):
        drawn = [asked(rng.lognormal(11, 0.7, 2_000), q) for _ in range(300)]
        truth = np.std([arm.value for arm in drawn])
        assert np.mean([error(arm) for arm in drawn]) == pytest.approx(truth, rel=0.12)


def test_the_error_is_how_much_a_quantile_varies() -> None:
    check_error(error)


def test_the_check_sees_the_error_of_a_mean() -> None:
    with pytest.raises(AssertionError):
        check_error(lambda arm: (arm.high - arm.low) / np.sqrt(arm.n))


def test_intervals_cover_and_find_nothing_where_nothing_is() -> None:
    rng = np.random.default_rng(8)
    ps = [
        p_value(difference_of_quantiles(asked(rng.gamma(2, 50, 900), 0.9), asked(rng.gamma(2, 50, 300), 0.9)))
        for _ in range(500)
    ]
    assert binom.ppf(0.001, 500, 0.05) <= sum(p < 0.05 for p in ps) <= binom.ppf(0.999, 500, 0.05)


def test_a_difference_of_quantiles() -> None:
    rng = np.random.default_rng(9)
    control, treatment = asked(rng.lognormal(11, 0.7, 4_000), 0.5), asked(rng.lognormal(10.5, 0.7, 3_000), 0.5)
    found = difference_of_quantiles(control, treatment)
    assert isinstance(found, Difference)
    assert found.absolute == treatment.value - control.value < 0
    assert found.error == pytest.approx(np.hypot(error(control), error(treatment)))
    assert found.relative == pytest.approx(found.absolute / control.value)
    assert found.units == (4_000, 3_000)
    interval = relative_interval(found, 1.96)
    assert interval is not None
    assert interval.low < np.exp(-0.5) - 1 < interval.high


@pytest.mark.parametrize(
    ("n", "q", "code"),
    [(0, 0.5, "empty_arm"), (1, 0.5, "too_few_units"), (5, 0.5, "too_few_units"), (60, 0.99, "too_few_units")],
)
def test_too_few_are_told(n: int, q: float, code: str) -> None:
    with pytest.raises(NoAnswer) as found:
        ranks(n, q)
    assert found.value.code == code


def test_a_quantile_that_most_units_share_is_told() -> None:
    bought = np.array([0.0] * 970 + [50.0] * 30)
    with pytest.raises(NoAnswer) as found:
        difference_of_quantiles(asked(bought, 0.5), asked(np.arange(1_000.0), 0.5))
    assert found.value.code == "zero_variance"
