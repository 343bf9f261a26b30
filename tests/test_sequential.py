"""Boundaries against published tables, against another integrator, and against the authors' package."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from cashwrap.analysis.statistics.sequential import (
    BURN_IN,
    LARGEST,
    boundaries,
    crossing,
    inflation,
    repeated_p,
    sequence_critical,
    spent,
    tuned,
)

CONFSEQ = json.loads((Path(__file__).parent / "oracles" / "confseq.json").read_text())


def evenly(looks: int) -> list[float]:
    return [(look + 1) / looks for look in range(looks)]


# Lan and DeMets's O'Brien-Fleming type spending, alpha .05 on two sides: Reboussin et al. (2000), Controlled Clinical
# Trials 21, for 5 looks, and what gsDesign and ldbounds print for the others.
SPENDING = {
    2: [2.963, 1.969],
    3: [3.710, 2.511, 1.993],
    4: [4.333, 2.963, 2.359, 2.014],
    5: [4.877, 3.357, 2.680, 2.290, 2.031],
}


@pytest.mark.parametrize("looks", SPENDING)
def test_spending_boundaries_are_the_published_ones(looks: int) -> None:
    assert boundaries(evenly(looks), evenly(looks), 0.05) == pytest.approx(SPENDING[looks], abs=6e-4)


# Jennison and Turnbull (2000), tables 2.1 and 2.3: the constants of Pocock's and of O'Brien and Fleming's tests.
CONSTANTS = {2: (2.178, 1.977), 3: (2.289, 2.004), 4: (2.361, 2.024), 5: (2.413, 2.040), 10: (2.555, 2.087)}


@pytest.mark.parametrize("looks", CONSTANTS)
def test_the_integration_gives_published_tests_their_error(looks: int) -> None:
    pocock, obrien = CONSTANTS[looks]
    times = evenly(looks)
    assert crossing([pocock] * looks, times) == pytest.approx(0.05, abs=1e-4)
    assert crossing([obrien / math.sqrt(time) for time in times], times) == pytest.approx(0.05, abs=1e-4)


# The same book, tables 2.2 and 2.4: how much larger a trial with power .8 gets.
GROWTH = {2: (1.110, 1.008), 3: (1.166, 1.017), 4: (1.202, 1.024), 5: (1.229, 1.028), 10: (1.301, 1.040)}


@pytest.mark.parametrize("looks", GROWTH)
def test_the_integration_gives_published_tests_their_power(looks: int) -> None:
    times = evenly(looks)
    drift = norm.ppf(0.975) + norm.ppf(0.8)
    for constant, growth, power in zip(CONSTANTS[looks], GROWTH[looks], (0.0, 0.5), strict=True):
        critical = [constant / time**power for time in times]
        assert crossing(critical, times, drift * math.sqrt(growth)) == pytest.approx(0.8, abs=5e-4)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_the_whole_error_is_spent_as_it_should_be(spending: str) -> None:
    times = [0.1, 0.35, 0.4, 0.8, 1.0]
    known = [3.0, 4.0, 9.0, 9.5, 30.0]
    critical = boundaries(times, known, 0.05, spending)  # type: ignore[arg-type]
    for look in range(1, 6):
        assert crossing(critical[:look], known[:look]) == pytest.approx(
            spent(times[look - 1], 0.05, spending),  # type: ignore[arg-type]
            abs=1e-8,
        )
    assert spent(1.0, 0.05, spending) == pytest.approx(0.05)  # type: ignore[arg-type]


def test_another_integrator_agrees() -> None:
    known = np.array([1.0, 1.7, 4.0, 4.4])
    critical = np.array(boundaries(evenly(4), list(known), 0.1))
    cov = np.sqrt(np.minimum.outer(known, known) / np.maximum.outer(known, known))
    within = multivariate_normal(np.zeros(4), cov).cdf(critical, lower_limit=-critical)
    assert 1 - within == pytest.approx(0.1, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12), st.floats(0.001, 0.2), st.randoms())
def test_the_error_is_kept_whatever_information_comes(steps: list[float], alpha: float, chance: object) -> None:
    known = list(np.cumsum(steps))
    critical = boundaries(evenly(len(known)), known, alpha)
    assert crossing(critical, known) <= alpha * 1.002
    assert all(0 < each <= LARGEST for each in critical)


def test_sixty_looks_never_rise() -> None:
    critical = boundaries(evenly(60), evenly(60), 0.05)
    assert all(later <= earlier for earlier, later in pairwise(critical))
    assert critical[0] == LARGEST
    assert crossing(critical, evenly(60)) == pytest.approx(0.05, abs=1e-6)


def test_a_look_at_the_same_data_only_spends_more() -> None:
    again = boundaries([0.5, 1.0], [7.0, 7.0], 0.05)
    assert again[1] == pytest.approx(norm.ppf(0.975))
    assert boundaries([0.5, 1.0], [7.0, 6.5], 0.05) == pytest.approx(again)


def test_a_look_without_information_says_nothing_and_spends_nothing() -> None:
    critical = boundaries([0.25, 0.5, 1.0], [0.0, 4.0, 9.0], 0.05)
    assert critical == pytest.approx((math.inf, *boundaries([0.5, 1.0], [4.0, 9.0], 0.05)))


def test_more_or_less_information_than_planned_spends_what_is_left() -> None:
    for last in (1.1, 40.0):
        assert crossing(boundaries([0.5, 1.0], [1.0, last], 0.05), [1.0, last]) == pytest.approx(0.05, abs=1e-6)
    over = boundaries([0.5, 1.0, 1.3], [1.0, 2.0, 3.0], 0.05)
    assert over[:2] == boundaries([0.5, 1.0], [1.0, 2.0], 0.05)
    assert over[2] > 5, "after the end there is next to nothing left to spend"


def test_one_look_is_the_usual_test() -> None:
    assert boundaries([1.0], [123.0], 0.05) == pytest.approx((norm.ppf(0.975),))
    assert inflation(1, 0.05, 0.8) == 1.0


@pytest.mark.parametrize("looks", [2, 4, 28])
def test_inflation_gives_the_power_back(looks: int) -> None:
    growth = inflation(looks, 0.05, 0.8)
    assert 1 < growth < 1.06
    drift = (norm.ppf(0.975) + norm.ppf(0.8)) * math.sqrt(growth)
    assert crossing(boundaries(evenly(looks), evenly(looks), 0.05), evenly(looks), drift) == pytest.approx(0.8)


def test_a_repeated_p_is_alpha_on_the_boundary() -> None:
    times = evenly(4)
    for look in range(2, 5):
        bound = boundaries(times[:look], times[:look], 0.05)[-1]

        def critical_at(alpha: float, look: int = look) -> float:
            return boundaries(times[:look], times[:look], alpha)[-1]

        assert repeated_p(bound, critical_at) == pytest.approx(0.05, rel=2e-3)
        assert repeated_p(-bound, critical_at) == pytest.approx(0.05, rel=2e-3)
        assert repeated_p(bound + 0.5, critical_at) < 0.05
    assert repeated_p(0.0, lambda alpha: float(norm.isf(alpha / 2))) == 1.0
    assert repeated_p(50.0, lambda alpha: float(norm.isf(alpha / 2))) == 1e-9
    assert repeated_p(2.0, lambda alpha: float(norm.isf(alpha / 2))) == pytest.approx(2 * norm.sf(2.0), rel=2e-3)


@pytest.mark.parametrize("row", CONFSEQ["rows"])
def test_confidence_sequences_agree_with_their_authors(row: dict[str, float]) -> None:
    tuned_at = row["mixture"] * tuned(1, row["alpha"])
    mine = sequence_critical(int(row["units"]), row["alpha"], tuned_at, burn_in=0)
    assert mine == pytest.approx(row["critical"], rel=1e-6)


def test_a_sequence_is_narrowest_where_it_is_tuned_to_be() -> None:
    best = sequence_critical(10_000, 0.05, 10_000)
    for other in (2_000, 5_000, 9_000, 11_000, 20_000, 100_000):
        assert sequence_critical(10_000, 0.05, other) > best
    assert tuned(10_000, 0.05) > tuned(20_000, 0.05)


def test_no_statement_before_the_burn_in() -> None:
    assert sequence_critical(BURN_IN - 1, 0.05) == math.inf
    assert sequence_critical(BURN_IN, 0.05) < math.inf
