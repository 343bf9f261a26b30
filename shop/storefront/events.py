"""Events from the shop's backend, with the secret key.

Behaviour (basket, checkout steps) goes through a small queue in memory and may be lost: it is only a hint.
Orders and refunds go through the outbox: written with the order itself, delivered until the engine took them.
Nothing here blocks a page.
"""

import contextlib
import logging
import queue
import threading
import uuid
from datetime import UTC

from cashwrap_client import now
from django.contrib.auth.signals import user_logged_in
from django.db import close_old_connections
from django.utils import timezone
from oscar.apps.basket.signals import basket_addition, voucher_addition, voucher_removal
from oscar.apps.checkout.signals import start_checkout

from . import catalogue
from .models import OutboxEvent
from .personalization import cart, cart_token, client, contents, previewed, refused, shopper, user_id

_waiting = queue.Queue(maxsize=1000)
_wake = threading.Event()
POLL_SECONDS = 2.0  # how often the outbox is looked at: for what failed, and for what another process wrote
log = logging.getLogger(__name__)


def track(request, name, properties):
    """Queue a behaviour event of the shopper behind this request.

    Without an id there is nobody to attach it to, and nothing is sent. With one, the engine applies the shopper's
    stored consent choice: the shop passes none of its own.
    """
    who = shopper(request)
    if not who:
        return
    event = {
        "type": "track",
        "messageId": str(uuid.uuid4()),
        "timestamp": now(),
        "event": name,
        **who,
        "properties": _known(properties),
        "context": request_context(request),
    }
    _queue(event)


def logged_in(request, user):
    """Tell the engine who this device belongs to now. The shop checked the password: its word is enough."""
    if refused(request):
        return
    _queue(
        {
            "type": "identify",
            "messageId": str(uuid.uuid4()),
            "timestamp": now(),
            **shopper(request),
            "userId": user_id(user),
            "traits": {"first_name": user.first_name, "email": user.email},
            "context": request_context(request),
        }
    )


def _known(properties):
    return {name: value for name, value in properties.items() if value is not None}


def _queue(event):
    with contextlib.suppress(queue.Full):
        _waiting.put_nowait(event)
    _wake.set()


def shown(request, decision):
    """Report each placement of a payment page that an experience came to: the SDK does this elsewhere.

    An experience without content was kept back, such as from a test's control arm: the moment counts all the same, or
    the two arms could not be compared. What was shown, the token proves.
    """
    if previewed(request):
        return
    rendered, token, placements = contents(decision), decision.get("token"), decision.get("placements")
    for placement, answer in placements.items() if token and isinstance(placements, dict) else ():
        reached = isinstance(answer, dict) and answer.get("experience")
        if reached and (placement in rendered or answer.get("content") is None):
            exposure = {"placement": placement, "token": token, "latency": decision.get("latency")}
            track(request, "Experience Viewed", _known(exposure))


def request_context(request):
    """Return what the engine needs to tell bots, languages and devices apart."""
    return {
        "userAgent": request.headers.get("User-Agent", "")[:300],
        "locale": request.LANGUAGE_CODE,
        "page": {"path": request.path},
        "cart": {"token": cart_token(request.basket)},  # joins browser, backend and order
        "library": {"name": "kestrel-and-clay", "version": "1"},
    }


def line(product_id, price, quantity=1):
    """Return one product in the shape of the e-commerce events."""
    entry = catalogue.by_id().get(product_id, {})
    return {
        "product_id": product_id,
        "sku": product_id,
        "name": entry.get("title", {}).get("en"),
        "category": entry.get("category"),
        "brand": entry.get("brand"),
        "price": float(price),
        "quantity": quantity,
    }


def order_completed(order, request=None):
    """Write `Order Completed` to the outbox. Call it inside the transaction that places the order."""
    _keep(order, f"order-{order.number}-completed", "Order Completed", _order_properties(order), request)


def order_refunded(order, amount, reference):
    properties = {
        "order_id": order.number,
        "total": float(amount),
        "currency": order.currency,
        "refund_id": reference,
    }
    _keep(order, f"order-{order.number}-refund-{reference}", "Order Refunded", properties, None)


def call(action, key, body):
    """Write a call about an offer to the outbox: `redeem` or `release`, once, until the engine has answered."""
    OutboxEvent.objects.get_or_create(message_id=key, defaults={"action": action, "body": body})
    _wake.set()


def consent_recorded(user, choices, given):
    """Write a choice made in the customer's account (scope `person`) to the outbox."""
    body = {
        "type": "consent",
        "messageId": f"{user_id(user)}-consent-{given:%Y%m%d}",
        "timestamp": given.astimezone(UTC).isoformat(),
        "userId": user_id(user),
        "choices": choices,
        "scope": "person",
        "source": "account preferences",
    }
    OutboxEvent.objects.get_or_create(message_id=body["messageId"], defaults={"body": body})


