"""The shape of a playbook as JSON Schema: what editors complete, and the one list of keys the reader knows."""

from typing import get_args

import msgspec

from cashwrap.attention import KEPT
from cashwrap.declarations import Codes, Component, Kind, Measure, OfferKind
from cashwrap.model import Purpose, Reason
from cashwrap.offers.markets import MARKET

Schema = dict[str, object]

MAX_SHOWN = 1_000_000
MAX_WEIGHT = 100

NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
"""Names of features, segments, placements and experiences: conditions can spell them."""
DURATION = "^[1-9][0-9]{0,5}(s|m|h|d|w)$"
SHARE = r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$"
MOMENT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"
"""A local time."""
DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
HOURS = "^[0-9]{1,2}-[0-9]{1,2}$"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
START = "start"
"""In place of a moment: from the beginning."""
SALT = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
PURPOSES = tuple(str(purpose.name).lower() for purpose in Purpose)
MEASURES: tuple[str, ...] = get_args(Measure)
KINDS: tuple[str, ...] = get_args(Kind)
COMPONENTS: tuple[str, ...] = get_args(Component)
METHODS = ("payment_methods", "delivery_methods")
ZONES = ("shop", "shopper")
SEES = ("default", "next")
BENEFITS = ("percent", "amount", "free_delivery", "free_item", "tiers")
OFFER_KINDS: tuple[str, ...] = get_args(OfferKind)
CODES: tuple[str, ...] = get_args(Codes)
PICKS = ("best", "first")
CLOSED = ("exhausted", "used", "ended", "cooling", "frozen")
MAX_USES = 1_000_000_000
MAX_TIERS = 20


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


def _share(doc: str) -> Schema:
    return _text(doc, pattern=SHARE)


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

_MARKET: Schema = {"type": "string", "pattern": f"^{MARKET}$"}

