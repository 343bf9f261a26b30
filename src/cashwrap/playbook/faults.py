"""What is wrong with a playbook, and where: one value per mistake, collected so that all are told at once."""

import difflib
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from cashwrap.declarations import Spot

MAX_FAULTS = 1_000
"""More than this and the rest is left out: nobody reads further."""
_MAX_SUGGESTIONS = 100
_MAX_CANDIDATES = 2_000


class Fault(Struct, frozen=True, order=True):
    """One mistake, or with severity ``warning`` one thing that is probably not meant."""

    file: str
    line: int
    column: int
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """As editors and people read it: ``file:line:column code message``."""
        level = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {level}{self.message}"


class Faults:
    """The complaints gathered while reading and checking."""

    def __init__(self) -> None:
        self._found: list[Fault] = []
        self._refused: set[tuple[str, int, int]] = set()
        """Where YAML itself was refused: what follows from that at the same place is not worth a word."""
        self._suggestions = 0

    def error(self, spot: Spot, code: str, message: str) -> None:
        """Something that keeps the playbook from being published."""
        self._add(Fault(spot.file, spot.line, spot.column, code, message))

    def warn(self, spot: Spot, code: str, message: str) -> None:
        """Something that works and is probably not meant."""
        self._add(Fault(spot.file, spot.line, spot.column, code, message, "warning"))

    def _add(self, fault: Fault) -> None:
        place = (fault.file, fault.line, fault.column)
        if fault.code.startswith("yaml_"):
            self._refused.add(place)
        elif place in self._refused:
            return
        if len(self._found) < MAX_FAULTS:
            self._found.append(fault)

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """``, did you mean 'x'?`` for the closest known word, or nothing. Bounded: a flood gets no advice."""
        self._suggestions += 1
        if self._suggestions > _MAX_SUGGESTIONS:
            return ""
        candidates = list(known)[:_MAX_CANDIDATES]
        close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
        if not close:
            folded = {candidate.casefold(): candidate for candidate in candidates}
            close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
            close = [folded[found] for found in close]
        return f", did you mean {close[0]!r}?" if close else ""

    def sorted(self) -> tuple[Fault, ...]:
        """All of them by place, each once."""
        return tuple(sorted(set(self._found)))

    def __len__(self) -> int:
        return sum(fault.severity == "error" for fault in self._found)
