"""The people who work with the console: accounts as documents of the registry, which the terminal can mend too."""

import base64
import re
import threading
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap.console.roles import ALL, Grant, may
from cashwrap.errors import Conflict, InvalidInput
from cashwrap.model import Millis
from cashwrap.ports import Clock, Random, Registry

KIND = "person"
MOST = 10_000
"""Accounts of a data folder."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,99}")
_STORE = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = 100
Language = Literal["en", "de"]
Theme = Literal["system", "light", "dark"]


class Person(Struct, frozen=True):
    """One account. ``name`` is what they sign in with: an e-mail address or a short name, lower case."""

    name: str
    display: str = ""
    grants: tuple[Grant, ...] = ()
    password: str = ""
    """argon2id, as its library encodes it; empty where they sign in elsewhere or not yet."""
    language: Language = "en"
    theme: Theme = "system"
    made: Millis = 0
    disabled: bool = False
    epoch: int = 0
    """Grows when every session of theirs has to end: a new password, a role taken away."""
    id: str = ""
    """Names them in the audit log, which keeps for ever and is to hold no address of anybody."""
    totp: str = ""
    """The second factor's secret, sealed; empty where it is off."""
    totp_step: int = 0
    """The time step of the code used last: none of it or before is taken again."""
    recovery: tuple[str, ...] = ()
    """Keyed hashes of the codes on paper that are left."""
    subject: str = ""
    """Who they are at the single sign-on: its issuer and their id there."""
    provided: bool = False
    """Whether the single sign-on made the account, and says its roles."""
    signed_in: Millis = 0
    """When they last signed in."""

    @property
    def shown(self) -> str:
        """What others read."""
        return self.display or self.name

    @property
    def actor(self) -> str:
        """Who they are in the audit log."""
        return f"person:{self.mark}"

    @property
    def mark(self) -> str:
        """Names them where it is kept for ever; only accounts that no invitation made have none of their own."""
        return self.id or self.name

    @property
    def is_admin(self) -> bool:
        """Whether they could mend everything: an administrator everywhere who can sign in."""
        able = bool(self.password or self.subject) and not self.disabled
        return able and may(self.grants, "people.change", ALL)


_person = msgspec.json.Decoder(Person)


class People:
    """The accounts of a data folder. Read anew each time: whoever is disabled on the terminal is out at once."""

    _lock = threading.RLock()

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> list[Person]:
        """Everybody, by name."""
        documents = self._registry.documents(KIND)
        return [_person.decode(documents[name]) for name in sorted(documents)]

    def names(self) -> dict[str, str]:
        """What others read of everybody, by how the audit log names them."""
        return {person.actor: person.shown for person in self.all()}

    def find(self, name: str) -> Person | None:
        """One of them."""
        document = self._registry.documents(KIND).get(name)
        return _person.decode(document) if document is not None else None

    def get(self, name: str) -> Person:
        """One who is there. Raises ``InvalidInput`` (``no_such_person``)."""
        person = self.find(name)
        if person is None:
            raise InvalidInput("There is nobody of this name.", code="no_such_person")
        return person

    def put(self, person: Person) -> None:
        """Write an account. Raises ``InvalidInput`` (``invalid_name``)."""
        _check_name(person.name)
        self._registry.put(KIND, person.name, msgspec.json.encode(person))

    def add(self, person: Person) -> Person:
        """Write one who was not there. Raises ``Conflict`` (``name_taken``) and as ``put`` does."""
        with self._lock:
            everybody = self.all()
            if any(each.name == person.name for each in everybody):
                raise Conflict("Somebody has this name already.", code="name_taken")
            if len(everybody) >= MOST:
                raise InvalidInput(f"There are {MOST} accounts, which is the most.", code="too_many_people")
            self.put(person)
            return person

    def first(self, person: Person) -> Person:
        """Write the owner. Raises ``Conflict`` (``owner_exists``) where anybody is there."""
        with self._lock:
            if self.all():
                message = "There are accounts already. Sign in, or ask an administrator for an invitation."
                raise Conflict(message, code="owner_exists")
            return self.add(person)

    def change(self, name: str, change: Callable[[Person], Person]) -> Person:
        """Change an account as it is now, one change at a time.

        Raises ``InvalidInput`` (``no_such_person``) and ``Conflict`` (``last_admin``).
        """
        with self._lock:
            before = self.get(name)
            after = change(before)
            self._keep_an_admin(before, after)
            self.put(after)
            return after

    def remove(self, name: str) -> None:
        """Remove an account. Raises ``Conflict`` (``last_admin``)."""
        with self._lock:
            before = self.find(name)
            if before is not None:
                self._keep_an_admin(before, None)
                self._registry.put(KIND, name, None)

    def _keep_an_admin(self, before: Person, after: Person | None) -> None:
        if not before.is_admin or (after is not None and after.is_admin):
            return
        if not any(each.is_admin for each in self.all() if each.name != before.name):
            message = "This is the last administrator who can sign in. Make another one first."
            raise Conflict(message, code="last_admin")


def newcomer(name: str, grants: Iterable[Grant], clock: Clock, random: Random, *, display: str = "") -> Person:
    """An account that is new, with no way to sign in yet. Raises ``InvalidInput`` (``invalid_name``, ``no_roles``,
    ``invalid_store``)."""
    _check_name(name.strip().lower())
    mark = base64.b32encode(random.token(5)).decode().lower()
    return Person(name.strip().lower(), display_name(display), checked(grants), made=clock.now(), id=mark)


def checked(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Grants as they are kept: each once. Raises ``InvalidInput`` (``no_roles``, ``invalid_store``)."""
    found = tuple(sorted(set(grants)))
    if not found or len(found) > _LONGEST:
        raise InvalidInput("Give at least one role.", code="no_roles")
    if not all(_STORE.fullmatch(each.store) and each.environment in ("*", "live", "test") for each in found):
        message = "A store's name has letters, digits, dots, dashes and underscores; an environment is live or test."
        raise InvalidInput(message, code="invalid_store")
    return found


def display_name(text: str) -> str:
    """A name to be shown: one line without control characters."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())[:_LONGEST]


def ended(person: Person) -> Person:
    """The same person, all of whose sessions are over."""
    return replace(person, epoch=person.epoch + 1)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput("A name has 2 to 100 lower-case letters, digits and . _ @ + -", code="invalid_name")
