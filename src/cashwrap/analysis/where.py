"""What a metric asks of facts, as Ibis expressions: conditions, and money in the shop's own currency."""

import operator
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import reduce
from typing import Any

import ibis  # type: ignore[import-untyped]

from cashwrap.analysis.facts import Value
from cashwrap.analysis.question import Question
from cashwrap.attributes import KIND_TYPES
from cashwrap.condition import Environment, Type, check, parse, referenced_attributes
from cashwrap.condition.ast import And, Attribute, Call, Compare, CompareOp, In, ListLiteral, Literal, Node, Not, Or
from cashwrap.declarations import Condition
from cashwrap.events.money import minor_digits
from cashwrap.metrics import DERIVED, FIELDS

Column = Callable[[str], Value]
"""A fact's value by its name, money in minor units of the shop's currency."""

_OPERATORS: dict[CompareOp, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TESTS = {"startsWith": "startswith", "endsWith": "endswith", "contains": "contains"}


def predicate(condition: Condition, column: Column, question: Question) -> Value:
    """Whether a fact fits: true, false or NULL, as the condition language has it.

    Its amounts are in major units of the shop's currency. Raises ``ConditionErrors`` for what cannot be read.
    """
    return _boolean(check(condition.text, _environment(condition, question)).node, column)


def columns_of(condition: Condition | None) -> tuple[str, ...]:
    """The names that a condition reads."""
    return referenced_attributes(parse(condition.text)) if condition is not None else ()


def _environment(condition: Condition, question: Question) -> Environment:
    kinds = {**FIELDS, **DERIVED, **question.measures}
    types = {
        name: KIND_TYPES[kinds[name]] if name in kinds else Type.NUMBER  # a measure of the shop's own
        for name in columns_of(condition)
    }
    return Environment(types, frozenset(), question.currency, minor_digits(question.currency))


def _boolean(node: Node, column: Column) -> Value:
    match node:
        case And(operands):
            return reduce(operator.and_, [_boolean(each, column) for each in operands])
        case Or(operands):
            return reduce(operator.or_, [_boolean(each, column) for each in operands])
        case Not(operand):
            return ~_boolean(operand, column)
        case Compare(op, left, right):
            return _OPERATORS[op](_term(left, column), _term(right, column))
        case In(element, ListLiteral(items)):
            return _term(element, column).isin([_constant(item) for item in items])
        case Call("has", (attribute, *_)):
            return _term(attribute, column).notnull()
        case Call(function, (text, Literal(part), *_)) if function in _TESTS:
            return getattr(_term(text, column), _TESTS[function])(part)
        case Literal(value):
            return ibis.literal(value)
        case _:
            return _term(node, column)


def _term(node: Node, column: Column) -> Value:
    match node:
        case Attribute():
            return column(node.name)
        case Literal():
            return _constant(node)
        case Call("size", (text, *_)):
            return _term(text, column).length()
        case _:
            raise TypeError("this has no value: the tree was not checked")


def _constant(node: Literal) -> Any:
    return float(node.value) if isinstance(node.value, Decimal) else node.value


# --- money ---


def rate(currency: Value, time: Value, question: Question) -> Value:
    """What a minor unit was worth then in minor units of the shop's currency; NULL where no rate says so."""
    own = currency.isnull() | (currency == question.currency)
    return ibis.cases((own, 1.0), *_foreign(currency, time, question))


def _foreign(currency: Value, time: Value, question: Question) -> Iterator[tuple[Value, float]]:
    """Each rate, the newest first, with when it holds."""
    digits = minor_digits(question.currency)
    for name, steps in sorted(question.rates.items()):
        scale = Decimal(10) ** (digits - minor_digits(name))
        for since, text in reversed(steps):
            yield (currency == name) & (time >= since), float(Decimal(text) * scale)
