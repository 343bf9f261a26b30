"""The checkout: Oscar's own steps, plus one question to cashwrap for each page.

These are payment pages. cashwrap's script is not on them: the backend asks, within its deadline, and the
templates render the answer or, when there is none, what the shop would have shown anyway.
"""

import time

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from oscar.apps.checkout import views
from oscar.apps.checkout.exceptions import FailedPreCondition
from oscar.apps.order.models import Order
from oscar.apps.payment.models import Source, SourceType
from oscar.core.loading import get_model
from storefront import catalogue, events, offers, personalization

from apps.shipping.repository import Repository

from .payment import METHODS, PaymentForm, charge, named

Basket = get_model("basket", "Basket")
PATIENCE = 50  # looks, a tenth of a second apart, for the order that the first of two clicks places
SUMMARY = ["basket_message", "checkout_help", "checkout_layout"]  # every step shows these


class AlreadySubmittedError(Exception):
    """Another click places this basket's order."""


def submitted_basket(request):
    """Return the basket this visitor had a moment ago, if its order is being placed or was."""
    if request.user.is_authenticated:
        found = Basket.objects.filter(owner=request.user)
    else:
        try:
            key = Signer().unsign(request.COOKIES.get(settings.OSCAR_BASKET_COOKIE_OPEN, ""))
        except BadSignature:
            return None
        found = Basket.objects.filter(pk=key, owner=None)
    return found.filter(status__in=(Basket.FROZEN, Basket.SUBMITTED)).order_by("-pk").first()


class Personalized:
    """A checkout step that asks for its placements and reports that it was reached."""

    step = 0
    step_name = ""
    placements = ()

    def get(self, request, *args, **kwargs):
        offers.refresh(request)
        response = super().get(request, *args, **kwargs)
        if response.status_code == 200:  # the step is shown, not skipped
            events.track(request, "Checkout Step Viewed", self.step_properties())
            events.shown(request, self.decision)
        return response

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        context["step"] = self.step
        facts = {"checkout": self.checkout_facts(), **self.destination(context)}
        self.decision = personalization.decide(self.request, [*self.placements, *SUMMARY], "payment", **facts)
        context["cw"] = personalization.contents(self.decision)
        context["cw_offers"] = personalization.offers(self.decision)
        if not context.get("shipping_method"):  # before a choice: the summary shows the default method
            method = Repository().get_default_shipping_method(self.request.basket)
            context["expected_delivery"] = method
        return context

    def checkout_facts(self):
        """Return what the shop offers at this moment; cashwrap may order it, never add to it."""
        facts = {
            "step": self.step_name,
            "paymentMethods": [method.code for method in METHODS],
            "deliveryMethods": [method.code for method in Repository.methods],
        }
        saved = self.saved_payment_method()
        return {**facts, "savedMethod": saved} if saved else facts

    def destination(self, context):
        """Return the country the parcel goes to, once the shopper named it."""
        address = context.get("shipping_address")
        return {"location": {"country": address.country_id, "source": "delivery"}} if address else {}

    def saved_payment_method(self):
        """Return the method of the customer's last order: it must never be hidden from them."""
        if not self.request.user.is_authenticated:
            return None
        source = Source.objects.filter(order__user=self.request.user).order_by("-order__date_placed").first()
        return source.source_type.code if source else None

    def step_properties(self):
        data = self.checkout_session
        address = self.get_shipping_address(self.request.basket)
        return {
            "step": str(self.step),
            "shipping_method": data.shipping_method_code(self.request.basket),
            "payment_method": data.payment_method(),
            "delivery_country": address.country_id if address else None,
        }

    def completed(self):
        events.track(self.request, "Checkout Step Completed", self.step_properties())


class IndexView(Personalized, views.IndexView):
    step, step_name = 1, "contact"


class ShippingAddressView(Personalized, views.ShippingAddressView):
    step, step_name = 2, "address"

    def get_form(self, *args, **kwargs):
        form = super().get_form(*args, **kwargs)
        form.fields["country"].label_from_instance = catalogue.country
        return form

    def get_success_url(self):
        self.completed()
        return super().get_success_url()


class ShippingMethodView(Personalized, views.ShippingMethodView):
    step, step_name = 3, "delivery"
    placements = ("delivery_methods",)

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        content = context["cw"].get("delivery_methods")
        choices = personalization.in_order(self._methods, content, lambda method: method.code)
        context["choices"] = choices
        # What is chosen in advance stays the shop's default: an order of options must never cost anybody money.
        default = Repository().get_default_shipping_method(self.request.basket).code
        context["chosen"] = self.checkout_session.shipping_method_code(self.request.basket) or default
        return context

    def form_valid(self, form):
        response = super().form_valid(form)
        self.completed()
        return response


