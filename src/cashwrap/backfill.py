"""A changed feature made as true as if it had always been there: its state is folded from the log, beside live traffic.

State is kept under a hash of each definition. When a playbook goes live that has definitions nobody followed so far,
the log is folded anew from the horizon, step by step into snapshots of their own, until they have caught up with live
traffic; then each shopper's features are replaced by what their snapshot says, which is what ``rebuild`` would say, to
the byte. Until all are done nobody is told the new features: they are unknown rather than wrong.

What the live playbook does not declare any more leaves the rows in the same pass. The snapshots at the horizon carry it
on for a while, so that taking a playbook back loses nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

import msgspec
from msgspec import Struct, field

from cashwrap import profiles
from cashwrap.errors import Forgotten
from cashwrap.faults import crash_point
from cashwrap.features import FeatureSet
from cashwrap.folding import Folding, Past, absorbed_by, opened, sealed
from cashwrap.hot import Hot, HotProfile
from cashwrap.model import Millis
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, Horizon, Registry, Row, ShopperKey, Store
from cashwrap.world import World

log = logging.getLogger(__name__)

KIND, NAME = "folder", "features"
RECORDS = 500
"""Records in one step."""
SHOPPERS = 100
"""Rows in one step."""
CLEARED = 1000
SECONDS = 0.02
"""After so long a step takes no more, and events come first."""
STEPS = 8
ROLLBACK: Millis = 14 * 86_400_000
"""So long snapshots carry the features of a playbook that is not live any more."""
REMEMBERED = 20
Phase = Literal["idle", "clear", "fold", "apply", "tell", "end"]


class Followed(Struct):
    """Which features' state is whole, by its key. Kept with the data, so that a restart goes on where it was."""

    since: dict[str, Millis] = {}
    """Since when it is whole: 0 for always, else nothing older was in the log any more when it was declared."""
    pending: dict[str, Millis] = {}
    """What is being made whole."""
    left: dict[str, Millis] = {}
    """When the live playbook stopped declaring what snapshots still carry; its ``since`` stays."""
    phase: Phase = "idle"


class Truth(Struct, frozen=True, rename="camel"):
    """How far back a feature is true: less than it looks back (``since``), or not yet known (``pending``)."""

    since: Millis
    pending: bool = False


_decode = msgspec.msgpack.Decoder(Followed).decode


def declare(registry: Registry, store: Store, features: FeatureSet, now: Millis) -> Followed:
    """Take up the features of a playbook that goes live, or is about to be folded with; what is whole, and what not."""
    document, keys = registry.documents(KIND).get(NAME), features.keys()
    known = _decode(document) if document is not None else Followed(since=dict.fromkeys(keys, 0))
    fresh = keys - known.since.keys() | keys & known.left.keys()
    gone = (known.since.keys() - known.left.keys() - keys) | (known.pending.keys() - keys)
    if fresh - known.pending.keys() or gone:
        begin = store.horizon().received
        ordered = features.of_orders()
        for key in fresh:
            known.pending.setdefault(key, 0 if key in ordered else known.since.get(key, begin))
        for key in gone:
            if known.pending.pop(key, None) is None:
                known.left[key] = now
        known.phase = "clear" if known.pending else "apply"
        if store.commit(Changes()) == 0:  # nothing ever happened: there is nothing to fold
            _finish(known)
    _write(registry, known)
    return known


def _finish(known: Followed) -> None:
    known.since |= known.pending
    for key in known.pending:
        known.left.pop(key, None)
    known.pending = {}
    known.phase = "idle"


def _write(registry: Registry, known: Followed) -> None:
    document = msgspec.msgpack.encode(known)
    if registry.documents(KIND).get(NAME) != document:
        registry.put(KIND, NAME, document)


class _Job(Struct):
    """One pass under way, on the writer's thread."""

    features: FeatureSet
    pending: frozenset[str]
    phase: Phase
    at: ShopperKey | None = None
    merged: dict[ShopperKey, None] = field(default_factory=dict)
    """Who took somebody in since the last step: their row may hold state that is not whole."""


