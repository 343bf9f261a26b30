"""What is bought together: counts against a naive oracle, damping by hand, substitutes, small groups, bad input."""

import math
import random
from collections import Counter, defaultdict
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.learning import tables
from cashwrap.learning.data import Interactions
from cashwrap.learning.lines import bought, lines, viewed
from cashwrap.learning.tables import DEFAULTS, build, counted
from cashwrap.model import Product
from cashwrap.recommend.asked import ADD, NOBODY, ORDER, VIEW
from cashwrap.recommend.tables import MOST, Table, Together
from handmade import artefact, asks, interactions, named

PLAIN = {**DEFAULTS, "few": 1, "half_life": 0, "near": 0, "damp": 0, "given": 0.5, "wanted": 0.5, "sharp": 1, "size": 0}


def together(data: Interactions, chosen: dict[str, float], *basket: str) -> dict[str, float]:
    arrays, _ = build(data, chosen)
    return named(data, Together.of(artefact(arrays), len(data.items)).candidates(asks(data, basket)))


# --- by eye ---


def test_the_score_of_plain_counts_is_the_cosine() -> None:
    data = interactions([["tea", "cup"], ["tea", "cup"], ["tea", "pot"], ["tea"]])
    found = together(data, PLAIN, "tea")
    assert found == pytest.approx({"cup": 2 / math.sqrt(4 * 2), "pot": 1 / math.sqrt(4 * 1)})


def test_a_cart_adds_up_what_its_items_know() -> None:
    data = interactions([["tea", "cup"], ["tea", "spoon"], ["milk", "spoon"], ["milk", "jug"]])
    found = together(data, PLAIN, "tea", "milk")
    assert next(iter(found)) == "spoon"
    assert found["spoon"] == pytest.approx(2 * 1 / math.sqrt(2 * 2))


def test_damping_lets_popular_items_and_single_orders_say_less() -> None:
    orders = [["tea", "bag"], ["tea", "cup"], ["tea", "cup"], *([["bag"]] * 30), ["tea", "rare"]]
    data = interactions(orders)
    plain = together(data, PLAIN, "tea")
    assert next(iter(plain)) == "cup"
    assert plain["rare"] > plain["bag"]
    damped = together(data, {**PLAIN, "damp": 10}, "tea")
    assert damped["rare"] / damped["cup"] < plain["rare"] / plain["cup"]


def test_large_orders_old_orders_and_far_lines_say_less() -> None:
    size = interactions([["a", "b"], ["a", "c", "d", "e", "f"]])
    found = together(size, {**PLAIN, "size": 1}, "a")
    assert found["b"] == pytest.approx(found["c"] * 5 / 2)
    age = interactions([["a", "b"], ["a", "c"]], days=[0, 90])
    found = together(age, {**PLAIN, "half_life": 90, "wanted": 0}, "a")
    assert found["c"] == pytest.approx(2 * found["b"])
    near = interactions([["a", "b", "x", "y", "z", "c"]])
    found = together(near, {**PLAIN, "near": 0.5}, "a")
    assert found["b"] == pytest.approx(0.5 + 0.5 * math.exp(-1 / 2))
    assert found["c"] == pytest.approx(0.5 + 0.5 * math.exp(-5 / 2))


def test_an_empty_cart_asks_what_was_looked_at_last() -> None:
    data = interactions([["tea", "cup"]])
    arrays, _ = build(data, PLAIN)
    source = Together.of(artefact(arrays), 2)
    assert named(data, source.candidates(asks(data, recent=["tea", "tea"]))) == pytest.approx({"cup": 1.0})
    assert not len(source.candidates(NOBODY).items)


# --- substitutes ---

PHONES = {
    "phone": Product("phone", title="Phone red 64 GB", category="phones"),
    "other": Product("other", title="Other maker's device", category="phones"),
    "twin": Product("twin", title="Phone red 64 GB", category="phones"),
    "case": Product("case", title="Leather cover", category="cases"),
}


