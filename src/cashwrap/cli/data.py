"""``forget`` and ``audience import``: what is kept about shoppers, changed offline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cashwrap import audiences, shoppers
from cashwrap.cli.options import (
    Anonymous,
    Data,
    Environment,
    Json,
    PlaybookFolder,
    Store,
    User,
    print_json,
    shopper_of,
    tenant_of,
)
from cashwrap.cli.world import noted, open_engine, operator, trail_of
from cashwrap.history import read_members

TOLD = 20
"""Rows of a list that are no rows, told one by one."""


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(forget)
    audience = typer.Typer(no_args_is_help=True, help="Lists of shoppers from outside.", rich_markup_mode="markdown")
    audience.callback()(_lists)
    audience.command(name="import")(audience_import)
    app.add_typer(audience, name="audience")


def _lists() -> None:
    """Lists of shoppers from outside."""


def forget(
    *,
    data: Data = Path("data"),
    playbook: PlaybookFolder = Path("playbook"),
    user: User = "",
    anonymous: Anonymous = "",
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Forget a shopper for good: the keys are destroyed, so nothing kept about them can be read by anyone.

    The server must be stopped; a running one takes `DELETE /v1/shoppers`.

    Example: `cashwrap forget --user jonas --playbook playbook --data data`
    """
    tenant, who = tenant_of(store, env), shopper_of(user, anonymous)
    with open_engine(data, playbook) as engine:
        caller = operator(tenant, engine.world.clock)
        subject, forget_them = shoppers.forgetting(engine, who, caller)
        models = shoppers.learned_from(engine, engine.find(who, caller), tenant)
        trail_of(engine.world).anyway(noted("shopper.forget", subject, tenant=tenant), forget_them)
    typer.echo("Forgotten.")
    if models:
        typer.echo(f"Taken out of {', '.join(models)}: due to be trained again.")


def audience_import(  # noqa: PLR0913 - each one is an option of the command
    name: Annotated[str, typer.Argument(help="A segment with `members: pushed`.")],
    file: Annotated[Path, typer.Argument(help="A CSV file (also .gz): a column of ids, with or without a header.")],
    *,
    by: Annotated[audiences.By, typer.Option("--by", help="What the column holds: user, anonymous or email.")],
    column: Annotated[str, typer.Option("--column", help="The column's name; left out, a usual one is found.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Take these shoppers out instead.")] = False,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Put the shoppers of a CRM's list into a segment, and say what became of each.

    Who is not known, or has not agreed to personalization, is left out and counted. The server must be stopped; a
    running one takes `POST /v1/audiences/{name}/members`.

    Example: `cashwrap audience import vip vip.csv --by email --playbook playbook --data data`
    """
    bad = 0

    def ids() -> Iterator[str]:
        nonlocal bad
        for row in read_members(file, by, column):
            if isinstance(row, str):
                yield row
                continue
            bad += 1
            if bad <= TOLD:
                typer.echo(f"line {row.place}: {row.code}: {row.message}", err=True)

    tenant = tenant_of(store, env)
    with open_engine(data, playbook) as engine:
        caller = operator(tenant, engine.world.clock)
        note = noted("audience.import", name, {"by": by, "remove": remove}, tenant)
        told = trail_of(engine.world).around(
            note, lambda: audiences.import_members(engine, caller, name, ids(), by, remove=remove)
        )
    told.read += bad
    told.invalid += bad
    if json:
        print_json(told)
        return
    typer.echo(f"{told.read} read: {told.removed} removed" if remove else f"{told.read} read: {told.added} added")
    for label, count in (
        ("nobody is known by this id", told.unknown),
        ("without consent to personalization", told.dropped_by_consent),
        ("no id", told.invalid),
        ("failed", told.failed),
    ):
        if count:
            typer.echo(f"  {count} {label}")
