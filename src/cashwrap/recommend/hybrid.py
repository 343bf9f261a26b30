"""START HERE: a recommender in memory. Its sources bring candidates, these go into one pool, and the blend orders it.

Pure in its arrays: any thread may ask.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec
import numpy as np

from cashwrap.model import Inputs, Millis
from cashwrap.recommend.asked import KINDS, NO_CANDIDATES, Asked, Candidates, Source, Suggestion
from cashwrap.recommend.blend import Blend, Order, Pool, pooled
from cashwrap.recommend.neighbours import Neighbours
from cashwrap.recommend.parts import Parts
from cashwrap.recommend.popular import Popular, Trending
from cashwrap.recommend.repeat import Repeat
from cashwrap.recommend.tables import Accessories, Similar, Together, best
from cashwrap.recommend.visit import Category, Earlier, Follows, Seen

RECENT: Final = 50
"""Of what was done in a visit the newest this many count; of a cart and of earlier orders' items twice and ten times
that."""
WIDE: Final = 300
"""Candidates of one source that is asked alone."""
EACH: Final = 50
"""Candidates that a source brings to the pool; neighbours bring all of theirs."""
_DAY: Final = 86_400_000


class _Made(Protocol):
    """What makes a source of an artefact."""

    name: str

    def of(self, artefact: Parts, items: int) -> Source: ...


SOURCES: Final[Mapping[str, _Made]] = {
    made.name: made
    for made in (
        Neighbours,
        Follows,
        Seen,
        Earlier,
        Category,
        Together,
        Similar,
        Accessories,
        Repeat,
        Popular,
        Trending,
    )
}
"""By the name that an answer gives, and that a playbook asks for."""


class _Plain(NamedTuple):
    """What a recommender is read from."""

    arrays: Mapping[str, Any]
    texts: Mapping[str, str]
    settings: Mapping[str, Any]


class Recommender:
    """Sources and their blend. ``items`` are the product ids that its numbers stand for; ``names`` are the sources'."""

    def __init__(self, items: Sequence[str], sources: Sequence[Source], blend: Blend) -> None:
        self.items = tuple(items)
        self.names = tuple(source.name for source in sources)
        self._sources = sources
        self.blend = blend
        self._places = {name: place for place, name in enumerate(self.items)}

    @classmethod
    def of(cls, artefact: Parts) -> Self:
        """From the text ``items``, the setting ``sources`` and the arrays of each.

        Raises ``KeyError`` or ``ValueError`` where they do not fit each other.
        """
        items = msgspec.json.decode(artefact.texts["items"], type=tuple[str, ...])
        # Plain views of mapped files: a memmap pays for every slice that is taken of it.
        arrays = {name: np.asarray(array) for name, array in artefact.arrays.items()}
        artefact = _Plain(arrays, artefact.texts, artefact.settings)
        names = artefact.settings["sources"]
        sources = [SOURCES[name].of(artefact, len(items)) for name in names]
        return cls(items, sources, Blend.of(artefact, len(sources), len(items)))

    def recommend(self, asked: Asked, limit: int = 20, source: str = "recommended") -> list[Suggestion]:
        """The best items, none of them in the cart; of all sources blended, or of one of them.

        Empty where the model has no such source, or knows nothing at all.
        """
        if source != "recommended":
            return self._alone(asked, limit, source)
        found = self.order(asked, limit)
        names = [self.names[place] for place in found.source.tolist()]
        return list(map(Suggestion, found.items.tolist(), found.scores.tolist(), names))

    def order(self, asked: Asked, limit: int) -> Order:
        """The same as numbers."""
        return self.blend.order(asked, self.pool(asked), limit)

    def pool(self, asked: Asked) -> Pool:
        """What all sources have to say, the best of each."""
        return pooled([_most(source.name, source.candidates(asked)) for source in self._sources])

    def question(self, inputs: Inputs, now: Millis) -> Asked:
        """What is known of who asks, as far as the model knows the products."""
        places = self._places
        touched = [each for each in inputs.touched[-RECENT:] if each.product in places]
        earlier = [each for each in inputs.earlier[-RECENT:] if each.product in places]
        bought = [each for each in inputs.bought[-10 * RECENT :] if each[0] in places]
        return Asked(
            recent=np.array([places[each.product] for each in touched], np.int32),
            kinds=np.array([KINDS.index(each.kind) for each in touched], np.int8),
            ages=np.array([max(now - each.time, 0) / 1000 for each in touched], np.float32),
            basket=np.array([places[name] for name in inputs.basket[-2 * RECENT :] if name in places], np.int32),
            bought=np.array([places[name] for name, _, _ in bought], np.int32),
            bought_days=np.array([max(now - last, 0) / _DAY for _, last, _ in bought], np.float32),
            bought_times=np.array([times for _, _, times in bought], np.int32),
            earlier=np.array([places[each.product] for each in earlier], np.int32),
            earlier_days=np.array([max(now - each.time, 0) / _DAY for each in earlier], np.float32),
        )

    def _alone(self, asked: Asked, limit: int, name: str) -> list[Suggestion]:
        found = next((source.candidates(asked) for source in self._sources if source.name == name), NO_CANDIDATES)
        found = best(found, WIDE)
        items, scores = ranked(found, asked, limit)
        return [Suggestion(item, score, name) for item, score in zip(items.tolist(), scores.tolist(), strict=True)]


def ranked(found: Candidates, asked: Asked, limit: int) -> Candidates:
    """One source's candidates, best first, none of them in the cart; of equals the smaller number is the first."""
    items, scores = found
    if len(asked.basket) and len(items):
        kept = ~(items[:, None] == asked.basket).any(axis=1)
        items, scores = items[kept], scores[kept]
    order = np.lexsort((items, -scores))[:limit]
    return Candidates(items[order], scores[order])


def _most(name: str, found: Candidates) -> Candidates:
    return found if name == Neighbours.name else best(found, EACH)
