"""The books of a store as the pages of offers show them: the newest lines, added up by day."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from msgspec import Struct

from cashwrap.console.remembered import Remembered
from cashwrap.console.shop.suspicious import Suspicion, suspicions
from cashwrap.ledger import CodeCount, Holding, Move
from cashwrap.model import Millis, Minor, Tenant
from cashwrap.ports import Clock, Ledger

DAY: Millis = 86_400_000
LOOK_BACK: Millis = 30 * DAY
"""How far back lines are read ..."""
MOST = 50_000
"""... and how many at most: the newest."""
PAGE = 1_000
FRESH: Millis = 30_000
"""How old what is shown may be."""
Kind = str


class Days(Struct, frozen=True):
    """One offer's lines by day (its first millisecond, UTC) and kind; ``spent`` by day and currency in minor units."""

    lines: dict[tuple[Millis, Kind], int]
    spent: dict[tuple[Millis, str], Minor]

    def of(self, kind: Kind) -> int:
        """How many of a kind there were in all."""
        return sum(count for (_, each), count in self.lines.items() if each == kind)


class Read(Struct, frozen=True):
    """What was read of one store's books. ``complete`` is ``False`` where older lines of these days were left out."""

    since: Millis
    complete: bool
    days: dict[str, Days]
    holding: dict[str, list[Holding]]
    codes: dict[str, CodeCount]
    suspicions: list[Suspicion]


class Checked(Struct, frozen=True):
    """Whether the books add up, when that was found out, and what does not."""

    at: Millis
    wrong: list[str]


class LedgerPages:
    """Reads one ledger for pages. Any thread may call it; every method raises ``Unavailable``."""

    def __init__(self, ledger: Ledger, clock: Clock, remembered: Remembered) -> None:
        self._ledger = ledger
        self._clock = clock
        self._remembered = remembered

    def read(self, tenant: Tenant) -> Read:
        """The books of a store, half a minute old at most."""
        return self._remembered.get(("books", tenant), FRESH, lambda: self._read(tenant))

    def check(self) -> Checked:
        """Check all books now: reads everything there is."""
        return self._remembered.get("checked", 0, lambda: Checked(self._clock.now(), self._ledger.check()))

    def checked(self) -> Checked | None:
        """What the last check of this console found."""
        known = self._remembered.known("checked")
        return known.value if known is not None and isinstance(known.value, Checked) else None

    def moves(self, tenant: Tenant) -> tuple[list[Move], bool]:
        """The lines of the last days, ascending, and whether they are all."""
        since = self._clock.now() - LOOK_BACK
        last = self._first(lambda number: not self._ledger.entries(tenant, number, 1))
        first = self._first(lambda number: self._is_after(tenant, number, since))
        after, found = max(first, last - MOST), list[Move]()
        while len(found) <= MOST and (page := self._ledger.moves(tenant, after, PAGE)):
            found += page
            after = page[-1].entry.sequence
        return found, first >= last - MOST

    def _read(self, tenant: Tenant) -> Read:
        moves, complete = self.moves(tenant)
        holding = defaultdict[str, list[Holding]](list)
        for each in self._ledger.holding(tenant):
            holding[each.offer].append(each)
        since = self._clock.now() - LOOK_BACK
        found = suspicions(moves, self._ledger.refusals(tenant, since))
        return Read(since, complete, by_day(moves), dict(holding), self._ledger.code_counts(tenant), found)

    def _is_after(self, tenant: Tenant, number: int, since: Millis) -> bool:
        line = self._ledger.entries(tenant, number, 1)
        return not line or line[0].time >= since

    @staticmethod
    def _first(is_so: Callable[[int], bool]) -> int:
        """The first number for which it is so, as for all after it: lines are looked up, not read through."""
        if is_so(0):
            return 0
        high = 1
        while not is_so(high):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_so(middle) else (middle, high)
        return high


def by_day(moves: Sequence[Move]) -> dict[str, Days]:
    """Lines added up by offer. Pure."""
    lines, spent = (
        defaultdict[str, Counter[tuple[Millis, Kind]]](Counter),
        defaultdict[str, Counter[tuple[Millis, str]]](Counter),
    )
    for entry, _ in moves:
        day = entry.time // DAY * DAY
        lines[entry.offer][day, entry.kind] += 1
        spent[entry.offer][day, entry.currency] += entry.spent
    return {offer: Days(dict(lines[offer]), dict(spent[offer])) for offer in lines}
