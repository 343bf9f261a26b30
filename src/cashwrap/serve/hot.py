"""The two hot routes, bytes to bytes: ``collect`` answers when events are durable, ``decide`` inside its deadline."""

import asyncio
import base64
import binascii
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec

from cashwrap.audit import Note, Trail, pseudonym
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed, Unavailable
from cashwrap.events.envelope import GZIP, Refused
from cashwrap.events.normalise import RequestFacts
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.overload import Overload
from cashwrap.ports import ShopperKey
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import (
    PREFLIGHT,
    PRIVATE,
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    cors,
    error_body,
    internal,
    read,
    respond,
    respond_error,
)
from cashwrap.suggesting import PredictRequest, RecommendRequest, encode

log = logging.getLogger("cashwrap")

COLLECT_LIMIT = 512_000
DECIDE_LIMIT = 1_000_000
LARGE = 64 * 1024
"""Bytes from which a body is read on a thread of its own: made to be slow, it would hold up decisions."""
DEADLINE_MS = 50
"""How long a decision may take where the caller does not say."""
READING = 0.7
"""The part of a deadline that reading may take: the rest is for waking up on a busy core, deciding and sending."""
PATIENCE = 5.0
"""Seconds that a request's events may take to become durable. Then it is to be sent again: what was kept after all is
known by its ids."""
LOOKUPS = 32
"""Cold profile reads at once; beyond them a decision does not wait."""
_SUCCESS = b'{"success":true}'
_COME_BACK = error_body(Unavailable("more comes in than can be stored; send the same request again", code="overloaded"))
DECIDE = "/v1/decide"
RECOMMEND = "/v1/recommend"
PREDICT = "/v1/predict"
_CALLS = {
    **{f"/v1/{name}": name for name in ("track", "identify", "page", "screen", "group", "alias", "consent")},
    **{f"/v1/{name[0]}": name for name in ("track", "identify", "page", "screen", "group", "alias")},
    "/v1/batch": None,
    "/v1/b": None,
    "/v1/import": None,
}
"""The tracking API's paths, and the type of the single call they take; ``None`` takes a batch."""
PATHS = frozenset({DECIDE, RECOMMEND, PREDICT, *_CALLS})
"""What is answered here, without a framework in between."""
_request = msgspec.json.Decoder(DecideRequest)
_recommend = msgspec.json.Decoder(RecommendRequest)
_predict = msgspec.json.Decoder(PredictRequest)
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Settlements:
    """Wakes requests on the event loop when the writer thread has settled their events: one wake-up a commit.

    Who waits longer than ``PATIENCE`` is told to come back; one timer serves all, because one each costs more than
    the rest of the waiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._settled: deque[asyncio.Future[None]] = deque()
        self._waking = False
        self._open: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiting: "asyncio.Future[None]") -> None:
        """Let it fail with ``Unavailable`` where it is not settled in time."""
        self._open.append((self._loop.time() + PATIENCE, waiting))
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        while self._open and (self._open[0][1].done() or self._open[0][0] <= now):
            _, waiting = self._open.popleft()
            if not waiting.done():
                waiting.set_exception(Unavailable("the store takes too long; send the same request again"))
        wait = self._open[0][0] - now if self._open else 0
        self._timer = self._loop.call_later(wait, self._expire) if self._open else None

    def oldest(self, now: float) -> float:
        """Seconds that the request which came first of those still waiting has waited."""
        while self._open and self._open[0][1].done():
            self._open.popleft()
        return max(0.0, now - self._open[0][0] + PATIENCE) if self._open else 0.0

    def settle(self, waiting: "asyncio.Future[None]") -> None:
        """Called on the writer thread."""
        self._settled.append(waiting)
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._waking = False
        while self._settled:
            waiting = self._settled.popleft()
            if not waiting.done():
                waiting.set_result(None)


class HotRoutes:
    """Collect and decide over one engine."""

    def __init__(self, engine: Engine, rates: Rates) -> None:
        self._engine = engine
        self._rates = rates
        self.overload = Overload()
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="cashwrap-read")
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="cashwrap-parse")
        self._reading = 0
        self._answers = {DECIDE: self._decide, RECOMMEND: self._recommend, PREDICT: self._predict}
        self._settlements: Settlements | None = None

    def close(self) -> None:
        """Let go of the reading threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._parser.shutdown(wait=False, cancel_futures=True)

    def waits(self, now: float) -> float:
        """Seconds that events wait to be stored, by the clock of the event loop."""
        return self._settlements.oldest(now) if self._settlements is not None else 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for one of ``PATHS``."""
        headers = heads(scope)
        if scope["method"] != "POST":
            await self.other_method(scope["method"], headers, send)
            return
        granted: Headers = []
        answer = self._answers.get(scope["path"], self._collect)
        try:
            await answer(scope, headers, receive, send, granted)
        except Disconnected:
            return
        except Exception as failure:
            error = failure if isinstance(failure, CashwrapError) else internal(failure)
            readable = [] if scope["path"] == PREDICT else granted or self.known_origin(headers)
            await respond_error(send, error, readable)  # what pages have no business with they do not even hear

    async def other_method(self, method: str, headers: dict[bytes, bytes], send: Send) -> None:
        """Answer what is no POST: a preflight, or that only POST is served here."""
        if method == "OPTIONS":
            await self._preflight(headers, send)
        else:
            allow = [(b"allow", b"POST, OPTIONS")]
            await respond(send, 405, b'{"code":"method_not_allowed","message":"use POST"}', allow)

    # --- collect ---

    async def _collect(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        engine, overload = self._engine, self.overload
        body = await read(receive, COLLECT_LIMIT)
        if overload.shed and not overload.takes(trusted=self._is_trusted(headers)):
            await respond(send, 503, _COME_BACK, [*self.known_origin(headers), (b"retry-after", b"5")])
            return
        loop, kind = asyncio.get_running_loop(), _CALLS[scope["path"]]
        aside = self._parser if len(body) > LARGE or body.startswith(GZIP) else None
        batch = await loop.run_in_executor(aside, engine.parse, body, kind) if aside else engine.parse(body, kind)
        caller = self.caller(scope, headers, batch.write_key, granted)
        self._rates.check(caller.key, caller.facts.ip, max(1, len(batch.items)))
        self._rates.check_shoppers(caller.key, batch.shoppers)
        if self._settlements is None:
            self._settlements = Settlements(loop)
        waiting: asyncio.Future[None] = loop.create_future()
        settlements = self._settlements
        collect = partial(engine.collect, batch, caller, lambda _: settlements.settle(waiting))
        submission, refused = await loop.run_in_executor(aside, collect) if aside else collect()
        settlements.watch(waiting)
        await waiting
        if submission.error is not None:  # not raised: its traceback would hold the submission in a circle
            error = submission.error if isinstance(submission.error, CashwrapError) else internal(submission.error)
            await respond_error(send, error, granted)
            return
        await respond(send, 200, _receipt(refused), granted)

    def _is_trusted(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the key in the header is a backend's; one inside the body is not looked for under load."""
        try:
            return self._engine.keys.find(_key_text(headers.get(b"authorization"))).trusted
        except NotAllowed:
            return False

    # --- decide ---

    async def _decide(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        body = await read(receive, DECIDE_LIMIT)
        began = self._engine.world.clock.monotonic()
        request = _decoded(body, _request)
        caller = self.caller(scope, headers, request.write_key, granted)
        self._rates.check(caller.key, caller.facts.ip, 1)
        if request.explain and not caller.key.trusted:
            raise NotAllowed("explanations need a secret key: they show what is known about the shopper")
        await respond(send, 200, await self.decided(request, caller, began), [*granted, PRIVATE])

    async def decided(self, request: DecideRequest, caller: Caller, began: float, *, ahead: bool = False) -> bytes:
        """The decision as bytes, inside its deadline: whatever is late or broken costs a level and never the answer.

        ``began`` is when the request was whole, on the monotonic clock; ``ahead`` is the engine's. Raises
        ``NotAllowed`` where a preview or a forced arm was asked for without the right to it.
        """
        engine, late = self._engine, False
        try:
            hot, late = await self._profile(request.shopper, request.deadline_ms, caller)
            if late and not engine.catalogues.ready(caller.key.tenant):
                # To answer would read the products, here and for how long.
                answer = engine.default_answer(request, caller.key.tenant)
            else:
                answer = engine.answer(request, caller, hot, late=late, ahead=ahead)
            if request.explain:
                answer = await self._explained(answer, request, caller, hot)
        except NotAllowed:  # a preview that is not the caller's to see: whoever opened the link is to know
            raise
        except Exception:  # whatever is wrong with us, the checkout goes on as the shop made it
            log.exception("a decision failed")
            answer = engine.default_answer(request, caller.key.tenant)
        engine.counts.took(engine.world.clock.monotonic() - began)
        return answer

    async def _explained(self, answer: bytes, request: DecideRequest, caller: Caller, hot: HotProfile | None) -> bytes:
        """With the reasons, once it is in the audit log who looked; the answer alone where that cannot be written."""
        world, tenant = self._engine.world, caller.key.tenant
        name = pseudonym(world.vault, ShopperKey(tenant, hot.profile.id)) if hot is not None else "nobody"
        note = Note(caller.key.id, "shopper.explain", name, tenant=tenant)
        try:
            await asyncio.to_thread(Trail(world.audit, world.clock).leave, note)
        except CashwrapError as error:
            log.warning("a decision is not explained: %s", error.message)
            return answer
        return _encode({**msgspec.json.decode(answer), "explain": self._engine.explain(request, caller, hot)})

    async def _profile(
        self, ref: ShopperRef, deadline_ms: int | None, caller: Caller
    ) -> tuple[HotProfile | None, bool]:
        """The profile from memory, or from the store if it comes inside the deadline; and whether it came too late."""
        hot, known = self._engine.lookup.remembered(ref, caller)
        if known and self._engine.catalogues.ready(caller.key.tenant):
            return hot, False
        if self._reading >= LOOKUPS:
            return None, True
        self._reading += 1
        limit = (deadline_ms or DEADLINE_MS) / 1000 * READING
        reading = asyncio.get_running_loop().run_in_executor(self._threads, self._find, ref, caller)
        reading.add_done_callback(self._read_done)
        done, _ = await asyncio.wait((reading,), timeout=limit)
        if not done or reading.exception() is not None:
            return None, True
        return reading.result(), False

    def _find(self, ref: ShopperRef, caller: Caller) -> HotProfile | None:
        """On a reading thread: the profile, and the shop's products where this is the first time they are asked."""
        self._engine.catalogues.of(caller.key.tenant)
        return self._engine.find(ref, caller)

    def _read_done(self, reading: "asyncio.Future[HotProfile | None]") -> None:
        self._reading -= 1
        if not reading.cancelled():
            reading.exception()  # looked at, so that a late failure is not reported as forgotten

    # --- models, asked directly ---

    async def _recommend(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        request = _decoded(await read(receive, DECIDE_LIMIT), _recommend)
        caller, engine = self.caller(scope, headers, request.write_key, granted), self._engine
        self._rates.check(caller.key, caller.facts.ip, 1)
        try:
            hot, late = await self._profile(request.shopper, request.deadline_ms, caller)
            if late and not engine.catalogues.ready(caller.key.tenant):
                answer = engine.suggesting.nothing(request)  # to answer would read the products, here and for how long
            else:
                answer = engine.suggesting.recommend(request, caller, hot, engine.world.clock.now(), late=late)
        except CashwrapError:
            raise
        except Exception:  # whatever is wrong with us, the page goes on without
            log.exception("products could not be recommended")
            answer = engine.suggesting.nothing(request)
        await respond(send, 200, encode(answer), [*granted, PRIVATE])

    async def _predict(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, granted: Headers
    ) -> None:
        caller, engine = self.caller(scope, headers, None, granted), self._engine
        if not caller.key.trusted:
            raise NotAllowed("predictions need a secret key: they are about a person")
        request = _decoded(await read(receive, DECIDE_LIMIT), _predict)
        hot, late = await self._profile(request.shopper, request.deadline_ms, caller)
        answer = engine.suggesting.predict(request, caller, hot, engine.world.clock.now(), late=late)
        await respond(send, 200, encode(answer), [*granted, PRIVATE])

    # --- who calls ---

    def caller(self, scope: Scope, headers: dict[bytes, bytes], write_key: str | None, granted: Headers) -> Caller:
        """Who sent this, or ``NotAllowed``; adds the headers that let an allowed page read the answer."""
        key = self._engine.keys.find(_key_text(headers.get(b"authorization")) or write_key)
        return self.admitted(scope, headers, key, granted)

    def admitted(self, scope: Scope, headers: dict[bytes, bytes], key: ApiKey, granted: Headers) -> Caller:
        """The caller with this key, or ``NotAllowed`` from an origin it was not made for."""
        origin = headers.get(b"origin")
        if origin is not None:
            text = origin.decode("latin-1")
            granted += cors(text, key.origins)
            if not granted:
                raise NotAllowed(
                    f"this key may not be used from {text[:100]}; make one with --origin", code="wrong_origin"
                )
        return Caller(key, self._facts(scope, headers, key))

    def _facts(self, scope: Scope, headers: dict[bytes, bytes], key: ApiKey) -> RequestFacts:
        client = scope.get("client")
        address = client[0] if client else None
        forwarded, proxied = headers.get(b"x-forwarded-for"), self._rates.trusts(address)
        if forwarded is not None and proxied:
            address = forwarded.rpartition(b",")[2].strip().decode("latin-1")
        wanted = self._engine.live.playbook.settings.country_header
        return RequestFacts(
            received=self._engine.world.clock.now(),
            source=key.id,
            tenant=key.tenant,
            trusted=key.trusted,
            ip=address,
            user_agent=header(headers, b"user-agent"),
            gpc=headers.get(b"sec-gpc") == b"1",
            country=header(headers, wanted.lower().encode()) if wanted and (proxied or key.trusted) else None,
            qa=headers.get(b"x-cashwrap-qa") == b"1",
        )

    async def _preflight(self, headers: dict[bytes, bytes], send: Send) -> None:
        """Which origins may ask is public; which key they may use is checked with the request itself."""
        granted = self.known_origin(headers)
        if not granted:
            error = NotAllowed("no key may be used from this origin; make one with --origin", code="wrong_origin")
            await respond_error(send, error)
            return
        await respond(send, 204, b"", [*granted, *PREFLIGHT])

    def known_origin(self, headers: dict[bytes, bytes]) -> Headers:
        """The headers that let a page of any key's origin read the answer, such as why its key was refused."""
        origin = headers.get(b"origin")
        allowed = {origin for key in self._engine.keys.all() for origin in key.origins}
        return cors(origin.decode("latin-1") if origin else None, allowed)


def header(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """A header's text, by its lower-case name."""
    found = headers.get(name)
    return found.decode("latin-1") if found is not None else None


def heads(scope: Scope) -> dict[bytes, bytes]:
    """The headers by lower-case name; of repeated ones the last."""
    return dict(scope["headers"])


def _decoded(body: bytes, kind: "msgspec.json.Decoder[T]") -> T:
    try:
        return kind.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_request") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", code="invalid_json") from None


def _key_text(authorization: bytes | None) -> str | None:
    """The key in an ``Authorization`` header: Bearer, or Basic with the key as user name."""
    if authorization is None:
        return None
    scheme, _, rest = authorization.partition(b" ")
    rest = rest.strip()
    if scheme.lower() == b"basic":
        try:
            rest = base64.b64decode(rest, validate=True).partition(b":")[0]
        except binascii.Error:
            return None
    elif scheme.lower() != b"bearer":
        return None
    return rest.decode("latin-1") or None


def _receipt(refused: list[Refused]) -> bytes:
    if not refused:
        return _SUCCESS
    errors = [
        {"index": each.index, "messageId": each.message_id, "code": each.code, "message": each.message}
        for each in refused
    ]
    return _encode({"success": True, "errors": errors})
