"""The seed catalogue, in memory: texts in both languages, pictures, complements."""

import json
from functools import cache
from pathlib import Path

from babel import Locale
from django.utils.translation import get_language

SEED = Path(__file__).resolve().parent.parent / "seed"


@cache
def seed():
    return json.loads((SEED / "catalogue.json").read_text(encoding="utf-8"))


@cache
def by_id():
    return {product["id"]: product for product in seed()["products"]}


@cache
def categories():
    return {category["id"]: category for category in seed()["categories"]}


def local(texts):
    """Return the text in the language of the request, English otherwise."""
    return texts.get((get_language() or "en")[:2]) or texts["en"]


def title(product):
    """Return an Oscar product's title in the shopper's language; products made by hand keep their own."""
    entry = by_id().get(product.upc)
    return local(entry["title"]) if entry else product.get_title()


def country(found):
    """Return a country's name in the shopper's language."""
    return Locale((get_language() or "en")[:2]).territories.get(found.pk) or found.printable_name


def picture(product_id):
    return f"/media/products/{product_id.lower()}.svg"
