"""One converter per kind of field: a JSON value in, the value we keep out, ``InvalidEvent`` otherwise.

Fractions arrive as text (see ``envelope``), so a converter never meets a float.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import InvalidOperation
from urllib.parse import unquote

from cashwrap.errors import InvalidEvent
from cashwrap.events.money import LARGEST, minor_digits, to_minor, whole
from cashwrap.events.scrub import scrub
from cashwrap.model import Line, Millis, Number

Convert = Callable[[object], object]

LONGEST_TEXT = 1024
LONGEST_ID = 200
LONGEST_TOKEN = 4096
MOST_PRODUCTS = 500
MOST_TEXTS = 100
MOST_PIECES = 1_000_000
LARGEST_INTEGER = 2**53

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_URL = re.compile(r"(?:([a-zA-Z][a-zA-Z0-9+.-]*:)?//(?:[^/?#]*@)?([^/?#]*))?([^?#]*)")
_TRUTH = {True: True, False: False, "true": True, "false": False}


def wrong(expected: str, value: object) -> InvalidEvent:
    """The error for a value of another kind. The value itself is not repeated: it may be personal."""
    names = {"dict": "object", "list": "array", "str": "text", "bool": "boolean", "int": "number"}
    found = names.get(type(value).__name__, type(value).__name__)
    return InvalidEvent(f"Expected {expected}, got {found}.", code="invalid_type")


def millis(moment: datetime) -> Millis:
    """A date and time in whole milliseconds; one without a zone is UTC."""
    return ((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def plain_text(value: object) -> str:
    """Text as it is, at most 1,024 characters; a number as its digits."""
    if type(value) is str:
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT]
    if type(value) is int:
        return str(value)[:LONGEST_TEXT]
    raise wrong("a text", value)


def clean_text(value: object) -> str:
    """Text without card numbers and e-mail addresses."""
    return scrub(plain_text(value))


def integer(value: object) -> int:
    """A whole number up to 2**53, also as text."""
    if type(value) is int:
        number = value
    else:
        exact = _decimal(value)
        number = int(exact)
        if number != exact:
            raise InvalidEvent("Expected a whole number.", code="invalid_number")
    if abs(number) > LARGEST_INTEGER:
        raise InvalidEvent("The number is absurdly large.", code="invalid_number")
    return number


def number(value: object) -> Number:
    """An exact number, also as text."""
    return Number(integer(value)) if type(value) is int else _decimal(value)


def _decimal(value: object) -> Number:
    if type(value) is not str:
        raise wrong("a number", value)
    try:
        exact = Number(value.strip()) if len(value) <= 40 else Number("NaN")
    except InvalidOperation:
        exact = Number("NaN")
    if not exact.is_finite() or not -LARGEST_INTEGER <= exact <= LARGEST_INTEGER:
        raise InvalidEvent("Expected a finite number.", code="invalid_number")
    return exact


def boolean(value: object) -> bool:
    """``true`` or ``false``, also as text."""
    if type(value) in (bool, str) and value in _TRUTH:
        return _TRUTH[value]
    raise wrong("true or false", value)


def time(value: object) -> Millis:
    """An ISO 8601 text, or whole milliseconds since 1970."""
    if type(value) is int and abs(value) <= LARGEST_INTEGER:
        return value
    if type(value) is not str:
        raise wrong("a time", value)
    try:
        return millis(datetime.fromisoformat(value))
    except ValueError as error:
        raise InvalidEvent("Expected a time such as 2026-01-31T12:00:00Z.", code="invalid_time") from error


def quantity(value: object) -> int:
    """A number of pieces, 0 to a million."""
    pieces = value if type(value) is int else integer(value)
    if 0 <= pieces <= MOST_PIECES:
        return pieces
    if pieces < 0:
        raise InvalidEvent("A quantity cannot be below zero; send Product Removed instead.", code="negative_quantity")
    raise InvalidEvent("The quantity is absurdly large.", code="invalid_number")


def currency(value: object) -> str:
    """An active ISO 4217 code, upper case."""
    if type(value) is not str:
        raise wrong("a currency code", value)
    code = value.strip().upper()
    minor_digits(code)
    return code


def token(value: object) -> str:
    """A signed decision token, unread."""
    if type(value) is not str or len(value) > LONGEST_TOKEN:
        raise wrong("a decision token", value)
    return scrub(value)


def url(value: object) -> str:
    """Scheme, host and path of an address; never its query, fragment or user."""
    if type(value) is not str:
        raise wrong("an address", value)
    match = _URL.match(value[:LONGEST_TEXT])
    if match is None:
        return ""
    scheme, host, path = match[1] or "", match[2], match[3]
    opened = unquote(path) if "%" in path else path
    cleaned = scrub(opened)
    kept = path if cleaned == opened else cleaned
    return kept if host is None else f"{scheme}//{scrub(host)}{kept}"


def texts_of(text: Convert) -> Convert:
    """A converter for lists of at most 100 texts."""

    def convert(value: object) -> list[object]:
        if type(value) is not list:
            raise wrong("a list of texts", value)
        if len(value) > MOST_TEXTS:
            raise InvalidEvent(f"More than {MOST_TEXTS} texts in one list.", code="too_many_values")
        return [text(item) for item in value]

    return convert


def filters_of(text: Convert) -> Convert:
    """A converter for Segment's ``filters`` and ``sorts``: objects of type and value become ``type:value``."""
    texts = texts_of(text)

    def convert(value: object) -> object:
        if type(value) is not list:
            raise wrong("a list of filters", value)
        return texts([_filter(item) if type(item) is dict else item for item in value])

    return convert


def _filter(item: dict[str, object]) -> str:
    """``type:value``; what is nested in either is not declared, and not kept."""
    parts = (item.get("type"), item.get("value"))
    return ":".join(str(part) if type(part) in (str, int, bool) else "" for part in parts)


def money_in(digits: int) -> Convert:
    """A converter for amounts in major units of a currency with that many minor digits."""
    factor = 10**digits

    def convert(value: object) -> int:
        if type(value) is str:
            return to_minor(value, digits)
        if type(value) is int:
            return whole(value * factor if abs(value) <= LARGEST else LARGEST + 1)
        raise wrong("an amount", value)

    return convert


def products_of(fields: dict[str, Convert]) -> Convert:
    """A converter for at most 500 products, each by the converters of its own fields."""

    def convert(value: object) -> list[Line]:
        if type(value) is not list:
            raise wrong("a list of products", value)
        if len(value) > MOST_PRODUCTS:
            raise InvalidEvent(f"More than {MOST_PRODUCTS} products in one event.", code="too_many_products")
        return [_line(index, item, fields) for index, item in enumerate(value)]

    return convert


def _line(index: int, item: object, fields: dict[str, Convert]) -> Line:
    """One product; ``product_id``, or else ``id`` or ``sku``, names it."""
    path = f"[{index}]"
    if type(item) is not dict:
        error = wrong("a product", item)
        error.path = path
        raise error
    kept: dict[str, object] = {}
    key = ""
    try:
        for key, value in item.items():
            convert = fields.get(key)
            if convert is not None and value is not None and value != "":
                kept[key] = convert(value)
    except InvalidEvent as error:
        error.path = f"{path}.{key}"
        raise
    name = kept.pop("id", None) or kept.get("sku")
    if kept.setdefault("product_id", name) is None:
        raise InvalidEvent("A product needs a product_id.", code="missing_product_id", path=path)
    return Line(**kept)  # type: ignore[arg-type]
