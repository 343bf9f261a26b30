"""What a shop may write in a playbook, as typed values: the meaning of the YAML, before anything is compiled.

``playbook`` fills these from files (with positions for every complaint); ``features``, ``segments`` and
``decide`` compile them. Texts that
are conditions stay source text here, each with where it was written.
"""

from typing import Literal

from msgspec import Struct, field

from cashwrap.model import Millis, Purpose

Measure = Literal["count", "sum", "average", "min", "max", "first", "last", "distinct", "top", "rate", "decayed"]
Kind = Literal["text", "integer", "number", "money", "boolean", "time", "texts", "products"]
Component = Literal["options", "message", "products", "button", "field", "help", "layout", "installments"]


Methods = Literal["payment_methods", "delivery_methods"]


class Spot(Struct, frozen=True):
    """Where something was written; lines and columns count from 1."""

    file: str = ""
    line: int = 0
    column: int = 0


class Condition(Struct, frozen=True):
    """A condition's source text and where it starts."""

    text: str
    spot: Spot = Spot()


class EventDecl(Struct, frozen=True):
    """An event of the shop's own, or more fields for a standard one."""

    name: str
    fields: dict[str, Kind] = {}
    purpose: Purpose = Purpose.PERSONALIZATION
    spot: Spot = Spot()


class FeatureDecl(Struct, frozen=True):
    """An aggregate over a shopper's events.

    ``of`` names the property measured, ``by`` the one it is split by, ``per`` the event that divides a
    rate, ``where`` filters events. ``window`` and
    ``half_life`` are in milliseconds; ``session`` restricts to the current session.
    """

    name: str
    measure: Measure
    events: tuple[str, ...]
    of: str | None = None
    by: str | None = None
    per: tuple[str, ...] = ()
    where: Condition | None = None
    window: int | None = None
    session: bool = False
    half_life: int | None = None
    purpose: Purpose = Purpose.PERSONALIZATION
    spot: Spot = Spot()


class SegmentDecl(Struct, frozen=True):
    """A named condition, or (``members: pushed``) a list whose members are pushed in from outside."""

    name: str
    when: Condition | None
    pushed: bool = False
    description: str = ""
    spot: Spot = Spot()


class CapsDecl(Struct, frozen=True):
    """How often something may be shown to one shopper: in a session, in 24 hours, ever; ``None`` is no limit.

    ``cool_down`` is the quiet after a shopper dismissed it, in milliseconds.
    """

    session: int | None = None
    day: int | None = None
    shopper: int | None = None
    cool_down: int | None = None


class PlacementDecl(Struct, frozen=True):
    """A named spot of the checkout.

    ``of`` says which list an ``options`` placement orders; ``purpose`` what a decision here needs
    beyond its level. ``format`` groups placements that claim the same kind of attention (``banner``, ``overlay``);
    left out, it is the component. ``layer`` is that of all its experiments which name none.
    """

    name: str
    component: Component
    of: Methods | None = None
    purpose: Purpose | None = None
    format: str = ""
    layer: str | None = None
    caps: CapsDecl = CapsDecl()
    spot: Spot = Spot()


Texts = dict[str, str]
"""Message source by locale."""


class Message(Struct, frozen=True, tag="message"):
    """A text, optionally with the progress towards a target, such as free delivery."""

    text: Texts
    tone: str | None = None
    tones: dict[str, Texts] = {}
    progress: tuple[str, str] | None = None
    """Attribute and target (an amount in major units) as written, such as ``("cart.total", "50")``."""


class Options(Struct, frozen=True, tag="options"):
    """Operations on the methods the shop offers now. Never hides the last one or the saved one."""

    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    highlight: tuple[str, ...] = ()
    badge: dict[str, Texts] = {}
    rename: dict[str, Texts] = {}
    hide: tuple[str, ...] = ()


class Products(Struct, frozen=True, tag="products"):
    """Products to show: from the basket's complements, a category, or what sells best."""

    source: Literal["complements", "category", "popular"]
    limit: int = 4
    category: str | None = None
    """An attribute's name (``top_category``) or a category in the catalogue."""
    title: Texts = {}


class Button(Struct, frozen=True, tag="button"):
    """A label and a style token."""

    text: Texts
    style: str = "primary"


