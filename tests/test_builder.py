"""Conditions as rows and back: nothing is lost, nothing means something else, and mistakes stand where they are."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.condition import ConditionError, Type, check, compile_condition
from cashwrap.editing import builder
from cashwrap.editing.builder import DEPTH, OF_TYPE, OPERATORS, Group, Row, Written, problems, rows_of, text_of, walk
from condition_language import ENVIRONMENT, Sampler

SEEDS = st.integers(0, 2**32)


def same_meaning(first: str, second: str, sampler: Sampler) -> bool:
    one, other = (compile_condition(check(text, ENVIRONMENT)) for text in (first, second))
    return all(one(values) is other(values) for values in (sampler.values() for _ in range(8)))


# --- laws ---


@given(SEEDS)
def test_text_to_rows_and_back_means_the_same(seed: int) -> None:
    sampler = Sampler(seed)
    text = sampler.condition()
    rows = rows_of(text)
    assert same_meaning(text, text_of(rows), sampler), (text, text_of(rows))
    assert not problems(rows, ENVIRONMENT)


@given(SEEDS)
def test_rows_of_a_text_come_back_from_their_text_as_they_are(seed: int) -> None:
    rows = rows_of(Sampler(seed).condition())
    assert rows_of(text_of(rows)) == rows


VALUES = {"text": ["shoes", 'a"b', "é", "two words", "a, b"], "number": ["0", "-2", "12.50", "100"],
          "moment": ["2026-12-24T18:00:00Z"], "version": ["2.10.0"], "nothing": []}  # fmt: skip
ATTRIBUTES = ("cart.total", "orders", "device.type", "subscribed", "wishlist", "category_views[*]", "now",
              "app.version", "traits.city", "size(wishlist)", "average_order", "segments")  # fmt: skip


def some_row(pick: random.Random) -> Row:
    """A row that the checker takes."""
    attribute = pick.choice(ATTRIBUTES)
    code = pick.choice(builder.operators_of(attribute, ENVIRONMENT))
    if code in ("known", "unknown") and attribute.startswith("size("):
        code = "ge"
    if attribute == "segments":
        return Row(attribute, code, (pick.choice(["vip", "new_visitor"]),))
    operator = OPERATORS[code]
    wanted = VALUES[operator.wants]
    count = pick.randint(1, 3) if operator.many else min(1, len(wanted))
    values = tuple(pick.choice(wanted) for _ in range(count))
    return Row(attribute, code, values, "shoes" if attribute.endswith("[*]") else "")


def some_group(pick: random.Random, kinds: tuple[builder.Kind, ...], depth: int) -> Group:
    """A group as ``rows_of`` makes them: two parts at least, none of its own kind."""
    kind = pick.choice(kinds)
    below: tuple[builder.Kind, ...] = ("any", "none") if kind == "all" else ("all", "none")
    parts: list[builder.Part] = [
        some_group(pick, below, depth + 1) if depth < DEPTH and pick.random() < 0.3 else some_row(pick)
        for _ in range(pick.randint(2, 3))
    ]
    return Group(kind, tuple(parts))


@given(SEEDS)
def test_rows_to_text_and_back_are_the_same_rows(seed: int) -> None:
    rows = some_group(random.Random(seed), ("all", "any", "none"), 1)
    text = text_of(rows)
    check(text, ENVIRONMENT)
    assert rows_of(text) == rows


@given(SEEDS)
def test_whatever_rows_there_are_their_text_passes_or_a_message_stands_at_them(seed: int) -> None:
    pick = random.Random(seed)

    def anything(depth: int) -> builder.Part:
        choice = pick.random()
        if choice < 0.3 and depth < 5:
            kind: builder.Kind = pick.choice(["all", "any", "none"])
            return Group(kind, tuple(anything(depth + 1) for _ in range(pick.randint(0, 3))))
        if choice < 0.45:
            return Written(pick.choice(["orders > 1 || orders < 0", "nonsense(", "", "a.b == 1", "true"]))
        attribute = pick.choice([*ATTRIBUTES, "", "no.such", "size(", "1", "a b"])
        values = tuple(pick.choice(["", "x", "1", '"', "1 || 2", "timestamp"]) for _ in range(pick.randint(0, 2)))
        return Row(attribute, pick.choice([*OPERATORS, "", "x"]), values, pick.choice(["", "shoes"]))

    rows = Group("all", tuple(anything(1) for _ in range(3)))
    found = problems(rows, ENVIRONMENT)
    text = text_of(rows)
    if not found:
        check(text, ENVIRONMENT)
    else:
        paths = dict(walk(rows))
        assert all(path in paths and text for path, text in found.items() if path)


def test_a_planted_mistake_in_printing_is_found() -> None:
    """Groups printed without their parentheses, as a careless printer would, mean something else."""
    rows = rows_of('(orders > 1 || subscribed) && "vip" in segments')
    careless = " && ".join(text_of(Group("all", (part,))) for part in rows.parts)
    assert careless == 'orders > 1 || subscribed && "vip" in segments'
    assert rows_of(careless) != rows
    assert not all(same_meaning(text_of(rows), careless, Sampler(seed)) for seed in range(20))


# --- examples ---


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", Group()),
        ("cart.total > 49.90", Group("all", (Row("cart.total", "gt", ("49.90",)),))),
        ("200 <= cart.total", Group("all", (Row("cart.total", "ge", ("200",)),))),
        ('"vip" in segments', Group("all", (Row("segments", "has", ("vip",)),))),
        ("segments.vip", Group("all", (Row("segments", "has", ("vip",)),))),
        ('!("vip" in segments)', Group("all", (Row("segments", "has_not", ("vip",)),))),
        ("!subscribed", Group("all", (Row("subscribed", "no"),))),
        ("subscribed == false", Group("all", (Row("subscribed", "no"),))),
        ("!has(locale)", Group("all", (Row("locale", "unknown"),))),
        ('locale in ["de", "at"]', Group("all", (Row("locale", "one_of", ("de", "at")),))),
        ("!(orders in [1, 2])", Group("all", (Row("orders", "not_among", ("1", "2")),))),
        ('category_views["shoes"] >= 3', Group("all", (Row("category_views[*]", "ge", ("3",), "shoes"),))),
        ("size(wishlist) > 2", Group("all", (Row("size(wishlist)", "gt", ("2",)),))),
        ('now < timestamp("2026-12-24T18:00:00Z")', Group("all", (Row("now", "before", ("2026-12-24T18:00:00Z",)),))),
        ('app.version >= version("2.10")', Group("all", (Row("app.version", "from", ("2.10",)),))),
        ('locale.startsWith("de")', Group("all", (Row("locale", "starts", ("de",)),))),
        ("orders == 1 || orders == 3", Group("any", (Row("orders", "eq", ("1",)), Row("orders", "eq", ("3",))))),
        ("!(orders == 1 || orders == 3)", Group("none", (Row("orders", "eq", ("1",)), Row("orders", "eq", ("3",))))),
        ("!(orders == 1)", Group("none", (Row("orders", "eq", ("1",)),))),
        ("cart.total > cart.shipping", Group("all", (Written("cart.total > cart.shipping"),))),
        ('locale == ""', Group("all", (Written('locale == ""'),))),
        ('locale == "a\\nb"', Group("all", (Written('locale == "a\\nb"'),))),
        ("true", Group("all", (Written("true"),))),
    ],
)
def test_how_conditions_look_as_rows(text: str, rows: Group) -> None:
    assert rows_of(text) == rows


def test_what_nests_deeper_than_groups_do_stays_as_it_is_written() -> None:
    deep = "orders > 1 && (orders > 2 || orders > 3 && (orders > 4 || orders > 5 && orders > 6))"
    rows = rows_of(deep)
    assert [part for _, part in walk(rows) if isinstance(part, Written)] == [
        Written("orders > 4 || orders > 5 && orders > 6")
    ]
    assert text_of(rows) == deep


def test_a_condition_of_very_many_parts_is_one_part_as_written() -> None:
    text = " || ".join(f"orders == {number}" for number in range(builder.ROWS + 1))
    assert rows_of(text) == Group("all", (Written(text),))


def test_a_text_that_is_no_condition_says_where() -> None:
    with pytest.raises(ConditionError):
        rows_of("orders >")


def test_messages_stand_at_their_rows() -> None:
    rows = Group(
        "all",
        (
            Row("cart.total", "gt", ("1.234",)),
            Group("any", (Row("device.type", "is", ("",)), Row("segments", "has", ("vipp",)))),
            Row("orders", "gt", ("many",)),
            Row("", "", ()),
            Row("category_views[*]", "ge", ("1",)),
            Group("any"),
            Written("orders >"),
        ),
    )
    found = problems(rows, ENVIRONMENT)
    assert "2 digits after the point" in found[0,]
    assert found[1, 0] == "Enter a value."
    assert found[1, 1] == "vipp is not a segment; did you mean vip?"
    assert found[2,] == "Write a number, such as 12 or 12.50."
    assert found[3,] == "Choose what this is about."
    assert found[4,] == "Enter which one is meant."
    assert "empty" in found[5,]
    assert "the condition ends here" in found[6,]
    assert text_of(rows) == 'cart.total > 1.234 && "vipp" in segments'


def test_what_only_the_whole_is_too_long_for_stands_at_the_top() -> None:
    rows = Group("any", tuple(Row("wishlist", "has", (f"p{number}",)) for number in range(99)))
    assert not problems(rows, ENVIRONMENT)
    assert list(problems(Group("all", (rows, rows, rows)), ENVIRONMENT)) == [()]


def test_every_type_has_operators_and_every_operator_a_type() -> None:
    assert set(OF_TYPE) == set(Type)
    assert {code for codes in OF_TYPE.values() for code in codes} == set(OPERATORS)
