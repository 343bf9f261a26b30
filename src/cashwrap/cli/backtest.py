"""``backtest``: what a draft would have decided, before it is published."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cashwrap.cli.options import Data, Environment, Json, Store, moment, print_json, progress, tenant_of
from cashwrap.errors import InvalidInput
from cashwrap.history.backtest import LIMIT, Scope, backtest
from cashwrap.history.tally import SKIPPED, Backtest, Count, Granted, Placement, differing
from cashwrap.library import open_world
from cashwrap.model import Millis
from cashwrap.offers.benefits import major
from cashwrap.playbook import load_playbook

LINES = 10
"""Moves and segments that are printed; --json has all."""
_AGO = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS = {"h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DEFAULT = "the shop default"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command(name="backtest")(backtest_)


def backtest_(  # noqa: PLR0913 - each one is an option of the command
    draft: Annotated[Path, typer.Argument(help="The folder with the draft of a playbook.")],
    *,
    data: Data = Path("data"),
    since: Annotated[str, typer.Option("--since", help="Only decisions of so long ago, such as 12h, 7d or 2w.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Only so many of the newest.")] = LIMIT,
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Say what a draft would have decided over recorded traffic: placements won and lost, audiences, arms.

    Works also while serving, and changes nothing. Decisions are recorded by `shop.decision_records`, with what each
    depended on; profiles are folded from the log with the draft's own features, up to the moment of each decision.

    Example: `cashwrap backtest draft --data data --since 7d`
    """
    playbook = load_playbook(draft)
    with open_world(data, serving=False) as world, progress(quiet=json) as told:
        begin = world.clock.now() - _ago(since) if since else 0
        report = backtest(world, playbook, Scope(tenant_of(store, env), begin, limit, told))
    if json:
        print_json(report)
    else:
        _print(report)


def _ago(text: str) -> Millis:
    found = _AGO.fullmatch(text)
    if found is None:
        raise InvalidInput("--since is written as 12h, 7d or 2w", code="invalid_request")
    return int(found[1]) * _UNITS[found[2]]


def _print(report: Backtest) -> None:
    console = Console(width=110, highlight=False)
    told = f"{_many(report.decisions, 'decision')} of {_many(report.shoppers, 'shopper')}"
    console.print(
        f"[bold]{told}, {moment(report.first)} to {moment(report.last)}, under draft {report.playbook}[/bold]"
    )
    console.print(
        f"{report.changed:,} would have been another ({_percent(report.changed, report.decisions)}), "
        f"{report.shown:,} would have shown something else ({_percent(report.shown, report.decisions)}), "
        f"to {_many(report.touched, 'shopper')} ({_percent(report.touched, report.shoppers)})"
    )
    for placement in report.placements:
        console.print(_placement(placement))
    for title, counts in (("arms", report.arms), ("kept back", report.ghosts)):
        if counts:
            console.print(_counts(title, counts))
    if report.offers:
        console.print(_offers(report.offers))
    _print_audiences(console, report)
    for note in _notes(report):
        typer.secho(f"note: {note}", fg="yellow", err=True)


def _placement(placement: Placement) -> Table:
    table = _table(f"{placement.name}: {placement.changed:,} of {placement.compared:,} changed", "then", "draft")
    for share in placement.experiences:
        moved = f"won {share.won:,}, lost {share.lost:,}" if share.won or share.lost else ""
        table.add_row(f"  {share.experience}", f"{share.before:,}", f"{share.after:,}", moved)
    for move in placement.moves[:LINES]:
        moved = _many(move.decisions, "decision")
        table.add_row(f"  {move.before or _DEFAULT} -> {move.after or _DEFAULT}", "", "", moved)
    if len(placement.moves) > LINES:
        table.add_row(f"  ... and {len(placement.moves) - LINES} more; --json has them", "", "", "")
    return table


def _counts(title: str, counts: list[Count]) -> Table:
    table = _table(title, "then", "draft")
    for count in counts:
        table.add_row(f"  {count.experience}: {count.name}", f"{count.before:,}", f"{count.after:,}", "")
    return table


def _offers(offers: list[Granted]) -> Table:
    table = _table("offers granted, and the most they take off", "then", "draft")
    for each in offers:
        sums = [f"{major(amount, each.currency)} {each.currency}" for amount in (each.amount_before, each.amount_after)]
        table.add_row(f"  {each.offer}", f"{each.before:,}", f"{each.after:,}", f"{sums[0]} -> {sums[1]}")
    return table


def _print_audiences(console: Console, report: Backtest) -> None:
    """The segments that differ first; who is in none of them needs no line."""
    told = differing(report.audiences)
    if not told:
        return
    table = _table("shoppers by segment", "then", "draft")
    for each in told[:LINES]:
        before = "not read" if each.before is None else f"{each.before:,}"
        table.add_row(f"  {each.segment}", before, f"{each.after:,}", "")
    if len(told) > LINES:
        table.add_row(f"  ... and {len(told) - LINES} more; --json has them", "", "", "")
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column(title, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("")
    return table


def _notes(report: Backtest) -> Iterator[str]:
    for reason, count in report.skipped.items():
        yield f"{_many(count, 'decision')} left out: {SKIPPED.get(reason, reason)}"
    if report.products_changed:
        made = f"{_many(report.products_changed, 'decision')} made with other products"
        yield f"{made}: compared with what their playbook makes of today's"
    if len(report.playbooks) > 1:
        yield f"made by {len(report.playbooks)} versions of the playbook; each decision is compared as it was"
    if report.arms or report.ghosts:
        yield "what had been shown, and in which arm, is as it was then: a draft that shows more would cap more"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
