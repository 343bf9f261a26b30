"""Questions with a known answer out of interactions: a row is hidden, and what a server would know then is asked.

``next_item``: what was done in the visit before the row, and the answer is the row's item. ``basket``: the other items
of the order. In both the shopper's earlier orders are known, as far as the data knows whose they are.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions, Task
from cashwrap.learning.lines import DAY
from cashwrap.recommend.asked import NO_SCORES, NOTHING, ORDER, Asked, Items, Scores
from cashwrap.recommend.hybrid import RECENT
from cashwrap.touches import TOUCHES

EARLIER: Final = 50
"""Sessions of a shopper that are looked back on, the newest."""
_NO_KINDS: Final = np.empty(0, np.int8)
_NO_TIMES: Final = np.empty(0, np.int32)


class Chosen(NamedTuple):
    """Questions: the session of each, and the row that is hidden."""

    session: NDArray[np.int64]
    row: NDArray[np.int64]


class Bought(NamedTuple):
    """Earlier orders' items, the days since the last time, and how often."""

    items: Items
    days: Scores
    times: NDArray[np.int32]


NEVER: Final = Bought(NOTHING, NO_SCORES, _NO_TIMES)


class Questions:
    """All that may be asked of some data."""

    def __init__(self, data: Interactions, task: Task) -> None:
        self._data, self._task = data, task
        self._order = np.argsort(data.user, kind="stable")
        self._place = np.empty(data.sessions, np.int64)
        self._place[self._order] = np.arange(data.sessions)
        self._ordered = data.user[self._order]
        self._bought: tuple[int, Bought] = (-1, NEVER)

    def chosen(self, sessions: NDArray[np.bool_], most: int | None = None, seed: int = 0) -> Chosen:
        """The questions of some sessions; at most so many, drawn by chance."""
        data = self._data
        session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
        asks = sessions[session] & (self._follows(session) if self._task == "next_item" else self._once(session))
        row = np.flatnonzero(asks)
        if most is not None and len(row) > most:
            row = np.sort(np.random.default_rng(seed).choice(row, most, replace=False))
        return Chosen(session[row], row)

    def ask(self, session: int, row: int) -> Asked:
        """What would be known where the row is hidden."""
        data = self._data
        low = int(data.offsets[session])
        bought = self._earlier(session) if data.user[session] >= 0 else NEVER
        if self._task == "basket":
            others = list(dict.fromkeys(data.item[low : int(data.offsets[session + 1])].tolist()))
            others.remove(int(data.item[row]))
            return Asked(NOTHING, _NO_KINDS, NO_SCORES, np.array(others[-2 * RECENT :], np.int32), *bought)
        low = max(low, row - RECENT)
        times = data.time[low:row]
        ages = (times[-1] - times) / 1000 if data.clock else np.arange(row - low, 0, -1)
        earlier = self._visits(session) if data.user[session] >= 0 else (NOTHING, NO_SCORES)
        return Asked(data.item[low:row], data.kind[low:row], ages.astype(np.float32), NOTHING, *bought, -1, *earlier)

    def answer(self, row: int) -> int:
        """The item that is hidden."""
        return int(self._data.item[row])

    def _follows(self, session: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Rows of a kind that is asked for, with an earlier one in the session."""
        data = self._data
        wanted = np.isin(data.kind, data.targets) if data.targets else np.ones(len(data.kind), np.bool_)
        before = np.cumsum(wanted) - wanted
        began = np.append(before, before[-1:])[data.offsets[:-1]] if len(before) else before
        found: NDArray[np.bool_] = wanted & (before > began[session])
        return found

    def _once(self, session: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The first row of each item of a session that has two items or more."""
        data = self._data
        _, first = np.unique(session * max(len(data.items), 1) + data.item, return_index=True)
        once = np.zeros(len(data.item), np.bool_)
        once[first] = True
        several = np.bincount(session[first], minlength=data.sessions) > 1
        return once & several[session]

    def _earlier(self, session: int) -> Bought:
        if self._bought[0] != session:
            self._bought = session, self._orders(session)
        return self._bought[1]

    def _visits(self, session: int) -> tuple[Items, Scores]:
        """The newest that was done in earlier visits, as many as a profile keeps, and the days since."""
        data, rows = self._data, self._before(session)[-TOUCHES:]
        then = data.time[rows] if data.clock else np.full(len(rows), data.time[data.offsets[session]])
        return data.item[rows], ((data.time[data.offsets[session]] - then) / DAY).astype(np.float32)

    def _before(self, session: int) -> NDArray[np.int64]:
        """The rows of earlier sessions of whose this one is."""
        data, place = self._data, int(self._place[session])
        first = max(int(np.searchsorted(self._ordered, data.user[session])), place - EARLIER)
        sessions = self._order[first:place].tolist()
        none = [np.empty(0, np.int64)]
        return np.concatenate(none + [np.arange(data.offsets[each], data.offsets[each + 1]) for each in sessions])

    def _orders(self, session: int) -> Bought:
        """What was bought in earlier sessions of whose this one is."""
        data, rows = self._data, self._before(session)
        if not len(rows):
            return NEVER
        if self._task == "next_item":
            rows = rows[data.kind[rows] == ORDER]
        items, last, times = np.unique(data.item[rows][::-1], return_index=True, return_counts=True)
        kept = np.sort(np.argsort(last)[: 10 * RECENT])
        now = data.time[data.offsets[session]] if data.clock else session
        then = data.time[rows[::-1][last]] if data.clock else last * 0 + session
        days = np.maximum(now - then, 0) / DAY
        return Bought(items[kept], days[kept].astype(np.float32), times[kept].astype(np.int32))
