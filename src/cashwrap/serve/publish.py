"""Which playbook a server runs: what its folder says, or what somebody published or took back past it.

The last one wins: a changed folder publishes itself; a publish or rollback by command or API stands until the folder
changes again, restarts included. What the folder "said last" is the newest entry that it made in the journal, so that
there is nothing else to keep in step.
"""

import logging
import threading

from cashwrap.audit import Note, Trail
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput, PlaybookError
from cashwrap.model import Millis
from cashwrap.playbook import Playbook
from cashwrap.publishing import PATIENCE, Draft, PlaybookSource, settle_folder
from cashwrap.versions import Release, Versions

log = logging.getLogger("cashwrap")
NAMES_LIFE: Millis = 8 * 86_400_000
"""How long it is known what a token's numbers mean after its playbook was live: longer than any token lives."""


class Publisher:
    """Follows a folder and the journal of versions for one engine. ``look`` may be called from any thread."""

    def __init__(self, versions: Versions, source: PlaybookSource, trail: Trail | None = None) -> None:
        self._versions = versions
        self._source = source
        self._trail = trail
        self._lock = threading.Lock()
        self._folder = ""
        """What the folder said when it was last taken up."""
        self._draft: Draft | None = None
        """A change of the folder that waits to be kept."""
        self._taken: Release | None = None
        """The entry of the journal that was acted upon."""
        self._waiting = False
        """Whether the folder is being written by somebody, and is to be looked at when that has ended."""
        self._tidy = False
        self._folder_error = ""
        self._live_error = ""

    @property
    def error(self) -> str:
        """The mistakes of the newest change while something older is live; empty when all is well."""
        return self._folder_error or self._live_error

    def first(self) -> Playbook:
        """The playbook to start with. A folder with mistakes keeps no server from starting that has a version to run.

        Raises ``PlaybookError`` where there is no folder, or nothing that could run.
        """
        live = self._versions.live()
        if live is not None and self._versions.writing() is not None:
            self._folder, self._waiting = self._said_last(), True
            return self._current()
        try:
            self._begin(self._source.draft(), live)
        except PlaybookError as error:
            if live is None or not error.faults:
                raise
            self._folder = self._said_last()
            self._folder_error = _complaint("the folder has mistakes and is not live", error)
        return self._current()

    def look(self, engine: Engine) -> bool:
        """Publish a change of the folder, and take up what went live in whatever way; whether the engine changed."""
        with self._lock:
            try:
                if self._source.changed() or self._waiting:
                    self._waiting = not settle_folder(self._versions, self._source.folder, PATIENCE)
                    if not self._waiting:
                        self._draft = self._source.draft()
                        self._folder_error = ""
            except PlaybookError as error:
                self._draft = None
                self._folder_error = _complaint("the changed playbook is not live", error)
            if self._draft is not None:
                self._publish(self._draft)
                self._draft = None
            swapped = self._follow(engine)
            if swapped or not self._tidy:
                self._forget_names(engine)
            return swapped

    # --- the folder ---

    def _begin(self, draft: Draft, live: Release | None) -> None:
        """Take up the folder at a start: as unchanged, where it says what it said when it was taken up last."""
        said, digest = self._versions.of_folder(), draft.playbook.hash
        if live is None or said is None or digest not in (said.hash, self._said_last()):
            self._publish(draft)
            return
        self._versions.keep(draft.playbook, draft.files)
        self._folder = digest
        if said.hash != digest and live.hash == said.hash:  # a newer cashwrap reads more out of the same files
            self._versions.go_live(digest, "folder")

    def _publish(self, draft: Draft) -> None:
        """Make live what the folder says, unless it said so before: as the console does, which writes it there."""
        digest = draft.playbook.hash
        self._versions.keep(draft.playbook, draft.files)
        if self._is_new(digest):
            self._make_live(digest)
        self._folder = digest

    def _is_new(self, digest: str) -> bool:
        said = self._versions.of_folder()
        return said is None or digest not in (said.hash, self._said_last())

    def _make_live(self, digest: str) -> None:
        """With its entry in the audit log; but for want of one no server that starts stays away."""
        if self._trail is None:
            self._versions.go_live(digest, "folder")
            return
        leave = self._trail.anyway if self._taken is None else self._trail.around
        leave(Note("server", "playbook.folder", digest), lambda: self._versions.go_live(digest, "folder"))

    def _said_last(self) -> str:
        """The hash, as this cashwrap computes it, of what the folder said when it was taken up last."""
        said = self._versions.of_folder()
        if said is None:
            return ""
        try:
            return self._versions.load(said.hash).hash
        except InvalidInput:
            return said.hash

    # --- the journal ---

    def _follow(self, engine: Engine) -> bool:
        live = self._versions.live()
        if live is None or live == self._taken:
            return False
        try:
            playbook = self._current()
        except InvalidInput as error:  # told once, not at every look
            self._taken = live
            what = f"version {live.hash} cannot be used; {engine.live.playbook.hash} stays live"
            self._live_error = _complaint(what, error)
            return False
        self._live_error = ""
        self._tell(live)
        if playbook.hash == engine.live.playbook.hash:
            return False
        engine.publish(playbook)
        return True

    def _current(self) -> Playbook:
        """The live version, compiled. One that a newer cashwrap reads more out of goes live under its new name."""
        live = self._versions.live()
        if live is None:
            raise InvalidInput("nothing is live", code="no_such_version")
        playbook = self._versions.load(live.hash)
        if playbook.hash != live.hash:
            self._versions.keep(playbook, self._versions.files(live.hash))
            live = self._versions.go_live(playbook.hash, "upgrade", instead_of=live.hash)
        self._taken = live
        return playbook

    def _forget_names(self, engine: Engine) -> None:
        recent = self._versions.lately_live(engine.world.clock.now() - NAMES_LIFE)
        if recent is not None:
            engine.exposures.keep_only(recent | {engine.live.playbook.hash})
        self._tidy = True

    # --- what an operator reads ---

    def _tell(self, live: Release) -> None:
        how = f"{live.by} by {live.who}" if live.who else live.by
        log.info("playbook %s is live: %s%s", live.hash, how, f" ({live.message})" if live.message else "")
        if self._folder != live.hash and live.by != "console":
            log.warning(
                "the folder %s holds %s, which is not live and stays so until it changes; "
                "'cashwrap checkout live %s' writes there what is live",
                self._source.folder,
                self._folder or "mistakes",
                self._source.folder,
            )


def _complaint(what: str, error: InvalidInput) -> str:
    """Log why something is not live; the same for whoever asks later."""
    faults = error.faults if isinstance(error, PlaybookError) else ()
    told = "\n".join(faults) or error.message
    log.warning("%s: %s", what, told)
    return told
