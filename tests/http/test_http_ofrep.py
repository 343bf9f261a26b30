"""OFREP 0.3, rule by rule: one decision said as flags, unchanged ones as 304, errors in the protocol's words."""

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.engine import Engine
from cashwrap.keys import ApiKey
from cashwrap.model import Reason, Tenant
from cashwrap.playbook import load_playbook
from cashwrap.request import PageContext, ShopperRef
from cashwrap.serve.ofrep_answer import Decided, Placed, flag, matches
from cashwrap.serve.ofrep_context import LIMIT, question
from engines import STARTER, TestClock, memory_world
from servers import ORIGIN, Server, serving

BULK = "/ofrep/v1/evaluate/flags"
ONE = f"{BULK}/basket_message"
REASONS = {"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN", "DEFAULT", "STALE", "ERROR"}
SIXTY = {"cart": {"total": 60}}
numbers = itertools.count()


def known(server: Server, user: str | None = None) -> dict[str, str]:
    """A shopper with consent to personalization and a view, logged in where there is a ``user``."""
    shop = server.shop
    who = {"anonymousId": f"anon-ofrep-{next(numbers):08}"}
    shop.consents(who)
    shop.keeps(shop.views(who))
    if user is not None:
        shop.keeps(shop.event("identify", userId=user, traits={}, **who), trusted=True)
    return who


def eventually(holds: Callable[[], bool]) -> bool:
    return any(holds() or threading.Event().wait(0.02) for _ in range(500))


