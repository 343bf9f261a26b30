"""What a page tells when it asks for decisions, and the attributes conditions may read from it. Pure.

The wire is camelCase JSON with money in major units; attributes are flat dotted paths with money in minor units. A
request names facts about now only: nothing of it is kept.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, structs

from cashwrap.events import RequestFacts, read_agent
from cashwrap.model import Line, Millis, Minor, Value
from cashwrap.networks import Networks

Text = Annotated[str, Meta(max_length=200)]
Names = Annotated[list[Text], Meta(max_length=50)]
LINES = 500
"""Cart lines that are read; a longer cart is judged by its first lines and its total."""
MOST = 10**12
"""Amounts from here on, in major units, are no sensible ones."""


class ShopperRef(Struct, frozen=True, rename="camel"):
    """Who is asking; ``token`` proves a user id to a publishable key."""

    anonymous_id: Text | None = None
    user_id: Text | None = None
    token: Annotated[str, Meta(max_length=2048)] | None = None


class Page(Struct, frozen=True, rename="camel"):
    """The page the placements are on."""

    path: Annotated[str, Meta(max_length=2000)] | None = None
    type: Text | None = None
    product: Text | None = None
    """The id of the product that the page is about: what recommendations go by before there is consent."""


class Device(Struct, frozen=True, rename="camel"):
    """What the shopper holds; left out, the server reads the user agent, which tells no versions."""

    type: Text | None = None
    os: Text | None = None
    browser: Text | None = None
    os_version: Text | None = None
    browser_version: Text | None = None


class App(Struct, frozen=True, rename="camel"):
    """The shop's own app, where the page is one."""

    version: Text | None = None


class Location(Struct, frozen=True, rename="camel"):
    """Where the shop says the shopper is (a shop field or the delivery address)."""

    country: Text | None = None
    region: Text | None = None
    source: Literal["shop", "delivery"] = "shop"


class CartItem(Struct, frozen=True, rename="camel"):
    """One line of the cart; ``price`` for one piece, in major units."""

    id: Text
    quantity: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    price: Decimal | None = None
    category: Text | None = None


CartItems = Annotated[list[CartItem], Meta(max_length=10_000)]


class Cart(Struct, frozen=True, rename="camel"):
    """The cart as the shop has it now."""

    token: Text | None = None
    total: Decimal | None = None
    count: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    items: CartItems = []
    shipping: Decimal | None = None
    """What delivery costs as chosen now."""


class Checkout(Struct, frozen=True, rename="camel"):
    """Where in the checkout, and what the shop offers there."""

    step: Text | None = None
    payment_methods: Names = []
    delivery_methods: Names = []
    saved_method: Text | None = None
    delivery_method: Text | None = None
    """The one chosen now."""
    quiet: bool = False
    """The shopper is typing payment data: every placement answers with the shop's default."""


class PageContext(Struct, frozen=True, rename="camel"):
    """Everything a page may tell about itself."""

    page: Page = Page()
    device: Device = Device()
    app: App = App()
    locale: Text | None = None
    currency: Text | None = None
    time_zone: Text | None = None
    location: Location = Location()
    cart: Cart = Cart()
    checkout: Checkout = Checkout()


class DecideRequest(Struct, frozen=True, rename="camel"):
    """``POST /v1/decide``."""

    shopper: ShopperRef = ShopperRef()
    context: PageContext = PageContext()
    placements: Annotated[list[Text], Meta(max_length=100)] | None = None
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    explain: bool = False
    preview: Annotated[str, Meta(max_length=4096)] | None = None
    """The token of a preview link: what it names is shown whatever the conditions say, and is no exposure."""
    force: Annotated[dict[Text, Text], Meta(max_length=50)] = {}
    """Experience to variation, to be shown likewise; for secret keys only."""
    write_key: Text | None = None
    """The key, where a page cannot send headers without a preflight."""


def unread_keys(context: object, kind: type[Struct] = PageContext, path: str = "") -> Iterator[str]:
    """The keys of a context written by hand that nothing reads: misspelt ones, with their paths.

    A request may carry more than we know, so only tools that people write contexts for ask.
    """
    if not isinstance(context, dict):
        return
    fields = {field.encode_name: field.type for field in structs.fields(kind)}
    for key, value in context.items():
        below = fields.get(key)
        if below is None:
            yield f"{path}{key}"
        elif below == CartItems:
            for line in value if isinstance(value, list) else ():
                yield from unread_keys(line, CartItem, f"{path}{key}[].")
        elif isinstance(below, type) and issubclass(below, Struct):
            yield from unread_keys(value, below, f"{path}{key}.")


def describe(values: dict[str, Value], facts: RequestFacts, networks: Networks, *, trusted: bool) -> None:
    """Add what the request itself tells and the page left out: device by user agent, country by a trusted header,
    and the shop's named networks that the address is in.

    A backend's own user agent and address say nothing about the shopper.
    """
    if not trusted and facts.ip and networks.names:
        values["request.networks"] = networks.of(facts.ip)
    if not trusted and facts.user_agent:
        agent = read_agent(facts.user_agent)
        for path, value in (("device.type", agent.device), ("device.os", agent.os), ("device.browser", agent.browser)):
            if value:
                values.setdefault(path, value)
    if facts.country and "location.country" not in values:
        values["location.country"] = facts.country.upper()
        values["location.source"] = "header"
    elif facts.country and not trusted and values["location.country"] != facts.country.upper():
        values["location.seen"] = facts.country.upper()


