"""From envelopes to events: fields, money, time, identity, surroundings."""

import json
import random
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.declarations import Declarations, EventDecl, Settings, Spot
from cashwrap.errors import InvalidEvent, InvalidInput, PlaybookError
from cashwrap.events import Accounting, Normaliser, Refused, compile_vocabulary, decode_one
from cashwrap.events.envelope import Limits
from cashwrap.events.money import minor_digits, to_minor
from cashwrap.events.normalise import HINTS
from cashwrap.events.standard import CALLS, ECOMMERCE, EVENT_ALIASES
from cashwrap.model import Event, Line, Purpose, Where
from events_cases import CHROME, NOW, VOCABULARY, digest, facts, iso, kept, normaliser, one, refused, run, track

DAY = 86_400_000
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"

# --- fields ---


def test_a_typical_event() -> None:
    call = track(
        properties={"product_id": "p1", "category": "Shoes", "price": 19.95, "quantity": 2, "position": 3},
        timestamp=iso(NOW - 2_000),
        context={"page": {"path": "/shoes/p1"}, "locale": "en-US", "timezone": "Europe/Berlin"},
    )
    event = kept(call, batch={"sentAt": iso(NOW - 1_000)})
    assert event == Event(
        id="m1",
        name="Product Viewed",
        time=NOW - 1_000,
        received=NOW,
        mask=0,
        source="key",
        anonymous_id="a1",
        properties={"product_id": "p1", "category": "Shoes", "price": 1995, "quantity": 2, "position": 3},
        fingerprint=event.fingerprint,
        where=Where(
            device="desktop", os="linux", browser="chrome", locale="en-US", time_zone="Europe/Berlin", path="/shoes/p1"
        ),
    )
    assert len(event.fingerprint) == 8


def test_undeclared_fields_are_dropped_and_counted() -> None:
    house = normaliser()
    event = kept(track(properties={"product_id": "p1", "secret": "x", "nested": {"a": [1]}, "price": None}), house)
    assert event.properties == {"product_id": "p1"}
    kept({"type": "identify", "anonymousId": "a", "traits": {"first_name": "Jo", "phone": "1", "address": {}}}, house)
    assert house.dropped == {"Product Viewed": 2, "Identified": 2}


def test_products_become_lines() -> None:
    products = [
        {"product_id": 7, "sku": "S", "name": "Mug", "brand": "B", "category": "C", "variant": "red", "coupon": "X"}
        | {"price": "4.50", "quantity": 2, "url": "https://x", "position": 1},
        {"sku": "only-sku"},
        {"id": "first-spec", "price": 3},
    ]
    event = kept(track("Cart Viewed", {"products": products, "cart_id": "c9"}))
    assert event.properties["products"] == [
        Line("7", 2, 450, "C", "B", "Mug", "S", "red", "X"),
        Line("only-sku", sku="only-sku"),
        Line("first-spec", price=300),
    ]
    assert event.cart_token == "c9"


def test_every_old_name_means_its_new_one() -> None:
    for alias, name in EVENT_ALIASES.items():
        assert kept(track(alias)).name == name
        assert alias not in ECOMMERCE
    order = kept(track("Completed Order", {"orderId": "o1", "total": 5}))
    assert order.properties == {"order_id": "o1", "total": 500}
    assert kept(track("Viewed Product", {"id": "p"})).properties == {"product_id": "p"}


def test_every_standard_event_is_kept_with_every_field() -> None:
    values: dict[str, Any] = {"text": "t", "id": "i", "money": 1, "integer": 1, "quantity": 1, "number": "1.5"}
    values |= {"url": "/x", "currency": "EUR", "token": "t.t", "email": "a@b.de", "products": [], "filters": []}
    values["texts"] = ["t"]
    for name, fields in (ECOMMERCE | CALLS).items():
        event = kept(track(name, {field: values[kind] for field, kind in fields.items()}), trusted=True)
        assert set(event.properties) == {field for field, kind in fields.items() if kind != "email"}
        assert (event.email_hash is not None) == ("email" in fields.values())
        assert set(VOCABULARY.events[name].kinds()) == set(event.properties)


