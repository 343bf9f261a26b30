"""Drafts of the playbook: texts that people change together until they are published or dropped.

A draft is a document of the registry that says what it is, and its texts beside it under the number of their revision,
so that a list reads no text and whoever dies in the middle of a save leaves the revision before. Every save names the
revision it began from: of two people who edit one draft the second is told, and nothing is written over.
"""

import base64
import hashlib
import re
import threading
import zlib
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.errors import Conflict, InvalidInput, StoreError, TooMuch
from cashwrap.model import Millis
from cashwrap.ports import Clock, Random, Registry
from cashwrap.versions import EXPECT

KIND = "draft"
OPEN = 100
"""Drafts that are worked on at a time."""
CLOSED = 100
"""Published and discarded ones that are remembered; their texts are not."""
BYTES = 2_000_000
"""Of one draft's texts."""
FILES = 200
TITLE = 120
_FILE = re.compile(rf"({EXPECT}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{{0,79}}\.ya?ml")
State = Literal["open", "submitted", "published", "discarded"]


class Approval(Struct, frozen=True):
    """The word of a second person: on these very texts (``digest``), over what was live then (``base``)."""

    who: str
    at: Millis
    digest: str
    base: str


class Draft(Struct, frozen=True):
    """One draft, without its texts. People are named as in the audit log."""

    id: str
    title: str
    by: str
    made: Millis
    base: str
    """The version it began from, or was brought up to; empty where nothing was live."""
    revision: int = 0
    digest: str = ""
    """Names the very texts."""
    changed: Millis = 0
    changed_by: str = ""
    state: State = "open"
    authors: tuple[str, ...] = ()
    """Everybody whose change is in it: none of them approves it."""
    approvals: tuple[Approval, ...] = ()
    files: int = 0
    size: int = 0
    published: str = ""
    """The version that it became."""

    @property
    def is_open(self) -> bool:
        """Whether it is still worked on."""
        return self.state in ("open", "submitted")

    def approved_by(self) -> tuple[Approval, ...]:
        """Who agreed to it as it is now, and had no hand in it."""
        return tuple(
            each
            for each in self.approvals
            if each.digest == self.digest and each.base == self.base and each.who not in self.authors
        )


_draft = msgspec.msgpack.Decoder(Draft)
_texts: msgspec.msgpack.Decoder[dict[str, str]] = msgspec.msgpack.Decoder(dict[str, str])


