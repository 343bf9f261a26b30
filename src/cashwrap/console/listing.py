"""One page of a long list: searched, and so many at a time."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from cashwrap.console.ask import Ask, query

LIMIT = 50
"""Things on one page of a list."""
LONGEST = 200
"""Characters of a search."""
T = TypeVar("T")
R = TypeVar("R")


class Listed(Struct, Generic[T], frozen=True):
    """One page. ``found`` is how many there are that fit; ``first`` and ``next`` are addresses, empty for none."""

    items: Sequence[T]
    found: int
    start: int
    searched: str
    first: str = ""
    next: str = ""

    def of(self, rows: Sequence[R]) -> "Listed[R]":
        """The same page with rows in place of names."""
        return Listed(rows, self.found, self.start, self.searched, self.first, self.next)


def listed(ask: Ask, names: Sequence[str], text: Callable[[str], str]) -> Listed[str]:
    """The page of a list that was asked for by ``q`` (a part of ``text``, whatever its case), ``after`` (how many were
    before) and what else the address says, which the addresses of other pages keep."""
    searched = ask.query("q").strip()[:LONGEST]
    wanted = searched.casefold()
    fitting = [name for name in names if wanted in text(name).casefold()] if wanted else names
    after = ask.query("after")
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else 0
    page = fitting[start : start + LIMIT]
    kept = {name: value for name, value in ask.request.query_params.items() if name not in ("after", "done")}
    more = query(**kept | {"after": str(start + LIMIT)}) if start + LIMIT < len(fitting) else ""
    first = (query(**kept) or "?") if start else ""
    return Listed(page, len(fitting), start, searched, first, more)
