"""Failed events settled while serving, with the books in ``/metrics``."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cashwrap import backlog
from cashwrap.backlog import Backlog
from cashwrap.model import Tenant
from cashwrap.serve import settle
from engines import Shop, TestClock, memory_world
from servers import Server, serving

ANN = {"anonymousId": "anon-ann-failed"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(memory_world(TestClock())) as server:
        server.shop.consents(ANN)
        yield server


def view(server: Server, price: object, **more: Any) -> dict[str, Any]:
    return server.shop.event(event="Product Viewed", properties={"product_id": "mug", "price": price}, **ANN) | more


def sends(server: Server, *events: dict[str, Any]) -> httpx.Response:
    return server.post("/v1/batch", {"batch": list(events)})


def samples(server: Server) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(server.http.get("/metrics").text)
        for sample in family.samples
    }


def balanced(server: Server) -> bool:
    told = samples(server)
    fates = [value for name, value in told.items() if name[0] == "cashwrap_events_total"]
    return sum(fates) == told["cashwrap_events_received_total",]


def test_one_is_shown_repaired_and_tried_again(server: Server) -> None:
    told = sends(server, view(server, "12,50")).json()
    assert told["errors"][0]["code"] == "invalid_money"
    [listed] = server.admin("GET", "/v1/failed").json()["failed"]
    number = listed["number"]
    assert listed["payload"] is True
    assert "mug" not in str(listed), "a list shows reasons only"
    shown = server.admin("GET", f"/v1/failed/{number}").json()
    assert shown["broken"] == {"properties.price": "12,50"}
    assert shown["event"]["properties"] == {"product_id": "mug"}
    left = server.admin("POST", "/v1/failed/replay", json={"numbers": [number]}).json()
    assert left["left"] == {str(number): "still_broken"}
    mended = server.admin("POST", f"/v1/failed/{number}/repair", json={"set": {"properties.price": "12.50"}}).json()
    assert (mended["event"]["properties"]["price"], mended["broken"]) == (1250, {})
    done = server.admin("POST", "/v1/failed/replay", json={"numbers": [number]}).json()
    assert (done["tried"], done["stored"], done["left"], done["next"]) == (1, 1, {}, None)
    assert server.admin("GET", "/v1/failed").json() == {"failed": [], "next": None}
    assert balanced(server)


def test_conflicts_come_again_by_their_code(server: Server) -> None:
    first = view(server, 1)
    other = {**first, "properties": {"product_id": "cup"}}
    sends(server, first)
    sends(server, other, other)
    before = samples(server)
    assert before["cashwrap_events_total", "conflict"] == 2
    done = server.admin("POST", "/v1/failed/replay", json={"code": "conflicting_message_id"}).json()
    assert (done["stored"], done["duplicate"]) == (1, 1)
    after = samples(server)
    received = ("cashwrap_events_received_total",)
    assert after[received] - before[received] == 2, "what is tried again is received again"
    assert balanced(server)


def test_pages_and_what_makes_no_sense(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sends(server, *(view(server, "x") for _ in range(5)))
    numbers, after = [], 0
    while True:
        page = server.admin("GET", "/v1/failed", params={"limit": 2, "after": after}).json()
        numbers += [each["number"] for each in page["failed"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert len(numbers) == len(set(numbers)) == 5
    monkeypatch.setattr(settle, "AT_ONCE", 3)
    told = server.admin("POST", "/v1/failed/replay", json={"all": True}).json()
    assert (len(told["left"]), told["next"]) == (3, numbers[2])
    told = server.admin("POST", "/v1/failed/replay", json={"all": True, "after": told["next"]}).json()
    assert (len(told["left"]), told["next"]) == (2, None)
    for method, path, body, status, code in (
        ("POST", "/v1/failed/replay", {}, 400, "invalid_request"),
        ("POST", "/v1/failed/replay", {"all": True, "code": "x"}, 400, "invalid_request"),
        ("POST", "/v1/failed/discard", {"numbers": [numbers[0], 999]}, 404, "no_such_event"),
        ("POST", f"/v1/failed/{numbers[0]}/repair", {}, 400, "invalid_request"),
        ("POST", f"/v1/failed/{numbers[0]}/repair", {"set": {"properties.price": "x"}}, 400, "invalid_money"),
        ("POST", f"/v1/failed/{numbers[0]}/repair", {"set": {"nothing": "x"}}, 404, "no_such_field"),
        ("POST", "/v1/failed/999/repair", {"unset": ["properties.price"]}, 404, "no_such_event"),
        ("GET", "/v1/failed/%C2%B2", None, 404, "no_such_event"),
        ("GET", "/v1/failed/" + "9" * 40, None, 404, "no_such_event"),
    ):
        answer = server.admin(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    assert server.admin("POST", "/v1/failed/discard", json={"numbers": numbers[:2]}).json() == {"discarded": 2}
    assert server.admin("POST", "/v1/failed/discard", json={"code": "invalid_money"}).json() == {"discarded": 3}


def test_another_store_sees_and_settles_nothing(server: Server) -> None:
    sends(server, view(server, "x"))
    [failure] = server.admin("GET", "/v1/failed").json()["failed"]
    for tenant in (Tenant("elsewhere", "live"), Tenant("default", "test")):
        other = Shop(server.shop.engine, server.shop.clock, tenant)
        headers = {"authorization": f"Bearer {other.secret_text}"}
        assert server.http.get("/v1/failed", headers=headers).json()["failed"] == []
        path = f"/v1/failed/{failure['number']}"
        assert server.http.get(path, headers=headers).status_code == 404
        body = {"unset": ["properties.price"]}
        assert server.http.post(f"{path}/repair", json=body, headers=headers).status_code == 404
        assert server.http.post("/v1/failed/discard", json={"all": True}, headers=headers).json() == {"discarded": 0}
        assert server.http.post("/v1/failed/replay", json={"all": True}, headers=headers).json()["tried"] == 0
    assert server.admin("GET", "/v1/failed").json()["failed"] == [failure]


def test_the_gauge_tells_codes_and_ages(server: Server) -> None:
    sends(server, view(server, "x"), view(server, "y"))
    server.shop.clock.wait(days=3)
    server.shop.engine.refresh()
    assert samples(server)["cashwrap_failed_events", "7d", "invalid_money"] == 2
    server.admin("POST", "/v1/failed/discard", json={"all": True})
    server.shop.clock.wait(minutes=1)
    server.shop.engine.refresh()
    assert not [name for name in samples(server) if name[0] == "cashwrap_failed_events"]


def test_a_full_backlog_refuses_what_nobody_else_would_hear_of(server: Server) -> None:
    server.shop.engine.backlog = Backlog(server.shop.engine.world.failed, server.shop.clock, most=1)
    first = view(server, 1)
    sends(server, first)
    assert sends(server, view(server, "x"), view(server, "x")).json()["errors"][1]["code"] == "invalid_money"
    full = sends(server, {**first, "properties": {"product_id": "cup"}}, view(server, 2))
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "failed_events_full", "1")
    assert sends(server, view(server, 3)).status_code == 200, "others go on"
    told = samples(server)
    assert told["cashwrap_failed_events_missed_total",] == 1
    assert told["cashwrap_failed_events_full_total",] == 1
    assert balanced(server)
    assert backlog.MOST == 100_000


def test_a_field_that_is_none_is_in_no_audit_entry(server: Server) -> None:
    sends(server, view(server, "x"))
    number = server.admin("GET", "/v1/failed").json()["failed"][0]["number"]
    for path in ("properties.Ada Lovelace", "Ada"):
        server.admin("POST", f"/v1/failed/{number}/repair", json={"set": {path: "1"}})
    server.admin("POST", f"/v1/failed/{number}/repair", json={"set": {"properties.price": "1"}})
    told = server.admin("GET", "/v1/audit").text
    assert "Ada" not in told
    assert "properties.price" in told
