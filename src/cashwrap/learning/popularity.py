"""What sells, and what sells more than it did: of all items and by category."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import DAY, FEW, Lines, bought, number
from cashwrap.learning.rows import Arrays, Rows, Texts

DEFAULTS: Final[Mapping[str, float]] = {"few": FEW, "keep": 200, "half_life": 30.0, "window": 14.0}
"""``keep`` is the longest row; ``half_life`` and ``window`` (what is lately) are in days."""
BEFORE: Final = 4
"""The windows before the last one that a trend is compared with."""


def build(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``popular.*``: orders of each item, newer ones counting more; and the categories' names."""
    few, keep, half_life, _ = _chosen(settings)
    lines = bought(data)
    orders = np.bincount(lines.item, lines.decay(half_life)[lines.session], minlength=lines.items)
    orders[lines.shoppers() < few] = 0
    names, category = categories(data)
    texts = {"popular.categories": msgspec.json.encode(names).decode()}
    return _rows(orders / max(orders.max(initial=0), 1e-9), category, len(names), keep).arrays("popular"), texts


def build_trending(data: Interactions, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays ``trending.*``: how many standard deviations above what the weeks before let expect.

    Without a clock the last tenth of the sessions is lately.
    """
    few, keep, _, window = _chosen(settings)
    lines = bought(data)
    age = _windows(lines, window)[lines.session]
    lately, before = lines.only(age < 1), lines.only((age >= 1) & (age < 1 + BEFORE))
    now = np.bincount(lately.item, minlength=lines.items)
    then = np.bincount(before.item, minlength=lines.items)
    # All of the shop sells more at times: what counts is an item's share of that.
    usual = then * (now.sum() / max(then.sum(), 1))
    score = np.maximum((now - usual) / np.sqrt(usual + 1), 0)
    score[lately.shoppers() < few] = 0
    names, category = categories(data)
    return _rows(score, category, len(names), keep).arrays("trending"), {}


def categories(data: Interactions) -> tuple[list[str], NDArray[np.int32]]:
    """The catalogue's categories, ascending, and each item's place in them; -1 for none."""
    found = [product.category if (product := data.catalogue.get(name)) else None for name in data.items]
    names = sorted({name for name in found if name})
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places.get(name or "", -1) for name in found], np.int32)


def _chosen(settings: Mapping[str, Any]) -> tuple[int, int, float, float]:
    few, keep, half_life, window = (number(settings, name, default) for name, default in DEFAULTS.items())
    return int(few), int(keep), half_life, window


def _windows(lines: Lines, days: float) -> NDArray[np.float64]:
    """By session: how many windows before the end of the data it was."""
    if lines.time.any():
        return np.asarray((lines.time.max() - lines.time) / (days * DAY), np.float64)
    return (lines.sessions - 1 - np.arange(lines.sessions)) / max(lines.sessions / 10, 1)


def _rows(score: NDArray[np.float64], category: NDArray[np.int32], categories: int, keep: int) -> Rows:
    """A row of all items, and one of each category."""
    rows = Rows(categories + 1, keep)
    items = np.flatnonzero(score)
    rows.add(np.zeros(len(items), np.int64), items, score[items])
    items = items[category[items] >= 0]
    rows.add(category[items] + 1, items, score[items])
    return rows
