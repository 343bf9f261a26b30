"""The steps of the seed command, each idempotent."""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from apps.shipping.methods import Express, Standard
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.utils import timezone
from oscar.apps.catalogue.categories import create_from_breadcrumbs
from oscar.apps.checkout.calculators import OrderTotalCalculator
from oscar.apps.order.utils import OrderCreator
from oscar.core.loading import get_class, get_model

from . import catalogue, events, views

ROOT = Path(settings.BASE_DIR)
SOURCES = [*sorted((ROOT / "seed").glob("*.*")), Path(__file__), *(ROOT / "templates").rglob("item_text.txt")]
JONAS_ORDERED = [  # days ago, what: a regular's year, above the starter playbook's "high value"
    (212, ["KC-O01", "KC-O05"]),
    (131, ["KC-C01", "KC-C07", "KC-C06"]),
    (58, ["KC-O02", "KC-O03"]),
    (19, ["KC-C07", "KC-K03"]),
]


def digest():
    return hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES if path.is_file())).hexdigest()


def countries():
    Site.objects.update_or_create(pk=1, defaults={"domain": "127.0.0.1", "name": settings.OSCAR_SHOP_NAME})
    for order, (code, name) in enumerate(
        [("DE", "Germany"), ("AT", "Austria"), ("NL", "Netherlands"), ("IE", "Ireland")]
    ):
        get_model("address", "Country").objects.update_or_create(
            iso_3166_1_a2=code,
            defaults={"printable_name": name, "name": name, "is_shipping_country": True, "display_order": 9 - order},
        )


def catalogue_rows():
    """Write categories, products, stock and complements as Oscar rows."""
    Product = get_model("catalogue", "Product")
    goods, _ = get_model("catalogue", "ProductClass").objects.get_or_create(name="Goods")
    partner, _ = get_model("partner", "Partner").objects.get_or_create(name=settings.OSCAR_SHOP_NAME)
    folders = {each["id"]: create_from_breadcrumbs(each["name"]["en"]) for each in catalogue.seed()["categories"]}
    for entry in catalogue.seed()["products"]:
        product, _ = Product.objects.update_or_create(
            upc=entry["id"],
            defaults={
                "title": entry["title"]["en"],
                "description": entry["description"]["en"],
                "product_class": goods,
                "structure": Product.STANDALONE,
            },
        )
        product.categories.set([folders[entry["category"]]])
        get_model("partner", "StockRecord").objects.update_or_create(
            product=product,
            partner=partner,
            defaults={
                "partner_sku": entry["id"],
                "price_currency": catalogue.seed()["currency"],
                "price": Decimal(entry["price"]),
                "num_in_stock": entry["stock"],
            },
        )
    for entry in catalogue.seed()["products"]:
        product = Product.objects.get(upc=entry["id"])
        for rank, other in enumerate(entry["complements"]):
            get_model("catalogue", "ProductRecommendation").objects.get_or_create(
                primary=product, recommendation=Product.objects.get(upc=other), defaults={"ranking": 9 - rank}
            )


def coupon():
    """Make WELCOME10: ten percent off."""
    everything, _ = get_model("offer", "Range").objects.get_or_create(
        name="Everything", defaults={"includes_all_products": True}
    )
    condition, _ = get_model("offer", "Condition").objects.get_or_create(range=everything, type="Count", value=1)
    benefit, _ = get_model("offer", "Benefit").objects.get_or_create(range=everything, type="Percentage", value=10)
    offer, _ = get_model("offer", "ConditionalOffer").objects.get_or_create(
        name="Ten percent to start with",
        defaults={"offer_type": "Voucher", "condition": condition, "benefit": benefit},
    )
    start = timezone.make_aware(datetime(2020, 1, 1))  # noqa: DTZ001 - made aware in the shop's zone
    voucher, _ = get_model("voucher", "Voucher").objects.get_or_create(
        code="WELCOME10",
        defaults={
            "name": "Welcome",
            "usage": "Multi-use",  # guests may have it too
            "start_datetime": start,
            "end_datetime": start + timedelta(days=365 * 20),
        },
    )
    voucher.offers.set([offer])


def customers():
    """Make Mia, who is new, and Jonas, who has an address and a history."""
    for name, last in (("mia", "Winter"), ("jonas", "Feld")):
        user, made = get_user_model().objects.get_or_create(
            username=name,
            defaults={"email": f"{name}@kestrel.example", "first_name": name.title(), "last_name": last},
        )
        if made:
            user.set_password(views.PASSWORD)
            user.save()
    get_model("address", "UserAddress").objects.get_or_create(
        user=get_user_model().objects.get(username="jonas"),
        line1="Lindenallee 12",
        defaults={
            "first_name": "Jonas",
            "last_name": "Feld",
            "line4": "Freiburg",
            "postcode": "79098",
            "country": get_model("address", "Country").objects.get(pk="DE"),
            "is_default_for_shipping": True,
        },
    )


def past_orders():
    """Place Jonas's earlier orders, as real Oscar orders, and hand them to the outbox like any other."""
    user = get_user_model().objects.get(username="jonas")
    agreed = timezone.now() - timedelta(days=JONAS_ORDERED[0][0])
    events.consent_recorded(user, {"personalization": "granted", "analytics": "granted"}, agreed)
    strategy = get_class("partner.strategy", "Selector")().strategy()
    for number, (days, skus) in enumerate(JONAS_ORDERED):
        basket = get_model("basket", "Basket").objects.create(owner=user)
        basket.strategy = strategy
        for sku in skus:
            basket.add_product(get_model("catalogue", "Product").objects.get(upc=sku))
        method = Express() if number % 2 else Standard()
        charge = method.calculate(basket)
        order = OrderCreator().place_order(
            basket=basket,
            total=OrderTotalCalculator().calculate(basket, charge),
            shipping_method=method,
            shipping_charge=charge,
            user=user,
            order_number=f"{90001 + number}",
        )
        order.date_placed = timezone.now() - timedelta(days=days, hours=3)
        order.save()
        _paid(order, "paynow")
        basket.submit()
        events.order_completed(order)


def _paid(order, method):
    source_type, _ = get_model("payment", "SourceType").objects.get_or_create(code=method, defaults={"name": "PayNow"})
    order.sources.create(
        source_type=source_type,
        currency=order.currency,
        amount_allocated=order.total_incl_tax,
        amount_debited=order.total_incl_tax,
        reference=f"{method}-{order.number}",
    )