def flags(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {each["key"]: each for each in answer.json()["flags"]}


def faults(answer: Any) -> list[str]:
    """What a bulk answer says that OFREP 0.3 does not allow, or that a published client stumbles over."""
    found = []
    for each in answer["flags"]:
        scalars = all(isinstance(value, str | bool | int | float) for value in each["metadata"].values())
        rules = {
            "key": isinstance(each.get("key"), str) and each["key"],
            "variant": isinstance(each.get("variant"), str),
            "reason": each.get("reason") in REASONS,
            "metadata": scalars,
            "value": "value" not in each or isinstance(each["value"], dict),
        }
        found += [f"{each.get('key')}: {rule}" for rule, holds in rules.items() if not holds]
    keys = [each.get("key") for each in answer["flags"]]
    for stream in answer.get("eventStreams", []):
        if ("url" in stream) == ("endpoint" in stream) or not stream["endpoint"]["requestUri"].startswith("/"):
            found.append("eventStreams")
    return found + (["keys repeat"] if len(set(keys)) != len(keys) else [])


@contextmanager
def killed(server: Server, scope: str, name: str = "") -> Iterator[None]:
    for off in (True, False):
        assert server.admin("PUT", "/v1/kill", json={"scope": scope, "name": name, "off": off}).status_code == 200
        if off:
            yield


# --- what is said ---


def test_every_placement_is_a_flag_and_all_are_one_decision(server: Server) -> None:
    who, before = known(server), server.shop.engine.counts.decisions
    answer = server.post(BULK, {"context": {"targetingKey": who["anonymousId"], **SIXTY}})
    assert server.shop.engine.counts.decisions == before + 1
    assert answer.headers["cache-control"] == "private, no-store"
    assert faults(answer.json()) == []
    told, metadata = flags(answer), answer.json()["metadata"]
    decision = server.post("/v1/decide", {"shopper": who, "context": SIXTY}).json()
    assert list(told) == list(decision["placements"])
    for name, placed in decision["placements"].items():
        assert told[name].get("value") == placed["content"]
        assert ("value" in told[name]) == (placed["content"] is not None)
        assert told[name]["metadata"].get("experience") == placed["experience"]
        assert told[name]["metadata"]["reason"] == placed["reason"]
    assert {each["metadata"]["decisionId"] for each in told.values()} == {metadata["decisionId"]}
    assert {each["metadata"]["token"] for each in told.values()} == {metadata["token"]}
    assert (metadata["level"], metadata["degraded"]) == ("session", False)
    assert metadata["playbook"] == decision["playbook"]


def test_a_flag_and_the_shops_default(server: Server) -> None:
    shown = server.post(ONE, {"context": SIXTY}).json()
    assert (shown["key"], shown["reason"], shown["variant"]) == ("basket_message", "TARGETING_MATCH", "main")
    assert shown["value"]["type"] == "message"
    assert shown["metadata"]["experience"] == "free_delivery_reached"
    default = server.post(ONE, {"context": {"cart": {"count": 0}}}).json()
    assert "value" not in default
    assert (default["reason"], default["variant"]) == ("DEFAULT", "default")
    assert default["metadata"]["reason"] == "no_match"


def test_one_flag_is_what_it_is_among_all(server: Server) -> None:
    body = {"context": {"targetingKey": "anon-one", **SIXTY}}
    several = flags(server.post(BULK, body))
    for name, among in several.items():
        alone = server.post(f"{BULK}/{name}", body).json()
        for each in (alone, among):
            del each["metadata"]["decisionId"], each["metadata"]["token"]
        assert alone == among
    assert flags(server.post(f"{BULK}/", body)).keys() == several.keys()


def test_the_token_is_the_decisions(server: Server) -> None:
    told = server.post(ONE, {"context": {"targetingKey": "anon-token", **SIXTY}}).json()["metadata"]
    proof = server.shop.engine.tokens.open(told["token"], ["anon-token"], server.shop.clock.now())
    assert (proof.decision, proof.playbook) == (told["decisionId"], told["playbook"])


def test_what_is_switched_off_is_disabled(server: Server) -> None:
    with killed(server, "placement", "basket_message"):
        off = server.post(ONE, {"context": SIXTY}).json()
    assert (off["reason"], off["metadata"]["reason"]) == ("DISABLED", "killed")
    assert "value" not in off
    assert server.post(ONE, {"context": SIXTY}).json()["reason"] == "TARGETING_MATCH"


@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_reason_of_ours_is_one_of_theirs(reason: str) -> None:
    content = msgspec.Raw(b'{"type":"message"}' if reason in {"match", "preview"} else b"null")
    decision = Decided("d", "p", {"a": Placed(reason, "e", None, content)}, "request", False)
    if reason == "no_such_placement":
        with pytest.raises(Exception, match="no placement"):
            flag(decision, "a", frozenset())
        return
    made = flag(decision, "a", frozenset())
    assert faults({"flags": [msgspec.json.decode(msgspec.json.encode(made))]}) == []
    assert (made.reason == "TARGETING_MATCH") == (reason in {"match", "preview"})


def test_an_experiments_variation_is_a_split() -> None:
    placed = Placed("match", "e", "blue", msgspec.Raw(b"{}"))
    decision = Decided("d", "p", {"a": placed}, "request", False)
    assert [flag(decision, "a", frozenset(trials)).reason for trials in ((), ("e",))] == ["TARGETING_MATCH", "SPLIT"]


TRIAL = """
experiences:
  greeting_trial:
    in: home_hero
    priority: 90
    variations:
      blue: {text: {en: Blue, de: Blau}}
      red: {text: {en: Red, de: Rot}}
    experiment: {arms: {blue: 40%, red: 40%, control: 20%}}
"""


def test_an_experiment_is_told_as_a_split_in_every_arm(tmp_path: Path) -> None:
    folder = tmp_path / "playbook"
    shutil.copytree(STARTER, folder)
    (folder / "trial.yaml").write_text(TRIAL)
    with serving(memory_world(TestClock())) as server:
        tokens, clock = server.shop.engine.tokens, server.shop.clock
        server.shop.engine.publish(load_playbook(folder))
        texts: dict[str, Any] = {}
        for number in range(40):
            who = f"anon-trial-{number}"
            told = flags(server.post(BULK, {"context": {"targetingKey": who}}))["home_hero"]
            assert (told["reason"], told["metadata"]["experience"]) == ("SPLIT", "greeting_trial")
            assert tokens.open(told["metadata"]["token"], [who], clock.now()).exposures
            placed = server.post("/v1/decide", {"shopper": {"anonymousId": who}}).json()["placements"]["home_hero"]
            assert told["variant"] == placed["variation"]
            texts[told["variant"]] = told.get("value", {}).get("text")
        assert texts == {"blue": "Blue", "red": "Red", "control": None}


CAPPED = """
experiences:
  seen_twice_a_day:
    in: home_hero
    priority: 90
    attention: {day: 2}
    show: {text: {en: Hello, de: Hallo}}
"""


def test_flags_fetched_ahead_use_up_no_attention(tmp_path: Path) -> None:
    """Without consent a cart's decisions count as impressions; what a page polls for is not shown by that."""
    folder = tmp_path / "playbook"
    shutil.copytree(STARTER, folder)
    (folder / "capped.yaml").write_text(CAPPED)
    asked = {"context": {"cart": {"token": "cart-nobody-guesses", "total": 60}}}
    with serving(memory_world(TestClock())) as server:
        server.shop.engine.publish(load_playbook(folder))
        polled = [flags(server.post(BULK, asked))["home_hero"]["metadata"]["reason"] for _ in range(5)]
        shown = [server.post(f"{BULK}/home_hero", asked).json()["metadata"]["reason"] for _ in range(3)]
    assert polled == ["match"] * 5
    assert shown == ["match", "match", "capped"]


class TestTheCheckerItself:
    """Planted mistakes: each must be seen."""

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ({"variant": None}, "a: variant"),
            ({"reason": "BECAUSE"}, "a: reason"),
            ({"metadata": {"arms": ["x"]}}, "a: metadata"),
            ({"metadata": {"token": None}}, "a: metadata"),
            ({"value": None}, "a: value"),
            ({"key": ""}, ": key"),
        ],
    )
    def test_a_fault_is_seen(self, change: dict[str, Any], fault: str) -> None:
        good = {"key": "a", "variant": "main", "reason": "DEFAULT", "metadata": {"token": "t"}}
        assert faults({"flags": [good]}) == []
        assert faults({"flags": [{**good, **change}]}) == [fault]

    def test_a_repeated_key_and_a_stream_of_two_addresses_are_seen(self) -> None:
        good = {"key": "a", "variant": "main", "reason": "DEFAULT", "metadata": {}}
        assert faults({"flags": [good, good]}) == ["keys repeat"]
        stream = {"type": "sse", "url": "https://x", "endpoint": {"requestUri": "/x"}}
        assert faults({"flags": [], "eventStreams": [stream]}) == ["eventStreams"]


