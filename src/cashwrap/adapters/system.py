"""The machine's own clock and randomness."""

import os
import time

from cashwrap.model import Millis


class SystemClock:
    """The machine's time."""

    def now(self) -> Millis:
        """Wall-clock milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back."""
        return time.monotonic()


class SystemRandom:
    """The operating system's random bytes, fit for keys."""

    def token(self, size: int) -> bytes:
        """``size`` random bytes."""
        return os.urandom(size)
