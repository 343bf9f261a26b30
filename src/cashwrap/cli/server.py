"""``serve``: the engine behind HTTP."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cashwrap.adapters.ballast import SIZE
from cashwrap.adapters.system import SystemRandom, allow_files
from cashwrap.audit import Trail
from cashwrap.cli.options import Data, PlaybookFolder, complain
from cashwrap.engine import Engine
from cashwrap.library import open_world
from cashwrap.publishing import PlaybookSource
from cashwrap.serve.companion import Launch, companion
from cashwrap.serve.publish import Publisher
from cashwrap.serve.run import ServeOptions
from cashwrap.serve.run import serve as run
from cashwrap.serve.workers.processes import Crew
from cashwrap.serve.workers.supervise import MOST, Supervisor
from cashwrap.versions import Versions


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    app.command()(serve)


def serve(  # noqa: PLR0913 - each one is an option of the command
    *,
    playbook: PlaybookFolder = Path("playbook"),
    data: Data = Path("data"),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.")] = 8377,
    rate: Annotated[int, typer.Option(help="Events and decisions a second per client with a publishable key.")] = 200,
    reserve: Annotated[int, typer.Option(help="MB of the disk kept back for when it is full.", min=1)] = SIZE >> 20,
    ledger: Annotated[
        str,
        typer.Option(help="PostgreSQL to keep offers in, for several machines. A password belongs in CASHWRAP_LEDGER."),
    ] = "",
    workers: Annotated[
        int, typer.Option(help="Processes that answer, for as many cores; one more writes.", min=1, max=MOST)
    ] = 1,
    proxy: Annotated[
        list[str] | None, typer.Option(help="A proxy whose X-Forwarded-For is believed; left out, this machine.")
    ] = None,
    console: Annotated[
        bool, typer.Option(envvar="CASHWRAP_CONSOLE", help="Serve the console at /console, by a process of its own.")
    ] = True,
) -> None:
    """Collect and decide until SIGTERM; a change of the playbook is live within a second.

    Example: `cashwrap serve --playbook playbook --data data --port 8377`
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    allow_files()
    source = PlaybookSource(playbook)
    if not data.is_dir():
        source.load()  # a data folder is made for a playbook that can run, and not for a mistyped path
    proxies = tuple(proxy) if proxy else ServeOptions().proxies
    with ExitStack() as opened:
        launch = Launch(opened.enter_context(companion(SystemRandom())), data, playbook, ledger) if console else None
        options = ServeOptions(host, port, rate, proxies, launch)
        if workers > 1:
            crew = Crew(playbook, data, options, workers, reserve << 20, ledger)
            if not Supervisor(crew, complain).run(_ready):
                raise typer.Exit(1)
            return
        _alone(source, data, options, reserve << 20, ledger)


def _alone(source: PlaybookSource, data: Path, options: ServeOptions, reserve: int, ledger: str) -> None:
    """One process that does everything but the console."""
    with open_world(data, make=True, reserve=reserve, ledger=ledger) as world:
        publisher = Publisher(Versions(world.registry, world.clock), source, Trail(world.audit, world.clock))
        engine = Engine(publisher.first(), world)
        try:
            run(engine, publisher, options, _ready)
        finally:
            engine.close()


def _ready(address: str) -> None:
    typer.echo(f"cashwrap is ready at {address}")
