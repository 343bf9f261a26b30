"""What is around an event: who sent the request, from what device and place. Reduced to words; nothing raw is kept."""

import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.events.agent import read_agent
from cashwrap.events.envelope import Context
from cashwrap.events.fields import url
from cashwrap.events.traffic import Network, is_bot, is_internal
from cashwrap.model import Flag, Millis, Tenant, Where

_COUNTRY = re.compile(r"[A-Za-z]{2}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_](?:[A-Za-z]{1,8}|\d{3,4})){0,3}")
_ZONE = re.compile(
    r"[A-Za-z][A-Za-z_-]{0,30}(?:[+-]?\d{1,2}[A-Z]{0,4})?(?:/[A-Za-z][A-Za-z_-]{0,30}(?:[+-]?\d{1,2})?){0,2}"
)
"""Both leave no room for twelve digits."""
_NO_COUNTRY = frozenset({"XX", "T1", "ZZ"})
_LONGEST_WORD = 64


class RequestFacts(Struct, frozen=True):
    """What the request itself says, beside its body. Nothing of it is kept as it is."""

    received: Millis
    source: str
    """The key's id: part of what makes a message id unique."""
    tenant: Tenant = Tenant()
    trusted: bool = False
    """Sent with a secret key."""
    ip: str | None = None
    user_agent: str | None = None
    gpc: bool = False
    """``Sec-GPC: 1``."""
    country: str | None = None
    """Value of the trusted country header the settings name."""
    qa: bool = False
    """``X-Cashwrap-QA: 1``."""
    historic: bool = False
    """An import: its times are taken as they are."""
    basis: int = 0
    """An import: the purposes it declares, as a mask."""


def reduce(
    facts: RequestFacts, context: Context | None, text: Callable[[object], str], internal: tuple[Network, ...]
) -> tuple[Where, int]:
    """Request and context as ``Where``, and the flags of a sender that is no shopper.

    A backend speaks for the shopper's device in the context; a browser's own headers say what it is. ``text`` cleans
    a free text.
    """
    context = context or Context()
    page, place, device = context.page, context.location, context.device
    user_agent = context.user_agent if facts.trusted else facts.user_agent
    agent = read_agent(user_agent)
    country, source = _place(facts.country, None if place is None else place.country)
    where = Where(
        device=agent.device or _device_word(None if device is None else device.type),
        os=agent.os,
        browser=agent.browser,
        locale=_matching(_LOCALE, context.locale),
        time_zone=_matching(_ZONE, context.timezone),
        country=country,
        region=None if place is None else _short(place.region, text),
        location_source=source,
        path=None if page is None else _address(page.path or page.url),
        page_type=None if page is None else _short(page.type, text),
        referrer=None if page is None else _address(page.referrer),
    )
    return where, _flags(facts, user_agent, context.ip if facts.trusted else facts.ip, internal)


def flags_of(facts: RequestFacts, internal: tuple[Network, ...]) -> int:
    """The flags of a sender, as far as the request itself tells; a backend's says nothing of the shopper."""
    if facts.trusted:
        return Flag.QA.value if facts.qa else 0
    return _flags(facts, facts.user_agent, facts.ip, internal)


def _flags(facts: RequestFacts, user_agent: str | None, ip: str | None, internal: tuple[Network, ...]) -> int:
    flags = Flag.QA.value if facts.qa else 0
    if is_bot(user_agent) and not (facts.trusted and not user_agent):
        flags |= Flag.BOT.value
    if is_internal(ip, internal):
        flags |= Flag.INTERNAL.value
    return flags


def delivered_to(where: Where, country: object) -> Where:
    """Where nothing else names the country, the one the order goes to does."""
    if where.country is not None or not isinstance(country, str) or not _COUNTRY.fullmatch(country):
        return where
    return replace(where, country=country.upper(), location_source="delivery")


def _short(text: str | None, clean: Callable[[object], str]) -> str | None:
    return clean(text)[:_LONGEST_WORD] if text else None


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None


def _address(text: str | None) -> str | None:
    return url(text) or None if text else None


def _device_word(text: str | None) -> str | None:
    return text if text in {"mobile", "tablet", "desktop"} else None


def _place(header: str | None, shop: str | None) -> tuple[str | None, str | None]:
    """The country and who said so: a trusted header before the shop's own field."""
    for country, source in ((header, "header"), (shop, "shop")):
        if country is not None and _COUNTRY.fullmatch(country) and country.upper() not in _NO_COUNTRY:
            return country.upper(), source
    return None, None
