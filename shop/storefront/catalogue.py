"""The seed catalogue, in memory: texts in both languages, pictures, complements, and the feed for cashwrap."""

import json
from functools import cache
from pathlib import Path

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


def picture(product_id):
    return f"/media/products/{product_id.lower()}.svg"


def feed(url_of):
    """Return the product feed that `cashwrap catalog import` reads. `url_of` gives a product's page.

    One row for each product; German titles ride along as `title_de`.
    """
    rows = []
    for product in seed()["products"]:
        rows.append(
            {
                "id": product["id"],
                "title": product["title"]["en"],
                "titles": product["title"],
                "price": product["price"],
                "cost": product["cost"],
                "currency": seed()["currency"],
                "stock": product["stock"],
                "category": product["category"],
                "brand": product["brand"],
                "attributes": product["attributes"],
                "locale": "en",
                "complements": product["complements"],
                "sensitive": product["sensitive"],
                "url": url_of(product["id"]),
                "image": picture(product["id"]),
            }
        )
    return rows
