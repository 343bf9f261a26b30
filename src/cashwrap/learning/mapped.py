"""Files read as a mapping says: CSV (whatever divides its columns, packed or not) or Parquet, by DuckDB."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.learning.data import TEST, TRAIN, Column, Interactions, Table
from cashwrap.learning.mapping import Derived, Mapping, Rows, Skip, Testing, Time
from cashwrap.model import Product
from cashwrap.recommend.asked import KINDS

MEMORY = "4GB"
PARQUET = b"PAR1"


def read_interactions(mapping: Mapping, path: Path) -> Interactions:
    """The interactions in a file.

    Raises ``InvalidInput``: ``unreadable_file``, ``unknown_column``, ``no_interactions``.
    """
    rows = mapping.rows
    if rows is None:
        raise InvalidInput(f"the mapping {mapping.source} has no 'rows'", code="invalid_mapping")
    with _opened(path) as (database, columns):
        known = _Columns(columns, path)
        database.execute(f"CREATE TEMP TABLE kept AS {_kept(mapping, rows, known)}")
        database.execute(
            _NUMBERED.format(
                ended="ended, " if rows.time else "", whole="bool_and" if mapping.test.since else "bool_or"
            )
        )
        found = database.execute(_IN_ORDER).fetchnumpy()
        if not len(found["item"]):
            raise InvalidInput(
                f"{path.name} has no row that the mapping {mapping.source} takes: look at 'time', 'kind', 'skip'",
                code="no_interactions",
            )
        items = database.execute("SELECT item, category, title FROM items ORDER BY number").fetchall()
        users = database.execute("SELECT user, tested FROM sessions ORDER BY number").fetchnumpy()
    offsets = np.searchsorted(found["session"], np.arange(len(users["tested"]) + 1)).astype(np.int64)
    part = np.where(np.ma.filled(users["tested"], fill_value=False), TEST, TRAIN).astype(np.int8)
    if mapping.test.share is not None and mapping.test.column is None and mapping.test.since is None:
        part[int(len(part) * (1 - mapping.test.share)) :] = TEST
    data = Interactions(
        items=tuple(str(name) for name, _, _ in items),
        item=found["item"].astype(np.int32),
        kind=found["kind"].astype(np.int8),
        time=found["time"].astype(np.int64),
        offsets=offsets,
        user=np.ma.filled(users["user"], fill_value=-1).astype(np.int32),
        part=part,
        explored=np.zeros(len(part), np.bool_),
        catalogue=_catalogue(items) if rows.category or rows.title else {},
        clock=rows.time is not None,
        digest=_digest(found["item"], found["time"], offsets),
        targets=tuple(KINDS.index(each) for each in mapping.targets),
    )
    return sized(data, mapping.sizes)


def sized(data: Interactions, sizes: tuple[int, int]) -> Interactions:
    """Without the test sessions that have fewer, or more, different items than ``sizes`` say."""
    low, high = sizes
    session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
    pairs = np.unique(session * (len(data.items) + 1) + data.item) // (len(data.items) + 1)
    count = np.bincount(pairs, minlength=data.sessions)
    keep = (data.part != TEST) | ((count >= low) & (count <= high))
    return data if keep.all() else chosen(data, keep)


def chosen(data: Interactions, keep: NDArray[np.bool_]) -> Interactions:
    """Some of the sessions, with their rows; items keep their numbers."""
    lengths = np.diff(data.offsets)
    rows = np.repeat(keep, lengths)
    return data._replace(
        item=data.item[rows],
        kind=data.kind[rows],
        time=data.time[rows],
        offsets=np.concatenate(([0], np.cumsum(lengths[keep]))).astype(np.int64),
        user=data.user[keep],
        part=data.part[keep],
        explored=data.explored[keep],
    )


def read_table(mapping: Mapping, path: Path) -> Table:
    """The examples in a file, ascending in time, or as they stand there.

    Raises ``InvalidInput``: ``unreadable_file``, ``unknown_column``, ``no_examples``.
    """
    with _opened(path) as (database, columns):
        found = database.execute(_examples(mapping, _Columns(columns, path))).fetchnumpy()
    count = len(found["label"])
    if not count:
        raise InvalidInput(f"{path.name} has no row that the mapping {mapping.source} takes", code="no_examples")
    numbers = [*mapping.numbers, *mapping.derive]
    texts = [(name, "category") for name in mapping.categories] + [(name, "set") for name in mapping.sets]
    table = [Column(bare(name), "number", _floats(found[f"n{at}"])) for at, name in enumerate(numbers)]
    table += [
        Column(bare(name), "category" if kind == "category" else "set", _texts(found[f"t{at}"]))
        for at, (name, kind) in enumerate(texts)
    ]
    treatment = mapping.treatment
    treated = found["treated"].astype(np.int8) if treatment else None
    chance = treatment.propensity if treatment and treatment.randomised else None
    group = found["grouped"].astype(np.int32)
    return Table(
        columns=tuple(table),
        label=found["label"].astype(np.float64),
        time=found["time"].astype(np.int64),
        group=group,
        part=_tested(mapping.test, np.ma.filled(found["tested"], fill_value=False), group),
        explored=np.zeros(count, np.bool_),
        treated=treated,
        propensity=np.full(count, chance) if chance is not None else None,
        clock=mapping.time is not None,
        digest=_digest(*(found[name] for name in ("label", "time", "grouped"))),
    )


def bare(name: str) -> str:
    """A column's name without the place of its number: ``price{i}`` is ``price``."""
    return name.replace("{i}", "")


