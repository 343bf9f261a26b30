"""Template helpers: localized catalogue texts, money, pictures and inline icons."""

import re
from decimal import Decimal
from functools import cache

from babel.numbers import format_currency
from django import template
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from oscar.core.loading import get_class, get_model

from storefront import catalogue

register = template.Library()
Category = get_model("catalogue", "Category")
Product = get_model("catalogue", "Product")
selector = get_class("partner.strategy", "Selector")()


@register.filter
def money(value, currency="EUR"):
    """Write an amount as the shopper's language does."""
    if value is None:
        return ""
    locale = "de_DE" if (get_language() or "en").startswith("de") else "en_IE"
    return format_currency(Decimal(value), currency or "EUR", locale=locale)


@register.filter
def offer_name(held):
    """Write what an offer gives, as its kind says it best: `10 % off`, else with the amount."""
    percent = held.benefit.get("percent") if held.benefit.get("type") == "percentage" else None
    if percent and "most" not in held.benefit:
        return _("%(percent)s%% off for you") % {"percent": f"{Decimal(percent):g}"}
    return _("Offer for you")


@register.filter
def holds(basket, name):
    """Return whether an offer of this name is applied to the basket."""
    vouchers = (each["voucher"] for each in basket.grouped_voucher_discounts)
    return any(getattr(voucher, "held", None) and voucher.held.offer == name for voucher in vouchers)


@register.filter
def address_lines(address):
    """Return the lines of an address, the country in the shopper's language."""
    return [
        catalogue.country(address.country) if line == address.country.printable_name else line
        for line in address.active_address_fields()
    ]


@register.filter
def title(product):
    return catalogue.title(product)


@register.filter
def picture(product):
    return catalogue.picture(product.upc if hasattr(product, "upc") else product)


@register.filter
def local(texts):
    return catalogue.local(texts)


@register.filter
def entry(product):
    """Return the seed entry of an Oscar product: brand, attributes, description."""
    return catalogue.by_id().get(product.upc) or {}


@register.filter
def room(product):
    """Return the names of a product's category by language."""
    return catalogue.categories().get(entry(product).get("category"), {}).get("name", {})


@register.filter
def price_of(product):
    return selector.strategy().fetch_for_product(product).price.incl_tax


@register.filter
def charge(method, basket):
    return method.calculate(basket).incl_tax


@register.filter
def upto(value, limit):
    return min(Decimal(value), Decimal(limit))


@register.filter
def short_of(value, limit):
    """Return how much is missing to the limit; 0 when it is reached."""
    return max(Decimal(limit) - Decimal(value), Decimal(0))


_ICONS = {
    "bag": '<path d="M5 8h14l-1 12H6z"/><path d="M9 8V7a3 3 0 0 1 6 0v1"/>',
    "search": '<circle cx="11" cy="11" r="6"/><path d="M20 20l-4.5-4.5"/>',
    "user": '<circle cx="12" cy="8" r="4"/><path d="M4 21c1-5 4-6 8-6s7 1 8 6"/>',
    "check": '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
    "lock": '<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>',
    "parcel": '<path d="M4 8l8-4 8 4v9l-8 4-8-4z"/><path d="M4 8l8 4 8-4M12 12v9"/>',
    "express": '<path d="M3 8h11v9H3zM14 11h4l3 3v3h-7z"/><path d="M7 18.5h0M17.5 18.5h0" stroke-width="4"/>',
    "bike": '<circle cx="6" cy="16" r="4"/><circle cx="18" cy="16" r="4"/><path d="M6 16l4-8h5l3 8M9 10l4 6"/>',
    "store": '<path d="M4 10V20h16V10M3 10l2-6h14l2 6z"/><path d="M10 20v-6h4v6"/>',
    "leaf": '<path d="M5 19C4 9 11 4 20 4c1 9-4 16-14 14M5 20l8-9"/>',
    "return": '<path d="M5 9h10a4 4 0 0 1 0 8H8"/><path d="M8 5L4 9l4 4"/>',
    "eye": '<path d="M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12z"/><circle cx="12" cy="12" r="3"/>',
}


@register.simple_tag
def icon(name):
    return mark_safe(  # noqa: S308 - constant paths from this file
        '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="none" stroke="currentColor"'
        f' stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round">{_ICONS[name]}</svg>'
    )


@register.filter
def words(text):
    return text.split()


