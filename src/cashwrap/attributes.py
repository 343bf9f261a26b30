"""The attributes a condition may read besides features: each with its type and what it means.

One table for the checker, the reference and the editor. A missing value is unknown, never a default. Money is in minor
units of the shop's currency; ages and gaps are whole minutes or days, rounded down.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.condition.environment import Environment, Type
from cashwrap.declarations import DISCOUNT_SENSITIVITY, NEXT_CATEGORY, Kind, Settings
from cashwrap.model import Purpose

Source = Literal["request", "profile", "model"]


class Attribute(Struct, frozen=True):
    """``request`` attributes are there without consent; ``profile`` ones only under ``personalization``, and ``model``
    ones only where a model is live too."""

    path: str
    type: Type
    doc: str
    source: Source = "request"
    moves: int = 0
    """Milliseconds after which the value grows by one without any event; 0 where it does not."""


MINUTE = 60_000
DAY = 86_400_000

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("cart.total", Type.MONEY, "what the cart costs now, as the shop says"),
    Attribute("cart.count", Type.NUMBER, "pieces in the cart"),
    Attribute("cart.products", Type.STRING_SET, "ids of the products in the cart"),
    Attribute("cart.categories", Type.STRING_SET, "categories of the products in the cart"),
    Attribute("device.type", Type.STRING, "mobile, tablet, desktop or other"),
    Attribute("device.os", Type.STRING, "the operating system's family"),
    Attribute("device.os_version", Type.VERSION, "the operating system's version"),
    Attribute("device.browser", Type.STRING, "the browser's family"),
    Attribute("device.browser_version", Type.VERSION, "the browser's version"),
    Attribute("app.version", Type.VERSION, "the version of the shop's own app, as the app says"),
    Attribute("locale", Type.STRING, "the page's locale, such as de-AT"),
    Attribute("language", Type.STRING, "the language of the locale, such as de"),
    Attribute("currency", Type.STRING, "the currency the page shows, ISO 4217"),
    Attribute("page.type", Type.STRING, "the kind of page, as the shop names it"),
    Attribute("page.path", Type.STRING, "the page's path, without its query"),
    Attribute("location.country", Type.STRING, "ISO 3166 code of the country"),
    Attribute("location.region", Type.STRING, "the region, as its source names it"),
    Attribute("location.source", Type.STRING, "who said where: header, shop or delivery"),
    Attribute("location.seen", Type.STRING, "the country of the trusted header, where a page says another one"),
    Attribute("request.networks", Type.STRING_SET, "the shop's named networks that the request comes from"),
    Attribute("now", Type.TIME, "the moment of the request", moves=1),
    Attribute("time.hour", Type.NUMBER, "0 to 23 in the shopper's own time zone"),
    Attribute("time.weekday", Type.NUMBER, "1 for Monday to 7 for Sunday, in the shopper's own time zone"),
    Attribute("time.is_weekend", Type.BOOL, "Saturday or Sunday, in the shopper's own time zone"),
    Attribute("time.local", Type.NUMBER, "the shopper's own date and time as a number, such as 202612241800"),
    Attribute("shop_time.hour", Type.NUMBER, "0 to 23 in the shop's time zone"),
    Attribute("shop_time.weekday", Type.NUMBER, "1 for Monday to 7 for Sunday, in the shop's time zone"),
    Attribute("checkout.step", Type.STRING, "the step of the checkout, as the shop names it"),
    Attribute("checkout.payment_methods", Type.STRING_SET, "ids of the payment methods on offer now"),
    Attribute("checkout.delivery_methods", Type.STRING_SET, "ids of the delivery methods on offer now"),
    Attribute("checkout.saved_method", Type.STRING, "id of the method the shopper has saved"),
    Attribute("sessions", Type.NUMBER, "visits so far, this one included", "profile"),
    Attribute("session.events", Type.NUMBER, "events in this visit", "profile"),
    Attribute("session.age_minutes", Type.NUMBER, "minutes since this visit began", "profile", MINUTE),
    Attribute("days_since_last_visit", Type.NUMBER, "days since the visit before this one", "profile", DAY),
    Attribute("open_cart.total", Type.MONEY, "what the unordered cart comes to, by its events", "profile"),
    Attribute("open_cart.max_price", Type.MONEY, "the dearest product in the unordered cart", "profile"),
    Attribute("open_cart.count", Type.NUMBER, "pieces in the unordered cart", "profile"),
    Attribute("open_cart.products", Type.STRING_SET, "ids of the products in the unordered cart", "profile"),
    Attribute("open_cart.categories", Type.STRING_SET, "categories in the unordered cart", "profile"),
    Attribute("open_cart.idle_minutes", Type.NUMBER, "minutes since the cart was last touched", "profile", MINUTE),
    Attribute("wishlist", Type.STRING_SET, "ids of the products on the wishlist", "profile"),
    Attribute("offer.promised", Type.STRING_SET, "offers that run for the shopper now (`lasts`)", "profile"),
    Attribute("traits.known", Type.BOOL, "whether the shopper is identified", "profile"),
    Attribute("purchase_propensity", Type.NUMBER, "the chance of an order in the next hour, 0 to 1", "model"),
    Attribute("abandon_propensity", Type.NUMBER, "the chance that a checkout ends without one, 0 to 1", "model"),
    Attribute("coupon_propensity", Type.NUMBER, "the chance that a code or an offer is used, 0 to 1", "model"),
    Attribute(NEXT_CATEGORY, Type.STRING, "the category likeliest to be looked at next", "model"),
    Attribute(DISCOUNT_SENSITIVITY, Type.NUMBER, "what an offer adds to the chance of an order, -1 to 1", "model"),
)

ROOTS = frozenset({*(attribute.path.partition(".")[0] for attribute in ATTRIBUTES), "consent", "segments", "offer"})
"""First words of paths that are taken: no feature may have such a name."""

PREDICTED = tuple(attribute.path for attribute in ATTRIBUTES if attribute.source == "model")
"""What models tell in every shop, beside a shop's own predictions."""
_REQUESTED = frozenset(attribute.path for attribute in ATTRIBUTES if attribute.source == "request")


def is_requested(name: str) -> bool:
    """Whether an attribute comes with the request: it is known without consent, and may differ every time."""
    return name in _REQUESTED


KIND_TYPES: dict[Kind, Type] = {
    "text": Type.STRING,
    "integer": Type.NUMBER,
    "number": Type.NUMBER,
    "money": Type.MONEY,
    "boolean": Type.BOOL,
    "time": Type.TIME,
    "texts": Type.STRING_SET,
    "products": Type.STRING_SET,
}
"""What a declared kind is to a condition. Money in events and traits is in the shop's currency."""

_CONSENT = {f"consent.{str(purpose.name).lower()}": Type.BOOL for purpose in Purpose}


def environment(
    settings: Settings,
    digits: int,
    features: Mapping[str, Type],
    traits: Mapping[str, Kind],
    segments: Iterable[str],
    predictions: Iterable[str] = (),
) -> Environment:
    """What the conditions of a playbook may name. ``digits`` are those of the shop's currency."""
    types = {attribute.path: attribute.type for attribute in ATTRIBUTES}
    types |= _CONSENT
    types |= {f"traits.{name}": KIND_TYPES[kind] for name, kind in traits.items()}
    types["traits.*"] = Type.DYN
    types |= features
    types |= dict.fromkeys(predictions, Type.NUMBER)
    return Environment(types, frozenset(segments), settings.currency, digits)
