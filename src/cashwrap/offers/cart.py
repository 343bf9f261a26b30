"""The cart that an offer is worked out on, and the hash that binds a promise to it. Pure."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from cashwrap.model import Line, Minor

VERSION = "cashwrap cart v1"
"""The first line of what is hashed: another form would be another version."""


class OfferCart(NamedTuple):
    """Prices are for one piece, in minor units of ``currency``; ``None`` where the page did not say."""

    lines: tuple[Line, ...]
    currency: str
    shipping: Minor | None = None
    """What delivery costs as chosen now."""
    delivery: str | None = None
    """The delivery method chosen now."""


def cart_hash(lines: Iterable[Line], currency: str) -> str:
    """64 hex digits that are the same for the same products, quantities and prices, in whatever order they come.

    SHA-256 of UTF-8 text, lines joined by LF: ``cashwrap cart v1``, the currency, then ``id TAB quantity TAB price``
    in ascending byte order of id and price. Lines of one id and price are added up, those of quantity 0 left out; a
    price that is not known is ``-``. ``spec/vectors/offers.json`` has cases for every language.
    """
    pieces: Counter[tuple[bytes, bytes]] = Counter()
    for line in lines:
        price = "-" if line.price is None else str(line.price)
        pieces[line.product_id.encode("utf-8", "surrogatepass"), price.encode()] += line.quantity
    rows = [b"%s\t%d\t%s" % (name, count, price) for (name, price), count in sorted(pieces.items()) if count]
    return hashlib.sha256(b"\n".join([VERSION.encode(), currency.encode(), *rows])).hexdigest()
