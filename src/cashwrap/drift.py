"""How what arrives drifts from what a playbook declares: fields and events that nothing declares, and declared fields
that stopped arriving. By day; names and counts, never a value (``events.strays``).

Each process writes its own sums into documents of its own, as ``tallies`` does, and a reader adds them up. What is
counted between two writes is lost with a process that is killed: nothing here is owed to anybody.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from cashwrap.errors import CashwrapError
from cashwrap.events.strays import Seen, Strays
from cashwrap.model import Millis, Tenant
from cashwrap.ports import Registry
from cashwrap.world import World

log = logging.getLogger(__name__)

KIND = "drift"
DAY: Millis = 86_400_000
EVERY = 15.0
"""Seconds between two writes."""
KEPT = 30
"""Days."""
NAMES = 1_000
"""Names of a kind in one document; more are counted together, under no name."""
RECENT = 2
"""Days, today included, in which a field is missed that came before."""
ENOUGH = 50
"""Events before, and ``FEW`` lately, without which nothing is said to have stopped."""
FEW = 20
USUAL = 0.2
"""The share of events that a field has to have come with before to be missed."""
_PARTS = ("undeclared", "unknown", "looked", "fields")
Counts = list[tuple[str, str, int]]
"""Event, field and how often."""


class Day(Struct, frozen=True, array_like=True):
    """One process's sums of a day (its first millisecond, UTC), as ``strays.Seen`` has them."""

    tenant: Tenant
    day: Millis
    undeclared: Counts
    unknown: Counts
    looked: Counts
    fields: Counts


class Stray(Struct, frozen=True):
    """Something that arrives and is not declared. ``event`` or ``field`` are empty where the name is not told."""

    event: str
    field: str
    count: int
    last: Millis
    """The day on which it came last."""


class Missed(Struct, frozen=True):
    """A declared field, or with no ``field`` a whole event, that came before and does not any more."""

    event: str
    field: str
    before: float
    """The share of its events that it came with; of a whole event how many were seen."""


class Report(Struct, frozen=True):
    """How a store's events drifted, most frequent first. ``since`` is the first day that anything is known of."""

    undeclared: list[Stray]
    unknown: list[Stray]
    missed: list[Missed]
    since: Millis = 0


class Drift:
    """One process's counting. ``strays`` is for whoever reads events, ``flush`` for a thread that may wait."""

    def __init__(self, world: World) -> None:
        self.strays = Strays()
        self._world = world
        self._flushing = threading.Lock()
        self._sums: dict[tuple[Tenant, Millis], dict[str, Counter[tuple[str, str]]]] = {}
        self._names: dict[tuple[Tenant, Millis], str] = {}
        self._changed: set[tuple[Tenant, Millis]] = set()
        self._due = 0.0
        self._swept: Millis = 0

    def flush(self, *, ending: bool = False) -> None:
        """Write what was counted, if it is time or the process is ``ending``. Never raises."""
        with self._flushing:
            now = self._world.clock.monotonic()
            if now < self._due and not ending:
                return
            self._due = now + EVERY
            self._take_in(self.strays.take())
            try:
                self._write()
            except CashwrapError as error:
                log.warning("what arrived undeclared is not yet written down: %s", error.message)
            except Exception:
                log.exception("what arrived undeclared could not be written down")

    def _take_in(self, seen: Seen) -> None:
        day = self._world.clock.now() // DAY * DAY
        for part in _PARTS:
            for place, count in getattr(seen, part).items():
                of = place.tenant, day
                sums = self._sums.setdefault(of, {name: Counter() for name in _PARTS})[part]
                name = place.event, place.field
                if name not in sums and len(sums) >= NAMES:
                    name = "", ""
                sums[name] += count
                self._changed.add(of)

    def _write(self) -> None:
        reserve, registry = self._world.reserve, self._world.registry
        if not self._changed or (reserve is not None and reserve.full()):
            return
        for of in list(self._changed):
            tenant, day = of
            if of not in self._names:
                self._names[of] = self._name(day)
            parts = ([(*name, count) for name, count in self._sums[of][part].items()] for part in _PARTS)
            registry.put(KIND, self._names[of], msgspec.msgpack.encode(Day(tenant, day, *parts)))
            self._changed.discard(of)
        today = self._world.clock.now() // DAY * DAY
        if today != self._swept:
            self._sweep(today)

    def _sweep(self, today: Millis) -> None:
        self._swept = today
        for of in [each for each in self._sums if each[1] < today]:
            del self._sums[of]
            self._names.pop(of, None)
        for name in self._world.registry.documents(KIND):
            if name[:10] < _date(today - KEPT * DAY):
                self._world.registry.put(KIND, name, None)

    def _name(self, day: Millis) -> str:
        """A name that no process writes or wrote under."""
        taken, number = self._world.registry.documents(KIND), 0
        while (name := f"{_date(day)}/{os.getpid()}-{number}") in taken:
            number += 1
        return name


