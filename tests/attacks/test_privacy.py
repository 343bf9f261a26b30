"""What must not be kept, however it is sent: sensitive products, choices taken back, fields nobody declared."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cashwrap.model import Millis, Product
from engines import GRANTED, LIVE, Shop, TestClock, memory_world, shop_over

ADA = {"anonymousId": "device-of-ada-0001"}
DENIED = {"personalization": "denied", "analytics": "denied"}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


def iso(time: Millis) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat()


def logged(shop: Shop) -> bytes:
    world = shop.engine.world
    return b"".join(world.vault.open(record.shopper, record.payload) for record in world.store.log())


@pytest.mark.parametrize(
    "properties",
    [
        {"sku": "pill", "category": "canary"},
        {"product_id": "variant-5", "sku": "pill", "category": "canary"},
        {"products": [{"sku": "pill", "category": "canary"}]},
        {"products": [{"product_id": "variant-5", "sku": "pill", "category": "canary"}]},
        {"products": [{"product_id": "mug-1", "sku": "pill", "category": "canary"}]},
    ],
    ids=str,
)
def test_a_sensitive_product_named_by_its_sku_is_not_kept(shop: Shop, properties: dict[str, Any]) -> None:
    shop.engine.world.catalogue.upsert(LIVE, [Product("pill", "Pills", sensitive=True), Product("mug-1")])
    shop.engine.refresh()
    shop.consents(ADA)
    for name in (
        ("Cart Viewed", "Checkout Started") if "products" in properties else ("Product Viewed", "Product Added")
    ):
        shop.keeps(shop.event(event=name, properties=properties, **ADA))
    assert b"canary" not in logged(shop)
    assert "canary" not in repr(shop.profile(anonymous=ADA["anonymousId"]))


def test_a_grant_from_the_future_does_not_outlive_its_withdrawal(shop: Shop) -> None:
    now = shop.clock.now()
    grant = {"timestamp": iso(now + 60_000), "sentAt": iso(now)}
    shop.keeps({**shop.event("consent", choices=GRANTED, **ADA), **grant})
    stamp = {"consent": {"categoryPreferences": {"personalization": True, "analytics": True}}}
    shop.keeps({**shop.views(ADA), "context": stamp, **grant})
    shop.clock.time += 1_000
    shop.consents(ADA, **DENIED)
    assert shop.keeps(shop.views(ADA)).dropped_by_consent == 1


def test_a_withdrawal_by_a_slow_clock_is_heeded(shop: Shop) -> None:
    shop.consents(ADA)
    shop.clock.wait(minutes=5)
    slow = {"timestamp": iso(shop.clock.now() - 3_600_000)}
    shop.keeps({**shop.event("consent", choices=DENIED, **ADA), **slow})
    assert shop.keeps(shop.views(ADA)).dropped_by_consent == 1


def test_what_is_nested_in_a_filter_is_not_kept(shop: Shop) -> None:
    shop.consents(ADA)
    filters = [{"type": {"x": "canary"}, "value": "red"}, {"type": "colour", "value": [{"note": "canary"}]}]
    shop.keeps(shop.event(event="Product List Filtered", properties={"filters": filters, "sorts": filters}, **ADA))
    assert b"canary" not in logged(shop)
    assert b":red" in logged(shop)
