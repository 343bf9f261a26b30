"""A playbook's experiment as a question to the facts: every metric compiled, with the part it plays. Pure."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from cashwrap.analysis.question import Metric, Part, Question, Role, Worth
from cashwrap.declarations import (
    CONTROL,
    HOLDOUT,
    Declarations,
    DesignDecl,
    ExperimentDecl,
    Kind,
    MetricDecl,
    MetricKind,
    Unit,
)
from cashwrap.errors import InvalidInput
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.experiences import salt_of
from cashwrap.experiments import SHARES
from cashwrap.metrics import BUILT_IN, DESCRIPTIONS, derived_of, fields_of, measures
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook

PERSONALIZED = "personalized"
"""The arm of everybody whom the shop's holdout does not keep out."""
MAX_SEGMENTS = 50
"""Segments that effects are broken down by: the first ones of the playbook."""
ALWAYS = DesignDecl(method="always_valid", days=36_500, looks=1)
"""How the shop's holdout is read: it is there for good, so it has no last look and may be looked at every day."""
Assigned = Literal["shopper", "cart"]
_SHARES: frozenset[MetricKind] = frozenset({"proportion", "funnel"})


def ask(playbook: Playbook, experience: str, tenant: Tenant) -> Question:
    """What an experience's experiment asks, as this version of the playbook declares it.

    Raises ``InvalidInput``: ``no_such_experience``, ``no_experiment``, ``one_arm`` where there is nothing to compare.
    """
    declared = playbook.declarations.experiences.get(experience)
    if declared is None:
        close = get_close_matches(experience, playbook.declarations.experiences, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InvalidInput(f"The playbook has no experience {experience!r}{hint}", code="no_such_experience")
    experiment = declared.experiment
    if experiment is None:
        message = f"Experience {experience!r} has no experiment: everybody it is for sees it. Give it 'experiment'"
        raise InvalidInput(message, code="no_experiment")
    arms = {CONTROL: experiment.arms[CONTROL]} if CONTROL in experiment.arms else {}
    arms |= experiment.arms
    if sum(share > 0 for share in arms.values()) < 2:
        message = f"The experiment of {experience!r} has one arm that anybody is in, so there is nothing to compare"
        raise InvalidInput(message, code="one_arm")
    layer = playbook.declarations.layers.get(experiment.layer or "")
    unit = _unit(layer.unit if layer is not None else experiment.unit)
    return Question(
        experiment=experience,
        tenant=tenant,
        salt=salt_of(declared, experiment),
        placement=declared.placement,
        traffic=experiment.traffic[-1][1],
        arms=arms,
        unit=unit,
        metrics=_metrics(playbook, experiment, unit),
        design=experiment.design,
        currency=playbook.settings.currency,
        epochs=tuple(since for since, _ in experiment.traffic[1:]),
        rates=playbook.settings.rates,
        segments=tuple(playbook.declarations.segments)[:MAX_SEGMENTS],
        measures=_kinds(playbook.declarations, playbook.vocabulary),
    )


def ask_holdout(playbook: Playbook, tenant: Tenant) -> Question:
    """What all of personalization earned, against those whom the shop's holdout keeps out.

    Raises ``InvalidInput`` (``no_holdout``) where nobody is kept out.
    """
    holdout = playbook.settings.holdout
    if not 0 < holdout.share < SHARES:
        message = (
            "The playbook keeps nobody out, so nothing says what personalization as a whole brings. "
            "Write 'holdout: {share: 5%}' at the top of a file"
        )
        raise InvalidInput(message, code="no_holdout")
    return Question(
        experiment=HOLDOUT,
        tenant=tenant,
        salt="",
        arms={HOLDOUT: holdout.share, PERSONALIZED: SHARES - holdout.share},
        unit=_unit(holdout.unit),
        metrics=_metrics(playbook, ExperimentDecl({}, design=ALWAYS), _unit(holdout.unit)),
        design=ALWAYS,
        currency=playbook.settings.currency,
        rates=playbook.settings.rates,
        segments=tuple(playbook.declarations.segments)[:MAX_SEGMENTS],
        measures=_kinds(playbook.declarations, playbook.vocabulary),
    )


def _unit(unit: Unit) -> Assigned:
    return "cart" if unit[0] == "cart" else "shopper"


def _kinds(declared: Declarations, vocabulary: Vocabulary) -> Mapping[str, Kind]:
    events = {event for each in declared.metrics.values() for event in (*each.events, *each.per)}
    found = fields_of(events, vocabulary)
    return {name: found[name] for name in sorted(measures(declared.metrics)) if name in found}


# --- metrics ---


def _metrics(playbook: Playbook, experiment: ExperimentDecl, unit: Assigned) -> tuple[Metric, ...]:
    """The goal first, then what it must not harm, what it names, and what every experiment has."""
    names = dict.fromkeys((experiment.goal, *experiment.guardrails, *experiment.metrics, *BUILT_IN))
    return tuple(_metric(name, playbook, experiment, unit) for name in names)


def _metric(name: str, playbook: Playbook, experiment: ExperimentDecl, unit: Assigned) -> Metric:
    declared = BUILT_IN.get(name) or playbook.declarations.metrics.get(name)
    if declared is None:
        raise InvalidInput(f"There is no metric {name!r}", code="no_such_metric")
    funnel = declared.kind == "funnel"
    margin = experiment.guardrails.get(name)
    return Metric(
        name=name,
        label=_label(declared, unit),
        kind=declared.kind,
        role=_role(name, experiment),
        worth=_worth(declared, playbook.vocabulary),
        better=declared.better,
        window=declared.window if declared.window is not None else experiment.design.window,
        numerator=None if funnel else _numerator(declared),
        per=Part(declared.per, declared.per_of, declared.per_where) if declared.per else None,
        steps=declared.events if funnel else (),
        at=declared.at / SHARES if declared.at is not None else None,
        caps=(declared.caps[0] / SHARES, declared.caps[1] / SHARES) if declared.caps is not None else None,
        margin=margin / SHARES if margin is not None and name != experiment.goal else None,
    )


def _label(declared: MetricDecl, unit: Assigned) -> str:
    label = declared.description or declared.name.replace("_", " ")
    return label.replace("per shopper", f"per {unit}")


def _numerator(declared: MetricDecl) -> Part:
    once = declared.kind == "proportion"
    return Part(declared.events, declared.of, declared.where, once=once, unless=declared.unless)


def _role(name: str, experiment: ExperimentDecl) -> Role:
    if name == experiment.goal:
        return "primary"
    if name in experiment.guardrails:
        return "guardrail"
    return "description" if name in DESCRIPTIONS else "secondary"


def _worth(declared: MetricDecl, vocabulary: Vocabulary) -> Worth:
    """What its values are: a ratio of two amounts is a share, that of an amount to anything else an amount."""
    if declared.kind in _SHARES:
        return "share"
    if declared.kind == "time" or declared.of == "latency":
        return "milliseconds"
    above = _is_money(declared.of, declared.events, vocabulary)
    if declared.kind == "ratio" and above and _is_money(declared.per_of, declared.per, vocabulary):
        return "share"
    return "money" if above else "count"


def _is_money(of: str | None, events: tuple[str, ...], vocabulary: Vocabulary) -> bool:
    return of is not None and {**fields_of(events, vocabulary), **derived_of(events)}.get(of) == "money"
