"""A shop whose truth is known, from the first request to the report: what is reported is what is true.

Shoppers meet the true engine with a playbook of experiments, over five weeks by a clock that does not wait; the log
becomes facts, and the facts a report. The simulator knows what each shopper would have done in the other arm.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import asdict, replace

from cashwrap import Playbook
from cashwrap import World as Ports
from cashwrap.analysis.asking import ask
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.making import made
from cashwrap.analysis.question import Question
from cashwrap.analysis.results import Report
from cashwrap.analysis.statistics.compare import Difference, compare, interval
from cashwrap.analysis.units import gather
from cashwrap.history import write_facts
from cashwrap.model import Millis, Tenant
from cashwrap.playbook.compile import examine
from cashwrap.testing.shoppers import (
    BOT,
    DESKTOP,
    IPHONE,
    TABLET,
    Dice,
    Effect,
    Persona,
    Played,
    Step,
    VirtualClock,
    World,
    opened,
    play,
    simulate,
    told,
    truth,
)

Effects = dict[str, dict[str, Difference]]
DAY: Millis = 86_400_000
PLAYBOOK = """
shop: {currency: EUR}
placements:
  checkout_button: {component: button}
  basket_message: {component: message}
  coupon_field: {component: field}
  accessories: {component: message}
  delivery_methods: {component: message}
experiences:
  bold_button:
    in: checkout_button
    show: {text: {en: "Buy now"}}
    experiment: {control: 50%, goal: conversion, design: {days: 7, looks: 2, window: 2d, maturity: 5d}}
  fifteen_off:
    in: basket_message
    show: {text: {en: "Fifteen off, today only"}}
    experiment: {control: 50%, design: {days: 7, looks: 2, window: 2d, maturity: 5d}}
  open_field:
    in: coupon_field
    show: {state: show}
    experiment: {control: 50%, design: {days: 7, looks: 2, window: 2d, maturity: 5d}}
  chatty:
    in: accessories
    show: {text: {en: "May we help you?"}}
    experiment: {control: 50%, goal: conversion, design: {days: 7, looks: 2, window: 2d, maturity: 5d}}
  try_at_home:
    in: delivery_methods
    show: {text: {en: "Keep what fits, send back the rest"}}
    experiment: {control: 50%, design: {days: 7, looks: 2, window: 2d, maturity: 5d}}
"""
EFFECTS = (
    Effect("bold", "checkout_button", experience="bold_button", lift=120),
    Effect("off", "basket_message", experience="fifteen_off", amount=1500),
    Effect("nothing", "coupon_field", experience="open_field"),
    Effect("helped", "accessories", experience="chatty", lift=150, only=("phone",)),
    Effect("bothered", "accessories", experience="chatty", lift=-150, only=("desk", "tablet")),
    Effect("tried", "delivery_methods", experience="try_at_home", lift=150, returns=700),
)
BEHIND = {
    "bold_button": {"bold"},
    "fifteen_off": {"off"},
    "open_field": {"nothing"},
    "chatty": {"helped", "bothered"},
    "try_at_home": {"tried"},
}
"""The effects behind each experience."""
PERSONAS = (
    Persona("phone", 450, 300, IPHONE, "mobile", elasticity=2500),
    Persona("desk", 300, 400, DESKTOP, "desktop", elasticity=500, reach=900),
    Persona("tablet", 100, 300, TABLET, "tablet"),
    Persona("refuser", 60, 350, DESKTOP, "desktop", grants=()),
    Persona("gpc", 30, 300, IPHONE, "mobile", grants=("analytics",), gpc=True),
    Persona("bot", 60, 0, BOT, "desktop"),
)
METRICS = ("profit", "conversion", "revenue")
SHOPPERS = 1200
WORLD = World(
    personas=PERSONAS,
    effects=EFFECTS,
    gap=6 * DAY // SHOPPERS,
    analytics=950,
    personalization=950,
    skewed=150,
    skew=DAY // 4,
    visits=2,
    apart=DAY // 4,
    returned_after=5 * DAY // 2,
    browse=False,
)
END = WORLD.start + 20 * DAY


def compiled(text: str = PLAYBOOK) -> Playbook:
    playbook, faults = examine({"playbook.yaml": text})
    assert playbook is not None, faults
    return playbook


class Shop(NamedTuple):
    """A simulation that has been played, and its facts."""

    played: Played
    ports: Ports
    folder: Path
    facts: FactTable

    def question(self, experience: str) -> Question:
        """The question with what is looked at here alone: all of its metrics take their time."""
        asked = ask(compiled(), experience, Tenant())
        metrics = tuple(metric for metric in asked.metrics if metric.name in METRICS)
        return replace(asked, metrics=metrics, segments=())

    def report(self, experience: str) -> Report:
        return made(self.ports, self.folder, self.question(experience))

    def effects(self, question: Question) -> dict[str, Difference]:
        """Each metric's effect, without all that a report says beside it."""
        units = gather(self.facts, question, END)
        found = {metric: units.moments(metric) for metric in METRICS}
        return {metric: compare(arms["control", ""], arms["main", ""]) for metric, arms in found.items()}

    def true(self, experience: str) -> dict[str, float]:
        people = self.played.exposed(experience)
        return asdict(truth(people, BEHIND[experience], self.played.beside).effect)


