"""The bitmap index must agree with evaluating every condition on its own, whatever is missing or odd."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.condition import Checked, Environment, Type, check, compile_condition
from cashwrap.condition.arms import MAX_ARMS, Arms
from cashwrap.condition.ast import quote
from cashwrap.condition.constants import to_version
from cashwrap.condition.dimension import OTHER, TEXTS, Dimension
from cashwrap.condition.index import Index, build_index

ENVIRONMENT = Environment(
    {
        "device": Type.STRING,
        "country": Type.STRING,
        "total": Type.MONEY,
        "count": Type.NUMBER,
        "score": Type.NUMBER,
        "average": Type.MONEY_AVERAGE,
        "returning": Type.BOOL,
        "brands": Type.STRING_SET,
        "lists": Type.STRING_SET,
        "views[*]": Type.NUMBER,
        "path": Type.STRING,
        "now": Type.TIME,
        "app": Type.VERSION,
        "system": Type.VERSION,
        "traits.*": Type.DYN,
    },
    segments=frozenset({"vip", "new", "loyal"}),
)
LEAVES = [
    *(f'device {op} "{word}"' for op in ("==", "!=") for word in ("mobile", "desktop", "")),
    *(f"total {op} {limit}" for op in ("<", "<=", "==", "!=", ">=", ">") for limit in ("0", "49.99", "50", "51")),
    *(f"score {op} {limit}" for op in ("<", ">=", "==") for limit in ("0.5", "1", "-3")),
    *(f"average {op} {limit}" for op in ("<", ">=") for limit in ("20", "33.33")),
    *(f'"{segment}" in segments' for segment in ("vip", "new", "loyal")),
    *(f'"{brand}" in brands' for brand in ("acme", "zeta", "omni")),
    *(f'"{name}" in lists' for name in ("a", "b")),
    *(f'views["{key}"] {test}' for key in ("shoes", "hats", "bags") for test in (">= 2", "< 1", "== 3")),
    *(f'has(views["{key}"])' for key in ("shoes", "hats")),
    *(f'traits.{name} {test}' for name in ("tier", "size") for test in ('== "gold"', "== 3", "> 2", "== true")),
    *(f'path.startsWith("{prefix}")' for prefix in ("", "/", "/a", "/a/", "/a/b", "/ab", "/b", "/\U0010ffff", "x")),
    *(f'path {op} "{text}"' for op in ("==", "!=") for text in ("/a", "/a/b", "/c", "")),
    *(f'now {op} timestamp("2026-12-24T18:00:0{second}Z")' for op in ("<", ">=", "==", "!=") for second in (0, 1)),
    *(f'app {op} version("{text}")' for op in ("<", ">=", "==", "!=", ">") for text in ("2.9", "2.10.0", "2.10-b")),
    *(f'traits.tier.startsWith("{prefix}")' for prefix in ("g", "")),
    *(f'traits.tier {test}' for test in ('>= version("2.5")', '!= version("2")')),
    *(f'traits["home town"]{test}' for test in ('.startsWith("W")', '.startsWith("")', ' >= version("2")')),
    *(f'!(traits["home town"]{test})' for test in ('.startsWith("Wi")', ' in ["Wien", "Graz"]', ' < version("2.10")')),
    'app < system',
    'has(app)',
    'device == "2.10"',
    'device >= version("2.9")',
    'country in ["DE", "AT"]',
    'country in ["US"]',
    'country < "F"',
    "count in [1, 2.0, 5]",
    "count > score",
    "returning",
    "returning == false",
    "has(total)",
    "has(device)",
    "has(brands)",
    "size(brands) > 1",
    'device.startsWith("mob")',
    "traits.tier == traits.size",
    "traits.tier",
    "device in lists",
    "true",
    "false",
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "device": ["mobile", "desktop", "tablet", "", "2.10", "2.8", 3, True, None],
    "country": ["DE", "US", "FR", frozenset(), None],
    "total": [0, 4999, 5000, 5001, 5100, 999_999, -1, Decimal("4999.5"), "5000", True, None, 50.0],
    "count": [1, 2, 5, 6, Decimal(2), None],
    "score": [0, 1, Decimal("0.5"), Decimal("0.50001"), -3, -4, Decimal("NaN"), None],
    "path": ["", "/", "/a", "/a/", "/a/b", "/a/bc", "/ab", "/abc", "/b", "/c", "/\U0010ffffz", "x", "y", 7, None],
    "now": [1798135199999, 1798135200000, 1798135200001, 1798135201000, Decimal("1798135200000.5"), "now", True, None],
    "app": ["2.9", "2.10", "2.10.0", "2.10-b", "2.10-a", "2.9.9", "3", "0", "x", "", 3, None],
    'traits["home town"]': ["Wien", "Wels", "Graz", "", "2.9", "3", 3, True, None],
    "system": ["2.9", "2.10.0-c", "", None],
    "average": [(2000, 1), (9999, 3), (10000, 3), (0, 0), (5, -1), 2000, None],
    "returning": [True, False, 1, 0, "true", None],
    "brands": [frozenset(), frozenset({"acme"}), frozenset({"acme", "zeta", "x"}), frozenset("abc"), ("a", 1), None],
    "lists": [frozenset({"a"}), frozenset({"a", "b", "mobile"}), frozenset({"c", "d", "e", "f", "b"}), None],
    "segments.vip": [True, False, None],
    "segments.new": [True, False, None],
    "segments.loyal": [True, False, 1, None],
    **{f'views["{key}"]': [0, 1, 2, 3, 4, "2", None] for key in ("shoes", "hats", "bags")},
    "traits.tier": ["gold", "silver", "2.5.0", "2.4", 3, 2, True, False, Decimal("2.5"), frozenset(), None],
    "traits.size": ["gold", 3, 4, True, None],
}  # fmt: skip


def random_condition(rng: random.Random, depth: int = 3) -> str:
    roll = rng.random()
    if depth == 0 or roll < 0.35:
        return rng.choice(LEAVES)
    if roll < 0.5:
        return f"!({random_condition(rng, depth - 1)})"
    glue = " && " if roll < 0.78 else " || "
    return "(" + glue.join(random_condition(rng, depth - 1) for _ in range(rng.randint(2, 4))) + ")"


def random_shopper(rng: random.Random) -> dict[str, Any]:
    present = rng.choice((0.3, 0.7, 1.0))
    return {name: rng.choice(choices) for name, choices in VALUES.items() if rng.random() < present}


def found(index: Index, values: dict[str, Any], first: int, stop: int) -> list[int]:
    offset, ones = index.span(first, stop)
    left = index.matches(values) >> offset & ones
    positions: dict[int, None] = {}
    for bit in range(offset, offset + left.bit_length()):
        if left >> bit - offset & 1 and index.holds(bit, values):
            positions[index.owners[bit]] = None
    return list(positions)


def expected(conditions: list[Checked | None], values: dict[str, Any]) -> list[int]:
    return [
        position
        for position, condition in enumerate(conditions)
        if condition is None or compile_condition(condition)(values) is True
    ]


def playbook(rng: random.Random, size: int) -> list[Checked | None]:
    checked = [check(random_condition(rng), ENVIRONMENT) for _ in range(size)]
    return [None if rng.random() < 0.05 else each for each in checked]


def agree(seed: int, playbooks: int, shoppers: int, size: int = 40) -> int:
    """How many conditions were compared and came out true; fails at the first difference."""
    rng = random.Random(seed)
    matched = 0
    for _ in range(playbooks):
        conditions = playbook(rng, rng.randint(size // 40, size))
        index = build_index(list(enumerate(conditions)))
        kept = frozenset(name for name in VALUES if rng.random() < 0.5)
        halved = build_index(list(enumerate(conditions)), kept.__contains__)
        for _ in range(shoppers):
            values = random_shopper(rng)
            want = expected(conditions, values)
            same_profile = {name: value for name, value in random_shopper(rng).items() if name not in kept}
            same_profile |= {name: value for name, value in values.items() if name in kept}
            mask = halved.profile_mask(same_profile)
            assert index.matches(values) == halved.matches(values) == halved.matches(values, mask)
            assert found(index, values, 0, len(conditions)) == want
            first = rng.randint(0, len(conditions))
            stop = rng.randint(first, len(conditions))
            assert found(index, values, first, stop) == [each for each in want if first <= each < stop]
            matched += len(want)
    return matched


def test_index_agrees_with_closures_on_2000_seeded_cases() -> None:
    assert agree(seed=20260101, playbooks=100, shoppers=20) > 2_000


def test_index_agrees_with_closures_on_a_large_playbook() -> None:
    assert agree(seed=3, playbooks=2, shoppers=12, size=400) > 500


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_index_agrees_with_closures(seed: int) -> None:
    agree(seed, playbooks=1, shoppers=8)


@pytest.mark.parametrize("source", LEAVES)
@pytest.mark.parametrize("form", ["{}", "!({})", "returning || {}", "!({} && returning)"])
def test_every_kind_of_test_alone_agrees_on_every_value(source: str, form: str) -> None:
    condition = check(form.format(source), ENVIRONMENT)
    index, holds = build_index([("only", condition)]), compile_condition(condition)
    names = [name for name in condition.attributes if name in VALUES]
    for name in names or ["device"]:
        for value in VALUES[name]:
            for other in (True, False, None):
                values = {"returning": other, name: value} if other is not None else {name: value}
                assert bool(found(index, values, 0, 1)) is (holds(values) is True), values


def test_unknown_refutes_a_test_and_its_negation() -> None:
    both = [check('device == "mobile"', ENVIRONMENT), check('device != "mobile"', ENVIRONMENT)]
    index = build_index(list(enumerate(both)))
    assert found(index, {}, 0, 2) == []
    assert found(index, {"device": "tv"}, 0, 2) == [1]


def test_order_is_priority_and_everyone_always_fits() -> None:
    index = build_index([("a", check("count == 1", ENVIRONMENT)), ("b", None), ("c", check("count >= 1", ENVIRONMENT))])
    assert found(index, {"count": 1}, 0, 3) == [0, 1, 2]
    assert found(index, {"count": 2}, 0, 3) == [1, 2]
    assert found(index, {}, 1, 3) == [1]


def test_a_condition_never_true_has_no_bit() -> None:
    index = build_index([("never", check("returning && !returning", ENVIRONMENT)), ("all", None)])
    assert index.starts == (0, 0, 1)
    assert found(index, {"returning": True}, 0, 2) == [1]


def test_arms_multiply_up_to_the_limit_then_parts_stay_whole_and_are_reported() -> None:
    def clauses(count: int) -> Checked:
        pairs = [f"(count == {n} || score == {n})" for n in range(count)]
        return check(" && ".join(["returning", *pairs]), ENVIRONMENT)

    fits, grows = clauses(6), clauses(7)
    assert len(Arms().of(fits.node)[0]) == MAX_ARMS
    index = build_index([("fits", fits), ("grows", grows)])
    assert index.whole == ("grows",)
    assert index.starts == (0, 64, 65)
    yes = {"returning": True, "count": 3, "score": 4}
    assert found(index, yes, 0, 2) == expected([fits, grows], yes)


def test_a_disjunction_past_the_limit_stays_whole() -> None:
    wide = check(" || ".join(f"count == {n}" for n in range(65)), ENVIRONMENT)
    index = build_index([("wide", wide)])
    assert index.whole == ("wide",)
    assert [found(index, {"count": n}, 0, 1) for n in (0, 64, 65)] == [[0], [0], []]


def test_most_tests_are_indexed_not_residual() -> None:
    conditions = [check(f'total > {n} && device == "mobile" && "acme" in brands', ENVIRONMENT) for n in range(50)]
    assert not build_index(list(enumerate(conditions))).residuals


def test_prefixes_versions_and_moments_are_indexed_not_residual() -> None:
    pages = [check(f'path.startsWith("/{n}") && path != "/{n}/x"', ENVIRONMENT) for n in range(20)]
    others = [
        check(f'app >= version("1.{n}") && now > timestamp("2026-12-{n + 10}T00:00:00Z")', ENVIRONMENT)
        for n in range(20)
    ]
    assert not build_index(list(enumerate(pages + others))).residuals


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab\U0010ffff", max_size=4), max_size=8), st.text("ab\U0010ffff", max_size=6))
def test_the_longest_prefix_is_found(prefixes: list[str], text: str) -> None:
    asked = [check(f"path.startsWith({quote(prefix)})", ENVIRONMENT).node for prefix in prefixes]
    dimension = Dimension(asked)
    longest = max((prefix for prefix in prefixes if text.startswith(prefix)), key=len, default=None)
    at = dimension.begun(text)
    assert (dimension.prefixes[at - TEXTS] if at != OTHER else None) == longest


def test_same_shopper_same_mask() -> None:
    rng = random.Random(5)
    conditions = playbook(rng, 30)
    first, second = (build_index(list(enumerate(conditions))) for _ in range(2))
    for _ in range(20):
        values = random_shopper(rng)
        assert first.matches(values) == second.matches(dict(reversed(values.items())))


# --- the checker must notice planted bugs ---


def _off_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Dimension._step
    monkeypatch.setattr(Dimension, "_step", lambda self, value: plain(self, value) & ~1)


def _negation_holds_when_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Dimension,
        "accepted",
        lambda self, node, *, wanted: self._truth(node)[1] if wanted else ~self._truth(node)[1],
    )


def _profile_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "profile_mask", lambda self, values: self._all)


def _nearest_prefix_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.condition.dimension._shorter", lambda prefixes: [-1] * len(prefixes))


def _named_texts_begin_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def truth(self: Dimension, prefix: str) -> int:
        return plain(self, prefix) & ~((1 << TEXTS + len(self.texts)) - 1)

    plain = Dimension._beginning
    monkeypatch.setattr(Dimension, "_beginning", truth)


def _versions_as_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_letters(text: str) -> object:
        version = to_version(text)
        return None if version is None else tuple(str(part) for part in version[0])

    monkeypatch.setattr("cashwrap.condition.dimension.to_version", by_letters)
    monkeypatch.setattr("cashwrap.condition.index.to_version", by_letters)


def _residuals_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "holds", lambda self, bit, values: True)


def _missing_set_refutes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.condition.index._members", lambda value, members, base, neither: base)


def _arms_of_a_conjunction_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashwrap.condition.arms._all", lambda parts: [arm for part in parts for arm in part])


def _negation_not_pushed_through(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Arms._arms
    monkeypatch.setattr(Arms, "_arms", lambda self, node, *, wanted: plain(self, node, wanted=True))


@pytest.mark.parametrize(
    "plant",
    [
        _off_by_one,
        _negation_holds_when_unknown,
        _residuals_forgotten,
        _profile_forgotten,
        _nearest_prefix_only,
        _named_texts_begin_with_nothing,
        _versions_as_texts,
        _missing_set_refutes_nothing,
        _arms_of_a_conjunction_summed,
        _negation_not_pushed_through,
    ],
)
def test_the_comparison_notices_a_planted_bug(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        agree(seed=7, playbooks=30, shoppers=10)
