"""Whether to ship: one verdict, one sentence, and what a year of it is worth. Pure."""

from collections.abc import Sequence

from cashwrap.analysis.looks import Plan
from cashwrap.analysis.render.words import day, range_of, signed
from cashwrap.analysis.results import Effect, Interval, Problem, Result, Verdict

BLOCKING = frozenset({"sample_ratio", "exposure_loss"})
"""Doubts under which no number may decide."""
YEAR = 365


def verdict(
    primary: Result, guardrails: Sequence[Result], plan: Plan, doubts: Sequence[Problem], currency: str
) -> Verdict:
    """The verdict of the newest look that has passed. Whatever harms is told before whatever helps."""
    words = _Words(primary, currency)
    if blocking := next((doubt for doubt in doubts if doubt.code in BLOCKING), None):
        return Verdict("cannot_tell", f"Cannot tell: {_lowered(blocking.message)}")
    for result in guardrails:
        for effect in result.effects:
            if effect.standing == "broken":
                said = f"it makes {_lowered(result.label)} worse by more than the {_allowed(result)} allowed"
                return Verdict("roll_back", f"Roll back {effect.arm}: {said}.", effect.arm, harm=_harm(effect))
    if primary.problem is not None:
        return _without_numbers(primary.problem, plan)
    worse = [effect for effect in primary.effects if effect.significant and _gain(primary, effect) < 0]
    better = [effect for effect in primary.effects if effect.significant and _gain(primary, effect) > 0]
    if better:
        best = max(better, key=lambda effect: _gain(primary, effect))
        if changed := next((doubt for doubt in doubts if doubt.code == "design_changed"), None):
            return Verdict("cannot_tell", f"Cannot tell: {_lowered(changed.message)}", best.arm, harm=_harm(best))
        return _unless_open(best, words.told(best), guardrails, plan)
    if worse and (len(worse) == len(primary.effects) or plan.over):
        worst = min(worse, key=lambda effect: _gain(primary, effect))
        return Verdict("roll_back", f"Roll back {worst.arm}: {words.told(worst)}.", worst.arm, harm=_harm(worst))
    leading = max(primary.effects, key=lambda effect: _gain(primary, effect))
    if not plan.over:
        soon = f"the next look is on {day(plan.next)}" if plan.next is not None else "more is to come"
        sentence = f"Keep running: nothing is decided yet, and {soon}."
        return Verdict("keep_running", sentence, leading.arm, harm=_harm(leading))
    sentence = f"Cannot tell: after the planned {plan.design.days} days {words.open(leading)}."
    return Verdict("cannot_tell", sentence, leading.arm, harm=_harm(leading))


def _unless_open(best: Effect, told: str, guardrails: Sequence[Result], plan: Plan) -> Verdict:
    """Ship an arm that is better, once every guardrail is shown to hold for it: not broken is not enough."""
    open_ = [(best.arm, "open")]
    unsure = next(
        (each for each in guardrails for effect in each.effects if (effect.arm, effect.standing) in open_), None
    )
    if unsure is None:
        return Verdict("ship", f"Ship {best.arm}: {told}.", best.arm, harm=_harm(best))
    but = f"{told}, but it may still make {_lowered(unsure.label)} worse by more than the {_allowed(unsure)} allowed"
    if plan.over:
        return Verdict("cannot_tell", f"Cannot tell: {but}.", best.arm, harm=_harm(best))
    return Verdict("keep_running", f"Keep running: {but}.", best.arm, harm=_harm(best))


def staked(verdict: Verdict, effect: Effect | None, units_a_day: float) -> Verdict:
    """The verdict with what a year of this traffic would bring or cost; ``effect`` is of profit, or of revenue."""
    if effect is None or verdict.arm is None:
        return verdict
    year = units_a_day * YEAR
    interval = Interval(effect.interval.low * year, effect.interval.high * year)
    return Verdict(verdict.code, verdict.sentence, verdict.arm, verdict.harm, effect.absolute * year, interval)


def too_early(plan: Plan | None) -> Problem:
    """No look has passed yet, so that nothing may be told."""
    when = f" The first one is on {day(plan.next)}." if plan is not None and plan.next is not None else ""
    return Problem("too_early", f"No planned look has passed yet.{when}")


def _without_numbers(problem: Problem, plan: Plan) -> Verdict:
    if problem.code == "too_early" or (problem.code in {"too_few_units", "too_few_events"} and not plan.over):
        return Verdict("keep_running", f"Keep running: {_lowered(problem.message)}")
    return Verdict("cannot_tell", f"Cannot tell: {_lowered(problem.message)}")


class _Words:
    """Effects of one metric in words."""

    def __init__(self, result: Result, currency: str) -> None:
        self._result = result
        self._currency = currency

    def told(self, effect: Effect) -> str:
        """What an effect is, with its interval."""
        change = signed(effect.absolute, self._result.worth, self._currency)
        return f"{_lowered(self._result.label)} changes by {change} ({self._interval(effect)})"

    def open(self, effect: Effect) -> str:
        """What may still be."""
        return f"{effect.arm} may change {_lowered(self._result.label)} by anything {self._interval(effect)}"

    def _interval(self, effect: Effect) -> str:
        return range_of(effect.interval, self._result.worth, self._currency)


def _gain(result: Result, effect: Effect) -> float:
    return effect.absolute if result.better == "higher" else -effect.absolute


def _harm(effect: Effect) -> float | None:
    return None if effect.chance_better is None else 1 - effect.chance_better


def _allowed(guardrail: Result) -> str:
    return f"{(guardrail.margin or 0) * 100:g}%"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