class Drafts:
    """The drafts of a data folder, for any thread of the one console that writes them."""

    _lock = threading.RLock()

    def __init__(self, registry: Registry, clock: Clock, random: Random) -> None:
        self._registry = registry
        self._clock = clock
        self._random = random

    # --- what there is ---

    def all(self) -> list[Draft]:
        """Every draft, the one changed last first."""
        found = [_draft.decode(document) for document in self._registry.documents(KIND).values()]
        return sorted(found, key=lambda each: (each.is_open, each.changed, each.id), reverse=True)

    def open(self) -> list[Draft]:
        """Those that are worked on."""
        return [each for each in self.all() if each.is_open]

    def find(self, name: str) -> Draft:
        """One of them. Raises ``InvalidInput`` (``no_such_draft``)."""
        document = self._registry.documents(KIND).get(name)
        if document is None:
            raise InvalidInput("There is no such draft; somebody may have removed it.", code="no_such_draft")
        return _draft.decode(document)

    def files(self, draft: Draft) -> dict[str, str]:
        """Its texts by file name, cases included.

        Raises ``Conflict`` (``draft_closed``), ``InvalidInput`` (``no_such_draft``) where they are gone, and
        ``StoreError`` where they are damaged.
        """
        packed = self._registry.documents(_kind(draft.id)).get(str(draft.revision))
        if packed is None and not draft.is_open:
            raise _closed()
        if packed is None:
            raise InvalidInput("The texts of this draft are no longer kept.", code="no_such_draft")
        try:
            return _texts.decode(zlib.decompress(packed))
        except (zlib.error, msgspec.DecodeError) as error:
            raise StoreError(f"the texts of draft {draft.id} are damaged: restore the data folder") from error

    # --- what changes ---

    def begin(self, who: str, title: str, base: str, files: Mapping[str, str]) -> Draft:
        """A new draft with these texts. Raises ``TooMuch`` (``too_many_drafts``) and as ``save`` does."""
        with self._lock:
            if len(self.open()) >= OPEN:
                message = f"There are {OPEN} open drafts, which is the most: publish or discard one."
                raise TooMuch(message, code="too_many_drafts")
            now = self._clock.now()
            name = base64.b32encode(self._random.token(5)).decode().lower()
            draft = Draft(name, _title(title), who, now, base, changed=now, changed_by=who)
            saved = self._write(draft, files)
            self._forget_closed()
            return saved

    def save(self, name: str, revision: int, files: Mapping[str, str], who: str) -> Draft:
        """These texts in place of those of ``revision``; what was agreed to before is agreed to no longer.

        Raises ``Conflict``: ``draft_moved`` where somebody saved since, ``draft_closed``; ``InvalidInput``:
        ``no_such_draft``, ``invalid_file_name``; ``TooMuch`` (``draft_too_large``).
        """
        with self._lock:
            draft = self._at(name, revision)
            if digest_of(files) == draft.digest:
                return draft
            return self._write(_by(draft, who, self._clock.now()), files)

    def bring_up(self, name: str, revision: int, files: Mapping[str, str], who: str, base: str) -> Draft:
        """The same over another version: what went live meanwhile is in these texts. Raises as ``save`` does."""
        with self._lock:
            draft = self._at(name, revision)
            return self._write(replace(_by(draft, who, self._clock.now()), base=base), files)

    def retitle(self, name: str, title: str) -> Draft:
        """Another title."""
        with self._lock:
            return self._put(replace(self._opened(name), title=_title(title)))

    def submit(self, name: str, revision: int) -> Draft:
        """Say that it waits for a second person."""
        with self._lock:
            return self._put(replace(self._at(name, revision), state="submitted"))

    def approve(self, name: str, revision: int, who: str) -> Draft:
        """A second person's word. Raises ``Conflict`` (``own_draft``) to who changed it, and as ``save`` does."""
        with self._lock:
            draft = self._at(name, revision)
            if who in draft.authors:
                message = "You changed this draft yourself: somebody else has to approve it."
                raise Conflict(message, code="own_draft")
            given = tuple(each for each in draft.approvals if each.who != who)
            approval = Approval(who, self._clock.now(), draft.digest, draft.base)
            return self._put(replace(draft, approvals=(*given[-9:], approval)))

    def publish(self, name: str, revision: int, version: str) -> Draft:
        """This revision became a version; what was saved since stays open, over that version."""
        with self._lock:
            draft = self._opened(name)
            if draft.revision != revision:
                return self._put(replace(draft, base=version, state="open"))
            return self._close(replace(draft, state="published", published=version))

    def discard(self, name: str) -> Draft:
        """Drop it. Raises ``Conflict`` (``draft_closed``)."""
        with self._lock:
            return self._close(replace(self._opened(name), state="discarded"))

    # --- how ---

    def _opened(self, name: str) -> Draft:
        draft = self.find(name)
        if not draft.is_open:
            raise _closed()
        return draft

    def _at(self, name: str, revision: int) -> Draft:
        draft = self._opened(name)
        if draft.revision != revision:
            raise Conflict("Somebody else saved this draft meanwhile.", code="draft_moved")
        return draft

    def _write(self, draft: Draft, files: Mapping[str, str]) -> Draft:
        check_files(files)
        before, kept = draft.revision, dict(files)
        packed = zlib.compress(msgspec.msgpack.encode(kept))
        fresh = replace(
            draft,
            revision=before + 1,
            digest=digest_of(kept),
            files=len(kept),
            size=size_of(kept),
            state="open",
            authors=tuple(sorted({*draft.authors, draft.changed_by})),
        )
        self._registry.put(_kind(draft.id), str(fresh.revision), packed)
        self._put(fresh)
        if before:
            self._registry.put(_kind(draft.id), str(before), None)
        return fresh

    def _close(self, draft: Draft) -> Draft:
        closed = self._put(replace(draft, changed=self._clock.now()))
        for name in self._registry.documents(_kind(draft.id)):
            self._registry.put(_kind(draft.id), name, None)
        return closed

    def _put(self, draft: Draft) -> Draft:
        self._registry.put(KIND, draft.id, msgspec.msgpack.encode(draft))
        return draft

    def _forget_closed(self) -> None:
        for old in [each for each in self.all() if not each.is_open][CLOSED:]:
            self._registry.put(KIND, old.id, None)


def check_files(files: Mapping[str, str]) -> None:
    """That these may be a draft. Raises ``InvalidInput`` (``invalid_file_name``), ``TooMuch`` (``draft_too_large``)."""
    for name in files:
        if not _FILE.fullmatch(name) or ".." in name:
            message = "A file's name has letters, digits and - _ . and ends in .yaml; cases begin with expect/."
            raise InvalidInput(message, code="invalid_file_name")
    if len(files) > FILES or size_of(files) > BYTES:
        message = f"A draft may have {FILES} files of {BYTES // 1_000_000} MB together; edit the folder instead."
        raise TooMuch(message, code="draft_too_large")


def size_of(files: Mapping[str, str]) -> int:
    """Bytes of all texts."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in files.values())


def digest_of(files: Mapping[str, str]) -> str:
    """Names the very texts."""
    return hashlib.blake2b(msgspec.msgpack.encode(sorted(files.items())), digest_size=16).hexdigest()


def waiting_for(drafts: Iterable[Draft], who: str) -> list[Draft]:
    """Those that somebody could approve: submitted, not theirs, and without their word so far."""
    return [
        each
        for each in drafts
        if each.state == "submitted"
        and who not in each.authors
        and who not in {approval.who for approval in each.approved_by()}
    ]


def _closed() -> Conflict:
    return Conflict("This draft was published or discarded; begin a new one.", code="draft_closed")


def _by(draft: Draft, who: str, now: Millis) -> Draft:
    return replace(draft, changed=now, changed_by=who)


def _title(title: str) -> str:
    text = " ".join(title.split())[:TITLE]
    if not text:
        raise InvalidInput("Give the draft a title.", code="missing_title")
    return text


def _kind(name: str) -> str:
    return f"{KIND}:{name}"
