"""What a draft shows beside what is live: to somebody made up, or to a shopper as they are now. Nothing is stored.

A made-up visitor is a profile that exists nowhere; segments that are forced are true or false by decree, and those that
read them follow. Nobody is exposed, nothing is counted, no offer is held.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from cashwrap import consent
from cashwrap.audit import pseudonym
from cashwrap.console.ask import Ask
from cashwrap.console.drafts.entries import Opened, open_draft
from cashwrap.console.shopper.decided import Shown, shown
from cashwrap.console.shopper.links import ShopperLinks
from cashwrap.console.words import later
from cashwrap.declarations import HOLDOUT, ExperienceDecl, Options
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.experiences import arms_of
from cashwrap.explain import explain
from cashwrap.hot import HotProfile
from cashwrap.inputs import Known, gather
from cashwrap.model import Choice, ConsentState, Inputs, Millis, Profile, Session
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import ShopperKey
from cashwrap.request import (
    Cart,
    CartItem,
    Checkout,
    DecideRequest,
    Device,
    Location,
    Page,
    PageContext,
)
from cashwrap.segments import Segment, Segments, build
from cashwrap.tell import tell
from cashwrap.versions import playbook_files

FRESH: Millis = 600_000
LINES = 200
"""Lines of a cart that are read."""
FORCED = 50
"""Segments that may be forced each way."""
METHODS = ("card", "paypal", "invoice", "apple_pay", "google_pay", "bank_transfer")
"""What a checkout is taken to offer where the playbook names no method."""
_LINE = re.compile(r"\s*([^,;\s]{1,200})\s*(?:[,;]\s*([0-9]{1,6})\s*)?(?:[,;]\s*([0-9]{1,12}(?:\.[0-9]{1,4})?)\s*)?")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_NOBODY = bytes(16)
VISITORS = {"new": (1, 0), "returning": (4, 3), "nobody": (0, 0)}
"""Visits of a made-up visitor, and those of them that are over; nobody is who allows nothing."""
AMISS = {
    "cart": later("A line of the cart is a product's id, and after commas how many and at what price: KC-1, 2, 19.90"),
    "total": later("The total is an amount, such as 59.90."),
    "at": later("This moment cannot be read; choose another one."),
}


class Visitor(Struct, frozen=True):
    """Whom it is shown to, as the form says; texts are as they were typed."""

    who: str = "new"
    device: str = "mobile"
    country: str = ""
    locale: str = ""
    at: str = ""
    page: str = "cart"
    step: str = ""
    total: str = ""
    cart: str = ""
    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    experience: str = ""
    arm: str = ""
    number: str = "preview"
    shopper: str = ""


class Pair(Struct, frozen=True):
    """One placement as the draft has it and as it is live; ``None`` where one of them has no such placement."""

    name: str
    draft: Shown | None
    live: Shown | None

    @property
    def same(self) -> bool:
        """Whether nothing changes here for this visitor."""
        both = [(each.experience, each.variation, each.content, each.offer) for each in (self.draft, self.live) if each]
        return len(both) == 2 and both[0] == both[1]


class Previewed(Struct, frozen=True):
    """Everything the page shows. ``broken`` says that the draft cannot be compiled; ``problems`` what of the visitor
    could not be understood."""

    opened: Opened
    visitor: Visitor
    pairs: Sequence[Pair]
    problems: tuple[str, ...]
    broken: bool
    segments: Sequence[str]
    arms: Sequence[str]
    experiences: Sequence[str]
    locales: Sequence[str]
    zone: str
    name: str = ""


class Situation(Struct, frozen=True):
    """A visitor as a decision takes them."""

    request: DecideRequest
    now: Millis
    profile: Profile | None
    units: Mapping[str, str]


def visitor_of(ask: Ask) -> Visitor:
    """What the address says."""
    several = ask.request.query_params.getlist
    texts = {name: ask.query(name)[:200] for name in _TEXTS if name in ask.request.query_params}
    return Visitor(
        **texts,
        cart=ask.query("cart")[:20_000],
        inside=tuple(each[:80] for each in several("inside")[:FORCED] if each),
        outside=tuple(each[:80] for each in several("outside")[:FORCED] if each),
        shopper=ask.query("shopper")[:1000],
    )


_TEXTS = ("who", "device", "country", "locale", "at", "page", "step", "total", "experience", "arm", "number")


async def preview(ask: Ask) -> Response:
    """The page: the visitor's form, and every placement twice."""
    visitor = visitor_of(ask)
    profile, name = await _shopper(ask, visitor) if visitor.shopper else (None, "")
    found = await ask.run(_previewed, ask, visitor, profile, name)
    return ask.page("form_preview.html", preview=found, visitor=found.visitor)


