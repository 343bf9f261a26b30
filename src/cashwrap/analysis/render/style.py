"""How plots look: one palette that colour-blind readers can tell apart, one type size, and SVG that never changes."""

import itertools
import re
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1f2933"
QUIET = "#52606d"
FAINT = "#cbd2d9"
PAPER = "#ffffff"
DIRECTIONS = {"better": "#0b5fa5", "worse": "#b3400b", "unclear": "#6b7785"}
"""What an interval says; the words stand beside it, so that colour is never alone."""
CONTROL = "#52606d"
ARMS = ("#00736b", "#7a3e9d", "#9a6700", "#0b5fa5", "#b3400b")
"""Arms in the playbook's order; each has a dash of its own as well."""
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 1)))
WIDTH = 5.4
"""Inches. Narrow on purpose: two beside each other on a desk, one on a phone, and its text is readable on both."""
DOTS = 200
SIZE = 10.0
LONGEST = 34
"""Characters of a name in a plot; tables have it whole."""

_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": SIZE,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": QUIET,
    "axes.labelsize": SIZE - 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": SIZE - 0.5,
    "ytick.labelsize": SIZE - 0.5,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "cashwrap",
    "figure.dpi": 72,
    "savefig.bbox": None,
    "savefig.facecolor": "auto",
}


def styled() -> Any:
    """A context in which figures are drawn and written alike, whatever the machine's own settings are."""
    return rc_context(_STYLE)


def blank(height: float, rows: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """A figure of our width with so many plots above each other, and no state shared with any other."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(rows, 1, squeeze=False)
    return figure, [row[0] for row in axes]


def short(name: str) -> str:
    """A name cut to what a plot has room for."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places for labels, near the given ones and at least ``gap`` apart, in the order given."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    found = list(places)
    for before, index in itertools.pairwise(order):
        found[index] = max(found[index], found[before] + gap)
    lift = sum(found[index] - places[index] for index in order) / max(len(order), 1)
    return [place - lift for place in found]


def svg(figure: Figure) -> str:
    """The figure as one ``<svg>`` element: text as text, the same bytes each time, nothing fetched."""
    out = StringIO()
    with styled():
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r"[ \t]+\n", "\n", text)


def inline(picture: str, prefix: str) -> str:
    """An SVG to stand in a page: ids of its own, the page's typeface, hidden from readers who get its words."""
    text = re.sub(r'\bid="', f'id="{prefix}-', picture)
    text = text.replace("url(#", f"url(#{prefix}-").replace('href="#', f'href="#{prefix}-')
    text = re.sub(r'\s+xmlns(?::\w+)?="[^"]*"', "", text, count=2)
    text = text.replace("'DejaVu Sans', ", "").replace("'DejaVu Sans'", "inherit")
    text = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", text, count=1)
    return re.sub(r'<svg([^>]*?) height="[^"]*"', r'<svg\1 aria-hidden="true" focusable="false"', text, count=1)


def png(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, sharp enough to print."""
    out = BytesIO()
    with styled():
        figure.savefig(out, format="png", dpi=DOTS, metadata={"Software": None})
    path.write_bytes(out.getvalue())
