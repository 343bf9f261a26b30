"""The tracking API over HTTP: every path and auth style, the browser's rules, and what is said about bad requests."""

import base64
import gzip
import itertools
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import Unavailable
from cashwrap.ports import Changes
from engines import BROWSER, TestClock, memory_world
from servers import ORIGIN, Server, serving

OK = {"success": True}
numbers = itertools.count()


def who() -> dict[str, str]:
    return {"anonymousId": f"anon-collect-{next(numbers):08}"}


def consented(server: Server, **fields: Any) -> dict[str, str]:
    shopper = who()
    choices = {"personalization": "granted", "analytics": "granted"}
    answer = server.post("/v1/consent", {"messageId": f"c-{shopper['anonymousId']}", "choices": choices, **shopper})
    assert (answer.status_code, answer.json()) == (200, OK)
    return shopper


def views(server: Server, shopper: dict[str, str]) -> int:
    held = server.admin("GET", "/v1/shoppers", params=shopper)
    assert held.status_code == 200, held.text
    return int(held.json()["attributes"].get("session_views", 0))


@pytest.fixture
def agent() -> dict[str, str]:
    return {"user-agent": BROWSER}


CALLS: dict[str, dict[str, Any]] = {
    "track": {"event": "Product Viewed", "properties": {"product_id": "mug-1"}},
    "identify": {"traits": {"firstName": "Ada"}},
    "page": {"name": "Home", "properties": {"path": "/"}},
    "screen": {"name": "Home"},
    "group": {"groupId": "club"},
    "alias": {"previousId": "before"},
}


@pytest.mark.parametrize("short", [False, True], ids=["word", "letter"])
@pytest.mark.parametrize("call", list(CALLS))
def test_every_call_of_the_tracking_api(server: Server, call: str, short: bool) -> None:
    shopper = consented(server)
    before = server.shop.engine.account().stored
    path = f"/v1/{call[0] if short else call}"
    answer = server.post(path, {"messageId": f"{path}-{shopper}", **CALLS[call], **shopper})
    assert (answer.status_code, answer.json()) == (200, OK)
    assert server.shop.engine.account().stored == before + 1


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import"])
def test_a_batch(server: Server, path: str, agent: dict[str, str]) -> None:
    shopper = consented(server)
    events = [{"type": "track", "messageId": f"{path}{n}{shopper}", **CALLS["track"], **shopper} for n in range(3)]
    assert server.post(path, {"batch": events}, headers=agent).json() == OK
    assert views(server, shopper) == 3


