"""Differences against naive oracles on the units themselves: scipy, least squares, the bootstrap."""

from collections.abc import Callable
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind
from statsmodels.regression.linear_model import OLS, WLS

from cashwrap.analysis.statistics.compare import (
    Difference,
    NoAnswer,
    compare,
    interval,
    p_value,
    relative_interval,
    stratified,
    value,
)
from cashwrap.analysis.statistics.moments import Array, Moments, measured, moments, pooled

Compare = Callable[[Moments, Moments], Difference]


def shop(rng: np.random.Generator, n: int, *, lift: float = 1.0) -> Array:
    """Units of a shop: profit in cents (3 % buy, skewed, some refunded below zero), orders, and two covariates."""
    cart = rng.gamma(2.0, 3_000.0, n)
    mobile = rng.random(n) < 0.6
    orders = rng.poisson(0.03 * lift * (1 + cart / 6_000) * (1.2 - 0.4 * mobile))
    profit = np.where(orders > 0, rng.lognormal(8.0, 0.8, n) * orders - (rng.random(n) < 0.1) * 6_000, 0.0)
    return np.column_stack((np.round(profit), orders, cart, mobile)).astype(float)


def means(units: Array, *covariates: int) -> Moments:
    """Moments of a plain mean of the first column."""
    return measured(np.column_stack((units[:, 0], np.ones(len(units)), units[:, list(covariates)])))


def bare(arm: Moments) -> Moments:
    """An arm without its covariates."""
    return moments(arm.n, np.array(arm.mean[:2]), np.array(arm.cov)[:2, :2])


def uncorrelated(arm: Moments) -> Moments:
    """Planted bug: an arm whose covariances were forgotten."""
    return moments(arm.n, np.array(arm.mean), np.diag(np.diag(arm.cov)))


def resampled(units: Array, rng: np.random.Generator, times: int) -> Array:
    """Column means of ``times`` bootstrap samples."""
    return rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=times) @ units / len(units)


# --- a plain mean ---


def check_welch(compare: Compare) -> None:
    rng = np.random.default_rng(5)
    control, treatment = shop(rng, 3_000), shop(rng, 400, lift=1.5)
    found = compare(means(control), means(treatment))
    wanted = ttest_ind(treatment[:, 0], control[:, 0], equal_var=False)
    assert found.absolute / found.error == pytest.approx(wanted.statistic, rel=1e-9)
    assert found.df == pytest.approx(wanted.df, rel=1e-9)
    assert p_value(found) == pytest.approx(wanted.pvalue, rel=1e-9)
    assert interval(found, 1.959963984540054) == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-9)
    assert found.units == (3_000, 400)


def test_a_mean_is_welchs_test() -> None:
    check_welch(compare)


def test_the_check_sees_a_common_variance() -> None:
    def common(control: Moments, treatment: Moments) -> Difference:
        both = control + treatment
        return compare(*(moments(arm.n, np.array(arm.mean), np.array(both.cov)) for arm in (control, treatment)))

    with pytest.raises(AssertionError):
        check_welch(common)


