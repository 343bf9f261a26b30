"""Disk space kept back, for what must be possible on a full disk: to forget, to redeem and to release.

A file of real blocks stands in the data folder. When the disk refuses a write the file is given away, events are
refused before they touch the disk, and what is left can be used by the few writes that must go on. When there is room
for twice its size again it is taken back, and events are welcome again.
"""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cashwrap.faults import crash_point

log = logging.getLogger("cashwrap")

FILE = "reserve"
SIZE = 16 * 1024 * 1024
"""Bytes kept back: room to copy a whole write-ahead log (8 MB) back into its file, and as much for everything else."""
SCARCE = 256 * 1024
"""Free bytes below which a disk counts as full, whatever the error said."""


def free_space(folder: Path) -> int:
    """Bytes that this account may still write to the folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Ballast:
    """Port ``Reserve`` over one file. Every method may be called from any thread."""

    def __init__(self, folder: Path, size: int = SIZE, space: Callable[[Path], int] = free_space) -> None:
        """Take what is missing; a disk that is full already keeps the folder usable, without events."""
        self._folder = folder
        self._file = folder / FILE
        self._size = size
        self._space = space
        self._lock = threading.Lock()
        self._held = self._is_whole()
        if self._held and space(folder) < SCARCE:
            self.give()
        self.tend()
        if not self._held:
            log.error("less than %d MB are free beside %s: events are refused until there are", 2 * size >> 20, folder)

    def full(self) -> bool:
        """Whether the reserve is given away, so that nothing else may be written."""
        return not self._held

    def give(self) -> None:
        """Let the file's space be used; nothing where it was given before."""
        with self._lock:
            if not self._held:
                return
            self._held = False
            self._file.unlink(missing_ok=True)
        log.error("the disk of %s is full: events are refused, the reserve of %d bytes is in use", *self._told())
        crash_point("reserve.released")

    def tend(self) -> None:
        """Take the space again where twice of it is free, also where somebody removed the file."""
        if self._has() or self._space(self._folder) < 2 * self._size:
            return
        with self._lock:
            if not self._has() and self._fill():
                self._held = True
                log.info("%s has its reserve of %d bytes: events are taken", *self._told())

    def is_scarce(self) -> bool:
        """Whether next to nothing is free, so that a failed write failed for that."""
        return self._space(self._folder) < SCARCE

    def _told(self) -> tuple[Path, int]:
        return self._folder, self._size

    def _has(self) -> bool:
        return self._held and self._is_whole()

    def _is_whole(self) -> bool:
        """Whether the file has all its blocks: one that was cut off half-way has not."""
        try:
            return self._file.stat().st_blocks * 512 >= self._size
        except OSError:
            return False

    def _fill(self) -> bool:
        """Make the file anew with all its blocks; whether that worked."""
        try:
            self._file.unlink(missing_ok=True)
            file = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, self._size)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            return False
        return True


class GivenAway:
    """Port ``Reserve`` of a process beside the one that holds it: sees whether it is there, and touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def full(self) -> bool:
        """Whether it is given away."""
        return not self._file.exists()

    def give(self) -> None:
        """Nothing: whoever holds it finds the disk full too."""

    def tend(self) -> None:
        """Nothing."""
