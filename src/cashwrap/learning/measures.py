"""Metrics of recommenders and predictions. Each is one value a row whose mean is the metric, so that any of them can be
cut into parts and drawn again (``learning/bootstrap.py``); the plain numbers are their means.

What each means is in ``docs/reference/learning.md``.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Figure
from cashwrap.learning.bootstrap import FEWEST, Draws
from cashwrap.learning.curves import (
    calibration_by_chance,
    calibration_error,
    precision_recall_curve,
    reliability,
    roc_curve,
)
from cashwrap.learning.data import Ranked
from cashwrap.learning.results import Bin, Evaluation, Slice, Versus

Floats = NDArray[np.float64]
Labels = NDArray[np.float64]
K = 20
"""Places of an answer that are judged."""
FEW = 5
"""Places that a checkout usually shows."""
RANKING_MAIN = f"recall@{K}"
PREDICTION_MAIN = "auc"
LENGTHS = (1, 2, 3, 5, 10, 1_000_000)
"""Where parts by the length of a question begin."""
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error"})
SURE = 1e-15
"""How near to 0 or 1 a chance may come in a logarithm."""


# --- recommenders: one hidden item a question ---


def recalls(ranked: Ranked, k: int) -> Floats:
    """1 where the hidden item is among the first ``k``. One item is hidden, so this is the hit rate as well."""
    return _within(ranked.rank, k).astype(np.float64)


def reciprocal_ranks(ranked: Ranked, k: int) -> Floats:
    """1 / rank where the hidden item is among the first ``k`` (Voorhees, TREC-8, 1999)."""
    return np.where(_within(ranked.rank, k), 1.0 / np.maximum(ranked.rank, 1), 0.0)


def gains(ranked: Ranked, k: int) -> Floats:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002); with one right item that is
    1 / log2(1 + rank)."""
    return np.where(_within(ranked.rank, k), 1.0 / np.log2(1.0 + np.maximum(ranked.rank, 1)), 0.0)


def surprises(ranked: Ranked, popularity: NDArray[Any], k: int) -> Floats:
    """By question, the mean bits of self-information of what it was answered (Zhou and others, PNAS 2010):
    -log2 of an item's share in training. An item never seen counts as seen once; no answer is 0."""
    counts = np.maximum(popularity.astype(np.float64), 1.0)
    bits = np.append(-np.log2(counts / max(float(popularity.sum()), 1.0)), 0.0)
    shown = ranked.items[:, :k]
    return np.asarray(bits[shown].sum(axis=1) / np.maximum((shown >= 0).sum(axis=1), 1))


def coverage_at(ranked: Ranked, items: int, k: int) -> float:
    """The share of all ``items`` that are in anybody's first ``k``."""
    shown = ranked.items[:, :k]
    return len(np.unique(shown[shown >= 0])) / max(items, 1)


def source_shares(ranked: Ranked, k: int = 20) -> dict[str, float]:
    """The share of the filled places that each source filled, the largest first; a place that no named source filled
    is ``fallback``."""
    filled = ranked.items[:, :k] >= 0
    source = ranked.sources[:, :k][filled]
    counts = np.bincount(source.astype(np.int64) + 1, minlength=len(ranked.names) + 1)
    total = max(len(source), 1)
    shares: dict[str, float] = {}
    for name, count in zip(("fallback", *ranked.names), counts.tolist(), strict=True):
        shares[name] = shares.get(name, 0.0) + count / total
    return dict(sorted(((name, part) for name, part in shares.items() if part), key=lambda pair: -pair[1]))


def _within(rank: NDArray[np.int32], k: int) -> NDArray[np.bool_]:
    return (rank > 0) & (rank <= k)


# --- predictions: how well scores order the rows ---


def auc(scores: Floats, label: Labels) -> float:
    """The chance that a row of label 1 scores above one of label 0, ties counting half (Hanley and McNeil, 1982).
    ``nan`` where only one label is there."""
    return float(np.mean(auc_values(scores, label)))


def auc_values(scores: Floats, label: Labels) -> Floats:
    """Pseudo-values of the AUC: DeLong's placements (DeLong and others, 1988; with clusters, Obuchowski, 1997)."""
    positive = label > 0
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        return np.full(len(label), np.nan)
    placed = np.empty(len(label))
    placed[positive] = _below(np.sort(scores[~positive]), scores[positive])
    placed[~positive] = 1.0 - _below(np.sort(scores[positive]), scores[~positive])
    whole = float(placed[positive].mean())
    return np.asarray(whole + (placed - whole) * np.where(positive, len(label) / ups, len(label) / downs))


