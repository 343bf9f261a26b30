"""The shop's payment methods. Their codes are what the engine knows them by. No money moves in this demo."""

from dataclasses import dataclass

from django import forms
from django.utils.translation import gettext_lazy as _
from oscar.apps.payment.exceptions import UnableToTakePayment

DECLINED = "tok_demo_declined"
CARD_TOKENS = [
    ("tok_demo_4242", _("Demo card ending 4242 (accepted)")),
    (DECLINED, _("Demo card ending 0002 (declined)")),
]


@dataclass(frozen=True)
class PaymentMethod:
    code: str
    name: str
    hint: str
    mark: str  # the short text on its badge; the shop uses no third-party logos


METHODS = [
    PaymentMethod("card", _("Credit or debit card"), _("Entered here, seen by this shop only"), "CARD"),
    PaymentMethod("paynow", _("PayNow"), _("With your PayNow account"), "PayNow"),
    PaymentMethod("invoice", _("Invoice"), _("Pay within 30 days of delivery"), "30"),
    PaymentMethod("bank_transfer", _("Bank transfer"), _("We send when your transfer arrives"), "IBAN"),
    PaymentMethod("apple_pay", _("Apple Pay"), _("Confirm on your device"), "Pay"),
    PaymentMethod("google_pay", _("Google Pay"), _("Confirm on your device"), "G Pay"),
]


class PaymentForm(forms.Form):
    """Which method, and for a card which demo token. Real shops get this token from their card provider."""

    method = forms.ChoiceField(choices=[(method.code, method.name) for method in METHODS])
    card_token = forms.ChoiceField(choices=CARD_TOKENS, required=False)

    def clean(self):
        data = super().clean()
        if data.get("method") == "card" and not data.get("card_token"):
            self.add_error("card_token", _("Please choose a card"))
        return data


def named(code):
    return next((method for method in METHODS if method.code == code), None)


def charge(method, token, order_number):
    """Take the payment: here, refuse the declined demo card and accept everything else."""
    if method == "card" and token == DECLINED:
        raise UnableToTakePayment(_("Your card was declined. Please choose another way to pay."))
    return f"{method}-{order_number}"
