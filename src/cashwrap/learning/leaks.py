"""The gate against the future: no row of a table may know of anything that happened after its own moment."""

import numpy as np

from cashwrap.errors import InvalidInput
from cashwrap.learning.data import Table


def check(table: Table) -> None:
    """Refuse a table that was told its answers. One that does not say what it has seen passes: a file's columns are as
    old as its rows, and nobody can look behind them.

    Raises ``InvalidInput`` (``future_leak``).
    """
    if table.seen is None:
        return
    late = np.flatnonzero(table.seen > table.time)
    if len(late):
        worst = int((table.seen - table.time).max())
        raise InvalidInput(
            f"{len(late):,} of {len(table.time):,} examples know of something that happened after their moment, up to "
            f"{worst / 1000:,.0f} seconds: a model of them would shine in tests and fail in the shop. Read features "
            "as they were at that moment",
            code="future_leak",
        )
