"""Made-up examples whose truth is known."""

from typing import Any

import numpy as np

from cashwrap.learning.data import Column, Table

SETTINGS: dict[str, Any] = {
    "model": "both", "leaves": 4, "trees": 12, "strength": 0.3, "share": 0.5, "smoothing": 10.0,
}  # fmt: skip


def table_of(columns: dict[str, Any], label: Any, *, clock: bool = False, **more: Any) -> Table:
    """A table: floats are numbers, texts with a comma sets, others categories."""
    count = len(label)
    made = []
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "fi":
            made.append(Column(name, "number", array.astype(np.float64)))
        else:
            kind = "set" if any("," in value for value in array.tolist()) else "category"
            made.append(Column(name, kind, array.astype(object)))
    plain: dict[str, Any] = {
        "time": np.arange(count, dtype=np.int64),
        "group": np.arange(count, dtype=np.int32),
        "part": np.zeros(count, np.int8),
        "explored": np.zeros(count, np.bool_),
    }
    return Table(tuple(made), np.asarray(label, np.float64), clock=clock, **(plain | more))


def shoppers(count: int, seed: int = 7, *, clock: bool = False) -> Table:
    """Who visits often, spends much and is of the gold tier orders more often; what is viewed says a little."""
    rng = np.random.default_rng(seed)
    visits = rng.poisson(3, count).astype(float)
    spent = np.where(rng.random(count) < 0.2, np.nan, rng.exponential(100, count).round())
    tier = rng.choice(["gold", "silver", ""], count)
    viewed = [",".join(rng.choice(["mugs", "tea", "hats"], 2, replace=False)) for _ in range(count)]
    odds = 0.8 * (visits - 3) + 0.01 * np.nan_to_num(spent, nan=0.0) + 1.5 * (tier == "gold") - 2.0
    odds = odds + 0.5 * np.array(["mugs" in each for each in viewed])
    label = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(float)
    return table_of({"visits": visits, "spent": spent, "tier": tier, "viewed": viewed}, label, clock=clock)
