"""The shape of a playbook as JSON Schema: what editors complete, and the one list of keys the reader knows."""

from typing import get_args

import msgspec

from cashwrap.declarations import Component, Kind, Measure
from cashwrap.model import Purpose

Schema = dict[str, object]

NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
"""Names of features, segments, placements and experiences: conditions can spell them."""
DURATION = "^[1-9][0-9]{0,5}(s|m|h|d|w)$"
PURPOSES = tuple(str(purpose.name).lower() for purpose in Purpose)
MEASURES: tuple[str, ...] = get_args(Measure)
KINDS: tuple[str, ...] = get_args(Kind)
COMPONENTS: tuple[str, ...] = get_args(Component)
METHODS = ("payment_methods", "delivery_methods")


def _object(doc: str, needs: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    schema: Schema = {
        "description": doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**schema, "required": list(needs)} if needs else schema


def _text(doc: str, **more: object) -> Schema:
    return {"description": doc, "type": "string", **more}


def _choice(doc: str, values: tuple[str, ...]) -> Schema:
    return {"description": doc, "enum": list(values)}


def _integer(doc: str, **more: object) -> Schema:
    return {"description": doc, "type": "integer", **more}


def _flag(doc: str) -> Schema:
    return {"description": doc, "type": "boolean"}


def _amount(doc: str) -> Schema:
    return {"description": doc, "type": ["number", "string"]}


def _list(doc: str, items: Schema) -> Schema:
    return {"description": doc, "type": "array", "items": items}


def _map(doc: str, values: Schema, names: str = "") -> Schema:
    schema: Schema = {"description": doc, "type": "object", "additionalProperties": values}
    return {**schema, "propertyNames": {"pattern": names}} if names else schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_ONE_OR_MORE: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_TEXTS: Schema = {
    "description": "A text by locale, or one text for the shop's own locale. {placeholders} name attributes.",
    "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
}
_CONDITION: Schema = {
    "description": "A condition. Quote the whole of it in single quotes where it starts with a quote or !.",
    "type": ["string", "boolean"],
}
_IDS = _list("Method ids, as the shop's checkout names them.", {"type": "string"})

_SHOP = _object(
    "What holds for the whole shop.",
    currency=_text("ISO 4217 code; money in conditions is in its major units.", pattern="^[A-Z]{3}$"),
    locale=_text("The locale that texts fall back to."),
    locales=_list("The locales every text is expected in.", {"type": "string"}),
    time_zone=_text("IANA name, for shoppers whose own time zone is not known."),
    purposes=_map(
        "Categories of your consent tool and the purposes each stands for.",
        _list("Purposes.", {"enum": list(PURPOSES)}),
    ),
    country_header=_text("The header that names the country and that only your proxy can set."),
    request_level=_flag("Whether decisions run on the request's own facts before consent."),
    gpc_allows_personalization=_map(
        "Markets where Sec-GPC leaves personalization alone, each with the recorded reason.",
        {"type": "string"},
    ),
    internal_networks=_list("Address ranges (CIDR) of your own people.", {"type": "string"}),
)
_EVENT = _object(
    "An event of the shop's own, or more fields for a standard one.",
    fields=_map("Fields that may be kept, by kind.", {"enum": list(KINDS)}),
    purpose=_choice("Why it may be kept.", PURPOSES),
)
_FEATURE: Schema = {
    **_object(
        "An aggregate over a shopper's events: one measure, and what it is of.",
        of=_text("The field that is measured."),
        by=_text("The field it is split by."),
        per={"description": "The events that divide a rate.", **_ONE_OR_MORE},
        where={**_CONDITION, "description": "Which events count: a condition over their fields."},
        window=_text("How far back, such as 30d.", pattern=DURATION),
        half_life=_text("How fast a decayed count forgets, such as 7d.", pattern=DURATION),
        session=_flag("Only the current session."),
        purpose=_choice("Why it may be used.", PURPOSES),
        **{measure: {"description": f"{measure} over these events.", **_ONE_OR_MORE} for measure in MEASURES},
    ),
    "oneOf": [{"required": [measure]} for measure in MEASURES],
}
_SEGMENT = _object(
    "A named condition, or a list whose members are pushed in.",
    when=_CONDITION,
    members=_choice("Who is inside comes from outside, such as a CRM.", ("pushed",)),
    description=_text("For people."),
)
_PLACEMENT = _object(
    "A named spot of the checkout.",
    ("component",),
    component=_choice("What stands there.", COMPONENTS),
    of=_choice("Which list an options placement orders.", METHODS),
    purpose=_choice("What a decision here needs beyond its level.", PURPOSES),
)
_EXPERIENCE = _object(
    "When this holds, show this in this placement.",
    ("in", "show"),
    **{"in": _text("The placement.")},
    when=_CONDITION,
    show={
        "description": "The content; its keys depend on the placement's component.",
        "anyOf": [_ref(component) for component in COMPONENTS],
    },
    priority=_integer("The higher one wins, then the one written first.", minimum=-1000, maximum=1000),
    enabled=_flag("Switched off where false."),
)
_PROGRESS = _object(
    "How far an attribute is on its way to a target.",
    ("of", "to"),
    of=_text("An attribute that holds money, such as cart.total."),
    to=_amount("The target, in major units."),
)
_CONTENT: dict[str, Schema] = {
    "message": _object(
        "A text, optionally with the progress towards a target.",
        ("text",),
        text=_TEXTS,
        tone=_text("Which of the tones to speak in; a name, or the attribute that holds it."),
        tones=_map("Other wordings by tone.", _TEXTS),
        progress=_ref("progress"),
    ),
    "options": _object(
        "Operations on the methods the shop offers now.",
        first=_IDS,
        last=_IDS,
        highlight=_IDS,
        badge=_map("A few words beside a method.", _TEXTS),
        rename=_map("Another name for a method.", _TEXTS),
        hide=_IDS,
    ),
    "products": _object(
        "Products from the catalogue.",
        ("from",),
        **{"from": _choice("Where they come from.", ("complements", "category", "popular"))},
        limit=_integer("How many at most.", minimum=1, maximum=24),
        category=_text("A category of the catalogue, or the attribute that holds one."),
        title=_TEXTS,
    ),
    "button": _object(
        "A label and a style.", ("text",), text=_TEXTS, style=_text("A style token of the shop's theme.")
    ),
    "field": _object(
        "How a form field starts.",
        ("state",),
        state=_choice("Open or folded away.", ("show", "collapse")),
        prefill=_text("What it holds at first, such as {traits.city}."),
    ),
    "help": _object(
        "A hint beside a part of the checkout.",
        ("text",),
        text=_TEXTS,
        style=_choice("How it appears.", ("tooltip", "inline")),
    ),
    "layout": _object(
        "Design tokens by name.",
        ("tokens",),
        tokens=_map("Short words, numbers or colours.", {"type": ["string", "number", "boolean"]}),
    ),
    "installments": _object(
        "A line such as 3 x 66.00 EUR, from a plan at no cost to the shopper.",
        ("count",),
        count=_integer("How many instalments.", minimum=2, maximum=60),
        minimum=_amount("The smallest total, in major units."),
        text=_TEXTS,
    ),
}

_DECLARED: dict[str, Schema] = {
    "shop": _SHOP,
    "event": _EVENT,
    "feature": _FEATURE,
    "segment": _SEGMENT,
    "placement": _PLACEMENT,
    "experience": _EXPERIENCE,
    "progress": _PROGRESS,
    **_CONTENT,
}

_CASES: dict[str, Schema] = {
    "case": _object(
        "A shopper at a moment, and what must come of it.",
        ("name", "expect"),
        name=_text("What it shows, in a few words."),
        given=_ref("given"),
        expect=_ref("expect"),
    ),
    "given": _object(
        "What happened before, and what the page says.",
        now=_text("The moment, such as 2026-03-02T20:30:00+01:00; noon of 15 January 2026 (UTC) where left out."),
        consent=_list("The purposes the shopper has granted.", {"enum": list(PURPOSES)}),
        user=_text("The shopper's verified user id."),
        traits=_map("Traits of the shopper.", {}),
        country=_text("What your trusted country header says."),
        events=_list("What the shopper did, in any order.", _ref("happened")),
        context={"description": "What the page sends: the context of POST /v1/decide.", "type": "object"},
    ),
    "happened": _object(
        "One event.",
        ("event",),
        event=_text("Its name."),
        ago=_text("How long before now, such as 3d.", pattern=DURATION),
        times=_integer("How often, a millisecond apart.", minimum=1, maximum=1000),
        browser=_flag("Sent by the shopper's browser instead of your backend, so that it moves no money."),
        properties={"description": "Its properties, as the tracking API takes them.", "type": "object"},
        context={"description": "Its context, as the tracking API takes it.", "type": "object"},
    ),
    "expect": _object(
        "What must come of it.",
        segments=_ref("expect_segments"),
        placements=_map("The experience that shows, or default, by placement.", {"type": "string"}),
    ),
    "expect_segments": _object(
        "Segments the shopper must be in or out of.",
        **{"in": _list("Inside.", {"type": "string"})},
        out=_list("Outside, or not known.", {"type": "string"}),
    ),
}

DEFINITIONS: dict[str, Schema] = _DECLARED | _CASES

PLAYBOOK: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "cashwrap playbook",
    "$defs": _DECLARED,
    **_object(
        "One file of a playbook; the files of a folder are read as one.",
        shop=_ref("shop"),
        events=_map("Events of the shop's own, by name.", _ref("event")),
        traits=_map("Traits that may be kept, by kind.", {"enum": list(KINDS)}, NAME),
        features=_map("Aggregates over a shopper's events.", _ref("feature"), NAME),
        segments=_map("Named conditions.", {"anyOf": [{"type": ["string", "boolean"]}, _ref("segment")]}, NAME),
        placements=_map("Named spots of the checkout.", _ref("placement"), NAME),
        experiences=_map("What is shown to whom, and where.", _ref("experience"), NAME),
    ),
}


def keys(schema: Schema) -> tuple[str, ...]:
    """The keys an object of this schema may have, in the order documented."""
    properties = schema["properties"]
    assert isinstance(properties, dict)  # noqa: S101 - only objects are asked
    return tuple(properties)


def required(schema: Schema) -> tuple[str, ...]:
    """The keys it must have."""
    names = schema.get("required", [])
    assert isinstance(names, list)  # noqa: S101 - built here
    return tuple(names)


def playbook_schema() -> Schema:
    """The JSON Schema of a playbook's files."""
    return PLAYBOOK


def encode() -> bytes:
    """``spec/schemas/playbook.json``, to the byte."""
    return msgspec.json.format(msgspec.json.encode(PLAYBOOK), indent=2) + b"\n"
