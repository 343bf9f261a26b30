"""Choose the adapters: a data folder becomes the world an engine stands on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cashwrap.adapters.folder import pair
from cashwrap.adapters.parquet import ParquetFacts
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import FileVault
from cashwrap.engine import World

FACTS = "facts"
"""The fact table's place in a data folder."""


@contextmanager
def open_world(data: Path, *, serving: bool = True) -> Iterator[World]:
    """The embedded store in a folder, made where it is not there.

    ``serving`` takes the folder's lock (one process that folds and commits); without it only small documents such as
    keys and switches may be written, also while a server runs. Raises ``Locked``, and ``StoreError`` where the keys
    belong to another folder.
    """
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
