"""The ledger in PostgreSQL: for several machines that serve one store. Needs the extra ``cashwrap[postgres]``.

Every wait has an end: a database that is down, hung or full gives ``Unavailable``, and the next request tries it again.
Deadlocks cannot form where everybody locks in the same order; one that forms is undone by the server and tried again.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from importlib import import_module
from typing import Any, TypeVar

from cashwrap.adapters.bookkeeping import Ledgered
from cashwrap.adapters.books import Run
from cashwrap.adapters.queries import migrations, statements
from cashwrap.errors import CashwrapError, StoreError, Unavailable
from cashwrap.faults import crash_point
from cashwrap.model import Tenant

log = logging.getLogger("cashwrap")
_SQL = statements("ledger_postgres.sql")
_PATIENCE = 5.0
_CONNECTIONS = 8
_TRIES = 4
"""How often a transaction is tried that the server undid for the sake of another."""
_T = TypeVar("_T")


class PostgresLedger(Ledgered):
    """Port ``Ledger`` over the schema ``cashwrap`` of a PostgreSQL database, made where it is not there.

    ``address`` is a libpq connection string or URL; ``patience`` is how many seconds to wait for a connection and for
    each statement. Any number of threads, processes and machines may use one. Raises ``Unavailable``
    (``ledger_unreachable``), and ``CashwrapError`` (``extra_missing``).
    """

    def __init__(self, address: str, *, patience: float = _PATIENCE) -> None:
        super().__init__()
        self._sessions = _Sessions(address, patience)
        self._errors = self._sessions.driver
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of all connections. May be called again."""
        self._sessions.close()

    def _write(self, work: Callable[[Run], _T]) -> _T:
        for left in reversed(range(_TRIES)):
            try:
                with self._sessions.transaction("begin") as run:
                    result = work(run)
            except _Undone as error:
                if not left:
                    raise Unavailable("the ledger's database is too busy; nothing was acknowledged") from error
            else:
                crash_point("ledger.committed")
                return result
        raise AssertionError

    def _read(self, work: Callable[[Run], _T]) -> _T:
        with self._sessions.transaction("begin_reading") as run:
            return work(run)

    def _list(self, values: Sequence[str | int]) -> object:
        return list(values)

    def _lock(self, run: Run, tenant: Tenant, key: str) -> bool:
        name = f"{tenant.name}/{key}".encode()
        number = int.from_bytes(blake2b(name, digest_size=8).digest(), "big", signed=True)
        return bool(run("lock_key", number=number)[0][0])

    def _forgotten(self) -> None:
        """What the server keeps of old rows is for its operator to vacuum."""

    def _migrate(self) -> None:
        """Bring the tables up to date in one transaction: an interrupted one leaves what was there."""
        scripts = migrations("ledger_postgres")
        with self._sessions.transaction("begin") as run:
            if not run("fsync")[0][0]:
                log.warning("the ledger's PostgreSQL runs with fsync = off: a power cut can lose what was redeemed")
            run("lock_schema")
            if not run("schema")[0][0]:
                run("create_schema")
            found = run("version")[0][0]
            if found > len(scripts):
                message = f"the ledger has schema version {found}, this cashwrap knows {len(scripts)}"
                raise StoreError(f"{message}: install a newer cashwrap", code="schema_newer")
            for script in scripts[found:]:
                run(script)
            if found < len(scripts):
                run("set_version", version=len(scripts))


class _Undone(Exception):
    """The server undid a transaction for the sake of another: it may be tried again as if it had never been."""


class Turns:
    """So many at once, and the others in the order in which they came: who gives way cannot take again before them."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, patience: float) -> bool:
        """Whether it was one's turn within so many seconds."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(patience):
            return True
        with self._lock:
            if turn.is_set():  # in the very last moment
                return True
            self._waiting.remove(turn)
            return False

    def release(self) -> None:
        """Hand over to who waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class _Sessions:
    """Connections to one server, as many as ask at once up to a limit; one that failed is not trusted again."""

    def __init__(self, address: str, patience: float) -> None:
        self.driver = _psycopg()
        self._address = address
        self._patience = patience
        self._idle: deque[Any] = deque()
        self._free = Turns(_CONNECTIONS)
        self._closed = False

    @contextmanager
    def transaction(self, begin: str) -> Iterator[Run]:
        """Committed when the block ends, rolled back when it raises. Raises ``_Undone`` and ``Unavailable``."""
        if not self._free.acquire(self._patience):
            raise Unavailable("the ledger's connections are all busy; nothing was acknowledged")
        try:
            with self._translated():
                db = self._begun(begin)
                try:
                    yield partial(_run, db)
                    _run(db, "commit")
                except CashwrapError:
                    _run(db, "rollback")
                    self._give_back(db)
                    raise
                except BaseException:
                    db.close()
                    raise
                self._give_back(db)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        self._closed = True
        self._drop_idle()

    def _begun(self, begin: str) -> Any:
        """A connection in a transaction. Where an idle one is dead so are its friends: a new one is made."""
        if self._closed:
            raise Unavailable("the ledger is closed")
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._connected()
        else:
            try:
                _run(db, begin)
            except self.driver.OperationalError:
                db.close()
                self._drop_idle()
                db = self._connected()
            else:
                return db
        _run(db, begin)
        return db

    def _connected(self) -> Any:
        seconds = max(2, round(self._patience))  # libpq knows no less
        try:
            db = self.driver.connect(self._address, autocommit=True, connect_timeout=seconds)
        except self.driver.ProgrammingError:  # its message may hold the password
            message = "the ledger's address is no PostgreSQL address such as postgresql://user@host/database"
            raise Unavailable(message, code="ledger_unreachable") from None
        except self.driver.Error as error:
            message = f"the ledger's database cannot be reached: {' '.join(str(error).split())}"
            raise Unavailable(message, code="ledger_unreachable") from None
        db.wait = partial(db.wait, timeout=self._patience)  # a server that hangs keeps no timeouts of its own
        _run(db, "settings", millis=str(round(self._patience * 1_000)))
        return db

    def _give_back(self, db: Any) -> None:
        self._idle.append(db)
        if self._closed:
            self._drop_idle()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        errors = self.driver.errors
        try:
            yield
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            raise _Undone from error
        except errors.IntegrityError as error:
            raise StoreError(f"the ledger does not allow this change ({error}): run its check") from error
        except self.driver.ProgrammingError as error:
            raise StoreError(f"the ledger's tables cannot be used: {error}") from error
        except self.driver.Error as error:
            message = f"the ledger's database cannot be used now ({error}); nothing was acknowledged"
            raise Unavailable(message) from error


def _run(db: Any, name: str, /, **values: object) -> list[tuple[Any, ...]]:
    cursor = db.execute(_SQL.get(name, name), values or None)
    return cursor.fetchall() if cursor.description else []


def _psycopg() -> Any:
    """The one place where the extra comes in."""
    try:
        return import_module("psycopg")
    except ImportError as error:
        message = "A ledger in PostgreSQL needs a driver. Install cashwrap[postgres]"
        raise CashwrapError(message, code="extra_missing") from error
