"""A shift that was planted is found and named, and a sample of the same shoppers is none."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.learned import registry
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import predicting
from cashwrap.learning.data import Column, Interactions, Table
from cashwrap.learning.drift import Answers, Baselines, Drift, Reading, drift, render_drift, summary_of
from cashwrap.learning.drifting import KEPT, drifted
from cashwrap.library import open_world
from engines import LIVE, TestClock
from learned_world import draft, kept, world_with

DAY = 86_400_000
NOW = 400 * DAY


def table(seed: int, n: int = 1000, *, spent: float = 0.0, town: float = 0.3, lost: float = 0.1) -> Table:
    """Shoppers with what they spent, their town and what they like; ``lost`` is the share of unknown amounts."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3 + spent, 1, n)
    amount[rng.random(n) < lost] = np.nan
    towns = np.where(rng.random(n) < town, "oslo", "bern").astype(object)
    likes = np.array([",".join(str(each) for each in rng.choice(5, 2)) for _ in range(n)], object)
    columns = Column("spent", "number", amount), Column("town", "category", towns), Column("likes", "set", likes)
    label = (rng.random(n) < 0.3).astype(float)
    return Table(
        columns,
        label,
        NOW - np.arange(n)[::-1],
        np.arange(n, dtype=np.int32),
        np.zeros(n, np.int8),
        np.zeros(n, np.bool_),
    )


