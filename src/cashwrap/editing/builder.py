"""Conditions as rows and groups of rows, and back: the same language, for whoever does not write it.

    rows = rows_of('cart.total > 50 && "vip" in segments')
    text_of(rows)                                  # the same condition in its canonical spelling

Whatever no row can show stays as it is written, in a part of its own: nothing is ever lost. What rows say in text comes
back as the very same rows once they are as ``rows_of`` makes them; other rows come back simpler, and mean the same.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from cashwrap.condition import ConditionError, Environment, Node, Type, check, parse, to_text
from cashwrap.condition.ast import FLIPPED, And, Attribute, Call, Compare, CompareOp, In, ListLiteral, Not, Or
from cashwrap.condition.ast import Literal as Constant
from cashwrap.condition.check import ConditionErrors

DEPTH = 3
"""Groups inside each other; what is deeper is shown as written."""
ROWS = 100
"""Rows and groups of one condition; one that has more is shown as written."""
SEGMENTS = "segments"
EACH = "[*]"
"""Ends the attribute of a row that asks for one key of many: ``category_views[*]``."""
Kind = Literal["all", "any", "none"]


class Row(Struct, frozen=True, tag="row"):
    """One question: an attribute's name (``cart.total``, ``category_views[*]`` with ``key``, ``size(wishlist)``), a
    code of ``OPERATORS``, and what it is compared with, as people write it: numbers and moments without quotes."""

    attribute: str
    operator: str
    values: tuple[str, ...] = ()
    key: str = ""


class Written(Struct, frozen=True, tag="written"):
    """A part of a condition in its own words."""

    text: str


class Group(Struct, frozen=True, tag="group"):
    """``all``, ``any`` or ``none`` of its parts."""

    kind: Kind = "all"
    parts: tuple["Part", ...] = ()


Part = Row | Written | Group
Path = tuple[int, ...]
"""Where a part stands: the places on the way from the whole condition down to it."""


class Operator(Struct, frozen=True):
    """How a row asks. ``wants`` is what it compares with; ``many`` of them, or one; ``negates`` the operator whose
    opposite it is."""

    wants: Literal["text", "number", "moment", "version", "nothing"]
    many: bool = False
    negates: str = ""


OPERATORS: dict[str, Operator] = {
    "is": Operator("text"),
    "is_not": Operator("text"),
    "one_of": Operator("text", many=True),
    "none_of": Operator("text", many=True, negates="one_of"),
    "starts": Operator("text"),
    "not_starts": Operator("text", negates="starts"),
    "ends": Operator("text"),
    "not_ends": Operator("text", negates="ends"),
    "contains": Operator("text"),
    "not_contains": Operator("text", negates="contains"),
    "has": Operator("text"),
    "has_not": Operator("text", negates="has"),
    "eq": Operator("number"),
    "ne": Operator("number"),
    "lt": Operator("number"),
    "le": Operator("number"),
    "gt": Operator("number"),
    "ge": Operator("number"),
    "among": Operator("number", many=True),
    "not_among": Operator("number", many=True, negates="among"),
    "at": Operator("moment"),
    "not_at": Operator("moment"),
    "before": Operator("moment"),
    "until": Operator("moment"),
    "after": Operator("moment"),
    "since": Operator("moment"),
    "version_is": Operator("version"),
    "version_is_not": Operator("version"),
    "older": Operator("version"),
    "up_to": Operator("version"),
    "newer": Operator("version"),
    "from": Operator("version"),
    "yes": Operator("nothing"),
    "no": Operator("nothing", negates="yes"),
    "known": Operator("nothing"),
    "unknown": Operator("nothing", negates="known"),
}
"""Every way a row may ask, by its code."""

_TEXT = ("is", "is_not", "one_of", "none_of", "starts", "not_starts", "ends", "not_ends", "contains", "not_contains")
_ORDER = ("ge", "gt", "le", "lt", "eq", "ne")
_NUMBER = (*_ORDER, "among", "not_among")
_VERSION = ("from", "newer", "up_to", "older", "version_is", "version_is_not")
_HELD = ("known", "unknown")
OF_TYPE: dict[Type, tuple[str, ...]] = {
    Type.BOOL: ("yes", "no", *_HELD),
    Type.STRING: (*_TEXT, *_HELD),
    Type.NUMBER: (*_NUMBER, *_HELD),
    Type.MONEY: (*_NUMBER, *_HELD),
    Type.TIME: ("since", "after", "until", "before", "at", "not_at", *_HELD),
    Type.VERSION: (*_VERSION, *_HELD),
    Type.AVERAGE: (*_ORDER, *_HELD),
    Type.MONEY_AVERAGE: (*_ORDER, *_HELD),
    Type.STRING_SET: ("has", "has_not", *_HELD),
    Type.SEGMENTS: ("has", "has_not"),
    Type.DYN: (*_TEXT, *_NUMBER, "has", "has_not", "yes", "no", *_VERSION, *_HELD),
}
"""How an attribute of a type may be asked for, the usual one first."""

_COMPARED: dict[str, dict[str, CompareOp]] = {
    "text": {"is": "==", "is_not": "!="},
    "number": {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="},
    "moment": {"at": "==", "not_at": "!=", "before": "<", "until": "<=", "after": ">", "since": ">="},
    "version": {
        "version_is": "==",
        "version_is_not": "!=",
        "older": "<",
        "up_to": "<=",
        "newer": ">",
        "from": ">=",
    },
}
_CALLED = {"timestamp": "moment", "version": "version"}
_CALLS = {wants: function for function, wants in _CALLED.items()}
_TESTS = {"starts": "startsWith", "ends": "endsWith", "contains": "contains"}
_NEGATIVE = {operator.negates: code for code, operator in OPERATORS.items() if operator.negates}
_LISTS = {"one_of": "text", "among": "number"}


# --- text to rows ---


def rows_of(text: str) -> Group:
    """A condition as a group of rows; an empty text is a group of nothing. Raises ``ConditionError``."""
    if not text.strip():
        return Group()
    node = parse(text)
    part = _part(node, 1)
    root = part if isinstance(part, Group) else Group("all", (part,))
    if sum(1 for _ in walk(root)) > ROWS:
        return Group("all", (Written(to_text(node)),))
    return root


def walk(root: Group) -> Iterator[tuple[Path, Part]]:
    """Every part below a group with its path, in the order written."""
    stack: list[tuple[Path, Part]] = []
    stack += [((place,), part) for place, part in enumerate(root.parts)][::-1]
    while stack:
        path, part = stack.pop()
        yield path, part
        if isinstance(part, Group):
            stack += [((*path, place), below) for place, below in enumerate(part.parts)][::-1]


def _part(node: Node, depth: int) -> Part:
    row = _row(node)
    if row is not None:
        return row
    match node:
        case And(operands) if depth <= DEPTH:
            return Group("all", tuple(_part(each, depth + 1) for each in operands))
        case Or(operands) if depth <= DEPTH:
            return Group("any", tuple(_part(each, depth + 1) for each in operands))
        case Not(Or(operands)) if depth <= DEPTH:
            return Group("none", tuple(_part(each, depth + 1) for each in operands))
        case Not(operand) if depth <= DEPTH:
            return Group("none", (_part(operand, depth + 1),))
    return Written(to_text(node))


def _row(node: Node) -> Row | None:
    """A node as a row, where one can show it to the letter."""
    if isinstance(node, Not):
        row = _row(node.operand)
        opposite = _NEGATIVE.get(row.operator) if row is not None else None
        return Row(row.attribute, opposite, row.values, row.key) if row is not None and opposite else None
    found = _asked(node)
    if found is None:
        return None
    term, operator, values = found
    name = _name(term)
    shows = all(_shows(value) for value in values) and (values or OPERATORS[operator].wants == "nothing")
    return Row(name[0], operator, values, name[1]) if name is not None and shows else None


def _asked(node: Node) -> tuple[Node, str, tuple[str, ...]] | None:
    """What a node asks about, how, and what it compares with."""
    match node:
        case Compare(op, left, right):
            if _constant(left) is not None:
                op, left, right = FLIPPED[op], right, left
            constant = _constant(right)
            return _comparison(op, left, constant) if constant is not None else None
        case In(Constant(str() as value), Attribute() as holder):
            return holder, "has", (value,)
        case In(Attribute() | Call("size") as term, ListLiteral(items)):
            return _listed(term, items)
        case Call("has", (Attribute() as term,), False):
            return term, "known", ()
        case Call(function, (Attribute() as term, Constant(str() as value)), True):
            test = next((code for code, name in _TESTS.items() if name == function), None)
            return (term, test, (value,)) if test is not None else None
        case Attribute(path, None) if path.startswith(f"{SEGMENTS}."):
            return Attribute(SEGMENTS), "has", (path.removeprefix(f"{SEGMENTS}."),)
        case Attribute():
            return node, "yes", ()
    return None


def _constant(node: Node) -> tuple[str, str] | None:
    """A constant's kind and how it is written in a row; ``None`` for what varies."""
    match node:
        case Constant(bool() as value):
            return "flag", "true" if value else "false"
        case Constant(str() as value):
            return "text", value
        case Constant(value):
            return "number", str(value)
        case Call(("timestamp" | "version") as function, (Constant(str() as value),), False):
            return _CALLED[function], value
    return None