# --- one query each ---


class _Columns:
    """The file's columns, quoted for SQL; complains about those that are not there."""

    def __init__(self, names: Sequence[str], path: Path) -> None:
        self._names = set(names)
        self._path = path

    def __call__(self, name: str, number: int | None = None) -> str:
        real = name.replace("{i}", str(number)) if number is not None else name
        if real not in self._names:
            there = ", ".join(sorted(self._names)[:30])
            raise InvalidInput(f"{self._path.name} has no column {real!r}; it has {there}", code="unknown_column")
        return '"' + real.replace('"', '""') + '"'


def _kept(mapping: Mapping, rows: Rows, known: _Columns) -> str:
    """Each row that counts, with a moment, a place in the file and whether it is for testing."""
    kind, wanted = "0", ""
    if rows.kind is not None:
        column = known(rows.kind.column)
        cases = " ".join(
            f"WHEN {column} = {_quoted(said)} THEN {KINDS.index(mine)}" for said, mine in rows.kind.values.items()
        )
        kind, wanted = f"CASE {cases} END", f"AND {column} IN ({_listed(rows.kind.values)})"
    elif mapping.task == "basket":
        kind = str(KINDS.index("order"))
    moment = _moment(rows.time, known) if rows.time else f"TRY_CAST({known(rows.order or '')} AS BIGINT)"
    user = f"nullif({known(rows.user)}, '')" if rows.user else "NULL::VARCHAR"
    category = f"nullif({known(rows.category)}, '')" if rows.category else "NULL::VARCHAR"
    title = f"nullif({known(rows.title)}, '')" if rows.title else "NULL::VARCHAR"
    skipped = " ".join(f"AND NOT ({_skipped(skip, known)})" for skip in mapping.skip)
    return f"""
SELECT place, {known(rows.session)} AS session, {known(rows.item)} AS item, {kind} AS kind, {moment} AS time,
  {user} AS user, {category} AS category, {title} AS title, {_tests(mapping.test, known, moment)} AS tested
FROM source WHERE {known(rows.session)} <> '' AND {known(rows.item)} <> '' AND {moment} IS NOT NULL {wanted} {skipped}
"""  # noqa: S608 - names and values are quoted


_NUMBERED = """
CREATE TEMP TABLE items AS SELECT item, row_number() OVER (ORDER BY item) - 1 AS number,
  any_value(category) AS category, any_value(title) AS title FROM kept GROUP BY item;
CREATE TEMP TABLE people AS SELECT user, row_number() OVER (ORDER BY user) - 1 AS number FROM kept
  WHERE user IS NOT NULL GROUP BY user;
CREATE TEMP TABLE sessions AS
  WITH each AS (SELECT session, max(time) AS ended, min(place) AS place, {whole}(tested) AS tested,
    any_value(user) AS user FROM kept GROUP BY session)
  SELECT session, row_number() OVER (ORDER BY {ended}each.place) - 1 AS number, tested, people.number AS user
  FROM each LEFT JOIN people ON people.user = each.user;
"""
_IN_ORDER = """
SELECT sessions.number AS session, items.number AS item, kind, time FROM kept
JOIN sessions ON sessions.session = kept.session JOIN items ON items.item = kept.item
ORDER BY sessions.number, time, place
"""


def _examples(mapping: Mapping, known: _Columns) -> str:
    """The examples of every number of ``each``, one below the other."""
    parts = [_example(mapping, known, place, number) for place, number in enumerate(mapping.each or (None,))]
    return f"""
WITH examples AS ({" UNION ALL ".join(parts)})
SELECT *, dense_rank() OVER (ORDER BY grouping) - 1 AS grouped FROM examples ORDER BY time, place, number
"""  # noqa: S608 - names and values are quoted


