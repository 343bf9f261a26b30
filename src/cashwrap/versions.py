"""Versions: every playbook that was ever live, kept as its files, and which of them is live now.

Each going live is one entry of a journal, and the newest entry is what is live: one document is written to move from
one version to another, so that there is no moment without a live version and none with half of one. All of it lies in
the registry, where a command beside a running server writes what the server polls (docs/decisions/0020).
"""

import hashlib
import re
import threading
import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidInput, StoreError
from cashwrap.model import Millis
from cashwrap.playbook import Playbook, examine
from cashwrap.playbook.compile import refusal
from cashwrap.ports import Clock, Registry

KIND = "version"
"""What is known about each version, by hash. Its files are a kind of their own, so that a list need not read them."""
JOURNAL = "live"
MAX_VERSIONS = 500
MAX_BYTES = 256 * 1024 * 1024
"""Of all versions' files together, compressed."""
MAX_RELEASES = 500
"""Entries of the journal. The newest one of the folder is kept beyond that."""
MAX_WHO = 200
MAX_MESSAGE = 500
COMPILED = 2
"""Compiled versions that are kept in memory."""
EXPECT = "expect"
"""The folder inside a playbook that holds its cases."""
LIVE = "live"
"""Names the live version wherever a hash may be given."""
_FILES = "files"
_TRIES = 20
_PREFIX = re.compile(r"[0-9a-f]{4,16}")

By = Literal["folder", "publish", "rollback", "upgrade", "console"]
"""What made a version live: the served folder, a command, a way back, a newer cashwrap that names it anew, or the
console, which has written it into the served folder too."""
_OF_FOLDER = frozenset({"folder", "console"})
_WRITING = "folder-write"


class Version(Struct, frozen=True):
    """A version as kept: when it was kept last, how many files it has, and their compressed size in bytes."""

    hash: str
    kept: Millis
    files: int
    size: int
    digest: str
    """Names the very texts: versions of one hash may differ in comments."""


class Release(Struct, frozen=True):
    """One going live, in the order of ``number``."""

    number: int
    hash: str
    at: Millis
    by: By
    who: str = ""
    message: str = ""


class Writing(Struct, frozen=True):
    """A write of the served folder that was begun: from one version's texts to another's."""

    old: str
    new: str
    after: int
    """The newest entry of the journal when it began."""
    at: Millis


class Listed(Struct, frozen=True):
    """A version with its times live, the newest first."""

    version: Version
    releases: tuple[Release, ...]


_files: msgspec.msgpack.Decoder[dict[str, str]] = msgspec.msgpack.Decoder(dict[str, str])
_version: msgspec.msgpack.Decoder[Version] = msgspec.msgpack.Decoder(Version)
_release: msgspec.msgpack.Decoder[Release] = msgspec.msgpack.Decoder(Release)


