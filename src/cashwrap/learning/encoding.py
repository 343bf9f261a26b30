"""Learns an encoder (``propensity.encoder``) and encodes the very rows that it learns from without telling them their
own label.

A rate that a row's own label is part of gives the label away: trees would learn to trust it, and be wrong afterwards.
So with a clock a row is told the rates of what was before it (ordered target statistics: Prokhorenkova and others,
CatBoost, 2018), without one those of other folds, and never anything of its own group.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.learning.data import Column, Table
from cashwrap.propensity.encoder import WIDTH, Encoder, Known, numbers, summary
from cashwrap.propensity.values import members, text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST_SHOPPERS = 3
"""Levels that fewer shoppers had are not kept: they would say something of somebody. For a shop's own data."""
FOLDS = 5
SEED = 20_150


class Levels(NamedTuple):
    """The texts of a column as numbers: one of a row, or several, or none."""

    names: tuple[str, ...]
    row: Ints
    level: Ints
    """Places in ``names``; -1 for a text that is not kept."""


def encoded(table: Table, smoothing: float) -> tuple[Encoder, Floats]:
    """An encoder that has learned from all rows of a table, and these rows as they may be trained on.

    ``smoothing`` is how many examples of the base rate are added to those of each level.
    """
    base = float(table.label.mean())
    known: list[Known] = []
    parts: list[Floats] = []
    for column in table.columns:
        if column.kind == "number":
            parts.append(numbers(column.values)[:, None])
            known.append(Known(column.name, "number", {}))
            continue
        levels = kept(table, levels_of(column))
        known.append(_known(table, column, levels, smoothing))
        ups, count = of_others(table, levels)
        rate = (ups + smoothing * base) / (count + smoothing)
        parts.append(_columns(column.kind, levels, rate, count, len(table.label)))
    return Encoder(known, base), np.concatenate(parts, axis=1)


def levels_of(column: Column) -> Levels:
    """The levels of a column of texts."""
    names: dict[str, int] = {}
    if column.kind == "category":
        level = np.array([names.setdefault(text(value), len(names)) for value in column.values], np.int64)
        return Levels(tuple(names), np.arange(len(level), dtype=np.int64), level)
    split = {value: members(value) for value in set(column.values.tolist())}
    row = np.repeat(np.arange(len(column.values)), [len(split[value]) for value in column.values])
    found = [names.setdefault(each, len(names)) for value in column.values for each in split[value]]
    return Levels(tuple(names), row.astype(np.int64), np.array(found, np.int64))


def kept(table: Table, levels: Levels) -> Levels:
    """Without those that too few shoppers had, where the rows are shoppers of a shop of ours."""
    if not table.subjects:
        return levels
    pairs = np.unique(np.stack([levels.level, table.group[levels.row].astype(np.int64)]), axis=1)
    enough = np.bincount(pairs[0], minlength=len(levels.names)) >= FEWEST_SHOPPERS
    return levels._replace(level=np.where(enough[levels.level], levels.level, -1))


def of_others(table: Table, levels: Levels) -> tuple[Floats, Floats]:
    """For each level of each row, the positive labels and the number of the other groups' rows that had it: before the
    row, or where no clock is known in the other folds. 0 of 0 for a level that is not kept."""
    label = table.label[levels.row]
    group = table.group[levels.row].astype(np.int64)
    if table.clock:
        time = table.time[levels.row]
        every = _before(levels.level, time, label)
        own = _before(_paired(levels.level, group), time, label)
    else:
        every = _within(levels.level, label)
        own = _within(_paired(levels.level, folds_of(table.group)[levels.row]), label)
    none = levels.level < 0
    return np.where(none, 0.0, every[0] - own[0]), np.where(none, 0.0, every[1] - own[1])


def folds_of(group: NDArray[np.int32], folds: int = FOLDS, seed: int = SEED) -> Ints:
    """A fold for each row: the same for rows of one group."""
    _, which = np.unique(group, return_inverse=True)
    count = int(which.max(initial=-1)) + 1
    return (np.random.default_rng(seed).permutation(count) % folds)[which].astype(np.int64)


def _paired(first: Ints, second: Ints) -> Ints:
    """One number for each pair of numbers."""
    return np.unique(np.stack([first, second]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _within(key: Ints, label: Floats) -> tuple[Floats, Floats]:
    """Sum and count of all rows of the same key."""
    at = key - key.min(initial=0)
    return np.bincount(at, label)[at], np.bincount(at)[at].astype(np.float64)


def _before(key: Ints, time: NDArray[np.int64], label: Floats) -> tuple[Floats, Floats]:
    """Sum and count of the rows of the same key at an earlier time."""
    if not len(key):
        return np.empty(0), np.empty(0)
    order = np.lexsort((time, key))
    by_key, by_time = key[order], time[order]
    new_key = np.concatenate([[True], by_key[1:] != by_key[:-1]])
    new_time = new_key | np.concatenate([[True], by_time[1:] != by_time[:-1]])
    upto = np.concatenate([[0.0], np.cumsum(label[order])])
    place = np.arange(len(order))
    start = np.maximum.accumulate(np.where(new_key, place, 0))
    until = np.maximum.accumulate(np.where(new_time, place, 0))
    ups, count = np.empty(len(order)), np.empty(len(order))
    ups[order] = upto[until] - upto[start]
    count[order] = until - start
    return ups, count


def _known(table: Table, column: Column, levels: Levels, smoothing: float) -> Known:
    """What the encoder keeps: rates of all rows."""
    has = levels.level >= 0
    level, label = levels.level[has], table.label[levels.row[has]]
    ups = np.bincount(level, label, minlength=len(levels.names))
    count = np.bincount(level, minlength=len(levels.names))
    rate = (ups + smoothing * float(table.label.mean())) / (count + smoothing)
    told = zip(levels.names, rate.tolist(), np.log1p(count).tolist(), count.tolist(), strict=True)
    return Known(column.name, column.kind, {name: (each, many) for name, each, many, number in told if number})


def _columns(kind: str, levels: Levels, rate: Floats, count: Floats, rows: int) -> Floats:
    """What ``Encoder`` makes of the same levels, by the rates that each row may know."""
    if kind == "category":
        return np.stack([rate, np.log1p(count)], axis=1)
    ends = np.searchsorted(levels.row, np.arange(rows + 1))
    rates = rate.tolist()
    found = [summary(rates[start:end]) for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    return np.array(found, np.float64).reshape(rows, WIDTH["set"])
