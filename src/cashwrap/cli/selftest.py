"""``selftest``: faults on purpose, on the user's own machine and disk, and never on their data."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.cli.options import Data, Json, print_json
from cashwrap.errors import InvalidInput
from cashwrap.testing.chaos.run import Report, beside
from cashwrap.testing.chaos.run import selftest as run
from cashwrap.testing.chaos.tally import Tally

_COLUMNS = "{:<36}{:>9}{:>9}{:>14}{:>7}{:>8}"


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(selftest)


def selftest(
    *,
    chaos: Annotated[bool, typer.Option("--chaos", help="Kill, cut the power, fill the disk, race.")] = False,
    data: Data = Path("data"),
    minutes: Annotated[float, typer.Option(help="How long to go on.", min=0.05, max=10_000)] = 5.0,
    seed: Annotated[int | None, typer.Option(help="Where to begin; left out, anywhere.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Prove on this machine and disk that nothing acknowledged is lost: faults on purpose, then count.

    Works in a temporary folder beside the data folder, never on the data. Exit code 1, with the seed, where anything
    is lost, there twice, or otherwise wrong.

    Example: `cashwrap selftest --chaos --data data --minutes 5`
    """
    if not chaos:
        raise InvalidInput("say what to test: --chaos", code="invalid_input")
    first = seed if seed is not None else int.from_bytes(SystemRandom().token(3), "big")
    folder = beside(data)
    told = ""

    def tell(sum_so_far: Tally) -> None:
        nonlocal told
        if sum_so_far.what != told and not as_json:
            told = sum_so_far.what
            typer.echo(f"{told} ...", err=True)

    try:
        report = run(folder, minutes * 60, first, SystemClock(), tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.fine:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    typer.echo(_COLUMNS.format("", "runs", "faults", "acknowledged", "lost", "double"))
    for each in report.runs:
        typer.echo(_COLUMNS.format(each.what, each.runs, each.faults, each.acknowledged, each.lost, each.double))
    for what, why in report.skipped.items():
        typer.echo(f"{what}: not run here ({why})")
    for each in report.runs:
        for line in each.wrong:
            typer.secho(f"{each.what}: {line}", fg="red")
    runs, seconds = sum(each.runs for each in report.runs), int(report.seconds)
    typer.echo(f"{runs} runs in {seconds // 60} min {seconds % 60} s from seed {report.seed}: {report.lost} lost")
    if not report.fine:
        typer.secho(f"Something is wrong. To see it again: cashwrap selftest --chaos --seed {report.seed}", fg="red")