class Backfill:
    """Follows the live playbook's features. Any thread may call ``follow``, the writer's only ``run``."""

    def __init__(self, world: World, hot: Hot, done: Callable[[], None]) -> None:
        """``done`` is called, on the writer's thread, when the live playbook's features are all whole."""
        self._store = world.store
        self._registry = world.registry
        self._vault = world.vault
        self._clock = world.clock
        self._hot = hot
        self._done = done
        self._lock = threading.Lock()
        self._known = Followed()
        self._job: _Job | None = None
        self._former: list[tuple[FeatureSet, Millis]] = []
        self._hidden: frozenset[str] = frozenset()
        self.declared: Playbook | None = None
        """What was followed last, with all its features."""

    def follow(self, playbook: Playbook, *, writes: bool = True) -> Playbook:
        """The playbook as decisions may see it: without what is not whole yet.

        A process that does not write (``writes``) sees what another one does about it.
        """
        with self._lock:
            now, features = self._clock.now(), playbook.features
            if writes:
                known = declare(self._registry, self._store, features, now)
                self._remember(features, now)
                self._known = known
                pending = frozenset(known.pending)
                if known.phase == "idle":
                    self._job = None
                elif self._job is None or self._job.features.keys() != features.keys():
                    self._job = _Job(features, pending, known.phase)
                    log.info("features are made whole: %d new, from the log", len(pending))
            else:
                pending = frozenset(self.followed().pending)
            self.declared, self._hidden = playbook, pending
        return playbook if not pending else msgspec.structs.replace(playbook, features=features.hiding(pending))

    def followed(self) -> Followed:
        """What is whole, as it is kept."""
        document = self._registry.documents(KIND).get(NAME)
        return _decode(document) if document is not None else Followed()

    def outdated(self) -> bool:
        """Whether what was hidden is whole by now, by the work of another process."""
        return bool(self._hidden) and not self._hidden & self.followed().pending.keys()

    def truths(self) -> dict[str, Truth]:
        """Of the live playbook's features those that say less than their definition does, by name."""
        playbook, known, now = self.declared, self.followed(), self._clock.now()
        found = {}
        for name, (key, span) in playbook.features.spans().items() if playbook is not None else ():
            since = known.pending.get(key, known.since.get(key, 0))
            if key in known.pending or (since and (span is None or now - span < since)):
                found[name] = Truth(since, key in known.pending)
        return found

    def behind(self) -> int:
        """Records that a backfill has still to fold; 0 where none is under way."""
        job = self._job
        if job is None or job.phase not in ("clear", "fold"):
            return 0
        return max(0, self._store.commit(Changes()) - self._store.horizon("backfill").sequence)

    def union(self) -> FeatureSet:
        """The features whose state snapshots carry: the live playbook's, and for a while those of former ones.

        Call it before each fold into the snapshots: what is not in it is not whole in them any more.
        """
        with self._lock:
            now = self._clock.now()
            if self.declared is None:
                raise RuntimeError("no playbook was followed")
            union = self.declared.features
            self._former = [each for each in self._former if each[1] > now - ROLLBACK]
            for features, _ in self._former:
                union = union.joined(features)
            if lost := self._known.left.keys() - union.keys():
                for key in lost:
                    del self._known.left[key]
                    self._known.since.pop(key, None)
                _write(self._registry, self._known)
            return union

    def run(self) -> bool:
        """Some steps of what is to be done; whether more waits. Retention must wait for it: it reads the same log."""
        begun = self._clock.monotonic()
        for _ in range(STEPS):
            with self._lock:
                job = self._job
            if job is None:
                return False
            self._step(job)
            if self._clock.monotonic() - begun > SECONDS:
                break
        return True

    def _remember(self, features: FeatureSet, now: Millis) -> None:
        before = self.declared.features if self.declared is not None else features
        if before.keys() != features.keys():
            former = [each for each in self._former if each[0].keys() != before.keys()]
            self._former = [*former, (before, now)][-REMEMBERED:]

    # --- steps, on the writer's thread ---

    def _step(self, job: _Job) -> None:
        match job.phase:
            case "clear":
                if not self._store.clear("backfill", CLEARED):
                    self._store.advance(self._store.horizon(), {}, "backfill")
                    self._enter(job, "fold")
            case "fold":
                if self._fold(job):
                    self._enter(job, "apply")
            case "apply":
                if (not job.pending or self._fold(job)) and not self._apply(job):
                    self._enter(job, "tell" if job.pending else "end")
            case "tell":
                if not self._tell(job):
                    self._enter(job, "end")
            case _:
                if not self._store.clear("backfill", CLEARED):
                    self._enter(job, "idle")

    def _enter(self, job: _Job, phase: Phase) -> None:
        """Begin the next phase, durably, unless another playbook came in between."""
        whole = phase == "tell"
        with self._lock:
            if self._job is not job:
                return
            if whole:
                _finish(self._known)
            self._known.phase = job.phase = phase
            job.at = None
            _write(self._registry, self._known)
            if phase == "idle":
                self._job = None
        if whole:
            log.info("features are whole: %d new", len(job.pending))
            self._done()

    def _fold(self, job: _Job) -> bool:
        """Fold the next records into the backfill's snapshots; whether none is left."""
        store, vault, begun = self._store, self._vault, self._clock.monotonic()
        records = list(islice(store.log(store.horizon("backfill").sequence), RECORDS))
        if not records:
            return True
        folding = Folding(vault, job.features, lambda key: self._past(key, job))
        taken = 0
        for record in records:
            folding.take(record)
            taken += 1
            if record.kind == "merge" and absorbed_by(vault, record) is not None:
                job.merged[ShopperKey(record.tenant, record.shopper)] = None
            if self._clock.monotonic() - begun > SECONDS:
                break
        newest = records[taken - 1]
        snapshots = {key: sealed(vault, key, past) for key, past in folding.pasts.items()}
        store.advance(Horizon(newest.sequence, newest.received), snapshots, "backfill")
        return taken == len(records) < RECORDS

    def _past(self, key: ShopperKey, job: _Job) -> Past | None:
        """The shopper as this backfill has them so far: as of its own snapshots, else as of the horizon."""
        own = self._store.snapshots([key], "backfill").get(key)
        return opened(self._vault, key, own or self._store.snapshots([key]).get(key), job.features)

    def _apply(self, job: _Job) -> bool:
        """Put the state that was folded into the next rows; whether there are more."""
        page = self._store.shoppers(job.at, SHOPPERS)
        wanted = list(dict.fromkeys((*page, *job.merged)))
        job.merged.clear()
        changes, shown = Changes(), dict[ShopperKey, tuple[HotProfile, bytes]]()
        for key, row in self._store.load(wanted).items():
            try:
                before = self._vault.open(key.shopper, row.state)
            except Forgotten:
                continue
            profile = profiles.decode(before)
            past = self._past(key, job) if job.pending else None
            if past is not None:
                profile.features = past.profile.features
            else:
                job.features.adopt(profile)
            after = profiles.encode(profile)
            if after != before:
                changes.rows[key] = Row(self._vault.seal(key.shopper, after), row.seen, row.due)
                shown[key] = HotProfile(profile, after, None), after
        if changes:
            newest = self._store.commit(changes)
            crash_point("backfill.merged")
            self._show((key, hot, newest) for key, (hot, _) in shown.items())
        if page:
            job.at = page[-1]
        return bool(page)

    def _show(self, changed: Iterable[tuple[ShopperKey, HotProfile, int]]) -> None:
        """Replace what is in memory; nobody may bring up what a row said before."""
        for key, hot, newest in changed:
            known = self._hot.profiles.get(key)
            self._hot.profiles.drop(key)
            if known is not None:
                self._hot.profiles.put(key, HotProfile(hot.profile, hot.state, known.seen, newest))

    def _tell(self, job: _Job) -> bool:
        """Have the next shoppers' segments looked at: what was unknown is known; whether there are more."""
        page = self._store.shoppers(job.at, CLEARED)
        if page:
            now = self._clock.now()
            self._store.commit(Changes(dues=dict.fromkeys(page, now)))
            job.at = page[-1]
        return bool(page)
