"""Who did what, as a chain of lines in a file of its own: ``audit.jsonl`` in the data folder.

A line is one entry as JSON, as a person reads it. Each has the hash of the line before and its own: BLAKE2b with 32
bytes over all of its text before ``,"hash"``, keyed with a secret that follows from the vault's. So nobody without
``keys.db`` can write a line that fits, and whatever is changed, removed, added or moved shows. The number and hash of
the newest entry, the *head*, are kept apart in ``keys.db``: a tail that is cut off shows too.
"""

import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from cashwrap.adapters.folder import sync
from cashwrap.errors import StoreError, Unavailable
from cashwrap.faults import crash_point
from cashwrap.model import Millis
from cashwrap.ports import AuditEntry, Vault

FILE = "audit.jsonl"
LONGEST = 16_384
"""Bytes of a line: an entry says what was done, and holds no content."""
BREAKS = 1000
"""Breaks that are told one by one; of the others the number."""
_HEAD = "audit head"
_SIZE = 32
_NOTHING = "0" * (2 * _SIZE)
_HASH = b',"hash":"'
_REST = len(_HASH) + 2 * _SIZE + 2
_NUMBER = re.compile(rb'\{"number":([1-9][0-9]{0,17}),')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Millis = 253_402_300_799_999
"""The end of the year 9999."""
_NEAR = 65_536
"""Bytes that are read through rather than searched by halves."""


class Marks(Protocol):
    """Small durable notes kept apart from the file, as a vault's own file keeps them."""

    def mark(self, name: str) -> bytes | None:
        """What was kept by this name."""

    def keep_mark(self, name: str, value: bytes) -> None:
        """Keep it in place of what was there, durably. Raises ``Unavailable``."""


class Head(NamedTuple):
    """The newest entry: what the next one follows."""

    number: int = 0
    hash: str = _NOTHING


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    time: str
    actor: str
    action: str
    subject: str
    details: dict[str, str]
    previous: str

    def entry(self) -> AuditEntry:
        moment = (datetime.fromisoformat(self.time) - _EPOCH) // timedelta(milliseconds=1)
        return AuditEntry(moment, self.actor, self.action, self.subject, self.details)


class _Found(NamedTuple):
    """A line that is as it was written, and its hash."""

    line: _Line
    hash: str

    @property
    def head(self) -> Head:
        return Head(self.line.number, self.hash)


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Line).decode


