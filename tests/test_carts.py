"""The open cart against a till that replays every event in the order it happened."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import carts
from cashwrap.aggregates import MINUTE
from cashwrap.model import Event, Line, OpenCart, Profile

NOW = 1_700_000_000_000
PRICES = {"p1": 1_000, "p2": 2_500, "p3": None}


def profile() -> Profile:
    return Profile(b"shopper", b"analyst", 0)


def event(name: str, time: int = 0, *, event_id: str = "", token: str | None = None, **facts: Any) -> Event:
    moment = NOW + time
    return Event(event_id or f"id{time}", name, moment, moment, 7, "web", cart_token=token, properties=facts)


def added(product: str, time: int = 0, **facts: Any) -> Event:
    return event("Product Added", time, **{"product_id": product, "price": 1_000, "quantity": 1, **facts})


def folded(*events: Event) -> Profile:
    draft = profile()
    for each in events:
        carts.apply(draft, each, "EUR")
    return draft


def inside(draft: Profile) -> dict[str, int]:
    return {name: line.quantity for name, line in carts.lines(draft.cart).items()}


def naive(events: list[Event]) -> dict[str, int]:
    till: dict[str, int] = {}
    for each in sorted(events, key=lambda each: (each.time, each.id)):
        facts: dict[str, Any] = each.properties
        match each.name:
            case "Product Added":
                till[facts["product_id"]] = till.get(facts["product_id"], 0) + facts.get("quantity", 1)
            case "Product Removed":
                left = till.pop(facts["product_id"], 0) - facts.get("quantity", 10**9)
                if left > 0:
                    till[facts["product_id"]] = left
            case "Order Completed":
                till = {}
            case _ if "products" in facts:
                till = {}
                for line in facts["products"]:
                    till[line.product_id] = till.get(line.product_id, 0) + line.quantity
    return till


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    found = []
    products = st.sampled_from(sorted(PRICES))
    for number in range(draw(st.integers(0, 10))):
        name = draw(st.sampled_from(["Product Added", "Product Added", "Product Removed", *sorted(carts.EVENTS)]))
        facts: dict[str, Any] = {}
        if name in ("Product Added", "Product Removed"):
            product = draw(products)
            facts = {"product_id": product, "price": PRICES[product], "category": product.upper()}
            if draw(st.booleans()):
                facts["quantity"] = draw(st.integers(1, 3))
        elif name in ("Cart Viewed", "Checkout Started") and draw(st.booleans()):
            listed = draw(st.lists(products, max_size=3))
            facts["products"] = [Line(product, draw(st.integers(1, 3)), PRICES[product]) for product in listed]
        token = draw(st.sampled_from([None, "a", "b"]))
        found.append(event(name, draw(st.integers(0, 6)), event_id=f"id{number}", token=token, **facts))
    return found


@settings(max_examples=250)
@given(histories(), st.data())
def test_any_order_of_arrival(events: list[Event], data: st.DataObject) -> None:
    draft = folded(*data.draw(st.permutations(events)))
    assert inside(draft) == naive(events)
    assert carts.values(draft, NOW + 10) == carts.values(folded(*events), NOW + 10)
    assert draft.cart.token == folded(*events).cart.token


@settings(max_examples=100)
@given(histories(), st.data())
def test_split_and_merged_is_the_same(events: list[Event], data: st.DataObject) -> None:
    sides = [data.draw(st.booleans()) for _ in events]
    one = folded(*(each for each, side in zip(events, sides, strict=True) if side))
    two = folded(*(each for each, side in zip(events, sides, strict=True) if not side))
    left, right = profile(), profile()
    for part in (one, two):
        carts.merge(left, part)
    for part in (two, one):
        carts.merge(right, part)
    assert inside(left) == inside(right) == naive(events)
    assert left.cart.token == right.cart.token == folded(*events).cart.token


def test_of_two_pictures_at_one_time_the_greater_id_is_the_later() -> None:
    pictures = [event("Cart Viewed", event_id=name, products=[Line(name)]) for name in ("a", "b")]
    for events in (pictures, pictures[::-1]):
        assert inside(folded(*events)) == naive(events) == {"b": 1}


def test_values() -> None:
    draft = folded(added("p1", 0, quantity=2, category="shoes"), added("p2", 1, price=2_500, category="hats"))
    assert carts.values(draft, NOW + 1 + 61 * MINUTE) == {
        "open_cart.total": 4_500,
        "open_cart.count": 3,
        "open_cart.categories": {"shoes", "hats"},
        "open_cart.products": {"p1", "p2"},
        "open_cart.idle_minutes": 61,
        "open_cart.max_price": 2_500,
    }


def test_an_empty_cart_is_worth_nothing_and_not_idle() -> None:
    for draft in (profile(), folded(added("p1"), event("Order Completed", 1, order_id="1"))):
        assert carts.values(draft, NOW + 2) == {
            "open_cart.total": 0,
            "open_cart.count": 0,
            "open_cart.categories": frozenset(),
            "open_cart.products": frozenset(),
        }
        assert carts.next_change(draft, NOW + 2) is None


def test_an_unknown_price_makes_the_total_unknown() -> None:
    values = carts.values(folded(added("p1"), added("p2", 1, price=None)), NOW + 2)
    assert "open_cart.total" not in values
    assert values["open_cart.max_price"] == 1_000


def test_prices_in_another_currency_are_unknown() -> None:
    listed = event("Cart Viewed", 1, currency="USD", products=[Line("p2", 1, 900)])
    for draft in (folded(added("p1", currency="USD")), folded(listed)):
        assert "open_cart.total" not in carts.values(draft, NOW)
        assert carts.values(draft, NOW)["open_cart.count"] == 1
    assert carts.values(folded(added("p1", currency="EUR")), NOW)["open_cart.total"] == 1_000


def test_walking_through_the_checkout_keeps_the_cart_from_being_idle() -> None:
    draft = folded(added("p1"), event("Checkout Step Viewed", 30 * MINUTE, step="2"))
    assert carts.values(draft, NOW + 31 * MINUTE)["open_cart.idle_minutes"] == 1


def test_the_next_minute_is_when_idleness_grows() -> None:
    draft = folded(added("p1"))
    moment = carts.next_change(draft, NOW + 90_000)
    assert moment == NOW + 2 * MINUTE
    assert carts.values(draft, moment - 1)["open_cart.idle_minutes"] == 1
    assert carts.values(draft, moment)["open_cart.idle_minutes"] == 2


def test_ill_formed_facts_are_left_out() -> None:
    assert inside(folded(event("Product Added"), event("Product Added", product_id=7))) == {}
    assert inside(folded(added("p1", quantity="many"), added("p2", 1, quantity=-4))) == {"p1": 1, "p2": 1}


def test_a_cart_is_bounded() -> None:
    draft = folded(*(added(f"p{number}", number) for number in range(500)))
    assert len(draft.cart.changes) == carts.CHANGES
    assert "p499" in carts.lines(draft.cart)
    listed = event("Cart Viewed", 1_000, products=[Line(f"p{number}") for number in range(10_000)])
    carts.apply(draft, listed)
    assert (len(draft.cart.lines), len(draft.cart.changes)) == (carts.LINES, 0)


# --- planted bugs ---


def newest_event_only(draft: Profile, each: Event) -> None:
    """Keeps per product only what the newest event says: adding twice counts once."""
    carts.apply(draft, each)
    newest: dict[str, str] = {}
    for change in draft.cart.changes.values():
        newest[change.line.product_id] = max(newest.get(change.line.product_id, ""), change.id)
    draft.cart.changes = {name: draft.cart.changes[name] for name in newest.values()}


def clears_on_arrival(draft: Profile, each: Event) -> None:
    """An order empties the cart when it arrives, not when it happened."""
    if each.name == "Order Completed":
        draft.cart = OpenCart()
    else:
        carts.apply(draft, each)


def forgets_what_came_before_the_picture(draft: Profile, each: Event) -> None:
    """A late picture wipes what was added after it."""
    carts.apply(draft, each)
    if each.name == "Cart Viewed":
        draft.cart.changes.clear()


@pytest.mark.parametrize("planted", [newest_event_only, clears_on_arrival, forgets_what_came_before_the_picture])
def test_the_till_catches(planted: Any) -> None:
    histories_ = [
        [added("p1", 1), added("p1", 2)],
        [added("p1", 2), event("Order Completed", 1, order_id="1")],
        [added("p1", 2), event("Cart Viewed", 1, products=[])],
    ]
    found = []
    for events in histories_:
        draft = profile()
        for each in events:
            planted(draft, each)
        found.append(inside(draft) == naive(events))
    assert not all(found)
