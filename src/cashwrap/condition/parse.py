"""The parser: a precedence descent over the tokens of ``lex``, without backtracking.

    or       = and ("||" and)*
    and      = relation ("&&" relation)*
    relation = unary [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") unary]
    unary    = "!"* primary | "-" number
    primary  = constant | list | function "(" args ")" | attribute ["." method "(" args ")"] | "(" or ")"
    attribute = name ("." name)* ["[" string "]"]

Every nesting is counted before it is entered, so no text makes it recurse deeper than the limits below.
"""

from decimal import Decimal
from sys import intern
from typing import cast

from cashwrap.condition.ast import (
    And,
    Attribute,
    Call,
    Compare,
    CompareOp,
    In,
    ListLiteral,
    Literal,
    Node,
    Not,
    Or,
)
from cashwrap.condition.lex import MAX_SHOWN, Token, tokenize, unquote
from cashwrap.errors import ConditionError

MAX_DEPTH = 32
"""Parentheses, negations and calls inside each other."""
MAX_NODES = 512
"""Constants, attributes and operators of one condition; members of a list are counted by MAX_LIST."""
MAX_LIST = 1000
MAX_DIGITS = 30
"""Digits of a number, and the largest power of ten written as an exponent."""

_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_CONSTANTS = {"true": True, "false": False}
_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
    }
    | {"namespace", "null", "package", "return", "true", "var", "void", "while"}
)
"""CEL's own, so that a condition stays valid CEL."""
_WORDS = {
    "and": "write &&",
    "or": "write ||",
    "not": "write ! before it",
    "is": "write ==",
    "AND": "write &&",
    "OR": "write ||",
}


def parse(source: str) -> Node:
    """The tree of a condition. Raises ConditionError, with its offset, at the first mistake of spelling."""
    parser = _Parser(source)
    node = parser.either()
    parser.finish()
    return node


