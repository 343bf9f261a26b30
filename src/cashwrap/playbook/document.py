"""YAML text to positioned nodes: a small, strict YAML on the C parser's event stream.

Types are YAML 1.2's, read narrowly: ``true``/``false``, ``null``/``~``, decimal integers without a leading
zero, exact decimals; ``yes``, ``010``, ``0x1F`` and ``1:30`` are text. Refused, each with its place: anchors,
aliases, tags, merge keys, duplicate keys, several documents, what is beyond the limits. Nothing recurses,
so no text can exhaust the stack.
"""

import re
from decimal import Decimal
from typing import Any

import yaml
from msgspec import Struct

from cashwrap.declarations import Spot
from cashwrap.playbook.faults import Faults

MAX_BYTES = 64 * 1024 * 1024
"""Of one file."""
MAX_DEPTH = 16
MAX_NODES = 4_000_000

Value = None | bool | int | Decimal | str | list["Node"] | dict[str, "Node"]


class Node(Struct, gc=False):
    """A value and where it stands; lines and columns count from 1.

    ``key_line`` and ``key_column`` place the key it belongs to, if any.
    """

    value: Value
    line: int
    column: int
    start: int
    """Offset of the first character in the file."""
    end: int
    style: str = ""
    """How it was written: empty for plain, else the quote, ``|``, ``>``, ``[`` or ``{``."""
    flow: bool = False
    """Inside ``{...}`` or ``[...]``."""
    text: str = ""
    """A scalar as written, before types: ``0.50`` stays ``0.50``."""
    key_line: int = 0
    key_column: int = 0


class Document(Struct, frozen=True):
    """One file. ``root`` is ``None`` where the text is no YAML at all."""

    file: str
    text: str
    root: Node | None

    def spot(self, node: Node) -> Spot:
        """Where the value starts."""
        return Spot(self.file, node.line, node.column)

    def key_spot(self, node: Node) -> Spot:
        """Where the key of this value starts; the value itself where it has none."""
        return Spot(self.file, node.key_line, node.key_column) if node.key_line else self.spot(node)


def read_document(file: str, text: str, faults: Faults) -> Document:
    """Read one file's text. Mistakes go to ``faults``; what could be read is returned all the same."""
    if len(text) > MAX_BYTES:
        faults.error(Spot(file, 1, 1), "file_too_big", f"a file may have {MAX_BYTES} characters; split it")
        return Document(file, text[:0], None)
    text = text.removeprefix("\ufeff")
    builder = _Builder(file, faults)
    try:
        parser = yaml.CSafeLoader(text)
        try:
            while (event := parser.get_event()) is not None and not builder.stopped:
                builder.take(event)
        finally:
            parser.dispose()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        faults.error(Spot(file, line, 1), "yaml_syntax", "this line holds half a character; save the file as UTF-8")
        return Document(file, text, None)
    except yaml.YAMLError as error:
        _report(file, text, error, faults)
        return Document(file, text, None)
    empty = Node(None, 1, 1, 0, 0)
    return Document(file, text, None if builder.stopped else builder.root or empty)


# --- building ---


class _Frame(Struct, gc=False):
    """A collection being filled. ``key`` is the key read last, waiting for its value."""

    node: Node
    items: list[Node] | None
    entries: dict[str, Node] | None
    key: Node | None = None
    skip: bool = False
    """The waiting key is unusable: read its value and drop it."""


