"""What the shop asks cashwrap, and from what: one module, so that one look shows what leaves the shop.

Payment pages (everything under /checkout/ up to the order) ask from the backend and render the answer in the
shop's own templates. All other pages hand the same context to the SDK in the browser.
"""

import hashlib
import hmac
import re
import time
from functools import cache

from cashwrap_client import Client
from cashwrap_offers import Keys, cart_hash
from django.conf import settings
from django.urls import Resolver404, resolve
from django.utils.translation import get_language
from oscar.core.loading import get_model

from . import catalogue

ANONYMOUS_COOKIE = "cw_id"  # written by the SDK, only after consent
CHOICE_COOKIE = "cw_consent"  # the SDK's too: `personalization.1-analytics.0`
PREVIEW = "cw_preview"  # in the address of a link by `cashwrap preview`
ASKED_COOKIE = "kc_choice"  # the banner's: there was a choice, whatever it was
_ANONYMOUS_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@cache
def client():
    """Return the one client of this process."""
    config = settings.CASHWRAP
    times = {name: config[name] for name in ("deadline_ms", "timeout_ms", "offer_ms")}
    return Client(config["url"], config["secret_key"], config["store"], **times)


@cache
def keys():
    """Return the engine's public keys: known from the first time on, whether the engine is there or not."""
    return Keys(settings.DATA_DIR / "jwks.json", client().keys)


def cart_token(basket):
    """Return a name for the basket that joins browser, backend and order and says nothing by itself."""
    if not basket.id:
        return None
    return hmac.digest(settings.SECRET_KEY.encode(), f"basket {basket.id}".encode(), hashlib.sha256).hex()[:32]


def anonymous_id(request):
    """Return the id the SDK stored after consent; without consent there is no cookie, so there is no id."""
    value = request.COOKIES.get(ANONYMOUS_COOKIE, "")
    return value if _ANONYMOUS_ID.fullmatch(value) else None


def choices(request):
    """Return what this device allows, as the SDK wrote it down: {purpose: granted}; empty without a grant."""
    parts = (part.split(".") for part in request.COOKIES.get(CHOICE_COOKIE, "").split("-"))
    return {part[0]: part[1] != "0" for part in parts if len(part) == 2}


def refused(request):
    """Return whether this device was asked and said no.

    A refusal leaves no id behind, so the engine cannot know of it: the shop must not name the customer either, even
    if they agreed in their account once.
    """
    return ASKED_COOKIE in request.COOKIES and not choices(request) and anonymous_id(request) is None


def shopper(request):
    """Return who is asking, as far as the shop knows. A user id from here is trusted: the shop logged them in."""
    device = anonymous_id(request)
    who = {"anonymousId": device} if device else {}
    if request.user.is_authenticated and not refused(request):
        who["userId"] = user_id(request.user)
    return who


def user_id(user):
    return f"customer-{user.pk}"


def cart(basket):
    """Return the basket as cashwrap reads it: money in major units."""
    lines = list(basket.all_lines()) if basket.id else []
    return {
        "token": cart_token(basket),
        "total": float(basket.total_incl_tax) if lines else 0,
        "count": sum(line.quantity for line in lines),
        "items": [
            {
                "id": line.product.upc,
                "quantity": line.quantity,
                "price": float(line.unit_price_incl_tax),
                "category": category_of(line.product.upc),
            }
            for line in lines
        ],
    }


def basket_hash(basket):
    """Return the hash that an offer is bound to: products, quantities and prices, nothing else of the basket."""
    lines = basket.all_lines() if basket.id else ()
    items = [(line.product.upc, line.quantity, int(line.unit_price_incl_tax * 100)) for line in lines]
    return cart_hash(items, settings.OSCAR_DEFAULT_CURRENCY)


def category_of(product_id):
    entry = catalogue.by_id().get(product_id)
    return entry["category"] if entry else None


def page(path, kind):
    """Return the page as a decision wants it: of a product's page also which product it is about."""
    about = {"path": path, "type": kind}
    if kind == "product" and (product := _product_at(path)):
        about["product"] = product
    return about


def _product_at(path):
    try:
        number = resolve(path).kwargs.get("pk")
    except Resolver404:  # the drawer's path comes from a browser
        return None
    return get_model("catalogue", "Product").objects.filter(pk=number).values_list("upc", flat=True).first()


