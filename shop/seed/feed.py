"""Write `feed.json`, the product feed that `cashwrap catalog import` reads, from the seed catalogue.

    python shop/seed/feed.py           # after a change of catalogue.json

A real shop exports this from its database every night; prices and stock may then be patched through the API.
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent


def rows(catalogue):
    """Return one row for each product. `title` is English; other languages ride along in `titles`."""
    return [
        {
            "id": product["id"],
            "title": product["title"]["en"],
            "titles": product["title"],
            "price": product["price"],
            "cost": product["cost"],
            "currency": catalogue["currency"],
            "stock": product["stock"],
            "category": product["category"],
            "brand": product["brand"],
            "attributes": product["attributes"],
            "locale": "en",
            "complements": product["complements"],
            "sensitive": product["sensitive"],
            "url": f"/p/{product['id']}/",
            "image": f"/media/products/{product['id'].lower()}.svg",
        }
        for product in catalogue["products"]
    ]


def text():
    """Return the feed as committed: one product a line, so that a change is one line of a diff."""
    catalogue = json.loads((HERE / "catalogue.json").read_text(encoding="utf-8"))
    lines = [json.dumps(row, ensure_ascii=False) for row in rows(catalogue)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    (HERE / "feed.json").write_text(text(), encoding="utf-8")
