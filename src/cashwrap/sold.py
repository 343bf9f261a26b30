"""What sells best, without any model: pieces by product, of which a product list makes an order.

One small document of the registry for each store. It counts products and says nothing of shoppers. What sells now
counts more than what sold long ago: all counts are halved every 30 days.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from cashwrap.model import Millis, Tenant
from cashwrap.ports import Registry

KIND = "sold"
MOST = 5_000
"""Products in a document: those that sold most."""
HALF_LIFE: Millis = 30 * 86_400_000


class Sold(Struct, frozen=True):
    """What one store sold."""

    tenant: Tenant
    halved: Millis
    """When the counts were halved last; at first when counting began."""
    pieces: dict[str, float] = {}
    """By product."""


def added(sold: Sold, lines: Iterable[tuple[str, int]], now: Millis) -> Sold:
    """With more products and pieces, after the halvings that are due; the ``MOST`` sold ones are kept."""
    due = max(0, now - sold.halved) // HALF_LIFE
    pieces = {name: count * 0.5**due for name, count in sold.pieces.items()}
    for name, quantity in lines:
        pieces[name] = pieces.get(name, 0.0) + max(0, quantity)
    kept = {name: pieces[name] for name in _order(pieces)[:MOST] if pieces[name] > 0}
    return Sold(sold.tenant, sold.halved + due * HALF_LIFE, kept)


def reordered(before: Sold, after: Sold) -> bool:
    """Whether product lists are to be arranged anew."""
    return _order(before.pieces) != _order(after.pieces)


def read(registry: Registry, tenant: Tenant, now: Millis = 0) -> Sold:
    """The store's document; an empty one of ``now`` where nothing was counted."""
    document = registry.documents(KIND).get(tenant.name)
    return msgspec.json.decode(document, type=Sold) if document is not None else Sold(tenant, now)


def every(registry: Registry) -> list[Sold]:
    """The documents of all stores."""
    return [msgspec.json.decode(document, type=Sold) for document in registry.documents(KIND).values()]


def write(registry: Registry, sold: Sold) -> None:
    """Keep it, durably; one that counts nothing is removed."""
    registry.put(KIND, sold.tenant.name, msgspec.json.encode(sold) if sold.pieces else None)


def _order(pieces: Mapping[str, float]) -> list[str]:
    return sorted(pieces, key=lambda name: (-pieces[name], name))
