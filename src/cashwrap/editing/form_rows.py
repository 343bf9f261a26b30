"""The condition builder as a form: its rows as fields, its buttons as changes of rows.

Every part has a path, ``c`` for the whole and ``c.0.2`` below it, and its fields are named after it: ``c.kind`` of a
group, ``c.0.attribute``, ``c.0.operator``, ``c.0.key``, ``c.0.value`` of a row, ``c.1.text`` of a written part.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast, get_args

import msgspec
from msgspec import Struct

from cashwrap.condition import Environment
from cashwrap.editing.builder import (
    DEPTH,
    OPERATORS,
    ROWS,
    Group,
    Kind,
    Part,
    Path,
    Row,
    Written,
    operators_of,
    walk,
)

ROOT = "c"
_KINDS = get_args(Kind)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_Form = Mapping[str, Sequence[str]]


class Change(Struct, frozen=True):
    """What a button of the builder does, and to which part."""

    what: str
    path: Path

    @staticmethod
    def of(text: str) -> "Change | None":
        """Of a button's value, such as ``remove:c.0.2``; ``None`` where it is no button of the builder."""
        what, _, name = text.partition(":")
        if what not in _CHANGES or not re.fullmatch(rf"{ROOT}(\.[0-9]{{1,3}}){{0,{DEPTH + 1}}}", name):
            return None
        return Change(what, tuple(int(each) for each in name.split(".")[1:]))


def name_of(path: Path) -> str:
    """What the fields of a part begin with."""
    return ".".join([ROOT, *map(str, path)])


def read_rows(form: _Form, environment: Environment) -> Group:
    """The rows that a form says, as they were typed. A row whose attribute was changed asks in the new one's way."""
    left = [ROWS]
    return _group(form, ROOT, environment, left, 1)


def _group(form: _Form, name: str, environment: Environment, left: list[int], depth: int) -> Group:
    kind = _one(form, f"{name}.kind")
    parts: list[Part] = []
    while left[0] and depth <= DEPTH:
        below = f"{name}.{len(parts)}"
        left[0] -= 1
        if f"{below}.kind" in form:
            parts.append(_group(form, below, environment, left, depth + 1))
        elif f"{below}.text" in form:
            parts.append(Written(_one(form, f"{below}.text").strip()))
        elif f"{below}.attribute" in form:
            parts.append(_row(form, below, environment))
        else:
            left[0] += 1
            break
    return Group(cast("Kind", kind if kind in _KINDS else "all"), tuple(parts))


def _row(form: _Form, name: str, environment: Environment) -> Row:
    attribute, code = _one(form, f"{name}.attribute"), _one(form, f"{name}.operator")
    if attribute != _one(form, f"{name}.was", attribute):
        usual = operators_of(attribute, environment)
        return Row(attribute, code if code in usual else usual[0], (), "")
    operator = OPERATORS.get(code)
    if operator is None:
        return Row(attribute, operators_of(attribute, environment)[0], (), _one(form, f"{name}.key").strip())
    typed = [each for each in form.get(f"{name}.value", ()) if each.strip()]
    if operator.many:
        values = [each.strip() for text in typed for each in text.split("\n") if each.strip()]
    else:
        values = [_moment(each.strip()) if operator.wants == "moment" else each.strip() for each in typed[-1:]]
    values = [] if operator.wants == "nothing" else values
    return Row(attribute, code, tuple(dict.fromkeys(values)), _one(form, f"{name}.key").strip())


def _moment(typed: str) -> str:
    """A moment as browsers send it, in the language's way: it is meant in UTC."""
    found = _MOMENT.fullmatch(typed)
    return typed if found is None else f"{typed}Z" if found[1] else f"{typed}:00Z"


def _one(form: _Form, name: str, default: str = "") -> str:
    values = form.get(name)
    return values[-1] if values else default


# --- what buttons do ---


def changed(root: Group, change: Change) -> tuple[Group, Path]:
    """The rows after a change, and the part that is to have the focus then."""
    part = part_at(root, change.path)
    if part is None:
        return root, ()
    return _CHANGES[change.what](root, change.path, part)


def part_at(root: Group, path: Path) -> Part | None:
    """The part at a path."""
    part: Part = root
    for place in path:
        if not isinstance(part, Group) or place >= len(part.parts):
            return None
        part = part.parts[place]
    return part


def _with(root: Group, path: Path, parts: tuple[Part, ...]) -> Group:
    """The rows with other parts in the group at a path."""
    if not path:
        return msgspec.structs.replace(root, parts=parts)
    place, below = path[0], root.parts[path[0]]
    if isinstance(below, Group):
        below = _with(below, path[1:], parts)
    return msgspec.structs.replace(root, parts=(*root.parts[:place], below, *root.parts[place + 1 :]))


def _add(root: Group, path: Path, group: Part, new: Part) -> tuple[Group, Path]:
    if not isinstance(group, Group) or sum(1 for _ in walk(root)) >= ROWS:
        return root, path
    return _with(root, path, (*group.parts, new)), (*path, len(group.parts))


def _add_row(root: Group, path: Path, part: Part) -> tuple[Group, Path]:
    return _add(root, path, part, Row("", ""))


def _add_written(root: Group, path: Path, part: Part) -> tuple[Group, Path]:
    return _add(root, path, part, Written(""))


def _add_group(root: Group, path: Path, part: Part) -> tuple[Group, Path]:
    if len(path) + 1 >= DEPTH:
        return root, path
    done, at = _add(root, path, part, Group("any", (Row("", ""),)))
    return done, (*at, 0) if at != path else path


def _siblings(root: Group, path: Path) -> tuple[Part, ...]:
    group = part_at(root, path[:-1])
    return group.parts if isinstance(group, Group) else ()


def _remove(root: Group, path: Path, _: Part) -> tuple[Group, Path]:
    if not path:
        return Group(root.kind), ()
    parts = _siblings(root, path)
    rest = (*parts[: path[-1]], *parts[path[-1] + 1 :])
    return _with(root, path[:-1], rest), (*path[:-1], max(0, path[-1] - 1)) if rest else path[:-1]


def _move(root: Group, path: Path, to: int) -> tuple[Group, Path]:
    parts = list(_siblings(root, path))
    if not path or not 0 <= to < len(parts):
        return root, path
    parts.insert(to, parts.pop(path[-1]))
    return _with(root, path[:-1], tuple(parts)), (*path[:-1], to)


def _up(root: Group, path: Path, _: Part) -> tuple[Group, Path]:
    return _move(root, path, path[-1] - 1) if path else (root, path)


def _down(root: Group, path: Path, _: Part) -> tuple[Group, Path]:
    return _move(root, path, path[-1] + 1) if path else (root, path)


_CHANGES = {
    "row": _add_row,
    "group": _add_group,
    "written": _add_written,
    "remove": _remove,
    "up": _up,
    "down": _down,
}
