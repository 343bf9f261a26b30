"""New facts of orders, counted into what sells best (``cashwrap.sold``), which product lists go by.

Near enough, not exact: whoever is killed between writing facts and counting them leaves a step uncounted, and an order
that the shop reported twice counts once within a step only. Only what the catalogue knows is counted: an id that
nothing but a shopper's order names is that shopper's data, which forgetting could not reach here.
"""

from collections import defaultdict
from collections.abc import Iterable

from cashwrap import sold
from cashwrap.adapters.parquet import Fact
from cashwrap.engine import World
from cashwrap.model import Tenant
from cashwrap.sold import Sold


def begin_anew(world: World) -> None:
    """Nothing was counted: the fact table begins anew."""
    for before in sold.every(world.registry):
        _write(world, before, Sold(before.tenant, world.clock.now()))


def count(world: World, facts: Iterable[Fact]) -> None:
    """Count the pieces of the orders that a backend reported, without those of bots and of the shop's own people."""
    lines: dict[Tenant, list[tuple[str, int]]] = defaultdict(list)
    seen: set[tuple[Tenant, bytes]] = set()
    for fact in facts:
        if fact.event != "Order Completed" or not fact.trusted or fact.flags:
            continue
        tenant = Tenant(fact.store, fact.environment)
        if fact.order is not None:
            if (tenant, fact.order) in seen:
                continue
            seen.add((tenant, fact.order))
        lines[tenant] += zip(fact.product_ids, fact.quantities, strict=True)
    now = world.clock.now()
    for tenant, new in lines.items():
        before, known = sold.read(world.registry, tenant, now), world.catalogue.products(tenant)
        _write(world, before, sold.added(before, [line for line in new if line[0] in known], now))


def _write(world: World, before: Sold, after: Sold) -> None:
    """Another order of products is another version of the catalogue: servers arrange it anew, and records tell."""
    sold.write(world.registry, after)
    if sold.reordered(before, after):
        world.catalogue.upsert(after.tenant, ())
