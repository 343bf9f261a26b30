"""Trainings as a shop would have them: a recommender that passed, chances that passed, and an offer that ranking adds
nothing to. Answers come from a seeded draw, figures from ``measures``, so that all of them fit each other."""

from functools import cache

import msgspec
import numpy as np

from cashwrap.learned.artefact import Figure, Gate, Lineage
from cashwrap.learning import measures
from cashwrap.learning.data import Ranked
from cashwrap.learning.gate import gate
from cashwrap.learning.results import Bin, Curve, Evaluation, Training, Trial, Versus

DAY = 86_400_000
SINCE = 1_753_999_200_000 - 31 * DAY
QUESTIONS = 900


def answers(found: float, seed: int) -> Ranked:
    rng = np.random.default_rng(seed)
    seen = np.arange(QUESTIONS) % 4 == 0
    rank = np.where(rng.random(QUESTIONS) < found + 0.2 * seen, rng.integers(1, 21, QUESTIONS), 0).astype(np.int32)
    items = rng.integers(0, 200, (QUESTIONS, 20)).astype(np.int32)
    sources = rng.choice([0, 0, 0, 1, 1, -1], (QUESTIONS, 20)).astype(np.int8)
    return Ranked(
        rank=rank,
        cluster=(np.arange(QUESTIONS) // 3).astype(np.int32),
        seen=seen,
        items=items,
        sources=sources,
        names=("bought_together", "popular"),
        length=rng.integers(1, 14, QUESTIONS).astype(np.int32),
    )


def lineage(**more: object) -> Lineage:
    told = {
        "source": "facts",
        "digest": "00ff00ff00ff00ff",
        "rows": 12_000,
        "since": SINCE,
        "until": SINCE + 31 * DAY,
        "parts": {"train": 9_600, "valid": 1_200, "test": 1_200},
        "subjects": 3_100,
        "explored": 0.05,
        "playbook": "a1b2c3d4",
    }
    return Lineage(**told | more)  # type: ignore[arg-type]


@cache
def basket() -> Training:
    evaluation = measures.evaluate_ranking(
        answers(0.42, 1),
        {"popular": answers(0.08, 2), "item_knn": answers(0.36, 3)},
        task="basket",
        popularity=np.arange(300),
        slices={"the holdout": np.arange(QUESTIONS) % 20 == 0},
    )
    trials = tuple(
        Trial({"damping": damping, "k": k}, 0.36 + 0.01 * k / 100 - 0.02 * abs(damping - 0.5), 1.5 + damping)
        for damping in (0.25, 0.5, 0.75)
        for k in (100, 50, 200)
    )
    return Training(
        name="basket",
        lineage=lineage(),
        settings={"damping": 0.5, "k": 200},
        trials=trials,
        evaluation=evaluation,
        gate=gate(evaluation, kind="recommender"),
        seconds=83.4,
        peak_bytes=412 * 2**20,
        version="2025-08-01-1",
    )


@cache
def abandon() -> Training:
    rng = np.random.default_rng(5)
    scores = rng.beta(1.2, 3.0, 1_200)
    label = (rng.random(1_200) < scores).astype(np.float64)
    rows = measures.Rows(label, np.arange(1_200) // 2, np.arange(1_200) % 20 == 0)
    baselines = {
        "base_rate": np.full(1_200, 0.28),
        "logistic": np.clip(scores + rng.normal(0, 0.25, 1_200), 0.01, 0.99),
    }
    evaluation = measures.evaluate_prediction(rows, scores, baselines, threshold=0.6)
    return Training(
        name="abandon_propensity",
        lineage=lineage(source="log", features=("orders", "spent", "sessions", "cart_adds")),
        settings={"leaves": 15, "rounds": 140, "rate": 0.05},
        trials=(Trial({"leaves": 15}, 0.49, 4.0), Trial({"leaves": 31}, 0.481, 6.0)),
        evaluation=evaluation,
        gate=gate(evaluation, kind="predictor"),
        seconds=12.3,
        peak_bytes=250 * 2**20,
        version="2025-08-01-1",
    )


@cache
def offer() -> Training:
    at = np.linspace(0, 1, 101)
    evaluation = Evaluation(
        task="uplift",
        main="qini",
        count=14_000,
        figures={"qini": Figure(-0.0003, -0.0041, 0.0034), "uplift@30": Figure(0.067, 0.043, 0.089)},
        baselines={"chance": {"qini": Figure(0.0), "uplift@30": Figure(0.0736)}},
        versus=(Versus("qini", "chance", -0.0003, 0.0, -0.0003, -0.0041, 0.0034),),
        reliability=tuple(Bin(0.05 + 0.01 * n, 0.075 - 0.004 * (n % 2), 2_800) for n in range(5)),
        curves=(
            Curve("qini", tuple(at.tolist()), tuple((0.0736 * at - 0.004 * np.sin(7 * at)).tolist()), "by the model"),
            Curve("qini", (0.0, 1.0), (0.0, 0.0736), "by chance"),
        ),
        notes=("For these shoppers ranking adds nothing that these data can show.",),
    )
    return Training(
        name="discount_sensitivity",
        lineage=lineage(source="hillstrom_mens"),
        settings={"leaves": 7},
        trials=(),
        evaluation=evaluation,
        gate=gate(evaluation, kind="uplift"),
        seconds=20.0,
        peak_bytes=300 * 2**20,
    )


@cache
def nothing() -> Training:
    """Nothing could be tested, and its names are what an attacker would write."""
    return msgspec.structs.replace(
        basket(),
        name="<script>alert(1)</script>",
        evaluation=measures.evaluate_ranking(
            Ranked(*[np.empty(0, np.int32)] * 5, ()), {}, task="basket", popularity=np.empty(0)
        ),
        trials=(),
        settings={"<b>|x": "<img src=x>"},
        gate=Gate(
            passed=False, reasons=(("too_few_tests", "tested on 0, at least 200 are needed: wait for more data"),)
        ),
        version="",
    )


ALL = {"basket": basket, "abandon": abandon, "offer": offer, "nothing": nothing}
