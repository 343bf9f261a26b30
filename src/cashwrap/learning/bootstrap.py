"""How sure a figure is: intervals by drawing the clusters of a test again, 2,000 times, the same draws for all models.

Every metric comes here as one value a row whose mean is the metric. For recall or log loss these are the rows' own
values; for AUC, average precision and F1 they are the infinitesimal jackknife's pseudo-values (Efron, *The Jackknife,
the Bootstrap and Other Resampling Plans*, 1982, chapter 6), which agree with drawing the metric itself to first order.
Rows of one cluster (a session, an order, a shopper) are drawn together (Davison and Hinkley, *Bootstrap Methods and
their Application*, 1997, section 3.8); a draw has Poisson weights in place of a multinomial's, which do the same and
can be made a part at a time (Chamandy and others, *Estimating Uncertainty for Massive Data Streams*, 2012).
"""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Figure

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
REPLICATES = 2_000
MOST = 20_000
"""Clusters that are drawn one by one. More are first thrown together at random into so many: the interval stays the
same on average, and its cost has a bound."""
FEWEST = 20
"""Clusters of one size below which no interval is honest."""
AT_ONCE = 4_000_000
"""Weights in memory at a time."""
ENDS = (0.025, 0.975)


class Difference(NamedTuple):
    """Ours less theirs, with its 95 % interval."""

    value: float
    low: float
    high: float


class Draws:
    """The draws of one test set. ``cluster`` says by row what belongs together; ``seed`` makes them the same again.

    What takes ``part`` tells of those rows alone, in the same draws.
    """

    def __init__(self, cluster: NDArray[Any], seed: int) -> None:
        _, codes = np.unique(cluster, return_inverse=True)
        self.clusters = int(codes.max()) + 1 if len(codes) else 0
        if self.clusters > MOST:
            codes = np.random.default_rng([seed, 1]).integers(0, MOST, self.clusters)[codes]
        self._codes = codes
        self._seed = seed

    @cached_property
    def _weights(self) -> NDArray[np.uint8]:
        """How often each cluster is in each draw: one byte each, 40 MB at most."""
        rng = np.random.default_rng(self._seed)
        width = min(self.clusters, MOST)
        return np.concatenate(
            [
                rng.poisson(1.0, (stop - start, width)).astype(np.uint8)
                for start, stop in pairwise(_steps(REPLICATES, AT_ONCE // max(width, 1)))
            ]
        )

    def means(self, columns: Mapping[str, Floats], part: Mask | None = None) -> dict[str, Floats]:
        """Each column's mean in every draw. Draws that hold no row at all are ``nan``."""
        rows = slice(None) if part is None else part
        codes, width = self._codes[rows], min(self.clusters, MOST)
        sums = [np.bincount(codes, values[rows], minlength=width) for values in columns.values()]
        totals = np.stack([np.bincount(codes, minlength=width).astype(np.float64), *sums], axis=1)
        bounds = _steps(REPLICATES, AT_ONCE // max(width, 1))
        drawn = np.concatenate([self._weights[a:b].astype(np.float64) @ totals for a, b in pairwise(bounds)])
        with np.errstate(invalid="ignore"):
            return {name: drawn[:, at] / drawn[:, 0] for at, name in enumerate(columns, 1)}

    def figures(self, columns: Mapping[str, Floats], part: Mask | None = None) -> dict[str, Figure]:
        """Each column's mean with its interval, or without one where there are too few clusters."""
        values = {name: _mean(column, part) for name, column in columns.items()}
        if not self.enough(part):
            return {name: Figure(value) for name, value in values.items()}
        return {name: Figure(values[name], *_interval(drawn)) for name, drawn in self.means(columns, part).items()}

    def difference(self, ours: Floats, theirs: Floats) -> Difference:
        """How much the mean of ours is above that of theirs on the same rows. Too few clusters prove nothing: their
        interval has zero inside, whatever was seen."""
        return self.differences({"": ours}, {"": theirs})[""]

    def differences(
        self, ours: Mapping[str, Floats], theirs: Mapping[str, Floats], part: Mask | None = None
    ) -> dict[str, Difference]:
        """The same for every metric that both have."""
        apart = {name: ours[name] - theirs[name] for name in ours if name in theirs}
        values = {name: _mean(column, part) for name, column in apart.items()}
        if not self.enough(part):
            return {name: _anything(value) for name, value in values.items()}
        return {name: Difference(values[name], *_interval(drawn)) for name, drawn in self.means(apart, part).items()}

    def enough(self, part: Mask | None = None) -> bool:
        """Whether there are clusters enough for an interval. Where few of them have most of the rows they tell as much
        as fewer of one size (Kish's effective number, *Survey Sampling*, 1965)."""
        rows = np.bincount(self._codes if part is None else self._codes[part])
        return len(rows) > 0 and int(rows.sum()) ** 2 >= FEWEST * int((rows**2).sum())


def paired(ours: Floats, theirs: Floats, cluster: NDArray[Any], seed: int) -> Difference:
    """The paired bootstrap of two models' values on the same rows."""
    return Draws(cluster, seed).difference(ours, theirs)


def _mean(values: Floats, part: Mask | None) -> float:
    return float(np.mean(values if part is None else values[part]))


def _steps(whole: int, step: int) -> list[int]:
    """Where parts of at most so many begin and end."""
    return [*range(0, whole, max(step, 1)), whole]


def _interval(drawn: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, ENDS)
    return float(low), float(high)


def _anything(value: float) -> Difference:
    return Difference(value, -1.0 - abs(value), 1.0 + abs(value))
