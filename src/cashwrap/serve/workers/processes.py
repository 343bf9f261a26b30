"""What the two kinds of process do: one writes, the others serve. Both are forked by ``supervise``.

The supervisor keeps a socket to each, over which it introduces them to each other: a serving process and the writer
each get one end of a new pair of sockets. A new writer is introduced to all, so that they need nothing but to wait.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.adapters.announcing import AnnouncingStore
from cashwrap.adapters.ballast import GivenAway
from cashwrap.adapters.shared import Board, Cells, VersionArray
from cashwrap.audit import Trail
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.hot import Hot
from cashwrap.library import open_world
from cashwrap.overload import Overload
from cashwrap.playbook import Playbook
from cashwrap.ports import Clock, Random
from cashwrap.publishing import PlaybookSource
from cashwrap.remote import Common
from cashwrap.serve.app import Application
from cashwrap.serve.operations import EngineMetrics, Health
from cashwrap.serve.publish import Publisher
from cashwrap.serve.pulses import Source, pulses
from cashwrap.serve.run import (
    LOOK,
    ServeOptions,
    answer,
    beside,
    calm_collector,
    console_of,
    listen,
    refresh,
    step_back,
    upkeep,
)
from cashwrap.serve.workers.client import Quota, WriterClient
from cashwrap.serve.workers.common import (
    CART,
    CARTS,
    CLIENTS,
    SENDERS,
    SharedCarts,
    SharedRates,
    SharedRateWatch,
)
from cashwrap.serve.workers.desk import Desk
from cashwrap.serve.workers.metrics import Telling
from cashwrap.versions import Release, Versions
from cashwrap.writer import WAITING, WAITING_EVENTS

log = logging.getLogger("cashwrap")

READY, STOP, LINK = b"ready", b"stop", b"link"
"""What supervisor and processes say to each other."""
NEWS = 0.02
"""Seconds between two looks at what the writer may have published, and at who asks for metrics."""
_TOLD = 8 * 1024 * 1024
_SMALL = 24


class Crew(Struct, frozen=True):
    """What the command asked for, and the number of serving processes."""

    playbook: Path
    data: Path
    options: ServeOptions
    workers: int
    reserve: int
    ledger: str = ""


class Shared:
    """The memory of all processes, made before the first of them."""

    def __init__(self, workers: int, random: Random) -> None:
        self.versions = VersionArray()
        self.published = VersionArray(1)
        """Advanced when the writer has a new playbook."""
        secret = random.token(32)
        self.rates = Cells(CLIENTS, _SMALL, secret)
        self.senders = Cells(SENDERS, _SMALL, secret)
        self.carts = Cells(CARTS, CART, secret)
        self.board = Board(1 + workers, _TOLD)
        """The writer's place is the first."""


# --- the one that writes ---


def write(crew: Crew, shared: Shared, control: socket.socket) -> None:
    """Own the folder, fold and commit for all, publish, deliver; until the supervisor says stop, or is gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the others have requests to finish first
    opened = open_world(crew.data, make=True, reserve=crew.reserve, ledger=crew.ledger, versions=shared.versions)
    with opened as world:
        trail = Trail(world.audit, world.clock)
        publisher = Publisher(Versions(world.registry, world.clock), PlaybookSource(crew.playbook), trail)
        engine = Engine(publisher.first(), world)
        try:
            uvloop.run(_write(engine, publisher, crew, shared, control))
        finally:
            engine.close()


async def _write(engine: Engine, publisher: Publisher, crew: Crew, shared: Shared, control: socket.socket) -> None:
    health, stopped, options = Health(), asyncio.Event(), crew.options
    desk = Desk(engine)
    store = engine.world.store
    if isinstance(store, AnnouncingStore):
        store.on_forget = desk.tell_gone
    metrics, telling = EngineMetrics(engine, health, Overload()), Telling(shared.board, 0)
    console = console_of(options, options.port)
    console += pulses(Source(engine, health, Overload(), "writer"), options.companion)
    async with (
        upkeep(engine, publisher, health, console),
        beside(refresh(engine), _attend_writer(engine, shared, metrics, telling)),
    ):
        with _hears(control, desk.admit, stopped.set):
            await asyncio.to_thread(engine.writer.call, step_back)
            calm_collector()
            control.send(READY)
            await stopped.wait()
    await asyncio.to_thread(engine.close)
    desk.close()


async def _attend_writer(engine: Engine, shared: Shared, metrics: EngineMetrics, telling: Telling) -> None:
    """Tell the others of a new playbook, and whoever asks what is counted here."""
    live = engine.live
    while True:
        await asyncio.sleep(NEWS)
        if engine.live is not live:
            live = engine.live
            shared.published.advance([b""])
        if telling.asked():
            telling.tell(metrics)


# --- the ones that serve ---


class Follower:
    """Takes up what the writer has published."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._taken: Release | None = None
        self.error = ""
        """Why what is live cannot be used here; empty when all is well."""

    def first(self) -> Playbook:
        """The playbook to start with. Raises ``InvalidInput`` where nothing is live, or it cannot be used."""
        self._taken = self._versions.live()
        if self._taken is None:
            raise InvalidInput("nothing is live", code="no_such_version")
        return self._versions.load(self._taken.hash)

    def look(self, engine: Engine) -> bool:
        """Swap the engine's playbook where another one is live; whether it did."""
        live = self._versions.live()
        if live is None or live == self._taken:
            return False
        self._taken = live
        try:
            playbook = self._versions.load(live.hash)
        except InvalidInput as error:
            self.error = f"version {live.hash} cannot be used: {error.message}"
            log.warning("%s", self.error)
            return False
        self.error = ""
        if playbook.hash == engine.live.playbook.hash:
            return False
        engine.publish(playbook)
        return True


