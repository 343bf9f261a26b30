"""What was measured on each unit: sums over its facts and its orders within a time after the exposure."""

import operator
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

import ibis  # type: ignore[import-untyped]

from cashwrap.analysis.exposed import VIEWED, of_tenant, unit_of
from cashwrap.analysis.facts import Table, Value
from cashwrap.analysis.orders import BEFORE, KNOWN, horizon
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.analysis.where import columns_of, predicate, rate
from cashwrap.metrics import DERIVED, FIELDS, ORDER
from cashwrap.model import Millis

CARTS = ("Cart Viewed", "Checkout Started")
"""Events whose amount is what is in the cart."""
CHECKOUT = frozenset(
    {
        VIEWED,
        *CARTS,
        "Product Added",
        "Product Removed",
        "Checkout Step Viewed",
        "Checkout Step Completed",
        "Payment Info Entered",
        "Payment Failed",
        "Coupon Entered",
        "Coupon Applied",
        "Coupon Denied",
        "Coupon Removed",
    }
)
"""What says that a shopper is still on the way to an order."""


class Need(NamedTuple):
    """A metric's value of every unit, from ``since`` up to ``until`` after the exposure, both included, as ``name``."""

    name: str
    metric: Metric
    part: Part
    since: Millis
    until: Millis


def needs(metrics: Iterable[Metric]) -> list[Need]:
    """What is to be measured for these metrics over their windows; a funnel's steps are asked for by ``chains``."""
    found = []
    for metric in metrics:
        if metric.numerator is not None:
            found.append(Need(f"of_{metric.name}", metric, metric.numerator, 0, metric.window))
        if metric.per is not None:
            found.append(Need(f"per_{metric.name}", metric, metric.per, 0, metric.window))
    return found


def read_by(parts: Iterable[Part]) -> set[str]:
    """The columns of facts that these parts read; a name that is no column is a measure."""
    names: set[str] = set()
    for part in parts:
        names.update([part.of] if part.of is not None else [], columns_of(part.where))
    return {name if name in FIELDS or name in DERIVED else "measures" for name in names}


class Wanted(NamedTuple):
    """All that is measured in one pass: sums, the ways through funnels, whether what was known before as well, and
    ``more`` events; up to ``until`` after the exposure."""

    needs: Sequence[Need] = ()
    funnels: Sequence[Metric] = ()
    known: bool = False
    more: frozenset[str] = frozenset()
    until: Millis = 0

    def events(self) -> set[str]:
        """The events of facts that it takes; orders come from the book."""
        found = {*self.more, *(CARTS if self.known else ())}
        for need in self.needs:
            found |= {*need.part.events} - {ORDER} | {*need.part.unless}
        for funnel in self.funnels:
            found |= {event_of(step) for step in funnel.steps} - {ORDER}
        return found

    def longest(self) -> Millis:
        """How long after the exposure anything is wanted."""
        windows = [*(need.until for need in self.needs), *(funnel.window for funnel in self.funnels)]
        return max([self.until, *windows])


def measured(units: Table, rows: Table, book: Table, question: Question, wanted: Wanted) -> Table:
    """The units with a column for each need, each funnel's step, and what was known before."""
    sums = of_facts(rows, question, wanted.needs), of_orders(book, question, wanted.needs)
    for funnel in wanted.funnels:
        steps = {number: event_of(step) == ORDER for number, step in enumerate(funnel.steps)}
        final = book.stands & (book.horizon == horizon(funnel.window, question))
        sums[0].update(steps_of(rows, funnel, [number for number, order in steps.items() if not order], True))  # noqa: FBT003
        sums[1].update(steps_of(book, funnel, [number for number, order in steps.items() if order], final))
    if wanted.known:
        sums[0].update(known(rows, question))
        sums[1]["spent_before"] = spent_before(book)
    columns, found = units.columns, units
    for side, source, values in zip(("facts", "orders"), (rows, book), sums, strict=True):
        if values:
            grouped = source.group_by("unit").agg(**{f"{name}_{side}": value for name, value in values.items()})
            found = found.left_join(grouped, "unit").drop("unit_right")
    for funnel in wanted.funnels:
        found = chain(found, funnel)
    steps_taken = [name for name in found.columns if name.startswith("step_") and name.rpartition("_")[2].isdigit()]
    before = _before(found) if wanted.known else {}
    return found.select(*columns, *steps_taken, **before, **{need.name: settled(found, need) for need in wanted.needs})


def _before(units: Table) -> dict[str, Value]:
    """The covariates; nothing known of a unit is nothing it did."""
    found = {
        "cart_before": units.cart_before_facts,
        "mobile": (units.device == "mobile").cast("int64"),
        "events_before": units.events_before_facts,
        "spent_before": units.spent_before_orders,
    }
    return {name: value.fill_null(0).cast("float64") for name, value in found.items()}


# --- facts of units ---


def after(facts: Table, units: Table, question: Question, through: Millis, wanted: Wanted) -> Table:
    """The facts that are wanted of units that take part, with ``age``: the time since the exposure.

    Flagged ones are left out.
    """
    rows = of_tenant(facts, question)
    rows = rows.filter(rows.flags == 0, rows.time <= through)
    asked = rows.event.isin(sorted(wanted.events()))
    if not wanted.known:
        rows = rows.filter(asked)
    rows = rows.mutate(unit=unit_of(rows, question)).inner_join(units.select("unit", "exposed"), "unit")
    rows = rows.mutate(age=rows.time - rows.exposed)
    within = (rows.age >= 0) & (rows.age <= wanted.longest())
    if wanted.known:
        within = (rows.age < 0) & (rows.age >= -BEFORE) | within & rows.event.isin(sorted(wanted.events()))
    return rows.filter(within)


