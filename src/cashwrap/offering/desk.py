"""Where a backend holds, spends and gives back offers.

Every request goes to the ledger exactly once, also one that a check refuses: the ledger then remembers the refusal as
it remembers everything, so that the same key and body have the same answer for good, and what a code opens cannot be
told from how long it took to say no. What a token says is checked and never believed: the amount is worked out again
from the backend's own cart.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from cashwrap.errors import Conflict, InvalidInput, StoreError
from cashwrap.events.money import minor_digits
from cashwrap.ledger import Code, Once, Outcome, Reservation
from cashwrap.model import Disclosure, Minor, Tenant
from cashwrap.offering.around import Around, Found, Named, find
from cashwrap.offering.asked import (
    HeldOffer,
    OfferPart,
    OfferReport,
    RedeemBody,
    ReleaseBody,
    ReserveBody,
    TakeBackBody,
    amount_in,
    must_be_one,
    refused,
)
from cashwrap.offering.availability import Availability, day_of
from cashwrap.offering.promises import ID
from cashwrap.offering.proof import Proof
from cashwrap.offers.benefits import major, wire
from cashwrap.offers.cart import OfferCart, cart_hash
from cashwrap.offers.claims import REFUSED, Held, claims_of, code_key, refusal
from cashwrap.offers.codes import code_digest, read_code
from cashwrap.offers.guard import closed, counted, day_key, exhausted, exhausted_parts, part_of, total_key
from cashwrap.offers.terms import Limits, Offer
from cashwrap.request import LINES, Cart, cart_lines, to_minor

_NO_CODE = "0" * 13
"""Stands for what was typed and is no code at all: it is looked for all the same."""
_NOTHING = bytes(12)
"""Stands for the redemptions of an order that has none: the ledger remembers that it was asked."""


class Opened(NamedTuple):
    """An offer that a token or a code opens, or why it does not."""

    offer: Offer | None = None
    why: str = ""
    token: str = ""
    code: Code | None = None
    disclosure: Disclosure | None = None
    arm: str = ""


class Desk:
    """Thin over the ledger. Amounts come and go in major units; every method may block."""

    def __init__(self, around: Around, availability: Availability, proof: Proof) -> None:
        self._around = around
        self._availability = availability
        self._proof = proof
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Requests by what was asked and what became of it: ``done``, ``replayed`` or the code of a refusal."""

    def reserve(self, tenant: Tenant, body: ReserveBody, key: str) -> HeldOffer:
        """Hold an offer for a cart.

        Raises ``InvalidInput`` for what cannot be understood, ``Conflict`` with the reason where it cannot be had or
        the key came with another body, ``Unavailable`` where nothing can be kept now.
        """
        must_be_one(body.token, body.code, what="a token or a code")
        ledger, world = self._around.books(), self._around.world
        now = world.clock.now()
        cart, named = self._cart(body), self._named(body)
        opened = self._by_token(tenant, body, cart, named) if body.token is not None else self._by_code(tenant, body)
        amount = opened.offer.worth(cart) if opened.offer is not None else 0
        digests = named.digests(world.vault, tenant)
        shopper = self._known(digests)
        why = opened.why
        if not why and opened.offer is not None:
            use = shopper.hot.profile.offers.get(opened.offer.name) if shopper is not None else None
            why = _AGAINST.get(closed(opened.offer, use, now), "") or ("" if amount else "worth_nothing")
        asked = Reservation(
            id=world.random.token(ID),
            tenant=tenant,
            offer=opened.offer.name if opened.offer is not None else "",
            currency=cart.currency,
            amount=amount,
            created=now,
            expires=now + (opened.offer.holds if opened.offer is not None else 0),
            shopper=shopper.digest if shopper is not None else next(iter(digests), b""),
            cart=bytes.fromhex(cart_hash(cart.lines, cart.currency)),
            code=opened.code.digest if opened.code is not None else b"",
        )
        identities = named.identities(world.vault, tenant)
        held = self._held(asked, opened, identities, self._cart_digest(tenant, body.cart.token, asked, identities))
        claims = refusal(why) if why or opened.offer is None else claims_of(opened.offer, held)
        outcome = ledger.reserve(asked, claims, self._once(key, "reserve", body), now)
        if not outcome.refused and not outcome.replayed:
            self._availability.counted(tenant, claims)
        done = self._done("reserve", outcome, _code_of(outcome, opened))
        said = opened.disclosure
        if outcome.replayed and said is None:  # a retry hears the same, however old its token is by now
            said = self._proof.disclosure(body.token or "")
        return self._told(done, said)

    def redeem(self, tenant: Tenant, body: RedeemBody, key: str) -> HeldOffer:
        """Spend what was held, for an order. Raises as ``reserve`` does."""
        ledger = self._around.books()
        number = bytes.fromhex(body.reservation)
        amount = self._amount(tenant, number, body.amount)
        once, now = self._once(key, "redeem", body), self._around.world.clock.now()
        outcome = ledger.redeem(tenant, number, body.order, amount, once, now)
        return self._told(self._done("redeem", outcome, outcome.refused))

    def release(self, tenant: Tenant, body: ReleaseBody, key: str) -> HeldOffer:
        """Give back what is held. Raises as ``reserve`` does."""
        once, now = self._once(key, "release", body), self._around.world.clock.now()
        outcome = self._around.books().release(tenant, bytes.fromhex(body.reservation), once, now)
        return self._told(self._done("release", outcome, outcome.refused))

    def roll_back(self, tenant: Tenant, body: TakeBackBody, key: str) -> list[HeldOffer]:
        """Take redemptions back, all that an order has or a single one. Raises as ``reserve`` does."""
        must_be_one(body.reservation, body.order, what="a reservation or an order")
        ledger, now = self._around.books(), self._around.world.clock.now()
        if body.reservation is not None:
            numbers = [bytes.fromhex(body.reservation)]
        else:
            numbers = sorted(each.id for each in ledger.of_order(tenant, body.order or "")) or [_NOTHING]
        if body.amount is not None and len(numbers) > 1:
            raise InvalidInput("several offers were redeemed for this order: name the reservation", code="which_offer")
        told = []
        for place, number in enumerate(numbers):
            amount = self._amount(tenant, number, body.amount) if number != _NOTHING else None
            outcome = ledger.roll_back(tenant, number, amount, self._once(key, "rollback", body, place), now)
            if body.order is not None and outcome.refused == "no_such_reservation":
                return []  # nothing was redeemed for the order when this key first came
            told.append(self._told(self._done("rollback", outcome, outcome.refused)))
        return told

    def reservation(self, tenant: Tenant, number: str) -> HeldOffer:
        """A reservation as it is now. Raises ``InvalidInput`` (``no_such_reservation``)."""
        try:
            found = self._around.books().reservation(tenant, bytes.fromhex(number))
        except ValueError:
            found = None
        if found is None:
            raise _unknown()
        return self._told(found)

    def report(self, tenant: Tenant) -> list[OfferReport]:
        """Every offer of the live playbook with its limits and how far they are."""
        ledger, playbook = self._around.books(), self._around.live().playbook
        day = day_of(self._around.world.clock.now(), playbook.settings)
        counters = ledger.used(tenant, counted(playbook.offers.values(), day))
        told = []
        for name, offer in sorted(playbook.offers.items()):
            balance = ledger.balance(tenant, name)
            told.append(
                OfferReport(
                    name=name,
                    kind=offer.kind,
                    enabled=offer.enabled,
                    exhausted=exhausted(offer, counters, day),
                    currency=offer.currency,
                    limits=_limits(offer.limits, offer.currency),
                    used=counters.get(total_key(name), 0),
                    today=counters.get(day_key(name, day), 0),
                    held={currency: major(each[0], currency) for currency, each in balance.items()},
                    spent={currency: major(each[1], currency) for currency, each in balance.items()},
                    arms=_parts(offer, counters, day),
                )
            )
        return told

    # --- what opens an offer ---

    def _by_token(self, tenant: Tenant, body: ReserveBody, cart: OfferCart, named: Named) -> Opened:
        try:
            claims = self._proof.open(body.token or "", tenant, self._around.world.clock.now())
        except Conflict as error:
            return Opened(why=error.code)
        offer = self._around.offers().get(claims.offer)
        if offer is None or not offer.enabled:
            return Opened(why="offer_ended")
        if claims.currency != cart.currency or claims.cart != cart_hash(cart.lines, cart.currency):
            return Opened(offer, "wrong_cart")
        if not self._proof.is_for(claims, tenant, named.units()):
            return Opened(offer, "wrong_shopper")
        if offer.parts and claims.arm not in offer.parts:
            return Opened(offer, "offer_ended")  # granted before its limits were split, or by an arm that is gone
        return Opened(offer, token=claims.jti, disclosure=claims.disclosure, arm=claims.arm)

    def _by_code(self, tenant: Tenant, body: ReserveBody) -> Opened:
        """One that is unknown, is over or opens an offer that is: all the same to who asks."""
        world = self._around.world
        code = read_code(body.code or "")
        found = self._around.books().code(tenant, code_digest(world.vault, tenant, code or _NO_CODE))
        offer = self._around.offers().get(found.offer) if found is not None and code is not None else None
        over = found is None or (found.expires and world.clock.now() >= found.expires)
        if offer is None or over or not offer.enabled or offer.codes == "none":
            return Opened(why="unknown_code")
        return Opened(offer, code=found)

    # --- what was asked, in the ledger's terms ---

    def _cart(self, body: ReserveBody) -> OfferCart:
        digits = minor_digits(body.currency)
        lines = cart_lines(Cart(items=body.cart.items), digits)
        if len(lines) != len(body.cart.items):
            raise InvalidInput(f"a cart has at most {LINES} lines, and ids without control characters", code="bad_cart")
        shipping = None if body.cart.shipping is None else to_minor(body.cart.shipping, digits)
        if any((line.price or 0) < 0 for line in lines) or (shipping or 0) < 0:
            raise InvalidInput("a price is below zero", code="invalid_price")
        return OfferCart(lines, body.currency, shipping, body.delivery_method)

    def _named(self, body: ReserveBody) -> Named:
        house, who = self._around.live().normaliser, body.shopper
        return Named(
            user=house.shopper_id(who.user_id),
            anonymous=house.shopper_id(who.anonymous_id),
            email=house.email_hash(who.email) if who.email is not None else None,
            cart=house.shopper_id(body.cart.token),
            others=body.identities,
        )

    def _known(self, digests: list[bytes]) -> Found | None:
        """Whoever has a profile; limits hold without one, so a store that cannot say stops nobody."""
        try:
            return find(self._around, digests)
        except StoreError:
            return None

    def _held(self, asked: Reservation, opened: Opened, identities: list[bytes], cart: bytes) -> Held:
        settings = self._around.live().playbook.settings
        return Held(
            amount=asked.amount,
            currency=asked.currency,
            day=day_of(asked.created, settings),
            shoppers=identities or [cart] * bool(cart),  # of nobody who is named the cart is all there is
            cart=cart,
            code=asked.code,
            code_uses=opened.code.uses if opened.code is not None else 0,
            token=opened.token,
            arm=opened.arm,
        )

    def _cart_digest(self, tenant: Tenant, token: str | None, asked: Reservation, identities: list[bytes]) -> bytes:
        """Stands for one cart: by the shop's own name for it, else by what is in it, who has it and the day."""
        digest = self._around.world.vault.digest
        if token:
            return digest("offer cart", tenant.store, tenant.environment, token)
        if not identities:
            return b""
        day = day_of(asked.created, self._around.live().playbook.settings)
        return digest("offer lines", tenant.store, tenant.environment, identities[0].hex(), asked.cart.hex(), day)

    def _amount(self, tenant: Tenant, number: bytes, given: Decimal | None) -> Minor | None:
        if given is None:
            return None
        found = self._around.books().reservation(tenant, number)
        if found is None:
            raise _unknown()
        return amount_in(given, minor_digits(found.currency))

    def _once(self, key: str, path: str, body: object, place: int = 0) -> Once:
        """A backend's key, apart from those that we use ourselves, and what was asked under it.

        ``place`` tells apart the changes that one request makes. Kept as a digest: a key may say who the shopper is.
        """
        asked = blake2b(_canonical(body), digest_size=16, person=path.encode()).digest()
        return Once(f"shop{place or ''}:{self._around.world.vault.digest('offer key', key).hex()}", asked)

    # --- what is answered ---

    def _done(self, asked: str, outcome: Outcome, code: str) -> Reservation:
        fate = code or ("replayed" if outcome.replayed else "done")
        self.outcomes[asked, fate] += 1
        if code == "no_such_reservation":
            raise _unknown()
        if code or outcome.reservation is None:
            raise refused(code)
        return outcome.reservation

    def _told(self, held: Reservation, disclosure: Disclosure | None = None) -> HeldOffer:
        offer = self._around.offers().get(held.offer)
        return HeldOffer(
            id=held.id.hex(),
            offer=held.offer,
            state=held.state,
            amount=major(held.amount, held.currency),
            currency=held.currency,
            expires=held.expires,
            benefit=wire(offer.benefit, offer.currency) if offer is not None else None,
            order=held.order or None,
            disclosure=disclosure,
        )


