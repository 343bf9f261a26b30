"""The store in memory: for tests and trials, under the same contract as the others. Nothing survives the process."""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace as changed

from cashwrap.faults import crash_point
from cashwrap.model import Millis, Product, Tenant
from cashwrap.ports import (
    Changes,
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

_DAY: Millis = 86_400_000


class MemoryStore:
    """Ports ``Store``, ``Outbox``, ``FailedEvents``, ``Registry`` and ``CatalogueStore``, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: list[Record | None] = []
        """By sequence, from 1; ``None`` for a record that was removed."""
        self._horizons: dict[Fold, Horizon] = {}
        self._snapshots: dict[tuple[Fold, ShopperKey], Snapshot] = {}
        self._profiles: dict[ShopperKey, Row] = {}
        self._identities: dict[bytes, ShopperKey] = {}
        self._segments: dict[tuple[Tenant, str], dict[bytes, Millis]] = {}
        self._outbox: dict[int, Notice] = {}
        self._queued = 0
        self._failed: dict[int, Failure] = {}
        self._failures = 0
        self._decisions: dict[tuple[Tenant, bytes], tuple[int, KeptDecision]] = {}
        self._documents: dict[str, dict[str, bytes]] = {}
        self._products: dict[Tenant, dict[str, Product]] = {}
        self._versions: dict[Tenant, int] = {}

    def close(self) -> None:
        """Nothing to let go of; here so that stores are interchangeable."""

    # --- Store ---

    def commit(self, changes: Changes) -> int:
        """Take over all of it; the log's newest sequence."""
        with self._lock:
            for record in changes.records:
                self._log.append(changed(record, sequence=len(self._log) + 1))
            for key, row in changes.rows.items():
                if row is None:
                    self._profiles.pop(key, None)
                    self._leave_all(key)
                else:
                    self._profiles[key] = row
            for key, due in changes.dues.items():
                if key in self._profiles:
                    self._profiles[key] = changed(self._profiles[key], due=due)
            self._identities.update(changes.identities)
            for transition in changes.transitions:
                self._apply(transition)
            notices: list[Notice] = [*changes.transitions, *changes.exposed]
            for notice in notices:
                self._queued += 1
                self._outbox[self._queued] = notice
            for failure in changes.failures:
                self._failures += 1
                self._failed[self._failures] = changed(failure, sequence=self._failures)
            for sequence in changes.settled:
                self._failed.pop(sequence, None)
            self._clear(set(changes.cleared))
            self._keep(changes.decisions)
            return len(self._log)

    def resolve(self, digests: Sequence[bytes]) -> dict[bytes, ShopperKey]:
        """Which shoppers these identifiers name; unknown ones are left out."""
        with self._lock:
            return {digest: self._identities[digest] for digest in digests if digest in self._identities}

    def load(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, Row]:
        """The rows that exist."""
        with self._lock:
            return {key: self._profiles[key] for key in keys if key in self._profiles}

    def log(self, after: int = 0) -> Iterator[Record]:
        """Records with a greater sequence, ascending."""
        after = max(after, self.horizon().sequence)
        while after < len(self._log):
            record = self._log[after]
            if record is not None:
                yield record
            after += 1

    def log_of(self, tenant: Tenant, shoppers: Collection[bytes], after: int, until: int) -> list[Record]:
        """These shoppers' records with a sequence above ``after`` and up to ``until``, descending."""
        found = (record for record in self.log(after) if record.sequence <= until)
        return [record for record in found if record.tenant == tenant and record.shopper in shoppers][::-1]

    def horizon(self, fold: Fold = "horizon") -> Horizon:
        """How far a fold has come."""
        return self._horizons.get(fold, Horizon())

    def snapshots(self, keys: Sequence[ShopperKey], fold: Fold = "horizon") -> dict[ShopperKey, Snapshot]:
        """The snapshots that exist."""
        with self._lock:
            return {key: self._snapshots[fold, key] for key in keys if (fold, key) in self._snapshots}

    def all_snapshots(self, fold: Fold = "horizon") -> Iterator[tuple[ShopperKey, Snapshot]]:
        """All of a fold."""
        with self._lock:
            found = [(key, snapshot) for (of, key), snapshot in self._snapshots.items() if of == fold]
        yield from found

    def advance(
        self, horizon: Horizon, snapshots: Mapping[ShopperKey, Snapshot | None], fold: Fold = "horizon"
    ) -> None:
        """Write snapshots and move a fold's horizon."""
        with self._lock:
            for key, snapshot in snapshots.items():
                if snapshot is None:
                    self._snapshots.pop((fold, key), None)
                else:
                    self._snapshots[fold, key] = snapshot
            if fold == "horizon":
                crash_point("retention.snapshot")
                gone = range(self.horizon().sequence, horizon.sequence)
                self._log[gone.start : gone.stop] = [None] * len(gone)
            self._horizons[fold] = horizon

    def clear(self, fold: Fold, limit: int) -> bool:
        """Remove so many snapshots of a fold; whether there may be more."""
        with self._lock:
            found = list(islice((name for name in self._snapshots if name[0] == fold), limit))
            for name in found:
                del self._snapshots[name]
            if len(found) < limit:
                self._horizons.pop(fold, None)
            return len(found) == limit

    def tidy(self) -> None:
        """Nothing to do: there are no files."""

    def shoppers(self, after: ShopperKey | None, limit: int) -> list[ShopperKey]:
        """Everybody who has a row, for paging."""
        with self._lock:
            return sorted(key for key in self._profiles if after is None or key > after)[:limit]

    def tenants(self) -> list[Tenant]:
        """All that have a row of any kind."""
        with self._lock:
            return sorted(
                {key.tenant for key in self._profiles} | {each for each, _ in self._segments} | set(self._products)
            )

    def names(self, key: ShopperKey) -> list[bytes]:
        """The keyed hashes of all identifiers that name the shopper."""
        with self._lock:
            return sorted(digest for digest, owner in self._identities.items() if owner == key)

    def due(self, until: Millis, limit: int) -> list[ShopperKey]:
        """Shoppers whose ``due`` has come, earliest first."""
        with self._lock:
            waiting = [
                (row.due, key.shopper, key)
                for key, row in self._profiles.items()
                if row.due is not None and row.due <= until
            ]
        return [key for _, _, key in sorted(waiting)[:limit]]

    def members(self, tenant: Tenant, segment: str, *, after: bytes = b"", limit: int = 1000) -> list[bytes]:
        """Shoppers inside, by id, for paging."""
        with self._lock:
            return sorted(s for s in self._segments.get((tenant, segment), ()) if s > after)[:limit]

    def inside(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, frozenset[str]]:
        """The segments each shopper is in; shoppers in none are left out."""
        with self._lock:
            found = {
                key: frozenset(
                    name for (owner, name), ids in self._segments.items() if owner == key.tenant and key.shopper in ids
                )
                for key in keys
            }
        return {key: names for key, names in found.items() if names}

    def entered(self, key: ShopperKey) -> dict[str, Millis]:
        """When the shopper entered each segment that they are in."""
        with self._lock:
            return {
                name: inside[key.shopper]
                for (owner, name), inside in self._segments.items()
                if owner == key.tenant and key.shopper in inside
            }

    def sizes(self, tenant: Tenant) -> dict[str, int]:
        """How many shoppers each segment holds; empty ones are left out."""
        with self._lock:
            return {name: len(inside) for (owner, name), inside in self._segments.items() if inside and owner == tenant}

    def population(self, tenant: Tenant) -> int:
        """How many shoppers have a row."""
        with self._lock:
            return sum(key.tenant == tenant for key in self._profiles)

    def decision(self, tenant: Tenant, decision_id: bytes) -> KeptDecision | None:
        """The decision with this id, if it was kept."""
        with self._lock:
            found = self._decisions.get((tenant, decision_id))
        return None if found is None else found[1]

    def decisions(self, tenant: Tenant, since: Millis = 0, after: bytes = b"", limit: int = 1000) -> list[KeptDecision]:
        """Those made at ``since`` or later, ascending by time and id; of ``since`` itself ids above ``after`` only."""
        with self._lock:
            found = [kept for _, kept in self._decisions.values() if kept.tenant == tenant]
        return sorted(
            (kept for kept in found if (kept.time, kept.id) > (since, after)), key=lambda kept: (kept.time, kept.id)
        )[:limit]

    def decisions_of(self, key: ShopperKey, before: Millis, limit: int) -> list[KeptDecision]:
        """The shopper's, made before a moment, descending by time and id."""
        with self._lock:
            found = [
                kept
                for _, kept in self._decisions.values()
                if (kept.tenant, kept.shopper) == key and kept.time < before
            ]
        return sorted(found, key=lambda kept: (kept.time, kept.id), reverse=True)[:limit]

    def prune(self, before: Millis, keep: int, limit: int) -> int:
        """Look at the ``limit`` decisions kept first; remove those made before a moment or not of the newest ``keep``.

        How many were removed.
        """
        with self._lock:
            newest = self._newest()
            old = [
                name
                for name, (number, kept) in islice(self._decisions.items(), limit)
                if kept.time < before or number <= newest - keep
            ]
            for name in old:
                del self._decisions[name]
            return len(old)

    def forget(self, key: ShopperKey) -> None:
        """Remove the shopper's row, snapshots, identities, memberships, kept decisions and failed events."""
        with self._lock:
            self._clear({key})
            self._snapshots = {name: kept for name, kept in self._snapshots.items() if name[1] != key}
            self._failed = {number: kept for number, kept in self._failed.items() if not _is_of(kept, key)}
            self._outbox = {number: kept for number, kept in self._outbox.items() if kept.shopper != key.shopper}
            self._profiles.pop(key, None)
            self._identities = {digest: owner for digest, owner in self._identities.items() if owner != key}
            self._leave_all(key)

    # --- Outbox ---

    def pending(self, limit: int) -> list[tuple[int, Notice]]:
        """The oldest undelivered, with a number to settle them by."""
        with self._lock:
            return list(islice(self._outbox.items(), limit))

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the delivered ones."""
        with self._lock:
            for number in numbers:
                self._outbox.pop(number, None)

    # --- FailedEvents ---

    def failures(self, after: int = 0, limit: int = 1000) -> list[Failure]:
        """Ascending by sequence."""
        with self._lock:
            return list(islice((f for f in self._failed.values() if f.sequence > after), limit))

    def failure(self, sequence: int) -> Failure | None:
        """One of them."""
        return self._failed.get(sequence)

    def rewrite(self, sequence: int, payload: bytes) -> bool:
        """Keep a mended payload in place of the old one."""
        with self._lock:
            found = self._failed.get(sequence)
            if found is None or found.payload is None:
                return False
            self._failed[sequence] = changed(found, payload=payload)
            return True

    def tally(self) -> list[tuple[Tenant, str, Millis, int]]:
        """How many there are by tenant, code and the day they were received on."""
        with self._lock:
            counted = Counter((f.tenant, f.code, f.received // _DAY * _DAY) for f in self._failed.values())
        return [(*place, count) for place, count in sorted(counted.items())]

    def discard(self, sequences: Iterable[int]) -> None:
        """Remove the ones an operator settled."""
        with self._lock:
            for sequence in sequences:
                self._failed.pop(sequence, None)

    # --- Registry ---

    def documents(self, kind: str) -> dict[str, bytes]:
        """All of a kind, by name."""
        with self._lock:
            return dict(sorted(self._documents.get(kind, {}).items()))

    def put(self, kind: str, name: str, document: bytes | None) -> None:
        """Write one; ``None`` removes it."""
        with self._lock:
            named = self._documents.setdefault(kind, {})
            if document is None:
                named.pop(name, None)
            else:
                named[name] = document

    # --- CatalogueStore ---

    def products(self, tenant: Tenant) -> dict[str, Product]:
        """All of them, by id."""
        with self._lock:
            return dict(sorted(self._products.get(tenant, {}).items()))

    def upsert(self, tenant: Tenant, products: Iterable[Product], *, replace: bool = False) -> int:
        """Write products; with ``replace`` all others go. How many were written."""
        written = list(products)
        with self._lock:
            kept = {} if replace else self._products.get(tenant, {})
            self._products[tenant] = kept | {product.id: product for product in written}
            self._versions[tenant] = self._versions.get(tenant, 0) + 1
        return len(written)

    def version(self, tenant: Tenant) -> int:
        """Grows with every change; 0 before the first."""
        with self._lock:
            return self._versions.get(tenant, 0)

    def _clear(self, keys: set[ShopperKey]) -> None:
        if keys:
            self._decisions = {
                name: numbered
                for name, numbered in self._decisions.items()
                if ShopperKey(numbered[1].tenant, numbered[1].shopper) not in keys
            }

    def _keep(self, decisions: list[KeptDecision]) -> None:
        number = self._newest()
        for kept in decisions:
            if (kept.tenant, kept.id) not in self._decisions:
                number += 1
                self._decisions[kept.tenant, kept.id] = number, kept

    def _newest(self) -> int:
        return next(reversed(self._decisions.values()))[0] if self._decisions else 0

    def _leave_all(self, key: ShopperKey) -> None:
        for (tenant, _), inside in self._segments.items():
            if tenant == key.tenant:
                inside.pop(key.shopper, None)

    def _apply(self, transition: Transition) -> None:
        inside = self._segments.setdefault((transition.tenant, transition.segment), {})
        if transition.entered:
            inside.setdefault(transition.shopper, transition.at)
        else:
            inside.pop(transition.shopper, None)


def _is_of(failure: Failure, key: ShopperKey) -> bool:
    """Whether a failed event that was kept is the shopper's."""
    return failure.payload is not None and (failure.tenant, failure.payload[:16]) == key
