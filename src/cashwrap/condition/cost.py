"""What conditions cost at most, known before the first shopper comes."""

from collections.abc import Mapping
from typing import Protocol

from cashwrap.condition.ast import Attribute, Call, Compare, In, Literal, Node, children
from cashwrap.condition.environment import SEGMENTS
from cashwrap.errors import ConditionError

SET_LIMIT = 1000
"""Members an attribute may hold; its producer enforces it."""
TEXT_COST = 10
"""Steps counted for looking inside a text, or for reading a version."""
MAX_COST = 100_000
"""Steps one condition may need in the worst case."""
MAX_SEGMENTS_COST = 5_000_000
"""Steps that all segments of a playbook may need together; a decision evaluates each at most once."""
MAX_SEGMENT_DEPTH = 32
"""Segments that read segments that read segments."""
TEXT_TESTS = frozenset({"startsWith", "endsWith", "contains"})


class Costed(Protocol):
    """A checked condition, as far as its cost goes."""

    @property
    def cost(self) -> int:
        """Steps of one evaluation at most."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The flat names it reads."""


def measure(node: Node) -> tuple[int, tuple[str, ...]]:
    """The steps of one evaluation at most, and the flat names read, in the order of first use."""
    cost, names = 0, dict[str, None]()
    stack = [node]
    while stack:
        part = stack.pop()
        cost += 1
        if isinstance(part, Attribute):
            names[part.name] = None
        elif isinstance(part, Compare):
            stack += (part.right, part.left)
            cost += TEXT_COST - 1 if part.domain == "version" else 0
        elif not isinstance(part, Literal):
            stack += children(part)[::-1]
            if isinstance(part, In) and isinstance(part.container, Attribute):
                cost += SET_LIMIT - 1
            elif isinstance(part, Call) and part.function in TEXT_TESTS:
                cost += TEXT_COST - 1
    return cost, tuple(names)


def excessive_segments(segments: Mapping[str, Costed | None]) -> list[tuple[str, ConditionError]]:
    """The segments with which a playbook passes its limits, and how: ``too_costly`` or ``too_deep``.

    ``None`` is a segment whose members are pushed in: it costs nothing. A cycle is another's complaint.
    """
    found: list[tuple[str, ConditionError]] = []
    total = sum(each.cost for each in segments.values() if each is not None)
    if total > MAX_SEGMENTS_COST:
        costly = max(segments, key=lambda name: _cost(segments[name]))
        message = f"all segments together may take {total} steps, of {MAX_SEGMENTS_COST}; this one costs most"
        found.append((costly, ConditionError(message, code="too_costly", hint="ask for fewer members of sets")))
    depths = _depths({name: _needs(each) for name, each in segments.items()})
    for name, depth in depths.items():
        if depth == MAX_SEGMENT_DEPTH + 1:
            message = f"segments may read each other {MAX_SEGMENT_DEPTH} deep"
            found.append((name, ConditionError(message, code="too_deep", hint="write what the innermost says")))
    return found


def _cost(segment: Costed | None) -> int:
    return 0 if segment is None else segment.cost


def _needs(segment: Costed | None) -> tuple[str, ...]:
    names = segment.attributes if segment is not None else ()
    return tuple(name.removeprefix(f"{SEGMENTS}.") for name in names if name.startswith(f"{SEGMENTS}."))


def _depths(needs: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """How many segments stand on each other up to each one, itself included; without recursion, as it may be deep."""
    depths: dict[str, int] = {}
    entered: set[str] = set()
    for name in needs:
        stack = [name]
        while stack:
            current = stack[-1]
            entered.add(current)
            waiting = [below for below in needs[current] if below in needs and below not in entered]
            if current not in depths and not waiting:
                depths[current] = 1 + max((depths.get(below, 0) for below in needs[current]), default=0)
            if waiting:
                stack += waiting
            else:
                stack.pop()
    return depths
