"""Examples out of the log: what a server knew at that moment and nothing more, of nobody who must not be in them."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from cashwrap import profiles
from cashwrap.attributes import is_requested
from cashwrap.declarations import PREDICTIONS, PredictionDecl
from cashwrap.errors import InvalidInput
from cashwrap.history import examples as room
from cashwrap.history.examples import Example, Known, attributes_at, examples
from cashwrap.learning import leaks
from cashwrap.learning.data import Table
from cashwrap.learning.examples import at_moments, columns_of, of_log
from cashwrap.model import Event
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import ShopperKey
from engines import LIVE, START, Shop, TestClock, memory_world, shop_over

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TEXT = """
shop: {currency: EUR, locale: en, time_zone: Europe/Berlin}
traits: {tier: text, born: time}
features:
  views:          {count: Product Viewed, window: 1h}
  heat:           {decayed: Product Viewed, half_life: 1h}
  category_views: {count: Product Viewed, by: category, window: 7d}
  session_views:  {count: Product Viewed, session: true}
  average_price:  {average: Product Viewed, of: price}
  last_seen:      {last: Product Viewed, of: product_id}
  orders:         {count: Order Completed}
  spent:          {sum: Order Completed, of: subtotal}
  measured:       {count: Product Viewed, purpose: analytics}
placements:
  hero: {component: message}
"""
LOOK = PredictionDecl("looks", ("Product Viewed", "Checkout Started"), ("Order Completed",), within=HOUR)


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"p.yaml": TEXT})
    assert found is not None, faults
    return found


@pytest.fixture
def shop(playbook: Playbook) -> Iterator[Shop]:
    with shop_over(memory_world(TestClock()), playbook) as shop:
        yield shop


def gathered(shop: Shop, decl: PredictionDecl = LOOK, **more: Any) -> list[Example]:
    now = more.pop("now", shop.clock.now() + 30 * DAY)
    return sorted(
        examples(shop.engine.world, shop.engine.live.playbook, decl, LIVE, now=now, **more),
        key=lambda each: (each.known.time, each.known.analytic_id),
    )


def told(found: list[Example]) -> list[tuple[int, bool]]:
    """When, in minutes, and what came of it."""
    return [((each.known.time - START) // MINUTE, each.label) for each in found]


def who(name: str) -> dict[str, str]:
    return {"anonymousId": f"anon-{name:0>12}"}


def bought(shop: Shop, person: dict[str, str], order: str = "o1", **fields: Any) -> None:
    shop.keeps(shop.orders(person, order, 20.0), trusted=True, **fields)


def live(shop: Shop, ref: dict[str, str]) -> dict[str, object]:
    """The profile's part of what a decision reads now."""
    return {
        name: value
        for name, value in shop.explained(ref).items()
        if not is_requested(name) and "[" not in name and not name.startswith(("consent.", "segments.", "shop_time."))
    }


# --- what a moment is, and its label ---


def test_the_first_of_each_name_in_a_visit_is_asked_and_what_follows_is_its_label(shop: Shop) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(shop.views(ann))  # 0: nothing within the hour
    shop.clock.wait(minutes=5)
    shop.keeps(shop.views(ann))  # 5: the same visit
    shop.clock.wait(minutes=90)
    shop.keeps(shop.views(ann))  # 95: another one
    shop.clock.wait(minutes=10)
    shop.keeps(shop.event(event="Checkout Started", **ann))  # 105: another name
    shop.clock.wait(minutes=55)
    bought(shop, ann)  # 160: too late for 95
    assert told(gathered(shop)) == [(0, False), (95, False), (105, True)]
    without = PredictionDecl("leaves", LOOK.at, LOOK.events, HOUR, without=True)
    assert told(gathered(shop, without)) == [(0, True), (95, True), (105, False)]
    assert told(gathered(shop, now=START + 160 * MINUTE)) == [(0, False), (95, False)]  # the last is not over
    longer = PredictionDecl("later", ("Product Viewed",), LOOK.events, 2 * HOUR)
    assert told(gathered(shop, longer)) == [(0, False), (95, True)]


