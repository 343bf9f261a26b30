"""The condition language by example: reading, checking, money, evaluating, explaining."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from cashwrap.condition import (
    Checked,
    ConditionError,
    ConditionErrors,
    Environment,
    Explanation,
    Type,
    check,
    compile_condition,
    explain,
    keyed,
    line_and_column,
    parse,
    referenced_attributes,
    to_text,
)
from cashwrap.condition.ast import (
    FLIPPED,
    NEGATED,
    And,
    Attribute,
    Call,
    Compare,
    In,
    ListLiteral,
    Literal,
    Not,
    Or,
    quote,
    walk,
)
from cashwrap.condition.check import MAX_ERRORS
from cashwrap.condition.constants import to_minor
from cashwrap.condition.cost import MAX_COST, SET_LIMIT, TEXT_COST
from condition_language import ENVIRONMENT


def checked(source: str, environment: Environment = ENVIRONMENT) -> Checked:
    return check(source, environment)


def mistakes(source: str, environment: Environment = ENVIRONMENT) -> list[tuple[str, str, str]]:
    """(code, what the offset points at, hint) of each mistake."""
    with pytest.raises(ConditionErrors) as refused:
        check(source, environment)
    return [(error.code, source[error.offset :], error.hint) for error in refused.value.errors]


# --- the tree ---


def test_every_kind_of_node_and_its_place_in_the_source() -> None:
    source = '!a.b && (c["k"] >= 2.5 || "x" in d) && e.startsWith("f")'
    node = parse(source)
    assert isinstance(node, And)
    negated, either, call = node.operands
    assert isinstance(negated, Not)
    assert isinstance(either, Or)
    compare, member = either.operands
    assert compare == Compare(">=", Attribute("c", "k", 9, 15), Literal(Decimal("2.5"), 19, 22), None, 9, 22)
    assert member == In(Literal("x", 26, 29), Attribute("d", None, 33, 34), 26, 34)
    assert call == Call(
        "startsWith", (Attribute("e", None, 39, 40), Literal("f", 52, 55)), method=True, offset=39, end=56
    )
    assert [source[part.offset : part.end] for part in walk(node)][:3] == [source, "!a.b", "a.b"]


def test_joints_are_flat_whatever_the_parentheses() -> None:
    for source in ("a && b && c", "(a && b) && c", "a && (b && c)", "((a) && ((b && (c))))"):
        assert to_text(parse(source)) == "a && b && c"
    assert to_text(parse("a || (b || c && d)")) == "a || b || c && d"
    assert to_text(parse("(a || b) && !(c == 1)")) == "(a || b) && !(c == 1)"


def test_a_span_covers_the_parentheses_inside_it() -> None:
    source = "(a || b) && (c)"
    assert [source[part.offset : part.end] for part in walk(parse(source))] == [source, "a || b", "a", "b", "c"]


def test_numbers_are_exact() -> None:
    values = [item.value for item in parse("x in [1, -2, 0.10, 1e2, 007]").container.items]
    assert [str(value) for value in values] == ["1", "-2", "0.10", "1E+2", "7"]
    assert [type(value) for value in values] == [int, int, Decimal, Decimal, int]


ODD = (
    "e\u0301",
    "\u0301",
    "é\u0301",
    "\u212b",
    "a\u202eb",
    "\x7f\x0c\x85",
    "\u200b",
    "\ufeffé",
    "\U000e0041",
    "\uffff",
)


def test_quote_is_undone_by_the_parser() -> None:
    for text in ("", "plain", 'a"b', "a\\b", "a\nb\tc", "\x00\x1f", "é𝒳", "'", *ODD):
        assert parse(f"x == {quote(text)}").right.value == text


def test_referenced_attributes_once_each_in_order() -> None:
    source = 'b > 1 && a["k"] > 2 && has(c.d) && (b < 9 || size(e) > 0) && "f" in segments'
    assert referenced_attributes(parse(source)) == ("b", 'a["k"]', "c.d", "e", "segments")


def test_keyed_names_are_what_the_tree_says() -> None:
    assert keyed("category_views", "shoes") == 'category_views["shoes"]'
    assert Attribute("v", 'a"b').name == keyed("v", 'a"b') == 'v["a\\"b"]'


def test_flipping_and_negating_are_involutions() -> None:
    assert all(FLIPPED[FLIPPED[op]] == op == NEGATED[NEGATED[op]] for op in FLIPPED)


def test_line_and_column_count_from_one() -> None:
    source = "a &&\n  bb"
    assert [line_and_column(source, offset) for offset in (0, 3, 5, 7, 9)] == [(1, 1), (1, 4), (2, 1), (2, 3), (2, 5)]


# --- mistakes ---


@pytest.mark.parametrize(
    ("source", "at", "hint"),
    [
        ("a = 1", "= 1", "=="),
        ("a and b", "and b", "&&"),
        ("a or b", "or b", "||"),
        ("not a", "not a", "!"),
        ("a is b", "is b", "=="),
        ("a <> b", "<> b", "!="),
        ("a & b", "& b", "&&"),
        ("a ? b : c", "? b : c", "(a && b) || (!a && c)"),
        ("a + 1 > 2", "+ 1 > 2", "declare a feature"),
        ("a - 1 > 2", "- 1 > 2", "declare a feature"),
        ("1 < a < 3", "< 3", "a < b && b < c"),
        ("a == null", "null", "has(x)"),
        ("a == 'b", "'b", "close it"),
        ("v[shoes] > 1", "shoes] > 1", 'views["shoes"]'),
        ("a > 5u", "5u", "plain decimal"),
    ],
)
def test_a_misspelling_is_met_with_what_to_write(source: str, at: str, hint: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(source)
    assert source[refused.value.offset :] == at
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("source", "at", "hint"),
    [
        ("cart.totl > 1", "cart.totl > 1", "did you mean cart.total?"),
        ("cart_total > 1", "cart_total > 1", "did you mean cart.total?"),
        ("trait.city == 'x'", "trait.city == 'x'", "did you mean traits.city?"),
        ('"vp" in segments', '"vp" in segments', "did you mean vip?"),
        ("segments.new_visitr", "segments.new_visitr", "did you mean new_visitor?"),
        ("True && subscribed", "True && subscribed", "write true"),
        ("category_views > 3", "category_views > 3", 'category_views["..."]'),
        ('locale.startWith("a")', 'locale.startWith("a")', "did you mean startsWith?"),
        ('locale.matches("a")', 'locale.matches("a")', "startsWith"),
        ('wishlist.exists(x, x == "a")', 'wishlist.exists(x, x == "a")', '"x" in list'),
        ('wishlist.contains("a")', 'wishlist.contains("a")', '"..." in wishlist'),
        ('"a" in locale', "locale", "locale.contains"),
        ('orders > "3"', '"3"', "without quotes"),
        ("locale == 3", "3", "in quotes"),
        ("cart.total > 1.005", "1.005", "at most 2 digits"),
        ("!subscribed == true", "!subscribed == true", "!(a == b)"),
        ("subscribed == false && orders", "orders", "orders > 0"),
        ("segments", "segments", '"name" in segments'),
    ],
)
def test_a_mistake_of_meaning_is_met_with_what_to_write(source: str, at: str, hint: str) -> None:
    ((_, found, said),) = mistakes(source)
    assert found == at
    assert hint in said


def test_all_mistakes_are_reported_at_once_in_order() -> None:
    found = mistakes('cart.total > 1.005 && cart.totl > 1 || orders == "x" || "vp" in segments')
    assert [code for code, _, _ in found] == [
        "too_many_digits",
        "unknown_attribute",
        "type_mismatch",
        "unknown_segment",
    ]


def test_the_list_of_mistakes_is_bounded() -> None:
    assert len(mistakes(" || ".join(["nothing"] * 100))) == MAX_ERRORS


def test_errors_read_as_the_first_one() -> None:
    with pytest.raises(ConditionError) as refused:
        check("nowt && orders", ENVIRONMENT)
    assert (refused.value.code, refused.value.offset) == ("unknown_attribute", 0)


# --- what check hands on ---


def test_a_checked_tree_is_normal() -> None:
    cases = {
        "200 < cart.total": "cart.total > 20000",
        '"vip" in segments': "segments.vip",
        'traits["city"] == "x"': 'traits.city == "x"',
        "wishlist.size() >= 2": "size(wishlist) >= 2",
        "cart.total in [1, 2.50]": "cart.total in [100, 250]",
        "average_order >= 49.99": "average_order >= 4999",
        "average_rating >= 4.5": "average_rating >= 4.5",
    }
    assert {source: to_text(checked(source).node) for source in cases} == cases


def test_domains_say_how_to_compare() -> None:
    domains = {
        "cart.total > 1": "number",
        "average_order > 1": "average",
        'locale == "de"': "string",
        "subscribed == true": "bool",
        "traits.age > 18": "number",
        'traits.city == "x"': "string",
        "traits.a == traits.b": "same",
        "traits.a == locale": "string",
    }
    assert {source: checked(source).node.domain for source in domains} == domains


def test_cost_counts_what_may_be_walked() -> None:
    assert checked("subscribed").cost == 1
    assert checked("orders > 3").cost == 3
    assert checked('locale in ["a", "b"]').cost == 5
    assert checked('"a" in wishlist').cost == SET_LIMIT + 2
    assert checked('locale.contains("de")').cost == checked('app.version > version("1")').cost == TEXT_COST + 2
    with pytest.raises(ConditionErrors) as refused:
        checked(" && ".join(['"a" in wishlist'] * (MAX_COST // SET_LIMIT)))
    assert refused.value.code == "too_costly"


@pytest.mark.parametrize(
    ("amount", "digits", "minor"),
    [
        (200, 2, 20000),
        (Decimal("19.99"), 2, 1999),
        (Decimal("0.07"), 2, 7),
        (Decimal("-0.5"), 2, -50),
        (Decimal("1.005"), 2, None),
        (Decimal("-1.005"), 2, None),
        (Decimal("1.500"), 2, 150),
        (Decimal("1e3"), 0, 1000),
        (Decimal("0.5"), 0, None),
        (Decimal("1.005"), 3, 1005),
        (Decimal("123456789012345678901234567.89"), 2, 12345678901234567890123456789),
    ],
)
def test_money_is_exact_or_refused(amount: int | Decimal, digits: int, minor: int | None) -> None:
    assert to_minor(amount, digits) == minor


def test_the_currency_decides_the_digits() -> None:
    yen = Environment({"cart.total": Type.MONEY}, currency="JPY", digits=0)
    assert to_text(checked("cart.total > 200", yen).node) == "cart.total > 200"
    assert mistakes("cart.total > 0.5", yen) == [("too_many_digits", "0.5", "write a whole number")]


def test_open_names_nest_and_yield_to_declared_ones() -> None:
    environment = Environment({"traits.*": Type.DYN, "traits.age": Type.NUMBER, "a.b.*": Type.STRING})
    assert environment.resolve(Attribute("traits.age")) == (Attribute("traits.age"), Type.NUMBER)
    assert environment.resolve(Attribute("traits.home.city")) == (Attribute("traits.home.city"), Type.DYN)
    assert environment.resolve(Attribute("a.b.c")) == (Attribute("a.b.c"), Type.STRING)
    assert environment.resolve(Attribute("a.c")) is None
    assert environment.resolve(Attribute("traits", "home town")) == (Attribute("traits", "home town"), Type.DYN)


# --- evaluating ---


def test_no_value_whatever_makes_it_raise() -> None:
    odd = [
        None,
        True,
        0,
        -1,
        10**400,
        1.5,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
    ]
    odd += [
        Decimal("1e999999"),
        "",
        "\ud800",
        b"bytes",
        frozenset(),
        frozenset({1}),
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (None, 1),
    ]
    odd += [(Decimal("sNaN"), 1), (1, 0), (1, -1), ("1", 1), [], {}, object(), ["a"], {"a": 1}]
    names = ["cart.total", "average_order", "locale", "subscribed", "wishlist", "traits.a", "traits.b"]
    sources = [
        "cart.total > 1",
        "cart.total in [1, 2]",
        "average_order >= 2.5",
        "average_order == 0",
        'locale == "a"',
        'locale in ["a"]',
        'locale.contains("a")',
        "subscribed",
        "subscribed == true",
        '"a" in wishlist',
        "locale in wishlist",
        "size(wishlist) > 0",
        "traits.a < traits.b",
        "traits.a != traits.b",
        "traits.a == 1",
        "has(traits.a)",
    ]
    for source in sources:
        holds = compile_condition(checked(source))
        for first in odd:
            for second in odd:
                values = dict.fromkeys(names, first) | {"traits.b": second, "wishlist": second}
                assert holds(values) in {True, False, None}


def test_a_float_is_unknown_to_every_comparison() -> None:
    assert compile_condition(checked("orders > 1"))({"orders": 2.5}) is None
    assert compile_condition(checked("average_rating > 1"))({"average_rating": (2.5, 1)}) is None


def test_averages_are_exact_far_beyond_a_float() -> None:
    holds = compile_condition(checked("average_rating > 0.1"))
    assert holds({"average_rating": (10**30, 10**31)}) is False
    assert holds({"average_rating": (10**30 + 1, 10**31)}) is True


# --- explaining ---


def test_an_explanation_shows_every_part_with_what_it_read() -> None:
    source = 'cart.total > 200 && !("vip" in segments) && (device.type == "mobile" || orders > 3)'
    values = {"cart.total": 15000, "segments.vip": True, "orders": 4}
    assert explain(checked(source), values) == Explanation(
        source,
        False,
        parts=(
            Explanation("cart.total > 200", False, {"cart.total": 15000}),
            Explanation(
                '!("vip" in segments)',
                False,
                parts=(Explanation('"vip" in segments', True, {"segments.vip": True}),),
            ),
            Explanation(
                'device.type == "mobile" || orders > 3',
                True,
                parts=(
                    Explanation('device.type == "mobile"', None, {"device.type": None}),
                    Explanation("orders > 3", True, {"orders": 4}),
                ),
            ),
        ),
    )


def test_an_explanation_of_two_attributes_shows_both() -> None:
    found = explain(checked("cart.total > cart.shipping"), {"cart.total": 5})
    assert (found.result, found.values) == (None, {"cart.total": 5, "cart.shipping": None})


def test_a_tree_that_was_not_checked_is_refused_by_the_compiler() -> None:
    for node in (parse("orders > 3"), parse("[1]"), parse("locale.startsWith(x)"), ListLiteral(())):
        with pytest.raises(TypeError, match="not checked"):
            compile_condition(Checked("", node, 0, ()))


# --- the reference ---

REFERENCE = (Path(__file__).parent.parent / "docs" / "reference" / "conditions.md").read_text(encoding="utf-8")
SOURCES = (Path(__file__).parent.parent / "src" / "cashwrap" / "condition").glob("*.py")


def test_the_examples_of_the_reference_are_conditions() -> None:
    examples = [line for block in re.findall(r"```cel\n(.*?)```", REFERENCE, re.DOTALL) for line in block.splitlines()]
    assert len(examples) >= 6
    for example in examples:
        checked(example)


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    raised = set(re.findall(r'code="(\w+)"', source)) | set(
        re.findall(r'fail\(\s*\w+(?:\.\w+\[0\])?,\s*"(\w+)"', source)
    )
    raised |= {"unexpected_character", "not_supported", "bad_timestamp", "bad_version"}
    table = REFERENCE.partition("## Mistakes")[2].partition("## For")[0]
    documented = {
        code for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    assert documented == raised


def test_every_type_is_documented() -> None:
    table = REFERENCE.partition("## Types")[2].partition("## Limits")[0]
    assert {kind for kind in Type.__members__ if kind in table} == set(Type.__members__)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("device", "did you mean device.type or device.os?"),
        ("country", "did you mean location.country?"),
        ("cart.totl", "did you mean cart.total?"),
        ("traits", "write traits.name"),
    ],
)
def test_half_a_name_is_answered_with_the_whole_ones(wrong: str, hint: str) -> None:
    names = ("cart.total", "device.type", "device.os", "location.country", "traits.*")
    assert Environment(dict.fromkeys(names, Type.STRING)).suggest(wrong) == hint
