"""A data folder becomes the engine that one command needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cashwrap.engine import Engine
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
