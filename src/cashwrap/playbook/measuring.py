"""What is wrong with how experiments are measured, as only the whole playbook can tell: events, fields, windows."""

from cashwrap.condition.check import check
from cashwrap.declarations import Condition, Declarations, ExperimentDecl, Kind, MetricDecl
from cashwrap.errors import ConditionError
from cashwrap.events.standard import EVENT_ALIASES
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.metrics import DESCRIPTIONS, NUMERIC, PROFIT, RENAMED, derived_of, environment_of, fields_of
from cashwrap.playbook.designs import DAY
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.places import Places


def check_metrics(declared: Declarations, vocabulary: Vocabulary, places: Places, digits: int) -> None:
    """Complain about events nobody sends, fields they do not have, and conditions over anything else."""
    for name, each in declared.metrics.items():
        checker = _Checker(name, declared, vocabulary, places, digits)
        checker.events((each.kind,), each.events)
        checker.events(("unless",), each.unless)
        checker.part(each.events, (each.of, each.where), ())
        if each.per:
            inside = "count" if each.per_of is None else "sum"
            checker.events(("per", inside), each.per)
            checker.part(each.per, (each.per_of, each.per_where), ("per",))


class _Checker:
    """One metric, and where it stands."""

    def __init__(self, name: str, declared: Declarations, vocabulary: Vocabulary, places: Places, digits: int) -> None:
        self.path = ("metrics", name)
        self.settings = declared.settings
        self.vocabulary = vocabulary
        self.places = places
        self.digits = digits

    def events(self, keys: tuple[str, ...], events: tuple[str, ...]) -> None:
        for event in events:
            if event not in self.vocabulary.events:
                alias = EVENT_ALIASES.get(event)
                hint = f"; it is called {alias!r} here" if alias else ""
                hint = hint or self.places.faults.did_you_mean(event, self.vocabulary.events)
                spot = self.places.value_spot(*self.path, *keys)
                message = f"{event!r} is not an event{hint or '; declare it under events'}"
                self.places.faults.error(spot, "unknown_event", message)

    def part(
        self, events: tuple[str, ...], measured: tuple[str | None, Condition | None], keys: tuple[str, ...]
    ) -> None:
        fields = fields_of(events, self.vocabulary)
        if not fields:
            return  # its events are unknown, which was said already
        of, where = measured
        if of is not None:
            self.of(of, {**fields, **derived_of(events)}, (*self.path, *keys, "of"))
        if where is not None:
            try:
                check(where.text, environment_of(fields, self.settings, self.digits))
            except ConditionError as error:
                self.places.condition(error, *self.path, *keys, "where")

    def of(self, name: str, fields: dict[str, Kind], path: tuple[str, ...]) -> None:
        numeric = {field for field, kind in fields.items() if kind in NUMERIC}
        if name in numeric:
            return
        spot, column = self.places.value_spot(*path), RENAMED.get(name)
        if column in numeric:
            message = f"{name!r} is called {column!r} here: an event's total, else its revenue, else its value"
        elif name in fields:
            message = f"{name!r} is no number, so it cannot be summed"
        else:
            hint = self.places.faults.did_you_mean(name, numeric) or f"; they have {', '.join(sorted(numeric))}"
            message = f"these events have no {name!r} to sum{hint}"
        self.places.faults.error(spot, "unknown_field", message)


def check_designs(declared: Declarations, places: Places) -> None:
    """Complain about metrics that would still be running when the design counts them."""
    for name, experience in declared.experiences.items():
        if experience.experiment is None:
            continue
        design = experience.experiment.design
        for metric in named(experience.experiment, declared):
            if metric.window is not None and metric.window > design.window + design.maturity:
                message = (
                    f"{metric.name!r} counts for {metric.window // DAY} days after an exposure, the design waits for "
                    f"{(design.window + design.maturity) // DAY}: give it a longer 'maturity'"
                )
                below = ("design",) if places.find("experiences", name, "experiment", "design") else ()
                spot = places.spot("experiences", name, "experiment", *below)
                places.faults.error(spot, "bad_design", message)
    used = {
        metric.name
        for experience in declared.experiences.values()
        if experience.experiment is not None
        for metric in named(experience.experiment, declared)
    }
    for name, metric in declared.metrics.items():
        if name not in used:
            places.faults.warn(metric.spot, "unused_metric", f"no experiment is measured by metric {name!r}")


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