@register.filter
def unlocalized(amount):
    """Write an amount for machines: a point, two digits, in every language."""
    return f"{Decimal(amount or 0):.2f}"


@register.filter
def with_delivery(basket, method):
    return basket.total_incl_tax + method.calculate(basket).incl_tax


@register.filter
def category_url(category_id):
    return _category_urls().get(category_id, "/catalogue/")


@cache
def _category_urls():
    ids = {category["name"]["en"]: category["id"] for category in catalogue.seed()["categories"]}
    return {ids[row.name]: row.get_absolute_url() for row in Category.objects.all() if row.name in ids}


def _category_entry(category):
    return next((each for each in catalogue.seed()["categories"] if each["name"]["en"] == category.name), None)


@register.filter
def category_name(category):
    entry = _category_entry(category)
    return catalogue.local(entry["name"]) if entry else category.name


@register.filter
def category_claim(category):
    entry = _category_entry(category)
    return catalogue.local(entry["claim"]) if entry else ""


@register.filter
def category_id(category):
    entry = _category_entry(category) if category else None
    return entry["id"] if entry else ""


_ATTRIBUTES_DE = {
    "material": "Material",
    "weight": "Gewicht",
    "volume": "Inhalt",
    "precision": "Genauigkeit",
    "size": "Größe",
    "roast": "Röstung",
    "cups": "Tassen",
    "season": "Jahreszeiten",
    "comfort": "Komfortbereich",
    "rvalue": "R-Wert",
    "lumen": "Lumen",
    "battery": "Akku",
    "column": "Wassersäule",
    "blade": "Klinge",
    "light": "Lichtfarbe",
    "pages": "Seiten",
    "paper": "Papier",
    "nib": "Feder",
    "warranty": "Garantie",
    "length": "Länge",
    "layout": "Belegung",
    "load": "Tragkraft",
    "grade": "Härte",
    "steel": "Stahl",
    "hardness": "Härte",
    "grit": "Körnung",
    "height": "Höhe",
    "burn": "Brenndauer",
    "pieces": "Stück",
}


_VALUES_DE = {
    "steel": "Stahl",
    "ash": "Esche",
    "stoneware": "Steinzeug",
    "glass": "Glas",
    "oak": "Eiche",
    "cherry": "Kirsche",
    "cotton": "Baumwolle",
    "linen": "Leinen",
    "wool": "Wolle",
    "merino": "Merinowolle",
    "medium": "mittel",
    "dark": "dunkel",
    "years": "Jahre",
}


@register.filter
def attribute_value(text):
    """Return an attribute's value in the shopper's language: a few words, and the comma in numbers."""
    if not (get_language() or "en").startswith("de"):
        return text
    text = re.sub(r"[a-z]+", lambda word: _VALUES_DE.get(word[0], word[0]), text)
    return re.sub(r"(?<=\d)[.,](?=\d)", lambda mark: "," if mark[0] == "." else ".", text)


@register.filter
def attribute(name):
    """Return an attribute's name in the shopper's language."""
    if (get_language() or "en").startswith("de"):
        return _ATTRIBUTES_DE.get(name, name.capitalize())
    return {"rvalue": "R-value", "column": "Water column"}.get(name, name.capitalize())


@register.filter
def accessories(basket):
    """Return the shop's own pick: complements of what lies in the basket, never what lies there already."""
    lines = list(basket.all_lines())
    inside = {line.product.upc for line in lines}
    wanted = []
    for line in lines:
        for upc in (catalogue.by_id().get(line.product.upc) or {}).get("complements", []):
            if upc not in inside and upc not in wanted:
                wanted.append(upc)
    found = Product.objects.in_bulk(wanted[:3], field_name="upc")
    return [found[upc] for upc in wanted[:3] if upc in found]


LAYOUT_TOKENS = {"density": ("cosy", "compact"), "summary": ("first", "last"), "accent": ("green", "clay", "ink")}


@register.filter
def layout_attributes(content):
    """Return the layout tokens this shop knows, as attributes; anything else is ignored."""
    tokens = (content or {}).get("tokens", {})
    known = [(name, value) for name, values in LAYOUT_TOKENS.items() for value in values if tokens.get(name) == value]
    return format_html_join(" ", 'data-{}="{}"', known)


@register.filter
def number(value):
    """Write a number for an attribute, whatever the language; nothing else gets through."""
    return f"{value:d}" if isinstance(value, int) else "0"
