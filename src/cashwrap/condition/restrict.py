"""What is left of a condition where only some attributes can be known, such as in a browser."""

from collections.abc import Callable

from cashwrap.condition.ast import (
    NEGATED,
    And,
    Compare,
    Literal,
    Node,
    Not,
    Or,
    referenced_attributes,
)
from cashwrap.condition.wire import MAX_WIRE_DEPTH

MAX_JOINTS = MAX_WIRE_DEPTH - 4
"""Negations and joints inside each other; a test with its terms is four parts at most."""


def restrict(node: Node, known: Callable[[str], bool]) -> Node | None:
    """A condition over the known attributes alone that holds only where the whole one holds, whatever the others are.

    Every test that reads an unknown attribute counts as neither true nor false, ``has`` included: not knowing a value
    here does not mean that there is none. So the two hold for the same shoppers among those of whom nothing else is
    known, but for what ``has`` says of the others. What is nested deeper than ``MAX_JOINTS``, as only segments put into
    segments can be, counts as unknown too. ``None`` is left where nothing can hold.
    """
    found = _restrict(node, known, MAX_JOINTS, wanted=True)
    return None if isinstance(found, Literal) and found.value is False else found


def _restrict(node: Node, known: Callable[[str], bool], deeper: int, *, wanted: bool) -> Node:
    match node:
        case Not() | And() | Or() if not deeper:
            return Literal(value=False, offset=node.offset, end=node.end)
        case Not(operand):
            return _restrict(operand, known, deeper - 1, wanted=not wanted)
        case And(operands) | Or(operands):
            parts = [_restrict(operand, known, deeper - 1, wanted=wanted) for operand in operands]
            return _join(parts, node, every=isinstance(node, And) is wanted)
        case Literal(bool() as value):
            return Literal(value is wanted, node.offset, node.end)
        case _ if not all(map(known, referenced_attributes(node))):
            return Literal(value=False, offset=node.offset, end=node.end)
        case Compare(op, left, right, domain) if not wanted:
            return Compare(NEGATED[op], left, right, domain, node.offset, node.end)
        case _:
            return node if wanted else Not(node, node.offset, node.end)


def _join(parts: list[Node], whole: And | Or, *, every: bool) -> Node:
    """All of the parts, or any: constants folded away, and none of its own kind inside."""
    kind = And if every else Or
    left: list[Node] = []
    for part in parts:
        if isinstance(part, Literal) and isinstance(part.value, bool):
            if part.value is not every:
                return Literal(not every, whole.offset, whole.end)
        elif isinstance(part, kind):
            left.extend(part.operands)
        else:
            left.append(part)
    if len(left) < 2:
        return left[0] if left else Literal(every, whole.offset, whole.end)
    return kind(tuple(left), whole.offset, whole.end)
