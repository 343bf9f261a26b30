"""A report for other programs: JSON, CSV and pictures. What each field means is in ``docs/reference/reports.md``."""

import csv
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import msgspec

from cashwrap.analysis.render import plots
from cashwrap.analysis.results import Effect, Interval, Report, Result

FORMAT = 1
"""Counts up when a field changes its meaning or goes; new ones may come without."""
COLUMNS = (
    "store",
    "environment",
    "experiment",
    "metric",
    "label",
    "kind",
    "role",
    "worth",
    "better",
    "currency",
    "arm",
    "units",
    "value",
    "absolute",
    "low",
    "high",
    "error",
    "relative",
    "relative_low",
    "relative_high",
    "p",
    "q",
    "significant",
    "chance_better",
    "expected_loss",
    "removed",
    "standing",
    "margin",
    "problem",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
_NOBODY = Interval(math.inf, math.inf)

Cell = str | float | int | bool | None


def to_json(report: Report) -> bytes:
    """The whole report, indented, with a line break at its end; what is infinite or no number is ``null``."""
    fields = msgspec.structs.asdict(report)
    del fields["tenant"]
    named = {"format": FORMAT, "store": report.tenant.store, "environment": report.tenant.environment, **fields}
    return msgspec.json.format(msgspec.json.encode(named), indent=2) + b"\n"


def to_csv(report: Report) -> str:
    """One row for each metric and arm, control too; a cell that nothing is known of is empty.

    Texts that a spreadsheet would run as a formula begin with an apostrophe.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in report.results:
        effects = {effect.arm: effect for effect in result.effects}
        arms = dict.fromkeys([*result.values, *result.units, *effects]) or {"": None}
        for arm in arms:
            row = _about(report, result, arm) | _measured(result, arm) | _effect(effects.get(arm))
            writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def plots_to(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every plot that the report has data for as ``NAME.png``; the folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in plots.drawn(report):
        path = folder / f"{name}.png"
        plots.png(plots.plot(name, report), path)
        written.append(path)
    return tuple(written)


def lines(found: Sequence[msgspec.Struct]) -> bytes:
    """JSON lines, one for each value found."""
    return b"\n".join(map(msgspec.json.encode, found))


def _about(report: Report, result: Result, arm: str) -> dict[str, Cell]:
    return {
        "store": report.tenant.store,
        "environment": report.tenant.environment,
        "experiment": report.experiment,
        "metric": result.metric,
        "label": result.label,
        "kind": result.kind,
        "role": result.role,
        "worth": result.worth,
        "better": result.better,
        "currency": report.currency if result.worth == "money" else None,
        "arm": arm,
        "margin": result.margin,
        "problem": result.problem.code if result.problem is not None else None,
    }


def _measured(result: Result, arm: str) -> dict[str, Cell]:
    return {"units": result.units.get(arm), "value": result.values.get(arm)}


def _effect(effect: Effect | None) -> dict[str, Cell]:
    if effect is None:
        return {}
    relative = effect.relative_interval or _NOBODY
    return {
        "absolute": effect.absolute,
        "low": effect.interval.low,
        "high": effect.interval.high,
        "error": effect.error,
        "relative": effect.relative,
        "relative_low": relative.low,
        "relative_high": relative.high,
        "p": effect.p,
        "q": effect.q,
        "significant": effect.significant,
        "chance_better": effect.chance_better,
        "expected_loss": effect.expected_loss,
        "removed": effect.removed,
        "standing": effect.standing,
    }


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return repr(value)