class PaymentMethodView(views.PaymentMethodView):
    """Oscar's hook between delivery and payment; our payment page offers the methods itself."""


class PaymentDetailsView(Personalized, views.PaymentDetailsView):
    """Two pages: `payment-details` offers the methods, `preview` shows the order and places it."""

    @property
    def step(self):
        return 5 if self.preview else 4

    @property
    def step_name(self):
        return "review" if self.preview else "payment"

    @property
    def placements(self):
        return ("checkout_button",) if self.preview else ("payment_methods", "installment_line")

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        content = context["cw"].get("payment_methods")
        context["choices"] = personalization.in_order(METHODS, content, lambda method: method.code)
        context["payment"] = named(self.checkout_session.payment_method())
        context["chosen"] = self.checkout_session.payment_method() or self.saved_payment_method()
        context["chosen"] = context["chosen"] or context["choices"][0][0].code
        context.setdefault("form", PaymentForm())
        return context

    def handle_payment_details_submission(self, request):
        form = PaymentForm(request.POST)
        if not form.is_valid():
            return self.render_payment_details(request, form=form)
        self.checkout_session.pay_by(form.cleaned_data["method"])
        # A token is not a card number, and this one opens nothing; still it stays in the shop's own session.
        request.session["card_token"] = form.cleaned_data["card_token"]
        events.track(request, "Payment Info Entered", self.step_properties())
        self.completed()
        return redirect("checkout:preview")

    def check_payment_data_is_captured(self, request):
        choosing = request.method == "POST" and request.POST.get("action") != "place_order"
        if not choosing and named(self.checkout_session.payment_method()) is None:
            raise FailedPreCondition(url=reverse("checkout:payment-details"), message=_("Please choose how to pay"))

    def dispatch(self, request, *args, **kwargs):
        placing = request.method == "POST" and request.POST.get("action") == "place_order"
        if placing and request.basket.is_empty:
            before = submitted_basket(request)
            if before:
                return self.thanks(request, before)
        return super().dispatch(request, *args, **kwargs)

    def handle_place_order_submission(self, request):
        if offers.refresh(request):  # what they agreed to is not what they would pay now
            return redirect("checkout:preview")
        try:
            return super().handle_place_order_submission(request)
        except AlreadySubmittedError:
            return self.thanks(request, request.basket)

    def freeze_basket(self, basket):
        """Freeze it once: of two clicks that arrive together, one pays."""
        changeable = Basket.objects.filter(pk=basket.pk, status__in=Basket.editable_statuses)
        if not changeable.update(status=Basket.FROZEN):
            raise AlreadySubmittedError
        basket.status = Basket.FROZEN

    def thanks(self, request, basket):
        """Lead a second click to the order that the first one places."""
        number, order = self.generate_order_number(basket), None
        for _look in range(PATIENCE):
            order = Order.objects.filter(number=number).first()
            if order or Basket.open.filter(pk=basket.pk).exists():
                break
            time.sleep(0.1)
        if order is None:  # the first one failed, and says why
            return redirect("checkout:payment-details")
        request.session["checkout_order_id"] = order.id
        return redirect("checkout:thank-you")

    def handle_payment(self, order_number, total, **kwargs):  # noqa: ARG002 - Oscar's signature
        method = self.checkout_session.payment_method()
        reference = charge(method, self.request.session.get("card_token"), order_number)
        source_type, _created = SourceType.objects.get_or_create(
            code=method, defaults={"name": str(named(method).name)}
        )
        amount = total.incl_tax
        self.add_payment_source(
            Source(
                source_type=source_type,
                currency=total.currency,
                amount_allocated=amount,
                amount_debited=amount,
                reference=reference,
            )
        )
        self.add_payment_event("Paid", amount, reference)

    def handle_order_placement(self, *args, **kwargs):
        # One transaction: an order without its event, or an event without its order, cannot exist.
        with transaction.atomic():
            return super().handle_order_placement(*args, **kwargs)

    def handle_successful_order(self, order):
        events.order_completed(order, self.request)
        offers.placed(order, order.basket)
        return super().handle_successful_order(order)


class ThankYouView(views.ThankYouView):
    """The order number. No longer a payment page: the script is back, for the consent switches."""
