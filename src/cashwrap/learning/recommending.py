"""Makes a recommender (a bounded search, the sources' tables, the blend), and asks it and baselines a test's questions.

The blend is learned on the tail of what may be learned from, with sources that know the head alone, as a server's know
nothing of what they are asked; then the sources are built again from everything.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning import blending, searching, sources
from cashwrap.learning.baselines import BASELINES
from cashwrap.learning.data import TEST, Interactions, Ranked, Task
from cashwrap.learning.neighbours import Vsknn
from cashwrap.learning.questions import Chosen, Questions
from cashwrap.learning.results import Trial
from cashwrap.learning.similar import stocked
from cashwrap.recommend.asked import Asked, Items, Source
from cashwrap.recommend.hybrid import Recommender
from cashwrap.recommend.hybrid import ranked as in_order

Told = Callable[[float, str], None]
DEPTH: Final = 100
"""Places of an answer that are looked at for what was hidden."""
SHOWN: Final = 20
TAIL: Final = (0.1, 0.25)
"""Share of the sessions, the newest, that the blend is learned on: the least, and the most where those are too few."""
FEWEST_ITEMS: Final = 2
LEARNED_FROM: Final = 12_000
"""Questions that the blend is learned from at most."""
Answer = Callable[[Asked], tuple[Items, NDArray[np.int64]]]
"""The best items of a question, in order, and which source each is from."""


def search(data: Interactions, task: Task, told: Told) -> tuple[dict[str, Any], tuple[Trial, ...]]:
    """The settings that are best on the tail of what may be learned from, and what was tried.

    Raises ``InvalidInput``: ``no_interactions``, ``too_few_items``.
    """
    data = _learnable(data)
    return searching.search(data, task, _tail(data), told)


def fit(data: Interactions, task: Task, settings: Mapping[str, Any], told: Told) -> Artefact:
    """A recommender from all that is not for testing.

    Raises ``InvalidInput``: ``no_interactions``, ``too_few_items``.
    """
    data = _learnable(data)
    tail = _tail(data)
    told(0.0, "learning how to blend")
    head = Recommender.of(sources.recommender(sources.without(data, tail), task, settings))
    questions = Questions(data, task)
    asked = questions.chosen(tail, LEARNED_FROM)
    examples = blending.examples(head, questions, asked, lambda done, words: told(0.6 * done, words))
    learned = blending.learn(examples, len(head.names), settings.get("blend", {}))
    told(0.7, "learning from everything")
    whole = sources.recommender(data, task, settings, head.names)
    told(1.0, "learned")
    return replace(whole, arrays={**whole.arrays, **learned.arrays})


def ranked(artefact: Artefact, data: Interactions, task: Task, part: int) -> Ranked:
    """What a recommender answers to all questions of one part of the data. It may know other items than the data."""
    recommender = Recommender.of(artefact)
    same = recommender.items == data.items
    theirs = _Translated(recommender, data.items) if not same else None

    def answer(asked: Asked) -> tuple[Items, NDArray[np.int64]]:
        found = recommender.order(theirs.asked(asked) if theirs else asked, DEPTH)
        return (theirs.items(found.items) if theirs else found.items), found.source

    return _answered(answer, recommender.names, data, task, part)


def baselines(data: Interactions, task: Task, part: int) -> dict[str, Ranked]:
    """What baselines answer to the same questions, learned from the same sessions: ``popular``, ``item_knn``, and of
    ``next_item`` ``vsknn`` too."""
    known = _learnable(data)
    usual: dict[str, Source] = {name: make(known, task) for name, make in BASELINES.items()}
    if task == "next_item":
        usual["vsknn"] = Vsknn.learned(known)
    return {name: _baseline(source, data, task, part) for name, source in usual.items()}


def asking(artefact: Artefact, data: Interactions, task: Task, most: int) -> Callable[[int], object]:
    """Asks the recommender for 20 items, by the number of a question below ``most``: what a gate times."""
    recommender = Recommender.of(artefact)
    questions = Questions(data._replace(items=data.items), task)
    part = data.part == TEST
    chosen = questions.chosen(part if part.any() else np.ones(data.sessions, np.bool_), most)
    theirs = _Translated(recommender, data.items)
    asked = [theirs.asked(questions.ask(*each)) for each in zip(*(each.tolist() for each in chosen), strict=True)]
    return lambda place: recommender.recommend(asked[place % len(asked)], SHOWN) if asked else None


class _Translated:
    """Items of the data as numbers of a recommender, and back; what either does not know is left out, or -1."""

    def __init__(self, recommender: Recommender, items: tuple[str, ...]) -> None:
        places = {name: place for place, name in enumerate(recommender.items)}
        self._there = np.array([places.get(name, -1) for name in items], np.int32)
        self._back = np.full(len(recommender.items), -1, np.int32)
        known = self._there >= 0
        self._back[self._there[known]] = np.flatnonzero(known)

    def asked(self, asked: Asked) -> Asked:
        """The question in the recommender's numbers."""
        recent, basket, bought = (self._there[each] for each in (asked.recent, asked.basket, asked.bought))
        earlier = self._there[asked.earlier]
        visit, owned, before = recent >= 0, bought >= 0, earlier >= 0
        return Asked(
            recent[visit],
            asked.kinds[visit],
            asked.ages[visit],
            basket[basket >= 0],
            bought[owned],
            asked.bought_days[owned],
            asked.bought_times[owned],
            asked.category,
            earlier[before],
            asked.earlier_days[before],
        )

    def items(self, items: Items) -> Items:
        """The answer in the data's numbers."""
        return self._back[items]


