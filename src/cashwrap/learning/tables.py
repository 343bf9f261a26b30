"""Item-to-item tables out of orders: what is bought together, damped and without what only replaces it.

The score of ``b`` beside ``a`` is ``(w(a, b) / ((n(a) + damp) ** given * (n(b) + damp) ** wanted)) ** sharp``.
``w`` sums the orders with both, each divided by a power of its size (a large order says little of any pair in it),
lines that stand near each other counting more, older orders less; ``n`` is the orders of each. With ``given = wanted =
1/2``, ``sharp = 1`` and no damping it is the cosine of item-based neighbours (Sarwar et al. 2001).
Scores of a cart's items are added up, so ``sharp`` above 1 lets one strong pair say more than many weak ones.

Pairs are counted by products of sparse matrices, a block of items at a time, so that memory stays bounded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import FEW, LONGEST, Lines, bought, number, viewed
from cashwrap.learning.popularity import categories
from cashwrap.learning.rows import Arrays, Rows, Texts
from cashwrap.learning.similar import described

BLOCK: Final = 4_000_000
"""Pairs, with repetition, that are counted at a time."""
REACH: Final = 8
"""Lines further apart than this are not near each other."""
DOUBT: Final = 5.0
"""Visits that the usual is believed for before a pair's own are counted."""
NEARLY: Final = 0.85
"""The likeness from which on two items of one category are nearly the same."""
DEFAULTS: Final[Mapping[str, float]] = {
    "few": FEW,
    "keep": 100,
    "longest": LONGEST,
    "size": 0.5,
    "half_life": 90.0,
    "near": 0.6,
    "damp": 4.0,
    "given": 0.8,
    "wanted": 0.5,
    "sharp": 2.0,
    "substitutes": 1.0,
}
"""``keep`` is the longest row; ``size`` the power that orders' sizes are damped by; ``half_life`` in days, 0 for none;
``near`` the share that nearness of lines has; ``substitutes`` the power of what replaces, 0 to keep it."""


class Pairs(NamedTuple):
    """Items together with others: pairs ``(a, b)`` of a block, both ways round over all blocks."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    orders: NDArray[np.int64]
    shoppers: NDArray[np.int64]
    weight: NDArray[np.float64]


def build(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``together.*`` of all sessions of the data; ``settings`` as ``DEFAULTS``. In the text
    ``together.notes``, if there is one, stands what a reader has to know."""
    chosen = {name: number(settings, name, default) for name, default in DEFAULTS.items()}
    lines = bought(data, int(chosen["longest"]))
    damping = _damping(lines, chosen)
    replacing = _Replacing(data, int(chosen["longest"])) if chosen["substitutes"] else None
    rows = Rows(lines.items, int(chosen["keep"]))
    for pairs in counted(lines, weighed=chosen, few=int(chosen["few"])):
        a, b = damping
        score = (pairs.weight / (a[pairs.a] * b[pairs.b])) ** chosen["sharp"]
        if replacing is not None and replacing:
            score *= replacing.left(pairs) ** chosen["substitutes"]
        rows.add(pairs.a, pairs.b, score)
    return rows.arrays("together"), _notes(lines, int(chosen["longest"]))


def counted(lines: Lines, *, weighed: Mapping[str, float] | None = None, few: int = 1) -> Iterator[Pairs]:
    """All pairs of different items that at least ``few`` shoppers had in one order, a block of items at a time.

    Without ``weighed`` the weight of a pair is its number of orders.
    """
    lines = lines.only((lines.shoppers() >= few)[lines.item])
    sizes = lines.sizes()
    weights = np.ones(lines.sessions)
    if weighed is not None:
        weights = lines.decay(weighed["half_life"]) / np.maximum(sizes, 1) ** weighed["size"]
    orders = sparse.csr_matrix(
        (np.ones(len(lines.item)), lines.item, np.concatenate(([0], np.cumsum(sizes)))), (lines.sessions, lines.items)
    )
    order = np.lexsort((lines.shopper[lines.session], lines.item))
    for rows in _blocks(order, lines, sizes):
        block = _Block(lines, orders, rows)
        near = weighed["near"] if weighed is not None else 0.0
        pairs = block.pairs(weights, near, few)
        if len(pairs.a):
            yield pairs


