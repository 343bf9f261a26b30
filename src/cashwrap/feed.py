"""A shop's product feed to products: CSV, TSV, JSON, JSON lines, and Google's Merchant feed (RSS 2.0 or TSV). Pure.

Every row is read alone, so a bad one costs itself. The names of columns follow Google's product data specification
and plain English; amounts are exact and in one currency, the shop's.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, BinaryIO, Literal
from xml.parsers import expat

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidEvent, InvalidInput
from cashwrap.events.money import LARGEST, minor_digits
from cashwrap.events.split import split_batch
from cashwrap.model import Minor, Product

Format = Literal["csv", "tsv", "json", "jsonl", "xml"]
MOST_ROWS = 1_000_000
LONGEST_ROW = 64 * 1024
"""Bytes of one row, whatever the format."""
LARGEST_JSON = 256 * 1024 * 1024
"""Bytes of a JSON feed, which is read whole; JSON lines has no such limit."""
LONGEST_ID = 200
LONGEST_TEXT = 1024
MOST_ATTRIBUTES = 50
MOST_COMPLEMENTS = 50
_CHUNK = 1 << 16
_DEEPEST = 16


class RowFault(Struct, frozen=True):
    """A row that is not imported. ``line`` counts from 1: lines of text, products of JSON."""

    line: int
    code: str
    message: str
    field: str = ""


class _Bad(Exception):
    """A row cannot be used."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


Fields = Mapping[str, object]
_Numbered = tuple[int, Fields | RowFault]


def read_feed(stream: BinaryIO, format_: Format, currency: str) -> Iterator[Product | RowFault]:
    """The products of a feed, and a fault for each row that is none.

    ``currency`` is the shop's (ISO 4217); a row in another one is a fault. Of two rows with one id the first counts.
    Raises ``InvalidInput`` where the feed as a whole cannot be read.
    """
    try:
        minor_digits(currency)
    except InvalidEvent as error:
        raise InvalidInput(error.message, code=error.code) from error
    seen: set[str] = set()
    for number, (line, fields) in enumerate(_READERS[format_](stream)):
        if number >= MOST_ROWS:
            raise InvalidInput(f"A feed may have {MOST_ROWS} products; split it by store.", code="too_many_rows")
        if isinstance(fields, RowFault):
            yield fields
            continue
        try:
            product = product_of(fields, currency)
            _only_once(product.id, seen)
        except _Bad as error:
            yield RowFault(line, error.code, error.message, error.field)
            continue
        yield product


def _only_once(name: str, seen: set[str]) -> None:
    if name in seen:
        raise _Bad("duplicate_id", f"the id {name!r} was already given; the first one counts", "id")
    seen.add(name)


def sniff(head: bytes) -> Format:
    """The format by a feed's first bytes, for a file whose name does not tell."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        return "xml"
    if text.startswith((b"[", b"{")):
        first, _, rest = text.partition(b"\n")
        lines = text.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")
        return "jsonl" if lines else "json"
    return "tsv" if b"\t" in text.partition(b"\n")[0] else "csv"


# --- a row ---

_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "product_id", "sku"),
    "title": ("title", "name"),
    "cost": ("cost", "cost_of_goods_sold"),
    "stock": ("stock", "quantity", "inventory", "sell_on_google_quantity"),
    "category": ("category", "product_type", "google_product_category"),
    "brand": ("brand",),
    "url": ("url", "link"),
    "image": ("image", "image_link", "thumbnail"),
    "complements": ("complements",),
    "sensitive": ("sensitive", "adult"),
}
"""Each field of a product and what it may be called, the best name first."""
_ATTRIBUTES = ("color", "size", "material", "pattern", "gender", "age_group", "condition")
"""Attributes with columns of their own in Google's specification; others are ``attribute:<name>``."""
_GONE = frozenset({"out_of_stock", "outofstock", "sold_out", "backorder", "preorder", "discontinued"})
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_MONEY = re.compile(r"([A-Za-z]{3})?\s*([0-9]{1,15}(?:\.[0-9]{1,10})?)\s*([A-Za-z]{3})?")


