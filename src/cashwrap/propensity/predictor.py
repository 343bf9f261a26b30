"""The chance that a model tells of a shopper: encode, score, calibrate. Made by ``learning.predicting``."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput
from cashwrap.model import Value
from cashwrap.propensity.encoder import Columnar, Encoder
from cashwrap.propensity.line import Line
from cashwrap.propensity.parts import Parts
from cashwrap.propensity.trees import Trees

Floats = NDArray[np.float64]
SUREST = log(1e6)
"""Log-odds beyond which nothing is told: one in a million."""


class Calibration(NamedTuple):
    """From a score, in log-odds as the model has them, to log-odds that come true: a line, or a rising line of many
    pieces through knots. Outside of the knots it stays where the outermost is."""

    x: Floats
    y: Floats
    slope: Floats
    """Slope and intercept where there are no knots."""

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Calibration":
        """The calibration that ``parts`` wrote."""
        return cls(**{name: np.asarray(arrays[f"calibration_{name}"]) for name in cls._fields})

    def parts(self) -> dict[str, Floats]:
        """Its arrays, for an artefact."""
        return {f"calibration_{name}": array for name, array in self._asdict().items()}

    def chances(self, scores: Floats) -> Floats:
        """The chance for each score."""
        return np.asarray(1.0 / (1.0 + np.exp(-self._odds(scores))))

    def chance(self, score: float) -> float:
        """The same for one."""
        return 1.0 / (1.0 + exp(-float(self._odds(score))))

    def _odds(self, scores: Any) -> Any:
        if len(self.x):
            return np.interp(scores, self.x, self.y)
        return np.clip(scores * self.slope[0] + self.slope[1], -SUREST, SUREST)


class Predictor:
    """Answers from the arrays of an artefact, which may be mapped into memory; changes nothing: any thread may ask."""

    def __init__(
        self, encoder: Encoder, scorers: Sequence[tuple[float, Trees | Line]], calibration: Calibration
    ) -> None:
        self.encoder = encoder
        self._scorers = tuple(scorers)
        self._calibration = calibration

    @classmethod
    def of(cls, artefact: Parts) -> "Predictor":
        """The predictor that an artefact is. Raises ``InvalidInput`` (``unknown_model``)."""
        model, arrays = artefact.settings.get("model"), artefact.arrays
        if model == "trees":
            scorers: list[tuple[float, Trees | Line]] = [(1.0, Trees.of(arrays))]
        elif model == "line":
            scorers = [(1.0, Line.of(arrays))]
        elif model == "both":
            share = float(arrays["share"][0])
            scorers = [(1.0 - share, Trees.of(arrays)), (share, Line.of(arrays))]
        else:
            raise InvalidInput(f"a predictor is trees, a line or both, not {model!r}", code="unknown_model")
        return cls(Encoder.of(arrays, artefact.texts), scorers, Calibration.of(arrays))

    @property
    def columns(self) -> tuple[str, ...]:
        """The attributes that it looks at."""
        return tuple(each.name for each in self.encoder.columns)

    def predict(self, values: Mapping[str, Value]) -> float:
        """The chance, by a shopper's attributes; one that is ``None``, or not there, is missing."""
        row = self.encoder.row(values)
        return self._calibration.chance(sum(weight * scorer.score(row) for weight, scorer in self._scorers))

    def predict_many(self, columns: Iterable[Columnar]) -> Floats:
        """The chance of each row."""
        return self._calibration.chances(self.scores(self.encoder.rows(columns)))

    def scores(self, rows: Floats) -> Floats:
        """Log-odds of encoded rows, before calibration."""
        found = np.zeros(len(rows))
        for weight, scorer in self._scorers:
            found += weight * scorer.scores(rows)
        return found
