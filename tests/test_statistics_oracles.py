"""Our answers beside those of gbstats, GrowthBook's engine, from the same sums (tests/oracles/make_gbstats.py).

Where the definitions are the same the answers are, to rounding. By how much they differ at most where ours is another,
and why, stands in docs/reference/statistics.md, which these tests hold to its figures.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cashwrap.analysis.statistics.compare import Difference, compare, interval, p_value, relative_interval
from cashwrap.analysis.statistics.moments import Moments, moments
from cashwrap.analysis.statistics.posterior import posterior
from cashwrap.analysis.statistics.quantiles import Quantile, difference_of_quantiles
from cashwrap.analysis.statistics.ratio import Day, classic_p
from cashwrap.analysis.statistics.sequential import sequence_critical

Case = Mapping[str, Any]
HERE = Path(__file__).parent
CASES: list[Case] = msgspec.json.decode((HERE / "oracles" / "gbstats.json").read_bytes())
PAGE = (HERE.parent / "docs" / "reference" / "statistics.md").read_text()
Z = 1.959963984540054
ROUNDING = 1e-9
COLUMNS = ("estimate and interval", "relative interval", "error", "p", "chance", "always-valid interval")
"""Differences of the first and the last are told in standard errors, of the error in parts of it, else as they are."""


def exact(arm: Case) -> Moments:
    """Moments of whole-number sums, in fractions: no rounding of ours comes between."""
    other = arm.get("other") or {"sum": arm["n"], "squares": arm["n"]}
    n, one, two = arm["n"], Fraction(arm["sum"]), Fraction(other["sum"])

    def spread(products: int, left: Fraction, right: Fraction) -> float:
        return float((products - left * right / n) / (n - 1))

    first, second = spread(arm["squares"], one, one), spread(other["squares"], two, two)
    both = spread(arm.get("products", arm["sum"]), one, two)
    return Moments(n, (float(one / n), float(two / n)), ((first, both), (both, second)))


def with_covariate(arm: Moments) -> Moments:
    """Numerator and covariate, with a denominator of one between them."""
    (first, both), (_, second) = arm.cov
    return Moments(arm.n, (arm.mean[0], 1.0, arm.mean[1]), ((first, 0.0, both), (0.0, 0.0, 0.0), (both, 0.0, second)))


def ours(case: Case) -> Difference:
    if case["kind"] == "quantile":
        return difference_of_quantiles(*(Quantile(**arm) for arm in case["arms"]))
    arms = [exact(arm) for arm in case["arms"]]
    return compare(*(map(with_covariate, arms) if case["kind"].startswith("adjusted") else arms))


def apart(case: Case, found: Difference) -> Iterator[tuple[str, float]]:
    """What differs from gbstats, by its column, and by how much."""
    absolute, relative = case["gbstats"]["absolute"], case["gbstats"]["relative"]
    yield "estimate and interval", abs(found.absolute - absolute["estimate"]) / found.error
    yield "estimate and interval", ends_apart(interval(found, Z), absolute["interval"]) / found.error
    yield "error", abs(found.error / absolute["error"] - 1)
    yield "p", abs(p_value(found) - absolute["p"])
    view = posterior(found)
    yield "chance", abs(view.better - absolute["bayes"]["better"])
    yield "chance", abs(view.expected_loss - absolute["bayes"]["risk_of_treatment"]) / found.error
    looked = absolute["sequential"]
    critical = sequence_critical(sum(found.units), looked["alpha"], tuned_at=looked["n0"], burn_in=0)
    always = found.absolute - critical * found.error, found.absolute + critical * found.error
    yield "always-valid interval", ends_apart(always, looked["interval"]) / found.error

    ends = relative_interval(found, Z)
    assert found.relative is not None
    assert found.relative_error is not None
    assert ends is not None
    yield "estimate and interval", abs(found.relative - relative["estimate"]) / found.relative_error
    yield "relative interval", ends_apart(ends, relative["interval"]) / found.relative_error
    yield "error", abs(found.relative_error / relative["error"] - 1)


def ends_apart(ours: Iterable[float], theirs: Iterable[float]) -> float:
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def row(kind: str, compare: Callable[[Case], Difference] = ours) -> str:
    """The page's row: the largest differences of all cases of a kind."""
    cases = [case for case in CASES if case["kind"] == kind]
    found = [each for case in cases for each in apart(case, compare(case))]
    worst = {column: max(by for name, by in found if name == column) for column in COLUMNS}
    cells = ("rounding" if by < ROUNDING else f"{by:.1g}" for by in worst.values())
    return f"| {kind} | {len(cases)} | {' | '.join(cells)} |"


@pytest.mark.parametrize("kind", ["mean", "ratio", "proportion", "adjusted mean", "adjusted proportion", "quantile"])
def test_we_differ_from_gbstats_as_the_page_says(kind: str) -> None:
    assert row(kind) in PAGE


@pytest.mark.parametrize("kind", ["mean", "ratio", "adjusted mean"])
def test_the_check_sees_a_difference(kind: str) -> None:
    def planted(case: Case) -> Difference:
        control, treatment = map(exact, case["arms"])
        return compare(control, moments(treatment.n - 1, np.array(treatment.mean), np.diag(np.diag(treatment.cov))))

    assert row(kind, planted) not in PAGE


def test_the_ratio_check_says_what_gbstats_says() -> None:
    cases = [case for case in CASES if case["kind"] == "ratio check"]
    for case in cases:
        counts, shares = (dict(zip("abc", case[each], strict=False)) for each in ("users", "weights"))
        assert classic_p([Day(counts, shares)]) == pytest.approx(case["gbstats"], rel=1e-9)
    assert len(cases) == 3
