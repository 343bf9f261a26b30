"""One attribute's part of the index: which bits each of its possible values leaves standing.

All values that no test tells apart are one *place*: missing, of another kind, false, true, each text that is
named somewhere and all other texts, each number that is named somewhere and each gap between two of them.
What a test accepts is then a set of places, and one mask of bits per place answers for all tests at once.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from decimal import Decimal

from cashwrap.condition.ast import Attribute, Call, Compare, CompareOp, In, ListLiteral, Literal, Node

MISSING, STRANGE, FALSE, TRUE, OTHER, TEXTS = range(6)
"""The first places; from TEXTS on come the named texts, then gaps and numbers in turn."""

Number = int | Decimal


def subject(node: Node) -> str | None:
    """The attribute that alone decides this predicate, value by value; ``None`` for any other predicate."""
    match node:
        case Attribute():
            return node.name
        case Compare(op, Attribute() as left, Literal(), domain):
            sliced = domain in {"bool", "number"} or (domain == "string" and op in {"==", "!="})
            return left.name if sliced else None
        case In(Attribute() as element, ListLiteral()):
            return element.name
        case Call("has", (Attribute() as argument,)):
            return argument.name
        case _:
            return None


class Dimension:
    """The places of one attribute, from all predicates about it."""

    __slots__ = ("_numbers", "_texts", "count", "masks", "numeric", "points", "texts")

    def __init__(self, predicates: Iterable[Node]) -> None:
        texts: dict[str, None] = {}
        numbers: set[Number] = set()
        for node in predicates:
            for constant in _constants(node):
                if isinstance(constant, str):
                    texts[constant] = None
                elif not isinstance(constant, bool):
                    numbers.add(_plain(constant))
        self.texts = {text: TEXTS + number for number, text in enumerate(texts)}
        self.points = sorted(numbers)
        self._texts = _between(OTHER, TEXTS + len(texts))
        first = TEXTS + len(texts)
        self.count = first + 2 * len(self.points) + 1
        self._numbers = first
        self.masks: list[int] = []
        self.numeric: list[int] = []
        """The masks of the gaps and points alone."""

    def place(self, value: object) -> int:
        """Where a value belongs."""
        if value is None:
            return MISSING
        if isinstance(value, bool):
            return TRUE if value else FALSE
        if isinstance(value, str):
            return self.texts.get(value, OTHER)
        if type(value) is int or (isinstance(value, Decimal) and value.is_finite()):
            return self._numbers + self._step(value)
        return STRANGE

    def _step(self, value: Number) -> int:
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
            case Call():
                everywhere = _between(0, self.count)
                return everywhere, everywhere & ~(1 << MISSING)
            case In(_, ListLiteral(items)):
                kind = self._texts if isinstance(items[0].value, str) else _between(self._numbers, self.count)
                true = 0
                for item in items:
                    true |= 1 << self.place(item.value)
                return kind, true
            case Compare(op, _, Literal(value)):
                return self._comparison(op, value)
            case _:
                return 1 << FALSE | 1 << TRUE, 1 << TRUE

    def _comparison(self, op: CompareOp, value: object) -> tuple[int, int]:
        at = self.place(value)
        if isinstance(value, bool):
            kind = 1 << FALSE | 1 << TRUE
        elif isinstance(value, str):
            kind = self._texts
        else:
            kind = _between(self._numbers, self.count)
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


def _plain(value: Number) -> Number:
    """A whole Decimal as an int, which compares faster."""
    return int(value) if value == int(value) else value


def _constants(node: Node) -> list[bool | int | Decimal | str]:
    match node:
        case Compare(right=Literal(value)):
            return [value]
        case In(container=ListLiteral(items)):
            return [item.value for item in items]
        case _:
            return []
