"""What of an artefact is read here: ``learned.artefact.Artefact`` has it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Parts(Protocol):
    """A model as data."""

    @property
    def arrays(self) -> Mapping[str, Any]:
        """Arrays of numbers, by name."""

    @property
    def texts(self) -> Mapping[str, str]:
        """What is no array."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the search chose; ``model`` says what kind it is."""
