"""``kill``, ``backup``, ``facts``: what an operator does beside serving."""

from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.backup import backup as copy
from cashwrap.cli.options import Data, Environment, Json, PlaybookFolder, Store, print_json, progress, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.condition.environment import did_you_mean
from cashwrap.errors import PlaybookError
from cashwrap.history import write_facts
from cashwrap.library import FACTS, open_world
from cashwrap.playbook import examine, read_files
from cashwrap.switches import Scope, Switch, Switches


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(kill)
    app.command()(backup)
    app.command()(facts)


def kill(  # noqa: PLR0913 - each one is an option of the command
    scope: Annotated[Scope, typer.Argument(help="all, placement or experience.")],
    name: Annotated[str, typer.Argument(help="Which one; left out for all.")] = "",
    *,
    data: Data = Path("data"),
    on: Annotated[bool, typer.Option("--on", help="Switch it on again.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
    playbook: PlaybookFolder = Path("playbook"),
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Switch off all decisions, a placement or an experience, effective at once, also while serving.

    A name that the playbook does not have is switched off all the same, with a warning.

    Example: `cashwrap kill experience thank_regulars --data data --reason "wrong price"`
    """
    with open_world(data, serving=False) as world:
        switches, tenant = Switches(world.registry), tenant_of(store, env)
        note = noted("switch.on" if on else "switch.off", f"{scope} {name}".strip(), tenant=tenant)
        switch = Switch(scope, name, world.clock.now(), reason, tenant, note.actor)
        trail_of(world).around(note, lambda: switches.set(switch, off=not on))
        off = switches.of(tenant)
    if not on and (warning := _unknown(scope, name, playbook)):
        typer.secho(warning, fg="yellow", err=True)
    typer.echo("Off: " + (", ".join(f"{each.scope} {each.name}".strip() for each in off) or "nothing"))


def _unknown(scope: Scope, name: str, folder: Path) -> str:
    """A warning about a name that is not in the playbook, as far as there is one here to tell."""
    try:
        playbook, _ = examine(read_files(folder))
    except PlaybookError:
        return ""
    if playbook is None or scope == "all":
        return ""
    names = playbook.declarations.placements if scope == "placement" else playbook.declarations.experiences
    return "" if name in names else f"The playbook in {folder} has no {scope} {name!r}; {did_you_mean(name, names)}"


def backup(
    destination: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    *,
    data: Data = Path("data"),
    keys: Annotated[
        Path | None, typer.Option(help="Another folder for the keys: kept apart, a copy opens nothing.")
    ] = None,
) -> None:
    """Copy a data folder, also while it is served, and print the copy's digest.

    Everything but the fact table: the store, the ledger, the audit log and the keys.

    Example: `cashwrap backup backups/monday --keys vault/monday --data data`
    """
    keys_to = keys if keys is not None else destination
    with open_world(data, serving=False) as world:
        note = noted("backup.make", details={"keys": "apart" if keys is not None else "with it"})
        made = trail_of(world).around(note, lambda: copy(data, destination, keys=data, keys_destination=keys_to))
    typer.echo(made.digest)


def facts(
    *,
    data: Data = Path("data"),
    again: Annotated[bool, typer.Option("--again", help="Write all of it anew, from what the log still has.")] = False,
    json: Json = False,
) -> None:
    """Add what is new in the log to the fact table for analysis: Parquet by day, in the data folder's folder facts.

    Needs the extra `parquet`. Works also while serving: run it as often as you like. Only events whose shopper allows
    analytics are in it, without payload or identity, and what metrics of the live playbook ask for. `--again` writes
    all of it anew, which is what new metrics need and what loses facts that are older than the log.

    Example: `cashwrap facts --data data`
    """
    with open_world(data, serving=False) as world, progress(quiet=json) as told:
        note = noted("facts.write", details={"again": "yes"} if again else {})
        count = trail_of(world).around(note, lambda: write_facts(world, data / FACTS, again=again, told=told))
    print_json({"facts": count}) if json else typer.echo(f"{count} new facts in {data / FACTS}")