def _below(ordered: Floats, scores: Floats) -> Floats:
    """The share of ``ordered`` below each score, ties half."""
    sides = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(sides / (2.0 * len(ordered)))


def average_precision(scores: Floats, label: Labels) -> float:
    """The mean precision at the rows of label 1, as scikit-learn defines it: no interpolation, ties together."""
    return float(np.mean(average_precision_values(scores, label)))


def average_precision_values(scores: Floats, label: Labels) -> Floats:
    """Pseudo-values of the average precision: its derivative by each row's weight."""
    ups = float(label.sum())
    if not ups:
        return np.full(len(label), np.nan)
    order = np.argsort(-scores, kind="stable")
    score, hit = scores[order], label[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    which = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    above = last + 1.0
    hits = np.diff(np.cumsum(hit)[last], prepend=0.0)
    precision = np.cumsum(hits) / above
    whole = float((hits * precision).sum() / ups)
    # A row's weight acts on the precision at its own score and at every lower one.
    later = np.cumsum((hits / above)[::-1])[::-1]
    lost = np.cumsum((hits * precision / above)[::-1])[::-1]
    slope = (hit * (precision - whole)[which] + hit * later[which] - lost[which]) / ups
    values = np.empty(len(label))
    values[order] = whole + len(label) * slope
    return values


# --- predictions: whether a score is a chance ---


def log_losses(scores: Floats, label: Labels) -> Floats:
    """-log of the chance that was given to what came, in nats (Good, 1952)."""
    chance = np.clip(scores, SURE, 1.0 - SURE)
    return np.asarray(-np.log(np.where(label > 0, chance, 1.0 - chance)))


def squares(scores: Floats, label: Labels) -> Floats:
    """The squared distance between chance and label, whose mean is the Brier score (Brier, 1950)."""
    return np.asarray((scores - label) ** 2)


def log_loss(scores: Floats, label: Labels) -> float:
    """The mean of ``log_losses``."""
    return float(np.mean(log_losses(scores, label)))


def brier(scores: Floats, label: Labels) -> float:
    """The mean of ``squares``."""
    return float(np.mean(squares(scores, label)))


# --- predictions: acting on them above a threshold ---


def precision_values(scores: Floats, label: Labels, threshold: float) -> Floats:
    """Pseudo-values of the precision: of the rows scored above ``threshold``, the share of label 1."""
    chosen = (scores > threshold).astype(np.float64)
    return _ratio(chosen * label, chosen)


def recall_values(scores: Floats, label: Labels, threshold: float) -> Floats:
    """Pseudo-values of the recall: of the rows of label 1, the share scored above ``threshold``."""
    return _ratio((scores > threshold) * label, label)


def f1_values(scores: Floats, label: Labels, threshold: float) -> Floats:
    """Pseudo-values of F1, the harmonic mean of precision and recall (van Rijsbergen, 1979)."""
    chosen = (scores > threshold).astype(np.float64)
    return _ratio(2.0 * chosen * label, chosen + label)


def precision(scores: Floats, label: Labels, threshold: float) -> float:
    """The precision above a threshold; ``nan`` where nothing is above it."""
    return float(np.mean(precision_values(scores, label, threshold)))


def recall(scores: Floats, label: Labels, threshold: float) -> float:
    """The recall above a threshold; ``nan`` where no label is 1."""
    return float(np.mean(recall_values(scores, label, threshold)))


def f1(scores: Floats, label: Labels, threshold: float) -> float:
    """F1 above a threshold."""
    return float(np.mean(f1_values(scores, label, threshold)))


def _ratio(upper: Floats, lower: Floats) -> Floats:
    """Pseudo-values of a ratio of two sums."""
    total = float(lower.sum())
    if not total:
        return np.full(len(lower), np.nan)
    whole = float(upper.sum()) / total
    return np.asarray(whole + len(lower) / total * (upper - whole * lower))


# --- folds ---


def by_fold(values: Callable[[Floats, Labels], Floats], scores: Floats, label: Labels, fold: NDArray[Any]) -> Floats:
    """Pseudo-values fold by fold, so that their mean is the folds' mean: models of different folds score on scales of
    their own and are not to be ordered against each other."""
    found = np.empty(len(label))
    for each in np.unique(fold):
        own = fold == each
        found[own] = values(scores[own], label[own])
    return found


# --- whole evaluations ---


class Rows(NamedTuple):
    """What a prediction is tested on. Rows of one ``group`` (a shopper, an order) are not independent. ``explored`` are
    those of shoppers in the holdout. With ``fold``, which model scored a row: figures are the folds' means."""

    label: Labels
    group: NDArray[Any]
    explored: NDArray[np.bool_]
    fold: NDArray[Any] | None = None


def evaluate_ranking(
    ours: Ranked,
    baselines: Mapping[str, Ranked],
    *,
    task: str,
    popularity: NDArray[Any],
    slices: Mapping[str, NDArray[np.bool_]] | None = None,
    seed: int = 0,
) -> Evaluation:
    """How good a recommender is against each baseline on the same questions, whole and in parts.

    ``popularity`` counts each item in training. ``slices`` are further parts by name, as masks of questions, such as
    ``the holdout``; repeats, new items and lengths of questions are told from ``ours``.
    """
    if not len(ours.rank):
        return _untested(task, RANKING_MAIN)
    _same_rows(len(ours.rank), {name: len(each.rank) for name, each in baselines.items()})
    draws = Draws(ours.cluster, seed)
    columns = _ranking_columns(ours)
    figures = draws.figures(columns | {f"novelty@{K}": surprises(ours, popularity, K)})
    figures[f"coverage@{K}"] = Figure(coverage_at(ours, len(popularity), K))
    theirs = {name: _ranking_columns(each) for name, each in baselines.items()}
    notes = [f"Each question hides one item; {_counted(draws, len(ours.rank), 'questions', _whole(task))}."]
    parts = [
        Slice(name, int(mask.sum()), draws.figures(own, mask), _versus(draws, own, others, mask))
        for name, mask, own, others in _parts(ours, baselines, slices or {}, notes)
        if mask.any()
    ]
    return Evaluation(
        task=task,
        main=RANKING_MAIN,
        count=len(ours.rank),
        figures=figures,
        baselines={name: draws.figures(each) for name, each in theirs.items()},
        versus=_versus(draws, columns, theirs),
        slices=tuple(parts),
        sources=source_shares(ours, K),
        notes=tuple(notes),
    )


def evaluate_prediction(
    rows: Rows,
    ours: Floats,
    baselines: Mapping[str, Floats],
    *,
    threshold: float = 0.5,
    seed: int = 0,
) -> Evaluation:
    """How good chances are against each baseline's on the same rows.

    Precision, recall and F1 are of acting on every row above ``threshold``. Raises ``ValueError`` where a score is no
    number; figures that need both labels are left out where there is one, and a note says so.
    """
    if not len(rows.label):
        return _untested("prediction", PREDICTION_MAIN)
    _same_rows(len(rows.label), {name: len(each) for name, each in {"ours": ours, **baselines}.items()})
    for name, scores in {"the model": ours, **baselines}.items():
        if not np.isfinite(scores).all():
            raise ValueError(f"{name} scored {int((~np.isfinite(scores)).sum())} rows with what is no number")
    draws = Draws(rows.group, seed)
    columns = _prediction_columns(ours, rows, threshold)
    theirs = {name: _prediction_columns(scores, rows, threshold) for name, scores in baselines.items()}
    bars = reliability(ours, rows.label)
    figures = draws.figures(columns)
    figures["calibration_error"] = Figure(calibration_error(bars))
    return Evaluation(
        task="prediction",
        main=PREDICTION_MAIN,
        count=len(rows.label),
        figures=figures,
        baselines={name: draws.figures(each) for name, each in theirs.items()},
        versus=_versus(draws, columns, theirs),
        reliability=bars,
        curves=(roc_curve(ours, rows.label), precision_recall_curve(ours, rows.label)) if "auc" in columns else (),
        slices=tuple(_halves(rows, ours, threshold, seed)),
        notes=tuple(_prediction_notes(rows, draws, bars, threshold, told="auc" in columns)),
    )


def _untested(task: str, main: str) -> Evaluation:
    return Evaluation(task=task, main=main, count=0, figures={}, notes=("Nothing was tested: the test part is empty.",))


def _same_rows(count: int, others: Mapping[str, int]) -> None:
    wrong = {name: rows for name, rows in others.items() if rows != count}
    if wrong:
        raise ValueError(f"all are to be tested on the same {count} rows, not {wrong}")


def _counted(draws: Draws, rows: int, what: str, whole: str) -> str:
    if not draws.enough():
        few = "too few" if draws.clusters < FEWEST else "too many are of too few"
        return f"only {rows:,} {what} of {draws.clusters} {whole}: {few} for any interval"
    return f"{rows:,} {what} of {draws.clusters:,} {whole}, which intervals draw whole"


def _whole(task: str) -> str:
    return "orders" if task == "basket" else "sessions"


def _versus(
    draws: Draws,
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Mapping[str, Floats]],
    part: NDArray[np.bool_] | None = None,
) -> tuple[Versus, ...]:
    rows = slice(None) if part is None else part
    return tuple(
        Versus(metric, baseline, _mean(ours[metric][rows]), _mean(columns[metric][rows]), *found)
        for baseline, columns in theirs.items()
        for metric, found in draws.differences(ours, columns, part).items()
    )


