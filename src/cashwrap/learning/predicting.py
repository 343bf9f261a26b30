"""Makes a predictor: a bounded search, a fit, calibration by predictions of rows that were not learned from, baselines.

Two families, both small enough to be asked inside a decision: a regularised logistic line and boosted trees (LightGBM),
and the mean of both. The smallest log loss wins, the line where it is as good.
"""

import re
from collections.abc import Callable, Mapping
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Artefact
from cashwrap.learning.calibration import calibrated
from cashwrap.learning.data import TEST, Table
from cashwrap.learning.encoding import encoded
from cashwrap.learning.measures import auc, log_loss
from cashwrap.learning.results import Trial
from cashwrap.learning.scorers import MOST_TREES, chances, fitted, stopped, straight
from cashwrap.learning.splits import chosen, folded, learned_from, newest, stratified, validations
from cashwrap.propensity import Predictor
from cashwrap.propensity.encoder import numbers
from cashwrap.propensity.trees import parsed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Told = Callable[[float, str], None]
Settings = Mapping[str, Any]

SEARCHED, LEARNED = 100_000, 300_000
"""Rows that the search looks at, and that a predictor learns from: the newest."""
CALIBRATING = 5
"""Folds of the predictions that calibration learns from."""
STRENGTHS = (0.003, 0.03, 0.3, 3.0)
"""Of the line's weights: the higher, the freer."""
LEAVES = (4, 8, 16)
SMOOTHINGS = (10.0, 50.0)
SHARES = (0.25, 0.5, 0.75)
"""Of the line, where both are asked."""
AS_GOOD = 0.0005
"""Log loss by which trees have to be better than a line."""
MORE = 1.1
"""Trees of the whole to those of the part that the search learned from."""
SUSPECT = 0.98
"""AUC of one column alone from which it is suspected to know the label."""
SEED = 1999
_EXTREMES = re.compile(r"(?m)^feature_infos=(.*)$")
"""A line of LightGBM's text that nothing is told by."""


class _Split(NamedTuple):
    """Some rows to learn from and others to judge by, encoded by what the first knew."""

    rows: Floats
    label: Floats
    tested: Floats
    came: Floats


class _Tried(NamedTuple):
    trial: Trial
    scores: Floats
    """Log-odds of the rows that judged."""


