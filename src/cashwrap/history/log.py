"""The log read back: events as they were folded, profiles rebuilt from them, facts derived from them."""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec import Struct

from cashwrap import profiles
from cashwrap.adapters import parquet
from cashwrap.declarations import MetricDecl
from cashwrap.engine import World
from cashwrap.errors import Forgotten
from cashwrap.folding import Folding, Past, absorbed_by, opened, read_events
from cashwrap.history.facts import Making
from cashwrap.model import Event, Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.sessions import GAP

FACTS = 50_000
"""Facts in one batch of files."""
AT_ONCE = 1000
_T = TypeVar("_T")


# --- rebuild ---


class Rebuilt(Struct, frozen=True):
    """What the log says the profiles are. ``digest`` names them all; equal states have equal digests."""

    digest: str
    shoppers: int
    events: int
    differing: tuple[ShopperKey, ...] = ()
    """Shoppers whose live row says something else or is missing."""


def rebuild(world: World, playbook: Playbook) -> Rebuilt:
    """Fold snapshots and log into fresh profiles, in memory, and compare each with its live row byte for byte.

    All that is taken from the live row are the random analytic ids, which are in no event. Shoppers whose key was
    destroyed are left out, as they are everywhere. Nothing is written.
    """
    folding = fold_from_snapshots(world, playbook)
    for record in world.store.log():
        folding.take(record)
    for key, _ in world.store.all_snapshots():
        folding.find(key)
    told = sorted(key for key, past in folding.pasts.items() if past is not None)
    digest = blake2b(digest_size=16)
    differing = []
    for page in _pages(told, AT_ONCE):
        rows = world.store.load(page)
        for key in page:
            past, row = folding.pasts[key], rows.get(key)
            if past is None:
                continue
            profile, live, ids = past.profile, b"", b""
            if row is not None:
                live, ids = world.vault.open(key.shopper, row.state), world.vault.open(key.shopper, row.seen)
                drawn = profiles.decode(live)
                profile.analytic_id, profile.former_analytic_ids = drawn.analytic_id, drawn.former_analytic_ids
            state, seen = profiles.encode(profile), past.seen.encode()
            digest.update(repr(key).encode() + state + seen)
            if (state, seen) != (live, ids):
                differing.append(key)
    return Rebuilt(digest.hexdigest(), len(told), folding.events, tuple(differing))


def fold_from_snapshots(world: World, playbook: Playbook, only: Container[ShopperKey] | None = None) -> Folding:
    """Ready to take the log's records: everybody begins at their snapshot, where there is one."""
    store, vault, features = world.store, world.vault, playbook.features

    def start(key: ShopperKey) -> Past | None:
        return opened(vault, key, store.snapshots([key]).get(key), features)

    return Folding(vault, features, start, only)


# --- facts ---


class _Owned(NamedTuple):
    """A record's events and whose they are now."""

    tenant: Tenant
    owner: ShopperKey
    events: list[Event]


def write_facts(world: World, folder: Path, *, metrics: Mapping[str, MetricDecl] = {}) -> int:
    """Derive the fact table from the whole log: how many facts were written.

    Only events whose mask allows analytics are in it, under the analytic id of whoever the shopper is now. Written
    again from the same log, the same files come out. Raises ``CashwrapError`` (``extra_missing``) without Parquet.
    """
    owners = _owners(world)
    starts = _session_starts(world, owners)
    names = _analytic_ids(world, owners.values())
    making = Making(world.vault.digest, metrics)
    facts = (
        fact
        for tenant, owner, events in _opened(world, owners)
        if owner in names
        for event in events
        if (
            fact := making.fact(
                tenant, event, analytic_id=names[owner], session_start=_start(starts[owner], event.time)
            )
        )
    )
    count = 0
    for batch in _pages(facts, FACTS):
        parquet.write_facts(folder, batch)
        count += len(batch)
    return count


def _owners(world: World) -> dict[ShopperKey, ShopperKey]:
    """Who each shopper of the log is now, after all merges."""
    into: dict[ShopperKey, ShopperKey] = {}
    found: dict[ShopperKey, None] = {}
    for record in world.store.log():
        key = ShopperKey(record.tenant, record.shopper)
        found[key] = None
        if (other := absorbed_by(world.vault, record)) is not None:
            into[other] = key
    return {key: _last(key, into) for key in found}


def _last(key: ShopperKey, into: Mapping[ShopperKey, ShopperKey]) -> ShopperKey:
    while key in into:
        key = into[key]
    return key


def _opened(world: World, owners: Mapping[ShopperKey, ShopperKey]) -> Iterator[_Owned]:
    """The events of the log that can still be read."""
    for record in world.store.log():
        if record.kind == "events":
            try:
                payload = world.vault.open(record.shopper, record.payload)
            except Forgotten:
                continue
            owner = owners[ShopperKey(record.tenant, record.shopper)]
            yield _Owned(record.tenant, owner, read_events(payload))


def _session_starts(world: World, owners: Mapping[ShopperKey, ShopperKey]) -> dict[ShopperKey, "array[int]"]:
    """When each session of each shopper began, ascending: 30 minutes idle end one."""
    times: dict[ShopperKey, array[int]] = defaultdict(lambda: array("q"))
    for _, owner, events in _opened(world, owners):
        times[owner].extend(event.time for event in events if not event.flags)
    return {owner: _starts(sorted(found)) for owner, found in times.items()}


def _starts(times: list[Millis]) -> "array[int]":
    before = [-GAP, *times]
    return array("q", [time for last, time in zip(before, times, strict=False) if time - last >= GAP])


def _start(starts: "array[int]", time: Millis) -> Millis:
    place = bisect_right(starts, time)
    return starts[place - 1] if place else time


def _analytic_ids(world: World, owners: Iterable[ShopperKey]) -> dict[ShopperKey, bytes]:
    found: dict[ShopperKey, bytes] = {}
    for page in _pages(sorted(set(owners)), AT_ONCE):
        for key, row in world.store.load(page).items():
            try:
                found[key] = profiles.decode(world.vault.open(key.shopper, row.state)).analytic_id
            except Forgotten:
                continue
    return found


def _pages(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    waiting = iter(items)
    while page := list(islice(waiting, size)):
        yield page