def _mean(values: Floats) -> float:
    return float(np.mean(values))


def _ranking_columns(ranked: Ranked) -> dict[str, Floats]:
    return {
        f"recall@{K}": recalls(ranked, K),
        f"mrr@{K}": reciprocal_ranks(ranked, K),
        f"ndcg@{K}": gains(ranked, K),
        f"recall@{FEW}": recalls(ranked, FEW),
    }


def _parts(
    ours: Ranked, baselines: Mapping[str, Ranked], further: Mapping[str, NDArray[np.bool_]], notes: list[str]
) -> Iterator[tuple[str, NDArray[np.bool_], dict[str, Floats], dict[str, dict[str, Floats]]]]:
    """The parts of a test by name: their questions, and what the model and each baseline came to in all questions."""
    own = _ranking_columns(ours)
    theirs = {name: _ranking_columns(each) for name, each in baselines.items()}
    if ours.seen.any():
        repeats = f"{float(ours.seen.mean()):.1%} of the hidden items were in the question already (repeats)"
        kept = "still hold" if ours.fresh is None else "leave out"
        notes.append(f"{repeats}; for new items only, the answers {kept} what was in the question.")
        others = {name: _ranking_columns(_only_new(each)) for name, each in baselines.items()}
        yield "new items only", ~ours.seen, _ranking_columns(_only_new(ours)), others
        yield "repeats", ours.seen, own, theirs
    if ours.length is not None:
        for least, most in pairwise(LENGTHS):
            yield _lengths(least, most), (ours.length >= least) & (ours.length < most), own, theirs
    for name, mask in further.items():
        yield name, mask, own, theirs


