"""What sells best without any model: counted from new facts of orders, and seen by product lists."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cashwrap import sold
from cashwrap.adapters.parquet import Fact
from cashwrap.catalogues import Catalogues
from cashwrap.history import write_facts
from cashwrap.history.selling import count
from cashwrap.model import Product
from cashwrap.sold import HALF_LIFE, Sold, added, reordered
from engines import GRANTED, LIVE, Shop, TestClock, memory_world, shop_over

ANN = {"userId": "ann"}
PAGE = {"anonymousId": "anon-aaaaaaaaaaaaaaaa"}
CAPS, MUGS = ["cap-a", "cap-b"], ["mug-a", "mug-b"]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def shop(clock: TestClock) -> Iterator[Shop]:
    world = memory_world(clock)
    world.catalogue.upsert(LIVE, [Product(name, price=100, category=name[:3]) for name in CAPS + MUGS])
    with shop_over(world) as shop:
        shop.consents(ANN, trusted=True, **GRANTED)
        yield shop


def buy(shop: Shop, order: str, *, trusted: bool = True, **pieces: int) -> None:
    products = [{"product_id": name.replace("_", "-"), "quantity": count} for name, count in pieces.items()]
    who = ANN if trusted else PAGE
    assert shop.keeps(shop.orders(who, order, 5.0, products=products), trusted=trusted).stored == 1


def pieces(shop: Shop) -> dict[str, float]:
    return sold.read(shop.engine.world.registry, LIVE).pieces


class TestCounting:
    def test_adds_pieces(self) -> None:
        first = added(Sold(LIVE, 0), [("a", 2), ("b", 1), ("a", 1)], 5)
        assert first == Sold(LIVE, 0, {"a": 3, "b": 1})
        assert added(first, [("b", 3)], 6).pieces == {"b": 4, "a": 3}

    def test_halves_every_30_days(self) -> None:
        old = Sold(LIVE, 0, {"a": 3})
        assert added(old, [("b", 1)], HALF_LIFE - 1).pieces == {"a": 3, "b": 1}
        assert added(old, [("b", 1)], HALF_LIFE + 9) == Sold(LIVE, HALF_LIFE, {"a": 1.5, "b": 1})
        assert added(old, [("b", 1)], 2 * HALF_LIFE) == Sold(LIVE, 2 * HALF_LIFE, {"b": 1, "a": 0.75})
        assert added(Sold(LIVE, 50, {"a": 3}), [], 0) == Sold(LIVE, 50, {"a": 3})  # a clock that was set back

    def test_keeps_the_most_sold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sold, "MOST", 2)
        assert added(Sold(LIVE, 0), [("a", 1), ("b", 3), ("c", 2), ("d", 0)], 0).pieces == {"b": 3, "c": 2}

    def test_tells_another_order_of_products(self) -> None:
        before = Sold(LIVE, 0, {"a": 3, "b": 1})
        assert not reordered(before, added(before, [("b", 1)], HALF_LIFE // 2))
        assert reordered(before, added(before, [("b", 3)], 0))


class TestFromFacts:
    def test_counts_new_orders_once(self, shop: Shop, tmp_path: Path) -> None:
        buy(shop, "order-1", mug_b=2, cap_b=1)
        buy(shop, "order-2", mug_b=1)
        for _ in range(2):
            write_facts(shop.engine.world, tmp_path)
            assert pieces(shop) == {"mug-b": 3, "cap-b": 1}
        buy(shop, "order-3", cap_b=4)
        write_facts(shop.engine.world, tmp_path)
        assert pieces(shop) == {"mug-b": 3, "cap-b": 5}

    def test_counts_an_order_that_was_reported_twice_once(self, shop: Shop, tmp_path: Path) -> None:
        buy(shop, "order-1", mug_b=2)
        buy(shop, "order-1", mug_b=2)
        write_facts(shop.engine.world, tmp_path)
        assert pieces(shop) == {"mug-b": 2}

    def test_begins_anew_with_again_and_without_a_table(self, shop: Shop, tmp_path: Path) -> None:
        buy(shop, "order-1", mug_b=2)
        write_facts(shop.engine.world, tmp_path / "one")
        write_facts(shop.engine.world, tmp_path / "one", again=True)
        assert pieces(shop) == {"mug-b": 2}
        write_facts(shop.engine.world, tmp_path / "other")
        assert pieces(shop) == {"mug-b": 2}

    def test_leaves_out_what_a_page_reports(self, shop: Shop, tmp_path: Path) -> None:
        shop.consents(PAGE)
        buy(shop, "order-1", trusted=False, mug_b=2)
        assert write_facts(shop.engine.world, tmp_path) > 0
        assert pieces(shop) == {}

    def test_leaves_out_what_the_catalogue_does_not_know(self, shop: Shop, tmp_path: Path) -> None:
        """It may be one shopper's own words, which nobody could take out again."""
        buy(shop, "order-1", mug_b=2, ann_smiths_ring=1)
        write_facts(shop.engine.world, tmp_path)
        assert pieces(shop) == {"mug-b": 2}

    def test_leaves_out_bots_and_the_shops_own_people(self, shop: Shop) -> None:
        def order(flags: int, product: str) -> Fact:
            return Fact(
                "default", "live", bytes(16), 0, 0, "Order Completed", (product,), (1,), flags=flags, trusted=True
            )

        count(shop.engine.world, [order(1, "cap-a"), order(2, "cap-b"), order(0, "mug-a")])
        assert pieces(shop) == {"mug-a": 1}

    def test_what_sold_long_ago_counts_less(self, shop: Shop, clock: TestClock, tmp_path: Path) -> None:
        buy(shop, "order-1", mug_b=3)
        write_facts(shop.engine.world, tmp_path)
        clock.wait(days=31)
        buy(shop, "order-2", mug_a=2)
        write_facts(shop.engine.world, tmp_path)
        assert pieces(shop) == {"mug-a": 2, "mug-b": 1.5}


