"""One file of a playbook with the reader's own nodes, and where each of its entries stands in the text."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from cashwrap.editing.writing import STEP, WIDE, Plain, entry_of, inline, scalar, written
from cashwrap.errors import InvalidInput
from cashwrap.expectations import plain
from cashwrap.playbook.document import Node, read_document
from cashwrap.playbook.faults import Faults

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_BOM = "\ufeff"
_SPACED = frozenset({"experiences", "offers"})
"""Sections with a blank line between entries, where there is no example to follow."""
_Edit = tuple[int, int, str]


class Entry(Struct, frozen=True):
    """One entry of a section as it stands in its file. ``text`` is its lines from the key on, ``start`` and ``end``
    where they are; ``value`` is what they say. A section that is one thing (``shop``) has an entry of no name."""

    section: str
    name: str
    file: str
    text: str
    start: int
    end: int
    value: Plain


class Opened:
    """A file's text with its nodes, and where things stand in it."""

    def __init__(self, file: str, text: str) -> None:
        faults = Faults()
        self.file = file
        self._bom = _BOM if text.startswith(_BOM) else ""
        self.text = text.removeprefix(_BOM)
        document = read_document(file, text, faults)
        self.sound = document.root is not None and not len(faults)
        root = document.root.value if self.sound and document.root is not None else None
        self.sections: dict[str, Node] = root if isinstance(root, dict) else {}
        self._blank = root is None
        self._flow_root = bool(document.root and document.root.style)
        self._lines = [0, *(found.end() for found in _BREAK.finditer(self.text))]
        first = _BREAK.search(self.text)
        self._break = first.group() if first and first.group() == "\r\n" else "\n"

    # --- what there is ---

    def has(self, section: str) -> bool:
        """Whether it has this section."""
        return section in self.sections

    def entries(self, section: str) -> dict[str, Node]:
        """The nodes of a section, by name."""
        node = self.sections.get(section)
        return node.value if node is not None and isinstance(node.value, dict) else {}

    def entry(self, section: str, name: str) -> Entry | None:
        """An entry, or a whole section."""
        if not name and section in self.sections:
            node = self.sections[section]
        elif name in (found := self.entries(section)):
            node = found[name]
        else:
            return None
        start, end = self._span(node)
        return Entry(section, name, self.file, self.text[start:end], start, end, plain(node))  # type: ignore[arg-type]

    def own(self, node: Node) -> str:
        """The text of an entry, from its key to its end."""
        start, end = self._span(node)
        return self.text[start:end].strip()

    # --- what is changed; each answers with the whole text ---

    def changed(self, section: str, name: str, value: Plain) -> str:
        """With an entry that says something else."""
        self._must_be_sound()
        node = self.sections[section]
        if node.style or node.flow:
            return self._as_block(section).changed(section, name, value)
        return self._made(list(self._edits(name, self.entries(section)[name], value, top=True)))

    def pasted(self, found: Entry, copied: Entry) -> str:
        """With an entry's lines in place of its own; written anew where they would stand otherwise."""
        node = self.entries(found.section)[found.name]
        indent = self._column(node)
        deep = len(copied.text) - len(copied.text.lstrip(" "))
        if node.flow or deep != indent:
            return self.changed(found.section, found.name, copied.value)
        return self._made([(found.start, found.end, copied.text.rstrip("\r\n").replace("\r\n", "\n") + "\n")])

    def without(self, section: str, name: str) -> str:
        """Without an entry; its last one takes the section along."""
        self._must_be_sound()
        node, found = self.sections[section], self.entries(section)
        if (node.style or node.flow) and len(found) > 1:
            return self._as_block(section).without(section, name)
        if len(found) == 1 and not node.style and not node.flow:
            line = self._line_start(self._key_start(node)), self._line_end(self._key_end(section, node))
            return self._made([(*line, ""), (*self._span(found[name]), "")])
        start, end = self._span(found[name] if len(found) > 1 else node)
        if self._is_blank_line(end) and (start == 0 or self._is_blank_line(start - 1)):
            end = self._line_end(end)
        return self._made([(start, end, "")])

    def renamed(self, section: str, name: str, new: str) -> str:
        """With an entry under another name."""
        self._must_be_sound()
        node = self.entries(section)[name]
        start = self._key_start(node)
        return self._made([(start, self._key_end(name, node), scalar(new, flow=node.flow))])

    def added(self, section: str, new: tuple[str, Plain, str], after: str | None) -> str:
        """With a new entry: its name, its value, and its lines where it had some."""
        if not self.sound and self.text.strip():
            self._must_be_sound()
        node = self.sections.get(section)
        if node is None:
            return self._with_section(section, new)
        if not isinstance(node.value, dict | None):
            raise unusual(self.file)
        if node.style or node.flow:
            return self._as_block(section).added(section, new, after)
        found = self.entries(section)
        if not found:
            place = self._line_end(self._key_end(section, node))
            return self._made([self._lines_at(place, entry_of(new[0], new[1], self._column(node) + STEP))])
        indent = self._column(next(iter(found.values())))
        block = self._block(new, indent)
        spaced = self._is_spaced(section, list(found.values()))
        if after == "":
            place = self._line_end(self._key_end(section, node))
            block += "\n" if spaced and not self._is_blank_line(place) else ""
            return self._made([self._lines_at(place, block)])
        last = found[after] if after is not None else list(found.values())[-1]
        place = self._line_end(self._end(last))
        return self._made([self._lines_at(place, ("\n" if spaced else "") + block)])

    # --- how ---

    def _must_be_sound(self) -> None:
        if not self.sound or self._flow_root:
            raise unusual(self.file)

    def _with_section(self, section: str, new: tuple[str, Plain, str]) -> str:
        if not self._blank and not self.sections:
            raise unusual(self.file)
        gap = "\n" if self.text.strip() else ""
        return self._made([self._lines_at(len(self.text), f"{gap}{section}:\n{entry_of(new[0], new[1], STEP)}")])

    def _block(self, new: tuple[str, Plain, str], indent: int) -> str:
        """An entry's lines: its very own where they stood as deep."""
        name, value, raw = new
        if raw.startswith(" " * indent) and raw[indent : indent + 1] not in (" ", ""):
            return raw.rstrip("\r\n")
        return entry_of(name, value, indent)

    def _as_block(self, section: str) -> "Opened":
        """With a section in braces written as lines, each entry's own text as it is."""
        node = self.sections[section]
        if "#" in self.text[node.start : node.end] or self._flow_root:
            raise unusual(self.file)
        indent = self._column(node) + STEP
        found = self.entries(section).values()
        lines = [" " * indent + self.text[self._key_start(each) : self._end(each)] for each in found]
        text = "".join(f"{self._break}{line}" for line in lines)
        return Opened(self.file, self._made([(self._key_end(section, node, colon=True), node.end, text)]))

    def _edits(self, key: str, node: Node, new: Plain, *, top: bool = False) -> Iterator[_Edit]:
        """What has to be replaced so that ``node`` says ``new``."""
        old = plain(node)
        if same(old, new) and (top or _same_order(old, new)):
            return
        value = node.value
        if (
            isinstance(value, dict)
            and isinstance(new, Mapping)
            and not node.style
            and bool(new.keys() & value.keys())
            and (top or _order_kept(value, new))
        ):
            yield from self._within(value, new)
        else:
            yield from self._replaced(key, node, new)

    def _within(self, old: dict[str, Node], new: Mapping[str, Plain]) -> Iterator[_Edit]:
        """Keys of a mapping that stand on lines of their own."""
        indent = self._column(next(iter(old.values())))
        for key, node in old.items():
            if key not in new:
                yield (*self._span(node), "")
        place = self._line_start(self._key_start(next(iter(old.values()))))
        waiting: list[str] = []
        for key, value in new.items():
            node_of = old.get(key)
            if node_of is None:
                waiting.append(f"{' ' * indent}{scalar(key)}:{written(value, indent + STEP)}")
                continue
            if waiting:
                yield self._lines_at(place, "\n".join(waiting))
                waiting = []
            yield from self._edits(key, node_of, value)
            place = self._line_end(self._end(node_of))
        if waiting:
            yield self._lines_at(place, "\n".join(waiting))

    def _replaced(self, key: str, node: Node, new: Plain) -> Iterator[_Edit]:
        """The whole value of a key."""
        after, end = self._key_end(key, node, colon=True), self._end(node)
        line = self._inline(node, new)
        text = f" {line}" if line is not None else written(new, self._column(node) + STEP)
        if text.startswith("\n"):
            yield after, end, ""
            yield self._lines_at(self._line_end(end), text[1:])
        elif text and node.value is not None and self._line_start(node.start) == self._line_start(after):
            yield node.start, end, text[1:]  # what stands between colon and value stays
        else:
            yield after, end, text

    def _inline(self, node: Node, new: Plain) -> str | None:
        """On one line, as what stood there did; ``None`` where that is not how it is to be written."""
        if isinstance(new, Mapping) and isinstance(node.value, dict) and node.style and new:
            old = node.value
            parts = [self._pair(key, old.get(key), value) for key, value in new.items()]
            line = None if None in parts else "{" + ", ".join(filter(None, parts)) + "}"
            return line if line is not None and len(line) <= 2 * WIDE else None
        if isinstance(new, str) and isinstance(node.value, str):
            return scalar(new, flow=node.flow, like=node.style)
        return None

    def _pair(self, key: str, node: Node | None, value: Plain) -> str | None:
        """A key inside braces; one that says the same as it did stands as it stood."""
        if node is not None and same(plain(node), value) and _same_order(plain(node), value):
            return self.text[self._key_start(node) : self._end(node)]
        whole = inline({key: value})
        line = self._inline(node, value) if node is not None and (whole or isinstance(value, Mapping)) else None
        if line is not None:
            return f"{scalar(key, flow=True)}: {line}"
        return whole[1:-1] if whole is not None else None

    def _made(self, edits: list[_Edit]) -> str:
        """The text with every edit made; two at one place stand in the order in which they were told."""
        text = self.text
        for _, (start, end, new) in sorted(enumerate(edits), key=lambda each: (each[1][:2], each[0]), reverse=True):
            text = text[:start] + new.replace("\n", self._break) + text[end:]
        return self._bom + text

    def _lines_at(self, place: int, block: str) -> _Edit:
        """Whole lines put in where a line begins, or at the end."""
        begins = place == 0 or place in self._begins
        return (place, place, f"{block}\n" if begins else f"\n{block}\n")

    # --- where ---

    @property
    def _begins(self) -> frozenset[int]:
        return frozenset(self._lines)

    def _at(self, line: int, column: int) -> int:
        return self._lines[line - 1] + column - 1

    def _line_start(self, place: int) -> int:
        return self._lines[bisect_right(self._lines, place) - 1]

    def _line_end(self, place: int) -> int:
        """Where the next line begins."""
        after = bisect_right(self._lines, place)
        return self._lines[after] if after < len(self._lines) else len(self.text)

    def _is_blank_line(self, place: int) -> bool:
        start, end = self._line_start(place), self._line_end(place)
        return start < end and not self.text[start:end].strip()

    def _key_start(self, node: Node) -> int:
        return self._at(node.key_line, node.key_column)

    def _column(self, node: Node) -> int:
        """How deep its key stands."""
        return node.key_column - 1

    def _key_end(self, key: str, node: Node, *, colon: bool = False) -> int:
        """Where its key ends, or the colon after it."""
        start = self._key_start(node)
        quote = self.text[start : start + 1]
        if quote in ("'", '"'):
            found = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL).match(self.text, start)
            end = found.end() if found else start
        else:
            end = start + len(key)
        after = re.compile(r"[ \t]*:").match(self.text, end)
        if after is None or (quote not in ("'", '"') and not self.text.startswith(key, start)):
            raise unusual(self.file)
        return after.end() if colon else end

    def _end(self, node: Node) -> int:
        """Where the last thing that it says ends; comments and blank lines after that are nobody's."""
        if isinstance(node.value, dict | list) and not node.style:
            inside = node.value.values() if isinstance(node.value, dict) else node.value
            return max((self._end(each) for each in inside), default=node.end)
        if node.style in ("|", ">"):
            return node.start + len(self.text[node.start : node.end].rstrip())
        return node.end

    def _span(self, node: Node) -> tuple[int, int]:
        """Its lines; in braces from its key to its end."""
        start, end = self._key_start(node), self._end(node)
        return (start, end) if node.flow else (self._line_start(start), self._line_end(end))

    def _is_spaced(self, section: str, entries: list[Node]) -> bool:
        if len(entries) < 2:
            return section in _SPACED
        before, last = entries[-2:]
        return bool(re.search(r"\n[ \t\r]*\n", self.text[self._end(before) : self._key_start(last)]))


def _same_order(old: object, new: object) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return list(old) == list(new) and all(_same_order(each, new[key]) for key, each in old.items())
    return True


def _order_kept(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Whether the keys that stay keep their order among each other."""
    return [key for key in old if key in new] == [key for key in new if key in old]


def same(one: object, other: object) -> bool:
    """Whether two values say the same; the order of keys makes no difference, and no number is a boolean."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(each, other[key]) for key, each in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | Decimal) and isinstance(other, int | Decimal):
        return one == other
    return type(one) is type(other) and one == other


def unusual(file: str) -> InvalidInput:
    """What cannot be changed entry by entry."""
    return InvalidInput(
        f"{file} is written in a way that only its text can be changed: edit it there", code="cannot_edit"
    )
