"""OFREP's event streams: server-sent events that say only "evaluate again", when the playbook or a kill switch changes.

An ``EventSource`` sends no header of ours, so a stream's address is its own permission: the key's id and a keyed hash
that only this data folder can make. It opens nothing but the stream, and ends when the key is revoked. The address
also carries the version of the configuration that the flags beside it were made with, so that a change between the
answer and the connection is told at once; on a reconnection ``Last-Event-ID`` does the same.
"""

import asyncio
import hmac
import re
from collections import Counter
from hashlib import blake2b
from urllib.parse import parse_qs

import msgspec

from cashwrap.engine import Engine
from cashwrap.errors import NotAllowed, TooMuch
from cashwrap.events.traffic import truncated
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.serve.ofrep_answer import EventStream, EventStreamEndpoint
from cashwrap.serve.wire import Headers, Receive, Scope, Send

PATH = "/ofrep/v1/streams/"
STREAMS = 2_000
"""Open streams in all: each is a connection, and connections are for decisions first."""
STREAMS_PER_KEY = 1_000
STREAMS_PER_NETWORK = 100
"""Open streams of one key from one network (/24, or /48 for IPv6)."""
COME_BACK = 30
"""Seconds after which who found no room may try again."""
LOOK = 0.25
"""Seconds between two looks at playbook, switches and keys."""
HEARTBEAT = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the stream, and finds out who is gone."""
PACE = 10
"""Streams told at once: telling all of them in one turn of the event loop would hold up decisions."""
PAUSE = 0.01
"""Seconds between two such groups: a thousand clients evaluate again within a second, and not together."""
INACTIVE = 30
"""Seconds after which a hidden page closes its stream."""
_COMMENT = b":\n\n"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){1,8}")
_VERSION = re.compile(r"[0-9a-f]{16}")
_SSE: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder(order="deterministic").encode


class _Stream:
    """One open stream. ``told`` is the version its client knows of; ``wake`` makes it look around."""

    def __init__(self, key: ApiKey, network: str | None, told: str) -> None:
        self.key = key
        self.network = network
        self.told = told
        self.ended = False
        self.wake = asyncio.Event()


class Streams:
    """All open streams of a server. One task looks for changes while there is a stream at all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: set[_Stream] = set()
        self._keys: Counter[str] = Counter()
        self._networks: Counter[tuple[str, str | None]] = Counter()
        self._closed = False
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def close(self) -> None:
        """End every stream, now: the server is stopping, and would wait for them."""
        self._closed = True
        for stream in self._open:
            stream.wake.set()

    def version(self, tenant: Tenant) -> str:
        """Names playbook and kill switches as they are for a store: the same after a restart."""
        named = _encode([self._engine.live.playbook.hash, self._engine.switches.kills(tenant)])
        return blake2b(named, digest_size=8).hexdigest()

    def offered(self, key: ApiKey, prefix: str, version: str) -> list[EventStream]:
        """The stream of a key's flags, if there is room for one more. ``prefix`` is what a proxy took off the path."""
        if not self._room(key):
            return []
        start = prefix if _PREFIX.fullmatch(prefix) else ""
        address = f"{start}{PATH}{key.id}/{self._proof(key.id)}?since={version}"
        return [EventStream("sse", EventStreamEndpoint(address), INACTIVE)]

    def key(self, path: str) -> ApiKey:
        """The key whose stream is at this path. Raises ``NotAllowed`` where nobody was given this address."""
        key_id, _, proof = path.removeprefix(PATH).partition("/")
        given, right = proof.encode(), self._proof(key_id).encode()
        known = [key for key in self._engine.keys.all() if key.id == key_id]
        if not known or not hmac.compare_digest(given, right):
            raise NotAllowed("no stream is here; evaluate all flags to get its address", code="unknown_key")
        return known[0]

    async def serve(self, caller: Caller, since: str | None, receive: Receive, send: Send, granted: Headers) -> None:
        """Hold one stream until its client goes, its key is revoked or the server stops.

        ``since`` is the version its client knows of. Raises ``TooMuch`` where there is no room.
        """
        stream = self._enter(caller, since or self.version(caller.key.tenant))
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: stream.wake.set())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_SSE, *granted]})
            await _write(send, f"retry: 2000\nid: {stream.told}\n\n".encode())
            while not (stream.ended or self._closed or gone.done()):
                await _write(send, self._news(stream) or await self._silence(stream))
            if not gone.done():
                await _write(send, b"", more=False)
        finally:
            gone.cancel()
            self._leave(stream)

    def _news(self, stream: _Stream) -> bytes:
        """The event that is due to a stream, if one is: only ever the newest, however many it missed."""
        stream.wake.clear()
        version = self.version(stream.key.tenant)
        if version == stream.told:
            return b""
        stream.told = version
        told = {"type": "refetchEvaluation", "etag": version}
        return b"id: %b\nevent: message\ndata: %b\n\n" % (version.encode(), _encode(told))

    async def _silence(self, stream: _Stream) -> bytes:
        """Wait for something to look at; a comment where nothing came, else nothing."""
        try:
            async with asyncio.timeout(HEARTBEAT):
                await stream.wake.wait()
        except TimeoutError:
            return _COMMENT
        return b""

    # --- who is there ---

    def _room(self, key: ApiKey) -> bool:
        return not self._closed and len(self._open) < STREAMS and self._keys[key.id] < STREAMS_PER_KEY

    def _enter(self, caller: Caller, told: str) -> _Stream:
        key, network = caller.key, truncated(caller.facts.ip)
        if not self._room(key) or self._networks[key.id, network] >= STREAMS_PER_NETWORK:
            raise TooMuch("too many streams are open; poll instead", code="rate_limited", retry_after=COME_BACK)
        stream = _Stream(key, network, told)
        self._open.add(stream)
        self._keys[key.id] += 1
        self._networks[key.id, network] += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return stream

    def _leave(self, stream: _Stream) -> None:
        place = (stream.key.id, stream.network)
        self._open.discard(stream)
        self._keys[stream.key.id] -= 1
        self._networks[place] -= 1
        if not self._networks[place]:
            del self._networks[place]

    # --- what changes ---

    async def _watch(self) -> None:
        try:
            while self._open:
                await asyncio.sleep(LOOK)
                due = self._due()
                for at in range(0, len(due), PACE):
                    for stream in due[at : at + PACE]:
                        stream.wake.set()
                    await asyncio.sleep(PAUSE)
        finally:
            self._watching = None  # whatever ended it, the next stream begins another

    def _due(self) -> list[_Stream]:
        """The streams with something to tell; those of a revoked key end."""
        known = {key.id for key in self._engine.keys.all()}
        versions = {tenant: self.version(tenant) for tenant in {stream.key.tenant for stream in self._open}}
        for stream in self._open:
            stream.ended = stream.key.id not in known
        return [each for each in self._open if each.ended or each.told != versions[each.key.tenant]]

    def _proof(self, key_id: str) -> str:
        return self._engine.world.vault.digest("ofrep stream", key_id).hex()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, chunk: bytes, *, more: bool = True) -> None:
    if chunk or not more:
        await send({"type": "http.response.body", "body": chunk, "more_body": more})


def known_version(scope: Scope, headers: dict[bytes, bytes]) -> str | None:
    """The version the client's flags were made with: of the last event it saw, else in the address."""
    seen = headers.get(b"last-event-id", b"").decode("latin-1")
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("since", [""])[0]
    return next((each for each in (seen, asked) if _VERSION.fullmatch(each)), None)
