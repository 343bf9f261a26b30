"""What only a secret key may do, and what anyone may fetch: health, metrics, schemas, the SDK."""

import itertools
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cashwrap.model import Product, Tenant
from cashwrap.serve.operations import VERSION
from engines import LIVE, Shop
from servers import ORIGIN, Server

numbers = itertools.count()

ROUTES: list[tuple[str, str]] = [
    ("GET", "/v1/shoppers?userId=x"),
    ("DELETE", "/v1/shoppers?userId=x"),
    ("PATCH", "/v1/catalog"),
    ("GET", "/v1/audiences"),
    ("GET", "/v1/audiences/high_value/members"),
    ("POST", "/v1/audiences/high_value/members"),
    ("GET", "/v1/webhooks"),
    ("PUT", "/v1/webhooks"),
    ("DELETE", "/v1/webhooks/crm"),
    ("GET", "/v1/decisions/{id}"),
    ("POST", "/v1/previews"),
    ("POST", "/v1/predict"),
    ("GET", "/v1/kill"),
    ("PUT", "/v1/kill"),
    ("GET", "/v1/playbook/versions"),
    ("GET", "/v1/playbook/versions/{hash}"),
    ("GET", "/v1/playbook/diff?from=live"),
    ("POST", "/v1/playbook/rollback"),
    ("GET", "/v1/failed"),
    ("GET", "/v1/failed/{number}"),
    ("POST", "/v1/failed/{number}/repair"),
    ("POST", "/v1/failed/replay"),
    ("POST", "/v1/failed/discard"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/offers"),
    ("POST", "/v1/offers/reserve"),
    ("POST", "/v1/offers/redeem"),
    ("POST", "/v1/offers/release"),
    ("POST", "/v1/offers/rollback"),
    ("GET", "/v1/offers/reservations/{id}"),
]


def test_every_administrative_path_is_in_the_table(server: Server) -> None:
    document = server.http.get("/openapi.json").json()["paths"]
    secret = {
        (method.upper(), path)
        for path, methods in document.items()
        for method, operation in methods.items()
        if operation.get("security") == [{"bearer": []}]
    }
    named = [(method, path.partition("?")[0]) for method, path in ROUTES]
    assert {(method, path.replace("high_value", "{name}").replace("crm", "{name}")) for method, path in named} == secret


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_publishable_key_administers_nothing(server: Server, method: str, path: str) -> None:
    public = {"authorization": f"Bearer {server.shop.public_text}"}
    for headers, status, code in (
        ({}, 401, "missing_key"),
        ({"authorization": "Bearer cws_live_x_y"}, 401, "unknown_key"),
        (public, 403, "not_allowed"),
        ({**public, "origin": ORIGIN}, 403, "not_allowed"),
    ):
        answer = server.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "access-control-allow-origin" not in answer.headers


def known(server: Server, **traits: Any) -> str:
    user = f"user-{next(numbers)}"
    server.shop.consents({"userId": user}, trusted=True)
    server.shop.keeps(server.shop.event("identify", userId=user, traits=traits), trusted=True)
    return user


def test_one_shopper_seen_and_forgotten(server: Server) -> None:
    user = known(server, firstName="Ada")
    server.shop.keeps(server.shop.orders({"userId": user}, f"o-{user}", 12.5), trusted=True)
    held = server.admin("GET", "/v1/shoppers", params={"userId": user})
    assert held.status_code == 200
    assert held.headers["cache-control"] == "private, no-store"
    body = held.json()
    assert body["userId"] == user
    assert body["traits"] == {"first_name": "Ada"}
    assert body["consent"]["personalization"] == "granted"
    assert body["orders"][0]["net"]["subtotal"] == 1250
    assert body["attributes"]["spent"] == 1250
    assert body["segments"]["loyalty_bronze"] is True
    assert server.admin("DELETE", "/v1/shoppers", params={"userId": user}).json() == {"forgotten": True}
    for method in ("GET", "DELETE"):
        gone = server.admin(method, "/v1/shoppers", params={"userId": user})
        assert (gone.status_code, gone.json()["code"]) == (404, "no_such_shopper")
    nobody = server.admin("GET", "/v1/shoppers")
    assert (nobody.status_code, nobody.json()["code"]) == (400, "missing_identity")


def test_another_store_and_the_test_environment_see_nothing(server: Server) -> None:
    user = known(server)
    for tenant in (Tenant("elsewhere", "live"), Tenant("default", "test")):
        other = Shop(server.shop.engine, server.shop.clock, tenant)
        headers = {"authorization": f"Bearer {other.secret_text}"}
        answer = server.http.get("/v1/shoppers", params={"userId": user}, headers=headers)
        assert answer.status_code == 404
        assert server.http.delete("/v1/shoppers", params={"userId": user}, headers=headers).status_code == 404
        sizes = server.http.get("/v1/audiences", headers=headers).json()["audiences"]
        assert all(audience["size"] == 0 for audience in sizes)
        assert server.http.get("/v1/webhooks", headers=headers).json() == {"webhooks": []}
        switched = server.http.put("/v1/kill", json={"scope": "all", "off": True}, headers=headers)
        assert len(switched.json()["off"]) == 1
        assert server.admin("GET", "/v1/kill").json() == {"off": []}
        asked = {"context": {"cart": {"total": 60}}}
        assert server.post("/v1/decide", asked).json()["placements"]["basket_message"]["reason"] == "match"
        theirs = server.http.post("/v1/decide", json=asked, headers=headers).json()
        assert theirs["placements"]["basket_message"]["reason"] == "killed"


def test_prices_and_stock(server: Server) -> None:
    engine = server.shop.engine
    engine.world.catalogue.upsert(LIVE, [Product("a", price=100, stock=1), Product("b", price=200)])
    engine.catalogues.of(LIVE)
    engine.refresh()
    items: list[dict[str, Any]] = [{"id": "a", "price": 1.25}, {"id": "b", "stock": 0}, {"id": "c", "price": "9.99"}]
    answer = server.admin("PATCH", "/v1/catalog", json={"items": items})
    assert answer.json() == {"changed": 2, "unknown": ["c"]}
    products = engine.catalogues.products(LIVE)
    assert (products["a"].price, products["a"].stock) == (125, 1)
    assert (products["b"].price, products["b"].stock) == (200, 0)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"id": "a", "price": "NaN"}, "invalid_price"),
        ({"id": "a", "price": "sNaN"}, "invalid_price"),
        ({"id": "a", "price": -1}, "invalid_price"),
        ({"id": "a", "price": "1e99"}, "invalid_price"),
        ({"id": "a", "stock": -1}, "invalid_request"),
        ({"id": "a", "stock": 2**70}, "invalid_request"),
        ({"id": ""}, "invalid_request"),
        ({"price": 1}, "invalid_request"),
        ({"id": "a", "stock": "many"}, "invalid_request"),
    ],
)
def test_prices_and_stock_that_make_no_sense(server: Server, item: dict[str, Any], code: str) -> None:
    answer = server.admin("PATCH", "/v1/catalog", json={"items": [item]})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_bodies_that_cannot_be_read(server: Server) -> None:
    for content, status, code in (
        (b"", 400, "invalid_json"),
        (b'{"x":' + b"[" * 50_000, 400, "invalid_json"),
        (b"[]", 400, "invalid_request"),
        (b" " * 2_000_001, 413, "body_too_large"),
    ):
        for method, path in (("PATCH", "/v1/catalog"), ("PUT", "/v1/kill"), ("PUT", "/v1/webhooks")):
            answer = server.admin(method, path, content=content)
            assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_kill_switch_holds_from_the_next_decision_on(server: Server) -> None:
    asked = {"context": {"cart": {"total": 60}}}

    def reason() -> str:
        return str(server.post("/v1/decide", asked).json()["placements"]["basket_message"]["reason"])

    for switch in (
        {"scope": "all"},
        {"scope": "placement", "name": "basket_message"},
        {"scope": "experience", "name": "free_delivery_reached"},
    ):
        assert reason() == "match"
        told = server.admin("PUT", "/v1/kill", json={**switch, "off": True, "reason": "wrong"}).json()["off"]
        assert [(each["scope"], each["reason"]) for each in told] == [(switch["scope"], "wrong")]
        if switch["scope"] == "experience":
            shown = server.post("/v1/decide", asked).json()["placements"]["basket_message"]
            assert shown["experience"] != "free_delivery_reached"
        else:
            assert reason() == "killed"
        assert server.admin("PUT", "/v1/kill", json={**switch, "off": False}).json() == {"off": []}
    assert reason() == "match"
    for bad in ({"scope": "all", "name": "x"}, {"scope": "placement"}):
        answer = server.admin("PUT", "/v1/kill", json={**bad, "off": True})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_switch")


