"""Who is signed in. A session is known by the hash of a random text that only the browser has."""

import base64
import hashlib

from msgspec import Struct

from cashwrap.console.people import Person
from cashwrap.model import Millis
from cashwrap.ports import Clock, Random

COOKIE = "__Host-cashwrap"
"""Its prefix makes browsers hold it to this very host, and to https (or the machine itself)."""
IDLE: Millis = 60 * 60_000
"""How long a session lasts that nobody uses ..."""
LONGEST: Millis = 12 * 60 * 60_000
"""... and one that is used."""


class Session(Struct, frozen=True):
    """One browser of one person."""

    id: bytes
    """SHA-256 of the cookie's text."""
    person: str
    csrf: str
    """What every change has to bring along."""
    began: Millis
    epoch: int = 0


class Sessions:
    """The sessions of one console, in memory. Any thread may call it."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._sessions: dict[bytes, Session] = {}
        self._seen: dict[bytes, Millis] = {}

    def begin(self, person: Person) -> tuple[str, Session]:
        """Sign somebody in: the cookie's text, and the session."""
        text, csrf = (_text(self._random.token(32)) for _ in range(2))
        session = Session(_digest(text), person.name, csrf, self._clock.now(), person.epoch)
        self._sessions[session.id] = session
        self._seen[session.id] = session.began
        return text, session

    def find(self, text: str) -> Session | None:
        """The session of a cookie, if it still lasts."""
        session = self._sessions.get(_digest(text))
        if session is None:
            return None
        now = self._clock.now()
        if now - session.began > LONGEST or now - self._seen.get(session.id, 0) > IDLE:
            self.end(session)
            return None
        self._seen[session.id] = now
        return session

    def end(self, session: Session) -> None:
        """Sign out."""
        self._sessions.pop(session.id, None)
        self._seen.pop(session.id, None)


def _text(drawn: bytes) -> str:
    return base64.urlsafe_b64encode(drawn).decode().rstrip("=")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
