"""A report in a terminal: the verdict first, readable at 80 columns, without colour, and through a pipe."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from cashwrap.analysis.render import phrases, tables, words
from cashwrap.analysis.render.tables import Table
from cashwrap.analysis.results import Effect, Interval, Problem, Report, Result

NARROWEST = 60
WIDEST = 110
"""Columns: beyond this lines are hard to follow."""
LABEL, CHANGE, INTERVAL = 22, 12, 20
"""Columns of a metric's line; its bar has the rest."""
STYLES = {"better": "blue", "worse": "red", "unclear": "", "ship": "bold blue", "roll_back": "bold red"}


def render_terminal(report: Report, width: int = 80) -> Group:
    """Everything that a terminal shows, for ``rich``'s ``Console.print``; ``width`` in columns."""
    wide = max(NARROWEST, min(width, WIDEST))
    parts: list[RenderableType] = [*_top(report), *_metrics(report, wide)]
    parts += _section("Guardrails", tables.guardrails(report))
    parts += _section("Units by arm", tables.arms(report))
    parts += _section("On the way to being counted", tables.losses(report))
    parts += _trust(report)
    parts += [Text(), _title("Design"), *_facts(report)]
    return Group(*parts)


def _top(report: Report) -> Iterator[RenderableType]:
    verdict = report.verdict
    head = Text(phrases.title(report), style="bold")
    head.append(f"  store {report.tenant.store} ({report.tenant.environment})", style="dim not bold")
    yield head
    if report.started is not None:
        yield Text(f"since {words.day(report.started)}, counted through {words.day(report.through)}", style="dim")
    yield Text()
    yield Text(verdict.sentence, style=STYLES.get(verdict.code, "bold"))
    if verdict.stake is not None:
        between = verdict.stake_interval
        line = f"At stake in a year: {words.stake(verdict.stake, between, report.currency)}"
        line += f" ({words.stake_range(verdict.stake, between, report.currency)})" if between is not None else ""
        yield Text(line)
    if verdict.harm is not None:
        yield Text(f"Chance of harm: {words.chance(verdict.harm)} ({words.NOT_A_RULE})")
    yield Text()
    yield _title("What to do next")
    for place, step in enumerate(phrases.next_steps(report), 1):
        yield _item(f"{place}.", Text(step))
    if report.doubts:
        yield Text()
        yield _title("Reasons for doubt")
        yield from _problems(report.doubts)


def _problems(found: Sequence[Problem]) -> Iterator[RenderableType]:
    for problem in found:
        said = Text(f"{problem.message} ")
        said.append(f"[{problem.code}]", style="dim")
        yield _item("!", said)


def _item(mark: str, said: Text) -> RenderableType:
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(width=2, justify="right")
    grid.add_column()
    grid.add_row(mark, said)
    return grid


def _title(text: str) -> Text:
    return Text(text, style="bold underline")


# --- metrics, each with its interval against zero ---


def _metrics(report: Report, width: int) -> Iterator[RenderableType]:
    told = [result for result in report.results if result.effects]
    if told:
        yield Text()
        yield _title("Metrics against control")
        yield from _forest(told, report.currency, width)
        yield Text(
            "Bars: relative change with its interval; ▲ better, ▼ worse, • unclear. Intervals hold under the design's "
            f"looks. The chance of harm is {words.NOT_A_RULE}.",
            style="dim",
        )
    untold = tables.untold(report)
    if untold:
        yield Text()
        yield _title("Without a number")
        yield from _problems(untold)


def _forest(results: Sequence[Result], currency: str, width: int) -> Iterator[RenderableType]:
    """A line for each metric; where there are several arms, one for each under the metric's name."""
    half = (width - LABEL - CHANGE - INTERVAL - 4) // 2
    reach = _reach(results)
    several = max(len(result.effects) for result in results) > 1
    yield _line(Text(), Text("change"), Text("interval"), _scale_line(half, reach), style="dim")
    for result in results:
        scale = words.scale_of(result, currency)
        named = Text(phrases.label(result), style="bold" if result.role == "primary" else "")
        if result.role != "secondary":
            named.append(f" ({phrases.ROLES[result.role]})", style="dim not bold")
        if several:
            yield named
        for effect in result.effects:
            direction = phrases.direction(effect, result)
            change = Text(f"{scale.change(effect.absolute)} {tables.MARKS[direction][0]}", style=STYLES[direction])
            drawn = Text(_bar(effect, half, reach), style=STYLES[direction])
            yield _line(
                Text(f"  {effect.arm}") if several else named, change, Text(scale.between(effect.interval)), drawn
            )


def _line(label: Text, change: Text, interval: Text, drawn: Text, style: str = "") -> Grid:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=LABEL, style=style)
    grid.add_column(width=CHANGE, justify="right", no_wrap=True, style=style)
    grid.add_column(width=INTERVAL, justify="right", no_wrap=True, style=style)
    grid.add_column(no_wrap=True, style=style)
    grid.add_row(label, change, interval, drawn)
    return grid


def _bar(effect: Effect, half: int, reach: float) -> str:
    """``├──●──┤`` on a line whose middle ``│`` is zero; ends beyond the line are arrows."""
    if effect.relative is None or effect.relative_interval is None:
        return ""
    low, high = (_cell(end, half, reach) for end in effect.relative_interval)
    cells = ["─" if low <= at <= high else " " for at in range(2 * half + 1)]
    cells[high] = "→" if effect.relative_interval.high > reach else "┤"
    cells[low] = "←" if effect.relative_interval.low < -reach else "├" if low < high else cells[high]
    cells[half] = "┼" if low <= half <= high else "│"
    if abs(effect.relative) <= reach:
        cells[_cell(effect.relative, half, reach)] = "●"
    return "".join(cells)


def _cell(value: float, half: int, reach: float) -> int:
    return half if math.isnan(value) else half + round(max(-1.0, min(1.0, value / reach)) * half)


def _reach(results: Sequence[Result]) -> float:
    ends = [
        abs(end)
        for result in results
        for effect in result.effects
        for end in effect.relative_interval or Interval(0.0, 0.0)
        if math.isfinite(end) and end
    ]
    ordered = sorted(ends) or [1.0]
    return min(ordered[-1], 4 * ordered[len(ordered) // 2])


def _scale_line(half: int, reach: float) -> Text:
    end = f"{reach * 100:.{0 if reach > 0.1 else 1}f}%"
    return Text(f"{words.MINUS + end:<{half}}0{'+' + end:>{half}}")


# --- the rest ---


def _section(title: str, table: Table) -> Iterator[RenderableType]:
    if table.rows:
        yield Text()
        yield _title(title)
        yield _grid(tables.lean(table))


def _grid(table: Table) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="dim", show_edge=False)
    for at, name in enumerate(table.head):
        grid.add_column(name, justify="left" if at in table.left else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _trust(report: Report) -> Iterator[RenderableType]:
    if report.ratio is None:
        return
    yield Text()
    yield _title("Shares of the arms")
    yield Text(phrases.ratio_said(report.ratio))
    yield from _problems(report.ratio.suspects)


def _facts(report: Report) -> Iterator[RenderableType]:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, said in (*phrases.facts(report), *phrases.outlook(report)):
        grid.add_row(name, Text(said))
    yield Padding(grid, 0)
    if report.plan is not None:
        yield from _problems(report.plan.notes)