def test_audiences(server: Server) -> None:
    shop = server.shop
    users = [known(server) for _ in range(3)]
    for user in users:
        shop.keeps(shop.orders({"userId": user}, f"first-{user}", 10.0), trusted=True)
    shop.engine.writer.call(lambda: shop.engine.sweeper.run() and None)
    listed = server.admin("GET", "/v1/audiences").json()["audiences"]
    size = {audience["name"]: audience["size"] for audience in listed}["loyalty_bronze"]
    assert size >= 3
    path = "/v1/audiences/loyalty_bronze/members"
    found, after = [], ""
    while True:
        page = server.admin("GET", path, params={"limit": 2, "after": after}).json()
        found += [member["userId"] for member in page["members"]]
        after = page["next"]
        if after is None:
            break
    assert len(found) == size
    assert set(users) <= set(found)
    for query, status, code in (
        ({"limit": "0"}, 400, "invalid_request"),
        ({"limit": "99999"}, 400, "invalid_request"),
        ({"limit": "00000000199999"}, 400, "invalid_request"),
        ({"limit": "9" * 5000}, 400, "invalid_request"),
        ({"limit": "²"}, 400, "invalid_request"),
        ({"after": "zz"}, 400, "invalid_request"),
    ):
        answer = server.admin("GET", path, params=query)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    missing = server.admin("GET", "/v1/audiences/nowhere/members")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_segment")
    pushed = server.admin("POST", path, json={"add": [{"userId": users[0]}]})
    assert (pushed.status_code, pushed.json()["code"]) == (400, "not_pushed")


