"""What answers predictions: values as columns, one row like many, trees like LightGBM's own, arrays from a file."""

from collections.abc import Mapping
from decimal import Decimal
from math import isnan, log1p, nan
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning.data import Column
from cashwrap.learning.predicting import fit
from cashwrap.propensity import Predictor, members, number, text
from cashwrap.propensity import trees as trees_module
from cashwrap.propensity.encoder import Encoder, Known, names_of
from cashwrap.propensity.trees import Trees, parsed
from examples_of import SETTINGS, shoppers


class TestValues:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [(True, 1.0), (False, 0.0), (7, 7.0), (Decimal("2.5"), 2.5), ((7, 2), 3.5), (-3, -3.0)],
    )
    def test_a_number(self, value: Any, expected: float) -> None:
        assert number(value) == expected

    @pytest.mark.parametrize(
        "value", [None, "7", frozenset({"7"}), (7, 0), 10**400, 2**54, Decimal("NaN"), Decimal("Inf")]
    )
    def test_what_is_no_number_is_missing(self, value: Any) -> None:
        assert isnan(number(value))

    def test_a_text(self) -> None:
        told = [text(value) for value in ("mugs", True, False, 12, Decimal("1.50"), None, frozenset({"a"}), (1, 2))]
        assert told == ["mugs", "true", "false", "12", "1.50", "", "", ""]
        assert len(text("x" * 1000)) == 200

    def test_a_set_is_read_alike_from_a_text(self) -> None:
        assert members(frozenset({"b", "a", "c,d"})) == members("d, b ,a,,c,a") == ("a", "b", "c", "d")
        assert members(None) == members(5) == ()
        assert len(members(",".join(str(each) for each in range(1000)))) == 100


class TestEncoder:
    ENCODER = Encoder(
        (
            Known("spent", "number", {}),
            Known("tier", "category", {"gold": (0.5, log1p(10)), "": (0.1, log1p(3))}),
            Known("viewed", "set", {"mugs": (0.4, 1.0), "tea": (0.2, 1.0)}),
        ),
        0.3,
    )

    def test_a_row_by_eye(self) -> None:
        row = self.ENCODER.row({"spent": (300, 2), "tier": "gold", "viewed": frozenset({"tea", "mugs"})})
        assert row.tolist() == pytest.approx([150.0, 0.5, log1p(10), 0.3, 0.4, 0.2, log1p(2)])

    def test_what_was_never_seen_has_the_base_rate(self) -> None:
        row = self.ENCODER.row({"tier": "platinum", "viewed": frozenset({"hats"})})
        assert row.tolist() == pytest.approx([nan, 0.3, 0.0, 0.3, 0.3, 0.3, log1p(1)], nan_ok=True)

    def test_missing_is_a_level_of_its_own_where_it_was_seen(self) -> None:
        row = self.ENCODER.row({"tier": None})
        assert row.tolist() == pytest.approx([nan, 0.1, log1p(3), nan, nan, nan, 0.0], nan_ok=True)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.none() | st.integers(-5, 5),
                st.sampled_from(["gold", "silver", ""]),
                st.sets(st.sampled_from(["mugs", "tea", "hats", "x y"])),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_one_row_is_like_many(self, given_rows: list[tuple[int | None, str, set[str]]]) -> None:
        columns = [
            Column("viewed", "set", np.array([",".join(each) for _, _, each in given_rows], object)),
            Column("unasked", "number", np.zeros(len(given_rows))),
            Column("spent", "number", np.array([nan if each is None else each for each, _, _ in given_rows])),
            Column("tier", "category", np.array([each for _, each, _ in given_rows], object)),
        ]
        rows = [
            self.ENCODER.row({"spent": spent, "tier": tier, "viewed": frozenset(viewed)})
            for spent, tier, viewed in given_rows
        ]
        np.testing.assert_array_equal(self.ENCODER.rows(columns), np.array(rows))

    def test_an_absent_column_is_missing_in_every_row(self) -> None:
        rows = self.ENCODER.rows([Column("unasked", "number", np.zeros(2))])
        np.testing.assert_array_equal(rows, np.array([self.ENCODER.row({})] * 2))

    def test_it_is_data(self) -> None:
        arrays, texts = self.ENCODER.parts()
        again = Encoder.of(arrays, texts)
        assert again.columns == self.ENCODER.columns
        assert again.base == 0.3
        assert again.width == len(names_of(again.columns)) == 7


class Forest(NamedTuple):
    booster: Any
    rows: Any


