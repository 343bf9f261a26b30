"""What ``cashwrap.analysis.units`` should find, in loops over a list of facts: slow, plain, and without SQL."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from cashwrap.adapters.parquet import Fact
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.condition import Environment, Type, check, compile_condition, parse, referenced_attributes

DAY = 86_400_000
FORTNIGHT = 14 * DAY
MONEY = {"amount", "subtotal", "discount", "shipping", "tax"}
TEXTS = {"event", "device", "country", "browser", "currency", "step", "method", "offer", "placement", "outcome"}
ORDER = "Order Completed"
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}


class Unit(NamedTuple):
    arm: str
    exposed: int
    tainted: bool
    ghost: str | None
    fact: Fact
    values: dict[str, tuple[float | None, float]]
    steps: dict[str, list[int | None]]
    known: dict[str, float]


class Order(NamedTuple):
    fact: Fact
    """The order as one fact: its parts as they were in the end."""
    net: float
    profit: float
    stands: bool
    age: int
    reports: int
    rated: bool


def units(facts: Sequence[Fact], question: Question, through: int) -> dict[bytes, Unit]:
    """Every unit that takes part, by its id."""
    facts = [
        fact for fact in facts if (fact.store, fact.environment) == (question.tenant.store, question.tenant.environment)
    ]
    seen: dict[bytes, list[tuple[int, int, str, str, Fact]]] = defaultdict(list)
    for fact in facts:
        arm, time, unit = arm_of(fact, question), moment(fact), unit_of(fact, question)
        if arm is not None and not fact.flags and time <= through and unit is not None:
            seen[unit].append((time, fact.received, fact.decision or "", arm, fact))
    found = {}
    for unit, times in seen.items():
        time, _, _, arm, fact = min(times, key=lambda each: (*each[:4], each[4].outcome or ""))
        ghost = None if fact.outcome in {"shown", "control", "holdout"} else fact.outcome
        tainted = len({each[3] for each in times}) > 1
        mine = [each for each in facts if unit_of(each, question) == unit and not each.flags and each.time <= through]
        values, steps = {}, {}
        for metric in question.metrics:
            orders = book(facts, question, through, unit, time, metric.window + question.design.maturity)
            if metric.kind == "funnel":
                steps[metric.name] = way(mine, orders, metric, time)
            else:
                values[metric.name] = value(mine, orders, metric, question, time)
        before = book(facts, question, through, unit, time, 0)
        known = known_of(mine, before, question, time, fact)
        found[unit] = Unit(arm, time, tainted, ghost, fact, values, steps, known)
    return found


def arm_of(fact: Fact, question: Question) -> str | None:
    if fact.event != "Experience Viewed":
        return None
    if not question.salt:
        return "holdout" if fact.held == "shop" else "personalized"
    mine = fact.experiment == question.salt and fact.outcome not in {None, "holdout"}
    return fact.variation if mine and fact.variation in question.arms else None


def moment(fact: Fact) -> int:
    late = fact.received > 0 and abs(fact.received - fact.time) > DAY
    return fact.received if late else fact.time


def unit_of(fact: Fact, question: Question) -> bytes | None:
    return fact.cart if question.unit == "cart" else fact.analytic_id


def rate(currency: str | None, time: int, question: Question) -> float | None:
    if currency is None or currency == question.currency:
        return 1.0
    held = [text for since, text in question.rates.get(currency, ()) if since <= time]
    scale = Decimal(10) ** (DIGITS[question.currency] - DIGITS[currency]) if held else Decimal(1)
    return float(Decimal(held[-1]) * scale) if held else None


# --- orders ---


def book(
    facts: Sequence[Fact], question: Question, through: int, unit: bytes, exposed: int, horizon: int
) -> list[Order]:
    """A unit's orders as they were so long after its exposure."""
    reports: dict[bytes, list[Fact]] = defaultdict(list)
    for fact in sorted(facts, key=lambda fact: (fact.time, fact.received)):
        if fact.event.startswith("Order ") and fact.trusted and not fact.flags and fact.order and fact.time <= through:
            reports[fact.order].append(fact)
    found = []
    for all_of_it in reports.values():
        owners = [unit_of(fact, question) for fact in all_of_it if is_content(fact)]
        if next((owner for owner in owners if owner is not None), None) != unit:
            continue
        mine = [fact for fact in all_of_it if fact.time <= exposed + horizon]
        if any(is_content(fact) for fact in mine):
            found.append(order(mine, question, exposed))
    return found


