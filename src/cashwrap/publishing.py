"""From a folder to a playbook that may go live: compiled without a mistake, and every expectation met.

``PlaybookSource`` watches the folder for ``serve``: a change is taken up when it has settled, and a broken one is
reported and leaves the playbook that is live alone.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cashwrap.expectations import read_cases, run_cases
from cashwrap.playbook import Fault, Playbook, examine, read_files
from cashwrap.playbook.compile import is_playbook_file, refusal
from cashwrap.playbook.faults import Faults
from cashwrap.versions import EXPECT, playbook_files

Signature = tuple[tuple[str, int, int], ...]
"""Name, time of change in nanoseconds and size of every file."""


class Draft(Struct, frozen=True):
    """A playbook that may go live, with the very texts it was compiled from: by file name, cases included."""

    playbook: Playbook
    files: dict[str, str]


def read_folder(folder: Path) -> dict[str, str]:
    """The texts of a playbook and of its cases. Raises ``PlaybookError`` where the folder cannot be read."""
    expect = folder / EXPECT
    cases = read_files(expect) if expect.is_dir() else {}
    return read_files(folder) | {f"{EXPECT}/{name}": text for name, text in cases.items()}


def examine_files(files: Mapping[str, str]) -> tuple[Playbook | None, tuple[Fault, ...]]:
    """Compile texts and run their cases: the playbook (``None`` where anything fails) and all complaints."""
    own = playbook_files(files)
    playbook, found = examine(own)
    faults = Faults()
    cases = read_cases({name: text for name, text in files.items() if name not in own}, faults)
    if playbook is not None:
        run_cases(playbook, cases, faults)
    return playbook if not len(faults) else None, tuple(sorted({*found, *faults.sorted()}))


def examine_folder(folder: Path) -> tuple[Playbook | None, tuple[Fault, ...]]:
    """``examine_files`` for a folder. Raises ``PlaybookError`` where it cannot be read."""
    return examine_files(read_folder(folder))


def draft_of(folder: Path) -> Draft:
    """What a folder would publish. Raises ``PlaybookError`` with every mistake and every case that fails."""
    files = read_folder(folder)
    playbook, faults = examine_files(files)
    if playbook is None:
        raise refusal(faults)
    return Draft(playbook, files)


class PlaybookSource:
    """A playbook folder that is edited while it is served. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: Signature = ()
        self._seen: Signature = ()

    def draft(self) -> Draft:
        """What the files say now. Raises ``PlaybookError``; even then, what was there counts as looked at."""
        self._taken = self._seen = self._sign()
        return draft_of(self.folder)

    def load(self) -> Playbook:
        """The playbook of ``draft``."""
        return self.draft().playbook

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

