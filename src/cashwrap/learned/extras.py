"""What needs numpy, loaded when the first model is: an engine without it starts, and answers without models."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from cashwrap.errors import CashwrapError
from cashwrap.learned.artefact import Artefact, Kind

_ANSWERING: dict[Kind, tuple[str, str]] = {
    "recommender": ("cashwrap.recommend.hybrid", "Recommender"),
    "predictor": ("cashwrap.propensity", "Predictor"),
    "uplift": ("cashwrap.propensity", "Uplift"),
}
"""By kind of model: where what answers from its arrays is."""
_AFFINITY = "cashwrap.propensity", "Affinity"
"""For a predictor that tells a category."""


def numpy() -> Any:
    """The package. Raises ``CashwrapError`` (``extra_missing``)."""
    return _loaded("numpy")


def answering(artefact: Artefact) -> Any:
    """What answers from an artefact's arrays: a ``Recommender``, a ``Predictor``, an ``Affinity`` or an
    ``Uplift``.

    Raises ``CashwrapError`` (``extra_missing``), and whatever they raise where the arrays are not what they need.
    """
    room, name = _AFFINITY if artefact.settings.get("model") == "affinity" else _ANSWERING[artefact.kind]
    if artefact.settings.get("model") == "affinity":
        name = "Affinity"
    make: Callable[[Artefact], Any] = getattr(_loaded(room), name).of
    return make(artefact)


def _loaded(name: str) -> Any:
    """The one place where the heavy extra comes in."""
    try:
        return import_module(name)
    except ImportError as error:
        if (error.name or "").startswith("cashwrap"):
            raise
        raise CashwrapError("Models need numpy. Install cashwrap[models]", code="extra_missing") from error
