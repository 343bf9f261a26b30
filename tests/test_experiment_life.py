"""The life of an experiment through the engine: assigned, seen, remembered over a login, capped, counted once."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cashwrap.history import rebuild
from cashwrap.model import Profile
from cashwrap.playbook import Playbook, examine
from cashwrap.profiles import first_arms, tainted
from cashwrap.request import ShopperRef
from cashwrap.shoppers import describe
from engines import Shop, TestClock, folder_world, memory_world, shop_over

PLAYBOOK = """
features:
  greeted: {count: Experience Viewed, by: variation, window: 30d}
placements:
  top: {component: message, format: banner}
  side: {component: message}
experiences:
  thanks:
    in: top
    show: {text: {en: Thank you}}
    experiment: {control: 50%}
  hint:
    in: side
    show: {text: {en: A hint}}
    attention: {session: 1, shopper: 3, cool_down: 7d}
"""
DEVICES = [f"device-{number:02}" for number in range(40)]


@cache
def playbook(text: str = PLAYBOOK) -> Playbook:
    found, faults = examine({"a.yaml": text})
    assert found is not None, faults
    return found


@pytest.fixture
def shop() -> Any:
    clock = TestClock()
    with shop_over(memory_world(clock), playbook()) as found:
        yield found


def reaches(
    shop: Shop, who: dict[str, Any], placement: str = "top", event: str = "Experience Viewed"
) -> dict[str, Any]:
    """Ask, and report the placement as a browser does that comes to it."""
    answer = shop.decide(shopper=who)
    properties = {"token": answer["token"], "placement": placement}
    shop.keeps(shop.event(event=event, properties=properties, **who))
    found: dict[str, Any] = answer["placements"][placement]
    return found


def known(shop: Shop, device: str) -> dict[str, Any]:
    who = {"anonymousId": device}
    shop.consents(who)
    shop.keeps(shop.views(who))
    return who


def profile_of(shop: Shop, **who: str) -> Profile:
    found = shop.profile(**who)
    assert found is not None
    return found


def two_devices(shop: Shop) -> tuple[str, str]:
    """One in each arm."""
    arms = {shop.decide(shopper={"anonymousId": each})["placements"]["top"]["variation"]: each for each in DEVICES}
    return arms["main"], arms["control"]


def test_control_and_treatment_are_remembered_alike(shop: Shop) -> None:
    for device in two_devices(shop):
        arm = reaches(shop, known(shop, device))["variation"]
        assert first_arms(profile_of(shop, anonymous=device)) == {"thanks": arm}
        assert shop.explained({"anonymousId": device})[f'greeted["{arm}"]'] == 1, "features count exposures by arm"


def test_a_login_on_the_device_changes_no_arm(shop: Shop) -> None:
    for number, device in enumerate(two_devices(shop)):
        who = known(shop, device)
        before = reaches(shop, who)["variation"]
        user = f"user-{number}"
        shop.keeps(shop.event("identify", token=shop.token(user), userId=user, **who))
        signed = {**who, "userId": user, "token": shop.token(user)}
        assert shop.decide(shopper=signed)["placements"]["top"]["variation"] == before
        elsewhere = shop.decide(trusted=True, shopper={"userId": user})["placements"]["top"]["variation"]
        assert elsewhere == before, "and on the backend, which knows no device"


def test_a_seen_arm_stands_where_its_unit_is_not_known(shop: Shop) -> None:
    """A backend that asks by user id alone, of a test whose unit is the device."""
    shop.engine.publish(playbook(PLAYBOOK.replace("{control: 50%}", "{control: 50%, unit: [anonymous, cart]}")))
    for number, device in enumerate(two_devices(shop)):
        who, user = known(shop, device), f"user-{number}"
        before = reaches(shop, who)["variation"]
        assert shop.decide(trusted=True, shopper={"userId": user})["placements"]["top"]["reason"] == "no_match"
        shop.keeps(shop.event("identify", token=shop.token(user), userId=user, **who))
        assert shop.decide(trusted=True, shopper={"userId": user})["placements"]["top"]["variation"] == before


def test_who_saw_two_arms_keeps_the_first_and_is_tainted(shop: Shop) -> None:
    """In whatever order the devices log in."""
    for user, devices in (("one", two_devices(shop)), ("other", two_devices(shop)[::-1])):
        arms = []
        for device in devices:
            own = f"{user}-{device}"
            arm = next(arm for number in range(99) for arm in [_arm_on(shop, f"{own}-{number}", device)] if arm)
            arms.append(arm[0])
            shop.clock.wait(minutes=1)
            who = {"anonymousId": arm[1]}
            shop.keeps(shop.event("identify", token=shop.token(user), userId=user, **who))
        found = profile_of(shop, user=user)
        assert set(arms) == {"main", "control"}
        assert first_arms(found) == {"thanks": arms[0]}
        assert tainted(found) == ["thanks"]


def _arm_on(shop: Shop, device: str, like: str) -> tuple[str, str] | None:
    """A fresh device's arm once it has seen it, if it is the arm of ``like``."""
    wanted = shop.decide(shopper={"anonymousId": like})["placements"]["top"]["variation"]
    if shop.decide(shopper={"anonymousId": device})["placements"]["top"]["variation"] != wanted:
        return None
    return reaches(shop, known(shop, device))["variation"], device


