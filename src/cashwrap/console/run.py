"""Run a console: its application on a socket, and what goes on beside requests, until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import uvicorn
import uvloop

from cashwrap.console.app import application
from cashwrap.console.console import Console
from cashwrap.console.streams import Streams
from cashwrap.serve.protocol import LimitedProtocol, expire
from cashwrap.serve.run import beside

log = logging.getLogger("cashwrap")
THREADS = 32
"""Pages that are worked out at once: a few slow questions must not keep everybody else from signing in."""


def serve(console: Console, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer on ``listener`` until SIGTERM, SIGINT, or the end of the standard input of a console that has a server."""
    if console.options.runtime is not None:
        os.nice(10)  # the server beside it decides, and goes first
    uvloop.run(_serve(console, listener, ready))


async def _serve(console: Console, listener: socket.socket, ready: Callable[[], None]) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            application(console),
            loop="none",
            http=LimitedProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
    )
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="cashwrap-console"))
    loop, stop = asyncio.get_running_loop(), _Stop(server, console.live.streams)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if console.options.runtime is not None:
        loop.add_reader(sys.stdin.fileno(), stop.if_alone)
    async with beside(_expire(server), console.live.run(), console.sizes.run(), console.goods.run()):
        serving = asyncio.create_task(server._serve([listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
        ready()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


class _Stop:
    """Ends the server, and open streams with it."""

    def __init__(self, server: uvicorn.Server, streams: Streams) -> None:
        self._server = server
        self._streams = streams

    def __call__(self) -> None:
        self._server.should_exit = True
        self._streams.close()

    def if_alone(self) -> None:
        """Whatever began this process is gone."""
        if not os.read(sys.stdin.fileno(), 64):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self()


async def _expire(server: uvicorn.Server) -> None:
    while True:
        await asyncio.sleep(1)
        expire(list(server.server_state.connections), asyncio.get_running_loop().time())
