"""What the pages of a console stand on, together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from cashwrap.audit import Trail
from cashwrap.console.jobs import Jobs
from cashwrap.console.people import People
from cashwrap.console.reading import Reading
from cashwrap.console.sessions import Sessions
from cashwrap.console.upstream import Upstream
from cashwrap.library import open_world
from cashwrap.versions import Versions
from cashwrap.world import World


class Options(Struct, frozen=True):
    """Where a console finds what it works on."""

    data: Path
    playbook: Path
    """The folder that is served: what is published is written there too, so that git can hold it."""
    server: str = ""
    """The address of the server beside it; empty where there is none."""
    token: str = ""
    """What the server knows this console by."""
    ledger: str = ""
    runtime: Path | None = None
    """The folder of the sockets that console and server share."""


class Console(Struct, frozen=True):
    """One console over one data folder."""

    options: Options
    world: World
    reading: Reading
    versions: Versions
    trail: Trail
    people: People
    sessions: Sessions
    upstream: Upstream
    jobs: Jobs


@contextmanager
def open_console(options: Options) -> Iterator[Console]:
    """A console over a data folder, beside a running server or without one. Raises as ``open_world`` does."""
    with ExitStack() as opened:
        world = opened.enter_context(open_world(options.data, serving=False, ledger=options.ledger))
        versions = Versions(world.registry, world.clock)
        upstream = Upstream(options.server, options.token)
        reading = Reading(world, versions, upstream)
        opened.callback(reading.close)
        jobs = Jobs(options.data, world.clock)
        opened.callback(jobs.close)
        yield Console(
            options=options,
            world=world,
            reading=reading,
            versions=versions,
            trail=Trail(world.audit, world.clock),
            people=People(world.registry),
            sessions=Sessions(world.clock, world.random),
            upstream=upstream,
            jobs=jobs,
        )
