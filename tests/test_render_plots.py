"""Plots: drawn from what there is, the same each time, in SVG that a page can hold."""

import math
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

import reports
from cashwrap.analysis.render import plots, style
from cashwrap.analysis.results import Curve, Interval, Point, Report

SVG = "{http://www.w3.org/2000/svg}"


def changed(report: Report, **fields: object) -> Report:
    return Report(**{name: getattr(report, name) for name in report.__struct_fields__} | fields)


@cache
def drawn(which: str, name: plots.Name) -> str:
    return plots.svg(plots.plot(name, reports.ALL[which]()))


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own
    return ["".join(node.itertext()).strip() for node in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("which", reports.ALL)
def test_there_is_a_plot_of_what_there_is_and_none_else(which: str) -> None:
    report = reports.ALL[which]()
    for name in plots.NAMES:
        if name in plots.drawn(report):
            assert texts(drawn(which, name))
        else:
            with pytest.raises(KeyError):
                plots.plot(name, report)
    assert (plots.drawn(report) == ()) == (which == "nothing")


def test_svg_is_the_same_bytes_each_time() -> None:
    for name in plots.drawn(reports.headline()):
        assert plots.svg(plots.plot(name, reports.headline())) == drawn("headline", name)


def test_text_stays_text_and_nothing_is_fetched() -> None:
    for name in plots.NAMES:
        picture = drawn("win", name)
        assert "<metadata" not in picture
        assert "<image" not in picture
        assert set(re.findall(r"https?://[^\"' ]+", picture)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
    found = texts(drawn("win", "metrics"))
    assert "Profit per shopper" in found
    assert "change against control, %" in found


def test_names_cannot_leave_their_text() -> None:
    report = reports.hostile()
    for name in plots.drawn(report):
        picture = drawn("hostile", name)
        assert "<script" not in picture
    assert any(reports.HOSTILE in text for text in texts(drawn("hostile", "metrics")))


def test_a_dollar_in_a_name_is_no_formula() -> None:
    report = changed(reports.win(), funnel=(reports.Step("control", "$a$ and $\\frac{1}{0}$", 1, 2),))
    assert "$a$ and $\\frac{1}{0}$" in texts(plots.svg(plots.plot("funnel", report)))


def test_long_names_are_cut() -> None:
    assert style.short("x" * 200) == "x" * (style.LONGEST - 1) + "…"
    assert style.short("short") == "short"


def test_infinite_and_missing_numbers_are_drawn_as_what_they_are() -> None:
    infinite = Interval(-math.inf, math.inf)
    points = (Point("a", 0, 1.0, infinite, math.inf), Point("a", 86_400_000, 1.0, Interval(0.5, 1.5), 0.4))
    curve = Curve("a", (0,), (0.0,), (0.0,), (0.0,), (0.0,), 0.0)
    first = reports.win().results[0]
    wild = reports._with(first.effects[0], relative_interval=Interval(-math.inf, 0.2))
    result = type(first)(*[getattr(first, name) for name in first.__struct_fields__[:8]], effects=(wild,))
    report = changed(reports.win(), timeline=points, novelty=points[:1], curves=(curve,), results=(result,))
    for name in plots.drawn(report):
        plots.svg(plots.plot(name, report))


def test_many_looks_are_a_band() -> None:
    points = tuple(Point("wallets_first", at * 86_400_000, 5.0, Interval(1.0, 9.0), 4.0) for at in range(60))
    crowded = changed(reports.win(), timeline=points)
    assert len(plots.svg(plots.plot("timeline", crowded))) < 40_000


def test_a_crowd_of_parts_is_cut_to_the_largest() -> None:
    part = reports.win().slices[0]
    many = tuple(
        type(part)("country", f"C{at}", part.arm, 1_000 + at, part.effect, part.shrunk, part.shrunk_interval)
        for at in range(100)
    )
    found = texts(plots.svg(plots.plot("segments", changed(reports.win(), slices=many))))
    assert any(text.startswith("C99") for text in found)
    assert not any(text.startswith("C10 ") for text in found)


def test_one_wild_interval_does_not_flatten_the_others() -> None:
    assert plots._reach([1.0, 1.2, -0.8, 1e9]) < 10
    assert plots._reach([1.0, 1.2, -0.8, 1e9], [50.0]) > 50
    assert plots._reach([]) == 1.0


def test_labels_keep_apart_and_in_order() -> None:
    places = style.spread([0.30, 0.31, 0.05], 0.1)
    assert places[1] - places[0] >= 0.1 - 1e-9
    assert places[2] < places[0]


def test_drawing_leaves_no_state_behind() -> None:
    before = dict(mpl.rcParams)
    plots.svg(plots.plot("funnel", reports.win()))
    assert dict(mpl.rcParams) == before


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str = style.PAPER) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_words_and_marks_can_be_read_on_paper() -> None:
    for colour in (style.INK, style.QUIET, style.CONTROL, *style.ARMS, *style.DIRECTIONS.values()):
        assert contrast(colour) >= 4.5, colour
    assert contrast("#999999") < 4.5, "the checker sees grey on white"


def test_a_png_is_written(tmp_path: Path) -> None:
    path = tmp_path / "funnel.png"
    plots.png(plots.plot("funnel", reports.win()), path)
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    plots.png(plots.plot("funnel", reports.win()), path)
    assert path.read_bytes() == first
