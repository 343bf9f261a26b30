"""The plots of a report, each a matplotlib figure of our width; what there is no data for has no plot.

Labels stand where they mean something and not in a legend; zero is always drawn; every axis has its unit.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cashwrap.analysis.render import phrases, words
from cashwrap.analysis.render.style import (
    ARMS,
    CONTROL,
    DASHES,
    DIRECTIONS,
    FAINT,
    INK,
    PAPER,
    QUIET,
    SIZE,
    blank,
    png,
    short,
    spread,
    styled,
    svg,
)
from cashwrap.analysis.results import Effect, Interval, Point, Report, Result, Slice

__all__ = ["NAMES", "NOTES", "TITLES", "Name", "drawn", "plot", "png", "svg"]

Name = Literal["metrics", "segments", "timeline", "novelty", "funnel", "completion"]
NAMES: tuple[Name, ...] = ("metrics", "timeline", "segments", "novelty", "funnel", "completion")
TITLES: dict[Name, str] = {
    "metrics": "Every metric against control",
    "timeline": "The effect look by look",
    "segments": "The effect by kind of shopper",
    "novelty": "The effect by days since the first exposure",
    "funnel": "How far shoppers come",
    "completion": "When shoppers complete or abandon",
}
NOTES: dict[Name, str] = {
    "metrics": "Relative change with its interval. A line that touches zero may be no change at all; blue is better "
    "for the shop, orange worse, whichever way the number goes. A short upright mark is a guardrail's limit.",
    "timeline": "The primary metric at each planned look. Only beyond the dashed bounds is an effect called one: they "
    "are wide at first, so that looking early does not mislead.",
    "segments": "Thin and hollow: as measured. Thick and filled: drawn towards the effect on all, which is the better "
    "guess, since small parts scatter. The dotted line is the effect on all.",
    "novelty": "An effect that only comes from being new fades with the days.",
    "funnel": "The share of those who began to check out that reached each step.",
    "completion": "Completing and abandoning end a checkout alike, so both are counted as they happen. Bands are 95%.",
}
MOST = 40
"""Rows of a forest; the largest parts are drawn, the table has them all."""
FEW = 6
"""Looks that have each its own day on the axis."""
CROWD = 12
"""Looks from which on a band is drawn and not each interval."""
DAY = 86_400_000


def drawn(report: Report) -> tuple[Name, ...]:
    """The plots that this report has data for, in the order to read them."""
    return tuple(name for name in NAMES if _DATA[name](report))


def plot(name: Name, report: Report) -> Figure:
    """Draw one plot. Raises ``KeyError`` where the report has no data for it: ask ``drawn`` first."""
    if name not in drawn(report):
        raise KeyError(name)
    with styled():
        return _DRAW[name](report)


# --- forests: a line of words, and under it the interval against zero ---


class _Row(NamedTuple):
    label: str
    said: str
    middle: float
    interval: Interval
    colour: str
    raw: tuple[float, Interval] | None = None
    limit: float | None = None
    headline: str = ""


def _metrics(report: Report) -> Figure:
    several = max(len(result.effects) for result in report.results) > 1
    rows = [
        _metric_row(result, effect, headline=phrases.label(result) if several and not place else "", several=several)
        for result in _comparable(report)
        for place, effect in enumerate(_relative(result))
    ]
    return _forest(rows, "change against control, %", 100.0)


def _metric_row(result: Result, effect: Effect, *, headline: str, several: bool) -> _Row:
    direction = phrases.direction(effect, result)
    interval = cast("Interval", effect.relative_interval)
    limit = None
    if result.margin is not None:
        limit = -result.margin if result.better == "higher" else result.margin
    return _Row(
        label=short(effect.arm if several else phrases.label(result)),
        said=f"{words.relative(effect.relative)} ({words.relative_range(interval)})",
        middle=effect.relative or 0.0,
        interval=interval,
        colour=DIRECTIONS[direction],
        limit=limit,
        headline=headline,
    )


def _comparable(report: Report) -> list[Result]:
    return [result for result in report.results if _relative(result)]


def _relative(result: Result) -> list[Effect]:
    return [effect for effect in result.effects if effect.relative is not None and effect.relative_interval is not None]


def _segments(report: Report) -> Figure:
    primary = phrases.primary_of(report)
    largest = sorted(report.slices, key=lambda part: -part.units)[:MOST]
    parts = [part for part in report.slices if part in largest]
    several = len({part.arm for part in parts}) > 1
    scale = words.scale_of(primary, report.currency) if primary else words.scale("count", report.currency, [], [])
    rows: list[_Row] = []
    colours, before = _colours(report), ""
    for part in sorted(parts, key=lambda part: _arms(report).index(part.arm)):
        group = f"{part.dimension}: {part.arm}" if several else part.dimension
        rows.append(_slice_row(part, scale, group if group != before else "", colours[part.arm]))
        before = group
    overall = primary.effects[0].absolute if primary and len(primary.effects) == 1 else None
    return _forest(rows, f"change against control, {scale.axis()}".removesuffix(", "), scale.factor, overall)


def _slice_row(part: Slice, scale: words.Scale, headline: str, colour: str) -> _Row:
    return _Row(
        label=f"{short(part.value)} ({words.number(part.units)})",
        said=scale.change(part.shrunk),
        middle=part.shrunk,
        interval=part.shrunk_interval,
        colour=colour,
        raw=(part.effect.absolute, part.effect.interval),
        headline=headline,
    )


def _forest(rows: Sequence[_Row], unit: str, factor: float, overall: float | None = None) -> Figure:
    heads = sum(bool(row.headline) for row in rows)
    units = 0.47 * len(rows) + 0.35 * heads
    figure, (axes,) = blank(0.62 + units)
    reach = _reach([end * factor for row in rows for end in _ends(row)], [row.middle * factor for row in rows])
    limits = [abs(row.limit) * factor * 1.06 for row in rows if row.limit is not None]
    reach = max([reach, *(limit for limit in limits if limit < 2 * reach)])
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    if overall is not None:
        axes.axvline(overall * factor, color=QUIET, linewidth=0.9, linestyle=":", zorder=1)
    y = 0.0
    for row in rows:
        if row.headline:
            y -= 0.75
            _beside(axes, y + 0.22, short(row.headline), weight="bold")
        y -= 1.0
        _beside(axes, y + 0.40, row.label)
        _beside(axes, y + 0.40, row.said, across=1, ha="right", color=QUIET)
        _interval_line(axes, y, row, factor, reach)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(y - 0.6, 0.0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_signed))
    axes.grid(axis="x", zorder=0)
    axes.set_axisbelow(True)
    axes.set_xlabel(unit)
    return figure


def _interval_line(axes: Axes, y: float, row: _Row, factor: float, reach: float) -> None:
    if row.raw is not None:
        middle, interval = row.raw
        _line(axes, y - 0.16, interval, factor, reach, color=FAINT, linewidth=1.6)
        axes.plot([middle * factor], [y - 0.16], "o", ms=4.5, mfc=PAPER, mec=QUIET, mew=1.0, zorder=3)
    _line(axes, y, row.interval, factor, reach, color=row.colour, linewidth=2.6)
    axes.plot([row.middle * factor], [y], "o", ms=6, color=row.colour, mec=PAPER, mew=0.8, zorder=4)
    if row.limit is not None:
        axes.plot([row.limit * factor] * 2, [y - 0.22, y + 0.22], color=INK, linewidth=1.4, zorder=3)


def _line(axes: Axes, y: float, interval: Interval, factor: float, reach: float, **style: Any) -> None:
    """An interval; an end beyond the plot has an arrow there."""
    low, high = (max(-reach, min(reach, end * factor)) for end in interval)
    axes.plot([low, high], [y, y], solid_capstyle="round", zorder=2, **style)
    for end, marker in ((interval.low, "<"), (interval.high, ">")):
        if abs(end * factor) > reach:
            axes.plot([math.copysign(reach * 0.985, end)], [y], marker, ms=5, color=style["color"], zorder=3)


def _ends(row: _Row) -> Iterable[float]:
    yield from row.interval
    if row.raw is not None:
        yield from row.raw[1]


def _reach(ends: Iterable[float], middles: Iterable[float] = ()) -> float:
    """How far the axis goes to both sides: one wild interval must not make the others unreadable."""
    sizes = sorted(abs(end) for end in ends if math.isfinite(end) and end)
    if not sizes:
        return 1.0
    furthest = max((abs(middle) for middle in middles if math.isfinite(middle)), default=0.0)
    return max(min(sizes[-1], 4 * sizes[len(sizes) // 2]), furthest * 1.1) * 1.06


def _beside(axes: Axes, y: float, text: str, across: float = 0, **style: Any) -> None:
    """Words at a share of the plot's width, on paper of their own: grid lines stay behind them."""
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}
    axes.text(across, y, text, transform=axes.get_yaxis_transform(), va="center", bbox=paper, **style)


