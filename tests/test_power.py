"""Units, effects and days, against textbook figures and against each other; and when a ramp has to stop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from cashwrap.analysis.results import Effect, Interval, Result
from cashwrap.analysis.statistics.compare import compare
from cashwrap.analysis.statistics.guardrails import Harm, harms, standing
from cashwrap.analysis.statistics.moments import Moments, measured, moments
from cashwrap.analysis.statistics.power import (
    Baseline,
    Trial,
    baseline,
    days_left,
    detectable,
    pooled,
    power_of,
    units_needed,
)
from cashwrap.analysis.statistics.sequential import boundaries, inflation, sequence_critical
from cashwrap.declarations import Method

CONVERSION = Baseline(0.03, 0.03 * 0.97)


def proportion(share: float, n: int) -> Moments:
    return moments(n, np.array([share, 1.0]), np.array([[share * (1 - share) * n / (n - 1), 0.0], [0.0, 0.0]]))


def test_statsmodels_needs_as_many_units() -> None:
    deviation = math.sqrt(0.03 * 0.97 * (1 + 1.05) / 2)
    theirs = NormalIndPower().solve_power(0.05 * 0.03 / deviation, alpha=0.05, power=0.8, ratio=1.0)
    assert units_needed(CONVERSION, 0.05, Trial(method="fixed")) == pytest.approx(2 * theirs, rel=1e-5)


def test_uneven_shares_cost_what_statsmodels_says() -> None:
    deviation = math.sqrt(0.03 * 0.97 * (1 + 4 * 1.05) / 5)
    theirs = NormalIndPower().solve_power(0.05 * 0.03 / deviation, alpha=0.05, power=0.9, ratio=0.25)
    trial = Trial(method="fixed", power=0.9, control=0.8, arm=0.2)
    assert units_needed(CONVERSION, 0.05, trial) == pytest.approx(theirs * 1.25, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["fixed", "group_sequential", "always_valid"]),
    st.sampled_from([1, 4, 14]),
    st.floats(0.02, 0.3),
    st.floats(0.6, 0.95),
)
def test_units_effect_and_power_are_one_another(method: Method, looks: int, effect: float, power: float) -> None:
    trial = Trial(0.05, power, method, looks, 0.6, 0.3)
    units = units_needed(CONVERSION, effect, trial)
    assert units is not None
    assert detectable(CONVERSION, units, trial) == pytest.approx(effect, rel=1e-3)
    assert power_of(CONVERSION, effect, units, trial) == pytest.approx(power, abs=2e-3)
    assert power_of(CONVERSION, -effect, units, trial) == pytest.approx(power, abs=2e-3)


def test_looking_costs_units() -> None:
    once = units_needed(CONVERSION, 0.05, Trial(method="fixed"))
    four = units_needed(CONVERSION, 0.05, Trial(looks=4))
    always = units_needed(CONVERSION, 0.05, Trial(method="always_valid"))
    assert once is not None
    assert four == pytest.approx(once * inflation(4, 0.05, 0.8), rel=1e-5)
    assert always is not None
    assert 1.5 * once < always < 3 * once


def test_what_cannot_be_planned_is_none() -> None:
    for value in (Baseline(0.0, 1.0), CONVERSION):
        assert units_needed(value, 0.05 if not value.value else 0.0, Trial()) is None
    assert detectable(Baseline(0.0, 1.0), 100, Trial()) is None
    assert detectable(CONVERSION, 0, Trial()) is None
    assert detectable(CONVERSION, 100, Trial(method="always_valid")) is None, "before the burn-in nothing is found"
    assert pooled(CONVERSION, 0, Trial(), 3) is None


def test_covariates_save_the_variance_that_they_explain() -> None:
    chance = np.random.default_rng(3)
    cart = chance.lognormal(3, 1, 20_000)
    revenue = np.where(chance.random(20_000) < 0.5, cart, 0.0)
    plain = measured(np.column_stack([revenue, np.ones_like(cart)]))
    adjusted = measured(np.column_stack([revenue, np.ones_like(cart), cart]))
    correlation = np.corrcoef(revenue, cart)[0, 1]
    saved = baseline(adjusted).variance / baseline(plain).variance
    assert saved == pytest.approx(1 - correlation**2, rel=1e-3)
    assert baseline(plain) == pytest.approx((revenue.mean(), revenue.var(ddof=1)))


def test_days_left() -> None:
    assert days_left(1_000, 400, 100) == 6
    assert days_left(1_000, 400, 100, consent=0.5) == 12
    assert days_left(1_000, 1_000, 0) == 0
    assert days_left(1_000, 400, 0) is None


def test_pooling_buys_a_root_and_heterogeneity_takes_some_of_it() -> None:
    alone = detectable(CONVERSION, 20_000, Trial())
    assert alone is not None
    assert pooled(CONVERSION, 20_000, Trial(), 4) == pytest.approx(alone / 2)
    uneven = pooled(CONVERSION, 20_000, Trial(), 4, heterogeneity=0.1)
    assert uneven is not None
    assert alone / 2 < uneven
    endless = pooled(CONVERSION, 1e12, Trial(), 4, heterogeneity=0.1)
    assert endless == pytest.approx(2.8016 * 0.1 / 2, rel=1e-3), "more units do not make effects more alike"


@pytest.mark.parametrize(
    ("arm", "better", "expected"),
    [
        (0.0300, "higher", "holds"),
        (0.0288, "higher", "open"),
        (0.0270, "higher", "broken"),
        (0.0300, "lower", "holds"),
        (0.0270, "lower", "holds"),
        (0.0312, "lower", "open"),
        (0.0330, "lower", "broken"),
    ],
)
def test_a_guardrail_stands_where_its_interval_does(arm: float, better: str, expected: str) -> None:
    found = compare(proportion(0.03, 200_000), proportion(arm, 200_000))
    assert standing(found, 0.05, better, 1.96) == expected  # type: ignore[arg-type]


def test_a_guardrail_is_open_before_anything_can_be_said() -> None:
    found = compare(proportion(0.03, 200_000), proportion(0.02, 200_000))
    assert standing(found, 0.05, "higher", math.inf) == "open"
    assert standing(found, 0.05, "higher", boundaries([0.1], [1.0], 0.05)[0]) == "broken"
    rare = compare(proportion(0.002, 1_000), proportion(0.05, 1_000))
    assert rare.relative is None
    assert standing(rare, 0.05, "lower", 1.96) == "broken"
    assert standing(rare, 0.05, "higher", 1.96) == "holds"
    assert standing(rare, 0.05, "lower", math.inf) == "open"
    assert standing(compare(proportion(0.002, 1_000), proportion(0.004, 1_000)), 0.05, "lower", 1.96) == "open"


def test_a_ramp_stops_for_a_broken_guardrail_and_for_a_harmed_primary() -> None:
    def result(role: str, better: str, effect: Effect) -> Result:
        return Result(role, role, "mean", role, "count", better, effects=(effect,))  # type: ignore[arg-type]

    bad = Effect("arm", -1.0, Interval(-2.0, -0.5), 0.4, significant=True, standing="broken")
    unsure = Effect("arm", -1.0, Interval(-2.0, 0.5), 0.8, standing="open")
    good = Effect("arm", 1.0, Interval(0.2, 1.8), 0.4, significant=True, standing="holds")
    assert harms([result("guardrail", "higher", bad)]) == (Harm("guardrail", "arm", "guardrail"),)
    assert harms([result("primary", "higher", bad)]) == (Harm("primary", "arm", "primary"),)
    assert harms([result("primary", "lower", good)]) == (Harm("primary", "arm", "primary"),)
    for fine in (
        result("primary", "lower", bad),
        result("primary", "higher", good),
        result("primary", "higher", unsure),
        result("guardrail", "higher", unsure),
        result("guardrail", "higher", good),
        result("secondary", "higher", bad),
    ):
        assert harms([fine]) == ()


def test_an_always_valid_trial_uses_the_sequence() -> None:
    units = units_needed(CONVERSION, 0.1, Trial(method="always_valid"))
    assert units is not None
    assert power_of(CONVERSION, 0.0, units, Trial(method="always_valid")) < 0.01
    assert sequence_critical(units, 0.05) > 2.5
