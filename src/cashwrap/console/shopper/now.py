"""What a shopper would see at this moment, in a context that one may set: decided by what is live, and kept nowhere."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Struct

from cashwrap import records
from cashwrap.console.shopper.decided import Shown, shown
from cashwrap.declarations import Options
from cashwrap.engine import Engine
from cashwrap.errors import Forgotten, InvalidInput, StoreError
from cashwrap.explain import explain
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller
from cashwrap.model import Inputs, Level, Product, Profile
from cashwrap.offers.benefits import major
from cashwrap.ports import ShopperKey
from cashwrap.request import Cart, CartItem, Checkout, DecideRequest, Device, Page, PageContext, ShopperRef
from cashwrap.tell import tell

ITEMS = 50
"""Lines of a cart that one may type."""
METHODS = 50
FIELDS = ("device", "locale", "total", "items", "page", "step", "payment", "delivery")


class Context(Struct, frozen=True):
    """What a page would tell of itself, as somebody typed it. ``items`` is a line a product: its id, and how many."""

    device: str = ""
    locale: str = ""
    total: str = ""
    items: str = ""
    page: str = ""
    step: str = ""
    payment: str = ""
    delivery: str = ""
    """Methods that the shop offers, with commas."""


class Now(Struct, frozen=True):
    """What every placement answers. ``level`` says what was allowed to be used."""

    level: Level
    placements: list[Shown]


def usual(engine: Engine, key: ShopperKey, profile: Profile, *, personal: bool) -> Context:
    """The context to begin with: the shopper's own device and open cart, and what the shop offered last."""
    declared = engine.live.playbook.declarations
    offered: dict[str, list[str]] = {"payment_methods": [], "delivery_methods": []}
    for experience in declared.experiences.values():
        placement = declared.placements.get(experience.placement)
        for content in experience.variations.values():
            if isinstance(content, Options) and placement is not None:
                of = placement.of or (placement.name if placement.name in offered else "payment_methods")
                offered[of] += [*content.first, *content.last, *content.hide, *content.highlight]
    last = _last(engine, key)
    payment = (last.payment_methods if last is not None else ()) or offered["payment_methods"]
    delivery = (last.delivery_methods if last is not None else ()) or offered["delivery_methods"]
    where = {name: str(kept.value) for name, kept in profile.where.items()} if personal else {}
    lines = profile.cart.lines.values() if personal else ()
    return Context(
        device=where.get("device", "desktop"),
        locale=where.get("locale", engine.live.playbook.settings.locale),
        items="\n".join(f"{each.line.product_id} x{each.line.quantity}" for each in lines),
        page="cart",
        payment=", ".join(dict.fromkeys(payment)),
        delivery=", ".join(dict.fromkeys(delivery)),
    )


def decide_now(
    engine: Engine, caller: Caller, hot: HotProfile, context: Context, force: Mapping[str, str] | None = None
) -> Now:
    """What every placement would show; ``force`` shows variations whatever their conditions say.

    Raises ``InvalidInput`` (``invalid_amount``, ``invalid_context``) for a context that is none.
    """
    playbook, profile = engine.live.playbook, hot.profile
    products = engine.catalogues.products(caller.key.tenant)
    devices = profile.anonymous_ids
    who = ShopperRef(anonymous_id=devices[-1] if devices else None, user_id=profile.user_id)
    page = _page(context, products, playbook.settings.currency, hot)
    request = DecideRequest(shopper=who, context=page, force=dict(force or {}))
    inputs = engine.inputs(playbook, request, caller, hot).inputs
    catalogue, kills = engine.catalogues.of(inputs.tenant), engine.switches.kills(inputs.tenant)
    explained = explain(playbook.experiences, inputs, catalogue, kills)
    return Now(inputs.level, shown(playbook, tell(playbook, inputs, explained)))


def _page(context: Context, products: Mapping[str, Product], currency: str, hot: HotProfile) -> PageContext:
    items = list(_items(context.items, products, currency))
    total = _amount(context.total) if context.total.strip() else None
    cart = Cart(
        token=hot.profile.cart.token,
        total=total if total is not None else None if items else Decimal(0),
        count=sum(item.quantity for item in items) if items or total is None else None,
        items=items,
    )
    checkout = Checkout(
        step=context.step.strip() or None,
        payment_methods=_names(context.payment),
        delivery_methods=_names(context.delivery),
    )
    return _checked(
        PageContext(
            page=Page(type=context.page.strip() or None),
            device=Device(type=context.device or None),
            locale=context.locale.strip() or None,
            cart=cart,
            checkout=checkout,
        )
    )


def _checked(page: PageContext) -> PageContext:
    """Within the limits of any request."""
    try:
        return msgspec.json.decode(msgspec.json.encode(page), type=PageContext)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"this context does not fit: {error}", code="invalid_context") from None


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))[:METHODS]


def _items(text: str, products: Mapping[str, Product], currency: str) -> Iterator[CartItem]:
    """A line a product: ``mug``, ``mug x2``; what it costs and its category is what the catalogue says."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > ITEMS:
        raise InvalidInput(f"a cart typed here has at most {ITEMS} lines", code="invalid_context")
    for line in lines:
        name, _, pieces = line.rpartition(" x")
        name, quantity = (name.strip(), int(pieces)) if name and _whole(pieces) else (line, 1)
        product = products.get(name)
        price = product.price if product is not None else None
        category = product.category if product is not None else None
        yield CartItem(name, quantity, Decimal(major(price, currency)) if price is not None else None, category)


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _amount(text: str) -> Decimal:
    plain = text.strip().replace(" ", "")
    if "," in plain:  # 1.234,50 and 12,50 as well as 1,234.50
        plain = (
            plain.replace(",", "") if plain.rfind(".") > plain.rfind(",") else plain.replace(".", "").replace(",", ".")
        )
    try:
        amount = Decimal(plain[:30])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount < 10**12:
        raise InvalidInput("the cart's total is an amount such as 42.50", code="invalid_amount")
    return amount


def _last(engine: Engine, key: ShopperKey) -> Inputs | None:
    """What the shopper's newest kept decision was made from."""
    for kept in engine.world.store.decisions_of(key, engine.world.clock.now() + 1, 1):
        with suppress(Forgotten, StoreError, msgspec.DecodeError):
            return records.decode(engine.world.vault.open(kept.shopper, kept.payload)).inputs
    return None
