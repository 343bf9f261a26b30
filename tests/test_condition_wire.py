"""Conditions as JSON, and the part of a condition that a browser may know: each against the whole."""

import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from cashwrap.condition import Node, check, restrict
from cashwrap.condition.ast import And, Attribute, Compare, Literal, Not, Or, referenced_attributes, to_text, walk
from cashwrap.condition.evaluate import compile_node
from cashwrap.condition.restrict import MAX_JOINTS
from cashwrap.condition.wire import MAX_WIRE_DEPTH, SAFE, from_wire, to_wire
from condition_language import ENVIRONMENT, TRAITS, TYPES, Sampler

CASES = 1500


def through_json(node: Node) -> Node:
    return from_wire(json.loads(json.dumps(to_wire(node))))


def test_what_comes_back_answers_the_same_and_is_the_same_again() -> None:
    for seed in range(CASES):
        sampler = Sampler(seed)
        source = sampler.condition()
        node = check(source, ENVIRONMENT).node
        again = through_json(node)
        assert to_wire(again) == to_wire(node), source
        for _ in range(3):
            values = sampler.values()
            assert compile_node(again)(values) is compile_node(node)(values), source


def test_the_form_is_the_one_that_is_written_down() -> None:
    source = (
        'cart.total > 200 && !("a" in wishlist) && (device.type in ["x", "y"] || locale.startsWith("de")) '
        "&& size(wishlist) >= 2 && has(orders) && rating < 2.5 && orders in [1, 9007199254740993] && subscribed "
        '&& app.version >= version("2.10.0") && now < timestamp("1970-01-01T00:00:01Z") && average_order > 10 '
        '&& traits.a == traits.b && "vip" in segments && category_views["shoes"] > 1'
    )
    assert to_wire(check(source, ENVIRONMENT).node) == [
        "and",
        ["cmp", ">", "number", ["attr", "cart.total"], ["lit", 20000]],
        ["not", ["in", ["lit", "a"], ["attr", "wishlist"]]],
        [
            "or",
            ["in", ["attr", "device.type"], ["list", ["x", "y"]]],
            ["call", "startsWith", ["attr", "locale"], ["lit", "de"]],
        ],
        ["cmp", ">=", "number", ["call", "size", ["attr", "wishlist"]], ["lit", 2]],
        ["call", "has", ["attr", "orders"]],
        ["cmp", "<", "number", ["attr", "rating"], ["lit", {"n": "2.5"}]],
        ["in", ["attr", "orders"], ["list", [1, {"n": "9007199254740993"}]]],
        ["attr", "subscribed"],
        ["cmp", ">=", "version", ["attr", "app.version"], ["lit", "2.10.0"]],
        ["cmp", "<", "number", ["attr", "now"], ["lit", 1000]],
        ["cmp", ">", "average", ["attr", "average_order"], ["lit", 1000]],
        ["cmp", "==", "same", ["attr", "traits.a"], ["attr", "traits.b"]],
        ["attr", "segments.vip"],
        ["cmp", ">", "number", ["attr", 'category_views["shoes"]'], ["lit", 1]],
    ]


@pytest.mark.parametrize(
    "value", [0, SAFE, SAFE + 1, -SAFE - 1, 10**29, Decimal("0.1"), Decimal("1e30"), Decimal("1e-30")]
)
def test_numbers_are_exact(value: int | Decimal) -> None:
    again = through_json(Literal(value))
    assert isinstance(again, Literal)
    assert again.value == value


def nested(depth: int) -> list[Any]:
    found: list[Any] = ["lit", True]
    for _ in range(depth):
        found = ["not", found]
    return found


