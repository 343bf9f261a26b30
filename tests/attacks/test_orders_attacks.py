"""Names of orders that a database does not take: one of them must not hold up everybody's refunds."""

import uuid
from collections.abc import Iterator

import msgspec
import pytest

from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.ports import Ledger
from engines import LIVE, TestClock, memory_world
from offer_shop import CART, offer_shop
from postgres import MISSING, installed, server

STRANGE = ["order\x00", "\x00", "order\n", "\u202eorder", "x" * 501, ""]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(not installed, reason=MISSING))])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "sqlite":
        yield SqliteLedger(None)
        return
    with server() as running:
        ledger = PostgresLedger(running.database(f"d{uuid.uuid4().hex}"))
        yield ledger
        ledger.close()


def test_a_strange_order_is_no_order_and_holds_up_no_refund(ledger: Ledger) -> None:
    """PostgreSQL keeps no NUL: the refund of such an order was tried for ever, and all others behind it waited."""
    for name in STRANGE:
        assert ledger.of_order(LIVE, name) == []
    who = {"userId": "mira"}
    with offer_shop(msgspec.structs.replace(memory_world(TestClock()), ledger=ledger)) as shop:
        shop.shop.consents(who, trusted=True)
        held = shop.redeem(shop.reserve(cart={"items": CART["items"]}, code=shop.code("coded"), shopper=who), "order-1")
        shop.shop.keeps(shop.shop.orders(who, "order-1", 100), trusted=True)
        shop.tend()
        for order in ("order\x00", "order-1"):
            shop.shop.batch(
                shop.shop.event(event="Order Cancelled", properties={"order_id": order}, **who), trusted=True
            )
        shop.tend()
        shop.tend()
        assert shop.engine.offering.desk.reservation(LIVE, held.id).state == "rolled_back"
        assert shop.take_back(order="order\x00") == []
        shop.check()
