"""The message source: a subset of ICU MessageFormat, parsed with positions.

    message     = (text | placeholder | "#")*        "#" only inside a plural: its number
    placeholder = "{" path ["," ("money" | "number" | "date")] "}"
                | "{" path "," "plural" "," (selector "{" message "}")+ "}"
    selector    = "zero" | "one" | "two" | "few" | "many" | "other" | "=" digits

``''`` is an apostrophe, and ``'{'`` or ``'#'`` quotes what would otherwise be syntax, as in ICU.
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from cashwrap.errors import ContentError

MAX_LENGTH = 2000
"""Characters of one message's source."""
MAX_PLACEHOLDERS = 32
MAX_DEPTH = 3
"""Plurals inside each other."""

Format = Literal["plain", "money", "number", "date"]
PLURALS = ("zero", "one", "two", "few", "many", "other")


class Placeholder(Struct, frozen=True):
    """A value's place. ``offset`` counts characters of the source, at the opening brace."""

    name: str
    format: Format = "plain"
    offset: int = 0


class Count(Struct, frozen=True):
    """The ``#`` of the plural around it."""

    name: str


class Plural(Struct, frozen=True):
    """One of several texts, by a number. ``arms`` always has ``other``; ``=2`` is an exact number."""

    name: str
    arms: dict[str, "tuple[Part, ...]"]
    offset: int = 0


Part = str | Placeholder | Count | Plural


class Message(Struct, frozen=True):
    """A parsed message; ``placeholders`` are all values it reads, in the order written, plurals included."""

    source: str
    parts: tuple[Part, ...]
    placeholders: tuple[Placeholder, ...] = ()

    @property
    def fixed(self) -> str | None:
        """The whole text where nothing varies."""
        return None if self.placeholders else "".join(str(part) for part in self.parts)


def parse_message(source: str) -> Message:
    """The message's parts. Raises ContentError with the exact offset at the first mistake."""
    if len(source) > MAX_LENGTH:
        raise ContentError(
            f"a text may have {MAX_LENGTH} characters, this one has {len(source)}",
            code="text_too_long",
            offset=MAX_LENGTH,
        )
    if not _SYNTAX.search(source):
        return Message(source, (source,) if source else ())
    return _parse(source)


_SYNTAX = re.compile("[{}']")
_PLAIN = re.compile(r"[^{}'#]+")
_SPACE = re.compile(r"\s*")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_WORD = re.compile(r"[a-z]+")
_SELECTOR = re.compile(r"=[0-9]{1,9}|[A-Za-z]+")
_FORMATS: dict[str, Format] = {"money": "money", "number": "number", "date": "date"}


@lru_cache(maxsize=4096)
def _parse(source: str) -> Message:
    parser = _Parser(source)
    parts = parser.parts(None, 0)
    return Message(source, parts, tuple(parser.placeholders))


