"""OpenFeature's SDK and OFREP provider for Python, as a shop's backend uses them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from ofrep_shop import CONTEXT, DEFAULT, FREE, OfrepShop, ofrep_shop

pytestmark = pytest.mark.clients
Headers = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfrepShop]:
    with ofrep_shop(tmp_path_factory.mktemp("ofrep")) as shop:
        yield shop


def bearer(key: str) -> Headers:
    return lambda: {"Authorization": f"Bearer {key}"}


def api_key(key: str) -> Headers:
    return lambda: {"X-API-Key": key}


@contextmanager
def openfeature(url: str, headers: Headers) -> Iterator[OpenFeatureClient]:
    provider = OFREPProvider(url, headers_factory=headers)
    api.set_provider(provider)
    try:
        yield api.get_client()
    finally:
        provider.session.close()
        api.clear_providers()


def asked(key: str | None = None, **attributes: Any) -> EvaluationContext:
    return EvaluationContext(key, attributes)


@pytest.mark.parametrize("headers", [bearer, api_key])
@pytest.mark.parametrize("context", [CONTEXT, {"cart.total": 60}, {"cart.total": 60.0}])
def test_a_placement_is_a_flag(shop: OfrepShop, headers: Callable[[str], Headers], context: dict[str, Any]) -> None:
    for key in (shop.secret, shop.public):
        with openfeature(shop.url, headers(key)) as client:
            told = client.get_object_details("basket_message", DEFAULT, asked("mira", **context))
        assert told.value == shop.content("basket_message")
        assert (told.variant, told.reason, told.error_code) == ("main", Reason.TARGETING_MATCH, None)
        assert told.flag_metadata["experience"] == "free_delivery_reached"
        assert told.flag_metadata["token"]


def test_where_nothing_fits_the_codes_own_default_stands(shop: OfrepShop) -> None:
    with openfeature(shop.url, bearer(shop.secret)) as client:
        told = client.get_object_details("basket_message", DEFAULT, asked("mira", **{"cart.count": 0}))
        assert (told.value, told.variant, told.reason) == (DEFAULT, "default", Reason.DEFAULT)
        assert told.error_code is None
        assert client.get_object_value("accessories", DEFAULT) == DEFAULT, "without any context too"


def test_a_backends_targeting_key_is_the_user(shop: OfrepShop) -> None:
    shop.knows("jonas")
    with openfeature(shop.url, bearer(shop.secret)) as backend:
        told = backend.get_object_details("basket_message", DEFAULT, asked("jonas"))
        assert told.flag_metadata["level"] == "profile"
    with openfeature(shop.url, bearer(shop.public)) as page:
        told = page.get_object_details("basket_message", DEFAULT, asked("jonas"))
        assert told.flag_metadata["level"] == "request", "a page's word opens nobody's profile"


def test_the_token_comes_back_with_the_exposure(shop: OfrepShop) -> None:
    shop.knows("seen")
    with openfeature(shop.url, bearer(shop.secret)) as client:
        told = client.get_object_details("basket_message", DEFAULT, asked("seen", **CONTEXT))
    exposure = {"placement": "basket_message", "token": told.flag_metadata["token"]}
    event = {"event": "Experience Viewed", "userId": "seen", "messageId": "exposure-1", "properties": exposure}
    assert shop.backend.post("/v1/track", json=event).json() == {"success": True}
    forged = {**event, "messageId": "exposure-2", "properties": {**exposure, "token": "x" + str(exposure["token"])}}
    assert shop.backend.post("/v1/track", json=forged).json()["errors"][0]["code"] == "bad_token"


def test_a_kill_switch_holds_from_the_next_evaluation_on(shop: OfrepShop) -> None:
    with openfeature(shop.url, bearer(shop.secret)) as client:
        shop.kill("basket_message", off=True)
        told = client.get_object_details("basket_message", DEFAULT, asked("mira", **CONTEXT))
        shop.kill("basket_message", off=False)
        assert (told.value, told.reason) == (DEFAULT, Reason.DISABLED)
        assert client.get_object_value("basket_message", DEFAULT, asked("mira", **CONTEXT))["text"] == FREE


@pytest.mark.parametrize(
    ("flag", "context", "code", "details"),
    [
        ("nowhere", {}, ErrorCode.FLAG_NOT_FOUND, "no placement"),
        ("basket_message", {"cart.total": []}, ErrorCode.INVALID_CONTEXT, "$.cart.total"),
        ("basket_message", {"locale": 7}, ErrorCode.INVALID_CONTEXT, "$.locale"),
        ("basket_message", {"x": "x" * 100_000}, ErrorCode.INVALID_CONTEXT, "64 KB"),
    ],
)
def test_errors_are_told_in_openfeatures_words(
    shop: OfrepShop, flag: str, context: dict[str, Any], code: ErrorCode, details: str
) -> None:
    with openfeature(shop.url, bearer(shop.secret)) as client:
        told = client.get_object_details(flag, DEFAULT, asked("mira", **context))
    assert (told.value, told.reason, told.error_code) == (DEFAULT, Reason.ERROR, code)
    assert details in str(told.error_message)


def test_a_type_of_another_kind_is_a_mismatch(shop: OfrepShop) -> None:
    with openfeature(shop.url, bearer(shop.secret)) as client:
        told = client.get_string_details("basket_message", "ours", asked("mira", **CONTEXT))
    assert (told.value, told.error_code) == ("ours", ErrorCode.TYPE_MISMATCH)


@pytest.mark.parametrize("headers", [bearer("cws_live_aaaaaaaa_nonsense"), api_key("nonsense"), dict])
def test_an_unknown_key_leaves_the_default(shop: OfrepShop, headers: Headers) -> None:
    with openfeature(shop.url, headers) as client:
        told = client.get_object_details("basket_message", DEFAULT, asked("mira", **CONTEXT))
    assert (told.value, told.error_code, told.error_message) == (DEFAULT, ErrorCode.GENERAL, "unauthorized")


def test_it_waits_as_long_as_it_was_told_to(tmp_path: Path) -> None:
    with ofrep_shop(tmp_path, "--rate", "1") as shop, openfeature(shop.url, bearer(shop.public)) as client:
        for _ in range(20):
            told = client.get_object_details("basket_message", DEFAULT, asked("mira", **CONTEXT))
        assert (told.value, told.error_code) == (DEFAULT, ErrorCode.GENERAL)
        assert "paused due to TooManyRequests" in str(told.error_message)


def test_a_server_that_is_gone_leaves_the_default(tmp_path: Path) -> None:
    with ofrep_shop(tmp_path) as shop, openfeature(shop.url, bearer(shop.secret)) as client:
        shop.running.stop()
        told = client.get_object_details("basket_message", DEFAULT, asked("mira", **CONTEXT))
        assert (told.value, told.error_code) == (DEFAULT, ErrorCode.GENERAL)
