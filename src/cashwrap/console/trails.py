"""The audit log as people read it: the newest first, filtered, for whoever may see one store's entries."""

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.model import Millis, Tenant
from cashwrap.ports import AuditEntry, AuditLog

PAGE = 50
LOOKED = 20_000
"""Entries that are looked through for one page; then one asks for more."""
EXPORTED = 100_000
_CHUNK = 500
_DAY: Millis = 86_400_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Wanted(Struct, frozen=True):
    """Which entries: of a tenant and of nobody's; by whom, what (its beginning), and on which day (UTC)."""

    tenant: Tenant
    actor: str = ""
    action: str = ""
    day: str = ""

    def span(self) -> tuple[Millis, Millis]:
        """The moments of the day. Raises ``InvalidInput`` (``invalid_day``)."""
        if not self.day:
            return 0, 1 << 62
        try:
            begin = int(datetime.strptime(self.day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise InvalidInput("Write a day as 2026-03-02.", code="invalid_day") from None
        return begin, begin + _DAY

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry is one of these, its time aside."""
        details = entry.details
        store, environment = (
            details.get("store", self.tenant.store),
            details.get("environment", self.tenant.environment),
        )
        mine = (store, environment) == (self.tenant.store, self.tenant.environment)
        return mine and self.actor in ("", entry.actor) and entry.action.startswith(self.action)


class Found(Struct, frozen=True):
    """A page of entries. ``before`` is where the next one begins, 0 where there is none; ``last`` the newest number."""

    entries: tuple[tuple[int, AuditEntry], ...]
    before: int
    last: int


def found(log: AuditLog, wanted: Wanted, before: int = 0, most: int = PAGE) -> Found:
    """The newest entries that are wanted with a number below ``before`` (0: all of them)."""
    last = newest(log)
    taken: list[tuple[int, AuditEntry]] = []
    number = start = min(before - 1, last) if before else last
    for number, entry in _backwards(log, start, wanted.span()):
        if wanted.takes(entry):
            taken.append((number, entry))
        if len(taken) >= most or start - number >= max(LOOKED, most):
            return Found(tuple(taken), number if number > 1 else 0, last)
    return Found(tuple(taken), 0, last)


def newest(log: AuditLog) -> int:
    """The number of the newest entry, found by halving; 0 where there is none."""
    low, high = 0, 1
    while log.entries(high - 1, 1):
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if log.entries(middle - 1, 1) else (low, middle)
    return low


def _backwards(log: AuditLog, last: int, span: tuple[Millis, Millis]) -> Iterator[tuple[int, AuditEntry]]:
    begin, end = span
    while last > 0:
        first = max(0, last - _CHUNK)
        for number, entry in reversed([each for each in log.entries(first, _CHUNK) if each[0] <= last]):
            if begin <= entry.time < end:
                yield number, entry
            if entry.time < begin - _DAY:  # clocks are set back now and then, but not by a day
                return
        last = first


def row_of(number: int, entry: AuditEntry) -> tuple[str, ...]:
    """An entry as cells of a table that no program takes for a formula."""
    moment = datetime.fromtimestamp(entry.time / 1000, UTC).isoformat(timespec="milliseconds")
    details = " ".join(f"{name}={value}" for name, value in entry.details.items())
    cells = (str(number), moment, entry.actor, entry.action, entry.subject, details)
    return tuple(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells)
