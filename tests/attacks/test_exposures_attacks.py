"""Shoppers, and scripts in their place, who make exposures by the thousand or for somebody else."""

from collections.abc import Iterator
from typing import Any

import pytest

from bundle_world import MADE, Names
from cashwrap import attention, exposures
from cashwrap.attention import KEYS
from cashwrap.decide import GHOSTS, decide
from cashwrap.errors import NotAllowed
from cashwrap.hot import Generations
from cashwrap.model import Impressions
from cashwrap.playbook import Playbook, examine
from cashwrap.previews import Wanted, make_link
from cashwrap.profiles import EXPERIMENTS
from cashwrap.tokens import MAX_TOKEN
from decision_oracle import Asked
from engines import LIVE, Shop, TestClock, memory_world, shop_over
from test_bundle import node

SHOP = "shop: {{currency: EUR, locale: en}}\nplacements:\n  banner: {banner}\nexperiences:\n"
CAPPED = """
  {name}:
    in: banner
    when: page.type == '{name}'
    attention: {{shopper: 1}}
    show: {{text: {{en: Hello}}}}
"""
TESTED = """
  {name}:
    in: banner
    when: page.type == '{name}'
    variations: {{plain: {{text: {{en: Hello}}}}}}
    experiment: {{arms: {{control: 50%, plain: 50%}}, goal: conversion}}
"""
TRIED = """
  greeting:
    in: banner
    attention: {shopper: 3}
    variations:
      formal: {text: {en: Good day.}}
      casual: {text: {en: Hello.}}
    experiment: {arms: {formal: 50%, casual: 50%}, goal: conversion}
"""
STRANGER = {"anonymousId": "device-of-a-stranger"}
VICTIM = {"anonymousId": "device-of-the-victim"}
CART = "cart-0123456789abcdef"


def playbook(experiences: str, banner: str = "{component: message}") -> Playbook:
    compiled, faults = examine({"shop.yaml": SHOP.format(banner=banner) + experiences})
    assert compiled is not None, faults
    return compiled


MANY = [f"campaign_{number}" for number in range(KEYS + 20)]
LONG_LIFE = playbook("".join(CAPPED.format(name=name) for name in MANY))
TRIAL = playbook(TRIED)


HELLO = "  {name}:\n    in: {place}\n    show: {{text: {{en: Hello}}}}\n"
CROWDED = playbook(
    "".join(HELLO.format(name=f"banner_{number}", place="banner") for number in range(400))
    + HELLO.format(name="welcome", place="hero"),
    "{component: message, attention: {shopper: 1}}\n  hero: {component: message}",
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), TRIAL) as shop:
        yield shop


def seen(shop: Shop, token: str, who: dict[str, str], at: str = "banner", **more: Any) -> dict[str, Any]:
    return shop.event(event="Experience Viewed", properties={"placement": at, "token": token}, **who, **more)


# --- who was a customer for years ---


def test_the_campaigns_of_years_ago_keep_none_of_today_from_being_capped() -> None:
    with shop_over(memory_world(TestClock()), LONG_LIFE) as shop:
        shop.consents(STRANGER)
        for name in MANY:
            answer = shop.decide(shopper=STRANGER, context={"page": {"type": name}})
            assert answer["placements"]["banner"]["reason"] == "match"
            shop.keeps(seen(shop, answer["token"], STRANGER))
            shop.clock.wait(days=1)
        answer = shop.decide(shopper=STRANGER, context={"page": {"type": MANY[-1]}})
        assert answer["placements"]["banner"]["reason"] == "capped"


def test_what_happened_longest_ago_makes_way_whatever_the_order() -> None:
    forwards: dict[str, Impressions] = {}
    backwards: dict[str, Impressions] = {}
    happened = [(f"experience:{number}", 1000 + number) for number in range(3 * KEYS)]
    for key, time in happened:
        attention.count(forwards, [key], time)
    for key, time in reversed(happened):
        attention.count(backwards, [key], time)
    assert forwards == backwards
    assert set(forwards) == {key for key, _ in happened[-KEYS:]}
    attention.merge(forwards, {"experience:later": Impressions([9_000], 1), "experience:earlier": Impressions([5], 1)})
    assert "experience:later" in forwards
    assert "experience:earlier" not in forwards
    assert len(forwards) == KEYS


def test_the_experiments_of_years_ago_leave_room_for_the_arms_of_today() -> None:
    names = [f"test_{number}" for number in range(EXPERIMENTS + 20)]
    with shop_over(memory_world(TestClock()), playbook("".join(TESTED.format(name=name) for name in names))) as shop:
        shop.consents(STRANGER)
        for name in names:
            token = shop.decide(shopper=STRANGER, context={"page": {"type": name}})["token"]
            shop.keeps(seen(shop, token, STRANGER))
            shop.clock.wait(days=1)
        profile = shop.profile(anonymous=STRANGER["anonymousId"])
    assert profile is not None
    assert set(profile.arms) == set(names[-EXPERIMENTS:])


