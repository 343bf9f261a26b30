"""uvicorn's HTTP/1.1 protocol with the limits it leaves out: how large a head may grow, how long a request may drip.

Without them one client can hold memory with an endless header, or a connection with half a request.
"""

import asyncio
import re
import resource
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024
"""Bytes of request line and headers."""
MAX_WAIT = 15.0
"""Seconds from a request's first byte to its last."""
PIPELINED = 64
"""Requests one connection may have waiting for their turn."""
CONNECTIONS = 8_000
"""Connections at once. With more those give way that asked for nothing yet, those who have waited longest first."""
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_TOO_LARGE = b'{"code":"headers_too_large","message":"the request head may have at most 32 KB"}'
_TOO_SLOW = b'{"code":"request_timeout","message":"the request took too long to arrive; send it again"}'


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head over ``MAX_HEAD`` with 431; ``expire`` ends what drips with 408."""

    _head = 0
    _in_head = True
    began: float | None = None
    """When the request being received began, on the loop's clock; ``None`` between requests."""
    blocked: float | None = None
    """Since when the client has not taken its answers; ``None`` while it does."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self.began = self.loop.time()
        if len(self.connections) > _room():
            make_room(self.connections)

    @property
    def waits(self) -> bool:
        """Whether no whole request is here that is to be answered."""
        return self.began is not None or self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Count the head's bytes as they come."""
        if self._in_head:
            self._head += len(data)
            data = _without_upgrade(data)
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins. One too many ends the connection: the parser makes a bad request of the error."""
        if len(self.pipeline) >= PIPELINED:
            raise OverflowError("too many requests are waiting on this connection")
        super().on_message_begin()
        self._in_head = True
        self.began = self.loop.time()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_head = True
        self.began = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is whole. uvicorn reads on now, although requests that were read already may be waiting."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """The client does not take what it asked for."""
        super().pause_writing()
        self.blocked = self.loop.time()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self.blocked = None

    def too_slow(self) -> None:
        """End a request that did not arrive in time."""
        self._refuse(b"408 Request Timeout", _TOO_SLOW)

    def _refuse(self, status: bytes, body: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, len(body)) + body)
        self.transport.close()


def expire(connections: Iterable[object], now: float) -> int:
    """Close connections whose request, or whose reader, is later than ``MAX_WAIT``; how many."""
    ours = [connection for connection in connections if isinstance(connection, LimitedProtocol)]
    stuck = [each for each in ours if each.blocked is not None and now - each.blocked > MAX_WAIT]
    for connection in stuck:
        connection.transport.abort()
    late = [each for each in ours if each.began is not None and now - each.began > MAX_WAIT and each not in stuck]
    for connection in late:
        connection.too_slow()
    return len(stuck) + len(late)


def make_room(connections: set[Any]) -> int:
    """Close a quarter of all connections, of those that nobody waits for an answer on; how many.

    Half-sent requests go before idle connections that were used before, such as those of the shop's own backend.
    """
    waiting = [each for each in connections if isinstance(each, LimitedProtocol) and each.waits]
    waiting.sort(key=lambda each: float("inf") if each.began is None else each.began)
    closed = waiting[: max(1, len(connections) // 4)]
    for connection in closed:
        connections.discard(connection)  # now, and not when the loop comes to it: others may be counted before that
        connection.transport.abort()
    return len(closed)


def _room() -> int:
    """How many connections there may be: a quarter of the open files is for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else min(CONNECTIONS, soft * 3 // 4)


def _without_upgrade(data: bytes) -> bytes:
    """The head without its offer of HTTP/2: the parser would drop the body of a client that makes one (Java's does)."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-offer:", head) + end + rest if b"pgrade" in head or b"PGRADE" in head else data
