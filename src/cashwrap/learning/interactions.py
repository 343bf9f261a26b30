"""Interactions out of the shop's own fact table: visits for ``next_item``, orders for ``basket``.

Expressions over the facts, worked out step by step as temporary tables, so that memory stays bounded and another engine
could do the same; Python sees whole columns at the end. Nobody is in it who does not allow analytics (the facts hold
nobody else), no bot, no sensitive product, and no product that fewer than a few shoppers had to do with.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ibis  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from cashwrap.analysis.facts import FactTable, to_sql
from cashwrap.analysis.facts import Table as Rows
from cashwrap.errors import InvalidInput
from cashwrap.learning.data import TEST, TRAIN, VALID, Interactions, Table, Task
from cashwrap.learning.splits import chosen
from cashwrap.metrics import ORDER
from cashwrap.model import Millis, Product, Purpose, Tenant
from cashwrap.orders import EVENTS as ORDER_EVENTS
from cashwrap.recommend.asked import ADD, SAVE, VIEW
from cashwrap.recommend.asked import ORDER as BOUGHT

FEW = 3
"""Shoppers below which a product would tell of them: it is left out."""
LONGEST = 200
"""Rows of one session that are kept, the newest: who does 100,000 things in a visit is no guide to others."""
DAY: Millis = 86_400_000
BATCH = 1_000_000
"""Rows handed over at a time."""
MEMORY = "1GB"
"""What DuckDB may take; what does not fit is spilled."""
_ANALYTICS: int = Purpose.ANALYTICS.value
_DONE = {"Product Viewed": VIEW, "Product Added": ADD, "Product Added to Wishlist": SAVE}
"""What is done with one product, as ``touches`` has it for the server."""
_CONTENT = (ORDER, "Order Updated")
_UNDONE = ("Order Cancelled", "Order Returned")
_SESSION = ("analytic_id", "session")
_SENSITIVE = "CREATE TEMP TABLE sensitive AS SELECT unnest(?::VARCHAR[]) AS product"


class Wanted(NamedTuple):
    """What is asked of the facts: everything that is needed beside them to say it again."""

    tenant: Tenant
    task: Task
    now: Millis
    since: Millis | None
    few: int
    longest: int


def of_facts(
    folder: Path,
    tenant: Tenant,
    task: Task,
    *,
    catalogue: Mapping[str, Product],
    now: Millis,
    days: int | None = None,
) -> Interactions:
    """The interactions in a folder of facts, of the last ``days`` or all of them; all of it is TRAIN.

    For ``next_item`` a session is a visit, with what was viewed, added, saved and ordered. For ``basket`` it is an
    order that the shop's backend reported and that was neither cancelled nor returned, with its products, each once.
    ``catalogue`` says what is sensitive; products that have left it stay, as what went with them still says something.

    Raises ``InvalidInput`` (``no_interactions``) where nothing is left, with what to do.
    """
    wanted = Wanted(tenant, task, now, None if days is None else now - days * DAY, FEW, LONGEST)
    sensitive = sorted(name for name, product in catalogue.items() if product.sensitive)
    with FactTable(folder, memory=MEMORY) as table:
        table.connection.con.execute(_SENSITIVE, [sensitive])
        steps = _steps(table.facts, ibis.table({"product": "string"}, name="sensitive"), wanted, table.keep)
        data = _read(table, steps)
    if not data.sessions:
        raise InvalidInput(_nothing(task), code="no_interactions")
    return data._replace(catalogue=catalogue)


def _nothing(task: Task) -> str:
    done = "ordered, as the shop's backend reported it" if task == "basket" else "looked at, saved or ordered"
    return (
        f"the facts hold no product that at least {FEW} shoppers who allow analytics {done}: wait until there are more "
        "('cashwrap facts' adds what the log has), or learn from a file with --mapping"
    )


# --- the expressions ---


class _Steps(NamedTuple):
    """The four tables, each on top of those before."""

    actions: Rows
    products: Rows
    sessions: Rows
    people: Rows
    explored: Rows


def expression(facts: Rows, sensitive: Rows, wanted: Wanted) -> Rows:
    """All rows as one expression over the facts: numbers of session and item, kind and time, in order."""
    return _rows(_steps(facts, sensitive, wanted, lambda _, each: (each, "")))


def together(facts: Rows, sensitive: Rows, wanted: Wanted) -> Rows:
    """What was in which session, each product once: columns ``analytic_id``, ``session`` and ``product``."""
    steps = _steps(facts, sensitive, wanted, lambda _, each: (each, ""))
    return steps.actions.semi_join(steps.products, "product").select(*_SESSION, "product").distinct()


def _steps(facts: Rows, sensitive: Rows, wanted: Wanted, keep: Any) -> _Steps:
    """What is done, without who must not be in it; the products, sessions and shoppers in it, numbered."""
    rows = _allowed(facts, wanted)
    done = _ordered(rows) if wanted.task == "basket" else _done(rows)
    actions, _ = keep("actions", _cut(done.anti_join(sensitive, "product"), wanted.longest))
    pairs = actions.select("product", "analytic_id").distinct()
    known = pairs.group_by("product").agg(shoppers=ibis._.count())
    known = known.filter(known.shoppers >= wanted.few)
    products, _ = keep("products", known.select("product", item=ibis.row_number().over(order_by=known["product"])))
    left = actions.semi_join(products, "product")
    each = left.group_by(*_SESSION).agg(first=left.time.min(), last=left.time.max())
    in_order = ibis.row_number().over(order_by=[each["last"], each["first"], each.analytic_id, each.session])
    sessions, _ = keep("sessions", each.select(*_SESSION, number=in_order))
    ids = sessions.select("analytic_id").distinct()
    people, _ = keep("people", ids.select("analytic_id", user=ibis.row_number().over(order_by=ids.analytic_id)))
    held = rows.filter(rows.held == "shop").select("analytic_id").distinct()
    return _Steps(actions, products, sessions, people, held)


def _allowed(facts: Rows, wanted: Wanted) -> Rows:
    """Facts of the tenant that anything may be learned from."""
    tests = [
        facts.store == wanted.tenant.store,
        facts.environment == wanted.tenant.environment,
        facts.flags == 0,
        (facts["mask"] & _ANALYTICS) == _ANALYTICS,
        facts.time <= wanted.now,
    ]
    if wanted.since is not None:
        day = datetime.fromtimestamp(wanted.since // 1000, UTC).date()
        tests += [facts.day >= ibis.date(day.year, day.month, day.day), facts.session_start >= wanted.since]
    return facts.filter(*tests)


def _done(rows: Rows) -> Rows:
    """Everything done with products, by visit."""
    single = rows.filter(rows.event.isin(sorted(_DONE)), rows.product_ids.length() > 0)
    kind = ibis.cases(*((single.event == name, kind) for name, kind in _DONE.items())).cast("int8")
    seen = single.select(
        "analytic_id",
        "time",
        "received",
        session=single.session_start,
        kind=kind,
        place=ibis.literal(0, "int64"),
        product=single.product_ids[0],
    )
    bought = _ordered(rows, of_visits=True)
    return seen.union(bought.select(*seen.columns))


def _ordered(rows: Rows, *, of_visits: bool = False) -> Rows:
    """The products of orders that stand, each order once; its visit and owner are those of the first report."""
    reports = rows.filter(rows.event.isin(sorted(ORDER_EVENTS)), rows.trusted, rows.order.notnull())
    when = ibis.struct({"time": reports.time, "received": reports.received})
    content = reports.event.isin(_CONTENT)
    made = reports.time.min(where=reports.event == ORDER)
    book = reports.group_by("order").agg(
        analytic_id=reports.analytic_id.argmin(when, where=content),
        visit=reports.session_start.argmin(when, where=content),
        time=made.coalesce(reports.time.min(where=content)),
        received=reports.received.min(where=content),
        products=reports.product_ids.argmax(when, where=content & (reports.product_ids.length() > 0)),
        undone=reports.event.isin(_UNDONE).any(),
    )
    book = book.filter(~book.undone, book.time.notnull(), book.products.notnull())
    lines = book.select(
        "analytic_id",
        "time",
        "received",
        session=book.visit if of_visits else book.order,
        place=ibis.range(book.products.length()).unnest(),
        product=book.products.unnest(),
    )
    once = lines.group_by("analytic_id", "session", "time", "received", "product").agg(place=lines.place.min())
    return once.mutate(kind=ibis.literal(BOUGHT, "int8"), place=once.place.cast("int64"))


def _cut(actions: Rows, longest: int) -> Rows:
    """The newest rows of each session."""
    newest = [actions.time.desc(), actions.received.desc(), actions.place, actions["product"]]
    window = ibis.window(group_by=[actions[each] for each in _SESSION], order_by=newest)
    ranked = actions.mutate(rank=ibis.row_number().over(window))
    return ranked.filter(ranked["rank"] < longest).drop("rank")


def _rows(steps: _Steps) -> Rows:
    """The rows in order: of what is done at one moment, first what was received first."""
    found = steps.actions.inner_join(steps.products, "product").inner_join(steps.sessions, _SESSION)
    found = found.order_by("number", "time", "received", "kind", "place", "product")
    return found.select(
        number=found.number.cast("int32"), item=found["item"].cast("int32"), kind=found.kind, time=found.time
    )


def _of_sessions(steps: _Steps) -> Rows:
    """Whose each session is, and whether they saw nothing personal."""
    held = steps.explored.mutate(held=ibis.literal(True))  # noqa: FBT003 - ibis
    found = steps.sessions.inner_join(steps.people, "analytic_id").left_join(held, "analytic_id")
    found = found.order_by("number")
    return found.select(user=found.user.cast("int32"), explored=found.held.fill_null(False))  # noqa: FBT003 - ibis


# --- the columns ---


def _read(table: FactTable, steps: _Steps) -> Interactions:
    items = _texts(table, steps.products.order_by("item").select("product"))
    subjects = _texts(table, steps.people.order_by("user").select("analytic_id"))
    by_session = _columns(table, _of_sessions(steps))
    rows = _columns(table, _rows(steps))
    sessions = len(by_session["user"])
    offsets = np.searchsorted(rows["number"], np.arange(sessions + 1)).astype(np.int64)
    told = (rows["item"], rows["kind"], rows["time"], offsets, by_session["user"])
    return Interactions(
        items=tuple(items),
        item=rows["item"],
        kind=rows["kind"],
        time=rows["time"],
        offsets=offsets,
        user=by_session["user"],
        part=np.full(sessions, TRAIN, np.int8),
        explored=by_session["explored"],
        subjects=tuple(subjects),
        digest=digest_of("\n".join(items).encode(), *told),
    )


def _columns(table: FactTable, rows: Rows) -> dict[str, NDArray[Any]]:
    """The columns of an expression, filled batch by batch: never twice in memory."""
    reader = table.connection.con.sql(to_sql(rows)).to_arrow_reader(BATCH)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in reader.schema.names}
    for batch in reader:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            parts[name].append(column.to_numpy(zero_copy_only=False))
    empty = {field.name: np.empty(0, field.type.to_pandas_dtype()) for field in reader.schema}
    return {name: np.concatenate(parts.pop(name) or [empty[name]]) for name in list(parts)}


def _texts(table: FactTable, rows: Rows) -> list[Any]:
    return [value for (value,) in table.rows(rows)]


def digest_of(*parts: bytes | NDArray[Any]) -> str:
    """What names the rows that are learned from, in their order: 16 hex digits."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.hexdigest()


