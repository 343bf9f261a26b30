"""What of an event becomes a column: everything that a question may ask, and nothing that says who it was."""

from typing import Any

import msgspec
import pytest

from cashwrap import codec
from cashwrap.adapters.parquet import Fact
from cashwrap.adapters.vault import MemoryVault
from cashwrap.declarations import Condition, MetricDecl
from cashwrap.enrich import enrich
from cashwrap.folding import read_events
from cashwrap.history.columns import Making
from cashwrap.model import Event, Flag, Line, Number, Product, Purpose, Tenant, Where
from engines import SeededRandom

DAY = 86_400_000
TENANT = Tenant("acme", "live")
ALLOWED = Purpose.NECESSARY | Purpose.ANALYTICS
VAULT = MemoryVault(SeededRandom())


def event(name: str = "Order Completed", mask: int = ALLOWED, **properties: object) -> Event:
    return Event(
        id="m1",
        name=name,
        time=20_000 * DAY + 5,
        received=20_000 * DAY + 9,
        mask=mask,
        source="web",
        anonymous_id="canary-anonymous",
        user_id="canary-user",
        email_hash="canary-mail",
        cart_token="canary-cart",
        traits={"first_name": "canary-name"},
        properties=properties,
        where=Where(device="mobile", country="DE", browser="firefox", path="/canary-path"),
        trusted=True,
    )


def made(told: Event, tenant: Tenant = TENANT, **metrics: MetricDecl) -> Fact:
    fact = Making(VAULT.digest, metrics).fact(tenant, told, analytic_id=b"a" * 16, session_start=7)
    assert fact is not None
    return fact


def digest(*parts: str) -> bytes:
    return VAULT.digest("facts", *parts)[:8]


def test_an_order_becomes_a_fact_without_payload_or_identity() -> None:
    lines = [Line("shoe", 2, 4_999, name="canary", cost=2_000), Line("sock")]
    money = {"total": 10_498, "revenue": 9_998, "subtotal": 9_000, "discount": 500, "shipping": 400, "tax": 1_598}
    order = event(
        products=lines, currency="EUR", coupon="canary-coupon", order_id="canary-order", payment_method="card", **money
    )
    fact = made(order)
    assert fact == Fact(
        store="acme",
        environment="live",
        analytic_id=b"a" * 16,
        session_start=7,
        time=20_000 * DAY + 5,
        event="Order Completed",
        product_ids=("shoe", "sock"),
        quantities=(2, 1),
        prices=(4_999, None),
        amount=10_498,
        currency="EUR",
        mask=3,
        device="mobile",
        country="DE",
        trusted=True,
        received=20_000 * DAY + 9,
        browser="firefox",
        order=digest("order", "acme", "live", "canary-order"),
        cart=digest("cart", "acme", "live", "canary-cart"),
        subtotal=9_000,
        discount=500,
        shipping=400,
        tax=1_598,
        cost=4_000,
        quantity=3,
        method="card",
    )
    assert b"canary" not in msgspec.json.encode(fact)


def test_an_order_has_another_digest_in_another_store_and_folder() -> None:
    order = event(order_id="o1")
    here = made(order).order
    assert here is not None
    assert len(here) == 8
    assert made(order, Tenant("acme", "test")).order != here != made(order, Tenant("other", "live")).order
    other = Making(MemoryVault(SeededRandom(2)).digest, {})
    elsewhere = other.fact(TENANT, order, analytic_id=b"a" * 16)
    assert elsewhere is not None
    assert elsewhere.order != here
    assert made(event("Order Refunded", order_id="o1", value=5)).order == here, "the same in every event of the order"


def test_the_cart_is_found_where_an_event_lost_its_token_to_another_shopper() -> None:
    stripped = msgspec.structs.replace(event(cart_id="c1"), cart_token=None)
    assert made(stripped).cart == digest("cart", "acme", "live", "c1")
    assert made(msgspec.structs.replace(event(), cart_token=None)).cart is None


def test_a_single_product_and_a_lesser_amount_are_read_too() -> None:
    viewed = made(event("Product Viewed", product_id="shoe", price=4_999, quantity=3, value=7))
    assert (viewed.product_ids, viewed.quantities, viewed.prices, viewed.amount) == (("shoe",), (3,), (4_999,), 7)
    assert (viewed.quantity, viewed.cost) == (3, None)
    bare = made(event("Product Viewed"))
    assert (bare.product_ids, bare.amount, bare.currency, bare.quantity) == ((), None, None, None)


