"""Offers: what cashwrap grants becomes a voucher of this shop, for one basket, for exactly the amount that is held.

The steps are those of any shop. A decision grants an offer and signs it; the shopper takes it; the shop checks the
signature against its own basket, asks cashwrap to hold the money, and makes an Oscar voucher of it. When the order is
placed the outbox redeems it. The checkout depends on none of this: no answer means the normal price, and an order
that was placed stands.
"""

import hashlib
import logging
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cashwrap_offers import Refused, verify
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from oscar.core.loading import get_class, get_model

from . import events, personalization
from .models import AsHeld, HeldOffer

log = logging.getLogger(__name__)

MOST_HELD = 3  # of one basket at a time
SLACK = timedelta(minutes=5)  # an order that is being placed finds its voucher; what is past counts for no new one
CLASS = f"{AsHeld.__module__}.{AsHeld.__name__}"


def take(request, token):
    """Turn a granted offer into a discount of this basket. Returns what is held, or None with a message."""
    basket = request.basket
    try:
        claims = verify(
            token,
            personalization.keys(),
            store=settings.CASHWRAP["store"],
            currency=settings.OSCAR_DEFAULT_CURRENCY,
            cart=personalization.basket_hash(basket),
        )
    except Refused as refused:
        log.info("an offer was not taken: %s", refused)
        messages.info(request, _("This offer was made for another basket. Have a look at what holds for this one."))
        return None
    if _held(basket).filter(offer=claims.get("offer")).exists():
        return None  # a second click
    return _reserve(request, {"token": token})


def take_code(request, code):
    """Let a code open an offer. Returns what was held, or None with a message to the shopper."""
    return _reserve(request, {"code": code})


def refresh(request):
    """Bring the basket's offers in line with the basket. Returns whether the price may have changed.

    What was held for an earlier state of it goes back; the same offer is worked out anew for what is in it now.
    """
    basket = request.basket
    stale = [held for held in _held(basket) if not held.fits(basket)]
    for held in stale:
        if not let_go(held):
            continue  # the same page in another tab sees to it
        again = _again(request, held)
        if again is None:
            messages.warning(request, _("Your offer does not go with this basket any more. It is at its normal price."))
        elif again.amount != held.amount:
            messages.info(request, _("Your offer was worked out again for this basket."))
    if stale:
        _apply(request)
    return bool(stale)


def let_go(held):
    """Give back what is held, and return whether it was: the voucher goes at once, cashwrap is told from the outbox."""
    with transaction.atomic():
        if not HeldOffer.objects.filter(pk=held.pk, state=HeldOffer.HELD).update(state=HeldOffer.LET_GO):
            return False
        _remove_voucher(held)
        _release(held.reservation)
        return True


def placed(order, basket):
    """Redeem what this order used. Call it inside the transaction that places the order."""
    for held in _held(basket):
        used = [each.amount for each in order.discounts.all() if each.voucher_id == held.voucher_id]
        if not used:
            let_go(held)
            continue
        HeldOffer.objects.filter(pk=held.pk).update(state=HeldOffer.ORDERED)
        body = {"reservation": held.reservation, "order": str(order.number)}
        if sum(used) < held.amount:
            body["amount"] = str(sum(used))
        events.call("redeem", f"redeem-{held.reservation}-{order.number}", body)


def expire():
    """Remove vouchers whose time has passed a while ago: cashwrap has taken the money back by itself."""
    for held in HeldOffer.objects.filter(state=HeldOffer.HELD, expires__lt=timezone.now() - SLACK)[:100]:
        let_go(held)


# --- holding ---


def _held(basket):
    found = HeldOffer.objects.filter(voucher__basket=basket.id, state=HeldOffer.HELD)
    return found if basket.id else found.none()


def _release(reservation):
    events.call("release", f"release-{reservation}", {"reservation": reservation})


def _reserve(request, proof):
    basket = request.basket
    if not basket.id or _held(basket).count() >= MOST_HELD:
        messages.warning(request, _("This offer cannot be combined with what your basket has already."))
        return None
    body = {
        **proof,
        "cart": personalization.cart(basket),
        "currency": settings.OSCAR_DEFAULT_CURRENCY,
        "shopper": _shopper(request),
    }
    status, answer = personalization.client().offer("reserve", body, _key(basket, proof))
    if status != 200:
        messages.warning(request, _why(answer.get("code")))
        return None
    try:
        held = _keep(basket, answer, proof.get("code", ""))
    except (KeyError, ValueError, TypeError, ArithmeticError):
        log.exception("the engine's answer is no reservation")
        messages.warning(request, _why(None))
        return None
    return _in_force(request, held)