def _example(mapping: Mapping, known: _Columns, place: int, number: int | None) -> str:
    label, treatment = mapping.label, mapping.treatment
    if label is None:
        raise InvalidInput(f"the mapping {mapping.source} has no 'label'", code="invalid_mapping")
    picked = [f"TRY_CAST({known(name, number)} AS DOUBLE) AS n{at}" for at, name in enumerate(mapping.numbers)]
    picked += [
        f"{_derived(derived, known, place, number)} AS n{at}"
        for at, derived in enumerate(mapping.derive.values(), len(mapping.numbers))
    ]
    picked += [f"{known(name, number)} AS t{at}" for at, name in enumerate((*mapping.categories, *mapping.sets))]
    moment = _moment(mapping.time, known) if mapping.time else "place"
    asked = "TRUE"
    if treatment is not None:
        column = known(treatment.column)
        picked.append(f"({column} IN ({_listed(treatment.treated)}))::TINYINT AS treated")
        asked = f"{column} IN ({_listed((*treatment.treated, *treatment.control))})"
    return f"""
SELECT place, {place} AS number, ({known(label.column, number)} IN ({_listed(label.values)}))::DOUBLE AS label,
  {moment} AS time, {known(mapping.group) if mapping.group else "place::VARCHAR"} AS grouping,
  {_tests(mapping.test, known, moment)} AS tested, {", ".join(picked)}
FROM source WHERE {asked} AND {moment} IS NOT NULL {" ".join(f"AND NOT ({_skipped(s, known)})" for s in mapping.skip)}
"""  # noqa: S608 - names and values are quoted


def _moment(time: Time, known: _Columns) -> str:
    column = known(time.column)
    if time.unit == "iso":
        return f"epoch_ms(TRY_CAST({column} AS TIMESTAMP))"
    factor = 1000 if time.unit == "s" else 1
    return f"CAST(round(TRY_CAST({column} AS DOUBLE) * {factor}) AS BIGINT)"


def _derived(derived: Derived, known: _Columns, place: int, number: int | None) -> str:
    def when(name: str) -> str:
        return f"TRY_CAST({known(name, number)} AS TIMESTAMP)"

    if derived.hour:
        return f"hour({when(derived.hour)})::DOUBLE"
    if derived.weekday:
        return f"isodow({when(derived.weekday)})::DOUBLE"
    if derived.minutes:
        first, second = derived.minutes
        return f"(epoch_ms({when(second)}) - epoch_ms({when(first)})) / 60000.0"
    if derived.ratio:
        above, below = (f"TRY_CAST({known(name, number)} AS DOUBLE)" for name in derived.ratio)
        return f"{above} / nullif({below}, 0)"
    return f"{place}::DOUBLE"


def _tests(test: Testing, known: _Columns, moment: str) -> str:
    if test.column is not None:
        return f"({known(test.column)} IN ({_listed(test.values)}))"
    if test.since is not None:
        return f"({moment} >= epoch_ms(TIMESTAMP {_quoted(test.since)}))"
    return "FALSE"


def _skipped(skip: Skip, known: _Columns) -> str:
    tests = [
        f"{known(name)} IN ({_listed([said] if isinstance(said, str) else said)})" for name, said in skip.when.items()
    ]
    tests += [f"starts_with({known(name)}, {_quoted(said)})" for name, said in skip.prefix.items()]
    return " AND ".join(tests) or "FALSE"


def _tested(test: Testing, marked: NDArray[np.bool_], group: NDArray[np.int32]) -> NDArray[np.int8]:
    """The part of each row; with a share, whole groups from the first one that begins in it."""
    part = np.where(marked, TEST, TRAIN).astype(np.int8)
    if test.share is not None and test.column is None and test.since is None:
        first = int(len(part) * (1 - test.share))
        part[first:] = TEST
        early = np.isin(group, group[:first]) & (part == TEST)
        part[early] = TRAIN
    return part


# --- files ---


@contextmanager
def _opened(path: Path) -> "Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]":
    """DuckDB with the file as ``source``: every column a text, ``place`` the row's number."""
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == PARQUET
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", code="unreadable_file") from error
    name = _quoted(str(path))
    read = f"read_parquet({name})" if parquet else f"read_csv({name}, all_varchar = true, header = true)"
    database = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY, "preserve_insertion_order": True})
    try:
        columns = [row[0] for row in database.execute(f"DESCRIBE FROM {read}").fetchall()]
        names = [each.replace('"', '""') for each in columns]
        texts = ", ".join(f'coalesce(CAST("{each}" AS VARCHAR), \'\') AS "{each}"' for each in names)
        database.execute(f"CREATE TEMP VIEW source AS SELECT {texts}, row_number() OVER () AS place FROM {read}")  # noqa: S608 - quoted
        yield database, columns
    except duckdb.Error as error:
        told = str(error).partition("\n")[0]  # what follows is advice on a database's own settings
        raise InvalidInput(f"{path.name} cannot be read: {told}", code="unreadable_file") from error
    finally:
        database.close()


def _catalogue(items: Sequence[tuple[Any, ...]]) -> dict[str, Product]:
    return {str(name): Product(str(name), title=title or "", category=category) for name, category, title in items}


def _floats(values: Any) -> NDArray[np.float64]:
    return np.ma.filled(np.ma.asarray(values, np.float64), fill_value=np.nan).astype(np.float64)


def _texts(values: Any) -> NDArray[np.object_]:
    return np.ma.filled(np.ma.asarray(values, object), fill_value="").astype(object)


def _digest(*arrays: Any) -> str:
    digest = blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(_quoted(str(value)) for value in values)
