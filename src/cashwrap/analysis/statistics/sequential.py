"""How large an effect has to be at each of several looks, so that looking often finds nothing that is not there.

Two designs. *Group-sequential*: the looks are planned, each may spend a part of the error. *Always-valid*: one may look
at any moment, and pays for it with wider intervals. Both give one number for each look, the multiple of the standard
error that counts: an effect is significant where it is larger, and effect ± multiple · error is its interval. The
intervals of all looks together miss the truth with probability ``alpha`` at most, whenever somebody stops.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import lambertw, ndtr, ndtri

from cashwrap.analysis.statistics.moments import Array

Spending = Literal["obrien_fleming", "pocock"]

LARGEST = 8.0
"""No boundary is higher: beyond it lies an error of 1e-15, and early looks would have numbers without meaning."""
SAME = 1 / 1_000
"""Information that grew by less than this share is what it was: two looks at the same data."""
BURN_IN = 500
"""Units before an always-valid interval says anything: it rests on the central limit theorem, as every other does."""
TUNED_AT = 10_000
"""Units at which an always-valid interval is narrowest, where nothing else is said."""


def spent(clock: float, alpha: float, spending: Spending = "obrien_fleming") -> float:
    """The part of ``alpha`` that looks up to ``clock``, the planned time's share that has passed, may use up.

    Lan and DeMets (1983), Biometrika 70: the O'Brien-Fleming type 2 - 2Φ(z/√t), the Pocock type α·ln(1 + (e - 1)t),
    each side by itself with half of the error. Time after the planned end counts as the end.
    """
    clock = min(max(clock, 0.0), 1.0)
    if clock == 0:
        return 0.0
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * clock)
    return 4 * float(ndtr(ndtri(alpha / 4) / math.sqrt(clock)))


def boundaries(
    clock: Sequence[float], information: Sequence[float], alpha: float, spending: Spending = "obrien_fleming"
) -> tuple[float, ...]:
    """The two-sided critical z of each look: exact, by recursive integration.

    ``clock`` is the share of the planned time at each look, ascending: it decides how much error is spent. What the
    looks have in common is decided by the ``information`` there was, 1 / variance of the effect, in any unit. Lan and
    DeMets (1989), Statistics in Medicine 8; the integration is Armitage, McPherson and Rowe's (1969), JRSS A 132, as in
    Jennison and Turnbull (2000), chapter 19. A look at or after the end spends all that is left, whether there is more
    or less information than was planned. Information that seems to shrink, because a variance was estimated, counts as
    unchanged; a look without information has no boundary (``inf``) and spends nothing.
    """
    survivors, used, last = _EVERYBODY, 0.0, 0.0
    critical: list[float] = []
    for time, known in zip(clock, accumulate(information, max), strict=True):
        if known <= 0:
            critical.append(math.inf)
            continue
        if last and known > last * (1 + SAME):
            used += survivors.crossing(critical[-1], last)
            survivors, last = survivors.after(critical[-1], last, known), known
        last = last or known
        critical.append(_boundary(survivors, last, spent(time, alpha, spending) - used))
    return tuple(critical)


def crossing(critical: Sequence[float], information: Sequence[float], drift: float = 0.0) -> float:
    """The chance that an effect is found at one of the looks, on either side.

    ``information`` grows; ``drift`` is the effect in standard errors at an information of 1. Jennison and Turnbull
    (2000), chapter 19.
    """
    survivors, total = _EVERYBODY, 0.0
    for look, (bound, known) in enumerate(zip(critical, information, strict=True)):
        total += survivors.crossing(bound, known, drift)
        if look + 1 < len(critical):
            survivors = survivors.after(bound, known, information[look + 1], drift)
    return total


@lru_cache(256)
def inflation(looks: int, alpha: float, power: float, spending: Spending = "obrien_fleming") -> float:
    """How many times the units of a test that is looked at once are needed, with looks at even distances.

    Jennison and Turnbull (2000), section 2.3: the square of the drift that has this power, over that of one look.
    """
    if looks == 1:
        return 1.0
    times = tuple((look + 1) / looks for look in range(looks))
    critical = boundaries(times, times, alpha, spending)
    once = float(ndtri(1 - alpha / 2) + ndtri(power))
    drift = _root(lambda drift: crossing(critical, times, drift) - power, once, 2 * once)
    return (drift / once) ** 2


def sequence_critical(n: int, alpha: float, tuned_at: float = TUNED_AT, burn_in: int = BURN_IN) -> float:
    """The multiple of the standard error that holds at every moment at once: an asymptotic confidence sequence.

    ``n`` units have been counted, all arms together. Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Annals of
    Statistics 52, theorem 2.2. It is narrowest, against the error, at ``tuned_at`` units, which may not be chosen by
    what was seen. Before ``burn_in`` units there is no statement (``inf``).
    """
    if n < burn_in:
        return math.inf
    times = n * tuned(tuned_at, alpha)
    return math.sqrt(2 * (times + 1) / times * math.log(math.sqrt(times + 1) / alpha))


def tuned(units: float, alpha: float) -> float:
    """The ρ² of the mixture that makes a confidence sequence narrowest at ``units``.

    Waudby-Smith et al. (2024), appendix B.2: (-W(-α²/e) - 1) / t, with the lower branch of Lambert's W.
    """
    return float(-lambertw(-(alpha**2) / math.e, -1).real - 1) / units


def repeated_p(z: float, critical_at: Callable[[float], float]) -> float:
    """The p value of a look that holds over all looks: the smallest error at which ``z`` would be significant there.

    ``critical_at`` gives the look's critical z for an error, by whichever design. Jennison and Turnbull (2000), chapter
    9. It is what false-discovery control needs of a metric that is looked at several times; below 1e-9 it is 1e-9.
    """
    z = abs(z)
    if z <= critical_at(_MOST):
        return 1.0
    if z >= critical_at(_LEAST):
        return _LEAST
    return math.exp(_root(lambda log: critical_at(math.exp(log)) - z, math.log(_LEAST), math.log(_MOST), _CLOSE))


class _Survivors(NamedTuple):
    """How the score of those who have crossed no boundary yet is spread: a density as masses on quadrature nodes."""

    at: Array
    mass: Array
    information: float

    def crossing(self, critical: float, information: float, drift: float = 0.0) -> float:
        """The chance to be among them now, and beyond the boundary at the next look."""
        step = information - self.information
        bound, middle = critical * math.sqrt(information), self.at + drift * step
        beyond = ndtr((middle - bound) / math.sqrt(step)) + ndtr((-middle - bound) / math.sqrt(step))
        return float(self.mass @ beyond)

    def after(self, critical: float, information: float, coming: float, drift: float = 0.0) -> "_Survivors":
        """Those who do not cross at this look; nodes lie close enough for the step to the ``coming`` one."""
        step = information - self.information
        bound = critical * math.sqrt(information)
        nodes, weights = _nodes(bound, min(math.sqrt(step), math.sqrt(coming - information)))
        apart = (nodes[:, None] - self.at[None, :] - drift * step) / math.sqrt(step)
        density = np.exp(-0.5 * apart**2) @ self.mass / math.sqrt(2 * math.pi * step)
        return _Survivors(nodes, weights * density, information)


_EVERYBODY = _Survivors(np.zeros(1), np.ones(1), 0.0)
_LEAST, _MOST, _CLOSE = 1e-9, 0.999, 1e-3
"""The smallest repeated p, the largest below 1, and how close its logarithm is found."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
WIDEST, MOST_PANELS = 2.5, 250
"""A panel of the integration in standard deviations of a step, and how many there are at most."""


def _nodes(bound: float, deviation: float) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights in panels over [-bound, bound], close enough for a step's deviation."""
    panels = min(MOST_PANELS, max(1, math.ceil(2 * bound / (WIDEST * deviation))))
    edges = np.linspace(-bound, bound, panels + 1)
    half = bound / panels
    nodes = (edges[:-1, None] + half * (1 + _NODES[None, :])).ravel()
    return nodes, np.tile(half * _WEIGHTS, panels)


def _boundary(survivors: _Survivors, information: float, error: float) -> float:
    """The z beyond which lies this much error, of those who have crossed nothing yet."""
    if survivors.crossing(LARGEST, information) >= error:
        return LARGEST
    if survivors.crossing(0.0, information) <= error:
        return 0.0
    return _root(lambda critical: survivors.crossing(critical, information) - error, 0.0, LARGEST)


def _root(function: Callable[[float], float], low: float, high: float, close: float = 1e-10) -> float:
    return float(brentq(function, low, high, xtol=close))
