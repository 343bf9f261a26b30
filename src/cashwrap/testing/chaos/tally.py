"""What came of a kind of fault run, to be added up and printed."""

from msgspec import Struct

from cashwrap.testing.chaos.checks import Findings

KEPT = 20
"""Complaints that are kept word for word."""


class Tally(Struct):
    """Counts of one kind of run. All is well where ``wrong`` is empty."""

    what: str
    runs: int = 0
    faults: int = 0
    """Faults that were injected and met."""
    acknowledged: int = 0
    """Events, and changes of the ledger, that were acknowledged and looked for afterwards."""
    lost: int = 0
    double: int = 0
    wrong: list[str] = []
    """In words, with the seed that shows it again."""

    def add(self, found: Findings, seed: int, *, faults: int = 0) -> None:
        """One more look at what a fault left."""
        self.faults += faults
        self.acknowledged += found.acknowledged
        self.lost += found.lost
        self.double += found.double
        self.complain(seed, *found.wrong)

    def complain(self, seed: int, *wrong: str) -> None:
        """Something is not as it must be."""
        self.wrong += [f"seed {seed}: {line}" for line in wrong[: max(0, KEPT - len(self.wrong))]]

    def join(self, other: "Tally") -> None:
        """Add the counts of another tally of the same kind."""
        self.runs += other.runs
        self.faults += other.faults
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.double += other.double
        self.wrong += other.wrong[: max(0, KEPT - len(self.wrong))]
