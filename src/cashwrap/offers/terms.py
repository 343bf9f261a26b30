"""An offer, compiled: everything that granting it, holding it and spending it go by. Built once a playbook."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.condition import Checked, Predicate, compile_condition
from cashwrap.content import parse_message
from cashwrap.declarations import Codes, OfferDecl, OfferKind
from cashwrap.model import Millis, Minor
from cashwrap.offers.benefits import Benefit, amount_off, compile_benefit, minor
from cashwrap.offers.cart import OfferCart


class Limits(Struct, frozen=True):
    """How often it may be used: in all, by one shopper, with one code, in one day of the shop. ``None`` is no limit.

    ``budget`` is how much all uses may come to, in minor units of the offer's currency.
    """

    total: int | None = None
    shopper: int | None = None
    code: int | None = None
    day: int | None = None
    budget: Minor | None = None


class Offer(Struct, frozen=True):
    """An offer as declared, with its amounts in minor units of ``currency``.

    ``personal`` says that its own condition reads personal data; an experience that grants it may do so besides.
    ``predicate`` tells of values whether the condition holds (``None`` where it is unknown); ``None`` is for everyone.
    """

    name: str
    kind: OfferKind
    benefit: Benefit
    currency: str
    limits: Limits
    holds: Millis
    codes: Codes
    group: str | None = None
    bundle: tuple[str, ...] = ()
    lasts: Millis | None = None
    again_after: Millis | None = None
    freeze: Millis | None = None
    text: Mapping[str, str] = {}
    enabled: bool = True
    personal: bool = False
    condition: Checked | None = None
    predicate: Predicate | None = None

    def worth(self, cart: OfferCart) -> Minor:
        """What it takes off a cart, in minor units; 0 for one in another currency."""
        return amount_off(self.benefit, cart, self.bundle) if cart.currency == self.currency else 0


class Group(Struct, frozen=True):
    """Offers of which a cart has one at most, in the order written."""

    name: str
    pick: Literal["best", "first"]
    offers: tuple[Offer, ...]


class Choice(Struct, frozen=True):
    """The offers of which one experience grants one.

    ``personal`` says that the experience's own condition reads personal data; what an offer asks for comes on top.
    """

    offers: tuple[Offer, ...]
    pick: Literal["best", "first"] = "best"
    personal: bool = False


def compile_offer(declared: OfferDecl, condition: Checked | None, currency: str, *, personal: bool) -> Offer:
    """An offer that was checked; ``currency`` is the shop's."""
    own, limits = declared.currency or currency, declared.limits
    return Offer(
        name=declared.name,
        kind=declared.kind,
        benefit=compile_benefit(declared.benefit, own),
        currency=own,
        limits=Limits(
            limits.total,
            limits.shopper,
            limits.code,
            limits.day,
            None if limits.budget is None else minor(limits.budget, own),
        ),
        holds=declared.holds,
        codes=declared.codes,
        group=declared.group,
        bundle=declared.bundle,
        lasts=declared.lasts,
        again_after=declared.again_after,
        freeze=declared.freeze,
        text={tag: parse_message(source).fixed or "" for tag, source in declared.text.items()},
        enabled=declared.enabled,
        personal=personal,
        condition=condition,
        predicate=None if condition is None else compile_condition(condition),
    )
