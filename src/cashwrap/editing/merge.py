"""Two changes of one playbook brought together, entry by entry: what only one side changed is taken from that side.

An entry that both changed, each in another way, is a conflict: somebody has to say whose it is to be. A file that both
changed and that is no YAML, or holds cases, is one entry as a whole. Pure.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.differences import moves
from cashwrap.editing import splice
from cashwrap.editing.opened import Opened
from cashwrap.errors import InvalidInput

Side = Literal["mine", "theirs"]
Texts = Mapping[str, str]


class Clash(Struct, frozen=True):
    """What both sides changed: an entry of a section, or a ``file`` as a whole. Without a text it was removed."""

    file: str
    section: str
    name: str
    base: str | None
    mine: str | None
    theirs: str | None

    @property
    def key(self) -> str:
        """Names it in ``chosen``."""
        return "/".join((self.file, self.section, self.name)) if self.section else self.file


class Merged(Struct, frozen=True):
    """The texts of both, and what somebody has to decide; there they hold what was chosen, else mine."""

    files: dict[str, str]
    clashes: tuple[Clash, ...]


def merged(base: Texts, mine: Texts, theirs: Texts, chosen: Mapping[str, Side]) -> Merged:
    """What ``mine`` changed of ``base``, over ``theirs``. ``chosen`` decides clashes by their key."""
    files, clashes = dict(theirs), list[Clash]()
    for name in sorted({*base, *mine, *theirs}):
        old, own, other = base.get(name), mine.get(name), theirs.get(name)
        if own in (old, other):
            continue
        if other == old:
            _set(files, name, own)
        elif None in (old, own, other) or "/" in name or not _sound(old, own, other):
            clash = Clash(name, "", "", old, own, other)
            clashes.append(clash)
            if chosen.get(clash.key) != "theirs":
                _set(files, name, own)
        else:
            text, found = _entries(name, (str(old), str(own), str(other)), chosen)
            files[name] = text
            clashes += found
    return Merged(files, tuple(clashes))


def _set(files: dict[str, str], name: str, text: str | None) -> None:
    if text is None:
        files.pop(name, None)
    else:
        files[name] = text


def _sound(*texts: str | None) -> bool:
    return all(text is not None and Opened("", text).sound for text in texts)


def _entries(file: str, texts: tuple[str, str, str], chosen: Mapping[str, Side]) -> tuple[str, list[Clash]]:
    """One file that both sides changed."""
    base, mine, theirs = ({file: text} for text in texts)
    made, clashes = dict(theirs), list[Clash]()
    for section, name in _names(texts):
        old, own, other = (splice.entry(each, section, name) for each in (base, mine, theirs))
        said = [each.text.strip() if each is not None else None for each in (old, own, other)]
        if said[1] in (said[0], said[2]):
            continue
        if said[2] != said[0]:
            clash = Clash(file, section, name, *said)
            clashes.append(clash)
            if chosen.get(clash.key) == "theirs":
                continue
        try:
            if own is None:
                made = splice.remove(made, section, name)
            else:
                order = splice.names(mine, section)
                place = order.index(name)
                made = splice.paste(made, own, order[place - 1] if place else "")
        except InvalidInput:
            clash = Clash(file, "", "", *texts)
            return (texts[2] if chosen.get(clash.key) == "theirs" else texts[1]), [clash]
    return _ordered(file, texts, made)[file], clashes


def _names(texts: tuple[str, str, str]) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for text in texts:
        opened = Opened("", text)
        found |= {(section, name): None for section in opened.sections for name in opened.entries(section)}
    return list(found)


def _ordered(file: str, texts: tuple[str, str, str], made: dict[str, str]) -> dict[str, str]:
    """With the experiences that mine moved where it moved them."""
    base, mine = (splice.names({file: text}, "experiences") for text in texts[:2])
    moved = moves([name for name in base if name in mine], [name for name in mine if name in base])
    there = splice.names(made, "experiences")
    for place, name in enumerate(mine):
        before = next((each for each in reversed(mine[:place]) if each in there), "")
        if name in moved and name in there:
            made = splice.move(made, "experiences", name, before)
    return made
