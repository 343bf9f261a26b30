"""The fact table: what analysis and training may see, as Parquet files by day and bucket of the analytic id.

Typed columns, no payload and no identity; derived from the log, so it is never backed up. Files are never changed, only
put in place and taken away, many at once or not at all: whoever changes the table has a turn, and a turn that was cut
off is finished, or undone, by the next. A bucket bounds what forgetting must read: one file in sixteen, and only those
that hold the id are written anew. Needs the extra ``cashwrap[parquet]``.
"""

import fcntl
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import cache
from hashlib import blake2b
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec import Struct

from cashwrap.adapters.folder import sync
from cashwrap.errors import CashwrapError
from cashwrap.model import Millis, Minor, Purpose

BUCKETS = 16
FILES = 8
"""Files of one day and bucket that may lie side by side; one more, and all of them become one."""
STATE, LOCK, GRAVES, UNFINISHED = "_state.json", "_lock", "_forgotten", "_unfinished"
"""Beside the days in the folder; what reads Parquet folders passes over names that begin so."""
_GRAVE = 8
_ANALYTICS: int = Purpose.ANALYTICS.value
_DAY: Millis = 86_400_000


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


class State(Struct, frozen=True):
    """How far the table has come, and what of its last change is not in place yet."""

    log: str = ""
    """Names the log that the facts come from; empty before the first."""
    position: int = 0
    """The facts of every record up to this one are in."""
    settled: int = 0
    """What every record up to this one says about earlier facts is heeded: whose they are, and what was withdrawn."""
    changes: int = 0
    """Counts changes, and so names their files."""
    moves: tuple[tuple[str, str], ...] = ()
    """Files that wait in ``UNFINISHED``, and where they belong."""
    drops: tuple[str, ...] = ()
    """Files that they replace."""


class Seen(NamedTuple):
    """One fact that is in the table already, as far as sessions and names need it."""

    analytic_id: bytes
    time: Millis
    session_start: Millis
    path: Path


Edit = Callable[[bytes, Millis, Millis], tuple[bytes, Millis] | None]
"""From a fact's analytic id, time and session to its new id and session, or ``None`` where it goes."""


@contextmanager
def turn(folder: Path) -> Iterator["Turn"]:
    """Change the table with nobody else at it. Makes the folder; waits for whoever has a turn.

    What is not committed is gone. Raises ``CashwrapError`` (``extra_missing``).
    """
    _pyarrow()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Turn(folder)
    finally:
        os.close(handle)


