"""What servers decided, by arm: every decision whose exposure could come back, once, over processes and restarts."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cashwrap.errors import Unavailable
from cashwrap.inputs import Caller
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.previews import Wanted, make_link
from cashwrap.request import Cart, DecideRequest, PageContext, ShopperRef
from cashwrap.tallies import DAY, EVERY, KEPT, KIND, Key, Tallies, tallies
from crews import crew
from engines import LIVE, Shop, TestClock, folder_world, memory_world, shop_over

PLAYBOOK = """
shop:
  currency: EUR
  locale: en
  internal_networks: [192.0.2.0/24]
placements:
  banner: {component: message}
  hero:   {component: message}
  foot:   {component: message}
experiences:
  greeting:
    in: banner
    attention: {shopper: 1}
    variations:
      formal: {text: {en: Good day.}}
      casual: {text: {en: Hi.}}
    experiment: {arms: {control: 40%, formal: 30%, casual: 30%}, holdout: 10%, goal: conversion, salt: greeting-2}
  welcome:
    in: hero
    variations:
      warm: {text: {en: Welcome.}}
    experiment: {arms: {control: 50%, warm: 50%}, goal: conversion}
  always:
    in: foot
    attention: {shopper: 1}
    show: {text: {en: Always.}}
"""
HOLDOUT = "holdout: {share: 30%, salt: nobody-2026}\n"


def playbook(text: str = PLAYBOOK) -> Playbook:
    compiled, faults = examine({"shop.yaml": text})
    assert compiled is not None, faults
    return compiled


PLAIN = playbook()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), PLAIN) as shop:
        yield shop


def someone(shop: Shop, number: int, **choices: str) -> dict[str, str]:
    who = {"anonymousId": f"anon-tally-{number}"}
    shop.consents(who, trusted=False, **choices)
    return who


def proven(shop: Shop, who: dict[str, str], token: str, day: int) -> Counter[tuple[Key, int]]:
    """What a decision's own token would prove: the naive count."""
    names = shop.engine.live.playbook.experiences.names
    proof = shop.engine.tokens.open(token, who.values(), shop.clock.now())
    found: Counter[tuple[Key, int]] = Counter()
    for each in proof.exposures:
        salt, reached = names.experiences[each[1]].salt, names.read(each)
        if salt and reached.outcome != "holdout":
            found[(salt, reached.arm, reached.outcome), day] += 1
    return found


def written(shop: Shop, tenant: Tenant = LIVE) -> Counter[tuple[Key, int]]:
    """What is written down, flat."""
    shop.engine.tallies.flush(ending=True)
    told = tallies(shop.engine.world.registry, tenant)
    return Counter({(key, day): count for key, days in told.items() for day, count in days.items()})


