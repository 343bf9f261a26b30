"""Make gbstats.json: what GrowthBook's statistics engine says about units of simulated shops.

gbstats needs older numpy and pandas than ours, so it runs in an environment of its own, and only its answers are kept:

    uv venv --python 3.11 gbenv
    uv pip install --python gbenv "gbstats==0.8.0" "numpy<2" "pandas<2"
    gbenv/bin/python tests/oracles/make_gbstats.py > tests/oracles/gbstats.json

A case holds the sums over each arm's units, which are whole numbers (cents, pieces), and gbstats' answers from these.
"""

import json
import sys
import warnings

import numpy as np
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
from gbstats.frequentist.tests import FrequentistConfig, SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import (
    ProportionStatistic,
    QuantileStatistic,
    RatioStatistic,
    RegressionAdjustedStatistic,
    SampleMeanStatistic,
)
from gbstats.utils import check_srm
from scipy.stats import binom

SHOPS = {
    # name: (units of control, of treatment, conversion, lift of conversion, lift of baskets)
    "even, nothing to find": (20_000, 20_000, 0.030, 1.00, 1.00),
    "even, a gain": (20_000, 20_000, 0.030, 1.15, 1.02),
    "one in ten, a loss": (45_000, 5_000, 0.025, 0.85, 1.00),
    "a holdout": (10_000, 190_000, 0.040, 1.05, 1.01),
    "small": (600, 500, 0.050, 1.20, 1.00),
    "many refunds": (8_000, 8_000, 0.045, 1.00, 0.95),
}


def units(rng, n, conversion, basket):
    """One row per unit: orders, revenue and profit in cents, pieces, and cents spent before the experiment."""
    before = np.where(rng.random(n) < 0.4, rng.lognormal(8.5, 1.0, n), 0.0)
    orders = rng.poisson(conversion * (0.6 + before / before.mean() * 0.4))
    revenue = np.where(orders > 0, rng.lognormal(8.6, 0.8, n) * orders * basket + before * 0.05, 0.0)
    refunded = np.where(rng.random(n) < 0.12, revenue * rng.random(n), 0.0)
    profit = revenue * 0.3 - refunded * 1.1
    pieces = np.where(orders > 0, orders + rng.poisson(1.4 * np.maximum(orders, 1), n), 0)
    table = {"orders": orders, "revenue": revenue, "profit": profit, "pieces": pieces, "before": before}
    rounded = {name: np.round(column).astype(np.int64) for name, column in table.items()}
    return {**rounded, "bought": (orders > 0).astype(np.int64)}


def sums(arm, main, other=None):
    """Sums over units, exact."""
    found = {"n": len(arm[main]), "sum": int(arm[main].sum()), "squares": int((arm[main] ** 2).sum())}
    if other is not None:
        found["other"] = sums(arm, other)
        found["products"] = int((arm[main] * arm[other]).sum())
    return found


def sample(found, kind):
    if kind == "proportion":
        return ProportionStatistic(n=found["n"], sum=found["sum"])
    return SampleMeanStatistic(n=found["n"], sum=found["sum"], sum_squares=found["squares"])


def statistic(found, kind):
    """gbstats' own statistic of the sums: "ratio", "adjusted mean" and "adjusted proportion" have another column."""
    n = found["n"]
    if kind == "ratio":
        parts = sample(found, "mean"), sample(found["other"], "mean")
        return RatioStatistic(n=n, m_statistic=parts[0], d_statistic=parts[1], m_d_sum_of_products=found["products"])
    if kind.startswith("adjusted"):
        parts = sample(found, kind.split()[1]), sample(found["other"], "mean")
        return RegressionAdjustedStatistic(
            n=n, post_statistic=parts[0], pre_statistic=parts[1], post_pre_sum_of_products=found["products"], theta=0
        )
    return sample(found, kind)


