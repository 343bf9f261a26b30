"""An offer, compiled: everything that granting it, holding it and spending it go by. Built once a playbook."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.condition import Checked, Predicate, compile_condition
from cashwrap.content import parse_message
from cashwrap.declarations import Codes, LimitsDecl, OfferDecl, OfferKind
from cashwrap.model import Millis, Minor
from cashwrap.offers.benefits import Benefit, amount_off, compile_benefit, minor
from cashwrap.offers.cart import OfferCart

NO_SHARES: Mapping[str, int] = {}


class Limits(Struct, frozen=True):
    """How often it may be used: in all, by one shopper, with one code, in one day of the shop. ``None`` is no limit.

    ``budget`` is how much all uses may come to, in minor units of the offer's currency.
    """

    total: int | None = None
    shopper: int | None = None
    code: int | None = None
    day: int | None = None
    budget: Minor | None = None

    def split(self, shares: Mapping[str, int]) -> "dict[str, Limits]":
        """What each arm has of the limits of the whole shop, by its share; those of a shopper and a code stay whole."""
        found = {arm: Limits() for arm in shares}
        for name in ("total", "day", "budget"):
            whole = getattr(self, name)
            if whole is not None:
                found = {arm: replace(found[arm], **{name: part}) for arm, part in parts(whole, shares).items()}
        return found


def parts(whole: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Whole parts in proportion to shares, which come to ``whole``: those with the largest remainders are rounded up,
    of equal ones the first written (Hamilton's method)."""
    total = sum(shares.values())
    found = {arm: whole * share // total for arm, share in shares.items()}
    left = whole - sum(found.values())
    for arm in sorted(shares, key=lambda each: -(whole * shares[each] % total))[:left]:
        found[arm] += 1
    return found


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
    parts: Mapping[str, Limits] = {}
    """What each arm has of the limits, where they are split by arm."""

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


def compile_offer(
    declared: OfferDecl,
    condition: Checked | None,
    currency: str,
    *,
    personal: bool,
    shares: Mapping[str, int] = NO_SHARES,
) -> Offer:
    """An offer that was checked; ``currency`` is the shop's, ``shares`` are those of the arms that split its limits."""
    own = declared.currency or currency
    limits = _limits(declared.limits, own)
    return Offer(
        name=declared.name,
        kind=declared.kind,
        benefit=compile_benefit(declared.benefit, own),
        currency=own,
        limits=limits,
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
        parts=limits.split(shares),
    )


def _limits(declared: LimitsDecl, currency: str) -> Limits:
    budget = None if declared.budget is None else minor(declared.budget, currency)
    return Limits(declared.total, declared.shopper, declared.code, declared.day, budget)
