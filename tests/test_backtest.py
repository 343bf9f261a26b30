"""Backtests: the playbook that decided changes nothing, a draft exactly what a naive recomputation finds."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import profiles
from cashwrap.decide import NOTHING_KILLED, decide
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.history import backtest as room
from cashwrap.history.backtest import Scope, backtest, replays
from cashwrap.history.tally import Backtest, Tally, differs
from cashwrap.model import Answer, Inputs, Line, Product
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import ShopperKey
from cashwrap.records import Kept
from cashwrap.testing.threads import together
from cashwrap.versions import Versions
from engines import LIVE, Shop, TestClock, folder_world, memory_world, shop_over

PEOPLE = 5
CONDITIONS = (
    "views >= 2",
    "heat > 1.5",
    'category_views["mugs"] >= 2',
    "category_views.total > 3",
    "orders >= 1 && spent > 40",
    '"looking" in segments',
    '!("buyer" in segments)',
    '"vip" in segments',
    "session_views > 1",
    "session.age_minutes < 5",
    "sessions > 1",
    "days_since_last_visit >= 1",
    "cart.total > 60",
    'device.type == "mobile"',
    "traits.known",
    'traits.tier == "gold"',
    "open_cart.idle_minutes > 3",
    "shop_time.hour >= 12",
    "average_price > 12",
    'seen["shown"] >= 2',
)
HEAD = """
shop: {currency: EUR, locale: en, decision_records: 100%, time_zone: Europe/Berlin}
traits: {tier: text}
features:
  views:          {count: Product Viewed, window: 1h}
  heat:           {decayed: Product Viewed, half_life: 1h}
  category_views: {count: Product Viewed, by: category, window: 7d}
  session_views:  {count: Product Viewed, session: true}
  average_price:  {average: Product Viewed, of: price}
  orders:         {count: Order Completed}
  spent:          {sum: Order Completed, of: subtotal}
  seen:           {count: Experience Viewed, by: outcome}
segments:
  looking: views >= 3
  buyer: orders >= 1
  vip: {members: pushed}
placements:
  hero: {component: message, attention: {session: 2, cool_down: 1d}}
  help: {component: message}
experiences:
"""
LATER = """
    experiment: {arms: {control: 30%, one: 40%, two: 30%}, goal: conversion}
    variations: {one: {text: {en: "One."}}, two: {text: {en: "Two."}}}
