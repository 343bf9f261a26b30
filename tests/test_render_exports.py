"""Files for other programs."""

import csv
import json
import math
import re
from io import StringIO
from pathlib import Path

import msgspec
import pytest

import reports
from cashwrap.analysis import results
from cashwrap.analysis.render import plots
from cashwrap.analysis.render.exports import COLUMNS, FORMAT, lines, plots_to, to_csv, to_json
from cashwrap.analysis.results import Interval, Report

PAGE = Path(__file__).parents[1] / "docs/reference/reports.md"


def rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(to_csv(report))))


@pytest.mark.parametrize("which", reports.ALL)
def test_json_holds_the_whole_report(which: str) -> None:
    report = reports.ALL[which]()
    told = json.loads(to_json(report))
    assert told.pop("format") == FORMAT
    tenant = [told.pop("store"), told.pop("environment")]
    assert msgspec.convert(tenant, type(report.tenant)) == report.tenant
    for name in set(report.__struct_fields__) - {"tenant", "look"}:
        back = msgspec.convert(told[name], report.__class__.__annotations__[name])
        assert back == getattr(report, name), name
    assert to_json(report) == to_json(report)


def test_what_is_infinite_is_null() -> None:
    told = json.loads(to_json(reports.nothing()), parse_constant=pytest.fail)
    assert told["look"]["critical"] is None
    first = reports.win().results[0]
    open_ended = reports._with(first.effects[0], interval=Interval(-math.inf, 5.0), p=math.nan)
    report = reports.win()
    result = type(first)(*[getattr(first, name) for name in first.__struct_fields__[:8]], effects=(open_ended,))
    report = type(report)(**{name: getattr(report, name) for name in report.__struct_fields__} | {"results": (result,)})
    told = json.loads(to_json(report), parse_constant=pytest.fail)
    assert told["results"][0]["effects"][0]["interval"] == [None, 5.0]
    row = rows(report)[1]
    assert (row["low"], row["high"], row["p"]) == ("", "5.0", "")


@pytest.mark.parametrize("which", reports.ALL)
def test_csv_has_a_row_for_each_metric_and_arm(which: str) -> None:
    report = reports.ALL[which]()
    found = {(row["metric"], row["arm"].removeprefix("'")): row for row in rows(report)}
    for result in report.results:
        for arm in result.values:
            row = found[result.metric, arm]
            assert float(row["value"]) == result.values[arm]
            assert int(row["units"]) == result.units[arm]
            assert row["currency"] == (report.currency if result.worth == "money" else "")
        for effect in result.effects:
            row = found[result.metric, effect.arm]
            assert [float(row[name]) for name in ("absolute", "low", "high")] == [effect.absolute, *effect.interval]
            assert row["standing"] == (effect.standing or "")
            assert row["significant"] == str(effect.significant).lower()
        if result.problem is not None:
            assert {row["problem"] for row in rows(report) if row["metric"] == result.metric} == {result.problem.code}


def test_no_text_is_a_formula() -> None:
    first = reports.win().results[0]
    evil = "=HYPERLINK(1)"
    result = type(first)("m", evil, *[getattr(first, name) for name in first.__struct_fields__[2:8]], effects=())
    report = reports.win()
    report = type(report)(
        **{name: getattr(report, name) for name in report.__struct_fields__}
        | {"results": (result,), "experiment": "@x"}
    )
    assert rows(report)[0]["label"] == f"'{evil}"
    assert rows(report)[0]["experiment"] == "'@x"
    assert float(rows(reports.harm())[2]["absolute"]) < 0, "a negative number is no formula"


def test_pictures_of_all_plots(tmp_path: Path) -> None:
    written = plots_to(reports.headline(), tmp_path / "new" / "folder")
    assert [path.stem for path in written] == list(plots.drawn(reports.headline()))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert plots_to(reports.nothing(), tmp_path) == ()


def test_lines_are_one_value_each() -> None:
    found = lines(reports.harm().doubts).decode().split("\n")
    assert [json.loads(line)["code"] for line in found] == [doubt.code for doubt in reports.harm().doubts]
    assert lines(()) == b""


def fields() -> set[str]:
    """Every field of every struct that a report is made of."""
    structs = [each for each in vars(results).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return {name for each in structs if each.__module__ == results.__name__ for name in each.__struct_fields__}


def undocumented(names: set[str], page: str) -> list[str]:
    named = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    return sorted(names - named)


def test_every_field_and_column_is_documented() -> None:
    page = PAGE.read_text()
    assert undocumented((fields() - {"tenant"}) | {"format", "store", "environment"}, page) == []
    assert undocumented(set(COLUMNS), page) == []
    assert undocumented(set(plots.NAMES), page) == []
    assert undocumented({"planted"}, page) == ["planted"], "the checker sees one more"


ANALYSIS = Path(results.__file__).parent


def codes(source: str) -> set[str]:
    """The codes of problems that a module can raise or tell."""
    found = set(re.findall(r'Problem\(\s*"([a-z_]+)"', source))
    return found | set(re.findall(r'NoAnswer\([^)]*?code="([a-z_]+)"', source, re.DOTALL))


def test_every_code_of_a_problem_is_documented() -> None:
    told = set[str]().union(*(codes(path.read_text()) for path in ANALYSIS.rglob("*.py")))
    assert len(told) > 10
    assert undocumented(told, PAGE.read_text()) == []
    assert codes('Problem(\n    "planted",\n    "x")\nraise NoAnswer("no", code="other")') == {"planted", "other"}