def product_of(fields: Fields, currency: str) -> Product:
    """One row as a product. Raises ``_Bad`` with a stable code."""
    row = {_column(name): value for name, value in fields.items() if value is not None and value != ""}
    found = {field: next((row[name] for name in names if name in row), None) for field, names in _NAMES.items()}
    code = str(row.get("currency", currency)).strip().upper()
    name = _text(found["id"], "id", LONGEST_ID)
    if not name:
        raise _Bad("missing_id", "a product needs an id", "id")
    return Product(
        id=name,
        title=_text(found["title"], "title") or "",
        price=_price(row, currency, code),
        cost=_money(_own(row, "cost", currency, found["cost"]), currency, code, "cost"),
        stock=_stock(found["stock"], row.get("availability", row.get("availabilitystatus"))),
        category=_text(found["category"], "category") or None,
        brand=_text(found["brand"], "brand") or None,
        url=_text(found["url"], "url") or None,
        image=_text(_first(found["image"]), "image") or None,
        attributes=_attributes(row),
        titles=_by_name(row, ("titles", "title"), "titles"),
        complements=_complements(found["complements"]),
        sensitive=_truth(found["sensitive"]),
    )


def _column(name: str) -> str:
    """A column's name without Google's prefix, in lower case with underscores."""
    plain = name.strip().lower()
    for prefix in ("g:", "g_"):
        plain = plain.removeprefix(prefix)
    return plain.replace(" ", "_")


def _own(row: Fields, name: str, currency: str, usual: object) -> object:
    """The column for this very currency (``price_eur``), else the usual one."""
    return row.get(f"{name}_{currency.lower()}", usual)


def _price(row: Fields, currency: str, code: str) -> Minor | None:
    """What a piece costs: the sale price, unless its dates would have to be watched."""
    dated = "sale_price_effective_date" in row
    usual = row.get("price") if dated else row.get("sale_price", row.get("price"))
    own = row.get(f"price_{currency.lower()}")
    return _money(own if own is not None else usual, currency, currency if own is not None else code, "price")


def _money(value: object, currency: str, code: str, field: str) -> Minor | None:
    if value is None:
        return None
    match = _MONEY.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    if match is None or isinstance(value, bool):
        negative = str(value).strip().startswith("-")
        raise _Bad(
            "negative_price" if negative else "invalid_price", "an amount is written as 12.50 or 12.50 EUR", field
        )
    named = (match[1] or match[3] or code).upper()
    if named != currency:
        raise _Bad("other_currency", f"the amount is in {named}, the shop sells in {currency}", field)
    try:
        minor = Decimal(match[2]).scaleb(minor_digits(currency))
    except InvalidOperation:
        raise _Bad("invalid_price", "an amount is written as 12.50 or 12.50 EUR", field) from None
    if minor != int(minor):
        raise _Bad("inexact_price", f"{match[2]} has more digits than {currency} has", field)
    if minor > LARGEST:
        raise _Bad("invalid_price", "the amount is absurdly large", field)
    return int(minor)


def _stock(value: object, availability: object) -> int | None:
    """Pieces on hand, 0 for a backlog; what is not available counts as 0 where no number says otherwise."""
    if value is None:
        word = str(availability or "").strip().lower().replace(" ", "_")
        return 0 if word in _GONE else None
    try:
        pieces = Decimal(str(value).strip())
    except InvalidOperation:
        pieces = Decimal("NaN")
    if isinstance(value, bool) or not pieces.is_finite() or not -LARGEST <= pieces <= LARGEST or pieces % 1:
        raise _Bad("invalid_stock", "stock is a whole number of pieces", "stock")
    return max(0, int(pieces))


def _text(value: object, field: str, longest: int = LONGEST_TEXT) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool | dict | list):
        raise _Bad("invalid_type", f"{field} is a text", field)
    text = str(value).strip()
    if len(text) > longest:
        raise _Bad("too_long", f"{field} may have {longest} characters", field)
    if _UNFIT.search(text):
        raise _Bad("invalid_text", f"{field} holds a control character or half a character", field)
    return text


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None if isinstance(value, list) else value


