"""Experiments under attack: what real shops do to them, what a browser's key may do, and what breaks underneath."""

import stat
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from msgspec.structs import replace

from cashwrap.analysis import making
from cashwrap.analysis.asking import ask, ask_holdout
from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.looks import critical, laid_out
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.analysis.report import report
from cashwrap.analysis.results import Report
from cashwrap.analysis.statistics.guardrails import harms
from cashwrap.analysis.units import gather
from cashwrap.declarations import Condition
from cashwrap.errors import CashwrapError
from cashwrap.library import open_world
from cashwrap.model import Millis, Tenant
from cashwrap.playbook import Playbook, examine
from cashwrap.testing.facts import write_columns

DAY: Millis = 86_400_000
START: Millis = 1_767_225_600_000
PLAYBOOK = """
shop: {currency: EUR, locale: en}
holdout: {share: 10%}
placements:
  top: {component: message}
experiences:
  all_of_it:
    in: top
    show: {text: {en: "Hi"}}
    experiment: {control: 100%}
  hello:
    in: top
    show: {text: {en: "Hi"}}
    experiment:
      control: 50%
      guardrails: {payment_failures: 10%}
      design: {days: 28, looks: 4, window: 7d, maturity: 7d}
"""
HOSTILE = "a'; DROP TABLE facts; --\"b\n\\ 😀 $1 {x} %s \u202e"


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    found, faults = examine({"p.yaml": PLAYBOOK})
    assert found is not None, faults
    return found


@pytest.fixture
def question(playbook: Playbook) -> Question:
    return fewer(ask(playbook, "hello", Tenant()))


@pytest.fixture
def headline(playbook: Playbook) -> Question:
    return fewer(ask_holdout(playbook, Tenant()))


def fewer(question: Question) -> Question:
    return replace(question, metrics=tuple(each for each in question.metrics if each.role in {"primary", "guardrail"}))


class Crowd:
    """Shoppers who come one after the other over twenty days."""

    def __init__(self, folder: Path, size: int = 4000, treated: float = 0.5) -> None:
        self.folder = folder
        self.dice = np.random.default_rng(11)
        self.ids = np.arange(size)
        self.exposed = START + np.sort(self.dice.integers(0, 20 * DAY, size))
        self.treated = self.dice.random(size) < treated
        self._parts = 0

    def add(self, event: str, which: np.ndarray, after: Millis = 1000, **columns: Any) -> None:
        self._parts += 1
        common = {"event": event, "analytic_id": self.ids[which], "time": self.exposed[which] + after}
        write_columns(self.folder, f"part{self._parts}", {**common, **columns})

    def expose(self, which: np.ndarray | None = None, **more: Any) -> None:
        which = np.ones(len(self.ids), bool) if which is None else which
        treated = self.treated[which]
        columns = {
            "experience": "hello",
            "experiment": "hello",
            "variation": np.where(treated, "main", "control"),
            "outcome": np.where(treated, "shown", "control"),
            "decision": [f"d{each}" for each in self.ids[which]],
            "propensity": 5000,
            "playbook": "one",
        }
        self.add("Experience Viewed", which, 0, **{**columns, **more})

    def hold(self, which: np.ndarray, share: int, chance: int, playbook: str) -> None:
        """Exposures in a shop with a holdout, in which an arm of some experiment had this chance."""
        held = ~self.treated[which]
        outcome, arm = np.where(held, "holdout", "shown"), np.where(held, "holdout", "main")
        propensity = np.where(held, share, chance)
        self.expose(
            which, held=np.where(held, "shop", ""), outcome=outcome, variation=arm, propensity=propensity,
            playbook=playbook,
        )  # fmt: skip

    def order(self, chance: Any, **more: Any) -> None:
        bought = self.dice.random(len(self.ids)) < chance
        self.add("Order Completed", bought, DAY, order=self.ids[bought], subtotal=10_000, **{"currency": "EUR", **more})

    def told(self, question: Question, day: int = 60) -> Report:
        with FactTable(self.folder) as table:
            return report(table, question, START + day * DAY)


