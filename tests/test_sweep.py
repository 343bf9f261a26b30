"""Segments entered and left: after events, when only time passes, and past a shopper who cannot be judged."""

from collections.abc import Iterator
from typing import Any

import pytest

from cashwrap import segments
from cashwrap.engine import World
from cashwrap.ports import Changes, ShopperKey
from cashwrap.sweep import AT_ONCE
from engines import LIVE, Shop, TestClock, memory_world, shop_over

A = {"anonymousId": "anon-sweep-a"}


@pytest.fixture
def world() -> World:
    return memory_world(TestClock())


@pytest.fixture
def shop(world: World) -> Iterator[Shop]:
    with shop_over(world) as shop:
        yield shop


def swept(shop: Shop) -> None:
    """Sweep on the writer's thread until nobody is due."""
    for _ in range(100):
        shop.engine.writer.call(lambda: shop.engine.sweeper.run() and None)
        if not shop.engine.world.store.due(shop.clock.now(), 1):
            return
    raise AssertionError("somebody is due for ever")


def inside(shop: Shop, **who: str) -> set[str]:
    key = shop.key(**who)
    assert key is not None
    return set(shop.engine.world.store.inside([key]).get(key, frozenset()))


def notices(shop: Shop) -> list[tuple[str, bool]]:
    return [(each.segment, each.entered) for _, each in shop.engine.world.outbox.pending(1000)]


def test_an_event_moves_a_shopper_in_and_time_moves_them_out(shop: Shop) -> None:
    shop.consents(A)
    item = {"product_id": "mug", "price": 20, "quantity": 1, "category": "coffee"}
    shop.keeps(shop.event(event="Product Added", properties=item, **A))
    swept(shop)
    assert "cart_abandoner" not in inside(shop, anonymous=A["anonymousId"])
    shop.clock.wait(minutes=59)
    swept(shop)
    assert "cart_abandoner" not in inside(shop, anonymous=A["anonymousId"])
    shop.clock.wait(minutes=2)
    assert shop.engine.world.store.due(shop.clock.now(), 10), "nothing happened, and still it is time to look"
    swept(shop)
    assert "cart_abandoner" in inside(shop, anonymous=A["anonymousId"])
    assert notices(shop).count(("cart_abandoner", True)) == 1
    shop.clock.wait(days=15)
    swept(shop)
    assert "cart_abandoner" not in inside(shop, anonymous=A["anonymousId"])
    assert notices(shop).count(("cart_abandoner", False)) == 1


def test_a_sweep_without_a_change_tells_nobody(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(shop.views(A))
    swept(shop)
    told = notices(shop)
    for _ in range(3):
        shop.keeps(shop.event(event="Product Clicked", properties={"product_id": "x"}, **A))
        swept(shop)
    assert [each for each in notices(shop)[len(told) :] if each[0] != "casual"] == []


def test_a_withdrawal_takes_a_shopper_out(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(*(shop.views(A) for _ in range(6)))
    swept(shop)
    assert "category_enthusiast" in inside(shop, anonymous=A["anonymousId"])
    shop.clock.wait(minutes=1)
    shop.consents(A, personalization="denied")
    swept(shop)
    assert "category_enthusiast" not in inside(shop, anonymous=A["anonymousId"])
    assert ("category_enthusiast", False) in notices(shop)


def test_a_merged_device_leaves_no_member_behind(shop: Shop) -> None:
    shop.consents(A)
    shop.keeps(*(shop.views(A) for _ in range(6)))
    swept(shop)
    device = shop.key(anonymous=A["anonymousId"])
    assert device is not None
    shop.consents({"userId": "jonas"}, trusted=True)
    shop.keeps(shop.event("identify", userId="jonas", **A), trusted=True)
    swept(shop)
    members = shop.engine.world.store.members(LIVE, "category_enthusiast")
    person = shop.key(user="jonas")
    assert person is not None
    assert members == [person.shopper]
    assert device.shopper != person.shopper


def test_more_than_one_sweep_can_hold(shop: Shop) -> None:
    many = AT_ONCE * 2 + 7
    for start in range(0, many, 100):
        shop.keeps(
            *(
                shop.event("consent", anonymousId=f"crowd-{n:05}", choices={"personalization": "granted"})
                for n in range(start, min(many, start + 100))
            )
        )
    swept(shop)
    assert shop.engine.world.store.sizes(LIVE)["new_visitor"] == many


def test_one_shopper_who_cannot_be_judged_holds_up_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.consents(A)
    bad = shop.profile(anonymous=A["anonymousId"])
    assert bad is not None
    judge = segments.next_change

    def planted(segments_: Any, features: Any, profile: Any, *rest: Any) -> Any:
        if profile.id == bad.id:
            raise ZeroDivisionError
        return judge(segments_, features, profile, *rest)

    monkeypatch.setattr(segments, "next_change", planted)
    shop.consents({"anonymousId": "anon-sweep-b"})
    swept(shop)
    assert "new_visitor" in inside(shop, anonymous="anon-sweep-b")


def test_a_damaged_or_forgotten_row_is_looked_at_no_more(shop: Shop) -> None:
    key = ShopperKey(LIVE, b"x" * 16)
    row = Changes()
    shop.consents(A)
    known = shop.key(anonymous=A["anonymousId"])
    assert known is not None
    row.rows[key] = shop.engine.world.store.load([known])[known]
    shop.engine.world.store.commit(row)
    swept(shop)
    assert shop.engine.world.store.due(shop.clock.now() + 10**12, 10) != [key]
