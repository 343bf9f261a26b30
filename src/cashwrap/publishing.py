"""From a folder to a playbook that may go live: compiled without a mistake, and every expectation met.

``PlaybookSource`` watches the folder for ``serve``: a change is taken up when it has settled, and a broken one is
reported and leaves the playbook that is live alone.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cashwrap.errors import CashwrapError, InvalidInput, PlaybookError
from cashwrap.expectations import read_cases, run_cases
from cashwrap.model import Millis
from cashwrap.playbook import Fault, Playbook, examine, read_files
from cashwrap.playbook.compile import is_playbook_file, refusal
from cashwrap.playbook.faults import Faults
from cashwrap.versions import EXPECT, Release, Versions, playbook_files

log = logging.getLogger("cashwrap")
_NAME = re.compile(rf"({EXPECT}/)?[^/.\0][^/\0]*\.ya?ml")
"""A playbook's file or one of its cases, seen from the folder."""
Signature = tuple[tuple[str, int, int], ...]
"""Name, time of change in nanoseconds and size of every file."""
PATIENCE: Millis = 60_000
"""After so long a write of the folder that has not ended belongs to somebody who died."""


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


def write_folder(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write a version's files into a folder, each whole or not at all, and remove the playbook files it does not have.

    Returns the names of those. Files that belong to no playbook are left alone. Raises ``InvalidInput``
    (``unreadable_file``) where the folder cannot be written, or a name leads out of it.
    """
    for name in files:
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} is no name of a playbook's file", code="unreadable_file")
    if (folder / EXPECT).is_symlink():
        raise InvalidInput(f"{folder / EXPECT} is a link to elsewhere; remove it first", code="unreadable_file")
    there = _paths(folder)
    try:
        for name, text in files.items():
            _replace(folder / name, text)
        removed = sorted(set(there) - set(files))
        for name in removed:
            there[name].unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}", code="unreadable_file") from None
    return removed


# --- the folder and what is live, together ---


class Published(Struct, frozen=True):
    """What went live. ``written`` says that the served folder holds it; ``why`` why it does not."""

    release: Release
    written: bool
    why: str = ""


def publish_with_folder(
    versions: Versions, folder: Path, draft: Draft, *, seen: str | None, who: str, message: str
) -> Published:
    """Make a draft live in place of ``seen``, and write it into the served folder where that loses nothing.

    The folder comes first, under a note that a write was begun: whoever looks at it meanwhile waits, and what somebody
    left who died is put back as it was (``settle_folder``). Raises ``InvalidInput`` (``version_moved``).
    """
    settle_folder(versions, folder)
    old, why = _held(versions, folder)
    versions.keep(draft.playbook, draft.files)
    digest, live = draft.playbook.hash, versions.live()
    if old is None or live is None or live.hash != seen:
        release = versions.go_live(digest, "publish", who=who, message=message, instead_of=seen)
        return Published(release, written=False, why=why)
    versions.begin_writing(old, digest)
    try:
        write_folder(folder, draft.files)
        said = versions.of_folder()
        if digest != seen or said is None or said.hash != digest:  # else it says the same in other words
            live = versions.go_live(digest, "console", who=who, message=message, instead_of=seen)
    except CashwrapError as error:
        settle_folder(versions, folder)
        if error.code != "unreadable_file":
            raise
        release = versions.go_live(digest, "publish", who=who, message=message, instead_of=seen)
        return Published(release, written=False, why=error.message)
    versions.end_writing()
    return Published(live, written=True)


def settle_folder(versions: Versions, folder: Path, older: Millis = 0) -> bool:
    """End a write of the folder that somebody began at least ``older`` ago and did not end.

    What went live stays; else the folder is put back as it was, unless somebody has edited it since. Returns whether no
    write is under way (any more).
    """
    begun = versions.writing(older)
    if begun is None:
        return versions.writing() is None
    went_live = any(
        release.number > begun.after and release.hash == begun.new and release.by == "console"
        for release in versions.releases()
    )
    if not went_live:
        try:
            old, new, there = versions.files(begun.old), versions.files(begun.new), read_folder(folder)
            if all(there.get(name) in (old.get(name), new.get(name)) for name in {*old, *new, *there}):
                write_folder(folder, old)
        except InvalidInput as error:
            log.warning("%s could not be put back as it was: %s", folder, error.message)
    versions.end_writing()
    return True


def _held(versions: Versions, folder: Path) -> tuple[str | None, str]:
    """The version that the folder's very texts are; ``None`` with a reason where writing there would lose something."""
    try:
        there = read_folder(folder)
    except PlaybookError as error:
        return None, error.message
    found = versions.holding(there)
    return found, "" if found is not None else f"{folder} holds changes that were never published"


def _replace(path: Path, text: str) -> None:
    """Write a text so that a reader sees the old one or the new one; an unchanged file is not touched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_bytes() == text.encode():
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)  # left by a write that was cut off, or a link that leads elsewhere
    with fresh.open("xb") as file:
        file.write(text.encode())
    fresh.replace(path)


def _paths(folder: Path) -> dict[str, Path]:
    """The files of a playbook and its cases, by name."""
    found: dict[str, Path] = {}
    for inside in (folder, folder / EXPECT):
        if inside.is_dir():
            found |= {path.relative_to(folder).as_posix(): path for path in inside.iterdir() if is_playbook_file(path)}
    return found


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
