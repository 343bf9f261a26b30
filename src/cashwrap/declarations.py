"""What a shop may write in a playbook, as typed values: the meaning of the YAML, before anything is compiled.

``playbook`` fills these from files (with positions for every complaint); ``features``, ``segments`` and
``decide`` compile them. Texts that
are conditions stay source text here, each with where it was written.
"""

from typing import Literal

from msgspec import Struct, field

from cashwrap.model import Purpose

Measure = Literal["count", "sum", "average", "min", "max", "first", "last", "distinct", "top", "rate", "decayed"]
Kind = Literal["text", "integer", "number", "money", "boolean", "time", "texts", "products"]
Component = Literal["options", "message", "products", "button", "field", "help", "layout", "installments"]


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


class PlacementDecl(Struct, frozen=True):
    """A named spot of the checkout.

    ``of`` says which list an ``options`` placement orders; ``purpose`` what a decision here needs
    beyond its level.
    """

    name: str
    component: Component
    of: Literal["payment_methods", "delivery_methods"] | None = None
    purpose: Purpose | None = None
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


class ExperienceDecl(Struct, frozen=True):
    """When this condition holds, show this content in this placement.

    A higher ``priority`` wins, then the order written.
    """

    name: str
    placement: str
    when: Condition | None
    show: Content
    priority: int = 0
    enabled: bool = True
    spot: Spot = Spot()


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
    internal_networks: tuple[str, ...] = ()
    """Address ranges (CIDR) whose traffic is the shop's own."""
    locales: tuple[str, ...] = ()
    """The locales every text is expected in; ``locale`` is the one fallen back to."""


class Declarations(Struct, frozen=True):
    """A whole playbook as declared."""

    settings: Settings = Settings()
    events: dict[str, EventDecl] = {}
    features: dict[str, FeatureDecl] = {}
    segments: dict[str, SegmentDecl] = {}
    placements: dict[str, PlacementDecl] = {}
    experiences: dict[str, ExperienceDecl] = field(default_factory=dict)
    traits: dict[str, Kind] = {}
    """Traits that may be kept, beside the standard ones."""
