"""What the engines of one data folder have in common, where several processes serve it (``serve --workers``).

One process writes. The others hand their events over to it, and see in shared memory what it has committed since.
"""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct, field

from cashwrap.catalogues import Change, Changing
from cashwrap.events import RateWatch
from cashwrap.exposures import Carts, LocalCarts
from cashwrap.hot import Hot
from cashwrap.model import Tenant
from cashwrap.ports import ShopperKey
from cashwrap.writer import Writing


class Remote(Writing, Protocol):
    """The process that writes, as another one sees it. Every call raises ``Unavailable`` while it is away."""

    def forget(self, key: ShopperKey) -> bool:
        """Forget a shopper; when it returns no process knows them any more. ``False`` where nobody was there."""

    def change_products(self, tenant: Tenant, changes: Iterable[Change]) -> dict[str, object]:
        """Change prices and stock, one change after the other, whichever process they came from."""


class Common(Struct, frozen=True):
    """Caches and counters that an engine may share with others; by default they are its own, and so is the writer."""

    hot: Hot = field(default_factory=Hot)
    rate: RateWatch = field(default_factory=RateWatch)
    carts: Carts = field(default_factory=LocalCarts)
    remote: Remote | None = None

    def changing(self) -> Changing | None:
        """Who changes products in this engine's stead."""
        return self.remote.change_products if self.remote is not None else None
