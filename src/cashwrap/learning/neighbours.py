"""The index of sessions by item that neighbours are found in, what follows what in a visit, and plain V-SKNN."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import DAY, FEW, number
from cashwrap.learning.rows import Arrays, Rows, Texts
from cashwrap.recommend.asked import NO_CANDIDATES, Asked, Candidates
from cashwrap.recommend.neighbours import LONGEST, SHIFT, Index

KEPT: Final = 1_000
"""Sessions of an item that the index keeps, the newest: a question reads no more."""
AHEAD: Final = 5
"""Rows after which something no longer follows."""
BEHIND: Final = 0.5
"""What coming before counts beside coming after."""
BLOCK: Final = 1_000_000
"""Rows whose followers are counted at a time."""
FOLLOWERS: Final = 60
NEAREST: Final = 100
"""Neighbours that plain V-SKNN asks, of the newest ``KEPT`` sessions."""
_WHOLE: Final = 100


def build(data: Interactions, settings: Mapping[str, Any], longest: int = LONGEST) -> tuple[Arrays, Texts]:
    """The arrays ``session.*``. ``age`` is when a session counts ``1 / e`` (in days, or as a share of all sessions
    where there is no clock; 0 for never), and ``length`` the power of its length that it is divided by."""
    lengths = np.minimum(np.diff(data.offsets), longest)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    starts = data.offsets[1:] - lengths
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    items = data.item[rows]
    session = np.repeat(np.arange(data.sessions), lengths)
    order = np.argsort(items, kind="stable")
    item, session = items[order], session[order]
    last = np.append((item[1:] != item[:-1]) | (session[1:] != session[:-1]), True)[: len(item)]
    order, item, session = order[last], item[last], session[last]
    count = np.bincount(item, minlength=len(data.items))
    newest = np.repeat(np.cumsum(count), count) - np.arange(len(item)) <= KEPT
    order, item, session = order[newest], item[newest], session[newest]
    kept = np.bincount(item, minlength=len(data.items))
    worth = _recency(data, number(settings, "age", 0.0)) / np.maximum(lengths, 1) ** number(settings, "length", 0.0)
    return {
        "session.user": data.user.astype(np.int32),  # whose each is, so that it can be taken out
        "session.offsets": offsets,
        "session.items": items.astype(np.int32),
        "session.worth": worth.astype(np.float32),
        "session.starts": np.concatenate(([0], np.cumsum(kept))).astype(np.int64),
        "session.postings": (session << SHIFT) | (order - offsets[session]),
        "session.rarity": np.log((data.sessions + 1) / (count + 1) + 1e-6).clip(0.01).astype(np.float32),
    }, {}


def build_follows(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``follows.*``: one over the distance of two items in a visit, half of it for what came before, summed
    up over visits and divided by the roots of how often each is seen. Blocks of items, so that memory stays bounded.

    Of a shop's own shoppers at least ``few`` must have had both: what one alone did is told to nobody."""
    rows = Rows(len(data.items), int(number(settings, "keep", FOLLOWERS)))
    few = int(number(settings, "few", FEW)) if data.subjects else 1
    session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
    count = np.bincount(data.item, minlength=len(data.items))
    root = np.sqrt(np.maximum(count, 1))
    order = np.argsort(data.item, kind="stable")
    ends = np.cumsum(count)
    low = 0
    while low < len(count):
        before = int(ends[low - 1]) if low else 0
        high = max(int(np.searchsorted(ends, before + BLOCK, side="right")), low + 1)
        pairs = _pairs(data.item, session, order[before : int(ends[high - 1])], low)
        if few > 1:
            pairs = _of_several(pairs, data.user, len(count), few)
        matrix = sparse.coo_matrix((pairs.weight, (pairs.first, pairs.second)), shape=(high - low, len(count))).tocsr()
        first = np.repeat(np.arange(low, high), np.diff(matrix.indptr))
        second = matrix.indices.astype(np.int64)
        rows.add(first, second, matrix.data / (root[first] * root[second]))
        low = high
    return rows.arrays("follows"), {}


