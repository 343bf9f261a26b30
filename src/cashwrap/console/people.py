"""The people who work with the console: accounts as documents of the registry, which the terminal can mend too."""

import re
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.console.roles import Grant
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis
from cashwrap.ports import Registry

KIND = "person"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,99}")
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

    @property
    def shown(self) -> str:
        """What others read."""
        return self.display or self.name


_person = msgspec.json.Decoder(Person)


class People:
    """The accounts of a data folder. Read anew each time: whoever is disabled on the terminal is out at once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> list[Person]:
        """Everybody, by name."""
        documents = self._registry.documents(KIND)
        return [_person.decode(documents[name]) for name in sorted(documents)]

    def find(self, name: str) -> Person | None:
        """One of them."""
        document = self._registry.documents(KIND).get(name)
        return _person.decode(document) if document is not None else None

    def put(self, person: Person) -> None:
        """Write an account. Raises ``InvalidInput`` (``invalid_name``)."""
        if not _NAME.fullmatch(person.name):
            message = "a name has 2 to 100 lower-case letters, digits and . _ @ + -"
            raise InvalidInput(message, code="invalid_name")
        self._registry.put(KIND, person.name, msgspec.json.encode(person))

    def remove(self, name: str) -> None:
        """Remove an account."""
        self._registry.put(KIND, name, None)
