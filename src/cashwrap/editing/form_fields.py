"""The fields of a form, from the schema of a playbook: whatever may be written can be entered, and nothing is missing.

A form shows an entry (plain values, as YAML holds them) and gives back another. What was not changed in the form stays
the very value it was, what the form does not know stays where it is, and what cannot be understood is handed on as it
was typed: the checker says what is wrong with it.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Literal, cast

from msgspec import Struct

from cashwrap.playbook.document import resolve
from cashwrap.playbook.json_schema import SHARE, Schema
from cashwrap.playbook.schema import DEFINITIONS, START

Value = None | bool | int | Decimal | str | list["Value"] | dict[str, "Value"]
"""What YAML holds."""
Entry = dict[str, Value]
Kind = Literal[
    "text", "texts", "choice", "choices", "number", "share", "flag", "list", "map", "record", "table", "steps",
    "grants", "condition",
]  # fmt: skip
"""How a value is entered. ``texts`` is one text for each locale, ``map`` has names for keys, ``table`` rows of records,
``steps`` shares by the moment each begins, ``grants`` an offer or a group of them."""
ROWS = 100
"""Rows of a map or a table that a form reads."""
_ON = frozenset({"enabled", "sticky", "request_level"})
"""Switches that are on where nothing is said."""
_FORM = Mapping[str, Sequence[str]]


class Field(Struct, frozen=True):
    """One key of an entry. ``doc`` is what the schema says of it; ``fields`` are those of a record or of a table's
    rows, and the one a map's values have."""

    key: str
    kind: Kind
    doc: str
    required: bool = False
    choices: tuple[str, ...] = ()
    fields: tuple["Field", ...] = ()

    @property
    def usual(self) -> bool:
        """What a switch is where nothing is said."""
        return self.key in _ON


class Shown(Struct, frozen=True):
    """A field as a form shows it: ``name`` is the input's, ``value`` what stands in it, ``values`` those chosen of
    several. ``rows`` are the lines of a map or a table, each beginning with its key where it has one; ``path`` is where
    the value stands in the entry."""

    field: Field
    name: str
    path: tuple[str, ...]
    value: str = ""
    values: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    fields: tuple["Shown", ...] = ()
    rows: tuple["Line", ...] = ()

    @property
    def filled(self) -> bool:
        """Whether anything is entered."""
        below = any(each.filled for each in self.fields) or any(not line.blank for line in self.rows)
        return bool(self.value or self.values or below or any(text for _, text in self.texts))


class Line(Struct, frozen=True):
    """One line of a map or a table; ``blank`` is the one for another."""

    name: str
    key: str
    fields: tuple[Shown, ...]
    blank: bool = False


# --- from the schema ---


@cache
def fields_of(definition: str) -> tuple[Field, ...]:
    """The fields of a definition of the schema, in its order: ``message``, ``schedule``, ``experience``."""
    return _fields(DEFINITIONS[definition])


def _fields(schema: Schema) -> tuple[Field, ...]:
    properties = cast("dict[str, Schema]", schema["properties"])
    needed = cast("list[str]", schema.get("required", []))
    return tuple(_field(key, each, required=key in needed) for key, each in properties.items())


def _field(key: str, schema: Schema, *, required: bool = False) -> Field:
    if "$ref" in schema:
        schema = DEFINITIONS[str(schema["$ref"]).rpartition("/")[2]]
    doc = str(schema.get("description", ""))
    kind, more = _kind(schema)
    choices = more if kind in ("choice", "choices") else ()
    below = more if kind in ("record", "table", "map") else ()
    return Field(key, kind, doc, required, cast("tuple[str, ...]", choices), cast("tuple[Field, ...]", below))


def _kind(schema: Schema) -> tuple[Kind, tuple[object, ...]]:
    """How a value of this schema is entered, and what it is chosen from or made of."""
    if "enum" in schema:
        return "choice", tuple(cast("list[str]", schema["enum"]))
    if "anyOf" in schema:
        return _one_of(cast("list[Schema]", schema["anyOf"])), ()
    kind = schema.get("type")
    if kind == "object":
        return _object(schema)
    if kind == "array":
        return _array(cast("Schema", schema["items"]))
    if kind == "boolean":
        return "flag", ()
    if kind == ["string", "boolean"]:
        return "condition", ()
    if kind == "string":
        return ("share" if schema.get("pattern") == SHARE else "text"), ()
    return ("text" if isinstance(kind, list) and "boolean" in kind else "number"), ()


def _one_of(options: list[Schema]) -> Kind:
    other = options[-1]
    if other.get("type") == "array":
        return "list"
    if other.get("type") == "object" and "additionalProperties" in other and other["additionalProperties"]:
        return "steps" if "propertyNames" in other else "texts"
    return "grants"


