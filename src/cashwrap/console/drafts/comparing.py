"""Two texts side by side, a few lines around what differs."""

from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct

AROUND = 3
"""Equal lines that are shown around a difference."""
LINES = 4_000
"""Lines that may differ: comparing more takes seconds."""
SHOWN = 2_000
"""Lines that are shown of each side."""
WIDE = 2_000
"""Characters of a line that are shown."""
Kind = Literal["same", "gone", "new", "none", "where"]


class Line(Struct, frozen=True):
    """One line of one side; ``none`` keeps the sides level, ``where`` begins the next difference."""

    kind: Kind
    text: str
    number: int = 0


class Sides(Struct, frozen=True):
    """Both sides, as many lines of each. ``whole`` is false where there was too much to compare or to show."""

    old: tuple[Line, ...]
    new: tuple[Line, ...]
    whole: bool = True


def side_by_side(old: str, new: str) -> Sides:
    """What differs between two texts, line by line."""
    before, after = old.splitlines(), new.splitlines()
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    middle = before[head : len(before) - tail], after[head : len(after) - tail]
    if max(map(len, middle)) > LINES:
        return Sides((), (), whole=False)
    start = max(0, head - AROUND)
    end = max(0, tail - AROUND)
    parts = before[start : len(before) - end], after[start : len(after) - end]
    left, right = list[Line](), list[Line]()
    for group in SequenceMatcher(None, *parts, autojunk=False).get_grouped_opcodes(AROUND):
        left.append(Line("where", str(start + group[0][1] + 1)))
        right.append(Line("where", str(start + group[0][3] + 1)))
        for _, a, b, c, d in group:
            same = parts[0][a:b] == parts[1][c:d]
            rows = max(b - a, d - c)
            left += _lines(parts[0], range(a, b), rows, "same" if same else "gone", start)
            right += _lines(parts[1], range(c, d), rows, "same" if same else "new", start)
    return Sides(tuple(left[:SHOWN]), tuple(right[:SHOWN]), whole=len(left) <= SHOWN)


def _lines(text: list[str], places: range, rows: int, kind: Kind, start: int) -> list[Line]:
    found = [Line(kind, text[at][:WIDE], start + at + 1) for at in places]
    return found + [Line("none", "")] * (rows - len(found))


def _common(one: list[str], other: list[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
