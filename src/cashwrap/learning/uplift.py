"""Whom an offer moves: models of its effect on the label, learned from randomised offers and from nothing else.

Three kinds are tried. ``two`` learns the chance with and without the offer and takes the difference (a T-learner).
``trees`` and ``line`` learn the effect itself, from what is left of label and treatment once that is taken away which
was to be expected (an R-learner: Nie and Wager, *Quasi-oracle estimation of heterogeneous treatment effects*, 2021).
The best is the one whose effects, on shoppers that it had not seen, best foretell who is moved: the slope of the effect
along the score, in standard errors (the best linear predictor of Chernozhukov and others, 2018). The same slope, from 0
to 1, brings a model's differences to the size that they prove to have.
"""

from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning.data import Table
from cashwrap.learning.encoding import encoded, folds_of
from cashwrap.learning.qini import arms, evaluate
from cashwrap.learning.randomised import check_randomised
from cashwrap.learning.results import Trial
from cashwrap.learning.splits import chosen, learned_from
from cashwrap.propensity.encoder import Encoder
from cashwrap.propensity.line import Line
from cashwrap.propensity.trees import parsed
from cashwrap.propensity.uplift import Uplift

__all__ = ["cross_scores", "evaluate", "fit", "scores", "search"]

Told = Callable[[float, str], None]
Floats = NDArray[np.float64]
Settings = Mapping[str, Any]
FOLDS = 3
"""Of the search, and of the scale."""
SEED = 20_122
SMOOTHING = 20.0
ROUNDS = (25, 50, 100, 200)
"""Trees that are looked at; a search stops where more of them are worse."""
LEAST_SLOPE = 0.05
"""Differences are made smaller twentyfold at most: their order is left for the evaluation to judge."""
CANDIDATES: tuple[Settings, ...] = (
    {"learner": "line", "ridge": 0.01},
    {"learner": "line", "ridge": 0.1},
    {"learner": "trees", "leaves": 3, "share": 0.05},
    {"learner": "trees", "leaves": 6, "share": 0.02},
    {"learner": "two", "leaves": 4, "share": 0.03},
    {"learner": "two", "leaves": 8, "share": 0.01},
)
"""``share`` is of the rows that a leaf has at least; ``ridge`` of the rows that count against each weight."""
LEAST_LEAF = 10
"""Rows that a leaf has at least, however small the table is."""
EXPECTING = 50
"""Trees that say what label is to be expected of a row."""
_PLAIN = np.array([1.0, 0.0])


class _Left(NamedTuple):
    """What is left of label and treatment once what was to be expected is taken away, by row."""

    label: Floats
    treatment: Floats


class _Ready(NamedTuple):
    """Rows as they are learned from."""

    table: Table
    encoder: Encoder
    rows: Floats
    left: _Left


class _Fold(NamedTuple):
    """All rows but some, and those."""

    train: _Ready
    rest: NDArray[np.bool_]
    rows: Floats
    """The rest, as the train's encoder reads them."""


def search(table: Table, told: Told = lambda _, __: None) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """The settings that rank best the shoppers that they were not learned from, and all that was tried.

    A trial's value is the slope of the effect along the score in standard errors: below 2 or so, there is no telling it
    from chance. The rows that are for testing have no part in
    it. Raises ``InvalidInput`` as ``check_randomised`` and ``splits.learned_from`` do.
    """
    return _searched(_checked(table), told)


