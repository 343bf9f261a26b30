"""By how much an offer raises a shopper's chance of an order: ``learning.uplift`` makes what is asked here.

Two models of the chance, with the offer and without it, and the difference of what they say; or one model of the
difference itself. What comes out is drawn to the effect on everybody, as far as training found the differences to be
larger than they proved on shoppers that the model had not seen.
"""

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.model import Value
from cashwrap.propensity.encoder import Columnar, Encoder
from cashwrap.propensity.line import Line
from cashwrap.propensity.parts import Parts
from cashwrap.propensity.trees import Trees

Floats = NDArray[np.float64]
_TREATED, _CONTROL = "treated_", "control_"


class Uplift:
    """Answers from the arrays of an artefact, which may be mapped into memory; changes nothing: any thread may ask.

    ``models`` are one of the effect, or two, of the log-odds with and without the offer. ``scale`` has the slope and
    the intercept that the models' effect is brought to scale with.
    """

    def __init__(self, encoder: Encoder, models: tuple[Trees | Line, ...], scale: Floats) -> None:
        self.encoder = encoder
        self._models = models
        self._scale = scale
        self._slope, self._intercept = float(scale[0]), float(scale[1])

    @classmethod
    def of(cls, artefact: Parts) -> "Uplift":
        """The model that an artefact is. Raises ``InvalidInput`` (``unknown_model``)."""
        learner, arrays = artefact.settings.get("learner"), artefact.arrays
        if learner not in _LEARNERS:
            raise InvalidInput(f"uplift is of {', '.join(_LEARNERS)}, not {learner!r}", code="unknown_model")
        kind, prefixes = _LEARNERS[learner]
        models = tuple(kind.of(_without(prefix, arrays)) for prefix in prefixes)
        return cls(Encoder.of(arrays, artefact.texts), models, np.asarray(arrays["scale"]))

    def parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        """Its arrays and texts, for an artefact."""
        found, texts = self.encoder.parts()
        arrays: dict[str, NDArray[Any]] = {**found, "scale": self._scale}
        prefixes = (_TREATED, _CONTROL) if len(self._models) > 1 else ("",)
        for prefix, model in zip(prefixes, self._models, strict=True):
            arrays.update({f"{prefix}{name}": array for name, array in model.parts().items()})
        return arrays, texts

    def scaled(self, slope: float, intercept: float) -> "Uplift":
        """The same models with another scale."""
        return Uplift(self.encoder, self._models, np.array([slope, intercept]))

    @property
    def columns(self) -> tuple[str, ...]:
        """The attributes that it looks at."""
        return tuple(each.name for each in self.encoder.columns)

    def predict(self, values: Mapping[str, Value]) -> float:
        """The effect on the chance, from -1 to 1, by a shopper's attributes; one that is not there is missing."""
        row = self.encoder.row(values)
        found = [model.score(row) for model in self._models]
        effect = found[0] if len(found) == 1 else _chance(found[0]) - _chance(found[1])
        return min(1.0, max(-1.0, effect * self._slope + self._intercept))

    def predict_many(self, columns: Iterable[Columnar]) -> Floats:
        """The effect on each row's chance."""
        return self.effects(self.encoder.rows(columns))

    def effects(self, rows: Floats) -> Floats:
        """The same, of rows that are encoded already."""
        found = [model.scores(rows) for model in self._models]
        effect = found[0] if len(found) == 1 else _chances(found[0]) - _chances(found[1])
        return np.asarray(np.clip(effect * self._scale[0] + self._scale[1], -1.0, 1.0))


_LEARNERS: dict[str, tuple[type[Trees] | type[Line], tuple[str, ...]]] = {
    "two": (Trees, (_TREATED, _CONTROL)),
    "trees": (Trees, ("",)),
    "line": (Line, ("",)),
}


def _without(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _chance(odds: float) -> float:
    return 1.0 / (1.0 + exp(-odds))


def _chances(odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))