def test_what_an_offer_cost_and_a_step_are_columns() -> None:
    spent = made(event("Offer Redeemed", offer="spring", amount=500, currency="EUR", order_id="o1"))
    assert (spent.offer, spent.amount, spent.order) == ("spring", 500, digest("order", "acme", "live", "o1"))
    step = made(event("Checkout Step Viewed", step="shipping", shipping_method="express"))
    assert (step.step, step.method) == ("shipping", "express")


@pytest.mark.parametrize("mask", [0, Purpose.NECESSARY, Purpose.PERSONALIZATION | Purpose.ADVERTISING])
def test_without_analytics_there_is_no_fact(mask: int) -> None:
    assert Making(VAULT.digest, {}).fact(TENANT, event(mask=mask), analytic_id=b"a" * 16) is None


def test_bots_are_kept_and_marked() -> None:
    assert made(msgspec.structs.replace(event(), flags=Flag.BOT)).flags == Flag.BOT


PROVEN: dict[str, Any] = {
    "experience": "greeting",
    "variation": "formal",
    "experiment": "greeting-2",
    "outcome": "control",
    "held": "experiment",
    "propensity": 5_000,
    "decision": "ab" * 12,
    "level": "profile",
    "placement": "banner",
    "playbook": "abcd",
    "latency": 41,
}


def test_an_exposure_has_what_its_token_proved() -> None:
    shown = made(event("Experience Viewed", **PROVEN, segments=["new", "rich"]))
    assert {name: getattr(shown, name) for name in PROVEN} == PROVEN
    assert shown.segments == ("new", "rich")
    bought = made(event(**PROVEN, segments=["new"]))
    nothing = dict.fromkeys(PROVEN)
    assert {name: getattr(bought, name) for name in PROVEN} == nothing, "only exposures carry what a token proved"
    assert bought.segments == ()


def test_a_value_of_another_type_is_left_out() -> None:
    strange = made(event("Experience Dismissed", experience=3, propensity="much", level="x", segments="new"))
    assert (strange.experience, strange.propensity, strange.level, strange.segments) == (None, None, "x", ())
    assert made(event("Experience Viewed", propensity=10**6)).propensity is None, "or the column could not hold it"
    order = made(event(total=True, order_id=7, subtotal=Number("1.5")))
    assert (order.amount, order.order, order.subtotal) == (None, None, None)


def test_only_fields_that_a_metric_asks_for_are_measures() -> None:
    told = event("Quiz Answered", score=Number("0.25"), hints=3, sure=True, amount=5, tag="x")
    score = MetricDecl("score", "mean", ("Quiz Answered",), of="score", where=Condition("hints > 1 && amount > 2"))
    ratio = MetricDecl("sure", "ratio", ("Quiz Answered",), of="hints", per=("Quiz Answered",), per_of="sure")
    assert made(told).measures == {}
    assert made(told, score=score).measures == {"score": 0.25, "hints": 3.0}
    assert made(told, ratio=ratio).measures == {"hints": 3.0}, "a truth is no number"


def test_absurd_amounts_stay_within_their_columns() -> None:
    huge = [Line("a", 10**12, 1, cost=10**13)] * 500
    fact = made(event(products=huge))
    assert fact.cost is not None
    assert fact.quantity is not None
    assert max(fact.cost, fact.quantity) < 2**63


CATALOGUE = {"shoe": Product("shoe", price=4_999, cost=2_100), "sock": Product("sock", price=500)}


class TestCost:
    def test_an_order_takes_what_its_products_cost_then(self) -> None:
        order = enrich(event(products=[Line("shoe", 2), Line("sock"), Line("unknown")]), CATALOGUE)
        assert order is not None
        assert [line.cost for line in order.properties["products"]] == [2_100, None, None]  # type: ignore[attr-defined]
        assert made(order).cost == 4_200
        (logged,) = read_events(codec.encode([order]))
        assert made(logged).cost == 4_200, "whatever the catalogue says when facts are made"

    @pytest.mark.parametrize("name", ["Cart Viewed", "Order Refunded", "Checkout Started", "Product List Viewed"])
    def test_nothing_else_does(self, name: str) -> None:
        seen = enrich(event(name, products=[Line("shoe", 2)]), CATALOGUE)
        assert seen is not None
        assert made(seen).cost is None

    def test_lines_from_before_still_read(self) -> None:
        old = codec.encode([event(products=[["shoe", 2, 4_999, "shoes", "brand", "Shoe", "sku", "blue", "CODE"]])])
        (told,) = read_events(old)
        assert told.properties["products"] == [
            Line("shoe", 2, 4_999, "shoes", "brand", "Shoe", "sku", "blue", "CODE", None)
        ]
