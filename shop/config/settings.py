"""Django settings of the demo shop: an ordinary django-oscar project.

Everything that differs per machine comes from the environment; `run.py` fills it in.
"""

import os
import secrets
from pathlib import Path

from django.urls import reverse_lazy
from oscar.defaults import *  # noqa: F403 - Oscar's documented way to get its defaults

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SHOP_DATA", BASE_DIR.parent / ".data" / "shop"))
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _stored_secret(path):
    """Make the session key once per data folder: sessions and cart tokens survive a restart."""
    if not path.exists():
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


SECRET_KEY = _stored_secret(DATA_DIR / "django_secret")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "config.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SITE_ID = 1

# --- cashwrap: the only settings the integration needs -------------------------------------------
CASHWRAP = {
    "url": os.environ.get("CASHWRAP_URL", ""),  # empty: the shop runs without it
    "publishable_key": os.environ.get("CASHWRAP_PUBLISHABLE_KEY", ""),
    "secret_key": os.environ.get("CASHWRAP_SECRET_KEY", ""),
    "sdk_version": os.environ.get("CASHWRAP_SDK_VERSION", "0.1.0"),
    "sdk_integrity": os.environ.get("CASHWRAP_SDK_INTEGRITY", ""),  # `sha384-...`; a shop pins what it tested
    "store": os.environ.get("CASHWRAP_STORE", "default"),
    "deadline_ms": int(os.environ.get("CASHWRAP_DEADLINE_MS", "50")),
    "timeout_ms": int(os.environ.get("CASHWRAP_TIMEOUT_MS", "80")),
    "browser_ms": int(os.environ.get("CASHWRAP_BROWSER_MS", "200")),  # then the page stays as it is
    "offer_ms": int(os.environ.get("CASHWRAP_OFFER_MS", "800")),  # the shopper asked for it, and may wait a moment
}
DEMO_WHY = os.environ.get("DEMO_WHY", "1") == "1"

# --- the shop --------------------------------------------------------------------------------------
OSCAR_SHOP_NAME = "Kestrel & Clay"
OSCAR_SHOP_TAGLINE = "Good things, used daily"
OSCAR_HOMEPAGE = reverse_lazy("home")
OSCAR_DEFAULT_CURRENCY = "EUR"
OSCAR_ALLOW_ANON_CHECKOUT = True
OSCAR_OFFERS_INCL_TAX = True
OSCAR_HIDDEN_FEATURES = ["reviews", "wishlists"]
OSCAR_SEND_REGISTRATION_EMAIL = False
OSCAR_PRODUCTS_PER_PAGE = 24
OSCAR_REQUIRED_ADDRESS_FIELDS = ("first_name", "last_name", "line1", "line4", "postcode", "country")
FREE_DELIVERY_FROM = 50  # EUR, standard delivery
VAT_PERCENT = 19
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.flatpages",
    "oscar.config.Shop",
    "oscar.apps.analytics.apps.AnalyticsConfig",
    "apps.checkout.apps.CheckoutConfig",  # ours: payment page, decisions, orders
    "oscar.apps.address.apps.AddressConfig",
    "apps.shipping.apps.ShippingConfig",  # ours: four delivery methods
    "oscar.apps.catalogue.apps.CatalogueConfig",
    "oscar.apps.catalogue.reviews.apps.CatalogueReviewsConfig",
    "oscar.apps.communication.apps.CommunicationConfig",
    "apps.partner.apps.PartnerConfig",  # ours: prices include VAT
    "apps.basket.apps.BasketConfig",  # ours: offers of cashwrap
    "oscar.apps.payment.apps.PaymentConfig",
    "oscar.apps.offer.apps.OfferConfig",
    "oscar.apps.order.apps.OrderConfig",
    "oscar.apps.customer.apps.CustomerConfig",
    "oscar.apps.search.apps.SearchConfig",
    "oscar.apps.voucher.apps.VoucherConfig",
    "oscar.apps.wishlists.apps.WishlistsConfig",
    "oscar.apps.dashboard.apps.DashboardConfig",
    "oscar.apps.dashboard.reports.apps.ReportsDashboardConfig",
    "oscar.apps.dashboard.users.apps.UsersDashboardConfig",
    "oscar.apps.dashboard.orders.apps.OrdersDashboardConfig",
    "oscar.apps.dashboard.catalogue.apps.CatalogueDashboardConfig",
    "oscar.apps.dashboard.offers.apps.OffersDashboardConfig",
    "oscar.apps.dashboard.partners.apps.PartnersDashboardConfig",
    "oscar.apps.dashboard.pages.apps.PagesDashboardConfig",
    "oscar.apps.dashboard.ranges.apps.RangesDashboardConfig",
    "oscar.apps.dashboard.reviews.apps.ReviewsDashboardConfig",
    "oscar.apps.dashboard.vouchers.apps.VouchersDashboardConfig",
    "oscar.apps.dashboard.communications.apps.CommunicationsDashboardConfig",
    "oscar.apps.dashboard.shipping.apps.ShippingDashboardConfig",
    "widget_tweaks",
    "haystack",
    "treebeard",
    "sorl.thumbnail",
    "django_tables2",
    "phonenumber_field",
    "storefront.apps.StorefrontConfig",  # last: it disconnects what Oscar connects
]
MIGRATION_MODULES = {name: f"oscar.apps.{name}.migrations" for name in ("basket", "partner", "shipping")}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "storefront.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]
X_FRAME_OPTIONS = "SAMEORIGIN"  # the demo's why drawer is a frame of the shop itself

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.template.context_processors.i18n",
                "django.contrib.messages.context_processors.messages",
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.core.context_processors.metadata",
                "storefront.context.shop",
            ],
        },
    }
]

AUTHENTICATION_BACKENDS = [
    "oscar.apps.customer.auth_backends.EmailBackend",
    "django.contrib.auth.backends.ModelBackend",
]
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        # WAL and a write lock taken at the start keep the threads of the demo server out of each other's way.
        "OPTIONS": {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "CONN_MAX_AGE": None,
    }
}
# Oscar lists nothing on the catalogue pages with haystack's "simple" backend.
HAYSTACK_CONNECTIONS = {
    "default": {"ENGINE": "haystack.backends.whoosh_backend.WhooshEngine", "PATH": str(DATA_DIR / "search")}
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [DATA_DIR / "locale"]  # compiled from shop/locale by the seed
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_URL = "/media/"
MEDIA_ROOT = DATA_DIR / "media"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
