"""Where every event of a request went, so that none is lost without a trace."""

from msgspec import Struct


class Accounting(Struct):
    """Counts of events; the parts always add up to ``received``."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    failed: int = 0
    dropped_by_consent: int = 0
    refused: int = 0

    def settled(self) -> int:
        """How many events have met their fate."""
        return self.stored + self.duplicate + self.conflict + self.failed + self.dropped_by_consent + self.refused

    def balanced(self) -> bool:
        """Whether every received event met exactly one fate."""
        return self.received == self.settled() and min(self.received, self.stored, self.failed) >= 0

    def add(self, other: "Accounting") -> None:
        """Take another count in."""
        self.received += other.received
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.conflict += other.conflict
        self.failed += other.failed
        self.dropped_by_consent += other.dropped_by_consent
        self.refused += other.refused
