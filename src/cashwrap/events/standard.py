"""The events every shop knows: Segment's e-commerce V2, the calls of its tracking API, and our own.

Data only. ``vocabulary`` compiles it together with what a playbook declares.
"""

from typing import Literal

from cashwrap.declarations import Kind
from cashwrap.model import Purpose

WireKind = Kind | Literal["id", "url", "currency", "quantity", "email", "filters", "token"]
"""A declared kind, or a narrower one: ``id`` is a short text kept as a keyed hash where it looks personal, ``url``
loses query and fragment, ``email`` leaves only its keyed hash, ``filters`` become texts ``type:value``."""

Fields = dict[str, WireKind]

_PRODUCT: Fields = {
    "product_id": "id",
    "sku": "id",
    "category": "text",
    "name": "text",
    "brand": "text",
    "variant": "text",
    "price": "money",
    "quantity": "quantity",
    "coupon": "text",
    "position": "integer",
    "currency": "currency",
    "value": "money",
    "cart_id": "id",
    "cart_token": "id",
}
_LIST: Fields = {"list_id": "id", "category": "text", "products": "products", "currency": "currency"}
_CART: Fields = {
    "cart_id": "id",
    "cart_token": "id",
    "products": "products",
    "currency": "currency",
    "total": "money",
    "value": "money",
    "coupon": "text",
}
_ORDER: Fields = {
    **_CART,
    "order_id": "id",
    "checkout_id": "id",
    "affiliation": "text",
    "subtotal": "money",
    "revenue": "money",
    "shipping": "money",
    "tax": "money",
    "discount": "money",
    "email": "email",
    "payment_method": "text",
    "shipping_method": "text",
    "delivery_country": "text",
}
_STEP: Fields = {
    "checkout_id": "id",
    "order_id": "id",
    "cart_id": "id",
    "cart_token": "id",
    "step": "text",
    "shipping_method": "text",
    "payment_method": "text",
    "delivery_country": "text",
    "email": "email",
}
_FAILURE: Fields = {
    "checkout_id": "id",
    "order_id": "id",
    "cart_token": "id",
    "payment_method": "text",
    "reason": "text",
    "step": "text",
    "value": "money",
    "currency": "currency",
}
_COUPON: Fields = {
    "order_id": "id",
    "cart_id": "id",
    "cart_token": "id",
    "checkout_id": "id",
    "coupon_id": "id",
    "coupon_name": "text",
    "discount": "money",
    "currency": "currency",
    "reason": "text",
}
_PROMOTION: Fields = {"promotion_id": "id", "creative": "text", "name": "text", "position": "text"}
_WISH: Fields = {**_PRODUCT, "wishlist_id": "id", "wishlist_name": "text"}
_PAGE: Fields = {
    "name": "text",
    "category": "text",
    "path": "url",
    "url": "url",
    "referrer": "url",
    "page_type": "text",
}
_SHARE: Fields = {"share_via": "text"}
_EXPOSURE: Fields = {
    "token": "token",
    "placement": "text",
    "cart_token": "id",
    "latency": "integer",
    "experience": "text",
    "variation": "text",
    "experiment": "text",
    "outcome": "text",
    "propensity": "integer",
    "held": "text",
    "decision": "text",
    "playbook": "text",
    "level": "text",
    "counted": "texts",
    "segments": "texts",
}
"""The first four are what a page sends; the others are what the token proves, and of whom (``exposures``), whatever was
sent. The segments are those that the shopper is in as it happens (``memberships``)."""

ECOMMERCE: dict[str, Fields] = {
    "Products Searched": {"query": "text", "category": "text"},
    "Product List Viewed": _LIST,
    "Product List Filtered": {**_LIST, "filters": "filters", "sorts": "filters"},
    "Promotion Viewed": _PROMOTION,
    "Promotion Clicked": _PROMOTION,
    "Product Clicked": {**_PRODUCT, "list_id": "id"},
    "Product Viewed": _PRODUCT,
    "Product Added": _PRODUCT,
    "Product Removed": _PRODUCT,
    "Cart Viewed": _CART,
    "Checkout Started": _ORDER,
    "Checkout Step Viewed": _STEP,
    "Checkout Step Completed": _STEP,
    "Payment Info Entered": _STEP,
    "Payment Failed": _FAILURE,
    "Order Completed": _ORDER,
    "Order Updated": _ORDER,
    "Order Refunded": {**_ORDER, "refund_id": "id"},
    "Order Cancelled": _ORDER,
    "Order Returned": _ORDER,
    "Coupon Entered": _COUPON,
    "Coupon Applied": _COUPON,
    "Coupon Denied": _COUPON,
    "Coupon Removed": _COUPON,
    "Product Added to Wishlist": _WISH,
    "Product Removed from Wishlist": _WISH,
    "Wishlist Product Added to Cart": _WISH,
    "Product Shared": {**_PRODUCT, **_SHARE},
    "Cart Shared": {**_CART, **_SHARE},
    "Product Reviewed": {"product_id": "id", "review_id": "id", "rating": "number"},
}
"""What a shopper says to others (``share_message``, ``review_body``, a recipient) is not kept."""

