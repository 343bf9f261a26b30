"""The category that a shopper is likeliest to look at next. ``learning.affinity`` makes what is asked here.

A conditional logit (McFadden, 1974) over the categories that come into question: those of the visit, those that mostly
follow the last one, and the most popular.
"""

from collections.abc import Collection, Iterable, Sequence
from math import log, log1p
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.model import Inputs
from cashwrap.propensity.parts import Parts

Floats = NDArray[np.float64]
FEATURES = ("last", "views", "lately", "in_cart", "bought", "follows", "follows_second", "popular")
"""What is known of a category that comes into question."""
NEWEST = 50
"""Touches of a visit that are looked at."""
POPULAR = 20
"""Popular categories that always come into question, and followers of the last one."""
FADES = 0.7
"""What a touch counts for, to the one after it."""
DRAWN = 10.0
"""Visits by which a share of followers is drawn to the category's share of all."""
UNKNOWN = -1


class Visit(NamedTuple):
    """Categories as places in the model's own list."""

    touched: Sequence[int]
    """Of each touch, newest last."""
    cart: Collection[int] = ()
    bought: Collection[int] = ()


class Affinity:
    """Answers from the arrays of an artefact; changes nothing: any thread may ask.

    ``shares`` are those of each category of all touches; ``followers`` say for each how often each other came after it.
    """

    def __init__(self, categories: Sequence[str], shares: Sequence[float], followers: Sequence[dict[int, int]]) -> None:
        self.categories = tuple(categories)
        self.weights: Floats = np.zeros(len(FEATURES))
        self.items: dict[str, int] = {}
        self._shares = [max(share, 1e-9) for share in shares]
        self._followers = followers
        self._totals = [sum(each.values()) for each in followers]
        self._common = sorted(range(len(shares)), key=lambda each: (-shares[each], each))[:POPULAR]
        self._next = [sorted(each, key=lambda to: (-each[to], to))[:POPULAR] for each in followers]

    @classmethod
    def of(cls, artefact: Parts) -> "Affinity":
        """The model that an artefact is. Raises ``InvalidInput`` (``unknown_model``)."""
        if artefact.settings.get("model") != "affinity":
            raise InvalidInput("this model tells no category", code="unknown_model")
        arrays = artefact.arrays
        categories = msgspec.json.decode(artefact.texts["categories"], type=list[str])
        ends, to, times = (arrays[name].tolist() for name in ("follower_ends", "follower", "follower_times"))
        starts = [0, *ends[:-1]]
        followers = [
            dict(zip(to[start:end], times[start:end], strict=True)) for start, end in zip(starts, ends, strict=True)
        ]
        found = cls(categories, arrays["shares"].tolist(), followers)
        found.weights = np.asarray(arrays["weights"])
        items = msgspec.json.decode(artefact.texts["items"], type=list[str])
        found.items = dict(zip(items, arrays["item_category"].tolist(), strict=True))
        return found

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Its arrays and texts, for an artefact."""
        arrays = {
            "weights": self.weights,
            "shares": np.array(self._shares),
            "follower_ends": np.cumsum([len(each) for each in self._followers], dtype=np.int64),
            "follower": np.array([to for each in self._followers for to in each], np.int32),
            "follower_times": np.array([times for each in self._followers for times in each.values()], np.int64),
            "item_category": np.array(list(self.items.values()), np.int32),
        }
        texts = {"categories": list(self.categories), "items": list(self.items)}
        return arrays, {name: msgspec.json.encode(each).decode() for name, each in texts.items()}

    def category(self, inputs: Inputs) -> str | None:
        """For who asks for a decision; ``None`` where nothing that they did is known here."""
        touched = [(touch.product, touch.kind) for touch in inputs.touched[-NEWEST:]]
        added = [product for product, kind in touched if kind == "add"]
        ordered = [product for product, kind in touched if kind == "order"]
        visit = Visit(
            self._known(product for product, _ in touched),
            set(self._known((*added, *inputs.basket))),
            set(self._known((*ordered, *(product for product, _, _ in inputs.bought)))),
        )
        if not any(visit):
            return None
        return self.categories[self.ranked(visit)[0]]

    def ranked(self, visit: Visit) -> list[int]:
        """The categories in question, the likeliest first."""
        asked, rows = self.question(visit)
        order = np.argsort(-(rows @ self.weights), kind="stable")
        return [asked[at] for at in order.tolist()]

    def question(self, visit: Visit) -> tuple[list[int], Floats]:
        """The categories that come into question, and what is known of each: ``FEATURES``."""
        touched = visit.touched[-NEWEST:]
        last = touched[-1] if touched else UNKNOWN
        second = touched[-2] if len(touched) > 1 else UNKNOWN
        asked = dict.fromkeys(reversed(touched))
        asked |= dict.fromkeys(each for each in (*visit.cart, *visit.bought) if each not in asked)
        asked |= dict.fromkeys(self._next[last] if last != UNKNOWN else ()) | dict.fromkeys(self._common)
        views: dict[int, int] = {}
        lately: dict[int, float] = {}
        for each in touched:
            views[each] = views.get(each, 0) + 1
        part = 1.0
        for each in reversed(touched):
            lately[each] = lately.get(each, 0.0) + part
            part *= FADES
        rows = [
            (
                float(each == last),
                log1p(views.get(each, 0)),
                lately.get(each, 0.0),
                float(each in visit.cart),
                float(each in visit.bought),
                self._follows(last, each),
                self._follows(second, each),
                log(self._shares[each]),
            )
            for each in asked
        ]
        return list(asked), np.array(rows, np.float64).reshape(len(rows), len(FEATURES))

    def _follows(self, before: int, after: int) -> float:
        """The logarithm of a category's share of what follows another one, to its share of all."""
        if before == UNKNOWN:
            return 0.0
        times, total, share = self._followers[before].get(after, 0), self._totals[before], self._shares[after]
        return log((times + DRAWN * share) / ((total + DRAWN) * share))

    def _known(self, products: Iterable[str]) -> list[int]:
        places = (self.items.get(product, UNKNOWN) for product in products)
        return [place for place in places if place != UNKNOWN]