async def _shopper(ask: Ask, visitor: Visitor) -> tuple[Profile, str]:
    """The shopper whom an address leads to, with the look at them in the audit log."""
    if not ask.allows("shopper.read"):
        raise NotAllowed(ask.say("Your role does not allow this. Ask an administrator."), code="role_not_allowed")
    world = ask.console.world
    link = ShopperLinks(world.vault, world.clock, world.random).open(visitor.shopper, ask.tenant, ask.who.name)
    key = ShopperKey(ask.tenant, link.shopper)
    name = pseudonym(world.vault, key)
    note = ask.note("shopper.read", name, part="preview", draft=ask.param("draft"))
    hot = await ask.change(note, partial(_load, ask, key))
    if hot is None:
        message = ask.say("This shopper is not known any more: forgotten, or merged into another one. Search again.")
        raise InvalidInput(message, code="no_such_shopper")
    return hot.profile, name


def _load(ask: Ask, key: ShopperKey) -> HotProfile | None:
    return ask.console.reading.engine().lookup.fetch(key)


def _previewed(ask: Ask, visitor: Visitor, profile: Profile | None, name: str) -> Previewed:
    engine, at = ask.console.reading.engine(), open_draft(ask, ask.param("draft"))
    files = playbook_files(at.files)
    key = ("fitting", at.id, at.revision, at.base)
    draft: Playbook | None = ask.console.remembered.get(key, FRESH, lambda: examine(files)[0])
    declared = at.read.declared
    found, problems = situation(ask, visitor, profile, draft or engine.live.playbook)
    experience = declared.experiences.get(visitor.experience)
    pairs = [] if draft is None else _pairs(ask, engine, draft, visitor, found)
    return Previewed(
        opened=at,
        visitor=visitor,
        pairs=pairs,
        problems=problems,
        broken=draft is None,
        segments=list(declared.segments)[:5_000],
        arms=_arms(experience),
        experiences=list(declared.experiences)[:500],
        locales=declared.settings.locales or (declared.settings.locale,),
        zone=declared.settings.time_zone,
        name=name,
    )


def _arms(experience: ExperienceDecl | None) -> list[str]:
    return [arm for arm in arms_of(experience) if arm != HOLDOUT] if experience is not None else []


def _pairs(ask: Ask, engine: Engine, draft: Playbook, visitor: Visitor, found: Situation) -> list[Pair]:
    """Every placement, what differs first."""
    force = {visitor.experience: visitor.arm} if visitor.arm in _arms(_declared(draft, visitor.experience)) else {}
    new = _decided(ask, engine, draft, visitor, found, force)
    old = _decided(ask, engine, engine.live.playbook, visitor, found, {})
    pairs = [Pair(name, new.get(name), old.get(name)) for name in dict.fromkeys([*new, *old])]
    place = declared.placement if (declared := _declared(draft, visitor.experience)) is not None else ""
    return sorted(pairs, key=lambda pair: (pair.name != place, pair.same))


def _declared(playbook: Playbook, name: str) -> ExperienceDecl | None:
    return playbook.declarations.experiences.get(name)


def _decided(
    ask: Ask, engine: Engine, playbook: Playbook, visitor: Visitor, found: Situation, force: Mapping[str, str]
) -> dict[str, Shown]:
    """Every placement of a playbook as this visitor sees it."""
    forced = _forcing(playbook, visitor)
    inputs = _inputs(ask, engine, forced, found, force)
    catalogue, kills = engine.catalogues.of(ask.tenant), engine.switches.kills(ask.tenant)
    placed = tell(forced, inputs, explain(forced.experiences, inputs, catalogue, kills))
    return {each.name: each for each in shown(forced, placed)}


def _inputs(ask: Ask, engine: Engine, playbook: Playbook, found: Situation, force: Mapping[str, str]) -> Inputs:
    hot = HotProfile(found.profile, b"", None) if found.profile is not None else None
    known = Known(found.units, hot, forced=force, models=engine.models.of(ask.tenant))
    return gather(playbook, found.request, ask.console.reading.caller(ask.tenant), known, found.now).inputs


# --- segments by decree ---