CALLS: dict[str, Fields] = {
    "Page Viewed": _PAGE,
    "Screen Viewed": _PAGE,
    "Identified": {},
    "Grouped": {"group_id": "id"},
    "Aliased": {"previous_id": "id"},
    "Consent Updated": {"source": "text"},
    "Experience Viewed": _EXPOSURE,
    "Experience Dismissed": _EXPOSURE,
}

EVENT_OF_CALL = {
    "page": "Page Viewed",
    "screen": "Screen Viewed",
    "identify": "Identified",
    "group": "Grouped",
    "alias": "Aliased",
    "consent": "Consent Updated",
}

PURPOSES = Purpose.ANALYTICS | Purpose.PERSONALIZATION
"""A standard event is kept where either of these is allowed; each use asks again for its own."""

NECESSARY = frozenset({"Consent Updated"})
"""Kept whatever was chosen: the proof of a choice."""

MEMBERSHIPS = frozenset({"Audience Member Added", "Audience Member Removed"})
"""What the audience API makes of members pushed in. Nobody may send them: a browser must not enter itself in a list."""

_OFFERED: Fields = {"offer": "text", "kind": "text", "expires": "time"}
_HELD: Fields = {
    "offer": "text",
    "kind": "text",
    "reservation": "id",
    "order_id": "id",
    "amount": "money",
    "currency": "currency",
}
OURS: dict[str, Fields] = {
    "Offer Granted": _OFFERED,
    "Offer Considered": _OFFERED,
    "Offer Reserved": _HELD,
    "Offer Redeemed": _HELD,
    "Offer Released": _HELD,
}
"""What offers tell the log about a shopper. Features may count them; nobody may send them, as only the ledger and the
engine know."""
OURS_NECESSARY = frozenset({"Offer Reserved", "Offer Redeemed", "Offer Released"})
"""What a shopper holds and used: limits are to hold whatever was chosen. What was shown to them is for personalization
alone."""

NECESSARY_FROM_BACKEND = frozenset(
    {
        "Order Completed",
        "Order Updated",
        "Order Refunded",
        "Order Cancelled",
        "Order Returned",
        "Coupon Applied",
        "Coupon Removed",
    }
)
"""Orders and redeemed offers that the shop's backend reports are kept whatever was chosen."""

EVENT_ALIASES = {
    "Viewed Product Category": "Product List Viewed",
    "Viewed Product": "Product Viewed",
    "Clicked Product": "Product Clicked",
    "Searched Products": "Products Searched",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Viewed Cart": "Cart Viewed",
    "Started Checkout": "Checkout Started",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
    "Entered Payment Info": "Payment Info Entered",
    "Completed Order": "Order Completed",
    "Updated Order": "Order Updated",
    "Refunded Order": "Order Refunded",
    "Cancelled Order": "Order Cancelled",
    "Order Canceled": "Order Cancelled",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Loaded a Page": "Page Viewed",
    "Viewed Page": "Page Viewed",
    "Loaded a Screen": "Screen Viewed",
}
"""Names of the first e-commerce specification and common spellings."""

FIELD_ALIASES = {"id": "product_id", "orderId": "order_id", "customer_email": "email"}

TRAITS: dict[str, WireKind] = {
    "first_name": "text",
    "last_name": "text",
    "title": "text",
    "language": "text",
    "country": "text",
    "created_at": "time",
    "email": "email",
}
"""What a checkout can use of a person. Phone, address, birthday, gender and the like are dropped."""

TRAIT_ALIASES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "createdAt": "created_at",
}