# --- who is asking, and about what ---

PUBLIC_KEY = [
    ({}, ShopperRef()),
    ({"targetingKey": ""}, ShopperRef()),
    ({"targetingKey": None}, ShopperRef()),
    ({"targetingKey": "a"}, ShopperRef(anonymous_id="a")),
    ({"targetingKey": "a", "userId": "u"}, ShopperRef(anonymous_id="a", user_id="u")),
    ({"targetingKey": "u", "userId": "u"}, ShopperRef(user_id="u")),
    ({"targetingKey": "x", "anonymousId": "a"}, ShopperRef(anonymous_id="a")),
    ({"targetingKey": "a", "token": "t"}, ShopperRef(anonymous_id="a", token="t")),
]
SECRET_KEY = [
    ({}, ShopperRef()),
    ({"targetingKey": "u"}, ShopperRef(user_id="u")),
    ({"targetingKey": "u", "anonymousId": "a"}, ShopperRef(user_id="u", anonymous_id="a")),
    ({"targetingKey": "a", "anonymousId": "a"}, ShopperRef(anonymous_id="a")),
    ({"targetingKey": "x", "userId": "u"}, ShopperRef(user_id="u")),
]


@pytest.mark.parametrize(("context", "who"), PUBLIC_KEY)
def test_who_asks_with_a_publishable_key(context: dict[str, Any], who: ShopperRef) -> None:
    assert question(msgspec.json.encode({"context": context}), None, trusted=False).shopper == who


