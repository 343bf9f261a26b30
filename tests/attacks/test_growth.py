"""Shoppers who send without end: what is kept of one of them stays small, since every commit writes it anew."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from cashwrap import dedup, writer
from cashwrap.dedup import Seen
from cashwrap.errors import Unavailable
from cashwrap.model import Event
from cashwrap.ports import Changes
from cashwrap.window import Submission
from engines import LIVE, START, Shop, TestClock, memory_world, shop_over

BOT = {"anonymousId": "device-of-a-machine"}


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


def test_long_texts_of_ever_new_products_do_not_pile_up(shop: Shop) -> None:
    shop.consents(BOT)
    names = ("Product Viewed", "Product Added", "Product Added to Wishlist")
    for number in range(300):
        text = f"{number:04d}" + "x" * 1000
        product = {
            "product_id": f"{number}" + "y" * 190,
            **dict.fromkeys(("category", "brand", "name", "variant"), text),
        }
        shop.keeps(*(shop.event(event=name, properties=product, **BOT) for name in names))
        shop.clock.wait(minutes=7)
    key = shop.key(anonymous=BOT["anonymousId"])
    assert key is not None
    row = shop.engine.world.store.load([key])[key]
    assert len(row.state) < 400_000


def test_machines_that_merge_gather_no_more_ids_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "MOST", 64)
    seen, other = Seen(), Seen()
    for number in range(100):
        (seen if number < 50 else other).add(number.to_bytes(8, "big"), bytes(8), START + number * 3_600_000)
    seen.merge(other)
    again = Seen.decode(seen.encode())
    assert len(again) == len(seen) <= 64
    newest = [number.to_bytes(8, "big") for number in range(90, 100)]
    assert all(again.judge(key, bytes(8)) == "duplicate" for key in newest)


def test_what_waits_for_a_slow_disk_is_bounded_in_events(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand requests may wait, each with thousands of events: together they would not fit in memory."""
    monkeypatch.setattr(writer, "WAITING_EVENTS", 50)
    monkeypatch.setattr(writer, "EVENTS_AT_ONCE", 40)
    store, entered, go = shop.engine.world.store, threading.Semaphore(0), threading.Event()
    commit, commits = store.commit, []

    def slow(changes: Changes) -> int:
        entered.release()
        assert go.wait(30)
        commits.append(changes)
        return commit(changes)

    monkeypatch.setattr(store, "commit", slow)
    number = itertools.count()
    told = threading.Semaphore(0)

    def send(count: int) -> None:
        names = [f"device-{next(number)}" for _ in range(count)]
        choices = {"personalization": "granted"}
        events = [Event(n, "Consent Updated", START, START, 7, "key", anonymous_id=n, choices=choices) for n in names]
        shop.engine.writer.submit(Submission(LIVE, events, settled=lambda _: told.release()))

    send(20)
    assert entered.acquire(timeout=30)
    send(20)
    send(20)
    with pytest.raises(Unavailable):
        send(20)
    send(10)
    go.set()
    for _ in range(4):
        assert told.acquire(timeout=30)
    assert len([changes for changes in commits if changes.records]) == 3
    send(20)
    assert told.acquire(timeout=30)