def request_values(context: PageContext, currency: str, digits: int) -> dict[str, Value]:
    """The attributes a request carries; what it leaves out is missing, that is unknown.

    ``currency`` and ``digits`` are the shop's: an amount in another currency is unknown.
    """
    page, device, place, checkout = context.page, context.device, context.location, context.checkout
    asked = (context.currency or currency).upper()
    values: dict[str, Value] = {"currency": asked}
    if page.path:
        values["page.path"] = page.path.partition("?")[0]
    if context.locale:
        values["locale"] = context.locale
        values["language"] = context.locale.replace("_", "-").partition("-")[0].lower()
    if place.country or place.region:
        values["location.source"] = place.source
    if place.country:
        values["location.country"] = place.country.upper()
    if place.region:
        values["location.region"] = place.region
    if page.type:
        values["page.type"] = page.type
    _device_values(device, values)
    if context.app.version:
        values["app.version"] = context.app.version
    _checkout_values(checkout, values)
    _cart_values(context.cart, values, digits if asked == currency else None)
    return values


def _device_values(device: Device, values: dict[str, Value]) -> None:
    if device.type:
        values["device.type"] = device.type
    if device.os:
        values["device.os"] = device.os
    if device.browser:
        values["device.browser"] = device.browser
    if device.os_version:
        values["device.os_version"] = device.os_version
    if device.browser_version:
        values["device.browser_version"] = device.browser_version


def _checkout_values(checkout: Checkout, values: dict[str, Value]) -> None:
    if checkout.step:
        values["checkout.step"] = checkout.step
    if checkout.saved_method:
        values["checkout.saved_method"] = checkout.saved_method
    if checkout.payment_methods:
        values["checkout.payment_methods"] = frozenset(checkout.payment_methods)
    if checkout.delivery_methods:
        values["checkout.delivery_methods"] = frozenset(checkout.delivery_methods)


def clock_values(now: Millis, time_zone: str, shop_zone: str) -> dict[str, Value]:
    """The time where the shopper is, and where the shop is; an unknown time zone leaves it unknown."""
    return {"now": now, **_clocks(now // _MINUTE, time_zone, shop_zone)}


_MINUTE = 60_000


@lru_cache(maxsize=4096)
def _clocks(minute: int, time_zone: str, shop_zone: str) -> Mapping[str, Value]:
    values: dict[str, Value] = {}
    local, shop = _local(minute, time_zone), _local(minute, shop_zone)
    if local is not None:
        weekday = local.isoweekday()
        values = {"time.hour": local.hour, "time.weekday": weekday, "time.is_weekend": weekday >= 6}
        values["time.local"] = int(f"{local:%Y%m%d%H%M}")
    if shop is not None:
        values |= {"shop_time.hour": shop.hour, "shop_time.weekday": shop.isoweekday()}
    return values


def _local(minute: int, time_zone: str) -> datetime | None:
    zone = zone_of(time_zone)
    return datetime.fromtimestamp(minute * _MINUTE // 1000, UTC).astimezone(zone) if zone is not None else None


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone with this IANA name, or ``None``."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def to_minor(amount: Decimal, digits: int) -> Minor | None:
    """Major units to minor ones, exactly; ``None`` for what is no sensible amount."""
    if not amount.is_finite() or not -MOST < amount < MOST:  # abs() would raise where the exponent is absurd
        return None
    return int(amount.scaleb(digits).to_integral_value())


def _line_total(item: CartItem, digits: int) -> Minor | None:
    if item.price is None or to_minor(item.price, digits) is None:
        return None
    return to_minor(item.price * item.quantity, digits)


def _cart_values(cart: Cart, values: dict[str, Value], digits: int | None) -> None:
    items = cart.items if len(cart.items) <= LINES else cart.items[:LINES]
    if cart.total is not None and digits is not None:
        total = to_minor(cart.total, digits)
        if total is not None:
            values["cart.total"] = total
    elif items and digits is not None and all(item.price is not None for item in items):
        parts = [_line_total(item, digits) for item in items]
        if None not in parts:
            values["cart.total"] = sum(part for part in parts if part is not None)
    if cart.count is not None or items:
        values["cart.count"] = cart.count if cart.count is not None else sum(item.quantity for item in items)
    if items:
        values["cart.products"] = frozenset([item.id for item in items])
        values["cart.categories"] = frozenset([item.category for item in items if item.category])
    elif cart.count == 0:
        values["cart.products"] = values["cart.categories"] = frozenset()


def cart_lines(cart: Cart, digits: int) -> tuple[Line, ...]:
    """The cart that offers are worked out on, with prices in minor units; empty where it is longer than ``LINES``.

    A product whose id holds a control character is no product: left out.
    """
    if len(cart.items) > LINES:
        return ()
    return tuple(
        [
            Line(item.id, item.quantity, None if item.price is None else to_minor(item.price, digits))
            for item in cart.items
            if item.id.isprintable()
        ]
    )
