"""Who takes part: every unit once, in the arm of its first exposure, with what was known of it then."""

from collections.abc import Mapping

import ibis  # type: ignore[import-untyped]

from cashwrap.analysis.facts import DAY, Table, Value
from cashwrap.analysis.question import Question
from cashwrap.declarations import HOLDOUT
from cashwrap.model import Millis

VIEWED = "Experience Viewed"
PERSONALIZED = "personalized"
"""The arm, beside the shop's holdout, of everybody who is not in it."""
ASSIGNED = ("shown", "control", "holdout")
"""Outcomes of exposures that went as assigned; any other is a ghost's: something kept it back."""
LATELY: Millis = 56 * 86_400_000
"""How far back it counts who reaches a placement before an experiment begins."""
_KNOWN = ("device", "country", "browser", "level", "placement", "playbook", "mask", "segments", "propensity")
Epochs = Mapping[str, int]
"""The releases, each with how often the arms' shares had changed before it."""


def of_tenant(facts: Table, question: Question) -> Table:
    """The facts of the question's store and environment."""
    tenant = question.tenant
    return facts.filter(facts.store == tenant.store, facts.environment == tenant.environment)


def exposures(facts: Table, question: Question, through: Millis) -> Table:
    """The question's exposures up to a moment, flagged ones too, with ``unit`` and ``arm``.

    The headline asks of any exposure whether the shop's holdout made it; an experiment has those that name it, in an
    arm that it declares: its own holdout, and the shop's, are no arms of it. Where the clock was off, the moment that
    the exposure came in is the one that counts.
    """
    rows = of_tenant(facts, question)
    rows = rows.filter(rows.event == VIEWED)
    rows = rows.mutate(time=ibis.ifelse(skewed(rows), rows.received, rows.time), skewed=skewed(rows))
    rows = rows.filter(rows.time <= through)
    if question.reaching:
        rows = rows.filter(rows.placement == question.placement, rows.time > through - LATELY)
        arm = ibis.literal(next(iter(question.arms)))
    elif question.salt:
        rows = rows.filter(rows.experiment == question.salt, rows.outcome != HOLDOUT)
        rows = rows.filter(rows.variation.isin(list(question.arms)))
        arm = rows.variation
    else:
        held = (rows.held == "shop").fill_null(False)  # noqa: FBT003 - ibis
        arm = ibis.ifelse(held, HOLDOUT, PERSONALIZED)
        rows = rows.mutate(propensity=ibis.ifelse(held, rows.propensity, ibis.null("int16")))  # others' is an arm's
    named = ("time", "received", "decision", "outcome", "flags", "skewed", *_KNOWN)
    return rows.select(*named, unit=unit_of(rows, question), arm=arm)


def skewed(rows: Table) -> Value:
    """Whether a fact's clock must be off: no token is good for longer than a day, so nothing may come in later."""
    return ((rows.received > 0) & ((rows.received - rows.time).abs() > DAY)).fill_null(False)  # noqa: FBT003 - ibis


def unit_of(rows: Table, question: Question) -> Value:
    """Who a fact is about."""
    return rows.cart if question.unit == "cart" else rows.analytic_id


def exposed(rows: Table) -> Table:
    """One row per unit of ``exposures``: the first one, and whether it saw another arm as well.

    The first one by time, then receipt and decision; what is left of ties is told apart by arm and outcome, so that the
    same facts are always the same units.
    """
    rows = rows.filter(rows.flags == 0, rows.unit.notnull())
    first = ibis.struct({"arm": rows.arm, "outcome": rows.outcome, **{name: rows[name] for name in _KNOWN}})
    order = {"time": rows.time, "received": rows.received.fill_null(0), "decision": rows.decision.fill_null("")}
    key = ibis.struct({**order, "arm": rows.arm, "outcome": rows.outcome.fill_null("")})
    units = rows.group_by("unit").agg(
        exposed=rows.time.min(),
        first=first.argmin(key),
        tainted=rows.arm.min() != rows.arm.max(),
    )
    known = {name: units.first[name] for name in ("arm", *_KNOWN)}
    outcome = units.first["outcome"]
    return units.select(
        "unit",
        "exposed",
        "tainted",
        **known,
        ghost=ibis.ifelse(outcome.isin(ASSIGNED), ibis.null(str), outcome),
    )


# --- epochs ---


def shares(units: Table) -> Table:
    """How often each release gave an arm with which chance, and since when."""
    return units.group_by("playbook", "arm", "propensity").agg(units=units.count(), since=units.exposed.min())


def epochs_of(found: list[tuple[str | None, str, int | None, int, Millis]]) -> tuple[Epochs, list[dict[str, int]]]:
    """From the rows of ``shares``: the releases by epoch, and each epoch's chances by arm.

    A release begins a new epoch where an arm has another chance than before. Where experiences are drawn by weight,
    a release gives an arm several chances; the most frequent one speaks for it.
    """
    releases: dict[str, dict[str, tuple[int, int]]] = {}
    begun: dict[str, Millis] = {}
    for release, arm, propensity, units, since in found:
        name = release or ""
        begun[name] = min(since, begun.get(name, since))
        if propensity is not None:
            arms = releases.setdefault(name, {})
            arms[arm] = max(arms.get(arm, (0, 0)), (units, propensity))
    epochs: dict[str, int] = {}
    chances: list[dict[str, int]] = [{}]
    for name in sorted(begun, key=lambda name: (begun[name], name)):
        mine = {arm: propensity for arm, (_, propensity) in releases.get(name, {}).items()}
        if any(chances[-1].get(arm, chance) != chance for arm, chance in mine.items()):
            chances.append({})
        chances[-1].update(mine)
        epochs[name] = len(chances) - 1
    return epochs, chances


def epoch(units: Table, question: Question, epochs: Epochs) -> Value:
    """A unit's epoch: those that releases made, each cut where the share of traffic changed."""
    changed = [(release, number) for release, number in epochs.items() if number]
    release = units.playbook.fill_null("").cases(*changed, else_=0) if changed else ibis.literal(0)
    steps = [(units.exposed >= at).cast("int64") for at in question.epochs]
    return sum(steps, release.cast("int64") * (len(steps) + 1))
