"""A report in a terminal: complete, in 80 columns, without colour."""

import re
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import reports
from cashwrap.analysis.render import phrases, words
from cashwrap.analysis.render.terminal import _bar, render_terminal


@cache
def printed(which: str, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width, no_color=True).print(render_terminal(reports.ALL[which](), width))
    return out.getvalue()


def flowed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("which", reports.ALL)
@pytest.mark.parametrize("width", [80, 200])
def test_the_verdict_comes_first_and_every_doubt_is_told(which: str, width: int) -> None:
    report = reports.ALL[which]()
    text = flowed(printed(which, width))
    assert text.index(report.verdict.sentence) < text.index("What to do next")
    for problem in report.doubts:
        assert f"{problem.message} [{problem.code}]" in text
    for result in report.results:
        if result.problem is not None:
            assert result.label in text
            assert f"{result.problem.message} [{result.problem.code}]" in text
    if report.verdict.stake is not None:
        assert words.stake(report.verdict.stake, report.verdict.stake_interval, report.currency) in text
    for tally in report.arms:
        assert words.number(tally.mature) in text
    method = phrases.METHODS[report.design.method]
    assert (method if phrases.is_holdout(report) else phrases.design_said(report.design).split(";")[0]) in text


@pytest.mark.parametrize("which", reports.ALL)
def test_it_fits_eighty_columns_and_is_plain_text(which: str) -> None:
    text = printed(which)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


@pytest.mark.parametrize("which", reports.ALL)
def test_every_effect_has_its_number_its_interval_and_its_bar(which: str) -> None:
    report = reports.ALL[which]()
    text = printed(which).partition("Metrics against control")[2]
    for result in report.results:
        scale = words.scale_of(result, report.currency)
        for effect in result.effects:
            line = next(line for line in text.splitlines() if f"{scale.change(effect.absolute)} " in line)
            assert scale.between(effect.interval) in line
            assert re.search("[●→←]", line)
    assert bool(text) == (which != "nothing")


def test_markup_in_names_is_no_markup() -> None:
    report = reports.win()
    out = StringIO()
    named = type(report)(
        **{name: getattr(report, name) for name in report.__struct_fields__} | {"experiment": "[red]x[/red] [/b]"}
    )
    Console(file=out, width=80).print(render_terminal(named))
    assert "[red]x[/red] [/b]" in out.getvalue()


def test_colour_is_there_for_a_terminal_that_has_it() -> None:
    out = StringIO()
    Console(file=out, width=80, force_terminal=True, color_system="standard").print(render_terminal(reports.win()))
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize(
    ("relative", "low", "high", "bar"),
    [
        (0.5, 0.25, 0.75, "    │├●┤ "),
        (0.0, -0.5, 0.5, "  ├─●─┤  "),
        (-0.5, -0.75, -0.25, " ├●┤│    "),
        (0.25, -9.0, 9.0, "←───┼●──→"),
        (5.0, 4.0, 6.0, "    │   →"),
        (-5.0, float("-inf"), -4.0, "←   │    "),
        (0.25, -0.25, 0.75, "   ├┼●─┤ "),
    ],
)
def test_bars_are_where_the_numbers_are(relative: float, low: float, high: float, bar: str) -> None:
    effect = reports._with(
        reports.win().results[0].effects[0], relative=relative, relative_interval=reports.Interval(low, high)
    )
    assert _bar(effect, 4, 1.0) == bar


def test_no_relative_effect_no_bar() -> None:
    assert _bar(reports._with(reports.win().results[0].effects[0], relative_interval=None), 4, 1.0) == ""


def test_the_documentation_shows_what_is_printed() -> None:
    page = (Path(__file__).parents[1] / "docs/howto/read-a-report.md").read_text()
    shown = page.partition("```text\n")[2].partition("\n...\n")[0]
    assert len(shown) > 1_000
    assert "\n".join(line.rstrip() for line in printed("win").splitlines()).startswith(shown)
