"""Settings: keys, stores and environments, webhooks, what the shop is set to, and the audit log."""

import csv
import importlib.metadata
import io
import platform
from typing import Literal, cast

from msgspec import Struct
from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.roles import may
from cashwrap.console.routing import Route
from cashwrap.console.trails import EXPORTED, Wanted, found, row_of
from cashwrap.console.words import later
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.keys import ApiKey, Keys, draw
from cashwrap.model import Tenant
from cashwrap.ports import AuditLog
from cashwrap.webhooks import Told, Webhook, Webhooks, host_of

PAGE = 50
NAME = 100
SEGMENTS = 100
DONE = {
    "revoked": later("The key is revoked: it is refused from the next request on."),
    "removed": later("The webhook is removed."),
}


class Build(Struct, frozen=True):
    """What is running."""

    version: str
    python: str
    licence: str = "Apache-2.0"


# --- what there is ---


async def overview(ask: Ask) -> Response:
    """What the shop is set to, and what is running."""
    playbook = await ask.run(_playbook, ask)
    build = Build(importlib.metadata.version("cashwrap"), platform.python_version())
    return ask.page("settings.html", settings=playbook, build=build, options=ask.console.options, here_tab="shop")


def _playbook(ask: Ask) -> object:
    live = ask.console.versions.live()
    return ask.console.versions.load(live.hash).settings if live is not None else None


# --- keys, and with them stores ---


async def keys(ask: Ask) -> Response:
    """The keys of this store and environment."""
    listed, after = await ask.run(_keys, ask), ask.query("after")
    shown = [key for key in listed if key.id > after][: PAGE + 1]
    return ask.page(
        "settings_keys.html",
        listed=shown[:PAGE],
        after=shown[PAGE - 1].id if len(shown) > PAGE else "",
        first=not after,
        here_tab="keys",
        done=_done(ask),
    )


def _keys(ask: Ask) -> list[ApiKey]:
    return [key for key in Keys(ask.console.world.registry).all() if key.tenant == ask.tenant]


async def make_key(ask: Ask) -> Response:
    """A new key for this store and environment; its text is shown once."""
    return await _made(ask, ask.tenant)


async def make_store(ask: Ask) -> Response:
    """A new store or environment: its first key. The right to it must be held there."""
    form = await ask.form()
    tenant = Tenant(form.get("store", "").strip(), form.get("environment", ""))
    if not may(ask.who.grants, "keys.change", tenant):
        raise NotAllowed("Your role does not allow this. Ask an administrator.", code="role_not_allowed")
    return await _made(ask, tenant)


async def _made(ask: Ask, tenant: Tenant) -> Response:
    form, world = await ask.form(), ask.console.world
    kind = form.get("kind", "")
    if kind not in ("publishable", "secret"):
        raise InvalidInput("A key is publishable or secret.", code="invalid_kind")
    origins = tuple(form.get("origins", "").split())[:PAGE]
    text, key = draw(cast("Literal['publishable', 'secret']", kind), tenant, origins, world.random)
    note = ask.note("key.create", key.id, kind=kind, origins=" ".join(key.origins), of=tenant.name)
    await ask.change(note, lambda: Keys(world.registry).add(key))
    return ask.page("settings_secret.html", secret=text, what="key", key=key, back="/settings/keys", here_tab="keys")


async def revoke_key(ask: Ask) -> Response:
    """Refuse a key from now on. Only one of this store and environment."""
    name = ask.param("key")
    known = await ask.run(_keys, ask)
    if name not in {key.id for key in known}:
        raise InvalidInput("There is no such key in this store and environment.", code="no_such_key")
    await ask.change(ask.note("key.revoke", name), lambda: Keys(ask.console.world.registry).revoke(name))
    return ask.go("/settings/keys", done="revoked")


async def stores(ask: Ask) -> Response:
    """The stores and environments that there are and this person may see."""
    found = await ask.run(ask.console.reading.tenants, ask.who.grants)
    counts: dict[Tenant, int] = {}
    for key in await ask.run(lambda: Keys(ask.console.world.registry).all()):
        counts[key.tenant] = counts.get(key.tenant, 0) + 1
    return ask.page("settings_stores.html", listed=found[:500], counts=counts, here_tab="stores")


# --- webhooks ---


async def webhooks(ask: Ask) -> Response:
    """Who is told of segments and exposures of this store."""
    listed = await ask.run(lambda: _webhooks(ask).of(ask.tenant))
    return ask.page("settings_webhooks.html", listed=listed[:500], here_tab="webhooks", done=_done(ask))


