"""Which facts may be there at all: offers where analytics allows, and what a product costs the shop nowhere else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest

from cashwrap.adapters import parquet
from cashwrap.extract import LINE_FIELDS, lines, order_facts
from cashwrap.history import write_facts
from cashwrap.model import Line, Order, Product
from cashwrap.request import ShopperRef
from cashwrap.shoppers import describe
from engines import GRANTED, LIVE, Shop, TestClock, memory_world, shop_over
from offer_shop import offer_shop

ANN = {"anonymousId": "anon-aaaaaaaaaaaaaaaa"}
COST = 73_519


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in parquet.files_of(folder) for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]


@pytest.mark.parametrize("analytics", ["granted", "denied", ""])
def test_an_offer_is_a_fact_only_where_analytics_was_allowed_then(tmp_path: Path, analytics: str) -> None:
    """The ledger has no consent field: what it tells carries the shopper's own choice of that moment."""
    with offer_shop() as shop:
        choices = {"personalization": "granted", **({"analytics": analytics} if analytics else {})}
        shop.shop.consents(ANN, **choices)
        held = shop.reserve(token=shop.grant(ANN, "spring_spot")["token"], shopper=ANN)
        shop.redeem(held, "order-1")
        shop.tend()
        logged = [record for record in shop.engine.world.store.log() if record.kind == "events"]
        assert logged
        write_facts(shop.engine.world, tmp_path)
    found = {row["event"]: row for row in rows(tmp_path) if row["offer"]}
    if analytics != "granted":
        assert found == {}
        return
    spent = found["Offer Redeemed"]
    assert (spent["offer"], spent["amount"], spent["currency"]) == ("spring", 495, "EUR")
    assert spent["order"] is not None
    assert spent["mask"] & 2


def test_an_order_of_a_backend_is_a_fact_only_by_the_shoppers_choice(tmp_path: Path) -> None:
    world = memory_world(TestClock())
    with shop_over(world) as shop:
        for number, choice in enumerate(("granted", "denied", "")):
            user = {"userId": f"user-{number}"}
            if choice:
                shop.consents(user, trusted=True, **{**GRANTED, "analytics": choice})
            assert shop.keeps(shop.orders(user, f"order-{number}", 5.0), trusted=True).stored == 1
        write_facts(world, tmp_path)
    assert [row["amount"] for row in rows(tmp_path) if row["event"] == "Order Completed"] == [500]


class TestCost:
    @pytest.fixture
    def shop(self) -> Iterator[Shop]:
        world = memory_world(TestClock())
        world.catalogue.upsert(LIVE, [Product("mug-1", price=100_000, cost=COST)])
        with shop_over(world) as shop:
            shop.consents(ANN)
            bought = [{"product_id": "mug-1", "quantity": 3}]
            shop.keeps(shop.orders({"userId": "ann", **ANN}, "order-1", 3_000.0, products=bought), trusted=True)
            yield shop

    def test_is_in_the_facts_of_the_order(self, shop: Shop, tmp_path: Path) -> None:
        write_facts(shop.engine.world, tmp_path)
        [order] = [row for row in rows(tmp_path) if row["event"] == "Order Completed"]
        assert (order["cost"], order["quantity"]) == (3 * COST, 3)

    def test_is_told_to_nobody(self, shop: Shop) -> None:
        """Not to a page, not in a bundle, and not to the shopper who asks what is held: it is the shop's own."""
        who = {"userId": "ann"}
        told: list[object] = [
            shop.decide(shopper=who, context={"cart": {"items": [{"id": "mug-1", "quantity": 1, "price": 1000}]}}),
            shop.decide(shopper=who, trusted=True, explain=True, placements=["basket_message"]),
            shop.explained(who),
            describe(shop.engine, ShopperRef(user_id="ann"), shop.caller(trusted=True)),
        ]
        profile = shop.profile(user="ann")
        assert profile is not None
        assert profile.orders["order-1"].lines[0].cost == COST
        held = b"".join(msgspec.json.encode(each, enc_hook=str) for each in told)
        assert str(COST).encode() not in held
        assert str(COST / 100).encode() not in held

    def test_is_nothing_that_a_feature_or_condition_can_read(self) -> None:
        assert "cost" not in LINE_FIELDS
        held = Order("o", 0, lines=[Line("mug-1", cost=COST)], state="completed", stamps={"completed": (0, "m")})
        facts = order_facts(held, "Order Completed", "EUR")
        assert facts is not None
        assert all("cost" not in line and COST not in line.values() for line in lines(facts[0]))
