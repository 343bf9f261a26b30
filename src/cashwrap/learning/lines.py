"""Sessions as what builders of tables count: each item once a session, by whom, and what too few have in common."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions
from cashwrap.recommend.asked import ADD, ORDER, VIEW

DAY: Final = 86_400_000
FEW: Final = 3
"""Shoppers below which nothing is told of an item or a pair of items."""
LONGEST: Final = 200
"""Items of one session that count: a longer order is a reseller's or a machine's, and costs its square."""


class Lines(NamedTuple):
    """Items by session, each once, where it came first; sessions ascend, lines of a session keep their order."""

    session: NDArray[np.int32]
    item: NDArray[np.int32]
    shopper: NDArray[np.int32]
    """By session: sessions of nobody known are each a shopper's own."""
    time: NDArray[np.int64]
    """By session: its last moment; 0 where the data has no clock."""
    items: int
    cut: int = 0
    """Lines beyond the longest that count."""

    @property
    def sessions(self) -> int:
        """How many there are, with or without lines."""
        return len(self.shopper)

    def sizes(self) -> NDArray[np.int64]:
        """Lines by session."""
        return np.bincount(self.session, minlength=self.sessions)

    def decay(self, half_life: float) -> NDArray[np.float64]:
        """By session: a half after so many days before the last one; 1 where there is no clock or no half-life."""
        if not half_life or not len(self.time):
            return np.ones(self.sessions)
        days: NDArray[np.float64] = (self.time.max() - self.time) / DAY
        return np.maximum(np.power(0.5, days / half_life), 1e-9)  # what weighs nothing would be no pair

    def shoppers(self) -> NDArray[np.int64]:
        """By item: how many different shoppers had it."""
        pairs = np.unique(self.shopper[self.session].astype(np.int64) * self.items + self.item)
        return np.bincount(pairs % self.items, minlength=self.items) if self.items else np.zeros(0, np.int64)

    def only(self, keep: NDArray[np.bool_]) -> "Lines":
        """Some of the lines."""
        return self._replace(session=self.session[keep], item=self.item[keep])


def bought(data: Interactions, longest: int = LONGEST) -> Lines:
    """What was bought; where nothing was, what was put into carts; where nothing was either, everything."""
    for kind in (ORDER, ADD):
        rows = data.kind == kind
        if rows.any():
            return lines(data, rows, longest)
    return lines(data, np.ones(len(data.kind), np.bool_), longest)


def viewed(data: Interactions, longest: int = LONGEST) -> Lines:
    """What was looked at."""
    return lines(data, data.kind == VIEW, longest)


def lines(data: Interactions, rows: NDArray[np.bool_], longest: int = LONGEST) -> Lines:
    """Some rows of the data as lines."""
    session = np.repeat(np.arange(data.sessions, dtype=np.int32), np.diff(data.offsets))[rows]
    item = data.item[rows]
    key = session.astype(np.int64) * max(len(data.items), 1) + item
    _, first = np.unique(key, return_index=True)
    first.sort()
    session, item = session[first], item[first]
    place = np.arange(len(session)) - np.searchsorted(session, session)
    kept = place < longest
    last = np.zeros(data.sessions, np.int64)
    if data.clock:
        filled = np.diff(data.offsets) > 0
        last[filled] = data.time[data.offsets[1:][filled] - 1]
    return Lines(
        session=session[kept],
        item=item[kept],
        shopper=_shoppers(data.user),
        time=last,
        items=len(data.items),
        cut=int(len(kept) - kept.sum()),
    )


def number(settings: Mapping[str, Any], name: str, default: float) -> float:
    """A setting that is a number."""
    value = settings.get(name, default)
    return float(value)


def _shoppers(user: NDArray[np.int32]) -> NDArray[np.int32]:
    """Users by session, and a number of its own for each session of nobody known."""
    unknown = user < 0
    first = int(user.max(initial=-1)) + 1
    shopper = user.copy()
    shopper[unknown] = np.arange(first, first + int(unknown.sum()), dtype=np.int32)
    return shopper
