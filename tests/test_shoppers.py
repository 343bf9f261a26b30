"""Simulated shoppers: the same seed is the same crowd, a decision changes them by its effect alone, and the engine
keeps of them what each one allows."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cashwrap import Engine as Library
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.model import Product
from cashwrap.request import DecideRequest
from cashwrap.testing.shoppers import (
    BASKET_WAITED,
    EXPRESS_FIRST,
    FAVOURITES,
    ITEMS,
    OPEN_CODE_FIELD,
    PERSONAS,
    WALLETS_FIRST,
    Dice,
    Effect,
    Item,
    Persona,
    Shopper,
    Step,
    World,
    means,
    opened,
    play,
    shopper,
    simulate,
    told,
    truth,
)
from engines import LIVE, Shop, TestClock, memory_world, shop_over, starter

CROWD = 20_000
HOUR, DAY = 3_600_000, 86_400_000
EFFECTS = [WALLETS_FIRST, EXPRESS_FIRST, BASKET_WAITED, OPEN_CODE_FIELD]
WALLETS = {
    "payment_methods": {
        "experience": "x",
        "variation": "only",
        "content": {"type": "options", "options": [{"id": "apple_pay"}, {"id": "google_pay"}, {"id": "card"}]},
    }
}


@pytest.fixture(scope="module")
def crowd() -> list[Shopper]:
    return [shopper(11, index) for index in range(CROWD)]


def bytes_of(steps: Iterator[Step], placements: dict[str, Any] | None = None) -> list[bytes]:
    said = []
    for step in steps:
        if step.kind == "decide" and placements is not None:
            step.answer = {"placements": placements, "token": "proof"}
        said.append(msgspec.json.encode([step.at, step.kind, step.path, step.body, step.headers, step.trusted]))
    return said


class TestDice:
    def test_is_splitmix64(self) -> None:
        """The published stream of the seed 1234567."""
        dice = Dice(1234567)
        assert [dice.draw() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]

    def test_stays_inside_its_bounds_and_reaches_them(self) -> None:
        dice = Dice(3)
        assert Counter(dice.between(2, 4) for _ in range(600)).keys() == {2, 3, 4}


class TestSameSeed:
    def test_the_same_bytes_again(self) -> None:
        assert bytes_of(simulate(5, 60), WALLETS) == bytes_of(simulate(5, 60), WALLETS)

    def test_another_seed_is_another_crowd(self) -> None:
        assert not set(bytes_of(simulate(5, 30))) & set(bytes_of(simulate(6, 30)))

    def test_a_larger_crowd_begins_with_the_smaller_one(self) -> None:
        assert shopper(5, 7) == shopper(5, 7)
        small, large = ({step.shopper.name for step in simulate(5, size)} for size in (20, 40))
        assert small < large

    def test_steps_come_in_order_and_message_ids_once(self) -> None:
        steps = list(simulate(5, 80))
        assert [step.at for step in steps] == sorted(step.at for step in steps)
        ids = [event["messageId"] for step in steps for event in step.body.get("batch", ())]
        assert len(ids) == len(set(ids))

    def test_shoppers_overlap(self) -> None:
        order = [step.shopper.index for step in simulate(5, 40)]
        assert order != sorted(order)

    def test_without_pace_everything_happens_at_once(self) -> None:
        assert {step.at for step in simulate(5, 40, World(pace=0, gap=0))} == {0}


def faults(crowd: list[Shopper], persona: Persona, effect: Effect) -> list[str]:
    """Where a crowd's choices are not what the effect promises, in thousandths, give or take a sampling error of 5."""
    mine = [each for each in crowd if each.persona.name == persona.name]
    without = [each.buys(()) for each in mine]
    seen = [each.buys({effect.name}) for each in mine]
    tolerance = int(5 * 500 / len(mine) ** 0.5)
    found = []
    if any(before and not after for before, after in zip(without, seen, strict=True)):
        found.append("seeing it kept somebody from buying")
    for name, bought, expected in (
        ("base", sum(without), persona.conversion),
        ("seen", sum(seen), persona.conversion + effect.lift),
    ):
        rate = 1000 * bought // len(mine)
        if abs(rate - expected) > tolerance:
            found.append(f"{name}: {rate} instead of {expected}")
    return found


