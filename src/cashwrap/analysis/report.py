"""A report put together: START HERE for how facts become a verdict.

Which look it is -> the primary metric at every look so far -> its bounds -> every metric at the newest look -> what is
to be doubted -> the verdict, and beside it segments, ages, the way through the checkout, and how far it still is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from cashwrap.analysis import around, doubts
from cashwrap.analysis.comparing import Found, at_look, differences, discovered, told
from cashwrap.analysis.looks import Plan, critical, laid_out, spending
from cashwrap.analysis.question import JUDGED, Metric, Question
from cashwrap.analysis.results import ArmTally, Effect, Look, Point, Problem, Report, Result, Verdict
from cashwrap.analysis.results import Plan as Outlook
from cashwrap.analysis.statistics.compare import Difference, interval
from cashwrap.analysis.statistics.sequential import repeated_p
from cashwrap.analysis.units import FactTable, Units, gather
from cashwrap.analysis.verdict import staked, too_early, verdict
from cashwrap.experiments import SHARES
from cashwrap.model import Millis

Tallies = Mapping[str, int]
"""How many decisions servers made, by arm."""
_NO_TALLIES: Tallies = {}
Noted = Callable[[Sequence[str]], Sequence[Problem]]
"""Doubts that are not in the facts, given the releases that exposures came from: a design changed on the way, say."""


class Bounds(NamedTuple):
    """An arm's way through the looks: the primary metric at each, where it could be told, and the z that counted."""

    path: Sequence[Found]
    critical: Sequence[float]
    at: Callable[[float], float]
    """The z that would count at the newest look for another error."""

    def told(self) -> Iterator[tuple[int, Difference, float]]:
        """The looks that could tell: number from 0, difference and z."""
        for look, (found, bound) in enumerate(zip(self.path, self.critical, strict=True)):
            if isinstance(found, Difference):
                yield look, found, bound

    @property
    def crossed(self) -> int:
        """The sign of the effect at the newest look that crossed its bound; 0 where none did.

        Not at the first one: what helped while it was new may harm by now. Any crossing is false with the design's
        alpha at most, and so is the newest.
        """
        signs = [
            1 if found.absolute > 0 else -1 for _, found, z in self.told() if abs(found.absolute) > z * found.error
        ]
        return signs[-1] if signs else 0


def report(
    table: FactTable,
    question: Question,
    now: Millis,
    tallies: Tallies = _NO_TALLIES,
    noted: Noted = lambda _: (),
) -> Report:
    """Everything that can be said now about an experiment; what cannot is a ``Problem`` in its place."""
    units = gather(table, question, now)
    first = units.started()
    if first is None:
        return _nobody(table, question, now, units.sql)
    judged = max(each.window for each in question.metrics if each.role in JUDGED)
    design = replace(question.design, window=max(question.design.window, judged))
    return _told(units, question, laid_out(design, first, now), _Around(now, tallies, noted))


class _Around(NamedTuple):
    """What a report is made with beside facts and question."""

    now: Millis
    tallies: Tallies
    noted: Noted


def _told(units: Units, question: Question, plan: Plan, beside: _Around) -> Report:
    primary = _primary(question)
    if primary.kind != "quantile":
        units.ahead(primary.name, _asked(question, primary, plan, beside.now))
    bounds = _bounds(units, question, primary, plan)
    results = _results(units, question, plan, bounds)
    arms = _arms(units, question, beside.tallies)
    ratio = doubts.ratio_check(units, question)
    guardrails = [result for result in results if result.role == "guardrail"]
    found = [*beside.noted(units.playbooks()), *doubts.doubts(units, arms, ratio)]
    found += [*_faded(results[0], bounds), *doubts.untold(guardrails)]
    outlook = around.outlook(units, question, primary, plan, beside.now)
    shown = around.views(units, question, primary, plan)
    decided = verdict(results[0], guardrails, plan, found, question.currency)
    broken = any(effect.standing == "broken" for result in guardrails for effect in result.effects)
    paying = None if broken else _paying(results, decided.arm)  # what it earns is no reason to keep what it breaks
    return Report(
        experiment=question.experiment,
        tenant=question.tenant,
        currency=question.currency,
        made=beside.now,
        through=plan.moments[-1] if plan.moments else beside.now,
        started=plan.started,
        design=question.design,
        verdict=staked(decided, paying, outlook.units_a_day),
        doubts=tuple(found),
        look=_look(plan, bounds, beside.now),
        arms=arms,
        ratio=ratio,
        results=tuple(results),
        slices=shown.slices,
        heterogeneity=shown.heterogeneity,
        timeline=_timeline(plan, bounds),
        novelty=shown.novelty,
        funnel=shown.funnel,
        curves=shown.curves,
        plan=outlook,
        playbooks=units.playbooks(),
        sql=units.sql,
    )


def _asked(question: Question, primary: Metric, plan: Plan, now: Millis) -> Iterator[tuple[str | None, Millis]]:
    """What a report asks of the primary metric: every look by epoch, the newest by parts, and all there is today."""
    yield None, now
    for at in plan.moments:
        yield "epoch", at
    for dimension in around.dimensions(question, primary) if plan.moments else ():
        yield dimension, plan.moments[-1]


