"""Models asked over HTTP: never a 5xx, predictions for backends only, and what is missing is said."""

from collections.abc import Iterator
from typing import Any

import pytest

from cashwrap.learned.serving import Models
from cashwrap.model import Product
from cashwrap.suggesting import Suggesting
from engines import LIVE, TestClock, memory_world
from learned_models import Written
from servers import ORIGIN, Server, serving

A = {"anonymousId": "anon-models-1"}


@pytest.fixture(scope="module")
def models() -> Iterator[Written]:
    written = Written(abandon_propensity=0.7)
    written.products["basket", "live", "recommended"] = [("tea", "together")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Models, "of", lambda *_: written)
        yield written


@pytest.fixture(scope="module")
def server(models: Written) -> Iterator[Server]:
    world = memory_world(TestClock())
    world.catalogue.upsert(LIVE, [Product("tea", "Tea", 500), Product("mug", "Mug", 1_000)])
    with serving(world) as server:
        server.shop.consents(A)
        server.shop.keeps(server.shop.views(A, "mug"))
        yield server


def test_products_for_a_browser(server: Server) -> None:
    answer = server.post("/v1/recommend", {"shopper": A, "limit": 2}, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["cache-control"] == "private, no-store"
    body = answer.json()
    assert [(each["id"], each["from"]) for each in body["products"]] == [("tea", "together"), ("mug", "popular")]
    assert {name: body[name] for name in body if name != "products"} == {
        "model": {"name": "basket", "version": "3"},
        "reason": "match",
        "fallback": 0.5,
        "level": "session",
        "degraded": False,
    }
    metrics = server.http.get("/metrics").text
    assert 'cashwrap_places_filled_total{placement="recommend",source="together"} 1.0' in metrics


def test_predictions_for_a_backend(server: Server) -> None:
    question = {"shopper": A, "predictions": ["abandon_propensity", "coupon_propensity"]}
    refused = server.post("/v1/predict", question)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert server.post("/v1/predict", question, secret=True).json() == {
        "predictions": {
            "abandon_propensity": {"value": 0.7, "version": "3", "missing": None},
            "coupon_propensity": {"value": None, "version": None, "missing": "no_model"},
        },
        "level": "session",
    }
    unknown = server.post("/v1/predict", {"predictions": ["luck"]}, secret=True)
    assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_prediction")


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/predict"])
@pytest.mark.parametrize("body", ["[]", "{", '{"limit": 0}', '{"predictions": 1, "model": "all"}'])
def test_a_question_that_does_not_fit_is_told(server: Server, path: str, body: str) -> None:
    answer = server.post(path, secret=True, content=body)
    assert answer.status_code == (200 if (path, body) == ("/v1/predict", '{"limit": 0}') else 400)


def test_whatever_breaks_is_no_failure_of_the_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Suggesting, "recommend", broken)
    answer = server.post("/v1/recommend", {"shopper": A})
    assert answer.status_code == 200
    assert (answer.json()["reason"], answer.json()["products"]) == ("error", [])
