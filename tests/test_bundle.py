"""The bundle for browsers: the same decisions as the engine's, no name a shopper should not read, and a signature."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from bundle_world import MADE, TENANT, Document, Names, compiled
from cashwrap.bundle import LIFE, bundle_of, encode, prefix
from cashwrap.bundle.narrow import inlined, may_hold, narrowed
from cashwrap.condition import parse
from cashwrap.condition.ast import Attribute, Literal, Node, walk
from cashwrap.decide import Kills, decide
from cashwrap.events import RequestFacts
from cashwrap.events.identifiers import blocked
from cashwrap.events.scrub import scrub
from cashwrap.inputs import Caller, Known, gather
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.request import DecideRequest
from cashwrap.signing import Signer, signer_of
from condition_vectors import decode
from condition_vectors import encode as encode_value
from decision_oracle import murmur
from decision_vectors import NOW, Sampler
from engines import TestClock, memory_world, shop_over

SDK = Path(__file__).parents[1] / "sdk"
STARTER = Path(__file__).parents[1] / "playbooks" / "starter"


def node(questions: list[Document]) -> list[Any]:
    """What sdk/lib/evaluate.js answers to all of these."""
    if shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("the evaluator for browsers is tested by node 20")
        pytest.skip("the evaluator for browsers is tested by node 20")
    lines = "\n".join(json.dumps(each) for each in questions)
    script = str(SDK / "test" / "batch.js")
    done = subprocess.run(["node", script], input=lines, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- the same decisions ---

PLAYBOOKS, QUESTIONS = 60, 10


def sampled() -> Iterator[tuple[Names, Document, Document]]:
    """Playbooks and inputs that no vector has: names, inputs, and the question for node."""
    for seed in range(1000, 1000 + PLAYBOOKS):
        sampler = Sampler(seed, schedules=True)
        names = Names(compiled(sampler.playbook()))
        for at in range(QUESTIONS):
            asked = sampler.asked(names)
            encoded = {name: encode_value(value) for name, value in asked.values.items()}
            inputs = names.inputs(asked, encoded)
            yield names, inputs, {"kind": "decide", "inputs": inputs, **({"bundle": names.bundle} if at == 0 else {})}


def differences() -> tuple[int, int, list[str]]:
    """Answers compared, answers left to the server, and where the two differ."""
    asked = list(sampled())
    found = node([question for _, _, question in asked])
    compared, left, wrong = 0, 0, []
    for (names, inputs, _), theirs in zip(asked, found, strict=True):
        decision = decide(names.playbook.experiences, names.real_inputs(inputs))
        server = {name for name, answer in theirs["placements"].items() if answer["reason"] == "server"}
        ours = {name: names.said(answer) for name, answer in decision.placements.items() if name not in server}
        answers = {name: answer for name, answer in theirs["placements"].items() if name not in server}
        compared, left = compared + len(ours), left + len(server)
        if ours != answers or names.exposed(decision.exposures, server) != theirs["exposures"]:
            wrong.append(f"{inputs}\n{ours}\n{answers}\n{decision.exposures}\n{theirs['exposures']}")
    return compared, left, wrong


def test_node_decides_as_python_does() -> None:
    compared, left, wrong = differences()
    assert wrong == []
    assert compared > 1000
    assert left < compared / 2


def test_the_comparison_notices_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Names.said
    monkeypatch.setattr(Names, "said", lambda self, answer: real(self, answer) | {"variation": 1})
    assert differences()[2]


# --- the same inputs ---

CONTEXTS: list[Document] = [
    {},
    {"locale": "de-AT", "currency": "eur", "timeZone": "America/New_York"},
    {"locale": "pt_BR", "timeZone": "Nowhere/Land", "page": {"path": "/a?token=1", "type": "cart"}},
    {"page": {"path": "?x"}, "device": {"type": "mobile", "os": "iOS", "browser": "Safari", "osVersion": "17.1"}},
    {"location": {"country": "de"}, "app": {"version": "2.10.0"}},
    {"location": {"region": "Tirol", "source": "delivery"}},
    {"checkout": {"step": "payment", "paymentMethods": ["card", "card", "x"], "savedMethod": "x", "quiet": True}},
    {"checkout": {"deliveryMethods": ["post"]}, "cart": {"token": "cart-1", "count": 0}},
    {"cart": {"total": 19.99}}, {"cart": {"total": 0}}, {"cart": {"total": 0.125}}, {"cart": {"total": 0.135}},
    {"cart": {"total": 1234567.891}}, {"cart": {"total": 1e12}}, {"cart": {"total": -3.5}}, {"cart": {"total": "7.50"}},
    {"currency": "USD", "cart": {"total": 19.99, "count": 2}},
    {"cart": {"items": [{"id": "a", "price": 0.1, "quantity": 3}, {"id": "b", "price": 19.99, "category": "shoes"}]}},
    {"cart": {"items": [{"id": "a", "price": 2.675, "quantity": 2}, {"id": "a", "quantity": 0, "price": 5}]}},
    {"cart": {"items": [{"id": "a"}, {"id": "b", "price": 5}]}},
    {"cart": {"items": [{"id": "a", "category": ""}], "count": 7, "token": "guest"}},
]  # fmt: skip
MOMENTS = (0, NOW, NOW + 13 * 3_600_000, 1_774_745_999_000, 1_774_746_000_000, 1_792_893_600_000)


def test_a_page_comes_to_the_same_inputs() -> None:
    playbook = load_playbook(STARTER)
    shop = {
        name: value
        for name, value in json.loads(encode(bundle_of(playbook, TENANT, MADE))).items()
        if name != "placements"
    }
    asked = [(context, now) for context in CONTEXTS for now in MOMENTS]
    questions: list[Document] = [
        {"kind": "inputs", "shop": shop, "request": {"context": context}, "more": {"now": now}}
        for context, now in asked
    ]
    facts = RequestFacts(received=0, source="test", tenant=TENANT)
    caller = Caller(ApiKey("k", "publishable", TENANT, b""), facts)
    for (context, now), theirs in zip(asked, node(questions), strict=True):
        request = msgspec.convert({"context": context}, DecideRequest, strict=False)
        ours = gather(playbook, request, caller, Known({}), now).inputs
        values = {name: value for name, value in ours.values.items() if not name.startswith("segments.")}
        found = {name: decode(value) for name, value in theirs["values"].items()}
        assert found == values, (context, now)
        assert theirs["locale"] == ours.locale
        assert (tuple(theirs["paymentMethods"]), tuple(theirs["deliveryMethods"])) == (
            ours.payment_methods,
            ours.delivery_methods,
        )
        assert (theirs["savedMethod"], theirs["quiet"], theirs["mask"]) == (ours.saved_method, ours.quiet, ours.mask)


IDS = (
    "3f2b6c1e-9d4a-4c55-8a10-0c9b2f6d7e81", "cart_1", "42", "0", "000", "null", "NULL", " guest ", "", "-", "a b",
    "ada@shop.example", "4111111111111111", "4111-1111-1111-1111", "x4111111111111111x", "anonymous", "é", "a" * 201,
)  # fmt: skip


def test_an_id_that_the_server_keeps_otherwise_is_left_to_it() -> None:
    shop = {"currency": "EUR", "digits": 2, "timeZone": "UTC", "locale": "en"}
    questions: list[Document] = [
        {"kind": "inputs", "shop": shop, "request": {"shopper": {"anonymousId": each}}, "more": {"now": 0}}
        for each in IDS
    ]
    for each, theirs in zip(IDS, node(questions), strict=True):
        found = theirs["units"].get("anonymous", "nobody")
        if found == "nobody":
            assert blocked(each.strip())
        elif found is not None:
            assert (found, scrub(found)) == (each.strip(), each.strip())
    assert node(questions)[IDS.index("cart_1")]["units"] == {"anonymous": "cart_1"}
    assert node(questions)[IDS.index("ada@shop.example")]["units"] == {"anonymous": None}


def test_the_engine_says_the_same_to_who_is_nobody_yet() -> None:
    """The whole way, on both sides: a request body in, answers out, over the starter playbook and a tested one."""
    more = [
        {"device": {"type": "mobile"}, "cart": {"token": f"cart-{at}", "total": 10 * at}, "locale": "de-DE",
         "page": {"type": "payment" if at % 2 else "cart"}, "location": {"country": "DE"},
         "checkout": {"paymentMethods": ["card", "paypal", "apple_pay", "bank_transfer"][: at % 5]}}
        for at in range(20)
    ]  # fmt: skip
    contexts, compared = [each for each in [*CONTEXTS, *more] if each.get("currency") != "eur"], 0
    for playbook in (load_playbook(STARTER), compiled(SECRETS), compiled(Sampler(3).playbook())):
        with shop_over(memory_world(TestClock()), playbook) as shop:
            now = shop.clock.now()
            bundle = json.loads(encode(bundle_of(playbook, TENANT, now)))
            ours = [shop.decide(trusted=True, context=context) for context in contexts]
        kind = {"kind": "page", "more": {"now": now}}
        theirs = node([{**kind, "bundle": bundle, "request": {"context": context}} for context in contexts])
        names = Names(playbook)
        for context, mine, other in zip(contexts, ours, theirs, strict=True):
            assert other["level"] == mine["level"] == "request"
            for name, answer in mine["placements"].items():
                if other["placements"][name]["reason"] != "server":
                    said = names.answer(
                        (answer["experience"], answer["variation"], answer["content"], answer["reason"])
                    )
                    assert other["placements"][name] == said, (name, context)
                    compared += 1
    assert compared > 200


# --- what is in it ---

SECRETS: Document = {
    "shop": {"currency": "EUR", "locale": "en", "networks": {"secretoffice": ["192.0.2.0/24"]}},
    "holdout": {"share": "10%", "unit": ["anonymous"]},
    "attention": {"secretformat": {"session": 2}},
    "layers": {"secretlayer": {"unit": ["anonymous", "traits.secretaccount"]}},
    "features": {"secretspent": {"sum": "Order Completed", "of": "total"}},
    "segments": {
        "secretrich": "secretspent > 500",
        "secretmobile": 'device.type == "mobile"',
        "secretmixed": '"secretrich" in segments || "secretmobile" in segments',
    },
    "placements": {"top": {"component": "message", "format": "secretformat"}},
    "experiences": {
        "secretregulars": {"in": "top", "when": '"secretrich" in segments', "show": {"text": {"en": "Secret words"}}},
        "secretcampaign": {
            "in": "top",
            "when": '"secretmixed" in segments || "secretoffice" in request.networks || traits.secretcity == "x"',
            "weight": 2,
            "variations": {"secretformal": {"text": {"en": "Hi"}}, "secretcasual": {"text": {"en": "Ho"}}},
            "experiment": {
                "arms": {"control": "20%", "secretformal": "40%", "secretcasual": "40%"},
                "layer": "secretlayer",
                "traffic": "50%",
                "salt": "secretsalt",
                "holdout": "5%",
            },
        },
    },
}


def test_nothing_is_in_it_that_a_shopper_should_not_read() -> None:
    text = json.dumps(Names(compiled(SECRETS)).bundle)
    assert "secret" not in text.lower()
    assert '"mobile"' in text
    assert '"Hi"' in text


def test_a_decision_of_it_names_nothing_either() -> None:
    names = Names(compiled(SECRETS))
    inputs = {"now": NOW, "values": {"device.type": "mobile"}, "units": {}}
    units = [{"anonymous": f"a-{at}"} for at in range(20)]
    asked = [{"kind": "decide", "bundle": names.bundle, "inputs": {**inputs, "units": each}} for each in units]
    decisions = node(asked)
    assert {decision["placements"]["top"]["experience"] for decision in decisions} == {None, 1}
    assert {decision["placements"]["top"]["reason"] for decision in decisions} >= {"match", "no_match"}
    assert "secret" not in json.dumps(decisions)


def test_only_the_time_makes_two_bundles_of_one_playbook_differ() -> None:
    playbook = load_playbook(STARTER)
    first, later = bundle_of(playbook, TENANT, MADE), bundle_of(playbook, TENANT, MADE + 5)
    assert (first.version, first.expires) == (later.version, MADE + LIFE)
    assert msgspec.structs.replace(first, made=0, expires=0) == msgspec.structs.replace(later, made=0, expires=0)
    off = Kills(placements=frozenset({"home_hero", "nowhere"}), experiences=frozenset({"nothing"}))
    killed = bundle_of(playbook, Tenant("other", "test"), MADE, off)
    assert killed.version != first.version
    assert (killed.off, killed.store, killed.environment) == ({"placements": ["home_hero"]}, "other", "test")


@given(st.text(max_size=30), st.text(max_size=20))
def test_a_prefix_goes_on_to_the_same_hash(salt: str, unit: str) -> None:
    """The tail of MurmurHash3 by the naive oracle, from the state where the salt ended."""
    try:
        whole = f"{salt}{unit}".encode()
    except UnicodeEncodeError:
        return
    state, length, rest = prefix(salt)
    kept = length % 4
    assert length == len(salt.encode())
    assert rest == int.from_bytes(salt.encode()[length - kept :], "little")
    if not kept:
        assert murmur(whole) == _continued(state, length, unit.encode())


def _continued(state: int, length: int, data: bytes) -> int:
    """The oracle's own loop, begun at a state."""
    unfinished = murmur(data, state)
    mask = 2**32 - 1
    back = unfinished ^ unfinished >> 16  # the finish is undone, to begin from another length
    back = back * pow(0xC2B2AE35, -1, 2**32) & mask
    back ^= back >> 13 ^ back >> 26
    back = back * pow(0x85EBCA6B, -1, 2**32) & mask
    back ^= back >> 16
    back ^= len(data) ^ (length + len(data))
    back = (back ^ back >> 16) * 0x85EBCA6B & mask
    back = (back ^ back >> 13) * 0xC2B2AE35 & mask
    return back ^ back >> 16


