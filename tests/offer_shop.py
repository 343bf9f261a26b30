"""A shop with offers, for tests: a playbook with one of each kind of limit, and what its pages and backend do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec

from cashwrap.engine import World
from cashwrap.ledger import Code
from cashwrap.offering import HeldOffer, RedeemBody, ReleaseBody, ReserveBody, TakeBackBody
from cashwrap.offers.codes import code_digest, new_code, read_code
from cashwrap.playbook import Playbook, examine
from engines import LIVE, Shop, TestClock, memory_world, shop_over

HOUR, DAY = 3_600_000, 86_400_000
PLAYBOOK = """
shop: {currency: EUR, time_zone: Europe/Berlin}
features:
  carts_left: {count: Checkout Started}
  offers_used: {count: Offer Redeemed, purpose: necessary}
  offers_held: {count: Offer Reserved, purpose: necessary}
placements:
  spring_spot: {component: message}
  win_back_spot: {component: message}
  frozen_spot: {component: message}
  group_spot: {component: message}
  twice_spot: {component: message}
offers:
  spring:
    benefit: {percent: 10}
    limits: {total: 10, shopper: 2, day: 6, budget: 100}
  win_back:
    kind: recovery
    when: carts_left >= 1
    benefit: {percent: 20, most: 25}
    limits: {shopper: 2}
    lasts: 48h
    again_after: 90d
  slow:
    kind: recovery
    when: carts_left >= 1
    benefit: {amount: 3}
    freeze: 30d
  first_of_two: {benefit: {amount: 2}, group: pair}
  second_of_two: {benefit: {amount: 3}, group: pair}
  coded: {benefit: {amount: 5}, codes: single, limits: {shopper: 3}}
  shared: {benefit: {amount: 5}, codes: shared, limits: {code: 3}}
  twice: {benefit: {amount: 1}}
offer_groups:
  pair: {pick: best}
experiences:
  spring: {in: spring_spot, offer: spring, show: {text: {en: "Spring: {offer.amount}"}}}
  win_back: {in: win_back_spot, offer: win_back, show: {text: {en: "Back: {offer.amount}"}}}
  slow: {in: frozen_spot, offer: slow, show: {text: {en: "Slow: {offer.amount}"}}}
  pair: {in: group_spot, offer: {best_of: pair}, show: {text: {en: "Pair: {offer.amount}"}}}
  twice: {in: twice_spot, offer: twice, show: {text: {en: "Twice: {offer.amount}"}}}
"""
CART = {"items": [{"id": "mug-1", "quantity": 2, "price": 20}, {"id": "tea-1", "price": 9.5}], "token": "cart-1"}
"""Comes to 49.50 EUR."""


@cache
def playbook(text: str = PLAYBOOK) -> Playbook:
    found, faults = examine({"shop.yaml": text})
    assert found is not None, faults
    return found


class OfferShop:
    """What pages and the backend of a shop do with offers."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.engine = shop.engine
        self.clock = shop.clock
        self.keys = 0
        self.engine.offering.look()

    def decide(self, who: Mapping[str, Any], place: str, cart: Mapping[str, Any] = CART, **more: Any) -> dict[str, Any]:
        """The whole answer of one placement."""
        context = {"cart": cart, "currency": "EUR", **more.pop("context", {})}
        answer = self.shop.decide(shopper=dict(who), context=context, placements=[place], **more)
        self.settled()
        placement: dict[str, Any] = answer["placements"][place]
        return placement

    def grant(self, who: Mapping[str, Any], place: str, cart: Mapping[str, Any] = CART, **more: Any) -> dict[str, Any]:
        """What is granted there; fails where nothing is."""
        answer = self.decide(who, place, cart, **more)
        assert "offer" in answer, answer
        offer: dict[str, Any] = answer["offer"]
        return offer

    def settled(self) -> None:
        """Wait until the writer has committed all that was handed to it."""
        self.engine.writer.call(lambda: None)

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def reserve(self, key: str | None = None, cart: Mapping[str, Any] = CART, **fields: Any) -> HeldOffer:
        body = msgspec.convert({"cart": cart, "currency": "EUR", **fields}, ReserveBody)
        return self.engine.offering.desk.reserve(LIVE, body, key or self.key())

    def redeem(self, held: HeldOffer, order: str, key: str | None = None, **fields: Any) -> HeldOffer:
        body = msgspec.convert({"reservation": held.id, "order": order, **fields}, RedeemBody)
        return self.engine.offering.desk.redeem(LIVE, body, key or self.key())

    def release(self, held: HeldOffer, key: str | None = None) -> HeldOffer:
        return self.engine.offering.desk.release(LIVE, ReleaseBody(held.id), key or self.key())

    def take_back(self, key: str | None = None, **fields: Any) -> list[HeldOffer]:
        return self.engine.offering.desk.roll_back(LIVE, msgspec.convert(fields, TakeBackBody), key or self.key())

    def tend(self) -> None:
        """What the background does, once."""
        self.settled()
        self.engine.offering.tend()
        self.engine.offering.look()

    def code(self, offer: str, uses: int = 1, expires: int = 0) -> str:
        world = self.engine.world
        text = new_code(world.random)
        assert world.ledger is not None
        digest = code_digest(world.vault, LIVE, read_code(text) or "")
        world.ledger.add_codes(LIVE, [Code(digest, offer, uses, expires)])
        return text

    def check(self) -> None:
        assert self.engine.world.ledger is not None
        assert self.engine.world.ledger.check() == []


@contextmanager
def offer_shop(world: World | None = None, text: str = PLAYBOOK) -> Iterator[OfferShop]:
    with shop_over(world or memory_world(TestClock()), playbook(text)) as shop:
        yield OfferShop(shop)
