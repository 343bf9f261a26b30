"""The order book once more, for analysis: each order once, whoever repeats it, at what it was worth in the end.

The rules are those of ``cashwrap.orders``: only the shop's backend says what an order is worth; each part is set by the
newest report that carries it; cancelled, returned, and paid back in full are no orders at all.
"""

from collections.abc import Collection

import ibis  # type: ignore[import-untyped]

from cashwrap.analysis.exposed import of_tenant, unit_of
from cashwrap.analysis.facts import DAY, FOREIGN, Table, Value
from cashwrap.analysis.question import Question
from cashwrap.analysis.where import rate
from cashwrap.metrics import DERIVED, ORDER
from cashwrap.model import Millis
from cashwrap.orders import EVENTS

BEFORE: Millis = 14 * DAY
"""How far back before the exposure a unit's spending is looked at."""
KNOWN: Millis = 0
"""The horizon of what was known at the exposure."""
_CONTENT = (ORDER, "Order Updated")
_PARTS = ("amount", "subtotal", "shipping", "tax", "cost")


def horizon(window: Millis, question: Question) -> Millis:
    """How long after the exposure an order of this window may still be changed by what follows."""
    return window + question.design.maturity


def windows_of(question: Question) -> set[Millis]:
    """Every time after the exposure within which orders are asked for."""
    return {question.design.window, *(metric.window for metric in question.metrics)}


def reports(facts: Table, question: Question, through: Millis, columns: Collection[str]) -> Table:
    """What the shop's backend said of orders up to a moment, with ``unit`` and what the lines come to (``goods``).

    ``columns`` are more columns of facts that a metric reads.
    """
    rows = of_tenant(facts, question)
    rows = rows.filter(
        rows.event.isin(sorted(EVENTS)), rows.trusted, rows.flags == 0, rows.order.notnull(), rows.time <= through
    )
    lines = rows.prices.zip(rows.quantities).map(lambda line: line.f1.fill_null(0) * line.f2)
    return rows.select(
        "order", "time", "received", "event", *_kept(columns), unit=unit_of(rows, question), goods=lines.sums()
    )


def _kept(columns: Collection[str]) -> list[str]:
    """The columns that are kept of an order, each as its newest report has it."""
    return sorted({*_PARTS, "currency", *columns} - {"time", "event", "trusted", *DERIVED})


def orders(reported: Table, units: Table, question: Question, columns: Collection[str]) -> Table:
    """One row per order and horizon of a unit that takes part, with what it came to by then.

    ``reported`` are ``reports``, ``units`` those who were exposed.

    The unit is that of the order's first report. ``horizon`` is counted from the unit's exposure; money is in minor
    units of the shop's currency.
    """
    key = ibis.struct({"time": reported.time, "received": reported.received})
    owners = reported.group_by("order").agg(
        owner=reported.unit.argmin(key, where=reported.event.isin(_CONTENT) & reported.unit.notnull())
    )
    named = reported.drop("unit").inner_join(owners, "order")
    rows = named.inner_join(units.select("unit", "exposed"), named.owner == units.unit)
    windows = {horizon(window, question) for window in windows_of(question)}
    rows = rows.mutate(horizon=ibis.array(sorted({KNOWN, *windows})).unnest())
    rows = rows.filter(rows.time <= rows.exposed + rows.horizon)
    return _worth(_booked(rows, columns), question, columns)


def _booked(rows: Table, columns: Collection[str]) -> Table:
    """The reports of each order put together."""
    key = ibis.struct({"time": rows.time, "received": rows.received})
    content = rows.event.isin(_CONTENT)

    def newest(name: str) -> Value:
        return rows[name].argmax(key, where=content & rows[name].notnull())

    completed = rows.event == ORDER
    paid = ibis.cases((rows.amount >= 0, rows.amount), (rows.goods > 0, rows.goods))
    refund = rows.event == "Order Refunded"
    return rows.group_by("unit", "exposed", "horizon", "order").agg(
        time=rows.time.min(where=completed).coalesce(rows.time.min(where=content)),
        reports=completed.sum(),
        undone=rows.event.isin(["Order Cancelled", "Order Returned"]).any(),
        refunds=refund.sum(),
        goods=rows.goods.argmax(key, where=content & rows.goods.notnull()),
        **{name: newest(name) for name in _kept(columns)},
        paid=ibis.struct({"amount": paid, "currency": rows.currency}).collect(where=refund),
    )


def _worth(book: Table, question: Question, columns: Collection[str]) -> Table:
    """What orders come to, as ``cashwrap.orders.net`` says; one of less than nothing counts as it is."""
    book = book.filter(book.time.notnull())
    around = book.shipping.fill_null(0) + book.tax.fill_null(0)
    implied = ibis.ifelse(book.amount.isnull(), book.goods.fill_null(0), ibis.greatest(0, book.amount - around))
    book = book.mutate(subtotal=book.subtotal.coalesce(implied))
    book = book.mutate(amount=book.amount.coalesce(book.subtotal + around))
    back = _paid_back(book)
    book = book.mutate(back=back, factor=rate(book.currency, book.time, question))
    stands = ~book.undone & ~((book.refunds > 0) & (book.back >= book.amount))
    net = book.subtotal - ibis.least(book.back, ibis.greatest(0, book.subtotal))  # goods are paid back first
    money = {
        name: book[name].cast("float64") * book.factor for name in sorted(FOREIGN.intersection({*_PARTS, *columns}))
    }
    return book.mutate(
        event=ibis.literal(ORDER),
        trusted=ibis.literal(True),  # noqa: FBT003 - ibis
        stands=stands & book.factor.notnull(),
        net=net.cast("float64") * book.factor,
        profit=net.cast("float64") * book.factor - book.cost.fill_null(0),
        age=book.time - book.exposed,
        **money,
    ).drop("paid")


def _paid_back(book: Table) -> Value:
    """What was paid back in the order's own currency, its total at most; a refund without an amount is all of it."""
    local = book.paid.filter(
        lambda refund: refund.currency.isnull() | book.currency.isnull() | (refund.currency == book.currency)
    )
    whole = local.filter(lambda refund: refund.amount.isnull()).length() > 0
    sums = local.map(lambda refund: refund.amount).sums().fill_null(0)
    return ibis.ifelse(whole, book.amount, ibis.greatest(0, ibis.least(sums, book.amount)))
