"""OFREP 0.3, the OpenFeature Remote Evaluation Protocol: every placement is a flag whose value is its content.

Same decision, same deadline and same keys as ``/v1/decide``; what differs is how it is asked (``ofrep_context``), how
it is said (``ofrep_answer``) and that clients are told to ask again (``ofrep_streams``).
"""

from collections.abc import Awaitable, Callable

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput
from cashwrap.serve.hot import HotRoutes, header, heads
from cashwrap.serve.ofrep_answer import bulk, decided, etag, failure, matches, no_such_placement, single
from cashwrap.serve.ofrep_context import LIMIT, question
from cashwrap.serve.ofrep_streams import PATH as STREAM
from cashwrap.serve.ofrep_streams import Streams, known_version
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import (
    PRIVATE,
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    internal,
    read,
    respond,
    retry_after,
)

ROOT = "/ofrep/"
Handler = Callable[[Scope, dict[bytes, bytes], Receive, Send, Headers], Awaitable[None]]
FLAGS = "/ofrep/v1/evaluate/flags"


class Ofrep:
    """The routes under ``/ofrep/``. ``streams`` are the open event streams."""

    def __init__(self, engine: Engine, hot: HotRoutes, rates: Rates) -> None:
        self.streams = Streams(engine)
        self._engine = engine
        self._hot = hot
        self._rates = rates
        self._known: tuple[str, frozenset[str]] = "", frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request under ``/ofrep/``."""
        headers, path, granted = heads(scope), scope["path"], Headers()
        try:
            await self._route(path)(scope, headers, receive, send, granted)
        except Disconnected:
            return
        except Exception as raised:
            error = raised if isinstance(raised, CashwrapError) else internal(raised)
            status, body = failure(error, _name(path))
            wait = retry_after(error)
            again = [(b"retry-after", b"%d" % wait)] if wait else []
            await respond(send, status, body, [*(granted or self._hot.known_origin(headers)), *again])

    def _route(self, path: str) -> Handler:
        if path == FLAGS or path.startswith(f"{FLAGS}/"):
            return self._flags
        if path.startswith(STREAM):
            return self._stream
        raise InvalidInput("see /openapi.json for the paths there are", code="no_such_path")

    async def _flags(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        if scope["method"] != "POST":
            await self._hot.other_method(scope["method"], headers, send)
            return
        body = await read(receive, LIMIT)
        began = self._engine.world.clock.monotonic()
        caller = self._hot.caller(scope, headers, header(headers, b"x-api-key"), granted)
        self._rates.check(caller.key, caller.facts.ip, 1)
        name = _name(scope["path"])
        request = question(body, name, trusted=caller.key.trusted)
        version = self.streams.version(caller.key.tenant)  # before deciding: what changes meanwhile is told
        if name is not None and name not in self._engine.live.playbook.experiences.placements:
            raise no_such_placement(name)
        decision = decided(await self._hot.decided(request, caller, began, ahead=name is None))
        if name is not None:
            await respond(send, 200, single(decision, name, self._trials()), [*granted, PRIVATE])
            return
        tag = etag(decision, key=caller.key.id, shopper=request.shopper, version=version, now=caller.facts.received)
        kept = [*granted, PRIVATE, (b"etag", tag.encode())]
        if matches(tag, header(headers, b"if-none-match")):
            await respond(send, 304, b"", kept)
            return
        offered = self.streams.offered(caller.key, self._prefix(scope, headers), version)
        await respond(send, 200, bulk(decision, self._trials(), offered), kept)

    async def _stream(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        if scope["method"] != "GET":
            allow = [(b"allow", b"GET")]
            await respond(send, 405, b'{"code":"method_not_allowed","message":"use GET"}', allow)
            return
        caller = self._hot.admitted(scope, headers, self.streams.key(scope["path"]), granted)
        self._rates.check(caller.key, caller.facts.ip, 1)
        await self.streams.serve(caller, known_version(scope, headers), receive, send, granted)

    def _trials(self) -> frozenset[str]:
        """The experiences whose variation an experiment chooses."""
        names = self._engine.live.playbook.experiences.names
        if names.playbook != self._known[0]:
            self._known = names.playbook, frozenset(each.name for each in names.experiences if each.salt)
        return self._known[1]

    def _prefix(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """The part of the path that a proxy of ours took off before it passed the request on."""
        client = scope.get("client")
        trusted = client is not None and self._rates.trusts(client[0])
        return (header(headers, b"x-forwarded-prefix") or "").rstrip("/") if trusted else ""


def _name(path: str) -> str | None:
    """The flag a path names; ``None`` for all of them, and where there are none."""
    return path.removeprefix(f"{FLAGS}/") if path.startswith(f"{FLAGS}/") and path != f"{FLAGS}/" else None
