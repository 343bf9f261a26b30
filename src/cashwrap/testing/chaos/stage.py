"""Where fault runs play: a world over a folder and a disk, with a clock and chance that a seed decides."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.adapters.vault import FileVault
from cashwrap.engine import Engine, World
from cashwrap.model import Millis
from cashwrap.playbook import Playbook
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.workload import playbook

START: Millis = 1_790_000_000_000
Plant = Callable[[World], World]
"""Puts a bug into a world, so that a checker can be shown to see it."""


class StageClock:
    """Moves only when it is told to."""

    def __init__(self, now: Millis = START) -> None:
        self.time = now
        self.seconds = 0.0

    def now(self) -> Millis:
        """Milliseconds since 1970 UTC."""
        return self.time

    def monotonic(self) -> float:
        """Seconds, never going back."""
        return self.seconds

    def step(self, milliseconds: int = 300) -> None:
        """Let time pass, on both clocks."""
        self.time += milliseconds
        self.seconds += milliseconds / 1000


def as_it_is(world: World) -> World:
    """The plant that plants nothing."""
    return world


@contextmanager
def stage(folder: Path, seed: int | str, vfs: str | None = None) -> Iterator[World]:
    """A world over a folder; its disk is ``vfs``. What it cannot close any more is left to whoever removes it."""
    with ExitStack() as opened:
        store = SqliteStore(folder, vfs=vfs)
        opened.callback(store.close)
        vault = FileVault(folder, Dice("vault", seed), vfs=vfs)
        opened.callback(vault.close)
        ledger = SqliteLedger(folder, vfs=vfs)
        opened.callback(ledger.close)
        chance = Dice("world", seed)
        yield World(store, store, store, store, store, vault, StageClock(), chance, ledger=ledger)


def pass_time(world: World) -> None:
    """A moment later."""
    if isinstance(world.clock, StageClock):
        world.clock.step()


@contextmanager
def acting(world: World, compiled: Playbook) -> Iterator[Engine]:
    """An engine over a world."""
    engine = Engine(compiled, world)
    try:
        yield engine
    finally:
        engine.close()


@cache
def compiled_playbook() -> Playbook:
    """The playbook of fault runs, compiled once."""
    return playbook()


@cache
def fresh_files() -> dict[str, bytes]:
    """The files of an empty data folder: to begin with them is faster than to make one."""
    with TemporaryDirectory() as folder:
        with stage(Path(folder), 0):
            pass
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.suffix == ".db"}
