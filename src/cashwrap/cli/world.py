"""A data folder becomes the engine that one command needs."""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cashwrap.audit import Note, Trail
from cashwrap.engine import Engine, World
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook
from cashwrap.ports import Clock


@contextmanager
def open_engine(data: Path, playbook: Path) -> Iterator[Engine]:
    """An engine over a data folder for the time of one command; a server on the folder must be stopped."""
    compiled = load_playbook(playbook)
    with open_world(data) as world:
        engine = Engine(compiled, world)
        try:
            yield engine
        finally:
            engine.close()


def operator(tenant: Tenant, clock: Clock) -> Caller:
    """Who sits at the command line may do what a secret key may."""
    key = ApiKey("operator", "secret", tenant, b"")
    return Caller(key, RequestFacts(received=clock.now(), source="operator", tenant=tenant, trusted=True))


def trail_of(world: World) -> Trail:
    """Where a command leaves what it did."""
    return Trail(world.audit, world.clock)


def noted(
    action: str, subject: str = "", details: Mapping[str, object] | None = None, tenant: Tenant | None = None
) -> Note:
    """An entry of whoever runs the command."""
    return Note(operated(), action, subject, details or {}, tenant)


def operated() -> str:
    """Who runs the command: the account's name, as the system knows it and not as its variables say."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = str(os.getuid())
    return f"command:{account}"
