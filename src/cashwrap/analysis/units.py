"""From facts to units, and from units to moments: what the statistics are given.

``gather`` works out one row per unit, once; everything a report asks after that is asked of those rows. Each step is
an Ibis expression, and the SQL it becomes is kept, in the order in which an analyst would run it.
"""

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations_with_replacement
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import ibis  # type: ignore[import-untyped]
import numpy as np
from msgspec import Struct

from cashwrap.analysis.exposed import Epochs, epoch, epochs_of, exposed, exposures, shares
from cashwrap.analysis.facts import DAY, FactTable, Table, Value, quoted, to_sql
from cashwrap.analysis.measure import Need, Wanted, after, measured, needs, read_by, step_name
from cashwrap.analysis.orders import horizon, orders, reports
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.analysis.results import Interval
from cashwrap.analysis.statistics.compare import NoAnswer
from cashwrap.analysis.statistics.moments import Moments, moments
from cashwrap.analysis.statistics.quantiles import Quantile, ranks
from cashwrap.analysis.statistics.ratio import Day
from cashwrap.analysis.statistics.survival import Ends
from cashwrap.errors import CashwrapError
from cashwrap.experiments import SHARES
from cashwrap.metrics import ORDER
from cashwrap.model import Millis, Purpose

__all__ = ["ArmCount", "FactTable", "Units", "gather"]

COVARIATES = ("cart_before", "mobile", "events_before", "spent_before")
"""What is known of a unit at its exposure, or before."""
QUIET: Millis = 30 * 60_000
"""Without anything for this long, a checkout is abandoned."""
_ONE: Value = ibis.literal(1.0, "float64")
UNKNOWN = "unknown"
"""The group of units of which nobody knows."""
_DIMENSIONS = {"browser": "browser", "consent": "mask", "step": "placement", "release": "playbook"}


class ArmCount(Struct, frozen=True):
    """An arm's units: see ``results.ArmTally``."""

    arm: str
    units: int
    mature: int
    tainted: int
    ghosts: Mapping[str, int]


class _Kept(Struct, frozen=True):
    """What was worked out once, as temporary tables."""

    exposures: Table
    units: Table
    reports: Table
    orders: Table
    chances: Sequence[Mapping[str, int]]
    """Each arm's chance of 10,000, as releases had it, by the epochs that releases made."""


def gather(table: FactTable, question: Question, through: Millis) -> "Units":
    """Work out a question's units from the facts up to a moment.

    Raises ``ConditionErrors`` for a metric's condition that cannot be read.
    """
    suffix = table.suffix()
    sql = {"facts": table.sql}

    def keep(name: str, expression: Table) -> Table:
        kept, sql[name] = table.keep(f"{name}{suffix}", expression)
        return kept

    seen = keep("exposures", exposures(table.facts, question, through))
    first = keep("exposed", exposed(seen))
    epochs, chances = epochs_of(table.rows(shares(first)))
    columns = _read_of_orders(question)
    reported = keep("reports", reports(table.facts, question, through, columns))
    book = keep("orders", orders(reported, first, question, columns))
    units = keep("units", _measured(table.facts, first, book, _Asked(question, through, epochs)))
    return Units(table, question, through, _Kept(seen, units, reported, book, chances), sql)


def units_of(facts: Table, question: Question, through: Millis, epochs: Epochs) -> Table:
    """One row per unit, as one expression over the facts: what ``gather`` works out step by step."""
    first = exposed(exposures(facts, question, through))
    columns = _read_of_orders(question)
    book = orders(reports(facts, question, through, columns), first, question, columns)
    return _measured(facts, first, book, _Asked(question, through, epochs))


class _Asked(NamedTuple):
    question: Question
    through: Millis
    epochs: Epochs


def _read_of_orders(question: Question) -> set[str]:
    parts = [part for metric in question.metrics for part in (metric.numerator, metric.per) if part is not None]
    return read_by(part for part in parts if ORDER in part.events)


