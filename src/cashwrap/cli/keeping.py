"""``restore`` and ``retain``: a backup becomes a data folder again; what is too old is removed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cashwrap.adapters.backup import restore as copy_back
from cashwrap.cli.options import Data, Json, PlaybookFolder, moment, print_json
from cashwrap.cli.world import noted, open_engine, trail_of
from cashwrap.engine import Engine
from cashwrap.library import open_world


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(restore)
    app.command()(retain)


def restore(
    backup: Annotated[Path, typer.Argument(help="The folder of the backup.")],
    *,
    data: Annotated[Path, typer.Option("--data", help="A new folder for the data.")],
    keys: Annotated[Path | None, typer.Option(help="The folder of the backup's keys.db, where it is another.")] = None,
    forgotten: Annotated[
        Path | None, typer.Option(help="A folder with a newer keys.db: whoever it has forgotten is forgotten again.")
    ] = None,
) -> None:
    """Copy a backup into a new data folder, check that it is whole, and forget again whoever was forgotten since.

    Prints the backup's digest, as `cashwrap backup` did. Overwrites nothing.

    Example: `cashwrap restore backups/monday --keys vault/monday --forgotten data --data restored`
    """
    manifest = copy_back(backup, data, keys=keys if keys is not None else backup, forgotten=forgotten)
    with open_world(data, serving=False) as world:  # the log came with the backup, and goes on from here
        trail_of(world).leave(noted("backup.restore", manifest.digest, {"forgotten": forgotten is not None}))
    typer.echo(manifest.digest)


def retain(*, data: Data = Path("data"), playbook: PlaybookFolder = Path("playbook"), json: Json = False) -> None:
    """Remove now what `shop.retention` says is too old, and finish what changed features still need.

    A running server does both by itself, in small steps; this is for a folder that is not served.

    Example: `cashwrap retain --playbook playbook --data data`
    """
    with open_engine(data, playbook) as engine:
        told: dict[str, Any] = {}
        trail_of(engine.world).around(
            noted("retention.run"), lambda: engine.writer.call(lambda: told.update(_all_of_it(engine)))
        )
    if json:
        print_json(told)
        return
    typer.echo(f"{told['records']} records, {told['shoppers']} idle shoppers, {told['failed']} failed events removed")
    typer.echo(
        f"The log begins after {moment(told['horizon'])}." if told["horizon"] else "The log begins at its beginning."
    )
    for name, begin in told["since"].items():
        typer.echo(
            f"{name} is true since {moment(begin)}: what is older was not in the log any more when it was declared"
        )


def _all_of_it(engine: Engine) -> dict[str, object]:
    """On the writer's thread."""
    while engine.backfill.run():
        pass
    retention = engine.retention
    retention.all()
    return {
        "records": retention.retired,
        "shoppers": retention.removed,
        "failed": retention.discarded,
        "horizon": engine.world.store.horizon().received,
        "since": {name: truth.since for name, truth in sorted(engine.backfill.truths().items())},
    }
