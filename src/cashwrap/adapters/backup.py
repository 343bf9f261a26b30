"""Copies a data folder while it is served, and proves that the copy holds the same.

The store and its keys are copied to separate places, the store first: a key is always durable before what is sealed
under it, so the later copy of the keys opens everything in the earlier copy of the store. Whoever holds a store's copy
without keys can read nothing in it; a shopper forgotten since is readable only with a copy of the keys from before,
so keep those few and short.
"""

import os
from hashlib import blake2b
from pathlib import Path

import apsw
import msgspec

from cashwrap.adapters import sqlite, vault
from cashwrap.adapters.queries import statements
from cashwrap.errors import StoreError

_SQL = statements("backup.sql")
_BUSY_MILLIS = 5_000


def backup(folder: Path, destination: Path, *, keys: Path, keys_destination: Path) -> str:
    """Copy ``folder/cashwrap.db`` and ``keys/keys.db`` as of one moment each; the store's digest.

    May run in the serving process or beside it. Raises ``StoreError`` where a destination already holds a copy or
    where the copy does not hold the same as its source; nothing is left behind then.
    """
    content = _copy(folder / sqlite.FILE, destination / sqlite.FILE)
    _copy(keys / vault.FILE, keys_destination / vault.FILE)
    return content


def verify(file: Path, expected: str) -> None:
    """Raise ``StoreError`` unless the copy is sound and its content has the digest that ``backup`` answered."""
    found = digest(file)
    if found != expected:
        raise StoreError(f"{file} holds other data than it was backed up with: {found}, not {expected}")


def digest(file: Path) -> str:
    """Names a database's logical content (tables, rows, schema version), whatever its pages look like.

    32 hexadecimal digits. Raises ``StoreError`` where the file is missing or damaged.
    """
    try:
        db = _opened(file)
        try:
            return _content(db)
        finally:
            db.close()
    except apsw.Error as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def _copy(source: Path, destination: Path) -> str:
    if destination.exists():
        raise StoreError(f"{destination} is there already: back up to an empty folder")
    destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = destination.with_suffix(".unfinished")
    try:
        content = _copy_pages(source, unfinished)
        verify(unfinished, content)
        _sync(unfinished)
        unfinished.rename(destination)
        _sync(destination.parent)
    except apsw.Error as error:
        raise StoreError(f"{source} cannot be copied to {destination}: {error}") from error
    finally:
        for leftover in unfinished.parent.glob(f"{unfinished.name}*"):
            leftover.unlink()
    return content


def _copy_pages(source: Path, destination: Path) -> str:
    """Copy within one read transaction, in which the digest is taken too: writers go on meanwhile, unseen by both."""
    db = _opened(source)
    os.close(os.open(destination, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    target = apsw.Connection(str(destination))
    try:
        db.execute("BEGIN")
        content = _content(db)
        with target.backup("main", db, "main") as copying:
            copying.step(-1)
        target.pragma("journal_mode", "DELETE")  # one plain file; serving it switches the log on again
        return content
    finally:
        target.close()
        db.close()


def _content(db: apsw.Connection) -> str:
    if db.pragma("quick_check") != "ok":
        raise apsw.CorruptError("its pages do not fit together")
    encode = msgspec.msgpack.Encoder().encode
    hashed = blake2b(encode(db.pragma("user_version")), digest_size=16)
    for table, order in db.execute(_SQL["tables"]).fetchall():
        hashed.update(encode(table))
        for row in db.execute(f'SELECT * FROM "{table}" ORDER BY {order}'):  # noqa: S608 - names from our own schema
            hashed.update(encode(row))
    return hashed.hexdigest()


def _opened(file: Path) -> apsw.Connection:
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(_BUSY_MILLIS)
    return db


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
