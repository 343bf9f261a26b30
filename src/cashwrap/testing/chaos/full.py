"""A disk that is truly full, and has room again: a small file system of its own, in a mount namespace.

It is filled at a random moment while events come. Then events are refused and everything else goes on: decisions, a
forgetting, the ledger, a restart. When there is room again, events are taken within seconds and without a restart.
"""

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import msgspec

from cashwrap.adapters.ballast import free_space
from cashwrap.adapters.system import SystemClock
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, DiskFull, Unavailable
from cashwrap.library import open_world
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.testing.chaos.checks import look
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.money import Purse
from cashwrap.testing.chaos.stage import compiled_playbook
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.workload import SHOPPERS, TENANT, Book, Till, Traffic, caller

WHAT = "disk full, and back"
MEGABYTES = 40
RESERVE = 8 << 20
RESUMES = 5.0
"""Seconds within which events must be taken when there is room again."""
UNTIL_FULL = 3_000
"""Requests after which a full disk should have been noticed."""
ENTRANCES = (["unshare", "-m"], ["unshare", "-rm"])
"""Ways into a mount namespace of one's own: as root, and as a user where the kernel lets users have one."""
_SCRIPT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def disk_full(folder: Path, seed: int, runs: int, reserve: int = RESERVE) -> Tally:
    """So many runs, with so many bytes kept back.

    Raises ``Unavailable`` where this account may not mount a small file system.
    """
    room = folder / "small"
    room.mkdir(exist_ok=True)
    entrance = _entrance(room)
    inner = [sys.executable, "-m", "cashwrap.testing.chaos.full", str(room), str(seed), str(runs), str(reserve)]
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [*entrance, "sh", "-c", _SCRIPT, "sh", f"{MEGABYTES}m", str(room), *inner], capture_output=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"the run on a full disk broke off: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Tally)


def _entrance(room: Path) -> list[str]:
    for entrance in ENTRANCES:
        command = [*entrance, "sh", "-c", _SCRIPT, "sh", "1m", str(room), "true"]
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:  # noqa: S603 - as above
                return entrance
        except OSError:
            continue
    raise Unavailable("this account may not mount a small file system: needs root, or user namespaces")


class _Run:
    """One data folder on the small disk."""

    def __init__(self, room: Path, seed: int, reserve: int, tally: Tally) -> None:
        self._room = room
        self._reserve = reserve
        self._data = room / "data"
        self._hog = room / "hog"
        self._seed = seed
        self._dice = Dice("full", seed)
        self._tally = tally
        self._book = Book()
        self._traffic = Traffic(seed, self._book)
        self._purse: Purse | None = None

    def play(self) -> None:
        """All of it."""
        with ExitStack() as opened:
            engine = self._open(opened)
            till = Till(engine, self._book)
            for _ in range(1 + self._dice.below(20)):
                till.send(self._traffic.batch(20))
                self._spend(engine)
            self._fill(till)
            self._while_full(engine, till)
            if self._dice.chance(50):
                opened.close()
                engine = self._open(opened)
                till = Till(engine, self._book)
                self._while_full(engine, till)
            self._free(engine, till)
        self._look()
        self._tally.runs += 1

    def _open(self, opened: ExitStack) -> Engine:
        world = opened.enter_context(open_world(self._data, make=True, reserve=self._reserve))
        engine = Engine(compiled_playbook(), world)
        opened.callback(engine.close)
        if self._purse is None:
            self._purse = Purse(TENANT, self._book.money, self._dice, world.clock)
        return engine

    def _fill(self, till: Till) -> None:
        """Leave next to nothing, and go on until the disk says no."""
        left = self._dice.below(300_000)
        with self._hog.open("wb") as hog:
            os.posix_fallocate(hog.fileno(), 0, max(1, free_space(self._room) - left))
        for _ in range(UNTIL_FULL):
            if not till.send(self._traffic.batch(20)):
                self._tally.faults += 1
                return
        self._wrong("the disk was never found full")

    def _while_full(self, engine: Engine, till: Till) -> None:
        reserve = engine.world.reserve
        if reserve is None or not reserve.full():
            self._wrong("the reserve was not given away")
        before = free_space(self._room)
        for _ in range(20):
            self._refused(engine, till)
        if free_space(self._room) != before:
            self._wrong("refused events touched the disk")
        answer = engine.decide(DecideRequest(shopper=ShopperRef(user_id="user-1")), caller(engine.world))
        if b'"placements"' not in answer:
            self._wrong(f"decide answered {answer[:100]!r}")
        if not till.forget(self._dice.below(SHOPPERS)):
            self._wrong("nobody could be forgotten")
        for _ in range(4):
            self._spend(engine)

    def _refused(self, engine: Engine, till: Till) -> None:
        events = self._traffic.batch()
        try:
            engine.submit_and_wait(TENANT, [])
        except DiskFull:
            pass
        else:
            self._wrong("an empty request was not refused for want of room")
        if till.send(events):
            self._wrong("an event was taken on a full disk")

    def _spend(self, engine: Engine) -> None:
        """One change of the ledger, which must be answered at the second try at the latest."""
        ledger, purse = engine.world.ledger, self._purse
        if ledger is not None and purse is not None and not purse.step(ledger) and not purse.step(ledger):
            self._wrong("the ledger could not be written")

    def _free(self, engine: Engine, till: Till) -> None:
        """Make room; it must go on by itself."""
        self._hog.unlink()
        clock, waiting = SystemClock(), threading.Event()
        begun = clock.monotonic()
        events = self._traffic.batch()
        while not till.send(events):
            waiting.wait(0.02)
            if clock.monotonic() - begun > RESUMES:
                self._wrong(f"events were not taken {RESUMES} s after there was room")
                return
        if not (self._data / "reserve").exists():
            self._wrong("the reserve was not taken back")
        for start in range(0, len(self._traffic.made), 200):
            till.send(self._traffic.made[start : start + 200])
        if engine.account().received == 0:
            self._wrong("nothing was counted")

    def _look(self) -> None:
        with open_world(self._data, reserve=self._reserve) as world:
            self._tally.add(look(world, compiled_playbook(), self._book), self._seed)
        for path in sorted(self._data.iterdir(), reverse=True):
            path.unlink()

    def _wrong(self, text: str) -> None:
        self._tally.complain(self._seed, text)


def main() -> None:
    """Runs inside the namespace: folder, first seed, how many, bytes of the reserve."""
    room, (seed, runs, reserve) = Path(sys.argv[1]), map(int, sys.argv[2:])
    tally = Tally(WHAT)
    for number in range(runs):
        try:
            _Run(room, seed + number, reserve, tally).play()
        except CashwrapError as error:
            tally.complain(seed + number, f"{type(error).__name__}: {error.message}")
            break  # what it left behind is in the way of the next
    sys.stdout.buffer.write(msgspec.json.encode(tally))


if __name__ == "__main__":
    main()
