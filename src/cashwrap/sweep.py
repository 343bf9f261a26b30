"""Segments entered and left, found afterwards: after new events, and when only time has passed.

A commit marks each changed shopper as due at once. The sweep looks at who is due, compares the segments they are in
with the ones they were in, commits the difference with the moment to look again, and leaves the notices in the outbox.
It runs on the writer thread between commits, so membership never races with a fold.
"""

import logging
from collections.abc import Callable

import msgspec

from cashwrap import profiles, segments
from cashwrap.errors import Forgotten, StoreError, Unavailable
from cashwrap.hot import Hot
from cashwrap.memberships import standing_values
from cashwrap.model import Profile
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, Clock, ShopperKey, Store, Transition, Vault
from cashwrap.request import zone_of

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Shoppers in one sweep: bounds how long events wait behind it."""


class Sweeper:
    """Finds segment changes for the shoppers that are due."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, hot: Hot, playbook: Callable[[], Playbook]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._hot = hot
        self._playbook = playbook

    def run(self) -> bool:
        """One sweep; whether more shoppers may be due than it looked at."""
        now = self._clock.now()
        due = self._store.due(now, AT_ONCE)
        if not due:
            return False
        playbook, changes = self._playbook(), Changes()
        before = self._store.inside(due)
        for key, profile in self._profiles(due).items():
            try:
                self._judge(playbook, key, profile, before.get(key, frozenset()), changes)
            except Exception:  # one shopper must not keep all others in their segments
                log.exception("a shopper's segments cannot be told; they stay as they are until the next event")
        for key in due:
            changes.dues.setdefault(key, None)
        self._store.commit(changes)
        return len(due) == AT_ONCE

    def _judge(
        self, playbook: Playbook, key: ShopperKey, profile: Profile, before: frozenset[str], changes: Changes
    ) -> None:
        now = self._clock.now()
        values = standing_values(playbook, profile, now)
        after = segments.members_of(values, playbook.segments)
        changes.transitions += [
            Transition(key.tenant, key.shopper, name, entered, now)
            for name, entered in segments.transitions(before, after)
        ]
        shop = playbook.settings.time_zone
        zones = segments.Zones(zone_of(profiles.time_zone(profile) or shop), zone_of(shop))
        due = segments.next_change(playbook.segments, playbook.features, profile, now, zones, values)
        changes.dues[key] = due

    def _profiles(self, keys: list[ShopperKey]) -> dict[ShopperKey, Profile]:
        found = {}
        cold = []
        for key in keys:
            hot = self._hot.profiles.get(key)
            if hot is None:
                cold.append(key)
            else:
                found[key] = hot.profile
        for key, row in self._store.load(cold).items() if cold else ():
            try:
                found[key] = profiles.decode(self._vault.open(key.shopper, row.state))
            except Unavailable:
                raise
            except (StoreError, msgspec.DecodeError) as error:  # forgotten meanwhile, or damaged: looked at no more
                if not isinstance(error, Forgotten):
                    log.exception("a profile cannot be read")
        return found
