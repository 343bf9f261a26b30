"""Interactions written down by hand: sessions as lists of item names."""

from collections.abc import Mapping, Sequence

import numpy as np

from cashwrap.learned.artefact import Artefact
from cashwrap.learning.data import TRAIN, Interactions
from cashwrap.learning.lines import DAY
from cashwrap.learning.rows import Arrays
from cashwrap.model import Product
from cashwrap.recommend.asked import NO_SCORES, NOBODY, NOTHING, ORDER, Asked, Candidates, Items


def interactions(
    sessions: Sequence[Sequence[str]],
    *,
    users: Sequence[int] | None = None,
    days: Sequence[float] | None = None,
    kinds: Sequence[int] | None = None,
    catalogue: Mapping[str, Product] | None = None,
) -> Interactions:
    """Sessions with their items in order; each of a shopper, on a day and of a kind of its own, if that is said."""
    products = catalogue or {}
    names = sorted({name for session in sessions for name in session} | set(products))
    lengths = [len(session) for session in sessions]
    moments = [int(day * DAY) for day in days or [0.0] * len(sessions)]
    return Interactions(
        items=tuple(names),
        item=np.array([names.index(name) for session in sessions for name in session], np.int32),
        kind=np.repeat(kinds or [ORDER] * len(sessions), lengths).astype(np.int8),
        time=np.repeat(moments, lengths).astype(np.int64),
        offsets=np.cumsum([0, *lengths]),
        user=np.array(users if users is not None else [-1] * len(sessions), np.int32),
        part=np.full(len(sessions), TRAIN, np.int8),
        explored=np.zeros(len(sessions), np.bool_),
        catalogue=products,
        clock=days is not None,
    )


def artefact(arrays: Arrays) -> Artefact:
    """A recommender with these arrays alone."""
    return Artefact("recommender", arrays, {}, {})


def asks(data: Interactions, basket: Sequence[str] = (), recent: Sequence[str] = ()) -> Asked:
    """A question with a cart and what was looked at, newest last."""
    ages = np.arange(len(recent) - 1, -1, -1, dtype=np.float32)
    return NOBODY._replace(
        basket=_places(data, basket), recent=_places(data, recent), kinds=np.zeros(len(recent), np.int8), ages=ages
    )


def has_bought(data: Interactions, bought: Mapping[str, tuple[float, int]]) -> Asked:
    """A question of a shopper with earlier orders: by item the days since the last, and how often."""
    return Asked(
        recent=NOTHING,
        kinds=np.empty(0, np.int8),
        ages=NO_SCORES,
        basket=NOTHING,
        bought=_places(data, list(bought)),
        bought_days=np.array([days for days, _ in bought.values()], np.float32),
        bought_times=np.array([times for _, times in bought.values()], np.int32),
    )


def named(data: Interactions, found: Candidates) -> dict[str, float]:
    """Candidates by name, best first; of equal ones by name."""
    scores = {data.items[item]: float(score) for item, score in zip(found.items, found.scores, strict=True)}
    assert len(scores) == len(found.items), "an item is twice among them"
    return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))


def _places(data: Interactions, names: Sequence[str]) -> Items:
    return np.array([data.items.index(name) for name in names], np.int32)