@pytest.fixture
def crowd(tmp_path: Path) -> Crowd:
    return Crowd(tmp_path / "facts")


def codes(told: Report) -> set[str]:
    return {each.code for each in told.doubts}


# --- what shops do ---


def test_what_helped_while_it_was_new_and_harms_now_is_rolled_back(crowd: Crowd, question: Question) -> None:
    crowd.expose()
    late = crowd.exposed > START + 5 * DAY
    crowd.order(np.where(crowd.treated, np.where(late, 0.05, 0.6), 0.25))
    assert crowd.told(question, 25).verdict.code == "ship"
    assert crowd.told(question).verdict.code == "roll_back"
    assert [harm.arm for harm in harms(crowd.told(making._quick(question)).results)] == ["main"]


def test_a_share_changed_on_the_way_is_no_effect(crowd: Crowd, question: Question) -> None:
    """Nine of ten come to treatment in the weeks in which four times as many buy; pooled, that looks like a gain."""
    late = crowd.exposed > START + 10 * DAY
    crowd.treated = crowd.dice.random(len(crowd.ids)) < np.where(late, 0.9, 0.5)
    for which, name, chance in ((~late, "one", 5000), (late, "two", 9000)):
        propensity = np.where(crowd.treated[which], chance, 10_000 - chance)
        crowd.expose(which, playbook=name, propensity=propensity)
    crowd.order(np.where(late, 0.4, 0.1))
    told = crowd.told(replace(question, arms={"control": 1000, "main": 9000}))
    assert told.verdict.code == "cannot_tell"
    assert codes(told) == {"guardrail_untold"}


@pytest.mark.xfail(strict=True, reason="a propensity is the arm's chance times that of the draw, so shares are unknown")
def test_a_share_changed_on_the_way_while_experiences_are_drawn_by_weight(crowd: Crowd, question: Question) -> None:
    """NOT MENDED: today's shares are due of yesterday's release, and ``sample_ratio`` blocks a sound experiment."""
    late = crowd.exposed > START + 10 * DAY
    crowd.treated = crowd.dice.random(len(crowd.ids)) < np.where(late, 0.9, 0.5)
    for which, name, chance in ((~late, "one", 5000), (late, "two", 9000)):
        propensity = np.where(crowd.treated[which], chance, 10_000 - chance) // 2
        crowd.expose(which, playbook=name, propensity=propensity)
    crowd.order(0.2)
    assert "sample_ratio" not in codes(crowd.told(replace(question, arms={"control": 1000, "main": 9000})))


def test_a_release_in_which_nobody_was_held_out_does_not_block_the_headline(crowd: Crowd, headline: Question) -> None:
    crowd.treated = crowd.dice.random(len(crowd.ids)) < 0.9
    crowd.treated[2000:2060] = True
    for part, name, chance in (
        (slice(2000), "a", 5000),
        (slice(2000, 2060), "b", 2500),
        (slice(2060, None), "c", 3333),
    ):
        which = np.zeros(len(crowd.ids), bool)
        which[part] = True
        crowd.hold(which, 1000, chance, name)
    crowd.order(np.where(crowd.treated, 0.4, 0.2))
    told = crowd.told(headline)
    assert told.verdict.code == "ship"


def test_a_holdout_that_grew_is_compared_within_what_it_was(crowd: Crowd, headline: Question) -> None:
    late = crowd.exposed > START + 10 * DAY
    crowd.treated = crowd.dice.random(len(crowd.ids)) > np.where(late, 0.3, 0.1)
    crowd.hold(~late, 1000, 10_000, "one")
    crowd.hold(late, 3000, 10_000, "two")
    crowd.order(np.where(late, 0.5, 0.1))
    told = crowd.told(replace(headline, arms={"holdout": 3000, "personalized": 7000}))
    assert codes(told) == set()
    assert not told.results[0].effects[0].significant


