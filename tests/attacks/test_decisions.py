"""Pages that ask for decisions in ways that are to break, slow down or hide them."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from functools import cmp_to_key
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.content.components import MAX_RECENT
from cashwrap.experiments import draw, hash_unit
from cashwrap.playbook import examine
from cashwrap.request import to_minor
from engines import Shop, TestClock, memory_world, shop_over
from servers import serving

WHO = {"anonymousId": "device-of-a-stranger"}
ABSURD = ["1e9999999", "-1e9999999", '"1e9999999"', "1e-9999999", '"NaN"', '"sNaN"', '"-Infinity"', "9" * 5000]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


@pytest.mark.parametrize("amount", ABSURD)
@pytest.mark.parametrize("cart", ['{"total":%s}', '{"items":[{"id":"a","quantity":1000000,"price":%s}]}'])
def test_an_absurd_amount_is_unknown_and_no_failure(cart: str, amount: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(memory_world(TestClock())) as server:
        answer = server.post("/v1/decide", content=f'{{"context":{{"cart":{cart % amount}}}}}')
        assert answer.status_code == 200
        assert answer.json()["degraded"] is False
        priced = server.admin("PATCH", "/v1/catalog", content=f'{{"items":[{{"id":"a","price":{amount}}}]}}')
        assert priced.status_code < 500
    assert not caplog.records


@given(st.decimals() | st.integers(-(10**13), 10**13).map(str).map(Decimal))
def test_every_amount_is_some_money_or_none(amount: Any) -> None:
    found = to_minor(amount, 2)
    assert (found is None) == (not amount.is_finite() or not -(10**12) < amount < 10**12)


@pytest.mark.parametrize("count", [2**63, 2**64, 10**30])
def test_more_pieces_than_anybody_carries_cost_no_decision_its_record(count: int) -> None:
    with serving(memory_world(TestClock())) as server:
        answer = server.post("/v1/decide", {"shopper": WHO, "context": {"cart": {"count": count}}})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/decide", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/basket_message"])
@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1e-99999999999999999999", "1e" + "9" * 50_000])
def test_a_number_beyond_all_bounds_is_no_failure_of_ours(
    path: str, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(memory_world(TestClock())) as server:
        for context in ('{"cart":{"total":%s}}', '{"anything":%s}', '{"cart":{"items":[{"id":"a","price":%s}]}}'):
            answer = server.post(path, content=f'{{"context":{context % number}}}')
            assert answer.status_code in (200, 400)
    assert not caplog.records


def test_made_up_locales_do_not_keep_the_shops_own_from_being_remembered(shop: Shop) -> None:
    plain = "shop: {currency: EUR, locale: en}\nplacements: {a: {component: message}}\nexperiences:\n"
    playbook, faults = examine({"shop.yaml": plain + "  hello:\n    in: a\n    show: {text: {en: Hello}}\n"})
    assert playbook is not None, faults
    shop.engine.publish(playbook)
    for number in range(3 * MAX_RECENT):
        shop.decide(context={"locale": f"junk-{number}"})
        assert len(playbook.experiences.recent[0]) <= MAX_RECENT
    shop.decide(context={"locale": "de-AT"})
    assert "de-AT" in playbook.experiences.recent[0]


# --- many experiences that all fit ---


def _calls(work: Any) -> int:
    """How many functions a piece of work calls: its cost, whatever the machine."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_drawing_among_thousands_of_weights_holds_nobody_up() -> None:
    weights = {f"experience_{number}": 1 + number % 100 for number in range(2_000)}
    assert _calls(lambda: draw("banner", "anon-1", weights)) < 100 * len(weights)


def test_the_draw_is_that_of_exact_numbers() -> None:
    def before(one: str, other: str) -> int:
        mine, its = (hash_unit(f"banner:{name}", unit) + 1 for name in (one, other))
        left, right = mine ** weights[other] << 32 * weights[one], its ** weights[one] << 32 * weights[other]
        return int(left < right) - int(left > right)

    for number in range(30):
        unit = f"anon-{number}"
        weights = {f"experience_{each}": 1 + each * number % 100 for each in range(60)}
        assert draw("banner", unit, weights) == sorted(weights, key=cmp_to_key(before))


def test_equal_numbers_are_drawn_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half and a quarter: (1/2) ** (1/1) = (1/4) ** (1/2), which only whole numbers tell for sure."""
    numbers = {"banner:a": 2**30 - 1, "banner:b": 2**31 - 1, "banner:c": 2**28 - 1}
    monkeypatch.setattr(sys.modules[draw.__module__], "hash_unit", lambda salt, _: numbers[salt])
    assert draw("banner", "anyone", {"a": 2, "b": 1, "c": 4}) == ["a", "b", "c"]
    assert draw("banner", "anyone", {"c": 4, "b": 1, "a": 2}) == ["c", "b", "a"]
