"""Origins that no browser sends: a key made for one would let nobody in, or surprise whoever reads it."""

import pytest

from cashwrap.errors import InvalidInput
from engines import LIVE, Shop, TestClock, memory_world, shop_over


def made(shop: Shop, origin: str) -> tuple[str, ...]:
    keys, random = shop.engine.keys, shop.engine.world.random
    return keys.find(keys.create("publishable", LIVE, (origin,), random)).origins


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "file://",
        "https://a b",
        "https://a\nb",
        "https://shop.example?x",
        "https://shop.example#x",
        "https://shop.example@evil.example",
        "https://shop.example\\@evil.example",
        "https://bücher.example",
        "https://shop.example:port",
        "https://:443",
    ],
)
def test_what_no_browser_sends_is_refused(origin: str) -> None:
    with shop_over(memory_world(TestClock())) as shop, pytest.raises(InvalidInput) as refused:
        made(shop, origin)
    assert refused.value.code == "invalid_origin"


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80/", "http://shop.example"),
        ("https://Shop.Example", "https://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(origin: str, sent: str) -> None:
    with shop_over(memory_world(TestClock())) as shop:
        assert made(shop, origin) == (sent,)
