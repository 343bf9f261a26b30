"""What the law of a market says about prices that personal data had a part in: a dated table, and how it is read.

The table is ``markets.json`` beside this module; docs/reference/offers-law.md tells of every entry. It is what we could
find out, not legal advice: where a text was not read, the entry says so and its default is the stricter one.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct, field

from cashwrap.declarations import Settings
from cashwrap.model import Disclosure, Millis

MARKET = "[A-Z]{2}(-[A-Z0-9]{1,3})?"
"""A country (ISO 3166-1), or one part of it (ISO 3166-2): ``DE``, ``US-NY``."""

_DAY: Millis = 86_400_000
IN_FORCE = "in force"
"""The only status that binds: what has merely passed, or was vetoed, is listed and does nothing."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One law. ``start`` and ``until`` are days, from midnight UTC; ``until`` is the first day it no longer holds."""

    id: str
    countries: tuple[str, ...]
    rule: Literal["disclosure", "no_personal_prices"]
    status: Literal["in force", "passed", "vetoed", "repealed"]
    link: str
    note: str
    region: str | None = None
    """The part of the country it is the law of, as ISO 3166-2 has it without the country."""
    names: tuple[str, ...] = ()
    """What else that part is called where a source does not use the code."""
    start: str | None = field(name="from", default=None)
    until: str | None = None
    prescribed: bool = False
    """Whether the law gives the very words."""
    texts: dict[str, str] = {}

    def binds(self, now: Millis) -> bool:
        """Whether it holds at a moment."""
        if self.status != IN_FORCE or self.start is None:
            return False
        return _millis(self.start) <= now and (self.until is None or now < _millis(self.until))


class General(Struct, frozen=True):
    """What is said where no law asks: a price that was made for somebody never goes without a word."""

    id: str
    texts: dict[str, str]


class Table(Struct, frozen=True):
    """The whole table and the day it was last looked over."""

    as_of: str
    general: General
    rules: tuple[Rule, ...]


class MarketRules(NamedTuple):
    """What holds for one shopper at one moment."""

    no_personal_prices: bool
    """Whether offers that personal data has a part in are not made at all."""
    disclosure: Mapping[str, str] | None
    """What is said beside such an offer, by locale; ``None`` exactly where there are none."""
    id: str
    """Which rule decided: an entry of the table, ``general`` or ``playbook``."""
    link: str
    """Where to read it; empty where no law decided."""

    def said(self, locale: str, fallback: str = "en") -> Disclosure | None:
        """The disclosure for a reader: in their language, else the shop's, else English, else whatever there is."""
        if self.disclosure is None:
            return None
        for wanted in (locale, locale.partition("-")[0], fallback, fallback.partition("-")[0], "en"):
            if wanted in self.disclosure:
                return Disclosure(self.id, self.disclosure[wanted])
        return Disclosure(self.id, next(iter(self.disclosure.values())))


@cache
def _millis(day: str) -> Millis:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000


def _load() -> Table:
    table = resources.files("cashwrap.offers").joinpath("markets.json").read_bytes()
    return msgspec.json.decode(table, type=Table)


TABLE = _load()
_ISO = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
_COUNTRIES = frozenset(_ISO.split())
"""ISO 3166-1, and Kosovo's."""
_STATES = """
AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC
SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR UM VI
"""
_PARTS = {"US": frozenset(_STATES.split())}
"""The parts of the countries where a part has a law of its own: any other word for one says nothing."""
_REGION = re.compile("[A-Z0-9]{1,3}")


def rules_for(country: str | None, region: str | None, now: Millis, settings: Settings) -> MarketRules:
    """What holds for a shopper there, at that moment, in this shop.

    A shop's own ``no_personal_prices`` comes first, then its recorded reason in ``personal_prices``, then the table.
    Of several places that a shopper may be in, the strictest counts: no personal prices before prescribed words
    before our own.
    """
    own = _Own(settings.markets, settings.no_personal_prices, frozenset(settings.personal_prices))
    return _rules_on(country, region, now // _DAY, own)


class _Own(NamedTuple):
    """What the shop says itself, as a key of the cache."""

    markets: tuple[str, ...]
    no_personal_prices: tuple[str, ...]
    personal_prices: frozenset[str]


@lru_cache(maxsize=1024)
def _rules_on(country: str | None, region: str | None, day: int, own: _Own) -> MarketRules:
    """Laws begin and end with a day: within one the same question has the same answer."""
    places = _places(_country(country), region, own)
    return max((_at(place, day * _DAY, own) for place in places), key=strictness, default=_GENERAL)


def _country(told: str | None) -> str | None:
    """A country's code; ``None`` for what is none, such as the ``XX`` and ``T1`` of proxies that do not know."""
    code = (told or "").strip().upper()
    return code if code in _COUNTRIES else None


def _places(country: str | None, region: str | None, own: _Own) -> list[str]:
    """Where the shopper may be: one place where country and region are known, else every one that is possible."""
    if country is None:
        return [place for market in own.markets for place in _within(market, own)]
    known = _region(country, region)
    if known is not None:
        return [f"{country}-{known}"]
    parts = [market for market in own.markets if market.startswith(f"{country}-")]
    return parts if parts and country not in own.markets else _within(country, own)


def _within(market: str, own: _Own) -> list[str]:
    """A market, and those parts of it that anything is known of."""
    listed = [f"{country}-{rule.region}" for rule in TABLE.rules if rule.region for country in rule.countries]
    parts = [place for place in (*listed, *own.no_personal_prices) if place.startswith(f"{market}-")]
    return [market, *dict.fromkeys(parts)]


def _region(country: str, told: str | None) -> str | None:
    """The code of a region that a source names in its own way: ``NY``, ``us-ny``, ``New York``; ``None`` if unclear."""
    name = (told or "").strip()
    for rule in TABLE.rules:
        if country in rule.countries and name.casefold() in {each.casefold() for each in rule.names}:
            return rule.region
    code = name.upper().removeprefix(f"{country}-")
    return code if _REGION.fullmatch(code) and code in _PARTS.get(country, {code}) else None


def _at(place: str, now: Millis, own: _Own) -> MarketRules:
    country, _, region = place.partition("-")
    names = {place, country}
    if not names.isdisjoint(own.no_personal_prices):
        return _PLAYBOOK
    allowed = not names.isdisjoint(own.personal_prices)
    rules = [rule for rule in TABLE.rules if country in rule.countries and rule.region in (None, region)]
    found = [_meaning(rule) for rule in rules if rule.binds(now) and not (allowed and rule.rule != "disclosure")]
    return max(found, key=strictness, default=_GENERAL)


def _meaning(rule: Rule) -> MarketRules:
    if rule.rule == "no_personal_prices":
        return MarketRules(no_personal_prices=True, disclosure=None, id=rule.id, link=rule.link)
    return MarketRules(no_personal_prices=False, disclosure=rule.texts, id=rule.id, link=rule.link)


def strictness(rules: MarketRules) -> tuple[bool, bool, bool]:
    """Orders rules: no personal prices before prescribed words, before a law's, before our own."""
    return rules.no_personal_prices, rules.id in _PRESCRIBED, bool(rules.link)


_PRESCRIBED = {rule.id for rule in TABLE.rules if rule.prescribed}
_PLAYBOOK = MarketRules(no_personal_prices=True, disclosure=None, id="playbook", link="")
_GENERAL = MarketRules(no_personal_prices=False, disclosure=TABLE.general.texts, id=TABLE.general.id, link="")