@pytest.mark.parametrize(
    "wire",
    [
        None, 1, "lit", [], {}, [1], ["lit"], ["lit", None], ["lit", 1.5], ["lit", 1, 2], ["lit", {"n": "x"}],
        ["lit", {"n": "NaN"}], ["lit", {"n": "1" * 101}], ["lit", {"n": 1}], ["lit", {"m": "1"}], ["attr", 3], ["attr"],
        ["list", []], ["list", "ab"], ["list", [[1]]], ["cmp", "=", "number", ["attr", "a"], ["lit", 1]],
        ["cmp", "==", "text", ["attr", "a"], ["lit", 1]], ["cmp", "==", "number", ["attr", "a"]],
        ["call", "eval", ["attr", "a"]], ["call", "has"], ["call"], ["call", "startsWith", ["attr", "a"]], ["not"],
        ["not", 3], ["and", 3],
        ["xor", ["lit", True]], ["in", ["attr", "a"]], nested(MAX_WIRE_DEPTH + 1), ["cmp", [], {}, 1, 2],
    ],
)  # fmt: skip
def test_another_shape_is_refused(wire: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_wire(wire)


def test_nesting_up_to_the_limit_comes_back() -> None:
    assert sum(1 for _ in walk(from_wire(nested(MAX_WIRE_DEPTH)))) == MAX_WIRE_DEPTH + 1


# --- restrict ---

NAMES = [path for path in TYPES if not path.endswith(("*", "]"))] + [*TRAITS, "segments.vip", "segments.café"]


def compare_restricted(cases: int) -> Counter[object]:
    """Sound: it holds only where the whole holds, whatever the rest is. Complete: for known values alone it does."""
    seen: Counter[object] = Counter()
    for seed in range(cases):
        sampler, rng = Sampler(seed), random.Random(-seed)
        node = check(sampler.condition(), ENVIRONMENT).node
        known = frozenset(name for name in NAMES if rng.random() < 0.6).__contains__
        left = restrict(node, known)
        assert left is None or all(known(name) for name in referenced_attributes(left))
        asks = any(part.args[0].name for part in has_tests(node) if not known(part.args[0].name))
        for _ in range(4):
            values = sampler.values(missing=0.1)
            mine = {name: value for name, value in values.items() if known(name)}
            holds = left is not None and compile_node(left)(mine) is True
            if holds:
                assert compile_node(node)(values) is True, to_text(node)
                assert compile_node(node)(mine) is True, to_text(node)
            elif not asks:
                assert compile_node(node)(mine) is not True, to_text(node)
            seen[holds] += 1
        seen[left if left is None else "left"] += 1
    return seen


def has_tests(node: Node) -> list[Any]:
    return [part for part in walk(node) if getattr(part, "function", "") == "has"]


def test_the_rest_holds_exactly_where_the_whole_holds_for_what_is_known() -> None:
    seen = compare_restricted(CASES)
    assert min(seen[True], seen[False], seen[None], seen["left"]) > CASES / 20


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('device.type == "mobile" && orders > 3', None),
        ('device.type == "mobile" || orders > 3', 'device.type == "mobile"'),
        ('!(device.type == "mobile" || orders > 3)', None),
        ('!(device.type == "mobile" && orders > 3)', 'device.type != "mobile"'),
        ("!has(orders)", None),
        ("has(locale) || has(orders)", "has(locale)"),
        ("!(!(locale < 'd'))", 'locale < "d"'),
        ("!locale.startsWith('d')", '!locale.startsWith("d")'),
        ("orders > 3 || true", "true"),
        ("locale == 'd' && true", 'locale == "d"'),
        ("locale == 'd' && false", None),
        ("(locale == 'd' || orders > 1) && (locale == 'e' || orders > 1)", 'locale == "d" && locale == "e"'),
        ("locale == device.type && now > traits.renewal || locale == device.type", "locale == device.type"),
    ],
)
def test_what_is_left(source: str, left: str | None) -> None:
    names = {"device.type", "locale", "now"}
    found = restrict(check(source, ENVIRONMENT).node, names.__contains__)
    assert (None if found is None else to_text(found)) == left


def test_joints_stay_flat() -> None:
    found = restrict(
        check("!(locale == 'a' || !(locale == 'b' && (locale == 'c' || orders == 1)))", ENVIRONMENT).node,
        {"locale"}.__contains__,
    )
    assert isinstance(found, And)
    assert not any(isinstance(part, And) for part in found.operands)


def test_what_is_too_deep_holds_nowhere_whichever_way_it_is_asked() -> None:
    """Segments put into each other may be; there is no recursion that could overflow."""
    for deep in (4999, 5000):
        node: Node = Attribute("locale")
        for _ in range(deep):
            node = Not(node)
        assert restrict(node, lambda _: True) is None
        either = restrict(Or((node, Attribute("subscribed"))), lambda _: True)
        assert either is not None
        assert to_text(either) == "subscribed"


def test_as_deep_as_is_left_goes_over_the_wire() -> None:
    longest = check("!(size(wishlist) in [1])", ENVIRONMENT).node
    for level in range(200):
        kind = And if level % 2 else Or
        longest = kind((longest, Attribute("subscribed")))
        left = restrict(longest, lambda _: True)
        assert left is not None
        assert to_wire(through_json(left)) == to_wire(left)
    assert MAX_JOINTS < 200


# --- planted bugs ---


def _unknown_is_false_and_so_its_negation_true(node: Node, known: Any, deeper: int, *, wanted: bool) -> Node:
    if isinstance(node, Compare | Attribute) and not all(map(known, referenced_attributes(node))):
        return Literal(not wanted)
    return PLAIN(node, known, deeper, wanted=wanted)


def _a_negation_is_lost(node: Node, known: Any, deeper: int, *, wanted: bool) -> Node:
    return PLAIN(node.operand if isinstance(node, Not) else node, known, deeper, wanted=wanted)


def _an_alternative_is_lost(node: Node, known: Any, deeper: int, *, wanted: bool) -> Node:
    return PLAIN(Or(node.operands[:1]) if isinstance(node, Or) else node, known, deeper, wanted=wanted)


restricting = __import__("importlib").import_module("cashwrap.condition.restrict")
PLAIN = restricting._restrict


@pytest.mark.parametrize(
    "bug", [_unknown_is_false_and_so_its_negation_true, _a_negation_is_lost, _an_alternative_is_lost]
)
def test_a_planted_bug_is_caught(bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricting, "_restrict", bug)
    with pytest.raises(AssertionError):
        compare_restricted(300)


def test_a_planted_loss_of_exactness_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.condition.wire.SAFE", 10**40)
    wire = json.loads(json.dumps(to_wire(Literal(2**53 + 1))), parse_int=float)  # as JavaScript reads it
    assert wire[1] != 2**53 + 1
