"""Writes lifelines.json: cumulative incidence curves by lifelines, from spells that it also writes down.

Run by hand, in an environment of its own, and committed:

    pip install lifelines==0.30.3
    python tests/oracles/make_lifelines.py

Only the curves are compared. Its variance of the restricted mean is not that of this estimator, and it has no
restricted mean for competing events.
"""

import json
import random
from pathlib import Path

import pandas as pd
from lifelines import AalenJohansenFitter, KaplanMeierFitter

SPELLS = 120
COMPLETED, ABANDONED, WATCHED = 1, 2, 0


def spells(seed: int) -> list[tuple[int, int]]:
    """Times without ties, because lifelines moves tied ones by chance, and how each ended."""
    chance = random.Random(seed)
    times = chance.sample(range(1, 5_000), SPELLS)
    return [(time, chance.choices((COMPLETED, ABANDONED, WATCHED), (5, 3, 2))[0]) for time in times]


def case(seed: int) -> dict[str, object]:
    data = pd.DataFrame(spells(seed), columns=["time", "end"])
    curves = {}
    for name, event in (("completed", COMPLETED), ("abandoned", ABANDONED)):
        fitter = AalenJohansenFitter(calculate_variance=False).fit(data.time, data.end, event_of_interest=event)
        curves[name] = {str(int(at)): float(value) for at, value in fitter.cumulative_density_.iloc[1:, 0].items()}
    censoring = KaplanMeierFitter().fit(data.time, data.end == COMPLETED).cumulative_density_
    return {
        "spells": [list(map(int, spell)) for spell in data.itertuples(index=False)],
        **curves,
        "kaplan_meier": {str(int(at)): float(value) for at, value in censoring.iloc[1:, 0].items()},
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("lifelines.json")
    made = {"made_by": "lifelines 0.30.3, tests/oracles/make_lifelines.py", "cases": [case(seed) for seed in (1, 2)]}
    path.write_text(json.dumps(made))