class _Parser:
    __slots__ = ("depth", "nodes", "place", "token", "tokens")

    def __init__(self, source: str) -> None:
        self.tokens = tokenize(source)
        self.place = 0
        self.token = self.tokens[0]
        self.depth = 0
        self.nodes = 0
        if self.token.kind == "end":
            raise ConditionError(
                "the condition is empty", code="empty", hint="leave it out to mean everyone, or write true"
            )

    # --- tokens ---

    def advance(self) -> Token:
        token = self.token
        self.place += 1
        self.token = self.tokens[self.place]
        return token

    def end(self) -> int:
        """Where the last token taken ends."""
        return self.tokens[self.place - 1].end

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.unexpected(f"expected {kind!r}" if kind != "name" else "expected a name")
        return self.advance()

    def count(self, token: Token) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ConditionError(
                f"a condition may have {MAX_NODES} parts",
                code="too_many_nodes",
                offset=token.offset,
                hint="split it into segments",
            )

    def enter(self, token: Token) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(
                f"a condition may nest {MAX_DEPTH} deep",
                code="too_deep",
                offset=token.offset,
                hint="split it into segments",
            )

    def unexpected(self, message: str, hint: str = "") -> ConditionError:
        token = self.token
        if token.kind == "end":
            return ConditionError(
                f"{message}, but the condition ends here",
                code="unexpected_end",
                offset=token.offset,
                hint=hint,
            )
        return ConditionError(
            f"{message}, not {token.text[:MAX_SHOWN]!r}", code="unexpected_token", offset=token.offset, hint=hint
        )

    def finish(self) -> None:
        token = self.token
        if token.kind == "end":
            return
        if token.kind == "-":
            raise ConditionError(
                "'-' is not part of conditions",
                code="not_supported",
                offset=token.offset,
                hint="conditions do not compute; declare a feature for the value and compare that",
            )
        raise self.unexpected("expected && or || or the end", _WORDS.get(token.text, ""))

    # --- grammar ---

    def either(self) -> Node:
        start = self.token
        first = self.both()
        if self.token.kind != "||":
            return first
        operands: list[Node] = list(first.operands) if isinstance(first, Or) else [first]
        while self.token.kind == "||":
            self.count(self.advance())
            operand = self.both()
            operands.extend(operand.operands if isinstance(operand, Or) else (operand,))
        return Or(tuple(operands), start.offset, self.end())

    def both(self) -> Node:
        start = self.token
        first = self.relation()
        if self.token.kind != "&&":
            return first
        operands: list[Node] = list(first.operands) if isinstance(first, And) else [first]
        while self.token.kind == "&&":
            self.count(self.advance())
            operand = self.relation()
            operands.extend(operand.operands if isinstance(operand, And) else (operand,))
        return And(tuple(operands), start.offset, self.end())

    def relation(self) -> Node:
        start = self.token
        left = self.unary()
        operator = self.token
        if operator.kind in _RELATIONS:
            self.count(self.advance())
            if operator.kind == "<" and self.token.kind == ">":
                raise ConditionError(
                    "'<>' is not part of conditions",
                    code="not_supported",
                    offset=operator.offset,
                    hint="write !=",
                )
            right = self.unary()
            node: Node = Compare(cast("CompareOp", operator.kind), left, right, None, start.offset, self.end())
        elif operator.kind == "name" and operator.text == "in":
            self.count(self.advance())
            node = In(left, self.unary(), start.offset, self.end())
        else:
            return left
        if self.token.kind in _RELATIONS or self.token.text == "in":
            raise self.unexpected("comparisons do not chain: expected && or || or the end", "write a < b && b < c")
        return node

    def unary(self) -> Node:
        kind = self.token.kind
        if kind == "name":  # mostly
            return self.named()
        if kind == "-":
            return self.negative()
        if kind != "!":
            return self.primary()
        token = self.advance()
        self.count(token)
        self.enter(token)
        operand = self.unary()
        self.depth -= 1
        return Not(operand, token.offset, self.end())

    def negative(self) -> Literal:
        minus = self.advance()
        if self.token.kind != "number":
            raise ConditionError(
                "only a number may follow '-'",
                code="not_supported",
                offset=minus.offset,
                hint="conditions do not compute; compare with a number",
            )
        token = self.advance()
        self.count(token)
        return Literal(_number(token, "-"), minus.offset, token.end)

    def primary(self) -> Node:
        token = self.token
        match token.kind:
            case "string":
                self.count(self.advance())
                return Literal(unquote(token), token.offset, token.end)
            case "number":
                self.count(self.advance())
                return Literal(_number(token), token.offset, token.end)
            case "(":
                self.enter(self.advance())
                node = self.either()
                self.expect(")")
                self.depth -= 1
                return node
            case "[":
                return self.list_literal()
            case _:
                raise self.unexpected("expected a value")

    def list_literal(self) -> ListLiteral:
        start = self.advance()
        self.count(start)
        items: list[Literal] = []
        while self.token.kind != "]":
            if len(items) == MAX_LIST:
                raise ConditionError(
                    f"a list may have {MAX_LIST} members", code="list_too_long", offset=self.token.offset
                )
            items.append(self.list_item())
            if self.token.kind != ",":
                break
            self.advance()
        self.expect("]")
        return ListLiteral(tuple(items), start.offset, self.end())

    def list_item(self) -> Literal:
        token = self.token
        if token.kind == "string":
            self.advance()
            return Literal(unquote(token), token.offset, token.end)
        if token.kind == "number":
            self.advance()
            return Literal(_number(token), token.offset, token.end)
        if token.kind == "-":
            return self.negative()
        if token.text in _CONSTANTS:
            self.advance()
            return Literal(_CONSTANTS[token.text], token.offset, token.end)
        raise self.unexpected("expected a constant in the list", "lists hold strings or numbers")

    def named(self) -> Node:
        token = self.advance()
        self.count(token)
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text], token.offset, token.end)
        if token.text == "null":
            raise ConditionError(
                "there is no null in conditions",
                code="not_supported",
                offset=token.offset,
                hint="write has(x) or !has(x)",
            )
        _refuse_reserved(token)
        if self.token.kind == "(":
            return self.call(token, ())
        if token.text == "not" and self.token.kind == "name":
            raise ConditionError(
                "expected a value, not 'not'",
                code="unexpected_token",
                offset=token.offset,
                hint=_WORDS["not"],
            )
        return self.path(token)

    def path(self, first: Token) -> Node:
        path, key, end = first.text, None, first.end
        while True:
            if self.token.kind == "." and (key is None or self.is_method()):
                self.advance()
                name = self.expect("name")
                _refuse_reserved(name)
                if self.token.kind == "(":
                    return self.call(name, (Attribute(path, key, first.offset, end),))
                path, end = f"{path}.{name.text}", name.end
            elif self.token.kind == "[" and key is None:
                key = self.index()
                end = self.end()
            elif self.token.kind in {".", "["}:
                raise ConditionError(
                    "nothing may follow a key in brackets",
                    code="not_supported",
                    offset=self.token.offset,
                    hint="declare a feature for it",
                )
            else:
                return Attribute(intern(path), key, first.offset, end)  # thousands of conditions read the same names

    def is_method(self) -> bool:
        following = self.tokens[self.place + 1 : self.place + 3]
        return [token.kind for token in following] == ["name", "("]

    def index(self) -> str:
        self.advance()
        if self.token.kind != "string":
            raise self.unexpected("expected a key in quotes", 'write it as views["shoes"]')
        key = unquote(self.advance())
        self.expect("]")
        return key

    def call(self, name: Token, receiver: tuple[Attribute, ...]) -> Call:
        opening = self.advance()
        self.enter(opening)
        args: list[Node] = list(receiver)
        while self.token.kind != ")":
            args.append(self.either())
            if self.token.kind != ",":
                break
            self.advance()
        self.expect(")")
        self.depth -= 1
        start = receiver[0].offset if receiver else name.offset
        return Call(name.text, tuple(args), bool(receiver), start, self.end())


def _refuse_reserved(token: Token) -> None:
    if token.text in _RESERVED:
        raise ConditionError(
            f"{token.text!r} is a reserved word",
            code="reserved_word",
            offset=token.offset,
            hint="choose another name",
        )


def _number(token: Token, sign: str = "") -> int | Decimal:
    mantissa, _, exponent = token.text.lower().partition("e")
    if len(mantissa) > MAX_DIGITS + 1 or len(exponent) > 4 or abs(int(exponent or 0)) > MAX_DIGITS:
        raise ConditionError(f"a number may have {MAX_DIGITS} digits", code="bad_number", offset=token.offset)
    return int(sign + mantissa) if not exponent and "." not in mantissa else Decimal(sign + token.text)
