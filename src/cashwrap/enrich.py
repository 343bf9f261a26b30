"""Complete an event from the catalogue, and keep sensitive products out of it. Pure.

A thin event (``{"product_id": "mug-1"}``) gets its category, brand, name and price, so that features and segments can
count on them; what the shop sent itself is never overwritten. What is ordered gets what it costs the shop as well: the
catalogue of that moment is gone when somebody asks what was earned.
"""

from collections.abc import Mapping

import msgspec

from cashwrap.model import Event, Line, Product

_IDS = ("product_id", "sku")
_FACTS = ("price", "category", "brand", "name")
_ORDERED = frozenset({"Order Completed", "Order Updated"})
"""They say what was bought, and so what it cost."""


def enrich(event: Event, catalogue: Mapping[str, Product]) -> Event | None:
    """The event with its products completed; ``None`` where it is about a sensitive product alone.

    An order keeps its money and loses its sensitive lines: the order counts, what was in it does not.
    """
    properties = event.properties
    if not catalogue or not properties:
        return event
    named = [catalogue.get(name) for name in map(properties.get, _IDS) if isinstance(name, str)]
    found = next((product for product in named if product is not None), None)
    lines = properties.get("products")
    if found is None and not lines:
        return event
    if any(product is not None and product.sensitive for product in named):
        return None
    changed: dict[str, object] = {}
    if found is not None:
        facts = {"price": found.price, "category": found.category, "brand": found.brand, "name": found.title}
        changed = {name: facts[name] for name in _FACTS if facts[name] and name not in properties}
    if isinstance(lines, list):
        completed = (_complete(line, catalogue, ordered=event.name in _ORDERED) for line in lines)
        changed["products"] = [line for line in completed if line is not None]
    return msgspec.structs.replace(event, properties={**properties, **changed}) if changed else event


def _complete(line: Line, catalogue: Mapping[str, Product], *, ordered: bool) -> Line | None:
    other = catalogue.get(line.sku) if line.sku is not None else None
    found = catalogue.get(line.product_id) or other
    if found is None:
        return line
    if found.sensitive or (other is not None and other.sensitive):
        return None
    return msgspec.structs.replace(
        line,
        price=found.price if line.price is None else line.price,
        category=line.category or found.category,
        brand=line.brand or found.brand,
        name=line.name or found.title or None,
        cost=found.cost if ordered else None,
    )