"""


def compiled(text: str) -> Playbook:
    found, faults = examine({"p.yaml": text})
    assert found is not None, faults
    return found


def random_playbook(dice: random.Random, *, trials: bool = True) -> list[tuple[str, str, str]]:
    """Experiences as (name and place, condition, the rest)."""
    made = []
    for number in range(dice.randrange(3, 8)):
        head = f"  e{number}:\n    in: {dice.choice(('hero', 'help'))}\n    priority: {dice.randrange(3)}\n"
        condition = " && ".join(dice.sample(CONDITIONS, dice.randrange(1, 3)))
        tested = trials and dice.random() < 0.4
        made.append((head, condition, LATER if tested else f'    show: {{text: {{en: "Text {number}."}}}}\n'))
    return made


def written(made: list[tuple[str, str, str]], head: str = HEAD) -> Playbook:
    return compiled(head + "".join(f"{name}    when: '{when}'\n{rest}" for name, when, rest in made))


class Walk:
    """Random shoppers in a shop, all kinds of events between their decisions. The same seed does the same."""

    def __init__(self, seed: int, playbook: Playbook) -> None:
        self.dice = random.Random(seed)
        self.world = memory_world(TestClock(), seed)
        self.playbook = playbook
        self.answers: list[dict[str, Any]] = []
        self.tokens: dict[int, list[str]] = {}

    def run(self, steps: int = 60) -> "Walk":
        with shop_over(self.world, self.playbook) as shop:
            for number in range(PEOPLE):
                if self.dice.random() < 0.9:
                    shop.consents(self.who(number))
            for _ in range(steps):
                shop.clock.time += self.dice.choice((1, 1, 7, 400, 60_000, 900_001, 90_000_000))
                self.step(shop, self.dice.randrange(PEOPLE))
        return self

    def who(self, number: int) -> dict[str, str]:
        return {"anonymousId": f"anon-walk-{number:08}"}

    def step(self, shop: Shop, number: int) -> None:
        dice, who = self.dice, self.who(number)
        kind = dice.choice(("decide", "decide", "decide", "view", "view", "order", "login", "seen", "vip", "say"))
        device, total = dice.choice(("mobile", "desktop")), dice.randrange(0, 120)
        price, category = dice.randrange(100, 3_000) / 100, dice.choice(("mugs", "hats"))
        person, drawn = {"userId": f"user-{dice.randrange(3)}"}, dice.random()
        if kind == "decide":
            if drawn < 0.4 and (key := shop.key(anonymous=who["anonymousId"])) is not None:
                shop.engine.hot.profiles.drop(key)  # read from the store again
            context = {"cart": {"total": total}, "device": {"type": device}}
            answer = shop.decide(shopper=who, context=context, trusted=drawn < 0.3)
            self.answers.append(answer)
            self.tokens.setdefault(number, []).append(answer["token"])
            if drawn < 0.7:  # else it is kept with whatever comes next, or dropped by a withdrawal or a merge
                shop.engine.writer.call(lambda: None)
        elif kind == "view":
            properties = {"product_id": "p", "category": category, "price": price}
            shop.keeps(shop.event(event="Product Viewed", properties=properties, **who))
            if drawn < 0.3:
                shop.keeps(shop.event(event="Product Added", properties={**properties, "cart_id": "c"}, **who))
        elif kind == "order":
            shop.keeps(shop.orders(who, f"o{number}-{shop.sent}", price), trusted=True)
        elif kind == "login":
            shop.keeps(shop.event("identify", **who, **person, traits={"tier": "gold"}), trusted=True)
        elif kind == "vip":
            shop.keeps(shop.event(event="Audience Member Added", properties={"audience": "vip"}, **who), trusted=True)
        elif kind == "seen" and self.tokens.get(number):
            name = "Experience Viewed" if drawn < 0.8 else "Experience Dismissed"
            properties = {"placement": "hero", "token": self.tokens[number][-1]}
            shop.batch(shop.event(event=name, properties=properties, **who))
        elif kind == "say":
            shop.consents(who, personalization="denied" if drawn < 0.3 else "granted", analytics="granted")


def changed_ids(world: World, draft: Playbook) -> set[str]:
    found = set()
    for replay in replays(world, draft, Scope(LIVE)):
        old, new = replay.kept.decision.placements, replay.decision.placements
        assert old.keys() == new.keys()
        if any(differs(old[name], new[name]) for name in old):
            found.add(replay.kept.id)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_playbook_that_decided_changes_nothing(seed: int) -> None:
    made = random_playbook(random.Random(seed))
    walk = Walk(seed, written(made)).run()
    if not walk.world.store.decisions(LIVE):
        return
    told = backtest(walk.world, walk.playbook, Scope(LIVE))
    assert (told.changed, told.shown, told.touched, told.skipped) == (0, 0, 0, {})
    assert told.decisions == len(walk.world.store.decisions(LIVE))
    assert all(
        not placed.moves and not any(share.won or share.lost for share in placed.experiences)
        for placed in told.placements
    )
    assert all(count.before == count.after for count in (*told.arms, *told.ghosts))
    assert all(audience.before in (None, audience.after) for audience in told.audiences)
    for replay in replays(walk.world, walk.playbook, Scope(LIVE)):
        asked = {name: value for name, value in replay.inputs.values.items() if name in replay.kept.inputs.values}
        assert asked == dict(replay.kept.inputs.values)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_one_changed_condition_changes_what_a_naive_recomputation_finds(seed: int) -> None:
    """The features are the same, so what was recorded of the profile is all that the draft may ask."""
    dice = random.Random(seed)
    made = random_playbook(dice)
    walk = Walk(seed, written(made)).run()
    place = dice.randrange(len(made))
    draft = written(
        [(name, dice.choice(CONDITIONS) if at == place else when, rest) for at, (name, when, rest) in enumerate(made)]
    )
    naive = set()
    for replay in replays(walk.world, walk.playbook, Scope(LIVE)):
        kept = replay.kept
        # segments of both are the same: the live replay has all of them, by the profile as it was then
        again = decide(draft.experiences, msgspec.structs.replace(kept.inputs, values=replay.inputs.values))
        if any(differs(old, again.placements[name]) for name, old in kept.decision.placements.items()):
            naive.add(kept.id)
    assert changed_ids(walk.world, draft) == naive


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_a_draft_with_other_features_decides_as_if_it_had_been_live(seed: int) -> None:
    """Nothing is shown by chance or limited here, so the same shoppers do the same under both playbooks."""
    dice = random.Random(seed)
    made = random_playbook(dice, trials=False)
    head = HEAD.replace(", attention: {session: 2, cool_down: 1d}", "")
    other = head.replace("window: 1h", f"window: {dice.choice(('2m', '1d', '30d'))}").replace(
        "views >= 3", "views >= 1 && spent > 5"
    )
    live, draft = Walk(seed, written(made, head)).run(), Walk(seed, written(made, other)).run()
    assert [each["decisionId"] for each in live.answers] == [each["decisionId"] for each in draft.answers]
    truth = {each["decisionId"]: each["placements"] for each in draft.answers}
    for replay in replays(live.world, draft.playbook, Scope(LIVE)):
        found = msgspec.json.decode(msgspec.json.encode(replay.decision.placements))
        assert found == truth[replay.kept.id]


# --- planted bugs: the laws must see them ---


def broken_walk() -> Walk:
    made = [("  e0:\n    in: hero\n", "heat > 1.5", '    show: {text: {en: "Warm."}}\n')]
    walk = Walk(1, written(made))
    with shop_over(walk.world, walk.playbook) as shop:
        who = walk.who(0)
        shop.consents(who)
        for _ in range(6):
            shop.keeps(shop.views(who))
            shop.decide(shopper=who)
            shop.clock.wait(minutes=7)
    assert backtest(walk.world, walk.playbook, Scope(LIVE)).changed == 0
    return walk


def test_the_law_is_red_where_a_profile_is_folded_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = broken_walk()
    places = room._places
    monkeypatch.setattr(room, "_places", lambda *given: [each._replace(position=10**9) for each in places(*given)])
    assert backtest(walk.world, walk.playbook, Scope(LIVE)).changed > 0


def test_the_law_is_red_where_time_stands_at_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = broken_walk()
    attributes = profiles.attributes
    monkeypatch.setattr(
        profiles, "attributes", lambda profile, features, now, mask: attributes(profile, features, now + 10**8, mask)
    )
    assert backtest(walk.world, walk.playbook, Scope(LIVE)).changed > 0


# --- the report ---

GREETING = '  hello:\n    in: hero\n    when: views >= {}\n    show: {{text: {{en: "Hello."}}}}\n'
BESIDE = "  help_me:\n    in: help\n    show: {text: {en: Help.}}\n"
TRIAL = """  tried:
    in: help
    priority: 9
    variations: {one: {text: {en: "One."}}}
    experiment: {arms: {control: 50%, one: 50%}, goal: conversion}
