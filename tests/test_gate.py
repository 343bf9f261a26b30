"""The gate: what it lets through, and every reason that keeps a model back."""

import pytest

from cashwrap.learned.artefact import Figure
from cashwrap.learning.gate import FEWEST, LIVE, MISCALIBRATED, SLOWEST, gate
from cashwrap.learning.results import Evaluation, Versus


def judged(*versus: Versus, count: int = FEWEST, **figures: float) -> Evaluation:
    told = {name: Figure(value) for name, value in ({"auc": 0.7} | figures).items()}
    return Evaluation("prediction", "auc", count, told, {}, versus)


def against(baseline: str, low: float, high: float, metric: str = "auc") -> Versus:
    return Versus(metric, baseline, 0.7, 0.6, (low + high) / 2, low, high)


def codes(*args: object, **more: object) -> list[str]:
    return [code for code, _ in gate(*args, **more).reasons]  # type: ignore[arg-type]


def test_better_beyond_doubt_goes_through() -> None:
    found = gate(judged(against("popular", 0.01, 0.1), calibration_error=MISCALIBRATED), kind="predictor", micros=200.0)
    assert found.passed
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("evaluation", "code"),
    [
        (judged(against("popular", 0.01, 0.1), count=FEWEST - 1), "too_few_tests"),
        (judged(against("popular", 0.0, 0.1)), "not_better"),
        (judged(against("popular", 0.01, 0.1), against("item_knn", -0.1, -0.01)), "worse_than_plain"),
        (judged(against("chance", -0.001, 0.001)), "nothing_to_gain"),
        (judged(against(LIVE, -0.1, -0.01)), "worse_than_live"),
        (judged(against("popular", 0.01, 0.1), calibration_error=MISCALIBRATED + 0.01), "miscalibrated"),
    ],
)
def test_what_keeps_a_model_back(evaluation: Evaluation, code: str) -> None:
    found = gate(evaluation, kind="predictor")
    assert not found.passed
    assert [reason for reason, _ in found.reasons] == [code]


@pytest.mark.parametrize("other", [LIVE, "item_knn", "logistic"])
def test_another_model_need_only_be_equalled(other: str) -> None:
    assert gate(judged(against(other, -0.02, 0.03)), kind="recommender").passed


def test_other_metrics_decide_nothing() -> None:
    assert gate(judged(against("popular", -1, -0.5, metric="brier")), kind="predictor").passed


@pytest.mark.parametrize("kind", SLOWEST)
def test_a_slow_answer_is_refused(kind: str) -> None:
    assert codes(judged(), kind=kind, micros=SLOWEST[kind] + 1) == ["too_slow"]
    assert codes(judged(), kind=kind, micros=SLOWEST[kind]) == []


def test_what_was_found_before_is_told_first() -> None:
    assert codes(judged(count=0), kind="predictor", told=[("suspected_leak", "it knows")]) == [
        "suspected_leak",
        "too_few_tests",
    ]
