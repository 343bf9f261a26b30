"""``kill``, ``backup``, ``failed``, ``facts``: what an operator does beside serving."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.backup import backup as copy
from cashwrap.cli.options import Data, Environment, Json, PlaybookFolder, Store, print_json, tenant_of
from cashwrap.condition.environment import did_you_mean
from cashwrap.engine import World
from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.history import write_facts
from cashwrap.library import FACTS, open_world
from cashwrap.playbook import examine, read_files
from cashwrap.ports import Failure
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
        switches.set(Switch(scope, name, world.clock.now(), reason, tenant), off=not on)
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

    Example: `cashwrap backup backups/monday --keys vault/monday --data data`
    """
    digest = copy(data, destination, keys=data, keys_destination=keys if keys is not None else destination)
    typer.echo(digest)


def failed(
    *,
    data: Data = Path("data"),
    discard: Annotated[
        list[int] | None, typer.Option("--discard", help="Remove this one, by its number, for good; repeat it.")
    ] = None,
    discard_all: Annotated[bool, typer.Option("--discard-all", help="Remove all of them.")] = False,
    json: Json = False,
) -> None:
    """List the events that could not be kept, with their reasons, or discard the ones you have settled.

    Works also while serving. Nothing discards them but you.

    Example: `cashwrap failed --data data --discard 17`
    """
    with open_world(data, serving=False) as world:
        found = list(_failures(world))
        if discard or discard_all:
            _discard(world, found, discard)
            return
    if json:
        print_json([_told(each) for each in found])
        return
    for each in found:
        typer.echo(f"{each.sequence}  {each.code}  {each.path}  {each.message}")
    typer.echo(f"{len(found)} failed event{'s' if len(found) != 1 else ''}")


def _failures(world: World) -> Iterator[Failure]:
    """All of them, a page at a time."""
    after = 0
    while page := world.failed.failures(after):
        yield from page
        after = page[-1].sequence


def _discard(world: World, found: list[Failure], wanted: list[int] | None) -> None:
    known = {each.sequence for each in found}
    if missing := [number for number in wanted or () if number not in known]:
        raise InvalidInput(f"there is no failed event {missing[0]}; nothing was discarded", code="no_such_event")
    numbers = wanted or sorted(known)
    world.failed.discard(numbers)
    typer.echo(f"{len(set(numbers))} discarded")


def _told(failure: Failure) -> dict[str, object]:
    return {
        "sequence": failure.sequence,
        "received": failure.received,
        "store": failure.tenant.store,
        "environment": failure.tenant.environment,
        "code": failure.code,
        "path": failure.path,
        "message": failure.message,
        "size": failure.size,
    }


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
