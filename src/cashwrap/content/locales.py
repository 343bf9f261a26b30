"""What a language does to numbers, money, dates and plurals: CLDR's rules through babel, memoised per locale."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import format_currency, format_decimal, get_currency_precision

from cashwrap.model import Millis, Minor

MAX_LOCALE = 35
"""Characters of a locale's tag; longer ones are ignored."""

_TAG = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


_TOUCHING = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
"""Where a currency's code stands against its digits: CLDR wants a space there that babel leaves out."""


@lru_cache(maxsize=1024)
def canonical(tag: str) -> str:
    """``de_at`` as ``de-AT``; empty for what is no locale."""
    if len(tag) > MAX_LOCALE or not _TAG.fullmatch(tag):
        return ""
    language, *rest = re.split("[-_]", tag)
    parts = [language.lower()]
    for part in rest:
        script = len(part) == 4 and part.isalpha()
        parts.append(part.title() if script else part.upper() if len(part) in {2, 3} else part.lower())
    return "-".join(parts)


@lru_cache(maxsize=1024)
def chain(requested: str, default: str) -> tuple[str, ...]:
    """Where to look for a text, best first: ``de-AT``, ``de``, then the same for the shop's default."""
    found: dict[str, None] = {}
    for tag in (canonical(requested), canonical(default)):
        parts = tag.split("-") if tag else []
        for length in range(len(parts), 0, -1):
            found["-".join(parts[:length])] = None
    return tuple(found)


@lru_cache(maxsize=1024)
def closest(text: str, requested: str) -> str:
    """The locale to format by: the shopper's own where the text is in its language, else the text's."""
    wanted = canonical(requested)
    return wanted if wanted == text or wanted.startswith(f"{text}-") else text


@lru_cache(maxsize=256)
def rules(tag: str) -> Locale:
    """CLDR's rules for the nearest locale it knows; English where it knows none."""
    for candidate in chain(tag, "en"):
        try:
            return Locale.parse(candidate, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


@lru_cache(maxsize=256)
def exponent(currency: str) -> int:
    """Digits after the point of a currency: 2 for EUR, 0 for JPY, 3 for KWD."""
    return int(get_currency_precision(currency))


@lru_cache(maxsize=8192)
def money(amount: Minor, currency: str, tag: str) -> str:
    """Minor units as the locale writes them. Exact: a decimal shift, never a float."""
    shifted = Decimal(amount).scaleb(-exponent(currency))
    said = format_currency(shifted, currency, locale=rules(tag), numbering_system="default")
    return _TOUCHING.sub("\xa0", said)


@lru_cache(maxsize=8192)
def number(value: int | Decimal, tag: str) -> str:
    """A number with the locale's separators, and its digits as they are."""
    return str(format_decimal(value, locale=rules(tag), decimal_quantization=False, numbering_system="default"))


@lru_cache(maxsize=8192)
def plural(value: int | Decimal, tag: str) -> str:
    """CLDR's plural category: ``one``, ``few``, ``other`` ..."""
    return str(rules(tag).plural_form(value))


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name."""
    return ZoneInfo(name)


def date(when: Millis, time_zone: str, tag: str) -> str:
    """The day of a time in a time zone, medium length: ``Jan 2, 2026``."""
    day = datetime.fromtimestamp(when // 1000, UTC).astimezone(zone(time_zone))
    return str(format_date(day, "medium", rules(tag)))


def moment(when: Millis, time_zone: str, tag: str) -> str:
    """A time in a time zone, to the minute: ``Jan 2, 2026, 8:30 PM``."""
    return _moment(when // 60_000, time_zone, tag)


@lru_cache(maxsize=8192)
def _moment(minute: int, time_zone: str, tag: str) -> str:
    there = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone(time_zone))
    both = str(get_datetime_format("medium", rules(tag)))
    day, time = format_date(there, "medium", rules(tag)), format_time(there, "short", locale=rules(tag))
    return both.replace("{1}", str(day)).replace("{0}", str(time))


def minor(text: str, currency: str) -> Minor | None:
    """An amount written in major units (``49.90``) as minor units; ``None`` where it is no exact amount."""
    if not re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,6})?", text):
        return None
    shifted = Decimal(text).scaleb(exponent(currency))
    return int(shifted) if shifted == shifted.to_integral_value() else None
