"""Exposures: an event counts what its token proves, once, and nothing that it merely says."""

import string
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cashwrap.model import Event, Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.tokens import Preview, Tokens
from engines import LIVE, Shop, TestClock, memory_world, shop_over

PLAYBOOK = """
shop: {currency: EUR, locale: en}
placements:
  banner: {component: message}
  hero:   {component: message}
features:
  seen:      {count: Experience Viewed, by: outcome}
  sent_away: {count: Experience Dismissed, by: experience}
segments:
  knows_it: seen["shown"] >= 1 || seen["control"] >= 1 || sent_away["greeting"] >= 1
experiences:
  greeting:
    in: banner
    attention: {session: 1, cool_down: 1d}
    variations:
      formal: {text: {en: Good day.}}
    experiment: {arms: {control: 50%, formal: 50%}, goal: conversion}
  welcome:
    in: hero
    when: '!("knows_it" in segments)'
    show: {text: {en: Welcome.}}
"""


def playbook() -> Playbook:
    compiled, faults = examine({"shop.yaml": PLAYBOOK})
    assert compiled is not None, faults
    return compiled


PROVEN = playbook()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), PROVEN) as shop:
        yield shop


def someone(shop: Shop, variation: str) -> tuple[dict[str, str], str]:
    """A shopper with consent who is in this arm of the greeting's experiment, and the token of the decision."""
    for number in range(100):
        who = {"anonymousId": f"anon-{variation}-{number}"}
        answer = shop.decide(shopper=who)
        if answer["placements"]["banner"]["variation"] == variation:
            shop.consents(who)
            return who, shop.decide(shopper=who)["token"]
    raise AssertionError(f"nobody of a hundred is in {variation}")


def viewed(
    shop: Shop, who: dict[str, str], token: object, event: str = "Experience Viewed", **more: Any
) -> dict[str, Any]:
    return shop.event(event=event, properties={"placement": "banner", "token": token, **more}, **who)


def opened(shop: Shop, *events: dict[str, Any]) -> list[Event]:
    """The events as their tokens prove them, before any shopper is looked for."""
    batch = shop.engine.parse(msgspec.json.encode({"batch": events}), None)
    taken = shop.engine.live.normaliser.batch(batch, shop.caller().facts)
    found = list(shop.engine.exposures.open(taken, LIVE))
    assert all(isinstance(each, Event) for each in found), found
    return [each for each in found if isinstance(each, Event)]


def refusals(shop: Shop, *events: dict[str, Any]) -> list[str]:
    """The codes of the refused ones; the others are kept."""
    submission, refused = shop.batch(*events)
    assert submission.accounting.balanced()
    assert submission.accounting.stored == len(events) - len(refused)
    return [each.code for each in refused]


def seen(shop: Shop, who: dict[str, str]) -> dict[str, object]:
    values = shop.explained(who)
    return {name: values[name] for name in values if name.startswith(("seen[", "sent_away[")) and values[name]}


# --- what is proven ---


@pytest.mark.parametrize(("variation", "outcome"), [("formal", "shown"), ("control", "control")])
def test_control_and_treatment_are_counted_alike(shop: Shop, variation: str, outcome: str) -> None:
    who, token = someone(shop, variation)
    assert shop.keeps(viewed(shop, who, token)).stored == 1
    profile = shop.profile(anonymous=who["anonymousId"])
    assert profile is not None
    assert {salt: list(arms) for salt, arms in profile.arms.items()} == {"greeting": [variation]}
    assert seen(shop, who) == {f'seen["{outcome}"]': 1}
    assert shop.decide(shopper=who)["placements"]["hero"]["reason"] == "no_match"


def test_what_an_event_claims_is_replaced_by_what_its_token_proves(shop: Shop) -> None:
    who, token = someone(shop, "control")
    lies = {
        "experience": "another",
        "variation": "formal",
        "experiment": "other",
        "outcome": "shown",
        "propensity": 1,
        "decision": "d",
        "playbook": "p",
        "level": "profile",
        "held": "shop",
        "counted": ["experience:greeting"],
    }
    assert refusals(shop, viewed(shop, who, token, **lies)) == []
    profile = shop.profile(anonymous=who["anonymousId"])
    assert profile is not None
    assert list(profile.arms) == ["greeting"]
    assert profile.impressions == {}, "control saw nothing that a cap could count"
    assert seen(shop, who) == {'seen["control"]': 1}


