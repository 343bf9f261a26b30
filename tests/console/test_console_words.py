"""Every text of the console in every language: what a template or a handler says is found here, or this fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po

from cashwrap.console.look import look_of
from cashwrap.console.words import translations

CONSOLE = Path(__file__).parents[2] / "src/cashwrap/console"
LANGUAGES = sorted(path.name for path in (CONSOLE / "words").iterdir() if path.is_dir() and path.name.isalpha())
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
KEYWORDS = DEFAULT_KEYWORDS | {"say": None, "later": None}
_HOLE = re.compile(r"%(?:\((\w+)\))?[sd%]")


def texts(folder: Path = CONSOLE) -> dict[str, str]:
    """Every text with a place where it stands."""
    found: dict[str, str] = {}
    options = {"templates/**.html": {"trimmed": "false", "silent": "false"}}
    for file, line, message, _, _ in extract_from_dir(folder, METHODS, options, KEYWORDS):
        for text in [message] if isinstance(message, str) else message:
            found.setdefault(text, f"{file}:{line}")
    return found


def holes(text: str) -> list[str]:
    return sorted(found[0] for found in _HOLE.finditer(text))


def wrong(found: dict[str, str], told: dict[str, str]) -> Iterator[str]:
    """What a translation lacks or says with other placeholders."""
    for text, place in sorted(found.items()):
        if not told.get(text):
            yield f"{place}: no translation of {text!r}"
        elif holes(text) != holes(told[text]):
            yield f"{place}: {text!r} and {told[text]!r} have other placeholders"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    missing = list(wrong(texts(), translations(language)))
    assert not missing, "\n".join(missing)


def test_texts_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    page = '{{ _("One") }}{% trans n=2 %}{{ n }} thing{% pluralize %}{{ n }} things{% endtrans %}'
    (tmp_path / "templates/page.html").write_text(page)
    (tmp_path / "page.py").write_text('ask.say("Two %(name)s", name=1)\nNAMES = {"a": later("Three")}\n')
    found = texts(tmp_path)
    assert set(found) == {"One", "%(n)s thing", "%(n)s things", "Two %(name)s", "Three"}
    told = {"One": "Eins", "Two %(name)s": "Zwei %(nam)s", "Three": ""}
    assert len(list(wrong(found, told))) == 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_translated_twice_in_two_ways(language: str) -> None:
    said: dict[str, tuple[str, str]] = {}
    for file in sorted((CONSOLE / "words" / language).glob("*.po")):
        with file.open("rb") as lines:
            catalogue = read_po(lines, abort_invalid=True)
        for message in catalogue:
            text, told = str(message.id), str(message.string)
            assert not message.fuzzy or not text, f"{file.name}: {text!r} is marked fuzzy"
            kept = said.setdefault(text, (told, file.name))
            assert not text or kept[0] == told, f"{text!r}: {kept[1]} says {kept[0]!r}, {file.name} says {told!r}"


def test_a_page_speaks_the_language_of_the_person() -> None:
    look = look_of("de")
    assert look.say("Sign out") == "Abmelden"
    assert look.say("Never heard of this") == "Never heard of this"
    assert (look.number(1234.5), look.money(123456, "EUR")) == ("1.234,5", "1.234,56\xa0€")
