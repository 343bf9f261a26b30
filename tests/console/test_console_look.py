"""How the console looks: colours that can be read in both themes, and pages that escape and format."""

import re
from pathlib import Path

import pytest

from cashwrap.console.look import look_of

CSS = (Path(__file__).parents[2] / "src/cashwrap/console/static/console.css").read_text()
TEXT, SHAPE = 4.5, 3.0
"""WCAG 2.2 AA: contrast of text (1.4.3), and of what one has to see to use a control or read a plot (1.4.11)."""
GROUNDS = ("ground", "paper", "sunken", "hover")
PAIRS = [
    *((colour, ground, TEXT) for colour in ("ink", "quiet") for ground in GROUNDS),
    *(
        (colour, ground, TEXT)
        for colour in ("accent", "accent-hover", "good", "warn", "bad", "info")
        for ground in GROUNDS
    ),
    *((colour, f"{colour}-ground", TEXT) for colour in ("accent", "good", "warn", "bad", "info")),
    *(("ink", f"{tone}-ground", TEXT) for tone in ("accent", "good", "warn", "bad", "info")),
    *(("quiet", f"{tone}-ground", TEXT) for tone in ("good", "warn", "bad", "info")),
    ("accent-ink", "accent", TEXT),
    ("accent-ink", "accent-hover", TEXT),
    ("test-ink", "test", TEXT),
    ("paper", "bad", TEXT),
    ("paper", "ink", TEXT),
    *((colour, ground, SHAPE) for colour in ("edge", "focus") for ground in GROUNDS[:3]),
    *((f"series-{number}", "paper", SHAPE) for number in range(1, 7)),
]


def tokens(css: str) -> dict[str, tuple[str, str]]:
    """Each colour in light and dark."""
    return {
        name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    }


def luminance(colour: str) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def too_weak(css: str) -> list[str]:
    found = tokens(css)
    return [
        f"{colour} on {ground} ({theme}): {ratio:.2f}, needs {least}"
        for colour, ground, least in PAIRS
        for theme, one, other in zip(("light", "dark"), found[colour], found[ground], strict=True)
        if (ratio := contrast(one, other)) < least
    ]


def test_contrast_is_measured_as_the_standard_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert too_weak(re.sub(r"--quiet: [^;]+;", "--quiet: light-dark(#aaaaaa, #9dabb8);", CSS))


def test_everything_can_be_read() -> None:
    assert not too_weak(CSS), "\n".join(too_weak(CSS))


def test_colours_are_tokens() -> None:
    """Below the tokens no rule brings a colour of its own, which one theme would forget."""
    rules = CSS.partition("/* --- everywhere --- */")[2]
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?!\s*[:{.>])", rules)) <= {"#ffffff"}  # paper, in print
    assert set(re.findall(r"var\(--([\w-]+)\)", CSS)) <= set(re.findall(r"--([\w-]+):", CSS))


@pytest.mark.parametrize(("language", "shown"), [("en", ("12,345.5", "25.5%")), ("de", ("12.345,5", "25,5\xa0%"))])
def test_numbers_are_written_as_the_language_does(language: str, shown: tuple[str, str]) -> None:
    look = look_of(language)
    assert (look.number(12345.5), look.percent(0.255)) == shown


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_moment_says_its_zone(language: str) -> None:
    assert look_of(language).moment(1_795_394_613_000).endswith("00:43:33 UTC")


def test_texts_are_escaped_whatever_they_hold() -> None:
    say = look_of("en")._templates.from_string('<p title="{{ name }}">{{ name }}</p>')
    assert say.render(name="\"><script>alert('x')</script>").count("<script") == 0
