"""Scores to chances that come true: Platt's line through the log-odds, or a rising line of pieces (isotonic).

Both are fitted on predictions of rows that the model had not seen, and chosen by log loss on rows that the calibration
had not seen.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from cashwrap.learning.measures import log_loss
from cashwrap.propensity.predictor import Calibration

Floats = NDArray[np.float64]
NONE = np.empty(0)
FEWEST_IN_PIECE = 30
"""Rows from which a piece of the rising line is made: of fewer its height would be chance."""
MOST_PIECES = 200
_PRECISE = 1e-9


class Chosen(NamedTuple):
    """A calibration and what kind it is."""

    kind: str
    calibration: Calibration


def calibrated(scores: Floats, label: Floats, fold: NDArray[np.int64]) -> Chosen:
    """The better of the two. ``scores`` are log-odds; ``fold`` keeps rows of one group together."""
    half = fold % 2 == 0
    losses = {}
    for kind, make in _KINDS.items():
        chances = np.empty(len(scores))
        for test in (half, ~half):
            chances[test] = make(scores[~test], label[~test]).chances(scores[test])
        losses[kind] = log_loss(chances, label)
    kind = min(losses, key=lambda each: losses[each])
    return Chosen(kind, _KINDS[kind](scores, label))


def platt(scores: Floats, label: Floats) -> Calibration:
    """Slope and intercept by maximum likelihood against labels that are drawn in a little, so that no chance becomes 0
    or 1 (Platt, 1999; Newton's method as by Lin, Lin and Weng, 2007)."""
    ups = float(label.sum())
    downs = len(label) - ups
    aim = np.where(label > 0, (ups + 1.0) / (ups + 2.0), 1.0 / (downs + 2.0))
    design = np.stack([scores, np.ones(len(scores))], axis=1)
    found = np.array([0.0, np.log((ups + 1.0) / (downs + 1.0))])
    loss = _entropy(design @ found, aim)
    for _ in range(100):
        chance = 1.0 / (1.0 + np.exp(-(design @ found)))
        slope = design.T @ (chance - aim)
        curve = (design * (chance * (1.0 - chance))[:, None]).T @ design + _PRECISE * np.eye(2)
        step, size = np.linalg.solve(curve, slope), 1.0
        while (tried := _entropy(design @ (found - size * step), aim)) > loss and size > _PRECISE:
            size /= 2.0
        found = found - size * step
        if loss - tried < _PRECISE * len(scores):
            break
        loss = tried
    return Calibration(NONE, NONE, found)


def isotonic(scores: Floats, label: Floats) -> Calibration:
    """The rising steps that fit best, joined through their middles, so that scores keep their order (centred isotonic
    regression: Oron and Flournoy, 2017). Each step is drawn to the base rate by one example, so that none is 0 or 1."""
    order = np.argsort(scores, kind="stable")
    score, hit = scores[order], label[order]
    # Equal scores, and rows that are too few for a step of their own, are one.
    size = max(FEWEST_IN_PIECE, len(score) // MOST_PIECES)
    start = np.searchsorted(score, score[::size])
    start = np.unique(start[start <= max(len(score) - size, 0)])
    count = np.diff(start, append=len(score)).astype(np.float64)
    middle = np.add.reduceat(score, start) / count
    share = np.add.reduceat(hit, start) / count
    fitted = isotonic_regression(share, weights=count)
    block, weight = fitted.blocks[:-1], fitted.weights
    middle = np.add.reduceat(middle * count, block) / weight
    base = float(label.mean())
    chance = (fitted.x[block] * weight + base) / (weight + 1.0)
    rising = np.maximum.accumulate(chance)
    return Calibration(middle, np.log(rising / (1.0 - rising)), NONE)


_KINDS = {"platt": platt, "isotonic": isotonic}


def _entropy(odds: Floats, aim: Floats) -> float:
    return float((np.logaddexp(0.0, odds) - aim * odds).sum())
