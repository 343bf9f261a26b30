"""Whoever wants more from offers than was granted, or to have less said beside the price."""

from collections.abc import Iterator

import msgspec
import pytest

from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.declarations import Settings
from cashwrap.errors import Conflict
from cashwrap.offers.markets import rules_for
from cashwrap.request import DecideRequest
from engines import LIVE, START, TestClock, memory_world
from offer_shop import CART, OfferShop, offer_shop

PERSONAL = """
shop: {currency: EUR, country_header: x-country, no_personal_prices: [FR]}
features:
  views: {count: Product Viewed}
placements:
  spot: {component: message}
offers:
  seen:
    when: views >= 1
    benefit: {percent: 20}
  once: {benefit: {amount: 1}, codes: shared, limits: {shopper: 1}}
  many: {benefit: {amount: 1}, codes: shared}
experiences:
  seen: {in: spot, offer: seen, show: {text: {en: "{offer.amount} off"}}}
"""
MIRA = {"anonymousId": "mira-1"}
NO_TOKEN = {"items": CART["items"]}
UNION, NEW_YORK, NONE = "eu-crd-6-1-ea", "us-ny-gbl-349-a", "no price"


@pytest.fixture
def shop() -> Iterator[OfferShop]:
    with offer_shop(memory_world(TestClock()), PERSONAL) as shop:
        shop.shop.consents(MIRA)
        shop.shop.keeps(shop.shop.views(MIRA))
        yield shop


# --- what must be said beside a price ---


@pytest.mark.parametrize(
    ("header", "location", "trusted", "said"),
    [
        ("US", {}, False, NEW_YORK),
        ("US", {"country": "DE"}, False, NEW_YORK),
        ("FR", {"country": "JP"}, False, NONE),
        ("JP", {"country": "FR"}, False, NONE),
        ("DE", {"country": "DE"}, False, UNION),
        ("US", {"country": "DE"}, True, UNION),
        ("US", {"country": "US", "region": "ZZ"}, False, NEW_YORK),
        ("US", {"country": "US", "region": "TX"}, False, "general"),
    ],
)
def test_a_page_that_says_it_is_elsewhere_is_under_the_stricter_law(
    shop: OfferShop, header: str, location: dict[str, str], trusted: bool, said: str
) -> None:
    caller = shop.shop.caller(trusted=trusted)
    caller = msgspec.structs.replace(caller, facts=msgspec.structs.replace(caller.facts, country=header))
    context = {"cart": CART, "currency": "EUR", "location": location}
    asked = msgspec.convert({"shopper": MIRA, "context": context, "placements": ["spot"]}, DecideRequest)
    answer = msgspec.json.decode(shop.engine.decide(asked, caller))["placements"]["spot"]
    assert (answer["offer"]["disclosure"]["id"] if "offer" in answer else NONE) == said


@pytest.mark.parametrize("nowhere", ["XX", "T1", "ZZ", "EU", "AP", "A1", "QQ", "", "  "])
def test_what_is_no_country_leads_out_of_no_law(nowhere: str) -> None:
    strict = Settings(markets=("DE", "FR"), no_personal_prices=("FR",))
    assert rules_for(nowhere, None, START, strict).no_personal_prices
    assert rules_for(nowhere, None, START, Settings(markets=("US",))).id == NEW_YORK


@pytest.mark.parametrize("nowhere", ["ZZ", "NYC", "N Y", "1", "US-", "N.Y."])
def test_what_is_no_part_of_the_country_leads_out_of_no_law(nowhere: str) -> None:
    assert rules_for("US", nowhere, START, Settings()).id == NEW_YORK
    assert rules_for("US", "TX", START, Settings()).id == "general"
    assert rules_for("DE", nowhere, START, Settings()).id == UNION


def test_a_retry_says_what_must_be_said_also_after_the_token(shop: OfferShop) -> None:
    token = shop.grant(MIRA, "spot")["token"]
    first = shop.reserve("key", token=token, shopper=MIRA)
    assert first.disclosure is not None
    shop.clock.wait(minutes=31)
    assert shop.reserve("key", token=token, shopper=MIRA) == first


