"""Offers: amounts are in major units of the offer's currency, as written; percentages are parts of 10,000."""

from typing import Literal

from msgspec import Struct

from cashwrap.declarations.base import Condition, Spot
from cashwrap.declarations.content import Texts
from cashwrap.model import Millis

OfferKind = Literal["promotion", "repeat", "loyalty", "recovery", "bundle"]
"""What an offer is for."""
Codes = Literal["none", "single", "shared"]
"""Whether an offer needs a code: none, one for each use, or one that many share."""
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
"""What an offer takes off."""


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