def test_what_is_looked_at_instead_is_pushed_down() -> None:
    views, orders = [["phone", "other"]] * 40, [["phone", "other"]] * 6 + [["phone", "case"]] * 5
    chosen = {**PLAIN, "wanted": 0}
    assert next(iter(together(interactions(orders), chosen, "phone"))) == "other"  # without views nobody can know
    both = interactions(views + orders, kinds=[VIEW] * 40 + [ORDER] * 11)
    assert next(iter(together(both, {**chosen, "substitutes": 1}, "phone"))) == "case"
    assert next(iter(together(both, {**chosen, "substitutes": 0}, "phone"))) == "other"


def test_what_is_described_alike_in_one_category_is_pushed_down_where_views_tell_of_choices() -> None:
    orders = [["phone", "twin"]] * 6 + [["phone", "case"]] * 5
    data = interactions([["case", "other"], *orders], kinds=[VIEW] + [ORDER] * len(orders), catalogue=PHONES)
    found = together(data, {**PLAIN, "wanted": 0, "substitutes": 1}, "phone")
    assert list(found) == ["case", "twin"]
    assert next(iter(together(data, {**PLAIN, "wanted": 0, "substitutes": 0}, "phone"))) == "twin"


# --- small groups ---


def test_pairs_and_items_of_too_few_shoppers_are_in_no_row() -> None:
    loyal = [["tea", "secret"]] * 5  # often, and always the same shopper
    three = [["tea", "cup"]] * 3
    data = interactions(loyal + three, users=[0] * 5 + [1, 2, 3])
    assert list(together(data, {**PLAIN, "few": 3}, "tea")) == ["cup"]
    assert list(together(data, {**PLAIN, "few": 1}, "tea")) == ["secret", "cup"]
    unknown = interactions(three)  # orders of nobody known are each somebody's own
    assert list(together(unknown, {**PLAIN, "few": 3}, "tea")) == ["cup"]
    assert not together(unknown, {**PLAIN, "few": 4}, "tea")


def test_a_pair_that_shoppers_bought_in_different_orders_is_none() -> None:
    data = interactions([["tea", "x"], ["cup", "x"]] * 3, users=[0, 0, 1, 1, 2, 2])
    assert set(together(data, {**PLAIN, "few": 3}, "tea")) == {"x"}


# --- against a naive oracle ---

ORDERS = st.lists(
    st.tuples(st.integers(-1, 3), st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=8)), min_size=1, max_size=25
)


@settings(max_examples=40, deadline=None)
@given(ORDERS, st.integers(1, 3), st.sampled_from([0.0, 0.5]), st.sampled_from([1, 7, 4_000_000]))
def test_counts_agree_with_counting_by_hand(
    orders: list[tuple[int, list[str]]], few: int, near: float, block: int
) -> None:
    data = interactions([items for _, items in orders], users=[user for user, _ in orders])
    told = _naive(orders, few, near)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables, "BLOCK", block)
        found = {
            (data.items[a], data.items[b]): (count, shoppers, weight)
            for part in counted(bought(data), weighed={"half_life": 0, "size": 0.5, "near": near}, few=few)
            for a, b, count, shoppers, weight in zip(*part, strict=True)
        }
    assert {pair: counts[:2] for pair, counts in found.items()} == {pair: counts[:2] for pair, counts in told.items()}
    assert {pair: found[pair][2] for pair in found} == pytest.approx({pair: told[pair][2] for pair in told})