def _truth(value: object) -> bool:
    found = value if isinstance(value, bool) else _TRUTH.get(str(value or "").strip().lower())
    if found is None:
        raise _Bad("invalid_boolean", "sensitive is true or false", "sensitive")
    return found


def _complements(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else re.split(r"[|,]", str(value or ""))
    ids = dict.fromkeys(filter(None, (_text(part, "complements", LONGEST_ID) for part in parts)))
    if len(ids) > MOST_COMPLEMENTS:
        raise _Bad("too_many", f"a product may have {MOST_COMPLEMENTS} complements", "complements")
    return tuple(ids)


def _attributes(row: Fields) -> dict[str, str]:
    found = {name: _text(row[name], name) or "" for name in _ATTRIBUTES if name in row}
    return {**found, **_by_name(row, ("attributes", "attribute"), "attributes")}


def _by_name(row: Fields, columns: tuple[str, str], field: str) -> dict[str, str]:
    """Texts by name: an object in one column, or columns such as ``title:de``."""
    many, one = columns
    found: dict[str, str] = {}
    given = row.get(many)
    if isinstance(given, dict):
        found = {str(name): _text(value, field) or "" for name, value in given.items()}
    elif given is not None:
        raise _Bad("invalid_type", f"{field} is an object of texts", field)
    for name, value in row.items():
        prefix, colon, rest = name.partition(":")
        if colon and prefix in columns and rest:
            found[rest] = _text(value, one) or ""
    if len(found) > MOST_ATTRIBUTES:
        raise _Bad("too_many", f"a product may have {MOST_ATTRIBUTES} {field}", field)
    return {name: text for name, text in found.items() if text}


# --- formats ---


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str | RowFault]]:
    number = 0
    while line := stream.readline(LONGEST_ROW + 1):
        number += 1
        if len(line) > LONGEST_ROW:
            yield number, RowFault(number, "row_too_long", f"a row may have {LONGEST_ROW} bytes")
            while len(line) > LONGEST_ROW and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_ROW + 1)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            yield number, RowFault(number, "not_utf8", "the line is not UTF-8")
            continue
        yield number, text.removeprefix("\ufeff") if number == 1 else text


class _Texts:
    """The lines for ``csv``, and the faults among them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = _lines(stream)
        self.number = 0
        self.faults: list[RowFault] = []

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            if isinstance(line, RowFault):
                self.faults.append(line)
            else:
                yield line


def _table(delimiter: str) -> Callable[[BinaryIO], Iterator[_Numbered]]:
    def read(stream: BinaryIO) -> Iterator[_Numbered]:
        csv.field_size_limit(LONGEST_ROW)
        texts = _Texts(stream)
        rows = csv.reader(texts, delimiter=delimiter, strict=delimiter == ",")
        header: list[str] | None = None
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield texts.number, RowFault(texts.number, "bad_csv", f"this is no row: {error}")
                continue
            for fault in texts.faults:
                yield fault.line, fault
            texts.faults.clear()
            if row is None:
                break
            if header is None:
                header = _header(row)
            elif len(row) != len(header) and row:
                message = f"the row has {len(row)} fields, the first line {len(header)}"
                yield texts.number, RowFault(texts.number, "wrong_field_count", message)
            elif row:
                yield texts.number, dict(zip(header, row, strict=True))
        if header is None:
            raise InvalidInput("The feed is empty.", code="empty_feed")

    return read


def _header(row: list[str]) -> list[str]:
    columns = {_column(name) for name in row}
    if not columns & {*_NAMES["id"]}:
        raise InvalidInput(
            f"The feed's first line names no id; it has {', '.join(row[:20]) or 'nothing'}.", code="missing_column"
        )
    return row


_any = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Catalogue(Struct):
    products: list[msgspec.Raw]


def _json(stream: BinaryIO) -> Iterator[_Numbered]:
    body = stream.read(LARGEST_JSON + 1)
    if len(body) > LARGEST_JSON:
        raise InvalidInput(f"A JSON feed may have {LARGEST_JSON} bytes; use JSON lines.", code="feed_too_large")
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    for number, raw in enumerate(_elements(body), 1):
        yield number, _object(number, bytes(raw))


def _elements(body: bytes) -> Iterable[bytes | msgspec.Raw]:
    """Each product's own text: at once, or cut by brackets alone where one of them is no JSON."""
    whole = body if body.startswith(b"{") else b'{"products":' + body + b"}"
    try:
        return msgspec.json.decode(whole, type=_Catalogue).products
    except _UNREADABLE as error:
        try:
            return split_batch(whole.replace(b'"products"', b'"batch"', 1))[1]
        except InvalidInput:
            message = f"The feed is no JSON list of products, nor an object with 'products': {error}"
            raise InvalidInput(message, code="bad_json") from error


