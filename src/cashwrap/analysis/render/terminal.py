"""A report in a terminal: the verdict first, readable at 80 columns, without colour, and through a pipe."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from cashwrap.analysis.render import tables, words
from cashwrap.analysis.render.tables import Table
from cashwrap.analysis.results import Effect, Interval, Problem, Report, Result

NARROWEST = 60
WIDEST = 110
"""Columns: beyond this lines are hard to follow."""
STYLES = {"better": "blue", "worse": "red", "unclear": "", "ship": "bold blue", "roll_back": "bold red"}


def render_terminal(report: Report, width: int = 80) -> Group:
    """Everything that a terminal shows, for ``rich``'s ``Console.print``; ``width`` in columns."""
    wide = max(NARROWEST, min(width, WIDEST))
    parts: list[RenderableType] = [*_top(report), *_metrics(report, wide)]
    parts += _section("Guardrails", tables.guardrails(report))
    parts += _section("Units by arm", tables.arms(report))
    parts += _trust(report)
    parts += [Text(), _title("Design"), *_facts(report)]
    return Group(*parts)


def _top(report: Report) -> Iterator[RenderableType]:
    verdict = report.verdict
    head = Text(words.title(report), style="bold")
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
    for place, step in enumerate(words.next_steps(report), 1):
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


# --- metrics, each with its interval against nought ---


def _metrics(report: Report, width: int) -> Iterator[RenderableType]:
    told = [result for result in report.results if result.effects]
    if told:
        bar = width - 2 - 20 - 14 - 20 - 6
        reach = _reach(told)
        yield Text()
        yield _title("Metrics against control")
        grid = Grid(box=None, padding=(0, 1), pad_edge=False, show_header=True, header_style="dim")
        grid.add_column("metric", width=22, overflow="fold")
        grid.add_column("change", justify="right", no_wrap=True)
        grid.add_column("interval", justify="right", no_wrap=True)
        grid.add_column(_scale_line(bar, reach), width=bar, no_wrap=True)
        several = max(len(result.effects) for result in told) > 1
        for result in told:
            for row in _rows(result, report.currency, bar, reach, several=several):
                grid.add_row(*row)
        yield grid
        yield Text(
            "Bars: relative change and its interval; ▲ better, ▼ worse, • unclear. Intervals hold under", style="dim"
        )
        yield Text(f"the design's looks. The chance of harm is {words.NOT_A_RULE}.", style="dim")
    untold = tables.untold(report)
    if untold:
        yield Text()
        yield _title("Without a number")
        yield from _problems(untold)


def _rows(result: Result, currency: str, bar: int, reach: float, *, several: bool) -> Iterator[tuple[Text, ...]]:
    scale = words.scale_of(result, currency)
    role = "" if result.role == "secondary" else f" ({words.ROLES[result.role]})"
    named = Text(result.label, style="bold" if result.role == "primary" else "")
    named.append(role, style="dim not bold")
    if several:
        yield named, Text(), Text(), Text()
    for effect in result.effects:
        direction = words.direction(effect, result)
        mark = tables.MARKS[direction][0]
        label = Text(f"  {effect.arm}") if several else named
        change = Text(f"{scale.change(effect.absolute)} {mark}", style=STYLES[direction])
        drawn = Text(_bar(effect, bar, reach), style=STYLES[direction])
        yield label, change, Text(scale.between(effect.interval)), drawn


def _bar(effect: Effect, width: int, reach: float) -> str:
    """``──●──`` on a line whose middle ``│`` is nought; ends beyond it are arrows."""
    if effect.relative is None or effect.relative_interval is None:
        return ""
    cells = [" "] * width
    low, high = (_cell(end, width, reach) for end in effect.relative_interval)
    cells[low : high + 1] = "─" * (high - low + 1)
    cells[width // 2] = "┼" if low <= width // 2 <= high else "│"
    cells[low] = "←" if effect.relative_interval.low < -reach else "├" if low != width // 2 else cells[low]
    cells[high] = "→" if effect.relative_interval.high > reach else "┤" if high != width // 2 else cells[high]
    cells[_cell(effect.relative, width, reach)] = "●"
    return "".join(cells)


def _cell(value: float, width: int, reach: float) -> int:
    half = width // 2
    return half + round(max(-1.0, min(1.0, value / reach)) * half) if not math.isnan(value) else half


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


def _scale_line(width: int, reach: float) -> Text:
    end = f"{reach * 100:.2g}%"
    left, right = f"{words.MINUS}{end}", f"+{end}"
    half = width // 2
    return Text(f"{left}{'0':>{half + 1 - len(left)}}{right:>{width - half - 1}}")


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
    yield Text(f"p {words.p_value(report.ratio.p)}: {words.ratio_said(report.ratio)}")
    yield from _problems(report.ratio.suspects)


def _facts(report: Report) -> Iterator[RenderableType]:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, said in (*words.facts(report), *words.outlook(report)):
        grid.add_row(name, Text(said))
    yield Padding(grid, 0)
    if report.plan is not None:
        yield from _problems(report.plan.notes)