@pytest.mark.parametrize(("context", "who"), SECRET_KEY)
def test_who_asks_with_a_secret_key(context: dict[str, Any], who: ShopperRef) -> None:
    assert question(msgspec.json.encode({"context": context}), None, trusted=True).shopper == who


def test_a_browsers_claim_opens_no_profile(server: Server) -> None:
    who = known(server, user="ofrep-person")
    asked = {"context": {"targetingKey": "ofrep-person", **SIXTY}}
    assert server.post(BULK, asked, secret=True).json()["metadata"]["level"] == "profile"
    assert server.post(BULK, asked).json()["metadata"]["level"] == "request"
    claimed = {"context": {"targetingKey": "ofrep-person", "userId": "ofrep-person"}}
    assert server.post(BULK, claimed).json()["metadata"]["level"] == "request"
    proven = {"context": {"token": server.shop.token("ofrep-person"), "targetingKey": who["anonymousId"]}}
    assert server.post(BULK, proven).json()["metadata"]["level"] == "profile"


SPELLINGS: list[dict[str, Any]] = [
    {"cart": {"total": 60.5, "token": "c"}, "checkout": {"paymentMethods": ["card"]}, "timeZone": "Asia/Tokyo"},
    {"cart.total": 60.5, "cart.token": "c", "checkout.paymentMethods": ["card"], "timeZone": "Asia/Tokyo"},
    {"cart.total": 60.5, "cart.token": "c", "checkout.payment_methods": ["card"], "time_zone": "Asia/Tokyo"},
    {"cart": {"total": "60.5"}, "cart.token": "c", "checkout": {"payment_methods": ["card"]}, "timeZone": "Asia/Tokyo"},
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_page_may_be_told_nested_or_flat(spelling: dict[str, Any]) -> None:
    asked = question(msgspec.json.encode({"context": spelling}), "x", trusted=False)
    assert asked.context == msgspec.convert(SPELLINGS[0], PageContext)
    assert asked.placements == ["x"]


def test_every_field_of_a_page_can_be_told(server: Server) -> None:
    """Those that decide reads one day too: the table is made from its struct."""
    told = {
        "page": {"path": "/p", "type": "cart"},
        "device": {"type": "mobile", "os": "ios", "browser": "safari"},
        "locale": "de-DE",
        "currency": "EUR",
        "timeZone": "Europe/Berlin",
        "location": {"country": "DE", "region": "BE", "source": "delivery"},
        "cart": {"token": "t", "total": 5, "count": 1, "items": [{"id": "p", "price": 5}]},
        "checkout": {"step": "1", "paymentMethods": ["a"], "deliveryMethods": ["b"], "savedMethod": "a"},
    }
    asked = question(msgspec.json.encode({"context": told}), None, trusted=False)
    assert asked.context == msgspec.convert(told, PageContext)


def test_what_nothing_reads_is_ignored() -> None:
    odd = {"email": "a@b.example", "device": "iphone", "cart": [1], "plan": {"deep": {"er": 1}}, "": 1, ".": 1,
           "cart.": 1, "cart.nothing": {}, "cart.items.id": 1, "now": "2026-01-01", "locale": None}  # fmt: skip
    asked = question(msgspec.json.encode({"context": odd}), None, trusted=False)
    assert (asked.context, asked.shopper) == (PageContext(), ShopperRef())


# --- what cannot be used ---


def deep(levels: int) -> bytes:
    return b'{"context":{"x":' + b"[" * levels + b"]" * levels + b"}}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"{", "PARSE_ERROR"),
        (b"\xff\xfe", "PARSE_ERROR"),
        (b'{"context":{"cart.total":NaN}}', "PARSE_ERROR"),
        (b'{"context":{"targetingKey":"\\ud800"}}', "PARSE_ERROR"),
        (deep(30_000), "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b"null", "INVALID_CONTEXT"),
        (b'{"context":7}', "INVALID_CONTEXT"),
        (b'{"context":[]}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":7}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"' + b"x" * 201 + b'"}}', "INVALID_CONTEXT"),
        (b'{"context":{"locale":7}}', "INVALID_CONTEXT"),
        (b'{"context":{"cart.total":{}}}', "INVALID_CONTEXT"),
        (b'{"context":{"cart":{"items":{}}}}', "INVALID_CONTEXT"),
        (b'{"context":{"cart":{"items":[{"id":"a","quantity":-1}]}}}', "INVALID_CONTEXT"),
        (b'{"context":{"checkout.paymentMethods":"card"}}', "INVALID_CONTEXT"),
        (b'{"context":{"checkout.paymentMethods":[' + b",".join([b'"c"'] * 51) + b"]}}", "INVALID_CONTEXT"),
        (b'{"context":{"x":"' + b"x" * LIMIT + b'"}}', "INVALID_CONTEXT"),
        (b'{"context":{"x":"' + b"x" * 1_000_000 + b'"}}', "INVALID_CONTEXT"),
    ],
)
def test_a_context_that_cannot_be_read(server: Server, body: bytes, code: str) -> None:
    for path, key in ((BULK, None), (ONE, "basket_message")):
        answer = server.post(path, content=body)
        assert answer.status_code == 400
        told = answer.json()
        assert (told["errorCode"], told.get("key")) == (code, key)
        assert told["errorDetails"]


@pytest.mark.parametrize("body", [b"{}", b'{"context":null}', b'{"context":{}}', deep(500)])
def test_an_empty_context_is_decided_without_an_id(server: Server, body: bytes) -> None:
    """Before consent there is no id: nobody should have to invent one to be answered."""
    assert server.post(BULK, content=body).json()["metadata"]["level"] == "request"


@pytest.mark.parametrize("name", ["nowhere", "a/b", "%F0%9F%A6%84", "x" * 3000, "..%2F..", "flags"])
def test_a_flag_that_is_not_there(server: Server, name: str) -> None:
    answer = server.post(f"{BULK}/{name}", {})
    assert answer.status_code == 404
    assert answer.json()["errorCode"] == "FLAG_NOT_FOUND"
    assert answer.json()["key"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["targetingKey", "userId", "token", "locale", "cart", "cart.total", "cart.items", "device.type",
                         "checkout", "checkout.savedMethod", "timeZone", "page.path", "location"])  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES | st.text(max_size=8), JSON, max_size=5), st.booleans(), st.sampled_from([BULK, ONE]))