def forest(seed: int, **more: Any) -> Forest:
    """LightGBM trees of columns some of which have missing values, and rows to ask, on thresholds and off them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, 4)).round(1)
    rows[rng.random(200) < 0.3, 0] = nan
    rows[:, 3] = np.abs(rows[:, 3]) * (rng.random(200) < 0.5)
    label = (rows[:, 1] + np.nan_to_num(rows[:, 0], nan=1.5) + rng.normal(size=200) > 0.5).astype(float)
    parameters = {"objective": "binary", "num_leaves": int(rng.integers(2, 20)), "min_data_in_leaf": 3, "verbose": -1}
    booster = lightgbm.train(
        {**parameters, "num_threads": 1, "seed": seed, **more}, lightgbm.Dataset(rows, label), num_boost_round=7
    )
    asked = np.concatenate([rows[:60], rng.normal(size=(60, 4)) * 3])
    asked[rng.random(asked.shape) < 0.2] = nan
    return Forest(booster, asked)


class TestTrees:
    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, 10_000))
    def test_equal_to_lightgbm_with_missing_values(self, seed: int) -> None:
        booster, rows = forest(seed)
        found = parsed(booster.model_to_string())
        expected = booster.predict(rows, raw_score=True)
        np.testing.assert_allclose(found.scores(rows), expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose([found.score(row) for row in rows], expected, rtol=0, atol=1e-9)

    def test_the_comparison_sees_missing_values_that_go_the_wrong_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trees_module, "_copy", lambda decision: 2)
        booster, rows = forest(5)
        found = parsed(booster.model_to_string())
        assert np.abs(found.scores(rows) - booster.predict(rows, raw_score=True)).max() > 0.01

    def test_a_tree_that_is_one_leaf(self) -> None:
        booster, rows = forest(1, min_data_in_leaf=500)
        found = parsed(booster.model_to_string())
        np.testing.assert_allclose(found.scores(rows), booster.predict(rows, raw_score=True), rtol=0, atol=1e-9)

    def test_arrays_come_back(self) -> None:
        found = parsed(forest(3).booster.model_to_string())
        again = Trees.of(found.parts())
        assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))

    @pytest.mark.parametrize(
        "more",
        [
            {"objective": "multiclass", "num_class": 2},
            {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            {"zero_as_missing": True},
            {"linear_tree": True},
            {"categorical_feature": "3", "min_data_per_group": 1, "max_cat_to_onehot": 1, "cat_smooth": 0.1},
        ],
    )
    def test_what_we_do_not_train_is_refused(self, more: Mapping[str, Any]) -> None:
        rng = np.random.default_rng(2)
        rows = rng.integers(0, 4, size=(200, 4)).astype(float)
        label = (rows[:, 3] % 2).astype(float)
        parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, **more}
        categorical = [int(parameters.pop("categorical_feature"))] if "categorical_feature" in parameters else "auto"
        data = lightgbm.Dataset(rows, label, categorical_feature=categorical, params=parameters)
        model = lightgbm.train(parameters, data, num_boost_round=2).model_to_string()
        with pytest.raises(InvalidInput, match="not ours") as refused:
            parsed(model)
        assert refused.value.code == "unknown_trees"


class TestPredictor:
    @pytest.mark.parametrize("model", ["trees", "line", "both"])
    def test_one_row_is_like_many_and_arrays_may_be_mapped(self, model: str, tmp_path: Path) -> None:
        table = shoppers(300)
        artefact = fit(table, {**SETTINGS, "model": model}, lambda _, __: None)
        mapped = {}
        for name, array in artefact.arrays.items():
            np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
            mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        predictor = Predictor.of(Artefact("predictor", mapped, artefact.texts, artefact.settings))
        many = Predictor.of(artefact).predict_many(table.columns)
        rows = [
            {
                column.name: None if column.values[at] in ("", nan) else _value(column.kind, column.values[at])
                for column in table.columns
            }
            for at in range(50)
        ]
        np.testing.assert_allclose([predictor.predict(row) for row in rows], many[:50], rtol=0, atol=1e-12)
        assert predictor.columns == ("visits", "spent", "tier", "viewed")
        assert 0.0 < predictor.predict({}) < 1.0

    def test_another_kind_of_model_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="not 'affinity'"):
            Predictor.of(Artefact("predictor", {}, {}, {"model": "affinity"}))


def _value(kind: str, value: Any) -> Any:
    if kind == "number":
        return None if isnan(value) else Decimal(repr(float(value)))
    return frozenset(value.split(",")) if kind == "set" else value
