"""Limits split by the arms of an experiment: no arm spends another's part, and whoever finds theirs used up is a ghost
that is exposed all the same."""

from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.errors import Conflict
from cashwrap.model import OUTCOMES, Exposure
from cashwrap.offers import guard
from cashwrap.offers.terms import parts
from cashwrap.playbook import examine
from cashwrap.request import DecideRequest
from engines import LIVE
from offer_shop import CART, OfferShop, offer_shop

SPLIT = """
shop: {currency: EUR}
placements:
  spot: {component: message}
offers:
  spring:
    benefit: {amount: 5}
    limits: {LIMITS}
experiences:
  spring:
    in: spot
    offer: spring
    variations:
      loud: {text: {en: "{offer.amount} off!"}}
      quiet: {text: {en: "{offer.amount} off"}}
    experiment: {arms: {control: 40%, loud: 40%, quiet: 20%}, goal: conversion}
"""


def text(limits: str) -> str:
    return SPLIT.replace("LIMITS", limits)


TOTAL = text("total: 10, by_arm: true")


class People:
    """Shoppers who come one after the other, each with an arm for good."""

    def __init__(self, shop: OfferShop) -> None:
        self.shop = shop
        self.number = 0

    def comes(self) -> tuple[dict[str, str], dict[str, Any]]:
        """A new shopper, and what they see."""
        self.number += 1
        who = {"anonymousId": f"anon-arm-{self.number}"}
        self.shop.shop.consents(who)
        return who, self.shop.shop.decide(shopper=who, context={"cart": CART, "currency": "EUR"})

    def of(self, arm: str) -> tuple[dict[str, str], dict[str, Any]]:
        """A new shopper of this arm."""
        for _ in range(100):
            who, answer = self.comes()
            if answer["placements"]["spot"]["variation"] == arm:
                return who, answer
        raise AssertionError(f"nobody of a hundred is in {arm}")

    def takes(self, arm: str) -> str:
        """Somebody of this arm uses what they see: the arm, or why not."""
        who, answer = self.of(arm)
        seen = answer["placements"]["spot"]
        if "offer" not in seen:
            return str(seen["reason"])
        try:
            held = self.shop.reserve(token=seen["offer"]["token"], shopper=who)
        except Conflict as error:
            return error.code
        self.shop.redeem(held, f"order-{self.number}")
        return arm


def outcome_of(shop: OfferShop, who: dict[str, str], answer: dict[str, Any]) -> str:
    proof = shop.engine.tokens.open(answer["token"], who.values(), shop.clock.now())
    (exposure,) = proof.exposures
    return OUTCOMES[Exposure(*exposure).outcome]


# --- parts ---


