"""The log read back: events as they were folded, profiles rebuilt from them, facts derived from them."""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from cashwrap import codec, profiles
from cashwrap.adapters import parquet
from cashwrap.engine import World
from cashwrap.errors import Forgotten
from cashwrap.model import Event, Line, Millis, Profile, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import Record, ShopperKey, Vault
from cashwrap.sessions import GAP

FACTS = 50_000
"""Facts in one batch of files."""
AT_ONCE = 1000
_T = TypeVar("_T")

_events: msgspec.msgpack.Decoder[list[Event]] = codec.decoder(list[Event])


def read_events(payload: bytes) -> list[Event]:
    """The events of an opened log payload as they were folded; the log keeps products as plain arrays.

    Raises ``msgspec.DecodeError`` where the bytes are none of ours.
    """
    events = _events.decode(payload)
    for event in events:
        products = event.properties.get("products")
        if isinstance(products, list):
            event.properties["products"] = [msgspec.convert(line, Line) for line in products]
    return events


# --- rebuild ---


class Rebuilt(Struct, frozen=True):
    """What the log says the profiles are. ``digest`` names them all; equal states have equal digests."""

    digest: str
    shoppers: int
    events: int
    differing: tuple[ShopperKey, ...] = ()
    """Shoppers whose live row says something else or is missing."""


def rebuild(world: World, playbook: Playbook) -> Rebuilt:
    """Fold the whole log into fresh profiles, in memory, and compare each with its live row byte for byte.

    All that is taken from the live row are the random analytic ids, which are in no event. Shoppers whose key was
    destroyed are left out, as they are everywhere. Nothing is written.
    """
    folded = Folded(world.vault, playbook)
    for record in world.store.log():
        folded.take(record)
    digest = blake2b(digest_size=16)
    differing = []
    for page in _pages(sorted(folded.profiles), AT_ONCE):
        rows = world.store.load(page)
        for key in page:
            row = rows.get(key)
            live = world.vault.open(key.shopper, row.state) if row is not None else b""
            profile = folded.profiles[key]
            if live:
                drawn = profiles.decode(live)
                profile.analytic_id, profile.former_analytic_ids = drawn.analytic_id, drawn.former_analytic_ids
            state = profiles.encode(profile)
            digest.update(repr(key).encode() + state)
            if state != live:
                differing.append(key)
    return Rebuilt(digest.hexdigest(), len(folded.profiles), folded.events, tuple(differing))


class Folded:
    """Profiles as the log makes them, record by record: of everybody, or of some shoppers ``only``."""

    def __init__(self, vault: Vault, playbook: Playbook, only: Container[ShopperKey] | None = None) -> None:
        self.profiles: dict[ShopperKey, Profile] = {}
        self.events = 0
        self._vault = vault
        self._playbook = playbook
        self._only = only

    def take(self, record: Record) -> None:
        """Fold one record; of who is forgotten nothing is left."""
        key = ShopperKey(record.tenant, record.shopper)
        if self._only is not None and key not in self._only:
            return
        try:
            payload = self._vault.open(record.shopper, record.payload)
        except Forgotten:
            self.profiles.pop(key, None)
            return
        features = self._playbook.features
        if record.kind == "merge":
            other = self.profiles.pop(ShopperKey(record.tenant, msgspec.msgpack.decode(payload, type=bytes)), None)
            if other is not None:
                profiles.merge(self._profile(key, record.received), other, features)
            return
        for event in read_events(payload):
            profiles.fold(self._profile(key, event.received), event, features)
            self.events += 1

    def _profile(self, key: ShopperKey, received: Millis) -> Profile:
        profile = self.profiles.get(key)
        if profile is None:
            profile = self.profiles[key] = Profile(id=key.shopper, analytic_id=b"", created=received)
        return profile


# --- facts ---


class _Owned(NamedTuple):
    """A record's events and whose they are now."""

    tenant: Tenant
    owner: ShopperKey
    events: list[Event]


def write_facts(world: World, folder: Path) -> int:
    """Derive the fact table from the whole log: how many facts were written.

    Only events whose mask allows analytics are in it, under the analytic id of whoever the shopper is now. Written
    again from the same log, the same files come out. Raises ``CashwrapError`` (``extra_missing``) without Parquet.
    """
    owners = _owners(world)
    starts = _session_starts(world, owners)
    names = _analytic_ids(world, owners.values())
    facts = (
        fact
        for tenant, owner, events in _opened(world, owners)
        if owner in names
        for event in events
        if (
            fact := parquet.fact_of(
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


def absorbed_by(vault: Vault, record: Record) -> ShopperKey | None:
    """The shopper that this record says was merged into its own, if it can still be read."""
    if record.kind != "merge":
        return None
    try:
        other = vault.open(record.shopper, record.payload)
    except Forgotten:
        return None
    return ShopperKey(record.tenant, msgspec.msgpack.decode(other, type=bytes))


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
