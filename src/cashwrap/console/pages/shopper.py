"""*Shopper*: find one, see what is known of them and why they saw what they saw, and forget them."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from cashwrap import consent, shoppers
from cashwrap.archive import Archive
from cashwrap.audit import pseudonym
from cashwrap.console.ask import Ask
from cashwrap.console.drafts.drafting import drafts_of
from cashwrap.console.routing import Route
from cashwrap.console.shopper import now as shopper_now
from cashwrap.console.shopper import search as shopper_search
from cashwrap.console.shopper import timeline
from cashwrap.console.shopper import view as shopper_view
from cashwrap.console.shopper.decided import shown
from cashwrap.console.shopper.links import Link, ShopperLinks
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.hot import HotProfile
from cashwrap.learned.forgetting import holding
from cashwrap.model import Purpose
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.previews import Wanted, make_link

HERE = "/shopper"
CHOICES = 300
"""Variations that are listed to choose from; of more, one types the name."""
DRAFTS = 20
"""Open drafts that are listed to preview as this shopper."""
HOURS = 24
"""How long a preview link is good."""


class Someone(NamedTuple):
    """Whom an address leads to, and what to read of them with."""

    engine: Engine
    key: ShopperKey
    hot: HotProfile
    link: str
    """The part of the address."""


# --- finding ---


async def begin(ask: Ask) -> Response:
    """The search."""
    return ask.page("shopper.html", problem="", by=ask.query("by", "any"), models=None, forgotten=ask.query("done"))


async def find(ask: Ask) -> Response:
    """Whom somebody searched for: an address that only they can use."""
    form = await ask.form()
    by = form.get("by", "any")
    try:
        key = await ask.run(_searched, ask, by, form.get("who", ""))
    except (InvalidInput, NotAllowed) as error:
        if error.code not in {"missing_identity", "no_such_shopper", "invalid_token"}:
            raise
        status = {"no_such_shopper": 404, "invalid_token": 403}.get(error.code, 400)
        problem = {
            "no_such_shopper": ask.say("Nobody is known by this in this store and environment."),
            "invalid_token": ask.say("This token is forged, expired or of another store."),
        }.get(error.code, ask.say("Type an id of the shopper, at most 2,048 characters."))
        return ask.page("shopper.html", status, problem=problem, code=error.code, by=by, models=None, forgotten="")
    return ask.go(f"{HERE}/{_links(ask).make(ask.tenant, ask.who.name, key.shopper)}")


def _searched(ask: Ask, by: str, text: str) -> ShopperKey:
    return shopper_search.search(ask.console.reading.engine(), ask.tenant, by, text)


# --- one shopper ---


async def about(ask: Ask) -> Response:
    """Who they are and what is known of them."""
    someone = await _someone(ask, "shopper.read")
    return await ask.run(_about, ask, someone)


def _about(ask: Ask, someone: Someone) -> Response:
    engine, profile = someone.engine, someone.hot.profile
    world, playbook = engine.world, engine.live.playbook
    products, entered = engine.catalogues.products(ask.tenant), world.store.entered(someone.key)
    told = shopper_view.view(playbook, profile, products, entered, world.clock.now())
    return _page(ask, someone, "shopper_about.html", "", view=told, currency=playbook.settings.currency)


async def segments(ask: Ask) -> Response:
    """Their segments, with what each condition comes to."""
    someone = await _someone(ask, "shopper.read", part="segments")
    state, part = ask.query("state"), ask.query("q")[:200]
    asked = state if state in {"in", "out", "unknown"} else "", part, ask.query("after")[:200]
    engine = someone.engine
    now = engine.world.clock.now()
    found, after = await ask.run(
        shopper_view.members, engine.live.playbook, someone.hot.profile, ask.tenant, now, asked
    )
    return _page(ask, someone, "shopper_segments.html", "/segments", members=found, after=after, state=asked[0], q=part)


async def happened(ask: Ask) -> Response:
    """Their timeline."""
    someone = await _someone(ask, "shopper.read", part="timeline")
    kind = next((each for each in timeline.KINDS if each == ask.query("kind")), None)
    read = partial(timeline.page, someone.engine, someone.key, someone.hot.profile, kind, ask.query("after"))
    page = await ask.run(read)
    links, who = _links(ask), ask.who.name
    decisions = {
        each.decision: links.make(ask.tenant, who, someone.key.shopper, each.decision)
        for each in page.entries
        if each.decision
    }
    values = {"page": page, "kind": kind or "", "decisions": decisions, "first": not ask.query("after")}
    return _page(ask, someone, "shopper_timeline.html", "/timeline", **values)


async def why(ask: Ask) -> Response:
    """One kept decision, made again and explained."""
    link = _opened(ask)
    if not link.decision:
        raise InvalidInput(ask.say("This address leads to no decision."), code="no_such_decision")
    note = ask.note("decision.read", link.decision)
    return await ask.change(note, partial(_why, ask, link))


def _why(ask: Ask, link: Link) -> Response:
    engine, versions = ask.console.reading.engine(), ask.console.versions
    someone = _loaded(engine, ShopperKey(ask.tenant, link.shopper), ask)
    kept = engine.world.store.decision(ask.tenant, bytes.fromhex(link.decision))
    if kept is not None and kept.shopper not in {link.shopper, *someone.hot.profile.absorbed}:
        raise InvalidInput(ask.say("This address leads to no decision."), code="no_such_decision")
    archive = Archive(engine.world, engine.catalogues, versions, engine.live.playbook)
    review = archive.review(ask.tenant, link.decision)
    placements = shown(archive.playbook(review.playbook), review.placements)
    someone = someone._replace(link=_links(ask).make(ask.tenant, ask.who.name, link.shopper))
    return _page(ask, someone, "shopper_decision.html", "/timeline", review=review, placements=placements)


# --- now, and previews ---


async def now(ask: Ask) -> Response:
    """What every placement would show them now, in a context that one may set."""
    someone = await _someone(ask, "shopper.explain")
    return await ask.run(_now, ask, someone, None)


def _now(ask: Ask, someone: Someone, preview: object) -> Response:
    engine, profile = someone.engine, someone.hot.profile
    playbook = engine.live.playbook
    mask = consent.mask_of(profile.consent, settings=playbook.settings)
    personal = bool(mask & Purpose.PERSONALIZATION)
    context = shopper_now.usual(engine, someone.key, profile, personal=personal)
    given = {name: ask.query(name)[:4000] for name in shopper_now.FIELDS if name in ask.request.query_params}
    if given:
        context = shopper_now.Context(**given)
    experience, _, variation = ask.query("show").partition("/")
    force = {experience: variation} if variation else {}
    problem, told = "", None
    try:
        told = shopper_now.decide_now(engine, ask.console.reading.caller(ask.tenant), someone.hot, context, force)
    except InvalidInput as error:
        problem = error.message
    values = {
        "context": context,
        "now": told,
        "problem": problem,
        "personal": personal,
        "forced": experience if force else "",
        "show": ask.query("show"),
        "choices": list(islice(_choices(playbook), CHOICES + 1)),
        "preview": preview,
        "drafts": [each for each in drafts_of(ask).all() if each.is_open][:DRAFTS],
    }
    return _page(ask, someone, "shopper_now.html", "/now", **values)


def _choices(playbook: Playbook) -> Iterator[str]:
    """What can be previewed: each experience's variations."""
    for name, declared in playbook.declarations.experiences.items():
        yield from (f"{name}/{variation}" for variation in declared.variations)