def is_content(fact: Fact) -> bool:
    return fact.event in {ORDER, "Order Updated"}


def goods(fact: Fact) -> int | None:
    lines = list(zip(fact.prices, fact.quantities, strict=True))
    return sum((price or 0) * quantity for price, quantity in lines) if lines else None


def order(reports: Sequence[Fact], question: Question, exposed: int) -> Order:
    content = [fact for fact in reports if is_content(fact)]
    completed = [fact.time for fact in content if fact.event == ORDER]
    time = min(completed) if completed else min(fact.time for fact in content)

    def newest(values: Iterable[Any]) -> Any:
        return next((each for each in reversed(list(values)) if each is not None), None)

    parts: dict[str, Any] = {}
    for name in (
        "amount",
        "subtotal",
        "shipping",
        "tax",
        "discount",
        "cost",
        "currency",
        "method",
        "device",
        "country",
    ):
        parts[name] = newest(getattr(fact, name) for fact in content)
    around = (parts["shipping"] or 0) + (parts["tax"] or 0)
    subtotal, total = parts["subtotal"], parts["amount"]
    if subtotal is None:
        subtotal = max(0, total - around) if total is not None else newest(goods(fact) for fact in content) or 0
    total = subtotal + around if total is None else total
    back = paid_back([fact for fact in reports if fact.event == "Order Refunded"], parts["currency"], total)
    undone = any(fact.event in {"Order Cancelled", "Order Returned"} for fact in reports)
    whole = any(fact.event == "Order Refunded" for fact in reports) and back >= total
    net = subtotal - min(back, max(0, subtotal))
    factor = rate(parts["currency"], time, question)
    scaled = {name: parts[name] * (factor or 0) for name in ("shipping", "tax", "discount") if parts[name] is not None}
    fact = Fact(
        "", "", b"", 0, time, ORDER, trusted=True, amount=total * (factor or 0), subtotal=subtotal * (factor or 0),
        currency=parts["currency"], method=parts["method"], device=parts["device"],
        cost=parts["cost"], country=parts["country"],
        measures=content[-1].measures, **scaled,
    )  # fmt: skip
    profit = net * (factor or 0) - (parts["cost"] or 0)
    stands = not undone and not whole and factor is not None
    return Order(fact, net * (factor or 0), profit, stands, time - exposed, len(completed), factor is not None)


def paid_back(refunds: Sequence[Fact], currency: str | None, total: int) -> int:
    paid = 0
    for fact in refunds:
        if None in (fact.currency, currency) or fact.currency == currency:
            lines = goods(fact)
            amount = fact.amount if fact.amount is not None and fact.amount >= 0 else lines or None
            if amount is None:
                return total
            paid += amount
    return max(0, min(paid, total))


# --- values ---


def value(
    facts: Sequence[Fact], orders: Sequence[Order], metric: Metric, question: Question, exposed: int
) -> tuple[float | None, float]:
    assert metric.numerator is not None
    window = metric.window
    if metric.kind == "time":
        taken = [age for age, _ in occurrences(facts, orders, metric.numerator, question, (exposed, window))]
        return min([*taken, window]), 1.0
    number = total(facts, orders, metric.numerator, question, (exposed, window))
    per = total(facts, orders, metric.per, question, (exposed, window)) if metric.per is not None else 1.0
    if metric.kind != "quantile":
        return number, per
    found = occurrences(facts, orders, metric.numerator, question, (exposed, window))
    silent = metric.numerator.of is not None and found and all(each is None for _, each in found)
    return (None if silent or not per else number / per), 1.0


def total(
    facts: Sequence[Fact], orders: Sequence[Order], part: Part, question: Question, since: tuple[int, int]
) -> float:
    exposed, window = since
    found = occurrences(facts, orders, part, question, since)
    if any(fact.event in part.unless and 0 <= fact.time - exposed <= window for fact in facts):
        return 0.0
    if part.once:
        return float(bool(found))
    return float(sum(each for _, each in found if each is not None))