def test_a_shops_own_event_is_kept_as_declared() -> None:
    event = kept(track("Gift Wrapped", {"paper": "red", "cost": "2.5", "layers": "3", "ribbon": True}))
    assert event.properties == {"paper": "red", "cost": 250, "layers": 3}


def test_filters_become_texts() -> None:
    event = kept(track("Product List Filtered", {"filters": [{"type": "colour", "value": "red"}, "plain"]}))
    assert event.properties["filters"] == ["colour:red", "plain"]


def test_every_declared_kind_has_its_converter() -> None:
    kinds = ("text", "integer", "number", "money", "boolean", "time", "texts", "products")
    decl = EventDecl("Own", fields={f"f_{kind}": kind for kind in kinds})  # type: ignore[misc]
    house = Normaliser(compile_vocabulary(Declarations(events={"Own": decl})), Settings(), digest)
    sent = {"f_text": 5, "f_integer": "7", "f_number": 1.25, "f_money": 0.1, "f_boolean": "true"}
    sent |= {"f_time": "2025-11-22T08:00:00Z", "f_texts": ["a", 1], "f_products": [{"id": 1}]}
    assert kept(track("Own", sent), house).properties == {
        "f_text": "5",
        "f_integer": 7,
        "f_number": Decimal("1.25"),
        "f_money": 10,
        "f_boolean": True,
        "f_time": NOW,
        "f_texts": ["a", "1"],
        "f_products": [Line("1")],
    }
    for field in sent:
        assert refused(track("Own", {field: {"an": "object"}}), house).code == "invalid_type"
    assert refused(track("Own", {"f_time": "soon"}), house).code == "invalid_time"
    assert refused(track("Own", {"f_integer": "1.5"}), house).code == "invalid_number"
    assert refused(track("Own", {"f_integer": 2**60}), house).code == "invalid_number"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("https://user:pw@shop.example/a/b?token=1#x", "https://shop.example/a/b"),
        ("/search?q=secret", "/search"),
        ("//cdn.example/x?y", "//cdn.example/x"),
        ("/u/jane%40example.com/orders", "/u/[removed]/orders"),
        ("/a%20b", "/a%20b"),
        ("?only=query", ""),
    ],
)
def test_addresses_lose_query_fragment_and_user(sent: str, expected: str) -> None:
    event = kept(track(context={"page": {"path": sent, "referrer": sent}}))
    assert (event.where.path or "") == (event.where.referrer or "") == expected


def test_a_long_text_is_cut() -> None:
    assert kept(track(properties={"name": "x" * 5000})).properties == {"name": "x" * 1024}


# --- money ---


@pytest.mark.parametrize(
    ("sent", "currency", "minor"),
    [
        (19, "EUR", 1900),
        (19.99, "EUR", 1999),
        ("19.99", "EUR", 1999),
        (" 19.9 ", "EUR", 1990),
        (0.30000000000000004, "EUR", 30),
        (19.995, "EUR", 2000),
        (1e2, "EUR", 10000),
        (1234, "JPY", 1234),
        (12.5, "JPY", 13),
        (1.2345, "KWD", 1235),
        (5, "usd", 500),
        (0, "EUR", 0),
    ],
)
def test_money_is_exact(sent: object, currency: str, minor: int) -> None:
    event = kept(
        track("Order Completed", {"total": sent, "currency": currency, "products": [{"id": 1, "price": sent}]})
    )
    assert event.properties["total"] == minor
    assert event.properties["products"] == [Line("1", price=minor)]
    assert event.properties["currency"] == currency.upper()