def test_one_clock_ten_years_back_moves_no_look(crowd: Crowd, question: Question) -> None:
    crowd.expose()
    crowd.order(0.2)
    before = crowd.told(question)
    first = np.arange(len(crowd.ids)) == 0
    crowd.ids = crowd.ids + 10_000
    crowd.expose(first, time=[START - 3650 * DAY], received=[START + DAY])
    crowd.ids = crowd.ids + 10_000
    crowd.expose(first, time=[START + 3650 * DAY], received=[START + DAY])
    after = crowd.told(question)
    assert after.started == before.started
    assert after.look is not None
    assert before.look is not None
    assert after.look == replace(before.look, critical=after.look.critical)
    assert "clock_skew" in codes(after)


def test_what_counted_at_an_always_valid_look_is_what_counts_there_for_good(question: Question) -> None:
    """With the bound of many units the few of the first days were asked too little."""
    plan = laid_out(replace(question.design, method="always_valid"), START, START + 30 * DAY)
    units = [600 * (look + 1) for look in range(len(plan.moments))]
    bounds = critical(plan, [1.0] * len(units), units, 0.05)
    assert bounds[0] > bounds[-1] + 0.2
    assert critical(plan, [1.0] * 3, units[:3], 0.05) == bounds[:3]


def test_years_of_looks_are_few_enough_to_ask_for(question: Question) -> None:
    design = replace(question.design, method="always_valid", days=365 * 5)
    looks = [laid_out(design, START, START + day * DAY).moments for day in range(365 * 5)]
    assert len(looks[-1]) < 300
    assert all(set(earlier[:-1]) <= set(later) for earlier, later in pairwise(looks))
    assert len(looks[28]) == 14


def test_names_are_names_wherever_they_come_from(crowd: Crowd, question: Question) -> None:
    arm = np.where(crowd.treated, HOSTILE, "control")
    said: dict[str, Any] = dict.fromkeys(
        ("experiment", "playbook", "device", "country", "browser", "placement", "level"), HOSTILE
    )
    crowd.expose(variation=arm, segments=[[HOSTILE]] * len(crowd.ids), **said)
    crowd.order(np.where(crowd.treated, 0.3, 0.2))
    crowd.add("Order Completed", crowd.ids < 50, order=crowd.ids[:50] + 10_000, subtotal=1, currency=HOSTILE)
    own = Part(("Ev'\"il",), where=Condition('event == "a\'b"'), once=True)
    more = (
        Metric("m'\"; x", "l", "proportion", "secondary", "share", "higher", 7 * DAY, numerator=own),
        Metric("f'\"; x", "l", "funnel", "secondary", "share", "higher", 7 * DAY, steps=("E'\"", "S: a'b\"")),
    )
    arms = {"control": 5000, HOSTILE: 5000}
    metrics = (*question.metrics, *more)
    told = crowd.told(replace(question, salt=HOSTILE, arms=arms, segments=(HOSTILE,), metrics=metrics))
    assert (told.verdict.code, told.verdict.arm) == ("ship", HOSTILE)
    assert "mixed_currencies" in codes(told)
    with duckdb.connect() as analyst:
        for sql in told.sql.values():
            analyst.execute(sql)


@pytest.mark.parametrize("failing", [0, 2])
def test_payments_that_only_treatment_breaks_are_rolled_back(crowd: Crowd, question: Question, failing: int) -> None:
    """Control's share is nothing, or nearly so, and there is nothing to divide by: that is no reason to look away."""
    crowd.expose()
    crowd.order(np.where(crowd.treated, 0.3, 0.2))
    crowd.add("Payment Failed", crowd.treated & (crowd.dice.random(len(crowd.ids)) < 0.2))
    crowd.add("Payment Failed", ~crowd.treated & (crowd.ids < 2 * failing))
    assert crowd.told(question).verdict.code == "roll_back"
    assert {harm.by for harm in harms(crowd.told(making._quick(question)).results)} == {"guardrail"}


