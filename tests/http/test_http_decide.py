"""Decisions over HTTP: never a 5xx, inside the deadline, explained to backends only."""

import itertools
import string
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.engine import Engine
from cashwrap.errors import StoreError
from engines import BROWSER, STARTER, TestClock, memory_world
from servers import ORIGIN, Server, serving

numbers = itertools.count()


def known(server: Server, *, user: str | None = None, **traits: Any) -> dict[str, str]:
    """A shopper with consent to personalization and five views of one category."""
    shop = server.shop
    who = {"anonymousId": f"anon-decide-{next(numbers):08}"}
    shop.consents(who)
    shop.keeps(*(shop.views(who) for _ in range(5)))
    if user is not None:
        shop.keeps(shop.event("identify", userId=user, traits=traits, **who), trusted=True)
    return who


def test_the_whole_answer(server: Server) -> None:
    answer = server.post("/v1/decide", {"shopper": known(server), "context": {"cart": {"total": 60}}})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-store"
    body = answer.json()
    assert list(body) == ["decisionId", "playbook", "placements", "token", "level", "degraded"]
    assert body["level"] == "session"
    assert body["degraded"] is False
    assert set(body["placements"]) == set(server.shop.engine.live.playbook.experiences.placements)
    for placed in body["placements"].values():
        assert list(placed) == ["experience", "variation", "content", "reason"]
    message = body["placements"]["basket_message"]
    assert message["experience"] == "free_delivery_reached"
    assert message["content"]["type"] == "message"
    accessories = server.post("/v1/decide", {"placements": ["accessories", "nowhere"]}).json()["placements"]
    assert {name: placed["reason"] for name, placed in accessories.items()} == {
        "accessories": "no_match",
        "nowhere": "no_such_placement",
    }


def test_an_empty_question_is_answered(server: Server) -> None:
    body = server.post("/v1/decide", {}).json()
    assert body["level"] == "request"
    assert all(placed["content"] is None for placed in body["placements"].values() if placed["experience"] is None)


