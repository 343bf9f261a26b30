"""Search, fit and baselines: on examples whose truth is known, and on those that nothing can be learned from."""

from typing import Any

import msgspec
import numpy as np
import pytest

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import scorers
from cashwrap.learning.data import TEST, TRAIN, VALID, Table
from cashwrap.learning.measures import auc, calibration_error, log_loss, reliability
from cashwrap.learning.predicting import (
    baselines,
    cross_baselines,
    cross_scores,
    fit,
    scores,
    search,
    suspects,
)
from cashwrap.learning.scorers import straight
from cashwrap.learning.splits import learned_from, newest, stratified, validations
from examples_of import SETTINGS, shoppers, table_of


def quiet(_: float, __: str) -> None:
    """Nobody listens."""


def held_back(table: Table) -> Table:
    """With the last part for testing."""
    part = table.part.copy()
    part[int(len(part) * 0.7) :] = TEST
    return table._replace(part=part)


@pytest.fixture(scope="module")
def found() -> Any:
    table = held_back(shoppers(1200))
    told: list[float] = []
    settings, trials = search(table, lambda done, _: told.append(done))
    return table, settings, trials, told


class TestTheSearch:
    def test_takes_what_has_the_smallest_loss_and_says_all_it_tried(self, found: Any) -> None:
        _, settings, trials, told = found
        assert settings in [dict(each.settings) for each in trials]
        chosen = next(each.value for each in trials if dict(each.settings) == settings)
        assert chosen <= min(each.value for each in trials) + 0.0005
        assert {each.settings["model"] for each in trials} == {"line", "trees", "both"}
        assert told == sorted(told)
        assert told[-1] == 1.0

    def test_takes_the_line_where_that_is_as_good(self) -> None:
        rng = np.random.default_rng(3)
        one, other = rng.normal(size=(2, 2000))
        label = (rng.random(2000) < 1 / (1 + np.exp(-one - 2 * other))).astype(float)
        settings, _ = search(table_of({"one": one, "other": other}, label, clock=True), quiet)
        assert settings["model"] == "line"

    def test_takes_trees_where_no_line_can_tell(self) -> None:
        rng = np.random.default_rng(4)
        one, other = rng.normal(size=(2, 600))
        label = ((one * other > 0) != (rng.random(600) < 0.1)).astype(float)
        settings, _ = search(table_of({"one": one, "other": other}, label, clock=True), quiet)
        assert settings["model"] == "trees"

    def test_a_model_made_so_is_better_than_every_baseline_and_true(self, found: Any) -> None:
        table, settings, _, _ = found
        test = table.part == TEST
        label = table.label[test]
        ours = scores(fit(table, settings, quiet), table)[test]
        theirs = {name: each[test] for name, each in baselines(table).items()}
        assert set(theirs) == {"base_rate", "logistic", "best_column"}
        assert all(log_loss(ours, label) < log_loss(each, label) for each in theirs.values())
        assert auc(ours, label) > max(auc(each, label) for each in theirs.values())
        assert calibration_error(reliability(ours, label)) < 0.06

    def test_the_test_part_changes_nothing(self, found: Any) -> None:
        table, settings, _, _ = found
        rng = np.random.default_rng(1)
        test = table.part == TEST
        columns = tuple(
            each._replace(values=np.where(test, rng.permutation(each.values), each.values)) for each in table.columns
        )
        other = table._replace(columns=columns, label=np.where(test, 1 - table.label, table.label))
        assert packed(fit(other, settings, quiet)) == packed(fit(table, settings, quiet))


def packed(artefact: Artefact) -> bytes:
    """Every byte of it."""
    arrays = {name: (str(each.dtype), each.tobytes()) for name, each in artefact.arrays.items()}
    return msgspec.msgpack.encode((artefact.kind, arrays, artefact.texts, artefact.settings))


@pytest.mark.parametrize("clock", [True, False])
def test_the_same_data_make_the_same_bytes(*, clock: bool) -> None:
    one, other = (fit(shoppers(300, clock=clock), SETTINGS, quiet) for _ in range(2))
    assert packed(one) == packed(other)
    assert packed(fit(shoppers(300, seed=8, clock=clock), SETTINGS, quiet)) != packed(one)


def test_an_artefact_is_plain_numbers_and_text() -> None:
    made = fit(shoppers(300), SETTINGS, quiet)
    assert made.kind == "predictor"
    assert {each.dtype.kind for each in made.arrays.values()} <= set("iuf")
    assert made.texts["trees"].startswith("tree\n")
    assert msgspec.json.decode(msgspec.json.encode(made.settings)) == made.settings


