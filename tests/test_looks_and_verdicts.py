"""When an experiment is looked at, and what is said of it then."""

from typing import Any

import pytest
from msgspec.structs import replace

from cashwrap.analysis.looks import critical, laid_out, spending
from cashwrap.analysis.results import Effect, Interval, Problem, Result
from cashwrap.analysis.verdict import staked, verdict
from cashwrap.declarations import DesignDecl
from cashwrap.model import Millis

DAY: Millis = 86_400_000
START: Millis = 1_767_225_600_000
DESIGN = DesignDecl(days=28, looks=4, window=7 * DAY, maturity=14 * DAY)


# --- looks ---


def test_a_look_comes_when_the_last_shopper_it_counts_has_had_their_time() -> None:
    planned = laid_out(DESIGN, START + 5 * 3_600_000, START + 365 * DAY)
    assert [(at - START) // DAY for at in planned.moments] == [7 + 21, 14 + 21, 21 + 21, 28 + 21]
    assert planned.over
    assert planned.next is None


@pytest.mark.parametrize(
    ("day", "passed", "following"), [(27, 0, 28), (28, 1, 35), (34, 1, 35), (41, 2, 42), (48, 3, 49)]
)
def test_only_planned_looks_that_have_passed_count(day: int, passed: int, following: int) -> None:
    planned = laid_out(DESIGN, START, START + day * DAY)
    assert len(planned.moments) == passed
    assert planned.next == START + following * DAY
    assert not planned.over


def test_looks_spend_the_error_and_the_first_ones_little() -> None:
    shares = [spending(laid_out(DESIGN, START, START + day * DAY)) for day in (0, 28, 35, 42, 49)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[1] < 0.01
    assert shares[-1] == pytest.approx(1)


def test_a_fixed_design_has_one_look_and_an_always_valid_one_every_day() -> None:
    once = laid_out(replace(DESIGN, method="fixed"), START, START + 48 * DAY)
    assert (once.moments, once.of, once.next) == ((), 1, START + 49 * DAY)
    daily = laid_out(replace(DESIGN, method="always_valid"), START, START + 30 * DAY + 5)
    assert len(daily.moments) == 9
    assert daily.next == START + 31 * DAY
    assert critical(once, [1.0], [1000], 0.05) == pytest.approx((1.96,), abs=0.001)
    assert critical(daily, [1.0] * 9, [5000] * 9, 0.05)[-1] > 2.5


# --- verdicts ---


def effect(absolute: float, *, significant: bool = False, **more: Any) -> Effect:
    error = abs(absolute) / 3 or 1.0
    interval = Interval(absolute - 2 * error, absolute + 2 * error)
    return Effect("main", absolute, interval, error, significant=significant, chance_better=0.75, **more)


def primary(*effects: Effect, better: Any = "higher", problem: Problem | None = None) -> Result:
    return Result("profit", "Profit", "mean", "primary", "money", better, effects=effects, problem=problem)


def guardrail(standing: Any) -> Result:
    result = Result("failures", "Failures", "proportion", "guardrail", "share", "lower", margin=0.1)
    return replace(result, effects=(effect(0.01, standing=standing),))


RUNNING = laid_out(DESIGN, START, START + 30 * DAY)
OVER = laid_out(DESIGN, START, START + 60 * DAY)
WIN, LOSS, NOTHING = effect(30, significant=True), effect(-30, significant=True), effect(5)


@pytest.mark.parametrize(
    ("effects", "standing", "plan", "code", "words"),
    [
        ([WIN], "holds", RUNNING, "ship", "Ship main: profit changes by +€0.30"),
        ([WIN], "open", RUNNING, "keep_running", "it may still make failures worse by more than the 10% allowed"),
        ([WIN], "open", OVER, "cannot_tell", "it may still make failures worse"),
        ([WIN], "broken", RUNNING, "roll_back", "Roll back main: it makes failures worse by more than the 10% allowed"),
        ([LOSS], "holds", RUNNING, "roll_back", "Roll back main: profit changes by −€0.30"),
        ([NOTHING], "holds", RUNNING, "keep_running", "the next look is on Feb 5, 2026"),
        ([NOTHING], "holds", OVER, "cannot_tell", "after the planned 28 days"),
        ([replace(LOSS, arm="b"), WIN], "holds", RUNNING, "ship", "Ship main"),
        ([replace(LOSS, arm="b"), NOTHING], "holds", RUNNING, "keep_running", "Keep running"),
        ([replace(LOSS, arm="b"), NOTHING], "holds", OVER, "roll_back", "Roll back b"),
    ],
)
def test_one_sentence(effects: list[Effect], standing: str, plan: Any, code: str, words: str) -> None:
    said = verdict(primary(*effects), [guardrail(standing)], plan, [], "EUR")
    assert said.code == code
    assert words in said.sentence
    assert said.sentence.endswith(".")


def test_less_of_what_is_better_lower_is_a_win() -> None:
    assert verdict(primary(LOSS, better="lower"), [], RUNNING, [], "EUR").code == "ship"
    assert verdict(primary(WIN, better="lower"), [], RUNNING, [], "EUR").code == "roll_back"


@pytest.mark.parametrize("code", ["sample_ratio", "exposure_loss"])
def test_some_doubts_keep_every_number_from_deciding(code: str) -> None:
    said = verdict(primary(WIN), [guardrail("broken")], OVER, [Problem(code, "The arms differ.")], "EUR")
    assert (said.code, said.sentence) == ("cannot_tell", "Cannot tell: the arms differ.")
    assert verdict(primary(WIN), [], OVER, [Problem("tainted", "Some.")], "EUR").code == "ship"


@pytest.mark.parametrize(
    ("code", "plan", "expected"),
    [
        ("too_few_units", RUNNING, "keep_running"),
        ("too_few_units", OVER, "cannot_tell"),
        ("zero_variance", RUNNING, "cannot_tell"),
        ("too_early", RUNNING, "keep_running"),
    ],
)
def test_a_missing_number_waits_or_ends(code: str, plan: Any, expected: str) -> None:
    assert verdict(primary(problem=Problem(code, "Not yet.")), [], plan, [], "EUR").code == expected


def test_what_is_at_stake_is_a_year_of_this_traffic() -> None:
    said = staked(verdict(primary(WIN), [], RUNNING, [], "EUR"), WIN, units_a_day=100)
    assert said.stake == pytest.approx(30 * 100 * 365)
    assert said.stake_interval == pytest.approx((10 * 100 * 365, 50 * 100 * 365))
    assert staked(said, None, 100) == said
