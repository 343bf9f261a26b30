"""``bundle``: the playbook for browsers and edges as a file."""

from pathlib import Path
from typing import Annotated

import typer

from cashwrap.bundle import bundle_of, encode
from cashwrap.cli.options import Data, Environment, PlaybookFolder, Store, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.playbook import load_playbook
from cashwrap.signing import jwks, signer_of
from cashwrap.switches import Switches

DAY = 86_400_000


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(bundle)


def bundle(  # noqa: PLR0913 - each one is an option of the command
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    keys: Annotated[Path | None, typer.Option(help="Write the public key here too, as a JWKS.")] = None,
    days: Annotated[int, typer.Option(help="How long it may be used.", min=1, max=366)] = 7,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
) -> None:
    """Write the signed bundle that browsers and edges decide with, as `GET /v1/bundle` answers it.

    Example: `cashwrap bundle bundle.jws --keys jwks.json --playbook playbook --data data`
    """
    compiled, tenant = load_playbook(playbook), tenant_of(store, env)
    with open_world(data, serving=False) as world:
        kills = Switches(world.registry).kills(tenant)
        signer = signer_of(world.vault)
        made = bundle_of(compiled, tenant, world.clock.now(), kills, life=days * DAY)
        trail_of(world).leave(noted("bundle.write", made.playbook, {"version": made.version, "days": days}, tenant))
    try:
        out.write_text(signer.sign(encode(made)), encoding="ascii")
        if keys is not None:
            keys.write_bytes(jwks(signer))
    except OSError as error:
        raise InvalidInput(f"{error.filename} cannot be written: {error.strerror}", code="unwritable_file") from None
    typer.echo(f"{out} is bundle {made.version} of playbook {made.playbook}, good for {days} days.")
