"""Past decisions as an operator asks for them: ``explain DECISION`` and ``backtest``, beside a server and after one."""

import json
from pathlib import Path

import httpx
import pytest

from processes import cashwrap, process
from test_cli import invoke

PLAYBOOK = """
shop: {currency: EUR, locale: en, decision_records: 100%}
features:
  views: {count: Product Viewed}
segments:
  looking: views >= 2
placements:
  hero: {component: message}
  help: {component: message}
experiences:
  welcome:
    in: hero
    when: '"looking" in segments && cart.total > 50'
    show: {text: {en: Welcome.}}
  asked:
    in: help
    variations:
      one: {text: {en: One.}}
    experiment: {arms: {control: 50%, one: 50%}, goal: conversion}
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "playbook"
    folder.mkdir()
    (folder / "shop.yaml").write_text(PLAYBOOK)
    return folder


def asked(url: str, key: str, count: int = 3) -> list[str]:
    """One shopper's decisions, a view before each; the ids of those that the server says it kept."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        choice = {"type": "consent", "userId": "ann", "scope": "person", "choices": {"personalization": "granted"}}
        client.post("/v1/consent", json={"messageId": "c", **choice}).raise_for_status()
        made = []
        for number in range(count):
            view = {"type": "track", "event": "Product Viewed", "userId": "ann", "messageId": str(number)}
            client.post("/v1/track", json={**view, "properties": {"product_id": "p"}}).raise_for_status()
            body = {"shopper": {"userId": "ann"}, "context": {"cart": {"total": 80}}}
            made.append(client.post("/v1/decide", json=body).raise_for_status().json()["decisionId"])
        client.post("/v1/track", json={**view, "messageId": "last"}).raise_for_status()  # its commit takes them along
        return made


def test_a_decision_is_explained_while_serving_and_after_the_playbook_changed(book: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = cashwrap("keys", "create", "secret", "--data", data).strip().splitlines()[-1]
    with process(book, data) as server:
        made = asked(server.url, key)
        where = ("--data", data, "--playbook", book)
        told = invoke("explain", made[-1], *where)
        assert "the same, byte for byte" in told
        assert "hero: welcome (match)" in told
        assert "cart.total > 50  (cart.total = 80.00 EUR)" in told
        assert "views >= 2  (views = 3)" in told
        first = json.loads(invoke("explain", made[0], *where, "--json"))
        assert first["same"] is True
        assert first["placements"]["hero"]["considered"][0]["outcome"] == "condition_false"
        answer = httpx.get(f"{server.url}/v1/decisions/{made[0]}", headers={"authorization": f"Bearer {key}"})
        assert answer.json() == first
        for wrong, status, code in (("0" * 24, 404, "no_such_decision"), ("x", 404, "no_such_decision")):
            refused = httpx.get(f"{server.url}/v1/decisions/{wrong}", headers={"authorization": f"Bearer {key}"})
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'cashwrap_decision_records_total{fate="kept"} 3.0' in metrics
    (book / "shop.yaml").write_text(PLAYBOOK.replace("cart.total > 50", "cart.total > 500"))
    assert "not live any more" not in invoke("explain", made[-1], *where), "a folder that nobody published is not live"
    cashwrap("publish", book, "--data", data, "--yes")
    told = invoke("explain", made[-1], *where)
    assert "the same, byte for byte" in told
    assert "is not live any more" in told
    assert "hero: welcome (match)" in told
    assert "(no_such_decision)" in invoke("explain", "f" * 24, *where, code=1)
    assert "not both" in invoke("explain", made[-1], "--user", "ann", *where, code=1)
    cashwrap("forget", "--user", "ann", *where)
    assert "(no_such_decision)" in invoke("explain", made[-1], *where, code=1)


def test_an_arm_is_told_with_its_chance(book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    key = cashwrap("keys", "create", "secret", "--data", data).strip().splitlines()[-1]
    with process(book, data) as server:
        made = asked(server.url, key, 1)
    told = invoke("explain", made[0], "--data", data, "--playbook", book)
    assert ", with a chance of 50 %: " in told
    monkeypatch.setattr("cashwrap.adapters.system.SystemClock.now", lambda _: 10**13)
    assert "(decision_expired)" in invoke("explain", made[0], "--data", data, "--playbook", book, code=1)


def test_a_draft_is_tried_over_what_was_recorded(book: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    key = cashwrap("keys", "create", "secret", "--data", data).strip().splitlines()[-1]
    told = invoke("backtest", book, "--data", data, code=1)
    assert "decision_records" in told
    assert "(no_decisions)" in told
    with process(book, data) as server:
        asked(server.url, key)
        same = json.loads(invoke("backtest", book, "--data", data, "--json"))  # beside the server
    assert (same["decisions"], same["changed"], same["shown"]) == (3, 0, 0)
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "shop.yaml").write_text(PLAYBOOK.replace("views >= 2", "views >= 3"))
    told = invoke("backtest", draft, "--data", data, "--since", "7d")
    assert "3 decisions of 1 shopper," in told
    assert "1 would have been another (33.3 %)" in told
    assert "hero: 1 of 3 changed" in told
    assert "won 0, lost 1" in told
    assert "welcome/main -> the shop default" in told
    assert "12h, 7d or 2w" in invoke("backtest", draft, "--data", data, "--since", "yesterday", code=1)
