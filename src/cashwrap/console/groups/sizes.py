"""How large segments are and were: read every hour, and at most a minute old when somebody looks.

Sizes are told as ``groups.Veil`` makes them, and kept on disk like that too. Between two readings nothing is known,
and where no console ran there is none.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from cashwrap.condition import to_text
from cashwrap.console.groups.groups import STEP, Veil
from cashwrap.console.reading import Reading
from cashwrap.console.remembered import Remembered
from cashwrap.errors import CashwrapError
from cashwrap.model import Millis, Tenant
from cashwrap.segments import Segment
from cashwrap.world import World

log = logging.getLogger("cashwrap")
MINUTE: Millis = 60_000
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR
HOURS: Millis = 14 * DAY
"""How long every hour's reading is kept ..."""
DAYS: Millis = 730 * DAY
"""... and one of each day."""
EVERYBODY = ""
"""Stands for all shoppers where a segment's name does."""
PATIENT = 20
"""So many times as long as a reading took it is believed: a large shop is not counted all the time."""


class SizeStore(Protocol):
    """Where sizes are kept: ``adapters.console_store``."""

    def newest_sizes(self, store: str) -> dict[str, int]:
        """What every segment was last read as."""

    def sizes_at(self, store: str, segments: Sequence[str], at: Millis) -> dict[str, int]:
        """What these segments were at a moment."""

    def sizes_of(self, store: str, segment: str) -> list[tuple[Millis, int]]:
        """Every change of a segment's size, ascending."""

    def readings(self, store: str) -> list[Millis]:
        """When sizes were read, ascending."""

    def keep_sizes(self, store: str, at: Millis, changed: Mapping[str, int]) -> None:
        """Note a reading, and what changed with it."""

    def thin_sizes(self, store: str, hours: Millis, days: Millis) -> None:
        """Leave one reading a day of those before ``hours``, none before ``days``."""


class Counted(Struct, frozen=True):
    """The segments of one store as they were read at a moment; those too small to tell are left out."""

    at: Millis
    everybody: int
    sizes: Mapping[str, int]
    took: Millis = 0

    def of(self, segment: str) -> int:
        """A segment's size as it may be told; 0 for too few."""
        return self.sizes.get(segment, 0)


class Recorder:
    """Reads sizes, and keeps them by the hour. Any thread may call it; ``run`` is what goes on beside requests."""

    def __init__(self, world: World, reading: Reading, store: SizeStore, remembered: Remembered) -> None:
        self._world = world
        self._reading = reading
        self._store = store
        self._remembered = remembered
        self.veil = Veil(world.vault.digest("console", "sizes"))

    def now(self, tenant: Tenant) -> Counted:
        """The sizes of a store, at most a minute old (longer where counting takes long)."""
        name = "sizes", tenant
        known = self._remembered.known(name)
        took = known.value.took if known is not None and isinstance(known.value, Counted) else 0
        return self._remembered.get(name, max(MINUTE, PATIENT * took), lambda: self._count(tenant))

    def before(self, tenant: Tenant, segments: Sequence[str], ago: Millis) -> dict[str, int]:
        """What these segments were so long ago, or when they were first read after that; else left out."""
        at = self._world.clock.now() - ago
        readings = self._store.readings(tenant.name)
        first = next((each for each in readings if each >= at), None)
        return self._store.sizes_at(tenant.name, segments, first) if first is not None else {}

    def curve(self, tenant: Tenant, segment: str) -> list[tuple[Millis, int]]:
        """A segment's size at every reading since it was first there, ascending; hours at first, then days."""
        changes, found, size = self._store.sizes_of(tenant.name, segment), [], None
        waiting = iter([*changes, (None, 0)])
        at, after = next(waiting)
        for reading in self._store.readings(tenant.name):
            while at is not None and at <= reading:
                size = after
                at, after = next(waiting)
            if size is not None:
                found.append((reading, size))
        return found

    def record(self, tenant: Tenant) -> None:
        """Read the sizes of a store and keep what changed. Raises as the store does."""
        counted = self._count(tenant)
        before = self._store.newest_sizes(tenant.name)
        found = {EVERYBODY: counted.everybody, **counted.sizes}
        gone = {segment: 0 for segment, size in before.items() if size and segment not in found}
        changed = {segment: size for segment, size in found.items() if before.get(segment) != size}
        self._store.keep_sizes(tenant.name, counted.at, changed | gone)

    async def run(self) -> None:
        """Record every store at once, and then at every full hour, until cancelled. What fails is tried again then."""
        while True:
            await asyncio.to_thread(self.record_all)
            now = self._world.clock.now()
            await asyncio.sleep((HOUR - now % HOUR) / 1000 + 1)

    def record_all(self) -> None:
        """One reading of every store; where the day's first one is, old ones are thinned out. Never raises."""
        now = self._world.clock.now()
        for tenant in self._reading.tenants():
            try:
                readings = self._store.readings(tenant.name)
                if readings and now // HOUR == readings[-1] // HOUR:
                    continue
                self.record(tenant)
                if not readings or readings[-1] // DAY != now // DAY:
                    self._store.thin_sizes(tenant.name, now - HOURS, now - DAYS)
            except CashwrapError as error:
                log.warning("the sizes of segments of %s were not kept: %s", tenant.name, error.message)
            except Exception:
                log.exception("the sizes of segments of %s were not kept", tenant.name)

    def _count(self, tenant: Tenant) -> Counted:
        playbook = self._reading.engine().live.playbook
        clock, store = self._world.clock, self._world.store
        began = clock.monotonic()
        sizes, everybody = store.sizes(tenant), store.population(tenant)
        large = (each for each in playbook.segments.ordered if sizes.get(each.name, 0) >= STEP)
        counts = {each.name: self.veil.count(self.question(each), sizes[each.name]) for each in large}
        took = int((clock.monotonic() - began) * 1000)
        told = {name: size for name, size in counts.items() if size}
        return Counted(clock.now(), self.veil.count(EVERYBODY, everybody), told, took)

    def question(self, segment: Segment) -> str:
        """What a segment asks: two names for one condition are one question, and are told alike."""
        return f"name {segment.name}" if segment.checked is None else to_text(segment.checked.node)