def test_webhooks_show_their_secret_once(server: Server) -> None:
    made = server.admin("PUT", "/v1/webhooks", json={"name": "crm", "url": "https://crm.example/in"})
    assert made.status_code == 200
    secret = made.json()["secret"]
    assert len(secret) > 40
    listed = server.admin("GET", "/v1/webhooks")
    assert listed.json() == {
        "webhooks": [{"name": "crm", "url": "https://crm.example/in", "segments": [], "told": ["segments"]}]
    }
    assert secret not in listed.text
    assert server.admin("DELETE", "/v1/webhooks/crm").json() == {"success": True}
    assert server.admin("GET", "/v1/webhooks").json() == {"webhooks": []}


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "file:///etc/passwd", "https://", "https://a@b/", "http://[::1", "http://x:99999/", "http://x:0/",
     "javascript:alert(1)", "https://exa mple/", "https://ex\nample/"],
)  # fmt: skip
def test_webhook_addresses_that_are_none(server: Server, url: str) -> None:
    answer = server.admin("PUT", "/v1/webhooks", json={"name": "x", "url": url})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_url")


def samples(answer: httpx.Response) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("fate", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_books_balance_in_the_metrics(server: Server) -> None:
    shop, who = server.shop, {"anonymousId": "anon-metrics"}
    shop.consents(who)
    event = shop.views(who)
    shop.batch(event, event, {**event, "properties": {}}, {"type": "track"}, shop.views({"anonymousId": "a-stranger"}))
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    told = samples(answer)
    received = told["cashwrap_events_received_total", ""]
    fates = {fate: value for (name, fate), value in told.items() if name == "cashwrap_events_total"}
    assert sum(fates.values()) == received == shop.engine.account().received
    assert all(fates[fate] >= 1 for fate in ("stored", "duplicate", "conflict", "failed", "dropped_by_consent"))
    server.post("/v1/decide", {})
    later = samples(server.http.get("/metrics"))
    assert later["cashwrap_decisions_total", ""] == told["cashwrap_decisions_total", ""] + 1
    assert later["cashwrap_decision_seconds_count", ""] == told["cashwrap_decision_seconds_count", ""] + 1
    assert later["cashwrap_requests_waiting", ""] == 0


def test_health_and_readiness(server: Server) -> None:
    assert server.http.get("/healthz").json() == {"status": "ok", "version": VERSION}
    ready = server.http.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["playbook"] == {"hash": server.shop.engine.live.playbook.hash, "error": None}
    server.health.ready = False
    try:
        assert server.http.get("/readyz").status_code == 503
    finally:
        server.health.ready = True


def test_what_a_page_and_an_editor_fetch(server: Server) -> None:
    script = server.http.get(f"/sdk/{VERSION}/cashwrap.min.js")
    assert script.status_code == 200
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    other = server.http.get("/sdk/9.9.9/cashwrap.min.js")
    assert (other.status_code, other.json()["code"]) == (404, "no_such_file")
    assert server.http.get("/schemas/playbook.json").json()["$schema"]
