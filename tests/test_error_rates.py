"""A small part of the proof of error rates, always: who weakens a boundary sees it here. `make proof` has them all."""

from collections import Counter
from functools import partial

import numpy as np
import pytest

from error_rates import (
    ALPHA,
    DAILY_METRICS,
    DESIGNS,
    GUARDED,
    Kind,
    Row,
    Shop,
    at_least,
    at_most,
    chunk,
    exactly,
    guarded,
    misses,
    ratios,
    secondaries,
)

FEW = 200
SMALL = Shop(units=16_000)


def counted(one: object, count: int = FEW, seed: int = 1) -> Counter[Kind]:
    return chunk(one, np.random.SeedSequence(seed), count)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alike() -> Counter[Kind]:
    """A/A tests under every design, of conversion alone."""
    return counted(partial(misses, SMALL, list(DESIGNS), DAILY_METRICS[:1]))


@pytest.mark.parametrize("design", DESIGNS)
def test_arms_alike_differ_as_seldom_as_declared(alike: Counter[Kind], design: str) -> None:
    claim = at_most if design.startswith("always") else exactly
    rate = alike["missed", design, DAILY_METRICS[0]] / FEW
    assert Row("false finds", design, DAILY_METRICS[0], rate, *claim(ALPHA, FEW)).holds


def test_looking_daily_at_a_fixed_test_is_seen(alike: Counter[Kind]) -> None:
    """The planted bug, by its number: several times as many false finds as were declared."""
    assert alike["missed", "PLANTED BUG: fixed, looked at daily", DAILY_METRICS[0]] / FEW > 4 * ALPHA


def test_intervals_hold_the_truth_where_there_is_an_effect() -> None:
    design, metric = "group-sequential, 4 looks", "profit per unit, adjusted by cart and device"
    counts = counted(partial(misses, Shop(10_000, 0.3, 0.2), [design], [metric]), seed=2)
    for kind in ("missed", "missed relative"):
        assert Row("coverage", design, metric, 1 - counts[kind, design, metric] / FEW, *at_least(0.95, FEW)).holds


def test_guardrails_at_their_margin_are_wrong_by_half_of_the_error_each() -> None:
    counts = counted(partial(guarded, SMALL._replace(lift=-0.15), 0.15), seed=3)
    for each in ("holds", "broken"):
        assert Row(
            each, GUARDED, "conversion", counts[each, GUARDED, "conversion"] / FEW, *at_most(ALPHA / 2, FEW)
        ).holds


def test_the_ratio_may_be_looked_at_daily_and_pearson_may_not() -> None:
    counts = counted(partial(ratios, 0.0), 80, seed=4)
    assert Row("alarm", "", "", counts["alarm", "anytime-valid", ""] / 80, *at_most(ALPHA, 80)).holds
    assert counts["block", "anytime-valid", ""] == 0
    assert counts["alarm", "classic", ""] / 80 > 4 * ALPHA, "the planted bug"


def test_false_discoveries_stay_few_over_all_looks() -> None:
    counts = counted(partial(secondaries, 7_000), 40, seed=5)
    shares = {
        name: counts["false share", name, ""] / 2_520 / 40
        for name in ("Benjamini-Hochberg", "each by itself, at each look")
    }
    assert shares["Benjamini-Hochberg"] <= ALPHA + 2 * ALPHA
    assert shares["each by itself, at each look"] > 2 * shares["Benjamini-Hochberg"], "the planted bug"
    assert counts["true finds", "Benjamini-Hochberg", ""] > 40, "and what there is, is found"


def test_a_row_tells_a_planted_bug_from_a_failure() -> None:
    bounds = exactly(0.05, 2_000)
    assert bounds[1:] == pytest.approx((0.038, 0.063), abs=1e-3)
    assert Row("", "sound", "", 0.05, *bounds).holds
    assert not Row("", "sound", "", 0.08, *bounds).holds
    assert Row("", "PLANTED BUG: x", "", 0.3, *bounds).holds
    assert "FAILS" in str(Row("", "PLANTED BUG: x", "", 0.05, *bounds))
