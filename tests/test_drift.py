"""What arrives undeclared is named and counted by day, and what stopped arriving is missed; no value is ever kept."""

import pytest
from tests.engines import LIVE, TestClock, memory_world, shop_over

from cashwrap.drift import DAY, KIND, Day, Missed, days_of, report
from cashwrap.events.strays import ALL_OF, EVERY, NAMES, Strays, told_name
from cashwrap.model import Tenant

NOW = 20_000 * DAY + 5


def day(ago: int, event: str = "Cart Viewed", looked: int = 0, **fields: int) -> Day:
    at = NOW // DAY * DAY - ago * DAY
    return Day(
        LIVE, at, [], [], [(event, "", looked)], [(event, f"properties.{name}", n) for name, n in fields.items()]
    )


def test_undeclared_names_are_counted_and_nothing_else_is() -> None:
    strays = Strays()
    strays.undeclared(
        LIVE, "Cart Viewed", "properties", ["giftWrap", "giftWrap", "jane@example.com", "4111111111111111"], ()
    )
    strays.unknown(LIVE, "Wheel Spun")
    strays.unknown(LIVE, "Mail of jane@example.com")
    seen = strays.take()
    assert {(place.event, place.field): count for place, count in seen.undeclared.items()} == {
        ("Cart Viewed", "properties.giftWrap"): 2,
        ("Cart Viewed", ""): 2,
    }
    assert {place.event: count for place, count in seen.unknown.items()} == {"Wheel Spun": 1, "": 1}
    assert not strays.take().undeclared


@pytest.mark.parametrize("name", ["a" * 90, "x<script>", "0123", "who_4930123456", "a b\n", "", "Ümläut"])
def test_what_looks_like_no_name_is_not_told(name: str) -> None:
    assert told_name(name) == ""


def test_names_have_an_end() -> None:
    strays = Strays()
    for number in range(NAMES + 50):
        letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        strays.undeclared(LIVE, "Cart Viewed", "properties", [letters], ())
    seen = strays.take().undeclared
    assert len(seen) <= NAMES + 1
    assert seen.total() == NAMES + 50


def test_of_many_events_some_count_for_all() -> None:
    strays = Strays()
    for _ in range(ALL_OF + 100 * EVERY):
        strays.undeclared(LIVE, "Cart Viewed", "properties", ["gift", "total"], {"total"})
    assert strays.take().undeclared.total() == ALL_OF + 100 * EVERY


def test_what_is_declared_by_now_is_no_stray() -> None:
    days = [
        Day(LIVE, NOW, [("Cart Viewed", "properties.gift", 3), ("Cart Viewed", "", 1)], [("Wheel Spun", "", 2)], [], [])
    ]
    told = report(days, {"Cart Viewed": ["properties.total"]}, NOW)
    assert [(each.field, each.count) for each in told.undeclared] == [("properties.gift", 3), ("", 1)]
    assert [each.event for each in told.unknown] == ["Wheel Spun"]
    later = report(days, {"Cart Viewed": ["properties.gift"], "Wheel Spun": []}, NOW)
    assert [each.field for each in later.undeclared] == [""]
    assert later.unknown == []


def test_a_field_that_stopped_is_missed() -> None:
    before, now = day(5, looked=100, total=90, coupon=3), day(0, looked=40, coupon=1)
    declared = {"Cart Viewed": ["properties.total", "properties.coupon"]}
    assert report([before, now], declared, NOW).missed == [Missed("Cart Viewed", "properties.total", 0.9)]
    assert report([before, day(0, looked=40, total=1)], declared, NOW).missed == []
    assert report([before, day(0, looked=5)], declared, NOW).missed == [], "too few to say"
    assert report([before, now], {"Cart Viewed": ["properties.coupon"]}, NOW).missed == [], "not declared any more"


def test_an_event_that_stopped_is_missed_while_others_arrive() -> None:
    others = day(0, event="Product Viewed", looked=40)
    declared = {"Cart Viewed": ["properties.total"], "Product Viewed": []}
    assert report([day(5, looked=100), others], declared, NOW).missed == [Missed("Cart Viewed", "", 100)]
    assert report([day(5, looked=100)], declared, NOW).missed == []


def test_a_server_writes_it_down_by_day_and_store() -> None:
    clock = TestClock()
    with shop_over(memory_world(clock)) as shop:
        shop.keeps(shop.event(event="Cart Viewed", userId="u", properties={"gift": 1, "total": 5}), trusted=True)
        shop.batch(shop.event(event="Wheel Spun", userId="u"), trusted=True)
        clock.wait(minutes=1)
        shop.engine.refresh()
        registry = shop.engine.world.registry
        [told] = days_of(registry, LIVE)
        assert told.undeclared == [("Cart Viewed", "properties.gift", 1)]
        assert told.unknown == [("Wheel Spun", "", 1)]
        assert ("Cart Viewed", "properties.total", 1) in told.fields
        assert days_of(registry, Tenant("other")) == []
        clock.wait(days=40)
        shop.batch(shop.event(event="Wheel Spun", userId="u"), trusted=True)
        shop.engine.refresh()
        assert len(registry.documents(KIND)) == 1, "old days go"