def test_a_guardrail_that_nothing_can_be_said_of_is_told(crowd: Crowd, question: Question) -> None:
    crowd.expose()
    crowd.order(np.where(crowd.treated, 0.3, 0.2))
    crowd.add("Payment Failed", crowd.treated & (crowd.ids < 20))
    told = crowd.told(question)
    assert told.verdict.code == "ship"
    assert codes(told) == {"guardrail_untold"}
    assert codes(crowd.told(question, 5)) == set()


# --- what a browser's key may do ---


def test_a_flood_of_one_shopper_is_one_shopper(crowd: Crowd, question: Question) -> None:
    """Also orders that no backend confirms, exposures again and again, and another arm that a token was found for."""
    crowd.expose()
    crowd.order(np.where(crowd.treated, 0.3, 0.2))
    crowd.add("Payment Failed", crowd.dice.random(len(crowd.ids)) < 0.05)
    before = crowd.told(question)
    one = np.repeat(np.flatnonzero(crowd.treated)[:1], 20_000)
    forged: dict[str, Any] = {
        "order": np.arange(20_000) + 50_000,
        "subtotal": -(10**9),
        "currency": "EUR",
        "trusted": False,
    }
    crowd.add("Payment Failed", one)
    crowd.add("Order Completed", one, **{**forged, "trusted": np.zeros(20_000, bool)})
    crowd.treated = ~crowd.treated
    crowd.expose(np.isin(crowd.ids, one), received=[int(crowd.exposed[one[0]] + DAY)])
    crowd.add("Experience Viewed", one, 5000, experiment="hello", variation="control", outcome="control")
    after = crowd.told(question)
    assert after.verdict.code == before.verdict.code
    assert after.results[0].effects[0].significant
    assert after.results[0].effects[0].absolute == pytest.approx(before.results[0].effects[0].absolute, rel=0.01)
    assert [each.units for each in after.arms] == [each.units for each in before.arms]
    shares = [told.results[1].values["main"] for told in (before, after)]
    assert shares[1] - shares[0] <= 1 / before.arms[1].units + 1e-12


# --- what breaks underneath ---


@pytest.mark.parametrize("left", [b"", b"PAR1" + b"x" * 500 + b"PAR1", None])
def test_a_broken_file_is_said_in_one_sentence(crowd: Crowd, question: Question, left: bytes | None) -> None:
    crowd.expose()
    path = next(crowd.folder.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-20] if left is None else left)
    with pytest.raises(CashwrapError, match=r"cashwrap facts --again") as told:
        making._asked(crowd.folder, lambda table: gather(table, question, START + DAY))
    assert told.value.code == "facts_mismatch"


def test_facts_that_change_meanwhile_are_asked_again(crowd: Crowd, question: Question) -> None:
    """Somebody is forgotten while a report is made: a file has gone, and its successor is there."""
    crowd.expose()
    asked: list[int] = []

    def asking(table: FactTable) -> int | None:
        asked.append(len(asked))
        if len(asked) < 3:
            (crowd.folder / "_state.json").write_text(str(asked))
        if len(asked) == 1:
            raise duckdb.IOException("No such file")
        return gather(table, question, START + 60 * DAY).started()

    assert making._asked(crowd.folder, asking) == crowd.exposed[0]
    assert len(asked) == 3


def test_an_experiment_with_nothing_to_compare_keeps_none_from_being_guarded(
    tmp_path: Path, crowd: Crowd, playbook: Playbook
) -> None:
    crowd.expose()
    crowd.order(np.where(crowd.treated, 0.05, 0.5))
    with open_world(tmp_path / "data", make=True) as world:
        found = list(making.harmed(world, crowd.folder, Tenant(), playbook))
    assert [each.experience for each in found] == ["hello"]


def test_exported_units_are_for_their_owner_and_name_nobody(crowd: Crowd, question: Question, tmp_path: Path) -> None:
    crowd.expose()
    path = tmp_path / "o'ut.csv"
    assert making.exported(crowd.folder, question, START + 60 * DAY, path) == len(crowd.ids)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    named = set(path.read_text().splitlines()[0].split(","))
    assert not named & {"order", "cart", "analytic_id", "decision", "user_id"}