def test_no_context_makes_the_server_fail(server: Server, context: Any, secret: bool, path: str) -> None:
    try:
        body = msgspec.json.encode({"context": context})
    except (ValueError, OverflowError, UnicodeEncodeError):
        body = b'{"context":{}}'
    answer = server.post(path, content=body, secret=secret)
    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 200:
        told = answer.json()
        assert faults(told if path == BULK else {"flags": [told]}) == []
        assert "ERROR" not in {each["reason"] for each in (told["flags"] if path == BULK else [told])}
    else:
        assert answer.json()["errorCode"] in {"PARSE_ERROR", "INVALID_CONTEXT"}


# --- what has not changed ---


def tag(server: Server, context: Any, **more: Any) -> str:
    answer = server.post(BULK, {"context": context}, **more)
    assert answer.status_code == 200
    return str(answer.headers["etag"])


def test_an_unchanged_answer_is_not_sent_again(server: Server) -> None:
    asked = {"targetingKey": "anon-etag", **SIXTY}
    first = server.post(BULK, {"context": asked}, headers={"origin": ORIGIN})
    assert first.headers["access-control-expose-headers"] == "etag, retry-after"
    same = server.post(BULK, {"context": asked}, headers={"origin": ORIGIN, "if-none-match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert same.headers["access-control-allow-origin"] == ORIGIN
    changed = {"context": {**asked, "cart": {"total": 10}}}
    assert server.post(BULK, changed, headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_an_etag_names_the_answer(server: Server) -> None:
    asked = {"targetingKey": "anon-etag", **SIXTY}
    first = tag(server, asked)
    assert first.startswith('"')
    assert tag(server, asked) == first
    assert tag(server, {**asked, "nothing": "reads this"}) == first
    assert tag(server, {**asked, "targetingKey": "anon-other"}) != first, "the token is another shopper's"
    assert tag(server, {**asked, "userId": "u"}) != first
    assert tag(server, asked, secret=True) != first
    with killed(server, "experience", "free_delivery_reached"):
        assert tag(server, asked) != first
    assert tag(server, asked) == first
    with killed(server, "placement", "home_hero"):
        assert tag(server, asked) != first


def test_an_etag_changes_long_before_the_token_expires() -> None:
    with serving(memory_world(TestClock())) as server:
        first = tag(server, SIXTY)
        server.shop.clock.wait(minutes=59)
        assert tag(server, SIXTY) == first
        server.shop.clock.wait(minutes=1)
        assert tag(server, SIXTY) != first


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ('"abc"', True),
        ("abc", True),
        ('W/"abc"', True),
        ('"x", W/"abc" ,"y"', True),
        ('"abcd"', False),
        ("*", False),
        ("", False),
        (None, False),
    ],
)
def test_how_a_client_may_name_what_it_has(asked: str | None, same: bool) -> None:
    assert matches('"abc"', asked) is same


def test_what_an_event_told_may_come_along(server: Server) -> None:
    """Everything is decided anew, so that the metadata of a refetch has nothing to invalidate."""
    path = f"{BULK}?flagConfigEtag=abc&flagConfigLastModified=1771622898"
    assert server.post(path, {"context": SIXTY}).status_code == 200


# --- who may ask ---


def test_the_key_comes_in_either_header(server: Server) -> None:
    for key in (server.shop.public_text, server.shop.secret_text):
        for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
            assert server.http.post(BULK, json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_key"),
        ({"x-api-key": ""}, 401, "missing_key"),
        ({"x-api-key": "cwp_live_aaaaaaaa_nonsense"}, 401, "unknown_key"),
        ({"authorization": "Bearer cws_live_aaaaaaaa_nonsense"}, 401, "unknown_key"),
        ({"x-api-key": "PUBLIC", "origin": "https://evil.example"}, 403, "wrong_origin"),
        ({"x-api-key": "SECRET", "origin": ORIGIN}, 403, "wrong_origin"),
    ],
)
def test_who_may_not_ask(server: Server, headers: dict[str, str], status: int, code: str) -> None:
    texts = {"PUBLIC": server.shop.public_text, "SECRET": server.shop.secret_text}
    sent = {name: texts.get(value, value) for name, value in headers.items()}
    for path in (BULK, ONE):
        answer = server.http.post(path, content=b"not read", headers=sent)
        assert answer.status_code == status
        assert (answer.json()["errorCode"], answer.json()["code"]) == ("GENERAL", code)


