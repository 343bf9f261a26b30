"""The order book against one that reads all reports at once, in the order they happened."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import orders
from cashwrap.model import Event, Line, Order, Profile, Purpose
from cashwrap.orders import Net

NOW = 1_700_000_000_000
ALL = int(Purpose.NECESSARY | Purpose.ANALYTICS | Purpose.PERSONALIZATION)


def profile() -> Profile:
    return Profile(b"shopper", b"analyst", 0)


def report(
    name: str, time: int = 0, *, event_id: str = "", trusted: bool = True, mask: int = ALL, **facts: Any
) -> Event:
    facts.setdefault("order_id", "1001")
    moment = NOW + time
    return Event(event_id or f"id{time}", name, moment, moment, mask, "shop", properties=facts, trusted=trusted)


def completed(time: int = 0, **facts: Any) -> Event:
    return report("Order Completed", time, **{"total": 700, "subtotal": 600, "shipping": 100, **facts})


def booked(*events: Event) -> Profile:
    draft = profile()
    for event in events:
        orders.apply(draft, event)
    return draft


def only(*events: Event) -> Order:
    (order,) = booked(*events).orders.values()
    return order


# --- an oracle: all reports at hand, sorted ---


def naive(events: list[Event]) -> dict[str, tuple[str, int, int, int, int, bool, int]]:
    """Order id to (state, time, subtotal, total, refunded, counts, mask)."""
    found = {}
    for name in {str(event.properties["order_id"]) for event in events}:
        mine = sorted((e for e in events if e.properties["order_id"] == name), key=lambda event: (event.time, event.id))
        trusted = [event for event in mine if event.trusted]
        hints = [event for event in mine if not event.trusted and event.name == "Order Completed"]
        if trusted or hints:
            found[name] = naive_order(trusted, hints)
    return found


def naive_order(trusted: list[Event], hints: list[Event]) -> tuple[str, int, int, int, int, bool, int]:
    def named(*names: str) -> list[Event]:
        return [event for event in trusted if event.name in names]

    money: dict[str, int] = {}
    for event in named("Order Completed", "Order Updated"):
        money.update({part: event.properties[part] for part in orders.MONEY if part in event.properties})  # type: ignore[misc]
    extra = money.get("shipping", 0) + money.get("tax", 0)
    total, subtotal = money.get("total"), money.get("subtotal")
    if subtotal is None:
        subtotal = 0 if total is None else max(0, total - extra)
    if total is None:
        total = subtotal + extra
    made = named("Order Completed") or named("Order Updated")
    refunds = [event.properties.get("total", -1) for event in named("Order Refunded")]
    refunded = sum(amount for amount in refunds if amount >= 0)  # type: ignore[operator, misc]
    if made:
        refunded = total if -1 in refunds else min(total, refunded)
    state = "completed" if made else "hinted"
    state = "returned" if named("Order Returned") else state
    state = "cancelled" if named("Order Cancelled") else state
    time = (made or hints or trusted)[0].time
    if not made and not hints:
        for name in ("Order Refunded", "Order Cancelled", "Order Returned"):
            if named(name):
                time = named(name)[0].time
                break
    counts = state == "completed" and not (refunds and refunded >= total)
    return state, time, subtotal, total, refunded, counts, made[0].mask if made else 0


def told(draft: Profile) -> dict[str, tuple[str, int, int, int, int, bool, int]]:
    found = {}
    for order in draft.orders.values():
        net = orders.net(order)
        counts = orders.counts(order)
        subtotal = orders.gross(order, "subtotal")
        total = orders.gross(order, "total")
        expected = Net(refunded=order.refunded if order.state != "hinted" else 0)
        if counts:
            expected = Net(
                max(0, subtotal - order.refunded),
                total - order.refunded,
                order.shipping,
                order.tax,
                order.discount,
                order.refunded,
            )
        assert net == expected
        found[order.id] = order.state, order.time, subtotal, total, order.refunded, counts, order.mask
    return found


@st.composite
def reports(draw: st.DrawFn) -> list[Event]:
    events = []
    amounts = st.one_of(st.none(), st.integers(0, 900))
    for number in range(draw(st.integers(0, 8))):
        name = draw(st.sampled_from(sorted(orders.EVENTS)))
        parts = ("total",) if name == "Order Refunded" else orders.MONEY
        facts = {part: amount for part in parts if (amount := draw(amounts)) is not None}
        time = draw(st.integers(0, 5))
        events.append(
            report(
                name,
                time,
                event_id=f"id{number}",
                trusted=draw(st.integers(0, 3)) > 0,
                mask=draw(st.sampled_from([1, ALL])),
                order_id=draw(st.sampled_from(["1001", "1002"])),
                **facts,
            )
        )
    return events


@settings(max_examples=200)
@given(reports(), st.data())
def test_any_order_of_arrival(events: list[Event], data: st.DataObject) -> None:
    assert told(booked(*data.draw(st.permutations(events)))) == naive(events)


@settings(max_examples=100)
@given(reports(), st.data())
def test_split_and_merged_is_the_same(events: list[Event], data: st.DataObject) -> None:
    sides = [data.draw(st.integers(0, 2)) for _ in events]
    parts = [booked(*(event for event, side in zip(events, sides, strict=True) if side == part)) for part in range(3)]
    left, right = profile(), profile()
    for part in parts:
        orders.merge(left, part)
    for part in reversed(parts):
        orders.merge(right, part)
    assert told(left) == told(right) == naive(events)
    assert {name: order.stamps for name, order in left.orders.items()} == {
        name: order.stamps for name, order in right.orders.items()
    }


@settings(max_examples=100)
@given(reports())
def test_a_report_told_twice_counts_once(events: list[Event]) -> None:
    assert told(booked(*events, *events)) == told(booked(*events))


# --- by hand ---


def test_the_browser_only_hints() -> None:
    order = only(completed(trusted=False, total=999_999))
    assert order.state == "hinted"
    assert orders.net(order) == Net()
    order = only(completed(5), completed(1, trusted=False, total=1))
    assert (order.state, order.total, order.time) == ("completed", 700, NOW + 5)


def test_a_browser_can_neither_refund_nor_cancel() -> None:
    for name in ("Order Refunded", "Order Cancelled", "Order Returned", "Order Updated"):
        assert orders.counts(only(completed(), report(name, 1, trusted=False, total=700)))


def test_only_what_may_change_a_feature_says_so() -> None:
    draft = profile()
    assert not orders.apply(draft, completed(trusted=False))
    assert orders.apply(draft, completed(1))
    assert not orders.apply(draft, report("Product Viewed", 2))
    assert not orders.apply(draft, report("Order Completed", 2, order_id=""))
    assert not orders.apply(draft, report("Order Completed", 2, order_id=7))


def test_a_refund_before_the_order() -> None:
    order = only(report("Order Refunded", 9, total=200), completed(1))
    assert (orders.net(order).total, orders.net(order).subtotal, order.time) == (500, 400, NOW + 1)


@pytest.mark.parametrize("facts", [{"total": 700}, {"total": 5_000}, {}])
def test_a_full_refund_leaves_no_order(facts: dict[str, int]) -> None:
    order = only(completed(), report("Order Refunded", 1, **facts))
    assert not orders.counts(order)
    assert orders.net(order) == Net(refunded=700)


@pytest.mark.parametrize("late", [False, True])
def test_a_refund_in_another_currency_is_not_the_orders_money(late: bool) -> None:
    order = completed(currency="EUR")
    refund = report("Order Refunded", 5, total=500, currency="JPY")
    events = (refund, order) if late else (order, refund)
    assert orders.net(only(*events)).total == 700
    local = report("Order Refunded", 6, total=500, currency="EUR")
    assert orders.net(only(*events, local)).total == 200


def test_a_refund_of_named_products() -> None:
    lines = [Line("p1", 2, 100), Line("p2", 1, None)]
    assert orders.net(only(completed(), report("Order Refunded", 1, products=lines))).total == 500


def test_an_update_replaces_what_it_carries_and_leaves_the_rest() -> None:
    order = only(
        completed(discount=50), report("Order Updated", 3, total=800), report("Order Updated", 2, total=1, tax=9)
    )
    assert (order.total, order.subtotal, order.tax, order.discount, order.state) == (800, 600, 9, 50, "completed")


def test_revenue_stands_for_a_missing_total_and_lines_for_a_missing_everything() -> None:
    assert orders.net(only(report("Order Completed", revenue=300))).total == 300
    lines = [Line("p1", 2, 150)]
    assert orders.net(only(report("Order Completed", products=lines))).subtotal == 300


def test_what_one_copy_may_no_longer_serve_no_copy_may() -> None:
    for withdrawn in (0, 1):
        copies = [booked(completed()), booked(completed())]
        copies[withdrawn].orders["1001"].mask = 1
        orders.merge(copies[0], copies[1])
        assert copies[0].orders["1001"].mask == 1


def test_orders_are_bounded_and_hints_cannot_push_out_orders() -> None:
    draft = profile()
    for number in range(orders.ORDERS + 50):
        orders.apply(draft, completed(number, order_id=f"o{number}"))
    for number in range(200):
        orders.apply(draft, completed(10**9 + number, order_id=f"h{number}", trusted=False))
    hints = [order for order in draft.orders.values() if order.state == "hinted"]
    assert (len(draft.orders) - len(hints), len(hints)) == (orders.ORDERS, orders.HINTS)
    assert "o49" not in draft.orders
    assert "o50" in draft.orders


def test_refunds_and_lines_are_bounded() -> None:
    many = [report("Order Refunded", number, total=1) for number in range(150)]
    order = only(completed(products=[Line(f"p{number}") for number in range(400)]), *many)
    assert (len(order.refunds), len(order.lines)) == (orders.REFUNDS, orders.LINES)


# --- planted bugs: the oracle sees each ---


def arrival_wins(draft: Profile, event: Event) -> None:
    """The report that comes last sets the money."""
    orders.apply(draft, event)
    order = draft.orders.get(str(event.properties["order_id"]))
    if order is not None and event.trusted and isinstance(event.properties.get("total"), int):
        order.total = event.properties["total"]  # type: ignore[assignment]


def hints_count(draft: Profile, event: Event) -> None:
    orders.apply(draft, Event(event.id, event.name, event.time, 0, 7, "s", properties=event.properties, trusted=True))


def refunds_by_arrival(draft: Profile, event: Event) -> None:
    """A refund of an order not known yet is lost."""
    if event.name != "Order Refunded" or event.properties["order_id"] in draft.orders:
        orders.apply(draft, event)


@pytest.mark.parametrize("planted", [arrival_wins, hints_count, refunds_by_arrival])
def test_the_oracle_catches(planted: Any) -> None:
    events = [report("Order Refunded", 9, total=200), report("Order Updated", 5, total=800), completed(1)]
    events.append(completed(trusted=False, event_id="hint", order_id="1002"))
    draft = profile()
    for event in events:
        planted(draft, event)
    assert told(draft) != naive(events)