def search(table: Table, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """The best settings for the rows that are not TEST, and everything that was tried with its log loss.

    Judged by the VALID rows, else by the last in time, else by folds. Raises ``InvalidInput`` as ``learned_from`` does.
    """
    learned = newest(learned_from(table), SEARCHED)
    pairs = validations(learned)
    plan: list[dict[str, Any]] = [{"model": "line", "strength": each} for each in STRENGTHS]
    plan += [{"model": "trees", "leaves": each} for each in LEAVES]
    smoothings = SMOOTHINGS if any(each.kind != "number" for each in learned.columns) else SMOOTHINGS[:1]
    tried: list[_Tried] = []
    for at, smoothing in enumerate(smoothings):
        splits = [_split(learned, *pair, smoothing) for pair in pairs]
        for place, settings in enumerate(plan):
            told((at + place / len(plan)) / len(smoothings), " ".join(str(each) for each in settings.values()))
            tried.append(_try({**settings, "smoothing": smoothing}, splits))
        tried += _mixed(tried, smoothing, np.concatenate([each.came for each in splits]))
        both = tried[-1].trial.settings
        plan = [{"model": "line", "strength": both["strength"]}, {"model": "trees", "leaves": both["leaves"]}]
    told(1.0, "found")
    return dict(_winner(tried)), tuple(each.trial for each in tried)


def fit(table: Table, settings: Settings, told: Told) -> Artefact:
    """The predictor with these settings, from the rows that are not TEST; the newest, where they are very many.

    Calibrated by predictions of rows that were not learned from. Raises ``InvalidInput`` as ``learned_from`` does.
    """
    learned = newest(learned_from(table), LEARNED)
    told(0.0, "encoding")
    encoder, rows = encoded(learned, settings["smoothing"])
    fold = stratified(learned, CALIBRATING, SEED)
    held = np.empty(len(rows))
    for each in range(CALIBRATING):
        told((each + 1) / (CALIBRATING + 2), "calibrating")
        out = fold == each
        held[out] = fitted(rows[~out], learned.label[~out], settings).scores(rows[out])
    kind, calibration = calibrated(held, learned.label, fold)
    told((CALIBRATING + 1) / (CALIBRATING + 2), "learning from all")
    made = fitted(rows, learned.label, settings)
    arrays, texts = encoder.parts()
    arrays |= {**calibration.parts(), "share": np.array([made.share])}
    if made.trees is not None:
        texts["trees"] = _EXTREMES.sub(_untold, made.trees.model_to_string())
        arrays |= parsed(texts["trees"]).parts()
    if made.line is not None:
        arrays |= made.line.parts()
    told(1.0, "learned")
    return Artefact("predictor", arrays, texts, {**settings, "calibration": kind})


def scores(artefact: Artefact, table: Table) -> Floats:
    """The chance that a predictor tells of each row."""
    return Predictor.of(artefact).predict_many(table.columns)


def baselines(table: Table) -> dict[str, Floats]:
    """What costs nothing, for each row, learned from those that are not TEST: ``base_rate``, ``logistic`` on the plain
    numbers, and ``best_column``, the one column that tells most alone."""
    learned = learned_from(table)
    found = {"base_rate": np.full(len(table.label), learned.label.mean())}
    plain = [numbers(column.values) for column in table.columns if column.kind == "number"]
    if plain:
        rows = np.stack(plain, axis=1)
        line = straight(rows[table.part != TEST], learned.label, 1.0, tails=False)
        found["logistic"] = chances(line.scores(rows))
    alone = strengths(learned)
    best = max(alone, key=lambda each: alone[each])
    encoder, rows = encoded(
        learned._replace(columns=tuple(each for each in learned.columns if each.name == best)), SMOOTHINGS[0]
    )
    line = straight(rows, learned.label, 1.0)
    found["best_column"] = chances(line.scores(encoder.rows(table.columns)))
    return found


def cross_scores(table: Table, settings: Settings, folds: int, repeats: int, seed: int) -> list[tuple[Ints, Floats]]:
    """Repeated stratified folds: the rows tested in each, and the chances told by a predictor that was made from the
    others. Rows of one group are in one fold."""
    found = []
    for rows, part in folded(table, folds, repeats, seed):
        artefact = fit(part, settings, lambda _, __: None)
        found.append((rows, scores(artefact, chosen(table, rows))))
    return found


def cross_baselines(table: Table, folds: int, repeats: int, seed: int) -> list[tuple[Ints, dict[str, Floats]]]:
    """The baselines in the same folds."""
    return [
        (rows, {name: values[rows] for name, values in baselines(part).items()})
        for rows, part in folded(table, folds, repeats, seed)
    ]


def suspects(table: Table) -> tuple[tuple[str, float], ...]:
    """Columns that alone tell the label nearly always, with their AUC: they may know it (``suspected_leak``).

    Raises ``InvalidInput`` as ``learned_from`` does.
    """
    alone = strengths(newest(learned_from(table), SEARCHED))
    return tuple((name, area) for name, area in alone.items() if area > SUSPECT)


def strengths(table: Table) -> dict[str, float]:
    """The AUC of each column alone, whichever way it points, of its value or of its being missing."""
    found = {}
    for column in table.columns:
        _, rows = encoded(table._replace(columns=(column,)), SMOOTHINGS[0])
        missing = np.isnan(rows[:, 0])
        middle = float(np.median(rows[~missing, 0])) if not missing.all() else 0.0
        values = (np.where(missing, middle, rows[:, 0]), missing.astype(np.float64))
        areas = [auc(each, table.label) for each in values]
        found[column.name] = max(max(area, 1.0 - area) for area in areas)
    return found


def _untold(line: re.Match[str]) -> str:
    """As many columns, and none of their smallest and largest values: those are one shopper's each."""
    return "feature_infos=" + " ".join(["[-inf:inf]"] * len(line[1].split()))


# --- the search ---


def _split(table: Table, rows: Ints, tested: Ints, smoothing: float) -> _Split:
    learned, judge = chosen(table, rows), chosen(table, tested)
    encoder, known = encoded(learned, smoothing)
    return _Split(known, learned.label, encoder.rows(judge.columns), judge.label)


def _try(settings: dict[str, Any], splits: list[_Split]) -> _Tried:
    """One configuration; trees stop where they no longer help."""
    began = process_time()
    if settings["model"] == "line":
        told = [straight(each.rows, each.label, settings["strength"]).scores(each.tested) for each in splits]
    else:
        made = [stopped(each.rows, each.label, settings["leaves"], (each.tested, each.came)) for each in splits]
        count = max(1, round(sum(each.best_iteration for each in made) / len(made)))
        settings = {**settings, "trees": min(MOST_TREES, round(MORE * count))}
        told = [
            np.asarray(each.predict(split.tested, raw_score=True, num_iteration=count))
            for each, split in zip(made, splits, strict=True)
        ]
    odds = np.concatenate(told)
    came = np.concatenate([each.came for each in splits])
    return _Tried(Trial(settings, log_loss(chances(odds), came), process_time() - began), odds)


def _mixed(tried: list[_Tried], smoothing: float, came: Floats) -> list[_Tried]:
    """The best line and the best trees together, in a few shares."""
    here = [each for each in tried if each.trial.settings["smoothing"] == smoothing]
    line = min((each for each in here if each.trial.settings["model"] == "line"), key=_value)
    trees = min((each for each in here if each.trial.settings["model"] == "trees"), key=_value)
    found = []
    for share in SHARES:
        settings = {**line.trial.settings, **trees.trial.settings, "model": "both", "share": share}
        odds = (1.0 - share) * trees.scores + share * line.scores
        found.append(_Tried(Trial(settings, log_loss(chances(odds), came), 0.0), odds))
    return found


def _winner(tried: list[_Tried]) -> Mapping[str, Any]:
    """The smallest log loss, the line where it is as good."""
    best = min(tried, key=_value)
    line = min((each for each in tried if each.trial.settings["model"] == "line"), key=_value)
    return (line if _value(line) <= _value(best) + AS_GOOD else best).trial.settings


def _value(tried: _Tried) -> float:
    return tried.trial.value