"""


def visited(times: int = 4, products: bool = False) -> World:
    """One shopper looks at products and asks after each."""
    world = memory_world(TestClock())
    if products:
        world.catalogue.upsert(LIVE, [Product("mug-1", price=100)])
    with shop_over(world, compiled(HEAD + GREETING.format(2) + BESIDE)) as shop:
        who = {"anonymousId": "anon-visited-0001"}
        shop.consents(who)
        for _ in range(times):
            shop.keeps(shop.views(who))
            shop.decide(shopper=who)
    return world


def report_of(world: World, text: str, scope: Scope | None = None) -> Backtest:
    return backtest(world, compiled(HEAD + text), scope or Scope(LIVE))


def test_won_and_lost_are_told_by_placement_and_experience() -> None:
    told = report_of(visited(), GREETING.format(4) + BESIDE)
    assert (told.decisions, told.changed, told.shown, told.shoppers, told.touched) == (4, 2, 2, 1, 1)
    [helped, hero] = told.placements
    assert (helped.name, helped.changed) == ("help", 0)
    assert (hero.compared, hero.changed) == (4, 2)
    assert [msgspec.structs.astuple(each) for each in hero.experiences] == [("hello", 3, 1, 0, 2)]
    assert [msgspec.structs.astuple(each) for each in hero.moves] == [("hello/main", "", 2)]


def test_an_experiment_tells_its_arms_and_its_ghosts() -> None:
    told = report_of(visited(), GREETING.format(2) + BESIDE + TRIAL)
    [arm] = told.arms
    assert (arm.experience, arm.before, arm.after) == ("tried", 0, 4)
    assert told.changed == 4
    assert [ghost.name for ghost in told.ghosts] == (["control"] if arm.name == "control" else [])


OFFERED = """offers:
  five: {{benefit: {{amount: {}}}}}
