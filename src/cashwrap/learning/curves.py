"""Curves of a prediction, and whether what it says is what comes."""

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.results import Bin, Curve

Floats = NDArray[np.float64]
BINS = 10
POINTS = 200
"""Of a curve, at most."""


def reliability(scores: Floats, label: Floats, bins: int = BINS) -> tuple[Bin, ...]:
    """Rows in bins of about equal size by score, equal scores never apart: what was said, what came, of how many."""
    if not len(scores):
        return ()
    place = np.searchsorted(np.unique(np.quantile(scores, np.arange(1, bins) / bins)), scores, "left")
    counts = np.bincount(place)
    said, came = np.bincount(place, scores), np.bincount(place, label)
    return tuple(
        Bin(float(said[at] / counts[at]), float(came[at] / counts[at]), int(counts[at]))
        for at in np.flatnonzero(counts).tolist()
    )


def calibration_error(bars: tuple[Bin, ...]) -> float:
    """Expected calibration error over bins of equal size (Naeini and others, 2015; Nguyen and O'Connor, 2015): how far
    a chance is from what comes, on average."""
    total = sum(bar.count for bar in bars)
    return sum(bar.count * abs(bar.predicted - bar.observed) for bar in bars) / max(total, 1)


def calibration_by_chance(bars: tuple[Bin, ...]) -> float:
    """The calibration error that perfect chances would show among so few rows: the mean of |normal| in each bin."""
    total = sum(bar.count for bar in bars)
    spread = sum((bar.count * max(bar.predicted * (1.0 - bar.predicted), 0.0)) ** 0.5 for bar in bars)
    return float((2.0 / np.pi) ** 0.5 * spread / max(total, 1))


def roc_curve(scores: Floats, label: Floats) -> Curve:
    """The share of label 1 found against the share of label 0 disturbed, from the highest score down."""
    wrong, right = _steps(scores, label)
    return _curve("roc", wrong / max(wrong[-1], 1.0), right / max(right[-1], 1.0))


def precision_recall_curve(scores: Floats, label: Floats) -> Curve:
    """Precision against recall, from the highest score down."""
    wrong, right = _steps(scores, label)
    share = right[1:] / np.maximum(wrong[1:] + right[1:], 1.0)
    return _curve("precision_recall", right[1:] / max(right[-1], 1.0), share)


def _steps(scores: Floats, label: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(-scores, kind="stable")
    hit = label[order]
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    right = np.cumsum(hit)[last]
    return np.append(0.0, last + 1.0 - right), np.append(0.0, right)


def _curve(name: str, x: Floats, y: Floats) -> Curve:
    at = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(np.int64))
    return Curve(name, tuple(x[at].tolist()), tuple(y[at].tolist()))
