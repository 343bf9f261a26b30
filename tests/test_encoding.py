"""Rates of levels that no row's own label is part of: against a naive oracle, and against a planted leak."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.learning.encoding import FEWEST_SHOPPERS, Levels, encoded, folds_of, kept, levels_of, of_others
from cashwrap.learning.measures import auc
from examples_of import shoppers, table_of

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=1, max_size=14
)


def table(rows: list[tuple[str, int, int, bool]], *, clock: bool) -> Any:
    rows = sorted(rows, key=lambda row: row[1])
    return table_of(
        {"level": [level for level, _, _, _ in rows]},
        [float(label) for _, _, _, label in rows],
        clock=clock,
        time=np.array([time for _, time, _, _ in rows], np.int64),
        group=np.array([group for _, _, group, _ in rows], np.int32),
    )


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, clock=st.booleans())
def test_agrees_with_the_naive_rule(rows: list[tuple[str, int, int, bool]], *, clock: bool) -> None:
    made = table(rows, clock=clock)
    values, fold = made.columns[0].values, folds_of(made.group)
    ups, count = of_others(made, levels_of(made.columns[0]))
    for at in range(len(values)):
        others = [
            made.label[other]
            for other in range(len(values))
            if values[other] == values[at]
            and made.group[other] != made.group[at]
            and (made.time[other] < made.time[at] if clock else fold[other] != fold[at])
        ]
        assert (ups[at], count[at]) == (sum(others), len(others))


class TestALeakPlanted:
    """Labels by chance and a level for every few rows: whoever is told more than chance was told the label."""

    ROWS = 2000

    def made(self, *, clock: bool) -> Any:
        rng = np.random.default_rng(11)
        level = rng.integers(0, self.ROWS // 3, self.ROWS).astype(str)
        return table_of({"level": level}, rng.integers(0, 2, self.ROWS).astype(float), clock=clock)

    @pytest.mark.parametrize("clock", [True, False])
    def test_ours_tells_nothing(self, *, clock: bool) -> None:
        made = self.made(clock=clock)
        _, rows = encoded(made, 10.0)
        assert abs(auc(rows[:, 0], made.label) - 0.5) < 0.05

    def test_a_rate_with_the_own_label_in_it_would_be_seen(self) -> None:
        made = self.made(clock=False)
        encoder, _ = encoded(made, 10.0)
        assert auc(encoder.rows(made.columns)[:, 0], made.label) > 0.8

    def test_so_would_one_of_the_own_group(self) -> None:
        """Each order has three rows with the same label and level."""
        made = self.made(clock=True)
        group = np.arange(self.ROWS, dtype=np.int32) // 3
        label = made.label[group]
        level = np.array([f"order {each}" for each in group], object)
        same = made._replace(
            columns=(made.columns[0]._replace(values=level),), label=label, group=group, time=np.arange(self.ROWS)
        )
        _, apart = encoded(same, 10.0)
        _, together = encoded(same._replace(group=np.arange(self.ROWS, dtype=np.int32)), 10.0)
        assert abs(auc(apart[:, 0], label) - 0.5) < 0.05
        assert auc(together[:, 0], label) > 0.8


def test_what_is_learned_last_is_what_a_server_reads() -> None:
    """The row after all others is told what everybody after training is told."""
    made = shoppers(120, clock=True)
    encoder, rows = encoded(made, 10.0)
    before, _ = encoded(
        made._replace(
            **{name: getattr(made, name)[:-1] for name in ("label", "time", "group", "part", "explored")},
            columns=tuple(each._replace(values=each.values[:-1]) for each in made.columns),
        ),
        10.0,
    )
    shift = encoder.base - before.base
    last = before.rows([each._replace(values=each.values[-1:]) for each in made.columns])
    np.testing.assert_allclose(rows[-1], last[0], atol=abs(shift) + 1e-12)
    assert encoder.width == rows.shape[1]


def test_rates_by_eye() -> None:
    made = table_of({"tier": ["a", "a", "b", "b"], "n": [1.0, np.inf, np.nan, 2.0]}, [1, 1, 0, 1])
    encoder, rows = encoded(made, 2.0)
    level = dict(encoder.columns[0].levels)
    assert level["a"] == pytest.approx((3.5 / 4, np.log1p(2)))
    assert level["b"] == pytest.approx((2.5 / 4, np.log1p(2)))
    assert np.isnan(rows[1, 2])
    assert np.isnan(rows[2, 2])


def test_a_level_of_few_shoppers_is_not_kept() -> None:
    few = FEWEST_SHOPPERS - 1
    level = ["many"] * 10 + ["few"] * 10
    group = np.array([*range(10), *([10] * (10 - few + 1)), *range(11, 10 + few)], np.int32)
    made = table_of({"tier": level}, [0, 1] * 10, group=group, subjects=tuple(bytes([each]) for each in range(20)))
    assert len(np.unique(group[10:])) == few
    encoder, rows = encoded(made, 10.0)
    assert list(encoder.columns[0].levels) == ["many"]
    assert set(rows[10:, 0]) == {0.5}
    assert set(rows[10:, 1]) == {0.0}
    assert len(encoded(made._replace(subjects=()), 10.0)[0].columns[0].levels) == 2


def test_a_column_of_sets_has_a_level_for_each_member() -> None:
    made = table_of({"viewed": ["a,b", "", "b,b,c"]}, [0, 1, 0])
    levels = levels_of(made.columns[0])
    assert levels.names == ("a", "b", "c")
    assert levels.row.tolist() == [0, 0, 2, 2]
    assert levels.level.tolist() == [0, 1, 1, 2]
    assert kept(made, levels) is levels
    assert isinstance(levels, Levels)