def _comparison(op: CompareOp, term: Node, constant: tuple[str, str]) -> tuple[Node, str, tuple[str, ...]] | None:
    kind, value = constant
    if kind == "flag":
        if op not in ("==", "!="):
            return None
        return (term, "yes" if (value == "true") == (op == "==") else "no", ()) if isinstance(term, Attribute) else None
    code = next((code for code, each in _COMPARED[kind].items() if each == op), None)
    return (term, code, (value,)) if code is not None else None


def _listed(term: Node, items: tuple[Constant, ...]) -> tuple[Node, str, tuple[str, ...]] | None:
    kinds = {("flag" if isinstance(item.value, bool) else "text" if isinstance(item.value, str) else "number")
             for item in items}  # fmt: skip
    code = next((code for code, kind in _LISTS.items() if kinds == {kind}), None)
    return (term, code, tuple(str(item.value) for item in items)) if code is not None else None


def _name(term: Node) -> tuple[str, str] | None:
    """A term's name in a row, and its key."""
    match term:
        case Attribute(path, None):
            return path, ""
        case Attribute(path, str() as key) if _shows(key):
            return f"{path}{EACH}", key
        case Call("size", (Attribute() as inner,)):
            found = _name(inner)
            return (f"size({found[0]})", found[1]) if found is not None else None
    return None


