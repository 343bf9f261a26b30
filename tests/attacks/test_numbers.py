"""Numbers that are short to write and absurd to work with: each fails alone, at once, and as what it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from cashwrap.errors import InvalidEvent
from cashwrap.events.fields import LARGEST_INTEGER, number
from cashwrap.events.money import to_minor
from cashwrap.feed import _Bad, _stock
from cashwrap.history.convert import _integer, sum_of
from cashwrap.history.returns import _amount
from engines import Shop, TestClock, memory_world, shop_over

WHO = {"anonymousId": "device-of-a-stranger"}
ABSURD = ["1e9999999", "-1e9999999", "1e999999999999", "1e99999999999999999999", "sNaN", "-Infinity"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


@pytest.mark.parametrize("absurd", ABSURD)
@pytest.mark.parametrize(
    "event",
    [
        {"event": "Order Completed", "properties": {"order_id": "A1", "total": "?"}},
        {"event": "Product Added", "properties": {"product_id": "mug-1", "price": "?"}},
        {"event": "Product Added", "properties": {"product_id": "mug-1", "quantity": "?"}},
        {"event": "Product Added", "properties": {"product_id": "mug-1", "cart_total": "?"}},
    ],
)
def test_an_event_with_an_absurd_number_takes_no_other_with_it(shop: Shop, event: dict[str, Any], absurd: str) -> None:
    shop.consents(WHO)
    properties = {name: absurd if value == "?" else value for name, value in event["properties"].items()}
    bad = shop.event(event=event["event"], properties=properties, **WHO)
    account = shop.keeps(shop.views(WHO), bad, shop.views(WHO))
    assert account.stored >= 2
    assert account.received == 3


@pytest.mark.parametrize("absurd", ABSURD)
def test_absurd_numbers_are_refused_wherever_they_are_read(absurd: str) -> None:
    for read in (lambda: number(absurd), lambda: to_minor(absurd, 2), lambda: _integer(absurd, "", 1)):
        with pytest.raises(InvalidEvent):
            read()
    with pytest.raises(_Bad):
        _stock(absurd, None)


def test_the_largest_numbers_are_still_taken() -> None:
    assert number(str(LARGEST_INTEGER)) == LARGEST_INTEGER
    assert _integer("-9e29", "", -1) == 9 * 10**29
    assert (_stock("7.0", None), _stock("-3", None)) == (7, 0)


def test_absurd_prices_of_old_orders_are_told_as_such() -> None:
    line: dict[str, object] = {"price": "9e999999", "quantity": 20}
    with pytest.raises(InvalidEvent):
        sum_of([line])
    with pytest.raises(InvalidEvent):
        _amount(line)
