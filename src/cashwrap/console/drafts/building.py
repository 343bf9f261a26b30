"""The condition builder as its template needs it: every row with what may be chosen in it and what is wrong with it."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Literal

from msgspec import Struct

from cashwrap.attributes import ATTRIBUTES
from cashwrap.condition import Environment, Type
from cashwrap.content.catalogue import Catalogue
from cashwrap.declarations import Declarations
from cashwrap.editing.builder import (
    DEPTH,
    EACH,
    OPERATORS,
    SEGMENTS,
    Group,
    Part,
    Path,
    Row,
    Written,
    operators_of,
    problems,
    text_of,
    type_of,
)
from cashwrap.editing.form_rows import name_of

LISTED = 300
"""Names that a list to choose from has; of more than that one types the name, and is offered what fits."""
_ROOMS = {
    "cart": "cart", "open_cart": "cart", "checkout": "checkout", "device": "device", "app": "device",
    "locale": "device", "language": "device", "currency": "device", "page": "page", "location": "place",
    "request": "place", "now": "time", "time": "time", "shop_time": "time", "consent": "consent", "traits": "person",
    "wishlist": "cart", "offer": "cart",
}  # fmt: skip
_DOCS = {each.path: each.doc for each in ATTRIBUTES}
_SOURCES = {each.path: each.source for each in ATTRIBUTES}
_FIXED: dict[str, tuple[str, ...]] = {
    "device.type": ("mobile", "tablet", "desktop", "other"),
    "location.source": ("header", "shop", "delivery"),
}
_CATEGORIES = frozenset({"cart.categories", "open_cart.categories", "next_category"})
Widget = Literal["none", "text", "lines", "number", "moment", "choice"]


class Choice(Struct, frozen=True):
    """An attribute that may be chosen: ``room`` is the kind of thing it belongs to, ``doc`` what it means."""

    value: str
    room: str
    doc: str = ""


class RowView(Struct, frozen=True):
    """One row as it is shown; ``values`` stand in its input, ``known`` may be chosen there."""

    name: str
    row: Row
    operators: tuple[str, ...]
    widget: Widget
    value: str
    known: tuple[str, ...]
    unit: str
    doc: str
    keyed: bool
    listed: bool
    problem: str
    focus: bool


class WrittenView(Struct, frozen=True):
    """A part in its own words."""

    name: str
    text: str
    problem: str
    focus: bool


class GroupView(Struct, frozen=True):
    """A group with its parts; ``deeper`` says whether it may hold another one."""

    name: str
    kind: str
    parts: tuple["PartView", ...]
    deeper: bool
    problem: str
    focus: bool


PartView = RowView | WrittenView | GroupView


class Builder(Struct, frozen=True):
    """The whole builder: its rows, what they say in text, and what may be chosen. ``refused`` is what is wrong with a
    text that was typed and cannot be read; then it stands beside the rows as they were."""

    root: GroupView
    text: str
    choices: tuple[Choice, ...]
    problem: str
    unfinished: bool
    typed: str = ""
    refused: str = ""
    tool: str = ""
    """The button that was pressed, which keeps the focus."""

    @property
    def rooms(self) -> list[tuple[str, list[Choice]]]:
        """What may be chosen, by the kind of thing it belongs to."""
        return [(room, list(found)) for room, found in groupby(self.choices, key=lambda each: each.room)]

    @property
    def many(self) -> bool:
        """Whether there are too many names for a list to choose from."""
        return len(self.choices) > LISTED


class Known(Struct, frozen=True):
    """What values are known to occur, by attribute: from the playbook and from the catalogue."""

    declared: Declarations
    environment: Environment
    categories: tuple[str, ...] = ()

    def of(self, row: Row) -> tuple[str, ...]:
        """The values that a row may be offered."""
        name, settings = row.attribute, self.declared.settings
        if name == SEGMENTS:
            return tuple(self.declared.segments)
        if name in _FIXED:
            return _FIXED[name]
        if name in _CATEGORIES or (name.endswith(".top") and self.splits(name.partition(".")[0]) == "category"):
            return self.categories
        if name == "location.country":
            return tuple(dict.fromkeys(market[:2] for market in settings.markets))
        if name == "locale":
            return settings.locales or (settings.locale,)
        if name == "language":
            return tuple(dict.fromkeys(tag.partition("-")[0] for tag in settings.locales or (settings.locale,)))
        if name == "currency":
            return (settings.currency,)
        if name == "request.networks":
            return tuple(settings.networks)
        return tuple(self.declared.offers) if name == "offer.promised" else ()

    def keys(self, row: Row) -> tuple[str, ...]:
        """The keys that a row which asks for one of many may be offered."""
        return self.categories if self.splits(row.attribute.removesuffix(EACH)) == "category" else ()

    def splits(self, feature: str) -> str:
        """What a feature is split by."""
        declared = self.declared.features.get(feature)
        return declared.by or "" if declared is not None else ""


def known_of(declared: Declarations, environment: Environment, catalogue: Catalogue) -> Known:
    """What is known of a store."""
    return Known(declared, environment, tuple(sorted(catalogue.by_category))[:LISTED])


def build(root: Group, known: Known, focus: Path | None = None, typed: str = "", refused: str = "") -> Builder:
    """The builder over these rows."""
    found = problems(root, known.environment)
    return Builder(
        root=_group(root, (), known, found, focus),
        text=text_of(root),
        choices=tuple(_choices(known.environment)),
        problem=found.get((), ""),
        unfinished=any(path for path in found),
        typed=typed,
        refused=refused,
    )


def _group(group: Group, path: Path, known: Known, found: Mapping[Path, str], focus: Path | None) -> GroupView:
    parts = tuple(_part(part, (*path, place), known, found, focus) for place, part in enumerate(group.parts))
    problem = found.get(path, "") if path else ""
    return GroupView(name_of(path), group.kind, parts, len(path) + 1 < DEPTH, problem, path == focus)


def _part(part: Part, path: Path, known: Known, found: Mapping[Path, str], focus: Path | None) -> PartView:
    if isinstance(part, Group):
        return _group(part, path, known, found, focus)
    if isinstance(part, Written):
        return WrittenView(name_of(path), part.text, found.get(path, ""), path == focus)
    keyed = EACH in part.attribute
    widget = _widget(part)
    return RowView(
        name=name_of(path),
        row=part,
        operators=operators_of(part.attribute, known.environment),
        widget=widget,
        value="\n".join(part.values) if widget == "lines" else "".join(part.values[-1:]).removesuffix(_utc(widget)),
        known=known.of(part)[:LISTED] if widget in ("text", "lines") else (),
        unit=_unit(part, known.environment),
        doc=_DOCS.get(part.attribute, ""),
        keyed=keyed,
        listed=_is_listed(part, known),
        problem=found.get(path, ""),
        focus=path == focus,
    )


def _is_listed(row: Row, known: Known) -> bool:
    """Whether its value is chosen from a short list and from nothing else: a segment is."""
    return row.attribute == SEGMENTS and len(known.declared.segments) <= LISTED


def _widget(row: Row) -> Widget:
    operator = OPERATORS.get(row.operator)
    if operator is None or not row.attribute:
        return "none"
    if operator.many:
        return "lines"
    if operator.wants == "moment":
        return "moment" if not row.values or row.values[-1].endswith("Z") else "text"
    return {"nothing": "none", "number": "number"}.get(operator.wants, "text")  # type: ignore[return-value]


def _utc(widget: Widget) -> str:
    return "Z" if widget == "moment" else ""


def _unit(row: Row, environment: Environment) -> str:
    operator = OPERATORS.get(row.operator)
    if operator is None or operator.wants not in ("number", "moment"):
        return ""
    if operator.wants == "moment":
        return "UTC"
    money = type_of(row.attribute, environment) in (Type.MONEY, Type.MONEY_AVERAGE) if row.attribute else False
    return environment.currency if money else ""


def _choices(environment: Environment) -> Iterable[Choice]:
    """Every attribute that a row may be about, those of one kind together."""
    found = [Choice(SEGMENTS, "segments")] if environment.segments else []
    for path, kind in environment.types.items():
        if path.startswith(f"{SEGMENTS}."):
            continue
        value = path.replace(".*", EACH) if path.endswith(".*") else path
        found.append(Choice(value, _room(path), _DOCS.get(path, "")))
        if kind is Type.STRING_SET:
            found.append(Choice(f"size({value})", _room(path), ""))
    order = ("segments", "history", "cart", "checkout", "device", "page", "place", "time", "visit", "person",
             "consent", "model")  # fmt: skip
    return sorted(found, key=lambda each: (order.index(each.room), each.value))


def _room(path: str) -> str:
    head = path.partition(".")[0].partition("[")[0]
    if head in _ROOMS:
        return _ROOMS[head]
    source = _SOURCES.get(path)
    if source is None:
        return "history"
    return "model" if source == "model" else "visit"
