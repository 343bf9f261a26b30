"""What a console keeps and may lose, in ``console.db``: who is signed in, so that a restart throws nobody out, and
what is drawn over time."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

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

    # --- sizes of segments ---

    def newest_sizes(self, store: str) -> dict[str, int]:
        """What every segment was last read as."""
        with self._database.reading() as db:
            return {str(name): int(size) for name, size, _ in db.execute(_SQL["newest_sizes"], (store,))}

    def sizes_at(self, store: str, segments: Sequence[str], at: Millis) -> dict[str, int]:
        """What these segments were at a moment; those never read before it are left out."""
        with self._database.reading() as db:
            names = msgspec.json.encode(segments).decode()
            found = db.execute(_SQL["sizes_at"], (store, at, names)).fetchall()
        return {str(segment): int(size) for segment, size in found if size is not None}

    def sizes_of(self, store: str, segment: str) -> list[tuple[Millis, int]]:
        """Every change of a segment's size, ascending."""
        with self._database.reading() as db:
            return [(int(at), int(size)) for at, size in db.execute(_SQL["sizes_of"], (store, segment))]

    def readings(self, store: str) -> list[Millis]:
        """When sizes were read, ascending."""
        with self._database.reading() as db:
            return [int(at) for (at,) in db.execute(_SQL["readings"], (store,))]

    def keep_sizes(self, store: str, at: Millis, changed: Mapping[str, int]) -> None:
        """Note that sizes were read, and those that are not as they were: durably, all or nothing."""
        with self._database.writing() as db:
            db.execute(_SQL["keep_reading"], (store, at))
            db.executemany(_SQL["keep_size"], [(store, segment, at, size) for segment, size in changed.items()])

    def thin_sizes(self, store: str, hours: Millis, days: Millis) -> None:
        """Leave one reading a day of those before ``hours``, and none of those before ``days``."""
        with self._database.writing() as db:
            for name in ("thin_sizes", "thin_readings"):
                db.execute(_SQL[name], (store, hours, days))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