@contextmanager
def visited(world: World, steps: Iterator[Step], folder: Path) -> Iterator[Shop]:
    """The shop after all these shoppers, on the day on which everything is told."""
    with opened(compiled(), world) as engine:
        ports = engine.core.world
        played = play(engine, steps)
        write_facts(ports, folder)
    assert isinstance(ports.clock, VirtualClock)
    ports.clock.time = END
    with FactTable(folder) as facts:
        yield Shop(played, ports, folder, facts)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with visited(WORLD, simulate(23, SHOPPERS, WORLD), tmp_path_factory.mktemp("facts")) as found:
        yield found


@pytest.fixture(scope="module")
def found(shop: Shop) -> dict[str, dict[str, Difference]]:
    return {experience: shop.effects(shop.question(experience)) for experience in BEHIND}


@pytest.fixture(scope="module")
def reports(shop: Shop) -> dict[str, Report]:
    return {experience: shop.report(experience) for experience in ("bold_button", "chatty")}


def misses(found: Mapping[str, Difference], true: Mapping[str, float]) -> list[str]:
    """The metrics whose 99 % interval has not the truth in it: fifteen are asked, and one must not fail by chance."""
    intervals = {metric: interval(found[metric], 2.576) for metric in true}
    return [metric for metric, value in true.items() if not intervals[metric].low <= value <= intervals[metric].high]


