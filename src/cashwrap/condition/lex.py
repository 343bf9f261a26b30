"""Text to tokens, in one pass and linear time: one regular expression, tried once at each place."""

import re
import unicodedata
from sys import intern

from msgspec import Struct

from cashwrap.condition.letters import HIDDEN, escaped, first_change, is_accent
from cashwrap.errors import ConditionError

MAX_LENGTH = 4096
"""Characters of one condition."""
MAX_SHOWN = 40
"""Characters of a condition that an error's message repeats."""


class Token(Struct, frozen=True, gc=False):
    """``kind`` is ``name``, ``number``, ``string``, ``end``, or the operator itself."""

    kind: str
    text: str
    offset: int
    end: int


_TOKEN = re.compile(
    r"""
      (?: [ \t\r\n\f]++ | //[^\n\r]*+ )*+
      (?: (?P<name>   [A-Za-z_][A-Za-z0-9_]*+ )
        | (?P<op>     && | \|\| | == | != | <= | >= | [<>!()\[\],.-] )
        | (?P<string> (?!"{3}|'{3}) (?: "[^"\\\n\r]*+(?:\\.[^"\\\n\r]*+)*+" | '[^'\\\n\r]*+(?:\\.[^'\\\n\r]*+)*+' ) )
        | (?P<number> [0-9]++ (?: \.[0-9]++ )?+ (?: [eE][+-]?[0-9]++ )?+ ) (?!\w)
        | (?P<end>    \Z )
        | (?P<none>   (?s:.) ) )
    """,
    re.VERBOSE,
)
_KINDS = ("", *_TOKEN.groupindex)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_AFTER_QUOTE = re.compile("[\"']([^\x00-\x7f])")
_QUOTES = ("'", '"')
_STRING_PREFIXES = frozenset({"r", "R", "b", "B", "rb", "Rb", "rB", "RB", "br", "Br", "bR", "BR"})

_ARITHMETIC = "conditions do not compute; declare a feature for the value and compare that"
_TERNARY = "write (a && b) || (!a && c) instead of a ? b : c"
_MAPS = "maps are not part of conditions; write one comparison per key"
_MENDS = {
    "=": "compare with ==",
    "&": "write && for 'and'",
    "|": "write || for 'or'",
    "+": _ARITHMETIC,
    "*": _ARITHMETIC,
    "/": _ARITHMETIC,
    "%": _ARITHMETIC,
    "?": _TERNARY,
    ":": _TERNARY,
    "{": _MAPS,
    "}": _MAPS,
    "‘": "write plain quotes",
    "’": "write plain quotes",
    "“": "write plain quotes",
    "”": "write plain quotes",
}


def tokenize(source: str) -> list[Token]:
    """All tokens, with an ``end`` token last. Raises ConditionError at the first place that is no token."""
    if len(source) > MAX_LENGTH:
        raise ConditionError(
            f"a condition may have {MAX_LENGTH} characters, this one has {len(source)}",
            code="too_long",
            offset=MAX_LENGTH,
            hint="split it into segments and combine them",
        )
    if not (source.isascii() and source.isprintable()):
        _refuse_tricks(source)
    tokens: list[Token] = []
    for match in _TOKEN.finditer(source):
        group = match.lastindex or 0
        kind, (start, end) = _KINDS[group], match.span(group)
        text = source[start:end]
        if kind == "op":
            tokens.append(Token(text, text, start, end))
            continue
        if kind == "none":
            raise _no_token(source, start)
        if text in _STRING_PREFIXES and source[end : end + 1] in _QUOTES:
            raise ConditionError(
                "raw and bytes strings are not part of conditions",
                code="not_supported",
                offset=start,
                hint="write a plain quoted string and escape with a backslash",
            )
        tokens.append(Token(kind, text, start, end))
    return tokens


def _refuse_tricks(source: str) -> None:
    """Refuse what reads as something else than it is."""
    lone = _SURROGATE.search(source)
    if lone is not None:
        raise ConditionError("this is half a character", code="unexpected_character", offset=lone.start())
    hidden = HIDDEN.search(source)
    if hidden is not None:
        raise ConditionError(
            "here is a character that nobody sees",
            code="hidden_character",
            offset=hidden.start(),
            hint=f"delete it, or write {escaped(hidden.group())} inside a string",
        )
    if not unicodedata.is_normalized("NFC", source):
        raise ConditionError(
            "this letter is written in parts, so that it equals nothing it looks like",
            code="not_normalized",
            offset=first_change(source),
            hint="write it as one character (Unicode's NFC), or with \\u escapes",
        )
    for quoted in _AFTER_QUOTE.finditer(source):
        if is_accent(quoted[1]):
            raise ConditionError(
                "this string begins with an accent for the quote before it",
                code="hidden_character",
                offset=quoted.start(1),
                hint=f"write it as {escaped(quoted[1])}",
            )


def _no_token(source: str, place: int) -> ConditionError:
    """What is wrong where nothing fits. Refused too is what CEL reads as more: ``5u``, ``0x1F``, triple quotes."""
    char = source[place]
    number = _NUMBER.match(source, place)
    if number is not None:
        return ConditionError(
            f"{source[place : number.end() + 1][:MAX_SHOWN]!r} is not a number",
            code="bad_number",
            offset=place,
            hint="write plain decimal digits, such as 12 or 0.5",
        )
    if source.startswith(char * 3, place) and char in _QUOTES:
        return ConditionError(
            "triple quotes are not part of conditions",
            code="not_supported",
            offset=place,
            hint="quote once, and write \\n for a new line",
        )
    if char in _QUOTES:
        return ConditionError(
            "this string has no end on its line",
            code="unterminated_string",
            offset=place,
            hint=f"close it with {char}",
        )
    hint = _MENDS.get(char) or ("names are written with a to z, even where it looks so" if char.isalpha() else "")
    code = "not_supported" if char in "+*/%?:{}" else "unexpected_character"
    return ConditionError(f"{char!r} is not part of conditions", code=code, offset=place, hint=hint)


_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unquote(token: Token) -> str:
    """The value of a string token. Escapes are CEL's, each a code point; ConditionError at a wrong one."""
    body = token.text[1:-1]
    if "\\" not in body:
        return intern(body)

    def replace(match: re.Match[str]) -> str:
        simple, byte, short, long, octal, _ = match.groups()
        if simple is not None:
            return _SIMPLE.get(simple, simple)
        digits = byte or short or long
        code = int(digits, 16) if digits else int(octal, 8) if octal else -1
        if not 0 <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ConditionError(
                f"{match.group()} is not an escape",
                code="bad_escape",
                offset=token.offset + 1 + match.start(),
                hint="write \\\\ for a backslash, \\n, \\t, \\xHH, \\uHHHH or \\UHHHHHHHH",
            )
        return chr(code)

    return _ESCAPE.sub(replace, body)
