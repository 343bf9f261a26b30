"""The shape of a playbook as JSON Schema: what editors complete, and the one list of keys the reader knows."""

from typing import get_args

import msgspec

from cashwrap.attention import KEPT
from cashwrap.declarations import Codes, Component, Kind, Measure, OfferKind, ProductSource
from cashwrap.model import Purpose, Reason
from cashwrap.offers.markets import MARKET
from cashwrap.playbook.json_schema import (
    CONDITION,
    DAY,
    DURATION,
    NAME,
    ONE_OR_MORE,
    SHARE,
    Schema,
    amount,
    choice,
    flag,
    integer,
    list_of,
    map_of,
    object_of,
    ref,
    share,
    text,
)
from cashwrap.playbook.metric_schema import DESIGN, METRIC, METRIC_PART, RATES

MAX_SHOWN = 1_000_000
MAX_WEIGHT = 100

MOMENT = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$"
"""A local time."""
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
PRODUCT_SOURCES: tuple[str, ...] = get_args(ProductSource)
MODELS = ("basket", "next_item")
VERSIONS = ("live", "candidate")
MAX_TIERS = 20


_TEXTS: Schema = {
    "description": "A text by locale, or one text for the shop's own locale. {placeholders} name attributes.",
    "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
}
_IDS = list_of("Method ids, as the shop's checkout names them.", {"type": "string"})

_MARKET: Schema = {"type": "string", "pattern": f"^{MARKET}$"}

