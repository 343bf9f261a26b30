"""What is bought again: how likely, by how often and how long ago it was bought, by item, and when it is due.

An example is an order of a shopper and an item of their earlier orders: is it in the order or not? The chance is
counted by class of number and days; an item's ``lift`` is how much oftener it is bought again than the classes say.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import DAY, FEW, Lines, bought, number
from cashwrap.learning.rows import Arrays, Texts
from cashwrap.recommend.repeat import DAYS, DUE, TIMES, classes

DEFAULTS: Final[Mapping[str, float]] = {"few": FEW, "believe": 10.0}
"""``believe`` is the examples that the average counts for beside an item's or a class's own."""
WAITS: Final = 50
"""Later orders of a shopper that one purchase is an example for, bought again or not."""
MONTH: Final = 30.0


class Examples(NamedTuple):
    """A purchase and a later order of the shopper's, up to the one that has the item again."""

    item: NDArray[np.int32]
    shopper: NDArray[np.int32]
    times: NDArray[np.int32]
    days: NDArray[np.float32]
    again: NDArray[np.bool_]


def build(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``repeat.*``. Items that few shoppers bought again are as the average."""
    few, believe = (number(settings, name, default) for name, default in DEFAULTS.items())
    lines = bought(data)
    told = examples(lines, data.user)
    average = (told.again.sum() + 1e-3) / (len(told.again) + 1)
    interval = _intervals(told, lines.items, int(few), believe)
    times, days, due = classes(told.times, told.days, interval[told.item])
    shape = (len(TIMES) + 1, len(DAYS) + 1)
    cell = times * shape[1] + days
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    chance = (np.bincount(cell, told.again, len(count)) + believe * average) / (count + believe)
    expected = chance[cell]
    ready = _ratio(due, told.again, expected, len(DUE) + 1, believe * average)
    expected = expected * ready[due]
    lift = _ratio(told.item, told.again, expected, lines.items, believe * average)
    lift[_again(told, lines.items) < few] = 1.0
    return {
        "repeat.chance": chance.reshape(shape).astype(np.float32),
        "repeat.due": ready.astype(np.float32),
        "repeat.lift": lift.astype(np.float32),
        "repeat.interval": interval,
    }, {}


def examples(lines: Lines, user: NDArray[np.int32]) -> Examples:
    """All examples; ``user`` is by session, below 0 where nobody is known."""
    visits = _Visits(user)
    kept = lines.only((user >= 0)[lines.session])
    who = user[kept.session]
    order = np.lexsort((kept.session, kept.item, who))
    session, item, who = kept.session[order], kept.item[order], who[order]
    new = np.ones(len(item) + 1, np.bool_)  # where a shopper's purchases of an item begin; and the end
    new[1:-1] = (item[1:] != item[:-1]) | (who[1:] != who[:-1])
    same = ~new[1:]
    first = np.flatnonzero(new)
    times = np.arange(len(item)) - np.repeat(first[:-1], np.diff(first)) + 1
    at = visits.place[session]
    ends = np.where(same, np.roll(at, -1), visits.count[who] - 1)
    waits = np.minimum(ends - at, WAITS)
    row = np.repeat(np.arange(len(item)), waits)
    place = at[row] + np.arange(len(row)) - np.repeat(np.cumsum(waits) - waits, waits) + 1
    later = visits.sessions[visits.first[who[row]] + place]
    days = (lines.time[later] - lines.time[session[row]]) / DAY
    return Examples(
        item=item[row],
        shopper=who[row],
        times=times[row].astype(np.int32),
        days=days.astype(np.float32),
        again=same[row] & (place == ends[row]),
    )


class _Visits:
    """The sessions of each shopper, in time: those of ``u`` are ``sessions[first[u]:first[u] + count[u]]``."""

    def __init__(self, user: NDArray[np.int32]) -> None:
        known = np.flatnonzero(user >= 0)
        self.sessions = known[np.argsort(user[known], kind="stable")]
        self.count = np.bincount(user[known])
        self.first = np.cumsum(self.count) - self.count
        self.place = np.zeros(len(user), np.int64)
        self.place[self.sessions] = np.arange(len(known)) - np.repeat(self.first, self.count)


def _intervals(told: Examples, items: int, few: int, believe: float) -> NDArray[np.float32]:
    """By item: the geometric mean of the days between purchases, drawn to that of all."""
    days = np.log(np.maximum(told.days[told.again], 0.5).astype(np.float64))
    usual = float(days.mean()) if len(days) else float(np.log(MONTH))
    item = told.item[told.again]
    count = np.bincount(item, minlength=items).astype(np.float64)
    count[_again(told, items) < few] = 0
    summed = np.where(count > 0, np.bincount(item, days, items), 0)
    return np.exp((summed + believe * usual) / (count + believe)).astype(np.float32)


def _again(told: Examples, items: int) -> NDArray[np.int64]:
    """By item: the shoppers who bought it again."""
    pairs = np.unique(told.shopper[told.again].astype(np.int64) * max(items, 1) + told.item[told.again])
    return np.bincount(pairs % max(items, 1), minlength=items)


def _ratio(
    place: NDArray[Any], again: NDArray[np.bool_], expected: NDArray[np.float64], size: int, believe: float
) -> NDArray[np.float64]:
    """By place: what came over what was expected, drawn to 1."""
    came = np.bincount(place, again, minlength=size)
    return (came + believe) / (np.bincount(place, expected, minlength=size) + believe)
