"""One attribute's part of the index: which bits each of its possible values leaves standing.

All values that no test tells apart are one *place*: missing, of another kind, false, true, each text that is
named somewhere, each prefix that is asked for (texts that begin with it and with no longer one), all other texts,
each number that is named somewhere and each gap between two of them. What a test accepts is then a set of places,
and one mask of bits per place answers for all tests at once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from cashwrap.condition import ast
from cashwrap.condition.ast import Attribute, Call, Compare, CompareOp, In, ListLiteral, Node
from cashwrap.condition.constants import to_version

MISSING, STRANGE, FALSE, TRUE, OTHER, TEXTS = range(6)
"""The first places; from TEXTS on come the named texts, then the prefixes, then gaps and numbers in turn."""

Number = int | Decimal
Axis = tuple[str, Literal["value", "version"]]
"""An attribute, and whether its value is looked at or the version that it spells."""


def subject(node: Node) -> Axis | None:
    """The attribute that alone decides this predicate, value by value; ``None`` for any other predicate."""
    match node:
        case Attribute():
            return node.name, "value"
        case Compare(op, Attribute() as left, ast.Literal(), domain):
            if domain == "version" and "[" not in left.name:
                return left.name, "version"
            sliced = domain in {"bool", "number"} or (domain == "string" and op in {"==", "!="})
            return (left.name, "value") if sliced else None
        case In(Attribute() as element, ListLiteral()):
            return element.name, "value"
        case Call("has" | "startsWith", (Attribute() as argument, *_)):
            return argument.name, "value"
        case _:
            return None


class Dimension:
    """The places of one attribute, from all predicates about it."""

    __slots__ = ("_named", "_numbers", "_texts", "count", "masks", "numeric", "points", "prefixes", "shorter", "texts")

    def __init__(self, predicates: Iterable[Node]) -> None:
        texts: set[str] = set()
        prefixes: set[str] = set()
        points: set[Any] = set()
        for node in predicates:
            if isinstance(node, Call):
                prefixes.update(str(part.value) for part in node.args[1:] if isinstance(part, ast.Literal))
            for constant in _constants(node):
                point = self.point(constant)
                if point is not None:
                    points.add(point)
                elif isinstance(constant, str):
                    texts.add(constant)
        self._named = sorted(texts)
        self.prefixes = sorted(prefixes)
        self.shorter = _shorter(self.prefixes)
        """For each prefix the place among them of the longest other one that it begins with, or -1."""
        self.texts = {text: TEXTS + number for number, text in enumerate(self._named)}
        self.points = sorted(points)
        self._numbers = TEXTS + len(texts) + len(prefixes)
        self._texts = _between(OTHER, self._numbers)
        self.count = self._numbers + 2 * len(self.points) + 1
        self.masks: list[int] = []
        self.numeric: list[int] = []
        """The masks of the gaps and points alone."""

    @staticmethod
    def point(value: object) -> Any:
        """A value that has an order, in that order; None for every other value."""
        if type(value) is int:
            return value
        if isinstance(value, Decimal) and value.is_finite():
            return int(value) if value == int(value) else value  # an int compares faster
        return None

    def place(self, value: object) -> int:
        """Where a value belongs."""
        if value is None:
            return MISSING
        if isinstance(value, bool):
            return TRUE if value else FALSE
        if isinstance(value, str):
            named = self.texts.get(value)
            return self.begun(value) if named is None else named
        if type(value) is int or (isinstance(value, Decimal) and value.is_finite()):
            return self._numbers + self._step(value)
        return STRANGE

    def begun(self, text: str) -> int:
        """The place of the longest prefix that a text begins with.

        All prefixes between one that it begins with and the text itself, in their order, begin with that one. So if
        the last one before the text is none of its prefixes, the next one to try is the longest that begins that.
        """
        at = bisect_right(self.prefixes, text) - 1
        while at >= 0 and not text.startswith(self.prefixes[at]):
            at = self.shorter[at]
        return TEXTS + len(self._named) + at if at >= 0 else OTHER

    def _step(self, value: Any) -> int:
        """Which gap (even) or point (odd) a number is, from 0."""
        found = bisect_left(self.points, value)
        return 2 * found + (found < len(self.points) and self.points[found] == value)

    def accepted(self, node: Node, *, wanted: bool) -> int:
        """The places where the predicate comes out as wanted, as a set of bits."""
        kind, true = self._truth(node)
        return true if wanted else kind & ~true

    def _truth(self, node: Node) -> tuple[int, int]:
        """Where a predicate is known, and where it is true."""
        match node:
            case Call("has"):
                everywhere = _between(0, self.count)
                return everywhere, everywhere & ~(1 << MISSING)
            case Call(_, (_, ast.Literal(str() as prefix))):
                return self._texts, self._beginning(prefix)
            case In(_, ListLiteral(items)):
                kind = self._texts if isinstance(items[0].value, str) else _between(self._numbers, self.count)
                true = 0
                for item in items:
                    true |= 1 << self.place(item.value)
                return kind, true
            case Compare(op, _, ast.Literal(value)):
                return self._comparison(op, value)
            case _:
                return 1 << FALSE | 1 << TRUE, 1 << TRUE

    def _beginning(self, prefix: str) -> int:
        """The named texts and the prefixes that begin with a prefix: neighbours in the order of texts."""
        first = TEXTS + len(self._named)
        return _run(self._named, prefix) << TEXTS | _run(self.prefixes, prefix) << first

    def _comparison(self, op: CompareOp, value: object) -> tuple[int, int]:
        at = self.place(value)
        if at >= self._numbers:
            kind = _between(self._numbers, self.count)
        else:
            kind = self._texts if isinstance(value, str) else 1 << FALSE | 1 << TRUE
        below, equal = _between(0, at) & kind, 1 << at
        true = {"==": equal, "<": below, "<=": below | equal}
        if op in true:
            return kind, true[op]
        return kind, kind & ~true[{"!=": "==", ">=": "<", ">": "<="}[op]]

    def fill(self, accepted: Mapping[int, int], rest: int) -> None:
        """Set one mask per place from the places each bit accepts; ``rest`` are bits to leave standing everywhere."""
        turns: list[list[int]] = [[] for _ in range(self.count)]
        within = _between(0, self.count)
        for bit, places in accepted.items():
            changes = (places ^ (places << 1)) & within
            while changes:
                low = changes & -changes
                turns[low.bit_length() - 1].append(bit)
                changes ^= low
        mask = rest
        for bits in turns:
            if bits:
                mask ^= to_mask(bits)
            self.masks.append(mask)
        self.numeric = self.masks[self._numbers :]


class Versions(Dimension):
    """The places of the versions that an attribute's value spells."""

    __slots__ = ()

    @staticmethod
    def point(value: object) -> Any:
        """A text's place among versions."""
        return to_version(value) if isinstance(value, str) else None

    def place(self, value: object) -> int:
        """Where the version belongs."""
        version = self.point(value)
        return STRANGE if version is None else self._numbers + self._step(version)


def _shorter(prefixes: Sequence[str]) -> list[int]:
    """For each of sorted texts the last one before it that it begins with, or -1."""
    found: list[int] = []
    for text in prefixes:
        at = len(found) - 1
        while at >= 0 and not text.startswith(prefixes[at]):
            at = found[at]
        found.append(at)
    return found


def _run(texts: Sequence[str], prefix: str) -> int:
    """Those of sorted texts that begin with a prefix, as a set of bits."""
    start = bisect_left(texts, prefix)
    stop = bisect_left(texts, 1, start, key=lambda text: not text.startswith(prefix))
    return _between(start, stop)


def to_mask(bits: Iterable[int]) -> int:
    """A set of bit numbers as one integer."""
    numbers = list(bits)
    if len(numbers) < 8:
        mask = 0
        for number in numbers:
            mask |= 1 << number
        return mask
    buffer = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        buffer[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(buffer, "little")


def _between(start: int, stop: int) -> int:
    return (1 << stop) - (1 << start)


def _constants(node: Node) -> list[bool | int | Decimal | str]:
    match node:
        case Compare(right=ast.Literal(value)):
            return [value]
        case In(container=ListLiteral(items)):
            return [item.value for item in items]
        case _:
            return []
