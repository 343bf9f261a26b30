"""The fact table: what analysis and training may see, as Parquet files by day and bucket of the analytic id.

Typed columns, no payload and no identity; derived from the log, so it is never backed up. A bucket bounds what
forgetting must read: one file in sixteen, and only those that hold the id are rewritten. Whoever writes and forgets
takes turns. Needs the extra ``cashwrap[parquet]``.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from cashwrap.errors import CashwrapError
from cashwrap.model import Millis, Minor, Purpose

BUCKETS = 16


class Fact(Struct, frozen=True, array_like=True):
    """One event as analysis sees it. The three lists of products run in parallel."""

    store: str
    environment: str
    analytic_id: bytes
    """16 random bytes that only the shopper's profile ties to the shopper."""
    session_start: Millis
    time: Millis
    event: str
    product_ids: tuple[str, ...] = ()
    quantities: tuple[int, ...] = ()
    prices: tuple[Minor | None, ...] = ()
    """For one piece."""
    amount: Minor | None = None
    """What the event says it is worth: its ``total``, else ``revenue``, ``value``, or an offer's ``amount``."""
    currency: str | None = None
    mask: int = 0
    device: str | None = None
    country: str | None = None
    experience: str | None = None
    """From here on: what an exposure's token proved, in treatment and control alike."""
    variation: str | None = None
    """The arm."""
    experiment: str | None = None
    """The experiment's salt; none where the experience is in no experiment."""
    outcome: str | None = None
    held: str | None = None
    """Kept out for good: by the ``shop``'s holdout, or by the ``experiment``'s own."""
    propensity: int | None = None
    """Of 10,000."""
    decision: str | None = None
    level: str | None = None
    placement: str | None = None
    playbook: str | None = None
    """The release that decided."""
    segments: tuple[str, ...] = ()
    """Those the shopper was in at the exposure."""
    latency: int | None = None
    """Milliseconds that the page waited for the decision."""
    flags: int = 0
    """Bots and the shop's own people: kept here so that they can be counted, and left out of every metric."""
    trusted: bool = False
    """Reported by the shop's backend: only such orders are money."""
    received: Millis = 0
    browser: str | None = None
    order: bytes | None = None
    """8 bytes that stand for the order's id, and for nothing outside this folder."""
    cart: bytes | None = None
    """The same of the cart's token."""
    subtotal: Minor | None = None
    discount: Minor | None = None
    shipping: Minor | None = None
    tax: Minor | None = None
    cost: Minor | None = None
    """What the products cost the shop, in its own currency whatever the event's, as far as the catalogue knew it then:
    ``None`` where it knew of none of them."""
    quantity: int | None = None
    """Pieces of all products."""
    step: str | None = None
    method: str | None = None
    """Of payment, else of delivery."""
    offer: str | None = None
    measures: dict[str, float] = {}
    """Other fields that a metric of the shop's own asks for."""


def write_facts(folder: Path, facts: Iterable[Fact]) -> list[Path]:
    """Add one batch, durably; the files written. The same batch again writes the same files.

    Facts without ``analytics`` in their mask are left out, whoever made them. Raises ``CashwrapError`` with code
    ``extra_missing`` where Parquet is not installed.
    """
    partitions: dict[Path, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.mask & Purpose.ANALYTICS:
            day = datetime.fromtimestamp(fact.time // 1000, UTC).date()
            partitions[folder / f"day={day}" / _bucket(fact.analytic_id)].append(fact)
    written = []
    for partition, rows in partitions.items():
        name = blake2b(msgspec.msgpack.encode(rows), digest_size=16).hexdigest()
        partition.mkdir(mode=0o700, parents=True, exist_ok=True)
        written.append(partition / f"{name}.parquet")
        _replace(written[-1], _table(rows))
    return written


def forget(folder: Path, analytic_id: bytes) -> int:
    """Rewrite the files that hold the id without it, durably; how many there were."""
    _, parquet = _pyarrow()
    count = 0
    for partition in sorted(folder.glob(f"day=*/{_bucket(analytic_id)}")):
        for unfinished in partition.glob("*.tmp"):  # from a crash; may hold anybody
            unfinished.unlink()
        for path in sorted(partition.glob("*.parquet")):
            ids = parquet.ParquetFile(path).read(columns=["analytic_id"])["analytic_id"].to_pylist()
            keep = [other != analytic_id for other in ids]
            if all(keep):
                continue
            count += 1
            if any(keep):
                _replace(path, parquet.ParquetFile(path).read().filter(keep))
            else:
                path.unlink()
                _sync(partition)
    return count


def _bucket(analytic_id: bytes) -> str:
    return f"bucket={analytic_id[0] % BUCKETS:02}"


def _table(facts: list[Fact]) -> Any:
    arrow, _ = _pyarrow()
    moment, text, whole = arrow.timestamp("ms", "UTC"), arrow.string(), arrow.int64()
    types = {
        "store": text,
        "environment": text,
        "analytic_id": arrow.binary(16),
        "session_start": moment,
        "time": moment,
        "event": text,
        "product_ids": arrow.list_(text),
        "quantities": arrow.list_(whole),
        "prices": arrow.list_(whole),
        "amount": whole,
        "currency": text,
        "mask": arrow.int16(),
        "device": text,
        "country": text,
        "experience": text,
        "variation": text,
        "experiment": text,
        "outcome": text,
        "held": text,
        "propensity": arrow.int16(),
        "decision": text,
        "level": text,
        "placement": text,
        "playbook": text,
        "segments": arrow.list_(text),
        "latency": whole,
        "flags": arrow.int16(),
        "trusted": arrow.bool_(),
        "received": moment,
        "browser": text,
        "order": arrow.binary(8),
        "cart": arrow.binary(8),
        "subtotal": whole,
        "discount": whole,
        "shipping": whole,
        "tax": whole,
        "cost": whole,
        "quantity": whole,
        "step": text,
        "method": text,
        "offer": text,
        "measures": arrow.map_(text, arrow.float64()),
    }
    columns = zip(*(msgspec.structs.astuple(fact) for fact in facts), strict=True)
    return arrow.table(
        [arrow.array(column, kind) for column, kind in zip(columns, types.values(), strict=True)],
        names=list(types),
    )


def _replace(path: Path, table: Any) -> None:
    """Put the file in place whole or not at all."""
    _, parquet = _pyarrow()
    unfinished = path.with_suffix(".tmp")
    parquet.write_table(table, unfinished, compression="zstd")
    _sync(unfinished)
    unfinished.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _pyarrow() -> tuple[Any, Any]:
    """The one place where the heavy extra comes in."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise CashwrapError("Facts are kept as Parquet. Install cashwrap[parquet]", code="extra_missing") from error


class ParquetFacts:
    """Port ``Facts`` over a folder of Parquet files; nothing to do, and nothing imported, where there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def forget(self, analytic_id: bytes) -> int:
        """Rewrite the files that hold the id without it. Raises ``CashwrapError`` (``extra_missing``)."""
        return forget(self.folder, analytic_id) if self.folder.is_dir() else 0
