"""From facts to units, and from units to moments: what the statistics are given.

``gather`` works out one row per unit, once; everything a report asks after that is asked of those rows. Each step is
an Ibis expression, and the SQL it becomes is kept, in the order in which an analyst would run it.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import ibis  # type: ignore[import-untyped]
from msgspec import Struct

from cashwrap.analysis.exposed import Epochs, epoch, epochs_of, exposed, exposures, shares
from cashwrap.analysis.facts import DAY, FactTable, Table, Value, quoted, to_sql
from cashwrap.analysis.measure import Need, Wanted, after, measured, needs, read_by, step_name
from cashwrap.analysis.orders import horizon, orders, reports
from cashwrap.analysis.question import Metric, Question
from cashwrap.analysis.results import Interval
from cashwrap.analysis.statistics.compare import NoAnswer
from cashwrap.analysis.statistics.moments import Moments
from cashwrap.analysis.statistics.quantiles import Quantile, ranks
from cashwrap.analysis.statistics.ratio import Day
from cashwrap.analysis.statistics.survival import Ends
from cashwrap.analysis.summing import UNKNOWN, Ask, Measure, Sums, alone, capped, measure_of, split, values_of
from cashwrap.errors import CashwrapError
from cashwrap.experiments import SHARES
from cashwrap.metrics import ORDER
from cashwrap.model import Millis, Purpose

__all__ = ["ArmCount", "FactTable", "Units", "gather"]

COVARIATES = ("cart_before", "mobile", "events_before", "spent_before")
"""What is known of a unit at its exposure, or before."""
QUIET: Millis = 30 * 60_000
"""Without anything for this long, a checkout is abandoned."""
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


class _Count(NamedTuple):
    """Units of one arm and day of the first exposure that are alike."""

    arm: str
    ghost: str | None
    playbook: str | None
    epoch: int
    day: int
    units: int
    mature: int
    tainted: int
    first: Millis


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
        self._summed = [metric for metric in question.metrics if metric.kind != "quantile"]
        self._answers: dict[tuple[str, str | None, Millis], dict[tuple[str, str], Moments]] = {}
        self._caps: dict[tuple[str, Millis], Interval | None] = {}
        self._census = self._counted()
        self.covariates = self._varying() if self._census else ()
        """What units differ in, of what was known of them at the exposure."""

    # --- who takes part ---

    def _counted(self) -> list[_Count]:
        units = self._units
        by = "arm", "ghost", "playbook", "epoch"
        over = units.exposed <= self._last(self._question.design.window, self.through)
        grouped = units.group_by(*by, day=units.exposed // DAY).agg(
            units=units.count(),
            mature=units.count(where=over),
            tainted=units.count(where=units.tainted),
            first=units.exposed.min(),
        )
        return [_Count(*row) for row in self._rows("units by arm and day", grouped)]

    def arms(self) -> list[ArmCount]:
        """Every arm of the question, the control first."""
        found = []
        for arm in self._question.arms:
            mine = [each for each in self._census if each.arm == arm]
            ghosts: dict[str, int] = {}
            for each in mine:
                if each.ghost is not None:
                    ghosts[each.ghost] = ghosts.get(each.ghost, 0) + each.units
            mature, tainted = sum(each.mature for each in mine), sum(each.tainted for each in mine)
            found.append(ArmCount(arm, sum(each.units for each in mine), mature, tainted, dict(sorted(ghosts.items()))))
        return found

    def started(self) -> Millis | None:
        """When the first unit was exposed."""
        return min((each.first for each in self._census), default=None)

    def playbooks(self) -> tuple[str, ...]:
        """The releases that first exposures came from."""
        return tuple(sorted({each.playbook for each in self._census if each.playbook is not None}))

    def seen(self) -> dict[str, int]:
        """Decisions that came back as exposures, by arm."""
        rows = self._kept.exposures
        rows = rows.filter(rows.flags == 0)
        return dict(self._rows("decisions seen", rows.group_by("arm").agg(decisions=rows.decision.nunique())))

    def days(self) -> list[Day]:
        """Units by day and epoch of their exposure, with the shares that the arms had then."""
        days: dict[tuple[int, int], dict[str, int]] = {}
        for each in self._census:
            counts = days.setdefault((each.day, each.epoch), dict.fromkeys(self._question.arms, 0))
            counts[each.arm] += each.units
        return [Day(found, self._shares(number)) for (_, number), found in sorted(days.items())]

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
        units = self._units
        parts = [
            ibis.struct({"dimension": dimension, "value": units[column].cast("string")})
            for dimension, column in _DIMENSIONS.items()
        ]
        rows = units.select("arm", part=ibis.array(parts).unnest())
        counted = rows.group_by(dimension=rows.part["dimension"], value=rows.part["value"], arm=rows.arm)
        found: dict[str, dict[str, dict[str, int]]] = {dimension: {} for dimension in _DIMENSIONS}
        for dimension, value, arm, count in self._rows("units by part", counted.agg(units=rows.count())):
            name = _consent(int(value or 0)) if dimension == "consent" else value or UNKNOWN
            values = found[dimension].setdefault(name, {})
            values[arm] = values.get(arm, 0) + count
        return found

    def trouble(self) -> dict[str, int]:
        """What is wrong with facts, counted: see ``doubts``."""
        seen, final = self._kept.exposures, self._final()
        early = (final.age < 0) & (final.age >= -DAY)
        exposed = seen.agg(
            flagged_exposures=seen.count(where=seen.flags != 0),
            skewed_exposures=seen.count(where=seen.skewed),
            exposures_without_unit=seen.count(where=seen.unit.isnull()),
        )
        ordered = final.agg(
            orders_before_exposure=final.count(where=early),
            duplicate_orders=final.count(where=(final.reports > 1) & (final.age >= 0)),
            orders_without_rate=final.count(where=final.factor.isnull() & (final.age >= 0)),
        )
        counted = exposed.cross_join(ordered, self._loose_refunds(), self._negative(final))
        (found,) = self._rows("trouble", counted)
        return {name: int(count) for name, count in zip(counted.columns, found, strict=True)}

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
        return loose.agg(refunds_without_order=loose.refunds.sum().fill_null(0))

    def _negative(self, final: Table) -> Table:
        """Units that gave back more than they bought."""
        mine = final.filter(final.stands, final.age >= 0, final.age <= self._question.design.window)
        sums = mine.group_by("unit").agg(net=mine.net.sum())
        return sums.agg(negative_units=sums.count(where=sums.net < 0))

    # --- moments ---

    def moments(
        self, metric: str, *, by: str | None = None, through: Millis | None = None, covariates: bool = True
    ) -> dict[tuple[str, str], Moments]:
        """A metric's moments by arm and group, over units whose time was over at ``through``.

        Largest first. ``by`` is ``epoch``, ``device``, ``country``, ``browser``, ``level`` or ``segment:NAME`` (groups
        ``in`` and ``out``); without it the only group is ``""``. A funnel's numerator is who took the last step, its
        denominator who took the first.
        """
        asked = by, self.through if through is None else through
        if (metric, *asked) not in self._answers:
            label = f"moments by {by}" if by else "moments"
            mine = self._metrics[metric]
            self._answer(label, [mine] if mine.kind == "quantile" else self._summed, [asked])
        found = self._answers[metric, *asked]
        return found if covariates else {key: alone(each) for key, each in found.items()}

    def ahead(self, metric: str, asked: Iterable[tuple[str | None, Millis]]) -> None:
        """Work out in one pass what ``moments`` will be asked of a metric: by what, and up to when."""
        self._answer(f"moments of {metric}", [self._metrics[metric]], list(dict.fromkeys(asked)))

    def _answer(self, label: str, metrics: Sequence[Metric], asked: Sequence[tuple[str | None, Millis]]) -> None:
        windows = {metric.window for metric in metrics}
        asks = [Ask(by or "", self._last(window, through)) for by, through in asked for window in windows]
        rows = self._within(metrics, sorted(set(asks)), sorted({through for _, through in asked}))
        sums = Sums({metric.name: measure_of(metric) for metric in metrics}, self.covariates)
        found: dict[Ask, dict[tuple[str, str], dict[str, Moments]]] = {}
        counted = self._rows(label, sums.of(rows, ("arm", "by", "until", "group")))
        for arm, by, until, group, n, *values in sorted(counted, key=lambda row: (-row[4], row[3])):
            found.setdefault(Ask(by, until), {})[arm, group] = sums.read(n, values)
        for (by, through), metric in product(asked, metrics):
            there = found.get(Ask(by or "", self._last(metric.window, through)), {})
            self._answers[metric.name, by, through] = {key: each[metric.name] for key, each in there.items()}

    def _within(self, metrics: Sequence[Metric], asks: Sequence[Ask], moments: Sequence[Millis]) -> Table:
        """Units, split, with the columns that these metrics are measured by, within the caps of each moment."""
        values = {name: self._units[name] for name in self.covariates}
        for metric in metrics:
            values |= values_of(self._units, metric)
            self._find_caps(metric, moments)
        rows = split(self._units, asks, values)
        clipped: dict[str, Value] = {}
        for metric in metrics:
            num = rows[measure_of(metric).num]
            caps = [(self._last(metric.window, through), self.caps(metric.name, through)) for through in moments]
            within = [(rows.until == until, num.clip(*each)) for until, each in caps if each is not None]
            clipped |= {measure_of(metric).num: ibis.cases(*within, else_=num)} if within else {}
        rows = rows.mutate(**clipped) if clipped else rows
        missing = [rows[measure_of(metric).num].notnull() for metric in metrics if metric.kind == "quantile"]
        return rows.filter(*missing) if missing else rows

    def moments_by_age(self, metric: str, days: int) -> dict[tuple[str, int], Moments]:
        """A metric's moments by arm and day after the exposure, of that day's outcome alone, over the units whose day
        is over. No day is later than the metric's window; covariates are left out."""
        asked = self._metrics[metric]
        days = min(days, asked.window // DAY)
        first = self._units.select("unit", "exposed", "arm", day=ibis.range(days).unnest().cast("int64"))
        first = first.filter(first.exposed <= self.through - (first.day + 1) * DAY)
        parts = [("num", asked.numerator), ("den", asked.per)]
        wanted = Wanted([Need(name, asked, part, 0, days * DAY - 1) for name, part in parts if part is not None])
        rows = after(self._table.facts, self._units, self._question, self.through, wanted)
        rows, book = (each.mutate(day=each.age // DAY) for each in (rows, self._kept.orders))
        values = measured(first, rows, book, self._question, wanted, keys=("unit", "day"))
        sums = Sums({metric: Measure("num", "den" if asked.per is not None else None)}, ())
        found = self._rows(f"moments of {metric} by day", sums.of(values, ("arm", "day")))
        return {(arm, day): sums.read(n, each)[metric] for arm, day, n, *each in found}

    def caps(self, metric: str, through: Millis | None = None) -> Interval | None:
        """What a metric's values are capped at: the values at both of its quantiles, of all arms together."""
        asked = metric, self.through if through is None else through
        self._find_caps(self._metrics[metric], asked[1:])
        return self._caps.get(asked)

    def _find_caps(self, metric: Metric, moments: Sequence[Millis]) -> None:
        """Work out a metric's caps at these moments, as far as they are not known."""
        missing = {each: self._last(metric.window, each) for each in moments if (metric.name, each) not in self._caps}
        if metric.caps is None or not missing:
            return
        value = values_of(self._units, metric)[measure_of(metric).num]
        rows = split(self._units, [Ask("", until) for until in sorted(set(missing.values()))], {"value": value})
        found = {until: caps for until, *caps in self._rows(f"caps of {metric.name}", capped(rows, metric.caps))}
        for through, until in missing.items():
            self._caps[metric.name, through] = Interval(*found[until]) if until in found else None

    def quantile(self, metric: str, through: Millis | None = None) -> dict[str, Quantile]:
        """A metric's quantile by arm, with the ends of its interval: not numbers where an arm has too few units."""
        asked = self._metrics[metric]
        at = asked.at if asked.at is not None else 0.5
        moment = self.through if through is None else through
        rows = self._within([asked], [Ask("", self._last(asked.window, moment))], [moment])
        rows = rows.select("arm", num=rows[measure_of(asked).num])
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
        sql, number, name = to_sql(expression), 1, label
        while self._sql.get(name, sql) != sql:  # asked of another moment
            number += 1
            name = f"{label} ({number})"
        self._sql[name] = sql
        return self._table.run(sql)

    def _keep(self, label: str, expression: Table) -> Table:
        kept, self._sql[label] = self._table.keep(f"{self._units.get_name()} {label}", expression)
        return kept

    def _varying(self) -> tuple[str, ...]:
        """Covariates that say something: one that is the same for everybody explains nothing."""
        spread = {name: self._units[name].max() > self._units[name].min() for name in COVARIATES}
        (found,) = self._table.rows(self._units.agg(**spread))
        return tuple(name for name, varies in zip(COVARIATES, found, strict=True) if varies)


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
