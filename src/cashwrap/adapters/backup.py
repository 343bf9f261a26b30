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
from msgspec import Struct

from cashwrap.adapters import audit, sqlite, sqlite_ledger, vault
from cashwrap.adapters.folder import pair, sync
from cashwrap.adapters.queries import statements
from cashwrap.adapters.system import SystemRandom
from cashwrap.errors import StoreError
from cashwrap.ports import ShopperKey

_SQL = statements("backup.sql")
_BUSY_MILLIS = 5_000
MANIFEST = "backup.json"
_DATABASES = (sqlite.FILE, sqlite_ledger.FILE)


class Manifest(Struct, frozen=True):
    """What a backup holds: each file's digest by its name, and the digest of them all."""

    files: dict[str, str]

    @property
    def digest(self) -> str:
        """32 hexadecimal digits over all names and digests."""
        return blake2b(msgspec.msgpack.encode(sorted(self.files.items())), digest_size=16).hexdigest()


def backup(folder: Path, destination: Path, *, keys: Path, keys_destination: Path) -> Manifest:
    """Copy the files of a data folder, as of one moment each, and ``keys/keys.db`` last.

    May run in the serving process or beside it. Raises ``StoreError`` where a destination already holds a copy or
    where the copy does not hold the same as its source; nothing is left behind then.
    """
    names = [name for name in (*_DATABASES, audit.FILE) if name == sqlite.FILE or (folder / name).exists()]
    made = [*(destination / name for name in (*names, MANIFEST)), keys_destination / vault.FILE]
    if taken := next((path for path in made if path.exists()), None):
        raise StoreError(f"{taken} is there already: back up to an empty folder", code="folder_not_empty")
    try:
        # The ledger after the store: of money spent it may know more, never less.
        files = {name: _copy(folder / name, destination / name) for name in names if name != audit.FILE}
        with audit.still(folder):
            if audit.FILE in names:
                files[audit.FILE] = _copy_plain(folder / audit.FILE, destination / audit.FILE)
            _copy(keys / vault.FILE, keys_destination / vault.FILE)
        manifest = Manifest(files)
        _write(destination / MANIFEST, msgspec.json.encode(manifest))
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return manifest


def restore(source: Path, folder: Path, *, keys: Path, forgotten: Path | None = None) -> Manifest:
    """Copy a backup into a new data folder, forget again who was forgotten since, and say what the backup held.

    ``keys`` holds the ``keys.db`` to open it with, ``forgotten`` a current one, whose destroyed keys and forgotten
    names count here too. Raises ``StoreError`` where the backup is not what its manifest says, where it was written
    with other keys, or where the folder holds anything; nothing is left behind then.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder} holds something: restore to a new folder", code="folder_not_empty")
    manifest = read_manifest(source)
    try:
        for name, expected in manifest.files.items():
            copy = _copy_plain if name == audit.FILE else _copy
            _must_be(source / name, copy(source / name, folder / name), expected)
        _copy(keys / vault.FILE, folder / vault.FILE)
        _forget_again(folder, forgotten)
    except BaseException:
        for each in folder.iterdir() if folder.exists() else ():
            each.unlink()
        raise
    return manifest


def read_manifest(source: Path) -> Manifest:
    """What a backup says it holds. Raises ``StoreError`` where it says nothing, or names other files than ours."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{source} is no backup: {MANIFEST} is missing or damaged") from error
    if sqlite.FILE not in manifest.files or manifest.files.keys() - {*_DATABASES, audit.FILE}:
        raise StoreError(f"{source} is no backup: {MANIFEST} does not name what a data folder has")
    return manifest


def _forget_again(folder: Path, forgotten: Path | None) -> None:
    """Whoever is forgotten by the keys that are there now leaves the copy too."""
    random = SystemRandom()
    store, own = sqlite.SqliteStore(folder), vault.FileVault(folder, random)
    try:
        pair(store, own)
        if forgotten is not None:
            current = vault.FileVault(forgotten, random)
            try:
                if current.digest("cashwrap") != own.digest("cashwrap"):
                    raise StoreError(f"{forgotten / vault.FILE} is of another data folder", code="keys_mismatch")
                own.bury_as(current)
            finally:
                current.close()
        gone = [ShopperKey(tenant, shopper) for shopper in own.tombstones() for tenant in store.tenants()]
        _forget_in_ledger(folder, store, gone)
        store.forget_all(gone)
    finally:
        own.close()
        store.close()


def _forget_in_ledger(folder: Path, store: sqlite.SqliteStore, gone: list[ShopperKey]) -> None:
    if not (folder / sqlite_ledger.FILE).exists():
        return
    ledger = sqlite_ledger.SqliteLedger(folder)
    try:
        for key in gone:
            if names := store.names(key):
                ledger.forget(key.tenant, names)
    finally:
        ledger.close()


def verify(file: Path, expected: str) -> None:
    """Raise ``StoreError`` unless the copy is sound and its content has the digest that ``backup`` answered."""
    _must_be(file, digest(file), expected)


def _must_be(file: Path, found: str, expected: str) -> None:
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
    if not source.exists():
        raise StoreError(f"{source} is not there")
    destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = destination.with_suffix(".unfinished")
    try:
        content = _copy_pages(source, unfinished)
        verify(unfinished, content)
        sync(unfinished)
        unfinished.rename(destination)
        sync(destination.parent)
    except apsw.Error as error:
        raise StoreError(f"{source} cannot be copied to {destination}: {error}") from error
    finally:
        for leftover in unfinished.parent.glob(f"{unfinished.name}*"):
            leftover.unlink()
    return content


def _copy_plain(source: Path, destination: Path) -> str:
    """Copy a file that only grows, byte for byte."""
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StoreError(f"{source} cannot be read: {error}") from error
    destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(destination, content)
    return blake2b(content, digest_size=16).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    unfinished = path.with_suffix(".unfinished")
    with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    sync(path.parent)


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
