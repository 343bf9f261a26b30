"""Choose the adapters: a data folder becomes the world an engine stands on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cashwrap.adapters.folder import pair
from cashwrap.adapters.parquet import ParquetFacts
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.engine import Engine, World
from cashwrap.errors import InvalidInput
from cashwrap.events import RequestFacts
from cashwrap.inputs import Caller
from cashwrap.keys import ApiKey
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook
from cashwrap.ports import Clock

FACTS = "facts"
"""The fact table's place in a data folder."""


@contextmanager
def open_world(data: Path, *, serving: bool = True, make: bool = False) -> Iterator[World]:
    """The embedded store in a folder; with ``make`` it is made where it is not there.

    ``serving`` takes the folder's lock (one process that folds and commits); without it only small documents such as
    keys and switches, and products, may be written, also while a server runs. Raises ``InvalidInput``
    (``no_data_folder``), ``Locked``, and ``StoreError`` where the keys belong to another folder.
    """
    if not make and not data.is_dir():
        message = f"there is no data folder {data}: say where it is with --data, or make it with 'cashwrap keys create'"
        raise InvalidInput(message, code="no_data_folder")
    random = SystemRandom()
    store = SqliteStore(data, serving=serving)
    try:
        vault = FileVault(data, random)
        try:
            pair(store, vault)
            facts = ParquetFacts(data / FACTS)
            yield World(store, store, store, store, store, vault, SystemClock(), random, facts)
        finally:
            vault.close()
    finally:
        store.close()


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
