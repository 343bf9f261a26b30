"""How many failed events wait for an operator, and whether there is room for more.

They are never dropped to make room. When it is full, an event whose sender is told anyway is told and not kept; a
request with an event that fails later (a conflict, say) is refused with 503, alone, until somebody acts.
"""

import threading

from cashwrap.errors import Unavailable
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Clock, FailedEvents

MOST = 100_000
"""Failed events that are kept: at a few hundred bytes each some 50 MB."""
FRESH = 10.0
"""Seconds that a count is good for; what this process adds is counted on top."""
_DAY: Millis = 86_400_000
AGES: tuple[tuple[str, int], ...] = (("1d", 1), ("7d", 7), ("30d", 30))
"""Names of ages and the days below which they hold; the last one is ``older``."""


class Backlog:
    """Counts what waits, for any thread. Another process may keep and discard too: the count is looked up again."""

    def __init__(self, failed: FailedEvents, clock: Clock, most: int = MOST) -> None:
        self._failed = failed
        self._clock = clock
        self._most = most
        self._counting = threading.Lock()
        self._tally: list[tuple[Tenant, str, Millis, int]] = []
        self._count = 0
        self._next = float("-inf")
        self.missed = 0
        """Failed events that there was no room for, whose senders were told."""
        self.turned_away = 0
        """Requests that were refused because one of their events failed and there was no room for it."""

    def room(self) -> int:
        """How many more may be kept."""
        self.refresh()
        return max(0, self._most - self._count)

    def grew(self, count: int) -> None:
        """So many more are kept now."""
        self._count += count

    def refresh(self) -> None:
        """Count again where that was too long ago."""
        with self._counting:
            now = self._clock.monotonic()
            if now >= self._next:
                self._tally = self._failed.tally()
                self._count = sum(count for *_, count in self._tally)
                self._next = now + FRESH

    def ages(self) -> dict[tuple[str, str], int]:
        """How many wait by code and age, as of the last count."""
        today = self._clock.now() // _DAY
        found: dict[tuple[str, str], int] = {}
        for _, code, day, count in self._tally:
            days = today - day // _DAY
            age = next((name for name, below in AGES if days < below), "older")
            found[code, age] = found.get((code, age), 0) + count
        return found


def full() -> Unavailable:
    """What a request is told whose event failed and cannot be set aside."""
    text = "an event of this request failed, and there is no room to set it aside until failed events are settled"
    return Unavailable(text, code="failed_events_full")
