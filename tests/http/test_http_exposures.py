"""Exposures and previews over HTTP: what is refused is told by event, and the rest of the batch goes on."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cashwrap.engine import Engine
from cashwrap.model import Tenant
from cashwrap.tokens import Preview, Tokens
from engines import BROWSER, LIVE, TestClock, memory_world
from servers import ORIGIN, Server, serving
from test_exposures import PROVEN, forged, someone, viewed


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(memory_world(TestClock())) as server:
        server.shop.engine.publish(PROVEN)
        yield server


def send(server: Server, *events: dict[str, Any]) -> dict[str, Any]:
    answer = server.post("/v1/batch", {"batch": events}, headers={"user-agent": BROWSER})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert body["success"] is True
    return body


def test_each_bad_exposure_is_told_and_the_batch_goes_on(server: Server) -> None:
    shop = server.shop
    who, token = someone(shop, "formal")
    banner_only = shop.decide(shopper=who, placements=["banner"])["token"]
    other = shop.decide(shopper={"anonymousId": "another"})["token"]
    events = [
        shop.views(who),
        viewed(shop, who, token[:-1] + ("A" if token[-1] != "A" else "E")),
        viewed(shop, who, forged(shop, who, token)),
        viewed(shop, who, other),
        viewed(shop, who, None),
        viewed(shop, who, banner_only, placement="hero"),
        viewed(shop, who, token, outcome="holdout", variation="control"),
        viewed(shop, who, token, "Experience Dismissed"),
        shop.views(who, "mug-2"),
    ]
    errors = send(server, *events)["errors"]
    assert [(each["index"], each["code"]) for each in errors] == [
        (1, "bad_token"),
        (2, "bad_token"),
        (3, "token_of_another"),
        (4, "token_missing"),
        (5, "not_exposed"),
    ]
    assert [each["messageId"] for each in errors] == [event["messageId"] for event in events[1:6]]
    profile = shop.profile(anonymous=who["anonymousId"])
    assert profile is not None
    assert {salt: list(arms) for salt, arms in profile.arms.items()} == {"greeting": ["formal"]}
    assert profile.impressions["experience:greeting"].count == 1
    assert profile.impressions["experience:greeting"].dismissed > 0
    assert shop.engine.exposures.refused == {
        "bad_token": 2,
        "token_of_another": 1,
        "token_missing": 1,
        "not_exposed": 1,
    }
    metrics = server.http.get("/metrics").text
    assert 'code="bad_token"' in metrics


def test_an_expired_token_is_refused_and_what_came_in_time_stays(server: Server) -> None:
    shop = server.shop
    who, token = someone(shop, "formal")
    assert "errors" not in send(server, viewed(shop, who, token))
    shop.clock.wait(days=1)
    (error,) = send(server, viewed(shop, who, token), shop.views(who))["errors"]
    assert (error["index"], error["code"]) == (0, "token_expired")


def test_two_tabs_and_retries_count_once(server: Server) -> None:
    shop = server.shop
    who, token = someone(shop, "formal")
    for event in [viewed(shop, who, token)] * 3 + [viewed(shop, who, token)]:
        assert "errors" not in send(server, event)
    profile = shop.profile(anonymous=who["anonymousId"])
    assert profile is not None
    assert profile.impressions["experience:greeting"].count == 1


# --- previews ---


def link(server: Server, tenant: Tenant = LIVE, life: int = 60_000, variation: str = "formal") -> str:
    until = server.shop.clock.now() + life
    return server.shop.engine.tokens.sign_preview(Preview(tenant, until, {"greeting": variation}))


def decide(server: Server, **asked: Any) -> httpx.Response:
    return server.post("/v1/decide", asked, headers={"origin": ORIGIN})


@pytest.mark.parametrize(("variation", "content"), [("formal", "Good day."), ("control", None)])
def test_a_preview_shows_its_variation_to_anybody(server: Server, variation: str, content: str | None) -> None:
    answer = decide(server, preview=link(server, variation=variation))
    banner = answer.json()["placements"]["banner"]
    assert (banner["reason"], banner["variation"]) == ("preview", variation)
    assert (banner["content"] or {}).get("text") == content


def test_a_bad_preview_is_refused_and_the_page_may_read_why(server: Server) -> None:
    good = link(server)
    tokens = {
        good[:-1] + ("A" if good[-1] != "A" else "E"): "bad_token",
        "nonsense": "bad_token",
        Tokens(bytes(32)).sign_preview(Preview(LIVE, 2**53, {"greeting": "formal"})): "bad_token",
        decide(server).json()["token"]: "bad_token",
        link(server, Tenant("second", "live")): "bad_token",
        link(server, life=0): "token_expired",
    }
    for token, code in tokens.items():
        answer = decide(server, preview=token)
        assert (answer.status_code, answer.json()["code"]) == (403, code), token
        assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_only_a_backend_forces_an_arm(server: Server) -> None:
    force = {"greeting": "formal"}
    refused = server.post("/v1/decide", {"force": force})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    answer = server.post("/v1/decide", {"force": force}, secret=True).json()
    assert answer["placements"]["banner"]["reason"] == "preview"


def test_a_mistake_of_ours_in_a_preview_still_costs_the_default_only(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out for a refused preview lets nothing else out."""

    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(Engine, "answer", broken)
    answer = decide(server, preview=link(server))
    assert answer.status_code == 200
    assert answer.json()["degraded"] is True


# --- making them ---


def make(server: Server, **body: Any) -> httpx.Response:
    return server.admin("POST", "/v1/previews", json={"url": "https://shop.example/basket?size=m#top", **body})


def test_a_backend_makes_a_link_that_opens(server: Server) -> None:
    made = make(server, experience="greeting", hours=2).json()
    assert (made["experience"], made["variation"], made["placement"]) == ("greeting", "formal", "banner")
    assert made["expires"] == server.shop.clock.now() + 2 * 3_600_000
    assert made["url"] == f"https://shop.example/basket?size=m&cw_preview={made['token']}#top"
    assert decide(server, preview=made["token"]).json()["placements"]["banner"]["reason"] == "preview"
    server.shop.clock.wait(minutes=120)
    assert decide(server, preview=made["token"]).json()["code"] == "token_expired"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"experience": "greating"}, 404, "no_such_experience"),
        ({"experience": "greeting", "variation": "casual"}, 404, "no_such_variation"),
        ({"experience": "greeting", "variation": "holdout"}, 404, "no_such_variation"),
        ({"experience": "greeting", "url": "javascript:alert(1)"}, 400, "invalid_url"),
        ({"experience": "greeting", "url": "https://[bad/"}, 400, "invalid_url"),
        ({"experience": "greeting", "url": "/basket"}, 400, "invalid_url"),
        ({"experience": "greeting", "hours": 721}, 400, "invalid_request"),
    ],
)
def test_what_cannot_be_previewed_is_refused(server: Server, body: dict[str, Any], status: int, code: str) -> None:
    answer = make(server, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_browser_makes_no_links(server: Server) -> None:
    answer = server.post("/v1/previews", {"experience": "greeting", "url": "https://shop.example/"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