@settings(deadline=None)
@given(st.decimals(0, 10**9, allow_nan=False, places=6), st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
def test_money_agrees_with_a_decimal_oracle(amount: Decimal, currency: str) -> None:
    digits = minor_digits(currency)
    assert to_minor(str(amount), digits) == int((amount * 10**digits).to_integral_value(ROUND_HALF_UP))


@settings(deadline=None)
@given(st.text(max_size=45))
def test_no_text_crashes_money(text: str) -> None:
    try:
        assert 0 <= to_minor(text, 2) <= 10**15
    except InvalidEvent as error:
        assert error.code in {"invalid_money", "negative_money"}  # noqa: PT017 - both outcomes are right


def test_the_shops_currency_is_the_default() -> None:
    assert kept(track(properties={"price": 500}), normaliser(Settings(currency="JPY"))).properties == {"price": 500}
    with pytest.raises(InvalidEvent):
        normaliser(Settings(currency="FOO"))


# --- time ---


@pytest.mark.parametrize(
    ("happened", "sent", "expected"),
    [
        (-2_000, -1_000, -1_000),  # a second before sending
        (-3_600_000, None, -3_600_000),  # no time of sending: as it says
        (-10 * 365 * DAY - 5_000, -10 * 365 * DAY, -5_000),  # a clock ten years slow
        (10 * 365 * DAY - 5_000, 10 * 365 * DAY, -5_000),  # a clock ten years fast
        (-10 * 365 * DAY, None, 0),  # ten years off and no time of sending
        (10 * 365 * DAY, None, 0),
        (-30 * DAY, 0, -7 * DAY),  # queued for a month
        (1_000_000, 0, 5_000),  # sent before it happened
        (3_000, None, 3_000),  # clocks differ a little
        (6_000, None, 0),
    ],
)
def test_clocks_are_corrected_within_bounds(happened: int, sent: int | None, expected: int) -> None:
    batch = {} if sent is None else {"sentAt": iso(NOW + sent)}
    for field in ("timestamp", "originalTimestamp"):
        assert kept(track(**{field: iso(NOW + happened)}), batch=batch).time == NOW + expected


def test_an_event_without_time_happened_when_received() -> None:
    assert kept(track()).time == NOW
    assert kept(track(), batch={"sentAt": iso(NOW - DAY)}).time == NOW


def test_an_events_own_time_of_sending_goes_first() -> None:
    call = track(timestamp=iso(NOW - 5_000), sentAt=iso(NOW - 2_000))
    assert kept(call, batch={"sentAt": iso(NOW - 4_000)}).time == NOW - 3_000


def test_an_import_keeps_its_times_and_its_basis() -> None:
    event = kept(track(timestamp=iso(NOW - 900 * DAY)), historic=True, basis=3)
    assert (event.time, event.mask) == (NOW - 900 * DAY, 3)


# --- who ---


@pytest.mark.parametrize(
    "word", ["null", "undefined", "0000", "0", "-1", "anonymous", "", " ", "---", "0000-0000", "NaN", "None", "NULL"]
)
def test_blocked_ids_count_as_absent(word: str) -> None:
    event = kept(track(anonymousId="a1", userId=word), trusted=True)
    assert (event.anonymous_id, event.user_id) == ("a1", None)
    assert kept(track(anonymousId=word, userId="u1"), trusted=True).anonymous_id is None
    assert refused(track(anonymousId=word)).code == "missing_identity"


def test_a_bare_user_id_from_a_browser_is_only_a_claim() -> None:
    event = kept(track(userId="u1"))
    assert (event.user_id, event.claimed_user_id, event.trusted) == (None, "u1", False)
    assert refused(track(anonymousId=None, userId="u1")).code == "missing_identity"
    for token in ("bad", "good:"):
        event = kept(track(userId="u1", token=token))
        assert (event.user_id, event.claimed_user_id) == (None, "u1")


def test_a_token_or_a_secret_key_verifies() -> None:
    assert kept(track(userId="someone else", token="good:u1")).user_id == "u1"
    assert kept(track(userId="someone else", token="good:u1")).claimed_user_id is None
    backend = kept(track(userId=42), trusted=True)
    assert (backend.user_id, backend.claimed_user_id, backend.trusted) == ("42", None, True)


def test_ids_that_look_personal_become_keyed_hashes() -> None:
    event = kept(track(userId="Jane@Example.com", anonymousId="a1"), trusted=True)
    assert event.user_id == "h_" + digest("id", "jane@example.com").hex()
    assert normaliser().shopper_id("jane@example.com") == event.user_id
    assert normaliser().shopper_id("null") is None
    assert normaliser().shopper_id(None) is None
    assert kept(track(userId="jane@example.com", token="good:jane@example.com")).user_id == event.user_id


def test_an_address_leaves_only_its_keyed_hash_and_only_from_the_backend() -> None:
    expected = digest("email", "jane@example.com").hex()
    order = track("Order Completed", {"order_id": "o", "email": " Jane@Example.com"}, anonymousId=None)
    assert kept(order, trusted=True).email_hash == expected
    assert refused(order).code == "missing_identity"
    login = {"type": "identify", "anonymousId": "a", "traits": {"email": "jane@example.com", "firstName": "Jo"}}
    assert kept(login, trusted=True).email_hash == expected
    assert kept(login).email_hash is None
    assert kept(login).traits == {"first_name": "Jo"}
    assert kept(login).properties == {}


def test_traits_may_come_in_the_context_and_only_with_identify() -> None:
    traits = {"tier": "gold", "points": 7, "createdAt": "2025-11-22T08:00:00Z"}
    expected = {"tier": "gold", "points": 7, "created_at": NOW}
    assert kept({"type": "identify", "anonymousId": "a", "context": {"traits": traits}}).traits == expected
    assert kept({"type": "identify", "anonymousId": "a", "traits": traits}).traits == expected
    assert kept(track(traits=traits)).traits == {}


@pytest.mark.parametrize(
    ("properties", "context", "expected"),
    [
        ({"cart_token": "t", "cart_id": "c", "checkout_id": "k"}, None, "t"),
        ({"cart_id": "c", "checkout_id": "k"}, None, "c"),
        ({"checkout_id": "k"}, None, "k"),
        ({"cart_id": "c"}, {"cart": {"token": 5}}, "5"),
        ({"cart_id": "null"}, None, None),
        ({}, {"cart": {"token": "0000"}}, None),
    ],
)
def test_the_cart_token(properties: dict[str, Any], context: Any, expected: str | None) -> None:
    assert kept(track("Order Completed", properties, context=context)).cart_token == expected


def test_a_scope_for_the_person_needs_a_verified_person() -> None:
    call = {
        "type": "consent",
        "anonymousId": "a",
        "userId": "u",
        "choices": {"analytics": "granted"},
        "scope": "person",
    }
    assert kept(call).scope == "device"
    assert kept(call, trusted=True).scope == "person"
    assert kept(call | {"token": "good:u"}).scope == "person"


# --- calls other than track ---


def test_pages_and_screens() -> None:
    call = {"type": "page", "anonymousId": "a", "name": "Home", "category": "Start", "properties": {"path": "/x?y"}}
    event = kept(call)
    assert (event.name, event.properties) == ("Page Viewed", {"path": "/x", "name": "Home", "category": "Start"})
    assert event.where.path == "/x"
    assert kept(call | {"type": "screen"}).name == "Screen Viewed"


def test_group_and_alias() -> None:
    group = kept({"type": "group", "anonymousId": "a", "groupId": 5, "traits": {"name": "Ltd"}})
    assert (group.name, group.properties, group.traits) == ("Grouped", {"group_id": "5"}, {})
    alias = kept({"type": "alias", "anonymousId": "a", "previousId": "p", "userId": "u"})
    assert (alias.name, alias.properties, alias.user_id) == ("Aliased", {"previous_id": "p"}, None)


def test_consent_calls_and_stamps() -> None:
    choices = {"analytics": "granted", "advertising": "denied", "credit": "unknown", "necessary": "denied"}
    call = {"type": "consent", "anonymousId": "a", "choices": choices, "source": "banner"}
    event = kept(call, gpc=True)
    assert (event.name, event.choices) == ("Consent Updated", {"analytics": "granted", "advertising": "denied"})
    assert (event.properties, event.gpc) == ({"source": "banner"}, True)
    stamp = {"consent": {"categoryPreferences": {"C0002": True, "Shoes": False}}}
    stamped = kept(track(context=stamp), normaliser(Settings(purposes={"Shoes": ("personalization",)})))
    assert stamped.choices == {"analytics": "granted", "personalization": "denied"}
    assert kept(track(choices={"analytics": "granted"})).choices == {}


def test_one_letter_paths_have_the_same_bodies() -> None:
    body = json.dumps({key: value for key, value in track().items() if key != "type"}).encode()
    assert normaliser().batch(decode_one(body, "track", Limits()), facts()) == run(
        b'{"batch":[' + json.dumps(track()).encode() + b"]}"
    )


# --- ids of events ---


def test_a_retry_has_the_same_fingerprint_and_another_body_another() -> None:
    call = track(properties={"product_id": "p1", "price": 5, "x": 1}, timestamp=iso(NOW))
    first = kept(call, batch={"sentAt": iso(NOW)})
    again = kept(json.loads(json.dumps(call, sort_keys=True)), batch={"sentAt": iso(NOW + 5_000)})
    assert first.fingerprint == again.fingerprint
    others = [
        call | {"properties": {"product_id": "p2", "price": 5, "x": 1}},
        call | {"properties": {"product_id": "p1", "price": 5, "x": 2}},
        call | {"timestamp": iso(NOW - 1)},
        call | {"event": "Product Added"},
        {"type": "identify", "anonymousId": "a1", "timestamp": iso(NOW), "traits": {"tier": "gold"}},
        {"type": "identify", "anonymousId": "a1", "timestamp": iso(NOW), "traits": {"tier": "tin"}},
    ]
    assert len({first.fingerprint, *(kept(other).fingerprint for other in others)}) == 7


def test_an_event_without_id_gets_one_that_a_retry_shares() -> None:
    timed = track(messageId=None, timestamp=iso(NOW))
    assert kept(timed).id == kept(timed, received=NOW + 9_000).id
    assert kept(timed).id != kept(track(messageId=None, timestamp=iso(NOW + 1))).id
    untimed = track(messageId="")
    assert kept(untimed).id != kept(untimed, received=NOW + 9_000).id
    first, second = run(json.dumps({"batch": [untimed, untimed]}).encode())
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert first.id != second.id


# --- surroundings ---


def test_context_of_one_event_does_not_leak_into_the_next() -> None:
    calls = [track(context={"locale": "de", "page": {"path": "/a"}}), track(), track(context={"page": {"path": "/b"}})]
    german, plain, page = run(json.dumps({"batch": calls}).encode())
    assert isinstance(german, Event)
    assert isinstance(plain, Event)
    assert isinstance(page, Event)
    assert (german.where.locale, german.where.path) == ("de", "/a")
    assert (plain.where.locale, plain.where.path) == (None, None)
    assert (page.where.locale, page.where.path) == (None, "/b")


def test_a_batch_may_share_its_context() -> None:
    assert kept(track(), batch={"context": {"locale": "de"}}).where.locale == "de"


@pytest.mark.parametrize(
    ("header", "shop", "delivery", "expected"),
    [
        ("DE", "FR", "IT", ("DE", "header")),
        (None, "fr", "IT", ("FR", "shop")),
        (None, None, "it", ("IT", "delivery")),
        ("XX", None, None, (None, None)),
        ("Germany", "Deutschland", "Deutschland", (None, None)),
    ],
)
def test_who_says_where(header: Any, shop: Any, delivery: Any, expected: tuple[Any, Any]) -> None:
    call = track(
        "Checkout Started", {"delivery_country": delivery}, context={"location": {"country": shop, "region": "BY"}}
    )
    where = kept(call, country=header).where
    assert (where.country, where.location_source, where.region) == (*expected, "BY")


def test_a_backend_speaks_for_the_shoppers_device() -> None:
    call = track(context={"userAgent": IPHONE, "ip": "203.0.113.9"})
    house = normaliser(Settings(internal_networks=("203.0.113.0/24",)))
    event = kept(call, house, trusted=True, user_agent="analytics-python/2.4", ip="10.0.0.1")
    assert (event.where.device, event.where.os, event.where.browser) == ("mobile", "ios", "safari")
    assert event.flags == 2
    assert kept(track(), trusted=True, user_agent="python-requests/2").flags == 0
    assert kept(call, house, ip="10.0.0.1").flags == 0
    assert kept(call, house, ip="203.0.113.7").flags == 2


def test_nonsense_in_the_context_is_left_out() -> None:
    context = {"locale": "x" * 99, "timezone": "4111111111111111", "device": {"type": "toaster"}}
    where = kept(track(context=context), user_agent=None).where
    assert where == Where()
    assert kept(track(context={"device": {"type": "tablet"}}), user_agent=None).where.device == "tablet"


# --- vocabulary ---


def test_orders_are_necessary_only_from_the_backend() -> None:
    order = track("Order Completed", {"order_id": "o"})
    assert not VOCABULARY.purpose(kept(order)) & Purpose.NECESSARY
    assert VOCABULARY.purpose(kept(order, trusted=True)) & Purpose.NECESSARY
    assert not VOCABULARY.purpose(kept(track(), trusted=True)) & Purpose.NECESSARY
    consent = {"type": "consent", "anonymousId": "a", "choices": {"analytics": "denied"}}
    assert VOCABULARY.purpose(kept(consent)) == Purpose.NECESSARY
    assert VOCABULARY.purpose(kept(track("Gift Wrapped"))) == Purpose.PERSONALIZATION
    assert compile_vocabulary(Declarations()).purpose(kept(track("Gift Wrapped"))) == 0


def test_a_playbook_may_add_fields_and_not_bend_them() -> None:
    more = EventDecl("Product Viewed", fields={"material": "text", "price": "money"})
    vocabulary = compile_vocabulary(Declarations(events={"Product Viewed": more}))
    assert vocabulary.events["Product Viewed"].fields["material"] == "text"
    assert vocabulary.events["Product Viewed"].purposes == Purpose.ANALYTICS | Purpose.PERSONALIZATION
    bent = EventDecl("Product Viewed", fields={"price": "text"}, spot=Spot("events.yaml", 3, 5))
    alias = EventDecl("Completed Order", spot=Spot("events.yaml", 9, 1))
    ours = EventDecl("Offer Redeemed", spot=Spot("events.yaml", 11, 1))
    with pytest.raises(PlaybookError) as caught:
        compile_vocabulary(
            Declarations(
                events={"Product Viewed": bent, "Completed Order": alias, "Offer Redeemed": ours},
                traits={"title": "integer"},
            )
        )
    faults = caught.value.faults
    assert faults[0] == "events.yaml:3:5 field_kind Product Viewed.price is money in the standard, not text"
    assert faults[1].startswith("events.yaml:9:1 event_is_alias")
    assert faults[2].startswith("events.yaml:11:1 event_is_ours")
    assert faults[3].startswith(":0:0 trait_kind")


def test_bad_networks_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        normaliser(Settings(internal_networks=("office",)))
    assert caught.value.code == "invalid_network"


# --- accounting ---


def test_accounting_balances_or_says_so() -> None:
    count = Accounting(received=21, stored=1, duplicate=2, conflict=3, failed=4, dropped_by_consent=5, refused=6)
    assert count.balanced()
    for name in ("received", "stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused"):
        wrong = Accounting(**{key: getattr(count, key) + (key == name) for key in count.__struct_fields__})
        assert not wrong.balanced(), name
    count.add(Accounting(received=2, stored=2))
    assert (count.received, count.stored, count.balanced()) == (23, 3, True)


def test_every_event_of_a_mixed_batch_has_one_outcome() -> None:
    shuffled = random.Random(7)
    calls = [
        track(messageId=f"m{number}", properties={"price": shuffled.choice([1, "x", -1, 2.5])}) for number in range(60)
    ]
    results = run(json.dumps({"batch": calls}).encode())
    assert len(results) == 60
    for index, (call, result) in enumerate(zip(calls, results, strict=True)):
        if isinstance(result, Refused):
            assert (result.index, result.message_id) == (index, call["messageId"])
            assert call["properties"]["price"] in {"x", -1}
        else:
            assert result.id == call["messageId"]


def test_no_raw_user_agent_or_address_is_kept() -> None:
    text = repr(one(track(context={"userAgent": IPHONE, "ip": "203.0.113.9"}), ip="198.51.100.7", user_agent=CHROME))
    for secret in ("203.0.113", "198.51.100", "Mozilla", "AppleWebKit"):
        assert secret not in text


@pytest.mark.parametrize(
    ("name", "hint"), [("order_completed Ann", "did you mean 'Order Completed'? Else "), ("Zzz", ""), ("O" * 61, "")]
)
def test_a_misspelt_event_is_answered_with_a_declared_name_and_nothing_of_its_own(name: str, hint: str) -> None:
    told = f"This event is not declared; {hint}add it to the playbook's events."
    assert refused(track(name)).message == told


def test_hints_are_bounded() -> None:
    house = normaliser()
    for number in range(HINTS + 1):
        house.hint(f"Order Complete{number}")
    assert house.hint("Order Complete0") != ""
    assert house.hint(f"Order Complete{HINTS}") == ""
