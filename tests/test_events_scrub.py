"""No card number and no e-mail address survives, wherever in an event it stands."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cashwrap.declarations import Declarations, EventDecl, Settings
from cashwrap.events import Limits, Normaliser, RequestFacts, compile_vocabulary, decode_batch, scrub
from cashwrap.model import Event
from events_cases import NOW, digest

CARDS = ("4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "30569309025904")
EMAIL = "jane.doe+shop@mail.example.com"

separators = st.sampled_from(
    ["", " ", "-", ".", " - ", "\u00a0", "_", "/", "+", "\u2013", "\t", "\r\n", "\u2011", "\u200b"]
)


def check_digit(digits: str) -> str:
    """By the definition of the Luhn formula, one digit at a time."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number if number < 10 else number - 9
    return digits + str(-total % 10)


@st.composite
def cards(draw: st.DrawFn) -> str:
    """A number with a right check sum, in groups."""
    start = draw(st.sampled_from("23456"))
    digits = check_digit(start + draw(st.text("0123456789", min_size=11, max_size=17)))
    separator, pieces = draw(separators), []
    while digits:
        size = draw(st.integers(3, 8))
        pieces.append(digits[:size])
        digits = digits[size:]
    return separator.join(pieces)


words = st.text(st.characters(exclude_categories=("Nd", "Cs"), exclude_characters="@%"), max_size=20)


@settings(deadline=None)
@given(cards(), words, words)
def test_no_card_number_survives(card: str, before: str, after: str) -> None:
    text = f"{before} {card} {after}"
    assert card not in scrub.scrub(text)
    assert scrub.suspicious(json.dumps(text).encode())
    assert scrub.suspicious(json.dumps(text, ensure_ascii=False).encode())


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9.+_-]{1,70}@[a-z0-9-]{1,20}(\.[a-z]{2,6}){1,3}", fullmatch=True), words, words)
def test_no_address_survives(address: str, before: str, after: str) -> None:
    text = f"{before} {address} {after}"
    assert address not in scrub.scrub(text)
    assert "@" not in scrub.scrub(text)
    assert scrub.suspicious(json.dumps(text, ensure_ascii=False).encode())


@settings(deadline=None)
@given(st.text(max_size=200))
@example("2 x 4111 1111 1111 1111")
@example("４１１１１１１１１１１１１１１１")
@example("٤١١١١١١١١١١١١١١١")
@example("jane%40example.com")
@example("jane＠example.com")
def test_the_look_at_the_body_never_misses_what_scrubbing_finds(text: str) -> None:
    cleaned = scrub.scrub(text)
    assert scrub.scrub(cleaned) == cleaned, "once is enough"
    if cleaned != text:
        assert scrub.suspicious(json.dumps({"k": text}, ensure_ascii=False).encode())
        assert scrub.suspicious(json.dumps({"k": text}).encode())


