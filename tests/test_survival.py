"""Time to completion against a naive count, against lifelines' curves, and against the bug it is there to avoid."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.analysis.statistics.survival import (
    Ends,
    Estimate,
    completed_by,
    difference,
    incidence,
    time_lost,
)

WATCHED, COMPLETED, ABANDONED = 0, 1, 2
LIFELINES = json.loads((Path(__file__).parent / "oracles" / "lifelines.json").read_text())["cases"]
Spells = Sequence[tuple[float, int]]


def counted(spells: Spells) -> Ends:
    times = sorted({time for time, _ in spells})
    ends = [[sum(1 for spell in spells if spell == (time, end)) for time in times] for end in (1, 2, 0)]
    return Ends(len(spells), times, *ends)


def naive(spells: Spells, end: int) -> dict[float, float]:
    """The incidence by its definition: on the way so far, times the share of those watched who end now."""
    on_the_way, share, curve = 1.0, 0.0, {}
    for time in sorted({time for time, _ in spells}):
        watched = sum(1 for at, _ in spells if at >= time)
        share += on_the_way * sum(1 for spell in spells if spell == (time, end)) / watched
        on_the_way *= 1 - sum(1 for at, how in spells if at == time and how != WATCHED) / watched
        curve[time] = share
    return curve


def kaplan_meier(spells: Spells) -> dict[float, float]:
    """The planted bug: abandoners as if one had only stopped watching them."""
    return naive([(time, COMPLETED if end == COMPLETED else WATCHED) for time, end in spells], COMPLETED)


def area_above(curve: dict[float, float], horizon: float) -> float:
    lost, last, level = 0.0, 0.0, 0.0
    for time, share in curve.items():
        if time > horizon:
            break
        lost, last, level = lost + (time - last) * (1 - level), time, share
    return lost + (horizon - last) * (1 - level)


spells = st.lists(st.tuples(st.integers(1, 20), st.sampled_from([0, 1, 2])), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(spells, st.integers(1, 25))
def test_curves_and_area_are_the_naive_ones(drawn: list[tuple[int, int]], horizon: int) -> None:
    found = incidence(counted(drawn))
    assert dict(zip(found.times, found.completed, strict=True)) == pytest.approx(naive(drawn, COMPLETED))
    assert dict(zip(found.times, found.abandoned, strict=True)) == pytest.approx(naive(drawn, ABANDONED))
    assert time_lost(counted(drawn), horizon).value == pytest.approx(area_above(naive(drawn, COMPLETED), horizon))
    for low, share, high in zip(found.low, found.completed, found.high, strict=True):
        assert 0 <= low <= share + 1e-12
        assert share <= high + 1e-12 <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from([1, 2])), min_size=2, max_size=40), st.integers(0, 9))
def test_with_nobody_censored_both_are_plain_means(drawn: list[tuple[int, int]], still: int) -> None:
    ends = counted(drawn)._replace(n=len(drawn) + still)
    horizon = 15.0
    waits = [time if end == COMPLETED and time <= horizon else horizon for time, end in drawn] + [horizon] * still
    done = [float(end == COMPLETED and time <= horizon) for time, end in drawn] + [0.0] * still
    for found, values in ((time_lost(ends, horizon), waits), (completed_by(ends, horizon), done)):
        assert found.value == pytest.approx(np.mean(values))
        assert found.error == pytest.approx(np.std(values) / math.sqrt(len(values)), abs=1e-9)


@pytest.mark.parametrize("case", LIFELINES)
def test_curves_agree_with_lifelines(case: dict[str, dict[str, float]]) -> None:
    drawn = [(time, end) for time, end in case["spells"]]
    found = incidence(counted(drawn))
    for name in ("completed", "abandoned"):
        mine = dict(zip(found.times, getattr(found, name), strict=True))
        assert mine == pytest.approx({float(time): share for time, share in case[name].items()}, abs=1e-9)
    theirs = {float(time): share for time, share in case["kaplan_meier"].items()}
    assert kaplan_meier(drawn) == pytest.approx(theirs), "the wrong curve of this file is the usual wrong curve"


def shoppers(chance: np.random.Generator, impatience: float, n: int = 1_500) -> list[tuple[float, int]]:
    """Slow and quick ones, in minutes. The slow may be driven away at once; whoever completes is as fast as ever."""
    slow = chance.random(n) < 0.5
    takes = np.round(chance.exponential(np.where(slow, 12.0, 3.0)) + 0.05, 2)
    leaves = np.where(slow & (chance.random(n) < impatience), 0.01, 999.0)
    return [
        (leave, ABANDONED) if leave < take else (take, COMPLETED) for take, leave in zip(takes, leaves, strict=True)
    ]


def test_censoring_abandoners_praises_an_arm_that_drives_them_away() -> None:
    chance = np.random.default_rng(5)
    control, pushy = shoppers(chance, 0.1), shoppers(chance, 0.6)
    wrong = area_above(kaplan_meier(pushy), 30) - area_above(kaplan_meier(control), 30)
    right = difference(time_lost(counted(control), 30), time_lost(counted(pushy), 30))
    assert wrong < -0.5, "under Kaplan-Meier it looks half a minute faster"
    assert right.value > 4, "it loses the whole half hour of everybody it drove away"
    assert right.value / right.error > 6
    fewer = difference(completed_by(counted(control), 30), completed_by(counted(pushy), 30))
    assert fewer.value < -0.2


def test_intervals_cover_where_some_are_censored() -> None:
    """Pointwise, and the mean time lost: 95 % of 400 samples, within four binomial errors."""
    chance = np.random.default_rng(11)
    share, lost, samples = 0, 0, 400
    rates = 1 / 8 + 1 / 20
    truth = (1 / 8) / rates * (1 - math.exp(-rates * 10))
    area = 10 - (1 / 8) / rates * (10 - (1 - math.exp(-rates * 10)) / rates)
    for _ in range(samples):
        ends = np.array([chance.exponential(scale, 300) for scale in (25.0, 8.0, 20.0)])
        drawn = list(zip(ends.min(axis=0), ends.argmin(axis=0), strict=True))
        order = sorted(drawn)
        counts = Ends(300, [time for time, _ in order], *([int(how == end) for _, how in order] for end in (1, 2, 0)))
        found = incidence(counts)
        at = max(index for index, time in enumerate(found.times) if time <= 10)
        share += found.low[at] <= truth <= found.high[at]
        estimate = time_lost(counts, 10)
        lost += abs(estimate.value - area) <= 1.96 * estimate.error
    slack = 4 * math.sqrt(0.95 * 0.05 / samples)
    assert share / samples == pytest.approx(0.95, abs=slack)
    assert lost / samples == pytest.approx(0.95, abs=slack)


def test_the_ends_of_what_can_be_asked() -> None:
    nobody = Ends(0, [], [], [], [])
    assert incidence(nobody).times == ()
    assert completed_by(nobody, 10) == Estimate(0.0, 0.0)
    assert time_lost(nobody, 10) == Estimate(10.0, 0.0)
    late = Ends(5, [30.0], [5], [0], [0])
    assert time_lost(late, 10) == Estimate(10.0, 0.0), "who completes after the horizon has lost all of it"
    everybody = incidence(Ends(20, [1.0], [20], [0], [0]))
    assert everybody.low[0] == pytest.approx(0.025 ** (1 / 20)), "Clopper and Pearson"
    assert everybody.high == (1.0,)
    none = incidence(Ends(20, [1.0], [0], [3], [0]))
    assert none.high[0] == pytest.approx(1 - 0.025 ** (1 / 20))