def test_it_is_kept_without_its_token(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    (event,) = opened(shop, viewed(shop, who, token))
    assert set(event.properties) == {
        *("placement", "experience", "variation", "experiment", "outcome", "propensity"),
        *("decision", "playbook", "level", "counted"),
    }
    assert token not in repr(event)


@pytest.mark.parametrize(
    ("sent", "kept"), [(0, 0), (37, 37), (600_000, 600_000), (600_001, None), (-1, None), ("41", 41)]
)
def test_how_long_the_page_waited_is_a_hint_of_the_page(shop: Shop, sent: object, kept: int | None) -> None:
    """Bounded, and of what was viewed alone."""
    who, token = someone(shop, "formal")
    (event,) = opened(shop, viewed(shop, who, token, latency=sent))
    assert event.properties.get("latency") == kept
    (event,) = opened(shop, viewed(shop, who, token, "Experience Dismissed", latency=sent))
    assert "latency" not in event.properties


HOLDOUTS = """
shop: {currency: EUR, locale: en}
holdout: {share: 30%}
placements:
  banner: {component: message}
experiences:
  greeting:
    in: banner
    variations:
      formal: {text: {en: Good day.}}
    experiment: {arms: {control: 50%, formal: 50%}, holdout: 40%, goal: conversion, salt: greeting-2}
"""


def test_the_shops_holdout_and_an_experiments_own_are_told_apart() -> None:
    """The first is in no experiment; the second is an arm of its own, and neither is control."""
    compiled, faults = examine({"shop.yaml": HOLDOUTS})
    assert compiled is not None, faults
    names = ("outcome", "experiment", "variation", "held")
    found = set()
    with shop_over(memory_world(TestClock()), compiled) as shop:
        for number in range(40):
            who = {"anonymousId": f"anon-held-{number}"}
            shop.consents(who)
            (event,) = opened(shop, viewed(shop, who, shop.decide(shopper=who)["token"]))
            found.add(tuple(event.properties.get(name) for name in names))
    assert found == {
        ("holdout", None, "holdout", "shop"),
        ("control", "greeting-2", "holdout", "experiment"),
        ("control", "greeting-2", "control", None),
        ("shown", "greeting-2", "formal", None),
    }


# --- once ---


def test_a_retry_another_tab_and_another_id_count_once(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    first = viewed(shop, who, token)
    assert shop.keeps(first).stored == 1
    assert shop.keeps(first).duplicate == 1
    tabs = shop.keeps(viewed(shop, who, token), viewed(shop, who, token, placement="banner", experience="x"))
    assert (tabs.duplicate, tabs.conflict, tabs.stored) == (2, 0, 0)
    assert seen(shop, who) == {'seen["shown"]': 1}
    assert shop.decide(shopper=who)["placements"]["banner"]["reason"] == "capped"


def test_the_page_and_the_backend_may_both_report_it(shop: Shop) -> None:
    """Each with its own key: one exposure all the same."""
    who, token = someone(shop, "formal")
    assert shop.keeps(viewed(shop, who, token)).stored == 1
    assert shop.keeps(viewed(shop, {**who, "userId": "customer-7"}, token), trusted=True).duplicate == 1
    assert seen(shop, who) == {'seen["shown"]': 1}


def test_another_decision_is_another_exposure(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    other = shop.decide(shopper=who)["token"]
    assert refusals(shop, viewed(shop, who, token), viewed(shop, who, other)) == []
    assert seen(shop, who) == {'seen["shown"]': 2}


def test_a_dismissal_cools_down_and_counts_beside_its_exposure(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    dismissed = "Experience Dismissed"
    assert refusals(shop, viewed(shop, who, token), viewed(shop, who, token, dismissed)) == []
    assert shop.keeps(viewed(shop, who, token, dismissed)).duplicate == 1
    assert seen(shop, who) == {'seen["shown"]': 1, 'sent_away["greeting"]': 1}
    shop.clock.wait(minutes=60 * 23)
    assert shop.decide(shopper=who)["placements"]["banner"]["reason"] == "capped"
    shop.clock.wait(minutes=61)
    assert shop.decide(shopper=who)["placements"]["banner"]["reason"] == "match"


# --- refused, each on its own ---


def forged(shop: Shop, who: dict[str, str], token: str) -> str:
    """Signed by somebody with another key."""
    proof = shop.engine.tokens.open(token, who.values(), shop.clock.now())
    return Tokens(bytes(32)).sign(proof, who.values())


Spoil = Callable[[Shop, dict[str, str], str], object]
BAD: list[tuple[str, Spoil]] = [
    ("bad_token", lambda _, __, token: token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]),
    ("bad_token", lambda _, __, token: token[: len(token) // 2]),
    ("bad_token", lambda _, __, token: "B" + token[1:]),
    ("bad_token", lambda _, __, ___: "x" * 4000),
    ("bad_token", lambda _, __, ___: "ü"),
    ("bad_token", forged),
    ("bad_token", lambda shop, _, __: shop.engine.tokens.sign_preview(preview(shop))),
    ("token_of_another", lambda shop, _, __: shop.decide(shopper={"anonymousId": "somebody-else"})["token"]),
    ("token_of_another", lambda shop, _, __: shop.decide()["token"]),
    ("token_missing", lambda _, __, ___: None),
    ("token_missing", lambda _, __, ___: ""),
]


def preview(shop: Shop) -> Preview:
    return Preview(LIVE, shop.clock.now() + 1000, {"greeting": "formal"})


@pytest.mark.parametrize(("code", "spoil"), BAD, ids=[f"{code}-{number}" for number, (code, _) in enumerate(BAD)])
def test_a_bad_token_is_refused_alone(shop: Shop, code: str, spoil: Spoil) -> None:
    who, token = someone(shop, "formal")
    batch = [shop.views(who), viewed(shop, who, spoil(shop, who, token)), viewed(shop, who, token)]
    submission, refused = shop.batch(*batch)
    assert [(each.index, each.code, each.message_id) for each in refused] == [(1, code, batch[1]["messageId"])]
    assert (submission.accounting.stored, submission.accounting.failed) == (2, 1)
    assert shop.engine.exposures.refused == {code: 1}
    assert seen(shop, who) == {'seen["shown"]': 1}


def test_every_changed_character_is_noticed(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    letters = string.ascii_letters + string.digits + "-_"
    for place, letter in enumerate(token):
        other = letters[(letters.index(letter) + 1) % len(letters)]
        changed = token[:place] + other + token[place + 1 :]
        assert refusals(shop, viewed(shop, who, changed)) == ["bad_token"], place
    assert seen(shop, who) == {}


def test_an_old_token_is_refused(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    shop.clock.wait(minutes=24 * 60 - 1)
    assert refusals(shop, viewed(shop, who, token)) == []
    shop.clock.wait(minutes=1)
    assert refusals(shop, viewed(shop, who, token)) == ["token_expired"]


@pytest.mark.parametrize("placement", ["nowhere", "", None, 7, "hero"])
def test_a_placement_that_showed_nothing_is_refused(shop: Shop, placement: object) -> None:
    who, token = someone(shop, "formal")
    shop.keeps(viewed(shop, who, token))
    token = shop.decide(shopper=who, placements=["banner"])["token"]
    assert refusals(shop, viewed(shop, who, token, placement=placement)) == ["not_exposed"]


def test_a_token_of_another_store_is_refused(shop: Shop) -> None:
    """The digest of who it is for is keyed by the store too."""
    who, _ = someone(shop, "formal")
    there = Shop(shop.engine, shop.clock, Tenant("second", "live"))
    theirs = there.decide(shopper=who)["token"]
    assert refusals(shop, viewed(shop, who, theirs)) == ["token_of_another"]


def test_a_playbook_that_nobody_knows_any_more(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    shop.engine.exposures.keep_only(())
    assert refusals(shop, viewed(shop, who, token)) == ["token_expired"]


def test_a_playbook_that_was_replaced_is_still_known(shop: Shop) -> None:
    who, token = someone(shop, "formal")
    changed, _ = examine(
        {
            "shop.yaml": PLAYBOOK.replace("hero:   {component: message}", "a_hero: {component: message}").replace(
                "in: hero", "in: a_hero"
            )
        }
    )
    assert changed is not None
    shop.engine.publish(changed)
    assert refusals(shop, viewed(shop, who, token)) == []
    assert seen(shop, who) == {'seen["shown"]': 1}


# --- previews ---


def test_a_previews_token_proves_nothing(shop: Shop) -> None:
    """Neither what it shows by force, nor what else is on the page."""
    who, _ = someone(shop, "control")
    token = shop.engine.tokens.sign_preview(preview(shop))
    answer = shop.decide(shopper=who, preview=token)
    assert answer["placements"]["banner"]["reason"] == "preview"
    assert answer["placements"]["hero"]["reason"] == "match"
    for placement in ("banner", "hero"):
        assert refusals(shop, viewed(shop, who, answer["token"], placement=placement)) == ["not_exposed"]


def test_a_preview_counts_under_no_cart(shop: Shop) -> None:
    token = shop.engine.tokens.sign_preview(preview(shop))
    cart = {"cart": {"token": "cart-nobody-guesses"}}
    for _ in range(3):
        shop.decide(context=cart, preview=token)
    assert shop.engine.exposures.of_cart(LIVE, "cart-nobody-guesses") == {}
    shown = {
        shop.decide(context={"cart": {"token": f"cart-nobody-guesses-{number}"}})["placements"]["banner"]["reason"]
        for number in range(20)
    }
    assert shown == {"match", "control"}
    counted = [number for number in range(20) if shop.engine.exposures.of_cart(LIVE, f"cart-nobody-guesses-{number}")]
    assert counted, "what is shown is counted, so that the test above means something"
