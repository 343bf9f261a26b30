"""The true application on a free loopback port, in a thread, for tests that speak HTTP to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvloop

from cashwrap.engine import World
from cashwrap.serve.app import Application
from cashwrap.serve.companion import Companion
from cashwrap.serve.operations import Health
from cashwrap.serve.rates import Rates
from cashwrap.serve.run import ServeOptions, _config, listen
from engines import Shop, TestClock, folder_world, shop_over

ORIGIN = "https://shop.example"


class Server:
    """One running server. ``http`` talks to it, ``shop`` looks behind it."""

    def __init__(self, shop: Shop, rates: Rates, companion: Companion | None = None) -> None:
        self.shop = shop
        self.rates = rates
        self.health = Health()
        self._app = Application(shop.engine, rates, self.health, companion=companion)
        options = ServeOptions(port=0)
        self._listener = listen(options)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.uvicorn = uvicorn.Server(_config(self._app))
        self._started = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)
        self._thread.start()
        assert self._started.wait(30)
        self.health.ready = True
        self.http = httpx.Client(base_url=self.url, timeout=30)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self._started.set)
        await self.uvicorn._serve([self._listener])

    def close(self) -> None:
        self.http.close()
        self.uvicorn.should_exit = True
        self._thread.join(30)
        self._app.close()

    def post(self, path: str, body: Any = None, *, secret: bool = False, **more: Any) -> httpx.Response:
        """A request with a key as Bearer; ``content=`` sends bytes as they are."""
        headers = {"authorization": f"Bearer {self.shop.secret_text if secret else self.shop.public_text}"}
        headers |= more.pop("headers", {})
        if body is not None:
            more["json"] = body
        return self.http.post(path, headers=headers, **more)

    def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request of the shop's backend."""
        headers = {"authorization": f"Bearer {self.shop.secret_text}", **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)

    def raw(self, data: bytes) -> bytes:
        """What the server answers to these bytes, until it closes or is silent after an answer."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            answer = b""
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65536):
                    answer += chunk
            return answer


@contextmanager
def serving(world: World, *, rate: int = 0, companion: Companion | None = None) -> Iterator[Server]:
    with shop_over(world) as shop:
        server = Server(shop, Rates(world.clock, rate, proxies=frozenset({"127.0.0.1"})), companion)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def serving_folder(folder: Path, *, rate: int = 0) -> Iterator[Server]:
    with folder_world(folder, TestClock()) as world, serving(world, rate=rate) as server:
        yield server
