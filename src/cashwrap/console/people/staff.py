"""What administrators do about other people, from the console or the terminal. Each change ends their sessions."""

from collections.abc import Iterable

from msgspec.structs import replace

from cashwrap.console.people.links import links_of
from cashwrap.console.people.people import People, Person, checked, ended, newcomer
from cashwrap.console.roles import Grant
from cashwrap.world import World


class Staff:
    """The people of a data folder, changed by somebody else."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._people = People(world.registry)
        self._links = links_of(world)

    def newcomer(self, name: str, grants: Iterable[Grant], display: str = "") -> Person:
        """An account to ``invite``, not written yet. Raises as ``people.newcomer`` does."""
        return newcomer(name, grants, self._world.clock, self._world.random, display=display)

    def invite(self, person: Person) -> str:
        """Write a new account; the text of the link by which they choose a password. Raises ``Conflict``."""
        self._people.add(person)
        return self._links.make(person.name)

    def give(self, name: str, grants: Iterable[Grant]) -> Person:
        """Give these roles and no others. Raises ``InvalidInput`` and ``Conflict`` (``last_admin``)."""
        found = checked(grants)
        return self._people.change(name, lambda person: replace(ended(person), grants=found))

    def disable(self, name: str) -> Person:
        """Let somebody in no more, now. Raises ``Conflict`` (``last_admin``)."""
        self._links.revoke(name)
        return self._people.change(name, lambda person: replace(ended(person), disabled=True))

    def enable(self, name: str) -> Person:
        """Let them in again."""
        return self._people.change(name, lambda person: replace(ended(person), disabled=False))

    def reset(self, name: str) -> str:
        """For a forgotten password or a lost phone: the text of a link that sets a new password and turns the second
        factor off. Until it is used the old ones stay."""
        self._people.change(name, ended)
        return self._links.make(name)

    def end(self, name: str) -> Person:
        """End their sessions."""
        return self._people.change(name, ended)

    def remove(self, name: str) -> None:
        """Remove the account. Raises ``InvalidInput`` (``no_such_person``) and ``Conflict`` (``last_admin``)."""
        self._people.get(name)
        self._links.revoke(name)
        self._people.remove(name)