def _nobody(table: FactTable, question: Question, now: Millis, sql: Mapping[str, str]) -> Report:
    problem = Problem(
        "no_exposures",
        "No exposure of it has come back yet. See that it is live, that a page shows its placement, and that "
        "`cashwrap explain` finds it for a shopper who allows analytics.",
    )
    return Report(
        experiment=question.experiment,
        tenant=question.tenant,
        currency=question.currency,
        made=now,
        through=now,
        started=None,
        design=question.design,
        verdict=Verdict("cannot_tell", f"Cannot tell: {problem.message}"),
        doubts=(problem,),
        plan=_prospect(table, question, now),
        sql=sql,
    )


def _prospect(table: FactTable, question: Question, now: Millis) -> Outlook | None:
    """How long it will take, from who reaches the placement now."""
    if not question.placement:
        return None
    primary = _primary(question)
    reaching = replace(question, reaching=True, metrics=(primary,), segments=(), epochs=())
    return around.prospect(gather(table, reaching, now), question, primary, now)


def _primary(question: Question) -> Metric:
    return next(metric for metric in question.metrics if metric.role == "primary")


# --- looks ---


def _bounds(units: Units, question: Question, primary: Metric, plan: Plan) -> dict[str, Bounds]:
    """Each arm's way through the looks so far; a look that had too little to tell spent nothing."""
    treated = list(question.arms)[1:]
    looks = [differences(units, question, primary, at) for at in plan.moments]
    alpha = question.design.alpha / SHARES / len(treated)  # Bonferroni: a find in any arm is false as seldom as one
    bounds = {}
    for arm in treated if looks else ():
        path = [look[arm] for look in looks]
        information = [1 / found.error**2 if isinstance(found, Difference) else 0.0 for found in path]
        sizes = [sum(found.units) if isinstance(found, Difference) else 0 for found in path]
        z_of = partial(critical, plan, information, sizes)
        bounds[arm] = Bounds(path, z_of(alpha), partial(_newest, z_of))
    return bounds


def _newest(z_of: Callable[[float], Sequence[float]], alpha: float) -> float:
    return z_of(alpha)[-1]


def _look(plan: Plan, bounds: Mapping[str, Bounds], now: Millis) -> Look:
    return Look(
        number=len(plan.moments),
        of=plan.of,
        at=plan.moments[-1] if plan.moments else now,
        ends=plan.ends,
        next=plan.next,
        spent=spending(plan),
        critical=max((each.critical[-1] for each in bounds.values()), default=float("inf")),
    )


def _timeline(plan: Plan, bounds: Mapping[str, Bounds]) -> tuple[Point, ...]:
    return tuple(
        Point(arm, plan.moments[look], found.absolute, interval(found, bound), bound * found.error)
        for arm, each in bounds.items()
        for look, found, bound in each.told()
    )


def _faded(primary: Result, bounds: Mapping[str, Bounds]) -> list[Problem]:
    return [
        Problem(
            "faded",
            f"{effect.arm} crossed its bound at an earlier look and would not at this one; the verdict stands by the "
            "look that crossed, and the effect may be smaller than it seemed.",
        )
        for effect in primary.effects
        if bounds[effect.arm].crossed and effect.interval.low <= 0 <= effect.interval.high
    ]


# --- metrics ---


def _results(units: Units, question: Question, plan: Plan, bounds: Mapping[str, Bounds]) -> list[Result]:
    """Every metric at the newest look, the primary one first; secondary ones under false-discovery control."""
    ordered = sorted(question.metrics, key=lambda metric: metric.role != "primary")
    if not plan.moments:
        return [told(metric, problem=too_early(plan)) for metric in ordered]
    critical = {arm: each.critical[-1] for arm, each in bounds.items()}
    results = [at_look(units, question, metric, plan.moments[-1], critical) for metric in ordered]
    alpha, arms = question.design.alpha / SHARES, len(bounds)
    paid = {arm: partial(_paid, each, arms) for arm, each in bounds.items()}
    return [_crossed(results[0], bounds), *discovered(results[1:], paid, alpha)]


def _paid(bounds: Bounds, arms: int, effect: Effect) -> float:
    """The p of an effect on another metric that holds over all looks, and arms."""
    return min(1.0, repeated_p(effect.absolute / effect.error, bounds.at) * arms)


def _crossed(primary: Result, bounds: Mapping[str, Bounds]) -> Result:
    """The primary metric's effects, significant where a look crossed its bound and the effect still points there."""
    effects = [replace(each, significant=bounds[each.arm].crossed * each.absolute > 0) for each in primary.effects]
    return replace(primary, effects=tuple(effects))


# --- arms and money ---


def _arms(units: Units, question: Question, tallies: Tallies) -> tuple[ArmTally, ...]:
    found = {each.arm: each for each in units.arms()}
    seen = units.seen() if tallies else {}
    return tuple(
        ArmTally(
            arm=arm,
            share=share,
            units=found[arm].units if arm in found else 0,
            mature=found[arm].mature if arm in found else 0,
            tainted=found[arm].tainted if arm in found else 0,
            ghosts=found[arm].ghosts if arm in found else {},
            decided=tallies.get(arm),
            seen=seen.get(arm, 0) if arm in tallies else None,
        )
        for arm, share in question.arms.items()
    )


def _paying(results: Sequence[Result], arm: str | None) -> Effect | None:
    """The arm's effect on the first metric of money: the primary one, else profit, else revenue."""
    money = (result for result in results if result.worth == "money" and result.kind == "mean")
    return next((effect for result in money for effect in result.effects if effect.arm == arm), None)
