"""Makes the model of the category that a shopper is likeliest to look at next, and asks it about visits of the past.

What follows what is counted in earlier visits than those that the weights are learned from: weights that had seen their
own visits counted would trust the counts too much.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.learned.artefact import Artefact
from cashwrap.learning.bootstrap import Draws
from cashwrap.learning.data import TEST, Interactions
from cashwrap.learning.lines import FEW
from cashwrap.learning.results import Evaluation, Slice, Versus
from cashwrap.propensity.affinity import FEATURES, NEWEST, UNKNOWN, Affinity, Visit
from cashwrap.recommend.asked import ADD, ORDER

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Told = Callable[[float, str], None]
COUNTED = 0.7
"""Share of the visits whose followers are counted for the weights, which are learned from the later ones."""
MOST_QUESTIONS = 20_000
"""That weights are learned from: the newest."""
FEWEST_QUESTIONS = 100
MOST_VISITS = 20_000
"""That a test asks about: if there are more, some of them all over its time."""
RIDGE = 1.0
MAIN = "accuracy"
_STEPS = 30
_PRECISE = 1e-7


class Question(NamedTuple):
    """A moment in a visit, and the category that came next."""

    session: int
    visit: Visit
    came: int


class Answers(NamedTuple):
    """By question: the place of what came among what was said, from 1, 0 where it was not said; and where from."""

    rank: NDArray[np.int64]
    session: NDArray[np.int64]
    other: NDArray[np.bool_]
    """What came is another category than the last one."""


def fit(data: Interactions, told: Told) -> Artefact:
    """The model, from all visits that are not TEST.

    Raises ``InvalidInput``: ``no_categories`` where no item has one, ``too_few_examples``.
    """
    names, category = categories_of(data)
    known = np.flatnonzero(data.part != TEST)
    cut = int(len(known) * COUNTED)
    told(0.1, "counting what follows what")
    early = counted(names, category, data, known[:cut])
    told(0.3, "learning weights")
    asked = list(questions(data, category, known[max(cut, len(known) - MOST_QUESTIONS) :]))[-MOST_QUESTIONS:]
    if len(asked) < FEWEST_QUESTIONS:
        raise InvalidInput(
            f"there are {len(asked)} moments in visits with a category after them; at least {FEWEST_QUESTIONS} are "
            "needed. Wait for more visits",
            code="too_few_examples",
        )
    weights = learned(early, asked)
    told(0.8, "counting again, all of it")
    model = counted(names, category, data, known)
    model.weights = weights
    model.items = {item: int(place) for item, place in zip(data.items, category, strict=True) if place != UNKNOWN}
    arrays, texts = model.parts()
    told(1.0, "learned")
    return Artefact("predictor", arrays, texts, {"model": "affinity"})


def categories_of(data: Interactions) -> tuple[tuple[str, ...], Ints]:
    """The categories, and for each item its place among them. Raises ``InvalidInput`` (``no_categories``)."""
    names: dict[str, int] = {}
    places = np.full(len(data.items), UNKNOWN, np.int64)
    for at, item in enumerate(data.items):
        product = data.catalogue.get(item)
        if product is not None and product.category:
            places[at] = names.setdefault(product.category, len(names))
    if len(names) < 2:
        raise InvalidInput(
            "fewer than two categories are known: import a catalogue that has them (cashwrap catalog import), or say "
            "'rows: category' in the mapping",
            code="no_categories",
        )
    return tuple(names), places


def counted(names: tuple[str, ...], category: Ints, data: Interactions, sessions: Ints) -> Affinity:
    """A model without weights that has counted these visits."""
    has = np.zeros(data.sessions, np.bool_)
    has[sessions] = True
    session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
    rows = np.flatnonzero(has[session] & (category[data.item] != UNKNOWN))
    place, visit = category[data.item[rows]], session[rows]
    times = np.bincount(place, minlength=len(names)).astype(np.float64)
    shares = (times + 1.0 / len(names)) / (times.sum() + 1.0)
    together = visit[1:] == visit[:-1]
    after = place[:-1][together] * len(names) + place[1:][together]
    pairs, count = np.unique(after, return_counts=True)
    if data.subjects:  # what too few of a shop's own shoppers did would tell of them
        people = int(data.user.max(initial=0)) + 1
        once = np.unique(after * people + data.user[visit[1:][together]]) // people
        enough = np.unique(once, return_counts=True)[1] >= FEW
        pairs, count = pairs[enough], count[enough]
    followers: list[dict[int, int]] = [{} for _ in names]
    for pair, number in zip(pairs.tolist(), count.tolist(), strict=True):
        followers[pair // len(names)][pair % len(names)] = number
    return Affinity(names, shares.tolist(), followers)


def questions(data: Interactions, category: Ints, sessions: Ints) -> Iterator[Question]:
    """Every moment of these visits but the first, at most the newest of each: what was done before, and what came."""
    bought = _Bought(data, category)
    for session in sessions.tolist():
        start, end = int(data.offsets[session]), int(data.offsets[session + 1])
        places, kinds = category[data.item[start:end]].tolist(), data.kind[start:end].tolist()
        done = [(place, kind) for place, kind in zip(places, kinds, strict=True) if place != UNKNOWN]
        earlier = bought.before(session)
        for at in range(max(1, len(done) - NEWEST), len(done)):
            came, kind = done[at]
            if data.targets and kind not in data.targets:
                continue
            past = done[max(0, at - NEWEST) : at]
            cart = {place for place, one in past if one == ADD}
            orders = earlier | {place for place, one in past if one == ORDER}
            yield Question(session, Visit([place for place, _ in past], cart, orders), came)


class _Bought:
    """Categories that a shopper bought in earlier visits."""

    def __init__(self, data: Interactions, category: Ints) -> None:
        self._user = data.user
        session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
        rows = np.flatnonzero((data.kind == ORDER) & (data.user[session] >= 0) & (category[data.item] != UNKNOWN))
        self._orders: dict[int, list[tuple[int, int]]] = {}
        for row in rows.tolist():
            which = int(session[row])
            self._orders.setdefault(int(data.user[which]), []).append((which, int(category[data.item[row]])))

    def before(self, session: int) -> set[int]:
        """In visits that ended earlier."""
        orders = self._orders.get(int(self._user[session]), [])
        return {place for which, place in orders if which < session}


def learned(model: Affinity, asked: list[Question]) -> Floats:
    """The weights that make what came likeliest, by Newton's method, held down by a ridge. Questions whose answer does
    not come into question teach nothing."""
    sheets, hits = [], []
    for question in asked:
        places, rows = model.question(question.visit)
        if question.came in places:
            sheets.append(rows)
            hits.append(places.index(question.came))
    weights = np.zeros(len(FEATURES))
    if not sheets:
        return weights
    widest = max(len(each) for each in sheets)
    rows = np.zeros((len(sheets), widest, len(FEATURES)))
    there = np.zeros((len(sheets), widest), np.bool_)
    for at, sheet in enumerate(sheets):
        rows[at, : len(sheet)] = sheet
        there[at, : len(sheet)] = True
    hit = np.array(hits)
    loss = np.inf
    for _ in range(_STEPS):
        chance, found = _chances(rows, there, hit, weights)
        if loss - found < _PRECISE * len(hit):
            break
        loss = found
        mean = np.einsum("qk,qkf->qf", chance, rows)
        slope = (mean - rows[np.arange(len(hit)), hit]).sum(axis=0) + RIDGE * weights
        weighted = rows * chance[:, :, None]
        curve = np.tensordot(weighted, rows, axes=([0, 1], [0, 1])) - mean.T @ mean + RIDGE * np.eye(len(FEATURES))
        step, size = np.linalg.solve(curve, slope), 1.0
        while _chances(rows, there, hit, weights - size * step)[1] > found and size > _PRECISE:
            size /= 2.0
        weights = weights - size * step
    return weights


def _chances(rows: Floats, there: NDArray[np.bool_], hit: Ints, weights: Floats) -> tuple[Floats, float]:
    """Of each category in each question, and the loss with the ridge."""
    odds = np.where(there, rows @ weights, -np.inf)
    odds -= odds.max(axis=1, keepdims=True)
    total = np.exp(odds).sum(axis=1)
    loss = (np.log(total) - odds[np.arange(len(hit)), hit]).sum() + 0.5 * RIDGE * weights @ weights
    return np.exp(odds) / total[:, None], float(loss)


# --- asked about the past ---


def ranked(artefact: Artefact, data: Interactions, part: int) -> Answers:
    """What the model said in the visits of one part."""
    model = Affinity.of(artefact)
    return _answers(data, part, _places(model, data), model.ranked)


def baselines(data: Interactions, part: int) -> dict[str, Answers]:
    """What costs nothing: the categories of the visit from the last one back (``last_category``), and the most popular
    of what is not TEST (``most_popular``)."""
    names, category = categories_of(data)
    known = np.repeat(data.part != TEST, np.diff(data.offsets)) & (category[data.item] != UNKNOWN)
    times = np.bincount(category[data.item[known]], minlength=len(names))
    common = np.argsort(-times, kind="stable").tolist()
    plain = {
        "last_category": lambda visit: list(dict.fromkeys((*reversed(visit.touched), *common))),
        "most_popular": lambda _: common,
    }
    return {name: _answers(data, part, category, rule) for name, rule in plain.items()}


def asking(artefact: Artefact, data: Interactions, count: int) -> list[Callable[[], object]]:
    """So many questions, each ready to be asked and timed."""
    model = Affinity.of(artefact)
    sessions = np.flatnonzero(data.part == TEST)
    sessions = (sessions if len(sessions) else np.arange(data.sessions))[-count:]
    asked = list(questions(data, _places(model, data), sessions))[-count:]
    return [partial(model.ranked, each.visit) for each in asked]


def evaluate(ours: Answers, others: Mapping[str, Answers], data: Interactions, seed: int) -> Evaluation:
    """How often the model was right, against each baseline on the same moments; intervals by visits drawn again."""
    task = "next_category"
    if not len(ours.rank):
        return Evaluation(task, MAIN, 0, {}, notes=("There was nothing to test on.",))
    draws = Draws(ours.session, seed)
    columns, theirs = _columns(ours), {name: _columns(each) for name, each in others.items()}
    masks = {
        "goes on in the same category": ~ours.other,
        "goes on in another category": ours.other,
        "the holdout": data.explored[ours.session],
    }
    return Evaluation(
        task=task,
        main=MAIN,
        count=len(ours.rank),
        figures=draws.figures(columns),
        baselines={name: draws.figures(each) for name, each in theirs.items()},
        versus=_versus(draws, columns, theirs),
        slices=tuple(
            Slice(name, int(mask.sum()), draws.figures(columns, mask), _versus(draws, columns, theirs, mask))
            for name, mask in masks.items()
            if mask.any()
        ),
        notes=(
            f"Each moment of a visit but the first asks for the category that came next; {draws.clusters:,} visits.",
        ),
    )


def _columns(answers: Answers) -> dict[str, Floats]:
    rank = answers.rank
    right = {MAIN: rank == 1, "recall@3": (rank > 0) & (rank <= 3)}
    found = {name: hit.astype(np.float64) for name, hit in right.items()}
    return found | {"mrr@20": np.where((rank > 0) & (rank <= 20), 1.0 / np.maximum(rank, 1), 0.0)}


def _versus(
    draws: Draws,
    ours: Mapping[str, Floats],
    theirs: Mapping[str, Mapping[str, Floats]],
    mask: NDArray[np.bool_] | None = None,
) -> tuple[Versus, ...]:
    rows = slice(None) if mask is None else mask
    return tuple(
        Versus(metric, name, float(ours[metric][rows].mean()), float(columns[metric][rows].mean()), *apart)
        for name, columns in theirs.items()
        for metric, apart in draws.differences(ours, columns, mask).items()
    )


def _places(model: Affinity, data: Interactions) -> Ints:
    """For each item of the data its category in the model: what an item is, the model has its own list of, or the
    data's catalogue says."""
    known = {name: place for place, name in enumerate(model.categories)}
    found = np.full(len(data.items), UNKNOWN, np.int64)
    for at, item in enumerate(data.items):
        product = data.catalogue.get(item)
        own = known.get(product.category, UNKNOWN) if product is not None and product.category else UNKNOWN
        found[at] = model.items.get(item, own)
    return found


def _answers(data: Interactions, part: int, category: Ints, rule: Callable[[Visit], list[int]]) -> Answers:
    rank, session, other = [], [], []
    sessions = np.flatnonzero(data.part == part)
    if len(sessions) > MOST_VISITS:
        sessions = sessions[np.linspace(0, len(sessions) - 1, MOST_VISITS).astype(np.int64)]
    for each in questions(data, category, sessions):
        said = rule(each.visit)
        rank.append(said.index(each.came) + 1 if each.came in said else 0)
        session.append(each.session)
        other.append(each.visit.touched[-1] != each.came)
    return Answers(np.array(rank, np.int64), np.array(session, np.int64), np.array(other, np.bool_))
