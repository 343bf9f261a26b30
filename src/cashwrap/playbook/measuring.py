"""What is wrong with how experiments are measured, as only the whole playbook can tell: events, fields, windows."""

import re
from collections.abc import Mapping

from cashwrap.condition.check import ConditionErrors, check
from cashwrap.declarations import Condition, Declarations, ExperimentDecl, Kind, MetricDecl, Settings
from cashwrap.errors import ConditionError
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.metrics import DESCRIPTIONS, NUMERIC, PROFIT, RENAMED, derived_of, environment_of, fields_of
from cashwrap.playbook import features
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.places import Places

_WORD = re.compile(r"[A-Za-z_]\w*")


def check_metrics(declared: Declarations, vocabulary: Vocabulary, places: Places, digits: int) -> None:
    """Complain about events nobody sends, fields they do not have, and conditions over anything else."""
    checker = _Checker(declared.settings, vocabulary, places, digits)
    for name, each in declared.metrics.items():
        path, inside = ("metrics", name), ("per", "count" if each.per_of is None else "sum")
        features.check_events(each.events, vocabulary, places, *path, each.kind)
        features.check_events(each.unless, vocabulary, places, *path, "unless")
        features.check_events(each.per, vocabulary, places, *path, *inside)
        checker.part(each.events, each.of, each.where, path)
        checker.part(each.per, each.per_of, each.per_where, (*path, "per"))


class _Checker:
    def __init__(self, settings: Settings, vocabulary: Vocabulary, places: Places, digits: int) -> None:
        self.settings = settings
        self.vocabulary = vocabulary
        self.places = places
        self.digits = digits

    def part(self, events: tuple[str, ...], of: str | None, where: Condition | None, path: tuple[str, ...]) -> None:
        """What is summed up over these events, as it stands under ``path``."""
        fields = fields_of(events, self.vocabulary)
        if not fields:
            return  # its events are unknown, which was said already
        if of is not None:
            self.of(of, {**fields, **derived_of(events)}, (*path, "of"))
        if where is not None:
            try:
                check(where.text, environment_of(fields, self.settings, self.digits))
            except ConditionError as error:
                for each in error.errors if isinstance(error, ConditionErrors) else (error,):
                    self.explain(each, where.text, events, fields)
                self.places.condition(error, *path, "where")

    def of(self, name: str, fields: Mapping[str, Kind], path: tuple[str, ...]) -> None:
        numeric = {field for field, kind in fields.items() if kind in NUMERIC}
        if name in numeric:
            return
        column = RENAMED.get(name)
        if column in numeric:
            message = f"{name!r} is called {column!r} here: an event's total, else its revenue, else its value"
        elif name in fields:
            message = f"{name!r} is no number, so it cannot be summed"
        else:
            hint = self.places.faults.did_you_mean(name, numeric) or f"; they have {', '.join(sorted(numeric))}"
            message = f"these events have no {name!r} to sum{hint}"
        self.places.faults.error(self.places.value_spot(*path), "unknown_field", message)

    def explain(self, error: ConditionError, text: str, events: tuple[str, ...], fields: Mapping[str, Kind]) -> None:
        """Say of a name that the events have and facts have not what became of it."""
        found = _WORD.match(text[error.offset :])
        if error.code != "unknown_attribute" or found is None:
            return
        word, column = found[0], RENAMED.get(found[0])
        if column in fields:
            error.hint = f"it is called {column} here"
        elif word in features.fields_of(events, self.vocabulary):
            error.hint = "an event's own texts and lists are not kept for analysis; declare a number"


def check_designs(declared: Declarations, places: Places) -> None:
    """Complain about metrics that would still be running when the design counts them."""
    for name, experience in declared.experiences.items():
        if experience.experiment is None:
            continue
        design = experience.experiment.design
        for metric in named(experience.experiment, declared):
            if metric.window is not None and metric.window > design.window + design.maturity:
                message = (
                    f"{metric.name!r} counts for longer after an exposure than the design waits, which is its window "
                    "and maturity: give the design a longer 'maturity'"
                )
                below = ("design",) if places.find("experiences", name, "experiment", "design") else ()
                spot = places.spot("experiences", name, "experiment", *below)
                places.faults.error(spot, "bad_design", message)


def unused_metrics(declared: Declarations) -> list[MetricDecl]:
    """The shop's own metrics that no experiment is measured by."""
    used = {
        metric.name
        for experience in declared.experiences.values()
        if experience.experiment is not None
        for metric in named(experience.experiment, declared)
    }
    return [metric for name, metric in declared.metrics.items() if name not in used]


def named(experiment: ExperimentDecl, declared: Declarations) -> list[MetricDecl]:
    """The shop's own metrics that an experiment names, each once."""
    names = dict.fromkeys((experiment.goal, *experiment.metrics, *experiment.guardrails))
    return [declared.metrics[name] for name in names if name in declared.metrics]


def lint_measured(name: str, experiment: ExperimentDecl, declared: Declarations, faults: Faults) -> None:
    """Warn of what contradicts itself, and of an end that nobody planned."""
    spot = declared.experiences[name].spot
    if experiment.goal in experiment.guardrails:
        message = f"{experiment.goal!r} is the goal of {name!r} and a guardrail too; the verdict is about the goal"
        faults.warn(spot, "guardrail_is_goal", message)
    if experiment.goal in DESCRIPTIONS:
        message = (
            f"{experiment.goal!r} looks only at those who ordered, and {name!r} may change who does; "
            f"take {PROFIT!r} or 'revenue' as its goal"
        )
        faults.warn(spot, "goal_describes", message)
