"""Signing in, and what people change about themselves: passwords, second factors, one-time links.

Everything that hashes a password is called through ``Passwords.run``. An attempt is counted before it is checked; an
unknown name, a wrong password and a disabled account are one answer after the same time.
"""

import base64
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.audit import Note, Trail
from cashwrap.console.people.links import OWNER, Links, links_of
from cashwrap.console.people.lockout import Lockout, network
from cashwrap.console.people.passwords import Passwords, check_password
from cashwrap.console.people.people import People, Person, display_name, ended, newcomer
from cashwrap.console.people.second_factor import SecondFactor
from cashwrap.console.people.sessions import Session, Sessions
from cashwrap.console.roles import Grant
from cashwrap.errors import InvalidInput, NotAllowed, StoreError
from cashwrap.model import Millis
from cashwrap.world import World

DEVICE = "__Host-cashwrap-device"
"""The cookie of a browser somebody has signed in with."""
_HALFWAY: Millis = 5 * 60_000
"""How long after the password a code may follow."""
_HALVES = 1_000
_TOLD_AN_HOUR = 120
"""Entries of failures that the audit log takes in an hour: nobody fills the disk by guessing."""
_HOUR: Millis = 3_600_000
_NAME = 100
Things = tuple[tuple[str, str], ...]


class Visitor(Struct, frozen=True):
    """Where an attempt comes from."""

    address: str = ""
    agent: str = ""
    device: str = ""
    """The device cookie's text."""


class SignedIn(Struct, frozen=True):
    """What a browser gets."""

    text: str
    """The session cookie's."""
    session: Session
    device: str
    """The device cookie's."""


class _Half(Struct, frozen=True):
    person: str
    epoch: int
    until: Millis