def _signed(value: float, _place: int | None = None) -> str:
    text = f"{abs(value):.10g}"
    return f"+{text}" if value > 0 else f"{words.MINUS}{text}" if value < 0 else "0"


# --- over time ---


def _timeline(report: Report) -> Figure:
    figure = _points(report, report.timeline, lambda point: point.at / DAY)
    looks = sorted({point.at for point in report.timeline})
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if len(looks) <= FEW:
            axes.set_xticks([at / DAY for at in looks])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _place: words.short_day(round(at * DAY))))
    figure.axes[-1].set_xlabel("day of the look")
    return figure


def _novelty(report: Report) -> Figure:
    figure = _points(report, report.novelty, lambda point: point.at)
    ages = [point.at for point in report.novelty]
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlim(min(ages) - 0.5, max(ages) + 0.5)
    figure.axes[-1].set_xlabel("days since the first exposure")
    return figure


def _points(report: Report, points: Sequence[Point], place: Callable[[Point], float]) -> Figure:
    """One plot for each arm, all on one scale."""
    primary = phrases.primary_of(report)
    lowered = primary.label[:1].lower() + primary.label[1:] if primary else "the metric"
    scale = phrases.scale_of_points(report, points)
    arms = list(dict.fromkeys(point.arm for point in points))
    figure, every = blank(0.7 + 1.9 * len(arms), len(arms))
    reach = _reach(end * scale.factor for point in points for end in (*point.interval, point.boundary or 0.0))
    for axes, arm in zip(every, arms, strict=True):
        own = [point for point in points if point.arm == arm]
        _effects(axes, [place(point) for point in own], own, scale, report)
        axes.set_ylim(-reach, reach)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(_signed))
        axes.grid(axis="y")
        axes.margins(x=0.12)
        unit = f", {scale.axis()}" if scale.axis() else ""
        named = f"{short(arm)}: change of {lowered}{unit}" if len(arms) > 1 else f"Change of {lowered}{unit}"
        axes.set_title(named, loc="left", fontsize=SIZE, color=INK)
    return figure


