"""What conditions may name: attributes with their types, segments, and the shop's currency."""

import difflib
import enum
from collections.abc import Iterable, Mapping

from msgspec import Struct

from cashwrap.condition.ast import Attribute

SEGMENTS = "segments"
"""The one path that holds segments: ``"vip" in segments``, or ``segments.vip``."""


CLOSE = 5
"""Names that a hint offers at most."""
COMPARED = 500
"""Names that a misspelt one is compared with; each costs as much as checking a condition."""
MAX_NAME = 100
"""Characters of a misspelt name that are looked at."""


class Type(enum.Enum):
    """What an attribute holds at run time; the value says it to a person."""

    __hash__ = object.__hash__  # each type is there once; the standard one hashes the name in Python, at every look-up

    BOOL = "true or false"
    STRING = "a text"
    NUMBER = "a number"
    """An int or an exact Decimal; never a bool, never a float."""
    MONEY = "an amount of money"
    """An int of minor units in the shop's currency; written in major units."""
    TIME = "a moment"
    """An int of milliseconds since 1970 in UTC; written ``timestamp("2026-12-24T18:00:00Z")``."""
    VERSION = "a version"
    """A text such as 2.10.0, compared number by number; written ``version("2.10.0")``."""
    AVERAGE = "an average"
    """A pair (sum, count); compared as sum against threshold times count."""
    MONEY_AVERAGE = "an average amount of money"
    """A pair (sum in minor units, count)."""
    STRING_SET = "a set of texts"
    """A frozenset of strings."""
    SEGMENTS = "the shopper's segments"
    """Never a run-time value: each segment is a BOOL named ``segments.<name>``."""
    DYN = "a value of any type"
    """Known only at run time; compared by the type of what it is compared with."""


class Environment(Struct, frozen=True):
    """The names a condition may use.

    ``types`` maps a path to its type. Two spellings stand for many names: ``traits.*`` for every path below
    ``traits``, and ``category_views[*]`` for every key of a feature that is split by something. ``digits`` are
    those of the shop's currency after the point (EUR 2, JPY 0, BHD 3).
    """

    types: Mapping[str, Type]
    segments: frozenset[str] = frozenset()
    currency: str = "EUR"
    digits: int = 2

    def resolve(self, attribute: Attribute) -> tuple[Attribute, Type] | None:
        """The attribute under its one flat name, and its type; None for a name that is not declared."""
        path, key = attribute.path, attribute.key
        if key is not None:
            return self._resolve_key(attribute, path, key)
        found = self.types.get(path)
        if found is None:
            head, _, rest = path.partition(".")
            if head == SEGMENTS:
                found = Type.SEGMENTS if not rest else Type.BOOL if rest in self.segments else None
            else:
                found = self._open(path)
        return None if found is None else (attribute, found)

    def _resolve_key(self, attribute: Attribute, path: str, key: str) -> tuple[Attribute, Type] | None:
        found = self.types.get(f"{path}[*]")
        if found is not None:
            return attribute, found
        found = self.types.get(f"{path}.*")
        if found is None:
            return None
        if key.isascii() and key.isidentifier():  # traits["city"] is traits.city, as in CEL
            attribute = Attribute(f"{path}.{key}", None, attribute.offset, attribute.end)
        return attribute, found

    def _open(self, path: str) -> Type | None:
        while "." in path:
            path = path.rpartition(".")[0]
            found = self.types.get(f"{path}.*")
            if found is not None:
                return found
        return None

    def suggest(self, path: str) -> str:
        """How to say it: the closest declared name as a question, or nothing."""
        if f"{path}.*" in self.types:
            return f"write {path}.name"
        related = [name for name in self.types if name.startswith(f"{path}.") or name.endswith(f".{path}")]
        if related and "." not in path:
            return f"did you mean {' or '.join(related[:CLOSE])}?"
        rest = path.partition(".")[2]
        names = [name if not name.endswith(".*") else f"{name[:-1]}{rest}" for name in self.types]
        return did_you_mean(path, names)


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """``did you mean x?`` for the closest of the names (of very many, those that begin alike), or an empty string."""
    listed = list(names)
    if len(listed) > COMPARED:
        listed = [name for name in listed if name[:1] == wrong[:1]][:COMPARED]
    close = difflib.get_close_matches(wrong[:MAX_NAME], listed, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
