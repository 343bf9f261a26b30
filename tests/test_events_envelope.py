"""The wire: what Segment's clients send is read, what is broken is refused alone and by a stable code."""

import contextlib
import gzip
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment.analytics.client import Client
from segment.analytics.request import DatetimeSerializer

from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.events import Envelope, Limits, Refused, decode_batch, decode_one, read_body
from cashwrap.events.split import split_batch
from cashwrap.model import Event
from events_cases import LIMITS, NOW, facts, kept, normaliser, run, track

GOOD = json.dumps(track())


def batch_of(*items: str) -> bytes:
    return ('{"batch":[' + ",".join(items) + '],"sentAt":"2025-11-22T08:00:00Z"}').encode()


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def event(properties: str, **more: Any) -> str:
    """A track call whose properties are this text."""
    return json.dumps(track(**more)).replace('"properties": {}', f'"properties": {properties}')


# --- bodies that cannot be read at all ---

WHOLE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "invalid_json"),
    ("white space", b" \n ", "invalid_json"),
    ("no JSON", b"hello", "invalid_json"),
    ("a form", b"event=Product+Viewed", "invalid_json"),
    ("cut", b'{"batch":[{"type":"track"', "invalid_json"),
    ("cut in a text", b'{"batch":[{"type":"tra', "invalid_json"),
    ("closed twice", b'{"batch":[]}}', "invalid_json"),
    ("two documents", b'{"batch":[]}{"batch":[]}', "invalid_json"),
    ("single quotes", b"{'batch':[]}", "invalid_json"),
    ("byte order mark", b"\xef\xbb\xbf" + batch_of(GOOD), "invalid_json"),
    ("UTF-16", '{"batch":[]}'.encode("utf-16"), "invalid_json"),
    ("a bare array", f"[{GOOD}]".encode(), "missing_batch"),
    ("a bare event", GOOD.encode(), "missing_batch"),
    ("a number", b"5", "missing_batch"),
    ("a text", b'"batch"', "missing_batch"),
    ("batch is an object", b'{"batch":{}}', "missing_batch"),
    ("batch is null", b'{"batch":null}', "missing_batch"),
    ("key is a number", b'{"writeKey":5,"batch":[]}', "invalid_type"),
    ("sentAt is nonsense", b'{"sentAt":"yesterday","batch":[]}', "invalid_type"),
    ("only brackets", deep(5000).encode(), "invalid_json"),
    ("brackets never closed", b"[" * 5000, "invalid_json"),
    ("deep beside the batch", b'{"x":' + deep(5000).encode() + b',"batch":[]}', "invalid_json"),
    ("bad gzip", b"\x1f\x8bnot gzip at all", "invalid_gzip"),
    ("cut gzip", gzip.compress(batch_of(GOOD))[:-12], "invalid_gzip"),
    ("gzip and more", gzip.compress(b'{"batch":[]}') + b"tail", "invalid_gzip"),
    ("gzip twice", gzip.compress(gzip.compress(b'{"batch":[]}')), "invalid_json"),
    ("too large", b'{"batch":[' + b" " * 600_000 + b"]}", "body_too_large"),
    ("zip bomb", gzip.compress(b" " * 50_000_000), "body_too_large"),
    ("too many events", batch_of(*["{}"] * 2501), "too_many_events"),
]


