"""Decision records: a share of all decisions, kept with everything they depended on, to be explained and made again.

A record is personal data. It is kept only of a decision that used a profile whose shopper allows personalization, is
sealed under that shopper's key, and goes when the shopper withdraws or is forgotten. A deciding thread only hands over
what it has at hand; the writer encodes, seals and commits it with its next window. A record is worth less than an event
or an answer: whatever is in its way costs the record and nothing else, and is counted.
"""

import logging
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from cashwrap import codec, consent, profiles
from cashwrap.decide import Kills
from cashwrap.declarations import Settings
from cashwrap.errors import Forgotten
from cashwrap.experiments import SHARES
from cashwrap.hot import Hot, HotProfile
from cashwrap.model import PERSONALIZATION, Answer, Decision, Grant, Inputs, Level, Millis, Profile, Reason
from cashwrap.ports import Changes, KeptDecision, ShopperKey, Store, Vault

log = logging.getLogger(__name__)

ID = 12
"""Bytes of a decision's id."""
WAITING = 2_000
"""Decisions that may wait for the writer; of more the later ones are not kept."""
AT_ONCE = 100
"""Decisions in one commit: bounds how long the events in it wait for them."""
MOST = 1_000_000
"""Decisions kept, however young."""
LARGEST = 64_000
"""Bytes of one record: a page that tells more of a cart than anybody shops is not kept."""
PRUNED = 500
"""Decisions removed in one step."""


class Kept(Struct, frozen=True):
    """A decision as it was, and what it was made from."""

    id: str
    """As its answer has it: 24 hex digits."""
    inputs: Inputs
    kills: Kills
    """What an operator had switched off."""
    catalogue: int
    """The version of the shop's products."""
    as_of: Millis
    """For when the profile's attributes were computed: they stand for a second."""
    decision: Decision


# --- as bytes ---


class _Inputs(Inputs, frozen=True, array_like=True):
    """``Inputs`` as encoded, where every value says its own type."""

    values: dict[str, Any]


class _Answer(Struct, frozen=True, array_like=True):
    experience: str | None
    variation: str | None
    content: bytes | None
    reason: Reason
    offer: Grant | None = None


class _Record(Struct, frozen=True, array_like=True):
    id: str
    inputs: _Inputs
    kills: Kills
    catalogue: int
    as_of: Millis
    playbook: str
    level: Level
    degraded: bool
    exposures: tuple[tuple[int, ...], ...]
    answers: dict[str, _Answer]


_decoder: msgspec.msgpack.Decoder[_Record] = codec.decoder(_Record)


def encode(kept: Kept) -> bytes:
    """A record as bytes; the very same values come back."""
    inputs, decision = kept.inputs, kept.decision
    written = dict(zip(inputs.__struct_fields__, msgspec.structs.astuple(inputs), strict=True))
    return codec.encode(
        _Record(
            kept.id,
            _Inputs(**{**written, "values": codec.exact(inputs.values)}),
            kept.kills,
            kept.catalogue,
            kept.as_of,
            decision.playbook,
            decision.level,
            decision.degraded,
            decision.exposures,
            _answers(decision),
        )
    )


def judgement(decision: Decision) -> bytes:
    """All that was decided, as bytes: equal where nothing at all is different."""
    return codec.encode((decision.level, decision.degraded, decision.exposures, _answers(decision)))


def _answers(decision: Decision) -> dict[str, _Answer]:
    return {
        name: _Answer(
            each.experience,
            each.variation,
            None if each.content is None else bytes(each.content),
            each.reason,
            each.offer,
        )
        for name, each in decision.placements.items()
    }


def decode(payload: bytes) -> Kept:
    """A record from an opened payload. Raises ``msgspec.DecodeError`` where the bytes are none."""
    found = _decoder.decode(payload)
    answers = {
        name: Answer(
            each.experience,
            each.variation,
            None if each.content is None else msgspec.Raw(each.content),
            each.reason,
            each.offer,
        )
        for name, each in found.answers.items()
    }
    grants = {each.offer.offer: each.offer for each in answers.values() if each.offer is not None}
    decision = Decision(found.playbook, answers, found.level, found.degraded, found.exposures, tuple(grants.values()))
    inputs = Inputs(*msgspec.structs.astuple(found.inputs))
    return Kept(found.id, inputs, found.kills, found.catalogue, found.as_of, decision)


# --- on their way to the disk ---


class Made(NamedTuple):
    """A decision on its way to the writer: nothing of it is copied or encoded yet."""

    id: bytes
    hot: HotProfile
    inputs: Inputs
    decision: Decision
    kills: Kills
    catalogue: int
    as_of: Millis


class Told(Struct, frozen=True, array_like=True):
    """A decision on its way from a process that decides to the one that writes."""

    id: bytes
    key: ShopperKey
    time: Millis
    state: bytes
    """Names the state of the profile that it was made from."""
    plain: bytes
    """The record."""


