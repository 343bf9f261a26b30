"""All kinds of fault runs within a given time: what ``cashwrap selftest --chaos`` does."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from msgspec import Struct

from cashwrap.errors import Unavailable
from cashwrap.ports import Clock
from cashwrap.testing.chaos.errands import WHAT as POINT_BY_POINT
from cashwrap.testing.chaos.errands import at_every_point
from cashwrap.testing.chaos.failing import failures
from cashwrap.testing.chaos.full import WHAT as FULL
from cashwrap.testing.chaos.full import disk_full
from cashwrap.testing.chaos.kills import LIVES, Kills
from cashwrap.testing.chaos.nursery import Job, Nursery
from cashwrap.testing.chaos.power import CUTS, power_cuts
from cashwrap.testing.chaos.race import Race, judge
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.times import jumping_clocks, schedules, windowed

STRIDE = 1_000
"""Seeds between two portions of a kind, so that no seed comes twice."""


class Slice(NamedTuple):
    """One kind of run: its part of the time, and a portion of it from a seed on."""

    what: str
    part: int
    portion: Callable[[int], Tally]


class Report(Struct, rename="camel"):
    """What a self-test found."""

    seed: int
    seconds: float
    runs: list[Tally]
    skipped: dict[str, str]
    """Kinds that could not be run here, and why."""

    @property
    def lost(self) -> int:
        """Acknowledged and gone, over all kinds."""
        return sum(each.lost for each in self.runs)

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not any(each.wrong or each.lost or each.double for each in self.runs)


def selftest(folder: Path, seconds: float, seed: int, clock: Clock, tell: Callable[[Tally], None]) -> Report:
    """Run every kind for its part of the time, at least one portion each; ``tell`` hears of each portion's sum.

    ``folder`` is for temporary files only, and is left empty.
    """
    begun, done = clock.monotonic(), Report(seed, 0.0, [], {})
    with ExitStack() as opened:
        opened.enter_context(_quiet())
        slices = _slices(folder, opened.enter_context(Nursery(folder / "servers.log")))
        parts = sum(each.part for each in slices)
        spent = 0.0
        for each in slices:
            spent += each.part
            until = begun + seconds * spent / parts
            try:
                done.runs.append(_repeat(each, seed, until, clock, tell))
            except Unavailable as error:
                done.skipped[each.what] = error.message
    done.seconds = clock.monotonic() - begun
    return done


def _repeat(each: Slice, seed: int, until: float, clock: Clock, tell: Callable[[Tally], None]) -> Tally:
    total = Tally(each.what)
    while True:
        total.join(each.portion(seed))
        tell(total)
        seed += STRIDE
        if clock.monotonic() >= until:
            return total


def _slices(folder: Path, nursery: Nursery) -> list[Slice]:
    kills, compiled = Kills(folder, nursery), windowed()

    def races(seed: int) -> Tally:
        data, wanted = folder / f"race-{seed}", Race()
        data.mkdir()
        nursery.start(Job(str(data), race=wanted))
        told = nursery.listen().text
        nursery.gone()
        return judge(data, wanted, told, seed)

    return [
        Slice("kill -9 under load", 35, lambda seed: kills.run(seed, LIVES)),
        Slice("power cuts and torn writes", 20, lambda seed: power_cuts(folder, seed, 2 * CUTS)),
        Slice("every Nth write and sync fails", 15, lambda seed: failures(folder, seed, 1 + seed % 97, most=24)),
        Slice(FULL, 12, lambda seed: disk_full(folder, seed, 2)),
        Slice(POINT_BY_POINT, 4, lambda seed: at_every_point(folder, nursery, seed)),
        Slice("races for the last redemption", 8, races),
        Slice("shuffled, repeated and late events", 6, lambda seed: schedules(seed, 20, compiled)),
        Slice("clocks that jump", 4, lambda seed: jumping_clocks(seed, 20, compiled)),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Faults are wanted here: what the engine says about each would hide the report."""
    logger = logging.getLogger("cashwrap")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def beside(data: Path) -> Path:
    """A new folder on the file system of a data folder, and not inside it where that can be avoided."""
    there = data.absolute()
    while not there.is_dir():
        there = there.parent
    parent = there.parent
    if there == data.absolute() and parent.stat().st_dev == there.stat().st_dev and os.access(parent, os.W_OK):
        there = parent
    return Path(mkdtemp(prefix=".cashwrap-selftest-", dir=there))
