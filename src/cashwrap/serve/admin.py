"""What the shop's backend does beside collecting and deciding: shoppers, products, audiences, webhooks, versions ...

Every route needs a secret key, answers no browser (no CORS), and touches its key's store and environment only; the
playbook is that of the whole data folder, and only a key of the environment ``live`` changes which version is live.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap import audiences, shoppers
from cashwrap.archive import Archive
from cashwrap.differences import difference
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed, TooMuch
from cashwrap.inputs import Caller
from cashwrap.previews import Wanted, make_link
from cashwrap.request import ShopperRef, to_minor
from cashwrap.serve.hot import HotRoutes, heads
from cashwrap.serve.wire import error_body, internal, retry_after, status_of
from cashwrap.switches import Scope, Switch
from cashwrap.versions import LIVE, MAX_MESSAGE, MAX_WHO, Versions, described, listing, roll_back
from cashwrap.webhooks import Webhook

BODY = 2_000_000
T = TypeVar("T")
Id = Annotated[str, Meta(min_length=1, max_length=200)]
Handler = Callable[[Request, Caller], Awaitable[object]]


class Delta(Struct, frozen=True):
    """A product's new price or stock; what is left out stays."""

    id: Id
    price: Decimal | None = None
    stock: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None


class Deltas(Struct, frozen=True):
    """``PATCH /v1/catalog``."""

    items: Annotated[list[Delta], Meta(max_length=10_000)]


class Pushed(Struct, frozen=True, rename="camel"):
    """``POST /v1/audiences/{name}/members``: shoppers to add and to remove, by any identifier the shop has."""

    add: Annotated[list[ShopperRef], Meta(max_length=10_000)] = []
    remove: Annotated[list[ShopperRef], Meta(max_length=10_000)] = []


class SwitchBody(Struct, frozen=True):
    """``PUT /v1/kill``."""

    scope: Scope
    off: bool
    name: Annotated[str, Meta(max_length=200)] = ""
    reason: Annotated[str, Meta(max_length=500)] = ""


class WebhookBody(Struct, frozen=True):
    """``PUT /v1/webhooks``."""

    name: Id
    url: Annotated[str, Meta(max_length=2000)]
    segments: Annotated[list[Id], Meta(max_length=200)] = []


class RollbackBody(Struct, frozen=True):
    """``POST /v1/playbook/rollback``: to a version's hash or its beginning; left out, to what was live before."""

    hash: Annotated[str, Meta(max_length=16)] = ""
    who: Annotated[str, Meta(max_length=MAX_WHO)] = ""
    message: Annotated[str, Meta(max_length=MAX_MESSAGE)] = ""


class PreviewBody(Struct, frozen=True):
    """``POST /v1/previews``: a link to a page that shows this; without a variation the first one."""

    experience: Id
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    variation: Annotated[str, Meta(max_length=200)] = ""
    hours: Annotated[int, Meta(ge=1, le=720)] = 24
    """How long the link is good."""


def routes(engine: Engine, hot: HotRoutes) -> list[Route]:
    """The routes of the secret key."""
    handlers = Handlers(engine)

    def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                caller = hot.caller(request.scope, heads(request.scope), None, [])
                value = await handler(request, _backend(caller))
            except Exception as failure:
                error = failure if isinstance(failure, CashwrapError) else internal(failure)
                wait = retry_after(error)
                extra = {"retry-after": str(wait)} if wait else {}
                return Response(error_body(error), status_of(error), extra, "application/json")
            body = value if isinstance(value, bytes) else msgspec.json.encode(value)
            return Response(body, 200, {"cache-control": "private, no-store"}, "application/json")

        return answer

    table: list[tuple[str, str, Handler]] = [
        ("GET", "/v1/shoppers", handlers.describe),
        ("DELETE", "/v1/shoppers", handlers.forget),
        ("PATCH", "/v1/catalog", handlers.change_products),
        ("GET", "/v1/audiences", handlers.audiences),
        ("GET", "/v1/audiences/{name}/members", handlers.members),
        ("POST", "/v1/audiences/{name}/members", handlers.push),
        ("GET", "/v1/webhooks", handlers.webhooks),
        ("PUT", "/v1/webhooks", handlers.put_webhook),
        ("DELETE", "/v1/webhooks/{name}", handlers.remove_webhook),
        ("GET", "/v1/decisions/{id}", handlers.decision),
        ("POST", "/v1/previews", handlers.preview),
        ("GET", "/v1/kill", handlers.switches),
        ("PUT", "/v1/kill", handlers.switch),
        ("GET", "/v1/playbook/versions", handlers.versions),
        ("GET", "/v1/playbook/versions/{hash}", handlers.version),
        ("GET", "/v1/playbook/diff", handlers.difference),
        ("POST", "/v1/playbook/rollback", handlers.rollback),
    ]
    return [Route(path, guarded(handler), methods=[method]) for method, path, handler in table]


