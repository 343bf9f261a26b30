"""Which examples are learned from and which judge: by part, by time, by folds; rows of one group stay together."""

import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.learning.data import TEST, TRAIN, VALID, Table

Ints = NDArray[np.int64]
FEWEST_ROWS, FEWEST_OF_EACH = 100, 20
"""Examples, and examples of each label, below which nothing can be learned."""
FEWEST_GROUPS = 5
"""Groups, which stay together, below which there are no folds."""
TAIL = 0.2
"""Share of the time that a search keeps back."""
FOLDS = 3
"""That a search judges by where there is no clock."""
SEED = 2018


def chosen(table: Table, rows: NDArray[np.bool_] | Ints) -> Table:
    """Some of the rows."""
    return table._replace(
        columns=tuple(column._replace(values=column.values[rows]) for column in table.columns),
        label=table.label[rows],
        time=table.time[rows],
        group=table.group[rows],
        part=table.part[rows],
        explored=table.explored[rows],
        treated=None if table.treated is None else table.treated[rows],
        propensity=None if table.propensity is None else table.propensity[rows],
        seen=None if table.seen is None else table.seen[rows],
    )


def learned_from(table: Table) -> Table:
    """The rows that are not TEST. Raises ``InvalidInput`` where nothing can be learned from them: ``no_columns``,
    ``invalid_label``, ``too_few_examples``, ``one_class``."""
    learned = chosen(table, table.part != TEST)
    if not table.columns:
        raise InvalidInput("there is no column to learn from: name features, numbers or categories", code="no_columns")
    if not np.isin(learned.label, (0.0, 1.0)).all():
        raise InvalidInput("a label is neither 0 nor 1: look at how the mapping reads it", code="invalid_label")
    count, ups = len(learned.label), int(learned.label.sum())
    if count and ups in {0, count}:
        raise InvalidInput(
            f"all {count} examples have the same label: nothing tells them apart. Look at the events, or wait until "
            "both have happened",
            code="one_class",
        )
    if count < FEWEST_ROWS or min(ups, count - ups) < FEWEST_OF_EACH:
        raise InvalidInput(
            f"there are {count} examples, {ups} of them positive: at least {FEWEST_ROWS}, and {FEWEST_OF_EACH} of each "
            "label, are needed. Wait for more, or take a longer history",
            code="too_few_examples",
        )
    if len(np.unique(learned.group)) < FEWEST_GROUPS:
        raise InvalidInput(
            f"all {count} examples are of fewer than {FEWEST_GROUPS} groups (one shopper, one order ...), which are "
            "never divided: nothing can be held against anything. Wait for more, or look at 'group'",
            code="too_few_examples",
        )
    return learned


def newest(table: Table, most: int) -> Table:
    """At most so many rows: the last in time, or where no clock is known any, chosen by chance once and for all."""
    count = len(table.label)
    if count <= most:
        return table
    if table.clock:
        return chosen(table, np.arange(count - most, count))
    return chosen(table, np.sort(np.random.default_rng(SEED).permutation(count)[:most]))


def validations(table: Table) -> list[tuple[Ints, Ints]]:
    """Rows to learn from and rows to judge by: the VALID ones, else the last in time, else each of a few folds."""
    rows = np.arange(len(table.label))
    if (table.part == VALID).any() and (table.part == TRAIN).any():
        return [(rows[table.part == TRAIN], rows[table.part == VALID])]
    if table.clock:
        late = table.time > np.quantile(table.time, 1.0 - TAIL)
        # Whoever is in the tail is in nothing else, unless that would leave too little.
        early = ~late & ~np.isin(table.group, table.group[late])
        early = early if early.sum() >= late.sum() else ~late
        if _both(table, early) and _both(table, late):
            return [(rows[early], rows[late])]
    fold = stratified(table, FOLDS, SEED)
    return [(rows[fold != each], rows[fold == each]) for each in range(FOLDS)]


def stratified(table: Table, folds: int, seed: int) -> Ints:
    """A fold for each row, with as many positive groups in each; rows of one group are in one."""
    _, which = np.unique(table.group, return_inverse=True)
    ups = np.bincount(which, table.label)
    order = np.random.default_rng(seed).permutation(len(ups))
    order = order[np.argsort(ups[order] > 0, kind="stable")]
    fold = np.empty(len(ups), np.int64)
    fold[order] = np.arange(len(ups)) % folds
    return fold[which]


def folded(table: Table, folds: int, repeats: int, seed: int) -> list[tuple[Ints, Table]]:
    """The rows tested in each fold of each repeat, and the table with these as its TEST part."""
    found = []
    for repeat in range(repeats):
        fold = stratified(table, folds, seed + repeat)
        for each in range(folds):
            part = np.where(fold == each, TEST, TRAIN).astype(np.int8)
            found.append((np.flatnonzero(fold == each), table._replace(part=part)))
    return found


def _both(table: Table, rows: NDArray[np.bool_]) -> bool:
    ups = table.label[rows].sum()
    return bool(FEWEST_OF_EACH <= ups <= rows.sum() - FEWEST_OF_EACH)