def _searched(table: Table, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    told(0.0, "taking away what is to be expected")
    left, folds = _left(table), _folds(table)
    trials: list[Trial] = []
    for number, settings in enumerate(CANDIDATES, 1):
        told(number / (len(CANDIDATES) + 1), f"trying {settings['learner']}")
        trials += _tried(settings, folds, left)
    best = max(trials, key=lambda trial: trial.value)
    return dict(best.settings), tuple(trials)


def fit(table: Table, settings: Settings, told: Told = lambda _, __: None) -> Artefact:
    """The model with these settings, learned from all rows that are not for testing. Raises ``InvalidInput`` as
    ``search`` does."""
    table = _checked(table)
    told(0.0, "learning effects")
    model = _fitted(table, settings)
    arrays, texts = model.parts()
    told(1.0, "learned")
    return Artefact("uplift", arrays, texts, dict(settings))


def scores(artefact: Artefact, table: Table) -> Floats:
    """The effect on each row's chance that a model tells."""
    return Uplift.of(artefact).predict_many(table.columns)


def cross_scores(table: Table, settings: Settings | None, folds: int = 5, seed: int = SEED) -> Floats:
    """Each row's effect by a model that was learned from the other folds alone; ``settings`` of ``None`` are searched
    for there as well, so that no row had a part in them.

    All folds have the same mean: what the effect on everybody was in the other folds says nothing of a shopper, and
    would rank each fold the lower the higher its own effect is.
    """
    _checked(table)
    fold, found = folds_of(table.group, folds, seed), np.zeros(len(table.label))
    for number in range(folds):
        train, rest = chosen(table, fold != number), fold == number
        model = _fitted(train, _searched(train, lambda _, __: None)[0] if settings is None else settings)
        found[rest] = model.predict_many(chosen(table, rest).columns)
    means = np.bincount(fold, found) / np.bincount(fold)
    return np.asarray(found - means[fold] + found.mean())


def _checked(table: Table) -> Table:
    """The rows to learn from."""
    check_randomised(table)
    learned = learned_from(table)
    treated, _ = arms(learned)
    if any(np.ptp(learned.label[side]) == 0 for side in (treated, ~treated)):
        message = "in one of the arms everybody has the same label: nothing tells whom the offer moved"
        raise InvalidInput(message, code="one_class")
    return learned


# --- one configuration ---


def _tried(settings: Settings, folds: Sequence[_Fold], left: _Left) -> list[Trial]:
    """A candidate with as many trees as it is tried with, as long as more are better."""
    began = process_time()
    growing = [_Growing(fold.train, settings) for fold in folds]
    found = np.zeros(len(left.label))
    trials: list[Trial] = []
    for many in ROUNDS if settings["learner"] != "line" else (0,):
        for fold, each in zip(folds, growing, strict=True):
            found[fold.rest] = each.at(many).effects(fold.rows)
        value = _slope(left, found)[1]
        trial = {**settings, "rounds": many} if many else dict(settings)
        trials.append(Trial(trial, value, process_time() - began))
        if len(trials) > 1 and value < trials[-2].value:
            break
    return trials


def _fitted(table: Table, settings: Settings) -> Uplift:
    """A model of all rows, to scale by what it is worth on rows that it has not seen."""
    ready, rounds = _ready(table), settings.get("rounds", 0)
    unseen = np.zeros(len(table.label))
    for fold in _folds(table):
        unseen[fold.rest] = _Growing(fold.train, settings).at(rounds).effects(fold.rows)
    slope = float(np.clip(_slope(ready.left, unseen)[0], LEAST_SLOPE, 1.0))
    effect = float((ready.left.label * ready.left.treatment).sum() / (ready.left.treatment**2).sum())
    model = _Growing(ready, settings).at(rounds)
    mean = float(model.effects(ready.encoder.rows(table.columns)).mean())
    return model.scaled(slope, effect - slope * mean)


class _Growing:
    """A configuration as it learns: what it has after so many trees, not to scale yet."""

    def __init__(self, ready: _Ready, settings: Settings) -> None:
        self._encoder = ready.encoder
        self._line: Line | None = None
        self._boosters: list[lgb.Booster] = []
        if settings["learner"] == "line":
            self._line = _line(ready.rows, ready.left, settings["ridge"])
            return
        leaf, leaves = int(settings["share"] * len(ready.rows)), settings["leaves"]
        if settings["learner"] == "two":
            treated, _ = arms(ready.table)
            self._boosters = [
                _booster(ready.rows[side], ready.table.label[side], None, _params("binary", leaves, leaf // 2))
                for side in (treated, ~treated)
            ]
            return
        target, weight = ready.left.label / ready.left.treatment, ready.left.treatment**2
        self._boosters = [_booster(ready.rows, target, weight / weight.mean(), _params("l2", leaves, leaf))]

    def at(self, rounds: int) -> Uplift:
        """With so many trees, which it must not have passed."""
        if self._line is not None:
            return Uplift(self._encoder, (self._line,), _PLAIN)
        for booster in self._boosters:
            while booster.current_iteration() < rounds and not booster.update():
                pass
        return Uplift(self._encoder, tuple(parsed(each.model_to_string()) for each in self._boosters), _PLAIN)


def _params(objective: str, leaves: int, leaf: int) -> dict[str, Any]:
    return {
        "objective": objective,
        "num_leaves": leaves,
        "min_data_in_leaf": max(LEAST_LEAF, leaf),
        "learning_rate": 0.05,
        "verbose": -1,
        "num_threads": 1,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
    }


def _booster(rows: Floats, target: Floats, weight: Floats | None, params: dict[str, Any]) -> lgb.Booster:
    return lgb.Booster(params, lgb.Dataset(rows, target, weight=weight, params=params))


def _line(rows: Floats, left: _Left, ridge: float) -> Line:
    """Ridge regression of what is left of the label on what is left of the treatment, times each number of a row."""
    with np.errstate(invalid="ignore"):
        long = (np.nanmin(rows, axis=0, initial=np.inf) >= 0) & (_skew(rows) > 2)
    shrunk = np.where(long, np.sign(rows) * np.log1p(np.abs(rows)), rows)
    there = np.maximum(np.isfinite(rows).sum(axis=0), 1)
    mean = np.nansum(shrunk, axis=0) / there
    spread = np.sqrt(np.nansum((shrunk - mean) ** 2, axis=0) / there)
    spread = np.where(spread > 0, spread, 1.0)
    width = rows.shape[1]
    line = Line(long.astype(np.int8), mean, spread, np.zeros(2 * width), np.zeros(1))
    facts = np.concatenate([line.spreads(rows), np.ones((len(rows), 1))], axis=1) * left.treatment[:, None]
    penalty = np.append(np.full(2 * width, ridge), 0.0) * (left.treatment**2).sum()
    weight = np.asarray(np.linalg.solve(facts.T @ facts + np.diag(penalty + 1e-9), facts.T @ left.label), np.float64)
    return line._replace(weight=weight[:-1], intercept=weight[-1:])


def _skew(rows: Floats) -> Floats:
    there = np.maximum(np.isfinite(rows).sum(axis=0), 1)
    apart = rows - np.nansum(rows, axis=0) / there
    second, third = np.nansum(apart**2, axis=0) / there, np.nansum(apart**3, axis=0) / there
    return np.asarray(third / np.maximum(second, 1e-12) ** 1.5)


# --- what is left, and how effects go with scores ---


def _ready(table: Table) -> _Ready:
    return _Ready(table, *encoded(table, SMOOTHING), _left(table))


def _folds(table: Table) -> list[_Fold]:
    found = []
    fold = folds_of(table.group, FOLDS, SEED)
    for number in range(FOLDS):
        rest = fold == number
        train = _ready(chosen(table, ~rest))
        found.append(_Fold(train, rest, train.encoder.rows(chosen(table, rest).columns)))
    return found


def _left(table: Table) -> _Left:
    """Labels less what trees expect that have not seen the row; treatments less their chance."""
    treated, chance = arms(table)
    fold, expected = folds_of(table.group, FOLDS, SEED + 1), np.zeros(len(table.label))
    params = _params("binary", 8, len(fold) // 100)
    for number in range(FOLDS):
        rest = fold == number
        train = chosen(table, ~rest)
        encoder, rows = encoded(train, SMOOTHING)
        booster = _booster(rows, train.label, None, params)
        for _ in range(EXPECTING):
            booster.update()
        trees = parsed(booster.model_to_string())
        expected[rest] = 1.0 / (1.0 + np.exp(-trees.scores(encoder.rows(chosen(table, rest).columns))))
    return _Left(table.label - expected, treated - chance)


def _slope(left: _Left, found: Floats) -> tuple[float, float]:
    """How much of a difference in the score is one in the effect, and that in its standard errors (White's); 0 and 0
    where scores are all the same."""
    spread = float(found.std())
    if spread < 1e-12:
        return 0.0, 0.0
    facts = np.stack([left.treatment, left.treatment * (found - found.mean()) / spread], axis=1)
    inverse = np.linalg.inv(facts.T @ facts)
    weights = inverse @ facts.T @ left.label
    rest = facts * (left.label - facts @ weights)[:, None]
    error = np.sqrt((inverse @ (rest.T @ rest) @ inverse)[1, 1])
    return float(weights[1] / spread), float(weights[1] / error)
