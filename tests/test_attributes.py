"""The table of attributes against what the rooms really bring: a name or a type that drifts is seen."""

from decimal import Decimal
from pathlib import Path

import pytest

from cashwrap.attributes import ATTRIBUTES, ROOTS, Attribute
from cashwrap.condition.environment import Type
from cashwrap.events import RequestFacts
from cashwrap.model import Value
from cashwrap.networks import compile_networks
from cashwrap.playbook import Playbook, examine
from cashwrap.request import App, Cart, CartItem, Checkout, Device, Location, Page, PageContext, describe
from walks import Shopper

EVERYTHING = PageContext(
    page=Page(path="/checkout/", type="payment"),
    device=Device(type="mobile", os="ios", browser="safari", os_version="17.4", browser_version="17.4.1"),
    app=App(version="2.10.0"),
    locale="de-AT",
    currency="EUR",
    time_zone="Europe/Vienna",
    location=Location(country="AT", region="Wien", source="delivery"),
    cart=Cart(total=Decimal("19.50"), count=3, items=[CartItem(id="p", quantity=3, category="coffee")]),
    checkout=Checkout(step="payment", payment_methods=["card"], delivery_methods=["standard"], saved_method="card"),
)
HOLDS = {
    Type.BOOL: bool,
    Type.STRING: str,
    Type.NUMBER: int,
    Type.MONEY: int,
    Type.STRING_SET: frozenset,
    Type.TIME: int,
    Type.VERSION: str,
}


@pytest.fixture(scope="module")
def values() -> dict[str, Value]:
    playbook, _ = examine({"a.yaml": "offers:\n  five: {benefit: {amount: 5}}\n"})
    assert isinstance(playbook, Playbook)
    shopper = Shopper(playbook, granted=("personalization", "analytics")).is_called("u1", first_name="Ada")
    line = {"product_id": "p", "category": "coffee", "price": 6.5, "quantity": 2}
    shopper.does("Product Added", browser=True, **line).wait(days=2)
    shopper.does("Product Added to Wishlist", browser=True, product_id="q").does("Product Added", browser=True, **line)
    found = dict(shopper.inputs(EVERYTHING).values)
    browser = RequestFacts(shopper.now, "key", ip="192.0.2.7", country="DE")
    describe(found, browser, compile_networks({"office": ["192.0.2.0/24"]}), trusted=False)
    return found


def test_every_attribute_is_brought_with_its_type(values: dict[str, Value]) -> None:
    for attribute in ATTRIBUTES:
        if attribute.source == "model":
            continue  # tests/test_predicting.py brings them
        assert attribute.path in values, f"{attribute.path} is declared and never there"
        assert type(values[attribute.path]) is HOLDS[attribute.type], attribute.path


def test_nothing_else_is_brought(values: dict[str, Value]) -> None:
    declared = {attribute.path for attribute in ATTRIBUTES}
    extra = {path for path in values if path not in declared and not path.startswith(("consent.", "traits."))}
    assert extra == set()
    assert {path.partition(".")[0] for path in values} <= ROOTS


def test_every_attribute_is_in_the_reference() -> None:
    text = (Path(__file__).parents[1] / "docs" / "reference" / "playbook.md").read_text()
    assert [each.path for each in ATTRIBUTES if f"| `{each.path}` | {each.type.value} | {each.doc} |" not in text] == []


def test_planted_an_attribute_nobody_brings_is_seen(values: dict[str, Value], monkeypatch: pytest.MonkeyPatch) -> None:
    drifted = (*ATTRIBUTES, Attribute("cart.totals", Type.MONEY, "misspelled"))
    monkeypatch.setattr("test_attributes.ATTRIBUTES", drifted)
    with pytest.raises(AssertionError, match=r"cart\.totals is declared and never there"):
        test_every_attribute_is_brought_with_its_type(values)
