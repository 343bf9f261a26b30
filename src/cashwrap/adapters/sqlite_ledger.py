"""The ledger in a SQLite file of its own, ``ledger.db``: for one machine, with any number of threads and processes.

Changes that wait for the disk at the same moment share one transaction (group commit): each in a savepoint, so that
one that fails takes nothing from the others.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import apsw
import msgspec

from cashwrap.adapters.ballast import Ballast
from cashwrap.adapters.bookkeeping import Ledgered
from cashwrap.adapters.books import Run
from cashwrap.adapters.database import Database
from cashwrap.adapters.queries import migrations, statements
from cashwrap.errors import DiskFull, StoreError, Unavailable
from cashwrap.faults import crash_point
from cashwrap.model import Tenant

FILE = "ledger.db"
_SQL = statements("ledger.sql")
_TOGETHER = 64
"""Changes that share a transaction at most: a bound on how long the last of them waits."""
_T = TypeVar("_T")


class SqliteLedger(Ledgered):
    """Port ``Ledger`` over ``folder/ledger.db``; without a folder in memory, for as long as this object lives.

    Any number of threads may use one, any number of processes may have one each on the same folder. ``vfs`` names a
    registered SQLite VFS, for tests of faulty disks. Where the disk is full and ``ballast`` gives way, the change that
    found out is tried again: an offer can be redeemed and released on a full disk.
    """

    expired_at_once = 50

    def __init__(self, folder: Path | None, *, vfs: str | None = None, ballast: Ballast | None = None) -> None:
        super().__init__()
        self._ballast = ballast
        self._database: _Transactions = (
            _Memory() if folder is None else Database(folder / FILE, "ledger", vfs=vfs, ballast=ballast)
        )
        self._queue = threading.Lock()
        self._waiting: deque[_Change] = deque()
        self._led = False

    def close(self) -> None:
        """Write everything back into ``ledger.db``. May be called again."""
        self._database.close()

    def _write(self, work: Callable[[Run], _T]) -> _T:
        change = _Change(work)
        with self._queue:
            self._waiting.append(change)
            follows, self._led = self._led, True
        if follows:
            change.woken.wait()
        if not change.done:  # the first one waiting commits for all who wait
            self._lead()
        if change.error is not None:
            raise change.error
        return change.result  # type: ignore[no-any-return]

    def _lead(self) -> None:
        """Commit what waits, then let the next one lead. The first one waiting is this thread's own."""
        with self._queue:
            changes = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
        try:
            self._commit(changes)
        finally:
            with self._queue:
                if self._waiting:
                    self._waiting[0].woken.set()
                else:
                    self._led = False
            for change in changes:
                change.end()

    def _commit(self, changes: Sequence["_Change"]) -> None:
        try:
            try:
                self._attempt(changes)
            except DiskFull:
                if self._ballast is None:
                    raise
                self._attempt(changes)
        except StoreError as failure:
            for change in changes:
                change.error = type(failure)(failure.message, code=failure.code)
                change.error.__cause__ = failure.__cause__
        else:
            crash_point("ledger.committed")
            for change in changes:
                change.done = True

    def _attempt(self, changes: Sequence["_Change"]) -> None:
        with self._database.writing() as db:
            for change in changes:
                change.attempt(db)

    def _read(self, work: Callable[[Run], _T]) -> _T:
        with self._database.reading() as db, db:
            found = work(_runner(db))
        return found  # noqa: RET504 - for mypy, an exit may swallow what the block returns

    def _list(self, values: Sequence[str | int]) -> object:
        return msgspec.json.encode(values).decode()

    def _lock(self, run: Run, tenant: Tenant, key: str) -> bool:  # noqa: ARG002 - one writer holds the whole file
        return True

    def _forgotten(self) -> None:
        self._database.truncate()


class _Change:
    """One change on its way into a transaction, and what became of it."""

    def __init__(self, work: Callable[[Run], Any]) -> None:
        self._work = work
        self.woken = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None
        self.done = False

    def attempt(self, db: apsw.Connection) -> None:
        """Do it in a savepoint. What it raises is its own; a database that fails is everybody's."""
        self.error = None
        db.execute("SAVEPOINT change")
        try:
            self.result = self._work(_runner(db))
        except apsw.ConstraintError as error:
            self.error = StoreError(f"the ledger does not allow this change ({error}): run its check")
        except apsw.Error:
            raise
        except Exception as error:  # raised again in the thread that asked
            self.error = error
        if self.error is not None:
            db.execute("ROLLBACK TO change")
        db.execute("RELEASE change")

    def end(self) -> None:
        """Wake who asked; one that nobody could attempt has failed."""
        if not self.done and self.error is None:
            self.error = Unavailable("the ledger was interrupted; nothing was acknowledged")
        self.done = True
        self.woken.set()


class _Transactions(Protocol):
    """What a ``Database`` offers, as far as a ledger asks for it."""

    def writing(self) -> AbstractContextManager[apsw.Connection]: ...
    def reading(self) -> AbstractContextManager[apsw.Connection]: ...
    def truncate(self) -> None: ...
    def close(self) -> None: ...


class _Memory:
    """One connection to a database that is nowhere else, used by one thread at a time."""

    def __init__(self) -> None:
        self._db = apsw.Connection(":memory:")
        self._lock = threading.Lock()
        self._db.pragma("foreign_keys", "ON")
        for script in migrations("ledger"):
            self._db.execute(script)

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        with self.reading() as db, db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        with self._lock:
            try:
                yield self._db
            except apsw.ConnectionClosedError as error:
                raise Unavailable("the ledger is closed") from error

    def truncate(self) -> None:
        """Nothing to do: there is no log."""

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _runner(db: apsw.Connection) -> Run:
    def run(name: str, /, **values: object) -> list[tuple[Any, ...]]:
        return db.execute(_SQL[name], values).fetchall()

    return run
