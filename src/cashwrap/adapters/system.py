"""The machine's own clock and randomness, and how many files it lets a process open."""

import os
import resource
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


FILES = 65_536
"""Open files that a server asks for: 10,000 connections and whatever the store holds, several times over."""


def allow_files() -> int:
    """Let this process and its children open as many files as the account may, up to ``FILES``; how many that is.

    The usual 1,024 are for programs that wait by ``select``. With them a thousand idle connections are an outage.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
