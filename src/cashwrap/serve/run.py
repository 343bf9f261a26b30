"""Run the server: uvicorn with our protocol, and what goes on beside requests (playbook, registry, webhooks)."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine

import uvicorn
import uvloop
from msgspec import Struct

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.serve.app import Application
from cashwrap.serve.companion import Companion, Launch, keep_console
from cashwrap.serve.deliver import Deliverer
from cashwrap.serve.offers import tend
from cashwrap.serve.operations import Health
from cashwrap.serve.protocol import LimitedProtocol, expire
from cashwrap.serve.publish import Publisher
from cashwrap.serve.pulses import Source, pulses
from cashwrap.serve.rates import Rates

log = logging.getLogger("cashwrap")
BEAT = 0.01
"""Seconds between two looks at how late the event loop is."""
LOOK = 0.25
"""Seconds between two looks at the playbook's files and the registry."""


class ServeOptions(Struct, frozen=True):
    """Where to listen and what to allow."""

    host: str = "127.0.0.1"
    port: int = 8377
    rate: int = 200
    """Events and decisions a second that one client may send with a publishable key; 0 for no limit."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses whose ``X-Forwarded-For`` is believed."""
    console: Launch | None = None
    """How the console is started; ``None`` for no console."""

    @property
    def companion(self) -> Companion | None:
        """How the console is found."""
        return self.console.companion if self.console is not None else None


def serve(
    engine: Engine, publisher: Publisher, options: ServeOptions, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve until SIGTERM or SIGINT; then answer what has begun, commit what waits, and return.

    ``ready`` is called with the server's address when it takes requests.
    """
    uvloop.run(_serve(engine, publisher, options, ready))


async def _serve(engine: Engine, publisher: Publisher, options: ServeOptions, ready: Callable[[str], None]) -> None:
    health = Health()
    rates = Rates(engine.world.clock, options.rate, proxies=frozenset(options.proxies))
    app = Application(engine, rates, health, companion=options.companion)
    listener = listen(options)
    console = console_of(options, listener.getsockname()[1])
    console += pulses(Source(engine, health, app.overload), options.companion)
    async with upkeep(engine, publisher, health, console):
        await asyncio.to_thread(engine.writer.call, step_back)
        await answer(engine, app, listener, lambda: ready(address_of(listener)))


async def answer(engine: Engine, app: Application, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, and then those that have begun. ``ready`` is called before the first."""
    server = uvicorn.Server(_config(app))
    await _look(engine)  # else the first decisions would grant nothing: nobody knew yet how far limits are
    async with beside(refresh(engine), _expire(server)), _watched(app):
        task = asyncio.create_task(_quietly(server, listener, app))
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.005)
        app.health.ready = server.started
        calm_collector()
        _share_the_core()
        ready()
        await task
        app.health.ready = False
    app.close()


def upkeep(
    engine: Engine, publisher: Publisher, health: Health, console: list[Coroutine[None, None, None]]
) -> contextlib.AbstractAsyncContextManager[None]:
    """What exactly one process of a data folder does beside requests: the one that writes."""
    own = _watch_playbook(engine, publisher, health), Deliverer(engine).run(), tend(engine.offering, LOOK)
    return beside(*own, *console)


def console_of(options: ServeOptions, port: int) -> list[Coroutine[None, None, None]]:
    """Keeps the console running, where there is to be one."""
    if options.console is None:
        return []
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
    host = everywhere.get(options.host, options.host)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return [keep_console(options.console, address)]


def _share_the_core() -> None:
    """Let a decision interrupt the writer's folding after half a millisecond instead of five: each wait for another
    thread counts against its deadline, and a decision of a shopper not in memory waits several times."""
    sys.setswitchinterval(0.0005)


def step_back() -> None:
    """On the writer's thread: whoever decides goes first where both want the core. Linux counts niceness by thread."""
    os.setpriority(os.PRIO_PROCESS, 0, 10)


def calm_collector() -> None:
    """Let the garbage collector look at little at a time, so that no decision waits for it, and hardly ever at
    everything: what lives long is frozen, profiles hold no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 10, 5_000)


async def _quietly(server: uvicorn.Server, listener: socket.socket, app: Application) -> None:
    """uvicorn re-raises the signal that stopped it; stopping on a signal is no failure of ours."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server, app)
    with contextlib.suppress(asyncio.CancelledError):
        await server._serve([listener])


def _stop(server: uvicorn.Server, app: Application) -> None:
    server.should_exit = True
    app.drain()


def _config(app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=LimitedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        timeout_graceful_shutdown=10,
        limit_concurrency=10_000,
    )


def listen(options: ServeOptions, *, shared: bool = False) -> socket.socket:
    """A socket that takes connections; ``shared`` with others of this account that are opened so too."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        raise CashwrapError(
            f"cannot listen on {options.host}:{options.port}: {error.strerror}; choose another --port",
            code="port_taken",
        ) from None
    listener.listen(2048)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a client finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def beside(*running: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """What runs beside requests, ended with them."""
    tasks = [asyncio.create_task(each) for each in running]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _watched(app: Application) -> AsyncIterator[None]:
    """Say every ten milliseconds how late the event loop is."""
    loop = asyncio.get_running_loop()
    due, timer = loop.time(), None

    def beat() -> None:
        nonlocal due, timer
        now = loop.time()
        app.beat(now - due, now)
        due = now + BEAT
        timer = loop.call_at(due, beat)

    beat()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


async def _watch_playbook(engine: Engine, publisher: Publisher, health: Health) -> None:
    """Take up each valid change of the folder and of what is live; keep the old playbook through a broken one.

    What fails is tried again at the next look, and told once.
    """
    told = ""
    while True:
        health.playbook_error = publisher.error
        await asyncio.sleep(LOOK)
        try:
            if await asyncio.to_thread(publisher.look, engine):
                gc.freeze()
            told = ""
        except Exception as failure:
            if told != str(failure):
                told = str(failure)
                cause = None if isinstance(failure, CashwrapError) else failure
                log.warning("what is live could not be read or written: %s", told, exc_info=cause)


async def refresh(engine: Engine) -> None:
    """See keys, switches, products and limits that another process wrote, a few times a second. What fails is told
    once, until it is well again."""
    failing = ""
    while True:
        await asyncio.sleep(LOOK)
        failing = await _look(engine, failing)


async def _look(engine: Engine, failing: str = "") -> str:
    """The code of what failed, or nothing; ``failing`` is what failed the time before, and is not told again."""
    try:
        await asyncio.to_thread(engine.refresh)
    except CashwrapError as error:
        if error.code != failing:
            log.warning("what other processes wrote could not be read, and is tried on: %s", error)
        return error.code
    except Exception:  # whatever it is, it must not be the last time that somebody looks
        log.exception("what other processes wrote could not be read")
        return "internal_error"
    if failing:
        log.info("what other processes wrote can be read again")
    return ""


async def _expire(server: uvicorn.Server) -> None:
    while True:
        await asyncio.sleep(1)
        expire(list(server.server_state.connections), asyncio.get_running_loop().time())
