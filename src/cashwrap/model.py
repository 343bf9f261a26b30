"""The nouns of cashwrap: plain values that every room shares. No behaviour beyond reading them.

Units, everywhere: a time is whole milliseconds since 1970 UTC; money is whole minor units (cents) of the shop's
currency; a share is an integer of 10,000. What is encoded to disk is ``array_like`` (compact, field order is the
schema; new fields go last with a default), and ``gc=False``: none can be part of a cycle, and a collector that visits
a hundred thousand profiles stops the world.
"""

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

Millis = int
Minor = int


class Number(Decimal):
    """An exact decimal that is no money: it comes back from disk as what it was (``codec``)."""


Scalar = bool | int | Decimal | str
Value = bool | int | Decimal | str | frozenset[str] | tuple[int, int] | None
"""What an attribute may hold at run time.

``None`` is unknown; a pair is a (sum, count) whose quotient is an average.
"""


class Purpose(enum.IntFlag):
    """Why data may be used. A mask is a sum of purposes."""

    NECESSARY = 1
    ANALYTICS = 2
    PERSONALIZATION = 4
    ENRICHMENT = 8
    ADVERTISING = 16
    CREDIT = 32


NECESSARY: int = Purpose.NECESSARY.value
PERSONALIZATION: int = Purpose.PERSONALIZATION.value
"""The two the hot path asks for, as plain integers: arithmetic on an ``IntFlag`` costs a microsecond."""


class Flag(enum.IntFlag):
    """What was noticed about an event's sender.

    Flagged events are logged, and kept out of profiles, segments and metrics.
    """

    BOT = 1
    INTERNAL = 2
    QA = 4


class Tenant(Struct, frozen=True, order=True, array_like=True, gc=False, cache_hash=True):
    """A store in one environment (``live`` or ``test``): part of every key and every row."""

    store: str = "default"
    environment: str = "live"

    @property
    def name(self) -> str:
        """Both as one text, as keys of rows and tokens have it: ``default/live``."""
        return f"{self.store}/{self.environment}"


# --- what comes in ---


