"""What is asked of models directly: the lens, filters and catalogue of a decision, and it says what is missing."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cashwrap import inputs
from cashwrap.errors import InvalidInput, NotAllowed
from cashwrap.learned.serving import Models
from cashwrap.model import Product
from cashwrap.playbook import Playbook, examine
from cashwrap.suggesting import Predicted, PredictRequest, Recommended, RecommendRequest
from cashwrap.switches import Switch
from engines import LIVE, Shop, TestClock, memory_world, shop_over
from learned_models import Written

A = {"anonymousId": "anon-suggested-1"}
TEXT = """
placements:
  shelf: {component: products}
experiences:
  tried:
    in: shelf
    show: {from: recommended, limit: 2, version: candidate}
"""
PRODUCTS = [
    Product("mug", "Mug", 1_000, 400, 5, "mugs", complements=("tea",)),
    Product("tea", "Tea", 500, 100, 5, "tea"),
    Product("pot", "Pot", 4_000, 3_900, 5, "pots"),
    Product("pill", "Pill", 300, 1, 5, "pills", sensitive=True),
    Product("gone", "Gone", 300, 1, 0, "mugs"),
]


def playbook(text: str = TEXT) -> Playbook:
    found, faults = examine({"a.yaml": text})
    assert found is not None, faults
    return found


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Written:
    written = Written(abandon_propensity=0.7)
    monkeypatch.setattr(Models, "of", lambda *_: written)
    written.products["basket", "live", "recommended"] = [(name, "together") for name in ("pill", "pot", "gone", "mug")]
    return written


@pytest.fixture
def shop(models: Written) -> Iterator[Shop]:
    world = memory_world(TestClock())
    world.catalogue.upsert(LIVE, PRODUCTS)
    with shop_over(world, playbook()) as shop:
        yield shop


def recommend(shop: Shop, *, trusted: bool = False, gpc: bool = False, **fields: Any) -> Recommended:
    request = msgspec.convert(fields, RecommendRequest)
    caller, engine = shop.caller(trusted=trusted, gpc=gpc), shop.engine
    hot = engine.find(request.shopper, caller)
    return engine.suggesting.recommend(request, caller, hot, shop.clock.now())


def predict(shop: Shop, *, late: bool = False, **fields: Any) -> Predicted:
    request = msgspec.convert(fields, PredictRequest)
    caller, engine = shop.caller(trusted=True), shop.engine
    hot = engine.find(request.shopper, caller)
    return engine.suggesting.predict(request, caller, hot, shop.clock.now(), late=late)


def placed(answer: Recommended) -> list[tuple[str, str]]:
    return [(each.id, each.source) for each in answer.products]


def test_products_with_sources_versions_and_the_share_that_the_catalogue_filled(shop: Shop) -> None:
    basket = {"cart": {"items": [{"id": "mug"}]}}
    answer = recommend(shop, context=basket, limit=3)
    assert placed(answer) == [("pot", "together"), ("tea", "complements")]
    assert (answer.model.name, answer.model.version, answer.reason) == ("basket", "3", "match")
    assert (answer.fallback, answer.level) == (0.5, "request")
    assert answer.products[0].price == "€40.00"
    strict = recommend(shop, context=basket, rules={"margin": "30%", "most": "39.99"})
    assert placed(strict) == [("tea", "complements")]
    assert dict(shop.engine.counts.filled) == {("recommend", "together"): 1, ("recommend", "complements"): 2}


def test_a_model_that_is_missing_is_said_and_filled(shop: Shop, models: Written) -> None:
    models.products.clear()
    answer = recommend(shop, limit=2)
    assert (answer.model.version, answer.fallback) == (None, 1.0)
    assert placed(answer) == [("mug", "popular"), ("pot", "popular")]
    assert recommend(shop, rules={"only": ["hats"]}).reason == "no_content"


def test_a_candidate_is_for_backends(shop: Shop, models: Written) -> None:
    models.products["basket", "candidate", "recommended"] = [("tea", "similar")]
    with pytest.raises(NotAllowed):
        recommend(shop, version="candidate")
    assert placed(recommend(shop, version="candidate", trusted=True, limit=1)) == [("tea", "similar")]


@pytest.mark.parametrize("rules", [{"most": "0.001"}, {"least": "-1"}, {"most": "1E+999999"}, {"least": "NaN"}])
def test_an_amount_that_is_none_is_refused(shop: Shop, rules: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        recommend(shop, rules=rules)


def test_without_consent_a_model_sees_the_page_and_nothing_else(shop: Shop, models: Written) -> None:
    context = {"cart": {"items": [{"id": "tea"}]}, "page": {"product": "mug"}}
    shop.keeps(shop.views(A, "pot"))
    recommend(shop, shopper=A, context=context)
    shop.consents(A)
    shop.keeps(shop.views(A, "pot"))
    shop.keeps(shop.orders(A, "o1", 5, products=[{"product_id": "tea"}]), trusted=True)
    recommend(shop, shopper=A, context=context)
    recommend(shop, shopper=A, context=context, gpc=True)
    shop.keeps(shop.event("consent", choices={"personalization": "denied"}, **A))
    recommend(shop, shopper=A, context=context)
    seen = [([each.product for each in asked.touched], [name for name, *_ in asked.bought]) for asked in models.seen]
    assert seen == [(["mug"], []), (["pot", "tea", "mug"], ["tea"]), (["mug"], []), (["mug"], [])]
    assert {asked.basket for asked in models.seen} == {("tea",)}


def test_an_arm_without_a_candidate_shows_nothing_and_says_why(shop: Shop, models: Written) -> None:
    assert shop.decide()["placements"]["shelf"]["reason"] == "no_content"
    models.products["basket", "candidate", "recommended"] = [("tea", "similar")]
    content = shop.decide()["placements"]["shelf"]["content"]
    assert [(each["id"], each["from"]) for each in content["items"]] == [("tea", "similar"), ("mug", "popular")]
    assert shop.engine.counts.filled["shelf", "similar"] == 1


def test_what_keeps_decisions_back_keeps_this_back(models: Written) -> None:
    world = memory_world(TestClock())
    world.catalogue.upsert(LIVE, PRODUCTS)
    shopper: dict[str, Any] = {"shopper": A, "context": {"cart": {"token": "cart-1"}}}
    with shop_over(world, playbook(f"holdout: {{share: 100%, unit: cart}}\n{TEXT}")) as shop:
        assert recommend(shop, **shopper).reason == "holdout"
        shop.engine.switches.set(Switch("all", "", 0, tenant=LIVE), off=True)
        assert recommend(shop, **shopper).reason == "killed"
        shop.engine.switches.set(Switch("all", "", 0, tenant=LIVE), off=False)
    with shop_over(world, playbook(f"shop: {{request_level: false}}\n{TEXT}")) as shop:
        assert recommend(shop, **shopper).reason == "no_consent"


def test_a_prediction_or_why_there_is_none(shop: Shop, models: Written) -> None:
    names = ["abandon_propensity", "purchase_propensity", "next_category"]

    def told() -> dict[str, object]:
        return {name: each.missing or each.value for name, each in answer.predictions.items()}

    answer = predict(shop, shopper=A, predictions=names)
    assert told() == dict.fromkeys(names, "unknown_shopper")
    shop.consents(A)
    shop.keeps(shop.views(A))
    models.category = "mugs"
    answer = predict(shop, shopper=A, predictions=names)
    assert told() == {"abandon_propensity": 0.7, "purchase_propensity": "no_model", "next_category": "mugs"}
    assert answer.predictions["abandon_propensity"].version == "3"
    models.chances["abandon_propensity"] = ZeroDivisionError()
    assert predict(shop, shopper=A).predictions["abandon_propensity"].missing == "no_answer"
    shop.keeps(shop.event("consent", choices={"personalization": "denied"}, **A))
    answer = predict(shop, shopper=A, predictions=names)
    assert told() == dict.fromkeys(names, "no_consent")
    answer = predict(shop, shopper=A, predictions=names, late=True)
    assert told() == dict.fromkeys(names, "late")
    with pytest.raises(InvalidInput) as caught:
        predict(shop, predictions=["luck"])
    assert caught.value.code == "unknown_prediction"


def test_the_check_sees_what_consent_hides(shop: Shop, models: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = inputs._learned
    monkeypatch.setattr(inputs, "_learned", lambda *each, personal: learned(*each, personal=True))
    with pytest.raises(AssertionError):
        test_without_consent_a_model_sees_the_page_and_nothing_else(shop, models)
