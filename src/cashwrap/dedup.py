"""The ids of a shopper's recent events: what makes an event delivered N times count once.

An id is kept for seven days of *receipt* with the fingerprint of its body: same id and same body is a duplicate, same
id and another body a conflict. Kept beside the profile (``ports.Row.seen``), 16 bytes an event, so that a repeat is
found without an index over everybody's events.
"""

from hashlib import blake2b
from typing import Literal

from cashwrap.model import Event, Millis
from cashwrap.profiles import OFFERING

DAYS = 7
MOST = 50_000
"""Ids kept for one shopper: beyond what any person does in a week, and little enough to write with every commit."""
PROVEN = "decision token"
"""The source of an event whose content a token proved, whoever sent it; no key has this id."""
_DAY = 86_400_000
_WIDTH = 16
_HALF = 8

Verdict = Literal["new", "duplicate", "conflict"]


def event_key(event: Event, secret: bytes) -> bytes:
    """8 bytes naming the event: who sent it, the id claimed in its body, and its own id, under a secret of the folder.

    Never the resolved shopper, which changes at a merge: a repeat after the merge is still a repeat. What a decision
    token proved is named by its own id alone: the page and the backend may both report it. So is what we tell ourselves
    of offers, under whichever name the shopper has by then.
    """
    if event.source in (PROVEN, OFFERING):
        return blake2b(event.id.encode(), digest_size=8, key=secret).digest()
    claimed = event.anonymous_id or event.claimed_user_id or event.user_id or ""
    named = f"{len(event.source)}:{event.source}{len(claimed)}:{claimed}{event.id}"
    return blake2b(named.encode(), digest_size=8, key=secret).digest()


class Seen:
    """Event ids by day of receipt, oldest dropped first."""

    __slots__ = ("_days", "_index")

    def __init__(self) -> None:
        self._days: dict[int, bytearray] = {}
        self._index: dict[bytes, bytes] = {}

    def judge(self, key: bytes, fingerprint: bytes) -> Verdict:
        """Whether this id is new, a repeat, or taken by another body."""
        known = self._index.get(key)
        if known is None:
            return "new"
        return "duplicate" if known == _sized(fingerprint) else "conflict"

    def add(self, key: bytes, fingerprint: bytes, received: Millis) -> None:
        """Keep a new id; forgets what is older than the window."""
        day = received // _DAY
        entries = self._days.get(day)
        if entries is None:
            entries = self._days[day] = bytearray()
            self._prune(day)
        fingerprint = _sized(fingerprint)
        entries += key
        entries += fingerprint
        self._index[key] = fingerprint

    def merge(self, other: "Seen") -> None:
        """Take in another shopper's ids, at a merge."""
        newest = max((*self._days, *other._days), default=0)
        self._prune(newest)  # first: an id that is about to be forgotten must not stand for a younger one
        for day in sorted(other._days):
            if day > newest - DAYS:
                entries = self._days.setdefault(day, bytearray())
                for key, fingerprint in _entries(other._days[day]):
                    if key not in self._index:
                        self._index[key] = fingerprint
                        entries += key + fingerprint
        self._bound()

    def encode(self) -> bytes:
        """All of it as bytes: per day its number, its length and its entries."""
        parts = []
        for day in sorted(self._days):
            entries = self._days[day]
            parts.append(day.to_bytes(4, "big") + len(entries).to_bytes(4, "big") + entries)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> "Seen":
        """Undo ``encode``."""
        seen = cls()
        at = 0
        while at < len(data):
            day = int.from_bytes(data[at : at + 4], "big")
            size = int.from_bytes(data[at + 4 : at + 8], "big")
            entries = bytearray(data[at + 8 : at + 8 + size])
            seen._days[day] = entries
            seen._index.update(_entries(entries))
            at += 8 + size
        return seen

    def __len__(self) -> int:
        return len(self._index)

    def _prune(self, today: int) -> None:
        for day in [day for day in self._days if day <= today - DAYS]:
            for key, _ in _entries(self._days.pop(day)):
                self._index.pop(key, None)

    def _bound(self) -> None:
        """After a merge, forget the oldest ids beyond ``MOST``, many at once: together no person sends that much."""
        while len(self._index) > MOST:
            day = min(self._days)
            entries = self._days[day]
            oldest = entries[: _WIDTH * (MOST // 16)]
            for key, _ in _entries(oldest):
                self._index.pop(key, None)
            del entries[: len(oldest)]
            if not entries:
                del self._days[day]


def _sized(fingerprint: bytes) -> bytes:
    """Eight bytes: an event made by the server itself has no body to take a fingerprint of."""
    return fingerprint if len(fingerprint) == _HALF else fingerprint[:_HALF].ljust(_HALF, b"\0")


def _entries(data: bytearray) -> list[tuple[bytes, bytes]]:
    whole = bytes(data)
    return [(whole[at : at + 8], whole[at + 8 : at + _WIDTH]) for at in range(0, len(whole), _WIDTH)]