def test_a_cap_holds_for_the_session_and_the_shopper(shop: Shop) -> None:
    who = known(shop, "device-1")
    assert reaches(shop, who, "side")["reason"] == "match"
    assert reaches(shop, who, "side")["reason"] == "capped"
    for _ in range(2):
        shop.clock.wait(minutes=31)
        shop.keeps(shop.views(who))
        assert reaches(shop, who, "side")["reason"] == "match"
    shop.clock.wait(days=3)
    assert shop.decide(shopper=who)["placements"]["side"]["reason"] == "capped", "three times are enough for ever"


def test_a_dismissal_keeps_it_away(shop: Shop) -> None:
    who = known(shop, "device-1")
    reaches(shop, who, "side", event="Experience Dismissed")
    assert shop.decide(shopper=who)["placements"]["side"]["reason"] == "capped"
    shop.clock.wait(days=7)
    assert shop.decide(shopper=who)["placements"]["side"]["reason"] == "match"


def test_without_consent_the_cart_counts_and_nothing_is_kept(shop: Shop) -> None:
    cart = {"shopper": {"anonymousId": "device-9"}, "context": {"cart": {"token": "cart-1234567890abcdef"}}}
    assert [shop.decide(**cart)["placements"]["side"]["reason"] for _ in range(2)] == ["match", "capped"]
    other = {**cart, "context": {"cart": {"token": "cart-other67890abcdef"}}}
    assert shop.decide(**other)["placements"]["side"]["reason"] == "match"
    assert shop.profile(anonymous="device-9") is None
    guessed = {**cart, "context": {"cart": {"token": "basket-17"}}}
    assert [shop.decide(**guessed)["placements"]["side"]["reason"] for _ in range(2)] == ["match", "match"]


def test_an_exposure_counts_once_however_often_it_comes(shop: Shop) -> None:
    who = known(shop, "device-1")
    token = shop.decide(shopper=who)["token"]
    for placement in ("side", "side", "top"):
        shop.keeps(shop.event(event="Experience Viewed", properties={"token": token, "placement": placement}, **who))
    seen = profile_of(shop, anonymous="device-1").impressions
    assert {key: each.count for key, each in seen.items()} == {"experience:hint": 1}
    account = shop.engine.account()
    assert account.duplicate == 1


def test_withdrawal_forgets_arms_and_impressions(shop: Shop) -> None:
    who = known(shop, "device-1")
    reaches(shop, who, "side")
    reaches(shop, who, "top")
    shop.consents(who, personalization="denied")
    found = profile_of(shop, anonymous="device-1")
    assert (found.arms, found.impressions) == ({}, {})


def test_the_server_keeps_its_own_tally_of_arms(shop: Shop) -> None:
    for device in DEVICES:
        shop.decide(shopper={"anonymousId": device}, placements=["top"])
    tally = shop.engine.counts.arms
    assert set(tally) == {("thanks", "main", "shown"), ("thanks", "control", "control")}
    assert sum(tally.values()) == len(DEVICES)


def test_exposures_of_an_older_playbook_still_count(shop: Shop) -> None:
    who = known(shop, "device-1")
    token = shop.decide(shopper=who)["token"]
    shop.engine.publish(playbook(PLAYBOOK.replace("thanks:", "merci:").replace("top", "head")))
    shop.keeps(shop.event(event="Experience Viewed", properties={"token": token, "placement": "top"}, **who))
    assert list(first_arms(profile_of(shop, anonymous="device-1"))) == ["thanks"]


def test_the_log_alone_gives_the_same_arms_and_impressions(tmp_path: Path) -> None:
    clock = TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world, playbook()) as shop:
        for device in DEVICES[:6]:
            who = known(shop, device)
            reaches(shop, who, "side")
            reaches(shop, who, "top")
            clock.wait(minutes=7)
            shop.keeps(shop.event("identify", token=shop.token("u"), userId="u", **who))
        live = profile_of(shop, user="u")
        assert live.impressions["experience:hint"].count == 6
        assert rebuild(world, playbook()).differing == ()


def test_whoever_asks_what_is_held_is_told_of_arms_and_impressions(shop: Shop) -> None:
    who = known(shop, "device-1")
    arm = reaches(shop, who)["variation"]
    reaches(shop, who, "side")
    reaches(shop, who, "side", event="Experience Dismissed")
    told = describe(shop.engine, ShopperRef(anonymous_id="device-1"), shop.caller(trusted=True))
    assert told["experiments"] == {"thanks": {"arm": arm, "tainted": False}}
    now = shop.clock.now()
    assert told["impressions"] == {"experience:hint": {"count": 1, "newest": now, "dismissed": None}}
