"""The bundle over HTTP: for pages of a key's origins, cacheable, never older than a switch by more than a minute."""

import base64
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from bundle_world import compiled
from cashwrap.bundle import LIFE
from cashwrap.serve.bundle import AGE
from engines import TestClock, memory_world
from servers import ORIGIN, Server, serving

DAYS = 86_400_000


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(memory_world(TestClock()), rate=20) as server:
        yield server


def fetch(server: Server, **headers: str) -> httpx.Response:
    """As a page does: the key in the address, so that nothing has to be asked before."""
    return server.http.get("/v1/bundle", params={"key": server.shop.public_text}, headers=headers)


def opened(server: Server, answer: httpx.Response) -> dict[str, object]:
    keys = {jwk["kid"]: jwk for jwk in server.http.get("/.well-known/cashwrap/jwks.json").json()["keys"]}
    header = msgspec.json.decode(base64.urlsafe_b64decode(answer.text.partition(".")[0] + "=="))
    payload = jws.deserialize_compact(answer.text, ECKey.import_key(keys[header["kid"]]), ["ES256"]).payload
    bundle: dict[str, object] = msgspec.json.decode(payload)
    return bundle


def test_a_page_reads_it_and_verifies_it(server: Server) -> None:
    answer = fetch(server, origin=ORIGIN)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/jose"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "etag" in answer.headers["access-control-expose-headers"]
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["vary"] == "origin"
    bundle = opened(server, answer)
    now = server.shop.clock.now()
    assert bundle["playbook"] == server.shop.engine.live.playbook.hash
    assert (bundle["store"], bundle["environment"], bundle["made"], bundle["expires"]) == (
        "default",
        "live",
        now,
        now + LIFE,
    )


def test_a_key_in_a_header_is_as_good_and_nothing_shares_the_answer(server: Server) -> None:
    for key in (server.shop.public_text, server.shop.secret_text):
        answer = server.http.get("/v1/bundle", headers={"authorization": f"Bearer {key}"})
        assert answer.headers["cache-control"] == "private, max-age=60"
        assert answer.text == fetch(server).text


def test_who_has_it_is_told_so(server: Server) -> None:
    first = fetch(server)
    tag = first.headers["etag"]
    for sent in (tag, f"W/{tag}", f'"x", {tag}'):
        again = fetch(server, **{"if-none-match": sent, "origin": ORIGIN})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["access-control-allow-origin"] == ORIGIN
    assert fetch(server, **{"if-none-match": '"other"'}).status_code == 200


def test_a_switch_and_the_next_day_make_another(server: Server) -> None:
    first = fetch(server)
    body = {"scope": "placement", "name": "home_hero", "off": True}
    assert server.admin("PUT", "/v1/kill", json=body).status_code == 200
    killed = fetch(server)
    assert killed.headers["etag"] != first.headers["etag"]
    assert opened(server, killed)["off"] == {"placements": ["home_hero"]}
    server.shop.clock.wait(days=AGE / DAYS)
    later = fetch(server)
    assert later.headers["etag"] != killed.headers["etag"]
    assert opened(server, later)["version"] == opened(server, killed)["version"]


def test_who_may_not_have_it_is_told_why(server: Server) -> None:
    assert server.http.get("/v1/bundle").json()["code"] == "missing_key"
    assert server.http.get("/v1/bundle", params={"key": "cwp_nonsense"}).status_code == 401
    elsewhere = fetch(server, origin="https://elsewhere.example")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "wrong_origin")
    assert "access-control-allow-origin" not in elsewhere.headers
    refused = server.http.get("/v1/bundle", params={"key": "cwp_nonsense"}, headers={"origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert refused.headers["content-type"] == "application/json"
    assert server.http.post("/v1/bundle").status_code == 405
    told = server.http.get("/v1/bundle", params={"key": server.shop.secret_text})
    assert (told.status_code, told.json()["code"]) == (403, "secret_in_address")


def test_a_cache_keeps_the_answers_of_origins_apart(server: Server) -> None:
    assert fetch(server).headers["vary"] == fetch(server, origin=ORIGIN).headers["vary"] == "origin"


def test_another_playbook_makes_another(server: Server) -> None:
    first = opened(server, fetch(server))
    playbook = compiled({"shop": {"currency": "EUR"}, "placements": {"top": {"component": "message"}}})
    server.shop.engine.publish(playbook)
    second = opened(server, fetch(server))
    assert (first["playbook"] == second["playbook"], second["playbook"]) == (False, playbook.hash)
    assert second["placements"] == [{"name": "top", "number": 0, "experiences": []}]


def test_a_preflight_lets_a_page_send_its_key(server: Server) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "GET"}
    granted = server.http.options("/v1/bundle", headers=asked)
    assert granted.status_code == 204
    assert "authorization" in granted.headers["access-control-allow-headers"]
    assert (
        "access-control-allow-origin"
        not in server.http.options("/v1/bundle", headers={"origin": "https://x.example"}).headers
    )


def test_who_asks_too_often_is_told_to_wait(server: Server) -> None:
    statuses = [fetch(server).status_code for _ in range(201)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert fetch(server).headers["retry-after"] == "1"


def test_the_keys_are_everyones(server: Server) -> None:
    answer = server.http.get("/.well-known/cashwrap/jwks.json")
    assert answer.headers["access-control-allow-origin"] == "*"
    bundles, offers = answer.json()["keys"]
    assert set(bundles) == set(offers) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert bundles["kid"] != offers["kid"], "what is signed for one use is never taken for another"