@pytest.mark.parametrize(
    "text",
    [
        "1763798400000",  # milliseconds
        "507f1f77bcf86cd799439011",
        "order 10029388",
        "4111111111111112",  # wrong check sum
        "2026-11-22T08:07:02.123Z",
        "a @ b",
        "100% wool",
        "follow @nike",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert scrub.scrub(text) == text


@pytest.mark.parametrize("card", CARDS)
def test_issued_test_cards_are_recognised_beside_other_numbers(card: str) -> None:
    assert scrub.scrub(card) == scrub.REMOVED
    grouped = f"{card[:4]} {card[4:10]} {card[10:]}"
    assert scrub.scrub(f"2 x {grouped} 12/27 123") == "2 x [removed] 12/27 123"


@settings(deadline=None)
@given(st.text("0123456789", min_size=1, max_size=24))
def test_the_check_sum_agrees_with_its_definition(digits: str) -> None:
    expected = 13 <= len(digits) <= 19 and digits[0] in "23456" and check_digit(digits[:-1]) == digits
    assert (scrub.scrub(digits) == scrub.REMOVED) == expected


def test_a_typical_body_is_not_suspicious() -> None:
    body = b'{"event":"Product Viewed","timestamp":"2026-11-22T08:07:02.123Z","properties":{"price":19.95}}'
    assert not scrub.suspicious(body)


# --- canaries: planted in every field there is, found nowhere in what is kept ---

KINDS = ("text", "integer", "number", "money", "boolean", "time", "texts", "products")
OWN = EventDecl("Gift Wrapped", fields={f"own_{kind}": kind for kind in KINDS})  # type: ignore[misc]
VOCABULARY = compile_vocabulary(Declarations(events={OWN.name: OWN}, traits={"motto": "text"}))


def planted(canary: str) -> list[dict[str, object]]:
    """Events of every name with the canary in every field: alone, in a sentence, in a path, in lists, in products."""
    sentence, path = f"note {canary} here", f"https://shop.example/u/{canary}/x?q={canary}#{canary}"
    product = dict.fromkeys(("product_id", "sku", "name", "brand", "category", "variant", "coupon", "extra"), sentence)
    everywhere = {
        "context": {
            "page": {"path": f"/u/{canary}", "referrer": path, "url": path, "type": sentence, "title": sentence},
            "locale": canary,
            "timezone": canary,
            "userAgent": sentence,
            "ip": canary,
            "device": {"type": canary},
            "location": {"country": canary, "region": sentence},
            "cart": {"token": canary},
            "consent": {"categoryPreferences": {"C0002": True, canary: True}},
            "traits": {"first_name": sentence},
        },
        "messageId": canary,
        "anonymousId": canary,
        "userId": canary,
        "name": sentence,
        "category": sentence,
        "previousId": canary,
        "groupId": canary,
        "source": sentence,
        "token": canary,
        "writeKey": canary,
        "choices": {"analytics": "granted"},
        "traits": dict.fromkeys((*VOCABULARY.traits, "phone", "address"), sentence) | {"email": canary},
    }
    del everywhere["traits"]["created_at"]  # type: ignore[attr-defined]
    events: list[dict[str, object]] = [
        everywhere | {"type": kind} for kind in ("page", "screen", "identify", "group", "alias", "consent")
    ]
    for name, event in VOCABULARY.events.items():
        if event.ours:  # nobody else may send it
            continue
        values = {"text": sentence, "id": canary, "url": path, "email": canary, "token": sentence}
        values |= {"texts": [sentence], "filters": [{"type": sentence, "value": sentence}], "products": [product]}  # type: ignore[dict-item]
        fields = {field: values[kind] for field, kind in event.fields.items() if kind in values}
        events.append(everywhere | {"type": "track", "event": name, "properties": fields | {"undeclared": canary}})
    return events


@pytest.mark.parametrize("canary", [CARDS[0], "4111 1111 1111 1111", CARDS[2], EMAIL])
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("escaped", [True, False])
def test_a_canary_in_every_field_is_kept_in_none(canary: str, trusted: bool, escaped: bool) -> None:
    events = planted(canary)
    body = json.dumps({"batch": events}).encode()
    if escaped:
        body = body.replace(b"@", b"\\u0040").replace(b"4111", b"\\u0034111").replace(b"3782", b"\\u0033782")
    normaliser = Normaliser(VOCABULARY, Settings(), digest)
    facts = RequestFacts(NOW, "key", trusted=trusted, user_agent=f"x {canary}", ip=canary, country=canary)
    kept = normaliser.batch(decode_batch(body, Limits()), facts)
    assert [event for event in kept if not isinstance(event, Event)] == []
    text = repr(kept)
    assert canary not in text
    assert canary.replace(" ", "") not in text
    assert canary.replace("@", "%40") not in text
    assert len(kept) == len(events)


def test_the_canary_test_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.events.envelope.suspicious", lambda body: False)
    with pytest.raises(AssertionError):
        test_a_canary_in_every_field_is_kept_in_none(EMAIL, trusted=True, escaped=False)
