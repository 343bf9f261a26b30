"""Constants that are written as text and compared as something else: amounts, moments, versions."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

MAX_VERSION = 64
"""Characters of a version; a longer one is none."""

Version = tuple[tuple[int, ...], tuple[int, tuple[tuple[int, int, str], ...]]]
"""A version in an order that Python's tuples have: its numbers, then whether it is a release, then what it is not."""


def to_minor(amount: int | Decimal, digits: int) -> int | None:
    """An amount in major units as minor units, exactly; None where it has more digits than the currency."""
    numerator, denominator = amount.as_integer_ratio()
    minor, rest = divmod(numerator * 10**digits, denominator)
    return None if rest else minor


_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?)(Z|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_millis(text: str) -> int | None:
    """An RFC 3339 moment with its offset as milliseconds since 1970 in UTC; None for any other text.

    A fraction has at most three digits, so that nothing is rounded.
    """
    if len(text) > MAX_VERSION or _MOMENT.fullmatch(text) is None:
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):  # a 13th month, a 25th hour, an offset of a day
        return None


_PARTS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"([0-9]{{1,15}}(?:\.[0-9]{{1,15}})*)(?:-({_PARTS}))?(?:\+{_PARTS})?")


def to_version(text: str) -> Version | None:
    """Where a version stands among others; None for a text that is none.

    Numbers with dots, then perhaps ``-pre.release``, which comes before its release; ``+build`` says nothing. Numbers
    that are left out are zero. Parts of a pre-release are ordered as Semantic Versioning 2.0.0, item 11, orders them.
    """
    return _to_version(text) if len(text) <= MAX_VERSION else None


@lru_cache(maxsize=4096)
def _to_version(text: str) -> Version | None:
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    if found[2] is None:
        return tuple(numbers), (1, ())
    return tuple(numbers), (0, tuple(_identifier(part) for part in found[2].split(".")))


def _identifier(part: str) -> tuple[int, int, str]:
    """A number is below every word; numbers go by value, words by their characters."""
    return (0, int(part), "") if part.isdigit() else (1, 0, part)
