"""Sufficient statistics: what comparing two arms needs to know of their units, however many those are."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float64]
Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


class Moments(Struct, frozen=True):
    """Units counted, and the means and covariances of what was measured on each.

    The first value of a unit is a metric's numerator, the second its denominator (1 for a plain mean), the others are
    covariates: what was known about the unit when it was exposed. ``cov`` is the sample covariance, divided by n - 1;
    of fewer than two units it is all zeros.
    """

    n: int
    mean: Vector
    cov: Matrix

    def __add__(self, other: "Moments") -> "Moments":
        """Both together, as if their units had been measured at once: Chan, Golub and LeVeque (1979), eq. 2.1."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        mine, theirs = np.array(self.mean), np.array(other.mean)
        apart = theirs - mine
        squares = np.array(self.cov) * (self.n - 1) + np.array(other.cov) * (other.n - 1)
        squares += np.outer(apart, apart) * (self.n * other.n / n)
        return moments(n, mine + apart * (other.n / n), squares / (n - 1))


def moments(n: int, mean: Array, cov: Array) -> Moments:
    """Moments of arrays: ``mean`` of shape (k,), ``cov`` of shape (k, k)."""
    return Moments(int(n), tuple(map(float, mean)), tuple(tuple(map(float, row)) for row in cov))


def measured(values: Array) -> Moments:
    """Moments of units: ``values`` of shape (n, k), one unit at least."""
    n, width = values.shape
    cov = np.atleast_2d(np.cov(values, rowvar=False)) if n > 1 else np.zeros((width, width))
    return moments(n, values.mean(axis=0), cov)


def pooled(parts: Sequence[Moments]) -> Moments:
    """All parts together. Raises ``TypeError`` where there are none."""
    return reduce(Moments.__add__, parts)
