"""Types, names, money and cost: all that can be wrong with a condition before the first shopper comes."""

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct

from cashwrap.condition.ast import (
    FLIPPED,
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
from cashwrap.condition.constants import to_millis, to_minor, to_version
from cashwrap.condition.cost import MAX_COST, TEXT_TESTS, measure
from cashwrap.condition.environment import SEGMENTS, Environment, Type, did_you_mean
from cashwrap.condition.parse import parse
from cashwrap.errors import ConditionError

MAX_ERRORS = 20
"""Mistakes reported for one condition; the rest would follow from them."""
MAX_MESSAGE = 300
"""Characters of a message or a hint; names may be longer than anybody reads."""


class ConditionErrors(ConditionError):
    """A condition with mistakes: reads as the first, and lists all in ``errors``, by offset."""

    def __init__(self, errors: tuple[ConditionError, ...]) -> None:
        first = errors[0]
        super().__init__(first.message, code=first.code, offset=first.offset, hint=first.hint)
        self.errors = errors


class Checked(Struct, frozen=True):
    """A condition ready to compile.

    ``node`` has flat names, money in minor units, every ``domain`` set, and each ``"x" in segments`` as the
    attribute ``segments.x``. ``cost`` bounds the steps of one evaluation; ``attributes`` are the flat names it reads.
    """

    source: str
    node: Node
    cost: int
    attributes: tuple[str, ...]


def check(source: str, environment: Environment) -> Checked:
    """Parse and check a condition. Raises ConditionErrors with every mistake found."""
    try:
        parsed = parse(source)
    except ConditionError as error:
        raise ConditionErrors((error,)) from None
    checker = _Checker(environment)
    node = checker.predicate(parsed)
    cost, attributes = measure(node)
    if cost > MAX_COST:
        checker.fail(parsed, "too_costly", f"this may take {cost} steps, of {MAX_COST}", "split it into segments")
    if checker.errors:
        raise ConditionErrors(tuple(sorted(checker.errors, key=lambda error: error.offset)))
    return Checked(source, node, cost, attributes)


_INSTEAD = {
    "exists": 'write "x" in list',
    "all": "write one comparison for each and join them with &&",
    "exists_one": "write one comparison for each",
    "filter": "declare a feature for it",
    "map": "declare a feature for it",
    "matches": "regular expressions are left out; write startsWith, endsWith, contains or in [...]",
    "bool": "compare the value itself",
    "int": "numbers are exact; compare the value itself",
    "double": "numbers are exact; compare the value itself",
    "string": "compare the value itself",
    "duration": "declare a feature with a window",
}
_DOMAINS: dict[Type, Domain] = {
    Type.BOOL: "bool",
    Type.STRING: "string",
    Type.NUMBER: "number",
    Type.MONEY: "number",
    Type.TIME: "number",
    Type.VERSION: "version",
    Type.AVERAGE: "average",
    Type.MONEY_AVERAGE: "average",
}
_AVERAGES = frozenset({Type.AVERAGE, Type.MONEY_AVERAGE})
_AMOUNTS = frozenset({Type.MONEY, Type.MONEY_AVERAGE})
_WRITTEN = {Type.TIME: 'timestamp("2026-12-24T18:00:00Z")', Type.VERSION: 'version("2.10.0")'}
"""How a constant of a type is written that is neither a plain text nor a plain number."""
_CONVERSIONS: dict[str, Callable[[str], object]] = {"timestamp": to_millis, "version": to_version}
_CONVERTED = {"timestamp": Type.TIME, "version": Type.VERSION}
_TAKES_VERSION = frozenset({Type.VERSION, Type.STRING, Type.DYN})
_FAILED = Literal(value=False)
"""Stands where a mistake was, so that the rest is still checked."""


class _Checker:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.errors: list[ConditionError] = []

    def fail(self, node: Node, code: str, message: str, hint: str = "") -> Node:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(
                ConditionError(message[:MAX_MESSAGE], code=code, offset=node.offset, hint=hint[:MAX_MESSAGE])
            )
        return _FAILED

    # --- what is true or false ---

    def predicate(self, node: Node) -> Node:
        """A node that must be true, false or unknown."""
        match node:
            case Compare():
                return self.compare(node)
            case In():
                return self.membership(node)
            case And(operands, offset, end):
                return And(tuple([self.predicate(operand) for operand in operands]), offset, end)
            case Or(operands, offset, end):
                return Or(tuple([self.predicate(operand) for operand in operands]), offset, end)
            case Not(operand, offset, end):
                return Not(self.predicate(operand), offset, end)
            case Attribute():
                return self.flag(node)
            case Call():
                return self.call(node)
            case Literal(bool()):
                return node
            case _:
                return self.fail(
                    node,
                    "not_a_condition",
                    "this is a constant, not true or false",
                    "compare it with an attribute",
                )

    def flag(self, node: Attribute) -> Node:
        found = self.attribute(node)
        if found is None:
            return _FAILED
        attribute, kind = found
        if kind in {Type.BOOL, Type.DYN}:
            return attribute
        hint = {
            Type.SEGMENTS: 'write "name" in segments',
            Type.STRING_SET: f'write "x" in {node.name}',
            Type.STRING: f'write {node.name} == "..."',
        }.get(kind, f"compare it, such as {node.name} > {_WRITTEN.get(kind, '0')}")
        return self.fail(node, "not_a_condition", f"{node.name} is {kind.value}, not true or false", hint)

    def call(self, node: Call) -> Node:
        if node.function == "has":
            return self.has(node)
        if node.function in TEXT_TESTS:
            return self.text_test(node)
        if node.function == "size":
            return self.fail(
                node,
                "not_a_condition",
                "size is a number, not true or false",
                "compare it, such as size(x) > 0",
            )
        if node.function in _CONVERSIONS:
            message = "this is a constant, not true or false"
            return self.fail(node, "not_a_condition", message, "compare it with an attribute")
        return self.unknown_function(node)

    def unknown_function(self, node: Call) -> Node:
        hint = _INSTEAD.get(node.function) or did_you_mean(node.function, ["has", "size", *TEXT_TESTS, *_CONVERSIONS])
        return self.fail(node, "unknown_function", f"{node.function} is not a function of conditions", hint)

    def has(self, node: Call) -> Node:
        if node.method or len(node.args) != 1 or not isinstance(node.args[0], Attribute):
            return self.fail(node, "wrong_arguments", "has takes one attribute", "write has(cart.total)")
        found = self.attribute(node.args[0])
        if found is None:
            return _FAILED
        if found[1] is Type.SEGMENTS:
            return self.fail(node, "wrong_arguments", "has takes one attribute", 'write "name" in segments')
        return Call("has", (found[0],), False, node.offset, node.end)  # noqa: FBT003 - a field

    def text_test(self, node: Call) -> Node:
        wanted = f'write name.{node.function}("...")'
        if not node.method or len(node.args) != 2:
            return self.fail(
                node, "wrong_arguments", f"{node.function} follows an attribute and takes one text", wanted
            )
        receiver, text = node.args
        found = self.operand(receiver)
        if not (isinstance(text, Literal) and isinstance(text.value, str)):
            return self.fail(text, "wrong_arguments", f"{node.function} takes one text in quotes", wanted)
        if found is None:
            return _FAILED
        if found[1] not in {Type.STRING, Type.DYN}:
            hint = f'write "..." in {_name(receiver)}' if found[1] in {Type.STRING_SET, Type.SEGMENTS} else ""
            hint = _compare_with(receiver, found[1]) if found[1] in _WRITTEN else hint
            return self.fail(receiver, "type_mismatch", f"{_name(receiver)} is {found[1].value}, not a text", hint)
        return Call(node.function, (found[0], text), True, node.offset, node.end)  # noqa: FBT003

    # --- comparisons ---

    def compare(self, node: Compare) -> Node:
        op, left, right = node.op, node.left, node.right
        if _is_constant(left):
            if _is_constant(right) or isinstance(right, ListLiteral):
                return self.constant(node)
            op, left, right = FLIPPED[op], right, left
        found = self.operand(left)
        if _is_constant(right):
            if found is None:
                return _FAILED
            return self.compare_constant(node, op, found, right)
        other = self.operand(right)
        if found is None or other is None:
            return _FAILED
        return self.compare_both(node, found, other)

    def compare_constant(self, node: Compare, op: CompareOp, left: tuple[Node, Type], right: Node) -> Node:
        term, kind = left
        if isinstance(right, Call):
            constant = self.converted(right, kind, _name(term))
            kind = _CONVERTED[right.function]
        else:
            constant = self.literal(right, kind, _name(term)) if isinstance(right, Literal) else None
        if constant is None:
            return _FAILED
        domain = _DOMAINS.get(kind) or _domain(constant)
        return self.compared(node, op, Compare(op, term, constant, domain, node.offset, node.end))

    def converted(self, node: Call, kind: Type, name: str) -> Literal | None:
        """What ``timestamp("...")`` or ``version("...")`` stands for, beside a value of this kind."""
        wanted = _CONVERTED[node.function]
        text = node.args[0] if len(node.args) == 1 and not node.method else None
        if not (isinstance(text, Literal) and isinstance(text.value, str)):
            message = f"{node.function} takes one text in quotes"
            self.fail(node, "wrong_arguments", message, f"write {_WRITTEN[wanted]}")
            return None
        if kind is not wanted and not (wanted is Type.VERSION and kind in _TAKES_VERSION):
            hint = f"declare {name} as a time" if kind is Type.DYN else ""
            self.fail(node, "type_mismatch", f"{name} is {kind.value}, this is {wanted.value}", hint)
            return None
        value = _CONVERSIONS[node.function](text.value)
        if value is None:
            self.fail(text, f"bad_{node.function}", f"this is not {wanted.value}", f"write {_WRITTEN[wanted]}")
            return None
        return Literal(value if isinstance(value, int) else text.value, node.offset, node.end)

    def compare_both(self, node: Compare, left: tuple[Node, Type], right: tuple[Node, Type]) -> Node:
        kinds = {left[1], right[1]}
        if kinds & _AVERAGES:
            return self.fail(node, "type_mismatch", "an average can be compared with a number only")
        if kinds == {Type.MONEY, Type.DYN}:
            hint = "declare the other side as money"
            return self.fail(node, "type_mismatch", "money cannot be compared with a value of unknown unit", hint)
        if kinds == {Type.TIME, Type.DYN}:
            hint = "declare the other side as a time"
            return self.fail(node, "type_mismatch", "a moment cannot be compared with a value of unknown unit", hint)
        known = kinds - {Type.DYN}
        if len(known) > 1:
            first, second = (f"{_name(term)} is {kind.value}" for term, kind in (left, right))
            return self.fail(node, "type_mismatch", f"{first}, but {second}")
        domain = _DOMAINS[known.pop()] if known else "same"
        return self.compared(node, node.op, Compare(node.op, left[0], right[0], domain, node.offset, node.end))

    def compared(self, node: Compare, op: CompareOp, typed: Compare) -> Node:
        if typed.domain == "bool" and op not in {"==", "!="}:
            return self.fail(node, "type_mismatch", "true and false have no order", "write == or !=")
        return typed

    def constant(self, node: Compare | In) -> Node:
        message = "this compares two constants and is always the same"
        return self.fail(node, "constant_comparison", message, "write an attribute without quotes on one side")

    def literal(self, node: Literal, kind: Type, name: str) -> Literal | None:
        """The constant as ``kind`` wants it; None, and a complaint, where it does not fit."""
        value = node.value
        if kind in _AMOUNTS and isinstance(value, int | Decimal) and not isinstance(value, bool):
            return self.money(node, value, name)
        fits = {"bool": Type.BOOL, "string": Type.STRING, "number": Type.NUMBER}[_domain(node)]
        if kind in {fits, Type.DYN} or (kind is Type.AVERAGE and fits is Type.NUMBER):
            return node
        hint = ""
        if kind in _WRITTEN:
            hint = f"write {_WRITTEN[kind]}"
        elif isinstance(value, str) and _DOMAINS[kind] in {"number", "average"}:
            hint = "write the number without quotes"
        elif kind is Type.STRING:
            hint = "write the text in quotes"
        self.fail(node, "type_mismatch", f"{name} is {kind.value}, this is {fits.value}", hint)
        return None

    def money(self, node: Literal, value: int | Decimal, name: str) -> Literal | None:
        minor = to_minor(value, self.environment.digits)
        if minor is None:
            digits, currency = self.environment.digits, self.environment.currency
            hint = f"write at most {digits} digits after the point" if digits else "write a whole number"
            self.fail(
                node,
                "too_many_digits",
                f"{name} is in {currency}, which has {digits} digits after the point",
                hint,
            )
            return None
        return Literal(minor, node.offset, node.end)

    # --- membership ---

    def membership(self, node: In) -> Node:
        container = node.container
        if isinstance(container, ListLiteral):
            return self.in_list(node, container)
        if isinstance(container, Literal):
            return self.fail(container, "type_mismatch", "this is not a list", 'write in ["a", "b"]')
        found = self.operand(container, sets=True)
        if found is None:
            return _FAILED
        holder, kind = found
        if kind is Type.SEGMENTS:
            return self.in_segments(node)
        if kind not in {Type.STRING_SET, Type.DYN}:
            hint = f"write {_name(holder)}.contains(...)" if kind is Type.STRING else ""
            return self.fail(container, "type_mismatch", f"{_name(holder)} is {kind.value}, not a list", hint)
        return self.in_attribute(node, holder)

    def in_segments(self, node: In) -> Node:
        element = node.element
        if not (isinstance(element, Literal) and isinstance(element.value, str)):
            return self.fail(element, "type_mismatch", "a segment is named in quotes", 'write "name" in segments')
        if element.value not in self.environment.segments:
            return self.unknown_segment(element, element.value)
        return Attribute(f"{SEGMENTS}.{element.value}", None, node.offset, node.end)

    def in_attribute(self, node: In, holder: Node) -> Node:
        element = node.element
        if isinstance(element, Literal):
            if isinstance(element.value, str):
                return In(element, holder, node.offset, node.end)
            message = f"{_name(holder)} holds texts only"
            return self.fail(element, "type_mismatch", message, "write a text in quotes")
        found = self.operand(element)
        if found is None:
            return _FAILED
        if found[1] not in {Type.STRING, Type.DYN}:
            message = f"{_name(found[0])} is {found[1].value}, and {_name(holder)} holds texts only"
            return self.fail(element, "type_mismatch", message)
        return In(found[0], holder, node.offset, node.end)

    def in_list(self, node: In, container: ListLiteral) -> Node:
        if _is_constant(node.element):
            return self.constant(node)
        found = self.operand(node.element)
        if not container.items:
            return self.fail(container, "empty_list", "nothing is in an empty list")
        if found is None:
            return _FAILED
        term, kind = found
        if kind in _AVERAGES or kind is Type.BOOL or kind in _WRITTEN:
            hint = f"write {_name(term)} or !{_name(term)}" if kind is Type.BOOL else _compare_with(term, kind)
            return self.fail(node, "type_mismatch", f"{_name(term)} is {kind.value}, which no list holds", hint)
        items = [self.literal(item, kind, _name(term)) for item in container.items]
        typed = tuple([item for item in items if item is not None])
        if len(typed) < len(items):
            return _FAILED
        domains = {_domain(item) for item in typed}
        if len(domains) > 1 or domains == {"bool"}:
            return self.fail(container, "mixed_list", "a list holds only texts or only numbers")
        return In(term, ListLiteral(typed, container.offset, container.end), node.offset, node.end)

    # --- what has a value ---

    def operand(self, node: Node, *, sets: bool = False) -> tuple[Node, Type] | None:
        """An attribute or a size with its type. ``sets``: whether it may be a set or the segments."""
        match node:
            case Attribute():
                found = self.attribute(node)
                if found is not None and not sets and found[1] in {Type.STRING_SET, Type.SEGMENTS}:
                    hint = f'write "..." in {node.name}'
                    self.fail(node, "type_mismatch", f"{node.name} is {found[1].value}, not one value", hint)
                    return None
                return found
            case Call("size"):
                return self.size(node)
            case Call(function) if function in _CONVERSIONS:
                self.fail(node, "not_a_value", "expected an attribute", f"write {_WRITTEN[_CONVERTED[function]]} alone")
            case Call(function) if function not in TEXT_TESTS and function != "has":
                self.unknown_function(node)
            case Not():
                hint = "! binds tighter than a comparison: write !(a == b)"
                self.fail(node, "not_a_value", "expected an attribute or a constant", hint)
            case ListLiteral():
                self.fail(node, "not_a_value", "a list cannot be compared", 'write x in ["a", "b"]')
            case _:
                hint = "compare attributes with constants, and join comparisons with && and ||"
                self.fail(node, "not_a_value", "expected an attribute or a constant", hint)
        return None

    def size(self, node: Call) -> tuple[Node, Type] | None:
        if len(node.args) != 1 or not isinstance(node.args[0], Attribute):
            self.fail(node, "wrong_arguments", "size takes one attribute", "write size(wishlist)")
            return None
        found = self.attribute(node.args[0])
        if found is None:
            return None
        attribute, kind = found
        if kind not in {Type.STRING, Type.STRING_SET, Type.DYN}:
            self.fail(node.args[0], "type_mismatch", f"{attribute.name} is {kind.value} and has no size")
            return None
        return Call("size", (attribute,), False, node.offset, node.end), Type.NUMBER  # noqa: FBT003

    def attribute(self, node: Attribute) -> tuple[Attribute, Type] | None:
        found = self.environment.resolve(node)
        if found is not None:
            return found
        head, _, rest = node.path.partition(".")
        if head == SEGMENTS and rest and node.key is None:
            self.unknown_segment(node, rest)
        elif node.key is not None and node.path in self.environment.types:
            self.fail(node, "unknown_attribute", f"{node.path} has no keys", f"write {node.path} alone")
        elif f"{node.path}[*]" in self.environment.types:
            hint = f'write {node.path}["..."], or one of its aggregates'
            self.fail(node, "unknown_attribute", f"{node.path} has one value for each key", hint)
        else:
            hint = _SPELLED.get(node.path) or self.environment.suggest(node.path)
            self.fail(node, "unknown_attribute", f"{node.path} is not an attribute", hint)
        return None

    def unknown_segment(self, node: Node, name: str) -> Node:
        hint = did_you_mean(name, self.environment.segments)
        return self.fail(node, "unknown_segment", f"{name} is not a segment", hint)


_SPELLED = {
    "True": "write true",
    "False": "write false",
    "TRUE": "write true",
    "FALSE": "write false",
    "None": "write !has(x)",
}


def _domain(node: Literal) -> Domain:
    value = node.value
    return "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def _name(node: Node) -> str:
    return node.name if isinstance(node, Attribute) else "size"


def _is_constant(node: Node) -> bool:
    return isinstance(node, Literal) or (isinstance(node, Call) and node.function in _CONVERSIONS)


def _compare_with(node: Node, kind: Type) -> str:
    """How to ask about something that has an order and nothing else."""
    return f"compare it, such as {_name(node)} > {_WRITTEN.get(kind, '0')}"
