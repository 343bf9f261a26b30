"""Conditions to closures, three-valued: true, false, or unknown (None).

Unknown is CEL's error, absorbed the same way: ``false && unknown`` is false, ``true || unknown`` is true, all
else that needs an unknown is unknown. A value of the wrong type is unknown too; nothing here raises.
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any, assert_never

from msgspec import Struct

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
    referenced_attributes,
)
from cashwrap.condition.check import Checked
from cashwrap.condition.constants import to_version

Values = Mapping[str, object]
"""Flat names to run-time values (``model.Value``); a missing name or None is unknown."""
Predicate = Callable[[Values], bool | None]
"""A compiled condition: true, false, or ``None`` for unknown."""
Term = Callable[[Values], object]

Relation = Callable[[Any, Any], bool]

_OPERATORS: dict[CompareOp, Relation] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXACT = Context(prec=2000, traps=[])
"""Enough digits for any threshold (30) times any count that fits a store."""


def compile_condition(checked: Checked) -> Predicate:
    """A function of the flat values that answers True, False, or None for unknown."""
    return compile_node(checked.node)


def compile_node(node: Node) -> Predicate:
    """The same for one node of a checked tree that is true or false."""
    match node:
        case And(operands):
            return _and([compile_node(operand) for operand in operands])
        case Or(operands):
            return _or([compile_node(operand) for operand in operands])
        case Not(operand):
            return _not(compile_node(operand))
        case Compare():
            return _compare(node)
        case In(element, container):
            return _in_list(element, container) if isinstance(container, ListLiteral) else _in_value(element, container)
        case Call(function, args):
            return _has(args[0]) if function == "has" else _text_test(function, args)
        case Attribute():
            return _flag(node.name)
        case Literal(value):
            return _always(value is True)
        case ListLiteral():
            raise TypeError("a list is neither true nor false: the tree was not checked")
        case _:
            assert_never(node)


# --- logic ---


def _and(parts: list[Predicate]) -> Predicate:
    def evaluate(values: Values) -> bool | None:
        result: bool | None = True
        for part in parts:
            found = part(values)
            if found is False:
                return False
            if found is None:
                result = None
        return result

    return evaluate


def _or(parts: list[Predicate]) -> Predicate:
    def evaluate(values: Values) -> bool | None:
        result: bool | None = False
        for part in parts:
            found = part(values)
            if found is True:
                return True
            if found is None:
                result = None
        return result

    return evaluate


def _not(part: Predicate) -> Predicate:
    def evaluate(values: Values) -> bool | None:
        found = part(values)
        return None if found is None else not found

    return evaluate


def _always(value: bool) -> Predicate:  # noqa: FBT001 - a value, not a switch
    return lambda _: value


def _flag(name: str) -> Predicate:
    def evaluate(values: Values) -> bool | None:
        value = values.get(name)
        return value if isinstance(value, bool) else None

    return evaluate


# --- terms ---


def _term(node: Node) -> Term:
    """What has a value: an attribute, a size, a constant."""
    match node:
        case Attribute():
            return operator.methodcaller("get", node.name)
        case Call("size", args):
            return _size(_term(args[0]))
        case Literal(value):
            return lambda _: value
        case _:
            raise TypeError("this has no value: the tree was not checked")


def _size(term: Term) -> Term:
    def evaluate(values: Values) -> int | None:
        value = term(values)
        return len(value) if isinstance(value, str | frozenset) else None

    return evaluate


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    """An int or a finite Decimal: a bool is no number, a float or a NaN has no exact place among them."""
    return type(value) is int or (isinstance(value, Decimal) and value.is_finite())


_GUARDS: dict[Domain, Callable[[object], bool]] = {
    "bool": _is_bool,
    "string": _is_string,
    "number": _is_number,
}
_USUAL: dict[Domain, type] = {"bool": bool, "string": str, "number": int}
"""The type that passes its guard in nearly every case: spares a call on the hot path."""


# --- predicates ---


def _compare(node: Compare) -> Predicate:
    left, apply = _term(node.left), _OPERATORS[node.op]
    match node.domain, node.right:
        case "average", Literal(int() | Decimal() as threshold):
            return _compare_average(left, apply, Decimal(threshold))
        case "version", right:
            return _compare_versions(left, apply, _term(right))
        case "same", _:
            return _compare_alike(left, apply, _term(node.right))
        case ((None | "average"), _):
            raise TypeError("a comparison without a domain: the tree was not checked")
        case domain, Literal(constant) if isinstance(node.left, Attribute):
            return _compare_constant(node.left.name, apply, constant, domain)
        case domain, _:
            return _compare_terms(left, apply, _term(node.right), _GUARDS[domain])


def _compare_constant(name: str, apply: Relation, constant: object, domain: Domain) -> Predicate:
    usual, guard = _USUAL[domain], _GUARDS[domain]

    def evaluate(values: Values) -> bool | None:
        value = values.get(name)
        return apply(value, constant) if type(value) is usual or guard(value) else None

    return evaluate


def _compare_terms(left: Term, apply: Relation, right: Term, guard: Callable[[object], bool]) -> Predicate:
    def evaluate(values: Values) -> bool | None:
        first, second = left(values), right(values)
        return apply(first, second) if guard(first) and guard(second) else None

    return evaluate


def _compare_versions(left: Term, apply: Relation, right: Term) -> Predicate:
    """By their numbers; a text that is no version is unknown."""

    def evaluate(values: Values) -> bool | None:
        first, second = left(values), right(values)
        if not (isinstance(first, str) and isinstance(second, str)):
            return None
        one, other = to_version(first), to_version(second)
        return apply(one, other) if one is not None and other is not None else None

    return evaluate


def _compare_alike(left: Term, apply: Relation, right: Term) -> Predicate:
    guards = [_is_string, _is_number]
    if apply in {operator.eq, operator.ne}:  # true and false have no order
        guards.append(_is_bool)

    def evaluate(values: Values) -> bool | None:
        first, second = left(values), right(values)
        alike = any(guard(first) and guard(second) for guard in guards)
        return apply(first, second) if alike else None

    return evaluate


def _compare_average(left: Term, apply: Relation, limit: Decimal) -> Predicate:
    """sum / count op limit, as sum op limit * count: exact, and no average over nothing."""

    def evaluate(values: Values) -> bool | None:
        pair = left(values)
        if not isinstance(pair, tuple) or len(pair) != 2:
            return None
        total, count = pair
        if not _is_number(total) or type(count) is not int or count <= 0:
            return None
        product = _EXACT.multiply(limit, count)
        return apply(total, product)

    return evaluate


def _in_list(element: Node, container: ListLiteral) -> Predicate:
    members = frozenset(item.value for item in container.items)
    guard = _is_string if isinstance(container.items[0].value, str) else _is_number
    term = _term(element)

    def evaluate(values: Values) -> bool | None:
        value = term(values)
        return value in members if guard(value) else None

    return evaluate


def _in_value(element: Node, container: Node) -> Predicate:
    needle, holder = _term(element), _term(container)

    def evaluate(values: Values) -> bool | None:
        members, value = holder(values), needle(values)
        return value in members if isinstance(members, frozenset) and _is_string(value) else None

    return evaluate


def _has(node: Node) -> Predicate:
    term = _term(node)
    return lambda values: term(values) is not None


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}


def _text_test(function: str, args: tuple[Node, ...]) -> Predicate:
    term, part = _term(args[0]), args[1]
    text = part.value if isinstance(part, Literal) else None
    if not isinstance(text, str):
        raise TypeError("a text test without a text: the tree was not checked")
    test = _TESTS[function]

    def evaluate(values: Values) -> bool | None:
        value = term(values)
        return test(value, text) if isinstance(value, str) else None

    return evaluate


# --- explanation ---


class Explanation(Struct, frozen=True):
    """Why a condition came out as it did: its source text, its result, and its parts.

    A part without parts has in ``values`` what it read, by flat name; None there is unknown.
    """

    text: str
    result: bool | None
    values: dict[str, object] = {}
    parts: tuple["Explanation", ...] = ()


def explain(checked: Checked, values: Values) -> Explanation:
    """The whole condition, every sub-condition included: nothing is cut short."""
    return _explain(checked.node, checked.source, values)


def _explain(node: Node, source: str, values: Values) -> Explanation:
    text, result = source[node.offset : node.end], compile_node(node)(values)
    match node:
        case And(operands) | Or(operands):
            return Explanation(text, result, parts=tuple(_explain(part, source, values) for part in operands))
        case Not(operand):
            return Explanation(text, result, parts=(_explain(operand, source, values),))
        case _:
            read = {name: values.get(name) for name in referenced_attributes(node)}
            return Explanation(text, result, values=read)
