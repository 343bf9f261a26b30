"""A disk that forgets: a SQLite VFS that notes what was written and not yet synced, and can be full or broken."""

from collections.abc import Callable

import apsw


class FaultyDisk(apsw.VFS):
    """Register by creating one; hand its ``name`` to the store.

    ``unsynced`` names the files that hold writes a power cut could take. ``before_write`` and ``before_sync`` may
    raise an apsw error, as the disk would.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.unsynced: set[str] = set()
        self.before_write: Callable[[], None] = lambda: None
        self.before_sync: Callable[[], None] = lambda: None
        super().__init__(name, base="")

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._kind = (path or "temporary").rpartition("/")[2]
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before_write()
        self._disk.unsynced.add(self._kind)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before_sync()
        super().xSync(flags)
        self._disk.unsynced.discard(self._kind)