def _webhooks(ask: Ask) -> Webhooks:
    return Webhooks(ask.console.world.registry, ask.console.world.random)


async def put_webhook(ask: Ask) -> Response:
    """Make or change one; its new secret is shown once."""
    fields = await ask.fields()
    name, url = (fields.get(key, [""])[-1].strip() for key in ("name", "url"))
    segments = tuple(" ".join(fields.get("segments", [])).split())[:SEGMENTS]
    told = tuple(cast("Told", each) for each in fields.get("told", []) if each in ("segments", "exposures"))
    if not name or len(name) > NAME or not name.isprintable() or "/" in name:
        raise InvalidInput("A webhook's name has 1 to 100 characters, and no slash.", code="invalid_name")
    if not told:
        raise InvalidInput("Choose what it is told of.", code="nothing_told")
    webhook = Webhook(ask.tenant, name, url, segments, told=told)
    note = ask.note("webhook.put", name, host=host_of(url))
    secret = await ask.change(note, lambda: _webhooks(ask).put(webhook))
    return ask.page(
        "settings_secret.html", secret=secret, what="webhook", key=None, back="/settings/webhooks", here_tab="webhooks"
    )


async def remove_webhook(ask: Ask) -> Response:
    """Tell it nothing any more."""
    name = (await ask.form()).get("name", "")
    if name not in {webhook.name for webhook in await ask.run(lambda: _webhooks(ask).of(ask.tenant))}:
        raise InvalidInput("There is no such webhook in this store and environment.", code="no_such_webhook")
    await ask.change(ask.note("webhook.remove", name), lambda: _webhooks(ask).remove(ask.tenant, name))
    return ask.go("/settings/webhooks", done="removed")


# --- the audit log ---


async def audit(ask: Ask) -> Response:
    """Who did what, the newest first."""
    return await _audit(ask)


async def verify(ask: Ask) -> Response:
    """Check the chain: whether every entry is as it was written."""
    breaks = await ask.run(_log(ask).verify)
    return await _audit(ask, breaks=breaks, checked=ask.console.world.clock.now())


async def _audit(ask: Ask, **more: object) -> Response:
    wanted = _wanted(ask)
    found_now = await ask.run(found, _log(ask), wanted, _number(ask.query("before")))
    names = await ask.run(ask.console.people.names)
    values = {"breaks": None, "checked": 0, "found": found_now, "wanted": wanted, "names": names} | more
    return ask.page("settings_audit.html", here_tab="audit", query=_query(wanted), **values)


async def export(ask: Ask) -> Response:
    """The same as a table for other programs."""
    rows = await ask.run(found, _log(ask), _wanted(ask), 0, EXPORTED)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("number", "time", "actor", "action", "subject", "details"))
    writer.writerows(row_of(number, entry) for number, entry in rows.entries)
    headers = {"content-type": "text/csv; charset=utf-8", "content-disposition": 'attachment; filename="audit.csv"'}
    return Response(text.getvalue().encode(), headers=headers)


def _wanted(ask: Ask) -> Wanted:
    actor, action, day = (ask.query(name).strip()[:200] for name in ("actor", "action", "day"))
    return Wanted(ask.tenant, actor, action, day)


def _query(wanted: Wanted) -> dict[str, str]:
    return {"actor": wanted.actor, "action": wanted.action, "day": wanted.day}


def _log(ask: Ask) -> AuditLog:
    log = ask.console.world.audit
    if log is None:
        raise InvalidInput("There is no audit log here.", code="no_audit_log")
    return log


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _done(ask: Ask) -> str:
    code = ask.query("done")
    return ask.say(DONE[code]) if code in DONE else ""


ROUTES: list[Route] = [
    Route("GET", "/settings", overview, "see"),
    Route("GET", "/settings/keys", keys, "keys.change"),
    Route("POST", "/settings/keys", make_key, "keys.change", fresh=True),
    Route("POST", "/settings/keys/{key}/revoke", revoke_key, "keys.change", fresh=True),
    Route("GET", "/settings/stores", stores, "see"),
    Route("POST", "/settings/stores", make_store, "keys.change", fresh=True),
    Route("GET", "/settings/webhooks", webhooks, "keys.change"),
    Route("POST", "/settings/webhooks", put_webhook, "keys.change", fresh=True),
    Route("POST", "/settings/webhooks/remove", remove_webhook, "keys.change", fresh=True),
    Route("GET", "/settings/audit", audit, "audit.read"),
    Route("POST", "/settings/audit/verify", verify, "audit.read"),
    Route("GET", "/settings/audit/export", export, "audit.read"),
]