class _Pairs(NamedTuple):
    """Two items of one visit: places (the first from where its block begins), what they count, and which visit."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float64]
    session: NDArray[np.int64]


def _pairs(item: NDArray[np.int32], session: NDArray[np.int64], at: NDArray[np.int64], low: int) -> _Pairs:
    """Weights by item (from ``low``) and other item, of some rows and what is near them."""
    found: list[_Pairs] = []
    for lag in (*range(-AHEAD, 0), *range(1, AHEAD + 1)):
        other = at + lag
        inside = np.flatnonzero((other >= 0) & (other < len(item)))
        here, there = at[inside], other[inside]
        near = (session[here] == session[there]) & (item[here] != item[there])
        here, there = here[near], there[near]
        weight = np.full(len(here), (1.0 if lag > 0 else BEHIND) / abs(lag))
        found.append(_Pairs(item[here].astype(np.int64) - low, item[there].astype(np.int64), weight, session[here]))
    columns: list[Any] = [np.concatenate(each) for each in zip(*found, strict=True)]
    return _Pairs(*columns)


def _of_several(pairs: _Pairs, user: NDArray[np.int32], items: int, few: int) -> _Pairs:
    """Those pairs that at least so many different shoppers had; a visit of nobody known is one of its own."""
    unknown = user < 0
    shopper = np.where(unknown, int(user.max(initial=-1)) + np.cumsum(unknown), user).astype(np.int64)[pairs.session]
    people = int(shopper.max(initial=0)) + 1
    key = pairs.first * items + pairs.second
    once = np.unique(key * people + shopper) // people
    names, shoppers = np.unique(once, return_counts=True)
    kept = (shoppers >= few)[np.searchsorted(names, key)]
    columns: list[Any] = [each[kept] for each in pairs]
    return _Pairs(*columns)


def _recency(data: Interactions, age: float) -> NDArray[np.float64]:
    """By session: how much it counts for its age."""
    if not age or not data.sessions:
        return np.ones(data.sessions)
    if data.clock:
        last = data.time[np.maximum(data.offsets[1:] - 1, 0)]
        gone = (last.max() - last) / DAY
    else:
        gone = np.arange(data.sessions, 0, -1) / data.sessions
    found: NDArray[np.float64] = np.exp(-np.minimum(gone / age, 50))
    return found


class Vsknn:
    """V-SKNN as it is usually set: 100 neighbours of the newest 1,000 sessions, items of the question by their place
    from its beginning, what a neighbour has by the newest shared item's place from the end and by its rarity."""

    name = "vsknn"

    def __init__(self, index: Index) -> None:
        self._index = index

    @classmethod
    def learned(cls, data: Interactions) -> Self:
        """From sessions, no setting searched for."""
        return cls(Index.of(build(data, {}, _WHOLE)[0], len(data.items)))

    def candidates(self, asked: Asked) -> Candidates:
        """All items of the neighbours."""
        index = self._index
        visit = asked.recent.tolist()
        newest = list(dict.fromkeys(reversed(visit)))
        steps = np.array([visit[::-1].index(item) for item in newest])
        parts = [
            (index.postings[index.starts[item] : index.starts[item + 1]] >> SHIFT << SHIFT) | slot
            for slot, item in enumerate(newest)
        ]
        keys = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        if not len(keys):
            return NO_CANDIDATES
        session, slot = keys >> SHIFT, keys & 0xFFFF
        first = np.flatnonzero(np.append(True, session[1:] != session[:-1]))
        alike = np.add.reduceat(((len(visit) - steps) / len(visit))[slot], first)[-KEPT:]
        session, slot = session[first][-KEPT:], slot[first][-KEPT:]
        nearest = np.lexsort((session, alike))[-NEAREST:]
        return self._items(session[nearest], alike[nearest] / (1 + steps[slot[nearest]]))

    def _items(self, session: NDArray[np.int64], weight: NDArray[np.float64]) -> Candidates:
        index = self._index
        parts = [np.unique(index.items[index.offsets[each] : index.offsets[each + 1]]) for each in session.tolist()]
        item = np.concatenate(parts)
        found, place = np.unique(item, return_inverse=True)
        summed = np.bincount(place, np.repeat(weight, [len(part) for part in parts]))
        return Candidates(found.astype(np.int32), (summed * (1 + index.rarity[found])).astype(np.float32))