def _forcing(playbook: Playbook, visitor: Visitor) -> Playbook:
    """The playbook with the visitor's forced segments true or false, whatever their conditions say."""
    decree = {**dict.fromkeys(visitor.inside, True), **dict.fromkeys(visitor.outside, False)}
    if not decree:
        return playbook
    return replace(
        playbook,
        segments=_decreed(playbook.segments, decree),
        standing=_decreed(playbook.standing, decree),
        deciding=_decreed(playbook.deciding, decree),
    )


def _decreed(segments: Segments, decree: Mapping[str, bool]) -> Segments:
    return build([_one(each, decree[each.name]) if each.name in decree else each for each in segments.ordered])


def _one(segment: Segment, value: bool) -> Segment:  # noqa: FBT001 - a value, not a switch
    return replace(segment, predicate=lambda _: value)


# --- the visitor ---


def situation(
    ask: Ask, visitor: Visitor, profile: Profile | None, playbook: Playbook
) -> tuple[Situation, tuple[str, ...]]:
    """The visitor as a decision takes them, and what could not be understood."""
    problems: list[str] = []
    items = _items(visitor.cart)
    if items is None:
        problems.append("cart")
    total = _amount(visitor.total)
    if visitor.total and total is None:
        problems.append("total")
    now = _moment(visitor.at, playbook.settings.time_zone) if visitor.at else ask.console.world.clock.now()
    if now is None:
        problems.append("at")
        now = ask.console.world.clock.now()
    told = tuple(ask.say(AMISS[each]) for each in problems)
    request = DecideRequest(context=_context(visitor, items or [], total, playbook))
    if profile is not None:
        named = {"user": profile.user_id, "anonymous": profile.anonymous_ids[-1] if profile.anonymous_ids else None}
        return Situation(request, now, profile, {kind: unit for kind, unit in named.items() if unit}), told
    return Situation(request, now, _made_up(visitor, now), {"anonymous": visitor.number or "preview"}), told


def _context(visitor: Visitor, items: list[CartItem], total: Decimal | None, playbook: Playbook) -> PageContext:
    if total is None:
        total = sum(((each.price or Decimal(0)) * each.quantity for each in items), Decimal(0))
    return PageContext(
        page=Page(type=visitor.page or None),
        device=Device(type=visitor.device or None),
        locale=visitor.locale or playbook.settings.locale,
        location=Location(country=visitor.country.strip().upper()[:2] or None),
        cart=Cart(total=total, count=sum(each.quantity for each in items) or None, items=items),
        checkout=Checkout(
            step=visitor.step or None,
            payment_methods=methods(playbook, "payment_methods") or list(METHODS),
            delivery_methods=methods(playbook, "delivery_methods") or ["standard", "express"],
        ),
    )


def methods(playbook: Playbook, of: str) -> list[str]:
    """The methods that a playbook's experiences name for a list of the checkout."""
    found: dict[str, None] = {}
    for each in playbook.declarations.experiences.values():
        placement = playbook.declarations.placements[each.placement]
        for content in each.variations.values():
            if isinstance(content, Options) and (placement.of or placement.name) == of:
                for listed in (content.first, content.last, content.highlight, content.hide, content.badge):
                    found |= dict.fromkeys(listed)
    return list(found)[:50]


def _items(typed: str) -> list[CartItem] | None:
    """The lines of a cart; ``None`` where one of them is none."""
    lines = [line for line in typed.split("\n") if line.strip()][:LINES]
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        return None
    return [
        CartItem(id=each[1], quantity=int(each[2] or 1), price=Decimal(each[3]) if each[3] else None)
        for each in found
        if each is not None
    ]


def _amount(typed: str) -> Decimal | None:
    try:
        return Decimal(typed.strip()) if _AMOUNT.fullmatch(typed.strip()) else None
    except InvalidOperation:
        return None


def _moment(typed: str, zone: str) -> Millis | None:
    """A local time of the shop."""
    if _TIME.fullmatch(typed) is None:
        return None
    try:
        return int(datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _made_up(visitor: Visitor, now: Millis) -> Profile | None:
    """A profile that exists nowhere, of somebody who allows everything; ``None`` where they allow nothing."""
    visits, over = VISITORS.get(visitor.who, VISITORS["new"])
    if not visits:
        return None
    allowed = {name: Choice(True, now - 60_000, "preview") for name in consent.CHOOSABLE}  # noqa: FBT003 - a field
    return Profile(
        _NOBODY,
        _NOBODY,
        created=now - 60_000,
        updated=now,
        anonymous_ids=[visitor.number or "preview"],
        consent=ConsentState(device=allowed),
        sessions=[Session(now - 60_000, now)],
        session_count=over,
    )
