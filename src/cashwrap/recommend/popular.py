"""What sells: most of all lately, and more than it used to; of all or of one category."""

from itertools import pairwise
from typing import Final, Self

import numpy as np

from cashwrap.recommend.asked import Asked, Candidates
from cashwrap.recommend.parts import Parts
from cashwrap.recommend.tables import Table

EVERY: Final = 0
"""The row of all items; that of category ``c`` is ``c + 1``."""


class Popular:
    """The items most bought, newer orders counting more."""

    name = "popular"

    def __init__(self, rows: tuple[Candidates, ...]) -> None:
        self._rows = rows

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:
        """From ``<name>.offsets``, ``.items`` and ``.scores``: a row of all items and one of each category."""
        categories = len(artefact.arrays[f"{cls.name}.offsets"]) - 1
        table = Table.of(artefact, cls.name, categories)
        if len(table.items) and int(table.items.max()) >= items:
            raise ValueError(f"the table {cls.name} does not fit {items} items")
        ends = np.asarray(table.offsets).tolist()
        return cls(tuple(Candidates(table.items[low:high], table.scores[low:high]) for low, high in pairwise(ends)))

    def candidates(self, asked: Asked) -> Candidates:
        """Those of the category asked for; of all where there is none, or where it is not known."""
        row = asked.category + 1
        return self._rows[row if EVERY < row < len(self._rows) else EVERY]


class Trending(Popular):
    """The items that are bought more now than they were before, by how many more than chance would have it."""

    name = "trending"