class Field(Struct, frozen=True, tag="field"):
    """How a form field starts.

    ``prefill`` is a message source; a missing placeholder leaves the field empty.
    """

    state: Literal["show", "collapse"]
    prefill: str | None = None


class Help(Struct, frozen=True, tag="help"):
    """A hint beside a part of the checkout."""

    text: Texts
    style: Literal["tooltip", "inline"] = "inline"


class Layout(Struct, frozen=True, tag="layout"):
    """Design tokens by name; values are short words, numbers or colours, never style rules."""

    tokens: dict[str, str]


class Installments(Struct, frozen=True, tag="installments"):
    """A line such as ``3 x 66.00 EUR`` from a declared plan over the cart's total, at no cost to the
    shopper."""

    count: int
    minimum: str = "0"
    """The smallest total, in major units, as written."""
    text: Texts = {}


Content = Message | Options | Products | Button | Field | Help | Layout | Installments


MAIN = "main"
"""The variation of an experience that has only one."""
CONTROL = "control"
"""The arm that sees what it would see without the experience."""
HOLDOUT = "holdout"
"""The arm of those who are kept out for good: by the shop's holdout, or by an experiment's own."""
Unit = tuple[str, ...]
"""Who is assigned: the first of these that is known. ``anonymous``, ``user``, ``cart``, or an attribute's name."""
UNIT: Unit = ("anonymous", "user", "cart")
"""The device before the person, so that a login changes no arm; a shopper without consent is known by the cart."""


class ScheduleDecl(Struct, frozen=True):
    """When an experience runs, on the clock of the shop or of the shopper.

    ``start`` and ``end`` are local times as written, ``2026-12-01T08:00`` (the end not included); ``days`` are
    1 (Monday) to 7; ``hours`` from the first up to, not including, the second, which may be past midnight.
    """

    start: str | None = None
    end: str | None = None
    days: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    zone: Literal["shop", "shopper"] = "shop"


MetricKind = Literal["mean", "proportion", "ratio", "quantile", "funnel", "time"]
"""``time`` is built in alone: how long after the exposure the first event came."""
Better = Literal["higher", "lower"]
Method = Literal["group_sequential", "always_valid", "fixed"]


class MetricDecl(Struct, frozen=True):
    """A metric of the shop's own, measured on every exposed unit.

    A ``mean`` is of the sum of ``of`` (of the number of events where that is ``None``), a ``proportion`` asks whether
    there was any such event, a ``ratio`` divides by ``per``, a ``quantile`` is of the unit's sum at ``at`` (of 10,000),
    a ``funnel`` follows ``events`` in order. ``caps`` are the quantiles, of 10,000, beyond which a unit's value is set
    to theirs. ``window`` is how long after the exposure; ``None`` is the design's. A unit with any event of ``unless``
    within it counts nothing.
    """

    name: str
    kind: MetricKind
    events: tuple[str, ...]
    of: str | None = None
    where: Condition | None = None
    unless: tuple[str, ...] = ()
    per: tuple[str, ...] = ()
    per_of: str | None = None
    per_where: Condition | None = None
    at: int | None = None
    caps: tuple[int, int] | None = None
    window: Millis | None = None
    better: Better = "higher"
    description: str = ""
    spot: Spot = Spot()


class DesignDecl(Struct, frozen=True):
    """How an experiment is read, declared before it begins. Shares are of 10,000.

    It is looked at ``looks`` times at even distances and ends after ``days``. ``window`` is how long after the exposure
    outcomes count, ``maturity`` how long after that refunds and returns of those orders do. ``detect`` is the relative
    effect worth finding, ``alpha`` the chance of a false find over all looks, ``power`` that of finding ``detect``.
    """

    method: Method = "group_sequential"
    days: int = 28
    looks: int = 4
    window: Millis = 7 * 86_400_000
    maturity: Millis = 0
    alpha: int = 500
    power: int = 8_000
    detect: int = 500


