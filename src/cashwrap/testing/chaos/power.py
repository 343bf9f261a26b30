"""Power cuts: the whole store path over a disk that forgets what was not synced, and tears the rest.

One run plays some requests through the real engine and is cut at several of its writes and syncs. Each cut leaves files
of its own, which are opened as a restart would and compared with what had been acknowledged at that very moment.
"""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cashwrap.testing.chaos.checks import look
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import PowerDisk, write_files
from cashwrap.testing.chaos.money import Purse
from cashwrap.testing.chaos.stage import (
    Plant,
    acting,
    as_it_is,
    compiled_playbook,
    fresh_files,
    pass_time,
    stage,
)
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import SHOPPERS, TENANT, Book, Till, Traffic

REQUESTS = 12
FORGET_AT = 7
CUTS = 10
"""Cuts of one run, each with a seed of its own."""
_numbers = itertools.count()


class _Cut(NamedTuple):
    files: dict[str, bytes]
    book: Book


def power_cuts(folder: Path, seed: int, cuts: int, plant: Plant = as_it_is) -> Tally:
    """So many cuts, from ``seed`` on; ``folder`` is for temporary files."""
    tally = Tally("power cuts and torn writes")
    while tally.runs < cuts:
        _play(folder, seed + tally.runs, min(CUTS, cuts - tally.runs), plant, tally)
    return tally


def _play(folder: Path, seed: int, wanted: int, plant: Plant, tally: Tally) -> None:
    dice, book = Dice("power", seed), Book()
    disk = PowerDisk(f"power-{next(_numbers)}", dice)
    here = folder / f"power-{seed}"
    write_files(here, fresh_files())
    cuts: list[_Cut] = []
    traffic = Traffic(seed, book)
    with stage(here, seed, disk.name) as made:
        world = plant(made)
        with acting(world, compiled_playbook()) as engine:
            disk.before = _cutting(disk, book, cuts, wanted)
            till = Till(engine, book)
            purse = Purse(TENANT, book.money, dice, world.clock)
            for number in range(REQUESTS):
                till.send(traffic.batch() + traffic.some_again())
                if number == FORGET_AT:
                    till.forget(dice.below(SHOPPERS))
                if world.ledger is not None:
                    purse.step(world.ledger)
                pass_time(world)
            while len(cuts) < wanted:
                cuts.append(_Cut(disk.cut(), book.copy()))
            disk.before = lambda _: None
    for number, cut in enumerate(cuts):
        _restart(here / f"cut-{number}", seed + number, cut, traffic, tally)
    shutil.rmtree(here)


def _cutting(disk: PowerDisk, book: Book, cuts: list[_Cut], wanted: int) -> Callable[[str], None]:
    """Cut before some of the writes and syncs: syncs are where things are decided, so they come more often."""

    def before(what: str) -> None:
        if len(cuts) < wanted and disk.dice.chance(12 if what == "sync" else 3):
            cuts.append(_Cut(disk.cut(), book.copy()))

    return before


def _restart(folder: Path, seed: int, cut: _Cut, traffic: Traffic, tally: Tally) -> None:
    """Open what is left; then let every client send again what it was not told about."""
    write_files(folder, cut.files)
    book, compiled = cut.book, compiled_playbook()
    tally.runs += 1
    with stage(folder, f"restart {seed}") as world:
        tally.add(look(world, compiled, book), seed, faults=1)
        if seed % 4 == 0:
            with acting(world, compiled) as engine:
                again = [event for event in traffic.made if event["messageId"] in book.sent]
                Till(engine, book).send(again)
            tally.add(look(world, compiled, book), seed)
