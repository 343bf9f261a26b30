"""Learns the blend: which source is right when, from questions whose answer is known.

LambdaMART (Burges 2010) by LightGBM over the features that a server works out, then turned into tables that need no
library: see ``recommend.blend``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions
from cashwrap.learning.questions import Chosen, Questions
from cashwrap.recommend.blend import CONTEXT, LEAVES, LEVELS, Trees
from cashwrap.recommend.hybrid import Recommender

FEWEST: Final = 200
"""Questions with a known answer among the candidates below which no trees are learned: shares alone then."""
ROUNDS: Final = 40
LATELY: Final = 0.1
"""Share of the rows, the newest, that ``lately`` is."""
Told = Callable[[float, str], None]
_STEPS: Final = 12
"""Levels by octave of popularity."""


class Examples(NamedTuple):
    """Questions: features by candidate (a row each), which candidate was right, and how many candidates each has."""

    levels: NDArray[np.uint8]
    right: NDArray[np.bool_]
    counts: NDArray[np.int64]


class Learned(NamedTuple):
    """The arrays ``blend.shares``, ``.masks`` and ``.leaves``, and how many trees there are."""

    arrays: dict[str, NDArray[Any]]
    rounds: int


def examples(recommender: Recommender, questions: Questions, asked: Chosen, told: Told) -> Examples:
    """What the recommender's sources bring to questions, of those questions whose answer is among it."""
    levels, right, counts = [], [], []
    for place, (session, row) in enumerate(zip(asked.session.tolist(), asked.row.tolist(), strict=True)):
        question = questions.ask(session, row)
        pool = recommender.pool(question)
        pool = pool.only(~np.isin(pool.items, question.basket)) if len(question.basket) else pool
        answer = pool.items == questions.answer(row)
        if answer.any():
            levels.append(recommender.blend.features(question, pool).T)
            right.append(answer)
            counts.append(len(answer))
        if place % 500 == 0:
            told(place / len(asked.row), "learning how to blend")
    width = 2 * len(recommender.names) + CONTEXT
    return Examples(
        np.concatenate([np.empty((0, width), np.uint8), *levels]),
        np.concatenate([np.empty(0, np.bool_), *right]),
        np.array(counts, np.int64),
    )


def known(data: Interactions) -> NDArray[np.uint8]:
    """How popular each item is of all times and lately, as levels of a logarithm: ``blend.known``."""
    lately = data.item[int(len(data.item) * (1 - LATELY)) :]
    counts = np.stack([np.bincount(rows, minlength=len(data.items)) for rows in (data.item, lately)])
    found: NDArray[np.uint8] = np.minimum(np.log2(1 + counts) * _STEPS, LEVELS - 1).astype(np.uint8)
    return found


def even(sources: int) -> dict[str, NDArray[Any]]:
    """A blend that nothing was learned for: earlier sources a little before later ones."""
    shares = 1 / (np.arange(sources) + 1)
    return {"blend.shares": (shares / shares.sum()).astype(np.float32)}


def places(learned: Learned, examples: Examples) -> NDArray[np.int64]:
    """Where the right candidate of each question comes by some trees, from 1."""
    trees = Trees(learned.arrays["blend.masks"], learned.arrays["blend.leaves"])
    found = np.empty(len(examples.counts), np.int64)
    ends = np.cumsum(examples.counts)
    for place, (low, high) in enumerate(zip((ends - examples.counts).tolist(), ends.tolist(), strict=True)):
        scores = trees.scores(examples.levels[low:high].T)
        answer = int(examples.right[low:high].argmax())
        found[place] = 1 + (scores > scores[answer]).sum() + (scores[:answer] == scores[answer]).sum()
    return found


def learn(examples: Examples, sources: int, settings: Mapping[str, Any], later: Examples | None = None) -> Learned:
    """Trees over the examples; with ``later`` ones, as many as are best for those.

    ``settings`` may have ``leaves``, ``rate``, ``fewest`` (candidates in a leaf) and ``rounds``.
    """
    if len(examples.counts) < FEWEST:
        return Learned(even(sources), 0)
    watched = later if later is not None and len(later.counts) else None
    told = _dataset(examples)
    booster = lightgbm.train(
        _parameters(settings),
        told,
        int(settings.get("rounds", ROUNDS)),
        valid_sets=[_dataset(watched, told)] if watched else None,
        callbacks=[lightgbm.early_stopping(10, first_metric_only=True, verbose=False)] if watched else None,
    )
    rounds = int(booster.best_iteration) if watched else int(booster.current_iteration())
    trees = booster.dump_model(num_iteration=max(rounds, 1))["tree_info"]
    masks, leaves = tables([tree["tree_structure"] for tree in trees], 2 * sources + CONTEXT)
    gain = booster.feature_importance("gain", iteration=max(rounds, 1))
    shares = gain[:sources] + gain[sources : 2 * sources] + gain.sum() / 1_000 + 1e-9
    arrays = {"blend.shares": (shares / shares.sum()).astype(np.float32), "blend.masks": masks, "blend.leaves": leaves}
    return Learned(arrays, len(trees))


def tables(trees: Sequence[Mapping[str, Any]], features: int) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """LightGBM's trees as masks and leaves: leaves are numbered from left to right, and a row that goes right at a node
    cannot reach the leaves on its left."""
    masks = np.full((features, LEVELS, len(trees)), (1 << LEAVES) - 1, np.uint16)
    leaves = np.zeros((len(trees), LEAVES), np.float32)
    for place, tree in enumerate(trees):
        _walk(tree, masks[:, :, place], leaves[place], 0)
    return masks, leaves


def _walk(node: Mapping[str, Any], masks: NDArray[np.uint16], leaves: NDArray[np.float32], first: int) -> int:
    """Write down a node whose first leaf is ``first``; how many leaves it has."""
    if "split_feature" not in node:
        leaves[first] = node["leaf_value"]
        return 1
    left = _walk(node["left_child"], masks, leaves, first)
    gone = ((1 << left) - 1) << first
    right = np.arange(LEVELS) > node["threshold"]
    masks[node["split_feature"], right] &= np.uint16(((1 << LEAVES) - 1) & ~gone)
    return left + _walk(node["right_child"], masks, leaves, first + left)


def _parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [20],
        "num_leaves": min(int(settings.get("leaves", LEAVES)), LEAVES),
        "learning_rate": float(settings.get("rate", 0.1)),
        "min_data_in_leaf": int(settings.get("fewest", 100)),
        "lambdarank_truncation_level": 20,
        "feature_fraction": 0.6,
        "lambda_l2": 1.0,
        "min_data_in_bin": 1,
        "use_missing": False,
        "seed": 1,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }


def _dataset(examples: Examples, like: Any = None) -> Any:
    return lightgbm.Dataset(
        examples.levels, examples.right.astype(np.int32), group=examples.counts, reference=like, free_raw_data=True
    )
