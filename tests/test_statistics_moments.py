"""Moments add up: parts merged are what measuring all units at once finds, also for large amounts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.analysis.statistics.moments import Array, Moments, measured, moments, pooled

NOTHING = Moments(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))
UNITS = st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 50)), min_size=2, max_size=60)


def close(found: Moments, wanted: Moments) -> bool:
    """Equal to 1e-9 of what the values are like."""
    size = np.sqrt(np.diag(wanted.cov)) + np.abs(wanted.mean) + 1
    return (
        found.n == wanted.n
        and bool((np.abs(np.subtract(found.mean, wanted.mean)) <= 1e-9 * size).all())
        and bool((np.abs(np.subtract(found.cov, wanted.cov)) <= 1e-9 * np.outer(size, size)).all())
    )


def cut(values: Array, cuts: list[int]) -> list[Moments]:
    return [measured(part) if len(part) else NOTHING for part in np.split(values, sorted(cuts))]


@given(units=UNITS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_parts_merged_are_the_whole(units: list[tuple[int, int]], cuts: list[int]) -> None:
    values = np.array(units, dtype=float)
    parts = cut(values, [min(at, len(values)) for at in cuts])
    assert close(pooled(parts), measured(values))
    assert close(pooled(parts[::-1]), measured(values)), "in any order"


def test_the_check_sees_a_merge_that_forgets_how_far_the_parts_are_apart() -> None:
    values = np.array([[0.0, 1.0], [2.0, 1.0], [100.0, 1.0], [102.0, 1.0]])
    one, other = measured(values[:2]), measured(values[2:])
    naive = moments(4, values.mean(axis=0), (np.array(one.cov) + np.array(other.cov)) / 3)
    assert not close(naive, measured(values))


def test_large_amounts_lose_nothing() -> None:
    # Ten million a unit, a cent apart: the sum of squares has more digits than a float, and a merge must not need it.
    cents = [10**9 + (index * 7919) % 11 for index in range(5_000)]
    exact = Fraction(sum(cents), len(cents))
    variance = float(sum((cent - exact) ** 2 for cent in cents) / (len(cents) - 1))
    values = np.column_stack((np.array(cents, dtype=float), np.ones(len(cents))))
    merged = pooled([measured(part) for part in np.array_split(values, 100)])
    assert merged.cov[0][0] == pytest.approx(variance, rel=1e-9)
    assert merged.mean[0] == pytest.approx(float(exact), rel=1e-15)

    squares = float(np.square(values[:, 0]).sum() - values[:, 0].sum() ** 2 / len(values)) / (len(values) - 1)
    assert squares != pytest.approx(variance, rel=1e-3), "planted: sums of squares do lose it"


def test_one_unit_has_no_variance_and_adds_up() -> None:
    one, other = measured(np.array([[3.0, 1.0]])), measured(np.array([[5.0, 1.0]]))
    assert one.cov == ((0.0, 0.0), (0.0, 0.0))
    assert (one + other).cov[0][0] == 2.0


def test_nothing_changes_nothing() -> None:
    some = measured(np.array([[3.0, 1.0], [4.0, 2.0]]))
    assert some + NOTHING == some == NOTHING + some
    assert NOTHING + NOTHING == NOTHING
