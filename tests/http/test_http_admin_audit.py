"""Every change of the shop's rules and every look at a person leaves an entry, which names nobody."""

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cashwrap.adapters.audit import MemoryAudit
from cashwrap.audit import pseudonym
from cashwrap.errors import Unavailable
from cashwrap.model import Product, Tenant
from cashwrap.playbook import read_files
from cashwrap.ports import AuditEntry, ShopperKey
from cashwrap.serve.openapi import document
from cashwrap.serve.operations import VERSION
from cashwrap.versions import Versions
from engines import LIVE, STARTER, Shop, TestClock, memory_world
from servers import Server, serving

CANARY = "canary-ada"
USER = {"userId": f"{CANARY}@example.com"}
NOBODY = "nobody's"
"""Reads that show no person: lists of the shop's own rules, and reasons of failures."""
LEDGER = "the ledger's"
"""Money, which has append-only books of its own (docs/decisions/0025)."""
PAGES = "a page's"
"""Asked at the pace of pages, like a decision: counted, and no entry each."""

EXPECTED: dict[tuple[str, str], str] = {
    ("GET", "/v1/shoppers"): "shopper.read",
    ("DELETE", "/v1/shoppers"): "shopper.forget",
    ("PATCH", "/v1/catalog"): "catalogue.change",
    ("GET", "/v1/audiences"): NOBODY,
    ("GET", "/v1/audiences/{name}/members"): "audience.read",
    ("POST", "/v1/audiences/{name}/members"): "audience.push",
    ("GET", "/v1/webhooks"): NOBODY,
    ("PUT", "/v1/webhooks"): "webhook.put",
    ("DELETE", "/v1/webhooks/{name}"): "webhook.remove",
    ("GET", "/v1/decisions/{id}"): "decision.read",
    ("POST", "/v1/previews"): "preview.make",
    ("POST", "/v1/predict"): PAGES,
    ("GET", "/v1/kill"): NOBODY,
    ("PUT", "/v1/kill"): "switch.off",
    ("GET", "/v1/playbook/versions"): NOBODY,
    ("GET", "/v1/playbook/versions/{hash}"): NOBODY,
    ("GET", "/v1/playbook/diff"): NOBODY,
    ("POST", "/v1/playbook/rollback"): "playbook.rollback",
    ("GET", "/v1/failed"): NOBODY,
    ("GET", "/v1/failed/{number}"): "failed.read",
    ("POST", "/v1/failed/{number}/repair"): "failed.repair",
    ("POST", "/v1/failed/replay"): "failed.replay",
    ("POST", "/v1/failed/discard"): "failed.discard",
    ("GET", "/v1/audit"): NOBODY,
    ("GET", "/v1/offers"): NOBODY,
    ("POST", "/v1/offers/reserve"): LEDGER,
    ("POST", "/v1/offers/redeem"): LEDGER,
    ("POST", "/v1/offers/release"): LEDGER,
    ("POST", "/v1/offers/rollback"): LEDGER,
    ("GET", "/v1/offers/reservations/{id}"): LEDGER,
}
CHANGES = sorted(route for route, action in EXPECTED.items() if action not in {NOBODY, LEDGER, PAGES})


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(memory_world(TestClock())) as server:
        yield server


numbers = itertools.count()


def fails(server: Server, price: str = CANARY) -> int:
    """A failed event with a payload; its number."""
    shop = server.shop
    shop.consents(USER, trusted=True)
    properties = {"product_id": "mug", "price": price}
    shop.keeps(shop.event(event="Product Viewed", properties=properties, **USER), trusted=True)
    return shop.engine.world.failed.failures()[-1].sequence


def decided(server: Server) -> str:
    answer = server.admin("POST", "/v1/decide", json={"shopper": USER, "context": {"cart": {"total": 60}}})
    server.shop.keeps(server.shop.views(USER), trusted=True)  # takes the record along
    return str(answer.json()["decisionId"])