def test_a_key_in_the_body(server: Server) -> None:
    answer = server.http.post("/v1/decide", json={"writeKey": server.shop.public_text}, headers={"origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_a_token_fits_its_shopper_only(server: Server) -> None:
    who = known(server)
    body = server.post("/v1/decide", {"shopper": who, "context": {"cart": {"total": 60}}}).json()
    tokens = server.shop.engine.tokens
    proof = tokens.open(body["token"], [who["anonymousId"]], server.shop.clock.now())
    assert proof.decision == body["decisionId"]
    with pytest.raises(Exception, match="another shopper"):
        tokens.open(body["token"], ["anon-other"], server.shop.clock.now())


def test_a_browsers_claim_gets_no_token_of_that_person(server: Server) -> None:
    """A token is bound to who was proven, so that nobody can report exposures of somebody else."""
    who, user = known(server, user="proven"), "proven"
    tokens, now = server.shop.engine.tokens, server.shop.clock.now()
    claimed = server.post("/v1/decide", {"shopper": {**who, "userId": user}}).json()["token"]
    assert tokens.open(claimed, [who["anonymousId"]], now)
    for asked, secret in (({**who, "token": server.shop.token(user)}, False), ({**who, "userId": user}, True)):
        token = server.post("/v1/decide", {"shopper": asked}, secret=secret).json()["token"]
        assert tokens.open(token, [user], now)


def test_gpc_is_heeded_from_its_header(server: Server) -> None:
    who, asked = known(server), {"sec-gpc": "1"}
    assert server.post("/v1/decide", {"shopper": who}).json()["level"] == "session"
    assert server.post("/v1/decide", {"shopper": who}, headers=asked).json()["level"] == "request"
    event = {**server.shop.views(who), "event": "Product Viewed"}
    before = server.shop.explained(who)["session_views"]
    assert server.post("/v1/track", event, headers={**asked, "user-agent": BROWSER}).status_code == 200
    assert server.shop.explained(who)["session_views"] == before
    choice = server.shop.event("consent", choices={"personalization": "granted"}, **who)
    server.shop.clock.wait(minutes=1)
    assert server.post("/v1/consent", choice, headers={**asked, "user-agent": BROWSER}).status_code == 200
    assert server.post("/v1/decide", {"shopper": who}, headers=asked).json()["level"] == "session"


def test_quality_assurance_leaves_no_mark(server: Server) -> None:
    who = known(server)
    before = server.shop.explained(who)["session_views"]
    headers = {"x-cashwrap-qa": "1", "user-agent": BROWSER}
    assert server.post("/v1/track", server.shop.views(who), headers=headers).status_code == 200
    assert server.shop.explained(who)["session_views"] == before


def test_reasons_are_for_backends(server: Server) -> None:
    who = known(server)
    refused = server.post("/v1/decide", {"shopper": who, "explain": True})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    body = server.post("/v1/decide", {"shopper": who, "explain": True}, secret=True).json()
    considered = body["explain"]["basket_message"]["considered"]
    assert {"experience", "outcome", "why", "condition"} <= set(considered[0])
    assert {each["outcome"] for each in considered} >= {"condition_unknown"}
    assert body["placements"]["basket_message"] == body["explain"]["basket_message"]["answer"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"a":NaN}', "invalid_json"),
        (b'{"shopper":{"anonymousId":"\\ud800"}}', "invalid_json"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        (b'{"shopper":7}', "invalid_request"),
        (b'{"deadlineMs":0}', "invalid_request"),
        (b'{"deadlineMs":"soon"}', "invalid_request"),
        (b'{"placements":[1]}', "invalid_request"),
        (b'{"context":{"cart":{"items":[{"id":"a","quantity":-1}]}}}', "invalid_request"),
        (b'{"context":{"cart":{"items":[' + b",".join([b'{"id":"p"}'] * 10_001) + b"]}}}", "invalid_request"),
        (b'{"placements":[' + b",".join([b'"p"'] * 101) + b"]}", "invalid_request"),
        (b'{"shopper":{"anonymousId":"' + b"x" * 201 + b'"}}', "invalid_request"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
    ],
)
def test_a_question_that_cannot_be_read(server: Server, body: bytes, code: str) -> None:
    answer = server.post("/v1/decide", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_question_that_is_too_large(server: Server) -> None:
    answer = server.post("/v1/decide", content=b" " * 1_000_001)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


ODD_AMOUNTS = ["sNaN", "NaN", "Infinity", "-Infinity", "9e999999", "1e-999999", -5, 10**40, "0.000000000000000000001"]


@pytest.mark.parametrize("amount", ODD_AMOUNTS)
def test_amounts_that_make_no_sense_are_unknown(server: Server, amount: Any) -> None:
    items = [{"id": "p", "quantity": 1_000_000, "price": amount}]
    for cart in ({"total": amount}, {"items": items}, {"total": amount, "items": items}):
        answer = server.post("/v1/decide", {"context": {"cart": cart}})
        assert answer.status_code == 200
        assert answer.json()["degraded"] is False


def test_ten_thousand_products_are_answered(server: Server) -> None:
    items = [{"id": f"p{n}", "price": 1, "category": "c"} for n in range(10_000)]
    answer = server.post("/v1/decide", {"context": {"cart": {"items": items, "total": 99}}})
    assert answer.status_code == 200
    assert answer.json()["placements"]["basket_message"]["experience"] == "free_delivery_reached"


ODD = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "../../etc", "Mars/Phobos", "de_DE@x", "xx-invalid-locale", "\x00", "🦄" * 50, "Infinity"]),
)
NUMBER = st.one_of(st.integers(), st.floats(), st.sampled_from(ODD_AMOUNTS), st.none())
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "page": st.fixed_dictionaries({}, optional={"path": ODD, "type": ODD}),
        "device": st.fixed_dictionaries({}, optional={"type": ODD, "os": ODD}),
        "locale": ODD,
        "currency": ODD,
        "timeZone": ODD,
        "location": st.fixed_dictionaries({}, optional={"country": ODD, "region": ODD}),
        "cart": st.fixed_dictionaries(
            {},
            optional={
                "token": ODD,
                "total": NUMBER,
                "count": st.integers(0, 2**70),
                "items": st.lists(
                    st.fixed_dictionaries({"id": ODD}, optional={"price": NUMBER, "quantity": st.integers(0, 10**6)}),
                    max_size=5,
                ),
            },
        ),
        "checkout": st.fixed_dictionaries(
            {},
            optional={
                "step": ODD,
                "paymentMethods": st.lists(ODD, max_size=60),
                "deliveryMethods": st.lists(ODD, max_size=5),
                "savedMethod": ODD,
            },
        ),
    },
)
QUESTION = st.fixed_dictionaries(
    {},
    optional={
        "shopper": st.fixed_dictionaries({}, optional={"anonymousId": ODD, "userId": ODD, "token": ODD}),
        "context": CONTEXT,
        "placements": st.lists(ODD, max_size=5),
        "explain": st.booleans(),
    },
)