def _measured(facts: Table, first: Table, book: Table, asked: _Asked) -> Table:
    question, through, epochs = asked
    funnels = [metric for metric in question.metrics if metric.kind == "funnel"]
    wanted = Wanted(needs(question.metrics), funnels, active=question.design.window, known=True)
    units = first.mutate(epoch=epoch(first, question, epochs))
    return measured(units, after(facts, first, question, through, wanted), book, question, wanted)


class Units:
    """The units of a question, to be asked for counts and moments.

    ``sql`` has the statements that made them and that answered, by what they answer; run in order they give the same
    figures. Only units count whose time was over at ``through``: window and maturity of the metric after the exposure.
    """

    def __init__(self, table: FactTable, question: Question, through: Millis, kept: _Kept, sql: dict[str, str]) -> None:
        self.sql: Mapping[str, str] = sql
        self.through = through
        self._sql = sql
        self._table = table
        self._question = question
        self._kept = kept
        self._units = kept.units
        self._metrics = {metric.name: metric for metric in question.metrics}
        self._funnels: dict[tuple[str, ...], Table] = {}
        self._answers: dict[tuple[str, str | None, Millis, tuple[str, ...]], dict[tuple[str, str], Moments]] = {}
        self._caps: dict[tuple[str, Millis], Interval | None] = {}
        self.covariates = self._varying()
        """What units differ in, of what was known of them at the exposure."""

    # --- who takes part ---

    def arms(self) -> list[ArmCount]:
        """Every arm of the question, the control first."""
        rows = self._units
        over = rows.exposed <= self._last(self._question.design.window, self.through)
        counted = rows.group_by("arm", "ghost").agg(
            units=rows.count(), mature=rows.count(where=over), tainted=rows.count(where=rows.tainted)
        )
        counts = self._rows("arms", counted)
        found = []
        for arm in self._question.arms:
            mine = [row for row in counts if row[0] == arm]
            ghosts = {row[1]: row[2] for row in sorted(mine, key=str) if row[1] is not None}
            units, mature, tainted = (sum(row[place] for row in mine) for place in (2, 3, 4))
            found.append(ArmCount(arm, units, mature, tainted, ghosts))
        return found

    def started(self) -> Millis | None:
        """When the first unit was exposed."""
        ((first,),) = self._table.rows(self._units.agg(first=self._units.exposed.min()))
        return None if first is None else int(first)

    def playbooks(self) -> tuple[str, ...]:
        """The releases that first exposures came from."""
        named = self._units.filter(self._units.playbook.notnull())
        return tuple(sorted(row[0] for row in self._table.rows(named.select("playbook").distinct())))

    def seen(self) -> dict[str, int]:
        """Decisions that came back as exposures, by arm."""
        rows = self._kept.exposures
        rows = rows.filter(rows.flags == 0)
        return dict(self._rows("decisions seen", rows.group_by("arm").agg(decisions=rows.decision.nunique())))

    def days(self) -> list[Day]:
        """Units by day and epoch of their exposure, with the shares that the arms had then."""
        units = self._units
        grouped = units.group_by("epoch", "arm", day=units.exposed // DAY).agg(units=units.count())
        counts: dict[tuple[int, int], dict[str, int]] = {}
        for number, arm, day, count in self._rows("units by day", grouped):
            counts.setdefault((day, number), dict.fromkeys(self._question.arms, 0))[arm] = count
        return [Day(found, self._shares(number)) for (_, number), found in sorted(counts.items())]

    def _shares(self, number: int) -> Mapping[str, int]:
        """What each arm ought to get in an epoch: as its release said, where that is known of all arms but one."""
        declared = self._question.arms
        chances = self._kept.chances[number // (len(self._question.epochs) + 1)]
        missing = [arm for arm in declared if arm not in chances]
        found = {arm: chances.get(arm, SHARES - sum(chances.values())) for arm in declared}
        whole = sum(found.values()) == SHARES and min(found.values()) >= 0
        return found if len(missing) <= 1 and whole else declared

    def breakdown(self) -> dict[str, dict[str, dict[str, int]]]:
        """Units by browser, consent, step (the placement) and release at their first exposure, then by arm."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for dimension, column in _DIMENSIONS.items():
            grouped = self._units.group_by(column, "arm").agg(units=self._units.count())
            values = found[dimension] = {}
            for value, arm, count in self._rows(f"units by {dimension}", grouped):
                name = _consent(value) if column == "mask" else value or UNKNOWN
                values.setdefault(name, {})[arm] = count
        return found

    def trouble(self) -> dict[str, int]:
        """What is wrong with facts, counted: see ``doubts``."""
        seen, final = self._kept.exposures, self._final()
        early = (final.age < 0) & (final.age >= -DAY)
        counted = {
            "flagged_exposures": seen.agg(n=seen.count(where=seen.flags != 0)),
            "skewed_exposures": seen.agg(n=seen.count(where=seen.skewed)),
            "exposures_without_unit": seen.agg(n=seen.count(where=seen.unit.isnull())),
            "orders_before_exposure": final.agg(n=final.count(where=early)),
            "duplicate_orders": final.agg(n=final.count(where=(final.reports > 1) & (final.age >= 0))),
            "orders_without_rate": final.agg(n=final.count(where=final.factor.isnull() & (final.age >= 0))),
            "refunds_without_order": self._loose_refunds(),
            "negative_units": self._negative(final),
        }
        return {name: int(self._rows(name.replace("_", " "), query)[0][0]) for name, query in counted.items()}

    def _final(self) -> Table:
        """The orders as they were when nothing about them counts any more."""
        book = self._kept.orders
        return book.filter(book.horizon == horizon(self._question.design.window, self._question))

    def _loose_refunds(self) -> Table:
        """Refunds of units that take part, of orders that nobody reported."""
        rows = self._kept.reports
        placed = rows.event.isin(["Order Completed", "Order Updated"])
        named = rows.group_by("order").agg(placed=placed.any(), refunds=(~placed).sum(), unit=rows.unit.min())
        loose = named.filter(~named.placed).semi_join(self._units, "unit")
        return loose.agg(n=loose.refunds.sum().fill_null(0))

    def _negative(self, final: Table) -> Table:
        """Units that gave back more than they bought."""
        mine = final.filter(final.stands, final.age >= 0, final.age <= self._question.design.window)
        sums = mine.group_by("unit").agg(net=mine.net.sum())
        return sums.agg(n=sums.count(where=sums.net < 0))

    # --- moments ---

    def moments(
        self, metric: str, *, by: str | None = None, through: Millis | None = None, covariates: bool = True
    ) -> dict[tuple[str, str], Moments]:
        """A metric's moments by arm and group, over units whose time was over at ``through``.

        Largest first. ``by`` is ``epoch``, ``device``, ``country``, ``browser``, ``level`` or ``segment:NAME`` (groups
        ``in`` and ``out``); without it the only group is ``""``. A funnel's numerator is who took the last step, its
        denominator who took the first.
        """
        names = self.covariates if covariates else ()
        asked = metric, by, self.through if through is None else through, names
        if asked not in self._answers:
            rows = self._valued(self._metrics[metric], through)
            values = rows.select("arm", "num", "den", *names, group=self._group(rows, by))
            label = f"moments of {metric}" + (f" by {by}" if by else "")
            self._answers[asked] = self._moments(label, values, ["num", "den", *names])
        return self._answers[asked]

    def moments_by_age(self, metric: str, days: int) -> dict[tuple[str, int], Moments]:
        """A metric's moments by arm and day after the exposure, of that day's outcome alone, over the units whose day
        is over. No day is later than the metric's window; covariates are left out."""
        asked = self._metrics[metric]
        days = min(days, asked.window // DAY)
        wanted = Wanted([*_daily(asked, asked.numerator, "num", days), *_daily(asked, asked.per, "den", days)])
        first = self._units.select("unit", "exposed", "arm")
        rows = after(self._table.facts, first, self._question, self.through, wanted)
        kept = self._keep(f"{metric} by age", measured(first, rows, self._kept.orders, self._question, wanted))
        found: dict[tuple[str, int], Moments] = {}
        for day in range(days):
            over = kept.filter(kept.exposed <= self.through - (day + 1) * DAY)
            den = over[f"den_{day}"] if asked.per is not None else _ONE
            values = over.select("arm", group=ibis.literal(""), num=over[f"num_{day}"], den=den)
            part = self._moments(f"moments of {metric} on day {day}", values, ["num", "den"])
            found |= {(arm, day): each for (arm, _), each in part.items()}
        return found

    def _moments(self, label: str, rows: Table, names: Sequence[str]) -> dict[tuple[str, str], Moments]:
        pairs = list(combinations_with_replacement(range(len(names)), 2))
        means = {f"mean_{name}": rows[name].mean() for name in names}
        covs = {f"cov_{names[i]}_{names[j]}": rows[names[i]].cov(rows[names[j]], how="sample") for i, j in pairs}
        grouped = rows.group_by("arm", "group").agg(n=rows.count(), **means, **covs)
        found = {}
        for arm, group, n, *values in self._rows(label, grouped.order_by(ibis.desc("n"))):
            cov = np.zeros((len(names), len(names)))
            for (i, j), value in zip(pairs, values[len(names) :], strict=True):
                cov[i, j] = cov[j, i] = value or 0.0
            found[arm, group] = moments(n, np.array(values[: len(names)]), cov)
        return found

    def caps(self, metric: str, through: Millis | None = None) -> Interval | None:
        """What a metric's values are capped at: the values at both of its quantiles, of all arms together."""
        asked = metric, self.through if through is None else through
        if asked not in self._caps:
            self._caps[asked] = self._found_caps(self._metrics[metric], through)
        return self._caps[asked]

    def _found_caps(self, metric: Metric, through: Millis | None) -> Interval | None:
        if metric.caps is None:
            return None
        rows = self._raw(metric, through)
        ((n,),) = self._table.rows(rows.agg(n=rows.count()))
        if not n:
            return None
        places = [min(n, max(1, ceil(n * share - 1e-9))) for share in metric.caps]
        ordered = rows.select("num", place=ibis.row_number().over(ibis.window(order_by=rows.num)) + 1)
        chosen = ordered.filter(ordered.place.isin(places)).select("place", "num")
        found = dict(self._rows(f"caps of {metric.name}", chosen))
        return Interval(found[places[0]], found[places[1]])

    def quantile(self, metric: str, through: Millis | None = None) -> dict[str, Quantile]:
        """A metric's quantile by arm, with the ends of its interval: not numbers where an arm has too few units."""
        asked = self._metrics[metric]
        at = asked.at if asked.at is not None else 0.5
        rows = self._valued(asked, through)
        sizes = dict(self._table.rows(rows.group_by("arm").agg(n=rows.count())))
        ordered = rows.select(
            "arm", "num", place=ibis.row_number().over(ibis.window(group_by=rows.arm, order_by=rows.num)) + 1
        )
        places = {arm: _ranks(n, at) for arm, n in sizes.items()}
        asked_for = [(ordered.arm == arm) & ordered.place.isin(list(each)) for arm, each in places.items() if each]
        found: dict[tuple[str, int], float] = {}
        if asked_for:
            chosen = ordered.filter(reduce(operator.or_, asked_for)).select("arm", "place", "num")
            found = {(arm, place): num for arm, place, num in self._rows(f"quantiles of {metric}", chosen)}
        nothing = float("nan")
        return {
            arm: Quantile(sizes[arm], at, *(found.get((arm, place), nothing) for place in _value_first(each)))
            for arm, each in places.items()
        }

    def _valued(self, metric: Metric, through: Millis | None) -> Table:
        """Units whose time is over, with ``num`` and ``den``, within the metric's caps."""
        rows = self._raw(metric, through)
        caps = self.caps(metric.name, through)
        return rows if caps is None else rows.mutate(num=rows.num.clip(*caps))

    def _raw(self, metric: Metric, through: Millis | None) -> Table:
        units = self._units
        rows = units.filter(units.exposed <= self._last(metric.window, self.through if through is None else through))
        if metric.kind == "funnel":
            first, last = (rows[step_name(metric, step)] for step in (0, len(metric.steps) - 1))
            return rows.mutate(num=last.notnull().cast("float64"), den=first.notnull().cast("float64"))
        num = rows[f"of_{metric.name}"]
        den = rows[f"per_{metric.name}"] if metric.per is not None else _ONE
        if metric.kind != "quantile":
            return rows.mutate(num=num, den=den)
        rows = rows.mutate(num=num / den.nullif(0), den=_ONE)  # an average of the unit's own, with ``per``
        return rows.filter(rows.num.notnull())

    def _group(self, rows: Table, by: str | None) -> Value:
        if by is None:
            return ibis.literal("")
        if by == "epoch":
            return rows.epoch.cast("string")
        kind, _, name = by.partition(":")
        if kind == "segment":
            return ibis.ifelse(rows.segments.contains(name).fill_null(False), "in", "out")  # noqa: FBT003 - ibis
        return rows[by].fill_null(UNKNOWN)

    # --- the way through the checkout ---

    def funnel(self, steps: str | Sequence[str], through: Millis | None = None) -> dict[str, tuple[int, ...]]:
        """By arm: the units that took the first step, the second one at or after it, and so on, within the window.

        ``steps`` are those, or a metric's name. A step is an event, or ``Checkout Step Viewed: payment`` for one of a
        checkout's own.
        """
        metric = self._metrics[steps] if isinstance(steps, str) else self._funnel_metric(tuple(steps))
        rows = self._steps(metric)
        rows = rows.filter(rows.exposed <= self._last(metric.window, self.through if through is None else through))
        taken = {f"step_{number}": rows[step_name(metric, number)].count() for number in range(len(metric.steps))}
        grouped = rows.group_by("arm").agg(**taken)
        return {arm: tuple(counts) for arm, *counts in self._rows(f"funnel {' > '.join(metric.steps)}", grouped)}

    def _funnel_metric(self, steps: tuple[str, ...]) -> Metric:
        for metric in self._question.metrics:
            if metric.kind == "funnel" and metric.steps == steps:
                return metric
        window = self._question.design.window
        return Metric("asked", "", "funnel", "description", "count", "higher", window, steps=steps)

    def _steps(self, metric: Metric) -> Table:
        """Units with when they took each step."""
        if self._metrics.get(metric.name) is metric:
            return self._units
        if metric.steps not in self._funnels:
            wanted = Wanted(funnels=[metric])
            first = self._units.select("unit", "exposed", "arm")
            rows = after(self._table.facts, first, self._question, self.through, wanted)
            found = measured(first, rows, self._kept.orders, self._question, wanted)
            self._funnels[metric.steps] = self._keep(f"steps {len(self._funnels)}", found)
        return self._funnels[metric.steps]

    def completions(self, bins: int) -> dict[str, Ends]:
        """How units ended within the design's window after their exposure, by arm, in so many steps of time.

        Who ordered has completed, at the first order that stands. Whoever did not, and had time enough to, abandoned at
        the last thing done in the checkout; unless that was just before the end: then it is still open, as is whoever
        was exposed too short a time ago to tell (censored when watching ended).
        """
        rows = self._ended(-(-self._question.design.window // bins))
        grouped = rows.group_by("arm", "time").agg(
            units=rows.count(),
            completed=rows.count(where=rows.end == "completed"),
            abandoned=rows.count(where=rows.end == "abandoned"),
            censored=rows.count(where=rows.end == "open"),
        )
        found: dict[str, list[tuple[int, ...]]] = {}
        for arm, *row in self._rows("completions", grouped.order_by("time")):
            found.setdefault(arm, []).append(tuple(row))
        ended = {}
        for arm, each in found.items():
            times, units, *counts = (list(column) for column in zip(*each, strict=True))
            ended[arm] = Ends(sum(units), times, *counts)
        return ended

    def _ended(self, step: Millis) -> Table:
        """Units with how they ended, and when after the exposure, rounded up to whole steps."""
        window, units = self._question.design.window, self._units
        final = self._final()
        final = final.filter(final.stands, final.age >= 0, final.age <= window)
        rows = units.left_join(final.group_by("unit").agg(done=final.age.min()), "unit")
        watched = ibis.least(self.through - rows.exposed, window)
        left = (watched == window) & (rows.active + QUIET <= window)
        time = ibis.cases((rows.done.notnull(), rows.done), (left, rows.active), else_=watched)
        return rows.select(
            "arm",
            end=ibis.cases((rows.done.notnull(), "completed"), (left, "abandoned"), else_="open"),
            time=ibis.greatest(1, (time / step).ceil()).cast("int64") * step,
        )

    # --- what an analyst takes along ---

    def export(self, path: Path) -> int:
        """Write one row per unit, as CSV or Parquet by the path's suffix; how many there were.

        Units are named by hexadecimal digits. Raises ``CashwrapError`` (``unknown_format``) for another suffix.
        """
        kinds = {".csv": "FORMAT csv, HEADER", ".parquet": "FORMAT parquet"}
        if path.suffix not in kinds:
            raise CashwrapError("Units are exported as .csv or .parquet", code="unknown_format")
        hexadecimal = 'lower(hex("unit")) AS "unit"'
        target = str(path).replace("'", "''")
        rows = f"FROM {quoted(self._units.get_name())} SELECT * REPLACE ({hexadecimal})"
        return int(self._table.run(f"COPY ({rows}) TO '{target}' ({kinds[path.suffix]})")[0][0])

    # --- around ---

    def _last(self, window: Millis, through: Millis) -> Millis:
        """The last exposure whose time was over at ``through``."""
        return through - window - self._question.design.maturity

    def _rows(self, label: str, expression: Table) -> list[tuple[Any, ...]]:
        self._sql[label] = to_sql(expression)
        return self._table.run(self._sql[label])

    def _keep(self, label: str, expression: Table) -> Table:
        kept, self._sql[label] = self._table.keep(f"{self._units.get_name()} {label}", expression)
        return kept

    def _varying(self) -> tuple[str, ...]:
        """Covariates that say something: one that is the same for everybody explains nothing."""
        spread = {name: self._units[name].max() > self._units[name].min() for name in COVARIATES}
        (found,) = self._table.rows(self._units.agg(**spread))
        return tuple(name for name, varies in zip(COVARIATES, found, strict=True) if varies)


def _daily(metric: Metric, part: Part | None, name: str, days: int) -> list[Need]:
    """A part's value on each day after the exposure."""
    if part is None:
        return []
    return [Need(f"{name}_{day}", metric, part, day * DAY, (day + 1) * DAY - 1) for day in range(days)]


def _ranks(n: int, at: float) -> tuple[int, ...]:
    """The places asked for in an arm of so many values; none where there are too few."""
    try:
        return ranks(n, at)
    except NoAnswer:
        return ()


def _value_first(places: tuple[int, ...]) -> tuple[int, ...]:
    low, value, high = places or (0, 0, 0)
    return value, low, high


def _consent(mask: int | None) -> str:
    """A mask of purposes as their names."""
    return " ".join(str(purpose.name).lower() for purpose in Purpose if purpose & (mask or 0))