def test_it_is_what_the_tokens_prove_by_day(shop: Shop) -> None:
    expected: Counter[tuple[Key, int]] = Counter()
    for number in range(90):
        if number % 30 == 29:
            shop.clock.wait(days=0.7)
        who = someone(shop, number)
        for _ in range(number % 3 + 1):
            token = shop.decide(shopper=who)["token"]
            expected += proven(shop, who, token, shop.clock.now() // DAY * DAY)
            event = shop.event(event="Experience Viewed", properties={"placement": "banner", "token": token}, **who)
            shop.keeps(event)
    assert written(shop) == expected
    assert {key[2] for key, _ in expected} == {"shown", "control", "capped"}
    assert {key[0] for key, _ in expected} == {"greeting-2", "welcome"}
    assert ("greeting-2", "holdout", "control") in {key for key, _ in expected}
    assert len({day for _, day in expected}) == 3
    assert written(shop, Tenant("default", "test")) == Counter()


def test_the_shops_holdout_is_counted_against_the_rest_by_decision() -> None:
    with shop_over(memory_world(TestClock()), playbook(HOLDOUT + PLAYBOOK)) as shop:
        expected: Counter[Key] = Counter()
        for number in range(60):
            answer = shop.decide(shopper=someone(shop, number))
            held = answer["placements"]["banner"]["reason"] == "holdout"
            expected["nobody-2026", *(("holdout", "holdout") if held else ("rest", ""))] += 1
        found = {key: count for (key, _), count in written(shop).items() if key[0] == "nobody-2026"}
        assert found == expected
        assert sum(found.values()) == 60
        assert len(found) == 2
        others = [count for (key, _), count in written(shop).items() if key[0] == "welcome"]
        assert sum(others) == expected["nobody-2026", "rest", ""], "who is held out is in no experiment"


def ask(shop: Shop, who: dict[str, str], caller: Caller, **fields: Any) -> None:
    request = DecideRequest(shopper=ShopperRef(who.get("anonymousId")), **fields)
    shop.engine.answer(request, caller, shop.engine.find(request.shopper, caller))


def with_facts(caller: Caller, **facts: Any) -> Caller:
    return replace(caller, facts=replace(caller.facts, **facts))


def test_what_cannot_come_back_is_not_counted(shop: Shop) -> None:
    who, browser = someone(shop, 1), shop.caller()
    link = make_link(PLAIN, shop.engine.tokens, LIVE, Wanted("greeting", "https://shop.example/"), shop.clock.now())
    ask(shop, who, browser, preview=link.token)
    ask(shop, who, browser, placements=["foot"])
    for facts in ({"user_agent": "Googlebot/2.1"}, {"user_agent": None}, {"ip": "192.0.2.7"}, {"qa": True}):
        ask(shop, who, with_facts(browser, **facts))
    ask(shop, {"anonymousId": "anon-nobody-knows"}, browser)
    ask(shop, {}, browser)
    ask(shop, someone(shop, 2, personalization="granted", analytics="denied"), browser)
    assert written(shop) == Counter()
    ask(shop, who, browser)
    ask(shop, who, shop.caller(trusted=True))
    assert sum(written(shop).values()) == 4, "both experiments, asked by the page and by the backend"


def test_analytics_alone_is_counted_under_a_cart(shop: Shop) -> None:
    """Its exposure comes back by the cart, and is in the fact table."""
    who = someone(shop, 3, personalization="denied", analytics="granted")
    context = PageContext(cart=Cart(token="cart-of-nobody-else-0001"))
    ask(shop, who, shop.caller(), context=context)
    assert sum(written(shop).values()) == 2


# --- over processes and restarts ---


def test_processes_and_restarts_are_added_up(tmp_path: Path) -> None:
    clock, expected = TestClock(), Counter[tuple[Key, int]]()
    for seed in (1, 2, 3):  # all of one process: each writes under a name of its own
        with folder_world(tmp_path, clock, seed) as world, shop_over(world, PLAIN) as shop:
            for number in range(20):
                who = someone(shop, 100 * seed + number)
                token = shop.decide(shopper=who)["token"]
                expected += proven(shop, who, token, clock.now() // DAY * DAY)
    with folder_world(tmp_path, clock) as world, shop_over(world, PLAIN) as shop:
        assert written(shop) == expected
        assert len(world.registry.documents(KIND)) == 3


def test_engines_side_by_side_are_added_up(tmp_path: Path) -> None:
    with crew(tmp_path, playbook=PLAIN) as team:
        expected = Counter[tuple[Key, int]]()
        for number in range(30):
            shop = team.shops[number % 2]
            who = someone(shop, number)
            expected += proven(shop, who, shop.decide(shopper=who)["token"], team.clock.now() // DAY * DAY)
        for shop in team.shops:
            shop.engine.refresh()
        found = tallies(team.writer.world.registry, LIVE)
        assert {(key, day): count for key, days in found.items() for day, count in days.items()} == expected


def test_it_is_written_now_and_then_and_nothing_twice(shop: Shop) -> None:
    registry, who = shop.engine.world.registry, someone(shop, 4)

    def total() -> int:
        shop.engine.refresh()
        return sum(sum(days.values()) for days in tallies(registry, LIVE).values())

    shop.engine.tallies.flush(ending=True)
    shop.decide(shopper=who)
    assert total() == 0, "not yet: what is lost by a kill"
    shop.clock.time += int(EVERY * 1000)
    assert total() == 2
    shop.clock.time += int(EVERY * 1000)
    assert total() == 2
    shop.decide(shopper=who)
    shop.clock.time += int(EVERY * 1000)
    assert total() == 4
    assert len(registry.documents(KIND)) == 1


def test_an_engine_that_nobody_refreshes_writes_too(shop: Shop) -> None:
    """One inside a shop's own program: its writer sees to it."""
    shop.engine.tallies.flush(ending=True)
    shop.decide(shopper=someone(shop, 7))
    shop.clock.time += int(EVERY * 1000)
    shop.engine.writer.call(lambda: shop.engine._tend() and None)
    assert sum(sum(days.values()) for days in tallies(shop.engine.world.registry, LIVE).values()) == 2


def test_what_cannot_be_written_is_written_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, put = shop.engine.world.registry, shop.engine.world.registry.put

    def refuse(*_: object) -> None:
        raise Unavailable("the disk is busy")

    monkeypatch.setattr(registry, "put", refuse)
    shop.decide(shopper=someone(shop, 5))
    assert written(shop) == Counter()
    monkeypatch.setattr(registry, "put", put)
    assert sum(written(shop).values()) == 2


def test_days_of_a_year_ago_go(shop: Shop) -> None:
    who, first = someone(shop, 6), shop.clock.now() // DAY * DAY
    shop.decide(shopper=who)
    written(shop)
    shop.clock.wait(days=KEPT)
    shop.decide(shopper=who)
    assert {day for _, day in written(shop)} == {first, first + KEPT * DAY}
    shop.clock.wait(days=1)
    assert {day for _, day in written(shop)} == {first + KEPT * DAY}


# --- the check itself ---


def test_a_tally_that_counts_wrong_is_seen(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums of the last write forgotten, as if what is written were added to: the next one would hide it."""
    take_in = Tallies._take_in

    def forgetting(tallying: Tallies) -> None:
        tallying._sums = {key: Counter() for key in tallying._sums}
        take_in(tallying)

    monkeypatch.setattr(Tallies, "_take_in", forgetting)
    with pytest.raises(AssertionError):
        test_it_is_written_now_and_then_and_nothing_twice(shop)
