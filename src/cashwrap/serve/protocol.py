"""uvicorn's HTTP/1.1 protocol with the limits it leaves out: how large a head may grow, how long a request may drip.

Without them one client can hold memory with an endless header, or a connection with half a request.
"""

import asyncio
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32 * 1024
"""Bytes of request line and headers."""
MAX_WAIT = 15.0
"""Seconds from a request's first byte to its last."""
_TOO_LARGE = b'{"code":"headers_too_large","message":"the request head may have at most 32 KB"}'
_TOO_SLOW = b'{"code":"request_timeout","message":"the request took too long to arrive; send it again"}'


class LimitedProtocol(HttpToolsProtocol):
    """Refuses a head over ``MAX_HEAD`` with 431; ``expire`` ends what drips with 408."""

    _head = 0
    _in_head = True
    began: float | None = None
    """When the request being received began, on the loop's clock; ``None`` between requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self.began = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Count the head's bytes as they come."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD:
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
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
    """Close connections whose request is older than ``MAX_WAIT``; how many."""
    late = [
        connection
        for connection in connections
        if isinstance(connection, LimitedProtocol)
        and connection.began is not None
        and now - connection.began > MAX_WAIT
    ]
    for connection in late:
        connection.too_slow()
    return len(late)
