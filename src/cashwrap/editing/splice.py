"""One entry of a playbook added, changed, moved or removed in its text; everything else stays byte for byte.

The text is never written anew from what it says: places come from the reader's own nodes, only the lines of changed
keys are replaced, and comments, spacing and quotes around them stay. What was made is read again and compared, so that
a text that is written in an unusual way is refused rather than spoilt.
"""

from collections.abc import Iterator, Mapping

from cashwrap.editing.opened import Entry, Opened, same, unusual
from cashwrap.editing.writing import Plain
from cashwrap.errors import InvalidInput
from cashwrap.expectations import plain

__all__ = ["Entry", "entry", "move", "names", "paste", "put", "remove", "rename", "same"]


def entry(files: Mapping[str, str], section: str, name: str) -> Entry | None:
    """An entry, the first where a name is given twice. A file that is not YAML has none."""
    for each in _opened(files, section):
        found = each.entry(section, name)
        if found is not None:
            return found
    return None


def names(files: Mapping[str, str], section: str) -> list[str]:
    """The names of a section's entries in the order in which they count, each once."""
    found: dict[str, None] = {}
    for each in _opened(files, section):
        found |= dict.fromkeys(each.entries(section))
    return list(found)


def put(files: Mapping[str, str], section: str, name: str, value: Plain, after: str | None = None) -> dict[str, str]:
    """The files with this entry as ``value``: an existing one changed in its place, a new one added.

    Only the lines of keys that change are touched. A new entry is written right after the one that ``after`` names
    (first of all where it is empty), else last in the file that holds most of its section, else in the only file or in
    one of the section's name; an existing one is moved there. Without a name the keys of a section that is one thing
    (``shop``) are set. Raises ``InvalidInput``: ``cannot_edit`` where the text can only be changed by hand,
    ``no_such_entry`` where ``after`` is none.
    """
    if not name:
        return _put_keys(files, section, value)
    found = entry(files, section, name)
    if found is None:
        return _checked(files, _added(files, section, name, value, after), section, {name: value})
    changed = dict(files)
    if not same(found.value, value):
        changed[found.file] = Opened(found.file, files[found.file]).changed(section, name, value)
        changed = _checked(files, changed, section, {name: value})
    return changed if after is None else move(changed, section, name, after)


def paste(files: Mapping[str, str], copied: Entry, after: str | None = None) -> dict[str, str]:
    """The files with an entry as it stands in other ones, comments inside it included.

    Raises ``InvalidInput`` (``cannot_edit``).
    """
    section, name = copied.section, copied.name
    found = entry(files, section, name)
    if found is None:
        order = names(files, section)
        place = after if after in order else None
        made = _added(files, section, name, copied.value, place, copied.text)
    else:
        made = dict(files) | {found.file: Opened(found.file, files[found.file]).pasted(found, copied)}
    return _checked(files, made, section, {name: copied.value})


def remove(files: Mapping[str, str], section: str, name: str) -> dict[str, str]:
    """The files without this entry. Raises ``InvalidInput`` (``no_such_entry``, ``cannot_edit``)."""
    found = _must(files, section, name)
    text = Opened(found.file, files[found.file]).without(section, name)
    return _checked(files, dict(files) | {found.file: text}, section, {name: _GONE})


def rename(files: Mapping[str, str], section: str, name: str, new: str) -> dict[str, str]:
    """The files with an entry under another name; what names it elsewhere is left for its author to change.

    Raises ``InvalidInput``: ``no_such_entry``, ``name_taken``, ``cannot_edit``.
    """
    found = _must(files, section, name)
    if entry(files, section, new) is not None:
        raise InvalidInput(f"there is already a {new!r} in {section}", code="name_taken")
    text = Opened(found.file, files[found.file]).renamed(section, name, new)
    return _checked(files, dict(files) | {found.file: text}, section, {name: _GONE, new: found.value})


def move(files: Mapping[str, str], section: str, name: str, after: str) -> dict[str, str]:
    """The files with an entry right after another one (first of all where ``after`` is empty), with its own comments.

    Raises ``InvalidInput``: ``no_such_entry``, ``cannot_edit``.
    """
    found, order = _must(files, section, name), names(files, section)
    if after == name or (after and after not in order):
        raise _missing(section, after)
    if order.index(name) == (order.index(after) + 1 if after else 0):
        return dict(files)
    moved = _added(remove(files, section, name), section, name, found.value, after, found.text)
    return _checked(files, moved, section, {name: found.value})


# --- the files together ---


class _Gone:
    """Stands for an entry that is no longer there."""


_GONE = _Gone()


def _opened(files: Mapping[str, str], section: str) -> Iterator["Opened"]:
    """The files of the playbook that may have something of a section, in the order in which they are read."""
    for name, text in sorted(files.items()):
        if "/" not in name and section in text:
            yield Opened(name, text)


def _must(files: Mapping[str, str], section: str, name: str) -> Entry:
    found = entry(files, section, name)
    if found is None:
        raise _missing(section, name)
    return found


def _missing(section: str, name: str) -> InvalidInput:
    return InvalidInput(f"there is no {name!r} in {section}", code="no_such_entry")


def _put_keys(files: Mapping[str, str], section: str, value: Plain) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{section} is written as keys with values", code="cannot_edit")
    changed = dict(files)
    for key in names(files, section):
        if key not in value:
            changed = remove(changed, section, key)
    for key, each in value.items():
        changed = put(changed, section, key, each)
    return changed


def _added(
    files: Mapping[str, str], section: str, name: str, value: Plain, after: str | None, raw: str = ""
) -> dict[str, str]:
    """With a new entry; ``raw`` are its very lines, where it had some."""
    if after:
        file = _must(files, section, after).file
    else:
        sizes = {each.file: len(each.entries(section)) for each in _opened(files, section) if each.has(section)}
        first = next(iter(sizes), "") if after == "" else ""
        own = [name for name in files if "/" not in name]
        usual = own[0] if len(own) == 1 else f"{section}.yaml"
        file = first or max(sizes, key=lambda each: sizes[each], default=usual)
    text = Opened(file, files.get(file, "")).added(section, (name, value, raw), after)
    return dict(files) | {file: text}


def _checked(
    before: Mapping[str, str], after: dict[str, str], section: str, wanted: Mapping[str, Plain | _Gone]
) -> dict[str, str]:
    """What was made, if it says what it should and nothing else became of it."""
    for file in {name for name, text in after.items() if before.get(name) != text}:
        old = _said(Opened(file, before.get(file, ""))) if file in before else {}
        new = _said(Opened(file, after[file]))
        named = {(section, name) for name in wanted}
        if {key: each for key, each in old.items() if key not in named and key[1]} != {
            key: each for key, each in new.items() if key not in named and key[1]
        }:
            raise unusual(file)
    for name, value in wanted.items():
        found = entry(after, section, name)
        if (found is None) != (value is _GONE) or (found is not None and not same(found.value, value)):
            raise unusual(found.file if found is not None else section)
    return after


def _said(opened: "Opened") -> dict[tuple[str, str], tuple[str, object]]:
    """Every entry of a file with its text and what it says."""
    found: dict[tuple[str, str], tuple[str, object]] = {}
    for section, node in opened.sections.items():
        for name, each in opened.entries(section).items():
            found[section, name] = (opened.own(each), plain(each))
        if not isinstance(node.value, dict):
            found[section, ""] = ("", node.value)
    return found
