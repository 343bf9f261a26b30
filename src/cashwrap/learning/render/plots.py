"""The plots of a model, in the look of reports; what there is no data for has no plot.

Labels stand where they mean something and not in a legend; every axis has its unit.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cashwrap.analysis.render.style import (
    ARMS,
    CONTROL,
    DIRECTIONS,
    FAINT,
    INK,
    PAPER,
    QUIET,
    SIZE,
    WIDTH,
    blank,
    short,
    styled,
)
from cashwrap.analysis.render.words import number, share
from cashwrap.learning.render import phrases
from cashwrap.learning.results import Curve, Slice, Training

Name = Literal["against", "reliability", "qini", "slices", "sources", "search", "roc", "precision_recall"]
NAMES: tuple[Name, ...] = ("against", "reliability", "qini", "slices", "sources", "search", "roc", "precision_recall")
TITLES: dict[Name, str] = {
    "against": "Against each baseline",
    "reliability": "Does it happen as often as it says?",
    "qini": "What ranking shoppers gains",
    "slices": "Where it is better and worse",
    "sources": "Who filled the places",
    "search": "The search for settings",
    "roc": "Found against disturbed (ROC)",
    "precision_recall": "Precision against recall",
}
NOTES: dict[Name, str] = {
    "against": "The difference with its 95% interval on the same tests. A line that touches zero proves nothing.",
    "reliability": "Points on the line: what it says is what comes. Upright lines, where there are any, are 95% "
    "intervals of what comes, were every row a shopper of its own; the bars below count the rows.",
    "qini": "The further the curve is above the straight line, the more is gained by choosing whom to treat. A curve "
    "along the line says that choosing gains nothing.",
    "slices": "The metric that decides, part by part, with 95% intervals. The dotted line is the whole.",
    "sources": "Fallback are places that no learned source could fill.",
    "search": "Every configuration on the validation part, in the order tried; the line is the best so far. The test "
    "part was not looked at.",
    "roc": "The share found of those where it happens, against the share disturbed of those where it does not.",
    "precision_recall": "How many of the chosen are right, against how many of all are found.",
}
MODEL = ARMS[3]
SURE = 1.96
FEWEST = 2
"""Trials that make a plot of a search."""


def drawn(training: Training) -> tuple[Name, ...]:
    """The plots that there is data for, in the order to read them."""
    return tuple(name for name in NAMES if _DATA[name](training))


def plot(name: Name, training: Training) -> Figure:
    """Draw one plot. Raises ``KeyError`` where there is no data for it: ask ``drawn`` first."""
    if name not in drawn(training):
        raise KeyError(name)
    with styled():
        return _DRAW[name](training)


# --- rows of intervals ---


def _against(training: Training) -> Figure:
    rows = [each for each in training.evaluation.versus if each.metric == training.evaluation.main]
    figure, (axes,) = blank(0.75 + 0.52 * len(rows))
    main = training.evaluation.main
    factor = _factor(main)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    ends = [0.0]
    for place, each in enumerate(rows):
        colour = DIRECTIONS[phrases.standing(each)]
        low, high, middle = (end * factor for end in (each.low, each.high, each.difference))
        said = f"{phrases.change(main, each.difference)} ({phrases.between(each)})"
        _row(axes, -place, (short(each.baseline), said), (low, middle, high), colour)
        ends += [low, high]
    _rows_axis(axes, len(rows), ends)
    axes.xaxis.set_major_formatter(FuncFormatter(_signed))
    unit = ", percentage points" if factor > 1 else ""
    axes.set_xlabel(f"difference in {phrases.metric(main).label}{unit}")
    return figure


def _slices(training: Training) -> Figure:
    main = training.evaluation.main
    rows = _told(training)
    figure, (axes,) = blank(0.75 + 0.52 * len(rows))
    factor = _factor(main)
    axes.axvline(training.evaluation.figures[main].value * factor, color=QUIET, linewidth=0.9, linestyle=":", zorder=1)
    ends = []
    for place, part in enumerate(rows):
        told = part.figures[main]
        low, high = (told.value if end is None else end for end in (told.low, told.high))
        words = (f"{short(part.name)}, {number(part.count)} tests", phrases.value(main, told.value))
        _row(axes, -place, words, (low * factor, told.value * factor, high * factor), MODEL)
        ends += [low * factor, high * factor]
    _rows_axis(axes, len(rows), ends)
    axes.set_xlabel(f"{phrases.metric(main).label}{', %' if factor > 1 else ''}")
    return figure


def _row(axes: Axes, y: float, words: tuple[str, str], ends: tuple[float, float, float], colour: str) -> None:
    """A line of words, what on the left and how much on the right, and the interval under it."""
    low, middle, high = ends
    paper = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.0}
    across = axes.get_yaxis_transform()
    axes.text(0, y + 0.42, words[0], transform=across, va="center", bbox=paper)
    axes.text(1, y + 0.42, words[1], transform=across, va="center", ha="right", color=QUIET, bbox=paper)
    axes.plot([low, high], [y, y], color=colour, linewidth=2.6, solid_capstyle="round", zorder=2)
    axes.plot([middle], [y], "o", ms=6, color=colour, mec=PAPER, mew=0.8, zorder=3)


def _rows_axis(axes: Axes, rows: int, ends: Sequence[float]) -> None:
    room = 0.06 * (max(ends) - min(ends) or 1.0)
    axes.set_xlim(min(ends) - room, max(ends) + room)
    axes.set_ylim(-rows + 0.55, 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", zorder=0)
    axes.set_axisbelow(True)


def _factor(metric: str) -> float:
    return 100.0 if phrases.metric(metric).worth == "share" else 1.0


def _signed(value: float, _place: int | None = None) -> str:
    text = f"{abs(value):.10g}"
    return f"+{text}" if value > 0 else f"\u2212{text}" if value < 0 else "0"


# --- chances ---


def _reliability(training: Training) -> Figure:
    bars = training.evaluation.reliability
    said, came = [bar.predicted for bar in bars], [bar.observed for bar in bars]
    errors = [SURE * (max(bar.observed * (1 - bar.observed), 0.0) / bar.count) ** 0.5 for bar in bars]
    uplift = training.evaluation.task == "uplift"
    figure, (axes, below) = blank(4.6, 2)
    if (grid := axes.get_gridspec()) is not None:
        grid.set_height_ratios([4, 1])
    low, high = _reach([*said, *came], errors=errors, uplift=uplift)
    axes.plot([low, high], [low, high], color=QUIET, linewidth=0.9, linestyle=":")
    axes.text(0.98, 0.05, "dotted: exactly right", transform=axes.transAxes, ha="right", color=QUIET)
    if not uplift:
        ends = [(max(at - error, low), min(at + error, high)) for at, error in zip(came, errors, strict=True)]
        axes.vlines(said, [end[0] for end in ends], [end[1] for end in ends], color=MODEL, linewidth=2.0, alpha=0.45)
    axes.plot(said, came, "o-", color=MODEL, linewidth=1.2, ms=6, mec=PAPER, mew=0.8)
    axes.set_ylim(low, high)
    axes.set_title(
        "Effect that came, points of the label" if uplift else "Share where it happens",
        loc="left",
        fontsize=SIZE,
        color=INK,
    )
    thick = (high - low) / 60
    below.bar(said, [bar.count for bar in bars], width=thick, color=FAINT)
    below.set_title("Rows", loc="left", fontsize=SIZE, color=INK)
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.yaxis.set_major_formatter(FuncFormatter(lambda count, _place: number(count)))
    below.set_xlabel("effect that it says" if uplift else "chance that it says")
    for each in (axes, below):
        each.set_xlim(low, high)
        each.xaxis.set_major_formatter(_percent(high - low))
        each.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        each.grid(axis="y")
        each.set_axisbelow(True)
    axes.yaxis.set_major_formatter(_percent(high - low))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(labelbottom=False)
    return figure


def _reach(values: Sequence[float], *, errors: Sequence[float], uplift: bool) -> tuple[float, float]:
    if uplift:
        room = 0.08 * (max(values) - min(values) or 0.1)
        return min(0.0, *values) - room, max(values) + room
    return 0.0, min(1.0, max(values) * 1.04 + max(errors, default=0.0) / 2 + 0.005)


def _percent(reach: float) -> PercentFormatter:
    return PercentFormatter(1.0, decimals=0 if reach > 0.06 else 1)


# --- curves ---


def _qini(training: Training) -> Figure:
    figure, (axes,) = blank(3.6)
    curves = [curve for curve in training.evaluation.curves if curve.name == "qini"]
    for place, curve in enumerate(curves):
        _line(axes, curve, place)
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y")
    axes.set_title("More of the label, a head of all shoppers", loc="left", fontsize=SIZE, color=INK)
    axes.set_xlabel("share of shoppers treated, those ranked first first")
    return figure


def _line(axes: Axes, curve: Curve, place: int) -> None:
    chance = place > 0
    axes.plot(
        curve.x,
        curve.y,
        color=QUIET if chance else MODEL,
        linewidth=0.9 if chance else 1.9,
        linestyle=":" if chance else "-",
    )
    at = len(curve.x) // 2 if len(curve.x) > FEWEST else None
    x, y = (curve.x[at], curve.y[at]) if at is not None else (_middle(curve.x), _middle(curve.y))
    shift, side, upright = ((8, -4), "left", "top") if chance else ((-6, 6), "right", "bottom")
    axes.annotate(
        curve.label, (x, y), shift, textcoords="offset points", color=QUIET if chance else MODEL, ha=side, va=upright
    )


def _middle(values: Sequence[float]) -> float:
    return (values[0] + values[-1]) / 2


def _roc(training: Training) -> Figure:
    figure, axes = _square(_curve(training, "roc"))
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=":")
    axes.annotate("by chance", (0.62, 0.6), color=QUIET, va="top")
    axes.set_title("Found, of those where it happens", loc="left", fontsize=SIZE, color=INK)
    axes.set_xlabel("disturbed, of those where it does not")
    return figure


def _precision_recall(training: Training) -> Figure:
    curve = _curve(training, "precision_recall")
    figure, axes = _square(curve)
    if curve.y:
        axes.axhline(curve.y[-1], color=QUIET, linewidth=0.9, linestyle=":")
        axes.annotate("choosing all", (0.01, curve.y[-1]), (0, 4), textcoords="offset points", color=QUIET)
    axes.set_title("Right, of those chosen (precision)", loc="left", fontsize=SIZE, color=INK)
    axes.set_xlabel("found, of those where it happens (recall)")
    return figure


def _square(curve: Curve) -> tuple[Figure, Axes]:
    figure, (axes,) = blank(0.72 * WIDTH)
    axes.plot(curve.x, curve.y, color=MODEL, linewidth=1.9)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y")
    return figure, axes


def _curve(training: Training, name: str) -> Curve:
    return next(curve for curve in training.evaluation.curves if curve.name == name)


# --- sources and search ---


def _sources(training: Training) -> Figure:
    sources: Mapping[str, float] = training.evaluation.sources
    figure, (axes,) = blank(0.3 + 0.34 * len(sources))
    for place, (name, part) in enumerate(sources.items()):
        axes.barh([-place], [part], height=0.62, color=CONTROL if name == "fallback" else MODEL)
        axes.text(part + 0.012, -place, f"{share(part)}  {short(name)}", va="center", color=INK)
    axes.set_xlim(0, max(sources.values()) * 1.55)
    axes.set_ylim(-len(sources) + 0.5, 0.5)
    axes.axis("off")
    return figure


def _search(training: Training) -> Figure:
    values = [trial.value for trial in training.trials]
    judged = phrases.searched(training)
    best = list(accumulate(values, min if judged.lower else max))
    figure, (axes,) = blank(2.9)
    tried = range(1, len(values) + 1)
    axes.plot(tried, values, "o", ms=5, mfc=PAPER, mec=QUIET, mew=1.0)
    axes.step(tried, best, where="post", color=MODEL, linewidth=1.9)
    axes.annotate(
        f"best {best[-1]:.4f}", (len(values), best[-1]), (0, 6), textcoords="offset points", ha="right", color=MODEL
    )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(y=0.15)
    axes.grid(axis="y")
    axes.set_title(f"{judged.label} on the validation part", loc="left", fontsize=SIZE, color=INK)
    axes.set_xlabel("configuration tried")
    return figure


def _told(training: Training) -> list[Slice]:
    return [part for part in training.evaluation.slices if training.evaluation.main in part.figures]


def _has(name: str) -> Callable[[Training], bool]:
    return lambda training: any(curve.name == name and curve.x for curve in training.evaluation.curves)


_DATA: dict[Name, Callable[[Training], bool]] = {
    "against": lambda training: any(each.metric == training.evaluation.main for each in training.evaluation.versus),
    "reliability": lambda training: bool(training.evaluation.reliability),
    "qini": _has("qini"),
    "slices": lambda training: bool(_told(training)) and training.evaluation.main in training.evaluation.figures,
    "sources": lambda training: bool(training.evaluation.sources),
    "search": lambda training: len(training.trials) >= FEWEST,
    "roc": _has("roc"),
    "precision_recall": _has("precision_recall"),
}
_DRAW: dict[Name, Callable[[Training], Figure]] = {
    "against": _against,
    "reliability": _reliability,
    "qini": _qini,
    "slices": _slices,
    "sources": _sources,
    "search": _search,
    "roc": _roc,
    "precision_recall": _precision_recall,
}