def _effects(axes: Axes, where: list[float], points: Sequence[Point], scale: words.Scale, report: Report) -> None:
    colour = _colours(report)[points[0].arm]
    middle = [point.effect * scale.factor for point in points]
    low = [_finite(point.interval.low * scale.factor) for point in points]
    high = [_finite(point.interval.high * scale.factor) for point in points]
    axes.axhline(0, color=INK, linewidth=0.9)
    if len(points) > CROWD:
        axes.fill_between(where, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(where, middle, color=colour, linewidth=1.8)
    else:
        axes.vlines(where, low, high, color=colour, linewidth=2.6)
        axes.plot(where, middle, "o-", color=colour, linewidth=1.0, ms=6, mec=PAPER, mew=0.8)
    bounds = [math.nan if point.boundary is None else _finite(point.boundary * scale.factor) for point in points]
    if any(math.isfinite(bound) for bound in bounds):
        for sign in (1, -1):
            axes.plot(where, [sign * bound for bound in bounds], color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)))
        last = max(place for place, bound in enumerate(bounds) if math.isfinite(bound))
        axes.annotate("bound", (where[last], bounds[last]), (6, 3), textcoords="offset points", color=QUIET)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


# --- by arm ---


def _funnel(report: Report) -> Figure:
    steps = list(dict.fromkeys(step.step for step in report.funnel))
    arms = list(dict.fromkeys(step.arm for step in report.funnel))
    colours = _colours(report)
    figure, (axes,) = blank(0.25 + len(steps) * (0.32 + 0.24 * len(arms)))
    y = 0.0
    for name in steps:
        y -= 1.15
        _beside(axes, y, short(name), weight="bold")
        for arm in arms:
            y -= 1.0
            found = [step for step in report.funnel if step.step == name and step.arm == arm]
            part = found[0].units / found[0].of if found and found[0].of else 0.0
            axes.barh([y], [part], height=0.78, color=colours[arm])
            axes.text(part + 0.012, y, f"{words.share(part)}  {short(arm)}", va="center", color=INK)
        y -= 0.15
    axes.set_xlim(0, 1.42)
    axes.set_ylim(y - 0.5, -0.4)
    axes.axis("off")
    return figure


