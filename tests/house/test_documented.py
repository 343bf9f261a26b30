"""Everything a shop or a programmer can meet is documented: public names, settings, reasons, levels, components ..."""

import re
from pathlib import Path
from typing import get_args

import pytest
from spec import names

from cashwrap.attributes import ATTRIBUTES
from cashwrap.declarations import Component, Kind, Measure, Settings
from cashwrap.engine import World
from cashwrap.model import Level, Purpose, Reason
from cashwrap.playbook.json_schema import keys
from cashwrap.playbook.schema import DEFINITIONS, PLAYBOOK

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS = keys(PLAYBOOK)


def purposes() -> tuple[str, ...]:
    return tuple(str(purpose.name).lower() for purpose in Purpose)


def keys_of(schema_name: str) -> tuple[str, ...]:
    """The keys a playbook, or a case, may use in one kind of object."""
    return keys(DEFINITIONS[schema_name])


PLACES: list[tuple[str, tuple[str, ...], str]] = [
    ("settings", Settings.__struct_fields__, "reference/settings.md"),
    ("settings of a playbook", Settings.__struct_fields__, "reference/playbook.md"),
    ("reasons", get_args(Reason), "reference/content.md"),
    ("data levels", get_args(Level), "reference/http.md"),
    ("components", get_args(Component), "reference/playbook.md"),
    ("measures", get_args(Measure), "reference/features.md"),
    ("kinds", get_args(Kind), "reference/playbook.md"),
    ("purposes", purposes(), "reference/consent.md"),
    ("attributes", tuple(attribute.path for attribute in ATTRIBUTES), "reference/attributes.md"),
    ("sections", SECTIONS, "reference/playbook.md"),
    ("keys of an experience", keys_of("experience"), "reference/playbook.md"),
    *(
        (f"keys of {name}", keys_of(name), "reference/playbook.md")
        for name in (
            "experiment",
            "design",
            "metric",
            "metric_part",
            "schedule",
            "caps",
            "layer",
            "holdout",
            "placement",
            "given",
            "expect_placement",
        )
    ),
    ("keys of a feature", tuple(set(keys_of("feature")) - set(get_args(Measure))), "reference/features.md"),
]
"""What there is, and the page that must name each in code type."""
IDS = [what for what, _, _ in PLACES]


def undocumented(things: tuple[str, ...], page: str) -> list[str]:
    """What a page does not name; code type only, since prose uses the same words."""
    named = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    return sorted(thing for thing in things if thing not in named)


@pytest.mark.parametrize(("what", "things", "page"), PLACES, ids=IDS)
def test_each_is_documented(what: str, things: tuple[str, ...], page: str) -> None:
    assert things, f"there are {what}"
    assert undocumented(things, (DOCS / page).read_text()) == []


@pytest.mark.parametrize("component", get_args(Component))
def test_a_component_has_its_content_documented(component: str) -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (.*)$", (DOCS / "reference/content.md").read_text(), re.MULTILINE)
    page = " ".join(row for names_, row in rows if component in names_.split(", "))
    assert undocumented(keys_of(component), page) == []


@pytest.mark.parametrize("package", names.packages())
def test_a_public_name_says_what_it_is(package: str) -> None:
    assert [name for name in names.exports(package) if not names.document(package, name)] == []


def test_a_port_of_the_world_says_what_it_must_do() -> None:
    ports = [annotation for annotation in World.__annotations__.values() if not names.own_docstring(annotation)]
    assert ports == []


class TestTheCheckerItself:
    """Planted gaps: each must be seen."""

    @pytest.mark.parametrize(
        ("what", "things", "page"), PLACES, ids=lambda value: value if isinstance(value, str) else ""
    )
    def test_sees_one_more_of_each(self, what: str, things: tuple[str, ...], page: str) -> None:
        assert undocumented((*things, f"planted_{what[:3]}"), (DOCS / page).read_text()) == [f"planted_{what[:3]}"]

    def test_sees_a_name_without_a_word(self) -> None:
        class Silent: ...

        class Loud(ValueError):
            """Says something."""

        class Heir(Loud): ...

        assert names.own_docstring(Silent) == ""
        assert names.own_docstring(Heir) == ""
        assert names.own_docstring(Loud) == "Says something."

    def test_words_of_prose_do_not_count(self) -> None:
        assert undocumented(("late", "match"), "it came late; `match` means it fits") == ["late"]