@settings(max_examples=30)
@given(scale=st.sampled_from([0.01, 1.0, 655.36]), offset=st.sampled_from([0.0, -1e6, 1e9]), seed=st.integers(0, 99))
def test_units_of_measure_do_not_matter(scale: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    control, treatment = shop(rng, 300, lift=3), shop(rng, 200, lift=3)
    before = compare(means(control, 2, 3), means(treatment, 2, 3))
    for arm in (control, treatment):
        arm[:, 0] = arm[:, 0] * scale + offset
        arm[:, 2] = arm[:, 2] * 1e6 + 1e9
    after = compare(means(control, 2, 3), means(treatment, 2, 3))
    assert after.absolute == pytest.approx(before.absolute * scale, rel=1e-6, abs=1e-6 * before.error * scale)
    assert after.error == pytest.approx(before.error * scale, rel=1e-6)
    assert p_value(after) == pytest.approx(p_value(before), rel=1e-5)


# --- a ratio ---


def check_ratio(compare: Compare) -> None:
    rng = np.random.default_rng(11)
    control, treatment = shop(rng, 2_000, lift=6)[:, :2], shop(rng, 1_000, lift=8)[:, :2]
    found = compare(measured(control), measured(treatment))
    drawn = [np.divide(*resampled(arm, rng, 3_000).T) for arm in (control, treatment)]
    assert found.absolute == pytest.approx(treatment.sum(0)[0] / treatment.sum(0)[1] - np.divide(*control.sum(0)))
    assert found.error == pytest.approx(np.std(drawn[1] - drawn[0]), rel=0.05)
    assert found.relative_error == pytest.approx(np.std(drawn[1] / drawn[0]), rel=0.05)


def test_a_ratios_errors_are_those_of_the_bootstrap() -> None:
    check_ratio(compare)


def test_the_check_sees_a_ratio_without_its_covariance() -> None:
    with pytest.raises(AssertionError):
        check_ratio(lambda control, treatment: compare(uncorrelated(control), uncorrelated(treatment)))


# --- covariates ---


def check_ancova(compare: Compare) -> None:
    """With arms of one size, one shape and one scatter the answer is that of ordinary least squares, exactly."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 2))
    y = 5 + x @ [2.0, -1.0] + rng.normal(size=60)
    control = np.column_stack((y, np.ones(60), x))
    treatment = np.column_stack((y + 0.7, np.ones(60), x + np.array((0.3, -0.2))))
    found = compare(measured(control), measured(treatment))
    both = np.vstack((control, treatment))
    design = np.column_stack((np.ones(120), np.repeat((0.0, 1.0), 60), both[:, 2:]))
    wanted = OLS(both[:, 0], design).fit()
    assert found.absolute == pytest.approx(wanted.params[1], rel=1e-9)
    assert found.error == pytest.approx(wanted.bse[1], rel=1e-9)
    assert p_value(found) == pytest.approx(wanted.pvalues[1], rel=1e-6)
    assert interval(found, 1.959963984540054) == pytest.approx(tuple(wanted.conf_int()[1]), rel=1e-6)


def test_covariates_are_analysis_of_covariance() -> None:
    check_ancova(compare)


def test_the_check_sees_covariates_left_out() -> None:
    with pytest.raises(AssertionError):
        check_ancova(lambda control, treatment: compare(bare(control), bare(treatment)))


def test_uneven_arms_are_least_squares_weighted_towards_the_smaller() -> None:
    rng = np.random.default_rng(8)
    control, treatment = shop(rng, 4_000, lift=5), shop(rng, 600, lift=8)
    found = compare(means(control, 2, 3), means(treatment, 2, 3))
    both = np.vstack((control, treatment))
    arm = np.repeat((0.0, 1.0), (4_000, 600))
    weights = np.repeat((1 / 4_000 / 3_999, 1 / 600 / 599), (4_000, 600))
    fit = WLS(both[:, 0], np.column_stack((np.ones(4_600), arm, both[:, 2:])), weights=weights).fit(cov_type="HC2")
    assert found.absolute == pytest.approx(fit.params[1], rel=1e-9)
    assert found.error == pytest.approx(fit.bse[1], rel=0.01)
    assert 0.0 < found.removed < 1.0


def test_covariates_never_cost_precision_where_a_common_slope_would() -> None:
    # The covariate matters in the large arm only, so that its slope there harms the small one.
    rng = np.random.default_rng(2)
    x = [rng.normal(size=n) for n in (9_000, 1_000)]
    y = [3 * x[0] + rng.normal(size=9_000), -1 * x[1] + rng.normal(size=1_000)]
    arms = [np.column_stack((each, np.ones(len(each)), covariate)) for each, covariate in zip(y, x, strict=True)]
    found = compare(*map(measured, arms))
    plain = compare(*(bare(measured(arm)) for arm in arms))
    assert found.error <= plain.error
    slope = 2.6  # planted: what least squares has, (0.9 * 3 - 0.1 * 1)
    planted = sqrt(sum(np.var(each - slope * covariate) / len(each) for each, covariate in zip(y, x, strict=True)))
    assert planted > 1.5 * plain.error


def check_adjusted_ratio(compare: Compare) -> None:
    """A ratio with covariates, and its relative difference: the bootstrap of the whole adjustment."""
    rng = np.random.default_rng(21)
    control, treatment = shop(rng, 1_500, lift=10), shop(rng, 1_000, lift=12)
    for arm in (control, treatment):
        arm[:, 0] = arm[:, 0] + 2 * arm[:, 2]
        arm[:, 1] += 1
    found = compare(measured(control), measured(treatment))
    drawn = np.array(
        [
            (again.absolute, again.relative)
            for again in (
                compare(*(measured(arm[rng.integers(0, len(arm), len(arm))]) for arm in (control, treatment)))
                for _ in range(800)
            )
        ]
    )
    assert found.removed > 0.2
    assert found.error == pytest.approx(drawn[:, 0].std(), rel=0.08)
    assert found.relative_error == pytest.approx(drawn[:, 1].std(), rel=0.08)


def test_an_adjusted_ratios_errors_are_those_of_the_bootstrap() -> None:
    check_adjusted_ratio(compare)


def test_a_large_relative_difference_knows_that_the_covariates_mean_is_of_a_sample() -> None:
    # The metric follows the covariate closely, so that nearly all there is to doubt is where both arms stand.
    rng = np.random.default_rng(22)
    x = [rng.exponential(size=n) for n in (600, 300)]
    y = [10 * x[0] + rng.normal(size=600), 10 + 10 * x[1] + rng.normal(size=300)]
    arms = [np.column_stack((each, np.ones(len(each)), covariate)) for each, covariate in zip(y, x, strict=True)]
    drawn = [
        compare(*(measured(arm[rng.integers(0, len(arm), len(arm))]) for arm in arms)).relative for _ in range(600)
    ]
    found = compare(*map(measured, arms))
    assert found.relative_error == pytest.approx(np.std([each for each in drawn if each is not None]), rel=0.08)
    control, treatment = found.control, found.treatment
    apart = found.error * sqrt(1 + (treatment / control) ** 2) / sqrt(2) / control
    assert apart < 0.6 * (found.relative_error or 0), "planted: both values taken for known but for what is left"


def test_the_check_sees_the_error_before_adjustment() -> None:
    def planted(control: Moments, treatment: Moments) -> Difference:
        found, plain = compare(control, treatment), compare(bare(control), bare(treatment))
        return Difference(
            control=found.control,
            treatment=found.treatment,
            absolute=found.absolute,
            error=plain.error,
            relative=found.relative,
            relative_error=plain.relative_error,
            units=found.units,
            removed=found.removed,
        )

    with pytest.raises(AssertionError):
        check_adjusted_ratio(planted)


def test_covariates_that_say_nothing_new_change_nothing() -> None:
    rng = np.random.default_rng(4)
    arms = [shop(rng, n, lift=4) for n in (500, 400)]
    wanted = compare(*(means(arm, 2, 3) for arm in arms))
    idle = []
    for index, arm in enumerate(arms):
        n = len(arm)
        more = (np.full(n, 7e9), np.full(n, float(index)), arm[:, 2] * 1e-6 - 40 * arm[:, 3], arm[:, 3] + 1e8)
        idle.append(measured(np.column_stack((arm[:, 0], np.ones(n), arm[:, 2:], *more))))
    found = compare(*idle)
    assert found.absolute == pytest.approx(wanted.absolute, rel=1e-6)
    assert found.error == pytest.approx(wanted.error, rel=1e-6)
    assert found.df == pytest.approx(wanted.df, rel=1e-6)


def test_with_too_few_units_for_its_covariates_an_arm_is_compared_as_it_is() -> None:
    rng = np.random.default_rng(6)
    arms = [measured(np.column_stack((rng.normal(size=n), np.ones(n), rng.normal(size=(n, 8))))) for n in (500, 70)]
    assert compare(*arms) == compare(*map(bare, arms))
    assert compare(*arms).removed == 0.0


def test_intervals_with_covariates_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(9)
    hit = 0
    for _ in range(1_000):
        x = rng.exponential(size=(100, 2))
        y = x @ [1.0, 2.0] + rng.normal(size=100) * (1 + x[:, 0])
        units = np.column_stack((y, np.ones(100), x))
        low, high = interval(compare(measured(units[:70]), measured(units[70:])), 1.959963984540054)
        hit += low <= 0 <= high
    assert binom.ppf(0.001, 1_000, 0.95) <= hit <= binom.ppf(0.999, 1_000, 0.95)


# --- relative differences ---


def test_the_adjusted_values_fit_together() -> None:
    rng = np.random.default_rng(1)
    found = compare(means(shop(rng, 900, lift=9), 2), means(shop(rng, 500, lift=9), 2))
    assert found.relative == pytest.approx(found.absolute / found.control)
    assert found.absolute == pytest.approx(found.treatment - found.control)


def test_a_relative_difference_points_the_way_of_the_absolute_one() -> None:
    rng = np.random.default_rng(1)
    losing, less = rng.normal(-10, 1, 100), rng.normal(-5, 1, 100)
    arms = [measured(np.column_stack((values, np.ones(100)))) for values in (losing, less)]
    found = compare(*arms)
    assert found.relative == pytest.approx(0.5, rel=0.1)
    assert relative_interval(found, 2.0) is not None


def test_there_is_none_where_controls_value_may_be_nothing() -> None:
    rng = np.random.default_rng(1)
    near, far = rng.normal(0.2, 1, 100), rng.normal(5, 1, 100)
    found = compare(*(measured(np.column_stack((values, np.ones(100)))) for values in (near, far)))
    assert found.relative is None
    assert found.relative_error is None
    assert relative_interval(found, 2.0) is None
    assert np.isfinite(interval(found, 2.0)).all()


# --- epochs ---


def share(rng: np.random.Generator, n: int, rate: float) -> Moments:
    return measured(np.column_stack((rng.random(n) < rate, np.ones(n))).astype(float))


def check_simpson(stratified: Callable[[list[tuple[Moments, Moments]]], Difference]) -> None:
    """A tenth of a good week and half of a bad one: treatment does nothing, and seems to do harm."""
    rng = np.random.default_rng(14)
    good = share(rng, 18_000, 0.08), share(rng, 2_000, 0.08)
    bad = share(rng, 10_000, 0.02), share(rng, 10_000, 0.02)
    found = stratified([good, bad])
    assert abs(found.absolute) < 3 * found.error
    assert found.units == (28_000, 12_000)
    assert found.removed == pytest.approx(0, abs=1e-12)
    within = [compare(*pair) for pair in (good, bad)]
    assert found.absolute == pytest.approx((within[0].absolute + within[1].absolute) / 2)
    assert found.error == pytest.approx(sqrt(within[0].error ** 2 + within[1].error ** 2) / 2)


def test_epochs_are_compared_within() -> None:
    check_simpson(stratified)


def test_the_check_sees_arms_compared_as_wholes() -> None:
    with pytest.raises(AssertionError):
        check_simpson(lambda pairs: compare(*(pooled(arms) for arms in zip(*pairs, strict=True))))


def test_a_quiet_epoch_or_one_without_an_arm_does_no_harm() -> None:
    rng = np.random.default_rng(15)
    busy = measured(shop(rng, 5_000, lift=5)[:, :2]), measured(shop(rng, 5_000, lift=5)[:, :2])
    quiet = measured(np.zeros((40, 2))), measured(np.zeros((40, 2)))
    alone = measured(shop(rng, 500, lift=5)[:, :2]), moments(0, np.zeros(2), np.zeros((2, 2)))
    wanted, found = compare(*busy), stratified([alone, quiet, busy])
    assert found.units == (5_040, 5_040)
    assert found.absolute == pytest.approx(wanted.absolute, rel=1e-9), "no orders, so nothing to divide"
    assert found.error == pytest.approx(wanted.error, rel=0.01)


def test_two_halves_of_one_epoch_are_nearly_the_whole() -> None:
    rng = np.random.default_rng(16)
    control, treatment = shop(rng, 6_000, lift=3)[:, :2], shop(rng, 6_000, lift=3)[:, :2]
    halves = [(measured(control[at::2]), measured(treatment[at::2])) for at in (0, 1)]
    whole, found = compare(measured(control), measured(treatment)), stratified(halves)
    assert found.absolute == pytest.approx(whole.absolute, rel=1e-9)
    assert found.error == pytest.approx(whole.error, rel=0.01)
    assert found.df == pytest.approx(whole.df, rel=0.1)


# --- bad input ---


def of(values: list[float], under: list[float] | None = None) -> Moments:
    return measured(np.column_stack((values, under or [1.0] * len(values))))


NOBODY = Moments(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))


@pytest.mark.parametrize(
    ("control", "treatment", "code"),
    [
        (NOBODY, of([1, 2, 3]), "empty_arm"),
        (of([1, 2, 3]), NOBODY, "empty_arm"),
        (of([1, 2, 3]), of([1]), "too_few_units"),
        (of([5, 5, 5]), of([5, 5]), "zero_variance"),
        (of([5, 5, 5]), of([6, 6]), "zero_variance"),
        (of([1e9 + 0.1] * 7), of([1e9 + 0.3] * 7), "zero_variance"),
        (of([2, 4, 6] * 9, [1, 2, 3] * 9), of([4, 2, 8] * 9, [2, 1, 4] * 9), "zero_variance"),
        (of([0, 0, 0], [0, 0, 0]), of([1, 0, 2], [1, 1, 2]), "zero_denominator"),
        (of([1, 0, 0], [1, 0, 0]), of([1, 0, 2], [1, 1, 2]), "zero_denominator"),
    ],
)
def test_what_cannot_be_told_says_why(control: Moments, treatment: Moments, code: str) -> None:
    with pytest.raises(NoAnswer) as found:
        compare(control, treatment)
    assert found.value.code == code
    assert found.value.message.endswith(".")


def test_no_epochs_are_no_answer() -> None:
    with pytest.raises(NoAnswer) as found:
        stratified([])
    assert found.value.code == "empty_arm"


def test_a_covariate_that_is_the_metric_itself_is_told() -> None:
    rng = np.random.default_rng(1)
    arms = [measured(np.column_stack((y, np.ones(50), 3 * y + 1))) for y in rng.normal(size=(2, 50))]
    with pytest.raises(NoAnswer, match="after exposure") as found:
        compare(*arms)
    assert found.value.code == "zero_variance"


def check_silent_arm(compare: Compare) -> None:
    """No failure yet among few, 9 among many: the score test finds nothing in that."""
    control, treatment = of([1.0] * 9 + [0.0] * 1_791), of([0.0] * 200)
    found = compare(control, treatment)
    pool = 9 / 2_000
    assert found.absolute == -9 / 1_800
    assert found.error == pytest.approx(sqrt(pool * (1 - pool) * (1 / 1_800 + 1 / 200)), rel=1e-3)
    assert p_value(found) > 0.2


def test_an_arm_without_an_event_is_compared_with_the_variance_of_all() -> None:
    check_silent_arm(compare)
    found = compare(of([0.0] * 5_000), of([1.0] * 40 + [0.0] * 4_960))
    assert p_value(found) < 1e-6, "and harm that is there is seen"
    assert found.relative is None


def test_the_check_sees_one_arm_taken_for_certain() -> None:
    def certain(control: Moments, treatment: Moments) -> Difference:
        tiny = moments(treatment.n, np.array(treatment.mean), np.diag((1e-9, 0.0)))
        return compare(control, tiny)

    with pytest.raises(AssertionError):
        check_silent_arm(certain)


def test_values_are_the_arms_own() -> None:
    assert value(of([2, 4], [1, 2])) == 2.0
    for arm in (NOBODY, of([0, 0], [0, 0])):
        with pytest.raises(NoAnswer):
            value(arm)


@pytest.mark.parametrize("critical", [0.0, 1.0, 8.0, 40.0, inf])
def test_intervals_grow_with_the_critical_value(critical: float) -> None:
    found = compare(of([1, 2, 3, 4] * 2_000), of([2, 3, 4, 6] * 2_000))
    low, high = interval(found, critical)
    assert high - found.absolute == pytest.approx(critical * found.error, rel=0.01)
    assert found.absolute - low == pytest.approx(high - found.absolute)


SIZES = st.sampled_from([0, 1, 2, 3, 12, 60])


@settings(max_examples=150)
@given(sizes=st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=3), seed=st.integers(0, 10**6), ratio=st.booleans())
def test_whatever_comes_there_is_a_number_or_a_reason(sizes: list[tuple[int, int]], seed: int, *, ratio: bool) -> None:
    rng = np.random.default_rng(seed)
    width = 2 + int(rng.integers(0, 4))
    scale, offset = rng.choice([1e-3, 1.0, 1e9]), rng.choice([0.0, 1e9])

    def arm(n: int) -> Moments:
        values = rng.integers(0, rng.choice([1, 2, 3, 100]), size=(n, width)) * scale + offset
        values[:, 1] = values[:, 1] if ratio else 1.0
        return measured(values) if n else moments(0, np.zeros(width), np.zeros((width, width)))

    try:
        found = stratified([(arm(control), arm(treatment)) for control, treatment in sizes])
    except NoAnswer:
        return
    assert np.isfinite((found.absolute, found.df, p_value(found), *interval(found, 3.0))).all()
    assert found.error > 0
    assert found.relative is None or np.isfinite(found.relative)
    assert 0 <= found.removed <= 1