class ExperimentDecl(Struct, frozen=True):
    """A test of an experience's variations against a control arm.

    ``arms`` are variations, and ``control``, with their shares of 10,000, which come to 10,000. ``traffic`` is the
    share of units that take part from each moment on, ascending in time; the first holds from the beginning.
    ``control_sees`` says what control, and those kept out, get: the shop's default, or the next experience that
    fits. ``salt`` names the experiment to the hash and to the shopper's memory: another salt starts it afresh.
    """

    arms: dict[str, int]
    goal: str = "profit"
    """The one metric that the verdict is about."""
    unit: Unit = UNIT
    traffic: tuple[tuple[Millis, int], ...] = ((0, 10_000),)
    layer: str | None = None
    holdout: int = 0
    control_sees: Literal["default", "next"] = "default"
    salt: str = ""
    sticky: bool = True
    """Whether a shopper who has seen an arm stays in it whatever becomes of the shares."""
    metrics: tuple[str, ...] = ()
    """More metrics to report, beside those that every experiment has."""
    guardrails: dict[str, int] = {}
    """Metrics that may not become worse, relative to control, by more than this share of 10,000."""
    design: DesignDecl = DesignDecl()


class LayerDecl(Struct, frozen=True):
    """A group of experiments of which a unit is in one at most; all of them assign the layer's ``unit``."""

    name: str
    unit: Unit = UNIT
    spot: Spot = Spot()


class HoldoutDecl(Struct, frozen=True):
    """The share of units, of 10,000, that get the shop's default everywhere, so that the whole can be measured."""

    share: int = 0
    unit: Unit = UNIT
    salt: str = "holdout"


# --- offers: amounts are in major units of the offer's currency, as written; percentages are parts of 10,000 ---

OfferKind = Literal["promotion", "repeat", "loyalty", "recovery", "bundle"]
Codes = Literal["none", "single", "shared"]
HOLDS: Millis = 15 * 60_000
"""How long a reservation lasts where nothing is said."""


class PercentDecl(Struct, frozen=True, tag="percent"):
    """A percentage off, ``most`` at most."""

    percent: int
    most: str | None = None


class AmountDecl(Struct, frozen=True, tag="amount"):
    """An amount off."""

    amount: str


class FreeDeliveryDecl(Struct, frozen=True, tag="free_delivery"):
    """Delivery by one of these methods costs nothing."""

    methods: tuple[str, ...]


class FreeItemDecl(Struct, frozen=True, tag="free_item"):
    """One piece of a product that is in the cart costs nothing."""

    product: str


class TierDecl(Struct, frozen=True):
    """From this amount on a percentage, or an amount; the other one is 0."""

    start: str
    percent: int = 0
    amount: str = "0"


class TiersDecl(Struct, frozen=True, tag="tiers"):
    """The last tier that is reached counts; ascending."""

    tiers: tuple[TierDecl, ...]


BenefitDecl = PercentDecl | AmountDecl | FreeDeliveryDecl | FreeItemDecl | TiersDecl


class LimitsDecl(Struct, frozen=True):
    """How often an offer may be used, and how much all uses may come to; ``None`` is no limit.

    With ``by_arm`` each arm of the experiment that grants it has its share of ``total``, ``day`` and ``budget``.
    """

    total: int | None = None
    shopper: int | None = None
    code: int | None = None
    day: int | None = None
    budget: str | None = None
    by_arm: bool = False


class OfferDecl(Struct, frozen=True):
    """A promotion beside the shop's own: for whom, what, and up to where.

    ``bundle`` are products that must all be in the cart; the benefit is off these alone. ``lasts`` runs from when it
    was first granted to a shopper, who gets it again only ``again_after`` that; ``freeze`` is how long one keeps
    being nothing for a shopper it once was not for. ``currency`` is that of its amounts; ``None`` is the shop's.
    """

    name: str
    benefit: BenefitDecl
    when: Condition | None = None
    kind: OfferKind = "promotion"
    bundle: tuple[str, ...] = ()
    group: str | None = None
    limits: LimitsDecl = LimitsDecl()
    currency: str | None = None
    lasts: Millis | None = None
    again_after: Millis | None = None
    freeze: Millis | None = None
    holds: Millis = HOLDS
    codes: Codes = "none"
    text: Texts = {}
    enabled: bool = True
    spot: Spot = Spot()