def test_a_revoked_key_asks_no_more(server: Server) -> None:
    shop = server.shop
    text = shop.engine.keys.create("publishable", shop.tenant, (), shop.engine.world.random)
    assert server.http.post(BULK, json={}, headers={"x-api-key": text}).status_code == 200
    shop.engine.keys.revoke(text.split("_")[2])
    assert server.http.post(BULK, json={}, headers={"x-api-key": text}).status_code == 401


def test_stores_do_not_meet(server: Server) -> None:
    shop = server.shop
    text = shop.engine.keys.create("secret", Tenant("default", "test"), (), shop.engine.world.random)
    who = known(server, user="only-live")
    asked = {"context": {"targetingKey": "only-live", "anonymousId": who["anonymousId"]}}
    assert server.post(BULK, asked, secret=True).json()["metadata"]["level"] == "profile"
    told = server.http.post(BULK, json=asked, headers={"x-api-key": text}).json()
    assert told["metadata"]["level"] == "request"


def test_a_page_of_an_allowed_origin_may_ask(server: Server) -> None:
    asked = {"access-control-request-method": "POST",
             "access-control-request-headers": "content-type,if-none-match,x-api-key"}  # fmt: skip
    for path in (BULK, ONE):
        answer = server.http.options(path, headers={"origin": ORIGIN, **asked})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
        allowed = answer.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "if-none-match", "x-api-key"} <= set(allowed)
        assert server.http.options(path, headers={"origin": "https://evil.example", **asked}).status_code == 403
    refused = server.http.post(BULK, json={}, headers={"origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_too_many_evaluations_are_told_when_to_come_back() -> None:
    with serving(memory_world(TestClock()), rate=1) as server:
        answers = [server.post(BULK, {}) for _ in range(11)]
        assert [each.status_code for each in answers] == [200] * 10 + [429]
        assert int(answers[-1].headers["retry-after"]) == 1
        assert answers[-1].json()["errorCode"] == "GENERAL"
        assert server.post(BULK, {}, secret=True).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", BULK, 405),
        ("PUT", ONE, 405),
        ("POST", "/ofrep/v1/evaluate", 404),
        ("POST", "/ofrep/v1/evaluate/flagsome", 404),
        ("GET", "/ofrep/v1/configuration", 404),
        ("GET", "/ofrep/", 404),
        ("POST", "/ofrep/v1/streams/a/b", 405),
    ],
)
def test_what_is_not_served(server: Server, method: str, path: str, status: int) -> None:
    assert server.http.request(method, path, headers={"x-api-key": server.shop.public_text}).status_code == status