def ask(server: Server, method: str, path: str) -> httpx.Response:  # noqa: C901, PLR0911 - one case a route
    """A request that does what its route is for."""
    match method, path:
        case _, "/v1/shoppers":
            server.shop.consents(USER, trusted=True)
            return server.admin(method, path, params=USER)
        case "PATCH", "/v1/catalog":
            server.shop.engine.world.catalogue.upsert(LIVE, [Product("a", price=1)])
            return server.admin(method, path, json={"items": [{"id": "a", "price": 2}]})
        case "GET", "/v1/audiences/{name}/members":
            return server.admin(method, "/v1/audiences/high_value/members")
        case "POST", "/v1/audiences/{name}/members":
            return server.admin(method, "/v1/audiences/high_value/members", json={"add": [USER]})
        case "PUT", "/v1/webhooks":
            body = {"name": "crm", "url": f"https://crm.example/hook?token={CANARY}"}
            return server.admin(method, path, json=body)
        case "DELETE", "/v1/webhooks/{name}":
            return server.admin(method, "/v1/webhooks/crm")
        case "GET", "/v1/decisions/{id}":
            return server.admin(method, f"/v1/decisions/{decided(server)}")
        case "POST", "/v1/previews":
            url = f"https://shop.example/?user={CANARY}"
            return server.admin(method, path, json={"experience": next(iter(experiences(server))), "url": url})
        case "PUT", "/v1/kill":
            body = {"scope": "experience", "name": "thank_regulars", "off": True, "reason": f"said {CANARY}"}
            answer = server.admin(method, path, json=body)
            server.admin(method, path, json={**body, "off": False})
            return answer
        case "POST", "/v1/playbook/rollback":
            live = server.shop.engine.live.playbook.hash
            return server.admin(method, path, json={"hash": live, "who": CANARY, "message": CANARY})
        case "GET", "/v1/failed/{number}":
            return server.admin(method, f"/v1/failed/{fails(server)}")
        case "POST", "/v1/failed/{number}/repair":
            return server.admin(method, f"/v1/failed/{fails(server)}/repair", json={"set": {"properties.price": "9"}})
        case "POST", "/v1/failed/replay" | "/v1/failed/discard":
            return server.admin(method, path, json={"numbers": [fails(server)]})
        case _:
            raise AssertionError(f"say how {method} {path} is asked")


def experiences(server: Server) -> Any:
    return server.shop.engine.live.playbook.declarations.experiences


def entries(server: Server) -> list[AuditEntry]:
    log = server.shop.engine.world.audit
    assert log is not None
    return [entry for _, entry in log.entries(limit=1_000_000)]


def secret_routes() -> set[tuple[str, str]]:
    paths: Any = document(VERSION)["paths"]
    return {
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation.get("security") == [{"bearer": []}]
    }