@given(st.integers(0, 10**9), st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_parts_come_to_the_whole_and_are_as_near_as_can_be(whole: int, weights: list[int]) -> None:
    shares = {f"arm{number}": weight for number, weight in enumerate(weights)}
    found = parts(whole, shares)
    exact = {arm: Fraction(whole * share, sum(weights)) for arm, share in shares.items()}
    assert sum(found.values()) == whole
    assert all(abs(found[arm] - exact[arm]) < 1 for arm in shares)
    up = [exact[arm] % 1 for arm in shares if found[arm] > exact[arm]]
    down = [exact[arm] % 1 for arm in shares if found[arm] < exact[arm]]
    assert not up or not down or min(up) >= max(down), "the largest remainders are rounded up"


def test_equal_remainders_go_by_the_order_written() -> None:
    assert parts(10, {"b": 1, "a": 1, "c": 1}) == {"b": 4, "a": 3, "c": 3}


# --- at run time ---


def test_one_arm_never_spends_what_is_the_others() -> None:
    """Ten uses, 40 to 20 of the 60 that grant: seven and three."""
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        assert [people.takes("loud") for _ in range(9)] == ["loud"] * 7 + ["no_offer"] * 2
        assert [people.takes("quiet") for _ in range(3)] == ["quiet"] * 3
        shop.check()
        (report,) = shop.engine.offering.desk.report(LIVE)
        assert (report.used, report.exhausted) == (10, True)
        assert {arm: (part.limits["total"], part.used, part.exhausted) for arm, part in report.arms.items()} == {
            "loud": (7, 7, True),
            "quiet": (3, 3, True),
        }


def test_money_is_split_to_the_cent_and_by_the_day_too() -> None:
    with offer_shop(text=text('budget: "50.01", day: 4, by_arm: true')) as shop:
        (report,) = shop.engine.offering.desk.report(LIVE)
        assert {arm: (part.limits["budget"], part.limits["day"]) for arm, part in report.arms.items()} == {
            "loud": ("33.34", 3),
            "quiet": ("16.67", 1),
        }
        people = People(shop)
        assert [people.takes("loud") for _ in range(4)] == ["loud"] * 3 + ["no_offer"]
        shop.clock.wait(days=1)
        shop.engine.offering.look()
        assert [people.takes("loud") for _ in range(4)] == ["loud"] * 3 + ["no_offer"]
        shop.clock.wait(days=1)
        shop.engine.offering.look()
        assert people.takes("loud") == "limit_reached", "6 uses came to 30 of 33.34: a seventh has no room"


def test_whoever_finds_their_part_used_up_is_exposed_all_the_same() -> None:
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        while people.takes("loud") == "loud":
            pass
        seen: Counter[tuple[str, str, str]] = Counter()
        for _ in range(60):
            who, answer = people.comes()
            placed = answer["placements"]["spot"]
            assert placed["experience"] == "spring"
            seen[placed["variation"], placed["reason"], outcome_of(shop, who, answer)] += 1
        assert set(seen) == {
            ("loud", "no_offer", "unfunded"),
            ("quiet", "match", "shown"),
            ("control", "control", "control"),
        }


def test_the_exposure_of_a_ghost_says_so() -> None:
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        while people.takes("loud") == "loud":
            pass
        who, answer = people.of("loud")
        assert "offer" not in answer["placements"]["spot"]
        event = {"event": "Experience Viewed", "properties": {"placement": "spot", "token": answer["token"]}, **who}
        assert shop.shop.keeps(shop.shop.event(**event)).stored == 1
        profile = shop.shop.profile(anonymous=who["anonymousId"])
        assert profile is not None
        assert list(profile.arms["spring"]) == ["loud"], "in the arm for good, as if it had been shown"
        assert profile.impressions == {}


def test_why_is_told() -> None:
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        while people.takes("loud") == "loud":
            pass
        who, _ = people.of("loud")
        assert told(shop, who) == ("unfunded", "the part of offer spring's limits that the arm loud has is used up")


def told(shop: OfferShop, who: dict[str, str]) -> tuple[str, str]:
    fields = {"shopper": who, "context": {"cart": CART, "currency": "EUR"}}
    request, caller = msgspec.convert(fields, DecideRequest), shop.shop.caller(trusted=True)
    placed = shop.engine.explain(request, caller, shop.engine.find(request.shopper, caller))
    (considered,) = placed["spot"].considered
    return considered.outcome, considered.why


def test_a_part_holds_whatever_a_decision_still_believed() -> None:
    """Decided before others took the rest: the ledger counts anew."""
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        early = [people.of("loud") for _ in range(8)]
        fates = []
        for who, answer in early:
            try:
                shop.reserve(token=answer["placements"]["spot"]["offer"]["token"], shopper=who)
                fates.append("done")
            except Conflict as error:
                fates.append(error.code)
        assert fates == ["done"] * 7 + ["limit_reached"]
        shop.check()


def test_what_is_given_back_goes_to_the_arm_it_came_from() -> None:
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        who, answer = people.of("quiet")
        held = shop.reserve(token=answer["placements"]["spot"]["offer"]["token"], shopper=who)
        assert [people.takes("quiet") for _ in range(3)] == ["quiet", "quiet", "no_offer"]
        shop.release(held)
        shop.engine.offering.look()
        assert [people.takes("quiet") for _ in range(2)] == ["quiet", "no_offer"]


def test_when_all_is_used_up_no_arm_is_exposed() -> None:
    with offer_shop(text=TOTAL) as shop:
        people = People(shop)
        while people.takes("loud") == "loud":
            pass
        for _ in range(3):
            assert people.takes("quiet") == "quiet"
        assert {people.comes()[1]["placements"]["spot"].get("experience") for _ in range(20)} == {None}


@pytest.mark.parametrize("arm", ["loud", "quiet"])
def test_without_a_split_an_exhausted_offer_stops_every_arm_before_anybody_is_assigned(arm: str) -> None:
    with offer_shop(text=text("total: 10")) as shop:
        people = People(shop)
        assert [people.takes(arm) for _ in range(10)] == [arm] * 10
        for _ in range(20):
            who, answer = people.comes()
            assert answer["placements"]["spot"] == {
                "experience": None,
                "variation": None,
                "content": None,
                "reason": "no_offer",
            }
            assert shop.engine.tokens.open(answer["token"], who.values(), shop.clock.now()).exposures == ()
        (report,) = shop.engine.offering.desk.report(LIVE)
        assert report.arms == {}


def test_a_token_from_before_the_split_is_to_be_decided_again() -> None:
    with offer_shop(text=text("total: 10")) as shop:
        who, answer = People(shop).of("loud")
        token = answer["placements"]["spot"]["offer"]["token"]
        compiled, faults = examine({"shop.yaml": TOTAL})
        assert compiled is not None, faults
        shop.engine.publish(compiled)
        with pytest.raises(Conflict) as refused:
            shop.reserve(token=token, shopper=who)
        assert refused.value.code == "offer_ended"


def test_an_arm_without_a_part_is_funded_by_nobody() -> None:
    """Its share went to nothing while shoppers who have seen it stay in it."""
    with offer_shop(text=TOTAL) as shop:
        who, answer = People(shop).of("quiet")
        event = {"event": "Experience Viewed", "properties": {"placement": "spot", "token": answer["token"]}, **who}
        shop.shop.keeps(shop.shop.event(**event))
        compiled, faults = examine({"shop.yaml": TOTAL.replace("loud: 40%, quiet: 20%", "loud: 60%, quiet: 0%")})
        assert compiled is not None, faults
        shop.engine.publish(compiled)
        shop.engine.offering.look()
        again = shop.shop.decide(shopper=who, context={"cart": CART, "currency": "EUR"})
        assert again["placements"]["spot"]["variation"] == "quiet"
        assert outcome_of(shop, who, again) == "unfunded"


def test_a_wrong_split_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger keeps the parts and decisions do not know: an arm would be shown what it cannot have."""
    monkeypatch.setattr("cashwrap.offering.availability.exhausted_parts", lambda *_: [])
    with pytest.raises(AssertionError):
        test_whoever_finds_their_part_used_up_is_exposed_all_the_same()
    monkeypatch.undo()
    monkeypatch.setattr("cashwrap.offers.claims.part_of", lambda offer, _: guard.part_of(offer, "anybody"))
    with pytest.raises(AssertionError):
        test_one_arm_never_spends_what_is_the_others()


# --- what is wrong with it ---

PLAIN_EXPERIENCE = 'experiences: {spring: {in: spot, offer: spring, show: {text: {en: "Off"}}}}'


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (text("shopper: 1, by_arm: true"), "there is a total, day or budget to split"),
        (text("total: 1, by_arm: true"), "each arm gets something of it: 'total' is too little for 2 arms"),
        (TOTAL.replace("limits:", "codes: single\n    limits:"), "the offer has no 'codes'"),
        (TOTAL.partition("experiences:")[0] + PLAIN_EXPERIENCE, "exactly one experience grants the offer"),
        (TOTAL + '  again: {in: spot, offer: spring, show: {text: {en: "Off"}}}\n', "exactly one experience"),
    ],
)
def test_a_split_that_cannot_be_is_told(wrong: str, why: str) -> None:
    compiled, faults = examine({"shop.yaml": wrong})
    assert compiled is None
    (wrong_part,) = [fault for fault in faults if fault.severity == "error"]
    assert wrong_part.code == "bad_value"
    assert why in wrong_part.message