# --- when the engine cannot ---


def test_a_decision_that_fails_is_the_default_and_no_failure(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    good = server.post(BULK, {"context": SIXTY})

    def broken(*_: Any, **__: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "answer", broken)
    answer = server.post(BULK, {"context": SIXTY}, headers={"if-none-match": good.headers["etag"]})
    assert faults(answer.json()) == []
    told = flags(answer)
    assert {each["reason"] for each in told.values()} == {"ERROR"}
    assert not any("value" in each or "token" in each["metadata"] for each in told.values())
    assert answer.json()["metadata"]["degraded"] is True
    assert server.post(ONE, {"context": SIXTY}).json()["reason"] == "ERROR"


def test_a_store_that_hangs_costs_a_level_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world, go = memory_world(TestClock()), threading.Event()
    load = world.store.load

    def hanging(keys: Any) -> Any:
        go.wait(60)
        return load(keys)

    with serving(world) as server:
        asked = {"context": {"targetingKey": known(server)["anonymousId"], **SIXTY}}
        assert server.post(BULK, asked).json()["metadata"]["level"] == "session"
        server.shop.engine.hot.profiles.clear()
        monkeypatch.setattr(world.store, "load", hanging)
        answer = server.post(BULK, asked)
        assert not go.is_set(), "the answer came while the store still hung"
        go.set()
        metadata = answer.json()["metadata"]
        assert (metadata["level"], metadata["degraded"]) == ("request", True)
        assert flags(answer)["basket_message"]["reason"] == "TARGETING_MATCH"
        assert eventually(lambda: server.post(BULK, asked).json()["metadata"]["level"] == "session")


def test_large_contexts_do_not_hold_up_others(server: Server) -> None:
    """Sixty at once, each at the limit: all are answered, as is who asks in between."""
    lines = [{"id": f"p{n}", "price": 1} for n in range(1_500)]
    body = msgspec.json.encode({"context": {"cart": {"items": lines}}})
    assert len(body) < LIMIT
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(server.post(BULK, content=body).status_code)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    assert server.post(ONE, {"context": SIXTY}).status_code == 200
    for thread in threads:
        thread.join(30)
    assert found == [200] * 20


def test_a_key_that_is_no_text_is_refused(server: Server) -> None:
    assert isinstance(server.shop.public, ApiKey)
    answer = server.http.post(BULK, json={}, headers={"x-api-key": b"\xff\xfe"})
    assert answer.status_code == 401
