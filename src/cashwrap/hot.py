"""What is kept in memory so that a decision need not wait for the disk: recent profiles and identities.

Written by the writer thread after each commit and read by request threads without a lock: a published profile is never
changed, only replaced. Both caches are two generations of plain dictionaries: a full young one becomes the old one, and
what is asked for again moves up. Where another process writes, each entry is as good as its version in shared memory.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from cashwrap import orders, profiles, sessions
from cashwrap.dedup import Seen
from cashwrap.model import Millis, Profile, Session, Tenant, Value
from cashwrap.ports import ShopperKey

Identifier = tuple[Tenant, str, str]
"""Tenant, kind (``user``, ``anonymous``, ``email``, ``cart``) and value of what may name a shopper."""
MISSING = ShopperKey(Tenant(), b"")
"""Stands for an identifier that is known to name nobody."""
BOUGHT = 100
"""Products of earlier orders that recommendations look at: the newest."""
K = TypeVar("K")
V = TypeVar("V")
_K_contra = TypeVar("_K_contra", contravariant=True)


class Cache(Protocol[_K_contra, V]):
    """What is kept of something that may change behind it. Any thread may call it."""

    def get(self, key: _K_contra) -> V | None:
        """The value, or ``None``."""

    def put(self, key: _K_contra, value: V) -> None:
        """Publish a value; the writer's call."""

    def mark(self, digest: bytes) -> int:
        """To be taken before a value is read, and handed to ``offer`` with it. ``digest`` is random bytes that name
        what is read: of a shopper the id, of an identifier its keyed hash."""

    def offer(self, key: _K_contra, value: V, mark: int) -> V:
        """Keep what a reader loaded, unless it may have changed since the mark; what is newest, as far as known."""

    def drop(self, key: _K_contra) -> None:
        """Forget one entry."""

    def clear(self) -> None:
        """Forget everything."""


