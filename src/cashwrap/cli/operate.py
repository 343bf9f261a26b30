"""``kill``, ``backup``, ``failed``, ``facts``: what an operator does beside serving."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.backup import backup as copy
from cashwrap.cli.options import Data, Environment, Json, Store, print_json, tenant_of
from cashwrap.cli.world import FACTS, open_world
from cashwrap.history import write_facts
from cashwrap.switches import Scope, Switch, Switches


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(kill)
    app.command()(backup)
    app.command()(failed)
    app.command()(facts)


def kill(  # noqa: PLR0913 - each one is an option of the command
    scope: Annotated[Scope, typer.Argument(help="all, placement or experience.")],
    name: Annotated[str, typer.Argument(help="Which one; left out for all.")] = "",
    *,
    data: Data = Path("data"),
    on: Annotated[bool, typer.Option("--on", help="Switch it on again.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Switch off all decisions, a placement or an experience, effective at once, also while serving.

    Example: `cashwrap kill experience thank_regulars --data data --reason "wrong price"`
    """
    with open_world(data, serving=False) as world:
        switches, tenant = Switches(world.registry), tenant_of(store, env)
        switches.set(Switch(scope, name, world.clock.now(), reason, tenant), off=not on)
        off = switches.of(tenant)
    typer.echo("Off: " + (", ".join(f"{each.scope} {each.name}".strip() for each in off) or "nothing"))


def backup(
    destination: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    *,
    data: Data = Path("data"),
    keys: Annotated[
        Path | None, typer.Option(help="Another folder for the keys: kept apart, a copy opens nothing.")
    ] = None,
) -> None:
    """Copy a data folder, also while it is served, and print the copy's digest.

    Example: `cashwrap backup backups/monday --keys vault/monday --data data`
    """
    digest = copy(data, destination, keys=data, keys_destination=keys if keys is not None else destination)
    typer.echo(digest)


def failed(*, data: Data = Path("data"), json: Json = False) -> None:
    """List the events that could not be kept, with their reasons.

    Example: `cashwrap failed --data data`
    """
    with open_world(data, serving=False) as world:
        rows = [
            {
                "sequence": each.sequence,
                "received": each.received,
                "store": each.tenant.store,
                "environment": each.tenant.environment,
                "code": each.code,
                "path": each.path,
                "message": each.message,
                "size": each.size,
            }
            for each in world.failed.failures()
        ]
    if json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['sequence']}  {row['code']}  {row['path']}  {row['message']}")
    typer.echo(f"{len(rows)} failed events")


def facts(*, data: Data = Path("data"), json: Json = False) -> None:
    """Derive the fact table for analysis from the log: Parquet by day, in the folder facts of the data folder.

    Needs the extra `parquet`. Only events whose shopper allows analytics are in it, without payload or identity.

    Example: `cashwrap facts --data data`
    """
    with open_world(data) as world:
        fresh, old = data / f"{FACTS}.new", data / f"{FACTS}.old"
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        count = write_facts(world, fresh)
        if (data / FACTS).exists():
            (data / FACTS).rename(old)
        if fresh.exists():
            fresh.rename(data / FACTS)
        shutil.rmtree(old, ignore_errors=True)
    print_json({"facts": count}) if json else typer.echo(f"{count} facts in {data / FACTS}")
