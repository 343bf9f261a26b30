"""Asks a shadow now and then, after an answer is there, and writes down what it said. Nobody sees any of it.

Each process adds up by itself and writes its sums every few seconds into documents of its own, as ``tallies`` does.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from cashwrap.errors import CashwrapError
from cashwrap.learned.shadow import KIND, Shadow
from cashwrap.world import World

log = logging.getLogger("cashwrap")

EVERY = 5.0
"""Seconds between two writes: what a kill may lose."""
SHARE = 8
"""Of so many answers a shadow is asked for one ..."""
PART = 20
"""... and it has at most one of so many parts of the time."""
T = TypeVar("T")


class Shadows:
    """The shadows of one process. ``ask`` is for whoever answers, ``flush`` for a thread that may wait for the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._flushing = threading.Lock()
        self._names: dict[str, str] = {}
        """What sums are written under; guarded by ``_flushing`` like ``_due``."""
        self._due = 0.0
        self._lock = threading.Lock()
        """Guards everything below."""
        self._sums: dict[str, Shadow] = {}
        """By tenant, model and version, as documents are named: everything since this process began."""
        self._changed: set[str] = set()
        self._answers: dict[str, int] = {}
        self._rests: dict[str, float] = {}
        """When each may be asked again."""

    def ask(self, version: str, shadow: Callable[[], T | None], agreement: Callable[[T], float | None]) -> None:
        """Ask a version, if it is its turn: how it agrees with the answer given, ``None`` where there was none."""
        clock = self._world.clock
        began = clock.monotonic()
        if not self._turn(version, began):
            return
        said, failed = None, False
        try:
            said = shadow()
        except Exception:  # nobody saw it; it is why there are shadows
            failed = True
        took = clock.monotonic() - began
        agreed = agreement(said) if said is not None else None
        with self._lock:
            sums = self._sums.setdefault(version, Shadow())
            sums.told(took)
            sums.asked += 1
            sums.failed += failed
            if agreed is not None:
                sums.compared += 1
                sums.agreed += agreed
            self._changed.add(version)
            self._rests[version] = began + took * PART

    def _turn(self, version: str, now: float) -> bool:
        with self._lock:
            count = self._answers[version] = self._answers.get(version, -1) + 1
            return count % SHARE == 0 and now >= self._rests.get(version, 0.0)

    def flush(self, *, ending: bool = False) -> None:
        """Write what was counted, if it is time or the process is ``ending``. What fails is tried again later."""
        now, reserve = self._world.clock.monotonic(), self._world.reserve
        with self._flushing:
            if (now < self._due and not ending) or (reserve is not None and reserve.full()):
                return
            self._due = now + EVERY
            with self._lock:  # held for no write: whoever answers takes it too
                changed = {version: msgspec.json.encode(self._sums[version]) for version in self._changed}
                self._changed.clear()
            try:
                for version in list(changed):
                    self._write(version, changed[version])
                    del changed[version]
            except CashwrapError as error:
                log.warning("what shadows said is not yet written down: %s", error.message)
                with self._lock:
                    self._changed |= changed.keys()

    def _write(self, version: str, document: bytes) -> None:
        if version not in self._names:
            self._names[version] = self._name(version)
        self._world.registry.put(KIND, self._names[version], document)

    def _name(self, version: str) -> str:
        """A name that no process writes or wrote under: of those alive only this one has its number."""
        taken, number = self._world.registry.documents(KIND), 0
        while (name := f"{version}/{os.getpid()}-{number}") in taken:
            number += 1
        return name
