"""What a recommender is made from: arrays, texts and settings, which ``learned`` keeps and this room only reads."""

from collections.abc import Mapping
from typing import Any, Protocol


class Parts(Protocol):
    """A model as data."""

    @property
    def arrays(self) -> Mapping[str, Any]:
        """Arrays of numbers, by name; they may be memory-mapped."""

    @property
    def texts(self) -> Mapping[str, str]:
        """What is no array."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the search chose, and ``sources``: the names of those that are in it."""