def used(seed: int, sessions: int = 500, power: float = 1.0, items: int = 60, first: int = 0) -> Interactions:
    """Visits of three items each; the lower an item's number, the more it is used."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, items + 1) ** power
    item = rng.choice(items, 3 * sessions, p=chance / chance.sum())
    rows = len(item)
    return Interactions(
        items=tuple(f"item-{number + first}" for number in range(items)),
        item=item.astype(np.int32),
        kind=np.zeros(rows, np.int8),
        time=np.full(rows, NOW),
        offsets=np.arange(0, rows + 1, 3),
        user=np.full(sessions, -1, np.int32),
        part=np.zeros(sessions, np.int8),
        explored=np.zeros(sessions, np.bool_),
    )


def found(result: Drift, name: str) -> Reading:
    return next(each for each in result.readings if each.name == name)


def test_the_same_shoppers_are_no_shift() -> None:
    trained = summary_of(table(0), np.random.default_rng(0).beta(2, 5, 1000))
    for seed in range(1, 31):
        now = table(seed, 300)
        scores = np.random.default_rng(seed).beta(2, 5, 300)
        now = now._replace(label=(np.random.default_rng(seed + 99).random(300) < scores).astype(float))
        result = drift(trained, now, at=NOW + DAY, answers=Answers(scores))
        assert result.verdict == "fine", render_drift(result)
        assert {each.kind for each in result.readings} == {"age", "feature", "scores", "calibration"}


@pytest.mark.parametrize(
    ("now", "name"),
    [
        (table(1, spent=0.7), "spent"),
        (table(1, lost=0.4), "spent"),
        (table(1, town=0.7), "town"),
        (table(1)._replace(columns=table(1).columns[:1]), "town"),
        (
            table(1)._replace(columns=(*table(1).columns[:2], Column("likes", "set", np.full(1000, "9", object)))),
            "likes",
        ),
    ],
)
def test_a_shift_of_a_column_is_found_and_named(now: Table, name: str) -> None:
    result = drift(summary_of(table(0)), now, at=NOW)
    assert result.verdict == "retrain"
    assert result.readings[0].name == name
    assert name in render_drift(result).splitlines()[1]


def test_a_small_shift_is_told_from_chance_only_by_many_rows() -> None:
    trained = summary_of(table(0, 4000))
    few, many = (drift(trained, table(2, n, spent=0.4), at=NOW) for n in (120, 4000))
    assert found(few, "spent").verdict == "fine"
    assert found(many, "spent").verdict == "watch"


def test_the_index_is_the_sum_by_hand() -> None:
    """Half below 1 and half above become three quarters and a quarter."""
    then = table(0)._replace(columns=(Column("x", "category", np.repeat(["a", "b"], 500).astype(object)),))
    now = table(0)._replace(columns=(Column("x", "category", np.repeat(["a", "a", "a", "b"], 250).astype(object)),))
    by_hand = 0.25 * math.log(0.75 / 0.5) - 0.25 * math.log(0.25 / 0.5)
    assert found(drift(summary_of(then), now, at=NOW), "x").value == pytest.approx(by_hand)


def test_chances_that_no_longer_come_true() -> None:
    scores = np.full(1000, 0.3)
    trained = summary_of(table(0), np.random.default_rng(0).random(1000))
    fine = found(drift(trained, table(1), at=NOW, answers=Answers(scores)), "calibration")
    off = found(drift(trained, table(1), at=NOW, answers=Answers(scores - 0.15)), "calibration")
    assert (fine.verdict, off.verdict) == ("fine", "retrain")
    assert off.value == pytest.approx(table(1).label.mean() - 0.15)
    assert off.low is not None
    assert off.low > 0.1
    unknown = table(1)._replace(label=np.full(1000, np.nan))
    assert "calibration" not in {
        each.kind for each in drift(trained, unknown, at=NOW, answers=Answers(scores)).readings
    }


def test_items_used_as_they_were_are_no_shift() -> None:
    trained = summary_of(used(0))
    for seed in range(1, 21):
        result = drift(trained, used(seed, 100), at=NOW, answers=Answers(known=frozenset(used(0).items)))
        assert result.verdict == "fine", render_drift(result)


def test_new_items_and_other_favourites_are_found() -> None:
    trained, known = summary_of(used(0), fallback=0.05), frozenset(used(0).items)
    result = drift(trained, used(1, first=5), at=NOW, answers=Answers(known=known, places=400, fallback=180))
    assert found(result, "unknown items").value == pytest.approx(0.07, abs=0.07)
    assert found(result, "fallback").verdict == "retrain"
    turned = used(1)._replace(items=used(1).items[::-1])
    assert found(drift(trained, turned, at=NOW), "popularity").verdict == "retrain"
    strange = used(1, first=100)
    assert found(drift(trained, strange, at=NOW, answers=Answers(known=known)), "unknown items").value == 1.0


def test_an_old_model_says_so() -> None:
    trained = summary_of(table(0))
    ages = [drift(trained, table(1), at=NOW + days * DAY).verdict for days in (1, 40, 100)]
    assert ages == ["fine", "watch", "retrain"]
    assert "100 days" in render_drift(drift(trained, table(1), at=NOW + 100 * DAY))


def test_too_few_rows_say_nothing() -> None:
    result = drift(summary_of(table(0)), table(1, 50, spent=3), at=NOW)
    assert (result.verdict, [each.kind for each in result.readings]) == ("fine", ["age"])
    assert "only 50 rows" in render_drift(result)
    assert summary_of(table(0, 10)).features == {}


def test_no_row_and_no_text_is_kept() -> None:
    data = table(0)
    rare = np.where(np.arange(1000) < 3, "a rare disease", data.columns[1].values).astype(object)
    data = data._replace(columns=(*data.columns, Column("note", "category", rare)))
    kept = msgspec.json.encode(summary_of(data, np.linspace(0, 1, 1000)))
    assert len(kept) < 4000
    assert not any(each in kept for each in (b"oslo", b"bern", b"rare"))
    assert len(summary_of(data).features["note"].levels) == 2  # three rows are too few to tell of
    assert msgspec.json.decode(kept, type=Baselines) == summary_of(data, np.linspace(0, 1, 1000))


# --- of a registered model ---


def test_only_what_came_after_training_is_looked_at() -> None:
    world = world_with(clock=TestClock(NOW + 2 * DAY))
    past, later = used(0), used(1, first=100)
    both = later._replace(
        items=(*past.items, *later.items),
        item=np.concatenate([past.item, later.item + len(past.items)]),
        kind=np.zeros(3000, np.int8),
        time=np.concatenate([past.time, later.time + DAY]),
        offsets=np.arange(0, 3001, 3),
        user=np.full(1000, -1, np.int32),
        part=np.zeros(1000, np.int8),
        explored=np.zeros(1000, np.bool_),
    )
    items = msgspec.json.encode(past.items).decode()
    made = Artefact("recommender", {"scores": np.zeros(1)}, {"items": items}, {})
    version = kept(world, made=made, more={KEPT: msgspec.json.encode(summary_of(past))})
    result = drifted(world, LIVE, f"next_item@{version}", both)
    assert result.rows == 1500
    assert found(result, "unknown items").value == 1.0
    assert drifted(world, LIVE, f"next_item@{version}", past).rows == 0


def test_chances_are_held_against_what_came() -> None:
    world, data = world_with(clock=TestClock(NOW + DAY)), table(0, 600)
    made = predicting.fit(data, {"model": "line", "strength": 0.1, "smoothing": 20.0}, lambda _, __: None)
    version = kept(world, made=made, name="looks", more={KEPT: msgspec.json.encode(summary_of(data))})
    later = table(1, 600)._replace(time=data.time + DAY)
    as_before = drifted(world, LIVE, f"looks@{version}", later)
    bought_more = drifted(
        world, LIVE, f"looks@{version}", later._replace(label=np.maximum(later.label, table(2, 600).label))
    )
    assert found(as_before, "calibration").verdict == "fine"
    assert found(bought_more, "calibration").verdict == "retrain"


def test_the_command_ends_with_1_where_a_model_is_to_be_learned_again(tmp_path: Path) -> None:
    data = table(0, 300)
    made = Artefact("uplift", {"scores": np.zeros(1)}, {}, {})
    with open_world(tmp_path / "data", make=True, reserve=0) as world:
        more = {KEPT: msgspec.json.encode(summary_of(data._replace(clock=False)))}
        version = registry.register(world, LIVE, draft(made, "looks", more=more))
    mapping = "source: x\ntask: uplift\nlabel: {column: bought}\nnumbers: [spent]\ncategories: [town]\nsets: [likes]\n"
    mapping += "treatment: {column: got, treated: [1], control: [0], randomised: true, propensity: 0.5}\n"
    (tmp_path / "x.yaml").write_text(mapping)
    for name, now in (("same", table(1, 300)), ("other", table(1, 300, spent=1.0))):
        values = [each.values for each in now.columns]
        lines = [
            f'{spent},{town},"{likes}",1,{row % 2}'
            for row, (spent, town, likes) in enumerate(zip(*values, strict=True))
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(["spent,town,likes,bought,got", *lines]) + "\n")
    asked = [
        "drift",
        f"looks@{version}",
        "--data",
        str(tmp_path / "data"),
        "--mapping",
        str(tmp_path / "x.yaml"),
        "--file",
    ]
    same = CliRunner().invoke(app, [*asked, str(tmp_path / "same.csv")])
    other = CliRunner().invoke(app, [*asked, str(tmp_path / "other.csv"), "--json"])
    assert (same.exit_code, other.exit_code) == (0, 1), same.output
    assert same.output.startswith("fine: The model fits")
    assert msgspec.json.decode(other.output)["readings"][0]["name"] == "spent"
