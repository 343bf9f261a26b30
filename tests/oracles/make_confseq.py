"""Writes confseq.json: boundaries of confidence sequences by the package of the authors of the method.

Run by hand, in an environment of its own (numpy < 2; it builds with Boost's headers), and committed:

    pip install "numpy<2" scipy matplotlib pandas multiprocess "pybind11>=2.13" scikit-build cmake ninja "setuptools<70"
    CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install --no-build-isolation confseq==0.0.11
    python tests/oracles/make_confseq.py

``normal_mixture_bound`` bounds a sum of variance v; divided by its root it is a multiple of the standard error. It
tunes its mixture by an approximation, so the mixture (the inverse of the paper's squared rho) is written down too.
"""

import json
from math import log
from pathlib import Path

from confseq.boundaries import normal_mixture_bound

UNITS = (500, 1_000, 5_000, 10_000, 50_000, 1_000_000)
ALPHAS = (0.01, 0.05, 0.1)
TUNED = (2_000, 10_000, 100_000)


def row(units: int, alpha: float, tuned: int) -> dict[str, float]:
    bound = float(normal_mixture_bound(units, alpha, tuned, alpha, is_one_sided=False))
    mixture = tuned / (2 * log(1 / alpha) + log(1 + 2 * log(1 / alpha)))
    return {"units": units, "alpha": alpha, "mixture": mixture, "critical": bound / units**0.5}


if __name__ == "__main__":
    rows = [row(units, alpha, tuned) for units in UNITS for alpha in ALPHAS for tuned in TUNED]
    path = Path(__file__).with_name("confseq.json")
    path.write_text(json.dumps({"made_by": "confseq 0.0.11, tests/oracles/make_confseq.py", "rows": rows}))
