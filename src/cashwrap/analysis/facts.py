"""The fact table opened for questions: DuckDB over the folder of Parquet files, in bounded memory.

Everything above this file is an Ibis expression over ``FactTable.facts``, so that another engine with the same columns
could answer as well. Moments are milliseconds since 1970, in UTC.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import ibis  # type: ignore[import-untyped]

from cashwrap.model import Millis

Table = Any
"""An Ibis table; the library has no types of its own."""
Value = Any
"""An Ibis column or scalar."""

COLUMNS: Mapping[str, str] = {
    "store": "VARCHAR",
    "environment": "VARCHAR",
    "analytic_id": "BLOB",
    "session_start": "BIGINT",
    "time": "BIGINT",
    "received": "BIGINT",
    "event": "VARCHAR",
    "product_ids": "VARCHAR[]",
    "quantities": "BIGINT[]",
    "prices": "BIGINT[]",
    "amount": "BIGINT",
    "currency": "VARCHAR",
    "mask": "SMALLINT",
    "device": "VARCHAR",
    "country": "VARCHAR",
    "browser": "VARCHAR",
    "experience": "VARCHAR",
    "variation": "VARCHAR",
    "experiment": "VARCHAR",
    "outcome": "VARCHAR",
    "held": "VARCHAR",
    "propensity": "SMALLINT",
    "decision": "VARCHAR",
    "level": "VARCHAR",
    "placement": "VARCHAR",
    "playbook": "VARCHAR",
    "segments": "VARCHAR[]",
    "latency": "BIGINT",
    "flags": "SMALLINT",
    "trusted": "BOOLEAN",
    "order": "BLOB",
    "cart": "BLOB",
    "subtotal": "BIGINT",
    "discount": "BIGINT",
    "shipping": "BIGINT",
    "tax": "BIGINT",
    "cost": "BIGINT",
    "quantity": "BIGINT",
    "step": "VARCHAR",
    "method": "VARCHAR",
    "offer": "VARCHAR",
    "measures": "MAP(VARCHAR, DOUBLE)",
}
"""The columns that questions read, as DuckDB types them here."""
MOMENTS = frozenset({"session_start", "time", "received"})
FOREIGN = frozenset({"amount", "subtotal", "discount", "shipping", "tax"})
"""In minor units of the fact's own currency; what products cost is in the shop's."""
DAY: Millis = 86_400_000


class FactTable:
    """The facts of one folder, opened to be asked; close it, or use it as a context manager.

    What does not fit into ``memory`` is spilled into a temporary folder, which goes when it is closed.
    """

    def __init__(self, folder: Path, *, threads: int = 2, memory: str = "1GB") -> None:
        with ExitStack() as opened:
            spill = opened.enter_context(TemporaryDirectory(prefix="cashwrap-report-"))
            self.connection: Any = ibis.duckdb.connect(
                threads=threads,
                memory_limit=memory,
                temp_directory=spill,
                preserve_insertion_order=False,  # nothing here depends on it, and keeping it costs memory
            )
            opened.callback(self.connection.disconnect)
            self.sql = self._view(folder)
            self.run(self.sql)
            self.facts = self._named("facts")
            self._opened = opened.pop_all()  # what fails before this leaves nothing behind
        self._questions = 0

    def __enter__(self) -> "FactTable":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files, and remove what was spilled."""
        self._opened.close()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows that a statement answers with."""
        rows: list[tuple[Any, ...]] = self.connection.raw_sql(sql).fetchall()
        return rows

    def rows(self, expression: Table) -> list[tuple[Any, ...]]:
        """The rows of an expression."""
        return self.run(to_sql(expression))

    def keep(self, name: str, expression: Table) -> tuple[Table, str]:
        """Work an expression out, once, into a temporary table; and the statement that did it."""
        statement = f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS\n{to_sql(expression)}"
        self.run(statement)
        return self._named(name), statement

    def _named(self, name: str) -> Table:
        """A table by its name alone, so that statements about it are those of any connection."""
        return self.connection.table(name).unbind()

    def suffix(self) -> str:
        """What tells the tables of one question from those of another."""
        self._questions += 1
        return "" if self._questions == 1 else f"_{self._questions}"

    def _view(self, folder: Path) -> str:
        """The statement that names the files ``facts``; files from before a column was there have none in it."""
        if next(folder.glob("day=*/bucket=*/*.parquet"), None) is None:
            columns = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in {**COLUMNS, "day": "DATE"}.items())
            return f"CREATE OR REPLACE TEMP VIEW facts AS SELECT {columns} WHERE false"
        files = f"{folder}/day=*/bucket=*/*.parquet".replace("'", "''")
        source = (
            f"read_parquet('{files}', hive_partitioning = true, hive_types = {{'day': DATE}}, union_by_name = true)"
        )
        there = {row[0] for row in self.run(f"DESCRIBE FROM {source}")}
        columns = ",\n  ".join(_column(name, kind, there=name in there) for name, kind in COLUMNS.items())
        return f'CREATE OR REPLACE TEMP VIEW facts AS SELECT\n  {columns},\n  "day"\nFROM {source}'


def to_sql(expression: Table) -> str:
    """An expression as the SQL that DuckDB runs."""
    return str(ibis.duckdb.compile(expression, pretty=True))


def quoted(name: str) -> str:
    """A name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def _column(name: str, kind: str, *, there: bool) -> str:
    if not there:
        return f"NULL::{kind} AS {quoted(name)}"
    return (
        f"epoch_ms({quoted(name)}) AS {quoted(name)}"
        if name in MOMENTS
        else f"{quoted(name)}::{kind} AS {quoted(name)}"
    )