"""
GRANTING = "  hello: {in: hero, offer: five, show: {text: {en: Hello.}}}\n"


def test_offers_are_told_with_what_they_take_off() -> None:
    world, carts = visited(1), (400, 8_000)
    live, draft = (
        compiled(HEAD.replace("experiences:", OFFERED.format(off) + "experiences:") + GRANTING) for off in (5, 7)
    )
    tally = Tally(world, draft)
    for price in carts:
        asked = Inputs(1, LIVE, {}, "profile", 63, None, "en", "EUR", lines=(Line("A", 1, price),))
        made, again = (decide(each.experiences, asked) for each in (live, draft))
        key = ShopperKey(LIVE, bytes(16))
        tally.take(key, Kept("ab", asked, NOTHING_KILLED, 0, 1, made), asked, again)
    report = tally.report()
    assert [msgspec.structs.astuple(each) for each in report.offers] == [("five", "EUR", 2, 2, 900, 1_100)]
    assert report.changed == 2, "another benefit is another answer, whatever it comes to"
    assert report.shown == 0


def test_an_audience_is_told_beside_the_one_it_had() -> None:
    draft = HEAD.replace("views >= 3", "views >= 9") + GREETING.format(2).replace(
        "views >= 2", "'\"looking\" in segments'"
    )
    told = backtest(visited(), compiled(draft), Scope(LIVE))
    found = {each.segment: (each.before, each.after) for each in told.audiences}
    assert found == {"looking": (None, 0), "buyer": (None, 0), "vip": (None, 0)}
    again = report_of(visited(), GREETING.format(2) + BESIDE)
    assert {each.segment: each.after for each in again.audiences} == {"looking": 1, "buyer": 0, "vip": 0}


def test_only_the_newest_and_only_since() -> None:
    world = visited(6)
    assert report_of(world, BESIDE, Scope(LIVE, limit=2)).decisions == 2
    newest = world.store.decisions(LIVE)[-1].time
    assert report_of(world, BESIDE, Scope(LIVE, since=newest)).decisions == 6
    with pytest.raises(InvalidInput) as none:
        report_of(world, BESIDE, Scope(LIVE, since=newest + 1))
    assert none.value.code == "no_decisions"
    assert "decision_records" in none.value.message


def test_who_is_forgotten_is_counted_and_not_compared() -> None:
    world = visited(3)
    world.vault.destroy(world.store.decisions(LIVE)[0].shopper)
    told = report_of(world, BESIDE)
    assert (told.decisions, told.skipped) == (0, {"forgotten": 3})


def test_previews_are_no_traffic() -> None:
    world = memory_world(TestClock())
    with shop_over(world, compiled(HEAD + BESIDE)) as shop:
        who = {"anonymousId": "anon-visited-0001"}
        shop.consents(who)
        shop.decide(shopper=who, force={"help_me": "main"}, trusted=True)
        shop.decide(shopper=who)
    told = report_of(world, BESIDE)
    assert (told.decisions, told.skipped) == (1, {"preview": 1})


def test_other_products_are_counted() -> None:
    world = visited(2, products=True)
    assert report_of(world, BESIDE).products_changed == 0
    world.catalogue.upsert(LIVE, [Product("mug-2", price=100)])
    assert report_of(world, BESIDE).products_changed == 2


def test_no_draft_is_blamed_for_what_the_shelves_changed() -> None:
    """Products went and came since: told apart are what the draft changes and what would have changed without it."""
    text = HEAD.replace("  help:", "  shelf: {component: products}\n  help:") + BESIDE
    text += "  mugs:\n    in: shelf\n    show: {from: complements, limit: 2}\n"
    world, playbook = memory_world(TestClock()), compiled(text)
    Versions(world.registry, world.clock).keep(playbook, {"p.yaml": text})
    world.catalogue.upsert(LIVE, [Product("mug", "Mug", 100, complements=("cup",)), Product("cup", "Cup", 90)])
    with shop_over(world, playbook) as shop:
        who = {"anonymousId": "anon-visited-0001"}
        shop.consents(who)
        context = {"cart": {"total": 1, "count": 1, "items": [{"id": "mug", "quantity": 1, "price": 1}]}}
        shown = shop.decide(shopper=who, context=context)["placements"]["shelf"]
        assert shown["content"], shown
    world.catalogue.upsert(LIVE, [Product("mug", "Mug", 100)], replace=True)
    told = backtest(world, compiled(text.replace("en: Help.", "en: Ask us.")), Scope(LIVE))
    assert told.products_changed == 1
    assert {each.name: (each.changed, each.shown) for each in told.placements if each.changed} == {"help": (1, 1)}


def test_a_placement_that_is_gone_or_new_is_a_change() -> None:
    old = "  hero: {component: message, attention: {session: 2, cool_down: 1d}}\n"
    told = backtest(visited(), compiled(HEAD.replace(old, "") + BESIDE), Scope(LIVE))
    assert {placed.name: placed.changed for placed in told.placements} == {"hero": 4, "help": 0}


def test_only_the_reason_is_a_change_of_nothing_shown() -> None:
    one = Answer(None, None, None, "no_match")
    assert differs(one, Answer(None, None, None, "killed"))
    assert not differs(one, Answer(None, None, None, "no_match"))


# --- under load ---


def test_the_law_holds_where_deciding_and_writing_race(tmp_path: Path) -> None:
    """Several threads decide and send at once over the embedded store, and profiles fall out of memory."""
    made = [("  e0:\n    in: hero\n", "views >= 3", '    show: {text: {en: "A."}}\n')]
    made += [("  e1:\n    in: help\n", 'category_views["mugs"] < 6', '    show: {text: {en: "B."}}\n')]
    playbook, clock = written(made), TestClock()
    with folder_world(tmp_path, clock) as world, shop_over(world, playbook) as shop:
        people = [{"anonymousId": f"anon-race-{number:08}"} for number in range(3)]
        for who in people:
            shop.consents(who)
        keys = [shop.key(anonymous=who["anonymousId"]) for who in people]

        def send(seed: int) -> None:
            dice = random.Random(seed)
            for number in range(60):
                event = {"type": "track", "event": "Product Viewed", "messageId": f"{seed}-{number}"}
                properties = {"product_id": "p", "category": dice.choice(("mugs", "hats"))}
                shop.keeps({**event, "properties": properties, **dice.choice(people)})

        def ask(seed: int) -> None:
            dice = random.Random(seed)
            for _ in range(150):
                clock.time += 1
                if dice.random() < 0.2 and (key := dice.choice(keys)) is not None:
                    shop.engine.hot.profiles.drop(key)
                shop.decide(shopper=dice.choice(people))

        together(lambda: send(1), lambda: send(2), lambda: ask(3), lambda: ask(4))
        shop.engine.writer.call(lambda: None)
        told = backtest(world, playbook, Scope(LIVE))
        recorder = shop.engine.recorder
        assert told.decisions == recorder.kept == 300 - recorder.dropped
        assert told.decisions > 50
        assert (told.changed, told.skipped) == (0, {})
        for replay in replays(world, playbook, Scope(LIVE)):
            assert replay.inputs.values["views"] == replay.kept.inputs.values["views"]
