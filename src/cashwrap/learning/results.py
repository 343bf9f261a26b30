"""What an evaluation says, as plain values: the card, the table, the gate and the registry read nothing else."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from cashwrap.learned.artefact import Figure, Gate, Lineage


class Versus(Struct, frozen=True):
    """A metric against a baseline on the same queries: the difference with its paired bootstrap 95 % interval."""

    metric: str
    baseline: str
    ours: float
    theirs: float
    difference: float
    low: float
    high: float


class Bin(Struct, frozen=True):
    """One bar of a reliability plot: what was predicted on average, what came, of how many."""

    predicted: float
    observed: float
    count: int


class Slice(Struct, frozen=True):
    """The main figures in one part of the queries, such as ``new items only`` or ``the holdout``."""

    name: str
    count: int
    figures: Mapping[str, Figure]
    versus: tuple[Versus, ...] = ()


class Curve(Struct, frozen=True):
    """Points of a plot, by name: ``qini``, ``roc``, ``precision_recall``."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    label: str = ""


class Trial(Struct, frozen=True):
    """One configuration that the search tried, and what it came to on the validation part."""

    settings: Mapping[str, Any]
    value: float
    seconds: float


class Evaluation(Struct, frozen=True):
    """How good a model is on data it has not seen.

    ``figures`` are its own, by metric (``recall@20``, ``mrr@20``, ``ndcg@20``, ``coverage@20``, ``novelty@20``,
    ``auc``, ``average_precision``, ``log_loss``, ``brier``, ``calibration_error``, ``precision``, ``recall``, ``f1``,
    ``qini``, ``uplift@30`` ...); ``baselines`` those of each baseline. ``main`` is the metric that the gate asks about.
    """

    task: str
    main: str
    count: int
    """Queries or rows tested."""
    figures: Mapping[str, Figure]
    baselines: Mapping[str, Mapping[str, Figure]] = {}
    versus: tuple[Versus, ...] = ()
    reliability: tuple[Bin, ...] = ()
    curves: tuple[Curve, ...] = ()
    slices: tuple[Slice, ...] = ()
    sources: Mapping[str, float] = {}
    """Share of places in answers that each source filled; ``fallback`` those that no learned source did."""
    notes: tuple[str, ...] = ()
    """What a reader has to know: the protocol, and every reason for doubt, in plain sentences."""


class Training(Struct, frozen=True):
    """A whole run: what was learned from, what was tried, how good it is, and whether it may go on."""

    name: str
    lineage: Lineage
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    evaluation: Evaluation
    gate: Gate
    seconds: float
    peak_bytes: int
    version: str = ""
    """In the registry; empty where it was not registered."""
    judged: Literal["", "unseen", "seen"] = ""
    """A registered model was tested and nothing learned: on what is new to it, or on what it partly knew."""
