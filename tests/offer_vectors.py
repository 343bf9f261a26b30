"""Writes spec/vectors/offers.json: cart hashes and what benefits take off, for every language.

Run ``python tests/offer_vectors.py`` after changing a case. Expectations come from the naive second opinion here, which
lays every piece of a cart on the table and calculates with fractions, never from the code under test.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent.parent / "spec" / "vectors" / "offers.json"
DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
Document = dict[str, Any]

# --- a naive second opinion ---


def text_of(lines: list[Document], currency: str) -> str:
    """What is hashed: for each price of a product one row, written out."""
    rows: dict[tuple[str, str], int] = {}
    for line in lines:
        key = line["id"], "-" if line["price"] is None else str(line["price"])
        rows[key] = rows.get(key, 0) + line["quantity"]
    ordered = sorted(rows, key=lambda key: (key[0].encode(), key[1].encode()))
    told = [f"{name}\t{rows[name, price]}\t{price}" for name, price in ordered if rows[name, price] > 0]
    return "\n".join(["cashwrap cart v1", currency, *told])


def hashed(lines: list[Document], currency: str) -> str:
    return hashlib.sha256(text_of(lines, currency).encode()).hexdigest()


def minor(text: str, currency: str) -> Fraction:
    return Fraction(text) * Fraction(10) ** DIGITS[currency]


def off(benefit: Document, bundle: list[str], cart: Document) -> int:
    """What a benefit takes off, in minor units: of the pieces it is for, half a unit rounded up."""
    currency = cart["currency"]
    pieces = [
        (line["id"], line["price"])
        for line in cart["lines"]
        if line["price"] is not None
        for _ in range(line["quantity"])
    ]
    if bundle:
        apart = {name: sorted(price for product, price in pieces if product == name) for name in bundle}
        whole = min(len(prices) for prices in apart.values())
        base = sum(sum(prices[:whole]) for prices in apart.values())
    else:
        base = sum(price for _, price in pieces)
    if base <= 0:
        return 0
    if benefit["type"] == "free_delivery":
        chosen = cart.get("delivery") in benefit["methods"]
        return max(cart.get("shipping") or 0, 0) if chosen else 0
    if benefit["type"] == "free_item":
        return min([price for product, price in pieces if product == benefit["product"]], default=0)
    if benefit["type"] == "tiers":
        reached = [tier for tier in benefit["tiers"] if minor(tier["from"], currency) <= base]
        if not reached:
            return 0
        benefit = reached[-1]
    if "percent" in benefit:
        found = Fraction(base) * Fraction(benefit["percent"]) / 100
        most = [minor(benefit["most"], currency)] if "most" in benefit else []
        return min([floor(found + Fraction(1, 2)), *map(int, most)])
    return min(int(minor(benefit["amount"], currency)), base)


# --- cases ---


def line(product: str, price: int | None, quantity: int = 1) -> Document:
    return {"id": product, "quantity": quantity, "price": price}


CARTS: list[tuple[str, list[Document]]] = [
    ("EUR", []),
    ("EUR", [line("KC-C01", 8900)]),
    ("EUR", [line("KC-C01", 8900), line("KC-C02", 7400, 2)]),
    ("EUR", [line("KC-C02", 7400, 2), line("KC-C01", 8900)]),
    ("USD", [line("KC-C01", 8900), line("KC-C02", 7400, 2)]),
    ("EUR", [line("KC-C02", 7400), line("KC-C01", 8900), line("KC-C02", 7400)]),
    ("EUR", [line("KC-C02", 7400), line("KC-C02", 7000), line("KC-C02", 10000)]),
    ("EUR", [line("KC-C01", 8900, 0), line("KC-C02", 7400, 2)]),
    ("EUR", [line("KC-C01", None), line("KC-C01", 8900), line("KC-C01", None, 3)]),
    ("EUR", [line("a", 1), line("B", 1), line("é", 1), line("\uffee", 1), line("𝒳", 1), line("", 1), line("a b", 1)]),
    ("JPY", [line("茶", 1200, 1_000_000)]),
    ("KWD", [line("x", 999), line("x", -500)]),
    ("EUR", [line("free", 0, 3)]),
]
BENEFITS: list[tuple[Document, list[str]]] = [
    ({"type": "percentage", "percent": "10"}, []),
    ({"type": "percentage", "percent": "12.5", "most": "3.00"}, []),
    ({"type": "percentage", "percent": "0.01"}, []),
    ({"type": "percentage", "percent": "100"}, []),
    ({"type": "percentage", "percent": "15"}, ["a", "b"]),
    ({"type": "amount", "amount": "5.00"}, []),
    ({"type": "amount", "amount": "5.00"}, ["a", "b", "c"]),
    ({"type": "free_delivery", "methods": ["standard", "pickup"]}, []),
    ({"type": "free_delivery", "methods": ["express"]}, ["a"]),
    ({"type": "free_item", "product": "b"}, []),
    ({"type": "tiers", "tiers": [{"from": "1.00", "percent": "5"}, {"from": "20.00", "amount": "4.00"}]}, []),
    ({"type": "tiers", "tiers": [{"from": "0.50", "amount": "0.49"}, {"from": "3.00", "percent": "33.33"}]}, ["b"]),
]


def carts() -> Iterator[Document]:
    """Small carts, drawn once and for all; several lines of one product, prices that are not known or nothing."""
    yield {"currency": "EUR", "lines": [line("a", 333), line("a", 99, 2), line("b", 1250), line("c", 1000, 9)]}
    yield {
        "currency": "EUR",
        "lines": [line("b", 500), line("a", 7), line("a", 1250), line("b", 450, 0), line("d", 50)],
    }
    chance = random.Random(25)
    for _ in range(24):
        lines = [
            line(
                chance.choice("abcd"),
                chance.choice([None, 0, 1, 5, 99, 333, 1250, 4999]),
                chance.choice([0, 1, 1, 2, 7]),
            )
            for _ in range(chance.randrange(6))
        ]
        cart: Document = {"currency": "EUR", "lines": lines}
        if chance.random() < 0.7:
            cart |= {"shipping": chance.choice([0, 390, 990])}
        if chance.random() < 0.7:
            cart |= {"delivery": chance.choice(["standard", "express"])}
        yield cart


def cases() -> Iterator[Document]:
    for currency, lines in CARTS:
        told = {"text": text_of(lines, currency), "expected": hashed(lines, currency)}
        yield {"group": "hash", "currency": currency, "lines": lines, **told}
    for cart in carts():
        for benefit, bundle in BENEFITS:
            expected = off(benefit, bundle, cart)
            yield {"group": "amount", "benefit": benefit, "bundle": bundle, "cart": cart, "expected": expected}


def document() -> Document:
    about = "Cart hashes and what benefits take off; amounts in minor units, benefits as a grant tells them."
    return {"about": about, "cases": list(cases())}


def encode(value: Document) -> str:
    rows = ",\n".join(f"    {json.dumps(case, ensure_ascii=False)}" for case in value["cases"])
    return f'{{\n  "about": {json.dumps(value["about"])},\n  "cases": [\n{rows}\n  ]\n}}\n'


if __name__ == "__main__":
    PATH.write_text(encode(document()), encoding="utf-8")