def test_a_condition_that_grows_without_end_is_left_to_the_server() -> None:
    segments: dict[str, Node | None] = {"segments.a0": parse("cart.total > 1")}
    for at in range(1, 20):
        segments[f"segments.a{at}"] = parse(f"segments.a{at - 1} && segments.a{at - 1} || segments.a{at - 1}")
    assert inlined(parse("segments.a2"), segments, 2000) is not None
    assert inlined(parse("segments.a19"), segments, 2000) is None


def test_what_needs_a_profile_is_not_there() -> None:
    found = narrowed(parse('device.type == "mobile" || orders > 3'))
    assert found is not None
    assert {each.path for each in walk(found) if isinstance(each, Attribute)} == {"device.type"}
    assert narrowed(parse("orders > 3")) is None
    assert narrowed(parse("has(orders)")) is None
    negated = narrowed(parse("!has(orders)"))
    assert isinstance(negated, Literal)
    assert negated.value is True


def test_what_is_over_or_begins_when_it_is_no_longer_good_is_not_there() -> None:
    checked = compiled(
        {
            "shop": {"currency": "EUR", "locale": "en"},
            "placements": {"top": {"component": "message"}},
            "experiences": {
                name: {"in": "top", "schedule": {"from": begin, "until": end}, "show": {"text": {"en": name}}}
                for name, begin, end in (
                    ("over", "2026-06-01T00:00", "2026-06-09T00:00"),
                    ("running", "2026-06-01T00:00", "2026-06-20T00:00"),
                    ("soon", "2026-06-14T00:00", "2026-06-20T00:00"),
                    ("later", "2026-06-18T00:00", "2026-06-20T00:00"),
                )
            },
        }
    )
    made = 1_781_049_600_000  # 2026-06-10
    (top,) = bundle_of(checked, TENANT, made).placements
    assert [each.number for each in top.experiences] == [1, 2]
    assert may_hold(parse("now > 5 || now < 3"), 3, 5)