def test_every_place_a_key_may_be(server: Server, agent: dict[str, str]) -> None:
    key = server.shop.public_text
    basic = base64.b64encode(f"{key}:".encode()).decode()
    shopper = consented(server)

    def event(number: int) -> dict[str, Any]:
        return {"messageId": f"key-{number}", **CALLS["track"], **shopper}

    ways: list[dict[str, Any]] = [
        {"json": event(1), "headers": {"authorization": f"Bearer {key}"}},
        {"json": event(2), "headers": {"authorization": f"bearer {key}"}},
        {"json": event(3), "headers": {"authorization": f"Basic {basic}"}},
        {"json": {**event(4), "writeKey": key}},
        {"content": msgspec.json.encode({**event(5), "writeKey": key}), "headers": {"content-type": "text/plain"}},
        {"content": gzip.compress(msgspec.json.encode({**event(6), "writeKey": key}))},
    ]
    for way in ways:
        way["headers"] = {**way.get("headers", {}), **agent}
        answer = server.http.post("/v1/track", **way)
        assert (answer.status_code, answer.json()) == (200, OK), way
    batch = {"batch": [{"type": "track", **event(7)}], "writeKey": key}
    assert server.http.post("/v1/batch", json=batch, headers=agent).json() == OK
    assert views(server, shopper) == len(ways) + 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_key"),
        ({"authorization": "Bearer"}, "missing_key"),
        ({"authorization": "Bearer nonsense"}, "unknown_key"),
        ({"authorization": "Bearer cwp_live_aaaaaaaa_bbbb"}, "unknown_key"),
        ({"authorization": "Bearer \xff\xfe".encode("latin-1")}, "unknown_key"),
        ({"authorization": "Basic !!!"}, "missing_key"),
        ({"authorization": "Digest abc"}, "missing_key"),
        ({"authorization": "Basic " + base64.b64encode(b":x").decode()}, "missing_key"),
    ],
)
def test_without_a_known_key(server: Server, headers: dict[str, str], code: str) -> None:
    answer = server.http.post("/v1/track", json={**CALLS["track"], **who()}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_gzip_is_told_by_its_first_bytes(server: Server, agent: dict[str, str]) -> None:
    shopper = consented(server)
    for number, headers in enumerate(
        [
            {"content-encoding": "gzip", "content-type": "application/json"},
            {"content-type": "application/x-www-form-urlencoded"},
            {"content-type": "text/plain"},
            {},
        ]
    ):
        body = gzip.compress(msgspec.json.encode({"messageId": f"gz-{number}", **CALLS["track"], **shopper}))
        assert server.post("/v1/track", content=body, headers={**headers, **agent}).json() == OK
    plain = msgspec.json.encode({"messageId": "gz-9", **CALLS["track"], **shopper})
    assert server.post("/v1/track", content=plain, headers={"content-encoding": "gzip", **agent}).json() == OK
    assert views(server, shopper) == 5


BAD_BODIES: dict[str, tuple[str, bytes, int, str]] = {
    "empty": ("/v1/batch", b"", 400, "invalid_json"),
    "no json": ("/v1/batch", b"hello", 400, "invalid_json"),
    "cut": ("/v1/batch", b'{"batch":[{"type":"tr', 400, "invalid_json"),
    "no batch": ("/v1/batch", b"{}", 400, "missing_batch"),
    "null": ("/v1/batch", b"null", 400, "missing_batch"),
    "array": ("/v1/batch", b"[]", 400, "missing_batch"),
    "wrong head": ("/v1/batch", b'{"batch":[],"sentAt":[1]}', 400, "invalid_type"),
    "bad gzip": ("/v1/batch", b"\x1f\x8b" + b"x" * 30, 400, "invalid_gzip"),
    "cut gzip": ("/v1/batch", gzip.compress(b'{"batch":[]}')[:-5], 400, "invalid_gzip"),
    "bomb": ("/v1/batch", gzip.compress(bytes(50_000_000)), 413, "body_too_large"),
    "large": ("/v1/batch", b'{"batch":[' + b" " * 600_000 + b"]}", 413, "body_too_large"),
    "many": ("/v1/batch", b'{"batch":[' + b",".join([b"{}"] * 2501) + b"]}", 413, "too_many_events"),
    "deep": ("/v1/batch", b'{"batch":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, ""),
}


@pytest.mark.parametrize("name", list(BAD_BODIES))
def test_a_body_that_cannot_be_used(server: Server, name: str) -> None:
    path, body, status, code = BAD_BODIES[name]
    before = server.shop.engine.account()
    answer = server.post(path, content=body)
    if not code:  # a batch whose items cannot be used one by one
        assert answer.status_code in {200, 400}
        assert answer.status_code == 400 or answer.json()["errors"]
        return
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "retry-after" not in answer.headers
    assert server.shop.engine.account() == before


def test_one_bad_event_never_spoils_its_batch(server: Server, agent: dict[str, str]) -> None:
    shopper = consented(server)
    good = msgspec.json.encode({"type": "track", "messageId": "good", **CALLS["track"], **shopper})
    nested = b"[" * 5_000 + b"]" * 5_000
    bad = [
        b'{"type":"track","messageId":"nan","event":"Product Viewed","properties":{"price":NaN}}',
        b'{"type":"track","messageId":"surrogate","event":"Product Viewed","properties":{"product_id":"\\ud800"}}',
        b'{"type":"track","messageId":"kind","event":7}',
        b'{"type":"track","messageId":"deep","event":"Product Viewed","anonymousId":"x1x2","properties":{"x":'
        + nested
        + b"}}",
        b'{"type":"track","messageId":"own","anonymousId":"x1x2","event":"Never Declared"}',
        b'{"type":"track","messageId":"nobody","event":"Product Viewed"}',
        b'{"type":"track","messageId":"large","x":"' + b"y" * 40_000 + b'"}',
        b"7",
        b"null",
    ]
    answer = server.post("/v1/batch", content=b'{"batch":[' + b",".join([*bad, good]) + b"]}", headers=agent)
    assert answer.status_code == 200
    told = answer.json()
    assert told["success"] is True
    assert [error["index"] for error in told["errors"]] == list(range(len(bad)))
    assert all(set(error) == {"index", "messageId", "code", "message"} for error in told["errors"])
    assert [error["code"] for error in told["errors"]][2:7] == [
        "invalid_type",
        "too_deep",
        "undeclared_event",
        "missing_identity",
        "event_too_large",
    ]
    assert views(server, shopper) == 1
    assert server.shop.engine.account().balanced()


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_ten_years_off(server: Server, agent: dict[str, str], years: int) -> None:
    shopper = consented(server)
    wrong = f"{2026 + years}-03-02T12:00:00.000Z"
    event = {"messageId": f"off{years}", "timestamp": wrong, **CALLS["track"], **shopper}
    assert server.post("/v1/track", {**event, "sentAt": wrong}, headers=agent).json() == OK
    assert server.post("/v1/track", {**event, "messageId": f"on{years}"}, headers=agent).json() == OK
    held = server.admin("GET", "/v1/shoppers", params=shopper).json()
    assert abs(held["updated"] - server.shop.clock.now()) <= 7 * 86_400_000


def test_ten_thousand_products_in_a_cart(server: Server) -> None:
    shopper = consented(server)
    lines = [{"product_id": f"p{n}"} for n in range(10_000)]
    answer = server.post("/v1/track", {"event": "Cart Viewed", "properties": {"products": lines}, **shopper})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["code"] in {"event_too_large", "too_many_products"}


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"price": -1}, "negative_money"),
        ({"price": "abc"}, "invalid_money"),
        ({"quantity": -3}, "negative_quantity"),
        ({"currency": "XQQ"}, "unknown_currency"),
        ({"price": 1e300}, "invalid_money"),
        ({"quantity": 10**30}, "invalid_number"),
        ({"product_id": "x" * 201}, "id_too_long"),
    ],
)
def test_values_that_make_no_sense(server: Server, properties: dict[str, Any], code: str) -> None:
    shopper = consented(server)
    body = {"event": "Product Added", "properties": {"product_id": "mug", **properties}, **shopper}
    answer = server.post("/v1/track", body)
    assert answer.status_code == 200
    assert [error["code"] for error in answer.json()["errors"]] == [code]


