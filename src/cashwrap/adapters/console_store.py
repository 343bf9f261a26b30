"""What a console keeps and may lose, in ``console.db``: who is signed in, so that a restart throws nobody out, and
what is drawn over time."""

from collections.abc import Iterable, Mapping
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

    # --- curves ---

    def points(self) -> list[tuple[Millis, str, Millis, bytes]]:
        """Every point: its length, its store (empty for all), when it began, and what it holds."""
        with self._database.reading() as db:
            return [(length, store, at, bytes(point)) for length, store, at, point in db.execute(_SQL["points"])]

    def counted(self) -> int:
        """The log's sequence up to which orders are in the points."""
        with self._database.reading() as db:
            return int(db.execute(_SQL["counted"]).get or 0)

    def keep_points(
        self,
        points: Iterable[tuple[Millis, str, Millis, bytes]],
        counted: int,
        oldest: Mapping[Millis, Millis],
    ) -> None:
        """Write points, remove those of each length that began before its oldest, and note how far orders are in them:
        durably, all or nothing."""
        with self._database.writing() as db:
            db.executemany(_SQL["keep_point"], points)
            db.executemany(_SQL["drop_points"], oldest.items())
            db.execute(_SQL["keep_counted"], (counted,))

    def alerts(self) -> list[tuple[str, str, bytes]]:
        """Every alert: its store, its code, and what is known of it."""
        with self._database.reading() as db:
            return [(store, code, bytes(told)) for store, code, told in db.execute(_SQL["alerts"])]

    def keep_alerts(self, alerts: Iterable[tuple[str, str, bytes]]) -> None:
        """Write these in place of all others, durably."""
        with self._database.writing() as db:
            db.execute(_SQL["drop_alerts"])
            db.executemany(_SQL["keep_alert"], alerts)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