def context(request, page_type, **extra):
    """Return the context of a decision: page, language, currency, cart. No address, no query string."""
    return {
        "page": page(request.path, page_type),
        "locale": (get_language() or "en")[:2],
        "currency": settings.OSCAR_DEFAULT_CURRENCY,
        "cart": cart(request.basket),
        **extra,
    }


def device(user_agent):
    """Return the kind of device: the shop says what it saw, so that the user agent itself need not travel."""
    if re.search(r"iPad|Tablet|Android(?!.*Mobile)", user_agent):
        return {"type": "tablet"}
    if re.search(r"Mobi|iPhone|Android", user_agent):
        return {"type": "mobile"}
    return {"type": "desktop"}


def decide(request, placements, page_type, **extra):
    """Ask for a payment page. Returns the whole answer; {} when cashwrap is slow, wrong or gone.

    `latency` is added to it: for how many milliseconds the page waited.
    """
    question = {
        "shopper": shopper(request),
        "context": {
            **context(request, page_type, **extra),
            "device": device(request.headers.get("User-Agent", "")),
        },
        "placements": placements,
    }
    if previewed(request):
        question["preview"] = request.GET[PREVIEW]
    begun = time.monotonic()
    answer = client().decide(question, gpc=gpc(request))
    return {**answer, "latency": int((time.monotonic() - begun) * 1000)} if answer else {}


def previewed(request):
    """Return whether a preview link led here: the engine checks its signature, and nothing is reported for it."""
    return PREVIEW in request.GET


def gpc(request):
    """Return whether this browser carries the Global Privacy Control signal."""
    return request.headers.get("Sec-GPC") == "1"


# --- reading the answer: nothing from outside is trusted to have the right shape ---

EXPECTED = {  # which kind of content each placement of this shop can show
    "payment_methods": "options",
    "delivery_methods": "options",
    "basket_message": "message",
    "checkout_button": "button",
    "checkout_help": "help",
    "checkout_layout": "layout",
    "installment_line": "installments",
}


SAYS_WHY = {"basket_message"}  # the placements whose template shows what has to be said beside a personal price


def contents(decision):
    """Return {placement: content} for the placements that have one; the templates show their default elsewhere."""
    found = {name: answer.get("content") for name, answer in _answers(decision) if may_show(name, answer)}
    return {name: content for name, content in found.items() if fits(name, content)}


def offers(decision):
    """Return {placement: offer} for what `contents` shows and what the shopper may take, by its token."""
    shown = contents(decision)
    found = {name: answer.get("offer") for name, answer in _answers(decision) if name in shown}
    return {name: offer for name, offer in found.items() if isinstance(offer, dict) and offer.get("token")}


def _answers(decision):
    placements = decision.get("placements")
    answers = placements.items() if isinstance(placements, dict) else ()
    return [(name, answer) for name, answer in answers if isinstance(answer, dict)]


def may_show(name, answer):
    """Return whether all that has to be said can be said: a personal price goes with its disclosure or not at all."""
    offer = answer.get("offer")
    if not isinstance(offer, dict) or offer.get("personal") is False:
        return True
    disclosure = offer.get("disclosure")
    return name in SAYS_WHY and isinstance(disclosure, dict) and _text(disclosure.get("text"))


def fits(name, content):
    """Return whether this is content the template of this placement can show."""
    if not isinstance(content, dict) or content.get("type") != EXPECTED.get(name, ""):
        return False
    if content["type"] == "options":
        options, hidden = content.get("options"), content.get("hidden", [])
        return _list_of(options, dict) and all(_text(option.get("id")) for option in options) and _list_of(hidden, str)
    if content["type"] == "layout":
        return isinstance(content.get("tokens"), dict)
    return _text(content.get("text"))


def _text(value):
    return isinstance(value, str) and 0 < len(value) <= 500


def _list_of(value, kind):
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


def in_order(methods, content, code_of):
    """Return the shop's methods in the decided order as (method, option) pairs.

    The shop stays in charge: an unknown id is ignored, a method the answer forgot is kept at the end, and if
    everything would be hidden, nothing is.
    """
    content = content or {"options": []}
    options = {option["id"]: option for option in content["options"]}
    hidden = set(content.get("hidden", []))
    known = {code_of(method): method for method in methods}
    ordered = [code for code in options if code in known]
    ordered += [code for code in known if code not in options and code not in hidden]
    return [(known[code], options.get(code, {})) for code in ordered or known]
