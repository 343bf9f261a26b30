"""One SQLite file with one writer and as many readers as ask at once.

A commit waits for the disk; a reader never waits for a commit (write-ahead log). A connection that failed is
closed and not trusted again: the next call opens a fresh one, so that service resumes when the disk is back.

A sync that failed is never asked for again in the hope of another answer. Its transaction may still be read from the
file, through the system's cache, without ever reaching the disk; so nobody may find it there. One connection, the
anchor, stays open for as long as the database is: it keeps the write-ahead log's index alive, which does not know of
the failed transaction, and the next one overwrites it. Without the anchor a fresh connection would read the log anew,
take the failed transaction for a good one, and whoever sends it again would hear that it is kept.
"""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from cashwrap.adapters.ballast import Ballast
from cashwrap.adapters.queries import migrations, statements
from cashwrap.errors import DiskFull, StoreError, Unavailable

_SETUP = statements("connection.sql")
_BUSY_MILLIS = 5_000
_FULL = 2
"""What ``PRAGMA synchronous`` answers for FULL."""


class Database:
    """Connections to one file whose schema is kept current by the scripts in ``sql/<schema>``.

    Every method may be called from any thread. Raises ``Unavailable`` where the disk refuses for now (``DiskFull``
    where it has no room; the folder's reserve, if any, is then given away) and ``StoreError`` where the file is
    damaged, is not ours or comes from a newer version.
    """

    def __init__(self, path: Path, schema: str, *, vfs: str | None = None, ballast: Ballast | None = None) -> None:
        self.path = path
        self._schema = migrations(schema)
        self._vfs = vfs
        self._ballast = ballast
        self._writing = threading.Lock()
        self._writer: apsw.Connection | None = None
        self._anchor: apsw.Connection | None = None
        self._idle: deque[apsw.Connection] = deque()
        self._closed = False
        self._paths = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
        self._files: list[tuple[int, int]] = []
        """The file, its log and the log's index, which stay the same ones for as long as the anchor is there."""
        _create_private(path)
        with _alone(path.parent), self._writing, self._translated():
            try:
                self._settle()
                self._migrate(self._connected())
                self._anchor = self._open("reader", apsw.SQLITE_OPEN_READONLY)
                self._anchor.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # now it has opened the log too
                self._files = _identities(self._paths)
            except BaseException:
                self._drop_anchor()
                self._drop_writer()
                raise

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """One transaction: durable when the block ends, rolled back when it raises.

        Where the disk fails in the very moment of syncing and the process dies on top, the transaction may be there
        after the restart: refused means "not promised", and whoever retries must be idempotent.
        """
        with self._writing, self._translated():
            self._must_be_there()
            db = self._connected()
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._drop_writer()
                raise

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection that sees what was committed last. Finish every cursor inside the block."""
        with self._translated():
            db = self._idle_reader() or self._open("reader", apsw.SQLITE_OPEN_READONLY)
            try:
                yield db
            except BaseException:
                _close(db)
                raise
            if self._closed:
                _close(db)
            else:
                self._idle.append(db)

    def truncate(self) -> None:
        """Copy the write-ahead log back and empty it, so that no older page can be read from it.

        Raises ``Unavailable`` where a reader in another process holds it open for too long.
        """
        with self._writing, self._translated():
            self._connected().wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """Let go of the file. The last process to do so has SQLite write the log back and remove it."""
        self._closed = True
        while reader := self._idle_reader():  # first: one that may only read could not write the log back
            _close(reader)
        with self._writing:
            self._drop_anchor()
            self._drop_writer()

    def _settle(self) -> None:
        """Sync what a killed process wrote and did not: it will be read, so it must not go with the power any more."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.is_file() and wal.stat().st_size:
            file = apsw.VFSFile(self._vfs or "", str(wal), [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0])
            try:
                file.xSync(apsw.SQLITE_SYNC_FULL)
            finally:
                file.xClose()

    def _must_be_there(self) -> None:
        """Somebody may have removed or replaced the files: what is written to those still open ends with the process.

        SQLite goes on without a word, so what is acknowledged then would be lost.
        """
        if not self._closed and _identities(self._paths) != self._files:
            text = "was removed or replaced while it was in use: put it back and start again; nothing was acknowledged"
            raise Unavailable(f"{self.path.name} or its log {text}")

    def _connected(self) -> apsw.Connection:
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer

    def _open_writer(self) -> apsw.Connection:
        db = self._open("writer", apsw.SQLITE_OPEN_READWRITE)
        if db.pragma("journal_mode") != "wal" or db.pragma("synchronous") != _FULL:
            _close(db)
            raise StoreError(f"{self.path} is on a file system that cannot keep commits through a power cut")
        return db

    def _open(self, role: str, flags: int) -> apsw.Connection:
        if self._closed:
            raise Unavailable(f"{self.path.name} is closed")
        db = apsw.Connection(str(self.path), flags=flags, vfs=self._vfs)
        try:
            db.set_busy_timeout(_BUSY_MILLIS)
            _run(db, _SETUP[role])
        except BaseException:
            _close(db)
            raise
        return db

    def _idle_reader(self) -> apsw.Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _drop_anchor(self) -> None:
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            _close(anchor)

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            _close(writer)

    def _migrate(self, db: apsw.Connection) -> None:
        """Apply what is missing, each script in its own transaction: an interrupted one starts over.

        A file that holds something is copied before, and the copy removed when all is well.
        """
        known, copied = len(self._schema), False
        while (found := int(db.pragma("user_version"))) < known:
            db.execute("BEGIN IMMEDIATE")
            if db.pragma("user_version") == found:  # else another process was faster
                if found and not copied:
                    self._copy()
                    copied = True
                _run(db, self._schema[found])
                db.execute(f"PRAGMA user_version = {found + 1}")
            db.execute("COMMIT")
        if found > known:
            raise StoreError(
                f"{self.path} has schema version {found}, this cashwrap knows {known}: install a newer cashwrap",
                code="schema_newer",
            )
        if copied and db.pragma("quick_check") != "ok":
            raise StoreError(f"{self.path} is damaged after its migration: put {self._former.name} in its place")
        if self._former.exists():
            _overwrite(self._former)

    @property
    def _former(self) -> Path:
        """The copy taken before a migration."""
        return self.path.with_name(f"{self.path.name}.before-migration")

    def _copy(self) -> None:
        """Copy the file as it is now. Nobody writes it meanwhile. Raises ``DiskFull`` where that would not fit."""
        needed, found = self.path.stat().st_size, os.statvfs(self.path.parent)
        if found.f_bavail * found.f_frsize < 2 * needed:
            raise DiskFull(f"{self.path.name} needs {2 * needed >> 20} MB of free disk to be migrated: make room")
        self._former.unlink(missing_ok=True)
        os.close(os.open(self._former, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        source, copy = self._open("reader", apsw.SQLITE_OPEN_READONLY), apsw.Connection(str(self._former))
        try:
            with copy.backup("main", source, "main") as copying:
                copying.step(-1)
            copy.pragma("journal_mode", "DELETE")
        finally:
            copy.close()
            source.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours. No room gives the reserve away, so that who must go on can when asked again."""
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise StoreError(f"{self.path} is damaged or not a cashwrap file: restore it from a backup") from error
        except (apsw.FullError, apsw.IOError, apsw.CantOpenError) as error:
            ballast = self._ballast
            if not isinstance(error, apsw.FullError) and not (ballast is not None and ballast.is_scarce()):
                raise self._unavailable(error) from error
            if ballast is not None:
                ballast.give()
            raise DiskFull(f"the disk of {self.path.name} is full: nothing was acknowledged, make room") from error
        except apsw.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: apsw.Error) -> Unavailable:
        return Unavailable(f"{self.path.name} cannot be used now ({error}); nothing was acknowledged")


def _identities(paths: list[Path]) -> list[tuple[int, int]]:
    """Which files these are."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.stat()
            found.append((status.st_dev, status.st_ino))
    return found


def _run(db: apsw.Connection, script: str) -> None:
    """Run all of it: apsw stops at a statement that answers a row until somebody asks for the next."""
    for _ in db.execute(script):
        pass


def _overwrite(path: Path) -> None:
    """Remove a file and what it held: a copy of keys must not outlive the next person who is forgotten."""
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)


def _close(db: apsw.Connection) -> None:
    """Roll back what is open and let go. A disk that fails even here changes nothing: no commit depends on it."""
    with suppress(apsw.Error):
        db.close(force=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time opens a file of this folder first: SQLite does not wait, but fails, where several processes switch
    a fresh file to the write-ahead log at once."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _create_private(path: Path) -> None:
    """Create the file readable by its owner only; SQLite gives the files beside it the same mode.

    A file that is there is not even opened: closing it would drop the locks this process holds on it (POSIX).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
