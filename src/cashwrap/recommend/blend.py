"""One order out of several sources' candidates, by what was learned of which source is right when.

Trees rank the candidates: small regression trees over features of 256 levels each. An answer has to take microseconds,
so no tree is walked. ``masks[f, level, t]`` holds a bit for each leaf of tree ``t`` that a row with this level of
feature ``f`` can still reach; the bits of all features, taken together, leave one leaf standing (the first, where it is
several), as in QuickScorer (Lucchese et al. 2015).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cashwrap.recommend.asked import Asked, Candidates, Items, Scores
from cashwrap.recommend.parts import Parts

LEVELS: Final = 256
LEAVES: Final = 16
CONTEXT: Final = 6
"""Features beside the two that each source has: see ``Blend.features``."""
FULL: Final = 64
"""Candidates that the trees order; those behind stay in the order of the shares."""
_ABSENT: Final = np.float32(2.0**-60)
_LOWEST: Final = np.float32(2.0**-20)
_ALL: Final = np.uint16(0xFFFF)
_AGAIN: Final = 20
Levels = NDArray[np.uint8]


class Pool(NamedTuple):
    """The candidates of all sources: each item once, its scores by source (0 for none), and each source's highest."""

    items: Items
    scores: Scores
    top: Scores

    def only(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> "Pool":
        """Some of the candidates."""
        return Pool(self.items[kept], self.scores[:, kept], self.top)


class Order(NamedTuple):
    """An answer, best first; ``source`` is the place of the one with the largest part."""

    items: Items
    scores: Scores
    source: NDArray[np.int64]


class Blend:
    """What was learned: ``shares`` of the sources, trees, and three things known of each item."""

    def __init__(self, shares: Scores, trees: "Trees | None", known: NDArray[np.uint8], category: Items) -> None:
        self._shares, self._trees, self._known, self._category = shares, trees, known, category

    @classmethod
    def of(cls, artefact: Parts, sources: int, items: int) -> Self:
        """From ``blend.shares``, ``blend.known`` (popular and lately, by item), ``category.of``, and the trees, if any,
        in ``blend.masks`` and ``blend.leaves``. Raises ``ValueError`` where they do not fit."""
        arrays = artefact.arrays
        shares, known, category = arrays["blend.shares"], arrays["blend.known"], arrays["category.of"]
        if len(shares) != sources or known.shape != (2, items) or len(category) != items:
            raise ValueError(f"the blend does not fit {sources} sources and {items} items")
        trees = Trees.of(artefact, 2 * sources + CONTEXT) if "blend.masks" in arrays else None
        return cls(shares, trees, known, category)

    def order(self, asked: Asked, pool: Pool, limit: int) -> Order:
        """The best ``limit`` of the pool, without what is in the cart."""
        if len(asked.basket):
            pool = pool.only((pool.items[:, None] != asked.basket).all(axis=1))
        worth = self._shares / np.maximum(pool.top, _ABSENT)
        parts: Scores = np.asarray(worth @ pool.scores, np.float32)
        first = _first(parts, max(limit, FULL))
        scores = parts[first]
        if self._trees is not None and len(first):
            ranks = self._trees.scores(self.features(asked, pool.only(first[:FULL])))
            again = (-ranks).argsort(kind="stable")
            first = np.concatenate((first[:FULL][again], first[FULL:]))
            scores = np.concatenate((ranks[again], scores[FULL:] + (ranks.min() - np.float32(2))))
        first = first[:limit]
        source = (worth[:, None] * pool.scores[:, first]).argmax(axis=0)
        return Order(pool.items[first], scores[:limit], source)

    def features(self, asked: Asked, pool: Pool) -> Levels:
        """Features by candidates: each source's score in eighths of octaves, the same below that source's best in
        sixteenths, and then how long the question is, how varied, how often the candidate is in it, whether it is of
        the newest item's category, and how popular it is of all times and lately."""
        octaves = np.log2(np.maximum(pool.scores, _ABSENT))
        sources, count = octaves.shape
        found = np.empty((2 * sources + CONTEXT, count), np.float32)
        np.add(octaves * 8, 192, out=found[:sources])
        top = np.log2(np.maximum(pool.top, _LOWEST))
        np.add((octaves - top[:, None]) * 16, 255, out=found[sources : 2 * sources])
        context = found[2 * sources :]
        visit = asked.recent if len(asked.recent) else asked.basket
        listed = visit.tolist()
        context[0] = len(listed)
        context[1] = 255 * len(set(listed)) // max(len(listed), 1)
        context[2] = (pool.items[:, None] == asked.recent[-_AGAIN:]).sum(axis=1)
        context[3] = self._same(pool.items, listed)
        context[4:] = self._known[:, pool.items]
        np.maximum(found, 0, out=found)
        return np.minimum(found, LEVELS - 1, out=found).astype(np.uint8)

    def _same(self, items: Items, visit: list[int]) -> "NDArray[np.float32] | float":
        """2 for those of the newest item's category, 1 for others, 0 where it has none."""
        category = int(self._category[visit[-1]]) if visit else -1
        return 0.0 if category < 0 else (self._category[items] == category).astype(np.float32) + 1


class Trees:
    """All trees at once: ``masks`` by feature, level and tree, and the value of each leaf by tree."""

    def __init__(self, masks: NDArray[np.uint16], leaves: Scores) -> None:
        self._used = np.flatnonzero((masks != _ALL).any(axis=(1, 2)))
        self._rows = np.ascontiguousarray(masks[self._used]).reshape(len(self._used) * LEVELS, masks.shape[2])
        self._at = (np.arange(len(self._used)) * LEVELS)[:, None]
        self._leaves = np.ascontiguousarray(leaves).reshape(-1)
        self._first = np.arange(len(leaves)) * LEAVES

    @classmethod
    def of(cls, artefact: Parts, features: int) -> Self:
        """From ``blend.masks`` and ``blend.leaves``. Raises ``ValueError`` where they do not fit."""
        masks, leaves = artefact.arrays["blend.masks"], artefact.arrays["blend.leaves"]
        if masks.shape != (features, LEVELS, len(leaves)) or leaves.shape[1] != LEAVES:
            raise ValueError(f"the trees do not fit {features} features")
        return cls(masks, leaves)

    def scores(self, levels: Levels) -> Scores:
        """By candidate: the sum of the leaves that it falls into."""
        if not len(self._used):
            return np.zeros(levels.shape[1], np.float32)
        standing = np.bitwise_and.reduce(self._rows[levels[self._used] + self._at], axis=0)
        found: Scores = self._leaves[_LOWEST_BIT[standing] + self._first].sum(axis=1)
        return found


def pooled(found: Sequence[Candidates]) -> Pool:
    """The candidates of all sources together, in the order of their items."""
    lengths = [len(each.items) for each in found]
    items = np.concatenate([each.items for each in found])
    scores = np.zeros((len(found), len(items)), np.float32)
    if not len(items):
        return Pool(items, scores, np.zeros(len(found), np.float32))
    keys = (items.astype(np.int64) << 32) | np.arange(len(items))
    keys.sort()
    order = keys & 0xFFFFFFFF
    items = items[order]
    first = np.empty(len(items), np.bool_)
    first[0] = True
    np.not_equal(items[1:], items[:-1], out=first[1:])
    source = np.arange(len(found)).repeat(lengths)[order]
    scores = scores[:, : int(np.count_nonzero(first))]
    scores[source, first.cumsum() - 1] = np.concatenate([each.scores for each in found])[order]
    return Pool(items[first], scores, scores.max(axis=1))


def _first(parts: Scores, most: int) -> NDArray[np.int64]:
    """The places of the highest, in order; of equals the first."""
    if len(parts) > most:
        kept = parts.argpartition(len(parts) - most)[-most:]
        kept.sort()
        return kept[(-parts[kept]).argsort(kind="stable")]
    return (-parts).argsort(kind="stable")


def _lowest_bits() -> NDArray[np.uint8]:
    """By 16 bits: the place of the lowest one that is set; 0 for none."""
    bits = np.arange(1 << LEAVES, dtype=np.uint32)
    lowest = np.zeros(1 << LEAVES, np.uint8)
    for place in range(LEAVES - 1, -1, -1):
        lowest[(bits >> place) & 1 == 1] = place
    return lowest


_LOWEST_BIT: Final = _lowest_bits()
