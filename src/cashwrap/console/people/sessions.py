"""Who is signed in. A session is known by the hash of a random text that only the browser has."""

import base64
import hashlib
import threading
from collections.abc import Iterable
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.console.people.people import Person
from cashwrap.model import Millis
from cashwrap.ports import Clock, Random

COOKIE = "__Host-cashwrap"
"""Its prefix makes browsers hold it to this very host, and to https (or the machine itself)."""
IDLE: Millis = 60 * 60_000
"""How long a session lasts that nobody uses ..."""
LONGEST: Millis = 12 * 60 * 60_000
"""... and one that is used."""
PROVEN: Millis = 10 * 60_000
"""For how long after a password or a code nobody is asked for one again."""
MOST = 20
"""Sessions of a person: one more ends the one not used for longest."""
_NOTED: Millis = 60_000
"""How exactly it is kept on disk when a session was last used."""


class Session(Struct, frozen=True):
    """One browser of one person."""

    id: bytes
    """SHA-256 of the cookie's text."""
    person: str
    csrf: str
    """What every change has to bring along."""
    began: Millis
    epoch: int = 0
    proven: Millis = 0
    """When a password, a code or the single sign-on last proved who it is; 0 for never."""
    address: str = ""
    agent: str = ""
    """Where from and with what, for the person to know it by."""

    @property
    def mark(self) -> str:
        """Names it in a page without giving anything away."""
        return hashlib.sha256(b"mark" + self.id).hexdigest()[:16]


_session = msgspec.msgpack.Decoder(Session)


class SessionStore(Protocol):
    """Where sessions outlive a restart."""

    def sessions(self) -> dict[bytes, tuple[bytes, Millis]]:
        """Every session: its document, and when it was last used."""

    def keep_session(self, name: bytes, document: bytes, seen: Millis) -> None:
        """Write one."""

    def drop_sessions(self, names: Iterable[bytes]) -> None:
        """Remove some."""


class Sessions:
    """The sessions of one console. Any thread may call it."""

    def __init__(self, clock: Clock, random: Random, store: SessionStore | None = None) -> None:
        self._clock = clock
        self._random = random
        self._store = store
        self._lock = threading.RLock()
        self._sessions: dict[bytes, Session] = {}
        self._seen: dict[bytes, Millis] = {}
        self._noted: dict[bytes, Millis] = {}
        for name, (document, seen) in (store.sessions() if store is not None else {}).items():
            self._sessions[name] = _session.decode(document)
            self._seen[name] = self._noted[name] = seen
        self._sweep()

    def begin(
        self, person: Person, *, address: str = "", agent: str = "", proven: Millis | None = None
    ) -> tuple[str, Session]:
        """Sign somebody in: the cookie's text, and the session. ``proven`` is now where nothing else is said."""
        text, csrf = (_text(self._random.token(32)) for _ in range(2))
        now = self._clock.now()
        session = Session(
            id=_digest(text),
            person=person.name,
            csrf=csrf,
            began=now,
            epoch=person.epoch,
            proven=now if proven is None else proven,
            address=address[:64],
            agent=agent[:200],
        )
        with self._lock:
            self._sweep()
            for spare in self.of(person.name)[MOST - 1 :]:
                self.end(spare)
            self._write(session, now)
        return text, session

    def find(self, text: str) -> Session | None:
        """The session of a cookie, if it still lasts."""
        with self._lock:
            session = self._sessions.get(_digest(text))
            if session is None:
                return None
            now = self._clock.now()
            if self._is_over(session, now):
                self.end(session)
                return None
            self._seen[session.id] = now
            if now - self._noted.get(session.id, 0) >= _NOTED:
                self._write(session, now)
            return session

    def prove(self, session: Session) -> Session:
        """Note that somebody has just proved to be who they are."""
        proven = replace(session, proven=self._clock.now())
        with self._lock:
            if session.id in self._sessions:
                self._write(proven, proven.proven)
        return proven

    def is_proven(self, session: Session) -> bool:
        """Whether they did so a moment ago."""
        return 0 <= self._clock.now() - session.proven <= PROVEN

    def of(self, person: str) -> list[Session]:
        """A person's sessions, the one used last first."""
        with self._lock:
            found = [each for each in self._sessions.values() if each.person == person]
            return sorted(found, key=lambda each: self._seen.get(each.id, 0), reverse=True)

    def seen(self, session: Session) -> Millis:
        """When it was last used."""
        return self._seen.get(session.id, session.began)

    def end(self, *ended: Session) -> None:
        """Sign out."""
        with self._lock:
            for session in ended:
                self._sessions.pop(session.id, None)
                self._seen.pop(session.id, None)
                self._noted.pop(session.id, None)
            if self._store is not None and ended:
                self._store.drop_sessions(session.id for session in ended)

    def _write(self, session: Session, seen: Millis) -> None:
        self._sessions[session.id] = session
        self._seen[session.id] = self._noted[session.id] = seen
        if self._store is not None:
            self._store.keep_session(session.id, msgspec.msgpack.encode(session), seen)

    def _sweep(self) -> None:
        now = self._clock.now()
        self.end(*[each for each in self._sessions.values() if self._is_over(each, now)])

    def _is_over(self, session: Session, now: Millis) -> bool:
        return now - session.began > LONGEST or now - self._seen.get(session.id, 0) > IDLE


def _text(drawn: bytes) -> str:
    return base64.urlsafe_b64encode(drawn).decode().rstrip("=")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
