"""A shop learns from its own folder: orders and visits are imported, models are trained, judged, registered, used."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.learned.registry import model_of
from cashwrap.library import Engine, open_world
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook

PLAYBOOK = """
shop: {currency: EUR, locale: en}
features:
  toy_views:
    count: Product Viewed
    where: category == "toys"
    session: true
placements:
  beside: {component: products}
  help: {component: message}
experiences:
  goes_with:
    in: beside
    show: {from: recommended, limit: 2}
  ask_us:
    in: help
    when: purchase_propensity > 0.5
    show: {text: {en: "Can we help?"}}
"""
MAPPING = """
source: visits
basis: [analytics, personalization]
currency: EUR
time: {column: at, unit: s}
shopper: {user: who}
events:
  - {name: Product Viewed, when: {did: look}, properties: {product_id: product, category: kind}}
  - name: Order Completed
    when: {did: buy}
    lines: order
    properties: {order_id: order}
    products: {product_id: product, category: kind, price: {value: "5"}, quantity: {value: 1}}
    total: total
"""
PAIRS = 24
"""Toy a0 is bought with battery b0, and so on; books are looked at and hardly ever bought."""
START = 1_767_225_600


def visits(shoppers: int = 320) -> list[dict[str, object]]:
    """Who looks at toys buys one more often, with what goes with it: most often who looks again and again."""
    chance, rows = random.Random(7), []
    for number in range(shoppers):
        at, who, toys, looks = START + number * 3600, f"u{number}", chance.random() < 0.5, chance.choice((1, 4))
        pair = chance.randrange(PAIRS)
        product, kind = (f"a{pair}", "toys") if toys else (f"k{pair}", "books")
        rows += [
            {"at": at + step, "who": who, "did": "look", "product": product, "kind": kind, "order": ""}
            for step in range(0, 60 * looks, 60)
        ]
        if chance.random() < (0.9 if toys and looks > 1 else 0.5 if toys else 0.1):
            other = f"b{pair}" if chance.random() < 0.9 else f"b{chance.randrange(PAIRS)}"
            rows += [
                {"at": at + 300, "who": who, "did": "buy", "product": each, "kind": kind, "order": f"o{number}"}
                for each in (f"a{pair}", other)
            ]
    return rows


def invoke(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "book").mkdir()
    (folder / "book/p.yaml").write_text(PLAYBOOK)
    (folder / "m.yaml").write_text(MAPPING)
    rows = visits()
    with (folder / "visits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    sold = {str(row["product"]): str(row["kind"]) for row in rows}
    products = [{"id": name, "title": name, "price": "5.00 EUR", "category": kind} for name, kind in sold.items()]
    (folder / "products.json").write_text(json.dumps(products))
    both = ("--playbook", folder / "book", "--data", folder / "data")
    invoke("import", folder / "visits.csv", "--mapping", folder / "m.yaml", *both)
    invoke("catalog", "import", folder / "products.json", "--data", folder / "data")
    invoke("publish", folder / "book", "--yes", "--data", folder / "data")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Any]:
    """What the two trainings said, by model. A shop that is tested has fewer shoppers than the gate asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cashwrap.learning.gate.FEWEST", 50)
        return {name: training(folder, name) for name in ("basket", "purchase_propensity")}


def training(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoke("train", name, "--data", folder / "data", "--json"))["models"][0]
    return found


@pytest.mark.parametrize("name", ["basket", "purchase_propensity"])
def test_it_is_good_registered_and_nobody_sees_it(folder: Path, trained: dict[str, Any], name: str) -> None:
    training = trained[name]
    assert training["gate"] == {"passed": True, "reasons": []}, training["gate"]
    assert training["version"]
    found = json.loads(invoke("models", "list", "--data", folder / "data", "--json"))
    listed = {each["version"]["name"]: each["version"] for each in found}
    assert (listed[name]["version"], listed[name]["role"]) == (training["version"], "shadow")


def test_what_is_bought_together_is_recommended_once_it_is_live(folder: Path, trained: dict[str, Any]) -> None:
    before = shown(folder, "a3")
    assert {item["from"] for item in before} <= {"category", "popular", "complements"}
    promote(folder, trained["basket"])
    items = shown(folder, "a3")
    assert items[0]["id"] == "b3"
    assert items[0]["from"] not in {"popular", "category", "complements"}
    invoke("models", "rollback", "basket", "--data", folder / "data")
    assert shown(folder, "a3") == before


