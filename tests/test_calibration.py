"""Scores become chances that come true."""

from collections.abc import Callable

import numpy as np
import pytest

from cashwrap.learning.calibration import calibrated, isotonic, platt
from cashwrap.learning.measures import calibration_error, log_loss, reliability
from cashwrap.propensity.predictor import Calibration

COUNT = 6000


def drawn(truth: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, the true chance of each, and labels drawn by it."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 2, COUNT)
    chance = {
        "line": 1 / (1 + np.exp(-(0.5 * scores - 1.0))),
        "step": np.where(scores < 0, 0.05, 0.6),
        "none": np.full(COUNT, 0.2),
    }[truth]
    return scores, chance, (rng.random(COUNT) < chance).astype(float)


def test_platt_finds_slope_and_intercept() -> None:
    scores, _, label = drawn("line")
    assert platt(scores, label).slope == pytest.approx([0.5, -1.0], abs=0.08)


@pytest.mark.parametrize(("truth", "kind"), [("line", "platt"), ("step", "isotonic"), ("none", "platt")])
def test_the_better_one_is_chosen_and_is_near_the_truth(truth: str, kind: str) -> None:
    scores, chance, label = drawn(truth)
    found = calibrated(scores, label, np.arange(COUNT) % 5)
    assert found.kind == kind
    assert np.abs(found.calibration.chances(scores) - chance).mean() < 0.03


def test_scores_as_they_are_would_be_seen_to_be_off() -> None:
    scores, _, label = drawn("line")
    raw = Calibration(np.empty(0), np.empty(0), np.array([1.0, 0.0])).chances(scores)
    ours = platt(scores, label).chances(scores)
    assert calibration_error(reliability(raw, label)) > 0.1
    assert calibration_error(reliability(ours, label)) < 0.02
    assert log_loss(ours, label) < log_loss(raw, label) - 0.05


@pytest.mark.parametrize("make", [platt, isotonic])
def test_order_is_kept_and_nothing_is_sure(make: Callable[..., Calibration]) -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=500).round(1)
    label = (scores > 0).astype(float)
    found = make(scores, label)
    asked = np.linspace(-100, 100, 4001)
    chances = found.chances(asked)
    assert (np.diff(chances) >= 0).all()
    assert 0.0 < chances.min() < chances.max() < 1.0
    assert [found.chance(each) for each in asked[::400]] == pytest.approx(chances[::400].tolist(), abs=1e-12)


def test_one_score_for_all() -> None:
    label = np.array([0.0, 1.0, 0.0, 0.0] * 30)
    for make in (platt, isotonic):
        assert make(np.zeros(120), label).chance(0.0) == pytest.approx(0.25, abs=0.01)
