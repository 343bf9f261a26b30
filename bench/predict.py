"""Microseconds to tell a chance from 60 features: ``python -m bench.predict``.

Forty numbers, fifteen categories and five sets; the longest trees that the trainer makes (400 of 16 leaves) and a line,
together. Arrays are mapped from files, as in a server. Beside it LightGBM's own ``predict`` of one row that has been
encoded already, by the trees alone, whose answers are compared: a difference ends the benchmark with an error.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np

from bench.decide import against
from cashwrap.learned.artefact import Artefact
from cashwrap.learning.data import Column, Table
from cashwrap.learning.predicting import fit
from cashwrap.model import Value
from cashwrap.propensity import Predictor
from cashwrap.propensity.trees import Trees

BUDGET = 200.0
NUMBERS, CATEGORIES, SETS = 40, 15, 5
ROWS, ASKED, ROUNDS = 4_000, 2_000, 5
SETTINGS = {"model": "both", "leaves": 16, "trees": 400, "strength": 0.03, "share": 0.5, "smoothing": 10.0}
SAME = 1e-9


def examples() -> Table:
    """Shoppers of whom every tenth number is unknown, and who order by a few of their numbers."""
    rng = np.random.default_rng(1)
    numbers = rng.gamma(1.0, 50.0, (ROWS, NUMBERS)).round()
    levels = rng.zipf(1.5, (ROWS, CATEGORIES)) % 500
    members = rng.integers(0, 50, (ROWS, SETS, 4))
    odds = (numbers[:, :5] - 50) @ np.array([0.02, -0.02, 0.01, 0.01, -0.01]) + (levels[:, 0] < 3) - 1.0
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    columns = [Column(f"feature_{at}", "number", numbers[:, at]) for at in range(NUMBERS)]
    columns += [
        Column(f"category_{at}", "category", np.array([f"level {each}" for each in levels[:, at]], object))
        for at in range(CATEGORIES)
    ]
    columns += [
        Column(f"set_{at}", "set", np.array([",".join(map(str, each)) for each in members[:, at]], object))
        for at in range(SETS)
    ]
    return Table(
        tuple(columns),
        (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float),
        np.arange(ROWS, dtype=np.int64),
        np.arange(ROWS, dtype=np.int32),
        np.zeros(ROWS, np.int8),
        np.zeros(ROWS, np.bool_),
    )


def mapped(artefact: Artefact, folder: Path) -> Artefact:
    """The same, its arrays mapped from files."""
    arrays = {}
    for name, array in artefact.arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
        arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return Artefact(artefact.kind, arrays, artefact.texts, artefact.settings)


def shopper(table: Table, at: int) -> dict[str, Value]:
    """A row as the attributes that a decision has: half of the numbers exact decimals."""
    found: dict[str, Value] = {}
    for place, column in enumerate(table.columns):
        value = column.values[at]
        if column.kind == "set":
            found[column.name] = frozenset(value.split(","))
        elif column.kind == "category":
            found[column.name] = value
        elif not np.isnan(value):
            found[column.name] = int(value) if place % 2 else Decimal(int(value)) / 2
    return found


class Spent(NamedTuple):
    """Microseconds of one call: the median, and the 99th percentile over shoppers, the quickest of a few calls each."""

    median: float
    high: float
    busy: float
    """The 99th percentile of all calls, with whatever else the machine did."""


def timed(calls: list[Callable[[], object]]) -> Spent:
    """What single calls take."""
    rounds = []
    gc.disable()
    for _ in range(ROUNDS):
        spent = []
        for call in calls:
            began = time.perf_counter_ns()
            call()
            spent.append((time.perf_counter_ns() - began) / 1000)
        rounds.append(spent)
    gc.enable()
    best = [min(each) for each in zip(*rounds, strict=True)]
    every = [each for spent in rounds for each in spent]
    return Spent(
        statistics.median(every), statistics.quantiles(best, n=100)[98], statistics.quantiles(every, n=100)[98]
    )


def main() -> None:
    table = examples()
    artefact = fit(table, SETTINGS, lambda _, __: None)
    booster = lightgbm.Booster(model_str=artefact.texts["trees"])
    with tempfile.TemporaryDirectory() as folder:
        artefact = mapped(artefact, Path(folder))
        predictor, trees = Predictor.of(artefact), Trees.of(artefact.arrays)
        shoppers = [shopper(table, at) for at in range(ASKED)]
        rows = [predictor.encoder.row(each) for each in shoppers]
        theirs = booster.predict(np.array(rows), raw_score=True)
        apart = max(abs(trees.score(row) - float(one)) for row, one in zip(rows, theirs, strict=True))
        if apart > SAME:
            sys.exit(f"the trees differ from LightGBM's by {apart}")
        ours = timed([lambda each=each: predictor.predict(each) for each in shoppers])  # type: ignore[misc]
        encode = timed([lambda each=each: predictor.encoder.row(each) for each in shoppers])  # type: ignore[misc]
        walk = timed([lambda row=row: trees.score(row) for row in rows])  # type: ignore[misc]
        peer = timed(
            [
                lambda row=row: booster.predict(row[None, :], raw_score=True, num_threads=1)  # type: ignore[misc]
                for row in rows
            ]
        )
        began = time.perf_counter()
        predictor.predict_many(table.columns)
        batch = ROWS / (time.perf_counter() - began)
    count = len(table.columns)
    print(f"{count} features, {len(rows[0])} numbers, {len(trees.root)} trees; equal to LightGBM's within {apart:.0e}")
    print(
        f"microseconds: median; p99 of {ASKED} shoppers, best of {ROUNDS} calls; p99 of all calls, other work included"
    )
    for name, each in (("whole", ours), ("encode", encode), ("trees", walk), ("lightgbm's trees", peer)):
        print(f"  {name:18} {each.median:7.1f} {each.high:7.1f} {each.busy:9.1f}")
    print(
        f"  {batch:,.0f} rows/s in a batch; LightGBM takes {peer.median / walk.median:.1f} times as long as our trees"
    )
    against("a chance from 60 features, p99, us", ours.high, BUDGET)


if __name__ == "__main__":
    main()
