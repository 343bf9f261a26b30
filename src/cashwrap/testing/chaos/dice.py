"""Chance that can be repeated: everything a fault run draws follows from its seed."""

import hashlib
import threading
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")
_MASK = (1 << 64) - 1


class Dice:
    """Port ``Random`` and the draws of a test, by SplitMix64 (Steele, Lea, Flood 2014). Not fit for real keys."""

    def __init__(self, *seed: int | str) -> None:
        """``seed`` may have parts, so that each part of a run has dice of its own."""
        self._lock = threading.Lock()
        self._state = int.from_bytes(hashlib.blake2b(repr(seed).encode(), digest_size=8).digest(), "big")

    def word(self) -> int:
        """64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """From 0 up to, and without, ``limit``."""
        return self.word() % limit

    def chance(self, percent: int) -> bool:
        """Whether something happens that happens so often."""
        return self.below(100) < percent

    def pick(self, options: Sequence[_T]) -> _T:
        """One of them."""
        return options[self.below(len(options))]

    def shuffle(self, items: list[_T]) -> None:
        """Put them into any order, in place (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def token(self, size: int) -> bytes:
        """``size`` bytes."""
        with self._lock:
            return b"".join(self.word().to_bytes(8, "big") for _ in range(-(-size // 8)))[:size]