class OfferGroupDecl(Struct, frozen=True):
    """Offers of which a cart has one at most. Where one of them is to be chosen, the ``best`` on that cart is, or the
    ``first`` as written that can be granted."""

    name: str
    pick: Literal["best", "first"] = "best"
    spot: Spot = Spot()


class ExperienceDecl(Struct, frozen=True):
    """When this condition holds, show one of these variations in this placement.

    A higher ``priority`` wins; of equal ones with a ``weight``, one drawn by weight and unit; then the order
    written. Several variations need an experiment that says who sees which.
    """

    name: str
    placement: str
    when: Condition | None
    variations: dict[str, Content]
    priority: int = 0
    weight: int = 0
    enabled: bool = True
    schedule: ScheduleDecl | None = None
    caps: CapsDecl = CapsDecl()
    experiment: ExperimentDecl | None = None
    offer: str | None = None
    """The offer that it grants."""
    best_of: str | None = None
    """The group of offers of which it grants one."""
    spot: Spot = Spot()


class RetentionDecl(Struct, frozen=True):
    """How long things are kept."""

    events: Millis = 90 * 86_400_000
    """The log's records. What they said stays, in features and orders."""
    idle_profiles: Millis = 395 * 86_400_000
    """Shoppers of whom nothing more comes: then they are forgotten, with their keys."""
    failed: Millis | None = None
    """Failed events; ``None`` until an operator acts."""


class Settings(Struct, frozen=True):
    """What holds for the whole shop."""

    currency: str = "EUR"
    locale: str = "en"
    time_zone: str = "UTC"
    purposes: dict[str, tuple[str, ...]] = {}
    """CMP category name to our purposes, such as ``{"C0002": ("analytics",)}``."""
    country_header: str | None = None
    """The trusted header that names the country, such as ``CF-IPCountry``."""
    request_level: bool = True
    """Whether decisions run on request facts alone before consent."""
    gpc_allows_personalization: dict[str, str] = {}
    """Markets (country codes) where ``Sec-GPC`` leaves personalization alone, with the recorded reason."""
    markets: tuple[str, ...] = ()
    """Where the shop sells, as countries or parts of them (``DE``, ``US-NY``): what holds where nobody knows."""
    no_personal_prices: tuple[str, ...] = ()
    """Markets where no offer is made that personal data has a part in."""
    personal_prices: dict[str, str] = {}
    """Markets where such offers are made although the table of market rules says no, with the recorded reason."""
    internal_networks: tuple[str, ...] = ()
    """Address ranges (CIDR) whose traffic is the shop's own."""
    locales: tuple[str, ...] = ()
    """The locales every text is expected in; ``locale`` is the one fallen back to."""
    networks: dict[str, tuple[str, ...]] = {}
    """Named address ranges (CIDR) that conditions may ask for by ``request.networks``."""
    decision_records: int = 100
    """The share of decisions, of 10,000, whose inputs are kept so that they can be explained later."""
    decision_retention: Millis = 14 * 86_400_000
    """How long they are kept."""
    retention: RetentionDecl = RetentionDecl()
    one_experiment_per_shopper: bool = False
    """Whether a shopper takes part in one experiment at most, whatever the layers."""
    holdout: HoldoutDecl = HoldoutDecl()
    rates: dict[str, tuple[tuple[Millis, str], ...]] = {}
    """What one major unit of another currency is worth in the shop's own, from each moment on, for analysis alone."""
    attention: dict[str, CapsDecl] = {}
    """Caps of all placements of one format, by its name; ``all`` is for everything that is shown."""


class Declarations(Struct, frozen=True):
    """A whole playbook as declared."""

    settings: Settings = Settings()
    events: dict[str, EventDecl] = {}
    features: dict[str, FeatureDecl] = {}
    segments: dict[str, SegmentDecl] = {}
    placements: dict[str, PlacementDecl] = {}
    layers: dict[str, LayerDecl] = {}
    offers: dict[str, OfferDecl] = {}
    offer_groups: dict[str, OfferGroupDecl] = {}
    experiences: dict[str, ExperienceDecl] = field(default_factory=dict)
    metrics: dict[str, MetricDecl] = {}
    traits: dict[str, Kind] = {}
    """Traits that may be kept, beside the standard ones."""