# --- limits ---


@pytest.mark.parametrize(
    "names",
    [
        ("Straße 1", "STRASSE 1", "  strasse   1 "),
        ("Café 1", "Cafe\u0301 1", "CAF\u00c9 1"),
        ("Main 1", "\uff2d\uff41\uff49\uff4e\u3000\uff11", "Ma\u200bin 1", "Main\u00ad 1"),
    ],
)
def test_a_look_alike_of_an_address_is_no_other_shopper(shop: OfferShop, names: tuple[str, ...]) -> None:
    code = shop.code("once", uses=100)
    shop.reserve(cart=NO_TOKEN, code=code, identities={"address": names[0]})
    for name in names:
        with pytest.raises(Conflict) as refused:
            shop.reserve(cart=NO_TOKEN, code=code, identities={"address": name})
        assert refused.value.code == "limit_reached"
    shop.reserve(cart=NO_TOKEN, code=code, identities={"address": "another street 1"})


# --- the same key ---


def test_taking_back_what_was_not_there_yet_is_remembered_too(shop: OfferShop) -> None:
    assert shop.take_back("key", order="order-1") == []
    held = shop.reserve(cart=NO_TOKEN, code=shop.code("many"))
    shop.redeem(held, "order-1")
    assert shop.take_back("key", order="order-1") == []
    with pytest.raises(Conflict) as reused:
        shop.take_back("key", order="order-2")
    assert reused.value.code == "idempotency_key_reused"
    assert [each.state for each in shop.take_back(order="order-1")] == ["rolled_back"]


def test_no_key_of_a_shop_is_one_of_ours(shop: OfferShop) -> None:
    """The second change of one request goes by a key that no shop can send."""
    for _ in range(3):
        shop.redeem(shop.reserve(cart=NO_TOKEN, code=shop.code("many")), "order-1")
    other = shop.reserve(cart=NO_TOKEN, code=shop.code("many"))
    shop.release(other, "key/1")
    assert [each.state for each in shop.take_back("key", order="order-1")] == ["rolled_back"] * 3
    shop.check()


def test_no_key_is_kept_as_it_was_sent(shop: OfferShop) -> None:
    """A key may say who the shopper is, and would outlive their being forgotten."""
    code = shop.code("many")
    shop.reserve("mira@example.com-1", cart=NO_TOKEN, code=code)
    ledger = shop.engine.world.ledger
    assert isinstance(ledger, SqliteLedger)
    kept = ledger._read(lambda run: run("answer", tenant="default/live", key="shop:mira@example.com-1"))
    assert kept == []
    with pytest.raises(Conflict) as reused:
        shop.reserve("mira@example.com-1", cart=CART, code=code)
    assert reused.value.code == "idempotency_key_reused"


# --- refunds ---


def test_a_refund_in_another_currency_gives_nothing_back(shop: OfferShop) -> None:
    """Five yen are not five euros: the order's book does not count it, nor may the offers."""
    backend = {"userId": "mira"}
    shop.shop.consents(backend, trusted=True)
    shop.shop.keeps(shop.shop.orders(backend, "order-1", 100), trusted=True)
    held = shop.redeem(shop.reserve(cart=NO_TOKEN, code=shop.code("many"), shopper=backend), "order-1")
    shop.tend()

    def refund(total: float, currency: str) -> str:
        facts = {"order_id": "order-1", "total": total, "currency": currency}
        shop.shop.keeps(shop.shop.event(event="Order Refunded", properties=facts, **backend), trusted=True)
        shop.tend()
        shop.tend()
        return shop.engine.offering.desk.reservation(LIVE, held.id).amount

    assert [refund(50, "JPY"), refund(50, "EUR"), refund(50, "USD")] == ["1.00", "0.50", "0.50"]
    shop.check()
