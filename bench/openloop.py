"""Requests sent when they are due, whether or not earlier ones were answered: an open loop.

A request's latency counts from the moment it was due, so a server that stalls is charged for all that waited behind it
(no coordinated omission). Timers here are a millisecond coarse, which counts against the server too.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

TIMEOUT = 20.0
"""Seconds after which a request counts as never answered."""


class Planned(NamedTuple):
    """One request and the second, from the start, at which it is due."""

    due: float
    kind: str
    data: bytes


class Answered(NamedTuple):
    """What became of one: ``status`` is 0 where there was no answer."""

    kind: str
    due: float
    seconds: float
    status: int
    head: bytes
    body: bytes
    late: float
    """How long after it was due it was sent: the load's own delay, which ``seconds`` has in it."""


def arrivals(rate: float, seconds: float, seed: str) -> Iterator[float]:
    """When requests are due that come independently of each other (a Poisson process)."""
    rng, moment = random.Random(seed), 0.0
    while (moment := moment + rng.expovariate(rate)) < seconds:
        yield moment


def request(path: str, key: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, free: Callable[["Connection"], None]) -> None:
        self._free = free
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by name

    def usable(self) -> bool:
        """Whether the server has not closed it, as it does with connections that idle."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Let go of it."""
        if self._transport is not None:
            self._transport.abort()

    def ask(self, data: bytes) -> "asyncio.Future[tuple[int, bytes, bytes]]":
        """Send a request; its status, head and body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        if len(body) >= length and self._answer is not None:
            answer, self._answer, self._data = self._answer, None, b""
            if not answer.done():
                answer.set_result((int(head[9:12]), head.lower(), body))
            self._free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, b"", f"the connection was closed: {exc}".encode()))


class Load:
    """Sends what is planned, over as many connections as it takes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Connection] = []
        self.answers: list[Answered] = []

    async def run(self, plan: list[Planned], ready: int = 64) -> list[Answered]:
        """Every request's fate, in the order of answers."""
        loop = asyncio.get_running_loop()
        self._free = [await self._connect() for _ in range(ready)]
        start = loop.time() + 0.1
        tasks = []
        for each in plan:
            wait = start + each.due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self._one(each, start, loop.time() - start - each.due)))
        await asyncio.gather(*tasks)
        return self.answers

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._free:
            connection.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: Connection(self._release), "127.0.0.1", self._port)
        return made

    def _release(self, connection: Connection) -> None:
        self._free.append(connection)

    async def _one(self, each: Planned, start: float, late: float) -> None:
        loop = asyncio.get_running_loop()
        status, head, body = 0, b"", b"not answered"
        try:
            self._free = [connection for connection in self._free if connection.usable()]
            connection = self._free.pop() if self._free else await self._connect()
            status, head, body = await asyncio.wait_for(connection.ask(each.data), TIMEOUT)
        except (OSError, TimeoutError) as error:
            body = repr(error).encode()
        seconds = loop.time() - start - each.due
        self.answers.append(Answered(each.kind, each.due, seconds, status, head, body, late))
