"""One question to a recommender, and what a source of candidates is. Items are numbers: places in the model's items."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

VIEW, ADD, ORDER, SAVE = range(4)
"""What a shopper did with an item: looked at it, put it into the cart, bought it, put it on a list."""
KINDS = ("view", "add", "order", "save")

Items = NDArray[np.int32]
Scores = NDArray[np.float32]


NOTHING: Items = np.empty(0, np.int32)
NO_SCORES: Scores = np.empty(0, np.float32)


class Asked(NamedTuple):
    """What is known of who asks, in the model's items; items that the model does not know are not in it.

    ``recent`` is what the shopper did in this visit, newest last, with its ``kinds`` and how long ago (``ages``, in
    seconds; equal to the place counted from the end where no clock is known). ``basket`` is the cart. ``bought`` are
    earlier orders' items, each once, with the days since the last time and how often. Arrays may be empty.
    """

    recent: Items
    kinds: NDArray[np.int8]
    ages: Scores
    basket: Items
    bought: Items
    bought_days: Scores
    bought_times: NDArray[np.int32]
    category: int = -1
    """The category asked for, as the model numbers them; -1 for any."""
    earlier: Items = NOTHING
    """What was done in earlier visits, newest last, ..."""
    earlier_days: Scores = NO_SCORES
    """... and how many days ago."""


class Candidates(NamedTuple):
    """Items, each once, and how well each fits by one source: the higher the better, 0 or above, in no order."""

    items: Items
    scores: Scores


class Source(Protocol):
    """Where candidates come from. Reads its arrays only, changes nothing: any thread may ask."""

    name: str

    def candidates(self, asked: Asked) -> Candidates:
        """At most a few hundred; what is in the basket already may be among them."""


class Suggestion(NamedTuple):
    """One item of an answer; ``source`` is the one that had the largest part in it."""

    item: int
    score: float
    source: str


NO_CANDIDATES = Candidates(NOTHING, NO_SCORES)
NOBODY = Asked(NOTHING, np.empty(0, np.int8), NO_SCORES, NOTHING, NOTHING, NO_SCORES, NOTHING)
