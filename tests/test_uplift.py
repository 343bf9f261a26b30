"""Whom an offer moves is found where it was planted, ranked as counting ranks it, and not found where it is not."""

import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import qini, uplift
from cashwrap.learning.data import TEST, Column, Table
from cashwrap.learning.mapped import read_table
from cashwrap.learning.mapping import read_mapping
from cashwrap.learning.splits import chosen
from cashwrap.propensity.uplift import Uplift

DATA = Path(os.environ.get("CASHWRAP_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qini, "DRAWS", 150)
    monkeypatch.setattr(uplift, "EXPECTING", 10)
    monkeypatch.setattr(uplift, "ROUNDS", (10, 20))


def table(label: Any, treated: Any, *columns: Column, chance: Any = 0.5, group: Any = None) -> Table:
    n = len(label)
    return Table(
        columns=columns,
        label=np.asarray(label, np.float64),
        time=np.arange(n),
        group=np.arange(n, dtype=np.int32) if group is None else np.asarray(group, np.int32),
        part=np.zeros(n, np.int8),
        explored=np.zeros(n, np.bool_),
        treated=np.asarray(treated, np.int8),
        propensity=np.broadcast_to(np.asarray(chance, np.float64), n),
    )


def planted(n: int, seed: int = 0, effect: float = 0.3) -> Table:
    """Young ones are moved by ``effect``, nobody else is; what they spend says much of the label and nothing of it."""
    rng = np.random.default_rng(seed)
    age, spent, town = rng.normal(size=n), rng.normal(size=n), rng.choice(["oslo", "bern"], n)
    treated = rng.random(n) < 0.5
    chance = 0.35 + 0.1 * np.sign(spent) + effect * (treated & (age < 0))
    columns = (
        Column("age", "number", age),
        Column("spent", "number", spent),
        Column("town", "category", town.astype(object)),
    )
    return table(rng.random(n) < chance, treated, *columns)


def half(data: Table) -> Table:
    """With its second half for testing."""
    part = np.where(np.arange(len(data.label)) < len(data.label) // 2, 0, TEST).astype(np.int8)
    return data._replace(part=part)


# --- Qini ---


def naive_qini(label: list[int], treated: list[bool], scores: list[float]) -> float:
    """By counting: the curve after each group of equal scores, and trapezoids between."""
    n, points = len(label), [(0.0, 0.0)]
    for score in sorted(set(scores), reverse=True):
        first = [row for row in range(n) if scores[row] >= score]
        there = [row for row in first if treated[row]]
        others = [row for row in first if not treated[row]]
        extra = 0.0
        if there and others:
            extra = sum(label[row] for row in there) - sum(label[row] for row in others) * len(there) / len(others)
        points.append((len(first) / n, extra / n))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return area - points[-1][1] / 2


ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2, max_size=30)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_qini_is_that_of_counting(rows: list[tuple[bool, bool, int]]) -> None:
    label, treated, scores = ([row[at] for row in rows] for at in range(3))
    ranked = qini.ranking(table(label, treated), np.array(scores, float))
    counted = naive_qini([int(each) for each in label], treated, [float(each) for each in scores])
    assert qini.qini(qini.sums(ranked, ranked.times)) == pytest.approx(counted)


def test_figures_known_by_eye() -> None:
    """Of ten pairs the three ranked first are moved by treatment, nobody else is: effect 1 in the first 30 %."""
    label = [1, 0] * 3 + [0, 0] * 7
    data = table(label, [1, 0] * 10)
    ranked = qini.ranking(data, np.repeat(np.arange(10.0, 0.0, -1.0), 2))
    found = qini.sums(ranked, ranked.times)
    assert qini.uplift(found, 0.3) == pytest.approx(1.0)
    assert qini.uplift(found, 1.0) == pytest.approx(0.3)
    share, gain = qini.curve(found)
    assert np.interp([0.3, 1.0], share, gain) == pytest.approx([0.15, 0.15])
    assert qini.qini(found) == pytest.approx(0.15 * (0.3 / 2 + 0.7) - 0.075)


def test_one_score_for_all_is_a_ranking_by_chance() -> None:
    data = planted(500)
    ranked = qini.ranking(data, np.ones(500))
    found = qini.sums(ranked, ranked.times)
    assert qini.qini(found) == pytest.approx(0.0)
    assert qini.uplift(found, 0.3) == pytest.approx(qini.uplift(found, 1.0))


def test_rows_count_by_their_chance() -> None:
    """Half had the offer by 80 %, and they buy more anyway: what is not weighted takes that for an effect."""
    rng = np.random.default_rng(3)
    rich = rng.random(20_000) < 0.5
    chance = np.where(rich, 0.8, 0.2)
    treated = rng.random(20_000) < chance
    data = table(rng.random(20_000) < 0.1 + 0.4 * rich, treated, chance=chance)
    found = qini.evaluate(data, rng.random(20_000), 1).figures["ate"]
    naive = data.label[treated].mean() - data.label[~treated].mean()
    assert naive > 0.2
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high < 0.03


def test_intervals_hold_the_truth() -> None:
    held = 0
    for seed in range(30):
        data = planted(200, seed)
        found = qini.evaluate(data, np.random.default_rng(seed).random(200), seed).figures
        held += (found["qini"].low or 0) <= 0 <= (found["qini"].high or 0)
    assert 25 <= held <= 30  # 28 or 29 are due


def test_rows_of_one_shopper_are_drawn_together() -> None:
    """Each shopper twenty times over is no more than each shopper once."""
    once = planted(300)
    many = once._replace(
        label=np.repeat(once.label, 20),
        treated=np.repeat(once.treated, 20) if once.treated is not None else None,
        propensity=np.full(6000, 0.5),
        group=np.repeat(once.group, 20),
    )
    score = -np.asarray(once.columns[0].values, float)
    first, second = (
        qini.evaluate(once, score, 1).figures["qini"],
        qini.evaluate(many, np.repeat(score, 20), 1).figures["qini"],
    )
    assert second.value == pytest.approx(first.value, abs=0.002)
    assert (second.high or 0) - (second.low or 0) == pytest.approx((first.high or 0) - (first.low or 0), rel=0.2)


# --- learning ---


def test_what_was_planted_is_found_and_told() -> None:
    data = half(planted(3000))
    best, trials = uplift.search(data)
    assert len({trial.settings["learner"] for trial in trials}) == 3
    assert max(trial.value for trial in trials) > 4
    artefact = uplift.fit(data, best)
    test = chosen(data, data.part == TEST)
    found = uplift.evaluate(test, uplift.scores(artefact, test), 1)
    assert found.figures["qini"].low is not None
    assert found.figures["qini"].low > 0
    assert found.figures["uplift@30"].value == pytest.approx(0.3, abs=0.1)
    assert found.notes[0].startswith("Ranking pays")
    assert [bar.predicted for bar in found.reliability] == sorted(bar.predicted for bar in found.reliability)
    model = Uplift.of(artefact)
    young = model.predict({"age": -1, "spent": 0, "town": "oslo"})
    old = model.predict({"age": 1, "spent": 0, "town": "oslo"})
    assert young == pytest.approx(0.3, abs=0.12)
    assert old == pytest.approx(0.0, abs=0.12)


def test_where_all_are_moved_alike_nothing_is_found() -> None:
    rng = np.random.default_rng(5)
    data = planted(2000, effect=0.0)
    treated = np.asarray(data.treated) > 0
    data = data._replace(label=(rng.random(2000) < 0.3 + 0.2 * treated).astype(float))
    found = uplift.evaluate(data, uplift.cross_scores(data, {"learner": "line", "ridge": 0.1}, 3, 1), 1)
    assert (found.figures["qini"].low or 0) <= 0
    assert qini.NOTHING in found.notes[0]
    assert (found.figures["ate"].low or 0) > 0.1


def test_the_test_part_has_no_part_in_a_model() -> None:
    data = half(planted(800))
    other = data._replace(label=np.where(data.part == TEST, 1.0 - data.label, data.label))
    for learner in ({"learner": "line", "ridge": 0.1}, {"learner": "two", "leaves": 4, "share": 0.05, "rounds": 3}):
        mine, theirs = uplift.fit(data, learner), uplift.fit(other, learner)
        assert all(np.array_equal(mine.arrays[name], theirs.arrays[name]) for name in mine.arrays)


def test_scores_that_saw_their_own_rows_would_be_seen() -> None:
    """Planted: a model asked about the rows that it was learned from ranks noise well, the others do not."""
    data = planted(600, seed=1, effect=0.0)
    deep = {"learner": "two", "leaves": 8, "share": 0.01, "rounds": 40}
    own = uplift.evaluate(data, uplift.scores(uplift.fit(data, deep), data), 1)
    honest = uplift.evaluate(data, uplift.cross_scores(data, deep, 3, 1), 1)
    assert (own.figures["qini"].low or 0) > 0
    assert (honest.figures["qini"].low or 0) <= 0


@pytest.mark.parametrize("learner", ["line", "trees", "two"])
def test_one_row_and_many_are_told_alike(learner: str) -> None:
    data = planted(400)
    how = {"learner": learner, "ridge": 0.1, "leaves": 3, "share": 0.05, "rounds": 5}
    artefact = uplift.fit(data, how)
    model = Uplift.of(Artefact(artefact.kind, artefact.arrays, artefact.texts, artefact.settings))
    assert model.columns == ("age", "spent", "town")
    told = uplift.scores(artefact, data)
    for row in range(5):
        age, spent, town = (column.values[row] for column in data.columns)
        values = {"age": Decimal(float(age)), "spent": Decimal(float(spent)), "town": town}
        assert model.predict(values) == pytest.approx(told[row])


def test_a_model_of_another_kind_is_not_taken() -> None:
    with pytest.raises(InvalidInput) as told:
        Uplift.of(Artefact("uplift", {}, {}, {"learner": "stars"}))
    assert told.value.code == "unknown_model"


def test_one_label_in_an_arm_is_nothing_to_learn_from() -> None:
    data = planted(400)
    with pytest.raises(InvalidInput) as told:
        uplift.search(data._replace(label=np.where(np.asarray(data.treated) > 0, data.label, 0.0)))
    assert told.value.code == "one_class"


# --- real data ---


@pytest.mark.data
@pytest.mark.parametrize(("segment", "ate", "pays"), [("Womens E-Mail", 0.0421, True), ("Mens E-Mail", 0.0736, False)])
def test_hillstrom(segment: str, ate: float, pays: bool) -> None:
    file = DATA / "hillstrom_email" / "hillstrom_70.csv.gz"
    if not file.is_file():
        pytest.skip(f"no real data at {DATA}; set CASHWRAP_DATA")
    treatment = f"{{column: segment, treated: [{segment}], control: [No E-Mail], randomised: true, propensity: 0.5}}"
    mapping = f"""
source: hillstrom
task: uplift
label: {{column: visit, values: ["1"]}}
numbers: [recency, history, mens, womens, newbie]
categories: [history_segment, zip_code, channel]
treatment: {treatment}
"""
    data = read_table(read_mapping("hillstrom.yaml", mapping), file)
    data = data._replace(part=np.where(np.arange(len(data.label)) % 2, TEST, 0).astype(np.int8))
    told = uplift.scores(uplift.fit(data, {"learner": "line", "ridge": 0.1}), data)
    whole = qini.ranking(data, told)
    assert qini.uplift(qini.sums(whole, whole.times), 1.0) == pytest.approx(ate, abs=0.0001)
    ranked = uplift.evaluate(chosen(data, data.part == TEST), told[data.part == TEST], 1)
    assert ((ranked.figures["qini"].low or 0) > 0) is pays
    assert (qini.NOTHING in ranked.notes[0]) is not pays
