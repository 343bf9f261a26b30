"""Offers over HTTP, as a shop's backend asks for them: who may, what comes back, and twenty at once."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cashwrap.model import Tenant
from cashwrap.serve.rates import Rates
from engines import LIVE, Shop, TestClock, folder_world, shop_over
from offer_shop import CART, PLAYBOOK, OfferShop, playbook
from processes import Process, cashwrap, client, process
from servers import ORIGIN, Server

PLENTY = PLAYBOOK.replace("limits: {total: 10, shopper: 2, day: 6, budget: 100}", "limits: {total: 10}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with (
        folder_world(tmp_path_factory.mktemp("data"), TestClock()) as world,
        shop_over(world, playbook(PLENTY)) as shop,
    ):
        running = Server(shop, Rates(world.clock, 0))
        try:
            yield running
        finally:
            running.close()


@pytest.fixture
def shop(server: Server) -> OfferShop:
    return OfferShop(server.shop)


def post(server: Server, what: str, body: Any, key: str | None = "", **more: Any) -> httpx.Response:
    if key == "":
        key = os.urandom(8).hex()
    headers = {"idempotency-key": key} if key is not None else {}
    return server.post(f"/v1/offers/{what}", body, secret=True, headers=headers, **more)


def grant(server: Server, place: str = "twice_spot") -> str:
    asked = {"placements": [place], "context": {"cart": CART, "currency": "EUR"}}
    answer = server.post("/v1/decide", asked).json()
    token: str = answer["placements"][place]["offer"]["token"]
    return token


def reserve(server: Server, **fields: Any) -> httpx.Response:
    return post(server, "reserve", {"cart": CART, "currency": "EUR", **fields})


def test_the_life_of_a_reservation(server: Server, shop: OfferShop) -> None:
    held = reserve(server, token=grant(server), shopper={"userId": "mira"}, identities={"address": "Main 1"})
    assert held.status_code == 200
    assert held.headers["cache-control"] == "private, no-store"
    body = held.json()
    assert set(body) == {"id", "offer", "state", "amount", "currency", "expires", "benefit"}
    assert (body["offer"], body["state"], body["amount"]) == ("twice", "reserved", "1.00")
    assert body["benefit"] == {"type": "amount", "amount": "1.00"}
    redeemed = post(server, "redeem", {"reservation": body["id"], "order": "order-1", "amount": 0.5})
    assert (redeemed.json()["state"], redeemed.json()["amount"], redeemed.json()["order"]) == (
        "redeemed",
        "0.50",
        "order-1",
    )
    assert server.admin("GET", f"/v1/offers/reservations/{body['id']}").json() == redeemed.json()
    back = post(server, "rollback", {"reservation": body["id"]})
    assert back.json()["state"] == "rolled_back"
    again = reserve(server, token=grant(server)).json()
    assert post(server, "release", {"reservation": again["id"]}).json()["state"] == "released"
    told = post(server, "rollback", {"order": "order-1"})
    assert [each["state"] for each in told.json()["reservations"]] == ["rolled_back"]


def test_who_used_an_offer_without_a_profile_is_forgotten_too(server: Server, shop: OfferShop) -> None:
    """Nobody else keeps anything of them: it is the ledger that forgets, and says once that it did."""
    code = shop.code("coded")
    held = reserve(server, code=code, shopper={"userId": "walk-in"}, identities={"address": "Main 2"}).json()
    ledger, number = shop.engine.world.ledger, bytes.fromhex(held["id"])
    assert ledger is not None
    kept = ledger.reservation(LIVE, number)
    assert kept is not None
    assert kept.shopper
    assert server.admin("DELETE", "/v1/shoppers?userId=walk-in").json() == {"forgotten": True}
    kept = ledger.reservation(LIVE, number)
    assert kept is not None
    assert kept.shopper == b""
    assert server.admin("DELETE", "/v1/shoppers?userId=walk-in").json()["code"] == "no_such_shopper"
    post(server, "release", {"reservation": held["id"]})


def test_every_offer_is_told_with_how_far_it_is(server: Server, shop: OfferShop) -> None:
    held = reserve(server, code=shop.code("coded"), shopper={"userId": "lister"}).json()
    found = {each["name"]: each for each in server.admin("GET", "/v1/offers").json()["offers"]}
    assert set(found) == set(playbook(PLENTY).offers)
    coded = found["coded"]
    assert coded["limits"] == {"total": None, "shopper": 3, "code": None, "day": None, "budget": None}
    assert coded["held"] == {"EUR": "5.00"}
    assert coded["used"] == 1
    post(server, "release", {"reservation": held["id"]})


def test_a_browser_may_not(server: Server) -> None:
    for method, path in (
        ("POST", "/v1/offers/reserve"),
        ("POST", "/v1/offers/redeem"),
        ("POST", "/v1/offers/release"),
        ("POST", "/v1/offers/rollback"),
        ("GET", "/v1/offers/reservations/" + "0" * 24),
        ("GET", "/v1/offers"),
    ):
        for key, status in ((server.shop.public_text, 403), ("cws_live_nobody_x", 401), ("", 401)):
            headers = {"authorization": f"Bearer {key}", "idempotency-key": "k"} if key else {}
            answer = server.http.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)
            assert answer.status_code == status, (method, path, answer.text)
    from_a_page = reserve(server, token="x").request
    answer = server.http.request(
        "POST", "/v1/offers/reserve", headers={**from_a_page.headers, "origin": ORIGIN}, content=from_a_page.content
    )
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("what", "body", "status", "code"),
    [
        ("reserve", {"currency": "EUR", "token": "x"}, 400, "invalid_request"),
        ("reserve", {"cart": CART, "currency": "EUR"}, 400, "invalid_request"),
        ("reserve", {"cart": CART, "currency": "euro", "token": "x"}, 400, "invalid_request"),
        ("reserve", {"cart": CART, "currency": "XXX", "token": "x"}, 400, "unknown_currency"),
        ("reserve", {"cart": CART, "currency": "EUR", "token": "x" * 9000}, 400, "invalid_request"),
        ("reserve", {"cart": CART, "currency": "EUR", "token": "x", "identities": {"a": ""}}, 400, "invalid_request"),
        ("reserve", {"cart": CART, "currency": "EUR", "token": "x"}, 409, "bad_offer_token"),
        ("reserve", {"cart": CART, "currency": "EUR", "code": "7K2M-9QXC-4TZ8B"}, 409, "unknown_code"),
        ("redeem", {"reservation": "0" * 24, "order": "a"}, 404, "no_such_reservation"),
        ("redeem", {"reservation": "0" * 24, "order": "a", "amount": 1}, 404, "no_such_reservation"),
        ("redeem", {"reservation": "nothing", "order": "a"}, 400, "invalid_request"),
        ("redeem", {"reservation": "0" * 24, "order": ""}, 400, "invalid_request"),
        ("release", {"reservation": "0" * 24}, 404, "no_such_reservation"),
        ("rollback", {}, 400, "invalid_request"),
        ("rollback", {"reservation": "0" * 24, "order": "a"}, 400, "invalid_request"),
    ],
)
def test_what_is_refused_is_said(server: Server, what: str, body: Any, status: int, code: str) -> None:
    answer = post(server, what, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_is_needed_and_makes_it_happen_once(server: Server, shop: OfferShop) -> None:
    body = {"cart": CART, "currency": "EUR", "token": grant(server)}
    assert post(server, "reserve", body, None).json()["code"] == "missing_idempotency_key"
    assert post(server, "reserve", body, "x" * 201).status_code == 400
    first = post(server, "reserve", body, "k-1")
    assert first.status_code == 200
    assert post(server, "reserve", body, "k-1").json() == first.json()
    assert post(server, "reserve", dict(reversed(body.items())), "k-1").json() == first.json()
    other = post(server, "reserve", {**body, "shopper": {"userId": "x"}}, "k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    wrong_path = post(server, "release", {"reservation": first.json()["id"]}, "k-1")
    assert (wrong_path.status_code, wrong_path.json()["code"]) == (422, "idempotency_key_reused")
    with ThreadPoolExecutor(8) as threads:
        token = grant(server)
        asked = {"cart": CART, "currency": "EUR", "token": token}
        told = list(threads.map(lambda _: post(server, "reserve", asked, "k-2"), range(16)))
    fates = Counter((each.status_code, each.json().get("code")) for each in told)
    assert set(fates) <= {(200, None), (409, "in_flight")}
    assert len({each.json()["id"] for each in told if each.status_code == 200}) == 1
    shop.check()


def test_a_body_is_limited(server: Server) -> None:
    headers = {"idempotency-key": "big", "authorization": f"Bearer {server.shop.secret_text}"}
    answer = server.http.post("/v1/offers/reserve", content=b" " * 300_001, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    for content in (b"", b"[", b"\xff", b"[" * 5_000):
        assert server.http.post("/v1/offers/reserve", content=content, headers=headers).status_code == 400


def test_another_environment_sees_nothing(server: Server) -> None:
    held = reserve(server, token=grant(server)).json()
    other = Shop(server.shop.engine, server.shop.clock, Tenant("default", "test"))
    headers = {"authorization": f"Bearer {other.secret_text}"}
    answer = server.http.get(f"/v1/offers/reservations/{held['id']}", headers=headers)
    assert answer.json()["code"] == "no_such_reservation"


def test_twenty_clients_spend_ten(server: Server, shop: OfferShop) -> None:
    tokens = [grant(server, "spring_spot") for _ in range(20)]

    def buys(number: int) -> str:
        held = reserve(server, token=tokens[number], shopper={"userId": f"buyer-{number}"})
        if held.status_code != 200:
            return str(held.json()["code"])
        done = post(server, "redeem", {"reservation": held.json()["id"], "order": f"race-{number}"})
        return str(done.json()["state"])

    with ThreadPoolExecutor(20) as threads:
        fates = Counter(threads.map(buys, range(20)))
    assert fates == {"redeemed": 10, "limit_reached": 10}
    ledger = shop.engine.world.ledger
    assert ledger is not None
    assert ledger.used(LIVE, ["spring/total"]) == {"spring/total": 10}
    assert ledger.balance(LIVE, "spring") == {"EUR": (0, 4950)}
    shop.check()
    shop.tend()
    metrics = server.http.get("/metrics").text
    assert 'cashwrap_offer_spent{currency="EUR",environment="live",offer="spring",store="default"} 49.5' in metrics
    assert 'cashwrap_offer_requests_total{asked="reserve",outcome="limit_reached"}' in metrics


def test_a_ledger_that_hangs_holds_up_no_decision(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    token, going, hung = grant(server), threading.Event(), threading.Event()
    ledger = server.shop.engine.world.ledger
    assert ledger is not None
    true = ledger.reserve

    def hangs(*asked: Any) -> Any:
        hung.set()
        assert going.wait(30)
        return true(*asked)

    monkeypatch.setattr(ledger, "reserve", hangs)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(reserve, server, token=token)
        assert hung.wait(30)
        assert grant(server, "twice_spot") != token
        assert server.http.get("/healthz").status_code == 200
        going.set()
        assert waiting.result().status_code == 200


# --- the true process ---


def _folder(tmp_path: Path) -> tuple[Path, Path, str]:
    folder, data = tmp_path / "playbook", tmp_path / "data"
    folder.mkdir()
    (folder / "shop.yaml").write_text(PLENTY)
    key = cashwrap("keys", "create", "secret", "--data", data).splitlines()[-1]
    return folder, data, key


def _granted(http: httpx.Client) -> str:
    http.post("/v1/consent", json={"userId": "mira", "choices": {"personalization": "granted"}})
    context = {"cart": CART, "currency": "EUR"}
    asked = {"placements": ["twice_spot"], "shopper": {"userId": "mira"}, "context": context, "deadlineMs": 5000}
    for _ in range(100):
        answer = http.post("/v1/decide", json=asked).json()["placements"]["twice_spot"]
        if "offer" in answer:
            break
    token: str = answer["offer"]["token"]
    return token


def test_a_process_that_dies_between_telling_and_settling_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data, key = _folder(tmp_path)
    monkeypatch.setenv("CASHWRAP_CRASH_AT", "notice.told")
    dying = Process(folder, data)
    monkeypatch.delenv("CASHWRAP_CRASH_AT")
    once = {"idempotency-key": "reserve-1"}
    try:
        with client(dying.url, key) as http:
            asked = {"cart": CART, "currency": "EUR", "shopper": {"userId": "mira"}, "token": _granted(http)}
            with suppress(httpx.TransportError):  # it may die before it has answered
                http.post("/v1/offers/reserve", json=asked, headers=once)
        assert dying.popen.wait(30) == -9
    finally:
        dying.kill()
    with process(folder, data) as running, client(running.url, key) as http:
        held = http.post("/v1/offers/reserve", json=asked, headers=once).json()
        body = {"reservation": held["id"], "order": "order-1"}
        done = http.post("/v1/offers/redeem", json=body, headers={"idempotency-key": "redeem-1"})
        assert done.json()["state"] == "redeemed"
        known: dict[str, Any] = {}
        for _ in range(500):
            known = http.get("/v1/shoppers", params={"userId": "mira"}).json()["attributes"]
            if known["offers_used"]:
                break
        assert (known["offers_held"], known["offers_used"]) == (1, 1)
    assert "adds up" in cashwrap("offers", "check", "--data", data)
    lines = cashwrap("offers", "entries", "--data", data).splitlines()
    assert [line.split()[3] for line in lines] == ["reserve", "redeem"]
