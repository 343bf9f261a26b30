"""What each kind of task does at each step of ``training``: recommenders, next category, predictions, uplift."""

import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from cashwrap.declarations import NEXT_CATEGORY
from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import affinity, leaks, predicting, qini, randomised, recommending, uplift
from cashwrap.learning.data import TEST, Interactions, Ranked, Table, Task
from cashwrap.learning.drift import Baselines, summary_of
from cashwrap.learning.gate import LIVE, Reason
from cashwrap.learning.interactions import split_by_time
from cashwrap.learning.mapping import Testing
from cashwrap.learning.measures import Rows, evaluate_prediction, evaluate_ranking
from cashwrap.learning.results import Evaluation, Trial
from cashwrap.learning.splits import chosen
from cashwrap.model import Millis, Value
from cashwrap.propensity.predictor import Predictor
from cashwrap.propensity.uplift import Uplift as Difference

Told = Callable[[float, str], None]
"""Hears how much is done, of one, and what is being done."""
Data = Interactions | Table
Settings = Mapping[str, Any]
TIMED = 500
"""Answers that are timed for the gate."""
SEED = 20_110


class Steps(Protocol):
    """What one kind of task does. ``data`` says by its parts what is for testing."""

    @property
    def data(self) -> Data:
        """What is learned from, and tested on."""

    def doubts(self) -> list[Reason]:
        """Why a model of this data would be refused whatever its figures. Raises where none can be made."""

    def search(self, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
        """The best settings on the part that is not for testing, and all that were tried."""

    def fit(self, settings: Settings, told: Told) -> Artefact:
        """A model of all that is not for testing."""

    def evaluate(self, artefact: Artefact, settings: Settings, live: Settings | None) -> Evaluation:
        """How good it is on the test part, against baselines and what it would replace.

        That is judged by its settings (``live``), learned from the same part: as it stands it knows the test already.
        """

    def usual(self, artefact: Artefact, evaluation: Evaluation) -> Baselines:
        """What data and answers were like when it was made: what later ones are compared with."""

    def micros(self, artefact: Artefact) -> float:
        """The median time of one answer, in microseconds."""

    def everything(self) -> "Steps":
        """The same task with nothing kept back."""


class Items:
    """A recommender of what follows in a visit, or of what else is in an order."""

    def __init__(self, data: Interactions, task: Task) -> None:
        self.data = data
        self._task = task

    def doubts(self) -> list[Reason]:
        """None: what is asked lies after all that is known, in every question."""
        return []

    def search(self, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
        """See ``Steps``."""
        return recommending.search(self.data, self._task, told)

    def fit(self, settings: Settings, told: Told) -> Artefact:
        """See ``Steps``."""
        return recommending.fit(self.data, self._task, settings, told)

    def evaluate(self, artefact: Artefact, settings: Settings, live: Settings | None) -> Evaluation:
        """See ``Steps``."""
        ours = recommending.ranked(artefact, self.data, self._task, TEST)
        others = recommending.baselines(self.data, self._task, TEST) if (self.data.part != TEST).any() else {}
        if live is not None and not _alike(settings, live):
            others[LIVE] = recommending.ranked(self.fit(live, _quiet), self.data, self._task, TEST)
        found = self.judged(ours, others)
        told = [text for name, text in sorted(artefact.texts.items()) if name.endswith(".notes")]
        return replace(found, notes=(*found.notes, *told))

    def judged(self, ours: Ranked, others: Mapping[str, Ranked]) -> Evaluation:
        """Answers to the test's questions against others' answers."""
        known = np.repeat(self.data.part != TEST, np.diff(self.data.offsets))
        popularity = np.bincount(self.data.item[known], minlength=len(self.data.items))
        held = self.data.explored[ours.cluster]
        parts = {"the holdout": held} if held.any() else None
        return evaluate_ranking(ours, others, task=self._task, popularity=popularity, slices=parts, seed=SEED)

    def usual(self, artefact: Artefact, evaluation: Evaluation) -> Baselines:  # noqa: ARG002
        """See ``Steps``."""
        return summary_of(self.data, fallback=evaluation.sources.get("fallback"))

    def micros(self, artefact: Artefact) -> float:
        """See ``Steps``."""
        ask = recommending.asking(artefact, self.data, self._task, TIMED)
        return _timed([partial(ask, number) for number in range(TIMED)])

    def everything(self) -> Steps:
        """See ``Steps``."""
        return Items(_all_known(self.data), self._task)


class Categories(Items):
    """In which category a shopper goes on."""

    def __init__(self, data: Interactions) -> None:
        super().__init__(data, "next_item")

    def search(self, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
        """Nothing is searched for: the weights are the model."""
        told(1.0, "")
        return {}, ()

    def fit(self, settings: Settings, told: Told) -> Artefact:  # noqa: ARG002
        """See ``Steps``."""
        return affinity.fit(self.data, told)

    def evaluate(self, artefact: Artefact, settings: Settings, live: Settings | None) -> Evaluation:  # noqa: ARG002
        """See ``Steps``."""
        others = affinity.baselines(self.data, TEST) if (self.data.part != TEST).any() else {}
        return affinity.evaluate(affinity.ranked(artefact, self.data, TEST), others, self.data, SEED)

    def micros(self, artefact: Artefact) -> float:
        """See ``Steps``."""
        return _timed(affinity.asking(artefact, self.data, TIMED))

    def everything(self) -> Steps:
        """See ``Steps``."""
        return Categories(_all_known(self.data))


class Examples:
    """A chance that something comes."""

    def __init__(self, data: Table, testing: Testing) -> None:
        self.data = data
        self._testing = testing

    def doubts(self) -> list[Reason]:
        """Columns that know what comes: by their own account (``future_leak``), or alone tell it nearly always."""
        leaks.check(self.data)
        told = "{} alone tells what comes nearly always (AUC {:.3f}): does it know it? Leave it out"
        return [("suspected_leak", told.format(*each)) for each in predicting.suspects(self.data)]

    def search(self, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
        """See ``Steps``."""
        return predicting.search(self.data, told)

    def fit(self, settings: Settings, told: Told) -> Artefact:
        """See ``Steps``."""
        return predicting.fit(self.data, settings, told)

    def evaluate(self, artefact: Artefact, settings: Settings, live: Settings | None) -> Evaluation:
        """See ``Steps``."""
        if self._testing.folds:
            return self._crossed(settings)
        test = self.data.part == TEST
        known = predicting.baselines(self.data) if not test.all() else {}
        others = {name: scores[test] for name, scores in known.items()}
        if live is not None and not _alike(settings, live):
            others[LIVE] = predicting.scores(self.fit(live, _quiet), self.data)[test]
        rows = Rows(self.data.label[test], self.data.group[test], self.data.explored[test])
        return self._judged(rows, predicting.scores(artefact, self.data)[test], others)

    def _crossed(self, settings: Settings) -> Evaluation:
        """Each row is scored by a model that never saw it, as often as the folds are drawn."""
        drawn = self._testing.folds or 2, self._testing.repeats, SEED
        ours = predicting.cross_scores(self.data, settings, *drawn)
        theirs = predicting.cross_baselines(self.data, *drawn)
        rows = np.concatenate([each for each, _ in ours])
        folds = np.repeat(np.arange(len(ours)), [len(each) for each, _ in ours])
        others = {name: np.concatenate([found[name] for _, found in theirs]) for name in theirs[0][1]}
        tested = Rows(self.data.label[rows], self.data.group[rows], self.data.explored[rows], folds)
        return self._judged(tested, np.concatenate([scores for _, scores in ours]), others)

    def _judged(self, rows: Rows, ours: NDArray[np.float64], others: Mapping[str, NDArray[np.float64]]) -> Evaluation:
        """Precision and recall are of acting on as many rows as labels come: one half would be nobody or everybody."""
        known = self.data.label[self.data.part != TEST]
        threshold = float(np.quantile(ours, 1 - np.mean(known if len(known) else rows.label)))
        return evaluate_prediction(rows, ours, others, threshold=threshold, seed=SEED)

    def usual(self, artefact: Artefact, evaluation: Evaluation) -> Baselines:  # noqa: ARG002
        """See ``Steps``."""
        test = self.data.part == TEST
        return summary_of(self.data, predicting.scores(artefact, self.data)[test] if test.any() else None)

    def micros(self, artefact: Artefact) -> float:
        """See ``Steps``."""
        predictor = Predictor.of(artefact)
        return _timed([partial(predictor.predict, values) for values in _asked(self.data)])

    def everything(self) -> Steps:
        """See ``Steps``."""
        return Examples(self.data._replace(part=np.zeros_like(self.data.part)), self._testing)


class Uplift:
    """By how much an offer raises a chance: of randomised offers only."""

    def __init__(self, data: Table, testing: Testing) -> None:
        self.data = data
        self._testing = testing

    def doubts(self) -> list[Reason]:
        """None, or ``InvalidInput`` (``not_randomised``): nothing can be learned then, however much data there is."""
        leaks.check(self.data)
        randomised.check_randomised(self.data)
        return []

    def search(self, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
        """See ``Steps``."""
        return uplift.search(self.data, told)

    def fit(self, settings: Settings, told: Told) -> Artefact:
        """See ``Steps``."""
        return uplift.fit(self.data, settings, told)

    def evaluate(self, artefact: Artefact, settings: Settings, live: Settings | None) -> Evaluation:  # noqa: ARG002
        """See ``Steps``."""
        if self._testing.folds:
            scores = uplift.cross_scores(self.data, None, self._testing.folds, SEED)  # searched for in each fold
            return qini.evaluate(self.data, scores, SEED)
        test = self.data.part == TEST
        return qini.evaluate(chosen(self.data, test), uplift.scores(artefact, self.data)[test], SEED)

    def usual(self, artefact: Artefact, evaluation: Evaluation) -> Baselines:  # noqa: ARG002
        """See ``Steps``."""
        test = self.data.part == TEST
        return summary_of(self.data, uplift.scores(artefact, self.data)[test] if test.any() else None)

    def micros(self, artefact: Artefact) -> float:
        """See ``Steps``."""
        difference = Difference.of(artefact)
        return _timed([partial(difference.predict, values) for values in _asked(self.data)])

    def everything(self) -> Steps:
        """See ``Steps``."""
        return Uplift(self.data._replace(part=np.zeros_like(self.data.part)), self._testing)


def steps_of(task: str, data: Data, testing: Testing, gap: Millis = 0) -> Steps:
    """The steps of a task, its data split by time where it says nothing of testing itself.

    ``gap`` is how far labels reach ahead. Raises ``InvalidInput`` (``unknown_task``).
    """
    share = testing.share or 0.2
    if isinstance(data, Interactions) and task in ("next_item", "basket", NEXT_CATEGORY):
        split = split_by_time(data, test=share)
        return (
            Categories(split) if task == NEXT_CATEGORY else Items(split, "basket" if task == "basket" else "next_item")
        )
    if isinstance(data, Table) and task in ("prediction", "uplift"):
        table = data if testing.folds else split_by_time(data, test=share, gap=gap)
        return Examples(table, testing) if task == "prediction" else Uplift(table, testing)
    raise InvalidInput(f"{task!r} is no task that such data can be learned for", code="unknown_task")


def _alike(settings: Settings, live: Settings) -> bool:
    """Whether a live model was made as this one is: then it is this one, and there is nothing to compare."""
    kept = {name: live.get(name) for name in settings}
    return msgspec.json.encode(kept, order="sorted") == msgspec.json.encode(settings, order="sorted")


def _all_known(data: Interactions) -> Interactions:
    return data._replace(part=np.zeros_like(data.part))


def _asked(table: Table) -> list[dict[str, Value]]:
    """The first rows as a server has them: values by name, without what is missing."""
    kinds: dict[str, Callable[[Any], Value]] = {
        "number": lambda each: Decimal(repr(float(each))),
        "category": str,
        "set": lambda each: frozenset(each.split(",")),
    }
    rows: list[dict[str, Value]] = [{} for _ in range(min(TIMED, len(table.label)))]
    for column in table.columns:
        for row, each in zip(rows, column.values, strict=False):
            if each == each and each != "":  # noqa: PLR0124 - NaN alone differs from itself
                row[column.name] = kinds[column.kind](each)
    return rows


def _timed(questions: Iterable[Callable[[], object]]) -> float:
    spent = []
    for ask in questions:
        began = time.perf_counter_ns()
        ask()
        spent.append(time.perf_counter_ns() - began)
    return float(np.median(spent)) / 1000 if spent else 0.0


def _quiet(done: float, words: str) -> None:
    """Nobody listens."""
