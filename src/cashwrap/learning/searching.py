"""The search for a recommender's settings: bounded, one after the other, on the tail of what may be learned from.

First the sources that settings make a difference to, each alone; then the trees that blend them, as many as are best
for the newest half of the tail. A setting that made nothing better is not tried further.
"""

from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Artefact
from cashwrap.learning import blending, sources
from cashwrap.learning.data import Interactions, Task
from cashwrap.learning.questions import Chosen, Questions
from cashwrap.learning.results import Trial
from cashwrap.recommend.asked import Source
from cashwrap.recommend.hybrid import SOURCES, Recommender, ranked

Told = Callable[[float, str], None]
SHOWN: Final = 20
QUESTIONS: Final = 3_000
"""That one trial is judged by."""
BLENDED: Final = 8_000
"""Questions that a trial's blend is learned from."""
ROWS: Final = 1_000_000
"""The newest this many are what a trial knows: time is bounded, and the same data finds the same settings."""
TRIED: Final[Mapping[Task, Mapping[str, Mapping[str, tuple[Any, ...]]]]] = {
    "next_item": {
        "session": {
            "fade": (2.0, 1.2, 4.0),
            "near": (3.0, 1.5, 8.0),
            "age": (0.0, 0.7, 2.0, 10.0, 30.0),
            "length": (0.0, 0.3),
            "rare": (1.0, 2.0),
            "nearest": (200, 100),
            "before": (0.8, 0.5),
            "dwell": (0.0, 0.3),
            "kinds": ((1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 0.3, 1.0)),
        },
    },
    "basket": {
        "together": {
            "sharp": (2.0, 1.0, 3.0),
            "given": (0.8, 0.5),
            "wanted": (0.5, 0.3, 0.7),
            "near": (0.6, 0.0, 0.9),
            "half_life": (90.0, 0.0, 30.0, 180.0),
            "damp": (4.0, 10.0, 1.0),
        },
    },
}
"""By source and setting: the usual value first, then what is tried in its place."""
BLENDS: Final[Sequence[Mapping[str, Any]]] = (
    {"leaves": 16, "rate": 0.1, "fewest": 100},
    {"leaves": 8, "rate": 0.1, "fewest": 100},
    {"leaves": 16, "rate": 0.1, "fewest": 30},
)


def search(
    data: Interactions, task: Task, tail: NDArray[np.bool_], told: Told
) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """The settings that did best, and all trials in their order. A trial's value is Recall@20 and MRR@20 added up."""
    head = sources.without(data, tail | _old(data))
    questions = Questions(data, task)
    trials: list[Trial] = []
    settings: dict[str, Any] = {}
    asked = questions.chosen(tail, QUESTIONS)
    for name, tried in TRIED[task].items():
        own = {setting: values[0] for setting, values in tried.items()}
        alone = _Alone(head, task, name, questions, asked)
        settings[name] = _descend(alone, own, tried, trials, told)
    told(0.6, "trying how to blend")
    recommender = Recommender.of(sources.recommender(head, task, settings))
    blends = _Blending(recommender, questions, tail, lambda done, words: told(0.6 + 0.3 * done, words))
    settings["blend"] = blends.best(trials)
    return settings, tuple(trials)


def value(places: NDArray[np.int64], count: int) -> float:
    """Recall@20 and MRR@20 added up, of so many questions; places are from 1, and 0 for none."""
    hit = (places > 0) & (places <= SHOWN)
    return float((hit.sum() + (1 / places[hit]).sum()) / max(count, 1))


def _old(data: Interactions) -> NDArray[np.bool_]:
    """The sessions before the newest rows that a trial knows."""
    found: NDArray[np.bool_] = data.offsets[1:] <= len(data.item) - ROWS
    return found


class _Alone:
    """One source, asked the same questions with any settings."""

    def __init__(self, head: Interactions, task: Task, name: str, questions: Questions, asked: Chosen) -> None:
        self._head, self._task, self.name = head, task, name
        self._rows = asked.row.tolist()
        self._asked = [questions.ask(*each) for each in zip(asked.session.tolist(), self._rows, strict=True)]
        self._answers = [questions.answer(row) for row in self._rows]

    def value(self, own: Mapping[str, Any]) -> float:
        """How well the source does alone."""
        arrays, texts = sources.build(self._head, self.name, self._task, {self.name: own})
        made = Artefact("recommender", arrays, texts, {self.name: own})
        source: Source = SOURCES[self.name].of(made, len(self._head.items))
        places = np.zeros(len(self._asked), np.int64)
        for place, (asked, answer) in enumerate(zip(self._asked, self._answers, strict=True)):
            found = np.flatnonzero(ranked(source.candidates(asked), asked, SHOWN).items == answer)
            places[place] = 1 + found[0] if len(found) else 0
        return value(places, len(places))


def _descend(
    alone: _Alone,
    own: dict[str, Any],
    tried: Mapping[str, Sequence[Any]],
    trials: list[Trial],
    told: Told,
) -> dict[str, Any]:
    """One setting after the other: the value that does best stays."""
    best = _trial(alone, own, trials)
    steps = [(setting, each) for setting, values in tried.items() for each in values[1:]]
    for place, (setting, each) in enumerate(steps):
        told(0.6 * place / len(steps), f"trying {alone.name} with {setting} {each}")
        found = _trial(alone, {**own, setting: each}, trials)
        if found > best:
            own, best = {**own, setting: each}, found
    return own


def _trial(alone: _Alone, own: dict[str, Any], trials: list[Trial]) -> float:
    began = process_time()
    found = alone.value(own)
    trials.append(Trial({alone.name: own}, round(found, 5), process_time() - began))
    return found


class _Blending:
    """Trees, learned from the older half of the tail and judged by the newer, by any settings."""

    def __init__(self, recommender: Recommender, questions: Questions, tail: NDArray[np.bool_], told: Told) -> None:
        newer = tail.copy()
        newer[np.flatnonzero(tail)[: int(tail.sum()) // 2]] = False
        first, second = questions.chosen(tail & ~newer, BLENDED), questions.chosen(newer, QUESTIONS)
        self._sources, self._count = len(recommender.names), len(second.row)
        self._older = blending.examples(recommender, questions, first, lambda done, words: told(0.7 * done, words))
        self._newer = blending.examples(
            recommender, questions, second, lambda done, words: told(0.7 + 0.3 * done, words)
        )

    def best(self, trials: list[Trial]) -> dict[str, Any]:
        """The settings that do best, with how many trees there are."""
        best, found = -1.0, dict(BLENDS[0])
        for each in BLENDS:
            began = process_time()
            learned = blending.learn(self._older, self._sources, each, self._newer)
            if not learned.rounds:
                break
            reached = value(blending.places(learned, self._newer), self._count)
            own = {**each, "rounds": learned.rounds}
            trials.append(Trial({"blend": own}, round(reached, 5), process_time() - began))
            if reached > best:
                best, found = reached, own
        return found
