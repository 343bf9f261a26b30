"""Prices: one stock record per product, VAT included, as European shops show them."""

from decimal import Decimal

from django.conf import settings
from oscar.apps.partner import strategy
from oscar.apps.partner.prices import FixedPrice
from oscar.apps.partner.prices import Unavailable as NoPrice


def split_vat(gross):
    """Return (net, vat) of a gross amount, to the cent."""
    net = (gross * 100 / (100 + settings.VAT_PERCENT)).quantize(Decimal("0.01"))
    return net, gross - net


class VatIncluded:
    """Stock records hold the gross price; net and VAT are derived from it."""

    def pricing_policy(self, product, stockrecord):  # noqa: ARG002 - Oscar's signature
        if not stockrecord or stockrecord.price is None:
            return NoPrice()
        net, vat = split_vat(stockrecord.price)
        return FixedPrice(currency=stockrecord.price_currency, excl_tax=net, tax=vat)

    def parent_pricing_policy(self, product, children_stock):
        records = [record for _, record in children_stock if record]
        return self.pricing_policy(product, records[0]) if records else NoPrice()


class ShopStrategy(strategy.UseFirstStockRecord, strategy.StockRequired, VatIncluded, strategy.Structured):
    pass


class Selector:
    def strategy(self, request=None, user=None, **kwargs):  # noqa: ARG002 - Oscar's signature
        return ShopStrategy(request)
