"""Segment's client for Python, as a shop's backend uses it."""

from typing import Any

import pytest
from segment.analytics.client import Client

from cashwrap.errors import TooMuch
from cashwrap.keys import ApiKey
from engines import TestClock, memory_world
from servers import Server, serving

pytestmark = pytest.mark.clients
CONTEXT = {"consent": {"categoryPreferences": {"personalization": True, "analytics": True}}}
ITEM = {"product_id": "mug", "price": 12.5, "category": "coffee"}


def segment(server: Server, key: str, **options: Any) -> tuple[Client, list[Any]]:
    errors: list[Any] = []
    client = Client(
        key,
        host=server.url,
        on_error=lambda error, _: errors.append(error),
        upload_interval=0.01,
        max_retries=3,
        **options,
    )
    return client, errors


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("upload_size", [1, 100], ids=["one by one", "batched"])
def test_a_backend_tells_everything_with_segments_client(server: Server, gzip: bool, upload_size: int) -> None:
    client, errors = segment(server, server.shop.secret_text, gzip=gzip, upload_size=upload_size)
    client.identify("jonas", {"firstName": "Jonas"}, context=CONTEXT, anonymous_id="anon-1")
    for _ in range(5):
        client.track("jonas", "Product Viewed", ITEM, context=CONTEXT)
    order = {"order_id": "1", "subtotal": 99.9, "total": 99.9, "currency": "EUR", "products": [ITEM]}
    client.track("jonas", "Order Completed", order, context=CONTEXT)
    client.page("jonas", "shop", "home", {"path": "/"}, context=CONTEXT)
    client.screen("jonas", "shop", "home", context=CONTEXT)
    client.group("jonas", "club", context=CONTEXT)
    client.alias("anon-before", "jonas", context=CONTEXT)
    client.flush()
    client.join()
    assert errors == []
    account = server.shop.engine.account()
    assert (account.received, account.stored) == (11, 11)
    seen = server.shop.explained({"userId": "jonas"})
    assert (seen["session_views"], seen["orders"], seen["spent"]) == (5, 1, 9990)
    assert seen["traits.first_name"] == "Jonas"
    assert server.shop.key(anonymous="anon-1") == server.shop.key(user="jonas")


def test_what_was_sent_twice_counts_once(server: Server) -> None:
    client, errors = segment(server, server.shop.secret_text)
    for _ in range(3):
        client.track("jonas", "Product Viewed", ITEM, context=CONTEXT, message_id="the-same")
    client.flush()
    client.join()
    assert errors == []
    assert server.shop.explained({"userId": "jonas"})["session_views"] == 1


def test_it_comes_back_when_it_was_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(memory_world(TestClock()), rate=1) as server:
        waits: list[int] = []
        check = server.rates.check

        def checked(key: ApiKey, address: str | None, amount: int) -> None:
            try:
                check(key, address, amount)
            except TooMuch as error:
                waits.append(error.retry_after)
                server.shop.clock.time += error.retry_after * 1000  # as long as the client will wait
                raise

        monkeypatch.setattr(server.rates, "check", checked)
        client, errors = segment(server, server.shop.public_text, upload_size=1)
        for number in range(12):
            client.track(f"user-{number}", "Product Viewed", ITEM, anonymous_id=f"anon-{number}", context=CONTEXT)
        client.flush()
        client.join()
        assert errors == []
        assert waits
        assert server.shop.engine.account().received == 12


def test_an_unknown_key_is_reported(server: Server) -> None:
    client, errors = segment(server, "cws_live_aaaaaaaa_nonsense")
    client.track("jonas", "Product Viewed", ITEM)
    client.flush()
    client.join()
    assert [(error.status, error.code) for error in errors] == [(401, "unknown_key")]