_AGAINST = {"used": "limit_reached", "cooling": "limit_reached", "ended": "offer_ended"}
"""What a shopper's own past says against an offer that was granted, or that a code opens. A verdict that is kept
(``frozen``) keeps an offer from being granted; it says nothing against a code."""


def _code_of(outcome: Outcome, opened: Opened) -> str:
    """Why it was refused, as a backend is told: a code that is used up is one that opens nothing."""
    if outcome.limit.startswith(REFUSED):
        return outcome.limit.removeprefix(REFUSED)
    if opened.offer is not None and opened.code is not None:
        spent = outcome.limit == code_key(opened.offer.name, opened.code.digest)
        return "unknown_code" if spent else outcome.refused
    return outcome.refused


_canonical = msgspec.json.Encoder(order="deterministic").encode


def _parts(offer: Offer, counters: Mapping[str, int], day: str) -> dict[str, OfferPart]:
    used_up, told = exhausted_parts(offer, counters, day), {}
    for arm, limits in offer.parts.items():
        name = part_of(offer.name, arm)
        used, today = counters.get(total_key(name), 0), counters.get(day_key(name, day), 0)
        told[arm] = OfferPart(name in used_up, _limits(limits, offer.currency), used, today)
    return told


def _limits(limits: Limits, currency: str) -> dict[str, int | str | None]:
    told: dict[str, int | str | None] = msgspec.structs.asdict(limits)
    return told if limits.budget is None else {**told, "budget": major(limits.budget, currency)}


def _unknown() -> InvalidInput:
    return InvalidInput("there is no such reservation in this store and environment", code="no_such_reservation")
