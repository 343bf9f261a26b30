"""A posterior view of a difference: how likely the arm is better, and what is lost on average if it is not.

It stands beside the test and is no rule to stop by: looked at daily, it promises nothing about false finds.
"""

from math import exp, pi, sqrt

from msgspec import Struct
from scipy.special import ndtr

from cashwrap.analysis.statistics.compare import Difference
from cashwrap.declarations import Better

PRIOR = 0.3
"""Before any data, relative effects are thought normal around none with this deviation: two in three within 30 %."""


class Posterior(Struct, frozen=True):
    """``better`` is the chance that the arm is better than control, ``harm`` that it is worse by more than a margin.

    ``effect`` and its ``deviation`` are of the absolute difference, as is ``expected_loss``: the mean of what taking
    the arm would lose, counting nothing where it wins.
    """

    effect: float
    deviation: float
    better: float
    expected_loss: float
    harm: float


def posterior(difference: Difference, better: Better = "higher", *, margin: float = 0.0) -> Posterior:
    """Normal likelihood, and a normal prior of ``PRIOR`` on the relative effect around none.

    ``margin`` is of control's value. Where that value is not surely away from zero the prior is flat, and ``margin``
    counts with the value as it is. Gelman et al. (2013), "Bayesian Data Analysis", eq. 2.10; the expected loss is the
    normal loss integral of Raiffa and Schlaifer (1961), "Applied Statistical Decision Theory", ch. 5.
    """
    size = abs(difference.control)
    weight = 0.0 if difference.relative is None else 1 / (PRIOR * size) ** 2
    precision = 1 / difference.error**2 + weight
    effect = difference.absolute / difference.error**2 / precision
    deviation = sqrt(1 / precision)
    gain = effect if better == "higher" else -effect
    z = gain / deviation
    return Posterior(
        effect=effect,
        deviation=deviation,
        better=float(ndtr(z)),
        expected_loss=max(0.0, deviation * exp(-z * z / 2) / sqrt(2 * pi) - gain * float(ndtr(-z))),
        harm=float(ndtr((-margin * size - gain) / deviation)),
    )