RETENTION = _object(
    "How long things are kept before they are removed for good.",
    events=_text("The log's events, such as 90d. What they said stays in features and orders.", pattern=DURATION),
    idle_profiles=_text("Shoppers of whom nothing more comes, such as 395d.", pattern=DURATION),
    failed=_text("Failed events, such as 30d; without it until an operator acts.", pattern=DURATION),
)
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
    markets=_list("Where you sell: countries or parts of them, such as DE or US-NY.", _MARKET),
    no_personal_prices=_list("Markets where no offer is made that personal data has a part in.", _MARKET),
    personal_prices=_map(
        "Markets where such offers are made although the table of market rules says no, with the recorded reason.",
        {"type": "string", "minLength": 1},
    ),
    internal_networks=_list("Address ranges (CIDR) of your own people.", {"type": "string"}),
    networks=_map('Address ranges (CIDR) by name, for conditions: "office" in request.networks.', _ONE_OR_MORE, NAME),
    decision_records=_share("The share of decisions that are kept with their inputs, to be explained later."),
    decision_retention=_text("How long those are kept, such as 14d.", pattern=DURATION),
    retention=RETENTION,
    one_experiment_per_shopper=_flag("Whether a shopper takes part in one experiment at most."),
)
_UNIT: Schema = {
    "description": "Who is assigned: the first of these that is known. anonymous, user, cart, or an attribute.",
    **_ONE_OR_MORE,
}
_HOLDOUT = _object(
    "Shoppers who get your own default everywhere, so that the whole can be measured.",
    ("share",),
    share=_share("How many of them."),
    unit=_UNIT,
    salt=_text("Another salt draws another group.", pattern=SALT),
)
_CAPS = _object(
    "How often this may be shown to one shopper.",
    session=_integer("In one visit.", minimum=1, maximum=KEPT),
    day=_integer("In 24 hours.", minimum=1, maximum=KEPT),
    shopper=_integer("Ever.", minimum=1, maximum=MAX_SHOWN),
    cool_down=_text("The quiet after a shopper has dismissed it, such as 7d.", pattern=DURATION),
)
_LAYER = _object("Experiments of which a unit is in one at most.", unit=_UNIT)
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
    format=_text("Placements of one format share its caps; left out, it is the component.", pattern=NAME),
    layer=_text("The layer of its experiments that name none."),
    attention=_ref("caps"),
)
_SCHEDULE = _object(
    "When it runs.",
    **{"from": _text("The first moment, such as 2026-12-01T08:00.", pattern=MOMENT)},
    until=_text("The moment it ends, not included.", pattern=MOMENT),
    days=_list("Days of the week.", {"enum": list(DAYS)}),
    hours=_text("Hours of the day, such as 9-18, or 22-2 past midnight.", pattern=HOURS),
    zone=_choice("Whose clock: shop (left out), or shopper.", ZONES),
)
_EXPERIMENT = _object(
    "Who sees which variation, and who sees none.",
    arms=_map("Variations, and control, with their shares; 100% together.", {"type": "string", "pattern": SHARE}),
    control=_share("In place of arms, for one variation: the share that does not see it."),
    goal=_text("What it is meant to raise."),
    unit=_UNIT,
    traffic={
        "description": "The share of units that take part, or such shares by the moment each begins.",
        "anyOf": [
            {"type": "string", "pattern": SHARE},
            {
                "type": "object",
                "required": [START],
                "additionalProperties": {"type": "string", "pattern": SHARE},
                "propertyNames": {"anyOf": [{"const": START}, {"pattern": DAY}, {"pattern": MOMENT}]},
            },
        ],
    },
    layer=_text("The layer it shares units with."),
    holdout=_share("The share of units kept out for good."),
    control_sees=_choice("What control gets: your default (left out), or the next experience that fits.", SEES),
    salt=_text("Another salt starts the experiment afresh.", pattern=SALT),
    sticky=_flag("Whether who has seen an arm stays in it."),
)
_PERCENT: Schema = {
    "description": "A percentage, in steps of 0.01.",
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 100,
}
_BENEFIT: Schema = {
    **_object(
        "What an offer takes off: one of these.",
        percent=_PERCENT,
        most=_amount("The largest amount that the percentage comes to, in major units."),
        amount=_amount("An amount off, in major units."),
        free_delivery={"description": "Delivery methods that cost nothing.", **_ONE_OR_MORE},
        free_item=_text("A product of which one piece in the cart costs nothing."),
        tiers=_list("Amounts from which on it is more; the last one reached counts.", _ref("tier")),
    ),
    "oneOf": [{"required": [benefit]} for benefit in BENEFITS],
}
_TIER: Schema = {
    **_object(
        "One of the tiers.",
        ("from",),
        **{"from": _amount("The amount it begins at, in major units.")},
        percent=_PERCENT,
        amount=_amount("An amount off, in major units."),
    ),
    "oneOf": [{"required": ["percent"]}, {"required": ["amount"]}],
}
_OFFER_LIMITS = _object(
    "How often it may be used, however many ask at once.",
    total=_integer("In all.", minimum=1, maximum=MAX_USES),
    shopper=_integer("By one shopper.", minimum=1, maximum=MAX_USES),
    code=_integer("With one code.", minimum=1, maximum=MAX_USES),
    day=_integer("In one day, by the shop's clock.", minimum=1, maximum=MAX_USES),
    budget=_amount("What all uses may come to, in major units."),
)
_OFFER = _object(
    "A promotion beside the shop's own.",
    ("benefit",),
    kind=_choice("What reports group it by.", OFFER_KINDS),
    when=_CONDITION,
    benefit=_ref("benefit"),
    bundle=_list("Products that must all be in the cart; the benefit is off these alone.", {"type": "string"}),
    group=_text("The group of offers of which a cart has one at most."),
    limits=_ref("offer_limits"),
    currency=_text("That of its amounts; left out, the shop's.", pattern="^[A-Z]{3}$"),
    lasts=_text("How long a shopper has it from the first time it was granted to them, such as 48h.", pattern=DURATION),
    again_after=_text("How long after that time it may be granted to them again.", pattern=DURATION),
    freeze=_text("How long an offer that was not for a shopper at first sight stays so.", pattern=DURATION),
    holds=_text("How long a reservation lasts.", pattern=DURATION),
    codes=_choice("Whether a code opens it: none, single-use ones, or one that is shared.", CODES),
    text=_TEXTS,
    enabled=_flag("Switched off where false."),
)
_OFFER_GROUP = _object(
    "Offers of which a cart has one at most.",
    pick=_choice("Which one best_of grants: the best on that cart (left out), or the first as written.", PICKS),
)
_GRANTS: Schema = {
    "description": "The offer that it grants, or the group whose best it grants.",
    "anyOf": [{"type": "string"}, _ref("best_of")],
}
_BEST_OF = _object("One offer of a group.", ("best_of",), best_of=_text("The group."))
_CONTENTS: Schema = {"anyOf": [_ref(component) for component in COMPONENTS]}
_EXPERIENCE: Schema = {
    **_object(
        "When this holds, show this in this placement.",
        ("in",),
        **{"in": _text("The placement.")},
        when=_CONDITION,
        show={"description": "The content; its keys depend on the placement's component.", **_CONTENTS},
        variations=_map("Several contents by name, in place of show; an experiment shares them out.", _CONTENTS, NAME),
        offer=_GRANTS,
        experiment=_ref("experiment"),
        priority=_integer(
            "The higher one wins, then by weight, then the one written first.", minimum=-1000, maximum=1000
        ),
        weight=_integer("Its share among those of equal priority that have one.", minimum=1, maximum=MAX_WEIGHT),
        schedule=_ref("schedule"),
        attention=_ref("caps"),
        enabled=_flag("Switched off where false."),
    ),
    "oneOf": [{"required": ["show"]}, {"required": ["variations"]}],
}
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
    "holdout": _HOLDOUT,
    "caps": _CAPS,
    "layer": _LAYER,
    "schedule": _SCHEDULE,
    "experiment": _EXPERIMENT,
    "event": _EVENT,
    "feature": _FEATURE,
    "segment": _SEGMENT,
    "placement": _PLACEMENT,
    "offer": _OFFER,
    "benefit": _BENEFIT,
    "tier": _TIER,
    "offer_limits": _OFFER_LIMITS,
    "offer_group": _OFFER_GROUP,
    "best_of": _BEST_OF,
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
        **{"as": _text("The anonymous id, which assigns: another one may be in other arms.")},
        in_arms=_map("Arms the shopper has seen before and stays in, by experience.", {"type": "string"}),
        closed=_map("Offers that cannot be granted, and why.", {"enum": list(CLOSED)}),
        promised=_map("Offers that run for the shopper, and for how much longer, such as 36h.", {"type": "string"}),
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
        placements=_map(
            "The experience that shows, or default, by placement.",
            {"anyOf": [{"type": "string"}, _ref("expect_placement")]},
        ),
    ),
    "expect_placement": _object(
        "What a placement answers.",
        shows=_text("The experience that shows, or default."),
        variation=_text("The variation, or the arm that kept the experience back."),
        reason=_choice("The answer's reason.", get_args(Reason)),
        offer=_text("The offer that is granted with it, or none."),
        amount=_amount("What that takes off the cart, in major units."),
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
        holdout=_ref("holdout"),
        attention=_map("Caps by format; all is for everything shown.", _ref("caps"), NAME),
        layers=_map("Experiments that exclude each other.", {"anyOf": [{"type": "null"}, _ref("layer")]}, NAME),
        events=_map("Events of the shop's own, by name.", _ref("event")),
        traits=_map("Traits that may be kept, by kind.", {"enum": list(KINDS)}, NAME),
        features=_map("Aggregates over a shopper's events.", _ref("feature"), NAME),
        segments=_map("Named conditions.", {"anyOf": [{"type": ["string", "boolean"]}, _ref("segment")]}, NAME),
        placements=_map("Named spots of the checkout.", _ref("placement"), NAME),
        offers=_map("Promotions beside the shop's own.", _ref("offer"), NAME),
        offer_groups=_map("Offers that exclude each other.", {"anyOf": [{"type": "null"}, _ref("offer_group")]}, NAME),
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
