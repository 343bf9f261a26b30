"""What tests of the console's doors share: cheap hashes, a clock that is moved, and somebody at the sign-in form."""

import re
from collections.abc import Mapping
from html import unescape

import pyotp
import pytest
from argon2 import Parameters, Type
from httpx2 import Response
from msgspec.structs import replace
from starlette.testclient import TestClient
from tests.console.conftest import Site
from tests.engines import TestClock

from cashwrap.console.people import passwords
from cashwrap.console.people.people import Person
from cashwrap.console.people.sessions import COOKIE

CHEAP = Parameters(Type.ID, 19, 16, 32, 1, 8, 1)
"""Hashes of a millisecond: what is tested is what stands around them."""
PASSWORD = "four grey herons wade"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PARAMETERS", CHEAP)


def clock_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> TestClock:
    """A clock for everything that signs people in."""
    clock = TestClock(site.console.world.clock.now())
    accounts = site.console.accounts
    for owner in (site.console.sessions, accounts.lockout, accounts.links):
        monkeypatch.setattr(owner, "_clock", clock)
    monkeypatch.setattr(accounts, "_world", replace(site.console.world, clock=clock))
    return clock


def with_password(site: Site, person: Person, password: str = PASSWORD) -> Person:
    """The same person, able to sign in."""
    able = replace(person, password=site.console.accounts.passwords.hash(password))
    site.console.people.put(able)
    return able


def with_factor(site: Site, person: Person) -> tuple[Person, pyotp.TOTP]:
    """The same person with a second factor, and their phone."""
    factor = site.console.accounts.factor
    sealed = factor.draw(person.name)
    able = replace(person, totp=sealed)
    site.console.people.put(able)
    return able, pyotp.TOTP(factor.secret(person.name, sealed))


def sign_in(client: TestClient, name: str, password: str = PASSWORD, **more: str) -> Response:
    return client.post("/console/login", data={"name": name, "password": password, **more})


def signed_in(client: TestClient) -> bool:
    return client.get("/console/account").status_code == 200


def hidden(page: str, name: str) -> str:
    """A hidden field's value."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return unescape(found[1])


def post(client: TestClient, path: str, fields: Mapping[str, str] | None = None) -> Response:
    """With the token of the page of one's account."""
    csrf = hidden(client.get("/console/account").text, "csrf")
    return client.post(path, data={"csrf": csrf, **(fields or {})})


def cookie_of(response: Response, name: str = COOKIE) -> str:
    """The whole of a Set-Cookie header."""
    return next(each for each in response.headers.get_list("set-cookie") if each.startswith(f"{name}="))
