"""One errand for every marked crash point: what a process does that is killed there, and does again after a restart.

The parent has filled the data folder and knows what was acknowledged. A child runs the errand and dies at the mark;
nothing acknowledged may be gone. A second child runs it again to its end.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import structs

from cashwrap.engine import Engine
from cashwrap.faults import POINTS
from cashwrap.history import rebuild
from cashwrap.library import open_world
from cashwrap.model import Millis
from cashwrap.ports import AuditEntry, Clock
from cashwrap.testing.chaos.checks import look
from cashwrap.testing.chaos.dice import Dice
from cashwrap.testing.chaos.disk import write_files
from cashwrap.testing.chaos.money import MoneyBook, Purse
from cashwrap.testing.chaos.nursery import Job, Nursery
from cashwrap.testing.chaos.stage import acting, compiled_playbook, fresh_files
from cashwrap.testing.chaos.tally import Tally
from cashwrap.testing.chaos.times import windowed
from cashwrap.testing.chaos.workload import TENANT, Book, Till, Traffic

WHAT = "kill -9 at every crash point"
LATER: Millis = 800 * 86_400_000
"""When retention has something to remove."""
REQUESTS = 6
ERRAND = 77
"""The seed of what the child does."""
FORGOTTEN = 1
ENTRY = AuditEntry(time=1, actor="command:chaos", action="chaos.errand")


class _Later:
    """The machine's clock, set far ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> Millis:
        """Milliseconds since 1970 UTC."""
        return self._clock.now() + LATER

    def monotonic(self) -> float:
        """Seconds, never going back."""
        return self._clock.monotonic()


# --- the child's side ---


def run(point: str, data: Path) -> None:
    """The errand that passes a crash point, in this process."""
    with open_world(data) as made:
        world = structs.replace(made, clock=_Later(made.clock)) if point == "retention.snapshot" else made
        compiled = windowed() if point == "backfill.merged" else compiled_playbook()
        with acting(world, compiled) as engine:
            _ERRANDS[point](engine)


def _send(engine: Engine) -> None:
    if not Till(engine, Book()).send(Traffic(ERRAND, Book()).batch()):
        raise AssertionError("the errand's events were refused")


def _forget(engine: Engine) -> None:
    if not Till(engine, Book()).forget(FORGOTTEN):
        raise AssertionError("nobody was forgotten")


def _spend(engine: Engine) -> None:
    if engine.world.ledger is not None:
        Purse(TENANT, MoneyBook(), Dice(ERRAND), engine.world.clock).step(engine.world.ledger)


def _tell(engine: Engine) -> None:
    _spend(engine)
    engine.offering.notices.tell()


def _append(engine: Engine) -> None:
    if engine.world.audit is not None:
        engine.world.audit.append(ENTRY)


def _give(engine: Engine) -> None:
    if engine.world.reserve is not None:
        engine.world.reserve.give()


def _save_model(engine: Engine) -> None:
    if engine.world.models is not None:
        version = engine.world.random.token(4).hex()
        engine.world.models.save(TENANT, "next_item", version, {"items.npy": b"items"})


def _rewrite_model(engine: Engine) -> None:
    _save_model(engine)
    if engine.world.models is not None:
        version = engine.world.models.versions(TENANT)["next_item"][0]
        engine.world.models.rewrite(TENANT, "next_item", version, {"items.npy": b"fewer"})


def _backfill(engine: Engine) -> None:
    def whole() -> None:
        while engine.backfill.run():
            pass

    engine.writer.call(whole)


_ERRANDS: dict[str, Callable[[Engine], object]] = {
    "writer.folded": _send,
    "vault.persisted": _send,
    "store.committed": _send,
    "writer.published": _send,
    "forget.destroyed": _forget,
    "ledger.counted": _spend,
    "ledger.committed": _spend,
    "notice.told": _tell,
    "retention.snapshot": lambda engine: engine.writer.call(engine.retention.all),
    "backfill.merged": _backfill,
    "audit.appended": _append,
    "models.written": _save_model,
    "models.replaced": _rewrite_model,
    "reserve.released": _give,
}


# --- the parent's side ---


def at_every_point(folder: Path, nursery: Nursery, seed: int, points: Iterable[str] = POINTS) -> Tally:
    """Kill a process at each crash point, once, and let the next one do what it was about."""
    tally = Tally(WHAT)
    for point in points:
        tally.complain(seed, *(f"{point}: {line}" for line in _killed_at(folder, nursery, seed, point, tally)))
    return tally


def _killed_at(folder: Path, nursery: Nursery, seed: int, point: str, tally: Tally) -> list[str]:
    data, book = folder / f"errand-{seed}-{point}", Book()
    write_files(data, fresh_files())
    with open_world(data) as world, acting(world, compiled_playbook()) as engine:
        till, traffic = Till(engine, book), Traffic(seed, book)
        purse = Purse(TENANT, book.money, Dice("errand", seed), world.clock)
        for _ in range(REQUESTS):
            till.send(traffic.batch())
            if world.ledger is not None:
                purse.step(world.ledger)
    Traffic(ERRAND, book).batch()  # the child's events: known, and acknowledged to nobody
    if point == "forget.destroyed":
        book.forgotten.add(FORGOTTEN)
    wrong = []
    for crash in (point, ""):
        nursery.start(Job(str(data), crash=crash, errand=point))
        ended = nursery.gone().text
        if ended != ("-9" if crash else "0"):
            wrong.append(f"the process ended with {ended}" if not crash else "it was not reached")
        wrong += _state(data, book, point, seed, tally)
    tally.runs += 1
    tally.faults += 1
    shutil.rmtree(data)
    return wrong


def _state(data: Path, book: Book, point: str, seed: int, tally: Tally) -> list[str]:
    """What a look at the folder finds; records that retention removed are in its snapshots and not in the log."""
    with open_world(data) as world:
        wrong = [f"audit: {line}" for line in world.audit.verify()] if world.audit is not None else []
        compiled = windowed() if point == "backfill.merged" else compiled_playbook()
        if point == "retention.snapshot":
            differing = rebuild(world, compiled).differing
            return [*wrong, f"{len(differing)} profiles differ from snapshots and log"] if differing else wrong
        tally.add(look(world, compiled, book), seed)
        return wrong