def answers(make):
    """Every test of gbstats on the two statistics that ``make`` makes; it changes them, so each has its own."""
    found = {}
    for how in ("absolute", "relative"):
        fixed = TwoSidedTTest(*make(), FrequentistConfig(difference_type=how)).compute_result()
        looked = SequentialTwoSidedTTest(
            *make(), SequentialConfig(difference_type=how, sequential_tuning_parameter=5000)
        ).compute_result()
        prior = GaussianPrior(mean=0, variance=0.3**2, proper=True)
        view = EffectBayesianABTest(
            *make(), EffectBayesianConfig(difference_type=how, prior_type="relative", prior_effect=prior)
        ).compute_result()
        errors = {each.error_message for each in (fixed, looked, view)}
        assert errors == {None}, errors
        found[how] = {
            "estimate": fixed.expected,
            "error": fixed.uplift.stddev,
            "interval": list(fixed.ci),
            "p": fixed.p_value,
            "sequential": {"n0": 5000, "alpha": 0.05, "interval": list(looked.ci), "p": looked.p_value},
            "bayes": {
                "mean": view.uplift.mean,
                "deviation": view.uplift.stddev,
                "better": view.chance_to_win,
                "risk_of_treatment": view.risk[1],
            },
        }
    return found


METRICS = {
    "conversion": ("proportion", "bought", None),
    "revenue": ("mean", "revenue", None),
    "profit": ("mean", "profit", None),
    "order value": ("ratio", "revenue", "orders"),
    "pieces an order": ("ratio", "pieces", "orders"),
    "adjusted revenue": ("adjusted mean", "revenue", "before"),
    "adjusted conversion": ("adjusted proportion", "bought", "before"),
}


def quantile(values, q):
    """Three values in order around quantile q, between whose ends it lies in 95 % of samples."""
    n, ordered = len(values), np.sort(values)
    low, high = int(binom.ppf(0.025, n, q)), int(binom.ppf(0.975, n, q)) + 1
    at = int(np.ceil(n * q - 1e-9))
    return {"n": n, "q": q, "value": int(ordered[at - 1]), "low": int(ordered[low - 1]), "high": int(ordered[high - 1])}


def of_quantile(found):
    return QuantileStatistic(
        n=found["n"],
        n_star=found["n"],
        nu=found["q"],
        quantile_hat=found["value"],
        quantile_lower=found["low"],
        quantile_upper=found["high"],
    )


def cases():
    """All cases, the same whenever they are made."""
    for index, (shop, (control, treatment, conversion, lift, basket)) in enumerate(SHOPS.items()):
        rng = np.random.default_rng(index)
        arms = units(rng, control, conversion, 1.0), units(rng, treatment, conversion * lift, basket)
        for metric, (kind, main, other) in METRICS.items():
            found = [sums(arm, main, other) for arm in arms]
            made = answers(lambda found=found, kind=kind: [statistic(each, kind) for each in found])
            yield {"shop": shop, "metric": metric, "kind": kind, "arms": found, "gbstats": made}
        for q in (0.5, 0.9):
            times = [
                np.round(rng.lognormal(11.0, 0.7, n) * f).astype(np.int64) for n, f in ((control, 1), (treatment, 0.97))
            ]
            found = [quantile(each, q) for each in times]
            made = answers(lambda found=found: [of_quantile(each) for each in found])
            yield {"shop": shop, "metric": f"milliseconds at {q}", "kind": "quantile", "arms": found, "gbstats": made}
    for users, weights in (([20_000, 20_000], [5, 5]), ([45_310, 4_790], [9, 1]), ([9_700, 10_300, 10_010], [1, 1, 1])):
        p = float(check_srm(users, weights))
        yield {
            "shop": "",
            "metric": "sample ratio",
            "kind": "ratio check",
            "users": users,
            "weights": weights,
            "gbstats": p,
        }


if __name__ == "__main__":
    warnings.simplefilter("error")
    lines = ",\n".join(json.dumps(case) for case in cases())
    sys.stdout.write(f"[\n{lines}\n]\n")
