"""The shop's delivery methods. Their codes are what the engine knows them by."""

from decimal import Decimal

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from oscar.apps.shipping.methods import *  # noqa: F403 - Oscar's documented way to fork an app
from oscar.apps.shipping.methods import Base
from oscar.core import prices

from apps.partner.strategy import split_vat


class Delivery(Base):
    """A delivery method with a gross price; `eta` is what the shopper reads."""

    gross = Decimal("0.00")
    eta = ""
    icon = "parcel"

    def calculate(self, basket):
        net, _vat = split_vat(self.charge(basket))
        return prices.Price(currency=basket.currency, excl_tax=net, incl_tax=self.charge(basket))

    def charge(self, basket):  # noqa: ARG002 - what a method costs may depend on the basket
        return self.gross


class Standard(Delivery):
    code = "standard"
    name = _("Standard delivery")
    eta = _("2 to 3 working days")
    gross = Decimal("4.90")

    def charge(self, basket):
        goods = basket.total_incl_tax if not basket.is_empty else Decimal(0)
        return Decimal("0.00") if goods >= settings.FREE_DELIVERY_FROM else self.gross


class Express(Delivery):
    code = "express"
    name = _("Express delivery")
    eta = _("Next working day")
    gross = Decimal("9.90")
    icon = "express"


class Courier(Delivery):
    code = "bike_courier"
    name = _("Bike courier")
    eta = _("Today, in the city, without emissions")
    gross = Decimal("6.90")
    icon = "bike"


class Pickup(Delivery):
    code = "pickup"
    name = _("Pick up in the shop")
    eta = _("Ready in two hours")
    icon = "store"