class TestFolds:
    def test_every_row_is_tested_once_a_repeat_by_who_never_saw_it(self) -> None:
        table = shoppers(240)
        table = table._replace(group=np.arange(240, dtype=np.int32) // 2)
        folds = cross_scores(table, {**SETTINGS, "model": "line"}, 3, 2, 5)
        assert len(folds) == 6
        for repeat in (folds[:3], folds[3:]):
            assert sorted(np.concatenate([rows for rows, _ in repeat])) == list(range(240))
        for rows, told in folds:
            assert not set(table.group[rows]) & set(table.group[np.setdiff1d(np.arange(240), rows)])
            assert len(told) == len(rows)
        assert [rows.tolist() for rows, _ in cross_baselines(table, 3, 2, 5)] == [rows.tolist() for rows, _ in folds]

    def test_they_have_as_many_positive_groups(self) -> None:
        table = shoppers(500)
        fold = stratified(table, 5, 1)
        ups = np.bincount(fold, table.label)
        assert ups.max() - ups.min() <= 1
        assert stratified(table, 5, 1).tolist() == fold.tolist() != stratified(table, 5, 2).tolist()


class TestWhatJudgesTheSearch:
    def test_the_part_that_the_data_names(self) -> None:
        table = shoppers(200, clock=True)
        part = np.where(np.arange(200) < 50, VALID, TRAIN).astype(np.int8)
        [(rows, judge)] = validations(table._replace(part=part))
        assert (rows.tolist(), judge.tolist()) == (list(range(50, 200)), list(range(50)))

    def test_the_last_in_time_and_nobody_who_is_in_it(self) -> None:
        table = shoppers(600, clock=True)
        table = table._replace(group=np.arange(600, dtype=np.int32) % 560)
        [(rows, judge)] = validations(table)
        assert judge.tolist() == list(range(480, 600))
        assert not set(table.group[rows]) & set(table.group[judge])
        assert rows.max() < 480

    def test_folds_without_a_clock(self) -> None:
        pairs = validations(shoppers(200))
        assert sorted(np.concatenate([judge for _, judge in pairs])) == list(range(200))

    def test_newest(self) -> None:
        assert newest(shoppers(200, clock=True), 50).time.tolist() == list(range(150, 200))
        assert len(newest(shoppers(200), 50).label) == 50


class TestBadInput:
    @pytest.mark.parametrize(
        ("columns", "label", "code"),
        [
            ({}, [0, 1] * 100, "no_columns"),
            ({"n": np.zeros(200)}, np.zeros(200), "one_class"),
            ({"n": np.zeros(200)}, np.ones(200), "one_class"),
            ({"n": np.zeros(200)}, [1] * 19 + [0] * 181, "too_few_examples"),
            ({"n": np.zeros(60)}, [0, 1] * 30, "too_few_examples"),
            ({"n": np.zeros(0)}, np.zeros(0), "too_few_examples"),
            ({"n": np.zeros(200)}, [0, np.nan] * 100, "invalid_label"),
            ({"n": np.zeros(200)}, [0, 2] * 100, "invalid_label"),
        ],
    )
    def test_is_refused_with_what_to_do(self, columns: dict[str, Any], label: Any, code: str) -> None:
        table = table_of(columns, label)
        for ask in (
            lambda: search(table, quiet),
            lambda: fit(table, SETTINGS, quiet),
            lambda: baselines(table),
            lambda: suspects(table),
            lambda: learned_from(table),
        ):
            with pytest.raises(InvalidInput) as refused:
                ask()
            assert refused.value.code == code

    def test_columns_that_say_nothing_are_borne(self) -> None:
        rng = np.random.default_rng(9)
        label = rng.integers(0, 2, 300).astype(float)
        columns = {
            "missing": np.full(300, np.nan),
            "constant": np.ones(300),
            "endless": np.where(label, np.inf, -np.inf),
            "huge": rng.normal(size=300) * 1e300,
            "blank": [""] * 300,
            "one": ["a,b"] * 300,
            "all": [f"level {each}" for each in range(300)],
        }
        table = table_of(columns, label)
        for model in ("trees", "line", "both"):
            told = scores(fit(table, {**SETTINGS, "model": model}, quiet), table)
            assert np.isfinite(told).all()
            assert abs(told.mean() - label.mean()) < 0.1
        assert all(np.isfinite(each).all() for each in baselines(table).values())

    def test_many_examples_are_searched_by_the_newest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[int] = []

        def counted(rows: Any, *rest: Any, **more: Any) -> Any:
            seen.append(len(rows))
            return straight(rows, *rest, **more)

        monkeypatch.setattr("cashwrap.learning.predicting.straight", counted)
        monkeypatch.setattr("cashwrap.learning.predicting.SEARCHED", 300)
        monkeypatch.setattr(scorers, "MOST_TREES", 5)
        search(shoppers(900, clock=True), quiet)
        assert max(seen) < 300


def test_of_very_many_examples_the_newest_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    table = shoppers(400, clock=True)
    newer = newest(table, 300)
    monkeypatch.setattr("cashwrap.learning.predicting.LEARNED", 300)
    assert packed(fit(table, SETTINGS, quiet)) == packed(fit(newer, SETTINGS, quiet))


class TestSuspects:
    def test_a_column_that_knows_the_label_is_named(self) -> None:
        table = shoppers(400)
        planted = {
            "paid": table.label * 100.0,
            "unpaid": np.where(table.label, np.nan, 5.0),
            "status": np.where(table.label, "done", "open"),
            "chance": np.random.default_rng(1).random(400),
        }
        more = table_of(planted, table.label)
        assert suspects(table) == ()
        found = dict(suspects(table._replace(columns=table.columns + more.columns)))
        assert set(found) == {"paid", "unpaid", "status"}
        assert all(area > 0.98 for area in found.values())


def test_a_line_is_the_one_with_the_smallest_loss() -> None:
    """No weight can be moved without more loss and ridge together."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(300, 3))
    label = (rng.random(300) < 1 / (1 + np.exp(-rows[:, 0]))).astype(float)
    line = straight(rows, label, 0.5)

    def loss(moved: Any) -> float:
        odds = moved.scores(rows)
        return float((np.logaddexp(0, odds) - label * odds).sum() + (moved.weight**2).sum() / (2 * 0.5))

    best = loss(line)
    for at in range(6):
        for step in (-0.01, 0.01):
            weight = line.weight.copy()
            weight[at] += step
            assert loss(line._replace(weight=weight)) > best
    assert loss(line._replace(intercept=line.intercept + 0.01)) > best
