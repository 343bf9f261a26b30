"""Offers at run time, over the true engine and ledger: granted, held, spent, given back, remembered."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cashwrap.errors import Conflict, InvalidInput, Unavailable
from cashwrap.history.log import rebuild
from cashwrap.model import Tenant
from cashwrap.offering import HeldOffer, ReserveBody
from engines import LIVE, TestClock, memory_world
from offer_shop import CART, HOUR, OfferShop, offer_shop, playbook

ANN, BOB = {"anonymousId": "anon-aaaaaaaaaaaaaaaa"}, {"anonymousId": "anon-bbbbbbbbbbbbbbbb"}
MIRA = {"userId": "mira"}
ASKED: dict[str, Any] = {"shopper": ANN}


@pytest.fixture
def shop() -> Iterator[OfferShop]:
    with offer_shop() as shop:
        yield shop


def leaves_a_cart(shop: OfferShop, who: dict[str, str], **how: Any) -> None:
    shop.shop.keeps(shop.shop.event(event="Checkout Started", properties={}, **who), **how)


def refused(shop: OfferShop, **fields: Any) -> str:
    with pytest.raises(Conflict) as caught:
        shop.reserve(**fields)
    return caught.value.code


# --- the whole way ---


def test_an_offer_is_granted_held_spent_and_known_to_the_profile(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    granted = shop.grant(ANN, "spring_spot")
    assert (granted["name"], granted["amount"], granted["currency"]) == ("spring", "4.95", "EUR")
    held = shop.reserve(token=granted["token"], shopper=ANN)
    assert (held.state, held.amount, held.offer, held.order) == ("reserved", "4.95", "spring", None)
    assert held.benefit == {"type": "percentage", "percent": "10"}
    redeemed = shop.redeem(held, "order-1")
    assert (redeemed.state, redeemed.order) == ("redeemed", "order-1")
    shop.tend()
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    use = profile.offers["spring"]
    assert list(use.reserved) == list(use.redeemed) == [held.id]
    assert use.grants == [(shop.clock.now(), 0)]
    assert shop.shop.explained(ANN)["offers_used"] == 1
    assert [session.events for session in profile.sessions] == [1], "what we note is no activity of the shopper's"
    shop.check()


def test_without_consent_an_offer_is_granted_and_redeemed_and_nobody_is_stored(shop: OfferShop) -> None:
    granted = shop.grant({}, "spring_spot")
    held = shop.reserve(token=granted["token"])
    shop.redeem(held, "order-1")
    shop.tend()
    assert list(shop.engine.world.store.log()) == []
    [redeemed] = [each for each in shop.engine.offering.desk.report(LIVE) if each.name == "spring"]
    assert (redeemed.name, redeemed.used, redeemed.spent) == ("spring", 1, {"EUR": "4.95"})


def test_a_redemption_waits_for_its_shopper_to_become_known(shop: OfferShop) -> None:
    granted = shop.grant({}, "spring_spot")
    shop.redeem(shop.reserve(token=granted["token"], shopper={"userId": "mira"}), "order-1")
    shop.tend()
    assert shop.shop.profile(user="mira") is None
    shop.shop.keeps(shop.shop.orders(MIRA, "order-1", 49.5), trusted=True)
    shop.tend()
    profile = shop.shop.profile(user="mira")
    assert profile is not None
    assert len(profile.offers["spring"].redeemed) == 1
    assert profile.offers["spring"].reserved == {}, "that was told before anybody was there to know"


def test_nobody_ever_known_is_told_to_nobody_and_does_not_hold_up_others(shop: OfferShop) -> None:
    granted = shop.grant({}, "spring_spot")
    shop.redeem(shop.reserve(token=granted["token"], shopper={"userId": "nobody"}), "order-1")
    shop.tend()
    shop.shop.consents(ANN)
    held = shop.reserve(token=shop.grant(ANN, "twice_spot")["token"], shopper=ANN)
    shop.tend()
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    assert list(profile.offers["twice"].reserved) == [held.id]
    shop.clock.wait(minutes=11)
    shop.tend()
    assert shop.engine.world.ledger is not None
    assert shop.engine.world.ledger.notices(10) == []


# --- what a token proves ---


def test_a_token_is_for_one_cart_currency_shopper_and_store(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    other = {**CART, "items": [*CART["items"], {"id": "lid-1", "price": 1}]}
    cheaper = {**CART, "items": [{"id": "mug-1", "quantity": 2, "price": 19.99}, CART["items"][1]]}
    assert refused(shop, token=token, shopper=ANN, cart=other) == "wrong_cart"
    assert refused(shop, token=token, shopper=ANN, cart=cheaper) == "wrong_cart"
    assert refused(shop, token=token, shopper=ANN, currency="USD") == "wrong_cart"
    assert refused(shop, token=token, shopper=BOB, cart={**CART, "token": "cart-2"}) == "wrong_shopper"
    assert refused(shop, token=token[:-2] + "AA", shopper=ANN) == "bad_offer_token"
    assert refused(shop, token="not.a.token", shopper=ANN) == "bad_offer_token"
    shuffled = {**CART, "items": CART["items"][::-1]}
    assert shop.reserve(token=token, shopper=ANN, cart=shuffled).amount == "4.95"


def test_a_token_ends_after_half_an_hour(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    shop.clock.wait(minutes=29.9)
    shop.release(shop.reserve(token=token, shopper=ANN))
    shop.clock.wait(minutes=0.1)
    assert refused(shop, token=token, shopper=ANN) == "offer_ended"


def test_a_token_holds_one_reservation_at_a_time(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    held = shop.reserve(token=token, shopper=ANN)
    assert refused(shop, token=token, shopper=ANN) == "limit_reached"
    shop.release(held)
    shop.redeem(shop.reserve(token=token, shopper=ANN), "order-1")
    assert refused(shop, token=token, shopper=ANN) == "limit_reached"


def test_the_amount_is_worked_out_by_what_is_live_and_not_by_the_token(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    text = "offers: {spring: {benefit: {percent: 5}}}\nplacements: {spring_spot: {component: message}}\n"
    shop.engine.publish(playbook("shop: {currency: EUR}\n" + text))
    assert shop.reserve(token=token, shopper=ANN).amount == "2.48"
    shop.engine.publish(playbook("placements: {spring_spot: {component: message}}\n"))
    assert refused(shop, token=token, shopper=ANN) == "offer_ended"


# --- limits ---


def test_each_identity_counts_for_itself(shop: OfferShop) -> None:
    who: list[dict[str, Any]] = [
        {"shopper": {"userId": "one"}, "identities": {"address": "Main Street 1"}},
        {"shopper": {"userId": "two"}, "identities": {"address": " main  street 1 "}},
        {"shopper": {"userId": "three"}, "identities": {"address": "Main Street 1"}},
    ]
    for each in who[:2]:
        shop.redeem(shop.reserve(token=shop.grant({}, "spring_spot")["token"], **each), each["shopper"]["userId"])
    assert refused(shop, token=shop.grant({}, "spring_spot")["token"], **who[2]) == "limit_reached"


def test_of_nobody_who_is_named_the_cart_counts(shop: OfferShop) -> None:
    for number in range(2):
        shop.redeem(shop.reserve(token=shop.grant({}, "spring_spot")["token"]), f"order-{number}")
    assert refused(shop, token=shop.grant({}, "spring_spot")["token"]) == "limit_reached"
    other = {**CART, "token": "cart-2"}
    shop.reserve(token=shop.grant({}, "spring_spot", other)["token"], cart=other)


def test_one_of_a_group_for_a_cart(shop: OfferShop) -> None:
    best = shop.grant({}, "group_spot")
    assert best["name"] == "second_of_two"
    held = shop.reserve(token=best["token"], shopper=ANN)
    assert refused(shop, token=shop.grant({}, "group_spot")["token"], shopper=BOB) == "limit_reached"
    elsewhere = {**CART, "token": "cart-2"}
    shop.reserve(token=shop.grant({}, "group_spot", elsewhere)["token"], cart=elsewhere)
    shop.release(held)
    shop.reserve(token=shop.grant({}, "group_spot")["token"])


def test_a_day_is_the_shops_own(shop: OfferShop) -> None:
    shop.clock.time = 1_772_452_800_000 + int(10.75 * HOUR)  # 22:45 UTC, 23:45 in Berlin
    shop.engine.offering.look()
    for number in range(6):
        shop.reserve(token=shop.grant({}, "spring_spot")["token"], shopper={"userId": f"user-{number}"})
    shop.engine.offering.look()
    assert shop.decide({}, "spring_spot")["reason"] == "no_offer"
    shop.clock.wait(minutes=16)  # midnight in Berlin, not yet in London
    shop.tend()
    assert shop.grant({}, "spring_spot")["name"] == "spring"


def test_what_is_exhausted_is_not_granted_at_once_and_again_when_it_is_free(shop: OfferShop) -> None:
    big = {"items": [{"id": "sofa", "price": 1000}], "token": "cart-9"}
    held = shop.reserve(token=shop.grant({}, "spring_spot", big)["token"], cart=big)
    assert held.amount == "100.00"
    assert shop.decide({}, "spring_spot")["reason"] == "no_offer", "our own reservations count without a look"
    shop.release(held)
    shop.engine.offering.look()
    assert shop.grant({}, "spring_spot")["name"] == "spring"


def test_a_limit_holds_whatever_a_decision_still_believed(shop: OfferShop) -> None:
    tokens = [shop.grant({}, "spring_spot")["token"] for _ in range(8)]
    fates = []
    for number, token in enumerate(tokens):
        try:
            fates.append(shop.reserve(token=token, shopper={"userId": f"user-{number}"}).state)
        except Conflict as error:
            fates.append(error.code)
    assert fates == ["reserved"] * 6 + ["limit_reached"] * 2


def test_while_nobody_can_say_what_is_left_nothing_is_promised(shop: OfferShop) -> None:
    shop.clock.wait(minutes=0.51)
    assert shop.decide({}, "spring_spot")["reason"] == "no_offer"
    shop.engine.offering.look()
    assert shop.grant({}, "spring_spot")["name"] == "spring"


def test_an_expired_reservation_is_free_again(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    held = shop.reserve(token=token, shopper=ANN)
    shop.clock.wait(minutes=17)
    shop.tend()
    assert shop.engine.offering.desk.reservation(LIVE, held.id).state == "expired"
    with pytest.raises(Conflict) as caught:
        shop.redeem(held, "order-1")
    assert caught.value.code == "reservation_expired"


# --- codes ---


def test_a_single_code_opens_its_offer_once(shop: OfferShop) -> None:
    code = shop.code("coded")
    held = shop.reserve(code=code.lower().replace("-", " "), shopper=ANN)
    assert (held.offer, held.amount) == ("coded", "5.00")
    shop.redeem(held, "order-1")
    assert refused(shop, code=code, shopper=BOB, cart={**CART, "token": "cart-2"}) == "unknown_code"


def test_a_shared_code_opens_it_as_often_as_the_limit_says(shop: OfferShop) -> None:
    code = shop.code("shared", uses=0)
    for number in range(3):
        shop.reserve(code=code, shopper={"userId": f"user-{number}"})
    assert refused(shop, code=code, shopper=ANN) == "unknown_code"


def test_codes_that_open_nothing_cannot_be_told_apart(shop: OfferShop) -> None:
    over = shop.code("coded", expires=shop.clock.now())
    for_none, gone = shop.code("spring"), shop.code("no_longer_there")
    used = shop.code("coded")
    shop.reserve(code=used, shopper=ANN)
    told = set()
    for code in (over, for_none, gone, used, "7K2M-9QXC-4TZ8B", "hello", ""):
        with pytest.raises(Conflict) as caught:
            shop.reserve(code=code, shopper=BOB)
        told.add((caught.value.code, caught.value.message))
    assert len(told) == 1
    assert told.pop()[0] == "unknown_code"


def test_a_code_that_opens_nothing_costs_the_ledger_the_same_work(
    shop: OfferShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = shop.engine.world.ledger
    assert ledger is not None
    asked: list[str] = []

    def watched(name: str) -> None:
        true = getattr(ledger, name)

        def call(*what: Any) -> Any:
            asked.append(name)
            return true(*what)

        monkeypatch.setattr(ledger, name, call)

    watched("reserve")
    watched("code")
    shop.reserve(code=shop.code("coded"), shopper=ANN)
    known, asked[:] = list(asked), []
    assert refused(shop, code="7K2M-9QXC-4TZ8B", shopper=ANN) == "unknown_code"
    assert asked == known == ["code", "reserve"]


# --- idempotency ---


def test_the_same_key_and_body_have_the_same_answer_and_happen_once(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    first = shop.reserve("k-1", token=token, shopper=ANN)
    assert shop.reserve("k-1", token=token, shopper=ANN) == first
    shop.clock.wait(minutes=31)  # the token is over: what was answered stands
    assert shop.reserve("k-1", token=token, shopper=ANN) == first
    with pytest.raises(Conflict) as caught:
        shop.reserve("k-1", token=token, shopper=BOB)
    assert caught.value.code == "idempotency_key_reused"
    shop.check()


def test_a_refusal_is_remembered_too(shop: OfferShop) -> None:
    token = shop.grant(ANN, "spring_spot")["token"]
    with pytest.raises(Conflict) as caught:
        shop.reserve("k-1", token=token, shopper=BOB, cart={**CART, "token": "cart-2"})
    assert caught.value.code == "wrong_shopper"
    with pytest.raises(Conflict) as caught:
        shop.reserve("k-1", token=token, shopper=ANN)
    assert caught.value.code == "idempotency_key_reused"
    held = shop.reserve("k-2", token=token, shopper=ANN)
    assert shop.redeem(held, "order-1", "k-3") == shop.redeem(held, "order-1", "k-3")
    with pytest.raises(Conflict) as caught:
        shop.redeem(held, "order-1", "k-1")
    assert caught.value.code == "idempotency_key_reused"


def test_what_cannot_be_understood_is_said(shop: OfferShop) -> None:
    for fields in (
        {"token": "a", "code": "b"},
        {},
        {"token": "a", "currency": "XXX"},
        {"code": "a", "cart": {"items": [{"id": "a", "price": -1}]}},
        {"code": "a", "cart": {"items": [{"id": str(number)} for number in range(501)]}},
    ):
        with pytest.raises(InvalidInput):
            shop.reserve(**fields)
    with pytest.raises(InvalidInput) as caught:
        shop.engine.offering.desk.reservation(LIVE, "00" * 12)
    assert caught.value.code == "no_such_reservation"
    held = shop.reserve(code=shop.code("coded"), shopper=ANN)
    with pytest.raises(InvalidInput):
        shop.redeem(held, "order-1", amount=Decimal("1.001"))
    with pytest.raises(Conflict) as conflict:
        shop.redeem(held, "order-1", amount=Decimal("5.01"))
    assert conflict.value.code == "amount_too_high"


def test_another_store_or_environment_sees_nothing(shop: OfferShop) -> None:
    held = shop.reserve(code=shop.code("coded"), shopper=ANN)
    with pytest.raises(InvalidInput):
        shop.engine.offering.desk.reservation(Tenant("default", "test"), held.id)


# --- given back ---


def orders(shop: OfferShop, order: str, total: float = 100) -> HeldOffer:
    held = shop.reserve(code=shop.code("coded"), shopper=MIRA)
    shop.redeem(held, order)
    shop.shop.keeps(shop.shop.orders(MIRA, order, total), trusted=True)
    return held


def refund(shop: OfferShop, order: str, name: str = "Order Refunded", **properties: Any) -> dict[str, Any]:
    fields = {"order_id": order, "currency": "EUR", **properties}
    return shop.shop.event(event=name, properties=fields, **MIRA)


def now(shop: OfferShop, held: HeldOffer) -> tuple[str, str]:
    found = shop.engine.offering.desk.reservation(LIVE, held.id)
    return found.state, found.amount


def test_a_cancelled_order_gives_its_offers_back(shop: OfferShop) -> None:
    held = orders(shop, "order-1")
    shop.shop.keeps(refund(shop, "order-1", "Order Cancelled"), trusted=True)
    shop.tend()
    assert now(shop, held) == ("rolled_back", "5.00")
    shop.tend()
    profile = shop.shop.profile(user="mira")
    assert profile is not None
    assert list(profile.offers["coded"].released) == [held.id]


def test_a_part_that_is_refunded_gives_its_part_back_rounded_down(shop: OfferShop) -> None:
    held = orders(shop, "order-1", 100)
    shop.shop.keeps(refund(shop, "order-1", total=33.33), trusted=True)
    shop.tend()
    assert now(shop, held) == ("redeemed", "3.34")
    event = refund(shop, "order-1", total=50)
    shop.shop.keeps(event, event, trusted=True)
    shop.shop.keeps(event, trusted=True)
    shop.tend()
    assert now(shop, held) == ("redeemed", "0.84"), "half of it, from what was left"
    shop.shop.keeps(refund(shop, "order-1", total=16.67), trusted=True)
    shop.tend()
    assert now(shop, held)[0] == "rolled_back"
    shop.check()


def test_refunds_that_come_together_give_back_what_they_would_one_by_one(shop: OfferShop) -> None:
    held = orders(shop, "order-1", 100)
    events = [refund(shop, "order-1", total=amount) for amount in (33.33, 50)]
    shop.shop.keeps(*events, trusted=True)
    shop.tend()
    assert now(shop, held) == ("redeemed", "0.84")


@pytest.mark.parametrize("how", [{"trusted": False}, {"trusted": True, "other": True}])
def test_only_the_shops_backend_gives_back_and_only_its_own_order(shop: OfferShop, how: dict[str, bool]) -> None:
    held = orders(shop, "order-1")
    event = refund(shop, "order-2" if how.get("other") else "order-1", "Order Cancelled")
    shop.shop.batch(event, trusted=how["trusted"])
    shop.tend()
    assert now(shop, held)[0] == "redeemed"


def test_a_refund_is_taken_back_after_a_crash_before_it_was(shop: OfferShop) -> None:
    held = orders(shop, "order-1")
    shop.shop.keeps(refund(shop, "order-1", "Order Cancelled"), trusted=True)
    shop.settled()
    with offer_shop(shop.engine.world) as again:  # another process over the same data; nothing was handled
        again.tend()
        assert now(again, held)[0] == "rolled_back"
        again.shop.keeps(again.shop.views(MIRA), trusted=True)
        again.shop.keeps(again.shop.views(MIRA), trusted=True)
        again.clock.wait(minutes=1)
        again.tend()
    with offer_shop(shop.engine.world) as third:
        third.tend()
        assert third.engine.offering.refunds.outcomes == {}, "what was looked at is not read again"


def test_a_refund_that_cannot_be_handled_does_not_hold_up_others(
    shop: OfferShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = orders(shop, "order-1"), orders(shop, "order-2")
    true = shop.engine.offering.refunds._handle

    def fails(pending: Any, later: Any) -> None:
        if pending.event.properties["order_id"] == "order-1":
            raise ValueError("planted")
        true(pending, later)

    monkeypatch.setattr(shop.engine.offering.refunds, "_handle", fails)
    for order in ("order-1", "order-2"):
        shop.shop.keeps(refund(shop, order, "Order Cancelled"), trusted=True)
    shop.tend()
    assert (now(shop, first)[0], now(shop, second)[0]) == ("redeemed", "rolled_back")
    assert shop.engine.offering.refunds.outcomes["failed"] > 0


def test_a_refund_waits_while_the_ledger_is_away(shop: OfferShop, monkeypatch: pytest.MonkeyPatch) -> None:
    held = orders(shop, "order-1")
    shop.tend()
    ledger = shop.engine.world.ledger
    assert ledger is not None

    def away(*_: object) -> None:
        raise Unavailable("planted")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "of_order", away)
        shop.shop.keeps(refund(shop, "order-1", "Order Cancelled"), trusted=True)
        shop.tend()
    assert now(shop, held)[0] == "redeemed"
    shop.tend()
    assert now(shop, held)[0] == "rolled_back"


def test_where_nothing_was_ever_held_no_old_log_is_read(shop: OfferShop, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: int = 0) -> None:
        raise AssertionError("the log of years is read")

    monkeypatch.setattr(shop.engine.world.store, "log", read)
    assert shop.engine.offering.refunds.run() == 0


def test_a_backend_takes_back_by_order_or_reservation(shop: OfferShop) -> None:
    first = orders(shop, "order-1")
    second = shop.reserve(code=shop.code("shared", uses=0), shopper=MIRA)
    shop.redeem(second, "order-1")
    [part] = shop.take_back(reservation=first.id, amount=Decimal("1.50"))
    assert (part.state, part.amount) == ("redeemed", "3.50")
    with pytest.raises(InvalidInput) as caught:
        shop.take_back(order="order-1", amount=Decimal(1))
    assert caught.value.code == "which_offer"
    told = shop.take_back("k-all", order="order-1")
    assert {each.state for each in told} == {"rolled_back"}
    assert len(told) == 2
    assert shop.take_back("k-all", order="order-1") == told
    assert shop.take_back(order="order-9") == []


# --- after a crash ---


def test_a_notice_told_twice_counts_once(shop: OfferShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.shop.consents(ANN)
    shop.redeem(shop.reserve(token=shop.grant(ANN, "spring_spot")["token"], shopper=ANN), "order-1")

    def dies(_: str) -> None:
        raise RuntimeError("the process ends here")

    monkeypatch.setattr("cashwrap.offering.notices.crash_point", dies)
    with pytest.raises(RuntimeError):
        shop.engine.offering.notices.tell()
    monkeypatch.undo()
    ledger = shop.engine.world.ledger
    assert ledger is not None
    assert len(ledger.notices(10)) == 2
    shop.shop.consents(MIRA, trusted=True)
    shop.shop.keeps(shop.shop.event("identify", **ANN, **MIRA), trusted=True)  # the shopper has another name by now
    shop.tend()
    assert ledger.notices(10) == []
    assert shop.shop.explained(MIRA)["offers_used"] == 1


def test_a_log_that_is_full_leaves_the_notices(shop: OfferShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.shop.consents(ANN)
    shop.reserve(token=shop.grant(ANN, "spring_spot")["token"], shopper=ANN)

    def full(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(shop.engine.writer, "submit", full)
    shop.engine.offering.tend()
    assert shop.engine.world.ledger is not None
    assert len(shop.engine.world.ledger.notices(10)) == 1


# --- forgetting ---


def test_forgetting_reaches_the_ledger_by_every_name(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    shop.shop.consents(MIRA, trusted=True)
    shop.shop.keeps(shop.shop.event("identify", **ANN, **MIRA), trusted=True)
    address = {"address": "Main Street 1"}
    shop.redeem(shop.reserve(code=shop.code("coded"), shopper={**ANN, **MIRA}, identities=address), "order-1")
    key = shop.shop.key(user="mira")
    ledger = shop.engine.world.ledger
    assert key is not None
    assert ledger is not None
    desk, vault = shop.engine.offering.desk, shop.engine.world.vault
    named = desk._named(_reserve_body({**ANN, **MIRA}, address))
    counters = [f"coded/shopper/{digest.hex()}" for digest in named.identities(vault, LIVE)]
    assert len(counters) == 3
    assert ledger.used(LIVE, counters) == dict.fromkeys(counters, 1)
    assert shop.engine.forget(key)
    assert ledger.used(LIVE, counters) == {}
    assert [each.shopper for each in ledger.of_order(LIVE, "order-1")] == [b""]
    shop.tend()
    assert shop.shop.profile(user="mira") is None
    shop.check()


def _reserve_body(who: dict[str, str], identities: dict[str, str]) -> Any:
    return msgspec.convert({"cart": CART, "currency": "EUR", "shopper": who, "identities": identities}, ReserveBody)


# --- promises ---


def returns(shop: OfferShop, days: float) -> None:
    """Time passes, and the background has looked since."""
    shop.clock.wait(days=days)
    shop.tend()


def test_a_promise_ends_when_it_was_said_to_whatever_the_shopper_does(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    leaves_a_cart(shop, ANN)
    first = shop.grant(ANN, "win_back_spot")
    ends = shop.clock.now() + 48 * HOUR
    assert first["expires"] == ends
    returns(shop, 1)
    leaves_a_cart(shop, ANN)
    assert shop.grant(ANN, "win_back_spot")["expires"] == ends
    held = shop.reserve(token=shop.grant(ANN, "win_back_spot")["token"], shopper=ANN)
    shop.redeem(held, "order-1")
    shop.take_back(order="order-1")
    shop.tend()
    assert shop.grant(ANN, "win_back_spot")["expires"] == ends, "a refund is no new promise"
    shop.clock.time = ends - 60_000
    shop.engine.offering.look()
    last = shop.grant(ANN, "win_back_spot")["token"]
    shop.clock.time = ends
    shop.engine.offering.look()
    assert shop.decide(ANN, "win_back_spot")["reason"] == "no_offer"
    assert refused(shop, token=last, shopper=ANN) == "offer_ended"
    for _ in range(8):
        returns(shop, 10)
        leaves_a_cart(shop, ANN)
        assert shop.decide(ANN, "win_back_spot")["reason"] == "no_offer"
    returns(shop, 11)  # ninety days after the use, not after the grant
    assert shop.grant(ANN, "win_back_spot")["expires"] == shop.clock.now() + 48 * HOUR


def test_two_devices_of_one_shopper_have_one_clock(shop: OfferShop) -> None:
    for who in (ANN, BOB):
        shop.shop.consents(who)
        leaves_a_cart(shop, who)
    first = shop.grant(ANN, "win_back_spot")["expires"]
    returns(shop, 1)
    assert shop.grant(BOB, "win_back_spot")["expires"] > first
    shop.shop.consents(MIRA, trusted=True)
    for who in (BOB, ANN):
        shop.shop.keeps(shop.shop.event("identify", **who, **MIRA), trusted=True)
    for who in (ANN, BOB):
        assert shop.grant({**who, **MIRA}, "win_back_spot", trusted=True)["expires"] == first


def test_a_shopper_it_was_not_for_does_not_earn_it_by_leaving_a_cart(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    assert shop.decide(ANN, "frozen_spot")["reason"] == "no_match"
    shop.decide(ANN, "frozen_spot")
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    assert profile.offers["slow"].considered == shop.clock.now()
    leaves_a_cart(shop, ANN)
    assert shop.decide(ANN, "frozen_spot")["reason"] == "no_offer"
    shop.shop.consents(BOB)
    leaves_a_cart(shop, BOB)  # before the page could ever look
    assert shop.grant(BOB, "frozen_spot")["name"] == "slow"
    returns(shop, 30)
    assert shop.grant(ANN, "frozen_spot")["name"] == "slow"


def test_a_page_that_does_not_show_it_judges_nobody(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    shop.decide(ANN, "spring_spot")
    shop.decide(ANN, "frozen_spot", context={"checkout": {"quiet": True}})
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    assert "slow" not in profile.offers


def test_a_use_counts_where_consent_was_withdrawn(shop: OfferShop) -> None:
    shop.shop.consents(MIRA, trusted=True)
    for number in range(2):
        cart = {**CART, "token": f"cart-{number}"}
        token = shop.grant(MIRA, "spring_spot", cart, trusted=True)["token"]
        shop.redeem(shop.reserve(token=token, shopper=MIRA, cart=cart), f"order-{number}")
    shop.tend()
    shop.shop.consents(MIRA, trusted=True, personalization="denied")
    assert shop.decide(MIRA, "spring_spot", trusted=True)["reason"] == "no_offer"


# --- what is remembered ---


def test_grants_are_remembered_once_and_only_with_consent(shop: OfferShop) -> None:
    shop.grant(BOB, "spring_spot")
    assert shop.shop.profile(anonymous=BOB["anonymousId"]) is None
    shop.shop.consents(ANN)
    for _ in range(5):
        shop.grant(ANN, "spring_spot")
        shop.clock.wait(minutes=0.2)
        shop.engine.offering.look()
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    assert len(profile.offers["spring"].grants) == 1
    assert shop.engine.account().stored == 2, "the consent and one grant"
    shop.shop.consents(ANN, personalization="denied")
    profile = shop.shop.profile(anonymous=ANN["anonymousId"])
    assert profile is not None
    assert profile.offers["spring"].grants == []


def test_nobody_may_send_our_own_events(shop: OfferShop) -> None:
    for name in ("Offer Redeemed", "Offer Granted", "Offer Reserved"):
        for trusted in (True, False):
            event = shop.shop.event(event=name, properties={"offer": "spring"}, **ANN)
            _, told = shop.shop.batch(event, trusted=trusted)
            assert [each.code for each in told] == ["undeclared_event"]


def test_a_preview_grants_nothing(shop: OfferShop) -> None:
    answer = shop.shop.decide(
        trusted=True,
        context={"cart": CART, "currency": "EUR"},
        placements=["spring_spot"],
        force={"spring": "main"},
    )
    assert "offer" not in answer["placements"]["spring_spot"]


def test_an_offer_with_a_clock_needs_a_shopper_who_may_be_remembered(shop: OfferShop) -> None:
    leaves = {"cart": CART, "currency": "EUR"}
    found = shop.shop.decide(shopper=BOB, context=leaves, placements=["win_back_spot"])
    assert found["placements"]["win_back_spot"]["reason"] in ("no_match", "no_offer")


def test_a_rebuilt_profile_knows_the_same(shop: OfferShop) -> None:
    shop.shop.consents(ANN)
    shop.redeem(shop.reserve(token=shop.grant(ANN, "spring_spot")["token"], shopper=ANN), "order-1")
    shop.tend()
    report = rebuild(shop.engine.world, shop.engine.live.playbook)
    assert report.differing == ()


def test_the_world_without_a_ledger_grants_nothing() -> None:
    with offer_shop(replace(memory_world(TestClock()), ledger=None)) as shop:
        assert shop.decide({}, "spring_spot")["reason"] == "no_offer"
        with pytest.raises(Unavailable) as caught:
            shop.reserve(code="a")
        assert caught.value.code == "no_ledger"
        shop.tend()
