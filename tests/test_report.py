"""Reports over fact tables that are made for one question each: what is told, and what is told in a number's place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from cashwrap.analysis.asking import ask, ask_holdout
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.question import Question
from cashwrap.analysis.report import report
from cashwrap.analysis.results import Problem, Report, Result
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.testing.facts import write_columns

DAY: Millis = 86_400_000
START: Millis = 1_767_225_600_000
"""2026-01-01."""
PLAYBOOK = """
shop: {currency: EUR, locale: en, rates: {USD: 0.5}}
holdout: {share: 10%}
placements:
  top: {component: message}
metrics:
  steps_taken: {mean: Checkout Step Viewed}
  asked: {proportion: Products Searched}
experiences:
  hello:
    in: top
    show: {text: {en: "Hi"}}
    experiment:
      control: 50%
      metrics: [steps_taken, asked]
      guardrails: {payment_failures: 10%}
      design: {days: 28, looks: 4, window: 7d, maturity: 7d}
"""


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"p.yaml": PLAYBOOK})
    assert found is not None, faults
    return found


FEW = ("profit", "payment_failures", "conversion", "revenue")


@pytest.fixture
def whole(playbook: Playbook) -> Question:
    """With every metric there is."""
    return ask(playbook, "hello", Tenant())


@pytest.fixture
def question(whole: Question) -> Question:
    """With a few metrics, which is quicker."""
    return replace(whole, metrics=tuple(each for each in whole.metrics if each.name in FEW))


class Shop:
    """Shoppers exposed over the first 20 days, half of them to each arm, and what they did."""

    def __init__(self, folder: Path, shoppers: int = 4000, seed: int = 3) -> None:
        self.folder = folder
        self.ids = np.arange(shoppers)
        self.dice = np.random.default_rng(seed)
        self.treated = self.dice.random(shoppers) < 0.5
        self.exposed = START + self.dice.integers(0, 20 * DAY, shoppers)
        self._parts = 0

    def add(self, **columns: Any) -> None:
        self._parts += 1
        write_columns(self.folder, f"part{self._parts}", columns)

    def expose(self, which: np.ndarray | None = None, **more: Any) -> None:
        picked = np.ones(len(self.ids), bool) if which is None else which
        treated = self.treated[picked]
        self.add(
            event="Experience Viewed",
            analytic_id=self.ids[picked],
            time=self.exposed[picked],
            **{
                "experience": "hello",
                "experiment": "hello",
                "variation": np.where(treated, "main", "control"),
                "outcome": np.where(treated, "shown", "control"),
                "decision": [f"d{each}" for each in self.ids[picked]],
                "propensity": 5000,
                "playbook": "one",
                **more,
            },
        )

    def order(self, chance: np.ndarray, amount: Any = 10_000, after: Millis = DAY, **more: Any) -> np.ndarray:
        """Orders of those whose dice fall below their chance, and who they are."""
        bought = self.dice.random(len(self.ids)) < chance
        amounts = amount[bought] if isinstance(amount, np.ndarray) else amount
        self.add(
            event="Order Completed",
            analytic_id=self.ids[bought],
            time=self.exposed[bought] + after,
            **{"order": self.ids[bought], "subtotal": amounts, "currency": "EUR", **more},
        )
        return bought

    def told(self, question: Question, day: int = 60, **more: Any) -> Report:
        with FactTable(self.folder) as table:
            return report(table, question, START + day * DAY, **more)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    return Shop(tmp_path)


def found(told: Report, metric: str) -> Result:
    return next(each for each in told.results if each.metric == metric)


def codes(told: Report) -> set[str]:
    return {each.code for each in told.doubts}


def problem(result: Result) -> str | None:
    return result.problem.code if result.problem is not None else None


# --- verdicts ---


def test_what_earns_more_is_shipped_with_what_a_year_of_it_is_worth(shop: Shop, whole: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.30, 0.20), cost=4_000)
    told = shop.told(whole)
    assert told.verdict.code == "ship"
    assert told.verdict.arm == "main"
    assert told.verdict.sentence.startswith("Ship main: profit per shopper changes by +")
    effect = found(told, "profit").effects[0]
    assert effect.significant
    assert effect.interval.low > 0
    assert effect.absolute == pytest.approx(600, abs=250)
    assert told.verdict.stake == pytest.approx(effect.absolute * 4000 / 28 * 365)
    assert told.verdict.harm is not None
    assert told.verdict.harm < 0.01
    assert {each.metric for each in told.results if each.role == "secondary" and each.effects} > {"conversion"}


def test_what_costs_is_rolled_back(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.15, 0.25))
    told = shop.told(question)
    assert (told.verdict.code, told.verdict.arm) == ("roll_back", "main")
    assert told.verdict.stake is not None
    assert told.verdict.stake < 0


def test_a_broken_guardrail_outweighs_a_gain(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.30, 0.20))
    failed = shop.dice.random(len(shop.ids)) < np.where(shop.treated, 0.20, 0.10)
    shop.add(event="Payment Failed", analytic_id=shop.ids[failed], time=shop.exposed[failed] + 1000)
    told = shop.told(question)
    assert found(told, "payment_failures").effects[0].standing == "broken"
    assert told.verdict.code == "roll_back"
    assert "payment failures" in told.verdict.sentence
    assert "10%" in told.verdict.sentence


def test_nothing_found_by_the_end_is_no_verdict(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.full(len(shop.ids), 0.2))
    told = shop.told(question)
    assert told.verdict.code == "cannot_tell"
    assert "after the planned 28 days" in told.verdict.sentence
    assert told.look is not None
    assert (told.look.number, told.look.of, told.look.next) == (4, 4, None)
    assert told.look.spent == pytest.approx(1)


def test_the_headline_is_what_all_of_personalization_earned(shop: Shop, playbook: Playbook) -> None:
    held = shop.dice.random(len(shop.ids)) < 0.1
    shop.treated = ~held
    shop.expose(
        experiment=None,
        variation=np.where(held, "holdout", "main"),
        outcome=np.where(held, "holdout", "shown"),
        held=np.where(held, "shop", None),
        propensity=np.where(held, 1_000, 10_000),
    )
    shop.order(np.where(held, 0.1, 0.4))
    told = shop.told(ask_holdout(playbook, Tenant()))
    assert [each.arm for each in told.arms] == ["holdout", "personalized"]
    assert found(told, "profit").effects[0].arm == "personalized"
    assert told.verdict.code == "ship"


# --- looks ---


def test_before_the_first_look_nothing_is_told_but_how_many_there_are(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.9, 0.1))
    told = shop.told(question, day=15)
    assert told.verdict.code == "keep_running"
    assert "Jan 22, 2026" in told.verdict.sentence
    assert all(not each.effects and not each.values and problem(each) == "too_early" for each in told.results)
    assert sum(each.units for each in told.arms) > 2000
    assert told.timeline == told.slices == told.novelty == told.funnel == told.curves == ()


def test_between_two_looks_a_report_says_what_the_last_one_said(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.full(len(shop.ids), 0.2))
    at, later = shop.told(question, day=28), shop.told(question, day=34)
    assert at.look is not None
    assert at.look.number == 2
    assert at.verdict.sentence == later.verdict.sentence
    assert [each.at for each in at.timeline] == [each.at for each in later.timeline]
    for mine, theirs in zip(at.results, later.results, strict=True):
        assert mine.units == theirs.units
        assert [each.absolute for each in mine.effects] == pytest.approx([each.absolute for each in theirs.effects])


def test_only_units_whose_time_is_over_count(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.full(len(shop.ids), 0.2))
    told = shop.told(question, day=28)  # 14 days of window and maturity: those of the first 14 days
    mature = int((shop.exposed <= START + 14 * DAY).sum())
    assert sum(each.mature for each in told.arms) == mature
    assert sum(found(told, "profit").units.values()) == mature


def test_an_effect_that_crossed_early_and_faded_is_told(shop: Shop, question: Question) -> None:
    shop.expose()
    early = shop.exposed < START + 7 * DAY
    shop.order(np.where(shop.treated & early, 0.8, np.where(~shop.treated & ~early, 0.5, 0.2)))
    told = shop.told(question)
    assert told.verdict.code == "ship"
    assert "faded" in codes(told)


def test_an_always_valid_design_tells_every_day(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.35, 0.15))
    told = shop.told(replace(question, design=replace(question.design, method="always_valid")), day=25)
    assert told.verdict.code == "ship"
    assert told.look is not None
    assert (told.look.number, told.look.of) == (11, 0)


# --- bad input: a sentence and a code in the number's place ---


def test_no_exposures(shop: Shop, question: Question) -> None:
    told = shop.told(question)
    assert told.verdict.code == "cannot_tell"
    assert codes(told) == {"no_exposures"}
    assert told.results == ()


def test_before_it_begins_a_report_says_how_long_it_will_take(shop: Shop, question: Question) -> None:
    others = {"experience": "greeting", "experiment": None, "variation": "main", "outcome": "shown", "placement": "top"}
    shop.expose(**others)
    shop.order(np.full(len(shop.ids), 0.2), amount=shop.dice.integers(3_000, 20_000, len(shop.ids)))
    told = shop.told(replace(question, placement="top"), day=30)
    assert codes(told) == {"no_exposures"}
    assert told.plan is not None
    assert told.plan.units_a_day == pytest.approx(4000 / 30, rel=0.05)
    assert told.plan.units_needed is not None
    assert told.plan.days_left == pytest.approx(told.plan.units_needed / told.plan.units_a_day)
    assert told.plan.detectable is not None
    assert told.plan.detectable > told.plan.wanted
    assert [each.code for each in told.plan.notes] == ["prospect", "pooling", "underpowered"]
    elsewhere = shop.told(replace(question, placement="bottom"), day=30)
    assert elsewhere.plan is not None
    assert elsewhere.plan.units_a_day == 0


def test_one_arm(shop: Shop, question: Question) -> None:
    shop.treated[:] = True
    shop.expose()
    told = shop.told(question)
    assert {"one_arm", "sample_ratio"} <= codes(told)
    assert problem(found(told, "profit")) == "one_arm"
    assert told.verdict.code == "cannot_tell"


def test_too_few_units_and_events(tmp_path: Path, question: Question) -> None:
    shop = Shop(tmp_path, 150)
    shop.expose()
    shop.order(np.full(150, 0.2))
    told = shop.told(question)
    assert problem(found(told, "profit")) == "too_few_units"
    assert told.verdict.code == "cannot_tell"
    assert shop.told(question, day=25).verdict.code == "keep_running"


def test_zero_variance(shop: Shop, question: Question) -> None:
    shop.expose()
    told = shop.told(question)
    assert problem(found(told, "profit")) == "zero_variance"
    assert problem(found(told, "conversion")) == "too_few_events"
    assert told.verdict.code == "cannot_tell"
    assert "same value" in told.verdict.sentence


def test_refunds_take_back_what_was_earned_and_may_leave_less_than_nothing(shop: Shop, question: Question) -> None:
    shop.expose()
    bought = shop.order(np.where(shop.treated, 0.3, 0.2), cost=4_000)
    back = bought & shop.treated
    shop.add(
        event="Order Refunded",
        analytic_id=shop.ids[back],
        time=shop.exposed[back] + 5 * DAY,
        order=shop.ids[back],
        amount=9_000,
        currency="EUR",
    )
    told = shop.told(question)
    assert found(told, "conversion").effects[0].absolute > 0
    assert found(told, "profit").values["main"] < 0
    assert told.verdict.code == "roll_back"


def test_orders_reported_twice_count_once_and_are_told(shop: Shop, question: Question) -> None:
    shop.expose()
    bought = shop.order(np.full(len(shop.ids), 0.2))
    once = found(shop.told(question), "revenue").values
    shop.add(
        event="Order Completed",
        analytic_id=shop.ids[bought],
        time=shop.exposed[bought] + 2 * DAY,
        order=shop.ids[bought],
        subtotal=10_000,
        currency="EUR",
    )
    told = shop.told(question)
    assert found(told, "revenue").values == once
    assert "duplicate_orders" in codes(told)


def test_orders_before_the_exposure_do_not_count_and_are_told(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.order(np.full(len(shop.ids), 0.2), after=-60_000)
    told = shop.told(question)
    assert problem(found(told, "conversion")) == "too_few_events"
    assert "orders_before_exposure" in codes(told)


def test_money_without_a_rate_is_left_out_and_told(shop: Shop, question: Question) -> None:
    shop.expose()
    currency = np.where(np.arange(len(shop.ids)) % 2, "USD", "CHF")
    bought = shop.dice.random(len(shop.ids)) < 0.3
    shop.add(
        event="Order Completed",
        analytic_id=shop.ids[bought],
        time=shop.exposed[bought] + DAY,
        order=shop.ids[bought],
        subtotal=10_000,
        currency=currency[bought],
    )
    told = shop.told(question)
    assert "mixed_currencies" in codes(told)
    assert found(told, "revenue").values["control"] == pytest.approx(10_000 * 0.5 * 0.15, rel=0.15)


def test_clocks_that_are_off_are_told(shop: Shop, question: Question) -> None:
    shop.expose(received=shop.exposed + 30 * DAY)
    assert "clock_skew" in codes(shop.told(question))


def test_bots_are_left_out(shop: Shop, question: Question) -> None:
    shop.expose()
    shop.add(
        event="Experience Viewed",
        analytic_id=shop.ids + 1_000_000,
        time=shop.exposed,
        experiment="hello",
        variation="main",
        outcome="shown",
        flags=1,
        propensity=5000,
    )
    told = shop.told(question)
    assert sum(each.units for each in told.arms) == len(shop.ids)
    assert "sample_ratio" not in codes(told)


# --- doubts ---


def test_units_lost_in_one_arm_keep_every_figure_from_deciding(shop: Shop, question: Question) -> None:
    browser = np.where(shop.dice.random(len(shop.ids)) < 0.3, "Safari", "Chrome")
    there = ~(shop.treated & (browser == "Safari"))
    shop.expose(there, browser=browser[there])
    shop.order(np.where(shop.treated, 0.4, 0.2))
    told = shop.told(question)
    assert told.verdict.code == "cannot_tell"
    assert "sample_ratio" in codes(told)
    assert told.ratio is not None
    assert "browser Safari" in told.ratio.suspects[0].message


def test_exposures_that_do_not_come_back_evenly_are_told(shop: Shop, question: Question) -> None:
    shop.expose()
    tallies = {"control": int((~shop.treated).sum()), "main": int(shop.treated.sum() * 1.5)}
    told = shop.told(question, tallies=tallies)
    assert "exposure_loss" in codes(told)
    assert told.verdict.code == "cannot_tell"
    assert {each.arm: each.decided for each in told.arms} == tallies


def test_who_saw_two_arms_stays_in_the_first_and_is_counted(shop: Shop, question: Question) -> None:
    shop.expose()
    both = shop.ids % 10 == 0
    shop.add(
        event="Experience Viewed",
        analytic_id=shop.ids[both],
        time=shop.exposed[both] + 1000,
        experiment="hello",
        propensity=5000,
        playbook="one",
        variation=np.where(shop.treated[both], "control", "main"),
        outcome=np.where(shop.treated[both], "control", "shown"),
    )
    told = shop.told(question)
    assert "tainted" in codes(told)
    assert sum(each.tainted for each in told.arms) == both.sum()
    assert {each.arm: each.units for each in told.arms} == {
        "control": int((~shop.treated).sum()),
        "main": int(shop.treated.sum()),
    }


def test_ghosts_of_one_arm_are_told(shop: Shop, question: Question) -> None:
    outcome = np.where(shop.treated, np.where(shop.ids % 5 == 0, "capped", "shown"), "control")
    shop.expose(outcome=outcome)
    told = shop.told(question)
    assert "uneven_ghosts" in codes(told)
    assert told.arms[1].ghosts == {"capped": int((outcome == "capped").sum())}


def test_what_is_noted_elsewhere_stands_first(shop: Shop, question: Question) -> None:
    shop.expose()
    changed = Problem("design_changed", "The design was changed.")
    assert shop.told(question, noted=lambda _: [changed]).doubts[0] == changed


# --- what stands around ---


def test_parts_ages_curves_and_steps(shop: Shop, whole: Question) -> None:
    device = np.where(shop.ids % 2, "mobile", "desktop")
    shop.expose(device=device, country="DE")
    shop.order(np.where(shop.treated & (device == "mobile"), 0.4, 0.2))
    shop.add(event="Checkout Started", analytic_id=shop.ids, time=shop.exposed + 1000)
    told = shop.told(whole)
    parts = {each.value: each for each in told.slices if each.dimension == "device"}
    assert parts["mobile"].effect.absolute > parts["desktop"].effect.absolute
    assert abs(parts["mobile"].shrunk) < abs(parts["mobile"].effect.absolute)
    assert next(each.p for each in told.heterogeneity if each.dimension == "device") < 0.01
    assert [each.at for each in told.novelty] == list(range(7)) or {each.at for each in told.novelty} <= set(range(7))
    assert {each.step for each in told.funnel} >= {"Checkout Started", "Order Completed"}
    curves = {each.arm: each for each in told.curves}
    assert curves["main"].completed[-1] > curves["control"].completed[-1]
    assert curves["main"].lost < curves["control"].lost


def test_false_discovery_control_spares_no_metric(shop: Shop, whole: Question) -> None:
    shop.expose()
    shop.order(np.where(shop.treated, 0.3, 0.2))
    asked = shop.dice.random(len(shop.ids)) < 0.2
    shop.add(event="Products Searched", analytic_id=shop.ids[asked], time=shop.exposed[asked] + 1000)
    told = shop.told(whole)
    secondary = [each.effects[0] for each in told.results if each.role == "secondary" and each.effects]
    assert all(effect.q is not None and effect.p is not None and effect.q >= effect.p for effect in secondary)
    assert found(told, "conversion").effects[0].significant
    assert not found(told, "asked").effects[0].significant
    assert found(told, "order_value").effects == () or found(told, "order_value").effects[0].q is None


def test_three_arms_share_the_error(shop: Shop) -> None:
    text = PLAYBOOK.replace('show: {text: {en: "Hi"}}', 'variations: {a: {text: {en: "A"}}, b: {text: {en: "B"}}}')
    text = text.replace("control: 50%\n", "arms: {control: 50%, a: 25%, b: 25%}\n")
    other, faults = examine({"p.yaml": text})
    assert other is not None, faults
    third = shop.dice.random(len(shop.ids)) < 0.5
    variation = np.where(shop.treated, np.where(third, "a", "b"), "control")
    shop.expose(variation=variation)
    shop.order(np.where(variation == "a", 0.35, 0.2))
    three = shop.told(ask(other, "hello", Tenant()))
    assert three.look is not None
    assert three.look.critical > 2.2  # and not 1.96, as for one arm
    assert (three.verdict.code, three.verdict.arm) == ("ship", "a")
