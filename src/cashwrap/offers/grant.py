"""What may be granted in one decision: limits, promises, the cart, the market's law and groups, in that order. Pure.

Whether an offer can be granted is judged before anyone is assigned to an arm, so that an experiment compares shoppers
to whom the same could have been granted.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from cashwrap.content import OFFER_AMOUNT, OFFER_CURRENCY, OFFER_EXPIRES, OFFER_NAME
from cashwrap.content.locales import canonical, chain
from cashwrap.declarations import Settings
from cashwrap.model import Grant, Inputs, Millis, Promise, Value
from cashwrap.offers.benefits import wire
from cashwrap.offers.cart import OfferCart
from cashwrap.offers.guard import part_of
from cashwrap.offers.markets import MarketRules, rules_for, strictness
from cashwrap.offers.terms import Choice, Offer

SEEN = "location.seen"
"""The attribute with the country of the trusted header, where a page says that it is in another one."""
PROMISED = "offer.promised"
"""The attribute with the offers that run for the shopper now."""
_CLOSED = {
    "exhausted": "is exhausted: its limits are reached",
    "used": "was used by this shopper as often as it may be",
    "ended": "has ended for this shopper",
    "cooling": "had its time for this shopper, and is not to begin anew yet",
    "frozen": "was not for this shopper at first sight, which is kept for a while",
    "nobody": "goes by what is remembered of a shopper, and of this one nothing may be",
    "unavailable": "cannot be granted while nobody can say how far its limits are",
}
"""What to say of an offer that is closed to a shopper."""


class Granted(NamedTuple):
    """A grant, and the inputs with what a text may say of it."""

    grant: Grant
    inputs: Inputs


class Granting:
    """The offers that one decision may grant, and those it has."""

    __slots__ = ("_cart", "_groups", "_inputs", "_rules", "_settings", "granted")

    def __init__(self, inputs: Inputs, settings: Settings) -> None:
        self._inputs = inputs
        self._settings = settings
        self._cart = OfferCart(inputs.lines, inputs.currency, inputs.shipping, inputs.delivery)
        self._groups: dict[str, str] = {}
        self._rules: MarketRules | None = None
        self.granted: dict[str, Grant] = {}
        """By offer: one may be shown in several placements."""

    def choose(self, choice: Choice) -> Granted | str:
        """The grant of one of these offers, or why there is none.

        With several, each must be for this shopper; the best is the one that takes most off, the first written where
        they are equal.
        """
        best: tuple[Grant, Offer] | None = None
        why: list[str] = []
        several = len(choice.offers) > 1
        for offer in choice.offers:
            if several and not self._is_for(offer):
                why.append(f"offer {offer.name} is not for this shopper")
                continue
            found = self.judge(offer, personal=choice.personal or offer.personal)
            if isinstance(found, str):
                why.append(f"offer {offer.name} {found}")
            elif choice.pick == "first":
                best = found, offer
                break
            elif best is None or found.amount > best[0].amount:
                best = found, offer
        return Granted(best[0], self._said(*best)) if best is not None else "; ".join(why)

    def judge(self, offer: Offer, *, personal: bool) -> Grant | str:
        """The grant of an offer whose condition holds, or why it cannot be granted."""
        inputs, name = self._inputs, offer.name
        if name in self.granted:  # in another placement, and it stays the one it is
            return self.granted[name]
        known = inputs.level in ("profile", "session")
        if name in inputs.closed:
            return _CLOSED.get(inputs.closed[name], "is closed to this shopper")
        if offer.lasts is not None and not known and name not in inputs.promised:
            return "lasts for a while, which nobody remembers of a shopper without a profile"
        expires = self._expires(offer)
        if expires is not None and expires <= inputs.now:
            return _CLOSED["ended"]
        amount = offer.worth(self._cart)
        if amount <= 0:
            return "is worth nothing on this cart"
        taken = self._groups.get(offer.group or "", name)
        if taken != name:
            return f"gives way to {taken}, which was granted of the same group"
        by_person = personal and known
        rules = self._market() if by_person else None
        if rules is not None and rules.no_personal_prices:
            return "is made by personal data, which may have no part in prices in this market"
        return Grant(
            offer=name,
            benefit=wire(offer.benefit, offer.currency),
            amount=amount,
            currency=offer.currency,
            expires=expires or 0,
            personal=by_person,
            disclosure=rules.said(inputs.locale, self._settings.locale) if rules is not None else None,
        )

    def _is_for(self, offer: Offer) -> bool:
        """Whether an offer's own condition holds, or did when it was promised."""
        inputs = self._inputs
        if offer.predicate is None or (offer.lasts is not None and offer.name in inputs.promised):
            return True
        return offer.predicate(inputs.values) is True

    def funded(self, choice: Choice, grant: Grant, arm: str) -> Grant | None:
        """The grant as an arm gets it; ``None`` where its limits are split by arm and this arm's part is used up."""
        offer = next((each for each in choice.offers if each.name == grant.offer), None)
        if offer is None or not offer.parts:
            return grant
        if arm not in offer.parts or part_of(offer.name, arm) in self._inputs.closed:
            return None
        return msgspec.structs.replace(grant, arm=arm)

    def keep(self, choice: Choice, grant: Grant) -> None:
        """Note what is granted: others of its group no longer are."""
        self.granted[grant.offer] = grant
        for offer in choice.offers:
            if offer.name == grant.offer and offer.group is not None:
                self._groups[offer.group] = offer.name

    def _said(self, grant: Grant, offer: Offer) -> Inputs:
        values: dict[str, Value] = {
            **self._inputs.values,
            OFFER_AMOUNT: grant.amount,
            OFFER_CURRENCY: grant.currency,
            OFFER_EXPIRES: grant.expires or None,
            OFFER_NAME: _words(offer.text, self._inputs.locale, self._settings.locale),
        }
        return msgspec.structs.replace(self._inputs, values=values)

    def _expires(self, offer: Offer) -> Millis | None:
        """When it ends for this shopper: as was promised, else as long from now as it lasts."""
        promise = self._inputs.promised.get(offer.name)
        if promise is not None:
            return promise.expires or None
        return self._inputs.now + offer.lasts if offer.lasts is not None else None

    def _market(self) -> MarketRules:
        if self._rules is None:
            values = self._inputs.values
            told, region = _text(values.get("location.country")), _text(values.get("location.region"))
            seen = _text(values.get(SEEN))  # a page that says it is elsewhere gets the stricter law of both
            places = [(told, region)] if seen is None else [(told, region), (seen, None)]
            self._rules = max((rules_for(*place, self._inputs.now, self._settings) for place in places), key=strictness)
        return self._rules


def running(promised: Mapping[str, Promise], now: Millis) -> frozenset[str]:
    """The offers that were promised to a shopper and are not over: the value of ``PROMISED``."""
    return frozenset([name for name, promise in promised.items() if not promise.expires or promise.expires > now])


def _text(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _words(texts: Mapping[str, str], locale: str, default: str) -> str | None:
    """What the offer is called, in the reader's language or the shop's."""
    said = {canonical(tag): text for tag, text in texts.items()}
    return next((said[tag] for tag in chain(locale, default) if tag in said), None)