def work(crew: Crew, shared: Shared, number: int, control: socket.socket) -> None:
    """Parse, gate and decide until SIGTERM, handing events to the writer. ``number`` counts from 1."""
    with open_world(crew.data, serving=False, ledger=crew.ledger) as world:
        follower = Follower(Versions(world.registry, world.clock))
        hot = Hot(stamps=shared.versions)
        client = WriterClient(hot, Quota(WAITING // crew.workers, WAITING_EVENTS // crew.workers))
        common = Common(hot, SharedRateWatch(shared.senders), SharedCarts(shared.carts), client)
        engine = Engine(follower.first(), replace(world, reserve=GivenAway(crew.data)), common=common)
        client.carry(engine.recorder)
        try:
            uvloop.run(_work(crew, shared, _Serving(engine, follower, client, number, control)))
        finally:
            engine.close()


class _Serving(Struct, frozen=True):
    engine: Engine
    follower: Follower
    client: WriterClient
    number: int
    control: socket.socket


async def _work(crew: Crew, shared: Shared, serving: _Serving) -> None:
    engine, health, introduced = serving.engine, Health(), asyncio.Event()
    telling = Telling(shared.board, serving.number)
    app = Application(engine, _rates(crew, shared, engine.world.clock), health, telling.scrape, crew.options.companion)

    def attach(link: socket.socket) -> None:
        serving.client.attach(link)
        introduced.set()

    with _hears(serving.control, attach, lambda: os.kill(os.getpid(), signal.SIGTERM)):
        await introduced.wait()
        listener = listen(crew.options, shared=True)
        told = pulses(Source(engine, health, app.overload, f"worker {serving.number}"), crew.options.companion)
        async with beside(_attend(serving, shared, app, telling), *told):
            await answer(engine, app, listener, lambda: _say(serving.control, READY))
    telling.tell(app.metrics)


def _rates(crew: Crew, shared: Shared, clock: Clock) -> SharedRates:
    return SharedRates(shared.rates, clock, crew.options.rate, frozenset(crew.options.proxies))


async def _attend(serving: _Serving, shared: Shared, app: Application, telling: Telling) -> None:
    """Take up what was published, and tell whoever asks what is counted here."""
    loop = asyncio.get_running_loop()
    seen, due = -1, 0.0
    while True:
        await asyncio.sleep(NEWS)
        if telling.asked():
            telling.tell(app.metrics)
        published = shared.published[0]
        if published == seen and loop.time() < due:
            continue
        seen, due = published, loop.time() + LOOK
        try:
            if await asyncio.to_thread(serving.follower.look, serving.engine):
                gc.freeze()
        except CashwrapError as error:
            log.warning("what is live could not be read: %s", error.message)
        except Exception:  # whatever it is, it must not be the last time that somebody looks
            log.exception("what is live could not be read")
        app.health.playbook_error = serving.follower.error


# --- what the supervisor says ---


@contextlib.contextmanager
def _hears(control: socket.socket, attach: Callable[[socket.socket], None], stop: Callable[[], None]) -> Iterator[None]:
    """Listen to the supervisor: a socket to the other side, or that this is the end."""
    loop = asyncio.get_running_loop()
    control.settimeout(0)

    def hear() -> None:
        try:
            said, files, _, _ = socket.recv_fds(control, 16, 4)
        except BlockingIOError:
            return
        except OSError:
            said, files = b"", []
        for file in files:
            attach(socket.socket(fileno=file))
        if said in (b"", STOP):
            loop.remove_reader(control.fileno())
            stop()

    loop.add_reader(control.fileno(), hear)
    try:
        yield
    finally:
        loop.remove_reader(control.fileno())


def _say(control: socket.socket, what: bytes) -> None:
    with contextlib.suppress(OSError):
        control.send(what)
