"""``score``: what live models say of everybody, as a file."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.cli.options import Data, Environment, Store, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.errors import InvalidInput
from cashwrap.history.scoring import Scored, Wanted, header, row, score_everybody
from cashwrap.library import open_world
from cashwrap.versions import Versions


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(score)


def score(  # noqa: PLR0913 - each one is an option of the command
    predictions: Annotated[list[str] | None, typer.Argument(help="The predictions wanted.", show_default=False)] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="The CSV file to write.", dir_okay=False)],
    recommend: Annotated[str, typer.Option(help="Products of this recommender, too: basket or next_item.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Products a shopper.")] = 10,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Write what live models say of every shopper who allows it: what a mail programme or a CRM asks for.

    The file names people: it is for its owner's eyes, and forgetting does not reach it.

    Example: `cashwrap score abandon_propensity --recommend basket --out scores.csv --data data`
    """
    tenant, wanted = tenant_of(store, env), Wanted(tuple(predictions or ()), recommend, limit)
    if not wanted.predictions and not recommend:
        raise InvalidInput("say what is wanted: predictions, or --recommend basket", code="nothing_wanted")
    with open_world(data, serving=False) as world:
        versions = Versions(world.registry, world.clock)
        live = versions.live()
        if live is None:
            raise InvalidInput("no playbook was ever live here: publish one", code="no_playbook")
        found = score_everybody(world, versions.load(live.hash), tenant, wanted)
        note = noted("shoppers.score", ",".join(filter(None, (*wanted.predictions, recommend))), tenant=tenant)
        count = trail_of(world).around(note, lambda: _written(out, found, wanted))
    typer.echo(f"{count:,} {'shopper is' if count == 1 else 'shoppers are'} in {out}")
    if not count:
        typer.secho("nobody allows it yet: see 'consent' in the playbook and in events", dim=True, err=True)


def _written(path: Path, found: Iterator[Scored], wanted: Wanted) -> int:
    """Write a table of scores that nobody else can read; how many shoppers are in it."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.fchmod(handle, 0o600)  # also of a file that was there, and that everybody could read
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(header(wanted))
            count = 0
            for count, each in enumerate(found, 1):  # noqa: B007 - the last number is how many there were
                table.writerow(row(each, wanted))
            return count
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", code="unwritable_file") from error
