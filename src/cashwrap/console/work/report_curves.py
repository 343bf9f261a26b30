"""A report's curves, as ``parts.plot`` draws them: numbers in the unit said beside them, gaps for what is none."""

import math
from collections.abc import Callable, Mapping, Sequence

from cashwrap.analysis.render.words import Scale, scale
from cashwrap.analysis.results import Curve, Point, Report
from cashwrap.console.words import later

Plot = Mapping[str, object]
Say = Callable[[str], str]
"""A text in the reader's language."""
UNITS = {name: name for name in (later("pp"), later("days"), later("h"), later("min"), later("s"), later("ms"))}
"""Of shares and times, as ``Scale`` names them."""


def over_time(report: Report, say: Say) -> Plot | None:
    """The effect at each look."""
    return _points(report, report.timeline, say, {})


def by_age(report: Report, say: Say) -> Plot | None:
    """The effect by days since the first exposure."""
    return _points(report, report.novelty, say, {"x": "number"})


def _points(report: Report, points: Sequence[Point], say: Say, more: Plot) -> Plot | None:
    """The effect and the ends of its interval, by arm; a bound where there is one. One moment alone is no curve."""
    primary = next((each for each in report.results if each.role == "primary"), None)
    units = scale(primary.worth if primary else "count", report.currency, [each.effect for each in points], [])
    moments = sorted({each.at for each in points})
    if len(moments) < 2:
        return None
    arms, lines = dict.fromkeys(each.arm for each in points), []
    for arm in arms:
        known = {each.at: each for each in points if each.arm == arm}
        path = [known.get(at) for at in moments]
        name = f"{arm}: " if len(arms) > 1 else ""
        lines += [
            _line(name + say("effect"), units, [each.effect if each else None for each in path]),
            _line(name + say("interval from"), units, [each.interval.low if each else None for each in path]),
            _line(name + say("interval to"), units, [each.interval.high if each else None for each in path]),
        ]
        if any(each is not None and each.boundary is not None for each in path):
            lines.append(_line(name + say("bound"), units, [each.boundary if each else None for each in path]))
    at = moments if more else [moment // 1000 for moment in moments]
    return {"at": at, "lines": lines, "unit": _unit(units, say), **more}


def _unit(units: Scale, say: Say) -> str:
    if units.worth == "money":
        return units.currency
    name = "pp" if units.worth == "share" else UNITS.get(units.unit, "")
    return say(name) if name else ""


def _line(label: str, units: Scale, values: Sequence[float | None]) -> dict[str, object]:
    """A line of a plot; what is no number is a gap."""
    told = [round(value * units.factor, 6) if value is not None and math.isfinite(value) else None for value in values]
    return {"label": label, "values": told}


def completed(curves: Sequence[Curve]) -> Plot | None:
    """The share that had completed by so many minutes, by arm."""
    known = [each for each in curves if each.times]
    moments = sorted({at for each in known for at in each.times})
    if len(moments) < 2:
        return None
    moments = moments[:: max(1, len(moments) // 120)]
    lines = [
        {"label": each.arm, "values": [_until(each.times, each.completed, at) for at in moments]} for each in known
    ]
    return {"at": [round(at / 60_000, 2) for at in moments], "lines": lines, "unit": "share", "x": "number"}


def _until(times: Sequence[int], values: Sequence[float], at: int) -> float | None:
    known = [value for moment, value in zip(times, values, strict=True) if moment <= at]
    return round(known[-1], 5) if known and math.isfinite(known[-1]) else 0.0