def _shows(value: str) -> bool:
    """Whether a field of a form can hold a value and give it back as it was."""
    return bool(value) and value == value.strip() and not any(letter in value for letter in "\n\r\0")


# --- rows to text ---


class Unfinished(Exception):
    """A part that cannot be written yet: ``args[0]`` says what it lacks."""


def text_of(root: Group) -> str:
    """The condition that rows say, in its canonical spelling; empty where they say nothing.

    Parts that are not finished are left out: ``problems`` names them.
    """
    node = _group_node(root)
    return to_text(node) if node is not None else ""


def _group_node(group: Group) -> Node | None:
    nodes = [node for node in map(_node_or_none, group.parts) if node is not None]
    if not nodes:
        return None
    if group.kind == "all":
        return nodes[0] if len(nodes) == 1 else And(_flat(nodes, And))
    joined = nodes[0] if len(nodes) == 1 else Or(_flat(nodes, Or))
    return joined if group.kind == "any" else Not(joined)


def _flat(nodes: list[Node], kind: type[And | Or]) -> tuple[Node, ...]:
    """No And below an And: a tree as the parser makes it."""
    return tuple(below for node in nodes for below in (node.operands if isinstance(node, kind) else (node,)))


def _node_or_none(part: Part) -> Node | None:
    if isinstance(part, Group):
        return _group_node(part)
    try:
        return node_of(part)
    except (Unfinished, ConditionError):
        return None


