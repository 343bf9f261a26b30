"""Nodes to plain values, with a complaint at the very place where one is not what it should be."""

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import TypeVar

from babel.numbers import list_currencies

from cashwrap.declarations import Condition, Spot
from cashwrap.playbook.document import WRAP, Document, Node
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.json_schema import DURATION, NAME, SHARE, Schema, keys, required

MAX_TEXT = 4_096
"""Characters of any one text."""
MAX_LIST = 1_000

_T = TypeVar("_T")
_NAME = re.compile(NAME)
_DURATION = re.compile(DURATION)
_SHARE = re.compile(SHARE)
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NOT_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def is_currency(text: str) -> bool:
    """Whether ISO 4217 has this code."""
    return text in list_currencies()


class Shape:
    """Reads values out of one document. Every method answers with something usable and complains on the side."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self.document = document
        self.faults = faults

    def spot(self, node: Node) -> Spot:
        """Where the value starts."""
        return self.document.spot(node)

    def key_spot(self, node: Node) -> Spot:
        """Where its key starts."""
        return self.document.key_spot(node)

    def fail(self, node: Node, code: str, message: str) -> None:
        """Complain about a value."""
        self.faults.error(self.spot(node), code, message)

    # --- collections ---

    def entries(self, node: Node, what: str) -> dict[str, Node]:
        """The entries of a mapping; nothing where it is left empty."""
        if isinstance(node.value, dict):
            return node.value
        if node.value is not None:
            self._expected(node, f"{what} is written as 'name: value' lines")
        return {}

    def fields(self, node: Node, schema: Schema, what: str) -> dict[str, Node]:
        """The entries of a mapping whose keys are fixed."""
        if not isinstance(node.value, dict):
            self._expected(node, f"{what} needs {' and '.join(required(schema)) or 'keys'}")
            return {}
        known = keys(schema)
        for key, value in node.value.items():
            if key not in known:
                hint = self.faults.did_you_mean(key, known) or f"; it may have {', '.join(known)}"
                self.faults.error(self.key_spot(value), "unknown_key", f"{what} has no {key!r}{hint}")
        for key in required(schema):
            if key not in node.value:
                self.faults.error(self.key_spot(node), "missing_key", f"{what} needs {key!r}")
        return node.value

    def items(self, node: Node | None, what: str) -> list[Node]:
        """The members of a list; a single value counts as a list of one."""
        if node is None or node.value is None:
            return []
        members = node.value if isinstance(node.value, list) else [node]
        if len(members) > MAX_LIST:
            self.fail(node, "too_many", f"{what} may have {MAX_LIST} members")
        return members[:MAX_LIST]

    def texts(self, node: Node | None, what: str) -> tuple[str, ...]:
        """A list of texts, each once."""
        found: dict[str, None] = {}
        for member in self.items(node, what):
            text = self.text(member, what)
            if text in found:
                self.fail(member, "repeated", f"{text!r} is already in this list")
            found[text] = None
        return tuple(found)

    def mapped(self, node: Node | None, what: str, read: Callable[[Node], _T]) -> dict[str, _T]:
        """A mapping with free keys."""
        if node is None:
            return {}
        return {key: read(value) for key, value in self.entries(node, what).items()}

    # --- scalars ---

    def text(self, node: Node, what: str) -> str:
        """A text. A number or a boolean in its place needs quotes, so that ``no`` never means false."""
        if not isinstance(node.value, str):
            scalar = not isinstance(node.value, list | dict | None)
            hint = f"; put {node.text} in quotes" if scalar else ""
            self._expected(node, f"{what} is a text{hint}")
            return ""
        if len(node.value) > MAX_TEXT:
            self.fail(node, "too_long", f"{what} may have {MAX_TEXT} characters")
        return node.value

    def matching(self, node: Node, pattern: str, what: str) -> str:
        """A text of a given form; empty where it is another."""
        text = self.text(node, what)
        if text and not re.fullmatch(pattern, text):
            self.fail(node, "bad_value", f"{text[:40]!r} is not {what}: letters, digits, and _ . - inside")
            return ""
        return text

    def word(self, node: Node, what: str) -> str:
        """Any scalar, as written."""
        if node.value is None or isinstance(node.value, list | dict):
            self._expected(node, f"{what} is a single value")
            return ""
        return node.text

    def flag(self, node: Node | None, what: str, *, default: bool) -> bool:
        """``true`` or ``false``."""
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        instead = _NOT_BOOLEANS.get(node.text.lower(), "")
        self._expected(node, f"{what} is true or false" + (f"; write {instead}" if instead else ""))
        return default

    def integer(self, node: Node | None, what: str, limits: tuple[int, int], default: int) -> int:
        """A whole number within limits, both included."""
        if node is None:
            return default
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            self._expected(node, f"{what} is a whole number")
            return default
        if not limits[0] <= node.value <= limits[1]:
            self.fail(node, "bad_value", f"{what} is between {limits[0]} and {limits[1]}")
            return default
        return node.value

    def amount(self, node: Node, what: str) -> str:
        """An amount of money in major units, as written and not negative."""
        value = node.value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,4})?", value):
            return value
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
            self._expected(node, f"{what} is an amount such as 50 or 49.90")
            return "0"
        return node.text

    def currency(self, node: Node) -> str:
        """The code of a currency; empty where it is none."""
        text = self.text(node, "a currency")
        if text and not is_currency(text):
            message = f"{text!r} is not a currency; write its ISO 4217 code, such as EUR"
            self.fail(node, "unknown_currency", message)
            return ""
        return text

    def choice(self, node: Node, values: Collection[str], what: str) -> str | None:
        """One of a few words."""
        text = self.text(node, what)
        if text in values:
            return text
        if text:
            hint = self.faults.did_you_mean(text, values) or f"; write {', '.join(values)}"
            self.fail(node, "bad_value", f"{text!r} is not {what}{hint}")
        return None

    def duration(self, node: Node | None, what: str) -> int | None:
        """Milliseconds, written as ``30m``, ``24h``, ``7d`` or ``2w``."""
        if node is None:
            return None
        if not _DURATION.fullmatch(node.text) or not isinstance(node.value, str):
            self._expected(node, f"{what} is written as 30m, 24h, 7d or 2w")
            return None
        return int(node.text[:-1]) * _UNITS[node.text[-1]]

    def share(self, node: Node, what: str) -> int | None:
        """Parts of 10,000, written as a percentage: ``50%``, ``12.5%``. A plain number could mean either."""
        if isinstance(node.value, str) and _SHARE.fullmatch(node.value):
            return int(Decimal(node.value[:-1]) * 100)
        if isinstance(node.value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?%", node.value):
            self.fail(node, "bad_value", f"{what} is between 0% and 100%, in steps of 0.01%")
        else:
            self._expected(node, f"{what} is a percentage; write it with its sign, such as 50% or 12.5%")
        return None

    def name(self, key: str, node: Node, what: str) -> bool:
        """Whether a key will do as a name."""
        if _NAME.fullmatch(key):
            return True
        message = f"{what} is named with letters, digits and _, starting with a letter (at most 64)"
        self.faults.error(self.key_spot(node), "bad_name", f"{message}, not {key!r}")
        return False

    def condition(self, node: Node | None) -> Condition | None:
        """A condition's text, not yet parsed. Inside ``{...}`` YAML would cut it at commas: refused there."""
        if node is None:
            return None
        if node.flow:
            message = "a condition inside { } is refused, as YAML would cut it at a comma; write it on its own line"
            self.fail(node, "expression_in_braces", message)
            return None
        if isinstance(node.value, list | dict):
            self._expected(node, f"a condition is one text; {WRAP}")
            return None
        if node.value is None:
            self.fail(node, "empty", "the condition is empty; write one, or true for everyone")
            return None
        return Condition(node.text, self.spot(node))

    def _expected(self, node: Node, message: str) -> None:
        self.fail(node, "wrong_type", message)
