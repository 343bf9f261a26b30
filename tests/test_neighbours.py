"""Neighbours of a visit against the rule said plainly, session by session."""

from collections.abc import Sequence
from math import exp, log, log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.learning import neighbours
from cashwrap.learning.blending import tables
from cashwrap.learning.data import Interactions
from cashwrap.recommend.asked import NOBODY, Asked
from cashwrap.recommend.blend import LEVELS, Trees
from cashwrap.recommend.neighbours import Index, Neighbours, Shape

ITEMS = 8
SESSIONS = st.lists(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=6), min_size=1, max_size=12)
SHAPE = Shape(newest=3, nearest=100, fade=1.5, near=2.0, before=0.6, rare=2.0, dwell=0.4, kinds=(1.0, 2.0, 0.5, 1.0))


def of(sessions: Sequence[Sequence[int]]) -> Interactions:
    """Sessions a day apart."""
    lengths = [len(each) for each in sessions]
    item = np.array([item for each in sessions for item in each], np.int32)
    return Interactions(
        items=tuple(map(str, range(ITEMS))),
        item=item,
        kind=np.zeros(len(item), np.int8),
        time=np.repeat(np.arange(len(sessions)) * 86_400_000, lengths),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        user=np.full(len(sessions), -1, np.int32),
        part=np.zeros(len(sessions), np.int8),
        explored=np.zeros(len(sessions), np.bool_),
    )


def plainly(sessions: Sequence[Sequence[int]], asked: Asked) -> dict[int, float]:
    """The score of each item: sessions that share items, their items by how near they are to the newest shared one."""
    visit = asked.recent.tolist()
    newest = list(dict.fromkeys(reversed(visit)))[: SHAPE.newest]
    weight = {}
    for place, item in enumerate(newest):
        at = max(index for index, each in enumerate(visit) if each == item)
        looked = float(asked.ages[at] - asked.ages[at + 1]) if at + 1 < len(visit) else 0.0
        among = sum(item in each for each in sessions)
        rarity = max(log((len(sessions) + 1) / (among + 1) + 1e-6), 0.01)
        done = SHAPE.kinds[asked.kinds[at]] * (1 + SHAPE.dwell * log1p(looked / 60))
        weight[item] = exp(-place / SHAPE.fade) * rarity**SHAPE.rare * done
    scores: dict[int, float] = {}
    for number, session in enumerate(sessions):
        shared = [item for item in newest if item in session]
        if not shared:
            continue
        worth = exp(-(len(sessions) - 1 - number) / 5) / len(session) ** 0.5
        alike = sum(weight[item] for item in shared) * worth
        middle = max(index for index, each in enumerate(session) if each == shared[0])
        for place, item in enumerate(session):
            near = exp(-abs(place - middle) / SHAPE.near) * (SHAPE.before if place < middle else 1.0)
            scores[item] = scores.get(item, 0.0) + alike * near
    return scores


@settings(max_examples=60, deadline=None)
@given(
    SESSIONS,
    st.lists(st.tuples(st.integers(0, ITEMS - 1), st.integers(0, 3), st.integers(0, 300)), min_size=1, max_size=6),
)
def test_neighbours_are_as_the_rule_says(sessions: list[list[int]], visit: list[tuple[int, int, int]]) -> None:
    items, kinds, gaps = zip(*visit, strict=True)
    ages = np.cumsum(np.array(gaps, np.float32)[::-1])[::-1]
    asked = NOBODY._replace(recent=np.array(items, np.int32), kinds=np.array(kinds, np.int8), ages=ages)
    arrays, _ = neighbours.build(of(sessions), {"age": 5.0, "length": 0.5})
    found = Neighbours(Index.of(arrays, ITEMS), SHAPE).candidates(asked)
    expected = plainly(sessions, asked)
    assert sorted(found.items.tolist()) == sorted(expected)
    for item, score in zip(found.items.tolist(), found.scores.tolist(), strict=True):
        assert score == pytest.approx(expected[item], rel=1e-4)


def test_the_oracle_sees_a_wrong_rule() -> None:
    sessions = [[0, 1, 2], [2, 1, 3], [4, 5]]
    asked = NOBODY._replace(recent=np.array([1], np.int32), kinds=np.zeros(1, np.int8), ages=np.zeros(1, np.float32))
    arrays, _ = neighbours.build(of(sessions), {"age": 5.0, "length": 0.5})
    wrong = Neighbours(Index.of(arrays, ITEMS), SHAPE._replace(before=1.0)).candidates(asked)
    expected = plainly(sessions, asked)
    assert any(
        score != pytest.approx(expected[item], rel=1e-4)
        for item, score in zip(wrong.items.tolist(), wrong.scores.tolist(), strict=True)
    )


def test_the_newest_sessions_of_an_item_are_kept() -> None:
    arrays, _ = neighbours.build(of([[0, 1]] * 1_200), {})
    assert len(arrays["session.postings"]) == 2 * neighbours.KEPT
    assert int(arrays["session.postings"][0] >> 16) == 200


def test_what_comes_after_follows_more_than_what_comes_before() -> None:
    arrays, _ = neighbours.build_follows(of([[0, 1, 2]] * 4), {})
    low, high = arrays["follows.offsets"][1:3]
    assert arrays["follows.items"][low:high].tolist() == [0, 2]
    assert arrays["follows.scores"][low:high].tolist() == pytest.approx([0.5, 1.0])


def test_plain_vsknn_by_hand() -> None:
    arrays, _ = neighbours.build(of([[0, 1], [0, 2], [3, 4]]), {}, 100)
    index = Index.of(arrays, ITEMS)
    asked = NOBODY._replace(recent=np.array([3, 0], np.int32))
    found = neighbours.Vsknn(index).candidates(asked)
    scores = dict(zip(found.items.tolist(), found.scores.tolist(), strict=True))
    assert scores[1] == scores[2] == pytest.approx(1.0 * (1 + log(4 / 2)), rel=1e-4)
    assert scores[4] == pytest.approx(0.5 / 2 * (1 + log(4 / 2)), rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_masks_find_the_leaf_that_a_walk_finds(seed: int) -> None:
    chance = np.random.default_rng(seed)

    def grown(leaves: int) -> dict[str, Any]:
        if leaves == 1:
            return {"leaf_value": float(chance.normal())}
        left = int(chance.integers(1, leaves))
        return {
            "split_feature": int(chance.integers(0, 3)),
            "threshold": float(chance.integers(0, LEVELS)),
            "left_child": grown(left),
            "right_child": grown(leaves - left),
        }

    def walked(node: dict[str, Any], row: Any) -> float:
        while "split_feature" in node:
            side = "left_child" if row[node["split_feature"]] <= node["threshold"] else "right_child"
            node = node[side]
        return float(node["leaf_value"])

    trees = [grown(int(chance.integers(1, 17))) for _ in range(4)]
    levels = chance.integers(0, LEVELS, (3, 20)).astype(np.uint8)
    found = Trees(*tables(trees, 3)).scores(levels)
    assert found.tolist() == pytest.approx([sum(walked(tree, row) for tree in trees) for row in levels.T], abs=1e-5)
