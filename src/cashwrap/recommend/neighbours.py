"""Sessions like this one, and what was in them: the newest that share an item, weighed by how much and how lately.

After V-SKNN (Ludewig and Jannach 2018), STAN (Garg et al. 2019) and VMIS-kNN (Kersbergen et al. 2022): an item of the
question counts by its place, by how long it was looked at, by what was done with it and by how rare it is; a session
that shares items counts by those, by how old it is and how long; an item of the session counts by how near it stands to
the newest shared one.

The postings of an item are its sessions, oldest first, each packed in one number: ``session << 16 | place``, where the
place is that of the item in the session. The eight bits between are free for the place of the item in the question.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cashwrap.recommend.asked import NO_CANDIDATES, Asked, Candidates, Items, Scores
from cashwrap.recommend.parts import Parts
from cashwrap.recommend.tables import best

LONGEST: Final = 30
"""Rows of a session that are kept, the newest."""
MOST: Final = 80
"""Candidates of one answer."""
SHIFT: Final = 16
_SLOT: Final = 8
_BYTE: Final = 255
_READ: Final = 700
"""Postings that one question reads at most, the newest of each item."""
_PAUSE: Final = 1_800.0
"""Seconds after which a page was left open, not looked at."""


class Shape(NamedTuple):
    """How much counts what. ``newest`` items of the question, ``sessions`` of each and ``nearest`` of all are taken;
    an item's part falls to ``1 / e`` after ``fade`` places of the question and after ``near`` places of a session;
    what stands before the shared item counts ``before`` as much. ``rare`` is the power of an item's rarity, ``dwell``
    what a minute of looking adds, ``kinds`` what each thing done counts."""

    newest: int = 10
    sessions: int = 500
    nearest: int = 200
    fade: float = 2.0
    near: float = 3.0
    before: float = 0.8
    rare: float = 1.0
    dwell: float = 0.0
    kinds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)


class Index(NamedTuple):
    """What is read: rows of sessions (``items`` at ``offsets[s]:offsets[s + 1]``), what a session is worth by age and
    length, an item's postings at ``starts[i]:starts[i + 1]``, and how rare it is."""

    offsets: NDArray[np.int64]
    items: Items
    worth: Scores
    starts: NDArray[np.int64]
    postings: NDArray[np.int64]
    rarity: Scores

    @classmethod
    def of(cls, arrays: Mapping[str, Any], items: int) -> Self:
        """The arrays ``session.*``. Raises ``ValueError`` where they do not fit."""
        index = cls(*(arrays[f"session.{name}"] for name in cls._fields))
        sessions = len(index.worth)
        fits = len(index.offsets) == sessions + 1 and len(index.starts) == items + 1 and len(index.rarity) == items
        if not fits or int(index.offsets[-1]) != len(index.items) or int(index.starts[-1]) != len(index.postings):
            raise ValueError(f"the index of neighbours does not fit {items} items")
        return index


class Neighbours:
    """What was in sessions like this one."""

    name = "session"

    def __init__(self, index: Index, shape: Shape) -> None:
        self._index, self._shape = index, shape
        self._fade = np.exp(-np.arange(shape.newest) / shape.fade)
        away = np.arange(-LONGEST, LONGEST + 1)
        self._near = (np.exp(-np.abs(away) / shape.near) * np.where(away < 0, shape.before, 1.0)).astype(np.float32)
        self._weight = index.rarity**shape.rare

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:
        """From the arrays ``session.*`` and the setting ``session``."""
        return cls(Index.of(artefact.arrays, items), shape_of(artefact.settings))

    def candidates(self, asked: Asked) -> Candidates:
        """The items of the nearest sessions, those of the question among them; at most ``MOST``."""
        items, weights = self._question(asked)
        keys = self._postings(items)
        if not len(keys):
            return NO_CANDIDATES
        index, shape = self._index, self._shape
        session = keys >> SHIFT
        first = _changes(session)
        shared = np.add.reduceat(weights[(keys >> _SLOT) & _BYTE], first)
        session, place = session[first], keys[first] & _BYTE
        shared *= index.worth[session]
        if len(shared) > shape.nearest:
            kept = shared.argpartition(len(shared) - shape.nearest)[-shape.nearest :]
            shared, session, place = shared[kept], session[kept], place[kept]
        return self._rows(session, place, shared)

    def _question(self, asked: Asked) -> tuple[list[int], NDArray[np.float64]]:
        """The items asked for, newest first, each once, and what each counts."""
        shape = self._shape
        visit = len(asked.recent) > 0
        said = (asked.recent if visit else asked.basket)[-4 * shape.newest :].tolist()[::-1]
        places: dict[int, int] = {}
        for place, item in enumerate(said):
            if places.setdefault(item, place) == place and len(places) == shape.newest:
                break
        items = list(places)
        weights = np.asarray(self._weight[items] * self._fade[: len(items)], np.float64)
        return items, weights * self._done(asked, list(places.values())) if visit else weights

    def _done(self, asked: Asked, places: list[int]) -> NDArray[np.float64]:
        """What the things done count by kind and by how long they took; ``places`` count from the newest."""
        shape = self._shape
        counted = np.array([shape.kinds[kind] for kind in asked.kinds[-1 - np.array(places)].tolist()])
        if shape.dwell:
            ages = asked.ages[::-1].tolist()
            looked = [min(max(ages[at] - ages[at - 1], 0.0), _PAUSE) if at else 0.0 for at in places]
            counted *= 1 + shape.dwell * np.log1p(np.array(looked) / 60)
        return counted

    def _postings(self, items: list[int]) -> NDArray[np.int64]:
        """The newest sessions of each item, those of one session together, its newest shared item first."""
        index = self._index
        most = min(self._shape.sessions, _READ // max(len(items), 1))
        parts = []
        for slot, item in enumerate(items):
            end = index.starts[item + 1]
            parts.append(index.postings[max(index.starts[item], end - most) : end] | (slot << _SLOT))
        keys = np.concatenate(parts) if parts else np.empty(0, np.int64)
        keys.sort()
        return keys

    def _rows(self, session: NDArray[np.int64], place: NDArray[np.int64], shared: NDArray[np.float64]) -> Candidates:
        """The sessions' items with what each counts, summed up."""
        index = self._index
        starts = index.offsets[session]
        lengths = index.offsets[session + 1] - starts
        ends = lengths.cumsum()
        rows = np.arange(ends[-1])
        begins = ends - lengths
        at = rows + (starts - begins).repeat(lengths)
        away = rows - (begins + place - LONGEST).repeat(lengths)
        scores = shared.repeat(lengths) * self._near[away]
        keys = (index.items[at].astype(np.int64) << 32) | rows  # each once, so that sums add up in one order
        keys.sort()
        item = keys >> 32
        first = _changes(item)
        summed = np.add.reduceat(scores[keys & 0xFFFFFFFF], first)
        return best(Candidates(item[first].astype(np.int32), summed.astype(np.float32)), MOST)


def shape_of(settings: Mapping[str, Any]) -> Shape:
    """The setting ``session``; what it leaves out is as usual."""
    told = dict(settings.get("session", {}))
    if "kinds" in told:
        told["kinds"] = tuple(told["kinds"])
    return Shape(**{name: value for name, value in told.items() if name in Shape._fields})


def _changes(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal numbers begins."""
    first = np.empty(len(ordered), np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first.nonzero()[0]
