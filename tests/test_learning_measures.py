"""Metrics of models against what they are by eye, by naive loops, and by scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as judged  # type: ignore[import-untyped]

from cashwrap.learning import curves, measures
from cashwrap.learning.bootstrap import Draws, paired
from cashwrap.learning.data import Ranked
from cashwrap.learning.results import Bin

SEED = 7


def ranked(rank: list[int], *, seen: list[bool] | None = None, cluster: list[int] | None = None, **more) -> Ranked:
    """Answers of which only the hidden item's place matters."""
    n = len(rank)
    return Ranked(
        rank=np.array(rank, np.int32),
        cluster=np.array(cluster if cluster is not None else range(n), np.int32),
        seen=np.array(seen if seen is not None else [False] * n, np.bool_),
        items=np.full((n, 20), -1, np.int32),
        sources=np.full((n, 20), -1, np.int8),
        names=("pairs", "popular"),
        **more,
    )


def chances(n: int, seed: int = SEED, *, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and labels that come as often as they say."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, steps, n) / steps
    return scores, (rng.random(n) < scores).astype(np.float64)


# --- recommenders ---


def test_ranking_metrics_of_five_questions_by_eye():
    found = ranked([1, 3, 20, 21, 0])
    assert measures.recalls(found, 20).mean() == pytest.approx(3 / 5)
    assert measures.recalls(found, 1).mean() == pytest.approx(1 / 5)
    assert measures.reciprocal_ranks(found, 20).mean() == pytest.approx((1 + 1 / 3 + 1 / 20) / 5)
    assert measures.gains(found, 20).mean() == pytest.approx((1 + 1 / 2 + 1 / math.log2(21)) / 5)


def test_coverage_novelty_and_sources_count_filled_places_only():
    items = np.full((2, 20), -1, np.int32)
    items[0, :3], items[1, :1] = [0, 1, 2], [0]
    sources = np.full((2, 20), -1, np.int8)
    sources[0, :3], sources[1, :1] = [0, 0, 1], [-1]
    found = ranked([1, 0])._replace(items=items, sources=sources)
    popularity = np.array([8, 4, 0, 4])
    assert measures.coverage_at(found, 4, 20) == pytest.approx(3 / 4)
    # Bits: 16 / 8 -> 1, 16 / 4 -> 2, never seen counts once -> 4.
    assert measures.surprises(found, popularity, 20).mean() == pytest.approx(((1 + 2 + 4) / 3 + 1) / 2)
    assert measures.source_shares(found) == {"pairs": 0.5, "fallback": 0.25, "popular": 0.25}


def test_no_answer_at_all_is_no_novelty_and_no_source():
    found = ranked([0, 0])
    assert measures.surprises(found, np.array([1, 1]), 20).mean() == 0
    assert measures.source_shares(found) == {}


# --- predictions ---


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auc_and_average_precision_agree_with_scikit_learn_ties_and_all(rows):
    scores = np.array([score / 6 for score, _ in rows])
    label = np.array([float(hit) for _, hit in rows])
    if 0 < label.sum() < len(label):
        assert measures.auc(scores, label) == pytest.approx(judged.roc_auc_score(label, scores))
        assert measures.average_precision(scores, label) == pytest.approx(judged.average_precision_score(label, scores))
    else:
        assert math.isnan(measures.auc(scores, label))


@pytest.mark.parametrize("values", [measures.auc_values, measures.average_precision_values])
def test_pseudo_values_are_the_metrics_slope_by_each_rows_weight(values):
    scores, label = chances(60, steps=8)
    metric = {
        measures.auc_values: judged.roc_auc_score,
        measures.average_precision_values: judged.average_precision_score,
    }[values]
    found = values(scores, label)
    for row in range(0, 60, 7):
        weights = np.ones(60)
        weights[row] += 1e-5
        slope = (metric(label, scores, sample_weight=weights) - metric(label, scores)) / 1e-5
        assert (found[row] - found.mean()) / 60 == pytest.approx(slope, abs=1e-4)


def test_metrics_at_a_threshold_and_of_chances_agree_with_scikit_learn():
    scores, label = chances(400)
    chosen = scores > 0.6
    assert measures.precision(scores, label, 0.6) == pytest.approx(judged.precision_score(label, chosen))
    assert measures.recall(scores, label, 0.6) == pytest.approx(judged.recall_score(label, chosen))
    assert measures.f1(scores, label, 0.6) == pytest.approx(judged.f1_score(label, chosen))
    assert measures.log_loss(scores, label) == pytest.approx(judged.log_loss(label, scores))
    assert measures.brier(scores, label) == pytest.approx(judged.brier_score_loss(label, scores))
    assert math.isnan(measures.precision(scores, label, 1.0)), "nothing is above the threshold"


def test_a_certain_mistake_costs_much_and_not_infinitely():
    assert 30 < measures.log_loss(np.array([0.0, 0.0]), np.array([1.0, 1.0])) < 40


# --- calibration and curves ---


def test_reliability_puts_every_row_into_one_bin_and_ties_together():
    scores = np.array([0.1] * 50 + [0.2] * 20 + [0.9] * 30)
    label = np.array([0.0] * 45 + [1.0] * 5 + [0.0] * 20 + [1.0] * 30)
    bars = curves.reliability(scores, label)
    assert sum(bar.count for bar in bars) == 100
    assert bars[0] == Bin(pytest.approx(0.1), pytest.approx(0.1), 50)
    assert [(round(bar.predicted, 9), bar.count) for bar in bars] == [(0.1, 50), (0.2, 20), (0.9, 30)]
    assert curves.calibration_error(bars) == pytest.approx(0.2 * 0.2 + 0.1 * 0.3)


def test_calibration_error_of_true_chances_is_what_chance_makes_and_of_halved_ones_far_more():
    found = [curves.reliability(*chances(2_000, seed)) for seed in range(20)]
    measured = np.mean([curves.calibration_error(bars) for bars in found])
    assert measured == pytest.approx(np.mean([curves.calibration_by_chance(bars) for bars in found]), rel=0.15)
    scores, label = chances(2_000)
    assert curves.calibration_error(curves.reliability(scores / 2, label)) > 10 * measured


def test_one_score_for_all_is_one_bin_and_none_are_none():
    assert len(curves.reliability(np.full(30, 0.2), np.zeros(30))) == 1
    assert curves.reliability(np.empty(0), np.empty(0)) == ()


def test_curves_go_through_every_threshold_and_are_not_long():
    roc = curves.roc_curve(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert (roc.x, roc.y) == ((0.0, 0.0, 0.5, 1.0), (0.0, 0.5, 1.0, 1.0))
    shares = curves.precision_recall_curve(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert shares.y == (1.0, pytest.approx(2 / 3), 0.5)
    scores, label = chances(5_000, steps=4_000)
    assert len(curves.roc_curve(scores, label).x) <= curves.POINTS


# --- intervals ---


def test_the_bootstrap_of_a_mean_is_the_normal_interval():
    values = np.random.default_rng(SEED).normal(3.0, 1.0, 2_000)
    found = Draws(np.arange(2_000), SEED).figures({"m": values})["m"]
    half = 1.96 * values.std() / math.sqrt(2_000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (
        pytest.approx(values.mean() - half, abs=half / 8),
        pytest.approx(values.mean() + half, abs=half / 8),
    )


def test_rows_of_one_cluster_are_drawn_together():
    values = np.random.default_rng(SEED).normal(size=300)
    alone = paired(values, np.zeros(300), np.arange(300), SEED)
    tenfold = paired(np.repeat(values, 10), np.zeros(3_000), np.repeat(np.arange(300), 10), SEED)
    assert tenfold == pytest.approx(alone), "ten copies of a row know no more than one"
    blind = paired(np.repeat(values, 10), np.zeros(3_000), np.arange(3_000), SEED)
    assert (blind.high - blind.low) < 0.5 * (alone.high - alone.low), "the planted mistake: rows drawn one by one"


def test_the_same_rows_are_drawn_for_both_models():
    rng = np.random.default_rng(SEED)
    hard = rng.random(1_000)
    ours = hard + 0.01 * rng.random(1_000)
    found = paired(ours, hard, np.arange(1_000), SEED)
    assert 0.004 < found.low < found.value < found.high < 0.006
    assert found == paired(ours, hard, np.arange(1_000), SEED), "the same seed, the same interval"


def test_too_few_clusters_prove_nothing():
    found = paired(np.ones(5_000), np.zeros(5_000), np.arange(5_000) % 9, SEED)
    assert found.value == 1
    assert found.low < 0
    assert Draws(np.arange(9), SEED).figures({"m": np.ones(9)})["m"].low is None


def test_more_clusters_than_are_drawn_keep_the_interval(monkeypatch: pytest.MonkeyPatch):
    values = np.random.default_rng(SEED).normal(size=4_000)
    whole = paired(values, np.zeros(4_000), np.arange(4_000), SEED)
    monkeypatch.setattr("cashwrap.learning.bootstrap.MOST", 500)
    monkeypatch.setattr("cashwrap.learning.bootstrap.AT_ONCE", 20_000)
    fewer = paired(values, np.zeros(4_000), np.arange(4_000), SEED)
    assert fewer.high - fewer.low == pytest.approx(whole.high - whole.low, rel=0.1)


def test_intervals_of_auc_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(SEED)
    label = (np.arange(300) < 90).astype(np.float64)
    # Normal scores one standard deviation apart: the AUC is the normal's share below 1 / sqrt(2).
    truth = 0.76025
    columns = {str(run): measures.auc_values(rng.normal(size=300) + label, label) for run in range(400)}
    found = Draws(np.arange(300), SEED).figures(columns).values()
    assert 0.91 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.98


# --- whole evaluations ---


def questions(seed: int, better: float) -> Ranked:
    rng = np.random.default_rng(seed)
    rank = np.where(rng.random(600) < better, rng.integers(1, 20, 600), 0)
    seen = np.arange(600) % 3 == 0
    return ranked(rank.tolist(), seen=seen.tolist(), cluster=(np.arange(600) // 2).tolist())


def test_an_evaluation_of_a_recommender_says_all_against_each_baseline():
    ours, popular = questions(1, 0.5), questions(2, 0.2)
    holdout = np.arange(600) < 60
    found = measures.evaluate_ranking(
        ours, {"popular": popular}, task="basket", popularity=np.ones(9), slices={"the holdout": holdout}, seed=SEED
    )
    assert found.main == "recall@20"
    assert found.count == 600
    assert set(found.figures) == {"recall@20", "mrr@20", "ndcg@20", "recall@5", "novelty@20", "coverage@20"}
    versus = {each.metric: each for each in found.versus}
    recall = versus["recall@20"]
    assert recall.low > 0
    assert recall.difference == pytest.approx(recall.ours - recall.theirs)
    assert recall.theirs == pytest.approx(found.baselines["popular"]["recall@20"].value)
    parts = {part.name: part for part in found.slices}
    assert parts["new items only"].count + parts["repeats"].count == 600
    assert parts["the holdout"].count == 60
    held = next(each for each in parts["the holdout"].versus if each.metric == "recall@20")
    assert held.ours == pytest.approx(parts["the holdout"].figures["recall@20"].value)
    assert held.difference == pytest.approx(measures.recalls(ours, 20)[:60].mean() - held.theirs)
    assert held.high - held.low > recall.high - recall.low, "fewer questions, a wider interval"


def test_new_items_only_are_judged_by_answers_without_what_was_seen():
    asked = ranked([3, 1] * 20, seen=[False, True] * 20, fresh=np.array([1, 0] * 20, np.int32))
    parts = {
        part.name: part for part in measures.evaluate_ranking(asked, {}, task="next_item", popularity=np.ones(3)).slices
    }
    assert parts["new items only"].figures["mrr@20"].value == 1.0
    old = measures.evaluate_ranking(asked._replace(fresh=None), {}, task="next_item", popularity=np.ones(3))
    assert old.slices[0].figures["mrr@20"].value == pytest.approx(1 / 3)


def test_lengths_of_questions_are_parts_that_add_up():
    lengths = np.array([1, 2, 3, 4, 7, 30] * 5, np.int32)
    found = measures.evaluate_ranking(ranked([1] * 30, length=lengths), {}, task="basket", popularity=np.ones(3))
    assert {part.name: part.count for part in found.slices} == {
        "1 known": 5,
        "2 known": 5,
        "3 to 4 known": 10,
        "5 to 9 known": 5,
        "10 or more known": 5,
    }


def rows(label: np.ndarray, **more) -> measures.Rows:
    n = len(label)
    return measures.Rows(label, np.arange(n), np.arange(n) % 10 == 0, **more)


def test_an_evaluation_of_a_prediction_says_all_against_each_baseline():
    scores, label = chances(2_000)
    base = np.full(2_000, label.mean())
    found = measures.evaluate_prediction(rows(label), scores, {"base rate": base}, threshold=0.6, seed=SEED)
    versus = {each.metric: each for each in found.versus}
    assert versus["auc"].theirs == 0.5
    assert versus["auc"].low > 0.2
    assert versus["log_loss"].high < 0, "less is better"
    assert found.figures["calibration_error"].value < 0.05
    assert found.figures["auc"].value == pytest.approx(judged.roc_auc_score(label, scores))
    assert {curve.name for curve in found.curves} == {"roc", "precision_recall"}
    assert {part.name for part in found.slices} == {"the holdout", "personalized"}
    assert sum(bar.count for bar in found.reliability) == 2_000
    assert "precision" not in found.baselines["base rate"], "nothing is above the threshold"


def test_folds_are_not_ordered_against_each_other():
    scores, label = chances(800)
    fold = np.arange(800) % 2
    skewed = scores / 10 + 0.5 * fold
    whole = measures.evaluate_prediction(rows(label), skewed, {}).figures["auc"].value
    apart = measures.evaluate_prediction(rows(label, fold=fold), skewed, {}).figures["auc"].value
    each = [judged.roc_auc_score(label[fold == one], scores[fold == one]) for one in (0, 1)]
    assert apart == pytest.approx(np.mean(each))
    assert whole < apart - 0.05


def test_one_label_is_evaluated_as_far_as_it_goes_and_says_so():
    found = measures.evaluate_prediction(rows(np.zeros(50)), np.full(50, 0.1), {})
    assert "auc" not in found.figures
    assert found.figures["brier"].value == pytest.approx(0.01)
    assert any("one label only" in note for note in found.notes)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="scored 1 rows with what is no number"):
        measures.evaluate_prediction(rows(np.zeros(2)), np.array([0.5, np.nan]), {})


def test_baselines_of_other_rows_are_refused():
    with pytest.raises(ValueError, match="the same 2 rows"):
        measures.evaluate_ranking(ranked([1, 2]), {"popular": ranked([1])}, task="basket", popularity=np.ones(2))


def test_nothing_tested_is_said():
    assert measures.evaluate_ranking(ranked([]), {}, task="basket", popularity=np.ones(1)).count == 0
    assert "empty" in measures.evaluate_prediction(rows(np.zeros(0)), np.zeros(0), {}).notes[0]
