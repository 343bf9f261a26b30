"""``console``: the shop's people at work. ``serve`` starts it by itself."""

import logging
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.cli.options import Data, PlaybookFolder
from cashwrap.extras import part_of
from cashwrap.serve.companion import Companion
from cashwrap.serve.run import ServeOptions, address_of, listen

_HIDDEN = {"hidden": True, "show_default": False}


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(console)


def console(
    *,
    data: Data = Path("data"),
    playbook: PlaybookFolder = Path("playbook"),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 8378,
    runtime: Annotated[Path | None, typer.Option(help="Set by serve: where the sockets are.", **_HIDDEN)] = None,
    server: Annotated[str, typer.Option(help="Set by serve: its address.", **_HIDDEN)] = "",
) -> None:
    """The console alone, without a server: to look at a data folder, or to keep pages away from the server's address.

    `serve` has it at `/console` already. Beside a running server it reads and publishes as usual; what only the server
    may do (forget a shopper, try failed events again) needs the one that `serve` starts.

    Example: `cashwrap console --data data --playbook playbook --port 8378`
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    token = sys.stdin.readline().strip() if runtime is not None else ""
    listener = _at(Companion(runtime, token).socket) if runtime is not None else listen(ServeOptions(host, port))
    address = server or address_of(listener)
    whole, run = part_of("console", "console"), part_of("console", "run")
    with whole.open_console(whole.Options(data, playbook, server, token, runtime=runtime)) as opened:
        link = part_of("console", "people.links").first_link(opened.world, address)
        run.serve(opened, listener, lambda: _ready(address, link, alone=not server))


def _at(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(512)
    return listener


def _ready(address: str, link: str | None, *, alone: bool) -> None:
    if link is not None:
        typer.echo(f"The console is at {address}/console. Nobody has an account yet; this link makes the first, once:")
        typer.echo(f"  {link}")
    elif alone:
        typer.echo(f"The console is at {address}/console")
