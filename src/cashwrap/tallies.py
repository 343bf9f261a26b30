"""What servers decided, by day, experiment, arm and outcome: beside what browsers tell of the same decisions, so that
exposures which are lost in one arm more than in another are seen.

Counted are decisions whose exposure could come back to the fact table: the shopper allows ``analytics``, a token names
them, and nobody previews, crawls or works for the shop. One whose profile came too late is not among them.

Each process adds up by itself and writes its sums every few seconds, and when it ends, into documents of its own: none
is ever written by two, and a reader adds them up. A process that is killed loses what it counted since.
"""

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from cashwrap.declarations import HOLDOUT
from cashwrap.drift import Drift
from cashwrap.errors import CashwrapError
from cashwrap.events import RequestFacts, flags_of
from cashwrap.events.traffic import Network
from cashwrap.experiences import Experiences
from cashwrap.model import HELD_OUT, OUTCOMES, PLAIN, Exposure, Inputs, Millis, Purpose, Tenant
from cashwrap.ports import Registry
from cashwrap.world import World

log = logging.getLogger(__name__)

KIND = "tally"
DAY: Millis = 86_400_000
EVERY = 5.0
"""Seconds between two writes: what a kill may lose."""
AT_ONCE = 10_000
"""Decisions that may wait to be added up."""
KEPT = 366
"""Days."""
REST = "rest"
"""The arm of whoever is not in the shop's holdout, where there is one."""

Key = tuple[str, str, str]
"""An experiment's salt, its arm, and what became of it (``model.OUTCOMES``).

The shop's holdout counts whole decisions: under its own salt as ``holdout`` with that outcome, all others as ``rest``
with no outcome.
"""

_ANALYTICS = Purpose.ANALYTICS.value
_HELD, _FREE = (-1,), (-2,)
"""Beside exposures: a decision of somebody in the shop's holdout, and one of anybody else."""


class Tally(Struct, frozen=True, array_like=True):
    """One process's sums of a day (its first millisecond, UTC)."""

    tenant: Tenant
    day: Millis
    counts: list[tuple[str, str, str, int]]


def tallies(registry: Registry, tenant: Tenant) -> Mapping[Key, Mapping[Millis, int]]:
    """All decisions of a store that processes have written down, by the day's first millisecond (UTC)."""
    found: dict[Key, Counter[Millis]] = {}
    for document in registry.documents(KIND).values():
        tally = _tally.decode(document)
        if tally.tenant == tenant:
            for salt, arm, outcome, count in tally.counts:
                found.setdefault((salt, arm, outcome), Counter())[tally.day] += count
    return found


class Tallies:
    """Counts for one process. ``count`` is for whoever answers, ``flush`` for a thread that may wait for the disk."""

    def __init__(self, world: World) -> None:
        self.drift = Drift(world)
        """What arrives undeclared: counted beside, and written when this is."""
        self._world = world
        self._new: deque[tuple[Tenant, Millis, Experiences, Sequence[tuple[int, ...]]]] = deque()
        """Decisions that are not yet in the sums: added up when nobody waits for an answer."""
        self._flushing = threading.Lock()
        """Guards everything below."""
        self._sums: dict[tuple[Tenant, Millis], Counter[Key]] = {}
        """Everything so far of the days that are not over."""
        self._names: dict[tuple[Tenant, Millis], str] = {}
        """What they are written under."""
        self._changed: set[tuple[Tenant, Millis]] = set()
        """Those that are not yet written as they are."""
        self._due = 0.0
        self._swept: Millis = 0
        """The day on which old days were last removed."""

    def count(
        self,
        inputs: Inputs,
        exposures: Sequence[tuple[int, ...]],
        experiences: Experiences,
        facts: RequestFacts,
        internal: tuple[Network, ...],
    ) -> None:
        """One decision's exposures, if they could come back."""
        if not inputs.mask & _ANALYTICS or not inputs.units or flags_of(facts, internal):
            return
        self._new.append((inputs.tenant, inputs.now, experiences, exposures))
        if len(self._new) >= AT_ONCE:  # nobody flushes, or not often enough
            with self._flushing:
                self._take_in()

    def flush(self, *, ending: bool = False) -> None:
        """Write what was counted, if it is time or the process is ``ending``. What fails is tried again later."""
        self.drift.flush(ending=ending)
        with self._flushing:
            now = self._world.clock.monotonic()
            self._take_in()
            if now < self._due and not ending:
                return
            self._due = now + EVERY
            try:
                self._write()
            except CashwrapError as error:
                log.warning("what was decided is not yet written down: %s", error.message)
            except Exception:
                log.exception("what was decided could not be written down")

    def _write(self) -> None:
        reserve, registry = self._world.reserve, self._world.registry
        if reserve is not None and reserve.full():
            return
        for of in list(self._changed):
            tenant, day = of
            if of not in self._names:
                self._names[of] = self._name(day)
            counts = [(*key, count) for key, count in sorted(self._sums[of].items())]
            registry.put(KIND, self._names[of], msgspec.msgpack.encode(Tally(tenant, day, counts)))
            self._changed.discard(of)
        today = self._world.clock.now() // DAY * DAY
        if today != self._swept:
            self._swept = today
            for of in [each for each in self._sums if each[1] < today - DAY]:
                del self._sums[of]
                self._names.pop(of, None)
            for name in registry.documents(KIND):
                if name[:10] < _date(today - KEPT * DAY):
                    registry.put(KIND, name, None)

    def _take_in(self) -> None:
        """Add what is new to the sums: by the numbers that decisions hold first, which is most of the work."""
        raw: dict[tuple[Tenant, Millis, str], tuple[Experiences, dict[tuple[int, ...], int]]] = {}
        while self._new:
            tenant, now, experiences, exposures = self._new.popleft()
            of = tenant, now // DAY * DAY, experiences.playbook
            if of not in raw:
                raw[of] = experiences, {}
            counted = raw[of][1]
            told = [each for each in exposures if len(each) > PLAIN]
            if experiences.holdout.share:
                told.append(_HELD if told and Exposure(*told[0]).outcome == HELD_OUT else _FREE)
            for each in told:
                counted[each] = counted.get(each, 0) + 1
        for (tenant, day, _), (experiences, counted) in raw.items():
            for each, count in counted.items():
                if (key := _key(experiences, each)) is not None:
                    self._sums.setdefault((tenant, day), Counter())[key] += count
                    self._changed.add((tenant, day))

    def _name(self, day: Millis) -> str:
        """A name that no process writes or wrote under: of those alive only this one has its number."""
        taken, number = self._world.registry.documents(KIND), 0
        while (name := f"{_date(day)}/{os.getpid()}-{number}") in taken:
            number += 1
        return name


def _key(experiences: Experiences, each: tuple[int, ...]) -> Key | None:
    """What an exposure is counted under; ``None`` where it is in no experiment."""
    if each == _HELD:
        return experiences.holdout.salt, HOLDOUT, OUTCOMES[HELD_OUT]
    if each == _FREE:
        return experiences.holdout.salt, REST, ""
    exposure = Exposure(*each)
    shown = experiences.names.experiences[exposure.experience]
    if not shown.salt or exposure.outcome == HELD_OUT:
        return None
    return shown.salt, shown.arms[exposure.arm], OUTCOMES[exposure.outcome]


def _date(day: Millis) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=day)).date().isoformat()


_tally: msgspec.msgpack.Decoder[Tally] = msgspec.msgpack.Decoder(Tally)
