"""What the visit itself says: what was looked at already, what follows it, and what sells in its category."""

from typing import Self

import numpy as np

from cashwrap.recommend.asked import NO_CANDIDATES, Asked, Candidates, Items
from cashwrap.recommend.parts import Parts
from cashwrap.recommend.popular import Popular
from cashwrap.recommend.tables import Alongside, distinct

_AGAIN = 20
_NEWEST = 5
_FADE = 0.8


class Seen:
    """What was done in this visit already: the newest first."""

    name = "seen"

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:  # noqa: ARG003 - a source's signature
        """Needs nothing."""
        return cls()

    def candidates(self, asked: Asked) -> Candidates:
        """One over the place from the end."""
        if not len(asked.recent):
            return NO_CANDIDATES
        items = distinct(asked.recent[-_AGAIN:])
        return Candidates(items, (1 / np.arange(len(items), 0, -1)).astype(np.float32))


class Earlier:
    """What was done in earlier visits: who comes back goes on where they were."""

    name = "earlier"

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:  # noqa: ARG003 - a source's signature
        """Needs nothing."""
        return cls()

    def candidates(self, asked: Asked) -> Candidates:
        """The sum over all times of one over the place from the end and the days that have gone by."""
        if not len(asked.earlier):
            return NO_CANDIDATES
        items, place = np.unique(asked.earlier, return_inverse=True)
        weight = 1 / (np.arange(len(place), 0, -1) * (1 + asked.earlier_days))
        return Candidates(items, np.bincount(place, weight).astype(np.float32))


class Follows(Alongside):
    """What comes soon after the items looked at last."""

    name = "follows"

    def candidates(self, asked: Asked) -> Candidates:
        """Sums of the rows, of what is older in the visit less."""
        items = distinct((asked.recent if len(asked.recent) else asked.basket)[-4 * _NEWEST :])[-_NEWEST:]
        ages = np.arange(len(items) - 1, -1, -1)
        return self._table.sums(items, (_FADE**ages).astype(np.float32))


class Category:
    """What sells in the category of the newest item."""

    name = "category"

    def __init__(self, rows: Popular, category: Items) -> None:
        self._rows, self._category = rows, category

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:
        """From ``popular.*``, and each item's category in ``category.of``. Raises ``ValueError`` if they do not fit."""
        category = artefact.arrays["category.of"]
        if len(category) != items:
            raise ValueError(f"the categories do not fit {items} items")
        return cls(Popular.of(artefact, items), category)

    def candidates(self, asked: Asked) -> Candidates:
        """As popular has them."""
        items = asked.recent if len(asked.recent) else asked.basket
        category = int(self._category[items[-1]]) if len(items) else asked.category
        return NO_CANDIDATES if category < 0 else self._rows.candidates(asked._replace(category=category))
