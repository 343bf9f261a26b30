"""What models may tell of a shopper, as attributes of conditions."""

from msgspec import Struct

from cashwrap.declarations.base import Spot
from cashwrap.model import Millis, Purpose


class PredictionDecl(Struct, frozen=True):
    """A chance that a model tells of a shopper, as an attribute of this name: that one of ``events`` happens ``within``
    a time after one of ``at``; with ``without`` that none does.

    ``features`` are the attributes that it is told from; none named are all that a profile has. Only shoppers who allow
    ``purpose`` are learned from and asked about.
    """

    name: str
    at: tuple[str, ...]
    events: tuple[str, ...]
    within: Millis = 3_600_000
    without: bool = False
    features: tuple[str, ...] = ()
    purpose: Purpose = Purpose.PERSONALIZATION
    spot: Spot = Spot()


_CHECKOUT = ("Checkout Started", "Checkout Step Viewed")
PREDICTIONS: dict[str, PredictionDecl] = {
    each.name: each
    for each in (
        PredictionDecl("purchase_propensity", ("Product Viewed", "Product Added", "Cart Viewed"), ("Order Completed",)),
        PredictionDecl("abandon_propensity", _CHECKOUT, ("Order Completed",), without=True),
        PredictionDecl("coupon_propensity", _CHECKOUT, ("Coupon Applied", "Offer Redeemed")),
    )
}
"""Those that every shop has, unknown to conditions until a model is live. Beside them ``next_category``, the category
that a shopper is likeliest to look at next, and ``discount_sensitivity``, by how much an offer raises the chance of an
order, learned from randomised offers only."""
NEXT_CATEGORY = "next_category"
"""The attribute that holds the category a shopper is likeliest to look at next."""
DISCOUNT_SENSITIVITY = "discount_sensitivity"
"""The attribute that holds by how much an offer raises the chance of an order."""