class _Parser:
    __slots__ = ("place", "placeholders", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.place = 0
        self.placeholders: list[Placeholder] = []

    def parts(self, plural: str | None, depth: int) -> tuple[Part, ...]:
        """Up to the end of the source, or inside a plural to the brace that closes the arm."""
        found: list[Part] = []
        text: list[str] = []
        while self.place < len(self.source):
            char = self.source[self.place]
            if char == "}" and plural is not None:
                break
            if char == "{" or (char == "#" and plural is not None):
                if text:
                    found.append("".join(text))
                    text = []
                found.append(self.placeholder(depth) if char == "{" else self.count(plural))
            else:
                text.append(self.text(char))
        if text:
            found.append("".join(text))
        return tuple(found)

    def text(self, char: str) -> str:
        if char == "'":
            return self.quoted()
        if char == "}":
            raise self.fault("this brace closes nothing; write '}' in single quotes to show one")
        if char == "#":
            self.place += 1
            return "#"
        match = _PLAIN.match(self.source, self.place)
        assert match is not None  # noqa: S101 - every other character was handled above
        self.place = match.end()
        return match.group()

    def quoted(self) -> str:
        """An apostrophe quotes only where syntax follows it, so that ``don't`` needs no escape."""
        start = self.place
        following = self.source[start + 1 : start + 2]
        if following == "'" or following not in {"{", "}", "#"}:
            self.place += 2 if following == "'" else 1
            return "'"
        chars: list[str] = []
        place = start + 1
        while place < len(self.source):
            if self.source[place] != "'":
                chars.append(self.source[place])
                place += 1
            elif self.source[place + 1 : place + 2] == "'":
                chars.append("'")
                place += 2
            else:
                self.place = place + 1
                return "".join(chars)
        raise self.fault("this quote is never closed")

    def count(self, name: str | None) -> Count:
        self.place += 1
        return Count(name or "")

    def placeholder(self, depth: int) -> Placeholder | Plural:
        start = self.place
        self.place += 1
        name = self.expect(_PATH, "expected the name of a value, such as first_name or cart.total")
        kind = "plain"
        if self.take(","):
            place = self.skip()
            kind = self.expect(_WORD, "expected money, number, plural or date")
            if kind not in _FORMATS and kind != "plural":
                raise self.fault(f"{kind!r} is no format; write money, number, plural or date", place, "unknown_format")
        if len(self.placeholders) == MAX_PLACEHOLDERS:
            raise self.fault(f"a text may have {MAX_PLACEHOLDERS} placeholders", start, "too_many_placeholders")
        placeholder = Placeholder(name, _FORMATS.get(kind, "number" if kind == "plural" else "plain"), start)
        self.placeholders.append(placeholder)
        if kind == "plural":
            return self.plural(placeholder, depth + 1)
        self.close(start)
        return placeholder

    def plural(self, number: Placeholder, depth: int) -> Plural:
        if depth > MAX_DEPTH:
            raise self.fault(f"plurals may nest {MAX_DEPTH} deep", number.offset, "plural_too_deep")
        if not self.take(","):
            raise self.fault("expected ', one {...} other {...}' after plural")
        arms: dict[str, tuple[Part, ...]] = {}
        while not self.take("}"):
            selector = self.selector(arms)
            if not self.take("{"):
                raise self.fault(f"expected the text for {selector!r} in braces")
            opening = self.place - 1
            arms[selector] = self.parts(number.name, depth)
            self.close(opening)
        if "other" not in arms:
            raise self.fault("a plural needs a text for 'other'", number.offset, "plural_without_other")
        return Plural(number.name, arms, number.offset)

    def selector(self, arms: dict[str, tuple[Part, ...]]) -> str:
        place = self.skip()
        selector = self.expect(_SELECTOR, "expected one, other ... or =1, or the closing brace")
        if selector[0] != "=" and selector not in PLURALS:
            raise self.fault(
                f"{selector!r} is no plural form; write {', '.join(PLURALS)} or =1", place, "unknown_plural"
            )
        selector = f"={int(selector[1:])}" if selector[0] == "=" else selector
        if selector in arms:
            raise self.fault(f"{selector!r} is there twice", place)
        return selector

    def skip(self) -> int:
        match = _SPACE.match(self.source, self.place)
        self.place = match.end() if match else self.place
        return self.place

    def take(self, char: str) -> bool:
        if self.source[self.skip() : self.place + 1] != char:
            return False
        self.place += 1
        return True

    def close(self, opening: int) -> None:
        if self.take("}"):
            return
        if self.place >= len(self.source):
            raise self.fault("this brace is never closed", opening)
        raise self.fault("expected a closing brace")

    def expect(self, pattern: re.Pattern[str], message: str) -> str:
        match = pattern.match(self.source, self.skip())
        if match is None:
            raise self.fault(message)
        self.place = match.end()
        return match.group()

    def fault(self, message: str, offset: int | None = None, code: str = "invalid_message") -> ContentError:
        return ContentError(message, code=code, offset=self.place if offset is None else offset)