class TestLists:
    def test_go_by_what_sold_once_refreshed(self, shop: Shop, tmp_path: Path) -> None:
        catalogues = shop.engine.catalogues
        assert catalogues.of(LIVE).popular == (*CAPS, *MUGS)
        before = catalogues.of(LIVE).version
        buy(shop, "order-1", mug_b=2, cap_b=1)
        write_facts(shop.engine.world, tmp_path)
        shop.engine.refresh()
        snapshot = catalogues.of(LIVE)
        assert snapshot.popular == ("mug-b", "cap-b", "cap-a", "mug-a")
        assert snapshot.by_category == {"mug": ("mug-b", "mug-a"), "cap": ("cap-b", "cap-a")}
        assert snapshot.version > before  # as records and a backtest tell a changed catalogue

    def test_stay_where_the_order_stays(self, shop: Shop, tmp_path: Path) -> None:
        buy(shop, "order-1", mug_b=2)
        world = shop.engine.world
        write_facts(world, tmp_path)
        catalogues = Catalogues(world.catalogue, world.registry)
        snapshot = catalogues.of(LIVE)
        buy(shop, "order-2", mug_b=2)
        write_facts(world, tmp_path)
        catalogues.refresh()
        assert pieces(shop) == {"mug-b": 4}
        assert catalogues.of(LIVE) is snapshot

    def test_lose_their_order_where_no_order_is_left(self, shop: Shop, tmp_path: Path) -> None:
        world = shop.engine.world
        sold.write(world.registry, Sold(LIVE, 0, {"mug-b": 2}))
        catalogues = Catalogues(world.catalogue, world.registry)
        assert catalogues.of(LIVE).popular[0] == "mug-b"
        write_facts(world, tmp_path)
        catalogues.refresh()
        assert catalogues.of(LIVE).popular[0] == "cap-a"
        assert sold.every(world.registry) == []