def _key(basket, proof):
    """Return the idempotency key: a second click asks for the same, a second attempt after giving back does not."""
    earlier = HeldOffer.objects.filter(basket_id=basket.id).exclude(state=HeldOffer.HELD).count()
    said = f"{personalization.basket_hash(basket)} {sorted(proof.items())} {earlier}"
    return f"reserve-{basket.id}-{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def _shopper(request):
    """Return everything the shop knows them by: each is counted, so that a second account finds the first one's use."""
    who = personalization.shopper(request)
    email = request.user.email if request.user.is_authenticated else ""
    email = email or request.session.get("checkout_data", {}).get("guest", {}).get("email", "")
    return {**who, "email": email} if email and not personalization.refused(request) else who


def _keep(basket, answer, code):
    """Make the voucher: usable once, by this basket, for what is held."""
    amount, disclosure = Decimal(answer["amount"]), answer.get("disclosure") or {}
    expires = datetime.fromtimestamp(answer["expires"] / 1000, UTC)
    if amount <= 0 or answer["currency"] != settings.OSCAR_DEFAULT_CURRENCY:
        raise ValueError(answer["amount"])
    with transaction.atomic():
        known = HeldOffer.objects.filter(reservation=answer["id"]).first()
        if known:
            return known
        other = _held(basket).filter(offer=answer["offer"]).first()
        if other:  # two tabs with a token each: one is enough
            _release(answer["id"])
            return other
        voucher = _voucher(answer, amount, expires)
        basket.vouchers.add(voucher)
        return HeldOffer.objects.create(
            reservation=answer["id"],
            offer=answer["offer"],
            code=code,
            basket_id=basket.id,
            cart=personalization.basket_hash(basket),
            amount=amount,
            currency=answer["currency"],
            expires=expires,
            benefit=answer.get("benefit") or {},
            disclosure=str(disclosure.get("text", ""))[:500],
            voucher=voucher,
        )


def _voucher(answer, amount, expires):
    everything, _made = get_model("offer", "Range").objects.get_or_create(
        name="Everything", defaults={"includes_all_products": True}
    )
    condition, _made = get_model("offer", "Condition").objects.get_or_create(proxy_class=CLASS)
    benefit = get_model("offer", "Benefit").objects.create(range=everything, type="Absolute", value=amount)
    code = f"CW-{secrets.token_hex(10).upper()}"
    offer = get_model("offer", "ConditionalOffer").objects.create(
        name=f"cashwrap {answer['offer']} {code}",
        offer_type="Voucher",
        condition=condition,
        benefit=benefit,
        priority=-10,  # what the shopper has by the shop's own codes comes first
        max_basket_applications=1,
    )
    voucher = get_model("voucher", "Voucher").objects.create(
        name=f"cashwrap {answer['offer']} {code}",
        code=code,
        usage="Single use",
        start_datetime=timezone.now(),
        end_datetime=expires + 2 * SLACK,  # whether it still holds is for the condition to say
    )
    voucher.offers.set([offer])
    return voucher


def _in_force(request, held):
    """Work the basket out again; what does not take off what was promised goes back."""
    _apply(request)
    given = request.basket.offer_applications.grouped_voucher_discounts
    taken = sum(each["discount"] for each in given if each["voucher"].pk == held.voucher_id)
    if taken == held.amount:
        return held
    let_go(held)
    _apply(request)
    messages.warning(request, _("This offer cannot be combined with what your basket has already."))
    return None


def _apply(request):
    request.basket.reset_offer_applications()
    get_class("offer.applicator", "Applicator")().apply(request.basket, request.user, request)


def _remove_voucher(held):
    voucher = held.voucher
    if voucher is None:
        return
    voucher.offers.all().delete()
    voucher.delete()


def _again(request, held):
    """Ask anew for an offer whose basket has changed: by its code, or by what a decision grants now."""
    if held.code:
        return take_code(request, held.code)
    decision = personalization.decide(request, ["basket_message"], "cart")
    offers = personalization.offers(decision).values()
    token = next((offer["token"] for offer in offers if offer.get("name") == held.offer), None)
    return _reserve(request, {"token": token}) if token else None


def _why(code):
    if code == "limit_reached":
        return _("This offer has just run out. Your basket is at its normal price.")
    if code in ("offer_ended", "reservation_expired", "bad_offer_token"):
        return _("This offer has ended. Your basket is at its normal price.")
    if code in ("wrong_cart", "wrong_shopper", "worth_nothing"):
        return _("This offer was made for another basket. Have a look at what holds for this one.")
    if code == "unknown_code":
        return _("We do not know this code, or it has been used.")
    return _("That did not work just now. Your basket is at its normal price; please try again.")
