"""What a shopper did with products lately: the same from any order of arrival, bounded, and gone with its purpose."""

import random

import msgspec
import pytest

from cashwrap import orders, profiles, touches
from cashwrap.model import Event, Line, Order, Profile, Purpose, Touch
from engines import START
from test_profiles import ALL, FEATURES, MINUTE, event, folded, fresh


def random_events(rng: random.Random, count: int) -> list[Event]:
    found = []
    for number in range(count):
        name = rng.choice(["Product Viewed", "Product Added", "Product Added to Wishlist", "Order Completed"])
        product, minutes = rng.choice("abcdef"), rng.randint(0, 30)
        properties: dict[str, object] = {"product_id": product}
        if name == "Order Completed":
            lines = [Line(each) for each in rng.sample("abcdef", rng.randint(0, 4))]
            properties = {"order_id": rng.choice(["o1", "o2"]), "currency": "EUR", "products": lines}
        found.append(event(number, name, minutes=minutes, properties=properties))
    return found


def expected(events: list[Event]) -> list[Touch]:
    """The naive rule: all of them, each order's products once with its newest report, and the newest twenty."""
    kinds = {"Product Viewed": "view", "Product Added": "add", "Product Added to Wishlist": "save"}
    every: dict[tuple[str, str, str], Touch] = {}
    for each in sorted(events, key=lambda each: each.time):
        if each.name == "Order Completed":
            name = str(each.properties["order_id"])
            lines = each.properties["products"]
            assert isinstance(lines, list)
            for line in lines:
                every["order", line.product_id, name] = Touch(line.product_id, "order", each.time, name)
        else:
            product = str(each.properties["product_id"])
            every[each.name, product, each.id] = Touch(product, kinds[each.name], each.time, each.id)  # type: ignore[arg-type]
    return sorted(every.values(), key=lambda each: (each.time, each.id, each.product, each.kind))[-20:]


def check(events: list[Event], shuffled: list[Event]) -> None:
    assert folded(shuffled).touched == expected(events)


@pytest.mark.parametrize("seed", range(20))
def test_the_newest_are_kept_in_any_order_of_arrival_and_over_a_merge(seed: int) -> None:
    rng = random.Random(seed)
    events = random_events(rng, rng.randint(0, 60))
    check(events, rng.sample(events, len(events)))
    cut = rng.randint(0, len(events))
    merged = folded(events[:cut])
    profiles.merge(merged, folded(events[cut:], fresh(2)), FEATURES)
    assert merged.touched == expected(events)


def test_the_check_sees_the_last_to_arrive_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def last(profile: Profile, more: object) -> None:
        profile.touched = [*profile.touched, *list(more)][-touches.TOUCHES :]  # type: ignore[call-overload]

    monkeypatch.setattr(touches, "_keep", last)
    events = random_events(random.Random(3), 40)
    with pytest.raises(AssertionError):
        check(events, events[::-1])


def test_they_need_the_purpose_and_go_with_it() -> None:
    viewed = event(1, properties={"product_id": "mug"})
    assert folded([msgspec.structs.replace(viewed, mask=int(Purpose.NECESSARY | Purpose.ANALYTICS))]).touched == []
    profile = folded([viewed])
    assert [each.product for each in profile.touched] == ["mug"]
    profiles.withdraw(profile, Purpose.PERSONALIZATION, FEATURES)
    assert profile.touched == []


def test_a_profile_written_before_there_were_touches_is_read() -> None:
    fields = msgspec.msgpack.decode(profiles.encode(fresh()))
    assert profiles.decode(msgspec.msgpack.encode(fields[:-1])).touched == []


def test_twenty_weigh_little_more_than_a_kilobyte() -> None:
    bare = len(profiles.encode(fresh()))
    views = [Touch(f"product-{n:06}", "order", START + n, f"{n:016}") for n in range(touches.TOUCHES)]
    profile = fresh()
    profile.touched = views
    assert len(profiles.encode(profile)) - bare <= 1_200
    long = folded([event(1, properties={"product_id": "x" * 65})])
    assert long.touched == []


def test_a_visit_that_began_now_looks_back_a_day() -> None:
    day = 24 * 60 * MINUTE
    touched = [Touch(str(n), "view", START + n * MINUTE, "") for n in range(4)]
    assert touches.since(touched, START + 2 * MINUTE, START + 9 * MINUTE) == tuple(touched[2:])
    assert touches.since(touched, START + 90 * MINUTE, START + 90 * MINUTE) == tuple(touched)
    assert touches.since(touched, START + day + 2 * MINUTE, START + day + 2 * MINUTE) == tuple(touched[2:])


def test_what_was_bought_tells_each_product_once() -> None:
    def order(name: str, day: int, products: str, **fields: object) -> Order:
        lines = [Line(each) for each in products]
        return Order(name, START + day, **{"mask": ALL, "state": "completed", "lines": lines, **fields})  # type: ignore[arg-type]

    profile = fresh()
    listed = [
        order("1", 1, "ab"),
        order("2", 3, "bb"),
        order("3", 2, "c", state="returned"),
        order("4", 4, "d", mask=1),
        order("5", 5, "e", state="hinted"),
    ]
    profile.orders = {each.id: each for each in listed}
    assert orders.bought(profile, 9) == (("a", START + 1, 1), ("b", START + 3, 2), ("e", START + 5, 1))
    assert orders.bought(profile, 2) == (("b", START + 3, 2), ("e", START + 5, 1))
