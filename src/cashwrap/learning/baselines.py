"""What a recommender has to beat: what is popular, and neighbours of items, as they are usually done, without search.

They learn from the sessions that the model learns from and answer the same questions.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions, Task
from cashwrap.learning.lines import bought, lines
from cashwrap.learning.rows import Rows
from cashwrap.learning.tables import counted
from cashwrap.recommend.asked import Asked, Candidates, Items, Source
from cashwrap.recommend.tables import MOST, Table, distinct

NEWEST: Final = 5
"""Items of a visit that neighbours are asked of."""
DAMP: Final = 10.0
KEEP: Final = 1000
"""Neighbours of an item that are kept: far more than any answer shows, so that memory has a bound and figures none."""
_LAST: Final = 1e-9
"""The score of what was looked at already and is nobody's neighbour."""


class Popular:
    """The same for everybody: the items that most rows have, of a basket task most orders."""

    name = "popular"

    def __init__(self, found: Candidates) -> None:
        self._found = found

    def candidates(self, asked: Asked) -> Candidates:  # noqa: ARG002 - a source's signature
        """The most popular."""
        return self._found


class ItemKnn:
    """Neighbours of the cart's items, or of the last few of a visit: scores added up."""

    name = "item_knn"

    def __init__(self, table: Table, task: Task) -> None:
        self._table, self._task = table, task

    def candidates(self, asked: Asked) -> Candidates:
        """The neighbours with the largest sums; of a visit, its own items below them."""
        if self._task == "basket":
            return self._sums(asked.basket)
        own = distinct(asked.recent[-NEWEST:])
        found = self._sums(own)
        again = own[~np.isin(own, found.items)]
        return Candidates(
            np.concatenate((found.items, again)),
            np.concatenate((found.scores, np.full(len(again), _LAST, np.float32))),
        )

    def _sums(self, items: Items) -> Candidates:
        return self._table.sums(items, np.ones(len(items), np.float32))


def popular(data: Interactions, task: Task) -> Source:
    """By rows with the item, or orders with it."""
    count = np.bincount(bought(data).item if task == "basket" else data.item, minlength=len(data.items))
    top: Items = np.argsort(-count, kind="stable")[:MOST].astype(np.int32)
    return Popular(Candidates(top, count[top].astype(np.float32)))


def item_knn(data: Interactions, task: Task) -> Source:
    """Cosine of items over sessions, each session by 1 over the root of its size, damped: ``w(a, b) / (sqrt(n(a) n(b))
    + 10)``. No decay, no search."""
    told = bought(data) if task == "basket" else lines(data, np.ones(len(data.item), np.bool_))
    root: NDArray[np.float64] = np.sqrt(np.bincount(told.item, minlength=told.items))
    rows = Rows(told.items, KEEP)
    for pairs in counted(told, weighed={"half_life": 0.0, "size": 0.5, "near": 0.0}):
        rows.add(pairs.a, pairs.b, pairs.weight / (root[pairs.a] * root[pairs.b] + DAMP))
    arrays = rows.arrays("item_knn")
    return ItemKnn(Table(*(arrays[f"item_knn.{part}"] for part in ("offsets", "items", "scores"))), task)


BASELINES: Final[Mapping[str, Callable[[Interactions, Task], Source]]] = {"popular": popular, "item_knn": item_knn}