def _blocks(order: NDArray[np.int64], lines: Lines, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Lines ordered by item, whole items at a time, as many as have ``BLOCK`` pairs; an item alone may have more."""
    item = lines.item[order]
    if not len(item):
        return
    starts = np.flatnonzero(np.concatenate(([True], item[1:] != item[:-1])))
    reached = np.cumsum(np.add.reduceat(sizes[lines.session[order]], starts))
    ends = np.append(starts[1:], len(item))
    at = 0
    while at < len(starts):
        before = int(reached[at - 1]) if at else 0
        until = max(int(np.searchsorted(reached, before + BLOCK, side="right")), at + 1)
        yield order[starts[at] : ends[until - 1]]
        at = until


class _Block:
    """The lines of some items, ascending by item and shopper, and the orders that they are in."""

    def __init__(self, lines: Lines, orders: Any, rows: NDArray[np.int64]) -> None:
        self._lines, self._rows = lines, rows
        self._session = lines.session[rows]
        self._names, self._place = np.unique(lines.item[rows], return_inverse=True)
        self._others = orders[self._session]

    def pairs(self, weights: NDArray[np.float64], near: float, few: int) -> Pairs:
        """The pairs of the block's items with all others."""
        counts = self._sum(np.ones(len(self._rows))) @ self._others
        counts.sort_indices()
        a, b = _coordinates(counts)
        shoppers = self._shoppers(counts)
        weight = self._sum(weights[self._session] * (1 - near)) @ self._others
        if near:
            weight = weight + self._near(weights * near)  # no new pairs: what is near is in the order
        weight.sort_indices()  # the same pairs as counts has, in the same order
        kept = (shoppers >= few) & (self._names[a] != b)
        return Pairs(
            a=self._names[a[kept]].astype(np.int32),
            b=b[kept].astype(np.int32),
            orders=counts.data[kept].astype(np.int64),
            shoppers=shoppers[kept],
            weight=weight.data[kept],
        )

    def _sum(self, weights: NDArray[np.float64]) -> Any:
        """Items by lines: what sums lines up by item."""
        ends = np.searchsorted(self._place, np.arange(len(self._names) + 1))
        return sparse.csr_matrix((weights, np.arange(len(self._rows)), ends), (len(self._names), len(self._rows)))

    def _shoppers(self, counts: Any) -> NDArray[np.int64]:
        """Different shoppers by pair: the orders of one shopper with one item are first made one."""
        shopper = self._lines.shopper[self._session]
        new = np.concatenate(([True], (shopper[1:] != shopper[:-1]) | (self._place[1:] != self._place[:-1])))
        if new.all():
            return np.asarray(counts.data, np.int64)
        groups = np.cumsum(new) - 1
        total = int(groups[-1]) + 1
        ends = np.searchsorted(groups, np.arange(total + 1))
        merge = sparse.csr_matrix((np.ones(len(groups)), np.arange(len(groups)), ends), (total, len(groups)))
        once = merge @ self._others
        once.data[:] = 1
        place = np.searchsorted(self._place[new], np.arange(len(self._names) + 1))
        found = sparse.csr_matrix((np.ones(total), np.arange(total), place), (len(self._names), total)) @ once
        found.sort_indices()  # the same pairs as counts has, in the same order
        return np.asarray(found.data, np.int64)

    def _near(self, weights: NDArray[np.float64]) -> Any:
        """Items by others: weights times ``exp(-distance / 2)`` of lines at most ``REACH`` apart."""
        item, session = self._lines.item, self._lines.session
        names, others, values = [], [], []
        for lag in (*range(-REACH, 0), *range(1, REACH + 1)):
            at = self._rows + lag
            inside = np.flatnonzero((at >= 0) & (at < len(item)))
            inside = inside[session[at[inside]] == self._session[inside]]
            names.append(self._place[inside])
            others.append(item[at[inside]])
            values.append(weights[self._session[inside]] * np.exp(-abs(lag) / 2))
        shape = (len(self._names), self._lines.items)
        return sparse.csr_matrix((np.concatenate(values), (np.concatenate(names), np.concatenate(others))), shape)


class _Replacing:
    """What replaces rather than completes: one of the two is enough. Known where it is known what was looked at.

    Two items are looked at in one visit and seldom bought in one order, or they are of one category and described by
    the same words.
    """

    def __init__(self, data: Interactions, longest: int) -> None:
        lines = viewed(data, longest)
        sizes = lines.sizes()
        ends = np.concatenate(([0], np.cumsum(sizes)))
        self._visits = sparse.csr_matrix((np.ones(len(lines.item)), lines.item, ends), (lines.sessions, lines.items))
        self._items = self._visits.T.tocsr()
        self._cost = np.bincount(lines.item, sizes[lines.session], minlength=lines.items)
        self._described: Any = described(data.items, data.catalogue) if self else None
        self._category = categories(data)[1]

    def __bool__(self) -> bool:
        return bool(self._visits.nnz)

    def left(self, pairs: Pairs) -> NDArray[np.float64]:
        """What is left of a pair's score: 1 where neither replaces the other."""
        return np.minimum(self._chosen(pairs), self._unlike(pairs))

    def _chosen(self, pairs: Pairs) -> NDArray[np.float64]:
        """How often both are bought of those who saw both, over what is usual for the first; 1 where it is usual."""
        seen = self._seen(pairs)
        size = int(pairs.a.max()) + 1
        together = np.bincount(pairs.a, pairs.orders, minlength=size)
        usual = (together / (together + np.bincount(pairs.a, seen, minlength=size)).clip(1))[pairs.a]
        share = (pairs.orders + DOUBT * usual) / (pairs.orders + seen + DOUBT)
        return np.asarray(np.minimum(share / usual, 1.0))

    def _unlike(self, pairs: Pairs) -> NDArray[np.float64]:
        """How unlike two of one category are that are nearly the same; 1 for all others."""
        left = np.ones(len(pairs.a))
        same = np.flatnonzero((self._category[pairs.a] == self._category[pairs.b]) & (self._category[pairs.a] >= 0))
        if len(same):
            first, second = self._described[pairs.a[same]], self._described[pairs.b[same]]
            cosine = np.asarray(first.multiply(second).sum(axis=1)).ravel()
            left[same] = np.where(cosine > NEARLY, np.maximum(1 - cosine, 0.01), 1.0)
        return left

    def _seen(self, pairs: Pairs) -> NDArray[np.float64]:
        """Visits that looked at both, by pair; pairs ascend by their first."""
        names, first = np.unique(pairs.a, return_index=True)
        ends = np.append(first[1:], len(pairs.a))
        reached = np.cumsum(self._cost[names])
        seen = np.zeros(len(pairs.a))
        at = 0
        while at < len(names):
            before = reached[at - 1] if at else 0.0
            until = max(int(np.searchsorted(reached, before + BLOCK, side="right")), at + 1)
            visits = self._items[names[at:until]] @ self._visits
            low, high = int(first[at]), int(ends[until - 1])
            rows = np.searchsorted(names[at:until], pairs.a[low:high])
            seen[low:high] = np.asarray(visits[rows, pairs.b[low:high]]).ravel()
            at = until
        return seen


def _damping(lines: Lines, chosen: Mapping[str, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the weight of a pair is divided by: by first and by second item."""
    orders = np.bincount(lines.item, lines.decay(chosen["half_life"])[lines.session], minlength=lines.items)
    damped = np.asarray(orders + chosen["damp"], np.float64)
    return np.power(damped, chosen["given"]), np.power(damped, chosen["wanted"])


def _notes(lines: Lines, longest: int) -> Texts:
    """What a reader has to know."""
    if not lines.cut:
        return {}
    return {
        "together.notes": f"Of orders with more than {longest} items the others, {lines.cut:,} in all, were left out."
    }


def _coordinates(matrix: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices.astype(np.int64)
