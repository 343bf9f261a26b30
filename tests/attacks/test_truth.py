"""Numbers and choices that arrive by the side door."""

from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace

from cashwrap import consent
from cashwrap.history.log import rebuild
from engines import Shop, TestClock, memory_world, shop_over

ADA = {"userId": "customer-7"}
PHONE = {"anonymousId": "phone-of-customer-7"}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


def test_a_refund_of_absurd_goods_is_kept_and_spoils_no_commit(shop: Shop) -> None:
    lines = [{"product_id": f"p{n}", "price": 10**11, "quantity": 10**6} for n in range(200)]
    shop.keeps(shop.orders(ADA, "A1", 20.0), trusted=True)
    refund = shop.event(event="Order Refunded", properties={"order_id": "A1", "products": lines}, **ADA)
    assert shop.keeps(refund, trusted=True).stored == 1
    profile = shop.profile(user="customer-7")
    assert profile is not None
    assert profile.orders["A1"].refunded == 2000


def test_a_refusal_that_comes_with_a_device_forgets_what_an_import_declared(shop: Shop) -> None:
    """As it does when the person refuses: else the next grant would bring back what was taken back."""
    caller = shop.caller(trusted=True)
    basis = replace(caller.facts, basis=consent.basis(["personalization"]), historic=True)
    named = shop.event("identify", traits={"first_name": "Ada"}, **ADA)
    shop.send(msgspec.json.encode({"batch": [named]}), replace(caller, facts=basis))
    known = shop.profile(user="customer-7")
    assert known is not None
    assert "first_name" in known.traits
    shop.consents(PHONE, personalization="denied")
    shop.keeps(shop.event("consent", choices={"analytics": "granted"}, token=shop.token("customer-7"), **PHONE))
    merged = shop.profile(anonymous=PHONE["anonymousId"])
    assert merged is not None
    assert merged.user_id == "customer-7"
    assert merged.traits == {}
    assert rebuild(shop.engine.world, shop.engine.live.playbook).differing == ()