# --- the signature ---

SIGNER = Signer(bytes(range(48)))


def trust(**changes: Any) -> Document:
    return {"jwks": {"keys": [SIGNER.jwk]}, "now": MADE + 1, **changes}


def opened(signed: str, **changes: Any) -> Document:
    return {"kind": "open", "signed": signed, "trust": trust(**changes)}


@pytest.fixture(scope="module")
def starter() -> Playbook:
    return load_playbook(STARTER)


def test_what_python_signs_a_browser_opens_and_any_jose_library_verifies(starter: Playbook) -> None:
    bundle = bundle_of(starter, TENANT, MADE)
    signed = SIGNER.sign(encode(bundle))
    assert signed == SIGNER.sign(encode(bundle))
    assert node([opened(signed)]) == [json.loads(encode(bundle))]
    key = ECKey.import_key(SIGNER.jwk)  # type: ignore[arg-type]
    assert jws.deserialize_compact(signed, key, ["ES256"]).payload == encode(bundle)
    assert key.thumbprint() == SIGNER.kid


def test_a_bundle_that_is_not_what_was_signed_is_refused(starter: Playbook) -> None:
    signed = SIGNER.sign(encode(bundle_of(starter, TENANT, MADE)))
    places = [*range(0, len(signed), 97), len(signed) - 1, len(signed) - 87]
    changed = [signed[:at] + ("A" if signed[at] != "A" else "B") + signed[at + 1 :] for at in places]
    refused = {answer.get("refused") for answer in node([opened(each) for each in changed])}
    assert refused <= {"bad_signature", "not_a_bundle", "unknown_key"}
    assert "bad_signature" in refused
    whole = [signed[:-1], signed + "A", "", "a.b.c", signed.replace(".", ""), "{}", f"{signed}.{signed}"]
    assert {answer.get("refused") for answer in node([opened(each) for each in whole])} <= {
        "bad_signature",
        "not_a_bundle",
    }


