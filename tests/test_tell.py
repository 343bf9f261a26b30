"""Reasons as people and programs read them: values written out, segments opened one level, for whoever asks."""

from typing import Any

import msgspec
import pytest

from cashwrap.explain import explain
from cashwrap.model import Inputs, Value
from cashwrap.playbook import Playbook, examine
from cashwrap.request import DecideRequest
from cashwrap.tell import Part, Placed, tell
from engines import LIVE, TestClock, memory_world, shop_over

PLAYBOOK = """
shop: {currency: EUR, locale: en}
features:
  spent:  {sum: Order Completed, of: subtotal}
  orders: {count: Order Completed}
segments:
  buyer: orders >= 1
  regular: '"buyer" in segments && spent > 500'
  vip: {members: pushed}
placements:
  hero: {component: message}
experiences:
  thanks:
    in: hero
    when: '("regular" in segments || "vip" in segments) && cart.total >= 80'
    schedule: {days: [mon], hours: 9-18}
    show: {text: {en: Thanks.}}
"""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"p.yaml": PLAYBOOK})
    assert found is not None, faults
    return found


def told(playbook: Playbook, **values: Any) -> Placed:
    known: dict[str, Value] = {"now": 1, "shop_time.hour": 12, "shop_time.weekday": 1, **values}
    known |= {"time.hour": 12, "time.weekday": 1}
    playbook.segments.evaluate(known, {"vip": False} if "spent" in values else None)
    inputs = Inputs(1, LIVE, known, "profile", 7, None)
    return tell(playbook, inputs, explain(playbook.experiences, inputs))["hero"]


def parts(part: Part) -> list[Part]:
    return [part, *(each for below in part.parts for each in parts(below))]


def condition_of(placed: Placed) -> Part:
    condition = placed.considered[0].condition
    assert condition is not None
    return condition


def test_money_is_written_in_the_shops_currency_and_kept_as_it_is(playbook: Playbook) -> None:
    placed = told(playbook, spent=12_050, orders=2, **{"cart.total": 9_400})
    [amount] = [part for part in parts(condition_of(placed)) if "cart.total" in part.written]
    assert (amount.result, amount.values, amount.written) == (True, {"cart.total": 9_400}, {"cart.total": "94.00 EUR"})


def test_the_clock_is_written_as_people_read_it(playbook: Playbook) -> None:
    assert playbook.written("time.local", 202612241805) == "2026-12-24 18:05"
    assert playbook.written("time.weekday", 7) == "7, Sunday"
    assert playbook.written("shop_time.weekday", 1) == "1, Monday"


def test_a_segment_is_opened_one_level_deep(playbook: Playbook) -> None:
    placed = told(playbook, spent=12_050, orders=2, **{"cart.total": 9_400})
    opened = {each.name: each for part in parts(condition_of(placed)) for each in part.segments}
    assert opened.keys() == {"regular", "vip"}
    inner = opened["regular"].condition
    assert inner is not None
    assert [part.written for part in inner.parts] == [{"segments.buyer": "true"}, {"spent": "120.50 EUR"}]
    assert not any(part.segments for part in parts(inner)), "what a segment names is not opened again"
    assert (opened["vip"].condition, opened["vip"].why, opened["vip"].result) == (None, "pushed in from outside", False)


def test_without_consent_a_list_is_unknown(playbook: Playbook) -> None:
    placed = told(playbook)
    [vip] = [each for part in parts(condition_of(placed)) for each in part.segments if each.name == "vip"]
    assert (vip.result, vip.why) == (None, "unknown without consent")


def test_a_request_that_asks_why_is_told_the_same(playbook: Playbook) -> None:
    with shop_over(memory_world(TestClock()), playbook) as shop:
        who = {"anonymousId": "anon-tell-00000001"}
        shop.consents(who)
        from_request = {"shopper": who, "context": {"cart": {"total": 94}}}
        request = msgspec.convert(from_request, DecideRequest)
        caller = shop.caller(trusted=True)
        found = shop.engine.explain(request, caller, shop.engine.find(request.shopper, caller))
    json = msgspec.json.decode(msgspec.json.encode(found))["hero"]
    assert json["answer"]["reason"] == "no_match"
    [segment] = [
        each for part in parts(condition_of(found["hero"])) for each in part.segments if each.name == "regular"
    ]
    assert segment.condition is not None
    assert '"cart.total":"94.00 EUR"' in msgspec.json.encode(json).decode()