class _Builder:
    """Turns events into nodes with an explicit stack.

    Events are untyped here: the C parser fills every mark, which its type stubs doubt.
    """

    def __init__(self, file: str, faults: Faults) -> None:
        self.root: Node | None = None
        self.stopped = False
        self._file = file
        self._faults = faults
        self._stack: list[_Frame] = []
        self._flow = False
        """Inside braces or brackets."""
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            if event.anchor is not None or event.tag is not None:
                self._refuse_marks(event, event.implicit[0] or event.implicit[1])
            self._place(self._scalar(event))
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if event.anchor is not None or event.tag is not None:
                self._refuse_marks(event, event.implicit)
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            self._complain(event, "yaml_alias", "aliases (*name) are not read; write the value out")
            self._place(self._node(event, None))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._complain(
                    event,
                    "yaml_documents",
                    "one file is one document; move what follows '---' to its own file",
                )
                self.stopped = True

    def _scalar(self, event: Any) -> Node:
        text, style = event.value, event.style
        plain = not style or style == ":"
        node = self._node(event, resolve(text) if plain else text)
        node.text = text
        if not plain:
            node.style = style
        return node

    def _node(self, event: Any, value: Value) -> Node:
        self._nodes += 1
        if self._nodes == MAX_NODES:
            self._complain(event, "file_too_big", f"a file may hold {MAX_NODES} values; split it")
            self.stopped = True
        start, end = event.start_mark, event.end_mark
        return Node(value, start.line + 1, start.column + 1, start.index, end.index, "", self._flow)

    def _open(self, event: Any) -> None:
        if len(self._stack) == MAX_DEPTH:
            self._complain(event, "yaml_depth", f"values may nest {MAX_DEPTH} deep")
            self.stopped = True
        entries: dict[str, Node] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        items: list[Node] | None = [] if entries is None else None
        node = self._node(event, entries if items is None else items)
        node.style = "" if not event.flow_style else "{" if items is None else "["
        self._stack.append(_Frame(node, items, entries))
        self._flow = bool(node.style) or node.flow

    def _close(self, event: Any) -> None:
        node = self._stack.pop().node
        node.end = event.end_mark.index
        self._flow = node.flow
        self._place(node)

    def _place(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        if frame.items is not None:
            frame.items.append(node)
        elif frame.key is None:
            self._take_key(frame, node)
        else:
            key, frame.key = frame.key, None
            if not frame.skip and frame.entries is not None:
                node.key_line, node.key_column = key.line, key.column
                frame.entries[key.text] = node

    def _take_key(self, frame: _Frame, key: Node) -> None:
        frame.key, frame.skip = key, True
        spot = Spot(self._file, key.line, key.column)
        entries = frame.entries or {}
        if isinstance(key.value, (list, dict)):
            self._faults.error(spot, "yaml_key", "a key is a plain word; quote it if it needs brackets")
        elif key.text == "<<":
            self._faults.error(spot, "yaml_merge_key", "merge keys (<<) are not read; write the values out")
        elif key.text in entries:
            first = entries[key.text].key_line
            self._faults.error(spot, "duplicate_key", f"{key.text!r} was already given on line {first}")
        else:
            frame.skip = False

    def _refuse_marks(self, event: Any, implicit: object) -> None:
        if event.anchor is not None:
            self._complain(
                event,
                "yaml_anchor",
                f"anchors (&{event.anchor}) are not read; wrap a value that starts with & in single quotes",
            )
        if (event.tag is not None and not implicit) or event.tag == "!":
            self._complain(
                event,
                "yaml_tag",
                "tags (!name) are not read; wrap a condition that starts with ! in single quotes",
            )

    def _complain(self, event: Any, code: str, message: str) -> None:
        mark = event.start_mark
        self._faults.error(Spot(self._file, mark.line + 1, mark.column + 1), code, message)


# --- types ---

_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,29})(?P<fraction>\.[0-9]{1,30})?\Z")
_STARTS = frozenset("+-0123456789")


def resolve(text: str) -> bool | int | Decimal | str | None:
    """The value of an unquoted scalar. Exponents, infinities, and whatever else is unusual stay text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in _STARTS and (match := _NUMBER.match(text)):
        return Decimal(text) if match["fraction"] else int(text)
    return text


# --- faults of the text itself ---

WRAP = "wrap the whole value in single quotes"
_RISKY = re.compile(r"""^\s*(?:- )?[^\s'"][^:]*:\s+(?:["'].*["']\s*[^\s#]|[&*!%@`|>\[{]|[^'"\s].*?(?:: | \#))""")


def _report(file: str, text: str, error: yaml.YAMLError, faults: Faults) -> None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML")
    if mark is None:
        position = int(getattr(error, "position", 0) or 0)
        line, column = text.count("\n", 0, position) + 1, 1
    else:
        line, column = mark.line + 1, mark.column + 1
    lines = text.split("\n")
    risky = _RISKY.match(lines[line - 1]) if line <= len(lines) else None
    hint = f"; {WRAP}" if risky else "; look for a missing quote, bracket or space after ':'"
    if "\t" in (lines[line - 1] if line <= len(lines) else ""):
        hint = "; indent with spaces, not tabs"
    faults.error(Spot(file, line, column), "yaml_syntax", problem + hint)


# --- positions inside a scalar ---


def locate(document: Document, node: Node, offset: int) -> Spot:
    """Where character ``offset`` of a scalar's text stands in the file, through quotes, escapes and folds."""
    text, place = document.text, node.start
    if node.style in {"|", ">"}:
        place = text.find("\n", place) + 1
    elif node.style:
        place += 1
    for char in node.text[:offset]:
        place = _after(text, place, char, node)
    while place < node.end and node.text[offset : offset + 1].strip() and text[place] in " \n":
        place += 1
    line_start = text.rfind("\n", 0, place) + 1
    return Spot(document.file, text.count("\n", 0, place) + 1, place - line_start + 1)


_BLANKS = re.compile(r"[ \r\n]*")


def _after(text: str, place: int, char: str, node: Node) -> int:
    """The place after the writing of ``char``. Blanks may have been folded: they match any run of blanks."""
    if char in " \n":
        blanks = _BLANKS.match(text, place, node.end)
        run = blanks.group() if blanks else ""
        return place + (len(run) if "\n" in run else min(len(run), 1))
    while place < node.end and text[place] in " \r\n" and char not in " \r\n":
        place += 1
    if node.style == "'" and char == "'":
        return place + 2
    if node.style == '"' and text[place : place + 1] == "\\":
        return place + {"x": 4, "u": 6, "U": 10}.get(text[place + 1 : place + 2], 2)
    return place + 1


def followed_by_comment(document: Document, node: Node) -> bool:
    """Whether ``#`` right after this unquoted scalar may have cut it short."""
    rest = document.text[node.end :].split("\n", 1)[0]
    return not node.style and rest.lstrip(" ").startswith("#")