def _naive(orders: list[tuple[int, list[str]]], few: int, near: float) -> dict[tuple[str, str], tuple[int, int, float]]:
    baskets = [
        (f"user {user}" if user >= 0 else f"order {at}", list(dict.fromkeys(items)))
        for at, (user, items) in enumerate(orders)
    ]
    buyers = defaultdict(set)
    for who, items in baskets:
        for item in items:
            buyers[item].add(who)
    count: Counter[tuple[str, str]] = Counter()
    weight: defaultdict[tuple[str, str], float] = defaultdict(float)
    shoppers = defaultdict(set)
    for who, items in baskets:
        left = [item for item in items if len(buyers[item]) >= few]
        for (i, a), (j, b) in combinations(enumerate(left), 2):
            nearness = math.exp(-abs(i - j) / 2) if abs(i - j) <= tables.REACH else 0.0
            for pair in ((a, b), (b, a)):
                count[pair] += 1
                shoppers[pair].add(who)
                weight[pair] += (1 - near + near * nearness) / math.sqrt(len(left))
    return {pair: (count[pair], len(shoppers[pair]), weight[pair]) for pair in count if len(shoppers[pair]) >= few}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_sums_of_rows_agree_with_adding_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    items = 20
    rows = [sorted(chance.sample(range(items), chance.randint(0, 6))) for _ in range(items)]
    scores = [[chance.random() for _ in row] for row in rows]
    table = Table(
        np.cumsum([0, *map(len, rows)]),
        np.array(list(chain.from_iterable(rows)), np.int32),
        np.array(list(chain.from_iterable(scores)), np.float32),
    )
    asked = chance.sample(range(items), chance.randint(0, 5))
    told: defaultdict[int, float] = defaultdict(float)
    for place, item in enumerate(asked):
        for other, score in zip(rows[item], scores[item], strict=True):
            told[other] += score * (place + 1)
    found = table.sums(np.array(asked, np.int32), np.arange(1, len(asked) + 1, dtype=np.float32))
    assert dict(zip(found.items.tolist(), found.scores.tolist(), strict=True)) == pytest.approx(dict(told))


def test_an_answer_has_a_bound_and_keeps_the_best() -> None:
    table = Table(np.array([0, 1000]), np.arange(1000, dtype=np.int32), np.arange(1000, dtype=np.float32))
    found = table.sums(np.zeros(1, np.int32), np.ones(1, np.float32))
    assert sorted(found.items) == list(range(1000 - MOST, 1000))


# --- bad input ---


def test_one_item_alone_and_nothing_at_all_make_empty_tables() -> None:
    for data in (interactions([["only"]] * 5), interactions([])):
        arrays, _ = build(data, {})
        assert len(arrays["together.offsets"]) == len(data.items) + 1
        assert not len(arrays["together.items"])


def test_an_order_of_a_hundred_thousand_lines_costs_its_first_ones_only_and_is_told() -> None:
    long = interactions([["a", "b"]] * 3)
    items = tuple(f"item {number}" for number in range(100_000))
    data = long._replace(
        items=(*long.items, *items),
        item=np.concatenate((long.item, np.arange(2, 100_002, dtype=np.int32))),
        kind=np.full(100_006, ORDER, np.int8),
        time=np.zeros(100_006, np.int64),
        offsets=np.append(long.offsets, 100_006),
        user=np.full(4, -1, np.int32),
        part=np.zeros(4, np.int8),
        explored=np.zeros(4, np.bool_),
    )
    arrays, texts = build(data, {"few": 1})
    assert len(arrays["together.items"]) == 2 + 200 * 100  # rows of the first 200 lines, each as long as rows get
    assert texts["together.notes"] == "Of orders with more than 200 items the others, 99,800 in all, were left out."


def test_a_million_items_with_few_orders_cost_little_more_than_their_offsets() -> None:
    few = interactions([["a", "b"]] * 3)
    data = few._replace(items=tuple(map(str, range(1_000_000))))
    arrays, _ = build(data, {})
    assert sum(array.nbytes for array in arrays.values()) < 9_000_000
    assert len(arrays["together.items"]) == 2


def test_a_table_of_other_items_is_refused() -> None:
    arrays, _ = build(interactions([["a", "b"]] * 3), {})
    with pytest.raises(ValueError, match="does not fit 5 items"):
        Together.of(artefact(arrays), 5)


# --- what counts ---


def test_what_was_bought_counts_else_what_was_put_into_carts_else_all() -> None:
    rows = [["a", "b"], ["c", "d"], ["e", "f"]]
    kinds = [VIEW, ADD, ORDER]
    for left, expected in ((3, "ef"), (2, "cd"), (1, "ab")):
        data = interactions(rows[:left], kinds=kinds[:left])
        assert {data.items[item] for item in bought(data).item} == set(expected)
    assert not len(viewed(interactions(rows[1:], kinds=kinds[1:])).item)


def test_an_item_counts_once_a_session_where_it_came_first() -> None:
    data = interactions([["b", "a", "b"], [], ["c"]])
    told = lines(data, np.ones(4, np.bool_))
    assert [data.items[item] for item in told.item] == ["b", "a", "c"]
    assert told.session.tolist() == [0, 0, 2]
