"""Boosted trees as arrays, all evaluated at once: a step down every tree is a few array operations.

The arrays are those of LightGBM's text model, whose answers they equal to rounding.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cashwrap.errors import InvalidInput

Floats = NDArray[np.float64]
AT_ONCE = 2048
"""Rows that are walked together: more would leave the processor's cache."""
_CATEGORICAL, _LEFT_WHERE_MISSING = 1, 2
_NONE, _ZERO, _NAN = range(3)
_HIGHEST = float(np.finfo(np.float64).max)
"""An infinite threshold parts missing values from all others."""


class Trees(NamedTuple):
    """Nodes of all trees in one row; a leaf is its own child.

    Missing goes left or right as each node says, or counts as 0 where training had no missing value: ``feature`` is a
    place in three copies of a row, in which missing is the lowest number, the highest, and 0.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    child: NDArray[np.int32]
    """Two to a node: where to go where the value is at most the threshold, and above it."""
    value: Floats
    """Of leaves."""
    root: NDArray[np.int32]
    """Of each tree."""
    shape: NDArray[np.int32]
    """How deep the deepest tree is, and how many numbers a row has."""

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Trees":
        """The trees that ``parts`` wrote."""
        return cls(**{name: np.asarray(arrays[f"trees_{name}"]) for name in cls._fields})

    def parts(self) -> dict[str, NDArray[Any]]:
        """Its arrays, for an artefact."""
        return {f"trees_{name}": array for name, array in self._asdict().items()}

    def score(self, row: Floats) -> float:
        """The sum of the trees' answers for one row."""
        return float(self._leaves(_copies(row[None, :])[0]).sum())

    def scores(self, rows: Floats) -> Floats:
        """The same for many."""
        found = np.zeros(len(rows))
        for at in range(0, len(rows), AT_ONCE):
            copies = _copies(rows[at : at + AT_ONCE])
            for root in self.root:
                found[at : at + AT_ONCE] += self._walk(copies, int(root))
        return found

    def _leaves(self, copies: Floats) -> Floats:
        """One row down all trees."""
        node = self.root
        for _ in range(int(self.shape[0])):
            above = copies.take(self.feature.take(node)) > self.threshold.take(node)
            node = self.child.take(node + node + above)
        return self.value.take(node)

    def _walk(self, copies: Floats, root: int) -> Floats:
        """Many rows down one tree."""
        width = copies.shape[1]
        start = np.arange(0, len(copies) * width, width)
        node = np.full(len(copies), root, np.int32)
        flat = copies.ravel()
        for _ in range(int(self.shape[0])):
            above = flat.take(start + self.feature.take(node)) > self.threshold.take(node)
            node = self.child.take(node + node + above)
        return self.value.take(node)


def _copies(rows: Floats) -> Floats:
    """Each row three times: with missing below everything, above everything, and as 0."""
    missing = np.isnan(rows)
    return np.concatenate([np.where(missing, stand, rows) for stand in (-np.inf, np.inf, 0.0)], axis=1)


def parsed(model: str) -> Trees:
    """The trees in LightGBM's text model. Raises ``InvalidInput`` (``unknown_trees``) where it has what we do not
    train: splits by category, leaves with a line, several classes, averaged trees."""
    blocks = model.split("\nTree=")
    head = _keys(blocks[0])
    if head.get("num_tree_per_iteration") != "1" or "average_output" in blocks[0].splitlines():
        raise InvalidInput("trees of several classes, or averaged ones, are not ours", code="unknown_trees")
    width = int(head["max_feature_idx"]) + 1
    nodes = _Nodes(width)
    for block in blocks[1:]:
        nodes.add(_keys(block.split("\nend of trees")[0]))
    return nodes.trees()


class _Nodes:
    """Nodes as they are found."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._feature: list[int] = []
        self._threshold: list[float] = []
        self._child: list[int] = []
        self._value: list[float] = []
        self._root: list[int] = []
        self._depth = 0

    def add(self, tree: Mapping[str, str]) -> None:
        """One tree: its inner nodes, then its leaves, which LightGBM numbers ~0, ~1 ..."""
        if tree.get("num_cat", "0") != "0" or tree.get("is_linear", "0") != "0":
            raise InvalidInput("splits by category and leaves with a line are not ours", code="unknown_trees")
        leaves = [float(each) for each in tree["leaf_value"].split()]
        inner = len(leaves) - 1
        start = len(self._feature)
        self._root.append(start)
        children = list(zip(_ints(tree, "left_child"), _ints(tree, "right_child"), strict=True))
        for pair in children:
            self._child += [start + (each if each >= 0 else inner + ~each) for each in pair]
        kinds = zip(_ints(tree, "split_feature"), _ints(tree, "decision_type"), strict=True)
        self._feature += [feature + self._width * _copy(decision) for feature, decision in kinds]
        self._threshold += [min(float(each), _HIGHEST) for each in tree.get("threshold", "").split()]
        self._value += [0.0] * inner
        for at, value in enumerate(leaves, start + inner):
            self._feature.append(0)
            self._threshold.append(np.inf)
            self._child += [at, at]
            self._value.append(value)
        self._depth = max(self._depth, _depth(children))

    def trees(self) -> Trees:
        """All of them."""
        return Trees(
            feature=np.array(self._feature, np.int32),
            threshold=np.array(self._threshold, np.float64),
            child=np.array(self._child, np.int32),
            value=np.array(self._value, np.float64),
            root=np.array(self._root, np.int32),
            shape=np.array([self._depth, self._width], np.int32),
        )


def _copy(decision: int) -> int:
    """Which copy of the row a node looks at."""
    missing = decision >> 2 & 3
    if decision & _CATEGORICAL or missing == _ZERO:
        raise InvalidInput("splits by category, or with 0 for missing, are not ours", code="unknown_trees")
    if missing == _NONE:
        return 2
    return 0 if decision & _LEFT_WHERE_MISSING else 1


def _depth(children: list[tuple[int, int]]) -> int:
    """Steps from the root to the deepest leaf; a child always comes after its parent."""
    depth = [0] * len(children)
    for at, pair in enumerate(children):
        for child in pair:
            if child >= 0:
                depth[child] = depth[at] + 1
    return max(depth, default=-1) + 1


def _keys(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _ints(tree: Mapping[str, str], key: str) -> list[int]:
    return [int(each) for each in tree.get(key, "").split()]
