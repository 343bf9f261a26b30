"""Trainings for other programs: JSON and pictures."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cashwrap.analysis.render.style import png
from cashwrap.learning.render import plots
from cashwrap.learning.results import Training

FORMAT = 1
"""Counts up when a field changes its meaning or goes; new ones may come without."""


def to_json(trainings: Sequence[Training]) -> bytes:
    """All of them whole, indented, with a line break at the end; what is infinite or no number is ``null``."""
    whole = {"format": FORMAT, "models": [msgspec.structs.asdict(training) for training in trainings]}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def plots_to(training: Training, folder: Path) -> tuple[Path, ...]:
    """Write every plot that there is data for as ``NAME.png``; the folder is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in plots.drawn(training):
        path = folder / f"{name}.png"
        png(plots.plot(name, training), path)
        written.append(path)
    return tuple(written)
