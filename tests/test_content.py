"""Messages and typed content: what a shopper reads is data, exact, in their language, or not shown at all."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cashwrap.content import (
    Catalogue,
    Ineligible,
    Shop,
    compile_content,
    examine_content,
    locales,
    parse_message,
    placeholders,
    shelf,
    text,
)
from cashwrap.content.components import arrange, hide
from cashwrap.content.message import MAX_LENGTH, Placeholder
from cashwrap.content.text import MAX_VALUE, Scope, clean, compile_message
from cashwrap.declarations import (
    Button,
    Content,
    Field,
    Help,
    Installments,
    Layout,
    Message,
    Options,
    PlacementDecl,
    Products,
    Settings,
)
from cashwrap.errors import ContentError
from cashwrap.model import Inputs, Product, Purpose, Tenant

ALL = sum(Purpose)
NBSP = "\xa0"


def write(source: str, values: dict[str, Any] | None = None, tag: str = "en", currency: str = "EUR") -> str | None:
    return compile_message(parse_message(source), {"due"})(Scope(values or {}, tag, currency, "Europe/Berlin"))


def inputs(**changes: Any) -> Inputs:
    given: dict[str, Any] = {
        "now": 1_760_000_000_000,
        "tenant": Tenant(),
        "values": {},
        "level": "profile",
        "mask": ALL,
        "placements": None,
    }
    return Inputs(**(given | changes))


NO_PRODUCTS = Catalogue()
ENGLISH = Shop()


def render(show: Content, catalogue: Catalogue = NO_PRODUCTS, shop: Shop = ENGLISH, **changes: Any) -> Any:
    """The content as plain values, or the Ineligible."""
    placement = PlacementDecl("payment_methods", "options")
    done = compile_content(show, placement, shop).render(inputs(**changes), catalogue)
    return done if isinstance(done, Ineligible) else msgspec.json.decode(done)


# --- message source ---


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", ""),
        ("Hello", "Hello"),
        ("Don't worry, it's '{free}'", "Don't worry, it's {free}"),
        ("it''s '{it''s}'", "it's {it's}"),
        ("100 # sure", "100 # sure"),
        ("{traits.first_name}", "Ada"),
        ("Hi { first_name }!", "Hi Ada!"),
        ("{n}", "1,234"),
        ("{n, number}", "1,234"),
        ("{half, number}", "0.5"),
        ("{mean, number}", "3.33"),
        ("{n, money}", "€12.34"),
        ("{due}", "€0.50"),
        ("{mean, money}", "€0.03"),
        ("{when, date}", "Oct 9, 2025"),
        ("{one, plural, one {# item} other {# items}}", "1 item"),
        ("{n, plural, one {# item} other {# items of {first_name}}}", "1,234 items of Ada"),
        ("{one, plural, =1 {exactly} one {one} other {many}}", "exactly"),
        ("{one, plural, other {'#' and {n, plural, other {#}} and #}}", "# and 1,234 and 1"),
    ],
)
def test_messages(source: str, said: str) -> None:
    values = {
        "traits.first_name": "Ada",
        "n": 1234,
        "one": 1,
        "due": 50,
        "half": Decimal("0.5"),
        "mean": (10, 3),
        "when": 1_760_000_000_000,
    }
    assert write(source, values) == said


@pytest.mark.parametrize(
    ("source", "offset", "code"),
    [
        ("Hi {", 4, "invalid_message"),
        ("Hi {1}", 4, "invalid_message"),
        ("Hi }", 3, "invalid_message"),
        ("Hi {name", 3, "invalid_message"),
        ("Hi {name!}", 8, "invalid_message"),
        ("{a..b}", 2, "invalid_message"),
        ("{a, currency}", 4, "unknown_format"),
        ("{a, plural}", 10, "invalid_message"),
        ("{a, plural, one {x}}", 0, "plural_without_other"),
        ("{a, plural, single {x} other {y}}", 12, "unknown_plural"),
        ("{a, plural, one {x} one {z} other {y}}", 20, "invalid_message"),
        ("{a, plural, =1 {x} =01 {z} other {y}}", 19, "invalid_message"),
        ("{a, plural, other {x}", 21, "invalid_message"),
        ("say '{ this", 4, "invalid_message"),
        ("{a, plural, other {" * 4 + "}}" * 4, 57, "plural_too_deep"),
        ("{a}" * 33, 96, "too_many_placeholders"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "text_too_long"),
    ],
)
def test_mistakes_have_their_place(source: str, offset: int, code: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse_message(source)
    assert (caught.value.offset, caught.value.code) == (offset, code)


def test_placeholders_are_listed_with_format_and_place() -> None:
    message = parse_message("{a} {b, plural, other {{c, money}}}")
    assert message.placeholders == (
        Placeholder("a", "plain", 0),
        Placeholder("b", "number", 4),
        Placeholder("c", "money", 23),
    )


@given(st.text(alphabet="{}'#, =1aplurtohe.", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_source_parses_or_complains_inside_itself(source: str) -> None:
    found = examine_content(Message({"en": source}), PlacementDecl("p", "message"), ENGLISH)
    faults = found if isinstance(found, list) else []
    assert all(0 <= fault.offset <= len(source) for fault in faults)
    if not faults:
        write(source, {placeholder.name: 1 for placeholder in parse_message(source).placeholders})


@given(st.text(max_size=40))
def test_quoting_makes_any_text_literal(plain: str) -> None:
    quoted = re.sub("[{}].*", lambda found: f"'{found.group()}'", plain.replace("'", "''"), flags=re.DOTALL)
    assert parse_message(quoted).fixed == plain


# --- languages ---

ITEMS = "{n, plural, zero {zero} one {one} two {two} few {few} many {many} other {other}}"


@pytest.mark.parametrize(
    ("tag", "forms"),
    [
        ("en", "other one other other other other other"),
        ("de", "other one other other other other other"),
        ("ja", "other other other other other other other"),
        ("pl", "many one few few many many few"),
        ("ar", "zero one two few few many many"),
    ],
)
def test_plural_forms(tag: str, forms: str) -> None:
    assert " ".join(str(write(ITEMS, {"n": n}, tag)) for n in (0, 1, 2, 3, 5, 11, 22)) == forms


@pytest.mark.parametrize(
    ("tag", "currency", "said"),
    [
        ("en", "EUR", "€1,234.56"),
        ("de", "EUR", f"1.234,56{NBSP}€"),
        ("de-AT", "EUR", f"€{NBSP}1.234,56"),
        ("ja", "JPY", "￥123,456"),
        ("pl", "PLN", f"1{NBSP}234,56{NBSP}zł"),
        ("ar-EG", "EUR", f"\u200f1٬234٫56{NBSP}€"),
        ("en", "KWD", f"KWD{NBSP}123.456"),
        ("xx-unknown", "EUR", "€1,234.56"),
    ],
)
def test_money_by_locale(tag: str, currency: str, said: str) -> None:
    assert write("{total, money}", {"total": 123_456}, tag, currency) == said


@example(10**17 + 1, "EUR", "en")
@given(st.integers(-(10**17), 10**17), st.sampled_from(["EUR", "JPY", "KWD"]), st.sampled_from(["en", "de", "pl"]))
@settings(max_examples=80, deadline=None)
def test_money_loses_no_digit(amount: int, currency: str, tag: str) -> None:
    said = locales.money(amount, currency, tag)
    digits = "".join(char for char in said if char.isdigit())
    assert digits == str(abs(amount)).rjust(locales.exponent(currency) + 1, "0")
    assert (amount < 0) is any(sign in said for sign in "-−")


@pytest.mark.parametrize(
    ("requested", "default", "tags"),
    [
        ("de-AT", "en-US", ("de-AT", "de", "en-US", "en")),
        ("zh_hant_tw", "en", ("zh-Hant-TW", "zh-Hant", "zh", "en")),
        ("", "en", ("en",)),
        ("../../etc/passwd", "en", ("en",)),
        ("x" * 40, "en", ("en",)),
    ],
)
def test_locale_fallback(requested: str, default: str, tags: tuple[str, ...]) -> None:
    assert locales.chain(requested, default) == tags


def test_amounts_as_written_are_exact() -> None:
    assert locales.minor("49.9", "EUR") == 4990
    assert locales.minor("50", "JPY") == 50
    assert [locales.minor(bad, "EUR") for bad in ("49.999", "-1", "1e3", "", "NaN", "5,00")] == [None] * 6
    assert locales.minor("0.5", "JPY") is None


# --- values from outside ---

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{cart.total} '{'",
    "</script><!--",
    "javascript:alert(1)",
    "\\u003cscript\\u003e",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_stay_data(name: str) -> None:
    show = Message({"en": "Hi {first_name}"})
    assert render(show, values={"traits.first_name": name, "cart.total": 5}) == {
        "type": "message",
        "text": f"Hi {name}",
        "locale": "en",
    }


@given(st.text(max_size=300))
def test_cleaned_values_are_short_and_on_one_line(value: str) -> None:
    cleaned = clean(value)
    assert len(cleaned) <= MAX_VALUE
    assert not any(char in cleaned for char in "\u202e\u2066\u200f\x00\n\r\u2028\ufeff")
    assert all(char.isprintable() or char in "\u200c\u200d" or not char.isascii() for char in cleaned)
    msgspec.json.encode(cleaned)


def test_lone_surrogates_and_overrides_are_removed_from_values() -> None:
    assert write("{first_name}", {"traits.first_name": " a\ud800b\u202ec\nd\u200de "}) == "abcd\u200de"


@pytest.mark.parametrize("value", [None, True, frozenset({"a"}), "", "\u202e", (1, 0)])
def test_a_value_that_says_nothing_is_missing(value: Any) -> None:
    assert write("{x}", {"x": value}) is None


@pytest.mark.parametrize("source", ["{x, money}", "{x, date}", "{x, number}", "{x, plural, other {y}}"])
@pytest.mark.parametrize("value", ["12", True, None])
def test_a_value_of_another_kind_is_missing(source: str, value: Any) -> None:
    assert write(source, {"x": value}) is None


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**18, -(10**30), 2**63, 253_402_300_800_000]),
    st.decimals(),
    st.sampled_from([Decimal("1E+999999"), Decimal("1E-5000"), Decimal("-Infinity"), Decimal("sNaN")]),
    st.text(max_size=20),
    st.frozensets(st.text(max_size=3), max_size=2),
    st.tuples(st.integers(), st.integers()),
)
EVERY = "{x} {x, number} {x, money} {x, date} {x, plural, =2 {two} one {one} other {#}}"
CONTENTS: list[Content] = [
    *(Message({"en": part}) for part in ("{x}", "{x, number}", "{x, money}", "{x, date}", EVERY)),
    Message({"en": "{remaining}"}, progress=("x", "5")),
    Message({"en": "a"}, tones={"b": {"en": "c"}}),
    Products("category", category="x"),
    Field("show", "{x, plural, other {#}}"),
    Installments(3),
]


@given(value=ANYTHING, tag=st.sampled_from(["en", "ar-EG", "pl", "", "\ud800", "x" * 500]))
@settings(max_examples=150, deadline=None)
def test_any_value_is_written_or_missing_never_an_error(value: Any, tag: str) -> None:
    for show in CONTENTS:
        values = {"x": value, "traits.tone": value, "cart.total": value}
        shown = render(show, catalogue(), values=values, locale=tag)
        assert isinstance(shown, Ineligible) or len(str(shown)) < 1000


# --- message content ---

TEXTS = {"en": "Hello", "de": "Guten Tag"}


@pytest.mark.parametrize(
    ("locale", "default", "said"),
    [
        ("de-AT", "en", ("Guten Tag", "de")),
        ("de_at", "en", ("Guten Tag", "de")),
        ("fr", "en", ("Hello", "en")),
        ("", "de-CH", ("Guten Tag", "de")),
    ],
)
def test_the_text_is_the_closest_there_is(locale: str, default: str, said: tuple[str, str]) -> None:
    found = render(Message(TEXTS), shop=Shop(Settings(locale=default)), locale=locale)
    assert (found["text"], found["locale"]) == said


def test_numbers_follow_the_shoppers_region_only_in_their_language() -> None:
    show = Message({"de": "{cart.total, money}", "en": "{cart.total, money}"})
    assert render(show, locale="de-AT", values={"cart.total": 100})["text"] == f"€{NBSP}1,00"
    assert render(show, locale="fr-FR", values={"cart.total": 100})["text"] == "€1.00"


def test_no_translation_or_no_value_is_ineligible() -> None:
    french = Shop(Settings(locale="fr"))
    assert render(Message(TEXTS), shop=french, locale="ja") == Ineligible("no text for locale ja")
    assert isinstance(render(Message({"en": "Hi {first_name}"})), Ineligible)


def test_tone_of_the_experience_then_of_the_shopper() -> None:
    tones = {"formal": {"en": "Good day", "de": "Grüß Gott"}, "casual": {"en": "Hey"}}
    shown = render(Message(TEXTS, tones=tones), values={"traits.tone": "formal"})
    assert (shown["text"], shown["tone"]) == ("Good day", "formal")
    shown = render(Message(TEXTS, tone="casual", tones=tones), values={"traits.tone": "formal"})
    assert (shown["text"], shown["tone"]) == ("Hey", "casual")
    assert render(Message(TEXTS, tones=tones), values={"traits.tone": "rude"})["text"] == "Hello"
    shown = render(Message(TEXTS, tones=tones), values={"traits.tone": "casual"}, locale="de")
    assert shown == {"type": "message", "text": "Guten Tag", "locale": "de"}  # the language before the tone
    assert render(Message(TEXTS, tone="formal"))["tone"] == "formal"


@pytest.mark.parametrize(("total", "value", "left"), [(0, 0, "€50.00"), (4999, 4999, "€0.01"), (9000, 5000, "€0.00")])
def test_progress(total: int, value: int, left: str) -> None:
    show = Message({"en": "{remaining} to go"}, progress=("cart.total", "50"))
    shown = render(show, values={"cart.total": total})
    assert shown["progress"] == {"value": value, "target": 5000}
    assert shown["text"] == f"{left} to go"


def test_progress_needs_the_value_and_the_shops_currency() -> None:
    show = Message({"en": "soon"}, progress=("cart.total", "50"))
    assert isinstance(render(show), Ineligible)
    assert isinstance(render(show, values={"cart.total": 100}, currency="USD"), Ineligible)


# --- options ---

METHODS = st.lists(st.sampled_from(["card", "paypal", "invoice", "apple", "klarna"]), max_size=6)


@example(["card", "paypal"], [], [], ["card"], "card")
@example(["card", "paypal"], [], [], ["card", "paypal"], None)
@given(METHODS, METHODS, METHODS, METHODS, st.sampled_from([None, "card", "invoice", "other"]))
def test_options_keep_every_promise(
    offered: list[str], first: list[str], last: list[str], hidden: list[str], saved: str | None
) -> None:
    show = Options(first=(*first, "unknown"), last=(*last, "unknown"), hide=(*hidden, "unknown"))
    order = arrange(show, offered)
    left_out = hide(show, order, saved)
    kept = [method for method in order if method not in left_out]
    assert sorted(order) == sorted(set(offered))
    assert not offered or kept
    assert saved not in left_out
    assert set(left_out) <= set(hidden)
    untouched = [method for method in dict.fromkeys(offered) if method not in first and method not in last]
    assert [method for method in order if method in untouched] == untouched
    assert order[: len(set(first) & set(offered))] == [each for each in dict.fromkeys(first) if each in offered]


def test_options_as_the_page_gets_them() -> None:
    show = Options(
        first=("apple",), hide=("klarna", "card"), highlight=("apple",),
        badge={"apple": {"en": "{n, plural, one {# tap} other {# taps}}"}}, rename={"card": {"en": "Card"}},
    )  # fmt: skip
    shown = render(show, values={"n": 2}, payment_methods=("card", "klarna", "apple", "invoice"), saved_method="card")
    assert shown == {
        "type": "options",
        "options": [
            {"id": "apple", "highlight": True, "badge": "2 taps"},
            {"id": "card", "name": "Card"},
            {"id": "invoice"},
        ],
        "hidden": ["klarna"],
    }
    assert isinstance(render(show, payment_methods=("apple",)), Ineligible)
    assert isinstance(render(show), Ineligible)


def test_options_are_remembered_per_request_not_mixed_up() -> None:
    placement = PlacementDecl("ship", "options", "delivery_methods")
    rendering = compile_content(Options(first=("b",)), placement, Shop())
    for offered in (("a", "b"), ("b",), ("c", "a"), ("a", "b")) * 20:
        done = rendering.render(inputs(delivery_methods=offered), Catalogue())
        assert isinstance(done, msgspec.Raw)
        assert [each["id"] for each in msgspec.json.decode(done)["options"]] == sorted(
            offered, key=lambda each: (each != "b", offered.index(each))
        )


# --- installments ---


@given(st.integers(1, 10**9), st.integers(2, 60))
def test_installments_add_up_to_the_total(total: int, count: int) -> None:
    shown = render(Installments(count), values={"cart.total": total})
    if total < count:
        assert isinstance(shown, Ineligible)
    else:
        assert shown["amount"] * (count - 1) + shown.get("last", shown["amount"]) == total


def test_installments_say_what_is_paid() -> None:
    assert render(Installments(3), values={"cart.total": 19_800})["text"] == "3 × €66.00"
    uneven = render(Installments(3), values={"cart.total": 10_000}, locale="de")
    assert uneven["text"] == f"2 × 33,33{NBSP}€ + 33,34{NBSP}€"
    assert (uneven["count"], uneven["amount"], uneven["last"], uneven["currency"]) == (3, 3333, 3334, "EUR")
    own = Installments(3, text={"en": "{count} rates of {amount}"})
    assert render(own, values={"cart.total": 300})["text"] == "3 rates of €1.00"
    assert render(own, values={"cart.total": 301})["text"] == "2 × €1.00 + €1.01"


@pytest.mark.parametrize(
    "changes",
    [
        {"mask": ALL & ~Purpose.CREDIT},
        {"values": {}},
        {"values": {"cart.total": 4999}},
        {"values": {"cart.total": True}},
        {"currency": "USD"},
    ],
)
def test_installments_are_off_unless_everything_fits(changes: dict[str, Any]) -> None:
    show = Installments(3, minimum="50")
    assert isinstance(render(show, **({"values": {"cart.total": 9000}} | changes)), Ineligible)
    assert render(show, values={"cart.total": 5000})["count"] == 3


# --- products ---


def catalogue() -> Catalogue:
    products = [
        Product("bag", "Bag", 5000, category="bags", complements=("wax", "gone", "pill", "free", "belt", "bag")),
        Product("wax", "Wax", 999, category="care", titles={"de": "Wachs"}, url="/p/wax", image="https://cdn.shop/w.png"),
        Product("gone", "Gone", 100, stock=0, category="care"),
        Product("pill", "Pill", 100, category="care", sensitive=True),
        Product("free", "Free", None, category="care"),
        Product("belt", "Belt\u202e", 2500, stock=3, category="care", url="javascript:alert(1)", image="//evil/x.png"),
        Product("blank", "", 1, category="care"),
    ]  # fmt: skip
    return Catalogue.of({each.id: each for each in products}, {"belt": 5, "gone": 9})


def test_products_that_go_with_the_basket() -> None:
    shown = render(Products("complements", title={"en": "More"}), catalogue(), basket=("bag",), locale="de")
    assert shown["title"] == "More"
    wax = {"id": "wax", "name": "Wachs", "price": f"9,99{NBSP}€", "url": "/p/wax", "image": "https://cdn.shop/w.png"}
    belt = {"id": "belt", "name": "Belt", "price": f"25,00{NBSP}€", "url": None, "image": None}
    assert shown["items"] == [{**each, "currency": "EUR", "from": "complements"} for each in (wax, belt)]


@pytest.mark.parametrize(
    ("show", "basket", "ids"),
    [
        (Products("popular"), (), ["belt", "bag", "wax"]),
        (Products("popular", limit=1), ("belt",), ["bag"]),
        (Products("category", category="care"), (), ["belt", "wax"]),
        (Products("category", category="top_category"), (), ["bag"]),
    ],
)
def test_products_by_category_and_popularity(show: Products, basket: tuple[str, ...], ids: list[str]) -> None:
    shown = render(show, catalogue(), basket=basket, values={"top_category": "bags"})
    assert [item["id"] for item in shown["items"]] == ids


def test_no_product_is_no_content() -> None:
    assert isinstance(render(Products("complements"), catalogue(), basket=("unknown",)), Ineligible)
    assert isinstance(render(Products("category", category="none"), catalogue()), Ineligible)


# --- the small ones ---


def test_button_help_field_layout() -> None:
    assert render(Button({"en": "Pay"}, "calm")) == {"type": "button", "text": "Pay", "style": "calm"}
    help_text = Help({"en": "{n} left"}, "tooltip")
    assert render(help_text, values={"n": 3}) == {"type": "help", "style": "tooltip", "text": "3 left"}
    assert isinstance(render(help_text), Ineligible)
    assert render(Field("collapse")) == {"type": "field", "state": "collapse"}
    field = Field("show", "{first_name}")
    assert render(field, values={"traits.first_name": "Ada"}, locale="ja")["prefill"] == "Ada"
    assert render(field) == {"type": "field", "state": "show"}
    assert render(Layout({"accent": "#0a7", "gap": "12px"}))["tokens"] == {"accent": "#0a7", "gap": "12px"}


@pytest.mark.parametrize(
    ("show", "where", "code"),
    [
        (Message({"en": "{"}), "text.en", "invalid_message"),
        (Message({"english": "x"}, tones={"a": {"not a locale": "x"}}), "tones.a.not a locale", "bad_locale"),
        (Message({"en": "x"}, progress=("cart.total", "0")), "progress", "bad_amount"),
        (Options(badge={"card": {"en": "{a"}}), "badge.card.en", "invalid_message"),
        (Layout({"accent": "red; background: url(x)"}), "tokens.accent", "unsafe_token"),
        (Layout({"accent": "expression(alert(1))"}), "tokens.accent", "unsafe_token"),
        (Layout({"Accent!": "red"}), "tokens.Accent!", "unsafe_token"),
        (Layout({f"t{n}": "red" for n in range(201)}), "tokens", "too_many_tokens"),
        (Button({"en": "x"}, "a b"), "style", "unsafe_token"),
        (Installments(1), "count", "bad_count"),
        (Installments(3, "0.001"), "minimum", "bad_amount"),
        (Products("popular", limit=100), "limit", "bad_limit"),
        (Products("category"), "category", "missing_category"),
        (Field("show", "{"), "prefill", "invalid_message"),
    ],
)
def test_check_names_the_part_at_fault(show: Content, where: str, code: str) -> None:
    faults = examine_content(show, PlacementDecl("p", "message"), Shop())
    assert isinstance(faults, list)
    assert [(fault.where, fault.code) for fault in faults] == [(where, code)]


def test_check_lists_every_text_at_fault_and_every_value_read() -> None:
    bad = Message({"en": "{", "de": "}"}, tones={"a": {"en": "{b, c}"}})
    faults = examine_content(bad, PlacementDecl("p", "message"), Shop())
    assert isinstance(faults, list)
    assert [fault.where for fault in faults] == ["text.en", "text.de", "tones.a.en"]
    good = Message({"en": "{remaining} {first_name}"}, progress=("cart.total", "5"))
    assert placeholders(good) == [("text.en", Placeholder("first_name", "plain", 12))]
    assert placeholders(Field("show", "{x}")) == [("prefill", Placeholder("x", "plain", 0))]


# --- the checkers must notice planted bugs ---


def _floats(monkeypatch: pytest.MonkeyPatch) -> None:
    def money(amount: int, currency: str, tag: str) -> str:
        return f"{amount / 10 ** locales.exponent(currency):,.{locales.exponent(currency)}f}"

    monkeypatch.setattr(locales, "money", money)


def test_the_value_check_notices_numbers_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(text._FORMATS, "number", lambda value, scope: locales.number(value, scope.tag))
    with pytest.raises(Exception):  # noqa: B017, PT011 - each kind of failure will do
        test_any_value_is_written_or_missing_never_an_error()


def test_the_money_check_notices_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    _floats(monkeypatch)
    with pytest.raises(AssertionError):
        test_money_loses_no_digit()


def test_the_value_check_notices_what_is_not_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_UNSAFE", re.compile("[\x00-\x1f]"))
    with pytest.raises(AssertionError):
        test_lone_surrogates_and_overrides_are_removed_from_values()


def test_the_options_check_notices_a_hidden_saved_method(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = hide
    monkeypatch.setitem(globals(), "hide", lambda show, order, saved: plain(show, order, None))
    with pytest.raises(AssertionError):
        test_options_keep_every_promise()


def test_the_options_check_notices_that_all_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        globals(), "hide", lambda show, order, saved: [each for each in order if each in show.hide and each != saved]
    )
    with pytest.raises(AssertionError):
        test_options_keep_every_promise()


def test_the_products_check_notices_sensitive_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "sellable", lambda product: True)
    with pytest.raises(AssertionError):
        test_products_that_go_with_the_basket()
