"""Forget a shopper: what it reaches, and in which order, so that one cut off half-way can be asked for again."""

from typing import NamedTuple

from cashwrap.faults import crash_point
from cashwrap.hot import Hot
from cashwrap.learned import forgetting as models
from cashwrap.learned.registry import models_of
from cashwrap.lookup import Lookup
from cashwrap.model import Tenant
from cashwrap.names import tombstone
from cashwrap.ports import ShopperKey
from cashwrap.world import World


class Version(NamedTuple):
    """One version of a model."""

    tenant: Tenant
    name: str
    version: str


class Forgetting:
    """Destroys keys and rows. Only the writer's thread may call it."""

    def __init__(self, world: World, hot: Hot, lookup: Lookup) -> None:
        self._world = world
        self._store = world.store
        self._vault = world.vault
        self._clock = world.clock
        self._facts = world.facts
        self._ledger = world.ledger
        self._hot = hot
        self._lookup = lookup

    def erase(self, key: ShopperKey, *, names: bool = True) -> bool:
        """The shopper with all devices that were merged into them; whether anybody was there.

        With ``names``, what happened until now and comes again by one of their names is not taken either, and models
        are without them when this returns; otherwise when ``clean`` has been called for every version.
        """
        hot, found = self._lookup.fetch(key), False
        known = self._store.names(key)
        if names and known:
            self._vault.bury([tombstone(self._vault, digest) for digest in known], self._clock.now())
        if self._ledger is not None and known:
            self._ledger.forget(key.tenant, known)
        others: list[bytes] = []
        if hot is not None:
            others = hot.profile.absorbed
            analytic_ids = [hot.profile.analytic_id, *hot.profile.former_analytic_ids]
            if self._facts is not None:  # before the keys go: afterwards nobody knows the shopper's names there
                self._facts.forget(analytic_ids)
            if names:
                models.forget(self._world, key.tenant, analytic_ids)
            elif self._world.models is not None:  # idle, and so are others: ``clean`` takes all of them out together
                models.bury(self._world, key.tenant, analytic_ids)
        for shopper in (*others, key.shopper):  # the last key is what finds the others, should this be cut off
            found |= self._vault.destroy(shopper)
            crash_point("forget.destroyed")
            self._store.forget(ShopperKey(key.tenant, shopper))
            self._hot.profiles.drop(ShopperKey(key.tenant, shopper))
        self._hot.identities.clear()
        return found

    def versions(self) -> list[Version]:
        """Every version of every model that may have somebody in it."""
        files = self._world.models
        known = models_of(self._world.registry) if files is not None else {}
        return [
            Version(tenant, name, version)
            for tenant, name in known
            for version in (files.versions(tenant).get(name, ()) if files is not None else ())
        ]

    def clean(self, one: Version) -> None:
        """Take everybody out of a version who was forgotten lately and is in it: it is written anew once for all."""
        models.forget_again(self._world, *one)