async def preview(ask: Ask) -> Response:
    """A signed link to the shop's own page that shows a variation, whatever its condition says."""
    someone, form = await _someone(ask, "shopper.explain"), await ask.form()
    experience, _, variation = form.get("show", "").partition("/")
    wanted = Wanted(experience, form.get("url", "").strip()[:2000], variation, HOURS * 60 * 60_000)
    engine = someone.engine
    making = partial(make_link, engine.live.playbook, engine.tokens, ask.tenant, wanted, engine.world.clock.now())
    known = experience if experience in engine.live.playbook.declarations.experiences else "unknown"
    try:
        link = await ask.change(ask.note("preview.make", known), making)
    except InvalidInput as error:
        return await ask.run(_now, ask, someone, error)
    return await ask.run(_now, ask, someone, link)


# --- a privacy request ---


async def export(ask: Ask) -> Response:
    """All that is held of them, as JSON: what a privacy request asks for."""
    someone = await _someone(ask, "shopper.read", part="export")
    told = await ask.run(shoppers.described, someone.engine, someone.hot.profile)
    headers = {"content-disposition": 'attachment; filename="shopper.json"'}
    return Response(msgspec.json.format(msgspec.json.encode(told), indent=2), 200, headers, "application/json")


async def forgetting(ask: Ask) -> Response:
    """What forgetting reaches, and a word to type."""
    someone = await _someone(ask, "shopper.read", part="forget")
    return await ask.run(_forgetting, ask, someone, "")


