"""Effects in the parts of a dimension (devices, say): drawn towards what they have in common, and tested for more.

All holds for parts without a unit in common, where the same two arms are compared. Segments overlap: let each be a
dimension of its own, in it or not. Arms that share a control each have their own family of parts.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from scipy.stats import chi2

from cashwrap.analysis.results import Interval
from cashwrap.analysis.statistics.compare import Difference
from cashwrap.analysis.statistics.moments import Array

GRID = 400


class Shrunk(Struct, frozen=True):
    """A part's effect after looking at all parts, with its interval."""

    effect: float
    deviation: float
    interval: Interval


def shrink(parts: Sequence[Difference], critical: float) -> tuple[Shrunk, ...]:
    """Each part's absolute effect, drawn to their common mean the more, the less they differ beyond chance.

    The normal-normal model of Gelman et al. (2013), "Bayesian Data Analysis", eq. 5.17 to 5.21. How much true effects
    vary is not put at one estimate, which is zero for half of all shops and makes intervals too narrow, but averaged
    over: evenly over all degrees of shrinkage, the uniform shrinkage prior of Daniels (1999), "A prior for the variance
    in hierarchical models", doi:10.2307/3316112. ``critical`` deviations on either side make the interval.
    """
    effects, variances = _columns(parts)
    if len(parts) < 2:
        return tuple(_shrunk(part.absolute, part.error, critical) for part in parts)
    even = (np.arange(GRID) + 0.5) / GRID
    # Finer towards no shrinkage at all, where parts are far apart; its weight makes up for that.
    pull, weight = even**3, even**2
    between = (len(parts) / (1 / variances).sum()) * (1 - pull) / pull
    weights = 1 / (between[:, None] + variances)
    total = weights.sum(axis=1)
    centre = weights @ effects / total
    likely = np.log(weights).sum(axis=1) - np.log(total) - (weights * (effects - centre[:, None]) ** 2).sum(axis=1)
    chance = weight * np.exp((likely - likely.max()) / 2)
    chance /= chance.sum()
    drawn = variances * weights
    means = drawn * centre[:, None] + (1 - drawn) * effects
    spread = (1 - drawn) * variances + drawn**2 / total[:, None]
    mean = chance @ means
    deviation = np.sqrt(chance @ (spread + (means - mean) ** 2))
    return tuple(_shrunk(float(m), float(d), critical) for m, d in zip(mean, deviation, strict=True))


def heterogeneity(parts: Sequence[Difference]) -> float | None:
    """The chance that parts differ at least this much if the effect is the same in all; ``None`` for fewer than two.

    Cochran's Q (1954), "The combination of estimates from different experiments", doi:10.2307/3001666.
    """
    if len(parts) < 2:
        return None
    effects, variances = _columns(parts)
    weights = 1 / variances
    centre = weights @ effects / weights.sum()
    return float(chi2.sf(weights @ (effects - centre) ** 2, len(parts) - 1))


def _columns(parts: Sequence[Difference]) -> tuple[Array, Array]:
    return np.array([part.absolute for part in parts]), np.array([part.error**2 for part in parts])


def _shrunk(effect: float, deviation: float, critical: float) -> Shrunk:
    return Shrunk(effect, deviation, Interval(effect - critical * deviation, effect + critical * deviation))
