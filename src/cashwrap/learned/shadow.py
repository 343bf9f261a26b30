"""What a shadow said beside the live version: sums that add up over processes, and what they say of it."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct, field

from cashwrap.model import Tenant
from cashwrap.ports import Registry

KIND = "shadow"
ENOUGH = 200
"""Answers below which nothing is said of a shadow."""
SLOWEST = 2_048
"""Microseconds that 99 of 100 of its answers may take."""
PLACES = 10
"""The first so many products of two answers are compared."""
_ENDS = sorted([1 << octave for octave in range(24)] + [3 << octave for octave in range(23)])
"""Classes of duration by their longest, in microseconds: 1, 2, 3, 4, 6, 8, 12 ... up to 16 seconds."""


class Shadow(Struct):
    """What became of a shadow's answers."""

    asked: int = 0
    failed: int = 0
    """It raised: nobody saw it."""
    compared: int = 0
    """Where the live version answered too ..."""
    agreed: float = 0.0
    """... the sum of shares of the first places that both named, or of agreements of two chances: 1 less what they
    differ by."""
    durations: list[int] = field(default_factory=lambda: [0] * len(_ENDS))
    """Answers by duration, in the classes of ``_ENDS``."""

    def told(self, seconds: float) -> None:
        """An answer took so long."""
        self.durations[min(bisect_left(_ENDS, seconds * 1e6), len(_ENDS) - 1)] += 1

    def add(self, other: "Shadow") -> None:
        """Take in another process's sums."""
        self.asked += other.asked
        self.failed += other.failed
        self.compared += other.compared
        self.agreed += other.agreed
        self.durations = [mine + theirs for mine, theirs in zip(self.durations, other.durations, strict=True)]

    @property
    def p99(self) -> int:
        """Microseconds that 99 of 100 answers took at most, rounded up to their class; 0 without any."""
        left = sum(self.durations) // 100
        for longest, count in zip(reversed(_ENDS), reversed(self.durations), strict=True):
            left -= count
            if left < 0:
                return longest
        return 0

    @property
    def agreement(self) -> float | None:
        """How alike the two answer, from 0 to 1; ``None`` where nothing was compared."""
        return self.agreed / self.compared if self.compared else None

    def doubt(self) -> str:
        """Why it should not be shown to anyone yet; empty where nothing speaks against it."""
        if self.failed:
            return f"{self.failed} of its {self.asked} answers failed"
        if self.asked < ENOUGH:
            return f"it gave {self.asked} answers of {ENOUGH}"
        if self.p99 > SLOWEST:
            return f"99 of 100 answers take {self.p99} microseconds at most, and may take {SLOWEST}"
        return ""


def overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The share of the first places that two lists have in common, in any order; 1 for two empty ones."""
    first, second = set(ours[:PLACES]), set(theirs[:PLACES])
    longest = max(len(first), len(second))
    return len(first & second) / longest if longest else 1.0


def shadow_of(registry: Registry, tenant: Tenant, name: str, version: str) -> Shadow:
    """What all processes have written down of a version's answers as a shadow."""
    return shadows(registry).get((tenant.name, name, version), Shadow())


def shadows(registry: Registry) -> Mapping[tuple[str, str, str], Shadow]:
    """All there are, by tenant, model and version."""
    found: dict[tuple[str, str, str], Shadow] = {}
    for key, document in registry.documents(KIND).items():
        tenant, name, version, _ = key.rsplit("/", 3)
        found.setdefault((tenant, name, version), Shadow()).add(_shadow.decode(document))
    return found


_shadow: msgspec.json.Decoder[Shadow] = msgspec.json.Decoder(Shadow)
