"""What an offer takes off a cart: exact, in whole minor units, and never more than what it is taken off. Pure.

A percentage is rounded half up to the minor unit. Lines whose price is not known count nothing. There is no benefit
that could raise a price.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from cashwrap.declarations import AmountDecl, BenefitDecl, FreeDeliveryDecl, FreeItemDecl, PercentDecl, TiersDecl
from cashwrap.events.money import minor_digits
from cashwrap.model import Line, Minor
from cashwrap.offers.cart import OfferCart

WHOLE = 10_000
"""Percentages are parts of this: 1,000 are ten percent."""


class Percent(Struct, frozen=True):
    """A percentage of the cart, or of the bundle; ``most`` is the largest amount it comes to."""

    percent: int
    most: Minor | None = None


class Amount(Struct, frozen=True):
    """An amount off the cart, or off the bundle, once."""

    amount: Minor


class FreeDelivery(Struct, frozen=True):
    """What delivery costs, where one of these methods is chosen."""

    methods: tuple[str, ...]


class FreeItem(Struct, frozen=True):
    """One piece of a product that is in the cart; the cheapest, where it is there at several prices."""

    product: str


class Tier(Struct, frozen=True):
    """From this amount on, a percentage, or else an amount."""

    start: Minor
    percent: int = 0
    amount: Minor = 0


class Tiers(Struct, frozen=True):
    """The last tier that the cart, or the bundle, reaches. Ascending."""

    tiers: tuple[Tier, ...]


Benefit = Percent | Amount | FreeDelivery | FreeItem | Tiers


def compile_benefit(declared: BenefitDecl, currency: str) -> Benefit:
    """A benefit with its amounts in minor units of ``currency``; what was declared has been checked."""
    match declared:
        case PercentDecl(percent, most):
            return Percent(percent, None if most is None else minor(most, currency))
        case AmountDecl(amount):
            return Amount(minor(amount, currency))
        case FreeDeliveryDecl(methods):
            return FreeDelivery(methods)
        case FreeItemDecl(product):
            return FreeItem(product)
        case TiersDecl(tiers):
            return Tiers(
                tuple([Tier(minor(each.start, currency), each.percent, minor(each.amount, currency)) for each in tiers])
            )


def amount_off(benefit: Benefit, cart: OfferCart, bundle: Sequence[str] = ()) -> Minor:
    """What it takes off this cart, in minor units of its currency; 0 where it is worth nothing.

    With a ``bundle`` all its products must be in the cart, and the benefit is off as many whole bundles as there are,
    put together of the cheapest pieces.
    """
    base = _bundles(cart.lines, bundle) if bundle else subtotal(cart.lines)
    if base <= 0:
        return 0
    match benefit:
        case Percent(percent, most):
            found = share(base, percent)
            return found if most is None else min(found, most)
        case Amount(amount):
            return min(amount, base)
        case FreeDelivery(methods):
            return max(cart.shipping or 0, 0) if cart.delivery in methods else 0
        case FreeItem(product):
            return min(_prices(cart.lines, product), default=0)
        case Tiers(tiers):
            reached = [tier for tier in tiers if tier.start <= base]
            tier = reached[-1] if reached else Tier(0)
            return share(base, tier.percent) if tier.percent else min(tier.amount, base)


def subtotal(lines: Sequence[Line]) -> Minor:
    """What the products come to, as far as their prices are known."""
    return sum(line.quantity * line.price for line in lines if line.price is not None)


def share(base: Minor, percent: int) -> Minor:
    """A percentage, in parts of 10,000, of an amount that is not negative; rounded half up."""
    return (base * percent + WHOLE // 2) // WHOLE


def _prices(lines: Sequence[Line], product: str) -> list[Minor]:
    return [line.price for line in lines if line.product_id == product and line.quantity > 0 and line.price is not None]


def _bundles(lines: Sequence[Line], bundle: Sequence[str]) -> Minor:
    """What the whole bundles in the cart come to."""
    held: dict[str, list[tuple[Minor, int]]] = defaultdict(list)
    for line in lines:
        if line.product_id in bundle and line.price is not None and line.quantity > 0:
            held[line.product_id].append((line.price, line.quantity))
    if len(held) < len(set(bundle)):
        return 0
    whole = min(sum(count for _, count in parts) for parts in held.values())
    return sum(_cheapest(parts, whole) for parts in held.values())


def _cheapest(parts: list[tuple[Minor, int]], count: int) -> Minor:
    total = 0
    for price, there in sorted(parts):
        total += price * min(there, count)
        count -= min(there, count)
    return total


# --- as it is written ---


def wire(benefit: Benefit, currency: str) -> dict[str, object]:
    """A benefit as it is told to shops: amounts in major units, as text."""
    match benefit:
        case Percent(percent, most):
            return {"type": "percentage", **_percentage(percent), **_most(most, currency)}
        case Amount(amount):
            return {"type": "amount", "amount": major(amount, currency)}
        case FreeDelivery(methods):
            return {"type": "free_delivery", "methods": list(methods)}
        case FreeItem(product):
            return {"type": "free_item", "product": product}
        case Tiers(tiers):
            return {"type": "tiers", "tiers": [_tier(tier, currency) for tier in tiers]}


def _tier(tier: Tier, currency: str) -> Mapping[str, str]:
    told = _percentage(tier.percent) if tier.percent else {"amount": major(tier.amount, currency)}
    return {"from": major(tier.start, currency), **told}


def _percentage(percent: int) -> dict[str, str]:
    whole, rest = divmod(percent, 100)
    return {"percent": f"{whole}.{rest:02}".rstrip("0") if rest else str(whole)}


def _most(most: Minor | None, currency: str) -> dict[str, str]:
    return {} if most is None else {"most": major(most, currency)}


def major(amount: Minor, currency: str) -> str:
    """Minor units in major units, with all digits: 490 cents are ``4.90``."""
    return f"{Decimal(amount).scaleb(-minor_digits(currency)):f}"


def minor(text: str, currency: str) -> Minor:
    """An amount in major units, as a playbook writes it, in minor units."""
    return int(Decimal(text).scaleb(minor_digits(currency)))