class MemoryAudit:
    """Port ``AuditLog`` in memory: for tests and trials. Nobody but the program itself can reach its entries."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []
        self._lock = threading.Lock()

    def append(self, entry: AuditEntry) -> int:
        """Keep it; its number."""
        with self._lock:
            self._entries.append(msgspec.structs.replace(entry, details=dict(entry.details)))
            return len(self._entries)

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[int, AuditEntry]]:
        """Entries with a greater number, ascending."""
        with self._lock:
            return list(enumerate(self._entries[after : after + limit], after + 1))

    def verify(self) -> list[str]:
        """Nothing can break."""
        return []


class FileAudit:
    """Port ``AuditLog`` over ``folder``, for any number of threads and processes at once: the file is locked."""

    def __init__(self, folder: str | Path, vault: Vault, marks: Marks) -> None:
        self.path = Path(folder) / FILE
        self._marks = marks
        self._key = vault.digest("audit log", "1") + vault.digest("audit log", "2")

    def append(self, entry: AuditEntry) -> int:
        """Make it durable; its number.

        Raises ``Unavailable`` (``audit_unavailable``): the entry may then be there or not, and is never half there.
        """
        try:
            with _held(self.path, fcntl.LOCK_EX) as file:
                head = self._mend(file)
                line, added = self._written(head, entry)
                _add(file, line)
                crash_point("audit.appended")
                self._keep_head(added)
                return added.number
        except (OSError, Unavailable) as error:
            text = f"the audit log cannot be written ({error}); nothing was changed"
            raise Unavailable(text, code="audit_unavailable") from error

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[int, AuditEntry]]:
        """Entries with a greater number, ascending; a line that is not as it was written is left out.

        Raises ``Unavailable`` (``audit_unavailable``) where the file cannot be read.
        """
        found: list[tuple[int, AuditEntry]] = []
        try:
            with self.path.open("rb") as file:
                file.seek(_place_of(file, after))
                while len(found) < limit and (text := file.readline(LONGEST + 1)):
                    line = self._read(text)
                    if line is not None and line.line.number > after:
                        found.append((line.line.number, line.line.entry()))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise Unavailable(f"the audit log cannot be read ({error})", code="audit_unavailable") from error
        return found

    def verify(self) -> list[str]:
        """Every break of the chain with its line and byte; empty when all is as it was written.

        What a crash left of a line that nobody was told of is no break. Reads the file once, a line at a time.
        """
        try:
            with _held(self.path, fcntl.LOCK_SH) as locked:
                size, head = os.fstat(locked).st_size, self._head()
        except FileNotFoundError:
            size, head = 0, self._head()
        chain = _Chain(head)
        if size:
            with self.path.open("rb") as file:
                self._walk(file, size, chain)
        chain.end()
        return chain.told()

    def _walk(self, file: BinaryIO, size: int, chain: "_Chain") -> None:
        place = 0
        while place < size and (text := file.readline(min(LONGEST + 1, size - place))):
            begin, place = place, place + len(text)
            whole = text.endswith(b"\n")
            while len(text) > LONGEST and not whole and place < size:  # no line of ours: skip to its end
                rest = file.readline(min(LONGEST, size - place))
                place += len(rest)
                whole = rest.endswith(b"\n")
            if whole or len(text) > LONGEST:
                chain.follow(self._read(text), begin)

    # --- one line ---

    def _written(self, head: Head, entry: AuditEntry) -> tuple[bytes, Head]:
        moment = _EPOCH + timedelta(milliseconds=min(max(entry.time, 0), _LAST))
        line = _Line(
            number=head.number + 1,
            time=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            details=dict(entry.details),
            previous=head.hash,
        )
        body = _encode(line)[:-1]
        digest = self._hash(body)
        text = body + _HASH + digest.encode() + b'"}\n'
        if len(text) > LONGEST:
            raise StoreError(f"an audit entry may have {LONGEST} bytes")
        return text, Head(line.number, digest)

    def _read(self, text: bytes) -> _Found | None:
        """The line, if it is one that was written here; ``text`` may end in a newline or not."""
        text = text.removesuffix(b"\n")
        body, rest = text[:-_REST], text[-_REST:]
        digest = self._hash(body)
        if rest != _HASH + digest.encode() + b'"}':
            return None
        return _Found(_decode(body + b"}"), digest)

    def _hash(self, body: bytes) -> str:
        return blake2b(body, digest_size=_SIZE, key=self._key).hexdigest()

    # --- the end of the file ---

    def _mend(self, file: int) -> Head:
        """What the next entry follows, once what a crash left is in order.

        Only the rest of a line that nobody was told of is removed. Where what was acknowledged is missing, numbers go
        on behind it, so that the gap stays to be seen.
        """
        head, size = self._head(), os.fstat(file).st_size
        tail = os.pread(file, 2 * LONGEST, max(0, size - 2 * LONGEST))
        whole, _, rest = tail.rpartition(b"\n")
        last = self._read(whole.rpartition(b"\n")[2])
        if last is not None and _follows(head, last):
            head = last.head  # written, and the process died before it was noted
        if rest:
            torn = self._read(rest)
            if torn is not None and (_follows(head, torn) or torn.head == head):
                head = torn.head
                _add(file, b"\n")
            elif (size == len(rest) and not head.number) or (last is not None and last.head == head):
                os.ftruncate(file, size - len(rest))
            else:
                _add(file, b"\n")
        return head

    def _head(self) -> Head:
        kept = self._marks.mark(_HEAD)
        if kept is None:
            return Head()
        number, _, digest = kept.decode("ascii", "replace").partition(" ")
        if not number.isdigit() or len(digest) != len(_NOTHING):
            raise StoreError("the head of the audit log in keys.db is damaged: restore keys.db from a backup")
        return Head(int(number), digest)

    def _keep_head(self, head: Head) -> None:
        self._marks.keep_mark(_HEAD, f"{head.number} {head.hash}".encode())


class _Chain:
    """Walks along the lines, and remembers where they do not fit."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._lines = 0
        self._next = 1
        self._previous: str | None = _NOTHING
        self._breaks: list[str] = []
        self._more = 0

    def follow(self, found: _Found | None, place: int) -> None:
        """The next line of the file; ``None`` where it is not as it was written."""
        self._lines += 1
        where = f"line {self._lines} (byte {place})"
        if found is None:
            self._break(f"{where} is not as it was written")
            self._next, self._previous = self._next + 1, None
            return
        number = found.line.number
        if number > self._next:
            self._break(f"{where} is entry {number}: {_range(self._next, number - 1)} missing before it")
        elif number < self._next:
            self._break(f"{where} is entry {number}, which does not belong here")
        elif self._previous not in {None, found.line.previous}:
            self._break(f"{where} is entry {number} and follows another one than the line before it")
        if number == self._head.number and found.hash != self._head.hash:
            self._break(f"{where} is another entry {number} than keys.db knows of")
        self._next, self._previous = number + 1, found.hash

    def end(self) -> None:
        """Whether it ends where it should: one entry behind the head is a crash, more is an older ``keys.db``."""
        last = self._next - 1
        if last < self._head.number:
            self._break(f"the file ends too early: {_range(last + 1, self._head.number)} missing")
        elif last > self._head.number + 1:
            self._break(f"the file goes on to entry {last}, but keys.db, an older one, knows of {self._head.number}")

    def told(self) -> list[str]:
        return [*self._breaks, f"and {self._more} more breaks"] if self._more else self._breaks

    def _break(self, text: str) -> None:
        if len(self._breaks) < BREAKS:
            self._breaks.append(text)
        else:
            self._more += 1


@contextmanager
def still(folder: str | Path) -> Iterator[None]:
    """Nothing is appended by anyone while inside: for copying the file together with ``keys.db``."""
    try:
        with _held(Path(folder) / FILE, fcntl.LOCK_SH):
            yield
    except FileNotFoundError:
        yield


def _follows(head: Head, found: _Found) -> bool:
    return found.line.number == head.number + 1 and found.line.previous == head.hash


def _range(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


@contextmanager
def _held(path: Path, how: int) -> Iterator[int]:
    """The open file, locked; made where it is to be written. A lock ends with its process."""
    writing = how == fcntl.LOCK_EX
    fresh = writing and not path.exists()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT if writing else os.O_RDONLY
    file = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, how)
        if fresh:
            sync(path.parent)  # a file that is new is there after a power cut only when its folder was synced
        yield file
    finally:
        os.close(file)


def _add(file: int, text: bytes) -> None:
    """Append durably, all of it or nothing."""
    size, written = os.fstat(file).st_size, 0
    try:
        while written < len(text):
            written += os.write(file, text[written:])
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _place_of(file: BinaryIO, after: int) -> int:
    """The beginning of a line at or before the first entry with a greater number, found by halving."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while after and high - low > _NEAR:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline(LONGEST)
        place = file.tell()
        number = _NUMBER.match(file.readline(LONGEST))
        if number is None or place >= high:
            break
        if int(number[1]) <= after:
            low = place
        else:
            high = middle
    return low