def known(rows: Table, question: Question) -> dict[str, Value]:
    """What facts say of a unit before its exposure: how much it did, and what was in its cart."""
    amount = rows.amount * rate(rows.currency, rows.time, question)
    carts = rows.event.isin(CARTS) & (rows.age <= 0) & amount.notnull()
    return {
        "events_before": (rows.age < 0).sum(),
        "cart_before": amount.argmax(ibis.struct({"time": rows.time, "received": rows.received}), where=carts),
    }


def of_facts(rows: Table, question: Question, wanted: Sequence[Need]) -> dict[str, Value]:
    """Aggregates of facts other than orders, which are counted from the order book."""
    found: dict[str, Value] = {}
    for need in wanted:
        events = sorted({*need.part.events} - {ORDER})
        within = (rows.age >= need.since) & (rows.age <= need.until)
        if events:
            found |= _aggregates(rows, question, need, rows.event.isin(events) & within)
        if need.part.unless:
            found[f"{need.name}_not"] = (rows.event.isin(list(need.part.unless)) & within).any()
    return found


def of_orders(book: Table, question: Question, wanted: Sequence[Need]) -> dict[str, Value]:
    """The same of orders that stand."""
    found: dict[str, Value] = {}
    for need in wanted:
        if ORDER in need.part.events:
            within = (book.age >= need.since) & (book.age <= need.until) & book.stands
            final = book.horizon == horizon(need.metric.window, question)
            found |= _aggregates(book, question, need, within & final)
    return found


def spent_before(book: Table) -> Value:
    """What a unit's orders before the exposure were worth, as far as was known then."""
    return book.net.sum(where=(book.horizon == KNOWN) & (book.age < 0) & (book.age >= -BEFORE) & book.stands)


def _aggregates(rows: Table, question: Question, need: Need, fits: Value) -> dict[str, Value]:
    part = need.part

    def column(name: str) -> Value:
        return _column(rows, question, name)

    if part.where is not None:
        fits = fits & predicate(part.where, column, question)
    if need.metric.kind == "time":
        return {need.name: rows.age.min(where=fits)}
    if part.of is None:
        return {need.name: rows.count(where=fits)}
    value = column(part.of)
    found = {need.name: value.sum(where=fits)}
    if need.metric.kind == "quantile":
        found[f"{need.name}_any"] = rows.count(where=fits)
    return found


def _column(rows: Table, question: Question, name: str) -> Value:
    """A fact's value by name: money in the shop's currency, and measures out of their map."""
    own = name in FIELDS or name in DERIVED
    value = rows[name] if own else rows.measures.get(name)
    booked = "factor" in rows.columns
    if {**FIELDS, **question.measures}.get(name) != "money" or (own and booked):  # the book's own is converted already
        return value
    return value * (rows.factor if booked else rate(rows.currency, rows.time, question))


# --- funnels: the moments of each step, in order ---


def event_of(step: str) -> str:
    """The event of a funnel's step: ``Checkout Step Viewed: payment`` is that event with that ``step``."""
    return step.partition(": ")[0]


def steps_of(rows: Table, metric: Metric, steps: Iterable[int], fits: Value) -> dict[str, Value]:
    """When each of these steps of a funnel was taken, after the exposure."""
    found = {}
    for number in steps:
        event, _, step = metric.steps[number].partition(": ")
        taken = (rows.event == event) & fits
        if step:
            taken = taken & (rows.step == step)
        found[_step(metric, number)] = rows.age.collect(where=taken & (rows.age >= 0) & (rows.age <= metric.window))
    return found


def chain(units: Table, metric: Metric) -> Table:
    """Adds when each step was taken, at or after the one before it: ``step_NAME_0`` and so on, NULL where never."""
    for number in range(len(metric.steps)):
        taken = _source(units, _step(metric, number))
        if number:
            before = units[_step(metric, number - 1)]
            taken = _from(taken, before)
        units = units.mutate(**{_step(metric, number): taken.mins()})
    return units


def _from(times: Value, before: Value) -> Value:
    return times.filter(lambda time: time >= before)


def _source(units: Table, name: str) -> Value:
    return units[f"{name}_orders" if f"{name}_orders" in units.columns else f"{name}_facts"]


def _step(metric: Metric, number: int) -> str:
    return f"step_{metric.name}_{number}"


# --- one row per unit ---


def settled(units: Table, need: Need) -> Value:
    """A unit's value out of its aggregates over facts and orders."""
    sources = [name for name in (f"{need.name}_facts", f"{need.name}_orders") if name in units.columns]
    if need.metric.kind == "time":
        window = ibis.literal(need.until)
        return reduce(ibis.least, [units[name].coalesce(window) for name in sources], window).cast("float64")
    total = sum((units[name].fill_null(0) for name in sources), ibis.literal(0))
    if need.part.once:
        total = ibis.ifelse(total > 0, 1, 0)
    if need.part.unless:
        total = ibis.ifelse(units[f"{need.name}_not_facts"].fill_null(False), 0, total)  # noqa: FBT003 - ibis
    value = total.cast("float64")
    if need.metric.kind == "quantile" and need.part.of is not None:
        value = ibis.ifelse(_unsaid(units, need), None, value)
    return value


def _unsaid(units: Table, need: Need) -> Value:
    """Whether there were events and none of them said how much: that is not nothing, and has no place in the order."""
    sides = [side for side in ("facts", "orders") if f"{need.name}_{side}" in units.columns]
    events = sum((units[f"{need.name}_any_{side}"].fill_null(0) for side in sides), ibis.literal(0))
    return reduce(operator.and_, [units[f"{need.name}_{side}"].isnull() for side in sides]) & (events > 0)