# --- who makes carts up, and without consent: in memory alone ---


def test_made_up_carts_that_are_shown_much_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposures, "COUNTED", 1_000)
    with shop_over(memory_world(TestClock()), TRIAL) as shop:
        carts = shop.engine.exposures._carts._carts  # type: ignore[attr-defined]
        for _ in range(3):
            for number in range(500):
                shop.decide(context={"cart": {"token": f"cart-{number:020}"}})
                held = [*carts._young.values(), *carts._old.values()]
                assert sum(len(seen.times) for cart in held for seen in cart.values()) <= 1_000
        assert len(held) > 50


def test_a_cache_holds_what_its_weight_allows() -> None:
    cache: Generations[int, str] = Generations(1_000, 20, len)
    most = 0
    for number in range(100):
        cache.put(number, "x" * (number % 7))
        cache.put(number, "xx")
        assert sum(map(len, [*cache._young.values(), *cache._old.values()])) <= 20 + 2 * 7
        cache.get(number - 5)
        if number % 3 == 0:
            cache.drop(number - 2)
        most = max(most, len(cache._young) + len(cache._old))
    assert cache.get(99) == "xx"
    assert most >= 4


# --- where thousands fit and all are capped ---


def test_a_token_carries_its_exposures_however_many_are_capped() -> None:
    """And no page view becomes a thousand events."""
    with shop_over(memory_world(TestClock()), CROWDED) as shop:
        shop.consents(STRANGER)
        for reason in ("match", "capped"):
            answer = shop.decide(shopper=STRANGER)
            assert answer["placements"]["banner"]["reason"] == reason
            assert answer["placements"]["hero"]["reason"] == "match"
            assert len(answer["token"]) < MAX_TOKEN
            both = (seen(shop, answer["token"], STRANGER), seen(shop, answer["token"], STRANGER, at="hero"))
            assert 2 <= shop.keeps(*both).stored <= 1 + GHOSTS


def test_a_browser_tells_of_as_many_as_the_server() -> None:
    names = Names(CROWDED)
    keys = {cap.key for each in CROWDED.experiences.ordered for cap in each.caps}
    asked = Asked(MADE + 1, {}, impressions={key: Impressions([MADE], 1) for key in keys})
    inputs = names.inputs(asked, {})
    theirs = node([{"kind": "decide", "inputs": inputs, "bundle": names.bundle}])[0]
    ours = decide(CROWDED.experiences, names.real_inputs(inputs))
    assert len(ours.exposures) == GHOSTS + 1
    assert names.exposed(ours.exposures, set()) == theirs["exposures"]


# --- somebody else's caps and arms ---


def test_who_knows_a_cart_or_a_user_id_moves_nobodys_caps_and_arms(shop: Shop) -> None:
    cart = {"context": {"cart": {"token": CART}}}
    shop.consents(VICTIM)
    shop.keeps({**shop.views(VICTIM), **cart})
    shop.keeps(shop.event("identify", userId="customer-7", **VICTIM), trusted=True)
    shop.consents(STRANGER)
    tokens = [
        shop.decide(context={"cart": {"token": CART}})["token"],
        shop.decide(shopper=STRANGER, context={"cart": {"token": CART}})["token"],
        shop.decide(shopper={"anonymousId": "customer-7"})["token"],
    ]
    claims = [cart, {"userId": "customer-7"}, {"userId": "customer-7", **cart}]
    for token in tokens:
        for claim in claims:
            shop.batch(seen(shop, token, {}, **claim), seen(shop, token, STRANGER, **claim))
    victim = shop.profile(user="customer-7")
    assert victim is not None
    assert (victim.arms, victim.impressions) == ({}, {})


def test_what_a_cart_was_shown_says_nothing_of_the_shopper_it_belongs_to(shop: Shop) -> None:
    shop.consents(VICTIM)
    for _ in range(3):
        token = shop.decide(shopper=VICTIM, context={"cart": {"token": CART}})["token"]
        shop.keeps(seen(shop, token, VICTIM, context={"cart": {"token": CART}}))
    capped = shop.decide(shopper=VICTIM, context={"cart": {"token": CART}})
    assert capped["placements"]["banner"]["reason"] == "capped"
    assert shop.decide(context={"cart": {"token": CART}})["placements"]["banner"]["reason"] == "match"


def test_a_preview_is_no_proof_and_a_proof_no_preview(shop: Shop) -> None:
    shop.consents(STRANGER)
    made = make_link(TRIAL, shop.engine.tokens, LIVE, Wanted("greeting", "https://shop.example/"), shop.clock.now())
    decided = shop.decide(shopper=STRANGER)["token"]
    previewed = shop.decide(shopper=STRANGER, preview=made.token)["token"]
    _, refused = shop.batch(seen(shop, made.token, STRANGER), seen(shop, previewed, STRANGER))
    assert [each.code for each in refused] == ["bad_token", "not_exposed"]
    with pytest.raises(NotAllowed, match="not made here"):
        shop.decide(shopper=STRANGER, preview=decided)
