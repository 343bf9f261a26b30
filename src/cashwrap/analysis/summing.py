"""Many moments in one statement: of several metrics, by several parts of the units, at several looks.

Turning an expression into SQL costs more than most fact tables take to answer, so what is asked of the same units is
asked together: units are repeated for everything that they count for, and counted by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple

import ibis  # type: ignore[import-untyped]
import numpy as np

from cashwrap.analysis.facts import Table, Value
from cashwrap.analysis.measure import step_name
from cashwrap.analysis.question import Metric
from cashwrap.analysis.statistics.moments import Moments, moments
from cashwrap.model import Millis

UNKNOWN = "unknown"
"""The group of units of which nobody knows."""
_SEGMENT = "segment:"


class Ask(NamedTuple):
    """Units exposed up to a moment, split by what ``by`` names; by nothing where it is empty."""

    by: str
    until: Millis


class Measure(NamedTuple):
    """A metric's columns: numerator, and denominator where that is not 1 for everybody."""

    num: str
    den: str | None

    def columns(self) -> list[str]:
        """Those that there are."""
        return [self.num] if self.den is None else [self.num, self.den]


def measure_of(metric: Metric) -> Measure:
    """The columns of a metric's values; a quantile's are divided already, unit by unit."""
    alone = metric.kind == "quantile" or (metric.kind != "funnel" and metric.per is None)
    return Measure(f"of_{metric.name}", None if alone else f"per_{metric.name}")


def values_of(units: Table, metric: Metric) -> dict[str, Value]:
    """These columns of each unit, without caps."""
    num, den = measure_of(metric)
    if metric.kind == "funnel":
        first, last = (units[step_name(metric, step)] for step in (0, len(metric.steps) - 1))
        return {num: last.notnull().cast("float64"), str(den): first.notnull().cast("float64")}
    if metric.kind == "quantile" and metric.per is not None:
        return {num: units[num] / units[f"per_{metric.name}"].nullif(0)}
    return {name: units[name] for name in measure_of(metric).columns()}


def split(units: Table, asks: Sequence[Ask], values: Mapping[str, Value]) -> Table:
    """Values of units, once for each ask that they count for: with ``arm``, its ``by`` and ``until``, and their
    ``group`` in it."""
    asked = ibis.literal([ask._asdict() for ask in asks], type="array<struct<by: string, until: int64>>")
    names = sorted({ask.by for ask in asks})
    rows = units.select("arm", "exposed", *_read(names), ask=asked.unnest(), **values)
    rows = rows.filter(rows.exposed <= rows.ask["until"])
    by, until = rows.ask["by"], rows.ask["until"]
    return rows.select("arm", *values, by=by, until=until, group=_group(rows, names))


def _read(names: Sequence[str]) -> list[str]:
    """The columns that groups are made of."""
    columns = {"segments" if name.startswith(_SEGMENT) else name for name in names}
    return sorted(columns - {""})


def _group(rows: Table, names: Sequence[str]) -> Value:
    """``in`` or ``out`` of a segment, an epoch's number, a column's value; nothing where all are one group."""
    by = rows.ask["by"]
    *others, (_, last) = _groups(rows, by, names)
    return ibis.cases(*others, else_=last) if others else last


def _groups(rows: Table, by: Value, names: Sequence[str]) -> Iterator[tuple[Value, Value]]:
    """When a row is split by each of these, and into which group; all segments are one case."""
    for name in names:
        if not name.startswith(_SEGMENT):
            yield by == name, _named(rows, name)
    if any(name.startswith(_SEGMENT) for name in names):
        inside = rows.segments.contains(by.substr(len(_SEGMENT))).fill_null(False)  # noqa: FBT003 - ibis
        yield by.startswith(_SEGMENT), ibis.ifelse(inside, "in", "out")


def _named(rows: Table, name: str) -> Value:
    if not name:
        return ibis.literal("")
    return rows.epoch.cast("string") if name == "epoch" else rows[name].fill_null(UNKNOWN)


def capped(rows: Table, shares: tuple[float, float]) -> Table:
    """By ``until``, the ``value`` at the places of two shares: of n in order, the one at n times the share.

    Values are counted before they are put in order, for most units have bought nothing and share one.
    """
    rows = rows.filter(rows.value.notnull())
    counted = rows.group_by("until", "value").agg(units=rows.count())
    whole = ibis.window(group_by=counted.until)
    upto = ibis.window(group_by=counted.until, order_by=counted.value, preceding=None, following=0)
    placed = counted.mutate(place=counted.units.sum().over(upto), n=counted.units.sum().over(whole))

    def at(share: float) -> Value:
        place = ibis.greatest(1, (placed.n * share - 1e-9).ceil())
        return placed.value.min(where=placed.place >= place)

    return placed.group_by("until").agg(low=at(shares[0]), high=at(shares[1]))


class Sums(NamedTuple):
    """What is summed up over rows: metrics by name, and the covariates that they share."""

    measures: Mapping[str, Measure]
    covariates: Sequence[str]

    def of(self, rows: Table, keys: Sequence[str]) -> Table:
        """Units, means and covariances by ``keys``, in the order in which ``read`` takes them."""
        means = {f"mean({name})": rows[name].mean() for name in self._columns()}
        covs = {f"cov({one}, {two})": rows[one].cov(rows[two], how="sample") for one, two in self._pairs()}
        return rows.group_by(*keys).agg(n=rows.count(), **means, **covs)

    def read(self, n: int, values: Sequence[Any]) -> dict[str, Moments]:
        """Each metric's moments out of one row of it."""
        columns, pairs = self._columns(), self._pairs()
        means = dict(zip(columns, values, strict=False))
        covs = dict(zip(pairs, values[len(columns) :], strict=True))
        covs |= {(two, one): value for (one, two), value in covs.items()}
        return {name: self._read(each, n, means, covs.get) for name, each in self.measures.items()}

    def _read(self, each: Measure, n: int, means: Mapping[str, float], cov: Callable[..., float | None]) -> Moments:
        names = [each.num, each.den, *self.covariates]
        mean = [1.0 if name is None else means[name] for name in names]
        table = [[cov((one, two)) or 0.0 for two in names] for one in names]  # of a denominator of 1 there is none
        return moments(n, np.array(mean), np.array(table))

    def _columns(self) -> list[str]:
        return [*self.covariates, *(name for each in self.measures.values() for name in each.columns())]

    def _pairs(self) -> list[tuple[str, str]]:
        return [*combinations_with_replacement(self.covariates, 2), *self._own()]

    def _own(self) -> Iterator[tuple[str, str]]:
        """A metric's columns with each other, and with every covariate; metrics are not compared with each other."""
        for each in self.measures.values():
            yield from combinations_with_replacement(each.columns(), 2)
            yield from product(each.columns(), self.covariates)


def alone(found: Moments) -> Moments:
    """Numerator and denominator, without covariates."""
    return Moments(found.n, found.mean[:2], tuple(row[:2] for row in found.cov[:2]))
