"""The data folder belongs to one serving process at a time, and its parts belong together."""

import fcntl
import os
from pathlib import Path

from cashwrap.errors import Locked, StoreError
from cashwrap.ports import Registry, Vault


class FolderLock:
    """Holds ``lock`` inside the folder until released, or until the process ends in whatever way."""

    def __init__(self, folder: Path) -> None:
        """Raises ``Locked`` with the holder's process id where another process holds it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise Locked(
                f"{folder} is served by process {holder}: stop it first, ask it over HTTP, or use another data folder"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let another process have it. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sync(path: Path) -> None:
    """Make a file's content, or which files a folder holds, survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def pair(registry: Registry, vault: Vault) -> None:
    """Tie a store to its vault at first sight, and refuse another one ever after.

    Without it a lost ``keys.db`` would be made anew in silence, and every shopper would look forgotten. Raises
    ``StoreError`` with code ``keys_mismatch``.
    """
    mark = vault.digest("cashwrap", "data folder")
    known = registry.documents("folder").get("keys")
    if known is None:
        registry.put("folder", "keys", mark)
    elif known != mark:
        raise StoreError(
            "keys.db is not the one this cashwrap.db was written with: put the right copy back before serving",
            code="keys_mismatch",
        )
