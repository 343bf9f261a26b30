"""Item-to-item tables: what was bought together with a cart's items, what is like them, what fits them.

A table holds, for each item, a few tens of others with a score, row after row. Asking it is gathering the rows of the
cart's items and adding up what is there several times.
"""

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cashwrap.recommend.asked import NO_CANDIDATES, Asked, Candidates, Items, Scores
from cashwrap.recommend.parts import Parts

ASKED: Final = 50
"""Of a larger cart the newest this many items are asked for."""
MOST: Final = 300
"""Candidates of one answer."""
_NEWEST: Final = 5
"""Items of the visit that are asked for where the cart is empty."""


class Table(NamedTuple):
    """Rows of items with scores: those of item ``i`` are at ``offsets[i]:offsets[i + 1]``."""

    offsets: NDArray[np.int64]
    items: Items
    scores: Scores

    @classmethod
    def of(cls, artefact: Parts, name: str, items: int) -> Self:
        """The arrays ``<name>.offsets``, ``.items`` and ``.scores``. Raises ``ValueError`` where they do not fit."""
        offsets, others, scores = (artefact.arrays[f"{name}.{part}"] for part in ("offsets", "items", "scores"))
        if len(offsets) != items + 1 or len(others) != len(scores) or (items and int(offsets[-1]) != len(others)):
            raise ValueError(f"the table {name} does not fit {items} items")
        return cls(offsets, others, scores)

    def sums(self, asked: Items, weights: Scores) -> Candidates:
        """The rows of different items together: scores by weight, added up by item. At most ``MOST``, the best."""
        starts = self.offsets[asked]
        lengths = self.offsets[asked + 1] - starts
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        if not total:
            return NO_CANDIDATES
        at = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
        found = self.items[at]
        order = found.argsort(kind="stable")
        found = found[order]
        first = np.empty(total, np.bool_)
        first[0] = True
        np.not_equal(found[1:], found[:-1], out=first[1:])
        begins = first.nonzero()[0]
        added = np.add.reduceat((self.scores[at] * np.repeat(weights, lengths))[order], begins)
        return best(Candidates(found[begins], added), MOST)


class Alongside:
    """A source that reads the rows of one table: those of the cart's items, or where it is empty of what was looked at
    last. ``name`` is the table's, too."""

    name: str

    def __init__(self, table: Table) -> None:
        self._table = table

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:
        """From ``<name>.offsets``, ``<name>.items`` and ``<name>.scores``."""
        return cls(Table.of(artefact, cls.name, items))

    def candidates(self, asked: Asked) -> Candidates:
        """Sums of the rows; the more of the items know one, the better."""
        items = asked.basket[-ASKED:] if len(asked.basket) else distinct(asked.recent[-_NEWEST:])
        return self._table.sums(items, np.ones(len(items), np.float32))


class Together(Alongside):
    """What orders with the cart's items also had in them."""

    name = "together"


class Accessories(Alongside):
    """What the catalogue itself says goes with the cart's items: complements, and what is made to fit them."""

    name = "accessories"


class Similar(Alongside):
    """What is like what was put into the cart and looked at last, by the catalogue's words and attributes."""

    name = "similar"

    def candidates(self, asked: Asked) -> Candidates:
        """Sums of the rows, of what is older in the visit less."""
        items = distinct(np.concatenate((asked.basket[-_NEWEST:], asked.recent[-_NEWEST:])))[-_NEWEST:]
        age = np.arange(len(items) - 1, -1, -1, dtype=np.float32)
        return self._table.sums(items, (1 / (1 + age)).astype(np.float32))


def best(found: Candidates, most: int) -> Candidates:
    """The ``most`` with the highest scores, in no order."""
    if len(found.items) <= most:
        return found
    kept = np.argpartition(found.scores, len(found.scores) - most)[-most:]
    return Candidates(found.items[kept], found.scores[kept])


def distinct(items: Items) -> Items:
    """Each item once, where it came last; a handful of them."""
    return np.array(list(reversed(dict.fromkeys(reversed(items.tolist())))), np.int32)
