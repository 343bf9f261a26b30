"""Whether units came to the arms as declared, and whether what was decided came back evenly: else nothing counts.

An arm that lost more units than another compares other people, and its effect means nothing. Two p values say so. The
one that may be looked at every day *blocks* a verdict: it has to be right however often it is asked. The classic one
knows only of today and finds smaller gaps; asked every day it is wrong more often than it says, so it only *warns*.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import chi2, chi2_contingency, chisquare, fisher_exact

from cashwrap.analysis.statistics.moments import Array

Alarm = Literal["none", "warns", "blocks"]
Counts = Mapping[str, int]
Shares = Mapping[str, float]
"""What each arm ought to get: in parts of 10,000, of one, or as expected counts; only how they compare matters."""

BLOCKS = 0.001
"""The anytime-valid p below which no verdict is given."""
WARNS = 0.01
"""The p, of either test, below which a report doubts."""
CONCENTRATIONS = (100.0, 10_000.0)
"""How far from the declared shares the test looks for a gap: some 5 and some 0.5 points of 100 at even shares."""
FEWEST = 5.0
"""Expected units of an arm in a cell for the chi-square approximation: Cochran (1954), Biometrics 10."""
TOLERATED = 0.01
"""A difference in lost exposures between arms that is let pass, however sure: decisions of one shopper are alike."""


class Day(NamedTuple):
    """The units that came in one day, or between any two looks, by arm, while ``shares`` held."""

    counts: Counts
    shares: Shares


class Ratio(NamedTuple):
    """Both p values, and what was expected and found over all days."""

    p: float
    classic: float
    expected: dict[str, float]
    found: dict[str, int]

    @property
    def alarm(self) -> Alarm:
        """What a report does about it."""
        if self.p < BLOCKS:
            return "blocks"
        return "warns" if min(self.p, self.classic) < WARNS else "none"


class Suspect(NamedTuple):
    """A part of the units in which the ratio is off. ``p`` is corrected for all parts that were asked.

    ``explains`` is the share of the whole chi-square that goes away without this part.
    """

    dimension: str
    value: str
    p: float
    found: dict[str, int]
    expected: dict[str, float]
    explains: float


class Loss(NamedTuple):
    """The share of an arm's decisions that never came back as exposures, beside the control's."""

    lost: float
    control: float
    p: float

    @property
    def alarm(self) -> Alarm:
        """Unequal loss chooses who is compared; a difference that is sure and not small blocks a verdict."""
        return "blocks" if self.p < BLOCKS and abs(self.lost - self.control) > TOLERATED else "none"


def check(days: Sequence[Day]) -> Ratio:
    """Whether units came in the declared shares, over days in their order; no units at all are no reason to doubt."""
    found: dict[str, int] = {}
    expected: dict[str, float] = {}
    for day in days:
        n, whole = sum(day.counts.values()), sum(day.shares.values())
        for arm in {**day.shares, **day.counts}:
            found[arm] = found.get(arm, 0) + day.counts.get(arm, 0)
            expected[arm] = expected.get(arm, 0.0) + n * day.shares.get(arm, 0.0) / whole
    return Ratio(anytime_p(days), classic_p(days), expected, found)


def anytime_p(days: Sequence[Day]) -> float:
    """A p value that stays valid however often one looks: one over the largest evidence that there has been.

    The evidence is the Bayes factor of a Dirichlet-multinomial mixture around the declared shares against these shares:
    Lindon and Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35; averaged over two widths,
    since a mean of such factors is one. Shares that change begin a factor of their own, and the factors multiply.
    """
    most = 0.0
    blocks: dict[tuple[tuple[str, float], ...], dict[str, int]] = {}
    evidence: dict[tuple[tuple[str, float], ...], Array] = {}
    for day in days:
        key = tuple(sorted(day.shares.items()))
        block = blocks.setdefault(key, {})
        for arm, count in day.counts.items():
            block[arm] = block.get(arm, 0) + count
        evidence[key] = _evidence(block, day.shares)
        most = max(most, float(logsumexp(sum(evidence.values()))) - math.log(len(CONCENTRATIONS)))
    return math.exp(-most)


def classic_p(days: Sequence[Day]) -> float:
    """Pearson's chi-square p of all units so far, shares that changed each by themselves; valid for one look."""
    blocks: dict[tuple[tuple[str, float], ...], dict[str, int]] = {}
    for day in days:
        block = blocks.setdefault(tuple(sorted(day.shares.items())), {})
        for arm, count in day.counts.items():
            block[arm] = block.get(arm, 0) + count
    statistics = [_chi_square(block, dict(key)) for key, block in blocks.items()]
    freedom = sum(degrees for _, degrees in statistics)
    return float(chi2.sf(sum(value for value, _ in statistics), freedom)) if freedom else 1.0


