"""``keys``: make, list and revoke API keys."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cashwrap.cli.options import Data, Environment, Json, Store, print_json, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.keys import Keys, draw
from cashwrap.library import open_world

Kind = Literal["publishable", "secret"]
app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


def register(parent: typer.Typer) -> None:
    """Add this room's commands."""
    parent.add_typer(app, name="keys")


@app.command()
def create(
    kind: Annotated[Kind, typer.Argument(help="publishable for browsers, secret for the shop's backend.")],
    *,
    data: Data = Path("data"),
    origin: Annotated[list[str] | None, typer.Option(help="An origin whose pages may use it; repeat it.")] = None,
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Make a key. Its text is printed once, alone on the last line, and kept nowhere.

    Example: `cashwrap keys create publishable --origin https://shop.example --data data`
    """
    tenant, origins = tenant_of(store, env), tuple(origin or ())
    with open_world(data, serving=False, make=True) as world:
        keys = Keys(world.registry)
        text, key = draw(kind, tenant, origins, world.random)
        note = noted("key.create", key.id, {"kind": kind, "origins": " ".join(key.origins)}, tenant)
        trail_of(world).around(note, lambda: keys.add(key))
    typer.echo(f"A {kind} key for store {store}, {env}. Keep it now: it cannot be shown again.", err=True)
    typer.echo(text)


@app.command("list")
def list_keys(*, data: Data = Path("data"), json: Json = False) -> None:
    """List the keys; their texts are not kept.

    Example: `cashwrap keys list --data data`
    """
    with open_world(data, serving=False) as world:
        keys = Keys(world.registry).all()
    if json:
        print_json([{"id": key.id, "kind": key.kind, "tenant": key.tenant, "origins": key.origins} for key in keys])
        return
    for key in keys:
        typer.echo(f"{key.id}  {key.kind:<11}  {key.tenant.name}  {' '.join(key.origins)}")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id.")], *, data: Data = Path("data")) -> None:
    """Revoke a key: it is refused from the next request on.

    Example: `cashwrap keys revoke abcdefgh --data data`
    """
    with open_world(data, serving=False) as world:
        keys = Keys(world.registry)
        known = key_id in {key.id for key in keys.all()}  # what else is typed here may be anything
        note = noted("key.revoke", key_id if known else "unknown")
        trail_of(world).around(note, lambda: keys.revoke(key_id))
    typer.echo(f"{key_id} is revoked.")