def unmapped(routes: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return routes - EXPECTED.keys()


def test_every_route_is_in_the_matrix() -> None:
    assert unmapped(secret_routes()) == set()
    assert EXPECTED.keys() - secret_routes() == set()
    assert unmapped({("POST", "/v1/new")}) == {("POST", "/v1/new")}, "a new route is noticed"
    reads = {route for route, action in EXPECTED.items() if action == NOBODY}
    assert all(method == "GET" for method, _ in reads)


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_it_leaves_an_entry(server: Server, method: str, path: str) -> None:
    if path == "/v1/playbook/rollback":
        keep_live(server)
    before = len(entries(server))
    answer = ask(server, method, path)
    found = [entry for entry in entries(server)[before:] if entry.action == EXPECTED[method, path]]
    assert found, f"{answer.status_code} {answer.text} left {entries(server)[before:]}"
    assert found[0].actor == server.shop.secret.id
    if path != "/v1/playbook/rollback":
        assert (found[0].details["store"], found[0].details["environment"]) == ("default", "live")


def keep_live(server: Server) -> None:
    versions = Versions(server.shop.engine.world.registry, server.shop.clock)
    versions.keep(server.shop.engine.live.playbook, read_files(STARTER))


def test_no_entry_names_anybody(server: Server) -> None:
    """After all of the above, with a person's name wherever a request can carry one."""
    keep_live(server)
    for method, path in CHANGES:
        ask(server, method, path)
    log = repr(entries(server))
    assert CANARY not in log
    assert "example.com" not in log
    assert server.shop.public_text not in log
    assert server.shop.secret_text not in log


def test_a_decision_that_is_explained_leaves_an_entry(server: Server) -> None:
    server.shop.consents(USER, trusted=True)
    before = len(entries(server))
    answer = server.admin("POST", "/v1/decide", json={"shopper": USER, "explain": True})
    assert answer.json()["explain"]
    [entry] = entries(server)[before:]
    key = server.shop.key(user=USER["userId"])
    assert key is not None
    assert (entry.action, entry.subject) == ("shopper.explain", pseudonym(server.shop.engine.world.vault, key))
    server.admin("POST", "/v1/decide", json={"shopper": USER})
    assert len(entries(server)) == before + 1


def test_a_pseudonym_is_the_same_until_the_shopper_is_forgotten(server: Server) -> None:
    user = {"userId": f"u-{next(numbers)}"}
    server.shop.consents(user, trusted=True)
    for _ in range(2):
        server.admin("GET", "/v1/shoppers", params=user)
    server.admin("DELETE", "/v1/shoppers", params=user)
    read, again, forgotten = entries(server)[-3:]
    assert read.subject == again.subject == forgotten.subject
    server.shop.consents(user, trusted=True)
    server.admin("GET", "/v1/shoppers", params=user)
    assert entries(server)[-1].subject != read.subject, "who comes back is somebody else"


def test_pages_show_the_keys_own_store(server: Server) -> None:
    other = Shop(server.shop.engine, server.shop.clock, Tenant("elsewhere", "live"))
    headers = {"authorization": f"Bearer {other.secret_text}"}
    server.http.put("/v1/kill", json={"scope": "all", "off": True}, headers=headers)
    theirs = server.http.get("/v1/audit", headers=headers).json()
    assert {entry["details"].get("store", "elsewhere") for entry in theirs["entries"]} == {"elsewhere"}
    own, after = [], 0
    while True:
        page = server.admin("GET", "/v1/audit", params={"limit": 5, "after": after}).json()
        own += page["entries"]
        if page["next"] is None:
            break
        after = page["next"]
    assert {entry["details"].get("store", "default") for entry in own} == {"default"}
    assert [entry["number"] for entry in own] == sorted(entry["number"] for entry in own)
    bad = server.admin("GET", "/v1/audit", params={"after": "-1"})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_request")


class Full(MemoryAudit):
    """A disk that is full."""

    def append(self, entry: AuditEntry) -> int:
        raise Unavailable("the audit log cannot be written", code="audit_unavailable")


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_what_cannot_be_told_is_not_done(
    server: Server, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_live(server)
    log = server.shop.engine.world.audit
    monkeypatch.setattr(log, "append", Full().append)
    switches, hooks = server.shop.engine.switches.of(LIVE), server.shop.engine.webhooks.of(LIVE)
    answer = ask(server, method, path)
    if path == "/v1/shoppers" and method == "DELETE":
        assert answer.json() == {"forgotten": True}, "nobody is held up who wants to be forgotten"
        return
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (server.shop.engine.switches.of(LIVE), server.shop.engine.webhooks.of(LIVE)) == (switches, hooks)


def test_without_an_audit_log_a_decision_is_answered_but_not_explained(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.shop.engine.world.audit, "append", Full().append)
    answer = server.admin("POST", "/v1/decide", json={"shopper": USER, "explain": True})
    assert answer.status_code == 200
    assert "explain" not in answer.json()


def test_a_shopper_key_is_in_no_entry(server: Server) -> None:
    server.shop.consents(USER, trusted=True)
    server.admin("GET", "/v1/shoppers", params=USER)
    key = server.shop.key(user=USER["userId"])
    assert isinstance(key, ShopperKey)
    assert key.shopper.hex() not in repr(entries(server))
