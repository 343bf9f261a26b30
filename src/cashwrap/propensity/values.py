"""How a value of the running system reads in a column. Training and serving both read by this, so that they agree."""

from decimal import Decimal
from math import nan

from cashwrap.model import Value

LARGEST = 2.0**53
"""A number that is farther from 0 is missing: beyond, whole numbers are no longer exact, and squares of much larger
ones no numbers."""
LONGEST = 200
"""Characters of a text; what is longer is cut."""
MOST_MEMBERS = 100
"""Of a set that are looked at; the first ones in their order."""


def number(value: Value) -> float:
    """A value in a ``number`` column; ``nan`` is missing. True is 1, an average is its quotient, a text is missing."""
    if isinstance(value, int):
        return _finite(value)
    if isinstance(value, Decimal):
        return _finite(value)
    if isinstance(value, tuple):
        total, count = value
        return _finite(total) / count if count else nan
    return nan


def text(value: Value) -> str:
    """A value in a ``category`` column; empty is missing. Truth is ``true`` and ``false``, as in a condition."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)[:LONGEST]
    return ""


def members(value: Value) -> tuple[str, ...]:
    """A value in a ``set`` column: its texts, each once, in their order. A text is one joined by commas."""
    if isinstance(value, str):
        parts = value.split(",")
    elif isinstance(value, frozenset):
        parts = [part for one in value for part in one.split(",")]
    else:
        return ()
    found = {part.strip()[:LONGEST] for part in parts}
    found.discard("")
    return tuple(sorted(found)[:MOST_MEMBERS])


def _finite(value: int | Decimal) -> float:
    """As a float, ``nan`` where that is too large or no number."""
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return nan
    return found if -LARGEST <= found <= LARGEST else nan
