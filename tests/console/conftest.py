"""A console over a data folder with the starter playbook live, and somebody signed in at it.

``site`` is the console with its folder; ``site.browser("marketer")`` is a client of somebody with that role, that
follows no redirect and brings the token along with ``post``.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.adapters.system import SystemRandom
from cashwrap.console.app import application
from cashwrap.console.console import Console, Options, open_console
from cashwrap.console.people.people import Person
from cashwrap.console.people.sessions import COOKIE
from cashwrap.console.roles import Grant, Role
from cashwrap.keys import Keys
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook.starter import starter_folder
from cashwrap.publishing import draft_of
from cashwrap.versions import Versions

ROOT = "https://testserver"
HERE = "/console/default/live"


@dataclass
class Browser:
    """A signed-in person's client."""

    client: TestClient
    csrf: str

    def get(self, path: str, **query: str) -> Response:
        return self.client.get(_at(path), params=query)

    def part(self, path: str, **query: str) -> Response:
        """As htmx asks."""
        return self.client.get(_at(path), params=query, headers={"hx-request": "true"})

    def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> Response:
        return self.client.post(_at(path), data={"csrf": self.csrf, **(fields or {})}, headers=headers)


@dataclass
class Site:
    """A console in this process."""

    console: Console
    folder: Path
    playbook: Path
    _opened: ExitStack = field(default_factory=ExitStack)

    def person(self, *roles: Role, name: str = "", store: str = "*", environment: str = "*") -> Person:
        """An account with these roles, written."""
        found = Person(name or "-".join(roles), grants=tuple(Grant(role, store, environment) for role in roles))
        self.console.people.put(found)
        return found

    def client(self) -> TestClient:
        return self._opened.enter_context(
            TestClient(application(self.console), ROOT, raise_server_exceptions=False, follow_redirects=False)
        )

    def browser(self, *roles: Role, name: str = "", store: str = "*", environment: str = "*") -> Browser:
        person = self.person(*roles, name=name, store=store, environment=environment)
        text, session = self.console.sessions.begin(person)
        client = self.client()
        client.cookies.set(COOKIE, text, domain="testserver.local")
        return Browser(client, session.csrf)


def _at(path: str) -> str:
    return path if path.startswith("/console") else HERE + path


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder and a playbook that nobody opens: each site has a copy of its own."""
    folder = tmp_path_factory.mktemp("begun")
    shutil.copytree(starter_folder(), folder / "playbook")
    with open_world(folder / "data", make=True, reserve=0) as world:
        versions, draft = Versions(world.registry, world.clock), draft_of(folder / "playbook")
        versions.keep(draft.playbook, draft.files)
        versions.go_live(draft.playbook.hash, "folder")
        Keys(world.registry).create("secret", Tenant(), (), SystemRandom())
    ConsoleStore(folder / "data").close()
    return folder


@pytest.fixture
def site(tmp_path: Path, begun: Path) -> Iterator[Site]:
    """A console of its own, over the starter playbook."""
    folder, playbook = tmp_path / "data", tmp_path / "playbook"
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    with ExitStack() as opened:
        console = opened.enter_context(open_console(Options(folder, playbook)))
        yield Site(console, folder, playbook, opened)
