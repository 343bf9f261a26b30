"""Fits what scores a row: boosted trees by LightGBM, a regularised logistic line by Newton's method, or both."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from cashwrap.propensity.line import Line

Floats = NDArray[np.float64]
Settings = Mapping[str, Any]
MOST_TREES = 400
"""More would not be asked in time."""
PATIENCE = 40
"""Trees that may bring nothing before no more are tried."""
LONG = 0.5
"""Skew from which the logarithm of a number is looked at."""
_STEPS = 50
_PRECISE = 1e-9
_TREES = {
    "objective": "binary",
    "max_depth": 6,
    "learning_rate": 0.05,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 20_170,
    "verbose": -1,
}
"""The same everywhere: the same data make the same trees."""


class Scorers(NamedTuple):
    """What was fitted; one of the two may be missing."""

    trees: Any | None
    """LightGBM's booster."""
    line: Line | None
    share: float
    """Of the line."""

    def scores(self, rows: Floats) -> Floats:
        """Log-odds."""
        found = np.zeros(len(rows))
        if self.trees is not None:
            found += (1.0 - self.share) * np.asarray(self.trees.predict(rows, raw_score=True))
        if self.line is not None:
            found += self.share * self.line.scores(rows)
        return found


def fitted(rows: Floats, label: Floats, settings: Settings) -> Scorers:
    """The scorers that ``settings`` name."""
    model = settings["model"]
    trees = None if model == "line" else boosted(rows, label, settings["leaves"], settings["trees"])
    line = None if model == "trees" else straight(rows, label, settings["strength"])
    return Scorers(trees, line, {"trees": 0.0, "line": 1.0}.get(model) or float(settings.get("share", 0.0)))


def boosted(rows: Floats, label: Floats, leaves: int, trees: int) -> Any:
    """So many trees with so many leaves."""
    return lightgbm.train(_parameters(leaves, len(label)), lightgbm.Dataset(rows, label), num_boost_round=trees)


def stopped(rows: Floats, label: Floats, leaves: int, tested: tuple[Floats, Floats]) -> Any:
    """As many trees as make the log loss of other rows smaller, plus those that were tried in vain."""
    data = lightgbm.Dataset(rows, label)
    judge = lightgbm.Dataset(tested[0], tested[1], reference=data)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(_parameters(leaves, len(label)), data, MOST_TREES, valid_sets=[judge], callbacks=[stop])


def straight(rows: Floats, label: Floats, strength: float, *, tails: bool = True) -> Line:
    """A logistic line, its weights held down by a ridge of ``1 / strength``; ``tails`` may be drawn in."""
    line = _spread(rows, tails=tails)
    design = np.concatenate([line.spreads(rows), np.ones((len(rows), 1))], axis=1)
    ridge = np.full(design.shape[1], 1.0 / strength)
    ridge[-1] = 0.0
    share = float(label.mean())
    weight = np.zeros(design.shape[1])
    weight[-1] = np.log(share / (1.0 - share))
    loss = _loss(design, weight, label, ridge)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-(design @ weight)))
        slope = design.T @ (chance - label) + ridge * weight
        curve = (design * (chance * (1.0 - chance))[:, None]).T @ design + np.diag(ridge + _PRECISE)
        step, size = np.linalg.solve(curve, slope), 1.0
        while (tried := _loss(design, weight - size * step, label, ridge)) > loss and size > _PRECISE:
            size /= 2.0
        if loss - tried <= _PRECISE * len(label):
            break
        weight, loss = weight - size * step, tried
    return line._replace(weight=weight[:-1], intercept=weight[-1:])


def chances(odds: Floats) -> Floats:
    """Of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0))))


def _parameters(leaves: int, rows: int) -> dict[str, Any]:
    return {**_TREES, "num_leaves": leaves, "min_data_in_leaf": min(50, max(5, rows // 200))}


def _spread(rows: Floats, *, tails: bool) -> Line:
    """A line without weights: where each number lies and how far it spreads."""
    width = rows.shape[1]
    none = np.zeros(width)
    plain = Line(np.zeros(width, np.int8), none, np.ones(width), np.zeros(2 * width), np.zeros(1))
    mean, spread, skew = _moments(rows)
    if not tails:
        return plain._replace(mean=mean, spread=spread)
    tail = (skew > LONG).astype(np.int8)
    mean, spread, _ = _moments(np.where(tail, np.sign(rows) * np.log1p(np.abs(rows)), rows))
    return plain._replace(tail=tail, mean=mean, spread=spread)


def _moments(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, spread and skew of each number, missing ones left out; a constant has a spread of 1 and no skew."""
    there = ~np.isnan(rows)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, rows, 0.0).sum(axis=0) / count
    apart = np.where(there, rows - mean, 0.0)
    spread = np.sqrt((apart**2).sum(axis=0) / count)
    flat = spread <= _PRECISE * np.maximum(np.abs(mean), 1.0)
    spread = np.where(flat, 1.0, spread)
    return mean, spread, np.where(flat, 0.0, ((apart / spread) ** 3).sum(axis=0) / count)


def _loss(design: Floats, weight: Floats, label: Floats, ridge: Floats) -> float:
    odds = design @ weight
    return float((np.logaddexp(0.0, odds) - label * odds).sum() + 0.5 * (ridge * weight**2).sum())
