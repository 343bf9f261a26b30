"""Strangers who try to become somebody else: by a cart they guessed, a name they took first, a proof that ran out."""

from collections.abc import Iterator
from typing import Any

import pytest

from engines import GRANTED, Shop, TestClock, memory_world, shop_over

STRANGER = {"anonymousId": "device-of-a-stranger"}
GUEST = {"anonymousId": "device-of-a-guest"}
VICTIM = {"userId": "customer-7"}
BASKET = "basket-of-customer-7"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


def in_cart(event: dict[str, Any], token: str) -> dict[str, Any]:
    return {**event, "context": {"cart": {"token": token}}}


@pytest.mark.parametrize("token", ["1001", BASKET])
def test_who_names_a_cart_first_does_not_become_the_customer_who_buys_it(shop: Shop, token: str) -> None:
    shop.consents(STRANGER)
    shop.keeps(in_cart(shop.views(STRANGER), token))
    shop.keeps(in_cart(shop.orders(VICTIM, "A1", 500.0), token), trusted=True)
    shop.consents(VICTIM, trusted=True)
    shop.keeps(shop.event("identify", traits={"first_name": "Ada"}, **VICTIM), trusted=True)
    stranger, victim = shop.profile(anonymous=STRANGER["anonymousId"]), shop.profile(user="customer-7")
    assert stranger is not None
    assert victim is not None
    assert (stranger.user_id, stranger.orders, stranger.traits) == (None, {}, {})
    assert set(victim.orders) == {"A1"}


def test_who_left_an_address_first_does_not_become_the_customer_it_belongs_to(shop: Shop) -> None:
    """A shop's newsletter form tells the backend an address that nobody has confirmed."""
    shop.consents(STRANGER)
    ada = {"traits": {"email": "ada@example.com"}}
    shop.keeps(shop.event("identify", **STRANGER, **ada), trusted=True)
    shop.keeps(shop.event("identify", **VICTIM, **ada), trusted=True)
    stranger = shop.profile(anonymous=STRANGER["anonymousId"])
    assert stranger is not None
    assert stranger.user_id is None


def test_an_address_only_the_backend_knows_becomes_the_customers(shop: Shop) -> None:
    """Imported by address, an account later: no browser opens that profile, so nobody gains by it."""
    ada = {"email": "ada@example.com"}
    shop.keeps(shop.event(event="Order Completed", properties={"order_id": "A1", "total": 5, **ada}), trusted=True)
    shop.keeps(
        shop.event(event="Order Completed", properties={"order_id": "A2", "total": 5, **ada}, **VICTIM), trusted=True
    )
    victim = shop.profile(user="customer-7")
    assert victim is not None
    assert set(victim.orders) == {"A1", "A2"}


def test_a_guessed_basket_number_gathers_no_orders(shop: Shop) -> None:
    shop.consents(STRANGER)
    for number in range(990, 1010):
        shop.keeps(in_cart(shop.views(STRANGER), str(number)))
    shop.keeps(in_cart(shop.orders({}, "A1", 500.0), "1001"), trusted=True)
    stranger = shop.profile(anonymous=STRANGER["anonymousId"])
    assert stranger is not None
    assert stranger.orders == {}


def test_a_merge_does_not_carry_off_the_name_of_somebody_elses_cart(shop: Shop) -> None:
    shop.consents(GUEST)
    shop.keeps(in_cart(shop.views(GUEST), BASKET))
    shop.consents(STRANGER)
    shop.keeps(in_cart(shop.views(STRANGER), BASKET))
    shop.keeps(shop.event("identify", token=shop.token("mallory"), **STRANGER))
    shop.keeps(in_cart(shop.orders({}, "A1", 500.0), BASKET), trusted=True)
    guest, mallory = shop.profile(anonymous=GUEST["anonymousId"]), shop.profile(user="mallory")
    assert guest is not None
    assert mallory is not None
    assert (set(guest.orders), mallory.orders) == ({"A1"}, {})


def test_a_browser_that_names_a_cart_alone_is_nobody(shop: Shop) -> None:
    """Each such event would begin a profile that nothing finds again: not the repeat, and not the privacy request."""
    banner = {"cart": {"token": BASKET}, "consent": {"categoryPreferences": {"personalization": True}}}
    viewed = {**shop.views({"userId": "claimed"}), "context": banner}
    choice = {**shop.event("consent", choices=GRANTED), "context": {"cart": {"token": BASKET}}}
    submission, refused = shop.batch(viewed, viewed, choice)
    assert [each.code for each in refused] == ["missing_identity"] * 3
    assert submission.accounting.stored == 0


def test_a_repeat_whose_proof_ran_out_does_not_become_the_owners(shop: Shop) -> None:
    """On a shared device: the same event, sent again when its token has expired, is still not the owner's."""
    device = {"anonymousId": "a-device-two-people-share"}
    shop.consents(device)
    shop.keeps(shop.event("identify", userId="owner", token=shop.token("owner"), **device))
    lodger = shop.event(
        "identify", userId="gus", token=shop.token("gus", life=60), traits={"first_name": "Gus"}, **device
    )
    lodger["context"] = {"consent": {"categoryPreferences": {"personalization": True}}}
    assert shop.keeps(lodger).stored == 1
    shop.clock.wait(minutes=10)
    owner = shop.profile(anonymous=device["anonymousId"])
    assert owner is not None
    again = shop.keeps({name: value for name, value in lodger.items() if name != "context"})
    assert (again.stored, again.refused) == (0, 1)
    after = shop.profile(anonymous=device["anonymousId"])
    assert after is not None
    assert (after.user_id, after.traits) == ("owner", owner.traits)
