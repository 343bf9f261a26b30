"""How fresh and whole a store's catalogue is: figures of now, and of each day on which it changed.

The console notes them itself, beside requests and at its own low priority: a server that decides is not asked to
count its products. When a catalogue changed is therefore known to the minute, and not at all before a console ran.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cashwrap.console.reading import Reading
from cashwrap.errors import CashwrapError
from cashwrap.model import Millis, Product, Tenant
from cashwrap.world import World

log = logging.getLogger("cashwrap")
KIND = "goods"
DAY: Millis = 86_400_000
EVERY = 60.0
"""Seconds between two looks at whether a catalogue has changed."""
KEPT = 60
"""Days."""
STALE: Millis = 48 * 60 * 60_000
"""An unchanged catalogue is called stale after this."""
PARTS = ("price", "stock", "cost", "category", "image", "locales")


class Goods(Struct, frozen=True):
    """Figures of one catalogue. ``at`` is when its version was first seen."""

    tenant: Tenant
    version: int
    at: Millis
    products: int
    have: dict[str, int]
    """How many have each of ``PARTS``."""
    sold_out: int
    sensitive: int
    twins: int
    """Products whose title and price another one has too."""


class Shelf(Struct, frozen=True):
    """A catalogue of now, and of the newest day before it on which it was another one."""

    now: Goods
    before: Goods | None
    known: bool
    """Whether ``now.at`` is when it changed, and not just when somebody first looked."""

    def stale(self, now: Millis) -> bool:
        """Whether it has not changed for so long that somebody should ask why."""
        return bool(self.now.products) and now - self.now.at > STALE


def counted(products: Mapping[str, Product], tenant: Tenant, version: int, at: Millis) -> Goods:
    """The figures of some products. Pure."""
    have: Counter[str] = Counter(dict.fromkeys(PARTS, 0))
    names: Counter[tuple[str, int | None]] = Counter()
    sold_out = sensitive = 0
    for product in products.values():
        told = product.price, product.stock, product.cost, product.category, product.image, product.titles or None
        have.update(part for part, value in zip(PARTS, told, strict=True) if value is not None)
        sold_out += product.stock == 0
        sensitive += product.sensitive
        if product.title:
            names[product.title.casefold(), product.price] += 1
    twins = sum(count for count in names.values() if count > 1)
    return Goods(tenant, version, at, len(products), dict(have), sold_out, sensitive, twins)


class GoodsWatch:
    """Notes each day's figures. Any thread may call it; ``run`` is what goes on beside requests."""

    def __init__(self, world: World, reading: Reading) -> None:
        self._world = world
        self._reading = reading

    def shelf(self, tenant: Tenant) -> Shelf:
        """The catalogue of now; counted anew where nobody noted this version yet."""
        noted = self._noted(tenant)
        newest = max(noted, key=lambda each: each.version, default=None)
        version = self._world.catalogue.version(tenant)
        if newest is None or newest.version != version:
            newest = self._count(tenant, version)
            known = False
        else:
            known = len({each.version for each in noted}) > 1
        today = self._world.clock.now() // DAY * DAY
        earlier = [each for each in noted if each.version != newest.version and each.at < today]
        return Shelf(newest, max(earlier, key=lambda each: each.at, default=None), known)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.to_thread(self.note_all)
            await asyncio.sleep(EVERY)

    def note_all(self) -> None:
        """Note every catalogue that has changed. Never raises."""
        for tenant in self._reading.tenants():
            try:
                self.note(tenant)
            except CashwrapError as error:
                log.warning("the catalogue of %s was not looked at: %s", tenant.name, error.message)
            except Exception:
                log.exception("the catalogue of %s was not looked at", tenant.name)

    def note(self, tenant: Tenant) -> None:
        """Note a catalogue if it has changed; of one day the newest figures stay."""
        version, registry = self._world.catalogue.version(tenant), self._world.registry
        if not version or any(each.version == version for each in self._noted(tenant)):
            return
        now = self._world.clock.now()
        registry.put(KIND, _name(tenant, now), msgspec.msgpack.encode(self._count(tenant, version)))
        for name in registry.documents(KIND):
            if name[:10] < _name(tenant, now - KEPT * DAY)[:10] and name[11:] == tenant.name:
                registry.put(KIND, name, None)

    def _noted(self, tenant: Tenant) -> list[Goods]:
        found = (_goods.decode(document) for document in self._world.registry.documents(KIND).values())
        return [each for each in found if each.tenant == tenant]

    def _count(self, tenant: Tenant, version: int) -> Goods:
        return counted(self._world.catalogue.products(tenant), tenant, version, self._world.clock.now())


def _name(tenant: Tenant, at: Millis) -> str:
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%d}/{tenant.name}"


_goods: msgspec.msgpack.Decoder[Goods] = msgspec.msgpack.Decoder(Goods)
