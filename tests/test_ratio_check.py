"""Sample ratios: what must alarm, what must not, and where the fault is said to be."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from cashwrap.analysis.statistics.ratio import (
    CONCENTRATIONS,
    Day,
    anytime_p,
    check,
    classic_p,
    drill_down,
    loss,
)

EVEN = {"control": 5_000, "arm": 5_000}


def naive(days: Sequence[Day]) -> float:
    """Unit by unit: what the mixture expected of each arm, over what was declared; the largest product there was."""
    most = 1.0
    factors = dict.fromkeys(CONCENTRATIONS, 1.0)
    seen: dict[tuple[float, ...], dict[str, int]] = {}
    for day in days:
        whole = sum(day.shares.values())
        before = seen.setdefault(tuple(day.shares.values()), dict.fromkeys(day.shares, 0))
        for arm, count in day.counts.items():
            declared = day.shares[arm] / whole
            for _ in range(count):
                for width in CONCENTRATIONS:
                    expected = (width * declared + before[arm]) / (width + sum(before.values()))
                    factors[width] *= expected / declared
                before[arm] += 1
        most = max(most, sum(factors.values()) / len(factors))
    return 1 / most


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=6))
def test_the_anytime_p_is_the_naive_product(rows: list[tuple[int, int, bool]]) -> None:
    days = [Day({"control": a, "arm": b}, {"control": 1, "arm": 3} if uneven else EVEN) for a, b, uneven in rows]
    assert anytime_p(days) == pytest.approx(naive(days))


def test_cookie_cats_warns_and_does_not_block() -> None:
    ratio = check([Day({"control": 44_700, "arm": 45_489}, EVEN)])
    assert ratio.classic == pytest.approx(0.0086, abs=5e-5)
    assert ratio.p > 0.05
    assert ratio.alarm == "warns"
    assert ratio.expected == {"control": 45_094.5, "arm": 45_094.5}


def test_a_lasting_fault_blocks_and_stays() -> None:
    days = [Day({"control": 4_470, "arm": 4_949}, EVEN)] * 5
    assert check(days).alarm == "blocks"
    repaired = [*days, *[Day({"control": 5_000, "arm": 5_000}, EVEN)] * 20]
    assert check(repaired).alarm == "blocks", "what was lost does not come back"


def test_sound_arms_raise_nothing() -> None:
    ratio = check([Day({"control": 5_030, "arm": 4_970}, EVEN)])
    assert ratio.alarm == "none"
    assert ratio.p == 1.0


def test_a_small_gross_fault_is_seen_too() -> None:
    assert check([Day({"control": 300, "arm": 500}, EVEN)]).alarm == "blocks"


def test_shares_that_change_are_each_judged_by_their_own() -> None:
    ramp = [
        Day({"control": 9_010, "arm": 990}, {"control": 90, "arm": 10}),
        Day({"control": 4_980, "arm": 5_020}, EVEN),
    ]
    assert check(ramp).alarm == "none"
    assert classic_p(ramp) > 0.5
    mixed = {"control": sum(day.counts["control"] for day in ramp), "arm": sum(day.counts["arm"] for day in ramp)}
    assert check([Day(mixed, EVEN)]).alarm == "blocks", "the planted bug: one share for a whole ramp"


def test_one_share_is_pearson_and_three_arms_are_too() -> None:
    counts = {"a": 1_010, "b": 480, "c": 510}
    shares = {"a": 5_000, "b": 2_500, "c": 2_500}
    expected = chisquare([1_010, 480, 510], [1_000, 500, 500]).pvalue
    assert classic_p([Day(counts, shares)]) == pytest.approx(expected)


def test_no_units_and_one_arm_are_no_reason_to_doubt() -> None:
    for days in ([], [Day({}, EVEN)], [Day({"control": 0, "arm": 0}, EVEN)], [Day({"only": 50}, {"only": 10_000})]):
        assert check(days).alarm == "none"


def test_units_in_an_arm_without_a_share_block() -> None:
    assert check([Day({"control": 50, "arm": 50, "gone": 1}, EVEN | {"gone": 0})]).alarm == "blocks"
    assert check([Day({"control": 50, "arm": 50, "unheard": 1}, EVEN)]).alarm == "blocks"


def test_the_drill_down_names_the_browser() -> None:
    groups = {
        "browser": {
            "chrome": {"control": 9_000, "arm": 9_020},
            "safari": {"control": 4_000, "arm": 3_400},
            "rare": {"control": 3, "arm": 0},
        },
        "step": {"cart": {"control": 6_500, "arm": 6_210}, "payment": {"control": 6_503, "arm": 6_210}},
    }
    suspects = drill_down(groups, EVEN)
    assert (suspects[0].dimension, suspects[0].value) == ("browser", "safari")
    assert suspects[0].explains > 0.95
    assert suspects[0].expected == {"control": 3_700, "arm": 3_700}
    assert {(each.dimension, each.value) for each in suspects} == {("browser", "safari")}
    assert drill_down({}, EVEN) == []
    assert drill_down({"browser": {"all": {"control": 900, "arm": 100}}}, EVEN) == [], "everybody is no suspect"


def test_many_parts_are_corrected_for() -> None:
    p = binomtest(560, 1_000, 0.5).pvalue
    assert p < 0.001
    lone = {"browser": {"odd": {"control": 560, "arm": 440}, "even": {"control": 500, "arm": 500}}}
    assert [each.value for each in drill_down(lone, EVEN)] == ["odd"]
    sound = {f"b{number}": {"control": 500, "arm": 500} for number in range(200)}
    assert drill_down({"browser": sound | lone["browser"]}, EVEN) == []


def test_unequal_loss_blocks_and_small_or_unsure_does_not() -> None:
    decided = {"control": 10_000, "redirect": 10_000, "even": 10_000, "slight": 1_000_000}
    seen = {"control": 9_800, "redirect": 9_300, "even": 9_790, "slight": 978_000}
    found = loss(decided, seen, "control")
    assert found["redirect"].alarm == "blocks"
    assert found["redirect"].lost == pytest.approx(0.07)
    assert found["redirect"].control == pytest.approx(0.02)
    assert found["even"].alarm == "none"
    assert found["slight"].alarm == "none"
    assert "control" not in found


def test_loss_of_nothing_or_of_nobody() -> None:
    found = loss({"control": 0, "arm": 5, "more": 3}, {"arm": 5, "more": 9}, "control")
    assert found["arm"].p == 1.0
    assert found["more"].lost == 0.0, "more came back than were decided: none is lost"
    few = loss({"control": 8, "arm": 8}, {"control": 8, "arm": 4}, "control")["arm"]
    assert few.p == pytest.approx(0.0769, abs=1e-4), "Fisher's exact test"
    assert not math.isnan(few.lost)
