"""What is left of a condition at data level ``request``: segments put in, and nothing that needs a profile. Pure."""

from collections.abc import Mapping

from cashwrap.attributes import is_requested
from cashwrap.condition.ast import And, Attribute, Call, Compare, Literal, Node, Not, Or
from cashwrap.condition.restrict import restrict
from cashwrap.model import Millis, Purpose

_HIDDEN = frozenset({"request.networks"})
"""Of a request, but only the server can know it, and its names are the shop's own."""
_CONSENT = frozenset(f"consent.{str(purpose.name).lower()}" for purpose in Purpose)


def is_known(attribute: str) -> bool:
    """Whether a decision at level ``request`` may know an attribute, and a browser may read its name."""
    return attribute in _CONSENT or (is_requested(attribute) and attribute not in _HIDDEN)


def narrowed(node: Node) -> Node | None:
    """A condition over what is known alone, which holds where the server finds the whole one to hold at level
    ``request``; ``None`` where nothing can hold."""
    return restrict(_without_has(node), is_known)


def inlined(node: Node, segments: Mapping[str, Node | None], limit: int) -> Node | None:
    """A condition with every segment's own condition in its place; ``None`` above ``limit`` nodes.

    A list that is pushed in stays what it is: an attribute that only a profile has.
    """
    left = limit

    def put_in(part: Node) -> Node:
        nonlocal left
        left -= 1
        if left < 0:
            raise OverflowError
        match part:
            case Attribute() if (found := segments.get(part.name)) is not None:
                return put_in(found)
            case Not(operand):
                return Not(put_in(operand))
            case And(operands):
                return And(tuple([put_in(each) for each in operands]))
            case Or(operands):
                return Or(tuple([put_in(each) for each in operands]))
            case _:
                return part

    try:
        return put_in(node)
    except (OverflowError, RecursionError):
        return None


def _without_has(node: Node) -> Node:
    """``has`` of what only a profile has is false at level ``request``, as the server finds it there."""
    match node:
        case Not(operand):
            return Not(_without_has(operand))
        case And(operands):
            return And(tuple([_without_has(each) for each in operands]))
        case Or(operands):
            return Or(tuple([_without_has(each) for each in operands]))
        case Call("has", (Attribute() as attribute,)) if not is_known(attribute.name):
            return Literal(value=False)
        case _:
            return node


def may_hold(node: Node, since: Millis, until: Millis) -> bool:
    """Whether a condition leaves room for a ``now`` from ``since`` up to, not including, ``until``."""
    for part in node.operands if isinstance(node, And) else (node,):
        match part:
            case Compare(">=" | ">", Attribute("now"), Literal(int() as moment)) if moment >= until:
                return False
            case Compare("<=" | "<", Attribute("now"), Literal(int() as moment)) if moment < since:
                return False
    return True
