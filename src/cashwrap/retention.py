"""What is kept for how long, and removed when its time is over: records of the log, idle shoppers, failed events.

Records that are too old are folded into snapshots, one a shopper and sealed under the shopper's key, and removed in the
same transaction: what they said stays true in every feature, while they themselves are gone. Small steps on the
writer's thread between commits; one cut off at any moment is taken again.
"""

import logging
from collections.abc import Callable
from itertools import islice

import msgspec

from cashwrap import profiles
from cashwrap.declarations import RetentionDecl
from cashwrap.errors import Forgotten, StoreError, Unavailable
from cashwrap.features import FeatureSet
from cashwrap.folding import fold_from_snapshots, sealed
from cashwrap.forgetting import Forgetting, Version
from cashwrap.model import Millis
from cashwrap.ports import Horizon, ShopperKey
from cashwrap.world import World

log = logging.getLogger(__name__)

RECORDS = 500
"""Records in one step, and seconds after which it takes no more: events wait behind it."""
SECONDS = 0.02
SHOPPERS = 200
"""Shoppers looked at in one step for whether they are idle."""
REMOVED = 5
"""Idle shoppers removed in one step: each takes an fsync or two."""
FAILED = 500
LOOK: Millis = 10 * 60_000
"""How often it is looked for old records and failed events."""
WALK: Millis = 6 * 3_600_000
"""How often all shoppers are looked through for idle ones."""
JUMP: Millis = 86_400_000
"""A clock that goes further than this on its own is believed after ``DOUBT`` only: what is removed does not return."""
DOUBT = 3600.0


class Retention:
    """Removes what is too old. Only the writer's thread may call ``run``."""

    def __init__(
        self,
        world: World,
        forgetting: Forgetting,
        limits: Callable[[], RetentionDecl],
        features: Callable[[], FeatureSet],
    ) -> None:
        """``features`` are those whose state snapshots carry."""
        self._store = world.store
        self._failed = world.failed
        self._vault = world.vault
        self._clock = world.clock
        self._forgetting = forgetting
        self._limits = limits
        self._features = features
        self._began = world.clock.now(), world.clock.monotonic()
        self._believes = 0.0
        self._next: dict[str, Millis] = {}
        self._untidy = False
        self._at: ShopperKey | None = None
        """How far the walk through all shoppers has come."""
        self._uncleaned = True
        """Whether models may have idle shoppers who were removed; after a start nobody knows."""
        self._cleaning: list[Version] = []
        """Versions still to be cleaned of them, one a step: each may have to be written anew."""
        self.retired = 0
        self.removed = 0
        self.discarded = 0
        """Records, shoppers and failed events since the start."""

    def run(self) -> bool:
        """One step of what is due; whether more of it waits."""
        now = self._clock.now()
        if self._doubts(now):
            return False
        limits, more = self._limits(), False
        for name, every, step in (
            ("log", LOOK, self._retire),
            ("failed", LOOK, self._discard),
            ("idle", WALK, self._remove_idle),
        ):
            if now >= self._next.get(name, 0):
                if step(limits, now):
                    more = True
                else:
                    self._next[name] = now + every
        return more

    def all(self) -> None:
        """Everything that is due now, whenever it was looked for last."""
        self._next.clear()
        while self.run():
            pass

    def _doubts(self, now: Millis) -> bool:
        """Whether the clock went far further lately than time did."""
        wall, elapsed = self._began
        monotonic = self._clock.monotonic()
        if abs(now - wall - int((monotonic - elapsed) * 1000)) > JUMP:
            log.warning("the clock jumped by more than a day: nothing is removed for an hour")
            self._began = now, monotonic
            self._believes = monotonic + DOUBT
        return monotonic < self._believes

    # --- the log ---

    def _retire(self, limits: RetentionDecl, now: Millis) -> bool:
        """Fold the oldest records into snapshots and remove them; whether there are more."""
        page = list(islice(self._store.log(), RECORDS))
        before = now - limits.events
        old = max((place for place, record in enumerate(page, 1) if record.received < before), default=0)
        if not old:
            if self._untidy:
                self._store.tidy()
                self._untidy = False
            return False
        folding = fold_from_snapshots(self._store, self._vault, self._features())
        begun, taken = self._clock.monotonic(), 0
        for record in page[:old]:
            folding.take(record)
            taken += 1
            if self._clock.monotonic() - begun > SECONDS:
                break
        newest = page[taken - 1]
        snapshots = {key: sealed(self._vault, key, past) for key, past in folding.pasts.items()}
        self._store.advance(Horizon(newest.sequence, newest.received), snapshots)
        self.retired += taken
        self._untidy = True
        return True

    # --- failed events ---

    def _discard(self, limits: RetentionDecl, now: Millis) -> bool:
        """Where the shop sets a limit: a failed event is otherwise kept until an operator acts."""
        if limits.failed is None:
            return False
        page = self._failed.failures(0, FAILED)
        old = [each.sequence for each in page if each.received < now - (limits.failed or 0)]
        if old:
            self._failed.discard(old)
            log.warning("%d failed events were older than shop.retention.failed and are removed", len(old))
            self.discarded += len(old)
            self._untidy = True
        return len(old) == FAILED

    # --- idle shoppers ---

    def _remove_idle(self, limits: RetentionDecl, now: Millis) -> bool:
        """Look at the next shoppers and forget the idle ones, then clean models of them; whether there is more."""
        if self._cleaning:
            self._forgetting.clean(self._cleaning.pop())
            return bool(self._cleaning)
        page = self._store.shoppers(self._at, SHOPPERS)
        rows = self._store.load(page)
        removed = 0
        for key in page:
            row = rows.get(key)
            if row is not None and self._is_idle(key, row.state, now - limits.idle_profiles):
                self._forgetting.erase(key, names=False)
                removed += 1
            self._at = key
            if removed == REMOVED:
                break
        self.removed += removed
        self._uncleaned |= removed > 0
        if page and self._at is not None:
            return True
        self._at = None
        if self._uncleaned:
            self._cleaning, self._uncleaned = self._forgetting.versions(), False
        return bool(self._cleaning)

    def _is_idle(self, key: ShopperKey, state: bytes, before: Millis) -> bool:
        """Whether nothing came of them since ``before``, or what remains is of somebody whom a crash half forgot."""
        try:
            profile = profiles.decode(self._vault.open(key.shopper, state))
        except Forgotten:
            return self._vault.destroyed(key.shopper)
        except Unavailable:
            raise
        except (StoreError, msgspec.DecodeError):
            return False
        return max(profile.updated, profile.created) < before