class Accounts:
    """The doors of a console. Any thread may call it."""

    def __init__(self, world: World, people: People, sessions: Sessions, passwords: Passwords) -> None:
        self.people = people
        self.sessions = sessions
        self.passwords = passwords
        self.factor = SecondFactor(world.vault, world.random)
        self.links: Links = links_of(world)
        self.lockout = Lockout(world.clock)
        self._world = world
        self._trail = Trail(world.audit, world.clock)
        self._lock = threading.Lock()
        self._halves: OrderedDict[str, _Half] = OrderedDict()
        self._told: list[Millis] = []
        self._untold = 0

    # --- signing in ---

    def sign_in(self, name: str, password: str, visitor: Visitor) -> SignedIn | str:
        """Somebody signed in, or the text with which ``finish`` is called, where a code has to follow.

        Raises ``NotAllowed`` (``sign_in_failed``) and ``TooMuch`` (``sign_in_wait``).
        """
        wanted = name.strip().lower()[:_NAME]
        person = self.people.find(wanted)
        things = self._things("account", wanted, person, visitor)
        over = self.lockout.attempt(*things)
        right = self.passwords.verify(person.password if person is not None else "", password)
        if not right or person is None or person.disabled:
            raise self._failed(person, "password", over, visitor)
        self.lockout.succeeded(*things)
        if self.passwords.is_outdated(person.password):
            anew = self.passwords.hash(password)
            self.people.change(person.name, lambda found: replace(found, password=anew))
        return self._halfway(person) if person.totp else self.enter(person, visitor, "password")

    def finish(self, step: str, code: str, visitor: Visitor) -> SignedIn:
        """The code after the password. Raises ``NotAllowed`` (``wrong_code``, ``sign_in_again``) and ``TooMuch``."""
        with self._lock:
            half = self._halves.get(_hash(step))
        person = self.people.find(half.person) if half is not None else None
        now = self._world.clock.now()
        if half is None or person is None or person.disabled or person.epoch != half.epoch or now > half.until:
            raise NotAllowed("This took too long. Sign in again.", code="sign_in_again")
        self._prove_by_code(person, code, visitor)
        with self._lock:
            self._halves.pop(_hash(step), None)
        return self.enter(person, visitor, "code")

    def enter(self, person: Person, visitor: Visitor, how: str, *, proven: bool = True) -> SignedIn:
        """Begin a session of somebody who has proved who they are."""
        note = Note(person.actor, "person.sign_in", person.actor, {"by": how})
        return self._trail.anyway(note, lambda: self._begin(person, visitor, proven=proven))

    def sign_out(self, person: Person, session: Session) -> None:
        """End a session."""
        note = Note(person.actor, "person.sign_out", person.actor)
        self._trail.anyway(note, lambda: self.sessions.end(session))

    def confirm(self, person: Person, session: Session, given: str, visitor: Visitor) -> Session:
        """Somebody signed in proves once more who they are, by password or code. Raises as ``finish`` does."""
        if person.totp and self.factor.is_code(given):
            self._prove_by_code(person, given, visitor)
            return self.sessions.prove(session)
        things = self._things("account", person.name, person, visitor)
        over = self.lockout.attempt(*things)
        if not self.passwords.verify(person.password, given):
            raise self._failed(person, "confirmation", over, visitor)
        self.lockout.succeeded(*things)
        return self.sessions.prove(session)

    # --- one-time links ---

    def welcome(self, text: str, name: str, display: str, password: str, visitor: Visitor) -> SignedIn:
        """Set a password by a one-time link, which is used up by that; ``name`` counts for the owner only. A second
        factor is off then: whoever lost it gets a link too.

        Raises ``InvalidInput`` (``invalid_link`` and as ``check_password`` does).
        """
        link = self.links.find(text)
        clock, random = self._world.clock, self._world.random
        if link.person == OWNER:
            made = newcomer(name, [Grant("admin")], clock, random, display=display)
            check_password(password, made.name, display)
            owner = replace(made, password=self.passwords.hash(password))
            note = Note(owner.actor, "person.owner", owner.actor)
            person = self._trail.around(note, lambda: self._used(text, lambda: self.people.first(owner)))
            return self.enter(person, visitor, "link")
        known = self.people.get(link.person)
        check_password(password, known.name, known.display, display)
        kept = self.passwords.hash(password)

        def settle(found: Person) -> Person:
            anew = without_factor(ended(found))
            return replace(anew, password=kept, display=display_name(display) or found.display)

        note = Note(known.actor, "person.password", known.actor, {"by": "link"})
        person = self._trail.around(note, lambda: self._used(text, lambda: self.people.change(known.name, settle)))
        if person.disabled:
            raise NotAllowed("This account is disabled. Ask an administrator.", code="sign_in_failed")
        return self.enter(person, visitor, "link")

    # --- one's own account ---

    def new_password(self, person: Person, current: str, password: str, visitor: Visitor) -> SignedIn:
        """Change it: every session ends, and this one goes on under a new id. Raises as ``confirm`` and
        ``check_password`` do."""
        check_password(password, person.name, person.display)
        things = self._things("account", person.name, person, visitor)
        over = self.lockout.attempt(*things)
        if not self.passwords.verify(person.password, current):
            raise self._failed(person, "confirmation", over, visitor)
        self.lockout.succeeded(*things)
        kept = self.passwords.hash(password)
        note = Note(person.actor, "person.password", person.actor, {"by": "person"})
        after = self._trail.around(
            note, lambda: self.people.change(person.name, lambda found: replace(ended(found), password=kept))
        )
        self.sessions.end(*self.sessions.of(person.name))
        return self._begin(after, visitor, proven=True)

    def begin_factor(self, person: Person, session: Session) -> str:
        """A second factor that is not on yet, as a text that only this session can turn on."""
        return self.factor.seal(f"begun {session.mark}", self.factor.draw(person.name))

    def begun(self, session: Session, begun: str) -> str:
        """The sealed secret of it. Raises ``InvalidInput`` (``invalid_form``) where it is of another session."""
        try:
            return self.factor.open(f"begun {session.mark}", begun)
        except StoreError as error:
            raise InvalidInput("Begin again: this page is out of date.", code="invalid_form") from error

    def factor_on(self, person: Person, session: Session, begun: str, code: str) -> list[str]:
        """Turn it on, where the phone shows the right code; the codes for paper, which are kept nowhere.

        Raises ``NotAllowed`` (``wrong_code``).
        """
        sealed = self.begun(session, begun)
        step = self.factor.step(person.name, sealed, code, 0, self._world.clock.now())
        if step is None:
            raise _wrong_code()
        codes = self.factor.codes()
        hashes = self._hashes(person.name, codes)
        note = Note(person.actor, "person.second_on", person.actor)
        self._trail.around(
            note,
            lambda: self.people.change(
                person.name, lambda found: replace(found, totp=sealed, totp_step=step, recovery=hashes)
            ),
        )
        return codes

    def factor_off(self, person: Person) -> None:
        """Turn it off."""
        note = Note(person.actor, "person.second_off", person.actor)
        self._trail.around(note, lambda: self.people.change(person.name, without_factor))

    def new_codes(self, person: Person) -> list[str]:
        """New codes for paper; the old ones open nothing any more."""
        codes = self.factor.codes()
        hashes = self._hashes(person.name, codes)
        note = Note(person.actor, "person.recovery", person.actor)
        self._trail.around(note, lambda: self.people.change(person.name, lambda found: replace(found, recovery=hashes)))
        return codes

    # --- inside ---

    def _begin(self, person: Person, visitor: Visitor, *, proven: bool) -> SignedIn:
        now = self._world.clock.now()
        known = self.people.change(person.name, lambda found: replace(found, signed_in=now))
        if known.disabled or known.epoch != person.epoch:  # somebody changed them in this very moment
            raise NotAllowed("Your account was just changed. Sign in again.", code="sign_in_again")
        from_where = {"address": visitor.address, "agent": visitor.agent}
        text, session = self.sessions.begin(known, **from_where, proven=now if proven else 0)
        return SignedIn(text, session, self._device(known, visitor))

    def _used(self, text: str, change: Callable[[], Person]) -> Person:
        self.links.use(text)
        return change()

    def _halfway(self, person: Person) -> str:
        text = base64.urlsafe_b64encode(self._world.random.token(32)).decode().rstrip("=")
        with self._lock:
            self._halves[_hash(text)] = _Half(person.name, person.epoch, self._world.clock.now() + _HALFWAY)
            while len(self._halves) > _HALVES:
                self._halves.popitem(last=False)
        return text

    def _prove_by_code(self, person: Person, code: str, visitor: Visitor) -> None:
        things = self._things("code", person.name, person, visitor)
        over = self.lockout.attempt(*things)
        proof = _Proof(self.factor, code[:_NAME], self._world.clock.now())
        self.people.change(person.name, proof)
        if not proof.right:
            raise self._failed(person, "code", over, visitor)
        self.lockout.succeeded(*things)

    def _things(self, kind: str, name: str, person: Person | None, visitor: Visitor) -> Things:
        """What an attempt is counted on: a browser that is known by itself, else the account and the address."""
        if person is not None and self._is_known(person, visitor.device):
            return (("device", f"{kind} {visitor.device}"),)
        return (kind, name), ("address", network(visitor.address))

    def _failed(self, person: Person | None, what: str, over: int, visitor: Visitor) -> NotAllowed:
        """What is answered, and an entry: of who it is only where there is somebody of this name, for what is typed
        into the wrong field may be a password."""
        now = self._world.clock.now()
        left_out = self._left_out(now)
        if left_out is not None:
            action = "person.lock" if over >= 0 else "person.sign_in_failed"
            subject = person.actor if person is not None else "unknown"
            details = {"at": what, "address": network(visitor.address), "left_out": left_out}
            self._trail.anyway(Note("person:unknown", action, subject, details), lambda: None)
        return _wrong_code() if what == "code" else _wrong_password(what)

    def _left_out(self, now: Millis) -> int | None:
        """How many failures had no entry since the last one; ``None`` where this one has none either."""
        with self._lock:
            self._told = [at for at in self._told if now - at < _HOUR]
            if len(self._told) >= _TOLD_AN_HOUR:
                self._untold += 1
                return None
            self._told.append(now)
            left_out, self._untold = self._untold, 0
            return left_out

    def _hashes(self, name: str, codes: list[str]) -> tuple[str, ...]:
        return tuple(self.factor.digest(name, code) for code in codes)

    def _device(self, person: Person, visitor: Visitor) -> str:
        """The cookie that knows this browser again: a random mark, and proof that we gave it to this person."""
        if self._is_known(person, visitor.device):
            return visitor.device
        mark = self._world.random.token(16).hex()
        return f"{mark}.{self._device_proof(person, mark)}"

    def _is_known(self, person: Person, device: str) -> bool:
        mark, _, proof = device.partition(".")
        return len(mark) == 32 and hmac.compare_digest(
            self._device_proof(person, mark).encode(), proof.encode("utf-8", "replace")
        )

    def _device_proof(self, person: Person, mark: str) -> str:
        return self._world.vault.digest("console device", person.name, str(person.made), mark).hex()


