"""Rows out of files: CSV, TSV, JSON lines and Parquet, packed or not, one row at a time and each within limits.

Every reader gives the wanted columns of a row in the order they were asked for. What is no row is told with its place
and left out; a file that breaks off ends the reading with ``InvalidInput`` after its last whole row.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from cashwrap.errors import CashwrapError, InvalidInput

LONGEST_LINE = 1 << 20
"""Bytes of one line; a longer one is skipped and told."""
LONGEST_FIELD = 64 * 1024
PARQUET_ROWS = 8192
"""Rows taken out of a Parquet file at once."""
GZIP = b"\x1f\x8b"

Row = Sequence[object]


class BadRow(NamedTuple):
    """Something in a file that is no row. ``place`` is its line (of text) or its number (of Parquet), from 1."""

    place: int
    code: str
    message: str
    size: int = 0


class Place(NamedTuple):
    """A row and where it stands."""

    place: int
    row: Row


Item = Place | BadRow
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile)


def format_of(path: Path) -> str:
    """``csv``, ``tsv``, ``jsonl`` or ``parquet`` by a file's name. Raises ``InvalidInput`` (``unknown_format``)."""
    name = path.name.lower().removesuffix(".gz")
    for endings, format_ in (
        ((".csv",), "csv"),
        ((".tsv", ".tab"), "tsv"),
        ((".jsonl", ".ndjson"), "jsonl"),
        ((".parquet",), "parquet"),
    ):
        if name.endswith(endings):
            return format_
    raise InvalidInput(
        f"{path.name} is none of .csv, .tsv, .jsonl (also with .gz) and .parquet; say 'format' in the mapping",
        code="unknown_format",
    )


def read_rows(
    path: Path, format_: str, columns: Sequence[str], progress: Callable[[int], None] = lambda _: None
) -> Iterator[Item]:
    """The rows of a file, only these columns of each. ``progress`` is told how many bytes of the file were read.

    Raises ``InvalidInput``: ``missing_column`` before the first row, ``truncated_file`` where a packed file breaks
    off, ``unreadable_file`` where there is none.
    """
    if format_ == "parquet":
        yield from _parquet(path, columns, progress)
        return
    try:
        with path.open("rb") as raw:
            plain = unpacked(raw)
            lines = bounded(plain, _reporting(raw, progress))
            if format_ == "jsonl":
                yield from _json_lines(lines, columns)
            else:
                yield from _table(lines, columns, "\t" if format_ == "tsv" else ",")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}", code="unreadable_file") from error


def unpacked(raw: BinaryIO) -> BinaryIO:
    """The plain bytes of a file; gzip is recognised by its first bytes."""
    head = raw.read(2)
    raw.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=raw)) if head == GZIP else raw


def bounded(plain: BinaryIO, tell: Callable[[], None] = lambda: None) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; of one that is too long only as much as is over the limit, to be refused.

    Raises ``InvalidInput`` (``truncated_file``) where a packed file breaks off.
    """
    number = 0
    try:
        while line := plain.readline(LONGEST_LINE + 1):
            number += 1
            yield number, line
            while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                line = plain.readline(LONGEST_LINE + 1)
            if not number & 1023:
                tell()
        tell()
    except _BROKEN as error:
        raise InvalidInput(
            f"the file breaks off after line {number}: {error}; what came before was read", code="truncated_file"
        ) from error


def _reporting(raw: BinaryIO, progress: Callable[[int], None]) -> Callable[[], None]:
    return lambda: progress(raw.tell())


class _Lines:
    """Text lines for ``csv``: what is no text or too long is put aside with its number."""

    def __init__(self, lines: Iterator[tuple[int, bytes]]) -> None:
        self._lines = lines
        self.bad: list[BadRow] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.number = number
            if len(line) > LONGEST_LINE:
                self.bad.append(too_long(number))
                continue
            try:
                text = line.decode()
            except UnicodeDecodeError:
                self.bad.append(not_text(number, len(line)))
                continue
            yield text.removeprefix("\ufeff") if number == 1 else text


def too_long(number: int) -> BadRow:
    """The complaint about a line beyond the limit."""
    return BadRow(number, "row_too_long", f"a line may have {LONGEST_LINE} bytes", LONGEST_LINE)


def not_text(number: int, size: int) -> BadRow:
    """The complaint about a line that is not UTF-8."""
    return BadRow(number, "not_utf8", "the line is not UTF-8; convert the file first", size)


def _table(lines: Iterator[tuple[int, bytes]], columns: Sequence[str], delimiter: str) -> Iterator[Item]:
    header: list[str] | None = None
    pick: Callable[[Row], Row] = tuple
    for item in table_rows(lines, delimiter):
        if isinstance(item, BadRow):
            yield item
        elif header is None:
            header = [str(name).strip() for name in item.row]
            pick = _picker([_find(name, header) for name in columns])
        elif len(item.row) != len(header):
            message = f"the row has {len(item.row)} fields, the first line {len(header)}"
            yield BadRow(item.place, "wrong_field_count", message)
        else:
            yield Place(item.place, pick(item.row))


def table_rows(lines: Iterator[tuple[int, bytes]], delimiter: str) -> Iterator[Item]:
    """The rows of a CSV or TSV text, its first line among them, empty lines left out."""
    source = _Lines(lines)
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield BadRow(source.number, "bad_csv", f"this is no row: {error}")
            continue
        if source.bad:
            yield from source.bad
            source.bad.clear()
        if row is None:
            return
        if row:
            yield Place(source.number, row)


def _json_lines(lines: Iterator[tuple[int, bytes]], columns: Sequence[str]) -> Iterator[Item]:
    for number, line in lines:
        if len(line) > LONGEST_LINE:
            yield too_long(number)
            continue
        if line.isspace():
            continue
        try:
            found = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(number, "bad_json", f"the line is no JSON object: {error}", len(line))
            continue
        yield Place(number, tuple(map(found.get, columns)))


def _parquet(path: Path, columns: Sequence[str], progress: Callable[[int], None]) -> Iterator[Item]:
    parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise InvalidInput(f"{path} cannot be read as Parquet: {error}", code="unreadable_file") from error
    with file:
        header = list(file.schema_arrow.names)
        for name in columns:
            _find(name, header)
        size, rows, number = path.stat().st_size, max(1, file.metadata.num_rows), 0
        for batch in file.iter_batches(PARQUET_ROWS, columns=list(columns)):
            by_name = [batch.column(name).to_pylist() for name in columns]
            for row in zip(*by_name, strict=True):
                number += 1
                yield Place(number, row)
            progress(size * number // rows)


def _pyarrow() -> Any:
    """The one place where the heavy extra comes in."""
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise CashwrapError(
            "Parquet needs an extra. Install cashwrap[parquet], or save the data as CSV", code="extra_missing"
        ) from error


def _find(name: str, header: Sequence[str]) -> int:
    try:
        return header.index(name)
    except ValueError:
        close = get_close_matches(name, header, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(header[:20])}"
        raise InvalidInput(f"the file has no column {name!r}; {hint}", code="missing_column") from None


def _picker(places: Sequence[int]) -> Callable[[Row], Row]:
    if len(places) == 1:
        only = places[0]
        return lambda row: (row[only],)
    return itemgetter(*places) if places else lambda _: ()


def texts(row: Iterable[object]) -> str:
    """All texts of a row in one, each on a line: what a look for secrets reads."""
    return "\n".join(value for value in row if type(value) is str)