@pytest.mark.parametrize(("body", "code"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_body_that_cannot_be_read_has_its_code(body: bytes, code: str) -> None:
    with pytest.raises(CashwrapError) as caught:
        run(body)
    assert caught.value.code == code
    assert isinstance(caught.value, TooMuch) == (code in {"body_too_large", "too_many_events"})


# --- events that cannot be used, each between two good ones ---

EVENTS: list[tuple[str, str, str, str]] = [
    ("NaN", event('{"price": NaN}'), "invalid_json", ""),
    ("infinity", event('{"price": -Infinity}'), "invalid_json", ""),
    ("lone surrogate", event('{"name": "\\ud800"}'), "invalid_json", ""),
    ("control character", event('{"name": "\x01"}'), "invalid_json", ""),
    ("trailing comma", event('{"price": 1,}'), "invalid_json", ""),
    ("comment", event('{"price": 1 /* net */}'), "invalid_json", ""),
    ("leading zero", event('{"price": 01}'), "invalid_json", ""),
    ("bare word", "hello", "invalid_json", ""),
    ("nothing", "", "invalid_json", ""),
    ("null", "null", "invalid_type", ""),
    ("a number", "5", "invalid_type", ""),
    ("an array", "[]", "invalid_type", ""),
    ("a text", '"track"', "invalid_type", ""),
    ("an empty object", "{}", "unknown_type", "type"),
    ("unknown type", json.dumps(track(type="trace")), "unknown_type", "type"),
    ("type is a number", json.dumps(track(type=5)), "invalid_type", "type"),
    ("no event", json.dumps(track(event=None)), "missing_event", "event"),
    ("event is a list", json.dumps(track(event=["Product Viewed"])), "invalid_type", "event"),
    ("unknown event", json.dumps(track("Door Opened")), "undeclared_event", "event"),
    ("properties are a list", event("[]"), "invalid_type", "properties"),
    ("properties are a text", event('"x"'), "invalid_type", "properties"),
    ("context is a text", json.dumps(track(context="x")), "invalid_type", "context"),
    ("page is a text", json.dumps(track(context={"page": "x"})), "invalid_type", "context.page"),
    ("time is nonsense", json.dumps(track(timestamp="soon")), "invalid_type", "timestamp"),
    ("time is a number", json.dumps(track(timestamp=NOW)), "invalid_type", "timestamp"),
    ("time is the 31st of February", json.dumps(track(timestamp="2025-02-31T00:00:00Z")), "invalid_type", "timestamp"),
    ("id is an object", json.dumps(track(anonymousId={})), "invalid_type", "anonymousId"),
    ("id is too long", json.dumps(track(anonymousId="x" * 201)), "id_too_long", ""),
    ("message id is too long", json.dumps(track(messageId="x" * 201)), "id_too_long", ""),
    ("nobody", json.dumps(track(anonymousId=None)), "missing_identity", ""),
    ("only null", json.dumps(track(anonymousId="null", userId="0000")), "missing_identity", ""),
    ("scope is unknown", json.dumps(track(scope="planet")), "invalid_type", "scope"),
    ("absurd nesting", event('{"x": ' + deep(5000) + "}"), "too_deep", ""),
    ("deep nesting", event('{"x": ' + deep(40) + "}"), "too_deep", "properties.x"),
    (
        "deep in a product",
        event('{"products": [{"id": 1, "x": ' + deep(5000) + "}]}", name="Cart Viewed"),
        "too_deep",
        "",
    ),
    ("many keys", event(json.dumps(dict.fromkeys(map(str, range(1001)), 1))), "too_many_fields", "properties"),
    ("many values", event(json.dumps({"x": [1] * 1001})), "too_many_fields", "properties.x"),
    ("too large", event(json.dumps({"name": "x" * 33_000})), "event_too_large", ""),
    ("huge number", event('{"x": ' + "9" * 5000 + "}"), "invalid_type", "properties"),
    ("price is a word", event('{"price": "cheap"}'), "invalid_money", "properties.price"),
    ("price is NaN as text", event('{"price": "NaN"}'), "invalid_money", "properties.price"),
    ("price is infinite", event('{"price": "inf"}'), "invalid_money", "properties.price"),
    ("price is 1e400", event('{"price": 1e400}'), "invalid_money", "properties.price"),
    ("price is absurd", event('{"price": 99999999999999}'), "invalid_money", "properties.price"),
    ("price is absurdly long", event('{"price": 1.' + "1" * 100 + "}"), "invalid_money", "properties.price"),
    ("price is negative", event('{"price": -5}'), "negative_money", "properties.price"),
    ("price is negative text", event('{"price": "-0.01"}'), "negative_money", "properties.price"),
    ("price is true", event('{"price": true}'), "invalid_type", "properties.price"),
    ("price is an object", event('{"price": {"amount": 5}}'), "invalid_type", "properties.price"),
    ("price has a comma", event('{"price": "19,99"}'), "invalid_money", "properties.price"),
    ("unknown currency", event('{"currency": "XXA", "price": 5}'), "unknown_currency", "properties.currency"),
    ("currency is a number", event('{"currency": 978}'), "invalid_type", "properties.currency"),
    ("quantity is negative", event('{"quantity": -1}'), "negative_quantity", "properties.quantity"),
    ("quantity is half", event('{"quantity": 0.5}'), "invalid_number", "properties.quantity"),
    ("quantity is absurd", event('{"quantity": 1000000000}'), "invalid_number", "properties.quantity"),
    ("name is an object", event('{"name": {"en": "x"}}'), "invalid_type", "properties.name"),
    (
        "a negative quantity in a cart",
        event('{"products": [{"product_id": 1}, {"product_id": 2, "quantity": -3}]}', name="Cart Viewed"),
        "negative_quantity",
        "properties.products[1].quantity",
    ),
    (
        "a NaN price in a cart",
        event('{"products": [{"product_id": 1, "price": "nan"}]}', name="Cart Viewed"),
        "invalid_money",
        "properties.products[0].price",
    ),
    (
        "a product without id",
        event('{"products": [{}]}', name="Cart Viewed"),
        "missing_product_id",
        "properties.products[0]",
    ),
    (
        "a product that is a text",
        event('{"products": ["x"]}', name="Cart Viewed"),
        "invalid_type",
        "properties.products[0]",
    ),
    ("products are an object", event('{"products": {}}', name="Cart Viewed"), "invalid_type", "properties.products"),
    (
        "501 products",
        event(json.dumps({"products": [{"id": 1}] * 501}), name="Cart Viewed"),
        "too_many_products",
        "properties.products",
    ),
    (
        "10,000 products",
        event(json.dumps({"products": [{"id": 1}] * 10_000}), name="Cart Viewed"),
        "event_too_large",
        "",
    ),
    (
        "101 filters",
        event(json.dumps({"filters": [{}] * 101}), name="Product List Filtered"),
        "too_many_values",
        "properties.filters",
    ),
    ("consent without choices", '{"type":"consent","anonymousId":"a"}', "missing_choices", "choices"),
    (
        "consent to nothing we know",
        '{"type":"consent","anonymousId":"a","choices":{"mind_reading":"granted"}}',
        "unknown_purpose",
        "choices",
    ),
    (
        "consent by another word",
        '{"type":"consent","anonymousId":"a","choices":{"analytics":"yes"}}',
        "invalid_choice",
        "choices.analytics",
    ),
]


@pytest.mark.parametrize(("bad", "code", "path"), [case[1:] for case in EVENTS], ids=[case[0] for case in EVENTS])
def test_a_bad_event_never_spoils_its_batch(bad: str, code: str, path: str) -> None:
    first, second, third = run(batch_of(GOOD, bad, GOOD.replace("m1", "m2")))
    assert isinstance(first, Event)
    assert isinstance(third, Event)
    assert third.id == "m2"
    assert isinstance(second, Refused)
    assert (second.index, second.code, second.path) == (1, code, path)
    assert second.message.endswith(".")
    if '"messageId": "m1"' in bad and code not in {"invalid_json", "event_too_large"} and len(bad) < 5000:
        assert second.message_id == "m1"


@pytest.mark.parametrize(("bad", "code"), [case[1:3] for case in EVENTS], ids=[case[0] for case in EVENTS])
def test_a_bad_single_call_has_the_same_code(bad: str, code: str) -> None:
    kind = "consent" if '"consent"' in bad else "track"
    batch = decode_one(bad.encode(), kind, LIMITS)
    (result,) = normaliser().batch(batch, facts())
    if code == "unknown_type":  # the path of the request is the type of a single call
        assert not isinstance(result, Refused) or result.code == "missing_event"
    else:
        assert isinstance(result, Refused)
        assert result.code == code


def test_the_corpus_is_not_small() -> None:
    assert sum(len(body) for _, body, _ in WHOLE) + sum(len(bad) for _, bad, _, _ in EVENTS) > 20_000


# --- bodies that are odd, and right ---


def test_a_repeated_key_means_its_last_value_as_everywhere_in_json() -> None:
    (result,) = run(batch_of(event('{"price": 1, "price": 2}')))
    assert isinstance(result, Event)
    assert result.properties == {"price": 200}


def test_gzip_is_recognised_by_its_bytes() -> None:
    plain = batch_of(GOOD)
    assert read_body(gzip.compress(plain), LIMITS) == plain
    assert read_body(plain, LIMITS) == plain


def test_a_zip_bomb_never_unfolds() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    tracemalloc.start()
    with pytest.raises(TooMuch):
        read_body(bomb, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_an_empty_batch_is_fine() -> None:
    assert run(b'{"batch":[]}') == []
    assert run(b'{"x":NaN_free,"batch":[ ]}'.replace(b"NaN_free", b"1")) == []


def test_the_key_and_the_time_of_sending_are_read_from_the_body() -> None:
    batch = decode_batch(b'{"writeKey":"k1","batch":[],"sentAt":"2025-11-22T08:00:00Z"}', LIMITS)
    assert batch.write_key == "k1"
    assert batch.sent_at is not None
    single = decode_one(b'{"writeKey":"k2","event":"Product Viewed"}', "track", LIMITS)
    assert single.write_key == "k2"


def test_a_large_batch_is_read_event_by_event() -> None:
    body = batch_of(*[json.dumps(track(messageId=f"m{number}")) for number in range(1000)])
    assert LIMITS.event < len(body) < LIMITS.body
    assert [event.id for event in run(body) if isinstance(event, Event)] == [f"m{number}" for number in range(1000)]


def test_a_bad_event_in_a_large_batch_is_refused_alone() -> None:
    for bad in (event('{"price": NaN}'), event('{"price": "x"}'), json.dumps(track(event=5))):
        calls = [json.dumps(track(messageId=f"m{number}")) for number in range(400)]
        calls[77] = bad
        results = run(batch_of(*calls))
        assert [index for index, result in enumerate(results) if isinstance(result, Refused)] == [77]


def test_words_that_look_like_structure_stay_text() -> None:
    hard = event(json.dumps({"name": 'a "batch":[ ]} , \\" {', "brand": "\\"}))
    first, second, third = run(batch_of(hard, event('{"price": NaN}'), hard))
    assert isinstance(first, Event)
    assert first == third
    assert first.properties == {"name": 'a "batch":[ ]} , \\" {', "brand": "\\"}
    assert isinstance(second, Refused)


def test_a_batch_inside_a_batch_is_not_taken_for_it() -> None:
    body = '{"context":{"batch":[1,2]},"batch":[' + GOOD + ',{"batch":[1],"x":NaN}]}'
    first, second = run(body.encode())
    assert isinstance(first, Event)
    assert isinstance(second, Refused)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.lists(json_values, max_size=5), st.dictionaries(st.text(max_size=6), json_values, max_size=3), st.booleans())
def test_splitting_agrees_with_a_json_parser(items: list[Any], around: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(around | {"batch": items}, ensure_ascii=ascii_only).encode()
    rest, texts = split_batch(body)
    assert [json.loads(text) for text in texts] == items
    assert json.loads(rest) == around | {"batch": []}


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text('[]{}",:\\ batch', max_size=80).map(str.encode))
def test_no_bytes_crash_the_reader(body: bytes) -> None:
    with contextlib.suppress(InvalidInput, TooMuch):
        for result in run(body):
            assert isinstance(result, Event | Refused)


WORDS = "type messageId anonymousId userId event timestamp sentAt context properties traits name category previousId"
fields = st.sampled_from(f"{WORDS} groupId token choices scope source originalTimestamp".split())


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(fields, json_values), max_size=3),
    st.booleans(),
    st.sampled_from(["track", "page", "consent"]),
)
def test_no_json_crashes_the_reader(items: list[dict[str, Any]], trusted: bool, kind: str) -> None:
    body = json.dumps({"batch": [{"type": kind, "event": "Order Completed"} | item for item in items]}).encode()
    results = run(body, trusted=trusted)
    assert len(results) == len(items)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["price", "products", "currency", "quantity", "name", "order_id", "email", "total"]),
        json_values,
    )
)
def test_no_property_crashes_the_reader(properties: dict[str, Any]) -> None:
    (result,) = run(json.dumps({"batch": [track("Order Completed", properties)]}).encode())
    assert isinstance(result, Event | Refused)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2025-11-22T08:00:00"])
