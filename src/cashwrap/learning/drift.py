"""Whether a model still fits what happens now: what it was learned from, kept as shares, against what comes today.

A ``Baselines`` goes with each model. It holds no row: a number is its quantiles and the share of rows between them, a
text is a digest of each frequent level and its share, an item is how often it was used. A shift counts as one when it
is larger than a sample of this size would show by chance, and large enough to matter (``LIMITS``).
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from cashwrap.learning.data import Column, Interactions, Table
from cashwrap.model import Millis

Floats = NDArray[np.float64]
Verdict = Literal["fine", "watch", "retrain"]
_ORDER: tuple[Verdict, ...] = ("fine", "watch", "retrain")
BINS = 10
FEWEST_SHOPPERS = 3
"""Different shoppers of a level of a text that is told of."""
FEWEST = 20
"""Rows of a bin, or of a level of a text, that are told of at least: a share says nothing of anybody."""
LEVELS = 50
"""Levels of a text that are told apart, the most frequent ones."""
ITEMS = 500
"""Items that are told apart, the most used ones."""
FEWEST_NOW = 100
"""Rows, answers or interactions of today below which nothing is said."""
SURE = 0.001
"""How rarely chance may be taken for a shift, over all readings of one kind."""
LIMITS: Mapping[str, tuple[float, float]] = {
    "feature": (0.1, 0.25),
    "scores": (0.1, 0.25),
    "calibration": (0.02, 0.05),
    "unknown_items": (0.1, 0.25),
    "fallback": (0.1, 0.25),
    "popularity": (0.3, 0.5),
    "age": (30.0, 90.0),
}
"""From which value on a reading is to be watched, and from which on the model is to be learned again. The usual ones
for a population stability index; a difference of shares; a distance from 0 to 1; days."""
_DAY: Millis = 86_400_000
_DRAWS = 50
_MISSING, _OTHER = "missing", "other"


class Spread(Struct, frozen=True):
    """How one column, or the scores, lay in training: the share of rows between ``edges``, or by level.

    ``levels`` are digests; the last two shares of any column are those of all other levels and of missing.
    """

    rows: int
    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    text: Literal["", "category", "set"] = ""


class Baselines(Struct, frozen=True):
    """What a model was learned from, as far as a later day is compared with it."""

    until: Millis = 0
    """The newest moment that it knows of; 0 for data without a clock."""
    rows: int = 0
    features: Mapping[str, Spread] = {}
    scores: Spread | None = None
    items: Mapping[str, float] = {}
    """Of a recommender: the share of its interactions that each of the most used items had."""
    fallback: float | None = None
    """The share of places in answers that no learned source filled, when it was tested."""


class Reading(Struct, frozen=True):
    """One thing looked at, by name, with its value, the interval where there is one, and what it means."""

    kind: str
    name: str
    value: float
    verdict: Verdict
    sentence: str
    low: float | None = None
    high: float | None = None


class Drift(Struct, frozen=True):
    """All readings, the gravest first, and what to do: the gravest of them."""

    verdict: Verdict
    rows: int
    readings: tuple[Reading, ...]


class Answers(Struct, frozen=True):
    """What a model did lately: its ``scores`` for the rows looked at, or how many places of answers it filled.

    ``known`` are the items that a recommender was learned from.
    """

    scores: Floats | None = None
    known: frozenset[str] | None = None
    places: int = 0
    fallback: int = 0


# --- at training ---


def summary_of(data: Table | Interactions, scores: Floats | None = None, fallback: float | None = None) -> Baselines:
    """What is kept of the data that a model was learned from, and of its scores on rows that it had not seen."""
    until = int(data.time.max()) if data.clock and len(data.time) else 0
    if isinstance(data, Interactions):
        return Baselines(until, len(data.item), items=_popular(data), fallback=fallback)
    group = data.group if data.subjects else np.arange(len(data.label))
    features = {column.name: found for column in data.columns if (found := _spread(column, group)) is not None}
    told = _of_numbers(np.asarray(scores, np.float64)) if scores is not None else None
    return Baselines(until, len(data.label), features, told, fallback=fallback)


def _popular(data: Interactions) -> dict[str, float]:
    """Each item once a session, so that somebody who reloads a page counts once."""
    counts = _used(data)
    most = [each for each in np.argsort(-counts, kind="stable")[:ITEMS] if counts[each] >= FEWEST]
    return {data.items[each]: float(counts[each] / counts.sum()) for each in most}


def _used(data: Interactions) -> Floats:
    session = np.repeat(np.arange(data.sessions), np.diff(data.offsets))
    pairs = np.unique(session * max(1, len(data.items)) + data.item) % max(1, len(data.items))
    return np.bincount(pairs, minlength=len(data.items)).astype(np.float64)


def _spread(column: Column, group: NDArray[Any]) -> Spread | None:
    if column.kind == "number":
        return _of_numbers(column.values.astype(np.float64))
    return _of_texts(column, group)


def _of_numbers(values: Floats) -> Spread | None:
    """Quantiles between which enough rows lie; ``None`` where there are too few rows to tell of them."""
    there = values[np.isfinite(values)]
    bins = min(BINS, len(there) // FEWEST)
    if bins < 1:
        return None
    edges = np.unique(np.quantile(there, np.arange(1, bins) / bins)) if bins > 1 else np.empty(0)
    return _shared(Spread(len(values), (), edges=tuple(edges.tolist())), _counted(values, edges))


def _of_texts(column: Column, group: NDArray[Any]) -> Spread | None:
    """``group`` says whose each row is: a level that few had says something of them, however often they had it."""
    counts = _levels(column)
    whose: dict[str, set[int]] = {}
    for value, one in zip(column.values, group.tolist(), strict=True):
        for each in {str(value)} if column.kind == "category" else set(str(value).split(",")):
            whose.setdefault(each, set()).add(one)
    told = [each for each in counts if each and counts[each] >= FEWEST and len(whose[each]) >= FEWEST_SHOPPERS]
    levels = tuple(_digest(each) for each in sorted(told, key=lambda each: (-counts[each], each))[:LEVELS])
    if not levels or column.kind == "number":
        return None
    bare = Spread(len(column.values), (), levels=levels, text=column.kind)
    return _shared(bare, _by_level(counts, levels))


def _shared(bare: Spread, counts: Floats) -> Spread:
    shares = tuple((counts / max(1.0, counts.sum())).tolist())
    return Spread(bare.rows, shares, bare.edges, bare.levels, bare.text)


def _counted(values: Floats, edges: Floats) -> Floats:
    """Rows between the edges, then none of other levels, then missing."""
    there = np.isfinite(values)
    place = np.searchsorted(edges, values[there], side="left")
    return np.append(np.bincount(place, minlength=len(edges) + 1), [0.0, float((~there).sum())]).astype(np.float64)


def _levels(column: Column) -> dict[str, int]:
    """How many rows have each level; a set has each of its members, and missing is the empty text."""
    counts: dict[str, int] = {}
    for value in column.values:
        for each in {str(value)} if column.kind == "category" else set(str(value).split(",")):
            counts[each] = counts.get(each, 0) + 1
    return counts


def _by_level(counts: Mapping[str, int], levels: tuple[str, ...]) -> Floats:
    place = {level: at for at, level in enumerate(levels)}
    found = np.zeros(len(levels) + 2)
    for level, count in counts.items():
        found[place.get(_digest(level), len(levels)) if level else len(levels) + 1] += count
    return found


def _digest(level: str) -> str:
    return blake2b(level.encode(), digest_size=6).hexdigest()


# --- later ---


def drift(trained: Baselines, now: Table | Interactions, *, at: Millis, answers: Answers | None = None) -> Drift:
    """How far what comes ``now`` is from what a model was learned from; ``answers`` are what it said to that.

    A table with labels (no ``nan``) and scores tells of calibration as well.
    """
    answers = answers or Answers()
    rows = len(now.item) if isinstance(now, Interactions) else len(now.label)
    readings = [*_age(trained, at)]
    if rows >= FEWEST_NOW:
        readings += (
            _of_items(trained, now, answers) if isinstance(now, Interactions) else _of_rows(trained, now, answers)
        )
    readings += _fallback(trained, answers)
    readings.sort(key=lambda reading: -_ORDER.index(reading.verdict))
    worst = max((_ORDER.index(reading.verdict) for reading in readings), default=0)
    return Drift(_ORDER[worst], rows, tuple(readings))


def _age(trained: Baselines, at: Millis) -> Iterator[Reading]:
    if trained.until:
        days = max(0, at - trained.until) / _DAY
        yield _reading("age", "age", days, f"the newest thing that it knows of happened {days:.0f} days ago")


def _of_rows(trained: Baselines, now: Table, answers: Answers) -> Iterator[Reading]:
    there = {column.name: column for column in now.columns}
    tests = max(1, len(trained.features))
    for name, spread in trained.features.items():
        if name not in there:
            told = f"{name} is no longer there: every shopper is one of whom it is not known"
            yield Reading("feature", name, 1.0, "retrain", told)
            continue
        yield _shifted(_Named("feature", name, name), spread, _now(spread, there[name]), tests)
    if answers.scores is not None and trained.scores is not None:
        counts = _counted(np.asarray(answers.scores, np.float64), np.array(trained.scores.edges))
        yield _shifted(_Named("scores", "scores", "what it tells of shoppers"), trained.scores, counts, 1)
    if answers.scores is not None and np.isfinite(now.label).all():
        yield _calibration(now.label, np.asarray(answers.scores, np.float64))


def _now(spread: Spread, column: Column) -> Floats:
    """The rows of today in the bins of training."""
    if spread.text:
        return _by_level(_levels(column._replace(kind=spread.text)), spread.levels)
    return _counted(column.values.astype(np.float64), np.array(spread.edges))


class _Named(NamedTuple):
    """What is looked at, and what a sentence calls it."""

    kind: str
    name: str
    words: str


def _shifted(named: _Named, spread: Spread, counts: Floats, tests: int) -> Reading:
    """By the population stability index. Without a shift it is chi-square by (1/n + 1/m) (Yurdakul, *Statistical
    properties of population stability index*, 2018): a shift is beyond what that hardly reaches (``SURE``, over all
    tests), and as large as what is left without what chance adds on average."""
    n, m = spread.rows, max(1.0, float(counts.sum()))
    then, here = np.array(spread.shares), counts / m
    there = (then > 0) | (here > 0)
    half = 0.5 / min(n, m)  # no share is 0, or one row would be an infinite shift
    then, here = np.maximum(then[there], half), np.maximum(here[there], half)
    value = float(((here - then) * np.log(here / then)).sum())
    freedom, noise = max(1, int(there.sum()) - 1), 1 / n + 1 / m
    chance = float(chi2.isf(SURE / tests, freedom)) * noise
    if value <= chance:
        told = f"{named.words} lies as it did (stability index {value:.2f}; chance alone makes up to {chance:.2f})"
        return Reading(named.kind, named.name, value, "fine", told)
    told = f"{named.words} lies elsewhere than it did (stability index {value:.2f})"
    verdict = _reading(named.kind, named.name, value - freedom * noise, told).verdict
    return Reading(named.kind, named.name, value, verdict, told)


def _calibration(label: Floats, scores: Floats) -> Reading:
    """The mean label less the mean score, by the normal approximation of a sum of independent chances."""
    apart = float(label.mean() - scores.mean())
    sure = np.clip(scores, 0.0, 1.0)
    error = float(np.sqrt((sure * (1 - sure)).mean() / len(label) + 1e-12))
    low, high = apart - 1.96 * error, apart + 1.96 * error
    told = f"{scores.mean():.1%} were foretold and {label.mean():.1%} came ({low:+.1%} to {high:+.1%})"
    if abs(apart) <= float(norm.isf(SURE / 2)) * error:
        return Reading("calibration", "calibration", apart, "fine", told, low, high)
    found = _reading("calibration", "calibration", abs(apart), told)
    return Reading("calibration", "calibration", apart, found.verdict, told, low, high)


def _of_items(trained: Baselines, now: Interactions, answers: Answers) -> Iterator[Reading]:
    counts = _used(now)
    if answers.known is not None:
        unknown = np.array([item not in answers.known for item in now.items])
        share = float(counts[unknown].sum() / counts.sum())
        yield _reading(
            "unknown_items", "unknown items", share, f"{share:.0%} of what shoppers use now it does not know"
        )
    if trained.items:
        yield _popularity(trained, dict(zip(now.items, counts.tolist(), strict=True)))


def _popularity(trained: Baselines, counts: Mapping[str, float]) -> Reading:
    """The Jensen-Shannon distance (base 2) of what is used, and what samples of these sizes would show by chance."""
    then = np.append(list(trained.items.values()), max(0.0, 1.0 - sum(trained.items.values())))
    mine = np.array([counts.get(item, 0.0) for item in trained.items])
    whole = sum(counts.values())
    value = _distance(then, np.append(mine, whole - mine.sum()) / whole)
    rng = np.random.default_rng(int(whole))
    sizes = trained.rows, int(whole)
    drawn = [rng.multinomial(size, then / then.sum(), _DRAWS) / size for size in sizes]
    apart = [_distance(*pair) for pair in zip(*drawn, strict=True)]
    chance = 1.5 * max(apart)  # one item of a session brings the other, so that samples are more apart than these
    if value <= chance:
        told = f"what is used is what was used (distance {value:.2f}; chance alone makes up to {chance:.2f})"
        return Reading("popularity", "popularity", value, "fine", told)
    return _reading("popularity", "popularity", value, f"other items are used than were (distance {value:.2f} of 1)")


def _distance(first: Floats, second: Floats) -> float:
    middle = (first + second) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(each > 0, each * np.log2(each / middle), 0.0).sum() / 2 for each in (first, second)]
    return float(np.sqrt(max(0.0, sum(parts))))


def _fallback(trained: Baselines, answers: Answers) -> Iterator[Reading]:
    if answers.places >= FEWEST_NOW:
        share = answers.fallback / answers.places
        more = share - (trained.fallback or 0.0)
        told = (
            f"{share:.0%} of places in answers are filled without it, {trained.fallback or 0.0:.0%} when it was tested"
        )
        yield _reading("fallback", "fallback", more, told)


def _reading(kind: str, name: str, value: float, told: str) -> Reading:
    """By the limits of its kind."""
    watch, again = LIMITS[kind]
    verdict: Verdict = "retrain" if value >= again else "watch" if value >= watch else "fine"
    return Reading(kind, name, value, verdict, told)


# --- for people ---

_WORDS: Mapping[Verdict, str] = {
    "fine": "The model fits what happens now.",
    "watch": "Something has changed: look again soon, and learn again when it stays so.",
    "retrain": "Learn this model again: what happens now is not what it knows.",
}


def render_drift(found: Drift) -> str:
    """The verdict and all readings as lines of text, the gravest first."""
    width = max((len(reading.name) for reading in found.readings), default=0)
    lines = [f"{found.verdict}: {_WORDS[found.verdict]}"]
    lines += [f"  {each.verdict:<8}{each.name:<{width}}  {each.sentence}" for each in found.readings]
    if found.rows < FEWEST_NOW:
        lines.append(f"  There are only {found.rows} rows of now; {FEWEST_NOW} are needed to say more.")
    return "\n".join(lines) + "\n"
