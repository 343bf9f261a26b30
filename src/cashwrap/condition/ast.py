"""The nodes of a condition, and the way back from nodes to text.

A tree is what ``parse`` makes of a text; ``check`` turns it into another tree of the same nodes with names
resolved, money in minor units and the domain of each comparison set. Each node knows the slice of the source
it came from, ``source[node.offset:node.end]``, counted in characters (code points).
"""

import typing
from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from cashwrap.condition.letters import HIDDEN, escaped, is_plain

CompareOp = typing.Literal["==", "!=", "<", "<=", ">", ">="]
Domain = typing.Literal["bool", "string", "number", "average", "version", "same"]
"""What is compared; a moment is a number. ``same``: two attributes typed only at run time, which must be alike."""

FLIPPED: dict[CompareOp, CompareOp] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
NEGATED: dict[CompareOp, CompareOp] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class Literal(Struct, frozen=True, tag="literal", gc=False):
    """A constant: a bool, a string, or an exact number.

    In a checked tree money is an int of minor units, a moment an int of milliseconds, and a version its text.
    """

    value: bool | int | Decimal | str
    offset: int = 0
    end: int = 0


class ListLiteral(Struct, frozen=True, tag="list", gc=False):
    """Constants to be a member of; checked: not empty, all of one type."""

    items: tuple[Literal, ...]
    offset: int = 0
    end: int = 0


class Attribute(Struct, frozen=True, tag="attribute", gc=False):
    """A value looked up by name: ``cart.total`` is a path, ``category_views["shoes"]`` a path and a key."""

    path: str
    key: str | None = None
    offset: int = 0
    end: int = 0

    @property
    def name(self) -> str:
        """The one flat name under which run-time values are found."""
        return self.path if self.key is None else keyed(self.path, self.key)


class Compare(Struct, frozen=True, tag="compare", gc=False):
    """``left op right``. Checked: what varies is left, and ``right`` is a Literal unless both sides vary."""

    op: CompareOp
    left: "Node"
    right: "Node"
    domain: Domain | None = None
    offset: int = 0
    end: int = 0


class In(Struct, frozen=True, tag="in", gc=False):
    """``element in container``: an Attribute in a ListLiteral, or a string in an Attribute of strings."""

    element: "Node"
    container: "Node"
    offset: int = 0
    end: int = 0


class Call(Struct, frozen=True, tag="call", gc=False):
    """A function of the whitelist. ``x.f(y)`` is ``Call("f", (x, y), method=True)``."""

    function: str
    args: tuple["Node", ...]
    method: bool = False
    offset: int = 0
    end: int = 0


class Not(Struct, frozen=True, tag="not", gc=False):
    """``!operand``; unknown stays unknown."""

    operand: "Node"
    offset: int = 0
    end: int = 0


class And(Struct, frozen=True, tag="and", gc=False):
    """All of two or more operands, none of them an And."""

    operands: tuple["Node", ...]
    offset: int = 0
    end: int = 0


class Or(Struct, frozen=True, tag="or", gc=False):
    """Any of two or more operands, none of them an Or."""

    operands: tuple["Node", ...]
    offset: int = 0
    end: int = 0


Node = Literal | ListLiteral | Attribute | Compare | In | Call | Not | And | Or
"""One part of a condition's tree."""


def keyed(path: str, key: str) -> str:
    """The flat name of one key of a feature that is split by something: ``category_views["shoes"]``."""
    return f"{path}[{quote(key)}]"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """A CEL string literal for ``text``: double quotes, and escapes only where needed."""
    if text.isascii() and text.isalnum():
        return f'"{text}"'
    keep = is_plain(HIDDEN.sub("", text))
    return '"' + "".join(_ESCAPES.get(c) or (c if _shows(c, keep=keep) else escaped(c)) for c in text) + '"'


def _shows(character: str, *, keep: bool) -> bool:
    return character >= " " and (not HIDDEN.match(character) if keep else " " <= character < "\x7f")


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order written."""
    if isinstance(node, Literal | Attribute):  # most nodes are leaves
        return ()
    match node:
        case And(operands) | Or(operands):
            return operands
        case Not(operand):
            return (operand,)
        case Compare(_, left, right) | In(left, right):
            return (left, right)
        case Call(_, args):
            return args
        case ListLiteral(items):
            return items


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first, in the order written."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        below = children(current)
        if below:
            stack.extend(below[::-1])


def referenced_attributes(node: Node) -> tuple[str, ...]:
    """The flat names a condition reads, each once, in the order of first use."""
    return tuple(dict.fromkeys(found.name for found in walk(node) if isinstance(found, Attribute)))


_OR, _AND, _RELATION, _UNARY = range(4)


def to_text(node: Node) -> str:
    """The condition in its canonical spelling: ``parse(to_text(node))`` is ``node`` again, offsets aside."""
    return _text(node, _OR)


def _text(node: Node, level: int) -> str:
    match node:
        case Or(operands):
            return _wrap(" || ".join(_text(part, _AND) for part in operands), wrap=level > _OR)
        case And(operands):
            return _wrap(" && ".join(_text(part, _RELATION) for part in operands), wrap=level > _AND)
        case Compare(op, left, right):
            return _wrap(f"{_text(left, _UNARY)} {op} {_text(right, _UNARY)}", wrap=level > _RELATION)
        case In(element, container):
            return _wrap(f"{_text(element, _UNARY)} in {_text(container, _UNARY)}", wrap=level > _RELATION)
        case Not(operand):
            return f"!{_text(operand, _UNARY)}"
        case Call():
            return _call_text(node)
        case ListLiteral(items):
            return f"[{', '.join(_text(item, _OR) for item in items)}]"
        case Attribute():
            return node.name
        case Literal(value):
            return _literal_text(value)


def _wrap(text: str, *, wrap: bool) -> str:
    return f"({text})" if wrap else text


def _call_text(node: Call) -> str:
    texts = [_text(arg, _OR) for arg in node.args]
    if node.method:
        return f"{texts[0]}.{node.function}({', '.join(texts[1:])})"
    return f"{node.function}({', '.join(texts)})"


def _literal_text(value: bool | int | Decimal | str) -> str:  # noqa: FBT001 - a value, not a switch
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if isinstance(value, str) else str(value)


def line_and_column(source: str, offset: int) -> tuple[int, int]:
    """Where ``offset`` is for a person: line and column, both from 1."""
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