class Turn:
    """One turn: look at the table, stage changes, ``commit`` them together. See ``turn``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state = self._saved = _read_state(folder)
        self._finish()
        self._staged: dict[Path, list[Any]] = defaultdict(list)
        self._dropped: set[Path] = set()
        graves = folder / GRAVES
        held = graves.read_bytes() if graves.exists() else b""
        self.graves = frozenset(held[at : at + _GRAVE] for at in range(0, len(held), _GRAVE))
        """Who was forgotten and may be in a batch that was read before."""

    def files(self) -> list[Path]:
        """All files of the table, which are there until the next turn."""
        return sorted(self._folder.glob("day=*/bucket=*/*.parquet"))

    def seen(self, analytic_ids: Collection[bytes], days: Collection[date] | None = None) -> list[Seen]:
        """The facts of these ids, of these days or of all."""
        paths = self._paths({_bucket(each) for each in analytic_ids}, days)
        if not paths or not analytic_ids:
            return []
        arrow, _ = _pyarrow()
        wanted = (
            import_module("pyarrow.compute")
            .field("analytic_id")
            .isin(arrow.array(sorted(analytic_ids), _schema().field("analytic_id").type))
        )
        names = ["analytic_id", "time", "session_start", "__filename"]
        found = _dataset(paths).scanner(columns=names, filter=wanted).to_table()
        places = {str(path): path for path in paths}
        columns = (
            found["analytic_id"].to_pylist(),
            found["time"].cast(arrow.int64()).to_pylist(),
            found["session_start"].cast(arrow.int64()).to_pylist(),
            [places[name] for name in found["__filename"].to_pylist()],
        )
        return [Seen(*row) for row in zip(*columns, strict=True)]

    def add(self, facts: Collection[Fact], starts: Collection[Millis] | None = None) -> int:
        """Stage new facts, without those of anybody who was forgotten since they were read; how many.

        ``starts`` are their sessions', where those were not known when the facts were made.
        """
        pairs = list(zip(facts, starts if starts is not None else [fact.session_start for fact in facts], strict=True))
        kept = [
            pair
            for pair in pairs
            if pair[0].mask & _ANALYTICS and not (self.graves and _grave(pair[0].analytic_id) in self.graves)
        ]
        kept.sort(key=_place)
        table = _table([fact for fact, _ in kept], [start for _, start in kept])
        begin = 0
        for (day, bucket), group in groupby(map(_place, kept)):
            length = sum(1 for _ in group)
            place = self._folder / f"day={day_of(day * _DAY)}" / f"bucket={bucket:02}"
            self._staged[place].append(table.slice(begin, length))
            begin += length
        return len(kept)

    def rewrite(self, path: Path, edit: Edit) -> int:
        """Stage a file with each of its facts as ``edit`` says; how many went."""
        arrow, _ = _pyarrow()
        table = _dataset([path]).to_table()
        ids, times, starts = (
            table["analytic_id"].to_pylist(),
            table["time"].cast(arrow.int64()).to_pylist(),
            table["session_start"].cast(arrow.int64()).to_pylist(),
        )
        edited = [edit(*row) for row in zip(ids, times, starts, strict=True)]
        left = [each for each in edited if each is not None]
        table = table.filter(arrow.array([each is not None for each in edited], arrow.bool_()))
        for place, name in enumerate(("analytic_id", "session_start")):
            column = arrow.array([each[place] for each in left], _schema().field(name).type)
            table = table.set_column(table.schema.get_field_index(name), name, column)
        by_bucket: dict[str, list[bool]] = {
            bucket: [_bucket(each[0]) == bucket for each in left] for bucket in {_bucket(each[0]) for each in left}
        }
        for bucket, mask in by_bucket.items():
            self._staged[path.parent.parent / bucket].append(table.filter(arrow.array(mask, arrow.bool_())))
        self._dropped.add(path)
        return len(edited) - len(left)

    def forget(self, analytic_ids: Collection[bytes]) -> int:
        """Remove the facts of these ids, durably, and let no batch that was read before bring them back.

        How many files held any.
        """
        gone = frozenset(analytic_ids)
        self._bury(self.graves | {_grave(each) for each in gone})
        paths = sorted({seen.path for seen in self.seen(gone)})
        for path in paths:
            self.rewrite(path, lambda who, _, start: None if who in gone else (who, start))
        self.commit()
        return len(paths)

    def clear(self) -> None:
        """Stage the removal of every fact, and of how far the table had come."""
        self.state = State(changes=self.state.changes)
        self._staged.clear()
        self._dropped = set(self.files())

    def level(self, graves: Collection[bytes]) -> None:
        """Take graves away that no batch can come from any more, durably."""
        if self.graves & set(graves):
            self._bury(self.graves - set(graves))

    def commit(self, **state: Any) -> None:
        """Make all that is staged durable, and with it new values of ``State``: everything or nothing."""
        moves: list[tuple[str, str]] = []
        number = self.state.changes + 1
        for place, tables in sorted(self._staged.items()):
            there = [path for path in sorted(place.glob("*.parquet")) if path not in self._dropped]
            if len(there) >= FILES:
                tables = [_dataset(there).to_table(), *tables]  # noqa: PLW2901 - the partition as one file
                self._dropped.update(there)
            name = f"{number:08x}-{len(moves):04x}.parquet"
            _write(_pyarrow()[0].concat_tables(tables), self._unfinished(name))
            moves.append((name, str(place.relative_to(self._folder) / name)))
        drops = tuple(sorted(str(path.relative_to(self._folder)) for path in self._dropped))
        changed = msgspec.structs.replace(self.state, changes=number, moves=tuple(moves), drops=drops, **state)
        self._staged.clear()
        self._dropped.clear()
        if changed == msgspec.structs.replace(self._saved, changes=number):
            return  # nothing is another than before
        self._put(changed)
        self._finish()

    def _finish(self) -> None:
        """Put in place what was committed, and remove what never was."""
        state, touched = self.state, set()
        for name, place in state.moves:
            source, target = self._folder / UNFINISHED / name, self._folder / place
            if source.exists():
                for parent in (target.parent.parent, target.parent):
                    parent.mkdir(mode=0o700, exist_ok=True)
                    touched.add(parent)
                _move(source, target)
        for place in state.drops:
            path = self._folder / place
            if path.exists():
                _remove(path)
                touched.add(path.parent)
        for parent in touched:
            sync(parent)
        if state.moves or state.drops:
            self._put(msgspec.structs.replace(state, moves=(), drops=()))
        if (self._folder / UNFINISHED).is_dir():
            for leftover in (self._folder / UNFINISHED).iterdir():
                _remove(leftover)

    def _put(self, state: State) -> None:
        self._keep(STATE, msgspec.json.encode(state))
        self.state = self._saved = state

    def _bury(self, graves: frozenset[bytes]) -> None:
        self._keep(GRAVES, b"".join(sorted(graves)))
        self.graves = graves

    def _keep(self, name: str, content: bytes) -> None:
        """A small file in place of what was there, durably."""
        unfinished = self._unfinished(name)
        with _private(unfinished) as file:
            file.write(content)
        sync(unfinished)
        _move(unfinished, self._folder / name)
        sync(self._folder)

    def _unfinished(self, name: str) -> Path:
        place = self._folder / UNFINISHED
        place.mkdir(mode=0o700, exist_ok=True)
        return place / name

    def _paths(self, buckets: Collection[str], days: Collection[date] | None) -> list[Path]:
        named = [f"day={day}" for day in sorted(days)] if days is not None else ["day=*"]
        return [
            path
            for day in named
            for bucket in sorted(buckets)
            for path in sorted(self._folder.glob(f"{day}/{bucket}/*.parquet"))
        ]


def write_facts(folder: Path, facts: Iterable[Fact]) -> int:
    """Add facts that come from no log of ours, durably and all or none; how many there were.

    Facts without ``analytics`` in their mask are left out, whoever made them. Raises ``CashwrapError`` with code
    ``extra_missing`` where Parquet is not installed.
    """
    with turn(folder) as mine:
        count = mine.add(list(facts))
        mine.commit()
    return count


def day_of(time: Millis) -> date:
    """The day of a moment, in UTC: where a fact lies."""
    return datetime.fromtimestamp(time // 1000, UTC).date()


def files_of(folder: Path) -> list[Path]:
    """All files of the table, as one change left them. Files go when the table changes: read them again then."""
    if not folder.is_dir():
        return []
    with turn(folder) as mine:
        return mine.files()


def _read_state(folder: Path) -> State:
    path = folder / STATE
    try:
        return msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State()
    except msgspec.DecodeError as error:
        message = f"{path} cannot be read: remove the folder {folder}, and 'cashwrap facts' writes it again"
        raise CashwrapError(message, code="facts_mismatch") from error


def _bucket(analytic_id: bytes) -> str:
    return f"bucket={analytic_id[0] % BUCKETS:02}"


def _grave(analytic_id: bytes) -> bytes:
    """What tells a forgotten id: nobody finds a random id by it."""
    return blake2b(analytic_id, digest_size=_GRAVE).digest()


@cache
def _schema() -> Any:
    arrow, _ = _pyarrow()
    moment, text, whole = arrow.timestamp("ms", "UTC"), arrow.string(), arrow.int64()
    return arrow.schema(
        {
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
    )


def _table(facts: Sequence[Fact], starts: Sequence[Millis]) -> Any:
    arrow, _ = _pyarrow()
    schema, count = _schema(), len(facts)
    columns = (
        dict(zip(schema.names, zip(*map(msgspec.structs.astuple, facts), strict=True), strict=True)) if facts else {}
    )
    columns["session_start"] = starts
    arrays = []
    for field in schema:
        column = columns.get(field.name, ())
        empty = column.count(None) == count  # most columns of most facts, and ten times as fast
        arrays.append(arrow.nulls(count, field.type) if empty else arrow.array(column, field.type))
    return arrow.table(arrays, schema=schema)


def _place(pair: tuple[Fact, Millis]) -> tuple[int, int]:
    """The day and bucket of a fact."""
    fact, _ = pair
    return fact.time // _DAY, fact.analytic_id[0] % BUCKETS


def _dataset(paths: Collection[Path]) -> Any:
    """Some of the files; columns that older ones lack are empty."""
    datasets = import_module("pyarrow.dataset")
    return datasets.dataset([str(path) for path in paths], schema=_schema(), format="parquet")


def _write(table: Any, path: Path) -> None:
    _, parquet = _pyarrow()
    with _private(path) as file:
        parquet.write_table(table, file, compression="zstd")
    sync(path)


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _move(source: Path, target: Path) -> None:
    source.replace(target)


def _remove(path: Path) -> None:
    path.unlink()


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

    def forget(self, analytic_ids: Collection[bytes]) -> int:
        """Write the files that hold these ids anew without them; how many they were.

        Raises ``CashwrapError`` (``extra_missing``).
        """
        if not self.folder.is_dir():
            return 0
        with turn(self.folder) as mine:
            return mine.forget(analytic_ids)
