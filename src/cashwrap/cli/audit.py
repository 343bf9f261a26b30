"""``audit``: who did what, and whether the log says what was written into it."""

from pathlib import Path
from typing import Annotated

import typer

from cashwrap.audit import pseudonym
from cashwrap.cli.options import (
    Anonymous,
    Data,
    Environment,
    Json,
    Store,
    User,
    moment,
    print_json,
    shopper_of,
    tenant_of,
)
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.names import digest_of
from cashwrap.ports import AuditEntry, AuditLog
from cashwrap.request import ShopperRef

app = typer.Typer(no_args_is_help=True, help="Who did what, and whether that was changed.", rich_markup_mode="markdown")
PAGE = 1000


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="audit")


@app.command("list")
def list_entries(  # noqa: PLR0913 - each one is an option of the command
    *,
    data: Data = Path("data"),
    after: Annotated[int, typer.Option("--after", min=0, help="Only entries with a greater number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 1000,
    user: User = "",
    anonymous: Anonymous = "",
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """List who did what, oldest first; with `--user` only what was done about one shopper. Works also while serving.

    Example: `cashwrap audit list --data data --after 120`
    """
    with open_world(data, serving=False) as world:
        name = _name(world, tenant_of(store, env), shopper_of(user, anonymous)) if user or anonymous else ""
        found = _entries(_log(world), after, limit, name)
    if json:
        print_json([{"number": number, **told(entry)} for number, entry in found])
        return
    for number, entry in found:
        details = "  ".join(f"{key}={value}" for key, value in entry.details.items())
        when = moment(entry.time, "seconds")
        line = f"{number}  {when}  {entry.actor}  {entry.action}  {entry.subject}  {details}"
        typer.echo(line.rstrip())
    typer.echo(f"{len(found)} {'entry' if len(found) == 1 else 'entries'}")


@app.command()
def verify(*, data: Data = Path("data"), json: Json = False) -> None:
    """Check that no entry was changed, removed, added or moved; exit code 1 where one was. Works also while serving.

    Example: `cashwrap audit verify --data data`
    """
    with open_world(data, serving=False) as world:
        breaks = _log(world).verify()
    if json:
        print_json({"sound": not breaks, "breaks": breaks})
    elif breaks:
        for each in breaks:
            typer.secho(each, fg="red", err=True)
    else:
        typer.secho("The audit log is as it was written.", fg="green")
    if breaks:
        raise typer.Exit(1)


def told(entry: AuditEntry) -> dict[str, object]:
    """An entry for a program; its time in milliseconds."""
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def _log(world: World) -> AuditLog:
    if world.audit is None:
        raise InvalidInput("there is no audit log here", code="no_audit_log")
    return world.audit


def _entries(log: AuditLog, after: int, limit: int, subject: str) -> list[tuple[int, AuditEntry]]:
    """So many entries; with ``subject`` only those about it, however far apart they are."""
    if not subject:
        return log.entries(after, limit)
    found: list[tuple[int, AuditEntry]] = []
    while len(found) < limit and (page := log.entries(after, PAGE)):
        found += [each for each in page if each[1].subject == subject]
        after = page[-1][0]
    return found[:limit]


def _name(world: World, tenant: Tenant, ref: ShopperRef) -> str:
    """The shopper's name in the log. Raises ``InvalidInput`` (``no_such_shopper``), as for one who was forgotten."""
    known = (("user", ref.user_id), ("anonymous", ref.anonymous_id))
    digests = [digest_of(world.vault, (tenant, kind, str(value))) for kind, value in known if value is not None]
    for shopper in world.store.resolve(digests).values():
        return pseudonym(world.vault, shopper)
    raise InvalidInput("nobody is known by this id in this store and environment", code="no_such_shopper")
