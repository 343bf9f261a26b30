"""Every Nth write and sync fails, for every N over a whole workload: nothing acknowledged is lost, service resumes.

After the run the power goes, so that a sync which failed and was believed afterwards would show.
"""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw

from cashwrap.testing.chaos.checks import look
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import PowerDisk, write_files
from cashwrap.testing.chaos.money import Purse
from cashwrap.testing.chaos.stage import Plant, acting, as_it_is, compiled_playbook, fresh_files, pass_time, stage
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import SHOPPERS, TENANT, Book, Till, Traffic

REQUESTS = 10
FORGET_AT = 6
TRIES = 12
"""How often a client asks again; a fault lasts for four operations at most."""
KINDS: dict[str, tuple[str, type[apsw.Error]]] = {
    "a write fails": ("write", apsw.IOError),
    "a write finds no room": ("write", apsw.FullError),
    "a sync fails": ("sync", apsw.IOError),
}
_numbers = itertools.count()


def failures(folder: Path, seed: int, step: int = 1, plant: Plant = as_it_is, most: int | None = None) -> Tally:
    """Fail the Nth operation of each kind, for every ``step``-th N until there is no Nth, or ``most`` runs were made.

    The first N follows from ``seed``. ``folder`` is for temporary files.
    """
    tally = Tally("every Nth write and sync fails")
    running = dict.fromkeys(KINDS, 1 + seed % step)
    while running and (most is None or tally.runs < most):
        for kind, nth in list(running.items()):
            if _play(folder, seed, (kind, nth), plant, tally):
                running[kind] = nth + step
            else:
                del running[kind]
    return tally


def _play(folder: Path, seed: int, what: tuple[str, int], plant: Plant, tally: Tally) -> bool:
    """One workload with one fault; whether the fault was met."""
    kind, nth = what
    book, disk = Book(), PowerDisk(f"failing-{next(_numbers)}", Dice("failing", kind, nth, seed))
    here = folder / f"failing-{next(_numbers)}"
    write_files(here, fresh_files())
    traffic = Traffic(seed, book)
    with stage(here, seed, disk.name) as made:
        world = plant(made)
        with acting(world, compiled_playbook()) as engine:
            met = _fail(disk, kind, nth)
            till = Till(engine, book)
            purse = Purse(TENANT, book.money, disk.dice, world.clock)
            for number in range(REQUESTS):
                _until(till.send, traffic.batch() + traffic.some_again())
                if number == FORGET_AT:
                    _until(till.forget, seed % SHOPPERS)
                if world.ledger is not None:
                    _until(purse.step, world.ledger)
                pass_time(world)
            disk.before = lambda _: None
            if not till.send(traffic.made):
                tally.complain(seed, f"{kind} ({nth}): service did not resume")
            left = disk.cut()
    shutil.rmtree(here)
    write_files(here, left)
    with stage(here, f"restart {seed}") as world:
        found = look(world, compiled_playbook(), book)
        found.wrong = [f"{kind} ({nth}): {line}" for line in found.wrong]
        tally.add(found, seed, faults=int(met()))
        tally.runs += 1
    shutil.rmtree(here)
    return met()


def _until(action: Callable[..., bool], *arguments: object) -> None:
    """What a client does that hears no answer."""
    for _ in range(TRIES):
        if action(*arguments):
            return


def _fail(disk: PowerDisk, kind: str, nth: int) -> Callable[[], bool]:
    """Let the Nth operation fail, and with an even N the three after it; tells whether there was one."""
    operation, error = KINDS[kind]
    seen = 0

    def before(what: str) -> None:
        nonlocal seen
        if what == operation:
            seen += 1
            if nth <= seen < nth + (4 if nth % 2 == 0 else 1):
                raise error(kind)

    disk.before = before
    return lambda: seen >= nth