# --- browsers ---


def test_a_page_of_an_allowed_origin(server: Server) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for path in ("/v1/batch", "/v1/t", "/v1/decide"):
        answer = server.http.options(path, headers={"origin": ORIGIN, **asked})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in answer.headers["access-control-allow-methods"]
        for name in ("authorization", "content-type", "x-retry-count"):
            assert name in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.content == b""
        assert "content-length" not in answer.headers
    sent = server.post("/v1/batch", {"batch": []}, headers={"origin": ORIGIN})
    assert sent.headers["access-control-allow-origin"] == ORIGIN
    assert sent.headers["vary"] == "origin"
    assert sent.headers["access-control-expose-headers"] == "etag, retry-after"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example.evil.example", "", "\xff"])
def test_a_page_of_another_origin(server: Server, origin: str) -> None:
    headers = {"origin": origin.encode("latin-1")}
    refused = server.http.options("/v1/batch", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_origin")
    answer = server.post("/v1/batch", {"batch": []}, headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")
    for each in (refused, answer):
        assert "access-control-allow-origin" not in each.headers


def test_a_secret_key_in_a_browser_is_refused(server: Server) -> None:
    for path in ("/v1/batch", "/v1/decide"):
        answer = server.post(path, {"batch": []}, secret=True, headers={"origin": ORIGIN})
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin")


def test_a_page_can_read_why_it_was_refused(server: Server) -> None:
    answer = server.http.post("/v1/batch", content=b"nonsense", headers={"origin": ORIGIN})
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_settings_for_segments_browser_client(server: Server) -> None:
    key = server.shop.public_text
    answer = server.http.get(f"/v1/projects/{key}/settings", headers={"origin": "https://any.example"})
    assert answer.status_code == 200
    assert answer.json()["integrations"]["Segment.io"]["apiKey"] == key
    assert answer.headers["access-control-allow-origin"] == "*"
    unknown = server.http.get("/v1/projects/nonsense/settings")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "unknown_key")


def test_other_methods_and_paths(server: Server) -> None:
    wrong = server.http.get("/v1/batch")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "POST, OPTIONS",
    )
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/batch/", 404),
        ("POST", "/healthz", 405),
        ("GET", "/%ff%fe", 404),
        ("GET", "/sdk/0/%2e%2e%2fx", 404),
    ):
        answer = server.http.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"code", "message"}


