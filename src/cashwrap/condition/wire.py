"""A checked condition as plain JSON: what an evaluator that is not Python, such as ``sdk/evaluate.js``, runs.

Every node is an array whose first member is its tag:

    ["lit", v]  ["attr", name]  ["cmp", op, domain, left, right]  ["in", element, container]
    ["call", function, argument...]  ["not", x]  ["and", x...]  ["or", x...]

A list to be a member of is ``["list", [v...]]``. A constant ``v`` is a JSON boolean, string or number; a number that a
double does not hold exactly is ``{"n": "12.50"}``. Money is in minor units and a moment in milliseconds since 1970.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, assert_never, get_args

from cashwrap.condition.ast import (
    And,
    Attribute,
    Call,
    Compare,
    CompareOp,
    Domain,
    In,
    ListLiteral,
    Literal,
    Node,
    Not,
    Or,
)

SAFE = 2**53 - 1
"""The largest integer that a double holds exactly, as JavaScript's ``Number.MAX_SAFE_INTEGER``."""
MAX_WIRE_DEPTH = 80
"""Parts inside each other; what ``check`` lets through stays far below."""
_METHODS = frozenset({"startsWith", "endsWith", "contains"})
_FUNCTIONS = _METHODS | {"has", "size"}


def to_wire(node: Node) -> object:
    """One node of a checked tree as JSON values. Where it stood in the source is left out."""
    match node:
        case Literal(value):
            return ["lit", constant_to_wire(value)]
        case Attribute():
            return ["attr", node.name]
        case ListLiteral(items):
            return ["list", [constant_to_wire(item.value) for item in items]]
        case Compare(op, left, right, domain):
            return ["cmp", op, domain, to_wire(left), to_wire(right)]
        case In(element, container):
            return ["in", to_wire(element), to_wire(container)]
        case Call(function, args):
            return ["call", function, *map(to_wire, args)]
        case Not(operand):
            return ["not", to_wire(operand)]
        case And(operands):
            return ["and", *map(to_wire, operands)]
        case Or(operands):
            return ["or", *map(to_wire, operands)]
        case _:
            assert_never(node)


def constant_to_wire(value: bool | int | Decimal | str) -> object:  # noqa: FBT001 - a value, not a switch
    """A constant, or one plain run-time value, as JSON."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, Decimal) and not value.is_finite():
        return {"n": str(value)}
    whole = -SAFE <= value <= SAFE and value == int(value)
    return int(value) if whole else {"n": f"{Decimal(value):f}"}


def from_wire(wire: object) -> Node:
    """The node again, with attributes under their flat names. Raises ``ValueError`` for what ``to_wire`` never makes.

    Only the shape is checked: whether types fit is not.
    """
    return _node(wire, 0)


def _node(wire: object, depth: int) -> Node:
    match wire:
        case [str() as tag, *parts] if depth <= MAX_WIRE_DEPTH and tag in _READERS:
            return _READERS[tag](parts, depth + 1)
        case _:
            raise ValueError(f"this is no part of a condition: {str(wire)[:40]}")


def _literal(parts: list[Any], _depth: int) -> Node:
    (value,) = parts
    return Literal(_constant(value))


def _attribute(parts: list[Any], _depth: int) -> Node:
    (name,) = parts
    return Attribute(_text(name))


def _list(parts: list[Any], _depth: int) -> Node:
    (items,) = parts
    if not isinstance(items, list) or not items:
        raise ValueError("a list of a condition is an array that is not empty")
    return ListLiteral(tuple(Literal(_constant(item)) for item in items))


def _compare(parts: list[Any], depth: int) -> Node:
    op, domain, left, right = parts
    if op not in get_args(CompareOp) or domain not in get_args(Domain):
        raise ValueError(f"conditions do not compare so: {str(op)[:20]} {str(domain)[:20]}")
    return Compare(op, _node(left, depth), _node(right, depth), domain)


def _in(parts: list[Any], depth: int) -> Node:
    element, container = parts
    return In(_node(element, depth), _node(container, depth))


def _call(parts: list[Any], depth: int) -> Node:
    function, *args = parts
    if function not in _FUNCTIONS or len(args) != 1 + (function in _METHODS):
        raise ValueError(f"this is no function of conditions: {str(function)[:40]}")
    return Call(function, tuple([_node(arg, depth) for arg in args]), method=function in _METHODS)


def _not(parts: list[Any], depth: int) -> Node:
    (operand,) = parts
    return Not(_node(operand, depth))


def _and(parts: list[Any], depth: int) -> Node:
    return And(tuple([_node(part, depth) for part in parts]))


def _or(parts: list[Any], depth: int) -> Node:
    return Or(tuple([_node(part, depth) for part in parts]))


_READERS: Mapping[str, Callable[[list[Any], int], Node]] = {
    "lit": _literal,
    "attr": _attribute,
    "list": _list,
    "cmp": _compare,
    "in": _in,
    "call": _call,
    "not": _not,
    "and": _and,
    "or": _or,
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, not {str(value)[:40]}")  # noqa: TRY004 - wrong input, not a wrong call
    return value


def _constant(value: object) -> bool | int | Decimal | str:
    match value:
        case bool() | int() | str():
            return value
        case {"n": str() as text, **rest} if not rest and len(text) <= 100:
            try:
                number = Decimal(text)
            except InvalidOperation:
                raise ValueError(f"{text[:40]} is not a number") from None
            if not number.is_finite():
                raise ValueError(f"{text[:40]} is not a number")
            return int(text) if text.lstrip("-").isdigit() else number
        case _:
            raise ValueError(f"this is no constant of a condition: {str(value)[:40]}")
