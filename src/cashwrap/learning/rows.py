"""Tables of a few others for each item, gathered block by block, as the arrays that ``recommend.tables`` reads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Texts = dict[str, str]
_BITS = 32


class Rows:
    """Rows of the best others of each item; those of a row ascend by their number, which is quick to merge."""

    def __init__(self, items: int, keep: int) -> None:
        self._keep = keep
        self._lengths = np.zeros(items, np.int64)
        self._parts: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []

    def add(self, a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]], score: NDArray[np.floating[Any]]) -> None:
        """All others of some items; items come ascending over all calls. What scores 0 is left out; of
        equals those that come first stay."""
        # One sort of one number each: of positive floats the bits are in the order of the values.
        bits = np.maximum(score, 0).astype(np.float32).view(np.int32).astype(np.int64)
        order = np.argsort((np.asarray(a, np.int64) << _BITS) - bits, kind="stable")
        first = a[order]
        starts = np.flatnonzero(np.concatenate(([True], first[1:] != first[:-1])))[: len(first)]
        place = np.arange(len(first)) - np.repeat(starts, np.diff(np.append(starts, len(first))))
        kept = order[(place < self._keep) & (score[order] > 0)]
        kept = kept[np.argsort((np.asarray(a[kept], np.int64) << _BITS) + b[kept], kind="stable")]
        self._lengths += np.bincount(a[kept], minlength=len(self._lengths))
        self._parts.append((b[kept].astype(np.int32), score[kept].astype(np.float32)))

    def arrays(self, name: str) -> Arrays:
        """The rows as ``<name>.offsets``, ``.items`` and ``.scores``."""
        nothing = (np.empty(0, np.int32), np.empty(0, np.float32))
        return {
            f"{name}.offsets": np.concatenate(([0], np.cumsum(self._lengths))).astype(np.int64),
            f"{name}.items": np.concatenate([nothing[0], *(items for items, _ in self._parts)]),
            f"{name}.scores": np.concatenate([nothing[1], *(scores for _, scores in self._parts)]),
        }