def test_a_request_with_the_order_in_it_tells_the_moment_before(shop: Shop) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(shop.views(ann), shop.orders(ann, "o1", 20.0), trusted=True)
    (found,) = gathered(shop)
    assert (found.label, found.known.values["orders"], found.known.values["session_views"]) == (True, 0, 1)


def test_what_arrives_late_is_not_known_before_and_no_moment(shop: Shop) -> None:
    ann, clock = who("ann"), shop.clock
    shop.consents(ann)
    clock.wait(minutes=30)
    shop.keeps(shop.views(ann))
    early = {"timestamp": "2026-03-02T12:10:00Z", "sentAt": "2026-03-02T12:45:00Z"}
    clock.wait(minutes=15)
    shop.keeps({**shop.views(ann, "mug-2"), **early}, shop.event(event="Checkout Started", **ann))
    shop.keeps({**shop.orders(ann, "o1", 5.0), "timestamp": "2026-03-02T12:40:00Z"}, trusted=True)
    first, second = gathered(shop)
    assert first.known.time == START + 30 * MINUTE
    assert (first.known.values["views"], first.label) == (1, True)  # the order came late and happened in time
    assert (second.known.time, second.known.values["views"]) == (START + 45 * MINUTE, 2)


def test_bots_are_no_examples_and_label_none(shop: Shop) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(shop.views(ann), agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
    assert gathered(shop) == []
    shop.keeps(shop.views(ann))
    shop.keeps(shop.orders(ann, "o9", 5.0), agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
    assert told(gathered(shop)) == [(0, False)]


def test_a_device_that_becomes_a_person_is_one_shopper(shop: Shop) -> None:
    device, person = who("dev"), {"userId": "ann"}
    shop.consents(person, trusted=True)
    shop.keeps(shop.event(event="Product Viewed", properties={"product_id": "p0"}, **person), trusted=True)
    shop.clock.wait(minutes=40)
    shop.consents(device)
    shop.keeps(shop.views(device))
    shop.clock.wait(minutes=10)
    shop.keeps(shop.event("identify", **device, **person), trusted=True)
    bought(shop, person)
    profile = shop.profile(user="ann")
    assert profile is not None
    found = gathered(shop)
    assert {each.known.analytic_id for each in found} == {profile.analytic_id}
    assert told(found) == [(0, True), (40, True)]
    assert [each.known.values["session_views"] for each in found] == [1, 1]  # the device did not know of the person


# --- what a server had ---


class Walk:
    """Random shoppers on devices that become persons, with everything that a decision could read before and after."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.dice = random.Random(seed)
        self.after: dict[tuple[int, str], dict[str, object]] = {}
        self.before: dict[tuple[int, str], dict[str, object]] = {}

    def run(self, steps: int) -> "Walk":
        for number in range(4):
            self.shop.consents(who(str(number)))
        for _ in range(steps):
            self.shop.clock.time += self.dice.choice((1, 7_000, 400_000, 1_900_001, 40_000_000))
            self.step(str(self.dice.randrange(4)))
        return self

    def step(self, name: str) -> None:
        shop, dice, device = self.shop, self.dice, who(name)
        person, chance = {"userId": f"user-{int(name) // 2}"}, dice.random()
        if chance < 0.08:
            shop.keeps(
                shop.event("identify", traits={"tier": dice.choice(("gold", "tin"))}, **device, **person), trusted=True
            )
        elif chance < 0.2:
            bought(shop, device, f"o{dice.randrange(99)}")
        elif chance < 0.26:
            shop.consents(device, analytics=dice.choice(("denied", "granted")))
            if dice.random() < 0.2:
                shop.consents(device, personalization="denied")
                shop.clock.time += 1
                shop.consents(device)
        elif chance < 0.36:
            shop.keeps(shop.event(event="Checkout Started", **device))
        else:
            self.look(name, shop.views(device, f"p{dice.randrange(3)}"))

    def look(self, name: str, event: dict[str, Any]) -> None:
        shop, now = self.shop, self.shop.clock.now()
        event["properties"] |= {"price": self.dice.randrange(1, 9), "category": self.dice.choice(("mugs", "hats"))}
        late = self.dice.random() < 0.2
        if late:  # it was done a little earlier, or long ago
            event = {**event, "timestamp": _iso(now - self.dice.choice((MINUTE, 3 * DAY))), "sentAt": _iso(now)}
        ref = {"anonymousId": who(name)["anonymousId"]}
        if not late:
            self.before[now, name] = live(shop, ref)
        shop.keeps(event)
        self.after[now, name] = live(shop, ref)

    def shoppers(self) -> dict[str, bytes]:
        """Whose analytic id each device's shopper has today."""
        found = {name: self.shop.profile(anonymous=who(name)["anonymousId"]) for name in "0123"}
        return {name: profile.analytic_id for name, profile in found.items() if profile is not None}


def _iso(moment: int) -> str:
    return np.datetime_as_string(np.datetime64(moment, "ms")) + "Z"


def disagreeing(walk: Walk, found: list[Known], recorded: dict[tuple[int, str], dict[str, object]]) -> int:
    """How many are not what the server had for one of the shopper's devices."""
    shoppers = walk.shoppers()
    return sum(
        all(
            recorded.get((each.time, name)) != dict(each.values)
            for name, analytic_id in shoppers.items()
            if analytic_id == each.analytic_id
        )
        for each in found
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_values_are_those_that_a_decision_at_that_moment_had(
    shop: Shop, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(shop, seed).run(150)
    views = PredictionDecl("looks", ("Product Viewed",), LOOK.events, HOUR)
    found = [each.known for each in gathered(shop, views)]
    assert len(found) > 15
    assert disagreeing(walk, found, walk.after) == 0
    assert all(each.seen <= each.time for each in found)
    with monkeypatch.context() as patch:  # the same, a few shoppers at a time
        patch.setattr(room, "RECORDS", 20)
        assert [each.known for each in gathered(shop, views)] == found
        wanted = {
            analytic_id: [time for time, each in walk.before if each_is(walk, each, analytic_id)]
            for analytic_id in walk.shoppers().values()
        }
        known = list(attributes_at(shop.engine.world, shop.engine.live.playbook, LIVE, wanted))
    assert len(known) > 15
    assert all(each.seen < each.time for each in known)
    assert disagreeing(walk, known, walk.before) == 0


def test_moments_read_one_event_late_are_seen(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(room._Looking):
        def _look(self, key: ShopperKey, until: int) -> None:
            super()._look(key, until - 1)

    walk = Walk(shop, 1).run(60)
    monkeypatch.setattr(room, "_Looking", Hasty)
    wanted = {
        analytic_id: [time for time, name in walk.before if each_is(walk, name, analytic_id)]
        for analytic_id in walk.shoppers().values()
    }
    known = list(attributes_at(shop.engine.world, shop.engine.live.playbook, LIVE, wanted))
    assert disagreeing(walk, known, walk.before)
    assert any(each.seen >= each.time for each in known)


def each_is(walk: Walk, name: str, analytic_id: bytes) -> bool:
    return walk.shoppers().get(name) == analytic_id


def test_what_the_log_has_removed_is_known_and_no_moment(shop: Shop) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(shop.views(ann))
    bought(shop, ann)
    shop.clock.wait(days=100)
    shop.engine.writer.call(shop.engine.retention.all)
    assert list(shop.engine.world.store.log()) == []
    shop.keeps(shop.views(ann))
    (found,) = gathered(shop)
    assert found.known.values == live(shop, ann)
    assert found.known.values["orders"] == 1
    wanted = {found.known.analytic_id: [shop.clock.now()]}
    (known,) = attributes_at(shop.engine.world, shop.engine.live.playbook, LIVE, wanted)
    assert (known.values["orders"], known.values["sessions"]) == (1, 1)


# --- bugs that must be seen ---


class Peeking(room._Asking):
    """Reads the values one event too late."""

    def fold(self, key: ShopperKey, event: Event) -> None:
        waiting = self._gathered[key].rows[-1:]
        super().fold(key, event)
        profile = self.profile(key)
        for row in waiting:
            if profile is not None and not hasattr(event, "peeked"):
                row.values = room._told(profile, self._features, row.time, event.mask, ())
                row.seen = profile.updated


class Finished(room._Asking):
    """Reads the values of every moment from what the shopper is today."""

    def found(self) -> Iterator[Example]:
        for key, mine in self._gathered.items():
            profile = self.profile(key)
            for row in mine.rows if profile is not None else ():
                row.values = profiles.attributes(profile, self._features, row.time, 7)
                row.seen = profile.updated
        yield from super().found()


@pytest.mark.parametrize("bug", [Peeking, Finished])
def test_what_knows_the_future_is_refused(shop: Shop, bug: type[room._Asking], monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(shop, 3).run(60)
    world, playbook = shop.engine.world, shop.engine.live.playbook
    now = shop.clock.now() + DAY
    leaks.check(of_log(world, playbook, LOOK, LIVE, now=now))
    with monkeypatch.context() as patch:
        patch.setattr(room, "_Asking", bug)
        leaking = of_log(world, playbook, LOOK, LIVE, now=now)
        found = [each.known for each in gathered(shop, PredictionDecl("x", ("Product Viewed",), LOOK.events))]
    with pytest.raises(InvalidInput, match="after their moment") as refused:
        leaks.check(leaking)
    assert refused.value.code == "future_leak"
    assert disagreeing(walk, found, walk.after)  # what a server had tells them apart as well


def test_a_file_says_nothing_of_what_it_has_seen() -> None:
    nothing = np.zeros(1)
    leaks.check(Table((), nothing, nothing.astype(int), nothing.astype(int), nothing.astype(int), nothing.astype(bool)))


# --- who is in it ---


def test_nobody_is_in_it_who_must_not_be(shop: Shop) -> None:
    people = {name: who(name) for name in ("stays", "withdrew", "gone", "never", "back")}
    for name, person in people.items():
        if name != "never":
            shop.consents(person)
        shop.keeps(shop.views(person, f"only-{name}"))
        shop.clock.wait(minutes=1)
    ids = {
        name: profile.analytic_id for name in people if (profile := shop.profile(anonymous=people[name]["anonymousId"]))
    }
    shop.consents(people["withdrew"], personalization="denied")
    shop.consents(people["back"], personalization="denied")
    key = shop.key(anonymous=people["gone"]["anonymousId"])
    assert key is not None
    shop.engine.forget(key)
    shop.clock.wait(minutes=60)
    shop.consents(people["back"])
    shop.keeps(shop.views(people["back"], "again"))
    table = of_log(shop.engine.world, shop.engine.live.playbook, LOOK, LIVE, now=shop.clock.now() + DAY)
    assert set(table.subjects) == {ids["stays"], ids["back"]}
    texts = " ".join(str(value) for column in table.columns for value in column.values)
    assert "only-stays" in texts
    assert "again" in texts
    assert not [name for name in ("withdrew", "gone", "never", "back") if f"only-{name}" in texts]
    wanted = {analytic_id: [shop.clock.now()] for analytic_id in ids.values()}
    known = list(attributes_at(shop.engine.world, shop.engine.live.playbook, LIVE, wanted))
    assert {each.analytic_id for each in known} == {ids["stays"], ids["back"]}


def test_a_withdrawal_hides_the_moments_before_it(shop: Shop) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(shop.views(ann))
    shop.clock.wait(minutes=10)
    shop.consents(ann, personalization="denied")
    shop.clock.wait(minutes=10)
    shop.consents(ann)
    shop.clock.wait(minutes=10)
    shop.keeps(shop.views(ann))
    profile = shop.profile(anonymous=ann["anonymousId"])
    assert profile is not None
    wanted = {profile.analytic_id: [START + minute * MINUTE for minute in (1, 25, 40)]}
    known = list(attributes_at(shop.engine.world, shop.engine.live.playbook, LIVE, wanted))
    assert [(each.time - START) // MINUTE for each in known] == [25, 40]
    assert [each.values["session_views"] for each in known] == [0, 1]


def test_the_holdout_is_marked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "ben"):
        shop.consents(who(name))
        shop.keeps(shop.views(who(name)))
    monkeypatch.setattr(room, "EXPOSED", "Checkout Started")  # as if it were an exposure with a proven token
    monkeypatch.setattr(room, "PROVEN", shop.public.id)
    read = room.profiles.fold

    def held(profile: Any, event: Event, features: Any) -> None:
        if event.name == "Checkout Started":
            event.properties["held"] = "shop"
        read(profile, event, features)

    monkeypatch.setattr(room.profiles, "fold", held)
    shop.keeps(shop.event(event="Checkout Started", **who("ben")))
    ben = shop.profile(anonymous=who("ben")["anonymousId"])
    assert ben is not None
    views = PredictionDecl("looks", ("Product Viewed",), LOOK.events, HOUR)
    assert {each.known.analytic_id: each.explored for each in gathered(shop, views)}[ben.analytic_id]
    assert sum(each.explored for each in gathered(shop, views)) == 1


# --- columns ---


def test_columns_hold_the_values_by_type(shop: Shop, playbook: Playbook) -> None:
    ann = who("ann")
    shop.consents(ann)
    shop.keeps(
        shop.event("identify", traits={"tier": "gold", "born": "1990-01-01T00:00:00Z"}, **ann, userId="ann"),
        trusted=True,
    )
    shop.keeps(shop.event(event="Product Added", properties={"product_id": "a", "price": 2, "category": "hats"}, **ann))
    view = shop.views(ann, "p1")
    shop.keeps({**view, "properties": {**view["properties"], "price": 3.5}})
    table = of_log(shop.engine.world, playbook, LOOK, LIVE, now=shop.clock.now() + DAY)
    assert {column.name: column.kind for column in table.columns}.items() <= columns_of(playbook).items()
    values = {column.name: column.values.tolist()[0] for column in table.columns}
    assert values["average_price"] == 350.0
    assert values["heat"] == 1.0
    assert values["traits.known"] == 1.0
    assert values["traits.tier"] == "gold"
    assert values["category_views.top"] == "coffee"
    assert values["open_cart.products"] == "a"
    assert not [name for name in values if "[" in name or "born" in name or "days_since" in name or "wishlist" in name]
    named = PredictionDecl("x", LOOK.at, LOOK.events, features=('category_views["coffee"]', "views", "unheard"))
    table = of_log(shop.engine.world, playbook, named, LIVE, now=shop.clock.now() + DAY)
    assert [(column.name, column.values.tolist()) for column in table.columns] == [
        ('category_views["coffee"]', [1.0]),
        ("views", [1.0]),
    ]
    again = of_log(shop.engine.world, playbook, named, LIVE, now=shop.clock.now() + DAY)
    assert (again.digest, len(again.digest)) == (table.digest, 16)
    (subject,) = table.subjects
    at = at_moments(shop.engine.world, playbook, LIVE, {subject: [START, START + HOUR]}, features=("views",))
    assert str([column.values.tolist() for column in at.columns]) == "[[nan, 1.0]]"  # before all, and after
    assert np.isnan(at.label).all()


def test_nothing_to_learn_from_says_what_to_do(shop: Shop, playbook: Playbook) -> None:
    with pytest.raises(InvalidInput, match="Checkout Started") as empty:
        of_log(shop.engine.world, playbook, PREDICTIONS["abandon_propensity"], LIVE, now=shop.clock.now())
    assert empty.value.code == "no_examples"


def test_a_shopper_of_very_many_visits_is_not_what_a_model_is_about(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "EACH", 5)
    ann = who("ann")
    shop.consents(ann)
    for _ in range(9):
        shop.clock.wait(minutes=45)
        shop.keeps(shop.views(ann))
    assert [minute for minute, _ in told(gathered(shop))] == [225, 270, 315, 360, 405]
