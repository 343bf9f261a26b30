"""Messages to closures, and values to text.

A text may hold only typed values; what came from a shopper is cleaned of everything that could change how
the text around it reads. Escaping for HTML is the reader's: the text is data, never markup.
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

from msgspec import Struct

from cashwrap.content import locales
from cashwrap.content.message import Count, Message, Part, Placeholder, Plural
from cashwrap.model import Value

MAX_VALUE = 100
"""Characters a single value may add to a text; longer ones are cut with an ellipsis."""
MAX_DIGITS = 18
"""Digits before the point of a number that is written; larger ones count as missing."""
LARGEST = 10**MAX_DIGITS
LAST_DAY = 250_000_000_000_000
"""Times from here on (the year 9892, in milliseconds) count as missing: calendars end soon after."""
_DIGITS, _FINEST = Decimal("0.01"), Decimal("0.000001")

OFFER_NAME = "offer.name"
"""What the offer that is granted with a text is called."""
OFFER_AMOUNT = "offer.amount"
"""What it takes off, in minor units of ``OFFER_CURRENCY``."""
OFFER_EXPIRES = "offer.expires"
"""When it ends for the shopper."""
OFFER_CURRENCY = "offer.currency"
"""The currency of its amount."""

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Controls, direction overrides, invisible and unpaired characters. Joiners stay: Persian and emoji need them."""


class Scope(Struct, frozen=True):
    """What a message may read: the shopper's values, a few computed ones, and how to write them."""

    values: Mapping[str, Value]
    tag: str
    """Locale of the text."""
    currency: str
    time_zone: str
    computed: Mapping[str, Value] = {}


Writer = Callable[[Scope], str | None]
"""Writes one part; ``None`` where a value is missing or of another kind."""


def clean(value: str) -> str:
    """A shopper's string, fit to stand inside a text: bounded, on one line, in its own direction."""
    if not (value.isascii() and value.isprintable()):
        value = _UNSAFE.sub("", value)
    value = value.strip()
    return value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1].rstrip() + "…"


def compile_message(message: Message, money: Collection[str] = ()) -> Writer:
    """A function that writes the message.

    ``money`` names the values that are amounts: as a bare ``{cart.total}`` they are written as money.
    """
    return _sequence(message.parts, money)


def _sequence(parts: tuple[Part, ...], money: Collection[str]) -> Writer:
    writers = [part if isinstance(part, str) else _writer(part, money) for part in parts]

    def write(scope: Scope) -> str | None:
        texts = []
        for writer in writers:
            text = writer if isinstance(writer, str) else writer(scope)
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)

    return write


def _writer(part: Placeholder | Count | Plural, money: Collection[str]) -> Writer:
    if isinstance(part, Plural):
        return _plural(part, money)
    name = part.name
    kind: str = "number" if isinstance(part, Count) else part.format
    if kind == "plain" and name in money:
        kind = "money"
    kind = _OFFERED.get((name, kind), kind)
    write = _FORMATS[kind]

    def placeholder(scope: Scope) -> str | None:
        value = lookup(scope, name)
        return None if value is None else write(value, scope)

    return placeholder


def _plural(part: Plural, money: Collection[str]) -> Writer:
    name = part.name
    arms = {selector: _sequence(parts, money) for selector, parts in part.arms.items()}
    exact = {int(selector[1:]): arms[selector] for selector in arms if selector[0] == "="}
    other = arms["other"]

    def plural(scope: Scope) -> str | None:
        value = _number(lookup(scope, name))
        if value is None:
            return None
        arm = exact.get(int(value)) if exact and value == int(value) else None
        return (arm or arms.get(locales.plural(value, scope.tag), other))(scope)

    return plural


def lookup(scope: Scope, name: str) -> Value:
    """The value under a path; a plain name that nothing else has is a trait (``first_name``)."""
    value = scope.computed.get(name)
    if value is None:
        value = scope.values.get(name)
    if value is None and "." not in name:
        value = scope.values.get(f"traits.{name}")
    return value


def _number(value: Value) -> int | Decimal | None:
    """A number that can be written, an average as its quotient, or nothing."""
    if isinstance(value, tuple):
        value = _quotient(value, _DIGITS)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < MAX_DIGITS:
        exponent = value.as_tuple().exponent
        return value.quantize(_FINEST) if isinstance(exponent, int) and exponent < _FINEST.adjusted() else value
    return value if isinstance(value, int) and abs(value) < LARGEST else None


def _quotient(pair: tuple[int, int], digits: Decimal) -> Decimal | None:
    total, count = pair
    return (Decimal(total) / count).quantize(digits) if count > 0 and abs(total) < LARGEST else None


def _as_plain(value: Value, scope: Scope) -> str | None:
    if isinstance(value, str):
        return clean(value) or None
    return _as_number(value, scope)


def _as_number(value: Value, scope: Scope) -> str | None:
    number = _number(value)
    return None if number is None else locales.number(number, scope.tag)


def _as_money(value: Value, scope: Scope) -> str | None:
    if isinstance(value, tuple):
        quotient = _quotient(value, Decimal(1))
        value = None if quotient is None else int(quotient)
    if type(value) is not int or abs(value) >= LARGEST:
        return None
    return locales.money(value, scope.currency, scope.tag)


def _as_date(value: Value, scope: Scope) -> str | None:
    if type(value) is not int or not 0 <= value < LAST_DAY:
        return None
    return locales.date(value, scope.time_zone, scope.tag)


def _as_amount(value: Value, scope: Scope) -> str | None:
    currency = scope.values.get(OFFER_CURRENCY)
    return locales.money(value, currency, scope.tag) if type(value) is int and isinstance(currency, str) else None


def _as_moment(value: Value, scope: Scope) -> str | None:
    if type(value) is not int or not 0 <= value < LAST_DAY:
        return None
    return locales.moment(value, scope.time_zone, scope.tag)


_OFFERED = {
    (OFFER_AMOUNT, "plain"): "amount",
    (OFFER_AMOUNT, "money"): "amount",
    (OFFER_EXPIRES, "plain"): "moment",
}
"""How what is said of an offer is written: its amount in its own currency, its end with the time of day."""
_FORMATS: dict[str, Callable[[Value, Scope], str | None]] = {
    "plain": _as_plain,
    "number": _as_number,
    "money": _as_money,
    "date": _as_date,
    "amount": _as_amount,
    "moment": _as_moment,
}
