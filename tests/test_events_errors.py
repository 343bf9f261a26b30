"""Every code the events room can answer with is explained in the reference, and each is reached by some test."""

import re
from pathlib import Path

import pytest

from cashwrap.consent import BY_NAME, CATEGORIES
from cashwrap.events import Limits
from cashwrap.events.fields import LONGEST_ID, LONGEST_TEXT, MOST_PRODUCTS, MOST_TEXTS
from cashwrap.events.standard import CALLS, ECOMMERCE, TRAITS

ROOT = Path(__file__).parents[1]
CODE = re.compile(r'(?:code=|Refused\(index, |_fault\([\w.()]+, )"([a-z_]+)"')


def raised() -> set[str]:
    sources = [*(ROOT / "src/cashwrap/events").glob("*.py"), ROOT / "src/cashwrap/consent.py"]
    return {code for source in sources for code in CODE.findall(source.read_text())}


def reference(page: str) -> str:
    """A page of the reference with its line breaks taken out."""
    return " ".join((ROOT / "docs/reference" / page).read_text().split())


@pytest.mark.parametrize("name", [*ECOMMERCE, *CALLS])
def test_every_standard_event_is_documented(name: str) -> None:
    assert name in reference("events.md")


def test_every_trait_category_and_purpose_is_documented() -> None:
    events, consents = reference("events.md"), reference("consent.md").lower()
    assert [name for name in TRAITS if f"`{name}`" not in events] == []
    assert [name for name in CATEGORIES if name not in consents] == []
    assert [name for name in BY_NAME if f"| `{name}` |" not in consents] == []


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("a body, unpacked | 500 KB", Limits().body == 500 * 1024),
        ("an event | 32 KB", Limits().event == 32 * 1024),
        ("events in a batch | 2,500", Limits().events == 2500),
        ("products in an event | 500", MOST_PRODUCTS == 500),
        ("texts or filters in a list | 100", MOST_TEXTS == 100),
        ("| 1,000 |", Limits().keys == 1000),
        ("nesting of undeclared values | 16 levels", Limits().depth == 16),
        ("an id | 200 characters", LONGEST_ID == 200),
        ("a text | 1,024 characters", LONGEST_TEXT == 1024),
    ],
)
def test_the_documented_limits_are_the_real_ones(words: str, value: bool) -> None:
    assert value
    assert words in reference("events.md")


def explained(text: str) -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


def test_every_code_is_explained() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text()
    assert len(raised()) > 25
    assert raised() - explained(text) == set()


def test_a_missing_explanation_would_be_noticed() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text().replace("| `too_deep` |", "| too_deep |")
    assert raised() - explained(text) == {"too_deep"}


@pytest.mark.parametrize("code", sorted(raised()))
def test_every_code_is_reached_by_a_test(code: str) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_events_[!e]*.py"))
    tests += (ROOT / "tests/test_events_envelope.py").read_text()
    assert re.search(rf"\b{code}\b", tests)
