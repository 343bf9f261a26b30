"""What a console keeps and may lose, in ``console.db``: who is signed in, so that a restart throws nobody out."""

from collections.abc import Iterable
from pathlib import Path

from cashwrap.adapters.database import Database
from cashwrap.adapters.queries import statements
from cashwrap.model import Millis

FILE = "console.db"
_SQL = statements("console.sql")


class ConsoleStore:
    """The file of one data folder's console. Any thread may call it; raises as ``Database`` does."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / FILE, "console")

    # --- sessions ---

    def sessions(self) -> dict[bytes, tuple[bytes, Millis]]:
        """Every session by its id: its document, and when it was last used."""
        with self._database.reading() as db:
            return {bytes(name): (bytes(document), seen) for name, document, seen in db.execute(_SQL["sessions"])}

    def keep_session(self, name: bytes, document: bytes, seen: Millis) -> None:
        """Write one, durably."""
        with self._database.writing() as db:
            db.execute(_SQL["keep_session"], (name, document, seen))

    def drop_sessions(self, names: Iterable[bytes]) -> None:
        """Remove some, durably."""
        with self._database.writing() as db:
            db.executemany(_SQL["drop_session"], [(name,) for name in names])

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
