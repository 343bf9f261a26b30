"""Columns to the numbers that trees and lines read. An encoder is data: what is known of each level of each column.

A number stays what it is. A level of a category becomes the rate of positive labels among the examples that had it,
drawn to the base rate where they were few, and how many they were. A set becomes the mean, the highest and the lowest
of its members' rates, and its size. What the encoder has not seen has the base rate and a count of 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import log1p, nan
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from cashwrap.model import Value
from cashwrap.propensity.values import LARGEST, members, number, text

Floats = NDArray[np.float64]
WIDTH = {"number": 1, "category": 2, "set": 4}
"""Numbers that a column of each kind becomes."""


class Columnar(Protocol):
    """A column of many rows: floats with ``nan`` for missing, or texts."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> str: ...  # noqa: D102

    @property
    def values(self) -> NDArray[Any]: ...  # noqa: D102


class Known(NamedTuple):
    """What is known of the levels of one column: the rate and the count (as log1p) of each."""

    name: str
    kind: str
    levels: Mapping[str, tuple[float, float]]


class Encoder:
    """Reads rows as training did."""

    def __init__(self, columns: Sequence[Known], base: float) -> None:
        self.columns = tuple(columns)
        self.base = base
        self.width = sum(WIDTH[each.kind] for each in self.columns)
        self._plan = tuple((each.name, each.kind, each.levels.get) for each in self.columns)
        self._unknown = (base, 0.0)

    @classmethod
    def of(cls, arrays: Mapping[str, Any], texts: Mapping[str, str]) -> "Encoder":
        """The encoder that ``parts`` wrote."""
        told = msgspec.json.decode(texts["columns"], type=list[tuple[str, str, list[str]]])
        rates, counts = arrays["rates"].tolist(), arrays["counts"].tolist()
        columns, at = [], 0
        for name, kind, levels in told:
            until = at + len(levels)
            pairs = zip(rates[at:until], counts[at:until], strict=True)
            columns.append(Known(name, kind, dict(zip(levels, pairs, strict=True))))
            at = until
        return cls(columns, float(arrays["base"][0]))

    def parts(self) -> tuple[dict[str, Floats], dict[str, str]]:
        """Its arrays and texts, for an artefact."""
        pairs = [pair for each in self.columns for pair in each.levels.values()]
        told = [(each.name, each.kind, list(each.levels)) for each in self.columns]
        arrays = {
            "rates": np.array([rate for rate, _ in pairs], np.float64),
            "counts": np.array([count for _, count in pairs], np.float64),
            "base": np.array([self.base]),
        }
        return arrays, {"columns": msgspec.json.encode(told).decode()}

    def row(self, values: Mapping[str, Value]) -> Floats:
        """One shopper's attributes as a row; an absent one is missing."""
        row: list[float] = []
        unknown = self._unknown
        for name, kind, level in self._plan:
            value = values.get(name)
            if kind == "number":
                row.append(float(value) if type(value) is int and -LARGEST <= value <= LARGEST else number(value))
            elif kind == "category":
                row += level(text(value), unknown)
            else:
                row += summary([level(each, unknown)[0] for each in members(value)])
        return np.array(row)

    def rows(self, columns: Iterable[Columnar]) -> Floats:
        """Many rows; a column that is not there is missing in all of them, one that is not known is left out."""
        given = {each.name: each for each in columns}
        count = len(next(iter(given.values())).values) if given else 0
        found, at = np.full((count, self.width), nan), 0
        for each in self.columns:
            until = at + WIDTH[each.kind]
            if each.name in given:
                found[:, at:until] = self._column(each, given[each.name].values)
            elif each.kind == "category":
                found[:, at:until] = self._column(each, np.full(count, "", object))
            else:
                found[:, at:until] = summary([]) if each.kind == "set" else nan
            at = until
        return found

    def _column(self, known: Known, values: NDArray[Any]) -> Floats:
        if known.kind == "number":
            return numbers(values)[:, None]
        told: dict[str, Sequence[float]] = {}
        for value in values:
            if value not in told:
                told[value] = self._told(known, value)
        return np.array([told[value] for value in values]).reshape(-1, WIDTH[known.kind])

    def _told(self, known: Known, value: str) -> Sequence[float]:
        if known.kind == "category":
            return known.levels.get(text(value), self._unknown)
        return summary([known.levels.get(each, self._unknown)[0] for each in members(value)])


def numbers(values: NDArray[Any]) -> Floats:
    """A ``number`` column as ``values.number`` reads one: what is too large, or infinite, is missing."""
    plain = values.astype(np.float64)
    return np.where(np.abs(plain) <= LARGEST, plain, nan)


def summary(rates: Sequence[float]) -> tuple[float, float, float, float]:
    """What a set becomes, of the rates of its members: mean, highest, lowest, and how many (as log1p)."""
    if not rates:
        return nan, nan, nan, 0.0
    return sum(rates) / len(rates), max(rates), min(rates), log1p(len(rates))


def names_of(columns: Iterable[Columnar]) -> tuple[str, ...]:
    """A name for each number of a row, in their order."""
    ends = {"number": ("",), "category": (" rate", " count"), "set": (" rate", " highest", " lowest", " count")}
    return tuple(f"{each.name}{end}" for each in columns for end in ends[each.kind])