def _object(schema: Schema) -> tuple[Kind, tuple[object, ...]]:
    if "properties" in schema:
        return "record", _fields(schema)
    return "map", (_field("", cast("Schema", schema["additionalProperties"])),)


def _array(items: Schema) -> tuple[Kind, tuple[object, ...]]:
    if "enum" in items:
        return "choices", tuple(cast("list[str]", items["enum"]))
    if "$ref" in items:
        return "table", _field("", items).fields
    return "list", ()


# --- an entry as a form shows it ---


class Shop(Struct, frozen=True):
    """What forms need to know of a shop: the locale of a text alone, and all that texts are written in."""

    locale: str = "en"
    locales: tuple[str, ...] = ()


def show(
    fields: Sequence[Field], entry: Mapping[str, Value], shop: Shop, name: str, path: tuple[str, ...] = ()
) -> tuple[Shown, ...]:
    """The fields with what an entry has in them; inputs are named ``name.key``."""
    return tuple(_show(each, entry.get(each.key), shop, f"{name}.{each.key}", (*path, each.key)) for each in fields)


def _show(field: Field, value: Value, shop: Shop, name: str, path: tuple[str, ...]) -> Shown:
    match field.kind:
        case "record":
            entry = value if isinstance(value, dict) else {}
            return Shown(field, name, path, fields=show(field.fields, entry, shop, name, path))
        case "map":
            return Shown(field, name, path, rows=_map_lines(field, value, shop, name, path))
        case "table":
            return Shown(field, name, path, rows=_table_lines(field, value, shop, name, path))
        case "steps":
            return Shown(field, name, path, rows=_step_lines(field, value, name, path))
        case "texts":
            return Shown(field, name, path, texts=_texts(value, shop))
        case "choices":
            return Shown(field, name, path, values=tuple(_plain(each) for each in _items(value)))
    return Shown(field, name, path, value=_typed(field, value))


def _typed(field: Field, value: Value) -> str:
    """What stands in a field's one input."""
    match field.kind:
        case "list":
            return ", ".join(_plain(each) for each in _items(value))
        case "grants":
            group = value.get("best_of") if isinstance(value, dict) else None
            return f"best_of:{_plain(group)}" if group is not None else f"offer:{_plain(value)}" if value else ""
        case "share":
            return _plain(value).removesuffix("%")
        case "flag":
            return _plain(field.usual if value is None else value)
    return _plain(value)


def _plain(value: Value) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(value: Value, shop: Shop) -> tuple[tuple[str, str], ...]:
    """A text for each locale of the shop, and for each other one that has one."""
    written = value if isinstance(value, dict) else {} if value is None else {shop.locale: value}
    order = dict.fromkeys([*(shop.locales or (shop.locale,)), *written])
    return tuple((locale, _plain(written.get(locale))) for locale in order)


def _map_lines(field: Field, value: Value, shop: Shop, name: str, path: tuple[str, ...]) -> tuple[Line, ...]:
    inner, entries = field.fields[0], value if isinstance(value, dict) else {}
    lines = []
    for place, (key, each) in enumerate([*entries.items(), ("", None)]):
        shown = _show(inner, each, shop, f"{name}.{place}.value", (*path, key))
        lines.append(Line(f"{name}.{place}", key, (shown,), place == len(entries)))
    return tuple(lines)


def _table_lines(field: Field, value: Value, shop: Shop, name: str, path: tuple[str, ...]) -> tuple[Line, ...]:
    rows = [each if isinstance(each, dict) else {} for each in _items(value)]
    return tuple(
        Line(
            f"{name}.{place}",
            "",
            show(field.fields, row, shop, f"{name}.{place}", (*path, str(place))),
            place == len(rows),
        )
        for place, row in enumerate([*rows, Entry()])
    )


def _step_lines(field: Field, value: Value, name: str, path: tuple[str, ...]) -> tuple[Line, ...]:
    steps = value if isinstance(value, dict) else {} if value is None else {START: value}
    inner = Field("", "share", field.doc)
    entries = [*steps.items(), (START if not steps else "", None)]
    return tuple(
        Line(
            f"{name}.{place}",
            key,
            (_show(inner, each, Shop(), f"{name}.{place}.value", (*path, key)),),
            place == len(steps),
        )
        for place, (key, each) in enumerate(entries)
    )


# --- what was entered ---