# --- the split ---

_Data = TypeVar("_Data", Interactions, Table)


def split_by_time(data: _Data, *, test: float = 0.2, valid: float = 0.1, gap: Millis = 0) -> _Data:
    """The same data with its last share in time as TEST, and of what is before that the last ``valid`` as VALID.

    What the data itself has as TEST is so already, and then ``test`` is not asked. Everything that happened at one
    moment is in one part. Of a table, rows whose label reaches over ``gap`` into a later part are left out, and those
    of a group (a shopper) that is in a later part as well: nothing is both learned from and asked.
    """
    when = data.time[data.offsets[1:] - 1] if isinstance(data, Interactions) else data.time
    part = np.where(data.part == TEST, TEST, TRAIN).astype(np.int8)
    if test and not (part == TEST).any():
        part[_last(when, test, clock=data.clock) :] = TEST
    rest = np.flatnonzero(part != TEST)
    if valid and len(rest):
        part[rest[_last(when[rest], valid, clock=data.clock) :]] = VALID
    if isinstance(data, Interactions):
        return data._replace(part=part)
    return chosen(data._replace(part=part), _apart(data, part, gap))


def _last(when: NDArray[np.int64], share: float, *, clock: bool) -> int:
    """Where the last share begins; not between two of one moment, unless all of them are of one."""
    first = min(len(when), round(len(when) * (1 - share)))
    if not clock or first in {0, len(when)}:
        return first
    begins = int(np.searchsorted(when, when[first]))
    return begins or first


def _apart(table: Table, part: NDArray[np.int8], gap: Millis) -> NDArray[np.bool_]:
    """Which rows know nothing of a later part: neither by their label nor by whose they are."""
    newest = np.full(table.group.max(initial=-1) + 1, TRAIN, np.int8)
    np.maximum.at(newest, table.group, part)
    keep: NDArray[np.bool_] = part == newest[table.group]
    if table.clock and gap:
        for later in (VALID, TEST):
            begins = table.time[part == later].min(initial=np.iinfo(np.int64).max)
            keep &= (part >= later) | (table.time <= begins - gap)
    return keep