class TestEffects:
    def test_shares_add_up(self, crowd: list[Shopper]) -> None:
        assert sum(each.share for each in PERSONAS) == 1000
        met = Counter(each.persona.name for each in crowd)
        for persona in PERSONAS:
            assert abs(met[persona.name] * 1000 // CROWD - persona.share) <= 12

    @pytest.mark.parametrize("effect", EFFECTS, ids=lambda each: each.name)
    def test_is_exactly_what_is_written(self, crowd: list[Shopper], effect: Effect) -> None:
        for persona in PERSONAS:
            if effect in persona.effects:
                assert faults(crowd, persona, effect) == []

    def test_the_check_sees_an_effect_that_is_not_there(self, crowd: list[Shopper]) -> None:
        promised = Effect("wallets_first", "payment_methods", lift=160)
        assert faults(crowd, PERSONAS[0], promised)

    def test_the_check_sees_an_effect_that_hurts(self, crowd: list[Shopper]) -> None:
        worse = Persona("new_mobile", 300, 300, "", "mobile", (Effect("wallets_first", "payment_methods", lift=-60),))
        turned = [replace(each, persona=worse, effects=worse.effects) for each in crowd[:4000]]
        assert "seeing it kept somebody from buying" in faults(turned, worse, worse.effects[0])

    def test_an_answer_moves_orders_by_its_effect_only(self) -> None:
        """Played with and without: the same people, and more of the phones buy."""
        bought = {}
        for name, placements in (("without", {}), ("with", WALLETS)):
            steps = []
            for step in simulate(3, 900, World(gap=5)):
                if step.kind == "decide":
                    step.answer = {"placements": placements, "token": "proof"}
                steps.append(step)
            bought[name] = {step.shopper.index for step in steps if step.kind == "order"}
        assert bought["without"] < bought["with"]
        more = [shopper(3, index) for index in bought["with"] - bought["without"]]
        assert {each.persona.name for each in more} == {"new_mobile", "gpc"}
        assert all(300 > each.visits[0].buying - 60 >= 0 for each in more)

    def test_favourites_fill_baskets_and_change_nobody_s_mind(self, crowd: list[Shopper]) -> None:
        mine = [each for each in crowd if each.persona.name == "enthusiast"]
        adding = sum(each.adds({FAVOURITES.name}) for each in mine) * 1000 // len(mine)
        assert abs(adding - FAVOURITES.adds) < 50
        assert not any(each.adds(()) for each in mine)
        assert all(each.buys(()) == each.buys({FAVOURITES.name}) for each in mine)

    @pytest.mark.parametrize(
        ("answer", "seen"),
        [
            (WALLETS["payment_methods"], True),
            ({"content": {"options": [{"id": "google_pay"}, {"id": "apple_pay"}]}}, False),
            ({"content": {"options": []}}, False),
            ({"content": None}, False),
            ({}, False),
        ],
    )
    def test_seeing(self, answer: dict[str, Any], seen: bool) -> None:
        assert WALLETS_FIRST.seen(answer) is seen

    def test_a_message_is_told_by_its_experience(self) -> None:
        assert BASKET_WAITED.seen({"experience": "your_basket_waited", "content": {"type": "message", "text": "x"}})
        assert not BASKET_WAITED.seen({"experience": "free_delivery_first", "content": {"type": "message"}})
        assert not BASKET_WAITED.seen({"experience": "your_basket_waited", "content": None})

    def test_a_shop_with_one_product(self) -> None:
        world = World(items=(Item("only", 1999, "things"),))
        orders = [step for step in simulate(2, 60, world) if step.kind == "order"]
        assert {step.body["batch"][0]["properties"]["subtotal"] for step in orders} == {"19.99"}


PRICE = Effect("price", "basket_message", experience="less", amount=1000)
SENDS_BACK = Effect("sends_back", "basket_message", experience="try", returns=1000)
PHONES = Effect("phones", "checkout_button", experience="bold", variation="red", lift=50, only=("new_mobile",))


def drawn(persona: Persona, world: World, count: int = 4000) -> list[Shopper]:
    """A crowd of one kind."""
    alone = replace(world, personas=(replace(persona, share=1000),))
    return [shopper(17, index, alone) for index in range(count)]


class TestWorld:
    def test_who_reacts_to_prices_buys_more_for_each_percent_off(self) -> None:
        elastic = replace(PERSONAS[1], elasticity=2000)
        for each in drawn(elastic, World(effects=(PRICE,)), 50):
            total = each.visits[0].total
            off = min(total, 1000)
            assert each.chance({"price"}) == 350 + 350 * 2000 * off // (1000 * total)
            assert each.chance(()) == 350

    def test_what_is_taken_off_is_not_earned(self) -> None:
        bought = [each for each in drawn(PERSONAS[1], World(effects=(PRICE,), refunds=0)) if each.buys(())]
        for each in bought:
            plain, less = each.outcome(()), each.outcome({"price"})
            assert plain.revenue - less.revenue == min(1000, each.visits[0].total)
            assert plain.cost == less.cost
            assert plain.profit == plain.revenue - plain.cost

    def test_half_of_what_comes_back_comes_back_whole_and_is_no_order_then(self) -> None:
        crowd = drawn(PERSONAS[1], World(effects=(SENDS_BACK,)))
        bought = [each for each in crowd if each.buys(())]
        kept = [each.outcome({"sends_back"}) for each in bought]
        assert abs(sum(each.orders == 0 for each in kept) * 1000 // len(bought) - 500) < 50
        assert all(each.refunded == each.revenue // 2 for each in kept if each.orders)

    def test_an_effect_may_be_for_some_and_of_one_arm(self) -> None:
        world = World(effects=(PHONES,))
        crowd = [shopper(11, index, world) for index in range(500)]
        lifted = {each.persona.name for each in crowd if each.chance({"phones"}) > each.chance(())}
        assert lifted == {"new_mobile"}
        shown = {"experience": "bold", "variation": "red", "content": {"type": "button"}}
        assert PHONES.seen(shown)
        assert not PHONES.seen({**shown, "variation": "blue"})

    def test_consent_is_drawn_by_purpose(self) -> None:
        crowd = drawn(PERSONAS[0], World(analytics=800, personalization=600))
        for purpose, share in (("analytics", 800), ("personalization", 600)):
            assert abs(sum(purpose in each.grants for each in crowd) * 1000 // len(crowd) - share) < 30
        both = sum(len(each.grants) == 2 for each in crowd) * 1000 // len(crowd)
        assert abs(both - 480) < 30

    def test_what_is_not_allowed_is_denied_and_asked_for_without_a_name(self) -> None:
        steps = list(simulate(5, 40, World(personalization=0)))
        assert all(step.body["shopper"] == {} for step in steps if step.kind == "decide")
        choices = [event["choices"] for step in steps for event in step.body.get("batch", ()) if "choices" in event]
        assert {choice["personalization"] for choice in choices} == {"denied"}

    def test_visits_come_apart_and_each_has_a_cart_of_its_own(self) -> None:
        world = World(visits=4, apart=DAY)
        for who in drawn(PERSONAS[0], world, 60):
            starts = [visit.after for visit in who.visits]
            assert all(DAY <= later - earlier < 2 * DAY for earlier, later in pairwise(starts))
        steps = list(simulate(5, 30, world))
        assert [step.at for step in steps] == sorted(step.at for step in steps)
        carts = {
            (step.shopper.index, step.visit): step.body["context"]["cart"]["token"]
            for step in steps
            if step.kind == "decide"
        }
        assert len(set(carts.values())) == len(carts) > 30
        assert {step.visit for step in steps} == {0, 1, 2, 3}

    def test_what_comes_back_does_so_days_later(self) -> None:
        world = World(refunds=1000, returned_after=3 * DAY)
        steps = list(simulate(5, 60, world))
        bought = {step.shopper.index: step.at for step in steps if step.kind == "order"}
        back = {step.shopper.index: step.at for step in steps if step.kind == "refund"}
        assert bought.keys() == back.keys() != set()
        assert all(3 * DAY <= back[index] - at <= 6 * DAY + 120_000 for index, at in bought.items())

    def test_a_wrong_clock_is_wrong_by_the_same_in_every_request_of_a_device(self) -> None:
        world = World(skewed=1000, skew=DAY)
        told: dict[int, set[int]] = {}
        for step in simulate(5, 40, world):
            if "sentAt" in step.body:
                sent = datetime.fromisoformat(step.body["sentAt"])
                told.setdefault(step.shopper.index, set()).add(round(sent.timestamp() * 1000) - step.sent)
                assert all(datetime.fromisoformat(each["timestamp"]) <= sent for each in step.body["batch"])
        assert told
        assert all(len(each) == 1 for each in told.values())
        assert max(abs(each) for found in told.values() for each in found) <= DAY

    def test_who_is_far_from_buying_leaves_at_the_basket(self) -> None:
        world = World(personas=(replace(PERSONAS[1], share=1000, reach=500),))
        asked = {step.shopper.index: step for step in simulate(5, 200, world) if step.body.get("placements")}
        assert all("checkout" in step.body["context"] for step in asked.values() if step.shopper.visits[0].buying < 500)
        assert all(
            "checkout" not in step.body["context"] for step in asked.values() if step.shopper.visits[0].buying >= 500
        )


class TestTruth:
    def test_is_what_each_would_do_with_and_without(self) -> None:
        world = World(effects=(PHONES,))
        crowd = [shopper(11, index, world) for index in range(400)]
        found = truth(crowd, {"phones"})
        changed = [each for each in crowd if each.buys({"phones"}) and not each.buys(())]
        whole = sum(each.outcome({"phones"}).orders for each in changed)
        assert found.effect.conversion == pytest.approx(whole / 400)
        assert found.effect.profit == pytest.approx(sum(each.outcome({"phones"}).profit for each in changed) / 400)
        assert found.shoppers == 400

    def test_what_is_seen_beside_it_is_seen_in_both_worlds(self) -> None:
        world = World(effects=(PHONES, PRICE))
        crowd = drawn(replace(PERSONAS[0], elasticity=1000), world, 500)
        apart, beside = truth(crowd, {"phones"}), truth(crowd, {"phones"}, lambda _who, _visit: {"price", "phones"})
        assert beside.unseen.revenue == means(told(who, {"price"}) for who in crowd).revenue != apart.unseen.revenue

    def test_later_visits_may_be_left_out(self) -> None:
        crowd = drawn(PERSONAS[0], World(effects=(PHONES,), visits=3, apart=DAY), 300)
        first = truth(crowd, {"phones"}, within=0)
        assert first.unseen.conversion < truth(crowd, {"phones"}).unseen.conversion
        assert first.unseen.conversion == pytest.approx(sum(who.outcome(()).orders for who in crowd) / 300)

    def test_what_depends_on_the_answer_is_refused(self, crowd: list[Shopper]) -> None:
        with pytest.raises(ValueError, match="depends on the answer"):
            truth(crowd[:200], {FAVOURITES.name})

    def test_of_nobody_is_nothing(self) -> None:
        assert truth([], {"phones"}).effect.profit == 0


def test_another_clock_is_refused() -> None:
    with Library(starter()) as engine, pytest.raises(ValueError, match="VirtualClock"):
        play(engine, simulate(1, 1))


def test_a_simulation_played_again_is_the_same() -> None:
    world = World(gap=HOUR, visits=2, skewed=300, skew=HOUR)
    shown = []
    for _ in range(2):
        with opened(starter(), world) as engine:
            played = play(engine, simulate(4, 25, world))
            shown.append((played.arms, msgspec.structs.astuple(engine.core.account())))
            assert played.refused == {}
    assert shown[0] == shown[1]
    assert len(played.people) == 25


class Played:
    """A crowd that met the true engine with the starter playbook."""

    def __init__(self, shop: Shop, shoppers: int) -> None:
        self.shop, self.fates, self.refused = shop, Counter[str](), []
        self.seen: dict[str, set[str]] = {}
        self.levels: dict[str, set[str]] = {}
        self.orders = Counter[str]()
        self.people: dict[int, Shopper] = {}
        start = shop.clock.time
        for step in simulate(21, shoppers, World(start=start)):
            shop.clock.time = start + step.at
            self.people[step.shopper.index] = step.shopper
            self.take(step)

    def take(self, step: Step) -> None:
        key = self.shop.secret if step.trusted else self.shop.public
        facts = RequestFacts(
            received=self.shop.clock.now(),
            source=key.id,
            tenant=key.tenant,
            trusted=key.trusted,
            user_agent=step.headers["User-Agent"],
            gpc=step.headers.get("Sec-GPC") == "1",
        )
        caller = Caller(key, facts)
        if step.kind == "decide":
            request = msgspec.json.decode(msgspec.json.encode(step.body), type=DecideRequest)
            step.answer = msgspec.json.decode(self.shop.engine.decide(request, caller))
            self.levels.setdefault(step.shopper.persona.name, set()).add(step.answer["level"])
            for effect in step.shopper.persona.effects:
                if effect.seen(step.answer["placements"].get(effect.placement) or {}):
                    self.seen.setdefault(effect.name, set()).add(step.shopper.name)
            return
        self.orders[step.shopper.name] += step.kind == "order"
        submission, refused = self.shop.send(msgspec.json.encode(step.body), caller)
        assert submission.error is None
        self.refused += refused
        for fate in ("stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused"):
            self.fates[fate] += getattr(submission.accounting, fate)

    def named(self, persona: str) -> list[Shopper]:
        return [each for each in self.people.values() if each.persona.name == persona]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    clock = TestClock()
    world = memory_world(clock)
    products = [
        Product(id=item.id, title=item.id, price=item.price, stock=9, category=item.category, url="/", image="/")
        for item in ITEMS
    ]
    world.catalogue.upsert(LIVE, products)
    with shop_over(world) as shop:
        yield Played(shop, 220)


class TestThroughTheEngine:
    def test_every_event_is_understood(self, played: Played) -> None:
        assert played.refused == []
        assert not played.fates["failed"] + played.fates["conflict"] + played.fates["refused"]
        assert played.fates["stored"] > 1500
        assert played.shop.engine.live.normaliser.dropped == {}

    def test_each_effect_is_seen_by_those_it_is_for(self, played: Played) -> None:
        for persona in ("new_mobile", "cart_abandoner", "high_value", "enthusiast", "discount_seeker"):
            people = played.named(persona)
            assert people
            for effect in people[0].persona.effects:
                saw = [each for each in people if each.name in played.seen.get(effect.name, ())]
                assert len(saw) >= (len(people) * 2 // 3 if effect is not BASKET_WAITED else 1), effect.name

    def test_who_refused_is_not_known_and_sees_what_the_page_tells(self, played: Played) -> None:
        for each in played.named("decliner"):
            assert played.shop.profile(anonymous=each.name) is None
        assert played.levels["decliner"] == {"request"}

    def test_who_sends_gpc_is_not_personalized(self, played: Played) -> None:
        assert played.levels["gpc"] == {"request"}

    def test_bots_leave_no_profile(self, played: Played) -> None:
        for each in played.named("bot"):
            assert played.shop.profile(anonymous=each.name) is None

    def test_regulars_are_of_high_value(self, played: Played) -> None:
        for each in played.named("high_value"):
            values = played.shop.explained({"userId": each.name})
            assert values["segments.high_value"] is True
            assert values["orders"] == 3 + played.orders[each.name]
