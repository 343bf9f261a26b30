"""Disks that fail and forget, as SQLite VFSes over the true one.

``FaultyDisk`` notes what was written and not yet synced, and can be full or broken. ``PowerDisk`` also keeps, for every
file, what a power cut would leave of it: what was synced, and any part of the rest, torn at 512 bytes.
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from cashwrap.testing.chaos.dice import Dice

SECTOR = 512
"""Bytes that a disk writes as one; a longer write may arrive in parts."""
Name = str | apsw.URIFilename | None


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

    def xOpen(self, name: Name, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open a file that tells this disk what is done to it."""
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Name, flags: list[int]) -> None:
        self._disk = disk
        self._kind = _path(name).rpartition("/")[2]
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before_write()
        self._disk.unsynced.add(self._kind)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before_sync()
        super().xSync(flags)
        self._disk.unsynced.discard(self._kind)


class _Image:
    """What is on the platter of one file, and what is on its way."""

    __slots__ = ("durable", "pending")

    def __init__(self, durable: bytearray) -> None:
        self.durable = durable
        self.pending: list[tuple[int, bytes | None]] = []
        """Writes since the last sync: an offset with bytes, or a new size with ``None``."""

    def sync(self) -> None:
        for offset, data in self.pending:
            _write(self.durable, offset, data)
        self.pending.clear()

    def fail(self, dice: Dice) -> None:
        """Some of it arrived; the rest is shown to readers and never written by a later sync (as Linux does it)."""
        self.durable = bytearray(self.after(dice))
        self.pending.clear()

    def after(self, dice: Dice) -> bytes:
        """One of the things that may be left."""
        left, kept = bytearray(self.durable), dice.pick((0, 100, 50, 80))
        for offset, data in self.pending:
            if dice.chance(kept):
                _write(left, offset, data)
            elif data is not None and dice.chance(50):
                for at in range(0, len(data), SECTOR):
                    if dice.chance(50):
                        _write(left, offset + at, data[at : at + SECTOR])
        return bytes(left)


class PowerDisk(apsw.VFS):
    """A disk whose power may go. ``before`` is called with ``write`` or ``sync`` and may raise, as the disk would.

    A sync that fails leaves its writes in doubt for good, unless they are written again: that is why nobody may sync
    the same file again and believe the answer.
    """

    def __init__(self, name: str, dice: Dice) -> None:
        self.name = name
        self.dice = dice
        self.before: Callable[[str], None] = lambda _: None
        self._images: dict[str, _Image] = {}
        super().__init__(name, base="")

    def xOpen(self, name: Name, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """Open a file whose writes are kept apart until they are synced."""
        path = _path(name)
        if path not in self._images:
            there = Path(path)
            self._images[path] = _Image(bytearray(there.read_bytes() if path and there.is_file() else b""))
        return _PowerFile(self, self._images[path], name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - SQLite's name
        """Remove a file, from the platter too."""
        super().xDelete(filename, syncdir)
        self._images.pop(filename, None)

    def doubt(self, path: Path) -> None:
        """Say of a file that is there that none of it was ever synced, as a killed process may leave it."""
        image = self._images[str(path)] = _Image(bytearray())
        image.pending.append((0, path.read_bytes()))

    def cut(self) -> dict[str, bytes]:
        """What would be left if the power went now: each file's content by its name."""
        return {path.rpartition("/")[2]: image.after(self.dice) for path, image in self._images.items() if path}


class _PowerFile(apsw.VFSFile):
    def __init__(self, disk: PowerDisk, image: _Image, name: Name, flags: list[int]) -> None:
        self._disk = disk
        self._image = image
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before("write")
        super().xWrite(data, offset)
        self._image.pending.append((offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.before("write")
        super().xTruncate(newsize)
        self._image.pending.append((newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's name
        try:
            self._disk.before("sync")
        except apsw.Error:
            self._image.fail(self._disk.dice)
            raise
        self._image.sync()


def _write(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def _path(name: Name) -> str:
    return (name.filename() if isinstance(name, apsw.URIFilename) else name) or ""


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Put what was left into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
