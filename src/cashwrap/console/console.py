"""What the pages of a console stand on, together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.audit import Trail
from cashwrap.console.groups.sizes import Recorder
from cashwrap.console.now.live import Live
from cashwrap.console.people.accounts import Accounts
from cashwrap.console.people.passwords import Passwords
from cashwrap.console.people.people import People
from cashwrap.console.people.sessions import Sessions
from cashwrap.console.people.sso import SingleSignOn, single_sign_on
from cashwrap.console.reading import Reading
from cashwrap.console.remembered import Remembered
from cashwrap.console.shop.goods import GoodsWatch
from cashwrap.console.upstream import Upstream
from cashwrap.console.work.jobs import Jobs
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
    sso: Path | None = None
    """The file that describes the single sign-on; without one what ``CASHWRAP_SSO`` names, if anything."""


class Console(Struct, frozen=True):
    """One console over one data folder."""

    options: Options
    world: World
    reading: Reading
    versions: Versions
    trail: Trail
    people: People
    sessions: Sessions
    accounts: Accounts
    sso: SingleSignOn | None
    upstream: Upstream
    jobs: Jobs
    remembered: Remembered
    goods: GoodsWatch
    sizes: Recorder
    """``run`` is what goes on beside requests."""
    live: Live


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
        store = ConsoleStore(options.data)
        opened.callback(store.close)
        live = Live(world, versions, store, options.runtime)
        opened.callback(live.close)
        passwords = Passwords()
        opened.callback(passwords.close)
        people, sessions = People(world.registry), Sessions(world.clock, world.random, store)
        accounts = Accounts(world, people, sessions, passwords)
        remembered = Remembered(world.clock)
        yield Console(
            options=options,
            world=world,
            reading=reading,
            versions=versions,
            trail=Trail(world.audit, world.clock),
            people=people,
            sessions=sessions,
            accounts=accounts,
            sso=single_sign_on(options.sso, accounts, world),
            upstream=upstream,
            jobs=jobs,
            remembered=remembered,
            goods=GoodsWatch(world, reading),
            sizes=Recorder(world, reading, store, remembered),
            live=live,
        )