class Versions:
    """The versions of a data folder, for any thread; other processes may publish and roll back at the same time."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._compiled: dict[str, Playbook] = {}
        self._lock = threading.Lock()

    # --- what there is ---

    def all(self) -> list[Listed]:
        """Every version that is kept: the one that went live last first, then those that never did."""
        releases: dict[str, list[Release]] = {}
        for release in reversed(self.releases()):
            releases.setdefault(release.hash, []).append(release)
        listed = [Listed(version, tuple(releases.get(version.hash, ()))) for version in self._versions().values()]
        return sorted(listed, key=_recency, reverse=True)

    def releases(self) -> list[Release]:
        """The journal, oldest first."""
        documents = self._registry.documents(JOURNAL)
        return [_release.decode(documents[name]) for name in sorted(documents)]

    def live(self) -> Release | None:
        """What is live, or ``None`` where nothing ever was."""
        documents = self._registry.documents(JOURNAL)
        return _release.decode(documents[max(documents)]) if documents else None

    def before(self) -> str:
        """The version that was live before this one, whatever names upgrades gave it since.

        Raises ``InvalidInput`` (``nothing_before``).
        """
        kept = self._versions()
        same: set[str] = set()
        names_it = True
        for release in reversed(self.releases()):
            if names_it:
                same.add(release.hash)
            elif release.hash not in same and release.hash in kept:
                return release.hash
            names_it = release.by == "upgrade" and release.hash in same
        raise InvalidInput("no other version was live before; see 'cashwrap versions'", code="nothing_before")

    def of_folder(self) -> Release | None:
        """What the served folder said last: as long as its files say the same, they publish nothing."""
        return next((release for release in reversed(self.releases()) if release.by in _OF_FOLDER), None)

    def find(self, name: str) -> str:
        """The hash that ``live`` or the beginning of a hash names.

        Raises ``InvalidInput``: ``no_such_version`` or ``ambiguous_version``.
        """
        if name == LIVE:
            live = self.live()
            if live is None:
                raise InvalidInput("nothing is live yet: serve or publish a playbook", code="no_such_version")
            return live.hash
        found = [known for known in self._versions() if _PREFIX.fullmatch(name) and known.startswith(name)]
        if len(found) > 1:
            raise InvalidInput(f"{name} begins several versions: {', '.join(found[:5])}", code="ambiguous_version")
        if not found:
            hint = "write at least 4 digits of one that 'cashwrap versions' lists"
            raise InvalidInput(f"there is no version {name!r}: {hint}", code="no_such_version")
        return found[0]

    def version(self, digest: str) -> Listed:
        """One version by its whole hash. Raises ``InvalidInput`` (``no_such_version``)."""
        for listed in self.all():
            if listed.version.hash == digest:
                return listed
        raise InvalidInput(f"version {digest} is not kept", code="no_such_version")

    def files(self, digest: str) -> dict[str, str]:
        """A version's texts by file name, cases included.

        Raises ``InvalidInput`` (``no_such_version``), and ``StoreError`` where they were damaged.
        """
        packed = self._registry.documents(_kind(digest)).get(_FILES)
        if packed is None:
            raise InvalidInput(f"version {digest} is not kept", code="no_such_version")
        try:
            return _files.decode(zlib.decompress(packed))
        except (zlib.error, msgspec.DecodeError) as error:
            raise StoreError(f"the files of version {digest} are damaged: restore the data folder") from error

    def load(self, digest: str) -> Playbook:
        """A version, compiled. Raises as ``files`` does, and ``PlaybookError`` where this cashwrap refuses it.

        Its ``hash`` is another one where a newer cashwrap reads more out of the same files.
        """
        with self._lock:
            playbook = self._compiled.get(digest)
        if playbook is None:
            playbook, faults = examine(playbook_files(self.files(digest)))
            if playbook is None:
                raise refusal(faults)
        self._remember(digest, playbook)
        return playbook

    def holds(self, files: Mapping[str, str]) -> bool:
        """Whether these very texts are kept as a version."""
        return self.holding(files) is not None

    def holding(self, files: Mapping[str, str]) -> str | None:
        """The version whose very texts these are."""
        digest = _digest(files)
        return next((name for name, version in self._versions().items() if version.digest == digest), None)

    def writing(self, older: Millis = 0) -> Writing | None:
        """A write of the served folder that was begun at least so long ago and has not ended."""
        document = self._registry.documents(_WRITING).get(_FILES)
        begun = msgspec.msgpack.decode(document, type=Writing) if document is not None else None
        return begun if begun is not None and self._clock.now() - begun.at >= older else None

    def lately_live(self, since: Millis) -> set[str] | None:
        """The versions that were live at some time after ``since``; ``None`` where the journal does not reach back."""
        releases = self.releases()[-MAX_RELEASES:]
        if not releases or releases[0].at > since:
            return None
        ends = [*(release.at for release in releases[1:]), None]
        return {release.hash for release, end in zip(releases, ends, strict=True) if end is None or end >= since}

    # --- what changes ---

    def keep(self, playbook: Playbook, files: Mapping[str, str]) -> None:
        """Keep a version that was found good; of one that is kept already the newest text."""
        packed = zlib.compress(msgspec.msgpack.encode(dict(files)))
        version = Version(playbook.hash, self._clock.now(), len(files), len(packed), _digest(files))
        self._registry.put(_kind(playbook.hash), _FILES, packed)
        self._registry.put(KIND, playbook.hash, msgspec.msgpack.encode(version))
        self._remember(playbook.hash, playbook)

    def go_live(
        self, digest: str, by: By, *, who: str = "", message: str = "", instead_of: str | None = None
    ) -> Release:
        """Make a kept version the live one, and let go of what is beyond the limits.

        ``instead_of`` is the version that the caller saw live. Raises ``InvalidInput``: ``version_moved`` where that
        is no longer so, ``no_such_version``, and ``invalid_request`` where a text is too long.
        """
        if len(who) > MAX_WHO or len(message) > MAX_MESSAGE:
            text = f"a name may have {MAX_WHO} characters, a message {MAX_MESSAGE}"
            raise InvalidInput(text, code="invalid_request")
        self._touch(digest)
        live = self.live()
        if instead_of is not None and (live is None or live.hash != instead_of):
            now = live.hash if live is not None else "nothing"
            raise InvalidInput(f"{now} went live meanwhile; look at the difference again", code="version_moved")
        with self._lock:
            release = self._append(Release(0, digest, self._clock.now(), by, who, message))
        self.prune()
        return release

    def begin_writing(self, old: str, new: str) -> None:
        """Note that the served folder is about to be written, so that nobody takes half of it for a change."""
        live = self.live()
        begun = Writing(old, new, live.number if live is not None else 0, self._clock.now())
        self._registry.put(_WRITING, _FILES, msgspec.msgpack.encode(begun))

    def end_writing(self) -> None:
        """Note that the served folder is whole."""
        self._registry.put(_WRITING, _FILES, None)

    def prune(self) -> None:
        """Remove versions and entries beyond the limits.

        Never what is live, the folder's newest, or what a decision may name whose record is still kept.
        """
        releases, folder = self.releases(), self.of_folder()
        for old in releases[:-MAX_RELEASES]:
            if old != folder:
                self._registry.put(JOURNAL, _entry(old), None)
        protected = self._of_records(releases) | ({folder.hash} if folder is not None else set())
        count, size = 0, 0
        for version in sorted(self._versions().values(), key=lambda each: each.kept, reverse=True):
            count, size = count + 1, size + version.size
            if (count > MAX_VERSIONS or size > MAX_BYTES) and version.hash not in protected:
                self._remove(version)

    def _of_records(self, releases: list[Release]) -> set[str]:
        """What was live for as long as decisions are kept, by the setting of the live playbook."""
        try:
            retention = self.load(releases[-1].hash).settings.decision_retention if releases else 0
            recent = self.lately_live(self._clock.now() - retention)
        except InvalidInput:  # nobody knows how long, so that nothing may go
            recent = None
        return recent if recent is not None else {release.hash for release in releases}

    # --- how ---

    def _append(self, release: Release) -> Release:
        """Write the next entry. Of two processes that write the same number one moves on, so that the last one wins."""
        for _ in range(_TRIES):
            live = self.live()
            numbered = msgspec.structs.replace(release, number=live.number + 1 if live is not None else 1)
            name = _entry(numbered)
            self._registry.put(JOURNAL, name, msgspec.msgpack.encode(numbered))
            beside = [other for other in self._registry.documents(JOURNAL) if other[:_DIGITS] == name[:_DIGITS]]
            if name == max(beside, default=name):
                return numbered
            self._registry.put(JOURNAL, name, None)
        raise StoreError("too many are publishing at once; try again")

    def _touch(self, digest: str) -> None:
        """Make a version the newest kept one, so that nothing removes it while it goes live."""
        known = self._versions().get(digest)
        if known is None:
            raise InvalidInput(f"version {digest} is not kept", code="no_such_version")
        touched = msgspec.structs.replace(known, kept=self._clock.now())
        self._registry.put(KIND, digest, msgspec.msgpack.encode(touched))

    def _remove(self, version: Version) -> None:
        document = self._registry.documents(KIND).get(version.hash)
        if document is not None and _version.decode(document) == version:  # else somebody takes it up again
            self._registry.put(KIND, version.hash, None)
            self._registry.put(_kind(version.hash), _FILES, None)

    def _versions(self) -> dict[str, Version]:
        return {name: _version.decode(document) for name, document in self._registry.documents(KIND).items()}

    def _remember(self, digest: str, playbook: Playbook) -> None:
        with self._lock:
            self._compiled.pop(digest, None)
            self._compiled[digest] = playbook
            while len(self._compiled) > COMPILED:
                del self._compiled[next(iter(self._compiled))]


def playbook_files(files: Mapping[str, str]) -> dict[str, str]:
    """Without the cases: those lie in a folder of their own."""
    return {name: text for name, text in files.items() if "/" not in name}


def roll_back(versions: Versions, name: str, who: str, message: str) -> Release:
    """Make an older version live again: the one that ``name`` begins or, where it is empty, the one before.

    Raises ``InvalidInput`` as ``find`` and ``before`` do, ``already_live``, and ``PlaybookError`` where this cashwrap
    cannot use the version; then nothing has changed.
    """
    digest = versions.find(name) if name else versions.before()
    live = versions.live()
    if live is not None and live.hash == digest:
        raise InvalidInput(f"version {digest} is live already", code="already_live")
    versions.load(digest)
    return versions.go_live(digest, "rollback", who=who, message=message)


def listing(versions: Versions) -> dict[str, object]:
    """All versions for a program: what is live, what the folder said last, and each version with its times live."""
    live, folder = versions.live(), versions.of_folder()
    return {
        "live": live.hash if live is not None else None,
        "folder": folder.hash if folder is not None else None,
        "versions": [described(listed) for listed in versions.all()],
    }


def described(listed: Listed) -> dict[str, object]:
    """One version for a program, without its texts."""
    version = listed.version
    named = {"hash": version.hash, "kept": version.kept, "files": version.files, "size": version.size}
    return {**named, "releases": listed.releases}


def strayed(versions: Versions) -> str | None:
    """The version that the served folder holds, where that is not what is live: somebody published past it."""
    live, folder = versions.live(), versions.of_folder()
    return folder.hash if live is not None and folder is not None and folder.hash != live.hash else None


def _recency(listed: Listed) -> tuple[int, Millis]:
    return (listed.releases[0].number if listed.releases else 0, listed.version.kept)


def _kind(digest: str) -> str:
    return f"{KIND}:{digest}"


_DIGITS = 10


def _entry(release: Release) -> str:
    """An entry's name: sorted by number, and no two of one number overwrite each other unless they say the same."""
    return f"{release.number:0{_DIGITS}d}-{release.hash}"


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode(sorted(files.items())), digest_size=16).hexdigest()
