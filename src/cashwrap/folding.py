"""Records of the log folded into the shoppers they are about: what rebuild, snapshots and backfill have in common.

Whoever folds says where each shopper begins: nowhere, or at a snapshot. What comes out is the same whether the log was
folded in one go or in steps with snapshots between them.
"""

from collections.abc import Callable, Container

import msgspec

from cashwrap import codec, profiles
from cashwrap.dedup import Seen, event_key
from cashwrap.errors import Forgotten
from cashwrap.features import FeatureSet
from cashwrap.model import Event, Line, Millis, Profile
from cashwrap.ports import Record, ShopperKey, Snapshot, Store, Vault

_events: msgspec.msgpack.Decoder[list[Event]] = codec.decoder(list[Event])


class Past:
    """A shopper as some records say. The analytic ids are random and in no record: they are empty here."""

    __slots__ = ("profile", "seen")

    def __init__(self, profile: Profile, seen: Seen) -> None:
        self.profile = profile
        self.seen = seen


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


def absorbed_by(vault: Vault, record: Record) -> ShopperKey | None:
    """The shopper that this record says was merged into its own, if it can still be read."""
    if record.kind != "merge":
        return None
    try:
        other = vault.open(record.shopper, record.payload)
    except Forgotten:
        return None
    return ShopperKey(record.tenant, msgspec.msgpack.decode(other, type=bytes))


def opened(vault: Vault, key: ShopperKey, snapshot: Snapshot | None, features: FeatureSet) -> Past | None:
    """A snapshot with the state of these features; ``None`` where there is none or its shopper was forgotten."""
    if snapshot is None:
        return None
    try:
        profile = profiles.decode(vault.open(key.shopper, snapshot.state))
        seen = Seen.decode(vault.open(key.shopper, snapshot.seen))
    except Forgotten:
        return None
    features.adopt(profile)
    return Past(profile, seen)


def sealed(vault: Vault, key: ShopperKey, past: Past | None) -> Snapshot | None:
    """A snapshot of somebody; ``None`` where nobody is left, or they were forgotten."""
    if past is None:
        return None
    try:
        state = vault.seal(key.shopper, profiles.encode(past.profile))
        return Snapshot(state, vault.seal(key.shopper, past.seen.encode()))
    except Forgotten:
        return None


class Folding:
    """Folds record by record: everybody, or some shoppers ``only``. ``start`` says where a shopper begins."""

    def __init__(
        self,
        vault: Vault,
        features: FeatureSet,
        start: Callable[[ShopperKey], Past | None] = lambda _: None,
        only: Container[ShopperKey] | None = None,
    ) -> None:
        self.pasts: dict[ShopperKey, Past | None] = {}
        """Everybody who was looked at; ``None`` for who is gone: forgotten, or merged into somebody else."""
        self.events = 0
        self._vault = vault
        self._features = features
        self._start = start
        self._only = only
        self._secret = vault.digest("event ids")

    def take(self, record: Record) -> None:
        """Fold one record; of who is forgotten nothing is left."""
        key = ShopperKey(record.tenant, record.shopper)
        if self._only is not None and key not in self._only:
            return
        try:
            payload = self._vault.open(record.shopper, record.payload)
        except Forgotten:
            self.pasts[key] = None
            return
        if record.kind == "merge":
            self.merge(key, ShopperKey(record.tenant, msgspec.msgpack.decode(payload, type=bytes)), record.received)
            return
        for event in read_events(payload):
            self.fold(key, event)

    def fold(self, key: ShopperKey, event: Event) -> None:
        """Take one event of a record."""
        past = self._past(key, event.received)
        profiles.fold(past.profile, event, self._features)
        past.seen.add(event_key(event, self._secret), event.fingerprint, event.received)
        self.events += 1

    def merge(self, key: ShopperKey, absorbed: ShopperKey, received: Millis) -> None:
        """Take one shopper into another."""
        other = self.find(absorbed)
        if other is not None:
            past = self._past(key, received)
            profiles.merge(past.profile, other.profile, self._features)
            past.seen.merge(other.seen)
        self.pasts[absorbed] = None

    def find(self, key: ShopperKey) -> Past | None:
        """The shopper as of the records taken so far."""
        if key not in self.pasts:
            self.pasts[key] = self._start(key)
        return self.pasts[key]

    def profile(self, key: ShopperKey) -> Profile | None:
        """Their profile."""
        past = self.find(key)
        return past.profile if past is not None else None

    def _past(self, key: ShopperKey, received: Millis) -> Past:
        past = self.find(key)
        if past is None:
            past = self.pasts[key] = Past(Profile(id=key.shopper, analytic_id=b"", created=received), Seen())
        return past


def fold_from_snapshots(
    store: Store, vault: Vault, features: FeatureSet, only: Container[ShopperKey] | None = None
) -> Folding:
    """Ready to take the log's records: everybody begins at their snapshot, where there is one."""
    return Folding(vault, features, from_snapshots(store, vault, features), only)


def from_snapshots(store: Store, vault: Vault, features: FeatureSet) -> Callable[[ShopperKey], Past | None]:
    """Says of everybody that they begin at their snapshot, where there is one."""

    def start(key: ShopperKey) -> Past | None:
        return opened(vault, key, store.snapshots([key]).get(key), features)

    return start