def _order_properties(order):
    return {
        "order_id": order.number,
        "subtotal": float(order.basket_total_incl_tax),
        "total": float(order.total_incl_tax),
        "shipping": float(order.shipping_incl_tax),
        "tax": float(order.total_tax),
        "discount": float(order.total_discount_incl_tax),
        "currency": order.currency,
        "coupon": next((d.voucher_code for d in order.discounts.all() if d.voucher_code), None),
        "payment_method": next((s.source_type.code for s in order.sources.all()), None),
        "shipping_method": order.shipping_code,
        "delivery_country": order.shipping_address.country_id if order.shipping_address else None,
        "email": order.email,  # kept as a keyed hash only; joins a guest's orders
        "products": [line(each.upc, each.unit_price_incl_tax, each.quantity) for each in order.lines.all()],
    }


def _keep(order, message_id, name, properties, request):
    who = shopper(request) if request else {}
    if order.user_id:
        who["userId"] = user_id(order.user)
    placed = order.date_placed if name == "Order Completed" else timezone.now()
    body = {
        "type": "track",
        "messageId": message_id,
        "timestamp": placed.astimezone(UTC).isoformat(),
        "event": name,
        "properties": _known(properties),
        "context": {
            **(request_context(request) if request else {}),
            "cart": {"token": cart_token(order.basket) if order.basket else None},
        },
        **who,
    }
    OutboxEvent.objects.get_or_create(message_id=message_id, defaults={"body": body})
    _wake.set()


# --- what Oscar tells us ---


def connect():
    """Connect Oscar's signals; called once when Django is ready."""
    basket_addition.connect(_added)
    voucher_addition.connect(_coupon_applied)
    voucher_removal.connect(_coupon_removed)
    start_checkout.connect(_checkout_started)
    user_logged_in.connect(_logged_in)


def _added(sender, request, product, **kwargs):  # noqa: ARG001 - Django calls by keyword
    quantity = int(request.POST.get("quantity") or 1)
    info = request.strategy.fetch_for_product(product)
    track(request, "Product Added", line(product.upc, info.price.incl_tax, quantity))


def _logged_in(sender, request, user, **kwargs):  # noqa: ARG001
    logged_in(request, user)


def _coupon_applied(sender, basket, voucher, **kwargs):  # noqa: ARG001
    track(sender.request, "Coupon Applied", {"coupon_id": voucher.code})


def _coupon_removed(sender, basket, voucher, **kwargs):  # noqa: ARG001
    track(sender.request, "Coupon Removed", {"coupon_id": voucher.code})


def _checkout_started(sender, request, **kwargs):  # noqa: ARG001
    basket = cart(request.basket)
    track(
        request,
        "Checkout Started",
        {
            "value": basket["total"],
            "currency": "EUR",
            "products": [line(item["id"], item["price"], item["quantity"]) for item in basket["items"]],
        },
    )


# --- delivery ---


def deliver():
    """Send what waits, once. Returns whether to go on at once; what could not be sent waits for the next look."""
    batch = []
    with contextlib.suppress(queue.Empty):
        while len(batch) < 50:
            batch.append(_waiting.get_nowait())
    if batch:
        client().send(batch)  # lost if the engine is away: a hint is not worth a backlog
    pending = list(OutboxEvent.objects.filter(sent=None, action="")[:50])
    if pending:
        if not client().send([event.body for event in pending]):
            return False
        OutboxEvent.objects.filter(pk__in=[event.pk for event in pending]).update(sent=timezone.now())
    calls = list(OutboxEvent.objects.filter(sent=None).exclude(action="")[:50])
    answered = [_called(each) for each in calls]  # one that waits holds up no other
    return all(answered)


def _called(call):
    """Make one call about an offer. What was answered for good is done with, also where the answer is no."""
    status, answer = client().offer(call.action, call.body, call.message_id, wait=False)
    if status not in (200, 400, 404, 409, 422) or answer.get("code") == "in_flight":
        return False
    if status != 200 and call.action == "redeem":  # such as too late, after a long outage: the order stands
        log.error("cashwrap did not %s %s: %s", call.action, call.body, answer.get("code") or status)
    OutboxEvent.objects.filter(pk=call.pk).update(sent=timezone.now())
    return True


def start_delivery(*chores):
    """Run the sender in the background for the life of the process, and before each look what else is due."""
    if client().enabled:
        threading.Thread(target=_run, args=(chores,), name="cashwrap-sender", daemon=True).start()


def _run(chores):
    _wake.set()  # what an earlier run left behind
    while True:
        _wake.wait(POLL_SECONDS)
        _wake.clear()
        close_old_connections()
        try:
            for chore in chores:
                chore()
            done = deliver()
        except Exception:  # a busy database must not end deliveries for good
            log.exception("events wait")
            done = False
        if done and not _waiting.empty():
            _wake.set()
