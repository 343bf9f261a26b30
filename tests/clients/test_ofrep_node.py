"""OpenFeature's SDK and OFREP provider for node, as a shop's backend uses them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ofrep_shop import CONTEXT, DEFAULT, FREE, OfrepShop, ofrep_shop

pytestmark = pytest.mark.clients
SCRIPT = Path(__file__).parent / "ofrep_backend.mjs"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfrepShop]:
    with ofrep_shop(tmp_path_factory.mktemp("ofrep")) as shop:
        yield shop


def asked(flag: str, context: Any = CONTEXT, fallback: Any = DEFAULT) -> dict[str, Any]:
    return {"flag": flag, "context": context, "fallback": fallback}


def run(node: str, url: str, headers: dict[str, str], *evaluations: dict[str, Any]) -> list[dict[str, Any]]:
    """What each evaluation came to, in order."""
    arguments = [msgspec.json.encode(each).decode() for each in (list(headers.items()), evaluations)]
    command = [node, str(SCRIPT), url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, Any]] = msgspec.json.decode(done.stdout)
    return found


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_placement_is_a_flag(shop: OfrepShop, node: str, header: str) -> None:
    for key in (shop.secret, shop.public):
        headers = {header: f"Bearer {key}" if header == "Authorization" else key}
        nested, flat = run(
            node,
            shop.url,
            headers,
            asked("basket_message", {"targetingKey": "mira", **CONTEXT}),
            asked("basket_message", {"targetingKey": "mira", "cart.total": 60}),
        )
        for told in (nested, flat):
            assert told["value"] == shop.content("basket_message")
            assert (told["variant"], told["reason"]) == ("main", "TARGETING_MATCH")
            assert told["flagMetadata"]["experience"] == "free_delivery_reached"
            assert told["flagMetadata"]["token"]
            assert "errorCode" not in told


def test_where_nothing_fits_the_codes_own_default_stands(shop: OfrepShop, node: str) -> None:
    """This provider is older than OFREP 0.3's flag without a value: the value is right, the reason says ERROR."""
    (told,) = run(node, shop.url, {"X-API-Key": shop.secret}, asked("basket_message", {"cart.count": 0}))
    assert (told["value"], told["reason"]) == (DEFAULT, "ERROR")


def test_a_backends_targeting_key_is_the_user(shop: OfrepShop, node: str) -> None:
    shop.knows("jonas")
    question = asked("basket_message", {"targetingKey": "jonas", **CONTEXT})
    levels = [
        run(node, shop.url, {"X-API-Key": key}, question)[0]["flagMetadata"]["level"]
        for key in (shop.secret, shop.public)
    ]
    assert levels == ["profile", "request"]


def test_errors_are_told_in_openfeatures_words(shop: OfrepShop, node: str) -> None:
    told = run(
        node,
        shop.url,
        {"X-API-Key": shop.secret},
        asked("nowhere"),
        asked("basket_message", {"cart.total": []}),
        asked("basket_message", {"x": "x" * 70_000}),
        asked("basket_message", CONTEXT, "a text"),
        asked("basket_message"),
    )
    codes = [each.get("errorCode") for each in told]
    assert codes == ["FLAG_NOT_FOUND", "INVALID_CONTEXT", "INVALID_CONTEXT", "TYPE_MISMATCH", None]
    assert [each["value"] for each in told[:4]] == [DEFAULT, DEFAULT, DEFAULT, "a text"]
    assert told[4]["value"]["text"] == FREE
    assert "$.cart.total" in told[1]["errorMessage"]


def test_an_unknown_key_leaves_the_default(shop: OfrepShop, node: str) -> None:
    (told,) = run(node, shop.url, {"X-API-Key": "nonsense"}, asked("basket_message"))
    assert (told["value"], told["reason"]) == (DEFAULT, "ERROR")


def test_it_waits_as_long_as_it_was_told_to(tmp_path: Path, node: str) -> None:
    with ofrep_shop(tmp_path, "--rate", "1") as shop:
        told = run(node, shop.url, {"X-API-Key": shop.public}, *[asked("basket_message")] * 20)
    assert told[-1]["value"] == DEFAULT
    assert "paused due to TooManyRequests" in told[-1]["errorMessage"]
