"""Shrinkage: closer to the truth than each part alone, intervals that cover, and Cochran's Q against statsmodels."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import kstest, norm
from statsmodels.stats.meta_analysis import combine_effects

from cashwrap.analysis.results import Interval
from cashwrap.analysis.statistics.compare import Difference
from cashwrap.analysis.statistics.moments import Array
from cashwrap.analysis.statistics.shrink import Shrunk, heterogeneity, shrink

Shrink = Callable[[Sequence[Difference], float], Sequence[Shrunk]]


def part(effect: float, error: float) -> Difference:
    return Difference(
        control=100.0,
        treatment=100.0 + effect,
        absolute=effect,
        error=error,
        relative=None,
        relative_error=None,
        units=(9, 9),
    )


def parts(effects: Array, errors: Array) -> list[Difference]:
    return [part(float(effect), float(error)) for effect, error in zip(effects, errors, strict=True)]


def check(shrink: Shrink, between: float, *, covers: float = 0.89) -> None:
    """Over many shops with four devices whose true effects vary by ``between``."""
    rng = np.random.default_rng(12)
    errors = np.array([0.5, 1.0, 1.0, 2.0])
    alone, drawn, hits = [], [], []
    for _ in range(400):
        truth = rng.normal(2.0, between, 4)
        seen = truth + rng.normal(0, errors)
        found = shrink(parts(seen, errors), 1.96)
        alone.append((seen - truth) ** 2)
        drawn.append((np.array([each.effect for each in found]) - truth) ** 2)
        hits += [each.interval.low <= true <= each.interval.high for each, true in zip(found, truth, strict=True)]
    assert np.mean(drawn) < np.mean(alone), "closer to the truth than each part alone"
    assert np.mean(hits) >= covers


@pytest.mark.parametrize("between", [0.0, 0.5, 1.0, 2.0])
def test_shrunk_effects_are_closer_and_their_intervals_cover(between: float) -> None:
    check(shrink, between)


def test_the_check_sees_intervals_that_take_the_spread_for_known() -> None:
    def plugged(parts: Sequence[Difference], critical: float) -> list[Shrunk]:
        """Planted: DerSimonian and Laird's spread as if it were the truth, and the common mean as well."""
        effects, variances = np.array([p.absolute for p in parts]), np.array([p.error**2 for p in parts])
        known = 1 / variances
        q = known @ (effects - known @ effects / known.sum()) ** 2
        tau2 = max(0.0, (q - 3) / (known.sum() - (known**2).sum() / known.sum()))
        weights = 1 / (variances + tau2)
        centre, pull = weights @ effects / weights.sum(), variances * weights
        means, deviations = pull * centre + (1 - pull) * effects, np.sqrt((1 - pull) * variances)
        return [
            Shrunk(m, d, Interval(m - critical * d, m + critical * d)) for m, d in zip(means, deviations, strict=True)
        ]

    with pytest.raises(AssertionError):
        check(plugged, 1.0)


def test_three_parts_against_adding_up_all_that_is_not_known() -> None:
    effects, errors = np.array([0.0, 2.0, 5.0]), np.array([1.0, 0.7, 2.0])
    common = np.linspace(-30, 30, 600)[:, None]
    pull = (np.arange(1_500) + 0.5) / 1_500
    between = 3 / (1 / errors**2).sum() * (1 - pull) / pull
    spreads = [np.sqrt(error**2 + between) for error in errors]
    chance = np.prod(
        [norm.pdf(effect, common, spread) for effect, spread in zip(effects, spreads, strict=True)], axis=0
    )
    chance /= chance.sum()
    for effect, error, found in zip(effects, errors, shrink(parts(effects, errors), 1.96), strict=True):
        own = error**2 / (error**2 + between)
        means = own * common + (1 - own) * effect
        mean = (chance * means).sum()
        assert found.effect == pytest.approx(mean, abs=0.01)
        variance = (chance * (means**2 + (1 - own) * error**2)).sum() - mean**2
        assert found.deviation == pytest.approx(np.sqrt(variance), rel=0.01)


def test_with_many_parts_it_is_empirical_bayes() -> None:
    # How much they vary is well known then, and Paule and Mandel's estimate may be plugged in.
    rng = np.random.default_rng(5)
    errors = rng.uniform(0.5, 2.0, 400)
    effects = rng.normal(1.0, 1.0, 400) + rng.normal(0, errors)
    tau2 = combine_effects(effects, errors**2, method_re="iterated").tau2
    weights = 1 / (errors**2 + tau2)
    centre, pull = weights @ effects / weights.sum(), errors**2 * weights
    found = shrink(parts(effects, errors), 1.96)
    assert [each.effect for each in found] == pytest.approx(list(pull * centre + (1 - pull) * effects), abs=0.1)
    assert [each.deviation for each in found] == pytest.approx(list(np.sqrt((1 - pull) * errors**2)), rel=0.03)


def test_parts_that_agree_come_together_and_parts_that_do_not_stay() -> None:
    same = shrink([part(1.0, 1.0), part(1.2, 1.0), part(0.9, 1.0)], 1.96)
    assert max(each.effect for each in same) - min(each.effect for each in same) < 0.2
    apart = shrink([part(1.0, 0.01), part(50.0, 0.01), part(-20.0, 0.01)], 1.96)
    assert [each.effect for each in apart] == pytest.approx([1.0, 50.0, -20.0], abs=0.01)


def test_one_part_alone_and_none() -> None:
    (only,) = shrink([part(3.0, 1.0)], 2.0)
    assert only == Shrunk(3.0, 1.0, Interval(1.0, 5.0))
    assert shrink([], 2.0) == ()
    assert heterogeneity([part(3.0, 1.0)]) is None


def test_units_of_measure_do_not_matter() -> None:
    cents = shrink([part(100.0, 50.0), part(-200.0, 80.0)], 1.96)
    euros = shrink([part(1.0, 0.5), part(-2.0, 0.8)], 1.96)
    assert [each.effect for each in cents] == pytest.approx([each.effect * 100 for each in euros])


def check_heterogeneity(test: Callable[[Sequence[Difference]], float | None]) -> None:
    rng = np.random.default_rng(6)
    errors = np.array([0.5, 1.0, 1.5, 2.0])
    found = []
    for _ in range(400):
        given = parts(rng.normal(2.0, errors), errors)
        found.append(test(given))
    wanted = combine_effects(np.array([p.absolute for p in given]), errors**2).test_homogeneity()
    assert found[-1] == pytest.approx(wanted.pvalue)
    assert kstest(found, "uniform").pvalue > 0.001


def test_heterogeneity_is_cochrans_q() -> None:
    check_heterogeneity(heterogeneity)
    assert (heterogeneity([part(0.0, 0.5), part(5.0, 0.5)]) or 0) < 1e-6


def test_the_check_sees_parts_weighed_alike() -> None:
    def planted(given: Sequence[Difference]) -> float | None:
        return heterogeneity([part(each.absolute, 1.0) for each in given])

    with pytest.raises(AssertionError):
        check_heterogeneity(planted)
