"""When a condition can hold, exactly: as boxes over the values of what it reads. Pure.

A box names for some attributes the values each may have; a condition is true exactly in the boxes it is taken apart
into. Values that no test tells apart are one place (``condition.dimension``). What is not a test of one attribute, such
as a text search, counts as a value of its own that may be true, false or unknown: so boxes may allow cases that cannot
be, and never leave out one that can. Segments are part of the conditions that read them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from cashwrap.condition.ast import And, Attribute, Compare, In, ListLiteral, Literal, Node, Not, Or, to_text
from cashwrap.condition.dimension import Axis, Dimension, Versions, subject
from cashwrap.model import Millis

Box = dict[int, int]
"""Axis to the places allowed there, a set of bits; any place on every other axis."""

MOST_CELLS = 1_000_000_000
"""Places of one attribute times the tests of it: beyond, each test is on its own, and less is known of how they go
together, but a hundred thousand prices take no gigabytes."""
MAX_BOXES = 64
"""Boxes of one condition; of one with more nothing is said."""
_MERGED = 16
"""Boxes up to which neighbours are joined."""
_THREE = 0b111
"""The places of an axis of its own: unknown (or no set), false (outside), true (inside)."""
_RANGES: Mapping[str, tuple[int, int | None]] = {
    "time.hour": (0, 23),
    "time.weekday": (1, 7),
    "shop_time.hour": (0, 23),
    "shop_time.weekday": (1, 7),
    "cart.count": (0, None),
}
"""Attributes that are whole numbers, and from where to where."""


class Boxes:
    """Takes the conditions of one playbook apart.

    ``segments`` are the conditions of segments by their flat names; ``whole`` names attributes that only ever are whole
    numbers. Moments before ``since`` are past: a condition that only held then has no boxes.
    """

    def __init__(
        self,
        conditions: Iterable[Node],
        segments: Mapping[str, Node],
        whole: frozenset[str],
        since: Millis | None = None,
    ) -> None:
        self._segments = segments
        self._ranges = {**dict.fromkeys(whole, (None, None)), **_RANGES, "now": (since, None)}
        self._leaves: dict[int, tuple[list[Box], list[Box]]] = {}
        """Where a test is false and where it is true, by the identity of its node."""
        self._nodes = [*conditions, *segments.values()]
        self._known: dict[tuple[str, bool], list[Box] | None] = {}
        self._full: dict[int, int] = {}
        """Axis to all places there."""
        self._place()

    def of(self, node: Node) -> list[Box] | None:
        """Where a condition is true; ``None`` where that is too much to say."""
        return self._boxes(node, wanted=True)

    # --- axes and places ---

    def _place(self) -> None:
        """Give every test its axis and its places. The same test has the same ones, wherever it is written."""
        leaves: dict[object, list[Node]] = {}
        stack = list(self._nodes)
        while stack:
            node = stack.pop()
            if isinstance(node, Compare):
                leaves.setdefault(_key(node), []).append(node)
            elif isinstance(node, (And, Or)):
                stack.extend(node.operands)
            elif isinstance(node, Not):
                stack.append(node.operand)
            elif not isinstance(node, Literal) and not self._is_segment(node):
                leaves.setdefault(_key(node), []).append(node)
        about: dict[Axis, list[list[Node]]] = defaultdict(list)
        for same in leaves.values():
            axis = subject(same[0])
            if axis is None:
                self._settle(same, self._axis(_THREE), (0b010, 0b100))
            else:
                about[axis].append(same)
        for axis, tests in about.items():
            nodes = [same[0] for same in tests]
            dimension = Dimension(nodes) if axis[1] == "value" else Versions(nodes)
            if dimension.count * len(tests) > MOST_CELLS:
                for same in tests:
                    self._settle(same, self._axis(_THREE), (0b010, 0b100))
                continue
            possible = self._possible(axis, dimension)
            number = self._axis(possible)
            for same in tests:
                false, true = (dimension.accepted(same[0], wanted=wanted) & possible for wanted in (False, True))
                self._settle(same, number, (false, true))

    def _settle(self, same: list[Node], axis: int, places: tuple[int, int]) -> None:
        full = self._full[axis]
        false, true = ([{axis: each} if each != full else {}] if each else [] for each in places)
        for node in same:
            self._leaves[id(node)] = false, true

    def _axis(self, places: int) -> int:
        self._full[len(self._full)] = places
        return len(self._full) - 1

    def _possible(self, axis: Axis, dimension: Dimension) -> int:
        """The places that a value can be in at all: between 3 and 4 there is no whole number."""
        places = (1 << dimension.count) - 1
        name = axis[0]
        if axis[1] != "value" or not dimension.points or name not in self._ranges:
            return places
        least, most = self._ranges[name]
        points = dimension.points
        for at in range(len(points) + 1):
            low = [_floor(points[at - 1]) + 1] if at else []
            high = [_ceiling(points[at]) - 1] if at < len(points) else []
            low += [least] if least is not None else []
            high += [most] if most is not None else []
            gap = dimension.place(points[at]) - 1 if at < len(points) else dimension.count - 1
            if low and high and max(low) > min(high):
                places &= ~(1 << gap)
            if at < len(points) and not _fits(points[at], least, most):
                places &= ~(1 << gap + 1)
        return places

    # --- conditions ---

    def _boxes(self, node: Node, *, wanted: bool) -> list[Box] | None:
        leaf = self._leaves.get(id(node))
        if leaf is not None:
            return leaf[wanted]
        match node:
            case And(operands) | Or(operands):
                parts = [self._boxes(operand, wanted=wanted) for operand in operands]
                return self._all(parts) if isinstance(node, And) is wanted else self._any(parts)
            case Not(operand):
                return self._boxes(operand, wanted=not wanted)
            case Attribute():
                return self._segment(node.name, wanted=wanted)
            case Literal(value) if value is wanted:
                return [{}]
            case _:
                return []

    def _is_segment(self, node: Node) -> bool:
        return isinstance(node, Attribute) and node.key is None and node.path in self._segments

    def _segment(self, name: str, *, wanted: bool) -> list[Box] | None:
        key = name, wanted
        if key not in self._known:
            self._known[key] = self._boxes(self._segments[name], wanted=wanted)
        return self._known[key]

    def _all(self, parts: list[list[Box] | None]) -> list[Box] | None:
        """Where all parts hold."""
        if any(part == [] for part in parts):
            return []
        found = parts[0]
        for part in parts[1:]:
            if found is None or part is None or len(found) * len(part) > MAX_BOXES:
                return None
            found = [both for one in found for other in part if (both := _meet(one, other)) is not None]
        return self._tidy(found) if found is not None and len(found) > 1 else found

    def _any(self, parts: list[list[Box] | None]) -> list[Box] | None:
        """Where any part holds."""
        found: list[Box] = []
        for part in parts:
            if part is None:
                return None
            found += part
        return self._tidy(found) if len(found) <= MAX_BOXES else None

    def _tidy(self, boxes: list[Box]) -> list[Box]:
        """The same cases in fewer boxes: one inside another is left out, and two that differ on one axis are one."""
        if len(boxes) > _MERGED:
            return boxes
        left: list[Box] = []
        waiting = list(boxes)
        while waiting:
            box = waiting.pop()
            if any(within(box, other) for other in left):
                continue
            left = [other for other in left if not within(other, box)]
            joined = next(((other, both) for other in left if (both := self._join(box, other)) is not None), None)
            if joined is None:
                left.append(box)
            else:
                left.remove(joined[0])
                waiting.append(joined[1])
        return left

    def _join(self, one: Box, other: Box) -> Box | None:
        """The one box that two are together, where they differ on one axis only."""
        if one.keys() != other.keys():
            return None
        apart = [axis for axis in one if one[axis] != other[axis]]
        if len(apart) != 1:
            return None
        axis = apart[0]
        both = {**one, axis: one[axis] | other[axis]}
        if both[axis] == self._full[axis]:
            del both[axis]
        return both


def within(box: Box, other: Box) -> bool:
    """Whether every case in ``box`` is in ``other``."""
    get = box.get
    for axis, allowed in other.items():
        places = get(axis)
        if places is None or places & ~allowed:
            return False
    return True


def _meet(one: Box, other: Box) -> Box | None:
    both = {**one, **other}
    for axis in one.keys() & other.keys():
        both[axis] = one[axis] & other[axis]
        if not both[axis]:
            return None
    return both


def _key(node: Node) -> object:
    """What makes two tests the same."""
    if isinstance(node, Compare):
        if isinstance(node.left, Attribute) and isinstance(node.right, Literal):
            return node.op, node.left.name, node.right.value, node.domain
        return f"{node.domain} {to_text(node)}"
    if isinstance(node, In) and isinstance(node.element, Attribute) and isinstance(node.container, ListLiteral):
        return "in", node.element.name, tuple([item.value for item in node.container.items])
    return node.name if isinstance(node, Attribute) else to_text(node)


def _floor(point: int | Decimal) -> int:
    return int(Decimal(point).to_integral_value(ROUND_FLOOR))


def _ceiling(point: int | Decimal) -> int:
    return int(Decimal(point).to_integral_value(ROUND_CEILING))


def _fits(point: int | Decimal, least: int | None, most: int | None) -> bool:
    return point == int(point) and (least is None or point >= least) and (most is None or point <= most)
