"""The embedded store: log, profiles, identities, segments, outbox, failed events, documents and products in one
SQLite file, ``cashwrap.db``.

Whatever one ``commit`` is handed becomes durable with one fsync, or not at all. Methods may be called from any
thread: writes take turns, reads run beside them and see what was committed last.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from cashwrap.adapters.ballast import Ballast
from cashwrap.adapters.database import Database
from cashwrap.adapters.folder import FolderLock
from cashwrap.adapters.queries import statements
from cashwrap.errors import Locked
from cashwrap.faults import crash_point
from cashwrap.model import Millis, Product, Tenant
from cashwrap.ports import (
    Changes,
    Exposed,
    Failure,
    Fold,
    Horizon,
    KeptDecision,
    Notice,
    Record,
    Row,
    ShopperKey,
    Snapshot,
    Transition,
)

FILE = "cashwrap.db"
_SQL = statements("store.sql")
_LOG_PAGE = 500
_Bindings = list[tuple[int | bytes | str | None, ...]]
_encode = msgspec.msgpack.Encoder().encode
_decode_product = msgspec.msgpack.Decoder(Product).decode
_ROWS = 16
"""Rows that an insert of a commit takes at once."""


def _several(insert: str) -> str:
    """The same insert of one row, for ``_ROWS`` rows."""
    head, values, rest = insert.partition("VALUES (")
    marks, close, tail = rest.partition(")")
    return head + ", ".join([f"VALUES ({marks})", *[f"({marks})"] * (_ROWS - 1)]) + tail if values and close else insert


_TOGETHER = {name: _several(_SQL[name]) for name in ("append_record", "write_row")}


class _Segment(NamedTuple):
    tenant: Tenant
    name: str


class SqliteStore:
    """Ports ``Store``, ``Outbox``, ``FailedEvents``, ``Registry`` and ``CatalogueStore`` over ``folder``.

    With ``serving`` (the default) the folder is locked for this process; a second one gets ``Locked``. Without it
    the store may be used beside a running server: everything can be read, documents and products can be written,
    but not what the server holds in memory (``commit`` and ``forget`` raise ``Locked``). ``reserve`` bytes of the disk
    are kept back in ``ballast`` where it is serving. ``vfs`` names a registered SQLite VFS, for tests of faulty disks.
    """

    def __init__(self, folder: str | Path, *, serving: bool = True, vfs: str | None = None, reserve: int = 0) -> None:
        self.folder = Path(folder)
        self._lock = FolderLock(self.folder) if serving else None
        try:
            self.ballast = Ballast(self.folder, reserve) if serving and reserve else None
            self._database = Database(self.folder / FILE, "store", vfs=vfs, ballast=self.ballast)
        except BaseException:
            self._unlock()
            raise
        self._tenants: dict[int, Tenant] = {}
        self._tenant_numbers: dict[Tenant, int] = {}
        self._segment_numbers: dict[_Segment, int] = {}

    def close(self) -> None:
        """Write everything back into ``cashwrap.db`` and unlock the folder. May be called again."""
        self._database.close()
        self._unlock()

    # --- Store ---

    def commit(self, changes: Changes) -> int:
        """Make all of it durable (fsync included) or nothing; the log's newest sequence.

        Raises ``Unavailable``; the store can be used again as soon as the disk can.
        """
        if not changes:  # somebody asks how far the log is, as any process may
            return int(self._rows("newest_sequence")[0][0])
        self._must_serve()
        work = self._bound(changes)
        with self._database.writing() as db:
            for name, bindings in work:
                _write(db, name, bindings)
            return int(db.execute(_SQL["newest_sequence"]).get)

    def resolve(self, digests: Sequence[bytes]) -> dict[bytes, ShopperKey]:
        """Which shoppers these identifiers name; unknown ones are left out."""
        found = self._rows_each("identity", [(digest,) for digest in digests])
        return {digest: ShopperKey(self._tenant(number), shopper) for digest, number, shopper in found}

    def load(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, Row]:
        """The rows that exist."""
        found = self._rows_each("row", [(self._known_number(key.tenant), key.shopper) for key in keys])
        return {
            ShopperKey(self._tenant(number), shopper): Row(state, seen, due)
            for number, shopper, state, seen, due in found
        }

    def log(self, after: int = 0) -> Iterator[Record]:
        """Records with a greater sequence, ascending, read a page at a time."""
        while page := self._rows("log_page", after, _LOG_PAGE):
            for sequence, tenant, shopper, received, kind, mask, payload in page:
                yield Record(self._tenant(tenant), shopper, received, kind, payload, mask, sequence)
            after = page[-1][0]

    def log_of(self, tenant: Tenant, shoppers: Collection[bytes], after: int, until: int) -> list[Record]:
        """These shoppers' records with a sequence above ``after`` and up to ``until``, descending."""
        wanted = set(shoppers)
        found = self._rows("log_of", after, until, self._known_number(tenant), b"".join(wanted))
        return [
            Record(tenant, who, received, kind, payload, mask, sequence)
            for sequence, who, received, kind, payload, mask in found
            if who in wanted
        ]

    def horizon(self, fold: Fold = "horizon") -> Horizon:
        """How far a fold has come."""
        rows = self._rows("horizon", fold)
        return Horizon(*rows[0]) if rows else Horizon()

    def snapshots(self, keys: Sequence[ShopperKey], fold: Fold = "horizon") -> dict[ShopperKey, Snapshot]:
        """The snapshots that exist."""
        found = self._rows_each("snapshot", [(fold, self._known_number(key.tenant), key.shopper) for key in keys])
        return {ShopperKey(self._tenant(number), shopper): Snapshot(*kept) for number, shopper, *kept in found}

    def all_snapshots(self, fold: Fold = "horizon") -> Iterator[tuple[ShopperKey, Snapshot]]:
        """All of a fold, read a page at a time."""
        at = 0
        while page := self._rows("snapshots", fold, at, _LOG_PAGE):
            for at, number, shopper, *kept in page:  # noqa: B007 - the last one is where the next page begins
                yield ShopperKey(self._tenant(number), shopper), Snapshot(*kept)

    def advance(
        self, horizon: Horizon, snapshots: Mapping[ShopperKey, Snapshot | None], fold: Fold = "horizon"
    ) -> None:
        """Write snapshots (``None`` removes one) and move a fold's horizon, durably, all or nothing.

        With ``horizon`` the records up to it are removed in the same step.
        """
        self._must_serve()
        number = self._tenant_number
        written: _Bindings = []
        removed: _Bindings = []
        for key, snapshot in snapshots.items():
            if snapshot is None:
                removed.append((fold, number(key.tenant), key.shopper))
            else:
                written.append((fold, number(key.tenant), key.shopper, snapshot.state, snapshot.seen))
        with self._database.writing() as db:
            db.executemany(_SQL["write_snapshot"], written)
            db.executemany(_SQL["remove_snapshot"], removed)
            if fold == "horizon":
                crash_point("retention.snapshot")
                db.execute(_SQL["retire_records"], (horizon.sequence,))
                db.execute(_SQL["empty_record"], (horizon.sequence,))
            db.execute(_SQL["move_horizon"], (fold, horizon.sequence, horizon.received))

    def clear(self, fold: Fold, limit: int) -> bool:
        """Remove so many snapshots of a fold, and its horizon with the last; whether there may be more."""
        self._must_serve()
        with self._database.writing() as db:
            db.execute(_SQL["clear_snapshots"], (fold, limit))
            more = db.changes() == limit
            if not more:
                db.execute(_SQL["remove_horizon"], (fold,))
        return more

    def tidy(self) -> None:
        """Empty the write-ahead log, where what was removed may still stand. Raises ``Unavailable``."""
        self._database.truncate()

    def shoppers(self, after: ShopperKey | None, limit: int) -> list[ShopperKey]:
        """Everybody who has a row, by the number of the tenant and the shopper, for paging."""
        place = (self._known_number(after.tenant), after.shopper) if after is not None else (0, b"")
        return [ShopperKey(self._tenant(number), shopper) for number, shopper in self._rows("shoppers", *place, limit)]

    def tenants(self) -> list[Tenant]:
        """All that ever had a row."""
        self._read_tenants()
        return sorted(self._tenant_numbers)

    def names(self, key: ShopperKey) -> list[bytes]:
        """The keyed hashes of all identifiers that name the shopper."""
        return sorted(digest for (digest,) in self._rows("names", self._known_number(key.tenant), key.shopper))

    def due(self, until: Millis, limit: int) -> list[ShopperKey]:
        """Shoppers whose ``due`` has come, earliest first."""
        return [ShopperKey(self._tenant(number), shopper) for number, shopper in self._rows("due", until, limit)]

    def members(self, tenant: Tenant, segment: str, *, after: bytes = b"", limit: int = 1000) -> list[bytes]:
        """Shoppers inside, by id, for paging."""
        number = self._known_number(tenant)
        return [shopper for (shopper,) in self._rows("members", number, segment, after, limit)]

    def inside(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, frozenset[str]]:
        """The segments each shopper is in; shoppers in none are left out."""
        found: dict[ShopperKey, set[str]] = {}
        asked: _Bindings = [(key.shopper, self._known_number(key.tenant)) for key in keys]
        for number, shopper, segment in self._rows_each("inside", asked):
            found.setdefault(ShopperKey(self._tenant(number), shopper), set()).add(segment)
        return {key: frozenset(segments) for key, segments in found.items()}

    def entered(self, key: ShopperKey) -> dict[str, Millis]:
        """When the shopper entered each segment that they are in."""
        return dict(self._rows("entered", key.shopper, self._known_number(key.tenant)))

    def sizes(self, tenant: Tenant) -> dict[str, int]:
        """How many shoppers each segment holds; empty ones are left out."""
        return dict(self._rows("sizes", self._known_number(tenant)))

    def population(self, tenant: Tenant) -> int:
        """How many shoppers have a row: counts an index, and opens none."""
        return int(self._rows("population", self._known_number(tenant))[0][0])

    def decision(self, tenant: Tenant, decision_id: bytes) -> KeptDecision | None:
        """The decision with this id, if it was kept."""
        found = self._rows("decision", self._known_number(tenant), decision_id)
        return KeptDecision(tenant, *found[0]) if found else None

    def decisions(self, tenant: Tenant, since: Millis = 0, after: bytes = b"", limit: int = 1000) -> list[KeptDecision]:
        """Those made at ``since`` or later, ascending by time and id; of ``since`` itself ids above ``after`` only."""
        found = self._rows("decisions", self._known_number(tenant), since, after, limit)
        return [KeptDecision(tenant, *row) for row in found]

    def decisions_of(self, key: ShopperKey, before: Millis, limit: int) -> list[KeptDecision]:
        """The shopper's, made before a moment, descending by time and id."""
        found = self._rows("decisions_of", key.shopper, self._known_number(key.tenant), before, limit)
        return [KeptDecision(key.tenant, *row) for row in found]

    def prune(self, before: Millis, keep: int, limit: int) -> int:
        """Look at the ``limit`` decisions kept first; remove those made before a moment or not of the newest ``keep``.

        How many were removed.
        """
        self._must_serve()
        old = self._rows("old_decisions", limit, before, keep)
        if old:  # mostly there are none, and a transaction costs an fsync
            self._write_each("remove_decision", old)
        return len(old)

    def forget(self, key: ShopperKey) -> None:
        """Remove the shopper's row, snapshots, identities, memberships, kept decisions and failed events, with their
        traces from the write-ahead log.

        Raises ``Unavailable``, also where the removal is durable but a reader in another process keeps older pages
        alive: call again.
        """
        self.forget_all([key])

    def forget_all(self, keys: Iterable[ShopperKey]) -> None:
        """``forget`` for many at once, such as all whom a restored copy still holds."""
        self._must_serve()
        gone: _Bindings = [(self._known_number(key.tenant), key.shopper) for key in keys]
        swapped: _Bindings = [(shopper, tenant) for tenant, shopper in gone]
        with self._database.writing() as db:
            for name in ("remove_row", "remove_snapshots", "remove_identities"):
                db.executemany(_SQL[name], gone)
            for name in ("remove_memberships", "clear_decisions", "remove_failures"):
                db.executemany(_SQL[name], swapped)
            db.executemany(_SQL["remove_notices"], [(shopper,) for _, shopper in gone])
        self._database.truncate()

    # --- Outbox ---

    def pending(self, limit: int) -> list[tuple[int, Notice]]:
        """The oldest undelivered, with a number to settle them by."""
        return [(number, self._notice(*row)) for number, *row in self._rows("pending", limit)]

    def _notice(self, tenant: int, shopper: bytes, at: Millis, *what: Any) -> Notice:
        segment, entered, body = what
        if body is not None:
            return Exposed(self._tenant(tenant), shopper, body, at)
        return Transition(self._tenant(tenant), shopper, segment, bool(entered), at)

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the delivered ones."""
        self._write_each("settle", [(number,) for number in numbers])

    # --- FailedEvents ---

    def failures(self, after: int = 0, limit: int = 1000) -> list[Failure]:
        """Ascending by sequence."""
        return [self._failure(*row) for row in self._rows("failures", after, limit)]

    def failure(self, sequence: int) -> Failure | None:
        """One of them."""
        return next((self._failure(*row) for row in self._rows("failure", sequence)), None)

    def _failure(self, sequence: int, tenant: int, *row: Any) -> Failure:
        received, code, message, path, size, payload = row
        return Failure(self._tenant(tenant), received, code, message, path, size, payload, sequence)

    def rewrite(self, sequence: int, payload: bytes) -> bool:
        """Keep a mended payload in place of the old one; ``False`` where there is none any more."""
        with self._database.writing() as db:
            return bool(db.execute(_SQL["rewrite_failure"], (payload, sequence)).fetchall())

    def tally(self) -> list[tuple[Tenant, str, Millis, int]]:
        """How many there are by tenant, code and the day they were received on."""
        return [(self._tenant(number), *row) for number, *row in self._rows("tally_failures")]

    def discard(self, sequences: Iterable[int]) -> None:
        """Remove the ones an operator settled."""
        self._write_each("discard", [(sequence,) for sequence in sequences])

    # --- Registry ---

    def documents(self, kind: str) -> dict[str, bytes]:
        """All of a kind, by name."""
        return dict(self._rows("documents", kind))

    def put(self, kind: str, name: str, document: bytes | None) -> None:
        """Write one; ``None`` removes it."""
        if document is None:
            self._write_each("remove_document", [(kind, name)])
        else:
            self._write_each("put_document", [(kind, name, document)])

    # --- CatalogueStore ---

    def products(self, tenant: Tenant) -> dict[str, Product]:
        """All of them, by id."""
        rows = self._rows("products", self._known_number(tenant))
        return {name: _decode_product(document) for name, document in rows}

    def upsert(self, tenant: Tenant, products: Iterable[Product], *, replace: bool = False) -> int:
        """Write products; with ``replace`` all others go. How many were written."""
        number = self._tenant_number(tenant)
        bindings: _Bindings = [(number, product.id, _encode(product)) for product in products]
        with self._database.writing() as db:
            if replace:
                db.execute(_SQL["remove_products"], (number,))
            db.executemany(_SQL["put_product"], bindings)
            db.execute(_SQL["advance_version"], (number,))
        return len(bindings)

    def version(self, tenant: Tenant) -> int:
        """Grows with every change; 0 before the first."""
        rows = self._rows("version", self._known_number(tenant))
        return int(rows[0][0]) if rows else 0

    # --- how ---

    def _bound(self, changes: Changes) -> list[tuple[str, _Bindings]]:
        """The statements of a commit with their bindings, worked out before the write lock is taken."""
        number = self._tenant_number
        inside: dict[tuple[int, bytes], Transition] = {}
        outbox: _Bindings = []
        for change in changes.transitions:
            segment = self._segment_number(_Segment(change.tenant, change.segment))
            inside[segment, change.shopper] = change
            outbox.append((number(change.tenant), change.shopper, change.at, segment, int(change.entered), None))
        outbox += [(number(each.tenant), each.shopper, each.at, None, None, each.body) for each in changes.exposed]
        return [
            (
                "append_record",
                [(number(r.tenant), r.shopper, r.received, r.kind, r.mask, r.payload) for r in changes.records],
            ),
            (
                "write_row",
                [
                    (number(key.tenant), key.shopper, row.due, row.state, row.seen)
                    for key, row in changes.rows.items()
                    if row is not None
                ],
            ),
            (
                "remove_row",
                [(number(key.tenant), key.shopper) for key, row in changes.rows.items() if row is None],
            ),
            (
                "remove_memberships",
                [(key.shopper, number(key.tenant)) for key, row in changes.rows.items() if row is None],
            ),
            ("write_due", [(due, number(key.tenant), key.shopper) for key, due in changes.dues.items()]),
            (
                "write_identity",
                [(digest, number(key.tenant), key.shopper) for digest, key in changes.identities.items()],
            ),
            ("enter_segment", [(*place, last.at) for place, last in inside.items() if last.entered]),
            ("leave_segment", [place for place, last in inside.items() if not last.entered]),
            ("queue_notice", outbox),
            (
                "keep_failure",
                [
                    (number(f.tenant), f.received, f.code, f.message, f.path, f.size, f.payload)
                    for f in changes.failures
                ],
            ),
            ("discard", [(sequence,) for sequence in changes.settled]),
            ("clear_decisions", [(key.shopper, number(key.tenant)) for key in changes.cleared]),
            (
                "keep_decision",
                [(number(d.tenant), d.id, d.shopper, d.time, d.position, d.payload) for d in changes.decisions],
            ),
        ]

    def _rows(self, name: str, *bindings: int | bytes | str) -> list[tuple[Any, ...]]:
        with self._database.reading() as db:
            return db.execute(_SQL[name], bindings).fetchall()

    def _rows_each(self, name: str, bindings: _Bindings) -> list[tuple[Any, ...]]:
        """What the statement answers for each binding, as of one moment."""
        with self._database.reading() as db, db if len(bindings) > 1 else nullcontext():
            return db.executemany(_SQL[name], bindings).fetchall()

    def _write_each(self, name: str, bindings: _Bindings) -> None:
        with self._database.writing() as db:
            db.executemany(_SQL[name], bindings)

    def _tenant(self, number: int) -> Tenant:
        """The tenant of a number that a row holds."""
        if number not in self._tenants:
            self._read_tenants()
        return self._tenants[number]

    def _known_number(self, tenant: Tenant) -> int:
        """The tenant's number, or 0, which no row has."""
        if tenant not in self._tenant_numbers:
            self._read_tenants()
        return self._tenant_numbers.get(tenant, 0)

    def _read_tenants(self) -> None:
        for number, store, environment in self._rows("tenants"):
            tenant = Tenant(store, environment)
            self._tenants[number] = tenant
            self._tenant_numbers[tenant] = number

    def _tenant_number(self, tenant: Tenant) -> int:
        """The tenant's number, given and made durable on first sight."""
        if tenant not in self._tenant_numbers:
            self._write_each("add_tenant", [(tenant.store, tenant.environment)])
            self._read_tenants()
        return self._tenant_numbers[tenant]

    def _segment_number(self, segment: _Segment) -> int:
        """The segment's number, given and made durable on first sight."""
        if segment not in self._segment_numbers:
            self._write_each("add_segment", [(self._tenant_number(segment.tenant), segment.name)])
            for number, tenant, name in self._rows("segments"):
                self._segment_numbers[_Segment(self._tenant(tenant), name)] = number
        return self._segment_numbers[segment]

    def _must_serve(self) -> None:
        if self._lock is None:
            raise Locked(f"{self.folder} is open beside a server: stop the server, or ask it to do this")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _write(db: apsw.Connection, name: str, bindings: _Bindings) -> None:
    """Run a statement for every row; an insert takes several rows at a time, which halves its cost."""
    rest = len(bindings)
    if name in _TOGETHER:
        together, rest = _TOGETHER[name], len(bindings) % _ROWS
        for at in range(0, len(bindings) - rest, _ROWS):
            db.execute(together, tuple(chain.from_iterable(bindings[at : at + _ROWS])))
    if rest:
        db.executemany(_SQL[name], bindings[len(bindings) - rest :])
