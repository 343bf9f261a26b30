"""False-discovery control, against its definition and against statsmodels."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from cashwrap.analysis.statistics.multiple import false_discovery

PS = st.lists(st.none() | st.floats(0, 1), max_size=30)
Control = Callable[[Sequence[float | None]], Sequence[float | None]]


def check(control: Control, ps: Sequence[float | None]) -> None:
    found = control(ps)
    assert [q is None for q in found] == [p is None for p in ps]
    pairs = sorted((p, q) for p, q in zip(ps, found, strict=True) if p is not None and q is not None)
    known = [p for p, _ in pairs]
    for p, q in pairs:
        # The definition: the least, over all thresholds that keep this p, of p found by chance over p found.
        naive = min(len(known) * at / sum(other <= at for other in known) for at in known if at >= p)
        assert q == pytest.approx(min(1.0, naive), rel=1e-9, abs=1e-300)
    if known:
        wanted = multipletests(known, method="fdr_bh")[1]
        assert [q for _, q in pairs] == pytest.approx(list(wanted), rel=1e-9, abs=1e-300)


@given(ps=PS)
def test_agrees_with_the_definition_and_with_statsmodels(ps: list[float | None]) -> None:
    check(false_discovery, ps)


def test_the_check_sees_q_values_out_of_order() -> None:
    def planted(ps: Sequence[float | None]) -> list[float | None]:
        ranked = sorted(p for p in ps if p is not None)
        return [None if p is None else min(1.0, p * len(ranked) / (ranked.index(p) + 1)) for p in ps]

    check(planted, [0.01, None, 0.9])  # right by luck
    with pytest.raises(AssertionError):
        check(planted, [0.01, None, 0.039, 0.04])


def test_the_share_of_false_finds_is_held() -> None:
    rng = np.random.default_rng(4)
    shares = []
    for _ in range(400):
        real = rng.normal(3.0, 1.0, 5)
        none = rng.normal(0.0, 1.0, 15)
        ps = [float(p) for p in 2 * norm.sf(np.abs(np.concatenate((real, none))))]
        found = [index for index, q in enumerate(false_discovery(ps)) if q is not None and q <= 0.1]
        shares.append(sum(index >= 5 for index in found) / max(1, len(found)))
    assert np.mean(shares) <= 0.1
