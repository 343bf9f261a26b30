"""A logistic line over encoded numbers: long tails drawn in, each of the same spread, missing a weight of its own."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FARTHEST = 4.0
"""Spreads from the mean beyond which a value counts as no farther."""


class Line(NamedTuple):
    """By number of a row."""

    tail: NDArray[np.int8]
    """1 where the logarithm is looked at, since the tail is long."""
    mean: Floats
    spread: Floats
    weight: Floats
    """For each number, then for each that it is missing."""
    intercept: Floats

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Line":
        """The line that ``parts`` wrote."""
        return cls(**{name: np.asarray(arrays[f"line_{name}"]) for name in cls._fields})

    def parts(self) -> dict[str, NDArray[Any]]:
        """Its arrays, for an artefact."""
        return {f"line_{name}": array for name, array in self._asdict().items()}

    def score(self, row: Floats) -> float:
        """The log-odds of one row."""
        return float(self.scores(row[None, :])[0])

    def scores(self, rows: Floats) -> Floats:
        """The same for many."""
        return np.asarray((self.spreads(rows) * self.weight).sum(axis=1) + self.intercept[0])

    def spreads(self, rows: Floats) -> Floats:
        """What the weights are multiplied with."""
        shrunk = np.where(self.tail, np.sign(rows) * np.log1p(np.abs(rows)), rows)
        missing = np.isnan(rows)
        apart = np.clip((shrunk - self.mean) / self.spread, -FARTHEST, FARTHEST)
        return np.concatenate([np.where(missing, 0.0, apart), missing], axis=1)
