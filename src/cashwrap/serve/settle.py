"""What an operator asks of a running server about failed events, and about who did what."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request

from cashwrap import failed
from cashwrap.audit import Note, Trail, pseudonym
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.failed import Chosen
from cashwrap.inputs import Caller
from cashwrap.model import Tenant
from cashwrap.ports import AuditEntry, Failure, ShopperKey
from cashwrap.repair import SHOPPER
from cashwrap.serve.ask import body_of, integer, whole

AT_ONCE = 1000
"""Failed events that one request tries again."""
PAGE = 1000
Path = Annotated[str, Meta(min_length=1, max_length=300)]
Value = Annotated[str, Meta(max_length=4096)]


class ChosenBody(Struct, frozen=True):
    """``POST /v1/failed/replay`` and ``/v1/failed/discard``: numbers, or all of a code, or all.

    ``after`` goes on where an answer's ``next`` says that more are left.
    """

    numbers: Annotated[list[int], Meta(max_length=10_000)] = []
    code: Annotated[str, Meta(max_length=100)] = ""
    all: bool = False
    after: Annotated[int, Meta(ge=0)] = 0

    def chosen(self, tenant: Tenant) -> Chosen:
        """Which ones. Raises ``InvalidInput`` where it says nothing or too much."""
        if bool(self.numbers) + bool(self.code) + self.all != 1:
            raise InvalidInput("say which: numbers, code, or all", code="invalid_request")
        return Chosen(tuple(self.numbers), self.code, tenant)


class RepairBody(Struct, frozen=True):
    """``POST /v1/failed/{number}/repair``: fields by path, such as ``properties.price``, with values as text."""

    set: Annotated[dict[Path, Value], Meta(max_length=100)] = {}
    unset: Annotated[list[Path], Meta(max_length=100)] = []


class Settling:
    """One method a route, as in ``admin``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trail = Trail(engine.world.audit, engine.world.clock)

    async def listed(self, request: Request, caller: Caller) -> object:
        """One page of failed events: reasons only."""
        chosen = Chosen(code=request.query_params.get("code", ""), tenant=caller.key.tenant)
        after, limit = whole(request, "after"), integer(request, "limit", PAGE, most=PAGE)
        found = await asyncio.to_thread(failed.listed, self._engine.world, chosen, after, limit)
        return {"failed": [failed.reason(each) for each in found], "next": _next(found, limit)}

    async def shown(self, request: Request, caller: Caller) -> object:
        """One failed event with all that is kept of it."""
        return await asyncio.to_thread(self._show, _number(request), caller)

    def _show(self, number: int, caller: Caller) -> object:
        world = self._engine.world
        failure = failed.find(world, number, caller.key.tenant)
        return self._trail.around(self._read(failure, caller), lambda: failed.described(world, failure))

    async def repair(self, request: Request, caller: Caller) -> object:
        """Fields of one set right, and kept so."""
        body = await body_of(request, RepairBody)
        if not body.set and not body.unset:
            raise InvalidInput("say what to set or unset", code="invalid_request")
        return await asyncio.to_thread(self._repair, _number(request), body, caller)

    def _repair(self, number: int, body: RepairBody, caller: Caller) -> object:
        engine, tenant = self._engine, caller.key.tenant
        failure = failed.find(engine.world, number, tenant)
        unkept = failed.mended(engine.world, engine.live.normaliser, failure, body.set, body.unset)
        fields = ", ".join([*body.set, *body.unset])  # declared ones only, as that did not raise
        note = Note(caller.key.id, "failed.repair", str(number), {"code": failure.code, "fields": fields}, tenant)
        kept = self._trail.around(note, lambda: failed.mend(engine.world, failure, unkept))
        return failed.described(engine.world, kept)

    async def replay(self, request: Request, caller: Caller) -> object:
        """Events tried again; which of them stay, and why."""
        body = await body_of(request, ChosenBody)
        chosen = body.chosen(caller.key.tenant)
        note = Note(caller.key.id, "failed.replay", chosen.named(), tenant=caller.key.tenant)
        return await asyncio.to_thread(self._replay, chosen, body.after, note)

    def _replay(self, chosen: Chosen, after: int, note: Note) -> object:
        failed.check(self._engine.world, chosen)
        return self._trail.around(note, lambda: failed.replay(self._engine, chosen, after, AT_ONCE))

    async def discard(self, request: Request, caller: Caller) -> object:
        """Failed events removed for good."""
        body = await body_of(request, ChosenBody)
        chosen = body.chosen(caller.key.tenant)
        note = Note(caller.key.id, "failed.discard", chosen.named(), tenant=caller.key.tenant)
        return {"discarded": await asyncio.to_thread(self._discard, chosen, note)}

    def _discard(self, chosen: Chosen, note: Note) -> int:
        world = self._engine.world
        failed.check(world, chosen)
        return self._trail.around(note, lambda: failed.discard(world, chosen))

    async def audit(self, request: Request, caller: Caller) -> object:
        """One page of the audit log: what was done to the key's store, and to all of them."""
        after, limit = whole(request, "after"), integer(request, "limit", PAGE, most=PAGE)
        log = self._engine.world.audit
        if log is None:
            raise InvalidInput("there is no audit log here", code="no_audit_log")
        page = await asyncio.to_thread(log.entries, after, limit)
        entries = [_told(number, entry) for number, entry in page if _concerns(entry, caller.key.tenant)]
        return {"entries": entries, "next": page[-1][0] if len(page) == limit else None}

    def _read(self, failure: Failure, caller: Caller) -> Note:
        details = {"code": failure.code}
        if failure.payload is not None:
            key = ShopperKey(failure.tenant, failure.payload[:SHOPPER])
            details["shopper"] = pseudonym(self._engine.world.vault, key)
        return Note(caller.key.id, "failed.read", str(failure.sequence), details, failure.tenant)


def _told(number: int, entry: AuditEntry) -> dict[str, object]:
    return {"number": number, **{name: getattr(entry, name) for name in entry.__struct_fields__}}


def _concerns(entry: AuditEntry, tenant: Tenant) -> bool:
    """Whether a key of this store may see it: what names no store concerns all."""
    details = entry.details
    return Tenant(details.get("store", tenant.store), details.get("environment", tenant.environment)) == tenant


def _next(found: list[Failure], limit: int) -> int | None:
    return found[-1].sequence if len(found) == limit else None


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(f"there is no failed event {text[:20]!r}", code="no_such_event")
    return int(text)
