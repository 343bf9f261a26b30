"""An engine that only reads: profiles, decisions and products as they are on disk, by the playbook that is live."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from cashwrap.catalogues import Change
from cashwrap.console.roles import EVERYWHERE, Grant, may
from cashwrap.console.upstream import Upstream
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, Locked, Unavailable
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey, Keys
from cashwrap.model import Tenant
from cashwrap.ports import ShopperKey
from cashwrap.remote import Common
from cashwrap.versions import Release, Versions
from cashwrap.window import Submission
from cashwrap.world import World


class Reading:
    """The engine as the console sees it; ``engine`` follows what is live. Any thread may call it."""

    def __init__(self, world: World, versions: Versions, upstream: Upstream) -> None:
        self._world = world
        self._versions = versions
        self._upstream = upstream
        self._lock = threading.Lock()
        self._taken: Release | None = None
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """The engine of now, with nothing remembered of what another process may have changed.

        Raises ``InvalidInput`` (``no_playbook``) where nothing was ever live.
        """
        with self._lock:
            live = self._versions.live()
            if live is None:
                raise InvalidInput("nothing was ever live here: publish a playbook first", code="no_playbook")
            if self._engine is None:
                self._engine = Engine(self._versions.load(live.hash), self._world, common=Common(remote=_Nobody()))
            elif live != self._taken:
                self._engine.publish(self._versions.load(live.hash))
            self._taken = live
            self._engine.hot.profiles.clear()
            self._engine.hot.identities.clear()
            with suppress(Unavailable):  # the ledger is read last: where it is away, pages say so themselves
                self._engine.refresh()
            return self._engine

    def tenants(self, grants: Iterable[Grant] = (Grant("viewer"),)) -> list[Tenant]:
        """The stores and environments that there are and that somebody with these grants may see: live ones first.

        There is a store where a key was made for one, or where anything was ever kept. Never empty: without any, the
        first one that a grant names, or the usual one.
        """
        known = {key.tenant for key in Keys(self._world.registry).all()} | set(self._world.store.tenants())
        seen = [tenant for tenant in known or {Tenant()} if may(grants, "see", tenant)]
        named = [
            Tenant(each.store, each.environment) for each in grants if EVERYWHERE not in (each.store, each.environment)
        ]
        return sorted(seen, key=lambda each: (each.store, each.environment != "live")) or [*named, Tenant()]

    def caller(self, tenant: Tenant) -> Caller:
        """Who asks: somebody who may know what a backend may."""
        key = ApiKey("console", "secret", tenant, b"")
        return Caller(
            key, RequestFacts(received=self._world.clock.now(), source="console", tenant=tenant, trusted=True)
        )

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()


class _Nobody:
    """Stands where the writer is: a console writes no event. What must be written is asked of the server."""

    def submit(self, _: Submission) -> None:
        """Refuse."""
        raise _locked()

    def call(self, _: Callable[[], None], /) -> None:
        """Refuse."""
        raise _locked()

    def waiting(self) -> int:
        """Nothing ever waits here."""
        return 0

    def close(self) -> None:
        """There is nothing to close."""

    def forget(self, _: ShopperKey) -> bool:
        """Refuse."""
        raise _locked()

    def change_products(self, _tenant: Tenant, _changes: Iterable[Change]) -> dict[str, object]:
        """Refuse."""
        raise _locked()


def _locked() -> CashwrapError:
    return Locked("a console changes nothing by itself: the server beside it does")
