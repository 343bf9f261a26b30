"""Figures about groups of shoppers, told so that no single one can be found. Pure.

A count is told in steps of ``STEP``, after a little was taken off that depends on what is counted and on a secret of
this data folder: always the same for the same question, and different for every other. So a count below ``STEP`` is
never told, no count is told exactly, and the difference of two counts says nothing about less than ``STEP`` shoppers,
however the two questions were chosen. What is told is up to two steps below the truth, and never above it.
"""

from hashlib import blake2b
from math import sqrt

from msgspec import Struct

STEP = 20
"""Shoppers: fewer are never told."""
CONFIDENT = 1.96
"""Standard errors on each side that 95 of 100 samples are within."""


class Veil:
    """Rounds counts under a secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def count(self, question: str, count: int) -> int:
        """A count as it may be told: a multiple of ``STEP``; 0 for fewer than that, or not surely more."""
        off = blake2b(question.encode("utf-8", "replace"), key=self._secret, digest_size=4).digest()
        return max(0, count - int.from_bytes(off, "big") % STEP) // STEP * STEP


class Portion(Struct, frozen=True):
    """How large a part of a group is, as shares of one; ``few`` where it is below what may be told, ``nearly`` where
    the rest is. ``low`` and ``high`` are 95 % limits where a sample was looked at, else both are ``share``."""

    share: float = 0.0
    low: float = 0.0
    high: float = 0.0
    few: bool = False
    nearly: bool = False


def portion(veil: Veil, question: str, part: int, seen: int, whole: int) -> Portion:
    """The part of a group that ``part`` of the ``seen`` ones are in; ``whole`` is how many there are in the group.

    Limits are Wilson's score interval, narrowed by the finite population's factor, and as wide as the rounding.
    """
    of = veil.count(f"{question} of", seen)
    inside, outside = veil.count(question, part), veil.count(f"not {question}", seen - part)
    if not inside or not of:
        return Portion(few=True)
    if not outside:
        return Portion(1.0, 1.0, 1.0, nearly=True)
    told, size = min(1.0, inside / of), max(0.0, 1 - of / whole) if whole > seen else 0.0
    if not size:
        return Portion(told, told, told)
    low, _ = _wilson(min(1.0, inside / of), of, size)
    _, high = _wilson(min(1.0, (inside + STEP) / of), of, size)
    return Portion(told, low, high)


def _wilson(share: float, count: int, left: float) -> tuple[float, float]:
    z = CONFIDENT * sqrt(left)
    center = share + z * z / (2 * count)
    spread = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, (center - spread) / whole), min(1.0, (center + spread) / whole)
