"""State rebuilt from the log equals live state, to the byte, whatever was sent (I12)."""

import random
import threading
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cashwrap import profiles
from cashwrap.adapters.memory import MemoryStore
from cashwrap.history.log import rebuild
from cashwrap.ports import Changes, ShopperKey
from engines import Shop, TestClock, folder_world, memory_world, shop_over

WHO: list[dict[str, str]] = [
    {"anonymousId": "anon-rebuild-a"},
    {"anonymousId": "anon-rebuild-b"},
    {"userId": "jonas"},
    {"anonymousId": "anon-rebuild-a", "userId": "jonas"},
    {"anonymousId": "anon-rebuild-b", "userId": "jonas"},
    {"anonymousId": "anon-rebuild-a", "userId": "mira"},
]


def differing(shop: Shop) -> list[ShopperKey]:
    """Shoppers whom the log tells otherwise than their rows, and rows the log knows nothing of."""
    world = shop.engine.world
    found = rebuild(world, shop.engine.live.playbook)
    assert isinstance(world.store, MemoryStore)
    assert found.shoppers == len(world.store._profiles)
    return list(found.differing)


KINDS = ["consent", "refusal", "view", "add", "order", "refund", "identify", "wish", "sensitive banner"]


def body(draw: Any, shop: Shop) -> dict[str, Any]:
    who, kind = draw(st.sampled_from(WHO)), draw(st.sampled_from(KINDS))
    product = {"product_id": draw(st.sampled_from(["mug", "pot"])), "category": "coffee", "price": 7.5}
    order = {"order_id": draw(st.sampled_from("xy")), "currency": "EUR", "total": draw(st.integers(0, 9))}
    match kind:
        case "consent" | "refusal":
            word = "granted" if kind == "consent" else "denied"
            scope = draw(st.sampled_from(["device", "person"]))
            return shop.event("consent", choices={"personalization": word}, scope=scope, **who)
        case "identify":
            return shop.event("identify", traits={"firstName": draw(st.sampled_from(["Ada", "Eve"]))}, **who)
        case "sensitive banner":
            banner = {"consent": {"categoryPreferences": {"personalization": draw(st.booleans())}}}
            return shop.event(event="Product Viewed", properties=product, context=banner, **who)
    name = {"view": "Product Viewed", "add": "Product Added", "wish": "Product Added to Wishlist"}.get(kind)
    properties = product if name else {**order, "subtotal": order["total"], "products": [product]}
    return shop.event(
        event=name or ("Order Completed" if kind == "order" else "Order Refunded"), properties=properties, **who
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_log_tells_all_there_is(data: st.DataObject) -> None:
    draw = data.draw
    with shop_over(memory_world(TestClock())) as shop:
        for who in WHO[: draw(st.integers(0, 4))]:
            shop.consents(who, trusted=True)
        for _ in range(draw(st.integers(1, 6))):
            events = [body(draw, shop) for _ in range(draw(st.integers(1, 5)))]
            shop.keeps(*events, *events[: draw(st.integers(0, 1))], trusted=draw(st.booleans()))
            shop.clock.wait(minutes=draw(st.integers(0, 45)))
        assert differing(shop) == []


def test_the_checker_sees_a_difference() -> None:
    with shop_over(memory_world(TestClock())) as shop:
        shop.consents(WHO[0])
        shop.keeps(shop.views(WHO[0]))
        assert differing(shop) == []
        key = shop.key(anonymous=WHO[0]["anonymousId"])
        assert key is not None
        world = shop.engine.world
        row = world.store.load([key])[key]
        profile = profiles.decode(world.vault.open(key.shopper, row.state))
        profile.updated += 1
        changed = msgspec.structs.replace(row, state=world.vault.seal(key.shopper, profiles.encode(profile)))
        world.store.commit(Changes(rows={key: changed}))
        assert differing(shop) == [key]


def test_many_at_once_end_as_the_log_tells(tmp_path: Path) -> None:
    """Threads that send, merge, withdraw, forget and decide about the same few shoppers, over the true store."""
    with folder_world(tmp_path, TestClock()) as world, shop_over(world) as shop:
        wrong: list[BaseException] = []
        for who in WHO[:4]:  # the last of them is a merge, whatever the threads do later
            shop.consents(who, trusted=True)

        def live(seed: int) -> None:
            chance = random.Random(seed)
            try:
                for number in range(60):
                    send(shop, chance, f"t{seed}-{number}")
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=live, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        account = shop.engine.account()
        assert account.balanced()
        assert account.stored > 200
        assert {failure.code for failure in world.failed.failures()} <= {"missing_identity"}
        assert any(record.kind == "merge" for record in world.store.log())
        assert rebuild(world, shop.engine.live.playbook).differing == ()


def send(shop: Shop, chance: random.Random, message: str) -> None:
    who, trusted = chance.choice(WHO), chance.random() < 0.7
    bodies: list[dict[str, Any]] = [
        {"type": "consent", "choices": {"personalization": chance.choice(["granted", "granted", "denied"])}},
        {"type": "track", "event": "Product Viewed", "properties": {"product_id": "mug", "category": "coffee"}},
        {"type": "identify", "traits": {"firstName": chance.choice(["Ada", "Eve"])}},
    ]
    events = [{"messageId": f"{message}-{at}", **chance.choice(bodies), **who} for at in range(3)]
    submission, refused = shop.batch(*events, *events[:1], trusted=trusted)
    assert submission.error is None
    assert not trusted or not refused
    assert shop.decide(shopper=who, trusted=trusted)["degraded"] is False
    if chance.random() < 0.05 and (key := shop.key(user=who.get("userId"), anonymous=who.get("anonymousId"))):
        shop.engine.forget(key)