class Recorder:
    """Takes decisions from any thread and has them ready for the writer's next commit."""

    def __init__(self, store: Store, vault: Vault, hot: Hot) -> None:
        self._store = store
        self._vault = vault
        self._hot = hot
        self._waiting: deque[Made | Told] = deque()
        self._below = b""
        self._retention: Millis = 0
        self._newest: int | None = None
        """The log's newest sequence, once a commit has told it."""
        self.kept = 0
        """Committed since the start."""
        self.dropped = 0
        """Drawn, and not kept: too many waited, or something was in the way."""

    def follow(self, settings: Settings) -> None:
        """Keep the share that a playbook asks for, as long as it says."""
        share = settings.decision_records
        whole = share >= SHARES
        self._below = b"\xff" * (ID + 1) if whole else ((share << 8 * ID) // SHARES).to_bytes(ID, "big")
        self._retention = settings.decision_retention

    def draws(self, decision_id: bytes) -> bool:
        """Whether this decision is one of the share that is kept. Its id is random, so nobody chooses."""
        return decision_id < self._below

    def take(self, made: Made | Told) -> None:
        """Keep a decision, if there is room: the deciding thread's call, which must not wait."""
        if len(self._waiting) < WAITING:
            self._waiting.append(made)
        else:
            self.dropped += 1

    @property
    def newest(self) -> int:
        """The log's newest sequence that a commit has told; 0 before the first."""
        return self._newest or 0

    def waits(self) -> bool:
        """Whether any decision waits to be committed."""
        return bool(self._waiting)

    def hand_over(self) -> list[Told]:
        """What waits, encoded, for another process to keep; as many as go into one commit."""
        found = []
        for _ in range(min(AT_ONCE, len(self._waiting))):
            made = self._waiting.popleft()
            try:
                plain = b"" if isinstance(made, Told) else encode(_kept(made))
            except Exception:  # a record must cost nobody else anything
                log.exception("a decision could not be recorded")
                plain = b""
            if isinstance(made, Told) or not 0 < len(plain) <= LARGEST:
                self.dropped += 1
            else:
                found.append(Told(made.id, _key_of(made), made.inputs.now, _named(made.hot.state), plain))
        return found

    # --- on the writer's thread ---

    def settle(self, may_keep: Callable[[ShopperKey], bool]) -> list[KeptDecision]:
        """What waits, sealed, for the commit at hand. ``may_keep`` says whom its own changes still allow to keep."""
        found = []
        for _ in range(min(AT_ONCE, len(self._waiting))):
            made = self._waiting.popleft()
            key = made.key if isinstance(made, Told) else _key_of(made)
            try:
                sealed = self._sealed(made, key) if may_keep(key) else None
            except Forgotten:
                sealed = None
            except Exception:  # a record must cost no event its acknowledgement
                log.exception("a decision could not be recorded")
                sealed = None
            if sealed is None:
                self.dropped += 1
            else:
                found.append(sealed)
        return found

    def committed(self, count: int, newest: int) -> None:
        """So many are durable, with everything up to this sequence of the log."""
        self.kept += count
        self._newest = newest

    def lost(self, count: int) -> None:
        """So many were in a commit that failed."""
        self.dropped += count

    def prune(self, now: Millis) -> bool:
        """One step of removing what is too old or too much; whether there may be more."""
        before = now - self._retention
        if not self._store.prune(before, MOST, 1):  # cheaper than to look at many, and mostly all there is to do
            return False
        return self._store.prune(before, MOST, PRUNED) == PRUNED

    def _sealed(self, made: Made | Told, key: ShopperKey) -> KeptDecision | None:
        current = self._hot.profiles.get(key) or self._load(key)
        if current is None:
            return None
        if isinstance(made, Told):
            time, position = made.time, self._last()
            plain = made.plain if _named(current.state) == made.state and allows(current.profile) else b""
        else:
            time, position = made.inputs.now, made.hot.position
            if current is not made.hot and not allows(current.profile):
                return None
            if not position:  # read from the store: as new as the log is, if nothing came since
                if current is not made.hot and current.state != made.hot.state:
                    return None
                position = self._last()
            plain = encode(_kept(made))
        if not 0 < len(plain) <= LARGEST:
            return None
        return KeptDecision(key.tenant, made.id, key.shopper, time, position, self._vault.seal(key.shopper, plain))

    def _load(self, key: ShopperKey) -> HotProfile | None:
        row = self._store.load([key]).get(key)
        if row is None:
            return None
        state = self._vault.open(key.shopper, row.state)
        return HotProfile(profiles.decode(state), state, None)

    def _last(self) -> int:
        if self._newest is None:
            self._newest = self._store.commit(Changes())
        return self._newest


def _key_of(made: Made) -> ShopperKey:
    return ShopperKey(made.inputs.tenant, made.hot.profile.id)


def _kept(made: Made) -> Kept:
    return Kept(made.id.hex(), made.inputs, made.kills, made.catalogue, made.as_of, made.decision)


def _named(state: bytes) -> bytes:
    """Names a profile's state between processes."""
    return blake2b(state, digest_size=16).digest()


def allows(profile: Profile) -> bool:
    """Whether the shopper's choices allow personalization, whatever one request adds to them."""
    return bool(consent.mask_of(profile.consent) & PERSONALIZATION)