# --- limits ---


def test_too_many_requests_are_told_when_to_come_back() -> None:
    with serving(memory_world(TestClock()), rate=2) as server:
        shopper = who()
        answers = [server.post("/v1/track", {**CALLS["track"], **shopper}) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429]
        limited = answers[-1]
        assert limited.json()["code"] == "rate_limited"
        assert limited.headers["retry-after"] == "1"
        assert server.post("/v1/track", {**CALLS["track"], **shopper}, secret=True).status_code == 200
        elsewhere = {"x-forwarded-for": "198.51.100.7"}
        assert server.post("/v1/track", {**CALLS["track"], **shopper}, headers=elsewhere).status_code == 200
        events = [{"type": "track", **CALLS["track"], **shopper}] * 100
        waits = int(server.post("/v1/batch", {"batch": events}).headers["retry-after"])
        server.shop.clock.time += waits * 1000
        assert server.post("/v1/batch", {"batch": events}).status_code == 200, "what it was told to wait is enough"


class Full:
    def __init__(self, store: Any) -> None:
        self._store = store
        self.full = False

    def commit(self, changes: Changes) -> int:
        if self.full:
            raise Unavailable("the disk is full")
        return int(self._store.commit(changes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def full() -> Iterator[tuple[Server, Full]]:
    world = memory_world(TestClock())
    disk = Full(world.store)
    with serving(msgspec.structs.replace(world, store=disk)) as server:
        yield server, disk


def test_what_cannot_be_kept_is_not_acknowledged(full: tuple[Server, Full]) -> None:
    server, disk = full
    shopper = consented(server)
    events = [{"type": "track", "messageId": f"m{n}", **CALLS["track"], **shopper} for n in range(3)]
    disk.full = True
    answer = server.post("/v1/batch", {"batch": events}, headers={"user-agent": BROWSER})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    assert views(server, shopper) == 0
    assert server.post("/v1/decide", {"shopper": shopper}).status_code == 200
    disk.full = False
    assert server.post("/v1/batch", {"batch": events}, headers={"user-agent": BROWSER}).json() == OK
    assert views(server, shopper) == 3
    assert server.shop.engine.account().stored == 4


def test_a_mistake_of_ours_is_a_clear_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("canary")

    monkeypatch.setattr(server.shop.engine, "collect", broken)
    answer = server.post("/v1/batch", {"batch": []})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "canary" not in answer.text


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["batch", "type", "event", "x"]), inner),
            max_leaves=20,
        ).map(lambda value: msgspec.json.encode(value) if _encodable(value) else b"x"),
    ),
    st.sampled_from(["/v1/batch", "/v1/track", "/v1/consent", "/v1/i"]),
)
def test_no_body_makes_the_server_fail(server: Server, body: bytes, path: str) -> None:
    answer = server.post(path, content=body)
    assert answer.status_code in {200, 400, 413}, answer.text
    assert isinstance(answer.json(), dict)


def _encodable(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except (ValueError, OverflowError, msgspec.EncodeError, UnicodeEncodeError):
        return False
    return True


def test_a_client_that_goes_away_leaves_the_others_alone(server: Server) -> None:
    head = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.shop.public_text}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall((head + "content-length: 500\r\n\r\n{").encode())
    assert server.post("/v1/batch", {"batch": []}).json() == OK
