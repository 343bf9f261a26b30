"""What the shop's backend does beside collecting and deciding: shoppers, products, audiences, webhooks, versions ...

Every route needs a secret key, answers no browser (no CORS), and touches its key's store and environment only; the
playbook is that of the whole data folder, and only a key of the environment ``live`` changes which version is live.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap import audiences, shoppers
from cashwrap.archive import Archive, decision_name
from cashwrap.audit import Note, Trail, pseudonym
from cashwrap.differences import difference
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed
from cashwrap.inputs import Caller
from cashwrap.ports import ShopperKey
from cashwrap.previews import Wanted, make_link
from cashwrap.request import ShopperRef, to_minor
from cashwrap.serve.ask import body_of, integer
from cashwrap.serve.companion import Companion
from cashwrap.serve.console import ROOT, console_caller, forget
from cashwrap.serve.hot import HotRoutes, heads
from cashwrap.serve.settle import Settling
from cashwrap.serve.wire import error_body, internal, retry_after, status_of
from cashwrap.switches import Scope, Switch
from cashwrap.versions import LIVE, MAX_MESSAGE, MAX_WHO, Versions, described, listing, roll_back
from cashwrap.webhooks import Told, Webhook, host_of

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
    """Which segments it is told of, entered and left; left out, all of them."""
    told: Annotated[tuple[Told, ...], Meta(min_length=1, max_length=2)] = ("segments",)
    """What it is told of: ``segments``, ``exposures`` or both."""


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


def routes(engine: Engine, hot: HotRoutes, companion: Companion | None = None) -> list[Route]:
    """The routes of the secret key, which the console of this server may use too, in the name of a person."""
    handlers, settling = Handlers(engine), Settling(engine)

    def guarded(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                own = console_caller(request, companion, engine.world.clock.now())
                caller = own or _backend(hot.caller(request.scope, heads(request.scope), None, []))
                value = await handler(request, caller)
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
        ("GET", "/v1/failed", settling.listed),
        ("GET", "/v1/failed/{number}", settling.shown),
        ("POST", "/v1/failed/replay", settling.replay),
        ("POST", "/v1/failed/discard", settling.discard),
        ("POST", "/v1/failed/{number}/repair", settling.repair),
        ("GET", "/v1/audit", settling.audit),
    ]
    if companion is not None:
        table.append(("POST", f"/v1{ROOT}/forget", handlers.forget_by_id))
    return [Route(path, guarded(handler), methods=[method]) for method, path, handler in table]


class Handlers:
    """One method a route: decode, hand over to the engine on a thread, answer with plain values."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._versions = Versions(engine.world.registry, engine.world.clock)
        self._trail = Trail(engine.world.audit, engine.world.clock)

    async def describe(self, request: Request, caller: Caller) -> object:
        """Profile, segments and consent of one shopper, as a privacy officer or a why view needs them."""
        return await asyncio.to_thread(self._describe, _ref(request), caller)

    def _describe(self, ref: ShopperRef, caller: Caller) -> object:
        note = self._about("shopper.read", shoppers.key_of(self._engine, ref, caller), caller)
        return self._trail.around(note, lambda: shoppers.describe(self._engine, ref, caller))

    async def forget(self, request: Request, caller: Caller) -> object:
        """Destroy one shopper's keys and rows."""
        return await asyncio.to_thread(self._forget, _ref(request), caller)

    def _forget(self, ref: ShopperRef, caller: Caller) -> object:
        subject, forget = shoppers.forgetting(self._engine, ref, caller)
        note = Note(caller.key.id, "shopper.forget", subject, tenant=caller.key.tenant)
        models = shoppers.learned_from(self._engine, self._engine.find(ref, caller), caller.key.tenant)
        told = {"forgotten": self._trail.anyway(note, forget)}
        return {**told, "models": models} if models else told

    async def forget_by_id(self, request: Request, caller: Caller) -> object:
        """The same for the console, which knows a shopper by what no other client ever hears."""
        return await forget(self._engine, self._trail, request, caller)

    def _about(self, action: str, key: ShopperKey, caller: Caller) -> Note:
        return Note(caller.key.id, action, pseudonym(self._engine.world.vault, key), tenant=key.tenant)

    async def _around(self, caller: Caller, action: str, subject: str, change: Callable[[], T], **details: object) -> T:
        """Make a change on a thread, with its entry in the audit log before."""
        note = Note(caller.key.id, action, subject, details, caller.key.tenant)
        return await asyncio.to_thread(self._trail.around, note, change)

    async def change_products(self, request: Request, caller: Caller) -> object:
        """New prices and stock."""
        deltas, engine = await body_of(request, Deltas), self._engine
        digits = engine.live.playbook.digits
        changes = []
        for index, item in enumerate(deltas.items):
            price = None if item.price is None else to_minor(item.price, digits)
            if item.price is not None and (price is None or price < 0):
                raise InvalidInput(f"items[{index}].price is no sensible amount", code="invalid_price")
            changes.append((item.id, price, item.stock))
        tenant, what = caller.key.tenant, f"{len(changes)} products"
        return await self._around(caller, "catalogue.change", what, lambda: engine.catalogues.change(tenant, changes))

    async def audiences(self, _: Request, caller: Caller) -> object:
        """Every segment with its size."""
        return await asyncio.to_thread(audiences.sizes, self._engine, caller.key.tenant)

    async def members(self, request: Request, caller: Caller) -> object:
        """One page of a segment's members."""
        name, after = request.path_params["name"], request.query_params.get("after", "")
        limit = integer(request, "limit", 1000, most=10_000)
        engine, tenant = self._engine, caller.key.tenant
        audiences.known(engine, name)  # what is no segment's name has no place in the audit log
        return await self._around(
            caller, "audience.read", name, lambda: audiences.members(engine, tenant, name, after, limit)
        )

    async def push(self, request: Request, caller: Caller) -> object:
        """Members pushed in from a CRM."""
        pushed = await body_of(request, Pushed)
        name = request.path_params["name"]
        audiences.known(self._engine, name)
        return await self._around(
            caller,
            "audience.push",
            name,
            lambda: audiences.push(self._engine, caller, name, pushed.add, pushed.remove),
            add=len(pushed.add),
            remove=len(pushed.remove),
        )

    async def webhooks(self, _: Request, caller: Caller) -> object:
        """The webhooks, without their secrets."""
        return {"webhooks": [webhook.public() for webhook in self._engine.webhooks.of(caller.key.tenant)]}

    async def put_webhook(self, request: Request, caller: Caller) -> object:
        """Make or change a webhook; the answer shows its secret, once."""
        body = await body_of(request, WebhookBody)
        webhook = Webhook(caller.key.tenant, body.name, body.url, tuple(body.segments), told=body.told)
        host = host_of(body.url)
        secret = await self._around(
            caller, "webhook.put", body.name, lambda: self._engine.webhooks.put(webhook), host=host
        )
        return {**webhook.public(), "secret": secret}

    async def remove_webhook(self, request: Request, caller: Caller) -> object:
        """Remove a webhook."""
        tenant, name = caller.key.tenant, request.path_params["name"]
        known = name in {webhook.name for webhook in self._engine.webhooks.of(tenant)}
        subject = name if known else "unknown"
        await self._around(caller, "webhook.remove", subject, lambda: self._engine.webhooks.remove(tenant, name))
        return {"success": True}

    async def decision(self, request: Request, caller: Caller) -> object:
        """A past decision, made again from its record, with the reason of every answer."""
        engine = self._engine
        archive = Archive(engine.world, engine.catalogues, self._versions, engine.live.playbook)
        tenant, decision = caller.key.tenant, request.path_params["id"]
        return await self._around(
            caller, "decision.read", decision_name(decision), lambda: archive.review(tenant, decision)
        )

    async def preview(self, request: Request, caller: Caller) -> object:
        """A signed link that shows a variation to whoever opens it."""
        body, engine = await body_of(request, PreviewBody), self._engine
        wanted = Wanted(body.experience, body.url, body.variation, body.hours * 3_600_000)
        playbook, tenant, now = engine.live.playbook, caller.key.tenant, caller.facts.received
        link = make_link(playbook, engine.tokens, tenant, wanted, now)
        return await self._around(caller, "preview.make", link.experience, lambda: link, variation=link.variation)

    async def switches(self, _: Request, caller: Caller) -> object:
        """What is switched off."""
        return {"off": self._engine.switches.of(caller.key.tenant)}

    async def switch(self, request: Request, caller: Caller) -> object:
        """Switch something off or on again."""
        body = await body_of(request, SwitchBody)
        switch = Switch(body.scope, body.name, caller.facts.received, body.reason, caller.key.tenant, caller.key.id)
        declared = self._engine.live.playbook.declarations
        known = not body.name or body.name in declared.placements or body.name in declared.experiences
        what = f"{body.scope} {body.name if known else 'unknown'}".strip()
        action = "switch.off" if body.off else "switch.on"
        await self._around(caller, action, what, lambda: self._engine.switches.set(switch, off=body.off))
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
        body = await body_of(request, RollbackBody)
        who = body.who or f"key {caller.key.id}"
        digest = await asyncio.to_thread(self._named, body.hash)
        note = Note(caller.key.id, "playbook.rollback", digest)
        change = partial(roll_back, self._versions, body.hash, who, body.message)
        return {"live": await asyncio.to_thread(self._trail.around, note, change)}

    def _named(self, version: str) -> str:
        """The whole hash of a version. Raises ``InvalidInput`` for none, whose name has no place in the audit log."""
        return self._versions.find(version) if version else self._versions.before()


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
