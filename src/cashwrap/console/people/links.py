"""One-time links, by which people choose their password: the first owner, those who are invited, those who forgot it.

Only a link's hash is kept. It opens once, for a day, and a new one for the same person replaces it.
"""

import base64
import hashlib
import threading

import msgspec
from msgspec import Struct

from cashwrap.console.people.people import People
from cashwrap.errors import InvalidInput
from cashwrap.model import Millis
from cashwrap.ports import Clock, Random, Registry
from cashwrap.world import World

KIND = "person link"
LIFE: Millis = 24 * 60 * 60_000
OWNER = ""
"""Whose link makes the first owner."""


class Link(Struct, frozen=True):
    """One link as kept."""

    person: str
    """The account whose password it sets; ``OWNER`` where there is none yet."""
    until: Millis


_link = msgspec.json.Decoder(Link)


class Links:
    """The links of a data folder."""

    _lock = threading.Lock()

    def __init__(self, registry: Registry, clock: Clock, random: Random) -> None:
        self._registry = registry
        self._clock = clock
        self._random = random

    def make(self, person: str) -> str:
        """A new link's text, which is kept nowhere."""
        text = base64.urlsafe_b64encode(self._random.token(32)).decode().rstrip("=")
        with self._lock:
            self._remove(person)
            document = msgspec.json.encode(Link(person, self._clock.now() + LIFE))
            self._registry.put(KIND, _digest(text), document)
        return text

    def find(self, text: str) -> Link:
        """The link, without using it up. Raises ``InvalidInput`` (``invalid_link``)."""
        document = self._registry.documents(KIND).get(_digest(text))
        link = _link.decode(document) if document is not None else None
        if link is None or self._clock.now() >= link.until:
            message = "This link was used, has run out, or was replaced by a newer one. Ask for a new one."
            raise InvalidInput(message, code="invalid_link")
        return link

    def use(self, text: str) -> Link:
        """The same, and it opens never again."""
        with self._lock:
            link = self.find(text)
            self._registry.put(KIND, _digest(text), None)
            return link

    def revoke(self, person: str) -> None:
        """Whatever link a person has opens nothing any more."""
        with self._lock:
            self._remove(person)

    def _remove(self, person: str) -> None:
        """Theirs, and what has run out."""
        now = self._clock.now()
        for name, document in self._registry.documents(KIND).items():
            link = _link.decode(document)
            if link.person == person or link.until <= now:
                self._registry.put(KIND, name, None)


def links_of(world: World) -> Links:
    """The links of a world's data folder."""
    return Links(world.registry, world.clock, world.random)


def first_link(world: World, address: str) -> str | None:
    """A link that makes the owner, where there is nobody yet; else ``None``. It replaces the one made before.

    ``address`` is where the server is reached, such as ``http://127.0.0.1:8080``.
    """
    if People(world.registry).all():
        return None
    return link_address(address, links_of(world).make(OWNER))


def link_address(address: str, text: str) -> str:
    """Where a link leads."""
    return f"{address.rstrip('/')}/console/welcome?link={text}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
