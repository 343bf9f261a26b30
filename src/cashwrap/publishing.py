"""From a folder to a playbook that may go live: compiled without a mistake, and every expectation met.

``PlaybookSource`` watches the folder for ``serve``: a change is taken up when it has settled, and a broken one is
reported and leaves the playbook that is live alone.
"""

from pathlib import Path

from cashwrap.expectations import read_cases, run_cases
from cashwrap.playbook import Fault, Playbook, examine, read_files
from cashwrap.playbook.compile import is_playbook_file, refusal
from cashwrap.playbook.faults import Faults

EXPECT = "expect"
"""The folder inside a playbook that holds its cases."""
Signature = tuple[tuple[str, int, int], ...]
"""Name, time of change in nanoseconds and size of every file."""


def examine_folder(folder: Path) -> tuple[Playbook | None, tuple[Fault, ...]]:
    """Compile a folder and run its cases: the playbook (``None`` where anything fails) and all complaints.

    Raises ``PlaybookError`` where the folder cannot be read.
    """
    playbook, found = examine(read_files(folder))
    faults = Faults()
    cases = read_cases(_case_files(folder), faults)
    if playbook is not None:
        run_cases(playbook, cases, faults)
    return playbook if not len(faults) else None, tuple(sorted({*found, *faults.sorted()}))


def publish_folder(folder: Path) -> Playbook:
    """The playbook of a folder. Raises ``PlaybookError`` with every mistake and every case that fails."""
    playbook, faults = examine_folder(folder)
    if playbook is None:
        raise refusal(faults)
    return playbook


class PlaybookSource:
    """A playbook folder that is edited while it is served. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: Signature = ()
        self._seen: Signature = ()

    def load(self) -> Playbook:
        """The playbook as it is now. Raises ``PlaybookError``; even then, what was there counts as looked at."""
        self._taken = self._seen = self._sign()
        return publish_folder(self.folder)

    def changed(self) -> bool:
        """Whether the files have changed since ``load`` and then rested for one poll, so that a save is whole.

        Cheap enough to call several times a second: it reads no file. A folder that is gone has not changed.
        """
        now = self._sign()
        settled = now == self._seen
        self._seen = now
        return settled and bool(now) and now != self._taken

    def _sign(self) -> Signature:
        found = []
        for folder in (self.folder, self.folder / EXPECT):
            try:
                paths = sorted(path for path in folder.iterdir() if is_playbook_file(path))
                for path in paths:
                    stat = path.stat()
                    found.append((str(path.relative_to(self.folder)), stat.st_mtime_ns, stat.st_size))
            except OSError:  # an editor that replaces a file takes it away for a moment
                continue
        return tuple(found)


def _case_files(folder: Path) -> dict[str, str]:
    expect = folder / EXPECT
    return {f"{EXPECT}/{name}": text for name, text in read_files(expect).items()} if expect.is_dir() else {}
