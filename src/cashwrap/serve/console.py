"""``/console``: passed on, bytes to bytes, to the process that answers it; and what that process may ask of this one.

Whatever is wrong there costs the shop's people a page and a checkout nothing: this process opens a socket, copies, and
holds no more than a few kilobytes of an answer.
"""

import asyncio
import contextlib
import hmac
from collections.abc import MutableMapping
from typing import Any

import httptools
from msgspec import Struct
from starlette.requests import Request

from cashwrap import shoppers
from cashwrap.audit import Note, Trail, pseudonym
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed, Unavailable
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.ports import ShopperKey
from cashwrap.serve.ask import body_of
from cashwrap.serve.companion import Companion
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import Disconnected, Receive, Scope, Send, read, respond, respond_error

ROOT = "/console"
BODY = 2_500_000
"""Bytes of a form."""
PERSON = "person:"
"""How the name of a person begins where that of a key stands: in the audit log, say. No key is called so."""
AT_ONCE = 512
"""Requests that are passed on at the same time, open streams included."""
HELD = 64_000_000
"""Bytes of forms that are held at the same time, whole or still coming: nobody has to sign in to send one."""
PIECE = 64 * 1024
_HOPS = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"}
"""Headers of one connection and not of the request."""
_OURS = {b"x-forwarded-for", b"x-forwarded-proto", b"content-length", *_HOPS}
_AWAY = (
    b"<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>cashwrap</title>"
    b"<p>The console is starting. This page tries again by itself."
)
_HTML = (b"content-type", b"text/html; charset=utf-8")


class Forwarder:
    """Passes requests on to the console's socket."""

    def __init__(self, companion: Companion | None, rates: Rates) -> None:
        self._path = str(companion.socket) if companion is not None else ""
        self._rates = rates
        self._open: set[asyncio.Task[None]] = set()
        self._held = 0

    def takes(self, path: str) -> bool:
        """Whether a path is the console's."""
        return bool(self._path) and (path == ROOT or path.startswith(f"{ROOT}/"))

    def close(self) -> None:
        """End what would otherwise last: the server is stopping."""
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with what the console says."""
        taken = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken, self._held = taken + size, self._held + size
            if self._held > HELD:
                raise Unavailable("too many forms are sent at once; try again", code="console_busy")
            return message

        try:
            await self._pass_on(scope, counted, send)
        except Disconnected:
            return
        finally:
            self._held -= taken

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if len(self._open) >= AT_ONCE:
                raise Unavailable("too many people, or too many open pages, at once; try again", code="console_busy")
            body = await read(receive, BODY)
        except CashwrapError as error:
            await respond_error(send, error)
            return
        copying = asyncio.create_task(self._copy(scope, body, send))
        leaving = asyncio.create_task(_left(receive))
        self._open.add(copying)
        try:
            await asyncio.wait((copying, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (copying, leaving):
                task.cancel()
            await asyncio.gather(copying, leaving, return_exceptions=True)
            self._open.discard(copying)

    async def _copy(self, scope: Scope, body: bytes, send: Send) -> None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            headers = [_HTML, (b"retry-after", b"2"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _AWAY})
            return
        try:
            with contextlib.suppress(ConnectionError):  # what it said before it went is still read
                writer.write(self._head(scope, len(body)) + body)
                await writer.drain()
            await self._answered(reader, send)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answered(self, reader: asyncio.StreamReader, send: Send) -> None:
        """Copy an answer as it comes. One that breaks off is broken off, so that nobody takes a half for a whole."""
        answer, started = _Answer(), False
        parser = httptools.HttpResponseParser(answer)
        while True:
            try:
                piece = await reader.read(PIECE)
                parser.feed_data(piece)
            except (ConnectionError, httptools.HttpParserError):
                break
            if not piece:
                break
            if answer.whole_head and not started:
                started, status = True, parser.get_status_code()
                await send({"type": "http.response.start", "status": status, "headers": answer.headers})
            if started and answer.pieces:
                pieces, answer.pieces = answer.pieces, []
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})
        if not started:
            await respond(send, 502, b'{"code":"console_away","message":"the console did not answer; try again"}')
        elif answer.whole or not answer.framed:
            await send({"type": "http.response.body", "body": b""})

    def _head(self, scope: Scope, length: int) -> bytes:
        """The request's head as the console gets it: who asks, and how they came, in our words and not in theirs."""
        client, given = scope.get("client"), dict(scope["headers"])
        address, scheme = (client[0] if client else ""), scope.get("scheme", "http")
        if self._rates.trusts(address):
            forwarded = given.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip().decode("latin-1")
            address = forwarded or address
            scheme = given.get(b"x-forwarded-proto", scheme.encode()).decode("latin-1")
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        lines = [b"%s %s HTTP/1.1" % (scope["method"].encode(), target)]
        lines += [b"%s: %s" % header for header in scope["headers"] if header[0] not in _OURS]
        lines += [b"x-forwarded-for: %s" % address.encode("latin-1"), b"x-forwarded-proto: %s" % scheme.encode()]
        lines += [b"content-length: %d" % length, b"connection: close", b"", b""]
        return b"\r\n".join(lines)


class _Answer:
    """What the parser has read of an answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.whole_head = False
        self.framed = False
        """Whether it says where it ends."""
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.framed = self.framed or name.lower() in (b"content-length", b"transfer-encoding")
        if name.lower() not in _HOPS:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.whole_head = True

    def on_message_complete(self) -> None:
        self.whole = True

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# --- what the console asks ---


def console_caller(request: Request, companion: Companion | None, now: int) -> Caller | None:
    """Who asks through the console, if this is the console; ``None`` where the request does not say that it is.

    Raises ``NotAllowed`` where it says so and is not.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Console":
        return None
    if companion is None or not hmac.compare_digest(token.encode(), companion.token.encode()):
        raise NotAllowed("only this server's own console may ask so", code="unknown_key")
    store, _, environment = request.headers.get("x-cashwrap-tenant", "").partition("/")
    tenant, person = Tenant(store, environment), request.headers.get("x-cashwrap-person", "")
    key = ApiKey(f"{PERSON}{person}", "secret", tenant, b"")
    return Caller(key, RequestFacts(received=now, source="console", tenant=tenant, trusted=True))


class ForgetBody(Struct, frozen=True):
    """``POST /v1/console/forget``: the shopper's random id in hex, as the console has it from the store."""

    shopper: str


async def forget(engine: Engine, trail: Trail, request: Request, caller: Caller) -> object:
    """Forget a shopper whom the console knows by their random id, which no other client ever hears."""
    if not caller.key.id.startswith(PERSON):
        raise NotAllowed("only this server's own console may ask so", code="unknown_key")
    body = await body_of(request, ForgetBody)
    return await asyncio.to_thread(_forget, engine, trail, caller, body.shopper)


def _forget(engine: Engine, trail: Trail, caller: Caller, shopper: str) -> object:
    try:
        key = ShopperKey(caller.key.tenant, bytes.fromhex(shopper))
    except ValueError:
        raise InvalidInput("a shopper's id is hex", code="invalid_request") from None
    note = Note(caller.key.id, "shopper.forget", pseudonym(engine.world.vault, key), tenant=key.tenant)
    models = shoppers.learned_from(engine, engine.lookup.fetch(key), key.tenant)
    told = {"forgotten": trail.anyway(note, lambda: engine.forget(key))}
    return {**told, "models": models} if models else told