RETENTION = object_of(
    "How long things are kept before they are removed for good.",
    events=text("The log's events, such as 90d. What they said stays in features and orders.", pattern=DURATION),
    idle_profiles=text("Shoppers of whom nothing more comes, such as 395d.", pattern=DURATION),
    failed=text("Failed events, such as 30d; without it until an operator acts.", pattern=DURATION),
)
_SHOP = object_of(
    "What holds for the whole shop.",
    currency=text("ISO 4217 code; money in conditions is in its major units.", pattern="^[A-Z]{3}$"),
    locale=text("The locale that texts fall back to."),
    locales=list_of("The locales every text is expected in.", {"type": "string"}),
    time_zone=text("IANA name, for shoppers whose own time zone is not known."),
    purposes=map_of(
        "Categories of your consent tool and the purposes each stands for.",
        list_of("Purposes.", {"enum": list(PURPOSES)}),
    ),
    country_header=text("The header that names the country and that only your proxy can set."),
    request_level=flag("Whether decisions run on the request's own facts before consent."),
    gpc_allows_personalization=map_of(
        "Markets where Sec-GPC leaves personalization alone, each with the recorded reason.",
        {"type": "string"},
    ),
    markets=list_of("Where you sell: countries or parts of them, such as DE or US-NY.", _MARKET),
    no_personal_prices=list_of("Markets where no offer is made that personal data has a part in.", _MARKET),
    personal_prices=map_of(
        "Markets where such offers are made although the table of market rules says no, with the recorded reason.",
        {"type": "string", "minLength": 1},
    ),
    internal_networks=list_of("Address ranges (CIDR) of your own people.", {"type": "string"}),
    networks=map_of('Address ranges (CIDR) by name, for conditions: "office" in request.networks.', ONE_OR_MORE, NAME),
    decision_records=share("The share of decisions that are kept with their inputs, to be explained later."),
    decision_retention=text("How long those are kept, such as 14d.", pattern=DURATION),
    retention=RETENTION,
    rates=RATES,
    one_experiment_per_shopper=flag("Whether a shopper takes part in one experiment at most."),
)
_UNIT: Schema = {
    "description": "Who is assigned: the first of these that is known. anonymous, user, cart, or an attribute.",
    **ONE_OR_MORE,
}
_HOLDOUT = object_of(
    "Shoppers who get your own default everywhere, so that the whole can be measured.",
    ("share",),
    share=share("How many of them."),
    unit=_UNIT,
    salt=text("Another salt draws another group.", pattern=SALT),
)
_CAPS = object_of(
    "How often this may be shown to one shopper.",
    session=integer("In one visit.", minimum=1, maximum=KEPT),
    day=integer("In 24 hours.", minimum=1, maximum=KEPT),
    shopper=integer("Ever.", minimum=1, maximum=MAX_SHOWN),
    cool_down=text("The quiet after a shopper has dismissed it, such as 7d.", pattern=DURATION),
)
_LAYER = object_of("Experiments of which a unit is in one at most.", unit=_UNIT)
_EVENT = object_of(
    "An event of the shop's own, or more fields for a standard one.",
    fields=map_of("Fields that may be kept, by kind.", {"enum": list(KINDS)}),
    purpose=choice("Why it may be kept.", PURPOSES),
)
_FEATURE: Schema = {
    **object_of(
        "An aggregate over a shopper's events: one measure, and what it is of.",
        of=text("The field that is measured."),
        by=text("The field it is split by."),
        per={"description": "The events that divide a rate.", **ONE_OR_MORE},
        where={**CONDITION, "description": "Which events count: a condition over their fields."},
        window=text("How far back, such as 30d.", pattern=DURATION),
        half_life=text("How fast a decayed count forgets, such as 7d.", pattern=DURATION),
        session=flag("Only the current session."),
        purpose=choice("Why it may be used.", PURPOSES),
        **{measure: {"description": f"{measure} over these events.", **ONE_OR_MORE} for measure in MEASURES},
    ),
    "oneOf": [{"required": [measure]} for measure in MEASURES],
}
_PREDICTION = object_of(
    "A chance that a model learns to tell of a shopper, as an attribute of this name.",
    ("at", "events"),
    at={"description": "The events at which it is asked.", **ONE_OR_MORE},
    events={"description": "The chance is that one of these follows.", **ONE_OR_MORE},
    within=text("How soon after it, such as 1h (left out) or 7d.", pattern=DURATION),
    without=flag("The chance is that none follows."),
    features=list_of("The attributes it is told from; left out, all that a profile has.", {"type": "string"}),
    purpose=choice("What a shopper must allow to be learned from and asked about.", PURPOSES),
)
_SEGMENT = object_of(
    "A named condition, or a list whose members are pushed in.",
    when=CONDITION,
    members=choice("Who is inside comes from outside, such as a CRM.", ("pushed",)),
    description=text("For people."),
)
_PLACEMENT = object_of(
    "A named spot of the checkout.",
    ("component",),
    component=choice("What stands there.", COMPONENTS),
    of=choice("Which list an options placement orders.", METHODS),
    purpose=choice("What a decision here needs beyond its level.", PURPOSES),
    format=text("Placements of one format share its caps; left out, it is the component.", pattern=NAME),
    layer=text("The layer of its experiments that name none."),
    attention=ref("caps"),
)
_SCHEDULE = object_of(
    "When it runs.",
    **{"from": text("The first moment, such as 2026-12-01T08:00.", pattern=MOMENT)},
    until=text("The moment it ends, not included.", pattern=MOMENT),
    days=list_of("Days of the week.", {"enum": list(DAYS)}),
    hours=text("Hours of the day, such as 9-18, or 22-2 past midnight.", pattern=HOURS),
    zone=choice("Whose clock: shop (left out), or shopper.", ZONES),
)
_EXPERIMENT = object_of(
    "Who sees which variation, and who sees none.",
    arms=map_of("Variations, and control, with their shares; 100% together.", {"type": "string", "pattern": SHARE}),
    control=share("In place of arms, for one variation: the share that does not see it."),
    goal=text("The one metric that the verdict is about: profit (left out), another that is built in, or your own."),
    metrics={"description": "More metrics to report, beside those that every experiment has.", **ONE_OR_MORE},
    guardrails=map_of(
        "Metrics that may not become worse, each with how much worse, relative to control, is still bearable.",
        {"type": "string", "pattern": SHARE},
    ),
    design=ref("design"),
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
    layer=text("The layer it shares units with."),
    holdout=share("The share of units kept out for good."),
    control_sees=choice("What control gets: your default (left out), or the next experience that fits.", SEES),
    salt=text("Another salt starts the experiment afresh.", pattern=SALT),
    sticky=flag("Whether who has seen an arm stays in it."),
)
_PERCENT: Schema = {
    "description": "A percentage, in steps of 0.01.",
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": 100,
}
_BENEFIT: Schema = {
    **object_of(
        "What an offer takes off: one of these.",
        percent=_PERCENT,
        most=amount("The largest amount that the percentage comes to, in major units."),
        amount=amount("An amount off, in major units."),
        free_delivery={"description": "Delivery methods that cost nothing.", **ONE_OR_MORE},
        free_item=text("A product of which one piece in the cart costs nothing."),
        tiers=list_of("Amounts from which on it is more; the last one reached counts.", ref("tier")),
    ),
    "oneOf": [{"required": [benefit]} for benefit in BENEFITS],
}
_TIER: Schema = {
    **object_of(
        "One of the tiers.",
        ("from",),
        **{"from": amount("The amount it begins at, in major units.")},
        percent=_PERCENT,
        amount=amount("An amount off, in major units."),
    ),
    "oneOf": [{"required": ["percent"]}, {"required": ["amount"]}],
}
_OFFER_LIMITS = object_of(
    "How often it may be used, however many ask at once.",
    total=integer("In all.", minimum=1, maximum=MAX_USES),
    shopper=integer("By one shopper.", minimum=1, maximum=MAX_USES),
    code=integer("With one code.", minimum=1, maximum=MAX_USES),
    day=integer("In one day, by the shop's clock.", minimum=1, maximum=MAX_USES),
    budget=amount("What all uses may come to, in major units."),
    by_arm=flag("Each arm of the experiment that grants it has its share of total, day and budget."),
)
_OFFER = object_of(
    "A promotion beside the shop's own.",
    ("benefit",),
    kind=choice("What reports group it by.", OFFER_KINDS),
    when=CONDITION,
    benefit=ref("benefit"),
    bundle=list_of("Products that must all be in the cart; the benefit is off these alone.", {"type": "string"}),
    group=text("The group of offers of which a cart has one at most."),
    limits=ref("offer_limits"),
    currency=text("That of its amounts; left out, the shop's.", pattern="^[A-Z]{3}$"),
    lasts=text("How long a shopper has it from the first time it was granted to them, such as 48h.", pattern=DURATION),
    again_after=text("How long after that time it may be granted to them again.", pattern=DURATION),
    freeze=text("How long an offer that was not for a shopper at first sight stays so.", pattern=DURATION),
    holds=text("How long a reservation lasts.", pattern=DURATION),
    codes=choice("Whether a code opens it: none, single-use ones, or one that is shared.", CODES),
    text=_TEXTS,
    enabled=flag("Takes part; false leaves it out."),
)
_OFFER_GROUP = object_of(
    "Offers of which a cart has one at most.",
    pick=choice("Which one best_of grants: the best on that cart (left out), or the first as written.", PICKS),
)
_GRANTS: Schema = {
    "description": "The offer that it grants, or the group whose best it grants.",
    "anyOf": [{"type": "string"}, ref("best_of")],
}
_BEST_OF = object_of("One offer of a group.", ("best_of",), best_of=text("The group."))
_CONTENTS: Schema = {"anyOf": [ref(component) for component in COMPONENTS]}
_EXPERIENCE: Schema = {
    **object_of(
        "When this holds, show this in this placement.",
        ("in",),
        **{"in": text("The placement.")},
        when=CONDITION,
        show={"description": "The content; its keys depend on the placement's component.", **_CONTENTS},
        variations=map_of(
            "Several contents by name, in place of show; an experiment shares them out.", _CONTENTS, NAME
        ),
        offer=_GRANTS,
        experiment=ref("experiment"),
        priority=integer(
            "The higher one wins, then by weight, then the one written first.", minimum=-1000, maximum=1000
        ),
        weight=integer("Its share among those of equal priority that have one.", minimum=1, maximum=MAX_WEIGHT),
        schedule=ref("schedule"),
        attention=ref("caps"),
        enabled=flag("Takes part; false leaves it out."),
    ),
    "oneOf": [{"required": ["show"]}, {"required": ["variations"]}],
}
_PROGRESS = object_of(
    "How far an attribute is on its way to a target.",
    ("of", "to"),
    of=text("An attribute that holds money, such as cart.total."),
    to=amount("The target, in major units."),
)
_RULES = object_of(
    "Which products may be shown, beyond those that may be sold.",
    only={"description": "Categories, or attributes that hold them: no others.", **ONE_OR_MORE},
    never={"description": "Categories, or attributes that hold them: none of these.", **ONE_OR_MORE},
    margin=share("The least that is left of the price after the product's cost."),
    least=amount("The least a product may cost, in major units."),
    most=amount("The most it may cost."),
    cart_share=share("The most it may cost, of the cart's total."),
    per_category=integer("How many of one category at most.", minimum=1, maximum=24),
)
_CONTENT: dict[str, Schema] = {
    "message": object_of(
        "A text, optionally with the progress towards a target.",
        ("text",),
        text=_TEXTS,
        tone=text("Which of the tones to speak in; a name, or the attribute that holds it."),
        tones=map_of("Other wordings by tone.", _TEXTS),
        progress=ref("progress"),
    ),
    "options": object_of(
        "Operations on the methods the shop offers now.",
        first=_IDS,
        last=_IDS,
        highlight=_IDS,
        badge=map_of("A few words beside a method.", _TEXTS),
        rename=map_of("Another name for a method.", _TEXTS),
        hide=_IDS,
    ),
    "products": object_of(
        "Products from the catalogue, or from what a model learned.",
        ("from",),
        **{"from": choice("Where they come from; all but the first three ask a model.", PRODUCT_SOURCES)},
        limit=integer("How many at most.", minimum=1, maximum=24),
        category=text("A category of the catalogue, or the attribute that holds one."),
        title=_TEXTS,
        model=choice("Which model: basket (left out, but for session), or next_item.", MODELS),
        version=choice("The live one (left out), or the candidate, in an arm of an experiment.", VERSIONS),
        rules=ref("rules"),
    ),
    "button": object_of(
        "A label and a style.", ("text",), text=_TEXTS, style=text("A style token of the shop's theme.")
    ),
    "field": object_of(
        "How a form field starts.",
        ("state",),
        state=choice("Open or folded away.", ("show", "collapse")),
        prefill=text("What it holds at first, such as {traits.city}."),
    ),
    "help": object_of(
        "A hint beside a part of the checkout.",
        ("text",),
        text=_TEXTS,
        style=choice("How it appears.", ("tooltip", "inline")),
    ),
    "layout": object_of(
        "Design tokens by name.",
        ("tokens",),
        tokens=map_of("Short words, numbers or colours.", {"type": ["string", "number", "boolean"]}),
    ),
    "installments": object_of(
        "A line such as 3 x 66.00 EUR, from a plan at no cost to the shopper.",
        ("count",),
        count=integer("How many instalments.", minimum=2, maximum=60),
        minimum=amount("The smallest total, in major units."),
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
    "design": DESIGN,
    "metric": METRIC,
    "metric_part": METRIC_PART,
    "event": _EVENT,
    "feature": _FEATURE,
    "prediction": _PREDICTION,
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
    "rules": _RULES,
    **_CONTENT,
}

_CASES: dict[str, Schema] = {
    "case": object_of(
        "A shopper at a moment, and what must come of it.",
        ("name", "expect"),
        name=text("What it shows, in a few words."),
        given=ref("given"),
        expect=ref("expect"),
    ),
    "given": object_of(
        "What happened before, and what the page says.",
        now=text("The moment, such as 2026-03-02T20:30:00+01:00; noon of 15 January 2026 (UTC) where left out."),
        consent=list_of("The purposes the shopper has granted.", {"enum": list(PURPOSES)}),
        user=text("The shopper's verified user id."),
        traits=map_of("Traits of the shopper.", {}),
        country=text("What your trusted country header says."),
        events=list_of("What the shopper did, in any order.", ref("happened")),
        context={"description": "What the page sends: the context of POST /v1/decide.", "type": "object"},
        **{"as": text("The anonymous id, which assigns: another one may be in other arms.")},
        in_arms=map_of("Arms the shopper has seen before and stays in, by experience.", {"type": "string"}),
        closed=map_of("Offers that cannot be granted, and why.", {"enum": list(CLOSED)}),
        promised=map_of("Offers that run for the shopper, and for how much longer, such as 36h.", {"type": "string"}),
        predicted=map_of("What models tell of the shopper: a chance, or a category.", {"type": ["number", "string"]}),
    ),
    "happened": object_of(
        "One event.",
        ("event",),
        event=text("Its name."),
        ago=text("How long before now, such as 3d.", pattern=DURATION),
        times=integer("How often, a millisecond apart.", minimum=1, maximum=1000),
        browser=flag("Sent by the shopper's browser instead of your backend, so that it moves no money."),
        properties={"description": "Its properties, as the tracking API takes them.", "type": "object"},
        context={"description": "Its context, as the tracking API takes it.", "type": "object"},
    ),
    "expect": object_of(
        "What must come of it.",
        segments=ref("expect_segments"),
        placements=map_of(
            "The experience that shows, or default, by placement.",
            {"anyOf": [{"type": "string"}, ref("expect_placement")]},
        ),
    ),
    "expect_placement": object_of(
        "What a placement answers.",
        shows=text("The experience that shows, or default."),
        variation=text("The variation, or the arm that kept the experience back."),
        reason=choice("The answer's reason.", get_args(Reason)),
        offer=text("The offer that is granted with it, or none."),
        amount=amount("What that takes off the cart, in major units."),
    ),
    "expect_segments": object_of(
        "Segments the shopper must be in or out of.",
        **{"in": list_of("Inside.", {"type": "string"})},
        out=list_of("Outside, or not known.", {"type": "string"}),
    ),
}

DEFINITIONS: dict[str, Schema] = _DECLARED | _CASES

PLAYBOOK: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "cashwrap playbook",
    "$defs": _DECLARED,
    **object_of(
        "One file of a playbook; the files of a folder are read as one.",
        shop=ref("shop"),
        holdout=ref("holdout"),
        attention=map_of("Caps by format; all is for everything shown.", ref("caps"), NAME),
        layers=map_of("Experiments that exclude each other.", {"anyOf": [{"type": "null"}, ref("layer")]}, NAME),
        events=map_of("Events of the shop's own, by name.", ref("event")),
        traits=map_of("Traits that may be kept, by kind.", {"enum": list(KINDS)}, NAME),
        features=map_of("Aggregates over a shopper's events.", ref("feature"), NAME),
        predictions=map_of("Chances of your own that models learn to tell.", ref("prediction"), NAME),
        segments=map_of("Named conditions.", {"anyOf": [{"type": ["string", "boolean"]}, ref("segment")]}, NAME),
        placements=map_of("Named spots of the checkout.", ref("placement"), NAME),
        offers=map_of("Promotions beside the shop's own.", ref("offer"), NAME),
        offer_groups=map_of("Offers that exclude each other.", {"anyOf": [{"type": "null"}, ref("offer_group")]}, NAME),
        metrics=map_of("Metrics of your own, for experiments to be measured by.", ref("metric"), NAME),
        experiences=map_of("What is shown to whom, and where.", ref("experience"), NAME),
    ),
}


def playbook_schema() -> Schema:
    """The JSON Schema of a playbook's files."""
    return PLAYBOOK


def encode() -> bytes:
    """``spec/schemas/playbook.json``, to the byte."""
    return msgspec.json.format(msgspec.json.encode(PLAYBOOK), indent=2) + b"\n"
