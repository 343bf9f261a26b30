"""A mapping for learning: which columns of somebody's file are interactions, or examples, and what is for testing.

YAML, read strictly; a mapping of our own is named without its ending (``diginetica``).
docs/reference/learning-mappings.md has every key.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.playbook.document import Node, read_document
from cashwrap.playbook.faults import Faults

Task = Literal["next_item", "basket", "next_category", "prediction", "uplift"]
TASKS_OF_ITEMS: tuple[Task, ...] = ("next_item", "basket", "next_category")
_OURS = (Path(__file__).parents[1] / "mappings" / "learn", Path(__file__).parents[3] / "mappings" / "learn")
"""Where the mappings that come with cashwrap lie: package data, or the repository's own folder."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?")


class Time(Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says when: seconds or milliseconds since 1970, or a date and time that is taken for UTC."""

    column: str
    unit: Literal["s", "ms", "iso"] = "iso"


class Kinds(Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says what was done, and what its words mean here; rows with other words are left out."""

    column: str
    values: dict[str, Literal["view", "add", "order", "save"]]


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of interactions. ``order`` says what came first in a session where there is no ``time``."""

    session: str
    item: str
    time: Time | None = None
    order: str | None = None
    kind: Kinds | None = None
    user: str | None = None
    category: str | None = None
    title: str | None = None


class Skip(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that are none: those whose columns have one of these values, or, with ``prefix``, begin so."""

    reason: str
    when: dict[str, str | list[str]] = {}
    prefix: dict[str, str] = {}


class Testing(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept back: rows with these ``values`` in a ``column``, those ``since`` a day, the last ``share`` in time,
    or each of so many ``folds`` in turn (``repeats`` times) where there is no clock."""

    column: str | None = None
    values: tuple[str, ...] = ()
    since: str | None = None
    share: float | None = None
    folds: int | None = None
    repeats: int = 1


class Label(Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says what happened, and the values that mean that it did."""

    column: str
    values: tuple[str, ...] = ("1",)


class Treatment(Struct, frozen=True, forbid_unknown_fields=True):
    """Who was offered something: rows with other values are left out.

    ``randomised`` is the word of whoever ran it that chance decided; it is checked all the same.
    """

    column: str
    treated: tuple[str, ...]
    control: tuple[str, ...]
    randomised: bool = False
    propensity: float | None = None


class Derived(Struct, frozen=True, forbid_unknown_fields=True):
    """A number out of other columns: one of these."""

    hour: str | None = None
    weekday: str | None = None
    minutes: tuple[str, str] | None = None
    """From the first moment to the second."""
    ratio: tuple[str, str] | None = None
    place: bool = False
    """Which one of ``each`` the example is."""


class Mapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping; ``rows`` are for recommenders, all from ``label`` on for predictions."""

    source: str
    task: Task
    name: str = ""
    """Of the model; left out, the task."""
    rows: Rows | None = None
    skip: tuple[Skip, ...] = ()
    test: Testing = Testing(share=0.2)
    sizes: tuple[int, int] = (1, 1_000_000)
    """Test sessions with fewer or more items are left out."""
    targets: tuple[Literal["view", "add", "order", "save"], ...] = ()
    """What kind of row a test asks for; any where none is named."""
    label: Label | None = None
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    derive: dict[str, Derived] = {}
    each: tuple[int, ...] = ()
    """A row holds several examples: ``{i}`` in a column's name is each of these numbers."""
    group: str | None = None
    time: Time | None = None
    treatment: Treatment | None = None
    published: tuple[str, ...] = ()
    """Figures that others have reported, each with its source, for the table of results."""


def load_mapping(path: Path) -> Mapping:
    """The mapping in a file, or the one of our own with this name.

    Raises ``InvalidInput`` (``unreadable_file``) or ``PlaybookError`` with what is wrong and where.
    """
    if not path.suffix and not path.is_file():
        path = next((folder / f"{path}.yaml" for folder in _OURS if (folder / f"{path}.yaml").is_file()), path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        ours = ", ".join(sorted({each.stem for folder in _OURS for each in folder.glob("*.yaml")}))
        message = f"{path} cannot be read: {error.strerror}. Name a YAML file, or one of ours: {ours}"
        raise InvalidInput(message, code="unreadable_file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8", code="unreadable_file") from error
    return read_mapping(path.name, text)


def read_mapping(file: str, text: str) -> Mapping:
    """The mapping in a text; ``file`` names it in complaints. Raises ``PlaybookError``."""
    faults = Faults()
    document = read_document(file, text, faults)
    if len(faults) or document.root is None:
        told = tuple(str(fault) for fault in faults.sorted()) or (f"{file}:1:1 empty the file is empty",)
        raise PlaybookError(f"The mapping has mistakes. The first: {told[0]}", faults=told)
    try:
        found = msgspec.convert(_plain(document.root), Mapping, strict=False)
    except msgspec.ValidationError as error:
        raise PlaybookError(
            "The mapping does not fit: docs/reference/learning-mappings.md has every key",
            faults=(f"{file}: invalid_mapping {error}",),
        ) from None
    if wrong := _missing(found) or _untestable(found.test):
        raise PlaybookError("The mapping does not fit", faults=(f"{file}: invalid_mapping it {wrong}",))
    return found


def _untestable(test: Testing) -> str:
    """What is wrong with what is to be kept back; empty where nothing is."""
    if sum(part is not None for part in (test.column, test.since, test.share, test.folds)) != 1:
        return "has a 'test' that is not one of 'column', 'since', 'share' and 'folds'"
    if test.column is not None and not test.values:
        return "has a 'test: column' without 'values'"
    if test.share is not None and not 0 < test.share < 1:
        return f"has a 'test: share' of {test.share:g}: it is between 0 and 1"
    if test.folds is not None and (test.folds < 2 or test.repeats < 1):
        return "has 'test: folds' below 2, or 'repeats' below 1"
    if test.since is not None and not _MOMENT.fullmatch(test.since):
        return f"has a 'test: since' of {test.since!r}: write a day, such as 2026-08-01"
    return ""


def _missing(mapping: Mapping) -> str:
    """What a task needs and the mapping does not say; empty where all is well."""
    if mapping.name and not _NAME.fullmatch(mapping.name):
        return f"has a 'name' of {mapping.name[:50]!r}: use a-z, 0-9 and _"
    if mapping.task in TASKS_OF_ITEMS:
        if mapping.rows is None:
            return f"needs 'rows' for the task {mapping.task}"
        if mapping.rows.time is None and mapping.rows.order is None:
            return "needs 'rows: time' or 'rows: order'"
        return "has 'folds', which interactions cannot be tested by" if mapping.test.folds else ""
    if mapping.label is None:
        return f"needs 'label' for the task {mapping.task}"
    if not (mapping.numbers or mapping.categories or mapping.sets or mapping.derive):
        return "names no columns: 'numbers', 'categories', 'sets' or 'derive'"
    if mapping.task == "uplift" and mapping.treatment is None:
        return "needs 'treatment' for the task uplift"
    return "needs 'time' where 'test' is a share or a day" if mapping.test.since and mapping.time is None else ""


def _plain(node: Node) -> object:
    """What the document says, as builtins."""
    if isinstance(node.value, dict):
        return {key: _plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(value) for value in node.value]
    return node.text if isinstance(node.value, int | float) and not isinstance(node.value, bool) else node.value
