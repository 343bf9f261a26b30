"""What every template of the shop may use."""

import json

from django.conf import settings
from django.urls import Resolver404, resolve

from . import catalogue, personalization

PERSONAS = [
    {"slug": "mia", "name": "Mia", "note": "new"},
    {"slug": "jonas", "name": "Jonas", "note": "regular"},
]
_TYPES = {
    "home": "home",
    "catalogue:category": "category",
    "catalogue:index": "category",
    "catalogue:detail": "product",
    "basket:summary": "cart",
    "search:search": "search",
    "checkout:thank-you": "confirmation",
}


def page_type(request):
    """Return the kind of page; everything in the checkout before the order number is a payment page."""
    try:
        name = resolve(request.path_info).view_name
    except Resolver404:
        return "other"
    if name.startswith("checkout:") and name != "checkout:thank-you":
        return "payment"
    return _TYPES.get(name, "other")


def shop(request):
    kind = page_type(request)
    return {
        "shop_categories": catalogue.seed()["categories"],
        "page_type": kind,
        "personas": PERSONAS,
        "expected_delivery": None,  # the checkout sets it while no method is chosen
        "free_delivery_from": settings.FREE_DELIVERY_FROM,
        "demo_why": settings.DEMO_WHY and personalization.client().enabled,
        "cashwrap": None if kind == "payment" else sdk_settings(request, kind),
    }


def sdk_settings(request, kind):
    """Return what the SDK needs on this page, or None when the shop runs without cashwrap.

    It is put into attributes of the script's tag: readable by the script, executable by nobody.
    """
    config = settings.CASHWRAP
    if not config["url"] or not config["publishable_key"]:
        return None
    user = request.user
    identity = None
    if user.is_authenticated:
        # The token proves the login to the engine: a bare user id from a browser proves nothing.
        name = personalization.user_id(user)
        identity = {"userId": name, "token": personalization.client().identity_token(name)}
    facts = {
        "page": personalization.page(request.path, kind),
        "currency": settings.OSCAR_DEFAULT_CURRENCY,
        "cart": personalization.cart(request.basket),
    }
    return {
        "key": config["publishable_key"],
        "host": "/cw",
        "patience": config["browser_ms"],
        "script": f"/cw/sdk/{config['sdk_version']}/cashwrap.min.js",
        "integrity": config["sdk_integrity"],
        "identity": identity,
        "context": json.dumps(facts, ensure_ascii=False),  # the SDK itself adds language, time zone and device
    }