class Generations(Generic[K, V]):
    """A bounded cache that forgets about the least recently used half at a time.

    What is young is read without a lock; everything that changes a generation holds it, so that a reader who brings up
    an older value can never hide one that was published, or dropped, in the meantime.
    """

    __slots__ = ("_held", "_limit", "_lock", "_most", "_old", "_weigh", "_young", "rotations")

    def __init__(self, limit: int, most: int = 0, weigh: Callable[[V], int] | None = None) -> None:
        """At most ``limit`` values and, where they differ much in size, so many that ``weigh`` to ``most`` together."""
        self._limit = max(1, limit // 2)
        self._most = most // 2
        self._weigh = weigh
        self._held = 0
        self._lock = threading.Lock()
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self.rotations = 0
        """Grows whenever what a reader is loading at that moment may be out of date."""

    def get(self, key: K) -> V | None:
        """The value, or ``None``; keeps it young."""
        value = self._young.get(key)
        if value is None and key in self._old:
            with self._lock:
                value = self._young.get(key)
                if value is None and (value := self._old.pop(key, None)) is not None:
                    self._keep(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Publish a value; the writer's call."""
        with self._lock:
            self._keep(key, value)

    def mark(self, _: bytes) -> int:
        """The rotations so far: after another one, a reader may have loaded what is out of date."""
        return self.rotations

    def offer(self, key: K, value: V, mark: int) -> V:
        """Keep what a reader loaded, unless something newer is here or was forgotten since the mark."""
        with self._lock:
            if mark != self.rotations:
                return value
            kept = self._young.get(key)
            if kept is None:
                kept = value
                self._keep(key, value)
            return kept

    def drop(self, key: K) -> None:
        """Forget one entry."""
        with self._lock:
            self.rotations += 1
            self._old.pop(key, None)
            gone = self._young.pop(key, None)
            if gone is not None and self._weigh is not None:
                self._held -= self._weigh(gone)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.rotations += 1
            self._young = {}
            self._old = {}
            self._held = 0

    def _keep(self, key: K, value: V) -> None:
        if self._weigh is not None:
            before = self._young.get(key)
            self._held += self._weigh(value) - (self._weigh(before) if before is not None else 0)
        self._young[key] = value
        if len(self._young) >= self._limit or self._held > self._most:
            self.rotations += 1
            self._old = self._young
            self._young = {}
            self._held = 0


class Stamps(Protocol):
    """Versions that the process that writes advances after each commit, before it is acknowledged."""

    def slot(self, digest: bytes) -> int:
        """Where the version of this shopper or identifier is; others may share it."""

    def __getitem__(self, slot: int) -> int:
        """The version there."""


class Stamped(NamedTuple, Generic[V]):
    """A value that was read after its version."""

    value: V
    slot: int
    version: int


_VERSION_BITS = 40
_VERSION = (1 << _VERSION_BITS) - 1


class Checked(Generic[K, V]):
    """A cache in front of what another process writes: a value is good as long as its version stands.

    Two that share a version only cost each other a read.
    """

    def __init__(self, limit: int, stamps: Stamps) -> None:
        """At most ``limit`` values."""
        self._kept: Generations[K, Stamped[V]] = Generations(limit)
        self._stamps = stamps

    def get(self, key: K) -> V | None:
        """The value, if it is as new as the last acknowledged event."""
        kept = self._kept.get(key)
        if kept is None or self._stamps[kept[1]] != kept[2]:
            return None
        return kept[0]

    def put(self, _key: K, _value: V) -> None:
        """Nothing is published here: whoever writes does so in another process."""

    def mark(self, digest: bytes) -> int:
        """The version now, with its place."""
        slot = self._stamps.slot(digest)
        return slot << _VERSION_BITS | self._stamps[slot] & _VERSION

    def offer(self, key: K, value: V, mark: int) -> V:
        """Keep what was read after the mark; it is asked for as long as nothing was written since."""
        self._kept.put(key, Stamped(value, mark >> _VERSION_BITS, mark & _VERSION))
        return value

    def drop(self, key: K) -> None:
        """Forget one entry."""
        self._kept.drop(key)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()


class HotProfile:
    """A published profile, its bytes, and what was computed from it lately."""

    __slots__ = ("_bought", "_facts", "lens", "position", "profile", "seen", "standing", "state")

    def __init__(self, profile: Profile, state: bytes, seen: Seen | None, position: int = 0) -> None:
        self.profile = profile
        self.state = state
        """The encoded profile: a fresh draft is decoded from it."""
        self.seen = seen
        """Only the writer looks; ``None`` where a decision loaded the profile."""
        self.position = position
        """The log's newest sequence when the writer published it; 0 where it was read from the store."""
        self.lens: tuple[object, int] = (None, 0)
        """What the consent mask was last asked for, and the mask."""
        self.standing = Standing((0, 0, "", None), {}, 0, 0)
        """What the profile says this second; replaced as one, as several threads may ask."""
        self._facts: Facts | None = None
        self._bought: tuple[tuple[str, Millis, int], ...] | None = None

    @property
    def bought(self) -> tuple[tuple[str, Millis, int], ...]:
        """Products of earlier orders, each with the last time and how often; worked out when the first one asks."""
        if self._bought is None:
            self._bought = orders.bought(self.profile, BOUGHT)
        return self._bought

    @property
    def facts(self) -> "Facts":
        """What decisions ask of the profile that time does not change; worked out when the first one asks."""
        facts = self._facts
        if facts is None:
            profile = self.profile
            facts = Facts(
                profiles.time_zone(profile),
                profiles.lists(profile),
                profiles.has_history(profile),
                profiles.first_arms(profile),
                profile.sessions[-1] if profile.sessions else None,
            )
            self._facts = facts
        return facts


class Standing(NamedTuple):
    """The profile's attributes, what models tell by them, and what both leave standing of a playbook's index: for one
    second, consent mask, playbook and models."""

    stamp: tuple[int, int, str, object]
    values: dict[str, Value]
    narrowed: int
    as_of: Millis
    """The very moment of that second for which they were computed."""
    models: Mapping[str, str] = {}
    """The versions of the models that told something, by name."""


class Facts(NamedTuple):
    """The shopper's time zone, the lists they were pushed into, whether more is known than this visit, the arm first
    seen of each experiment, and the newest session."""

    zone: str | None
    lists: dict[str, bool]
    history: bool
    arms: dict[str, str]
    session: Session | None

    def session_start(self, now: Millis) -> Millis:
        """Since when the session goes on that a decision now belongs to."""
        session = self.session
        return session.start if session is not None and now < session.end + sessions.GAP else now


class Hot:
    """The two caches; with ``stamps`` of what another process writes."""

    profiles: Cache[ShopperKey, HotProfile]
    identities: Cache[Identifier, ShopperKey]

    def __init__(self, profiles: int = 50_000, identities: int = 200_000, stamps: Stamps | None = None) -> None:
        self.profiles = Generations(profiles) if stamps is None else Checked(profiles, stamps)
        self.identities = Generations(identities) if stamps is None else Checked(identities, stamps)
