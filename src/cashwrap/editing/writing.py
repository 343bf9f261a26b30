"""Values as a playbook writes them: YAML that every reader takes for the same, short things on one line.

A text is quoted wherever a reader of any YAML might take it for something else (``no``, ``2026-12-01``, ``1e3``), and
in single quotes, so that a condition stands there as it was written. Nothing here writes an anchor or an alias.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from yaml import ScalarNode
from yaml.resolver import Resolver

from cashwrap.errors import InvalidInput
from cashwrap.playbook.document import resolve

Plain = None | bool | int | Decimal | str | Sequence["Plain"] | Mapping[str, "Plain"]
"""What an entry may hold, as it comes out of a file: a number with a fraction is a ``Decimal``."""
WIDE = 80
"""Characters of a list or mapping that is written on one line."""
STEP = 2
_TEXT = "tag:yaml.org,2002:str"
_FIRST = re.compile(r"[^\s\-?:,\[\]{}#&*!|>'\"%@`=~<.+]")
_NUMBERS = re.compile(r"[+-]?[0-9][0-9_,.]*([eE][+-]?[0-9]+)?|[0-9]+[-:T].*|0[xob].*", re.DOTALL)
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
"""What YAML cannot hold as it is, and what would turn a line around for whoever reviews it."""
_CONDITIONS = frozenset({"when", "where"})
_EXPRESSION = re.compile(r"&&|\|\||[=!<>]=|[<>]")
_resolver = Resolver()


def written(value: Plain, indent: int = 0) -> str:
    """A value as it stands after its key's colon: with a leading blank, or on lines of its own with ``indent``.

    Raises ``InvalidInput`` (``cannot_edit``) for what is no value of a playbook.
    """
    if value is None:
        return ""
    if not isinstance(value, Mapping | list | tuple):
        return f" {scalar(value)}"
    line = inline(value)
    if line is not None and len(line) <= WIDE:
        return f" {line}"
    return "\n" + "\n".join(_lines(value, indent))


def entry_of(name: str, value: Plain, indent: int) -> str:
    """A whole entry as lines, its key included, without the last line's break."""
    blanks = " " * indent
    nested = isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values())
    if isinstance(value, Mapping) and value and nested:
        return f"{blanks}{scalar(name)}:\n" + "\n".join(_lines(value, indent + STEP))
    return f"{blanks}{scalar(name)}:{written(value, indent + STEP)}"


def scalar(value: Plain, *, flow: bool = False, like: str = "") -> str:
    """One scalar; ``like`` is how the one in its place was quoted, ``flow`` whether braces stand around it."""
    if value is None:
        return "null" if flow else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if not isinstance(value, str):
        raise InvalidInput(f"{type(value).__name__} is no value of a playbook", code="cannot_edit")
    if like not in ("'", '"') and is_plain(value, flow=flow):
        return value
    if _ESCAPED.search(value):
        return '"' + "".join(map(_escaped, value)) + '"'
    if (like == '"' or "'" in value) and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("'", "''") + "'"


def is_plain(text: str, *, flow: bool = False) -> bool:
    """Whether a text may stand without quotes, and every reader takes it for this very text."""
    if not _FIRST.match(text) or text != text.strip() or _ESCAPED.search(text) or _NUMBERS.fullmatch(text):
        return False
    if ": " in text or " #" in text or text.endswith(":") or "\t" in text:
        return False
    if flow and re.search(r"[,\[\]{}:?#]", text):
        return False
    tag = _resolver.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return isinstance(resolve(text), str) and tag == _TEXT


def inline(value: Plain) -> str | None:
    """On one line, in braces or brackets; ``None`` for what is easier to read, or only allowed, on several."""
    if isinstance(value, Mapping):
        parts = [_pair(key, each) for key, each in value.items()]
        return None if None in parts else "{" + ", ".join(filter(None, parts)) + "}"
    if isinstance(value, list | tuple):
        parts = [inline(each) for each in value]
        return None if None in parts else "[" + ", ".join(part or "''" for part in parts) + "]"
    if isinstance(value, str) and _EXPRESSION.search(value):
        return None
    return scalar(value, flow=True)


def _pair(key: str, value: Plain) -> str | None:
    if key in _CONDITIONS or isinstance(value, Mapping):
        return None
    line = inline(value)
    return None if line is None else f"{scalar(key, flow=True)}: {line}"


def _lines(value: Plain, indent: int) -> list[str]:
    blanks, found = " " * indent, []
    if isinstance(value, Mapping):
        return [f"{blanks}{scalar(key)}:{written(each, indent + STEP)}" for key, each in value.items()]
    if isinstance(value, list | tuple):
        for each in value:
            if isinstance(each, Mapping | list | tuple) and not _fits(each):
                found.append(f"{blanks}- " + "\n".join(_lines(each, indent + STEP)).lstrip(" "))
            else:
                found.append(f"{blanks}-{written(each) or ' null'}")
    return found


def _fits(value: Plain) -> bool:
    line = inline(value)
    return line is not None and len(line) <= WIDE


_SHORT = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    return f"\\u{ord(char):04x}" if _ESCAPED.match(char) else char