def occurrences(
    facts: Sequence[Fact], orders: Sequence[Order], part: Part, question: Question, since: tuple[int, int]
) -> list[tuple[int, float | None]]:
    """Ages and values of a part's events."""
    exposed, window = since
    plain = [fact for fact in facts if fact.event in part.events and fact.event != ORDER]
    rows = [(fact.time - exposed, columns(fact, question)) for fact in plain]
    if ORDER in part.events:
        for each in orders:
            if each.stands:
                factor = rate(each.fact.currency, each.fact.time, question) or 0
                names = columns(each.fact, question, 1.0)
                names |= {
                    name: number * factor if name == "tip" else number for name, number in each.fact.measures.items()
                }
                rows.append((each.age, names | {"net": each.net, "profit": each.profit}))
    fits = condition(part, question)
    return [
        (age, 1.0 if part.of is None else row.get(part.of))
        for age, row in rows
        if 0 <= age <= window and fits(row) is True
    ]


def columns(fact: Fact, question: Question, factor: float | None = None) -> dict[str, Any]:
    factor = rate(fact.currency, fact.time, question) if factor is None else factor
    found: dict[str, Any] = {name: getattr(fact, name) for name in (*TEXTS, "trusted", "quantity", "latency", "cost")}
    for name in MONEY:
        amount = getattr(fact, name)
        found[name] = amount * factor if amount is not None and factor is not None else None
    return found | {
        name: number * factor if name == "tip" and factor is not None else None if name == "tip" else number
        for name, number in fact.measures.items()
    }


def condition(part: Part, question: Question) -> Any:
    if part.where is None:
        return lambda row: True
    types = {
        name: Type.STRING
        if name in TEXTS
        else Type.BOOL
        if name == "trusted"
        else Type.MONEY
        if name in MONEY
        else Type.NUMBER
        for name in referenced_attributes(parse(part.where.text))
    }
    compiled = compile_condition(check(part.where.text, Environment(types, frozenset(), question.currency, 2)))
    return lambda row: compiled({name: exact(each) for name, each in row.items()})


def exact(each: Any) -> Any:
    return Decimal(each) if isinstance(each, float) else each


def way(facts: Sequence[Fact], orders: Sequence[Order], metric: Metric, exposed: int) -> list[int | None]:
    reached: list[int | None] = []
    since: int | None = 0
    for named in metric.steps:
        event, _, step = named.partition(": ")
        ages = [fact.time - exposed for fact in facts if fact.event == event and (not step or fact.step == step)]
        if event == ORDER:
            ages = [each.age for each in orders if each.stands]
        taken = [age for age in ages if since is not None and since <= age <= metric.window]
        since = min(taken, default=None)
        reached.append(since)
    return reached


def known_of(
    facts: Sequence[Fact], orders: Sequence[Order], question: Question, exposed: int, first: Fact
) -> dict[str, float]:
    before = [fact for fact in facts if -FORTNIGHT <= fact.time - exposed <= 0]
    carts = [
        (fact.time, fact.amount * factor)
        for fact in before
        if fact.event in {"Cart Viewed", "Checkout Started"} and fact.amount is not None
        if (factor := rate(fact.currency, fact.time, question)) is not None
    ]
    return {
        "cart_before": max(carts)[1] if carts else 0.0,
        "mobile": float(first.device == "mobile"),
        "events_before": float(sum(fact.time < exposed for fact in before)),
        "spent_before": sum(each.net for each in orders if each.stands and -FORTNIGHT <= each.age < 0),
    }


# --- moments ---


def valued(
    found: dict[bytes, Unit], metric: Metric, question: Question, through: int
) -> list[tuple[Unit, float, float]]:
    """Each mature unit with its numerator, within the caps, and its denominator."""
    rows = []
    for unit in found.values():
        if unit.exposed <= through - metric.window - question.design.maturity:
            if metric.kind == "funnel":
                steps = unit.steps[metric.name]
                rows.append((unit, float(steps[-1] is not None), float(steps[0] is not None)))
            else:
                number, per = unit.values[metric.name]
                if number is not None:
                    rows.append((unit, number, per))
    limits = caps([number for _, number, _ in rows], metric)
    return [(unit, min(max(number, limits[0]), limits[1]), per) for unit, number, per in rows]


def caps(values: list[float], metric: Metric) -> tuple[float, float]:
    if metric.caps is None or not values:
        return float("-inf"), float("inf")
    ordered = sorted(values)
    low, high = (ordered[max(1, ceil(len(ordered) * share - 1e-9)) - 1] for share in metric.caps)
    return low, high


def moments(rows: list[list[float]]) -> tuple[int, "np.ndarray", "np.ndarray"]:
    values = np.array(rows, dtype=float)
    size = values.shape[1]
    cov = np.cov(values, rowvar=False) if len(values) > 1 else np.zeros((size, size))
    return len(values), values.mean(axis=0), cov