def test_what_is_live_can_be_trained_again(
    folder: Path, trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cashwrap.learning.gate.FEWEST", 50)
    for each in trained.values():
        promote(folder, each)
    again = [training(folder, name) for name in trained]
    assert [each["gate"]["reasons"] for each in again] == [[], []]  # it is compared by its settings: it knows the test


def test_a_condition_reads_what_was_learned(folder: Path, trained: dict[str, Any]) -> None:
    promote(folder, trained["purchase_propensity"])
    engine = Engine(load_playbook(folder / "book"), folder / "data")
    try:
        for who, kind in (("tess", "toys"), ("bert", "books")):
            engine.consent({"personalization": True}, user_id=who)
            for _ in range(4):
                engine.track("Product Viewed", user_id=who, properties={"product_id": "a1", "category": kind})
        said = {who: engine.decide("help", user_id=who)["help"] for who in ("tess", "bert")}
    finally:
        engine.close()
    assert said["bert"] is None
    assert said["tess"] is not None


def test_everybody_is_scored(folder: Path, trained: dict[str, Any]) -> None:
    for each in trained.values():
        promote(folder, each)
    engine, out = Engine(load_playbook(folder / "book"), folder / "data"), folder / "scores.csv"
    for who in ("u1", "u2"):  # an import says what may be learned from; who may be spoken to says so themselves
        engine.consent({"personalization": True}, user_id=who)
    engine.close()
    invoke("score", "purchase_propensity", "--recommend", "basket", "--out", out, "--data", folder / "data")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert {"u1", "u2"} <= {row["user_id"] for row in rows} <= {"u1", "u2", "tess", "bert"}
    assert all(0 <= float(row["purchase_propensity"]) <= 1 for row in rows)
    assert all(1 <= len(row["products"].split()) <= 10 for row in rows)
    assert out.stat().st_mode & 0o077 == 0


def test_it_is_judged_again_and_says_what_it_has_seen(folder: Path, trained: dict[str, Any]) -> None:
    found = json.loads(invoke("evaluate", "basket", "--data", folder / "data", "--json"))["models"][0]
    assert found["version"] == trained["basket"]["version"]
    assert "Some of these data were there" in " ".join(found["evaluation"]["notes"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "basket@1"), "unknown_model"),
        (("train", "discount_sensitivity"), "no_experiment"),
        (("train", "coupon_propensity"), "no_examples"),
        (("train", "--file", "x.csv"), "missing_mapping"),
        (("train", "--mapping", "diginetica"), "unreadable_file"),
        (("evaluate", "next_item"), "no_such_model"),
        (("score", "--out", "x.csv"), "nothing_wanted"),
        (("score", "luck", "--out", "x.csv"), "unknown_prediction"),
        (("score", "coupon_propensity", "--out", "x.csv"), "no_model"),
    ],
)
def test_what_cannot_be_says_why(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    assert f"({says})" in invoke(*arguments, "--data", folder / "data", code=1)
    assert not Path("x.csv").exists()  # what is refused leaves no file, and would not have emptied one


def test_all_that_can_be_is_trained_and_the_rest_is_told(folder: Path, trained: dict[str, Any]) -> None:
    told = invoke("train", "--due", "--data", folder / "data")
    assert "coupon_propensity" in told


def promote(folder: Path, training: dict[str, Any]) -> None:
    """Make a model live, where it is not."""
    with open_world(folder / "data", serving=False) as world:
        if model_of(world.registry, Tenant(), training["name"]).live == training["version"]:
            return
    named = f"{training['name']}@{training['version']}"
    invoke("models", "promote", named, "--force", "a test cannot wait", "--data", folder / "data")


def shown(folder: Path, product: str) -> list[dict[str, Any]]:
    """What is beside a cart with one product."""
    engine = Engine(load_playbook(folder / "book"), folder / "data")
    try:
        cart = {"cart": {"items": [{"id": product, "quantity": 1, "price": 5}]}}
        content = engine.decide("beside", context=cart)["beside"]
    finally:
        engine.close()
    assert content is not None
    return list(content["items"])