def _only_new(ranked: Ranked) -> Ranked:
    return ranked if ranked.fresh is None else ranked._replace(rank=ranked.fresh)


def _lengths(least: int, most: int) -> str:
    if most == LENGTHS[-1]:
        return f"{least} or more known"
    return f"{least} known" if most == least + 1 else f"{least} to {most - 1} known"


def _prediction_columns(scores: Floats, rows: Rows, threshold: float) -> dict[str, Floats]:
    """Values by row of every metric that these rows can tell."""
    fold = np.zeros(len(scores), np.int8) if rows.fold is None else rows.fold
    columns = {
        "auc": by_fold(auc_values, scores, rows.label, fold),
        "average_precision": by_fold(average_precision_values, scores, rows.label, fold),
        "log_loss": log_losses(scores, rows.label),
        "brier": squares(scores, rows.label),
        "precision": precision_values(scores, rows.label, threshold),
        "recall": recall_values(scores, rows.label, threshold),
        "f1": f1_values(scores, rows.label, threshold),
    }
    return {name: values for name, values in columns.items() if np.isfinite(values).all()}


def _halves(rows: Rows, ours: Floats, threshold: float, seed: int) -> Iterator[Slice]:
    """The holdout beside everybody else: where the first is far worse, the model has learned from its own doing."""
    if not rows.explored.any() or rows.explored.all():
        return
    for name, mask in (("the holdout", rows.explored), ("personalized", ~rows.explored)):
        fold = None if rows.fold is None else rows.fold[mask]
        own = Rows(rows.label[mask], rows.group[mask], rows.explored[mask], fold)
        figures = Draws(own.group, seed).figures(_prediction_columns(ours[mask], own, threshold))
        yield Slice(name, int(mask.sum()), figures)


def _prediction_notes(
    rows: Rows, draws: Draws, bars: tuple[Bin, ...], threshold: float, *, told: bool
) -> Iterator[str]:
    counted = _counted(draws, len(rows.label), "rows", "groups (one shopper, one order ...)")
    yield f"{float(rows.label.mean()):.1%} of the tested rows have label 1; {counted}."
    if not told:
        yield "The test part has one label only: no figure can say how well the scores tell the two apart."
    if rows.fold is not None:
        yield f"AUC and average precision are means of {len(np.unique(rows.fold))} folds."
    yield f"Precision, recall and F1 are of acting on every chance above {threshold:.3g}."
    by_chance = calibration_by_chance(bars)
    yield f"Chances that are exactly right would show a calibration error of about {by_chance:.4f} on so few rows."