def _baseline(source: Source, data: Interactions, task: Task, part: int) -> Ranked:
    def answer(asked: Asked) -> tuple[Items, NDArray[np.int64]]:
        items = in_order(source.candidates(asked), asked, DEPTH).items
        return items, np.zeros(len(items), np.int64)

    return _answered(answer, (source.name,), data, task, part)


def _answered(answer: Answer, names: tuple[str, ...], data: Interactions, task: Task, part: int) -> Ranked:
    """All questions of a part, answered."""
    questions = Questions(data, task)
    asked: Chosen = questions.chosen(data.part == part)
    count = len(asked.row)
    found = Ranked(
        rank=np.zeros(count, np.int32),
        cluster=asked.session.astype(np.int32),
        seen=np.zeros(count, np.bool_),
        items=np.full((count, SHOWN), -1, np.int32),
        sources=np.full((count, SHOWN), -1, np.int8),
        names=names,
        fresh=np.zeros(count, np.int32),
        length=np.zeros(count, np.int32),
    )
    for place, (session, row) in enumerate(zip(asked.session.tolist(), asked.row.tolist(), strict=True)):
        question = questions.ask(session, row)
        _note(found, place, question, questions.answer(row), *answer(question))
    return found


def _note(found: Ranked, place: int, asked: Asked, hidden: int, items: Items, source: NDArray[np.int64]) -> None:
    """Write one answer down."""
    said = asked.recent if len(asked.recent) else asked.basket
    at = np.flatnonzero(items == hidden)
    found.seen[place] = seen = bool((said == hidden).any())
    if found.length is not None:
        found.length[place] = len(said)
    if len(at):
        found.rank[place] = at[0] + 1
        if found.fresh is not None and not seen:
            found.fresh[place] = at[0] + 1 - np.isin(items[: at[0]], said).sum()
    shown = min(len(items), SHOWN)
    found.items[place, :shown] = items[:shown]
    found.sources[place, :shown] = source[:shown]


def _learnable(data: Interactions) -> Interactions:
    """What may be learned from. A catalogue made of a file's own rows says of items that only the test has nothing."""
    known = sources.without(data, data.part == TEST)
    if not len(known.item):
        raise InvalidInput("there is nothing to learn from: every session is for testing", code="no_interactions")
    seen = np.unique(known.item)
    if len(seen) < FEWEST_ITEMS:
        raise InvalidInput("all that may be learned from is about one item: nothing goes with it", code="too_few_items")
    if data.subjects:
        return stocked(known)
    names = [data.items[place] for place in seen.tolist()]
    return known._replace(catalogue={name: data.catalogue[name] for name in names if name in data.catalogue})


def _tail(data: Interactions) -> NDArray[np.bool_]:
    """The newest sessions, as many as have questions enough."""
    rows = np.cumsum(np.maximum(np.diff(data.offsets)[::-1] - 1, 0))
    least, most = (int(data.sessions * share) for share in TAIL)
    size = min(max(int(np.searchsorted(rows, LEARNED_FROM)) + 1, least), most)
    tail = np.zeros(data.sessions, np.bool_)
    tail[data.sessions - size :] = True
    return tail
