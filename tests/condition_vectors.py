"""Writes spec/vectors/conditions.json: what every evaluator of conditions must answer, in whatever language.

Run ``python tests/condition_vectors.py`` after changing a case. Expectations are written here by hand; those of the
sampled cases come from the naive oracle, never from the evaluator under test.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from cashwrap.condition import ConditionErrors, Environment, Type, check, parse
from cashwrap.condition.wire import constant_to_wire, to_wire
from condition_language import ENVIRONMENT, Sampler, oracle

FILE = Path(__file__).parent.parent / "spec" / "vectors" / "conditions.json"
ABOUT = (
    "Cases for evaluators of cashwrap conditions. 'environments' declares names, types, segments and currency. A case "
    "has an expression and either values (flat name to value; a missing name or null is unknown) with expected true, "
    "false or 'unknown', or the errors it is refused with: code, and offset in code points. 'compiled' is the checked "
    "condition as JSON, where nothing parses: ['lit', v], ['attr', name], ['cmp', op, domain, left, right], "
    "['in', element, container], ['list', [v...]], ['call', function, args...], ['not', x], ['and', ...], ['or', ...]. "
    "Constants and values: a JSON number is a safe integer, {'n': '2.5'} any other exact number ('NaN' and 'Infinity' "
    "are none), {'set': [...]} a set of texts, {'sum': s, 'count': n} an average; money is in minor units, a moment in "
    "milliseconds since 1970, a version is its text."
)
ENVIRONMENTS = {
    "eur": ENVIRONMENT,
    "jpy": Environment({"cart.total": Type.MONEY}, currency="JPY", digits=0),
    "bhd": Environment({"cart.total": Type.MONEY, "average_order": Type.MONEY_AVERAGE}, currency="BHD", digits=3),
}
SAMPLED = 400

Case = dict[str, Any]
T, F, U = True, False, None


def case(expression: str, expected: bool | None, *, environment: str = "eur", **values: object) -> Case:
    """``cart_total=1`` means ``cart.total``."""
    flat = {name.replace("__", "."): value for name, value in values.items()}
    return _case(expression, flat, expected, environment)


def _case(expression: str, values: Mapping[str, object], expected: bool | None, environment: str = "eur") -> Case:
    answer = "unknown" if expected is None else expected
    encoded = {name: encode(value) for name, value in values.items()}
    found = {"environment": environment, "expression": expression, "values": encoded, "expected": answer}
    try:
        return {**found, "compiled": to_wire(check(expression, ENVIRONMENTS[environment]).node)}
    except ConditionErrors:  # the comparison with the file shows it: a case that is answered has to compile
        return found


def refused(expression: str, *errors: tuple[str, int], environment: str = "eur") -> Case:
    listed = [{"code": code, "offset": offset} for code, offset in errors]
    return {"environment": environment, "expression": expression, "errors": listed}


def encode(value: object) -> object:
    match value:
        case bool() | int() | Decimal():
            return constant_to_wire(value)
        case frozenset():
            return {"set": sorted(value)}
        case (total, count):
            return {"sum": encode(total), "count": count}
        case _:
            return value


def decode(value: Any) -> object:
    match value:
        case {"n": text}:
            return int(text) if text.lstrip("-").isdigit() else Decimal(text)
        case {"set": members}:
            return frozenset(members)
        case {"sum": total, "count": count}:
            return decode(total), count
        case _:
            return value


# --- written by hand ---


def logic() -> Iterable[Case]:
    """The full tables: unknown is absorbed by what decides alone."""
    both = {(T, T): T, (T, F): F, (F, T): F, (F, F): F, (T, U): U, (U, T): U, (F, U): F, (U, F): F, (U, U): U}
    either = {(T, T): T, (T, F): T, (F, T): T, (F, F): F, (T, U): T, (U, T): T, (F, U): U, (U, F): U, (U, U): U}
    for op, table in (("&&", both), ("||", either)):
        for (left, right), expected in table.items():
            yield case(f"subscribed {op} page.secure", expected, subscribed=left, page__secure=right)
    for value, expected in ((T, F), (F, T), (U, U)):
        yield case("!subscribed", expected, subscribed=value)
        yield case("!!subscribed", value, subscribed=value)
        yield case("!(orders > 3)", expected, orders=None if value is None else 4 if value else 3)
    yield case("!(subscribed && page.secure)", U, subscribed=T)
    yield case("!(subscribed && page.secure)", T, subscribed=F)
    yield case("!(subscribed || page.secure)", F, subscribed=T)
    yield case("!(subscribed || page.secure)", U, subscribed=F)
    yield case("subscribed && page.secure && orders > 1", F, orders=1)
    yield case("subscribed || page.secure || orders > 1", T, orders=2)
    yield case("subscribed || page.secure && orders > 1", T, subscribed=T)
    yield case("subscribed || page.secure && orders > 1", U, subscribed=F, page__secure=T)
    yield case("(subscribed || page.secure) && orders > 1", F, subscribed=T, orders=0)
    yield case("subscribed && page.secure || orders > 1", T, subscribed=F, orders=2)
    yield case("true", T)
    yield case("false", F)
    yield case("!false", T)
    yield case("false && subscribed", F)
    yield case("true && subscribed", U)
    yield case("subscribed == true", T, subscribed=T)
    yield case("subscribed != true", T, subscribed=F)
    yield case("false == subscribed", F, subscribed=T)
    yield case("subscribed == page.secure", T, subscribed=F, page__secure=F)
    yield case("subscribed == page.secure", U, subscribed=F)


def comparisons() -> Iterable[Case]:
    for op, answers in {
        "==": (F, T, F), "!=": (T, F, T), "<": (T, F, F), "<=": (T, T, F), ">": (F, F, T), ">=": (F, T, T),
    }.items():  # fmt: skip
        for value, expected in zip((2, 3, 4), answers, strict=True):
            yield case(f"orders {op} 3", expected, orders=value)
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        yield case(f"3 {mirrored} orders", answers[0], orders=2)
        yield case(f"3 {mirrored} orders", answers[2], orders=4)
        yield case(f"orders {op} 3", U)
        yield case(f"orders {op} rating", answers[0], orders=2, rating=3)
        yield case(f"orders {op} rating", U, orders=2)
    yield case("rating == 0.1", T, rating=Decimal("0.1"))
    yield case("rating == 0.3", T, rating=Decimal("0.30"))
    yield case("rating == 2", T, rating=Decimal("2.0"))
    yield case("rating > 0.1", F, rating=Decimal("0.1"))
    yield case("rating > 0.1", T, rating=Decimal("0.1000000000000000000000000001"))
    yield case("rating == 0.1", F, rating=Decimal("0.1000000000000000055511151231257827"))
    yield case("orders == 9007199254740993", F, orders=9007199254740992)
    yield case("orders == 9007199254740993", T, orders=9007199254740993)
    yield case("orders < 1e20", T, orders=99999999999999999999)
    yield case("orders >= 1e3", T, orders=1000)
    yield case("rating > -0.5", T, rating=0)
    yield case("rating > - 0.5", F, rating=-1)
    yield case("rating == 1.5E+1", T, rating=15)
    yield case('device.type == "mobile"', T, device__type="mobile")
    yield case('device.type == "mobile"', F, device__type="Mobile")
    yield case('device.type == "mobile"', F, device__type="")
    yield case('device.type == "mobile"', U)
    yield case('device.type != "mobile"', U)
    yield case('"mobile" == device.type', T, device__type="mobile")
    yield case("device.type == 'mobile'", T, device__type="mobile")
    yield case('locale >= "de" && locale < "df"', T, locale="de-AT")
    yield case('locale < "é"', T, locale="z")
    yield case('locale < "\\U0001d4b3"', T, locale="\uffee")
    yield case("locale == device.type", T, locale="x", device__type="x")


def wrong_types() -> Iterable[Case]:
    """A value of another type is unknown: never an error, never a guess."""
    for wrong in (True, "3", frozenset({"3"}), (3, 1)):
        yield case("orders == 3", U, orders=wrong)
        yield case("orders != 3", U, orders=wrong)
        yield case("!(orders > 3)", U, orders=wrong)
        yield case("orders in [1, 3]", U, orders=wrong)
    for wrong in (True, 1, Decimal(1), frozenset({"1"})):
        yield case('device.type == "1"', U, device__type=wrong)
        yield case('device.type in ["1"]', U, device__type=wrong)
        yield case('device.type.startsWith("1")', U, device__type=wrong)
    for wrong in (1, 0, "true", frozenset()):
        yield case("subscribed", U, subscribed=wrong)
        yield case("!subscribed", U, subscribed=wrong)
        yield case("subscribed == true", U, subscribed=wrong)
    yield case('"a" in wishlist', U, wishlist="abc")
    yield case("orders == 1 || true", T, orders=True)
    yield case("cart.total > 1", U, cart__total="200")
    yield case("average_order > 1", U, average_order=5000)
    yield case("rating == 1 || rating != 1", U, rating=Decimal("NaN"))
    yield case("rating > 1", U, rating=Decimal("Infinity"))


def money() -> Iterable[Case]:
    yield case("cart.total > 200", F, cart__total=20000)
    yield case("cart.total > 200", T, cart__total=20001)
    yield case("cart.total >= 200.00", T, cart__total=20000)
    yield case("cart.total == 19.99", T, cart__total=1999)
    yield case("19.99 < cart.total", T, cart__total=2000)
    yield case("cart.total == 0.07", T, cart__total=7)
    yield case("cart.total == 1.5", T, cart__total=150)
    yield case("cart.total == 1.500", T, cart__total=150)
    yield case("cart.total == 1e2", T, cart__total=10000)
    yield case("cart.total < -0.01", T, cart__total=-2)
    yield case("cart.total in [10, 19.99]", T, cart__total=1999)
    yield case("cart.total in [10, 19.99]", F, cart__total=1998)
    yield case("cart.total > 200", U)
    yield case("cart.total > cart.shipping", T, cart__total=500, cart__shipping=499)
    yield _case('category_spent["shoes"] >= 49.9', {'category_spent["shoes"]': 4990}, T)
    yield _case('category_spent["shoes"] >= 49.9', {'category_spent["bags"]': 4990}, U)
    yield case("cart.total > 200", T, environment="jpy", cart__total=201)
    yield case("cart.total == 1e3", T, environment="jpy", cart__total=1000)
    yield case("cart.total == 1.005", T, environment="bhd", cart__total=1005)
    yield case("cart.total > 200", F, environment="bhd", cart__total=200000)
    yield case("average_order >= 1.005", T, environment="bhd", average_order=(3015, 3))
    yield refused("cart.total > 1.005", ("too_many_digits", 13))
    yield refused("cart.total > -1.005", ("too_many_digits", 13))
    yield refused("1.005 < cart.total", ("too_many_digits", 0))
    yield refused("cart.total in [1, 1.005, 2]", ("too_many_digits", 18))
    yield refused("average_order > 1.005", ("too_many_digits", 16))
    yield refused("cart.total > 1e-3", ("too_many_digits", 13))
    yield refused("cart.total > 0.5", ("too_many_digits", 13), environment="jpy")
    yield refused("cart.total > 1.0005", ("too_many_digits", 13), environment="bhd")
    yield refused('cart.total > "200"', ("type_mismatch", 13))
    yield refused("cart.total > orders", ("type_mismatch", 0))
    yield refused("cart.total > traits.budget", ("type_mismatch", 0))


def averages() -> Iterable[Case]:
    """sum against threshold times count, so that thirds are exact."""
    yield case("average_order > 33.33", T, average_order=(10000, 3))
    yield case("average_order > 33.34", F, average_order=(10000, 3))
    yield case("average_order == 33.33", F, average_order=(10000, 3))
    yield case("average_order == 33.33", T, average_order=(9999, 3))
    yield case("average_order != 33.33", T, average_order=(10000, 3))
    yield case("average_order <= 33.33", T, average_order=(9999, 3))
    yield case("average_order < 33.33", F, average_order=(9999, 3))
    yield case("average_order >= 33.33", T, average_order=(9999, 3))
    yield case("average_order > 0", U, average_order=(0, 0))
    yield case("average_order == 0", T, average_order=(0, 5))
    yield case("average_order > 0", U)
    yield case("50 > average_order", T, average_order=(9999, 2))
    yield case("average_rating >= 4.5", T, average_rating=(9, 2))
    yield case("average_rating > 4.5", F, average_rating=(9, 2))
    yield case("average_rating > 4.333", T, average_rating=(13, 3))
    yield case("average_rating >= 0.5", T, average_rating=(Decimal("1.5"), 3))
    yield case("average_rating < -0.5", T, average_rating=(-2, 3))
    yield refused("average_rating == average_order", ("type_mismatch", 0))
    yield refused("average_rating in [4, 5]", ("type_mismatch", 0))
    yield refused("average_rating", ("not_a_condition", 0))


def membership() -> Iterable[Case]:
    vip = {"segments.vip": True}
    for text in ('"vip" in segments', "'vip' in segments", "segments.vip"):
        yield _case(text, vip, T)
        yield _case(text, {"segments.vip": False}, F)
        yield _case(text, {}, U)
    yield _case('!("vip" in segments)', vip, F)
    yield _case('!("vip" in segments)', {}, U)
    yield _case('"caf\\u00e9" in segments', {"segments.café": True}, T)
    yield case('"a" in wishlist', T, wishlist=frozenset({"a", "b"}))
    yield case('"c" in wishlist', F, wishlist=frozenset({"a", "b"}))
    yield case('"c" in wishlist', F, wishlist=frozenset())
    yield case('"c" in wishlist', U)
    yield case('!("c" in wishlist)', U)
    yield case("locale in wishlist", T, locale="a", wishlist=frozenset({"a"}))
    yield case("locale in wishlist", U, wishlist=frozenset({"a"}))
    yield case("traits.city in wishlist", U, traits__city=3, wishlist=frozenset({"3"}))
    yield case('device.type in ["mobile", "tablet"]', T, device__type="tablet")
    yield case('device.type in ["mobile", "tablet"]', F, device__type="desktop")
    yield case('device.type in ["mobile", "tablet"]', U)
    yield case('!(device.type in ["mobile", "tablet"])', T, device__type="desktop")
    yield case("orders in [1, 2.5, -3]", T, orders=-3)
    yield case("orders in [1, 2.5, -3]", T, orders=Decimal("2.50"))
    yield case("orders in [1, 2.5, -3,]", F, orders=2)
    yield case('traits.city in ["a"]', T, traits__city="a")
    yield case('traits.city in ["1"]', U, traits__city=1)
    yield case('"a" in traits.tags', T, traits__tags=frozenset({"a"}))
    yield case('"a" in traits.tags', U, traits__tags="a")
    yield refused('"vi" in segments', ("unknown_segment", 0))
    yield refused("segments.vi", ("unknown_segment", 0))
    yield refused("locale in segments", ("type_mismatch", 0))
    yield refused("segments", ("not_a_condition", 0))
    yield refused("device.type in []", ("empty_list", 15))
    yield refused('device.type in ["a", 1]', ("type_mismatch", 21))
    yield refused('traits.city in ["a", 1]', ("mixed_list", 15))
    yield refused("3 in wishlist", ("type_mismatch", 0))
    yield refused('"a" in locale', ("type_mismatch", 7))
    yield refused('"a" in "abc"', ("type_mismatch", 7))
    yield refused('"a" in ["a"]', ("constant_comparison", 0))


def functions() -> Iterable[Case]:
    yield case('locale.startsWith("de")', T, locale="de-AT")
    yield case('locale.startsWith("de")', F, locale="en-de")
    yield case('locale.startsWith("")', T, locale="")
    yield case('locale.endsWith("AT")', T, locale="de-AT")
    yield case('locale.endsWith("de")', F, locale="de-AT")
    yield case('locale.contains("-")', T, locale="de-AT")
    yield case('locale.contains("deATx")', F, locale="de-AT")
    yield case('locale.contains("de")', U)
    yield case('!locale.contains("de")', U)
    yield case('!locale.contains("de")', T, locale="en")
    yield case('traits.city.contains("x")', U, traits__city=1)
    yield case("size(wishlist) > 1", T, wishlist=frozenset({"a", "b"}))
    yield case("wishlist.size() > 1", F, wishlist=frozenset({"a"}))
    yield case("size(wishlist) == 0", T, wishlist=frozenset())
    yield case("size(wishlist) == 0", U)
    yield case("2 <= size(locale)", T, locale="de")
    yield case("size(locale) == 1", T, locale="𝒳")
    yield case("size(traits.tags) == 1", U, traits__tags=1)
    yield case("size(wishlist) in [1, 2]", T, wishlist=frozenset({"a"}))
    yield case("size(wishlist) == orders", T, wishlist=frozenset({"a"}), orders=1)
    yield case("has(orders)", T, orders=0)
    yield case("has(orders)", F)
    yield case("has(orders)", F, orders=None)
    yield case("!has(orders)", T)
    yield case("has(subscribed) && !subscribed", T, subscribed=F)
    yield case("has(subscribed) && !subscribed", F)
    yield case("has(wishlist)", T, wishlist=frozenset())
    yield case("has(traits.anything)", F)
    yield _case('has(category_views["shoes"])', {'category_views["shoes"]': 0}, T)
    yield refused("size(wishlist)", ("not_a_condition", 0))
    yield refused("size(orders) > 1", ("type_mismatch", 5))
    yield refused("size() > 1", ("wrong_arguments", 0))
    yield refused("has(1)", ("wrong_arguments", 0))
    yield refused("has(orders, orders)", ("wrong_arguments", 0))
    yield refused("has(segments)", ("wrong_arguments", 0))
    yield refused('locale.startsWith("a", "b")', ("wrong_arguments", 0))
    yield refused("locale.startsWith(device.type)", ("wrong_arguments", 18))
    yield refused('orders.startsWith("a")', ("type_mismatch", 0))
    yield refused('startsWith(locale, "a")', ("wrong_arguments", 0))
    yield refused('locale.startWith("a")', ("unknown_function", 0))
    yield refused('locale.matches("a")', ("unknown_function", 0))
    yield refused('wishlist.exists(x, x == "a")', ("unknown_function", 0))
    yield refused("int(locale) > 3", ("unknown_function", 0))


def names() -> Iterable[Case]:
    yield _case('category_views["shoes"] > 3', {'category_views["shoes"]': 4}, T)
    yield _case("category_views['shoes'] > 3", {'category_views["shoes"]': 3}, F)
    yield _case('category_views["max"] > 3', {"category_views.max": 4}, U)
    yield _case("category_views.max > 3", {"category_views.max": 4}, T)
    yield _case("category_views['a\"b'] == 1", {'category_views["a\\"b"]': 1}, T)
    yield _case('traits["city"] == "Wien"', {"traits.city": "Wien"}, T)
    yield _case('traits["home town"] == "Wien"', {'traits["home town"]': "Wien"}, T)
    yield _case("traits.vip", {"traits.vip": True}, T)
    yield _case("traits.vip", {"traits.vip": "yes"}, U)
    yield _case("traits.age >= 18", {"traits.age": 18}, T)
    yield _case("traits.age >= 18", {"traits.age": "18"}, U)
    yield _case("traits.a == traits.b", {"traits.a": 1, "traits.b": Decimal("1.0")}, T)
    yield _case("traits.a == traits.b", {"traits.a": 1, "traits.b": True}, U)
    yield _case("traits.a == traits.b", {"traits.a": True, "traits.b": True}, T)
    yield _case("traits.a < traits.b", {"traits.a": False, "traits.b": True}, U)
    yield _case("traits.a < traits.b", {"traits.a": "a", "traits.b": "b"}, T)
    yield _case("traits.a == orders", {"traits.a": 2, "orders": 2}, T)
    yield refused("cart.totl > 2", ("unknown_attribute", 0))
    yield refused("orders > 3 && cart_total > 2", ("unknown_attribute", 14))
    yield refused("category_views > 3", ("unknown_attribute", 0))
    yield refused('orders["a"] > 3', ("unknown_attribute", 0))
    yield refused("True", ("unknown_attribute", 0))
    yield refused("traits", ("unknown_attribute", 0))
    yield refused("orders", ("not_a_condition", 0))
    yield refused("locale && 5", ("not_a_condition", 0), ("not_a_condition", 10))
    yield refused("wishlist", ("not_a_condition", 0))
    yield refused('"abc"', ("not_a_condition", 0))
    yield refused("[1]", ("not_a_condition", 0))
    yield refused('wishlist == "a"', ("type_mismatch", 0))
    yield refused("orders == true", ("type_mismatch", 10))
    yield refused('orders == "3"', ("type_mismatch", 10))
    yield refused("locale == 3", ("type_mismatch", 10))
    yield refused("subscribed == 1", ("type_mismatch", 14))
    yield refused("subscribed < true", ("type_mismatch", 0))
    yield refused("orders == locale", ("type_mismatch", 0))
    yield refused("1 == 1", ("constant_comparison", 0))
    yield refused("!subscribed == true", ("not_a_value", 0))
    yield refused("(orders > 3) == true", ("not_a_value", 1))
    yield refused("orders == [1]", ("not_a_value", 10))
    yield refused(
        "cart.totl > 1 && orders == 'x' || \"vp\" in segments",
        ("unknown_attribute", 0), ("type_mismatch", 27), ("unknown_segment", 34),
    )  # fmt: skip


def spelling() -> Iterable[Case]:
    yield case("  orders\t>\r\n3 ", T, orders=4)
    yield case("orders > 3 // more than three\n&& orders < 9", T, orders=4)
    yield case("((((orders > 3))))", T, orders=4)
    yield case('locale == "\\"\\\\\\n\\t\\x41\\u00e9\\U0001d4b3\\101\\?\\`"', T, locale='"\\\n\tAé𝒳A?`')
    yield case("locale == 'a\\'b'", T, locale="a'b")
    yield case('locale == "// no comment"', T, locale="// no comment")
    yield case("orders==-1", T, orders=-1)
    yield refused("", ("empty", 0))
    yield refused("  // only a comment", ("empty", 0))
    yield refused("orders >", ("unexpected_end", 8))
    yield refused("(orders > 3", ("unexpected_end", 11))
    yield refused("orders > 3)", ("unexpected_token", 10))
    yield refused("orders > 3 subscribed", ("unexpected_token", 11))
    yield refused("subscribed and page.secure", ("unexpected_token", 11))
    yield refused("not subscribed", ("unexpected_token", 0))
    yield refused("&& subscribed", ("unexpected_token", 0))
    yield refused("1 < orders < 3", ("unexpected_token", 11))
    yield refused("orders = 3", ("unexpected_character", 7))
    yield refused("orders === 3", ("unexpected_character", 9))
    yield refused("orders <> 3", ("not_supported", 7))
    yield refused("subscribed & page.secure", ("unexpected_character", 11))
    yield refused("subscribed | page.secure", ("unexpected_character", 11))
    yield refused("orders + 1 > 3", ("not_supported", 7))
    yield refused("orders - 1 > 3", ("not_supported", 7))
    yield refused("-orders > 3", ("not_supported", 0))
    yield refused("orders / 2 > 3", ("not_supported", 7))
    yield refused("subscribed ? page.secure : true", ("not_supported", 11))
    yield refused('{"a": 1}', ("not_supported", 0))
    yield refused("orders == null", ("not_supported", 10))
    yield refused('locale == "abc', ("unterminated_string", 10))
    yield refused('locale == "a\nb"', ("unterminated_string", 10))
    yield refused('locale == "a\\qb"', ("bad_escape", 12))
    yield refused('locale == "\\ud800"', ("bad_escape", 11))
    yield refused('locale == "\\U00110000"', ("bad_escape", 11))
    yield refused('locale == "\\x4"', ("bad_escape", 11))
    yield refused('locale == r"abc"', ("not_supported", 10))
    yield refused('locale == """abc"""', ("not_supported", 10))
    yield refused("locale == “abc”", ("unexpected_character", 10))
    yield refused("orders > 5u", ("bad_number", 9))
    yield refused("orders > 0x1F", ("bad_number", 9))
    yield refused("orders > 1e31", ("bad_number", 9))
    yield refused(f"orders > {'1' * 32}", ("bad_number", 9))
    yield refused("orders > .5", ("unexpected_token", 9))
    yield refused("orders > ٣", ("unexpected_character", 9))
    yield refused("cart. > 3", ("unexpected_token", 6))
    yield refused("cart.in > 3", ("reserved_word", 5))
    yield refused("while > 3", ("reserved_word", 0))
    yield refused("wishlist[0] > 3", ("unexpected_token", 9))
    yield refused('traits["a"].b > 3', ("not_supported", 11))
    yield refused("locale in [device.type]", ("unexpected_token", 11))


NOON = 1798135200000
"""2026-12-24T18:00:00Z."""


def moments() -> Iterable[Case]:
    stamp = 'timestamp("2026-12-24T18:00:00Z")'
    for op, answers in {
        "==": (F, T, F), "!=": (T, F, T), "<": (T, F, F), "<=": (T, T, F), ">": (F, F, T), ">=": (F, T, T),
    }.items():  # fmt: skip
        for value, expected in zip((NOON - 1, NOON, NOON + 1), answers, strict=True):
            yield case(f"now {op} {stamp}", expected, now=value)
        yield case(f"now {op} {stamp}", U)
        mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        yield case(f"{stamp} {mirrored} now", answers[0], now=NOON - 1)
    for text in ("2026-12-24T19:00:00+01:00", "2026-12-24T13:30:00-04:30", "2026-12-24T18:00:00.000Z"):
        yield case(f'now == timestamp("{text}")', T, now=NOON)
    yield case('now == timestamp("2026-12-24T18:00:00.5Z")', T, now=NOON + 500)
    yield case('now == timestamp("2026-12-24T18:00:00.05Z")', T, now=NOON + 50)
    yield case('now > timestamp("1969-12-31T23:59:59.999Z")', T, now=0)
    yield case('now == timestamp("1969-12-31T23:59:59.999Z")', T, now=-1)
    yield case('now == timestamp("0001-01-01T00:00:00Z")', T, now=-62135596800000)
    yield case('now == timestamp("9999-12-31T23:59:59Z")', T, now=253402300799000)
    yield case('now == timestamp("2028-02-29T00:00:00Z")', T, now=1835395200000)
    yield case("now > traits.renewal", T, now=NOON, traits__renewal=NOON - 1)
    yield case("now > traits.renewal", U, now=NOON)
    for wrong in (True, "2026-12-24T18:00:00Z", frozenset()):
        yield case(f"now >= {stamp}", U, now=wrong)
    yield case(f"!(now >= {stamp})", T, now=NOON - 1)
    yield case(f"has(now) && now >= {stamp}", F)
    yield refused("now > 1798135200000", ("type_mismatch", 6))
    yield refused("now > orders", ("type_mismatch", 0))
    yield refused("now > traits.city", ("type_mismatch", 0))
    yield refused(f"orders > {stamp}", ("type_mismatch", 9))
    yield refused(f"traits.city > {stamp}", ("type_mismatch", 14))
    yield refused('now > "2026-12-24T18:00:00Z"', ("type_mismatch", 6))
    yield refused("now", ("not_a_condition", 0))
    yield refused("now in [1, 2]", ("type_mismatch", 0))
    yield refused(stamp, ("not_a_condition", 0))
    yield refused(f"{stamp} == {stamp}", ("constant_comparison", 0))
    yield refused(f"{stamp} in [1]", ("constant_comparison", 0))
    yield refused("now > timestamp(1798135200)", ("wrong_arguments", 6))
    yield refused("now > timestamp()", ("wrong_arguments", 6))
    yield refused("now > timestamp(locale)", ("wrong_arguments", 6))
    for text in (
        "2026-12-24", "2026-12-24T18:00:00", "2026-12-24 18:00:00Z", "2026-13-24T18:00:00Z", "2026-02-29T18:00:00Z",
        "2026-12-24T24:00:00Z", "2026-12-24T18:00:60Z", "2026-12-24T18:00:00.0001Z", "2026-12-24T18:00:00+24:00",
        "2026-12-24T18:00:00z", "2026-12-24T18:00:00+0100", "0000-12-24T18:00:00Z", "٢026-12-24T18:00:00Z", "", "now",
        " 2026-12-24T18:00:00Z", "2026-12-24T18:00Z", "-2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z" + "0" * 100,
    ):  # fmt: skip
        yield refused(f'now > timestamp("{text}")', ("bad_timestamp", 16))


def versions() -> Iterable[Case]:
    ordered = ("0", "0.0.1", "0.9", "1.0.0-1", "1.0.0-9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
               "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0", "1.0.0.1", "1.2", "1.10", "9", "10.0.0-x", "10",
               "10.15.7", "2026.1")  # fmt: skip
    for lower, higher in pairwise(ordered):
        yield case(f'app.version < version("{higher}")', T, app__version=lower)
        yield case(f'app.version >= version("{higher}")', F, app__version=lower)
        yield case(f'version("{lower}") < app.version', T, app__version=higher)
    for one, other in (("1", "1.0.0"), ("2.10", "2.10.0+build.7"), ("1.0-a+x", "1.0.0-a"), ("007", "7"), ("0", "0.0")):
        yield case(f'app.version == version("{one}")', T, app__version=other)
        yield case(f'app.version != version("{one}")', F, app__version=other)
        yield case(f'app.version <= version("{other}")', T, app__version=one)
    for text in ("", "v2", "2.", ".2", "2..1", "2.x", "1.0-", "1.0+", "1.0-a..b", "1.0+a..b", "1.0+.a",
                 "1.0-ä", "٣", "1 ", "1\n", "-1",
                 "1e3", "9" * 16, "1." * 32 + "1"):  # fmt: skip
        for op in ("<", "!="):
            yield case(f'app.version {op} version("3")', U, app__version=text)
    yield case('app.version > version("3")', T, app__version="9" * 15)
    yield case('app.version > version("3")', T, app__version="4" + ".0" * 31)
    for wrong in (3, True, Decimal("3.1"), frozenset({"3"})):
        yield case('app.version != version("3")', U, app__version=wrong)
    yield case('app.version >= version("3")', U)
    yield case('!(app.version >= version("3"))', U)
    yield case('!(app.version >= version("3"))', T, app__version="2.9")
    yield case("app.version < device.os_version", T, app__version="2.9", device__os_version="2.10")
    yield case("app.version < device.os_version", U, app__version="2.9", device__os_version="ten")
    yield case('locale >= version("1.2")', T, locale="1.10")
    yield case('locale >= version("1.2")', U, locale="de")
    yield case('traits.city >= version("1.2")', T, traits__city="1.2")
    yield case('traits.city >= version("1.2")', U, traits__city=2)
    yield case('locale == "1.10" && locale == version("1.10.0")', T, locale="1.10")
    yield refused('app.version >= "2.10.0"', ("type_mismatch", 15))
    yield refused("app.version >= 2.10", ("type_mismatch", 15))
    yield refused("app.version == locale", ("type_mismatch", 0))
    yield refused('app.version.startsWith("2.")', ("type_mismatch", 0))
    yield refused('app.version in ["2.10"]', ("type_mismatch", 0))
    yield refused("app.version", ("not_a_condition", 0))
    yield refused("size(app.version) > 1", ("type_mismatch", 5))
    yield refused('orders >= version("2")', ("type_mismatch", 10))
    yield refused('now >= version("2")', ("type_mismatch", 7))
    yield refused('app.version >= timestamp("2026-12-24T18:00:00Z")', ("type_mismatch", 15))
    yield refused("app.version >= version(2)", ("wrong_arguments", 15))
    yield refused('app.version >= version("2", "3")', ("wrong_arguments", 15))
    yield refused('app.version in [version("2")]', ("unexpected_token", 16))
    for text in ("two", "", "v2", "2.10.", "1.0-", "9" * 16, "1." * 32 + "1"):
        yield refused(f'app.version >= version("{text}")', ("bad_version", 23))


def prefixes() -> Iterable[Case]:
    for path, answers in {
        "/": (F, F, F, T), "/checkout": (T, F, F, T), "/checkout/": (T, T, F, T), "/checkout/pay": (T, T, T, T),
        "/checkout/paying": (T, T, T, T), "/Checkout/pay": (F, F, F, T), "": (F, F, F, T), "/checkouts": (T, F, F, T),
    }.items():  # fmt: skip
        for prefix, expected in zip(("/checkout", "/checkout/", "/checkout/pay", ""), answers, strict=True):
            yield case(f'locale.startsWith("{prefix}")', expected, locale=path)
    both = 'locale.startsWith("/checkout") && !locale.startsWith("/checkout/pay")'
    yield case(both, T, locale="/checkout/address")
    yield case(both, F, locale="/checkout/payment")
    yield case(both, U)
    yield case('locale.startsWith("/a") || locale == "/b"', T, locale="/b")
    yield case('locale.startsWith("𝒳")', T, locale="𝒳y")
    yield case('locale.startsWith("\\U0010ffff")', T, locale="\U0010ffffz")
    yield case('"office" in request.networks', T, request__networks=frozenset({"office", "shops"}))
    yield case('"office" in request.networks', F, request__networks=frozenset())
    yield case('!("office" in request.networks)', U)


def tricks() -> Iterable[Case]:
    yield refused('locale == "a\u202eb"', ("hidden_character", 12))
    yield refused('locale == "a\u2066b"', ("hidden_character", 12))
    yield refused("orders > 3 // \u202e}", ("hidden_character", 14))
    yield refused("orders\u200b > 3", ("hidden_character", 6))
    yield refused("\ufefforders > 3", ("hidden_character", 0))
    yield refused('locale == "a\0b"', ("hidden_character", 12))
    yield refused("orders\0 > 3", ("hidden_character", 6))
    yield refused('locale == "\x7f"', ("hidden_character", 11))
    yield refused('locale == "caf\u0065\u0301"', ("not_normalized", 14))
    yield refused('locale == "\u212b"', ("not_normalized", 11))
    yield refused('locale == "\u0301"', ("hidden_character", 11))
    yield refused("c\u0430rt.total > 3", ("unexpected_character", 1))
    yield refused("orders\u0301 > 3", ("not_normalized", 5))
    yield refused("orders1\u0301 > 3", ("unexpected_character", 7))
    yield refused("orders\u00a0> 3", ("unexpected_character", 6))
    yield refused("orders > \uff13", ("unexpected_character", 9))
    yield refused('"v\u0456p" in segments', ("unknown_segment", 0))
    yield case('locale == "a\\u202eb"', T, locale="a\u202eb")
    yield case('locale == "e\\u0301"', T, locale="e\u0301")
    yield case('locale == "é"', F, locale="e\u0301")
    yield case('locale == "می\u200cخواهم"', T, locale="می\u200cخواهم")


def limits() -> Iterable[Case]:
    yield refused("(" * 33 + "true" + ")" * 33, ("too_deep", 32))
    yield refused("!" * 33 + "true", ("too_deep", 32))
    yield case("(" * 32 + "true" + ")" * 32, T)
    yield refused("true" + "||true" * 256, ("too_many_nodes", 4 + 6 * 255 + 2))
    yield case("true" + "&&true" * 255, T)
    yield refused("true" + " " * 4093, ("too_long", 4096))
    yield refused(f"orders in [{'1,' * 1001}]", ("list_too_long", 11 + 2000))
    yield case(f"orders in [{'1,' * 1000}]", T, orders=1)
    yield refused(" || ".join(['"a" in wishlist'] * 101), ("too_costly", 0))
    yield case(" || ".join(['"a" in wishlist'] * 90), F, wishlist=frozenset())


def sampled() -> Iterable[Case]:
    for seed in range(SAMPLED):
        sampler = Sampler(seed)
        expression = sampler.condition(depth=2)
        values = sampler.values()
        used = {
            name: value for name, value in values.items() if name.partition("[")[0] in expression or "segments" in name
        }
        yield _case(expression, used, oracle(parse(expression), used))


GROUPS = (
    logic, comparisons, wrong_types, money, averages, membership, functions, names, spelling, moments, versions,
    prefixes, tricks, limits, sampled,
)  # fmt: skip


def document() -> dict[str, Any]:
    environments = {
        name: {
            "types": {path: kind.name.lower() for path, kind in environment.types.items()},
            "segments": sorted(environment.segments),
            "currency": environment.currency,
            "digits": environment.digits,
        }
        for name, environment in ENVIRONMENTS.items()
    }
    cases = [{"group": group.__name__, **entry} for group in GROUPS for entry in group()]
    return {"about": ABOUT, "version": 2, "environments": environments, "cases": cases}


def text() -> str:
    """The file's text: one case a line, so that a change shows as one line."""
    whole = document()
    cases = ",\n".join("    " + json.dumps(entry, ensure_ascii=False) for entry in whole.pop("cases"))
    head = json.dumps(whole, ensure_ascii=False, indent=2)
    return f'{head[:-2]},\n  "cases": [\n{cases}\n  ]\n}}\n'


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