class Line(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One product of a cart or an order. ``price`` is for one piece, in minor units."""

    product_id: str
    quantity: int = 1
    price: Minor | None = None
    category: str | None = None
    brand: str | None = None
    name: str | None = None
    sku: str | None = None
    variant: str | None = None
    coupon: str | None = None
    cost: Minor | None = None
    """What one piece costs the shop, in its own currency: of an ordered product, for analysis alone."""


class Where(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """Facts about the request an event came with, already reduced.

    No address, no query string, no user agent text.
    """

    device: str | None = None
    """``mobile``, ``tablet``, ``desktop`` or ``other``."""
    os: str | None = None
    browser: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    country: str | None = None
    region: str | None = None
    location_source: str | None = None
    """Who said where: ``header``, ``shop`` or ``delivery``."""
    path: str | None = None
    page_type: str | None = None
    referrer: str | None = None


class Event(Struct, frozen=True, array_like=True, gc=False):
    """A fact about a shopper, as kept: only declared fields, money in minor units, time corrected.

    ``properties`` holds scalars, lists of strings, and products as ``list[Line]`` under ``products``.
    ``user_id`` is a *verified* identity (secret
    key or signed token); what a browser merely claimed is in ``claimed_user_id``.
    """

    id: str
    name: str
    time: Millis
    received: Millis
    mask: int
    source: str
    anonymous_id: str | None = None
    user_id: str | None = None
    claimed_user_id: str | None = None
    cart_token: str | None = None
    email_hash: str | None = None
    properties: dict[str, object] = {}
    traits: dict[str, Any] = {}
    choices: dict[str, str] = {}
    """A consent choice carried by the event: purpose name to ``granted`` or ``denied``."""
    scope: Literal["device", "person"] = "device"
    gpc: bool = False
    """The request carried ``Sec-GPC: 1``."""
    flags: int = 0
    fingerprint: bytes = b""
    """8 bytes over the body as sent, without what a retry changes: tells a repeat from a conflict."""
    trusted: bool = False
    """Sent with a secret key: may feed money and identity."""
    where: Where = Where()


# --- what we hold about one shopper ---


class Stamped(Struct, frozen=True, array_like=True, gc=False):
    """A value and the event that set it. The later (time, id) wins, so any order of arrival ends the same."""

    value: Any
    """A ``Scalar``."""
    time: Millis
    id: str


class Choice(Struct, frozen=True, array_like=True, gc=False):
    """One explicit consent choice."""

    granted: bool
    time: Millis
    source: str
    gpc: bool = False
    """Granted in a request that itself carried ``Sec-GPC: 1``."""


class ConsentState(Struct, array_like=True, gc=False):
    """Explicit choices per purpose name, apart by scope. What is absent is unknown."""

    device: dict[str, Choice] = {}
    person: dict[str, Choice] = {}


class Session(Struct, array_like=True, gc=False):
    """A run of activity without a gap of 30 minutes."""

    start: Millis
    end: Millis
    events: int = 1


class Order(Struct, array_like=True, gc=False):
    """One order, whoever reported it, as the sum of what is known. Only trusted events set money."""

    id: str
    time: Millis
    currency: str = ""
    subtotal: Minor = 0
    total: Minor = 0
    shipping: Minor = 0
    tax: Minor = 0
    discount: Minor = 0
    refunded: Minor = 0
    state: Literal["hinted", "completed", "returned", "cancelled"] = "hinted"
    mask: int = 0
    lines: list[Line] = []
    stamps: dict[str, tuple[Millis, str]] = {}
    """Which event set which part: makes the order's value independent of the order of arrival."""
    refunds: dict[str, Minor] = {}
    """Refund by message id: a repeated refund counts once."""
    refund_currencies: dict[str, str] = {}
    """The currency of those refunds that name one: another one's amount is not the order's."""


class CartLine(Struct, array_like=True, gc=False):
    """A product in the shopper's open cart and the newest event about it."""

    line: Line
    time: Millis
    id: str


class OpenCart(Struct, array_like=True, gc=False):
    """The cart the shopper has not ordered yet, as far as events tell."""

    lines: dict[str, CartLine] = {}
    touched: Millis = 0
    cleared: Millis = 0
    """Events before this are history: the cart was listed in full, ordered or emptied then."""
    token: str | None = None
    token_at: Millis = 0
    cleared_by: str = ""
    """The event that did so: of two at one time the greater id is the later."""
    changes: dict[str, CartLine] = {}
    """What was added and removed after it, by event id; a removal has a negative quantity."""


class Impressions(Struct, array_like=True, gc=False):
    """How often something was shown to the shopper, and when it was last dismissed (0: never)."""

    times: list[Millis] = []
    """The newest, ascending."""
    count: int = 0
    dismissed: Millis = 0


class Profile(Struct, array_like=True, gc=False):
    """All we hold about one shopper, except the ids of recent events (kept beside it, see ``Row``)."""

    id: bytes
    """16 random bytes; names the shopper in every table."""
    analytic_id: bytes
    """16 other random bytes; the only name the fact table knows."""
    created: Millis
    updated: Millis = 0
    user_id: str | None = None
    anonymous_ids: list[str] = []
    email_hashes: list[str] = []
    cart_tokens: list[str] = []
    traits: dict[str, Stamped] = {}
    lists: dict[str, Stamped] = {}
    """Audience memberships pushed in from outside: name to true or false."""
    where: dict[str, Stamped] = {}
    """Newest known device, locale, time zone, country ...: what segments may ask when no request is there."""
    consent: ConsentState = msgspec.field(default_factory=ConsentState)
    sessions: list[Session] = []
    session_count: int = 0
    """Sessions too old to change, already dropped from ``sessions``."""
    cart: OpenCart = msgspec.field(default_factory=OpenCart)
    orders: dict[str, Order] = {}
    features: dict[str, object] = {}
    """Feature state by the definition's hash."""
    wishlist: dict[str, Stamped] = {}
    absorbed: list[bytes] = []
    """Shoppers merged into this one: forgetting reaches their keys too."""
    former_analytic_ids: list[bytes] = []
    """Theirs in the fact table: forgetting reaches what was written under them too."""
    arms: dict[str, dict[str, Millis]] = {}
    """Arms seen, by the experiment's salt, each since when: more than one, and the shopper is tainted for it."""
    impressions: dict[str, Impressions] = {}
    """What attention caps count, by what is capped: ``placement:x``, ``format:x``, ``experience:x`` or ``all``."""
    offers: dict[str, "OfferUse"] = {}
    """What the shopper was granted and used, by offer."""
    touched: list["Touch"] = []
    """The newest things done with products, ascending in time: what recommendations look at."""


class Touch(Struct, frozen=True, array_like=True, gc=False):
    """Something that a shopper did with one product."""

    product: str
    kind: Literal["view", "add", "order", "save"]
    time: Millis
    id: str
    """The event's: of two at one time the greater is the later."""


class OfferUse(Struct, array_like=True, gc=False):
    """What became of one offer for one shopper."""

    considered: Millis = 0
    """When it was last found not to be for them, where that verdict is kept (``freeze``); 0 for never."""
    grants: list[tuple[Millis, Millis]] = []
    """Each time it was promised to them, ascending: when, and when that ends (0 for with the offer itself)."""
    reserved: dict[str, Millis] = {}
    """By reservation, when first."""
    redeemed: dict[str, Millis] = {}
    released: dict[str, Millis] = {}
    """Given back, also by a refund: it no longer counts as a use."""


# --- what a shop sells ---


class Product(Struct, frozen=True, omit_defaults=True):
    """One entry of the shop's feed. Money in minor units."""

    id: str
    title: str = ""
    price: Minor | None = None
    cost: Minor | None = None
    stock: int | None = None
    category: str | None = None
    brand: str | None = None
    url: str | None = None
    image: str | None = None
    attributes: dict[str, str] = {}
    titles: dict[str, str] = {}
    """Title by locale, where the feed has more than one."""
    complements: tuple[str, ...] = ()
    sensitive: bool = False


class Suggested(NamedTuple):
    """A product that a model suggests, and which of its sources did."""

    product: str
    source: str


# --- what offers promise ---


class Promise(Struct, frozen=True, array_like=True, gc=False):
    """What the shopper was told when an offer was first granted to them, which nothing they do later betters."""

    expires: Millis
    """When it ends for this shopper; 0 for with the offer itself."""


class Disclosure(Struct, frozen=True):
    """What the law of a market wants said beside a price that personal data had a part in."""

    id: str
    text: str


class Grant(Struct, frozen=True, omit_defaults=True):
    """An offer as a decision grants it. ``amount`` is what it takes off the cart that was sent, in minor units."""

    offer: str
    benefit: Mapping[str, object]
    """As it was declared, for who shows it: ``{"type": "percentage", "percent": "10"}``."""
    amount: Minor
    currency: str
    expires: Millis
    personal: bool
    """Whether personal data had a part in granting it."""
    disclosure: Disclosure | None = None
    arm: str = ""
    """The arm whose part of the limits it counts against; empty where they are not split."""


# --- what goes out ---

Level = Literal["profile", "session", "request", "default"]
Reason = Literal[
    "match", "no_match", "no_such_placement", "killed", "no_consent", "no_content", "late", "error",
    "control", "holdout", "capped", "quiet", "preview", "no_offer", "shed",
]  # fmt: skip
OUTCOMES = ("shown", "control", "holdout", "capped", "unfunded")
"""What became of an experience that had won: its content was shown, or something kept it back (a *ghost*)."""
SHOWN, IN_CONTROL, HELD_OUT, CAPPED, UNFUNDED = range(5)


PLAIN = 2
"""Numbers of an exposure with nothing more to say than who was shown: it was in no test, and nothing kept it back."""


class Exposure(NamedTuple):
    """An experience that a placement came to, as the playbook counts placements, experiences and arms.

    ``propensity`` is the chance, of 10,000, that this unit got this arm; ``outcome`` is a place in ``OUTCOMES``.
    """

    placement: int
    experience: int
    arm: int = 0
    propensity: int = 10_000
    outcome: int = SHOWN


class Inputs(Struct, frozen=True):
    """Everything a decision may depend on. Same inputs, same decision."""

    now: Millis
    tenant: Tenant
    values: Mapping[str, Value]
    """The attributes by dotted path, after the consent lens; a missing one is unknown."""
    level: Level
    mask: int
    placements: tuple[str, ...] | None
    """The ones asked for; ``None`` asks for all."""
    locale: str = ""
    currency: str = ""
    payment_methods: tuple[str, ...] = ()
    delivery_methods: tuple[str, ...] = ()
    saved_method: str | None = None
    basket: tuple[str, ...] = ()
    """Product ids in the cart."""
    units: Mapping[str, str] = {}
    """Who is assigned, and whom the token is for: ``anonymous``, ``user`` and ``cart``, as far as known for sure."""
    arms: Mapping[str, str] = {}
    """The arm first seen of each experiment, by its salt."""
    impressions: Mapping[str, Impressions] = {}
    session_start: Millis = 0
    """Since when impressions count for the session."""
    forced: Mapping[str, str] = {}
    """Experience to variation: a preview shows these whatever their conditions say."""
    quiet: bool = False
    """The shopper is typing payment data: nothing may change around them."""
    lines: tuple[Line, ...] = ()
    """The cart that offers are worked out on, prices in minor units."""
    shipping: Minor | None = None
    """What delivery costs as chosen now; ``None`` where the page did not say."""
    delivery: str | None = None
    """The delivery method chosen now."""
    closed: Mapping[str, str] = {}
    """Offers that cannot be granted now, and why: ``exhausted``, ``used``, ``ended``, ``cooling``, ``frozen``,
    ``unavailable`` (nobody can say what is left) or ``nobody`` (its clock needs a shopper who may be remembered).
    An arm whose part of the limits is used up is ``exhausted`` under ``offer/arm/name``."""
    promised: Mapping[str, Promise] = {}
    shed: int = 0
    """What is left out because more is asked than can be answered: a step of ``overload.Shed``."""
    touched: tuple[Touch, ...] = ()
    """What the shopper did with products in this visit, newest last."""
    bought: tuple[tuple[str, Millis, int], ...] = ()
    """Products of earlier orders: each with the last time and how often; the one bought last is last."""
    models: Mapping[str, str] = {}
    """The versions of the models that were asked, by name; a candidate's under ``name/candidate``."""
    earlier: tuple[Touch, ...] = ()
    """What the shopper did with products before this visit, as far as the profile remembers; newest last."""


class Answer(Struct, frozen=True, omit_defaults=True):
    """What one placement shows. ``content`` is encoded JSON, or ``None`` for the shop's default.

    An ``experience`` without content is one that was kept back: the moment is an exposure all the same.
    """

    experience: str | None
    variation: str | None
    content: msgspec.Raw | None
    reason: Reason
    offer: Grant | None = None
    """What was granted with it; goes out signed, see ``engine``."""


class Decision(Struct, frozen=True):
    """The answer for the placements asked."""

    playbook: str
    placements: dict[str, Answer]
    level: Level
    degraded: bool = False
    exposures: tuple[tuple[int, ...], ...] = ()
    """Each as ``Exposure(*it)``, without the defaults at its end: what a token carries, and few bytes of it."""
    grants: tuple[Grant, ...] = ()
    """The offers granted, each once, however many placements show it."""