class Handlers:
    """One method a route: decode, hand over to the engine on a thread, answer with plain values."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._versions = Versions(engine.world.registry, engine.world.clock)

    async def describe(self, request: Request, caller: Caller) -> object:
        """Profile, segments and consent of one shopper, as a privacy officer or a why view needs them."""
        return await asyncio.to_thread(shoppers.describe, self._engine, _ref(request), caller)

    async def forget(self, request: Request, caller: Caller) -> object:
        """Destroy one shopper's keys and rows."""
        return await asyncio.to_thread(shoppers.forget, self._engine, _ref(request), caller)

    async def change_products(self, request: Request, caller: Caller) -> object:
        """New prices and stock."""
        deltas, engine = await _body(request, Deltas), self._engine
        digits = engine.live.playbook.digits
        changes = []
        for index, item in enumerate(deltas.items):
            price = None if item.price is None else to_minor(item.price, digits)
            if item.price is not None and (price is None or price < 0):
                raise InvalidInput(f"items[{index}].price is no sensible amount", code="invalid_price")
            changes.append((item.id, price, item.stock))
        return await asyncio.to_thread(engine.catalogues.change, caller.key.tenant, changes)

    async def audiences(self, _: Request, caller: Caller) -> object:
        """Every segment with its size."""
        return await asyncio.to_thread(audiences.sizes, self._engine, caller.key.tenant)

    async def members(self, request: Request, caller: Caller) -> object:
        """One page of a segment's members."""
        name, after = request.path_params["name"], request.query_params.get("after", "")
        limit = _integer(request, "limit", 1000, most=10_000)
        return await asyncio.to_thread(audiences.members, self._engine, caller.key.tenant, name, after, limit)

    async def push(self, request: Request, caller: Caller) -> object:
        """Members pushed in from a CRM."""
        pushed = await _body(request, Pushed)
        name = request.path_params["name"]
        return await asyncio.to_thread(audiences.push, self._engine, caller, name, pushed.add, pushed.remove)

    async def webhooks(self, _: Request, caller: Caller) -> object:
        """The webhooks, without their secrets."""
        return {"webhooks": [webhook.public() for webhook in self._engine.webhooks.of(caller.key.tenant)]}

    async def put_webhook(self, request: Request, caller: Caller) -> object:
        """Make or change a webhook; the answer shows its secret, once."""
        body = await _body(request, WebhookBody)
        webhook = Webhook(caller.key.tenant, body.name, body.url, tuple(body.segments))
        secret = await asyncio.to_thread(self._engine.webhooks.put, webhook)
        return {**webhook.public(), "secret": secret}

    async def remove_webhook(self, request: Request, caller: Caller) -> object:
        """Remove a webhook."""
        await asyncio.to_thread(self._engine.webhooks.remove, caller.key.tenant, request.path_params["name"])
        return {"success": True}

    async def decision(self, request: Request, caller: Caller) -> object:
        """A past decision, made again from its record, with the reason of every answer."""
        engine = self._engine
        archive = Archive(engine.world, engine.catalogues, self._versions, engine.live.playbook)
        return await asyncio.to_thread(archive.review, caller.key.tenant, request.path_params["id"])

    async def preview(self, request: Request, caller: Caller) -> object:
        """A signed link that shows a variation to whoever opens it."""
        body, engine = await _body(request, PreviewBody), self._engine
        wanted = Wanted(body.experience, body.url, body.variation, body.hours * 3_600_000)
        return make_link(engine.live.playbook, engine.tokens, caller.key.tenant, wanted, caller.facts.received)

    async def switches(self, _: Request, caller: Caller) -> object:
        """What is switched off."""
        return {"off": self._engine.switches.of(caller.key.tenant)}

    async def switch(self, request: Request, caller: Caller) -> object:
        """Switch something off or on again."""
        body = await _body(request, SwitchBody)
        switch = Switch(body.scope, body.name, caller.facts.received, body.reason, caller.key.tenant)
        await asyncio.to_thread(lambda: self._engine.switches.set(switch, off=body.off))
        return {"off": self._engine.switches.of(caller.key.tenant)}

    async def versions(self, _request: Request, _caller: Caller) -> object:
        """Every version of the playbook that is kept, and which one is live."""
        serving = self._engine.live.playbook.hash
        return {**await asyncio.to_thread(listing, self._versions), "serving": serving}

    async def version(self, request: Request, _caller: Caller) -> object:
        """One version with its texts."""
        return await asyncio.to_thread(_texts, self._versions, request.path_params["hash"])

    async def difference(self, request: Request, _caller: Caller) -> object:
        """What one version changes of another."""
        old, new = request.query_params.get("from", ""), request.query_params.get("to", LIVE)
        return await asyncio.to_thread(_difference, self._versions, old, new)

    async def rollback(self, request: Request, caller: Caller) -> object:
        """An older version goes live again; every server of the data folder takes it up within a second."""
        if caller.key.tenant.environment != LIVE:
            raise NotAllowed("what is live is changed with a key of the environment live")
        body = await _body(request, RollbackBody)
        who = body.who or f"key {caller.key.id}"
        return {"live": await asyncio.to_thread(roll_back, self._versions, body.hash, who, body.message)}


def _texts(versions: Versions, name: str) -> dict[str, object]:
    digest = versions.find(name)
    return {**described(versions.version(digest)), "texts": versions.files(digest)}


def _difference(versions: Versions, old: str, new: str) -> dict[str, object]:
    before, after = (versions.load(versions.find(name)) for name in (old, new))
    changes = difference(before.declarations, after.declarations)
    return {"from": before.hash, "to": after.hash, "changes": changes}


def _backend(caller: Caller) -> Caller:
    """The caller, if it is the shop's own backend."""
    if not caller.key.trusted:
        raise NotAllowed("this needs a secret key, from a backend and never from a browser")
    return caller


def _ref(request: Request) -> ShopperRef:
    query = request.query_params
    ref = ShopperRef(anonymous_id=query.get("anonymousId"), user_id=query.get("userId"))
    if not ref.anonymous_id and not ref.user_id:
        raise InvalidInput("say who: ?userId= or ?anonymousId=", code="missing_identity")
    return ref


def _integer(request: Request, name: str, default: int, *, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
        raise InvalidInput(f"{name} is a number from 1 to {most}", code="invalid_request")
    return int(text)


async def _body(request: Request, kind: type[T]) -> T:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY:
            raise TooMuch(f"the body may have at most {BODY // 1000} KB; send it in parts", code="body_too_large")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_request") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", code="invalid_json") from None
