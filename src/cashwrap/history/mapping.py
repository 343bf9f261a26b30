"""What a mapping file says: how the columns of somebody's data become events, and why they may be used.

A mapping is YAML, read as strictly as a playbook: every mistake is told at once, with its line and column.
"""

import zoneinfo
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args

from msgspec import Struct

from cashwrap import consent
from cashwrap.declarations import Spot
from cashwrap.errors import InvalidEvent, InvalidInput, PlaybookError
from cashwrap.events.money import minor_digits
from cashwrap.events.standard import EVENT_ALIASES
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.playbook.document import Node, read_document
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.shape import Shape

ColumnKind = Literal["text", "integer", "boolean", "time", "texts"]
Format = Literal["csv", "tsv", "jsonl", "parquet"]
Unit = Literal["s", "ms", "iso"]
KINDS: tuple[str, ...] = get_args(ColumnKind)
FORMATS: tuple[str, ...] = get_args(Format)
UNITS: tuple[str, ...] = get_args(Unit)
CONTEXT = ("country", "region", "locale", "time_zone", "device")
LINE = ("product_id", "sku", "category", "name", "brand", "variant", "price", "quantity", "coupon")
MAX_EVENTS = 100
_T = TypeVar("_T")
_OURS = (Path(__file__).parents[1] / "mappings", Path(__file__).parents[3] / "mappings")
"""Where the mappings that come with cashwrap lie: package data, or the repository's own folder."""


class Pick(Struct, frozen=True):
    """Where a value comes from: a column, a text with ``{column}`` in it, or one value for all rows."""

    column: str = ""
    text: str = ""
    value: str | int | bool | None = None
    kind: ColumnKind = "text"
    values: dict[str, str] = {}
    """What the file's words are called here, such as ``{United Kingdom: GB}``."""
    separator: str = ","
    negate: bool = False
    spot: Spot = Spot()


class Test(Struct, frozen=True):
    """One condition on a column: it has one of these values, or begins with one of these."""

    column: str
    values: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()


class EventMap(Struct, frozen=True):
    """How the rows that pass all tests become events of one name."""

    name: str
    when: tuple[Test, ...] = ()
    properties: dict[str, Pick] = {}
    products: dict[str, Pick] = {}
    lines: str = ""
    """Rows with one value in this column are the lines of one event."""
    total: str = ""
    """The property that holds the sum of price times quantity over the products."""
    returns: bool = False
    """The rows name products brought back and no order: they are matched to the shopper's newest orders of them."""
    spot: Spot = Spot()


class Skip(Struct, frozen=True):
    """Rows that are no events, and the word under which they are counted."""

    reason: str
    when: tuple[Test, ...]


class Time(Struct, frozen=True):
    """The column that says when. ``zone`` is that of times that name none themselves."""

    column: str
    unit: Unit = "iso"
    format: str = ""
    """As ``strptime`` reads it; ``unit`` does not matter then."""
    zone: str = "UTC"


class Expected(Struct, frozen=True):
    """A number of the report over the whole file, and why it is not what the data's own description says."""

    value: str
    why: str = ""


class Map(Struct, frozen=True):
    """A whole mapping."""

    source: str
    time: Time
    events: tuple[EventMap, ...]
    basis: int = 1
    """Mask of the purposes the data may be used for."""
    currency: str = ""
    format: Format | None = None
    user: Pick | None = None
    anonymous: Pick | None = None
    session: str = ""
    """The column with the data's own session id; who it names where nothing else does."""
    message: str = ""
    """The column with the data's own event id; the file's name and the row's number where there is none."""
    skip: tuple[Skip, ...] = ()
    context: dict[str, Pick] = {}
    expect: dict[str, Expected] = {}

    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        found: dict[str, None] = {self.time.column: None}
        picks = [self.user, self.anonymous, *self.context.values()]
        tests = [test for skip in self.skip for test in skip.when]
        for event in self.events:
            picks += [*event.properties.values(), *event.products.values()]
            tests += event.when
            found[event.lines] = None
        for name in (self.session, self.message, *(test.column for test in tests)):
            found[name] = None
        for pick in picks:
            if pick is not None:
                found |= dict.fromkeys((pick.column, *(placeholders(pick.text) if pick.text else ())))
        found.pop("", None)
        return tuple(found)


ROW = "row"
"""In a text, ``{row}`` is the row's number."""


def placeholders(text: str) -> tuple[str, ...]:
    """The columns a text names in braces."""
    names = [part.partition("}")[0] for part in text.split("{")[1:]]
    return tuple(dict.fromkeys(name for name in names if name != ROW))