def days_of(registry: Registry, tenant: Tenant) -> list[Day]:
    """All that processes have written down of a store."""
    found = (_day.decode(document) for document in registry.documents(KIND).values())
    return [day for day in found if day.tenant == tenant]


def report(days: Iterable[Day], declared: Mapping[str, Iterable[str]], now: Millis) -> Report:
    """How a store's events drifted. ``declared`` are its events with the paths of their fields: what is declared by now
    is no stray any more. Pure."""
    days = list(days)
    border = now // DAY * DAY - (RECENT - 1) * DAY
    fields = {(event, field) for event, paths in declared.items() for field in paths}
    undeclared = [each for each in _strays(days, "undeclared") if (each.event, each.field) not in fields]
    unknown = [each for each in _strays(days, "unknown") if each.event not in declared]
    before = _sums(day for day in days if day.day < border)
    lately = _sums(day for day in days if day.day >= border)
    missed = [*_events(before, lately, declared), *_fields(before, lately, fields)]
    return Report(undeclared, unknown, missed, min((day.day for day in days), default=0))


def _strays(days: list[Day], part: str) -> list[Stray]:
    counts: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], Millis] = {}
    for day in days:
        for event, field, count in getattr(day, part):
            counts[event, field] += count
            last[event, field] = max(last.get((event, field), 0), day.day)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [Stray(*name, count, last[name]) for name, count in ordered]


def _sums(days: Iterable[Day]) -> dict[str, Counter[tuple[str, str]]]:
    found: dict[str, Counter[tuple[str, str]]] = {"looked": Counter(), "fields": Counter()}
    for day in days:
        for part, sums in found.items():
            for event, field, count in getattr(day, part):
                sums[event, field] += count
    return found


def _events(
    before: Mapping[str, Counter[tuple[str, str]]],
    lately: Mapping[str, Counter[tuple[str, str]]],
    declared: Mapping[str, Iterable[str]],
) -> Iterable[Missed]:
    """Whole events that stopped, while others go on arriving."""
    if lately["looked"].total() < FEW:
        return
    for (event, _), count in before["looked"].items():
        if count >= ENOUGH and event in declared and not lately["looked"][event, ""]:
            yield Missed(event, "", count)


def _fields(
    before: Mapping[str, Counter[tuple[str, str]]],
    lately: Mapping[str, Counter[tuple[str, str]]],
    declared: set[tuple[str, str]],
) -> Iterable[Missed]:
    for (event, field), count in before["fields"].items():
        seen, now = before["looked"][event, ""], lately["looked"][event, ""]
        usual = seen >= ENOUGH and now >= FEW and count / seen >= USUAL
        if usual and (event, field) in declared and not lately["fields"][event, field]:
            yield Missed(event, field, count / seen)


def _date(day: Millis) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=day)).date().isoformat()


_day: msgspec.msgpack.Decoder[Day] = msgspec.msgpack.Decoder(Day)
