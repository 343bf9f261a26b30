"""A fact table from columns: for experiments whose data come from elsewhere, such as a published one.

Needs the extra ``cashwrap[analysis]``. What the engine itself collects is written by ``cashwrap facts``.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from cashwrap.errors import CashwrapError

_MOMENTS = frozenset({"time", "received", "session_start"})
_IDS = {"analytic_id": 16, "order": 8, "cart": 8}
_ALL_ALIKE = {"store": "default", "environment": "live", "mask": 3, "flags": 0, "trusted": True}


def write_columns(folder: Path, name: str, columns: Mapping[str, Any]) -> int:
    """Add facts as columns of equal length, named as in ``cashwrap.adapters.parquet.Fact``; how many there were.

    ``event``, ``time`` (milliseconds) and ``analytic_id`` must be there; one value stands for a whole column. Ids are
    whole numbers (or ``None``), and ``measures`` lists of (name, number). What is not there is unknown, but for store
    ``default``, environment ``live``, an allowed mask, no flags, and the shop's backend as who reported it. ``name`` is
    that of the files: the same name again replaces them.

    Raises ``CashwrapError`` with code ``extra_missing`` where Parquet is not installed.
    """
    arrow, parquet = _pyarrow()
    count = len(columns["analytic_id"])
    given = {"received": columns["time"], "session_start": columns["time"], **_ALL_ALIKE, **columns}
    table = arrow.table({each: _column(arrow, each, values, count) for each, values in given.items()})
    days = arrow.compute.strftime(table["time"], "%Y-%m-%d")
    for day in arrow.compute.unique(days).to_pylist():
        place = folder / f"day={day}" / "bucket=00"
        place.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table.filter(arrow.compute.equal(days, day)), place / f"{name}.parquet")
    return count


def _column(arrow: Any, name: str, values: Any, count: int) -> Any:
    if isinstance(values, str | int) or values is None:
        values = [values] * count
    if name in _MOMENTS:
        return arrow.array(values).cast(arrow.timestamp("ms", "UTC"))
    if name in _IDS:
        return arrow.array(_binary(values, _IDS[name]), arrow.binary(_IDS[name]))
    if name == "measures":
        return arrow.array(values, arrow.map_(arrow.string(), arrow.float64()))
    return arrow.array(values)


def _binary(values: Sequence[int | None], size: int) -> list[bytes | None]:
    return [None if each is None else int(each).to_bytes(size, "big") for each in values]


def _pyarrow() -> tuple[Any, Any]:
    """The one place where the heavy extra comes in."""
    try:
        import_module("pyarrow.compute")
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise CashwrapError("Facts are kept as Parquet. Install cashwrap[analysis]", code="extra_missing") from error