def _json_lines(stream: BinaryIO) -> Iterator[_Numbered]:
    for number, line in _lines(stream):
        if isinstance(line, RowFault):
            yield number, line
        elif line.strip():
            yield number, _object(number, line.encode())


def _object(number: int, raw: bytes) -> Fields | RowFault:
    if len(raw) > LONGEST_ROW:
        return RowFault(number, "row_too_long", f"a row may have {LONGEST_ROW} bytes")
    try:
        return _any.decode(raw)
    except _UNREADABLE as error:
        return RowFault(number, "bad_json", f"this is no JSON object: {error}")


# --- Merchant feed in XML ---


class _Items:
    """Products out of RSS (``item``) or Atom (``entry``) as the parser meets them; nothing else is kept.

    A document type or an entity of its own is refused: they are how XML reads files and grows without bound.
    """

    def __init__(self) -> None:
        self.ready: list[_Numbered] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._take
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._depth = self._size = self._line = self._inside = 0
        self._fields: dict[str, object] = {}
        self._text: list[str] = []

    def feed(self, data: bytes, *, last: bool) -> None:
        """Take a piece of the document. Raises ``InvalidInput`` (``bad_xml``)."""
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise InvalidInput(f"The feed is no XML: {error}.", code="bad_xml") from error

    def _start(self, name: str, _attributes: object) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidInput(f"The feed nests deeper than {_DEEPEST} elements.", code="bad_xml")
        if self._inside == 0 and name in ("item", "entry"):
            self._inside, self._fields, self._size = self._depth, {}, 0
            self._line = self._parser.CurrentLineNumber
        self._text = []

    def _end(self, name: str) -> None:
        if self._inside and self._depth == self._inside + 1:
            text = "".join(self._text).strip()
            if text:
                self._fields.setdefault(name, text)
        elif self._inside and self._depth == self._inside:
            self._inside = 0
            oversized = RowFault(self._line, "row_too_long", f"a row may have {LONGEST_ROW} bytes")
            self.ready.append((self._line, oversized if self._size > LONGEST_ROW else self._fields))
        self._depth -= 1

    def _take(self, text: str) -> None:
        if self._inside and self._depth == self._inside + 1:
            self._size += len(text)
            if self._size <= LONGEST_ROW:
                self._text.append(text)

    def _refuse(self, *_: object) -> None:
        raise InvalidInput("A feed has no document type and declares no entities.", code="xml_doctype")


def _xml(stream: BinaryIO) -> Iterator[_Numbered]:
    items = _Items()
    while chunk := stream.read(_CHUNK):
        items.feed(chunk, last=False)
        yield from items.ready
        items.ready.clear()
    items.feed(b"", last=True)
    yield from items.ready


_READERS: dict[Format, Callable[[BinaryIO], Iterable[_Numbered]]] = {
    "csv": _table(","),
    "tsv": _table("\t"),
    "json": _json,
    "jsonl": _json_lines,
    "xml": _xml,
}
