"""``preview``: a link that shows an experience on the shop's own page."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.cli.options import Data, Environment, Json, Store, print_json, tenant_of
from cashwrap.cli.world import noted, trail_of
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.library import open_world
from cashwrap.model import Millis
from cashwrap.playbook import Playbook, load_playbook
from cashwrap.previews import Wanted, make_link
from cashwrap.tokens import tokens_of
from cashwrap.versions import Versions

_MILLIS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(preview)


def preview(  # noqa: PLR0913 - each one is an option of the command
    experience: Annotated[str, typer.Argument(help="The experience's name.")],
    *,
    url: Annotated[str, typer.Option(help="The page to open.")],
    variation: Annotated[str, typer.Option(help="Left out, the first one; `control` shows the default.")] = "",
    life: Annotated[str, typer.Option("--for", help="How long the link is good: 30m, 24h, 7d; at most 30d.")] = "24h",
    playbook: Annotated[Path | None, typer.Option(help="The playbook's folder; left out, the live version.")] = None,
    data: Data = Path("data"),
    store: Store = "default",
    env: Environment = "live",
    json: Json = False,
) -> None:
    """Print a link that shows one variation on the shop's page, to whoever opens it; nobody is counted for it.

    The experience must be in the playbook that is served. Works while the server runs.

    Example: `cashwrap preview thank_regulars --url https://shop.example/basket --data data --for 24h`
    """
    tenant, lasting = tenant_of(store, env), _millis(life)
    with open_world(data, serving=False) as world:
        compiled = load_playbook(playbook) if playbook is not None else _live(world)
        wanted = Wanted(experience, url, variation, lasting)
        tokens = tokens_of(world.vault)
        note = noted("preview.make", experience, {"variation": variation, "for": life}, tenant)
        link = trail_of(world).around(note, lambda: make_link(compiled, tokens, tenant, wanted, world.clock.now()))
    if json:
        print_json(link)
        return
    until = datetime.fromtimestamp(link.expires // 1000, UTC)
    told = f"{link.experience} as {link.variation} in {link.placement}, until {until:%Y-%m-%d %H:%M} UTC:"
    typer.secho(told, fg="green", err=True)
    typer.echo(link.url)


def _live(world: World) -> Playbook:
    kept = Versions(world.registry, world.clock)
    release = kept.live()
    if release is None:
        raise InvalidInput("nothing was served from this data folder yet; name the --playbook", code="nothing_live")
    return kept.load(release.hash)


def _millis(text: str) -> Millis:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if found is None:
        raise InvalidInput("--for is a time such as 30m, 24h or 7d", code="invalid_duration")
    return int(found[1]) * _MILLIS[found[2]]
