"""What the shopper bought before and may need again: how often it is bought again, and how long that takes."""

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from cashwrap.recommend.asked import NO_CANDIDATES, Asked, Candidates, Scores
from cashwrap.recommend.parts import Parts
from cashwrap.recommend.tables import MOST, best

DAYS: Final = (1.0, 3.0, 7.0, 14.0, 21.0, 35.0, 60.0, 90.0, 150.0, 250.0)
"""Where the classes of days since the last purchase end; the last is open."""
TIMES: Final = (1, 2, 4, 7)
"""The largest number of purchases of each class but the last, which is open."""
DUE: Final = (0.25, 0.5, 0.8, 1.2, 1.6, 2.5)
"""The classes of days gone by in usual intervals of the item."""


class Repeat:
    """Earlier orders' items by the chance that the next order has them too."""

    name = "repeat"

    def __init__(self, chance: Scores, due: Scores, lift: Scores, interval: Scores) -> None:
        self._chance, self._due, self._lift, self._interval = chance, due, lift, interval

    @classmethod
    def of(cls, artefact: Parts, items: int) -> Self:
        """From ``repeat.chance`` (by class of times and of days), ``.due``, ``.lift`` and ``.interval`` (by item).

        Raises ``ValueError`` where they do not fit.
        """
        chance, due, lift, interval = (
            artefact.arrays[f"{cls.name}.{part}"] for part in ("chance", "due", "lift", "interval")
        )
        if chance.shape != (len(TIMES) + 1, len(DAYS) + 1) or due.shape != (len(DUE) + 1,) or len(lift) != items:
            raise ValueError(f"the table {cls.name} does not fit {items} items")
        return cls(chance, due, lift, interval)

    def candidates(self, asked: Asked) -> Candidates:
        """The chance by age and number of purchases, as much higher as the item is one that is bought again."""
        if not len(asked.bought):
            return NO_CANDIDATES
        items = asked.bought
        times, days, due = classes(asked.bought_times, asked.bought_days, self._interval[items])
        return best(Candidates(items, self._chance[times, days] * self._due[due] * self._lift[items]), MOST)


def classes(
    times: NDArray[np.int32], days: Scores, interval: Scores
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The classes of numbers of purchases, of days since the last, and of how due another is."""
    return np.searchsorted(TIMES, times), np.searchsorted(DAYS, days), np.searchsorted(DUE, days / interval)
