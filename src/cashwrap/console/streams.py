"""Open pages that are told what changed: server-sent events, made once for everybody who sees the same.

A stream looks at the group of those who see the same figures in the same language. The first one to find what the
group knows too old has it made anew, on a thread; all others wait for the same piece. A stream ends where its person's
session has ended, or no longer allows it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from msgspec import Struct
from starlette.responses import StreamingResponse

from cashwrap.errors import Unavailable

MOST = 200
"""Open streams."""
FRESH = 2.0
"""Seconds until a piece is made anew."""
CHECK = 4.0
"""Seconds between two looks at whether somebody may still see it."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment shows that the connection is alive."""
_HEADERS = {"x-accel-buffering": "no", "cache-control": "no-store, no-transform"}
Make = Callable[[], Awaitable[bytes]]
Still = Callable[[], Awaitable[bool]]


class _Group:
    """Those who see the same."""

    def __init__(self) -> None:
        self.listeners = 0
        self.piece = b""
        self.number = 0
        self.made = float("-inf")
        self.making: asyncio.Task[None] | None = None


class Streams:
    """All open streams of a console, used on its event loop."""

    def __init__(self, most: int = MOST, pause: float = 1.0) -> None:
        """``pause`` is in seconds: how often a stream looks around."""
        self._most = most
        self._pause = pause
        self._groups: dict[Any, _Group] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(group.listeners for group in self._groups.values())

    def close(self) -> None:
        """End every stream: the console is stopping."""
        self._closed = True

    def open(self, name: object, make: Make, still: Still) -> StreamingResponse:
        """A stream of what ``make`` makes, for one of the group of that ``name``, for as long as they may (``still``).

        Raises ``Unavailable`` (``too_many_streams``).
        """
        if len(self) >= self._most:
            raise Unavailable("too many pages are open here; reload this one now and then", code="too_many_streams")
        return StreamingResponse(self.pieces(name, make, still), media_type="text/event-stream", headers=_HEADERS)

    async def pieces(self, name: object, make: Make, still: Still) -> AsyncIterator[bytes]:
        """What is sent, until the end."""
        loop, group = asyncio.get_running_loop(), self._groups.setdefault(name, _Group())
        group.listeners += 1
        told, spoken, checked = 0, loop.time(), loop.time()
        try:
            yield b"retry: 3000\n\n"
            while not self._closed:
                now = loop.time()
                if now - checked >= CHECK:
                    checked = now
                    if not await still():
                        yield b"event: ended\ndata: \n\n"
                        return
                await self._freshen(group, make)
                if group.number != told:
                    told, spoken = group.number, now
                    yield group.piece
                elif now - spoken >= HEARTBEAT:
                    spoken = now
                    yield b":\n\n"
                await asyncio.sleep(self._pause)
        finally:
            group.listeners -= 1
            if not group.listeners:
                self._groups.pop(name, None)

    async def _freshen(self, group: _Group, make: Make) -> None:
        if group.making is None and asyncio.get_running_loop().time() - group.made >= FRESH:
            group.making = asyncio.create_task(self._make(group, make))
        if group.making is not None:
            await asyncio.shield(group.making)

    async def _make(self, group: _Group, make: Make) -> None:
        try:
            piece = await make()
            if piece != group.piece:
                group.piece, group.number = piece, group.number + 1
        finally:
            group.made, group.making = asyncio.get_running_loop().time(), None


class Event(Struct, frozen=True):
    """One server-sent event."""

    name: str
    data: str

    def encode(self) -> bytes:
        """As it is sent: a line of data for each line there is."""
        lines = "".join(f"data: {line}\n" for line in self.data.splitlines() or [""])
        return f"event: {self.name}\n{lines}\n".encode()
