"""Slows guessing down. Every failure beyond a few doubles the wait before the next try, up to a quarter of an hour.

An account and an address are counted apart, and unknown names like known ones. A browser that has signed in before
carries a cookie that says so and is counted by itself, so that nobody who guesses can keep the owner out.
"""

import hashlib
import threading
from collections import OrderedDict

from msgspec import Struct

from cashwrap.errors import TooMuch
from cashwrap.ports import Clock

FREE = {"account": 5, "address": 30, "device": 10, "code": 5}
"""Failures that cost nothing, of each kind of thing that is counted."""
LONGEST = 900
"""Seconds: the longest wait."""
FORGET = 24 * 3600
"""Seconds after which a failure is forgotten."""
MOST = 20_000
"""Things counted at a time: the one touched longest ago goes first."""


class _Count(Struct):
    failures: int = 0
    last: float = 0.0


class Lockout:
    """Failures of the last day, in memory: a few megabytes at most. Any thread may call it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[bytes, _Count] = OrderedDict()

    def attempt(self, *things: tuple[str, str]) -> int:
        """Count a try before it is made, so that many at once are no way around; the most failures of any of them.

        ``things`` are (kind, name). Raises ``TooMuch`` (``sign_in_wait``), which counts nothing.
        """
        now = self._clock.monotonic()
        with self._lock:
            wait = max(self._wait(kind, self._counts.get(_key(kind, name)), now) for kind, name in things)
            if wait > 0:
                seconds = int(wait) + 1
                message = "There were too many failed attempts. Wait, and try again."
                raise TooMuch(message, code="sign_in_wait", retry_after=seconds)
            return max(self._add(_key(kind, name), now) - FREE[kind] for kind, name in things)

    def succeeded(self, *things: tuple[str, str]) -> None:
        """It was them: what they got wrong is forgotten. An address gets its one try back only, for whoever has an
        account of their own could guess at others' for ever."""
        with self._lock:
            for kind, name in things:
                count = self._counts.get(_key(kind, name))
                if count is not None and kind == "address" and count.failures > 1:
                    count.failures -= 1
                else:
                    self._counts.pop(_key(kind, name), None)

    def _add(self, key: bytes, now: float) -> int:
        count = self._counts.pop(key, None)
        if count is None or now - count.last > FORGET:
            count = _Count()
        count.failures += 1
        count.last = now
        self._counts[key] = count
        while len(self._counts) > MOST:
            self._counts.popitem(last=False)
        return count.failures

    def _wait(self, kind: str, count: _Count | None, now: float) -> float:
        """Seconds until the next try: 1 after the first failure that is not free, then 2, 4, 8 ..."""
        if count is None or count.failures < FREE[kind] or now - count.last > FORGET:
            return 0.0
        pause = float(min(LONGEST, 1 << min(count.failures - FREE[kind], 20)))
        return count.last + pause - now


def network(address: str) -> str:
    """Who shares an address: an IPv6 customer has a whole /64."""
    return ":".join(address.split(":")[:4]) if ":" in address else address


def _key(kind: str, name: str) -> bytes:
    return hashlib.blake2b(f"{kind} {name}".encode("utf-8", "replace"), digest_size=16).digest()
