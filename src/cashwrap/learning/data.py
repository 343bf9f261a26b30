"""What trainers learn from, wherever it came from: interactions for recommenders, a table of examples for predictions.

Columns, not rows: ten million interactions are a few arrays. Times are milliseconds since 1970 UTC; data that
knows only an order has that order as its times and says so (``clock`` is false).
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.model import Product

Part = Literal["train", "valid", "test"]
TRAIN, VALID, TEST = range(3)
Task = Literal["next_item", "basket"]
"""What follows in a visit; what else is in an order."""


class Interactions(NamedTuple):
    """Who did what with which item. Sessions ascend by their last moment, rows by session and then by time.

    A session is a visit (``next_item``) or an order (``basket``). ``offsets`` has one more entry than there are
    sessions: rows ``offsets[i]:offsets[i + 1]`` are those of session ``i``.
    """

    items: tuple[str, ...]
    """The item ids; ``item`` holds places in it."""
    item: NDArray[np.int32]
    kind: NDArray[np.int8]
    """``recommend.asked.KINDS``."""
    time: NDArray[np.int64]
    offsets: NDArray[np.int64]
    user: NDArray[np.int32]
    """By session: who it was, as far as several sessions are known to be one shopper's; -1 unknown."""
    part: NDArray[np.int8]
    """By session: where the data itself says what is for testing; all TRAIN where it does not."""
    explored: NDArray[np.bool_]
    """By session: the shopper was in the holdout and saw nothing personal."""
    catalogue: Mapping[str, Product] = {}
    subjects: tuple[bytes, ...] = ()
    """The analytic ids that ``user`` numbers; empty for data that is no shop's of ours."""
    clock: bool = True
    digest: str = ""
    targets: tuple[int, ...] = ()
    """The kinds of row that a test asks for; any where none is named."""

    @property
    def sessions(self) -> int:
        """How many there are."""
        return len(self.offsets) - 1


ColumnKind = Literal["number", "category", "set"]
"""``category`` columns hold one text a row, ``set`` columns texts joined by commas; an empty text is missing."""


class Column(NamedTuple):
    """One column: floats with NaN for missing, or an object array of texts."""

    name: str
    kind: ColumnKind
    values: NDArray[np.float64] | NDArray[np.object_]


class Table(NamedTuple):
    """Examples, one a row, ascending in time.

    ``label`` is 0 or 1. ``group`` ties rows that must not be split between train and test (a shopper, an order).
    ``treated`` is 1 where a discount was shown and 0 where it was not, by a chance of ``propensity``.
    """

    columns: tuple[Column, ...]
    label: NDArray[np.float64]
    time: NDArray[np.int64]
    group: NDArray[np.int32]
    part: NDArray[np.int8]
    explored: NDArray[np.bool_]
    treated: NDArray[np.int8] | None = None
    propensity: NDArray[np.float64] | None = None
    seen: NDArray[np.int64] | None = None
    """When the newest thing that the row's columns know of happened: later than ``time``, and the future leaks."""
    subjects: tuple[bytes, ...] = ()
    """The analytic ids that ``group`` numbers; empty for data that is no shop's of ours."""
    clock: bool = True
    digest: str = ""


class Ranked(NamedTuple):
    """What a recommender answered to ``n`` test questions whose answer was hidden from it."""

    rank: NDArray[np.int32]
    """The place of the hidden item, from 1; 0 where it is not among the first 100."""
    cluster: NDArray[np.int32]
    """The session or order that the question is from: questions of one are not independent."""
    seen: NDArray[np.bool_]
    """The hidden item was in the question already: a repeat."""
    items: NDArray[np.int32]
    """``n`` by 20: the answer, best first; -1 for none."""
    sources: NDArray[np.int8]
    """``n`` by 20: which source filled the place, as a place in ``names``; -1 for none."""
    names: tuple[str, ...]
    fresh: NDArray[np.int32] | None = None
    """The place of the hidden item in the same answer without what was in the question already; 0 where it was in the
    question itself or is not among the first 100. Where it is known, figures for new items only are told from it."""
    length: NDArray[np.int32] | None = None
    """How many items the question held."""
