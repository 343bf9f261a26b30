"""The posterior view against drawing from it, and against counting how often it is right."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.analysis.statistics.compare import Difference
from cashwrap.analysis.statistics.posterior import PRIOR, Posterior, posterior


def found(absolute: float, error: float, control: float = 100.0) -> Difference:
    sure = control != 0
    return Difference(
        control=control,
        treatment=control + absolute,
        absolute=absolute,
        error=error,
        relative=absolute / abs(control) if sure else None,
        relative_error=error / abs(control) if sure else None,
        units=(1_000, 1_000),
    )


def check_right_as_often_as_it_says(posterior: Callable[[Difference], Posterior]) -> None:
    """Over effects drawn from the prior, arms called better with a chance of c are better in c of all cases."""
    rng = np.random.default_rng(3)
    truth = rng.normal(0, PRIOR * 100, 8_000)
    error = 40.0
    views = [posterior(found(float(each), error)) for each in truth + rng.normal(0, error, len(truth))]
    said = np.array([view.better for view in views])
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        some = (said >= low) & (said < low + 0.2)
        assert (truth[some] > 0).mean() == pytest.approx(said[some].mean(), abs=0.04)
    assert np.mean([view.expected_loss for view in views]) == pytest.approx(np.maximum(-truth, 0).mean(), rel=0.06)
    assert np.mean([view.harm for view in views]) == pytest.approx((truth < 0).mean(), abs=0.02)


def test_it_is_right_as_often_as_it_says() -> None:
    check_right_as_often_as_it_says(posterior)


def test_the_check_sees_a_view_without_its_prior() -> None:
    def flat(difference: Difference) -> Posterior:
        return posterior(found(difference.absolute, difference.error, control=0.0))

    with pytest.raises(AssertionError):
        check_right_as_often_as_it_says(flat)


@given(absolute=st.floats(-50, 50), error=st.floats(0.1, 50), margin=st.sampled_from([0.0, 0.02, 0.1]))
def test_lower_is_the_mirror_of_higher(absolute: float, error: float, margin: float) -> None:
    up, down = (
        posterior(found(absolute, error), margin=margin),
        posterior(found(-absolute, error), "lower", margin=margin),
    )
    assert up.better == pytest.approx(down.better)
    assert up.expected_loss == pytest.approx(down.expected_loss)
    assert up.harm == pytest.approx(down.harm)
    assert up.effect == pytest.approx(-down.effect)
    assert up.harm <= 1 - up.better + 1e-12
    assert up.expected_loss >= 0
    assert abs(up.effect) <= abs(absolute)


@pytest.mark.parametrize("absolute", [-20.0, 0.0, 5.0])
def test_agrees_with_drawing(absolute: float) -> None:
    rng = np.random.default_rng(1)
    view = posterior(found(absolute, 10.0), margin=0.05)
    drawn = rng.normal(view.effect, view.deviation, 400_000)
    assert (drawn > 0).mean() == pytest.approx(view.better, abs=0.003)
    assert np.maximum(-drawn, 0).mean() == pytest.approx(view.expected_loss, rel=0.02)
    assert (drawn < -5).mean() == pytest.approx(view.harm, abs=0.003)
    assert view.deviation < 10.0


def test_without_a_sure_control_the_prior_is_flat() -> None:
    view = posterior(found(3.0, 2.0, control=0.0))
    assert (view.effect, view.deviation) == (3.0, 2.0)


def test_with_much_data_the_prior_does_not_matter() -> None:
    assert posterior(found(5.0, 0.1)).effect == pytest.approx(5.0, rel=1e-4)
    assert posterior(found(5.0, 0.1)).expected_loss == 0.0