def test_no_time_is_too_odd(text: str) -> None:
    result = kept(track(timestamp=text), batch={"sentAt": "2025-11-22T08:00:00Z"})
    assert NOW - 7 * 86_400_000 <= result.time <= NOW + 5_000


@pytest.mark.parametrize("evil", [b'\\"', b"[", b"{", b'"', b'"a":[', b"\\", b',"', b"]"])
def test_half_a_megabyte_of_anything_is_refused_in_linear_time(evil: bytes) -> None:
    """Quadratic work on this much would run into the suite's time limit."""
    body = (b'{"batch":["' + evil * (LIMITS.body // len(evil)))[: LIMITS.body]
    with pytest.raises(InvalidInput):
        run(body)


def test_limits_are_settings() -> None:
    tight = Limits(body=1000, event=200, events=1)
    with pytest.raises(TooMuch):
        decode_batch(batch_of("{}", "{}"), tight)
    (item,) = decode_batch(batch_of(json.dumps(track(properties={"name": "x" * 300}))), tight).items
    assert isinstance(item, Refused)
    (item,) = decode_batch(batch_of("{}"), tight).items
    assert isinstance(item, Envelope)


# --- Segment's own client, unmodified ---


def test_the_messages_of_segments_python_client_are_kept() -> None:
    client = Client("key", send=False)
    calls = [
        client.track(anonymous_id="a", event="Order Completed", properties={"order_id": "o", "total": 19.99}),
        client.identify(user_id="u", traits={"email": "jane@example.com", "firstName": "Jane"}),
        client.page(anonymous_id="a", name="Home", properties={"url": "https://shop.example/x?y"}),
        client.screen(anonymous_id="a", name="Home"),
        client.group(user_id="u", group_id="g"),
        client.alias("p", "u"),
    ]
    body = json.dumps({"batch": [message for _, message in calls]}, cls=DatetimeSerializer).encode()
    kept_events = run(gzip.compress(body), trusted=True)
    names = [event.name for event in kept_events if isinstance(event, Event)]
    assert names == ["Order Completed", "Identified", "Page Viewed", "Screen Viewed", "Grouped", "Aliased"]
    order, login, page = kept_events[:3]
    assert isinstance(order, Event)
    assert isinstance(login, Event)
    assert isinstance(page, Event)
    assert order.properties == {"order_id": "o", "total": 1999}
    assert login.traits == {"first_name": "Jane"}
    assert login.email_hash is not None
    assert page.properties == {"url": "https://shop.example/x", "name": "Home"}
