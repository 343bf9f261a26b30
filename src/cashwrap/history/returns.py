"""Returns that name products but no order, matched to what the shopper bought: the newest earlier purchase first.

Shops whose books cancel by a note of its own (a credit note) do not say which order is meant. Taking the newest one
that still has pieces of the product is what a clerk does, and keeps every order's net value between zero and its
total.
"""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import InvalidEvent
from cashwrap.events.envelope import Envelope

PURCHASES = 1000
"""Purchases of one product by one shopper that are remembered; the newest stay."""


class _Purchase(Struct):
    order: object
    moment: datetime | None
    pieces: int


class Returns:
    """What was sold to whom, as far as it was not brought back."""

    def __init__(self) -> None:
        self._sold: dict[tuple[object, object], list[_Purchase]] = defaultdict(list)

    def sold(self, envelope: Envelope, products: list[dict[str, object]]) -> None:
        """Remember an order's products."""
        shopper, order = envelope.user_id or envelope.anonymous_id, (envelope.properties or {}).get("order_id")
        for product in products:
            purchases = self._sold[shopper, product.get("product_id")]
            purchases.append(_Purchase(order, envelope.timestamp, _pieces(product)))
            if len(purchases) > PURCHASES:
                del purchases[0]

    def refunds(self, note: Envelope, products: list[dict[str, object]]) -> tuple[list[Envelope], int]:
        """One ``Order Refunded`` for each order the note pays back, and how many lines name nothing bought before."""
        shopper = note.user_id or note.anonymous_id
        back: dict[object, list[dict[str, object]]] = {}
        unknown = 0
        for product in products:
            pieces = _pieces(product)
            purchases = self._sold.get((shopper, product.get("product_id")), [])
            for purchase in reversed(purchases):
                if pieces <= 0 or (purchase.moment and note.timestamp and purchase.moment > note.timestamp):
                    continue
                taken = min(pieces, purchase.pieces)
                if taken:
                    back.setdefault(purchase.order, []).append({**product, "quantity": taken})
                    purchase.pieces -= taken
                    pieces -= taken
            unknown += pieces == _pieces(product)
        return [_refund(note, order, lines) for order, lines in back.items()], unknown


def _pieces(product: dict[str, object]) -> int:
    try:
        return int(str(product.get("quantity", 1)))
    except ValueError:
        return 0


def _refund(note: Envelope, order: object, lines: list[dict[str, object]]) -> Envelope:
    value = sum((_amount(line) for line in lines), Decimal(0))
    properties = {**(note.properties or {}), "order_id": order, "value": f"{value:f}", "products": lines}
    return replace(note, message_id=f"{note.message_id}:{order}", properties=properties)


def _amount(line: dict[str, object]) -> Decimal:
    try:
        return Decimal(str(line.get("price", 0))) * _pieces(line)
    except ArithmeticError:
        raise InvalidEvent("A price is no number.", code="invalid_number", path="products") from None
