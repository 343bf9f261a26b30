"""Builds all sources of a recommender from the same sessions, and puts them together, their blend yet to be learned."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from cashwrap.learned.artefact import Artefact
from cashwrap.learning import blending, neighbours, popularity, repeats, similar, tables
from cashwrap.learning.data import Interactions, Task
from cashwrap.learning.mapped import chosen
from cashwrap.learning.rows import Arrays, Texts
from cashwrap.recommend.asked import VIEW
from cashwrap.recommend.hybrid import EACH

Build = Callable[[Interactions, Mapping[str, Any]], tuple[Arrays, Texts]]
BUILDERS: Final[Mapping[str, Build]] = {
    "session": neighbours.build,
    "follows": neighbours.build_follows,
    "together": tables.build,
    "similar": similar.build,
    "accessories": similar.build_accessories,
    "repeat": repeats.build,
    "popular": popularity.build,
    "trending": popularity.build_trending,
}
SOURCES: Final[Mapping[Task, tuple[str, ...]]] = {
    "next_item": ("session", "follows", "seen", "earlier", "category", "similar", "popular", "trending"),
    "basket": ("together", "session", "accessories", "similar", "repeat", "popular", "trending"),
}
"""Those that may be in a task's model; one that has nothing to say of the data is left out."""
MANY: Final = 50_000
"""Orders from which on ``together`` alone says what orders like this one had in them. Of few it knows too few pairs; of
many the orders themselves add next to nothing, for more than a third of an answer's time."""
OF_VISITS: Final[Mapping[str, Mapping[str, float]]] = {
    "popular": {"few": 1.0},
    "trending": {"few": 1.0},
}
"""What sources do otherwise where all that is done in a visit counts, and not what was bought. Items that too few
shoppers had to do with are not among the interactions in the first place."""


def build(data: Interactions, name: str, task: Task, settings: Mapping[str, Any]) -> tuple[Arrays, Texts]:
    """The arrays and texts of one source; ``settings`` are of all sources, by name."""
    if name not in BUILDERS:
        return {}, {}
    own = {
        **({"keep": EACH} if name in ("popular", "trending") else {}),
        **settings.get(name, {}),
    }
    if task == "next_item" and name != "repeat":
        own = {**OF_VISITS.get(name, {}), **own}
        data = data._replace(kind=np.full(len(data.kind), VIEW, np.int8))
    return BUILDERS[name](data, own)


def recommender(
    data: Interactions, task: Task, settings: Mapping[str, Any], names: Sequence[str] | None = None
) -> Artefact:
    """A recommender with an even blend, of the sources named; without names, of all that have something to say."""
    arrays: Arrays = {"category.of": popularity.categories(data)[1], "blend.known": blending.known(data)}
    texts: Texts = {"items": msgspec.json.encode(data.items).decode()}
    usual = [name for name in SOURCES[task] if not (task == "basket" and name == "session" and data.sessions > MANY)]
    wanted = names if names is not None else usual
    told = []
    for name in (*wanted, "popular") if "popular" not in wanted else wanted:
        own, notes = build(data, name, task, settings)
        if names is None and not _says(name, own, arrays, data):
            continue
        arrays, texts = {**arrays, **own}, {**texts, **notes}
        told += [name] if name in wanted else []
    arrays |= blending.even(len(told))
    return Artefact("recommender", arrays, texts, {**settings, "sources": told, "task": task})


def without(data: Interactions, sessions: NDArray[np.bool_]) -> Interactions:
    """The data without some sessions."""
    return chosen(data, ~sessions)


def _says(name: str, own: Arrays, arrays: Arrays, data: Interactions) -> bool:
    """Whether a source has anything to say of the data. Popular is the last resort, and always there."""
    if name == "earlier":
        known = data.user[data.user >= 0]
        return len(np.unique(known)) < len(known)
    if name == "category":
        return bool((arrays["category.of"] >= 0).any())
    if name == "repeat":
        return bool((own["repeat.lift"] != 1).any())
    return name in ("seen", "popular") or bool(len(own[f"{name}.items"]))
