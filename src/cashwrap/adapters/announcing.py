"""The embedded store of a process that writes while others read: each commit tells them what to read again."""

from collections.abc import Callable, Iterable
from pathlib import Path

from cashwrap.adapters.shared import VersionArray
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.ports import Changes, ShopperKey


class AnnouncingStore(SqliteStore):
    """A ``SqliteStore`` that advances the versions of whatever it has changed, before anybody can be told that it has.

    They advance where a commit fails too: what the disk refused may be there all the same.
    """

    def __init__(self, folder: str | Path, versions: VersionArray, *, reserve: int = 0) -> None:
        super().__init__(folder, reserve=reserve)
        self._versions = versions
        versions.renew()
        self.on_forget: Callable[[ShopperKey], None] = lambda _: None
        """Called when a shopper is gone."""

    def commit(self, changes: Changes) -> int:
        """Make all of it durable or nothing; the log's newest sequence. Raises ``Unavailable``."""
        try:
            return super().commit(changes)
        finally:
            self._versions.advance(key.shopper for key in changes.rows)
            self._versions.advance(changes.identities)

    def forget_all(self, keys: Iterable[ShopperKey]) -> None:
        """Remove them with all that hangs on them. Raises ``Unavailable``: call again."""
        gone = list(keys)
        try:
            super().forget_all(gone)
        finally:
            self._versions.advance(key.shopper for key in gone)
            for key in gone:
                self.on_forget(key)
