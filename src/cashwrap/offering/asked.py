"""What a backend asks of offers, as plain values with limits on every field, and what it is answered."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from cashwrap.errors import Conflict, InvalidInput
from cashwrap.model import Disclosure, Millis, Minor
from cashwrap.offering.proof import LONGEST
from cashwrap.offers.codes import LONGEST as LONGEST_CODE
from cashwrap.request import Cart, Text

IDENTITIES = 20
ReservationId = Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]
Name = Annotated[str, Meta(min_length=1, max_length=50)]


class OfferShopper(Struct, frozen=True, rename="camel"):
    """Who redeems, by whatever the backend knows them by."""

    user_id: Text | None = None
    anonymous_id: Text | None = None
    email: Annotated[str, Meta(max_length=320)] | None = None


class ReserveBody(Struct, frozen=True, rename="camel"):
    """``POST /v1/offers/reserve``: an offer by the token that granted it, or by a code."""

    cart: Cart
    """The shop's own cart as it is now, as in ``POST /v1/decide``; 500 lines at most, because each one counts."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    token: Annotated[str, Meta(max_length=LONGEST)] | None = None
    code: Annotated[str, Meta(max_length=LONGEST_CODE)] | None = None
    shopper: OfferShopper = OfferShopper()
    identities: Annotated[
        dict[Name, Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=IDENTITIES)
    ] = {}
    """What else one person is known by, such as ``address`` or ``payment``: each one counts as a shopper."""
    delivery_method: Text | None = None
    """The one chosen now."""


class RedeemBody(Struct, frozen=True):
    """``POST /v1/offers/redeem``; ``amount``, in major units, may be less than what is held."""

    reservation: ReservationId
    order: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: Decimal | None = None


class ReleaseBody(Struct, frozen=True):
    """``POST /v1/offers/release``."""

    reservation: ReservationId


class TakeBackBody(Struct, frozen=True):
    """``POST /v1/offers/rollback``: one reservation, or all of an order; ``amount`` for a part of the money."""

    reservation: ReservationId | None = None
    order: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    amount: Decimal | None = None


class HeldOffer(Struct, frozen=True, omit_defaults=True):
    """A reservation as a backend sees it. ``amount`` is in major units, as text, times in milliseconds."""

    id: str
    offer: str
    state: str
    amount: str
    currency: str
    expires: Millis
    benefit: Mapping[str, Any] | None = None
    """As the live playbook has it; left out where it no longer does."""
    order: str | None = None
    disclosure: Disclosure | None = None
    """What must be said beside the price, where personal data had a part in it."""


class OfferReport(Struct, frozen=True):
    """One offer with its limits and how far they are; money in major units, by currency."""

    name: str
    kind: str
    enabled: bool
    exhausted: bool
    currency: str
    limits: Mapping[str, int | str | None]
    used: int
    today: int
    held: Mapping[str, str]
    spent: Mapping[str, str]
    arms: Mapping[str, "OfferPart"] = {}
    """What each arm has of the limits, where they are split by arm."""


class OfferPart(Struct, frozen=True):
    """An arm's part of an offer: its limits, and how far they are."""

    exhausted: bool
    limits: Mapping[str, int | str | None]
    used: int
    today: int


def must_be_one(*given: object, what: str) -> None:
    """Raises ``InvalidInput`` unless exactly one was given."""
    if sum(each is not None for each in given) != 1:
        raise InvalidInput(f"send {what}, one of them", code="invalid_request")


def amount_in(given: Decimal | None, digits: int) -> Minor | None:
    """An amount in minor units. Raises ``InvalidInput`` (``invalid_price``) for what is no sensible, exact one."""
    if given is None:
        return None
    if not given.is_finite() or not 0 <= given < 10**12 or given != given.quantize(Decimal(1).scaleb(-digits)):
        raise InvalidInput("this is no amount of the currency that was reserved", code="invalid_price")
    return int(given.scaleb(digits))


def refused(code: str) -> Conflict:
    """What a backend is told when the ledger or a check says no."""
    return Conflict(_REFUSALS.get(code, "this cannot be done to the reservation as it is now"), code=code)


_REFUSALS = {
    "limit_reached": "a limit of this offer is reached: take it off the cart",
    "unknown_code": "this code opens nothing (any more)",
    "offer_ended": "this offer is over, or is no longer in the playbook: decide again",
    "bad_offer_token": "this offer token was not made here, or was changed: decide again",
    "wrong_cart": "the cart is not the one that the offer was granted for: decide again with the cart as it is now",
    "wrong_shopper": "the offer was granted to another shopper",
    "worth_nothing": "the offer takes nothing off this cart",
    "reservation_expired": "the reservation has expired: reserve again",
    "already_redeemed": "the reservation was redeemed, or redeemed for another order",
    "already_closed": "the reservation was given back: reserve again",
    "not_redeemed": "the reservation was not redeemed: release it",
    "amount_too_high": "the amount is more than the reservation holds",
}
"""Each refusal, and what to do next."""