def encoded(question: Any) -> bytes:
    try:
        return msgspec.json.encode(question)
    except (ValueError, OverflowError, msgspec.EncodeError):
        return b"{}"


@settings(max_examples=200, deadline=None)
@given(QUESTION.map(encoded) | st.binary(max_size=60), st.booleans(), st.text(string.printable + "äß🦄", max_size=40))
def test_no_question_makes_the_server_fail(server: Server, body: bytes, secret: bool, agent: str) -> None:
    headers = {"user-agent": " ".join(agent.split()).encode()}
    answer = server.post("/v1/decide", content=body, secret=secret, headers=headers)
    assert answer.status_code in {200, 400, 403}, answer.text
    if answer.status_code == 200:
        told = answer.json()
        assert told["degraded"] is False
        assert all(placed["reason"] != "error" for placed in told["placements"].values())


TOKENS = st.one_of(
    st.text(alphabet='abc.=_-{}"eyJ\xe9', max_size=40),
    st.sampled_from(["e30.e30.e30", "bnVsbA.e30.e30", "eyJraWQiOltdfQ.e30.", "eyJraWQiOiJ4In0.e30.", "." * 2000]),
)


@settings(max_examples=100, deadline=None)
@given(TOKENS)
def test_no_token_makes_the_server_fail(server: Server, token: str) -> None:
    kid = server.shop.secret.id
    for each in (token, f"eyJhbGciOiJub25lIn0.{token}", token.replace("kid", kid)):
        answer = server.post("/v1/decide", {"shopper": {"token": each[:2048]}})
        assert answer.status_code == 200
        assert answer.json()["level"] == "request"


# --- when the store is slow or broken ---


