"""A playbook's folder, watched: has a file changed, and what does the folder say now."""

from pathlib import Path

from cashwrap.playbook.compile import Playbook, is_playbook_file, load_playbook

Stamp = tuple[tuple[str, int, int], ...]


class PlaybookSource:
    """Reads a folder; ``changed`` is cheap enough to ask a few times a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Stamp | None = None

    def changed(self) -> bool:
        """Whether any file is other than at the last ``load``."""
        return self._stamp() != self._seen

    def load(self) -> Playbook:
        """The playbook as the files are now.

        Raises ``PlaybookError`` with every mistake; ``changed`` then waits for the next edit.
        """
        self._seen = self._stamp()
        return load_playbook(self._folder)

    def _stamp(self) -> Stamp:
        try:
            paths = [*self._folder.iterdir(), *(self._folder / "expect").glob("*")]
            found = [(path.name, path.stat()) for path in sorted(paths) if is_playbook_file(path)]
        except OSError:
            return ()
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)