def read(fields: Sequence[Field], form: _FORM, before: Mapping[str, Value], shop: Shop, name: str) -> Entry:
    """The entry that a form says, where ``before`` was shown in it: every other key is as it was.

    A field that the form did not have is as it was too; one that is empty now is left out.
    """
    found = dict(before)
    for field in fields:
        at = f"{name}.{field.key}"
        if not _has(form, at):
            continue
        value = _read(field, form, before.get(field.key), shop, at)
        if value is None:
            found.pop(field.key, None)
        else:
            found[field.key] = value
    order = [*before, *(field.key for field in fields if field.key not in before)]
    return {key: found[key] for key in order if key in found}


def _has(form: _FORM, name: str) -> bool:
    return name in form or any(each.startswith(f"{name}.") for each in form)


def _read(field: Field, form: _FORM, before: Value, shop: Shop, name: str) -> Value:
    """A field's value; ``None`` where it says nothing."""
    match field.kind:
        case "record":
            return read(field.fields, form, before if isinstance(before, dict) else {}, shop, name) or None
        case "map":
            return _read_map(field, form, before, shop, name)
        case "table":
            return _read_table(field, form, before, shop, name)
        case "steps":
            return _read_steps(form, before, name)
        case "texts":
            return _read_texts(form, before, shop, name)
        case "list":
            return _read_list(form, before, name)
        case "choices":
            chosen = tuple(each for each in form.get(name, ()) if each)
            same = chosen == tuple(_plain(each) for each in _items(before))
            return before if same else list(chosen) or None
        case "grants":
            kind, _, target = _last(form, name).partition(":")
            return {"best_of": target} if kind == "best_of" and target else target or None
    return _read_plain(field, _last(form, name), before)


def _last(form: _FORM, name: str) -> str:
    return (form.get(name) or ("",))[-1].strip()


def _read_plain(field: Field, typed: str, before: Value) -> Value:
    if typed == _typed(field, before).strip():
        return before
    if not typed:
        return None
    if field.kind == "share":
        return typed if typed.endswith("%") else f"{typed}%"
    if field.kind == "flag":
        return None if (typed == "true") == field.usual else typed == "true"
    if field.kind == "number" or (field.kind == "text" and not field.key):
        number = resolve(typed)
        return number if isinstance(number, int | Decimal) and not isinstance(number, bool) else typed
    return typed


def _read_list(form: _FORM, before: Value, name: str) -> Value:
    typed = _last(form, name)
    if typed == ", ".join(_plain(each) for each in _items(before)).strip():
        return before
    items: list[Value] = [each.strip() for each in re.split(r"[,\n]", typed) if each.strip()]
    return items or None


def _read_texts(form: _FORM, before: Value, shop: Shop, name: str) -> Value:
    shown = dict(_texts(before, shop))
    found = {key.removeprefix(f"{name}."): _last(form, key) for key in form if key.startswith(f"{name}.")}
    if all(found.get(locale, text) == text.strip() for locale, text in shown.items()):
        return before
    texts: Entry = {locale: text for locale in [*shown, *found] if (text := found.get(locale, shown.get(locale, "")))}
    return texts or None


def _numbered(form: _FORM, name: str) -> list[int]:
    """The lines that a form has below a name."""
    found = {key.removeprefix(f"{name}.").partition(".")[0] for key in form if key.startswith(f"{name}.")}
    return sorted(int(each) for each in found if re.fullmatch("[0-9]{1,3}", each))[:ROWS]


def _read_map(field: Field, form: _FORM, before: Value, shop: Shop, name: str) -> Value:
    inner, old, found = field.fields[0], before if isinstance(before, dict) else {}, Entry()
    for place in _numbered(form, name):
        key = _last(form, f"{name}.{place}.key")
        if key:
            found[key] = _read(inner, form, old.get(key), shop, f"{name}.{place}.value")
    return before if found == old and before is not None else found or None


def _read_table(field: Field, form: _FORM, before: Value, shop: Shop, name: str) -> Value:
    old, found = _items(before), list[Value]()
    for place in _numbered(form, name):
        each = old[place] if place < len(old) else None
        row = read(field.fields, form, each if isinstance(each, dict) else {}, shop, f"{name}.{place}")
        if row:
            found.append(row)
    return before if found == old and before is not None else found or None


def _read_steps(form: _FORM, before: Value, name: str) -> Value:
    steps = before if isinstance(before, dict) else {} if before is None else {START: before}
    found = Entry()
    for place in _numbered(form, name):
        key, typed = _last(form, f"{name}.{place}.key"), _last(form, f"{name}.{place}.value")
        if key and typed:
            found[key] = typed if typed.endswith("%") else f"{typed}%"
    if found == steps:
        return before
    return found[START] if list(found) == [START] else found or None