class TestTruth:
    def test_everything_was_understood(self, shop: Shop) -> None:
        assert shop.played.refused == {}
        assert len(shop.played.people) == SHOPPERS

    @pytest.mark.parametrize("experience", BEHIND)
    def test_intervals_have_the_truth_in_them(self, shop: Shop, found: Effects, experience: str) -> None:
        assert misses(found[experience], shop.true(experience)) == []

    def test_facts_come_to_what_shoppers_did_to_the_cent(self, shop: Shop) -> None:
        units = gather(shop.facts, shop.question("fifteen_off"), END)
        arms = shop.played.arms["fifteen_off"]
        for arm in ("control", "main"):
            mine = [who for who in shop.played.exposed("fifteen_off") if arms[who.index] == arm]
            did = [told(who, (), shop.played.beside) for who in mine]
            expected = {
                "conversion": sum(each.orders > 0 for each in did),
                "revenue": sum(each.net for each in did),
                "profit": sum(each.profit for each in did),
            }
            for metric, total in expected.items():
                found = units.moments(metric)[arm, ""]
                assert (found.n, round(found.n * found.mean[0], 3)) == (len(mine), total), (arm, metric)

    def test_the_check_sees_another_experience_s_truth(self, shop: Shop, found: Effects) -> None:
        assert misses(found["bold_button"], shop.true("chatty")) != []

    def test_what_helps_is_shipped_and_in_what_does_nothing_nothing_is_found(
        self, reports: dict[str, Report], found: Effects
    ) -> None:
        assert (reports["bold_button"].verdict.code, reports["bold_button"].verdict.arm) == ("ship", "main")
        assert misses(found["open_field"], dict.fromkeys(METRICS, 0.0)) == []
        assert misses(found["bold_button"], {"conversion": 0.0}) == ["conversion"]

    def test_an_offer_may_sell_more_and_earn_less(self, shop: Shop, found: Effects) -> None:
        true = shop.true("fifteen_off")
        assert true["conversion"] > 0 > true["profit"]
        assert found["fifteen_off"]["conversion"].absolute > 0 > found["fifteen_off"]["profit"].absolute

    def test_segments_that_differ_are_told_apart(self, reports: dict[str, Report]) -> None:
        said = reports["chatty"]
        device = next(each for each in said.heterogeneity if each.dimension == "device")
        assert device.p < 0.01
        effects = {each.value: each.effect.absolute for each in said.slices if each.dimension == "device"}
        assert effects["mobile"] > 0 > effects["desktop"]

    def test_goods_that_come_back_take_a_seeming_win_with_them(self, shop: Shop, found: Effects) -> None:
        """They do so after two and a half days and more: read before, what was sold looks earned."""
        asked = shop.question("try_at_home")
        early = shop.effects(replace(asked, design=replace(asked.design, maturity=0)))["revenue"]
        late = found["try_at_home"]["revenue"]
        assert early.absolute > 3 * early.error
        assert late.absolute < 0
        assert shop.true("try_at_home")["revenue"] < 0


class TestWhoIsCounted:
    def test_bots_and_who_allows_no_analytics_are_in_no_arm(self, shop: Shop, reports: dict[str, Report]) -> None:
        people = shop.played.exposed("bold_button")
        assert {who.persona.name for who in shop.played.people.values()} == {each.name for each in PERSONAS}
        assert {who.persona.name for who in people} == {"phone", "desk", "tablet", "gpc"}
        assert sum(arm.units for arm in reports["bold_button"].arms) == len(people)

    def test_each_is_in_the_arm_that_the_engine_gave_it(self, shop: Shop, reports: dict[str, Report]) -> None:
        arms = shop.played.arms["bold_button"]
        mine = [arms[who.index] for who in shop.played.exposed("bold_button")]
        counted = {arm.arm: arm.units for arm in reports["bold_button"].arms}
        assert counted == {"main": mine.count("main"), "control": mine.count("control")}

    def test_wrong_clocks_and_refusals_raise_no_doubt(self, shop: Shop, reports: dict[str, Report]) -> None:
        assert any(who.skew for who in shop.played.people.values())
        for said in reports.values():
            assert {each.code for each in said.doubts} <= {"tainted"}, said.doubts


# --- a page that loses exposures ---


def leaking(steps: Iterator[Step], arm: str) -> Iterator[Step]:
    """The same without two in three of the requests that tell of an arm of the button."""
    dice = Dice(5)
    for step in steps:
        told = [each["properties"] for each in step.body.get("batch", ()) if each.get("event") == "Experience Viewed"]
        lost = any(each["experience"] == "bold_button" and each["variation"] == arm for each in told)
        if not (lost and dice.below(3)):
            yield step


def test_an_arm_that_loses_exposures_decides_nothing(tmp_path: Path, reports: dict[str, Report]) -> None:
    """The ratio tells of it, and so do the servers, who know what they decided; an even shop raises neither."""
    world = replace(WORLD, visits=1, skewed=0, gap=6 * DAY // 400)
    with visited(world, leaking(simulate(12, 400, world), "main"), tmp_path) as shop:
        said = shop.report("bold_button")
    assert {"sample_ratio", "exposure_loss"} <= {each.code for each in said.doubts}
    assert said.verdict.code == "cannot_tell"
    assert not {"sample_ratio", "exposure_loss"} & {each.code for each in reports["bold_button"].doubts}