class _Proof:
    """Checks a code against an account as it is, and takes it: no code opens twice."""

    def __init__(self, factor: SecondFactor, code: str, now: Millis) -> None:
        self._factor = factor
        self._code = code
        self._now = now
        self.right = False

    def __call__(self, person: Person) -> Person:
        """The account with the code used up."""
        self.right = False
        if not person.totp:
            return person
        step = self._factor.step(person.name, person.totp, self._code, person.totp_step, self._now)
        if step is not None:
            self.right = True
            return replace(person, totp_step=step)
        digest = self._factor.digest(person.name, self._code)
        left = tuple(kept for kept in person.recovery if not hmac.compare_digest(kept, digest))
        self.right = len(left) < len(person.recovery)
        return replace(person, recovery=left)


def without_factor(person: Person) -> Person:
    """The same person without a second factor."""
    return replace(person, totp="", totp_step=0, recovery=())


def _wrong_password(what: str) -> NotAllowed:
    if what == "confirmation":
        return NotAllowed("This is not your password or code.", code="sign_in_failed")
    return NotAllowed("Name or password is wrong.", code="sign_in_failed")


def _wrong_code() -> NotAllowed:
    message = "This code is wrong or was used before. Take the next one your phone shows."
    return NotAllowed(message, code="wrong_code")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
