"""What was measured on each unit: sums over its facts and its orders within a time after the exposure."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import ibis  # type: ignore[import-untyped]

from cashwrap.analysis.exposed import VIEWED, of_tenant, unit_of
from cashwrap.analysis.facts import FOREIGN, Table, Value
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
    """All that is measured in one pass over the facts after the exposure: sums, the ways through funnels, and, where
    ``active`` is not 0, the last sign of being on the way to an order up to then; ``known`` adds what was before it."""

    needs: Sequence[Need] = ()
    funnels: Sequence[Metric] = ()
    active: Millis = 0
    known: bool = False

    def events(self) -> set[str]:
        """The events of facts that it takes; orders come from the book."""
        found = set(CHECKOUT) if self.active else set()
        for need in self.needs:
            found |= {*need.part.events} - {ORDER} | {*need.part.unless}
        for funnel in self.funnels:
            found |= {event_of(step) for step in funnel.steps} - {ORDER}
        return found

    def longest(self) -> Millis:
        """How long after the exposure anything is wanted."""
        windows = [*(need.until for need in self.needs), *(funnel.window for funnel in self.funnels)]
        return max([self.active, *windows])


def measured(
    units: Table, rows: Table, book: Table, question: Question, wanted: Wanted, keys: tuple[str, ...] = ("unit",)
) -> Table:
    """The units with a column for each need, each funnel's step (``step_NAME_0`` ...), and ``active``.

    ``rows`` are ``after``, ``book`` is ``orders``; all three have the ``keys`` by which they belong together.
    """
    columns, steps = units.columns, []
    sums = of_facts(rows, question, wanted.needs), of_orders(book, question, wanted.needs)
    for funnel in wanted.funnels:
        mine = {number: event_of(step) == ORDER for number, step in enumerate(funnel.steps)}
        final = book.stands & (book.horizon == horizon(funnel.window, question))
        sums[0].update(steps_of(rows, funnel, [number for number, order in mine.items() if not order]))
        sums[1].update(steps_of(book, funnel, [number for number, order in mine.items() if order], final))
        steps += [step_name(funnel, number) for number in mine]
    if wanted.active:
        on_the_way = rows.event.isin(sorted(CHECKOUT)) & (rows.age >= 0) & (rows.age <= wanted.active)
        sums[0]["active"] = rows.age.max(where=on_the_way)
    if wanted.known:
        sums[0].update(_known(rows, question))
        sums[1]["spent_before"] = _spent(book)
    for side, own, values in (("facts", rows, sums[0]), ("orders", book, sums[1])):
        units = _beside(units, own, keys, {f"{name}_{side}": value for name, value in values.items()})
    for funnel in wanted.funnels:
        units = chain(units, funnel)
    more = _covariates(units) if wanted.known else {}
    more |= {"active": units.active_facts.fill_null(0)} if wanted.active else {}
    return units.select(*columns, *steps, **more, **{need.name: settled(units, need) for need in wanted.needs})


def _beside(units: Table, rows: Table, keys: tuple[str, ...], values: Mapping[str, Value]) -> Table:
    """Units with aggregates over their rows."""
    if not values:
        return units
    grouped = rows.group_by(*keys).agg(**values)
    return units.left_join(grouped, keys).drop(*(f"{key}_right" for key in keys))


# --- facts of units ---


def after(facts: Table, units: Table, question: Question, through: Millis, wanted: Wanted) -> Table:
    """The facts that are wanted of units that take part, with ``age``: the time since the exposure; no flagged ones.

    Where ``known`` is wanted, all of the fortnight before as well: the files are read once and not twice.
    """
    columns = {"step", *read_by(need.part for need in wanted.needs), *(["amount"] if wanted.known else [])}
    rows = _of_units(facts, units, question, through, columns)
    within = rows.event.isin(sorted(wanted.events())) & (rows.age >= 0) & (rows.age <= wanted.longest())
    return rows.filter(within | ((rows.age <= 0) & (rows.age >= -BEFORE)) if wanted.known else within)


def _known(rows: Table, question: Question) -> dict[str, Value]:
    """How much a unit did in the fortnight before its exposure, and what was in its cart then."""
    amount = rows.amount.cast("float64") * rate(rows.currency, rows.time, question)
    carts = rows.event.isin(CARTS) & (rows.age <= 0) & amount.notnull()
    return {"events_before": rows.count(where=rows.age < 0), "cart_before": amount.argmax(rows.time, where=carts)}


def _spent(book: Table) -> Value:
    """What a unit's orders of that fortnight were worth, as far as was known at the exposure."""
    before = (book.age < 0) & (book.age >= -BEFORE)
    return book.net.sum(where=before & (book.horizon == KNOWN) & book.stands)


def _covariates(units: Table) -> dict[str, Value]:
    """What was known of a unit at its exposure; nothing known of it is nothing it did."""
    found = {
        "cart_before": units.cart_before_facts,
        "events_before": units.events_before_facts,
        "spent_before": units.spent_before_orders,
        "mobile": (units.device == "mobile").cast("int64"),
    }
    return {name: value.fill_null(0).cast("float64") for name, value in found.items()}


def _of_units(facts: Table, units: Table, question: Question, through: Millis, columns: set[str]) -> Table:
    rows = of_tenant(facts, question)
    rows = rows.filter(rows.flags == 0, rows.time <= through)
    read = sorted({"event", "time", "currency", *columns} - DERIVED.keys())
    rows = rows.select(*read, unit=unit_of(rows, question)).inner_join(units.select("unit", "exposed"), "unit")
    return rows.mutate(age=rows.time - rows.exposed)


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
    own, booked = name in FIELDS or name in DERIVED, "factor" in rows.columns
    value = rows[name] if own else rows.measures.get(name)
    foreign = name in FOREIGN and not booked if own else question.measures.get(name) == "money"
    if not foreign:  # the book's own is converted already
        return value
    return value.cast("float64") * (rows.factor if booked else rate(rows.currency, rows.time, question))


# --- funnels: the moments of each step, in order ---


def event_of(step: str) -> str:
    """The event of a funnel's step: ``Checkout Step Viewed: payment`` is that event with that ``step``."""
    return step.partition(": ")[0]


def steps_of(rows: Table, metric: Metric, steps: Iterable[int], fits: Value | None = None) -> dict[str, Value]:
    """When each of these steps of a funnel was taken, after the exposure: of the first one only its first time."""
    found = {}
    for number in steps:
        event, _, step = metric.steps[number].partition(": ")
        taken = (rows.event == event) & (rows.age >= 0) & (rows.age <= metric.window)
        taken = taken & (rows.step == step) if step else taken
        taken = taken & fits if fits is not None else taken
        found[step_name(metric, number)] = rows.age.collect(where=taken) if number else rows.age.min(where=taken)
    return found


def chain(units: Table, metric: Metric) -> Table:
    """Adds when each step was taken, at or after the one before it; NULL where it never was."""
    for number in range(len(metric.steps)):
        name = step_name(metric, number)
        taken = units[f"{name}_orders" if f"{name}_orders" in units.columns else f"{name}_facts"]
        if number:
            taken = _since(taken, units[step_name(metric, number - 1)])
        units = units.mutate(**{name: taken})
    return units


def _since(times: Value, before: Value) -> Value:
    return times.filter(lambda time: time >= before).mins()


def step_name(metric: Metric, number: int) -> str:
    """The column with when a funnel's step was taken."""
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