def _forgetting(ask: Ask, someone: Someone, problem: str) -> Response:
    profile = someone.hot.profile
    models = holding(someone.engine.world, ask.tenant, [profile.analytic_id, *profile.former_analytic_ids])
    word = ask.say("forget")
    status = 400 if problem else 200
    return _page(ask, someone, "shopper_forget.html", "/forget", status, models=models, word=word, problem=problem)


async def forget(ask: Ask) -> Response:
    """Forget them, by the server, which alone may; it leaves the entry in the audit log."""
    link, form = _opened(ask), await ask.form()
    if form.get("word", "").strip().lower() != ask.say("forget"):
        someone = await _someone(ask, "shopper.read", part="forget")
        return await ask.run(_forgetting, ask, someone, ask.say("Type the word to confirm; nothing was forgotten."))
    calling = partial(ask.console.upstream.call, "POST", "/v1/console/forget", ask.who.mark, ask.tenant)
    told = await ask.run(calling, {"shopper": link.shopper.hex()})
    models = told.get("models")
    named = ", ".join(map(str, models)) if isinstance(models, list) else ""
    return ask.go(HERE, done="forgotten" if told.get("forgotten") else "nobody", models=named)


# --- how ---


def _links(ask: Ask) -> ShopperLinks:
    world = ask.console.world
    return ShopperLinks(world.vault, world.clock, world.random)


def _opened(ask: Ask) -> Link:
    return _links(ask).open(ask.param("link"), ask.tenant, ask.who.name)


async def _someone(ask: Ask, action: str, **details: object) -> Someone:
    """Whom the address leads to, once the look at them is in the audit log."""
    link = _opened(ask)
    key = ShopperKey(ask.tenant, link.shopper)
    note = ask.note(action, pseudonym(ask.console.world.vault, key), **details)
    return await ask.change(note, partial(_load, ask, key))


def _load(ask: Ask, key: ShopperKey) -> Someone:
    return _loaded(ask.console.reading.engine(), key, ask)


def _loaded(engine: Engine, key: ShopperKey, ask: Ask) -> Someone:
    hot = engine.lookup.fetch(key)
    if hot is None:
        message = ask.say("This shopper is not known any more: forgotten, or merged into another one. Search again.")
        raise InvalidInput(message, code="no_such_shopper")
    return Someone(engine, key, hot, ask.param("link"))


def _page(ask: Ask, someone: Someone, template: str, tab: str, status: int = 200, /, **values: object) -> Response:
    name = pseudonym(someone.engine.world.vault, someone.key)
    base = f"{HERE}/{someone.link}"
    return ask.page(template, status, someone=someone, pseudonym=name, base=base, tab=tab, **values)


ROUTES: list[Route] = [
    Route("GET", HERE, begin, "shopper.read"),
    Route("POST", HERE, find, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}", about, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/segments", segments, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/timeline", happened, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/why", why, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/now", now, "shopper.read"),
    Route("POST", f"{HERE}/{{link}}/now", preview, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/export", export, "shopper.read"),
    Route("GET", f"{HERE}/{{link}}/forget", forgetting, "shopper.forget"),
    Route("POST", f"{HERE}/{{link}}/forget", forget, "shopper.forget"),
]