def load_mapping(path: Path, vocabulary: Vocabulary) -> Map:
    """The mapping in a file, or the one of our own with this name, such as ``retailrocket``.

    Raises ``PlaybookError`` with every mistake, ``InvalidInput`` (``unreadable_file``) where there is no file.
    """
    if not path.suffix and not path.is_file():
        path = next((folder / f"{path}.yaml" for folder in _OURS if (folder / f"{path}.yaml").is_file()), path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", code="unreadable_file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8", code="unreadable_file") from error
    return read_mapping(path.name, text, vocabulary)


def read_mapping(file: str, text: str, vocabulary: Vocabulary) -> Map:
    """The mapping in a text; ``file`` names it in complaints. Raises ``PlaybookError`` with every mistake."""
    faults = Faults()
    document = read_document(file, text, faults)
    found = None if document.root is None else _Reader(Shape(document, faults), vocabulary).map(document.root)
    if len(faults) or found is None:
        told = tuple(str(fault) for fault in faults.sorted())
        raise PlaybookError(f"The mapping has mistakes. The first: {told[0]}", faults=told)
    return found


def _keys(*required: str, optional: tuple[str, ...] = ()) -> dict[str, object]:
    """The fixed keys of one mapping, in the form ``Shape`` reads."""
    return {"properties": dict.fromkeys((*required, *optional)), "required": list(required)}


_MAPPING = _keys(
    "source",
    "time",
    "shopper",
    "events",
    optional=("basis", "currency", "format", "message", "skip", "context", "expect"),
)
_TIME = _keys("column", optional=("unit", "format", "zone"))
_SHOPPER = _keys(optional=("user", "anonymous", "session"))
_EVENT = _keys("name", optional=("when", "properties", "products", "lines", "total", "returns"))
_SKIP = _keys("reason", "when")
_PICK = _keys(optional=("column", "text", "value", "kind", "values", "separator", "negate"))
_TEST = _keys("prefix")
_EXPECTED = _keys("is", optional=("why",))


class _Reader:
    """Nodes to a mapping; complaints go to the shape's faults."""

    def __init__(self, shape: Shape, vocabulary: Vocabulary) -> None:
        self.shape = shape
        self.vocabulary = vocabulary

    def map(self, root: Node) -> Map | None:
        fields = self.shape.fields(root, _MAPPING, "a mapping")
        if not {"source", "time", "shopper", "events"} <= fields.keys():
            return None
        shopper = self.shape.fields(fields["shopper"], _SHOPPER, "shopper")
        if not shopper.keys() & {"user", "anonymous", "session"}:
            self.shape.fail(fields["shopper"], "missing_key", "shopper needs 'user', 'anonymous' or 'session'")
        return Map(
            source=self.shape.text(fields["source"], "a source"),
            time=self.time(fields["time"]),
            events=self.events(fields["events"]),
            basis=self.basis(fields.get("basis")),
            currency=self.optional(fields.get("currency"), self.currency, ""),
            format=cast("Format | None", self.choice(fields.get("format"), FORMATS, "a format")),
            user=self.optional(shopper.get("user"), self.pick, None),
            anonymous=self.optional(shopper.get("anonymous"), self.pick, None),
            session=self.optional(shopper.get("session"), self.column, ""),
            message=self.optional(fields.get("message"), self.column, ""),
            skip=tuple(self.skip(node) for node in self.shape.items(fields.get("skip"), "skip")),
            context=self.picks(fields.get("context"), "context", CONTEXT),
            expect=self.shape.mapped(fields.get("expect"), "expect", self.expected),
        )

    def time(self, node: Node) -> Time:
        if not isinstance(node.value, dict):
            return Time(self.column(node))
        fields = self.shape.fields(node, _TIME, "time")
        unit = self.choice(fields.get("unit"), UNITS, "a unit of time")
        zone = self.optional(fields.get("zone"), self.zone, "UTC")
        format_ = self.optional(fields.get("format"), lambda each: self.shape.text(each, "a format"), "")
        column = self.optional(fields.get("column"), self.column, "")
        return Time(column, cast("Unit", unit or "iso"), format_, zone)

    def zone(self, node: Node) -> str:
        name = self.shape.text(node, "a time zone")
        if name not in zoneinfo.available_timezones():
            hint = self.shape.faults.did_you_mean(name, zoneinfo.available_timezones())
            self.shape.fail(node, "unknown_time_zone", f"{name!r} is not a time zone{hint}")
            return "UTC"
        return name

    def basis(self, node: Node | None) -> int:
        names = [
            (member, self.shape.choice(member, tuple(consent.BY_NAME), "a purpose"))
            for member in self.shape.items(node, "basis")
        ]
        return consent.basis(name for _, name in names if name)

    def currency(self, node: Node) -> str:
        code = self.shape.text(node, "a currency")
        try:
            minor_digits(code)
        except InvalidEvent as error:
            self.shape.fail(node, "unknown_currency", error.message)
        return code

    def skip(self, node: Node) -> Skip:
        fields = self.shape.fields(node, _SKIP, "a skip")
        reason = self.optional(fields.get("reason"), lambda each: self.shape.text(each, "a reason"), "")
        return Skip(reason, self.tests(fields.get("when")))

    def events(self, node: Node) -> tuple[EventMap, ...]:
        members = self.shape.items(node, "events")
        if not members or len(members) > MAX_EVENTS:
            self.shape.fail(node, "bad_value", f"a mapping has 1 to {MAX_EVENTS} events")
        return tuple(self.event(member) for member in members[:MAX_EVENTS])

    def event(self, node: Node) -> EventMap:
        fields = self.shape.fields(node, _EVENT, "an event")
        name = self.optional(fields.get("name"), self.event_name, "")
        declared = self.vocabulary.events.get(name)
        allowed = tuple(declared.fields) if declared is not None else ()
        found = EventMap(
            name=name,
            when=self.tests(fields.get("when")),
            properties=self.picks(fields.get("properties"), name or "the event", allowed),
            products=self.picks(fields.get("products"), "a product", LINE),
            lines=self.optional(fields.get("lines"), self.column, ""),
            total=self.optional(fields.get("total"), lambda each: self.shape.text(each, "a property"), ""),
            returns=self.shape.flag(fields.get("returns"), "returns", default=False),
            spot=self.shape.spot(node),
        )
        for key, wrong in (
            ("products", bool(found.products) and declared is not None and "products" not in allowed),
            ("total", bool(found.total) and (not found.products or found.total not in allowed)),
            ("lines", bool(found.lines) and not found.products),
            (
                "returns",
                found.returns and not (found.lines and {"product_id", "quantity", "price"} <= {*found.products}),
            ),
        ):
            if wrong:
                self.shape.fail(fields[key], "bad_value", _NEEDS[key])
        return found

    def event_name(self, node: Node) -> str:
        name = self.shape.text(node, "an event")
        name = EVENT_ALIASES.get(name, name)
        if name and name not in self.vocabulary.events:
            hint = self.shape.faults.did_you_mean(name, self.vocabulary.events)
            message = f"{name!r} is not declared{hint or '; add it to the events of the playbook'}"
            self.shape.fail(node, "unknown_event", message)
        return name

    def tests(self, node: Node | None) -> tuple[Test, ...]:
        found = self.shape.mapped(node, "when", self.test)
        return tuple(Test(column, values, prefixes) for column, (values, prefixes) in found.items())

    def test(self, node: Node) -> tuple[frozenset[str], tuple[str, ...]]:
        if isinstance(node.value, dict):
            fields = self.shape.fields(node, _TEST, "a test")
            return frozenset(), tuple(
                self.shape.word(each, "a prefix") for each in self.shape.items(fields.get("prefix"), "prefixes")
            )
        return frozenset(self.shape.word(each, "a value") for each in self.shape.items(node, "values")), ()

    def picks(self, node: Node | None, what: str, allowed: tuple[str, ...]) -> dict[str, Pick]:
        found = self.shape.mapped(node, what, self.pick)
        for name, pick in found.items():
            if allowed and name not in allowed:
                hint = get_close_matches(name, allowed, n=1)
                advice = f"did you mean {hint[0]!r}?" if hint else f"it may have {', '.join(allowed)}"
                self.shape.faults.error(pick.spot, "unknown_property", f"{what} has no {name!r}; {advice}")
        return found

    def pick(self, node: Node) -> Pick:
        spot = self.shape.key_spot(node)
        if not isinstance(node.value, dict):
            return Pick(column=self.column(node), spot=spot)
        fields = self.shape.fields(node, _PICK, "a value")
        if len(fields.keys() & {"column", "text", "value"}) != 1:
            self.shape.fail(node, "missing_key", "a value has one of 'column', 'text' and 'value'")
        constant = fields["value"].value if "value" in fields else None
        if constant is not None and not isinstance(constant, str | int | bool):
            constant = fields["value"].text
        return Pick(
            column=self.optional(fields.get("column"), self.column, ""),
            text=self.optional(fields.get("text"), lambda each: self.shape.text(each, "a text"), ""),
            value=constant,
            kind=cast("ColumnKind", self.choice(fields.get("kind"), KINDS, "a kind of column") or "text"),
            values=self.shape.mapped(fields.get("values"), "values", lambda each: self.shape.word(each, "a value")),
            separator=self.optional(fields.get("separator"), lambda each: self.shape.text(each, "a separator"), "")
            or ",",
            negate=self.shape.flag(fields.get("negate"), "negate", default=False),
            spot=spot,
        )

    def column(self, node: Node) -> str:
        name = self.shape.text(node, "a column")
        if not name and node.value == "":
            self.shape.fail(node, "bad_value", "a column has a name")
        return name

    def expected(self, node: Node) -> Expected:
        if not isinstance(node.value, dict):
            return Expected(self.shape.word(node, "a number"))
        fields = self.shape.fields(node, _EXPECTED, "an expectation")
        why = self.optional(fields.get("why"), lambda each: self.shape.text(each, "a reason"), "")
        return Expected(self.optional(fields.get("is"), lambda each: self.shape.word(each, "a number"), ""), why)

    def choice(self, node: Node | None, values: tuple[str, ...], what: str) -> str | None:
        return None if node is None else self.shape.choice(node, values, what)

    def optional(self, node: Node | None, read: Callable[[Node], _T], default: _T) -> _T:
        return default if node is None else read(node)


_NEEDS: Mapping[str, str] = {
    "products": "this event has no products; put the columns under 'properties'",
    "total": "'total' names a property of this event for the sum over its 'products'",
    "lines": "'lines' joins rows into one event with 'products': say what each product is",
    "returns": "'returns' needs 'lines', and products with product_id, quantity and price",
}