class Hanging:
    """A store whose reads wait until they are let go, or fail."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.go = threading.Event()
        self.go.set()
        self.broken = False

    def load(self, keys: Any) -> Any:
        self.go.wait(60)
        if self.broken:
            raise StoreError("the disk is gone")
        return self._store.load(keys)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def slow() -> Iterator[tuple[Server, Hanging]]:
    world = memory_world(TestClock())
    store = Hanging(world.store)
    with serving(msgspec.structs.replace(world, store=store)) as server:
        yield server, store
        store.go.set()


def test_a_store_that_hangs_costs_a_level_and_not_the_answer(slow: tuple[Server, Hanging]) -> None:
    server, store = slow
    who = known(server)
    question = {"shopper": who, "context": {"cart": {"total": 60}}, "deadlineMs": 40}
    assert server.post("/v1/decide", question).json()["level"] == "session"
    server.shop.engine.hot.profiles.clear()
    store.go.clear()
    for _ in range(40):  # more than there are threads to wait with
        body = server.post("/v1/decide", question).json()
        assert (body["level"], body["degraded"]) == ("request", True)
        assert body["placements"]["basket_message"]["experience"] == "free_delivery_reached"
    assert not store.go.is_set(), "all answers came while the store still hung"
    store.go.set()
    assert eventually(lambda: server.post("/v1/decide", question).json()["level"] == "session")
    assert server.shop.engine.counts.degraded >= 40


def eventually(holds: Any) -> bool:
    return any(holds() or threading.Event().wait(0.02) for _ in range(500))


def test_a_store_that_fails_costs_a_level_and_not_the_answer(slow: tuple[Server, Hanging]) -> None:
    server, store = slow
    who = known(server)
    server.shop.engine.hot.profiles.clear()
    store.broken = True
    body = server.post("/v1/decide", {"shopper": who}).json()
    assert (body["level"], body["degraded"]) == ("request", True)


def test_a_decision_that_fails_is_the_shops_default(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "answer", broken)
    answer = server.post("/v1/decide", {"placements": ["basket_message", "nowhere"]})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["level"], body["degraded"], body["token"]) == ("default", True, None)
    assert body["placements"]["basket_message"] == {
        "experience": None,
        "variation": None,
        "content": None,
        "reason": "error",
    }


def test_a_cold_user_is_found_before_a_warm_device(server: Server) -> None:
    """What memory knows of the device must not hide what the store knows of the person."""
    shop = server.shop
    user = f"cold-{next(numbers)}"
    shop.consents({"userId": user}, trusted=True)
    who = known(server)
    shop.engine.hot.identities.clear()
    assert server.post("/v1/decide", {"shopper": who}).json()["level"] == "session"
    asked = {"shopper": {**who, "userId": user}}
    assert server.post("/v1/decide", asked, secret=True).json()["level"] == "profile"


def test_a_bare_user_id_opens_nothing(server: Server) -> None:
    user = f"canary-{next(numbers)}"
    known(server, user=user, firstName="Canarius")
    page = {"context": {"cart": {"total": 80}}}
    for claim in ({"userId": user}, {"userId": user, "token": "e30.e30.e30"}):
        answer = server.post("/v1/decide", {"shopper": claim, **page})
        assert "Canarius" not in answer.text
        assert answer.json()["level"] == "request"


def test_the_country_header_is_believed_from_a_proxy_or_a_backend(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook = server.shop.engine.live.playbook
    named = msgspec.structs.replace(playbook.settings, country_header="CF-IPCountry")
    declared = msgspec.structs.replace(playbook.declarations, settings=named)
    server.shop.engine.publish(msgspec.structs.replace(playbook, declarations=declared))
    evening = {"context": {"timeZone": "Asia/Bangkok"}, "placements": ["delivery_methods"]}
    evening["context"]["checkout"] = {"deliveryMethods": ["standard", "bike_courier"]}

    def shown(**how: Any) -> str | None:
        answer = server.post("/v1/decide", evening, headers={"cf-ipcountry": "DE"}, **how).json()
        return answer["placements"]["delivery_methods"]["experience"]

    try:
        assert shown() == shown(secret=True) == "bike_courier_in_the_evening"
        monkeypatch.setattr(server.rates, "trusts", lambda _: False)
        assert shown() is None
        assert shown(secret=True) == "bike_courier_in_the_evening"
    finally:
        server.shop.engine.publish(playbook)


def test_a_browser_reads_its_device_from_its_user_agent(server: Server) -> None:
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
    asked = {"context": {"page": {"type": "cart"}}, "placements": ["checkout_button"]}
    mobile = server.post("/v1/decide", asked, headers={"user-agent": phone}).json()
    desktop = server.post("/v1/decide", asked, headers={"user-agent": BROWSER}).json()
    assert mobile["placements"]["checkout_button"]["experience"] == "checkout_on_phones"
    assert desktop["placements"]["checkout_button"]["experience"] is None
    assert STARTER.is_dir()
