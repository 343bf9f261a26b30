"""A training in a terminal: the verdict first, readable at 80 columns, without colour, and through a pipe."""

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from cashwrap.analysis.render.tables import Table
from cashwrap.learning.render import phrases, tables
from cashwrap.learning.results import Training

OTHERS = 6
"""Figures beside the one that decides."""


def terminal(training: Training) -> Group:
    """Everything that a terminal shows, for ``rich``'s ``Console.print``."""
    return Group(*_parts(training))


def _parts(training: Training) -> Iterator[RenderableType]:
    evaluation = training.evaluation
    head = Text(training.name, style="bold")
    head.append(f"  {phrases.title(training)}", style="dim not bold")
    yield head
    style = "bold blue" if training.gate.passed else "bold red"
    yield Text(f"{phrases.heading(training)}: {phrases.sentence(training)}", style=style)
    for code, why in training.gate.reasons:
        yield _item("!", Text(f"{why} ").append(f"[{code}]", style="dim"))
    against = tables.versus(evaluation, main=True)
    if against.rows:
        yield Text()
        yield _grid(_narrow(against))
    others = [name for name in evaluation.figures if name != evaluation.main][:OTHERS]
    if others:
        yield Text()
        yield Text(", ".join(_figure(training, name) for name in others))
    said = phrases.calibration(evaluation)
    if said:
        yield Text(said)
    yield Text(f"Tested on {evaluation.count:,}; {phrases.cost(training)}.", style="dim")
    for note in evaluation.notes:
        yield Text(note, style="dim")
    yield Text()
    for place, step in enumerate(phrases.next_steps(training), 1):
        yield _item(f"{place}.", Text(step.replace("`", "")))


def _figure(training: Training, name: str) -> str:
    return f"{phrases.metric(name).label} {phrases.value(name, training.evaluation.figures[name].value)}"


def _narrow(table: Table) -> Table:
    """Without the metric, which every row shares and the sentence above names."""
    return Table(table.caption, table.head[1:], tuple(row[1:] for row in table.rows), frozenset({0, 5}))


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="dim", show_edge=False)
    for at, name in enumerate(table.head):
        grid.add_column(name, justify="left" if at in table.left else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _item(mark: str, said: Text) -> RenderableType:
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(width=2, justify="right")
    grid.add_column()
    grid.add_row(mark, said)
    return grid