def test_another_key_an_older_an_expired_and_a_strange_bundle_are_refused(starter: Playbook) -> None:
    bundle = bundle_of(starter, TENANT, MADE)
    signed = SIGNER.sign(encode(bundle))
    other = Signer(bytes(48))
    posing = {**other.jwk, "kid": SIGNER.kid}
    later = {"made": MADE + 1, "version": "another"}
    strange = SIGNER.sign(encode(msgspec.structs.replace(bundle, format=2)))
    cases: list[tuple[Document, str | None]] = [
        (opened(other.sign(encode(bundle))), "unknown_key"),
        (opened(signed, jwks={"keys": [posing]}), "bad_signature"),
        (opened(signed, newest=later), "older"),
        (opened(signed, newest={**later, "version": bundle.version}), None),
        (opened(signed, newest={**later, "made": MADE}), None),
        (opened(signed, now=bundle.expires), "expired"),
        (opened(signed, now=bundle.expires - 1), None),
        (opened(signed, environment="test"), "of_another"),
        (opened(signed, store="default", environment="live"), None),
        (opened(strange), "unknown_format"),
    ]
    found = node([question for question, _ in cases])
    assert [answer.get("refused") for answer in found] == [code for _, code in cases]


def test_the_key_follows_from_the_vault() -> None:
    class Vault:
        def digest(self, *parts: str) -> bytes:
            return ("".join(parts) * 16)[:16].encode()

    one, again = signer_of(Vault()), signer_of(Vault())  # type: ignore[arg-type]
    assert one.kid == again.kid != SIGNER.kid
    assert "d" not in one.jwk