def node_of(part: Row | Written) -> Node:
    """What one row says. Raises ``Unfinished``, and ``ConditionError`` where what is written by hand cannot be read."""
    if isinstance(part, Written):
        return parse(part.text)
    operator = OPERATORS.get(part.operator)
    if not part.attribute or operator is None:
        raise Unfinished("Choose what this is about.")
    if operator.negates:
        return Not(node_of(Row(part.attribute, operator.negates, part.values, part.key)))
    term = _term(part)
    if operator.wants == "nothing":
        return term if part.operator == "yes" else Call("has", (term,))
    if not part.values or not all(part.values):
        raise Unfinished("Enter a value.")
    constants = [_value(value, operator.wants) for value in part.values]
    return _question(part.operator, term, constants)


def _question(code: str, term: Node, constants: list[Node]) -> Node:
    if code in _LISTS:
        return In(term, ListLiteral(tuple(each for each in constants if isinstance(each, Constant))))
    if code in _TESTS:
        return Call(_TESTS[code], (term, constants[0]), method=True)
    if code == "has":
        return In(constants[0], term)
    return Compare(next(ops[code] for ops in _COMPARED.values() if code in ops), term, constants[0])


def _value(value: str, wants: str) -> Node:
    if wants == "text":
        return Constant(value)
    if wants in _CALLS:
        return Call(_CALLS[wants], (Constant(value),))
    try:
        number = parse(value)
    except ConditionError:
        number = Constant("")
    if isinstance(number, Constant) and isinstance(number.value, int | Decimal) and not isinstance(number.value, bool):
        return Constant(number.value)
    raise Unfinished("Write a number, such as 12 or 12.50.")


def _term(row: Row) -> Node:
    name = row.attribute
    if name.startswith("size("):
        return Call("size", (_attribute(name[5:-1], row.key),))
    return _attribute(name, row.key)


def _attribute(name: str, key: str) -> Attribute:
    if not name.endswith(EACH):
        found = _parsed(name)
        if isinstance(found, Attribute):
            return Attribute(found.path, found.key)
        raise Unfinished("Choose what this is about.")
    if not key:
        raise Unfinished("Enter which one is meant.")
    return Attribute(name.removesuffix(EACH), key)


def _parsed(text: str) -> Node | None:
    try:
        return parse(text)
    except ConditionError:
        return None


# --- what is wrong with rows ---


def problems(root: Group, environment: Environment) -> dict[Path, str]:
    """What is wrong, by the path of the part it is wrong with; what only the whole has stands at ``()``."""
    found: dict[Path, str] = {}
    for path, part in walk(root):
        if isinstance(part, Group):
            if not part.parts:
                found[path] = "This group is empty: add a condition to it, or remove it."
            continue
        try:
            check(to_text(node_of(part)), environment)
        except Unfinished as unfinished:
            found[path] = str(unfinished)
        except ConditionError as error:
            found[path] = said(error)
    text = text_of(root)
    if not found and text:
        try:
            check(text, environment)
        except ConditionError as error:
            found[()] = said(error)
    return found


def said(error: ConditionError) -> str:
    """A mistake of a condition, and what to do about it."""
    first = error.errors[0] if isinstance(error, ConditionErrors) else error
    return f"{first.message}; {first.hint}" if first.hint else first.message


def type_of(attribute: str, environment: Environment) -> Type | None:
    """What a row's attribute holds; ``None`` where there is no such."""
    if attribute.startswith("size("):
        return Type.NUMBER if type_of(attribute[5:-1], environment) is not None else None
    if attribute == SEGMENTS:
        return Type.SEGMENTS
    if attribute.endswith(EACH):
        found = environment.resolve(Attribute(attribute.removesuffix(EACH), "x"))
    else:
        found = environment.resolve(Attribute(attribute))
    return found[1] if found is not None else None


def operators_of(attribute: str, environment: Environment) -> tuple[str, ...]:
    """How it may be asked for."""
    return OF_TYPE[type_of(attribute, environment) or Type.DYN]