def drill_down(groups: Mapping[str, Mapping[str, Counts]], shares: Shares, alpha: float = WARNS) -> list[Suspect]:
    """Where the ratio is off: parts of the units, by dimension and value, whose own ratio is beyond chance.

    Every part with enough units is asked by a chi-square test, all of them together under Holm's correction (1979),
    Scandinavian Journal of Statistics 6. What explains most of the whole comes first. A dimension that the arms
    themselves can change, such as the steps reached, says what follows from the arm and not what is broken.
    """
    parts = [part for part in _parts(groups, shares) if min(part.expected.values()) >= FEWEST]
    suspects = [part for part in _holm(parts) if part.p < alpha]
    return sorted(suspects, key=lambda suspect: (-suspect.explains, suspect.p))


def loss(decided: Counts, seen: Counts, control: str) -> dict[str, Loss]:
    """How many of each arm's decisions came back as exposures, against the control's: by every arm but the control.

    ``decided`` is the servers' own tally. Pearson's chi-square test of two shares, Fisher's exact one where a count
    is small. Decisions of one shopper share their fate, so p is smaller than it ought to be: ``alarm`` also asks
    for a difference that matters.
    """
    mine = _lost(decided.get(control, 0), seen.get(control, 0))
    return {arm: _compared(_lost(n, seen.get(arm, 0)), mine) for arm, n in decided.items() if arm != control}


def _evidence(counts: Counts, shares: Shares) -> Array:
    """The logarithm of the Bayes factor against the shares, for each of the concentrations."""
    whole = sum(shares.values())
    arms = [arm for arm, share in shares.items() if share > 0]
    if any(count for arm, count in counts.items() if arm not in arms):
        return np.full(len(CONCENTRATIONS), np.inf)
    share = np.array([shares[arm] / whole for arm in arms])
    count = np.array([counts.get(arm, 0) for arm in arms], dtype=float)
    prior = np.array(CONCENTRATIONS)[:, None] * share
    marginal = gammaln(prior.sum(axis=1)) - gammaln(prior.sum(axis=1) + count.sum())
    marginal += (gammaln(prior + count) - gammaln(prior)).sum(axis=1)
    return np.asarray(marginal - count @ np.log(share))


def _chi_square(counts: Counts, shares: Shares) -> tuple[float, int]:
    """The statistic and its degrees of freedom; nothing is expected of arms without a share."""
    n, whole = sum(counts.values()), sum(shares.values())
    arms = [arm for arm, share in shares.items() if share > 0]
    if any(count for arm, count in counts.items() if arm not in arms):
        return math.inf, max(1, len(arms) - 1)
    if not n or len(arms) < 2:
        return 0.0, 0
    statistic, _ = chisquare([counts.get(arm, 0) for arm in arms], [n * shares[arm] / whole for arm in arms])
    return float(statistic), len(arms) - 1


def _holm(parts: list[Suspect]) -> Iterator[Suspect]:
    """Each part with its p corrected: the smallest times all of them, the next times one less, never falling."""
    least = 0.0
    for rank, part in enumerate(sorted(parts, key=lambda part: part.p)):
        least = max(least, min(1.0, part.p * (len(parts) - rank)))
        yield part._replace(p=least)


def _parts(groups: Mapping[str, Mapping[str, Counts]], shares: Shares) -> Iterator[Suspect]:
    whole = sum(shares.values())
    for dimension, values in groups.items():
        if len(values) < 2:
            continue  # one value is everybody: it points nowhere
        total = _summed(values.values())
        statistic, _ = _chi_square(total, shares)
        for value, counts in values.items():
            own, freedom = _chi_square(counts, shares)
            rest, _ = _chi_square({arm: n - counts.get(arm, 0) for arm, n in total.items()}, shares)
            expected = {arm: sum(counts.values()) * share / whole for arm, share in shares.items() if share > 0}
            explains = max(0.0, 1 - rest / statistic) if 0 < statistic < math.inf else 0.0
            p = float(chi2.sf(own, freedom)) if freedom else 1.0
            yield Suspect(dimension, value, p, dict(counts), expected, explains)


def _summed(parts: Iterable[Counts]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in parts:
        for arm, count in counts.items():
            total[arm] = total.get(arm, 0) + count
    return total


def _lost(decided: int, seen: int) -> tuple[int, int]:
    """How many were lost and how many came back; more cannot come back than were decided."""
    return max(0, decided - seen), min(decided, seen)


def _compared(arm: tuple[int, int], control: tuple[int, int]) -> Loss:
    table = np.array([arm, control])
    lost, base = (row[0] / row.sum() if row.sum() else 0.0 for row in table)
    if not table.sum(axis=0).all() or not table.sum(axis=1).all():
        return Loss(lost, base, 1.0)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    small = expected.min() < FEWEST
    p = fisher_exact(table).pvalue if small else chi2_contingency(table, correction=False).pvalue
    return Loss(float(lost), float(base), float(p))
