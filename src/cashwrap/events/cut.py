"""Takes a wrong field out of an envelope, so that the rest of its event can be read, and later mended."""

import re

from cashwrap.events.envelope import Bag, Envelope

_PATH = re.compile(r"(properties|traits)\.([^.\[\]]+)(?:\[(\d+)\]\.(.+))?")


def cut(envelope: Envelope, path: str) -> str | None:
    """Remove the field at ``path`` and return its value as text, empty for one that is no text or number.

    ``None`` where there is no such field, or the others would not mean the same without it: amounts without their
    currency, a product without its name. Bags are replaced and not changed: a batch may share them.
    """
    found = _PATH.fullmatch(path)
    part = found[1] if found is not None else ""
    bag: Bag | None = envelope.properties if part == "properties" else envelope.traits
    if found is None or bag is None or found[2] not in bag or found[2] in {"currency", "email"}:
        return None
    name, place, inner = found[2], found[3], found[4]
    bag = dict(bag)
    if place is None:
        value = bag.pop(name)
    else:
        lines = list(bag[name])
        line = dict(lines[int(place)])
        value = line.pop(inner, None)
        if inner in {"product_id", "id", "sku"}:
            return None
        lines[int(place)] = line
        bag[name] = lines
    setattr(envelope, part, bag)
    return str(value) if type(value) in (str, int, bool) else ""