def _completion(report: Report) -> Figure:
    colours, dashes = _colours(report), _dashes(report)
    known = [curve for curve in report.curves if curve.times]
    horizon = max(1, *(curve.times[-1] for curve in known))
    scale = words.scale("milliseconds", report.currency, [horizon], [])
    figure, every = blank(4.5, 2)
    for axes, name in zip(every, ("completed", "abandoned"), strict=True):
        ends = []
        for curve in known:
            share = curve.completed if name == "completed" else curve.abandoned
            times = [0.0, *(time * scale.factor for time in curve.times)]
            colour = colours[curve.arm]
            axes.step(times, [0.0, *share], where="post", color=colour, linestyle=dashes[curve.arm], linewidth=1.9)
            if name == "completed":
                axes.fill_between(
                    times, [0.0, *curve.low], [0.0, *curve.high], step="post", color=colour, alpha=0.15, linewidth=0
                )
            ends.append(share[-1])
        top = max(*ends, 1e-9)
        places = spread(ends, top * 0.115)
        for curve, end, place in zip(known, ends, places, strict=True):
            said = f"{words.share(end)} {short(curve.arm)}"
            axes.annotate(
                said, (1.01, place), xycoords=("axes fraction", "data"), color=colours[curve.arm], va="center"
            )
        axes.set_ylim(0, top * 1.18)
        axes.set_xlim(0, horizon * scale.factor)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top > 0.06 else 1))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y")
        axes.set_title(f"{name.capitalize()}, share of shoppers", loc="left", fontsize=SIZE, color=INK)
    every[-1].set_xlabel(f"{_SPOKEN.get(scale.unit, scale.unit)} after the exposure")
    return figure


_SPOKEN = {"min": "minutes", "h": "hours", "s": "seconds", "ms": "milliseconds"}


def _colours(report: Report) -> dict[str, str]:
    return {arm: CONTROL if not place else ARMS[(place - 1) % len(ARMS)] for place, arm in enumerate(_arms(report))}


def _dashes(report: Report) -> dict[str, Any]:
    return {arm: DASHES[place % len(DASHES)] for place, arm in enumerate(_arms(report))}


def _arms(report: Report) -> list[str]:
    """Every arm that is named anywhere, the control first."""
    named = [tally.arm for tally in report.arms]
    named += [point.arm for point in (*report.timeline, *report.novelty)]
    named += [part.arm for part in report.slices]
    named += [step.arm for step in report.funnel]
    return list(dict.fromkeys([*named, *(curve.arm for curve in report.curves)]))


_DATA: dict[Name, Callable[[Report], bool]] = {
    "metrics": lambda report: bool(_comparable(report)),
    "timeline": lambda report: bool(report.timeline),
    "segments": lambda report: bool(report.slices),
    "novelty": lambda report: bool(report.novelty),
    "funnel": lambda report: any(step.units for step in report.funnel),
    "completion": lambda report: any(curve.times for curve in report.curves),
}
_DRAW: dict[Name, Callable[[Report], Figure]] = {
    "metrics": _metrics,
    "timeline": _timeline,
    "segments": _segments,
    "novelty": _novelty,
    "funnel": _funnel,
    "completion": _completion,
}
