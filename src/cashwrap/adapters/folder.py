"""The data folder belongs to one serving process at a time."""

import fcntl
import os
from pathlib import Path

from cashwrap.errors import Locked


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
                f"{folder} is served by process {holder}: stop it first, or use another data folder"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let another process have it. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
