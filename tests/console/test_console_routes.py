"""The route matrix: every cell of routes and roles, from one table that knows nothing of ``ROLES``.

A new route needs one line in ``EXPECTED``: method, path, where the permission is held, and the roles that have it.
Handlers are left out of it: a cell asks who is let through to one.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path
from tests.console.conftest import Site

from cashwrap.console import roles
from cashwrap.console.app import ROUTES, application
from cashwrap.console.ask import Ask
from cashwrap.console.people.people import Person, ended
from cashwrap.console.people.sessions import COOKIE
from cashwrap.console.roles import Grant
from cashwrap.console.routing import Route, endpoint
from cashwrap.errors import CashwrapError

# where: public and person need no role; store: in the store and environment of the address; playbook: for every store,
# live; whole: for the whole installation. Letters: viewer, marketer, analyst, privacy, admin (x for the last).
EXPECTED = """
GET  /login                   public
POST /login                   public
POST /login/code              public
GET  /welcome                 public
POST /welcome                 public
GET  /sso/start               public
GET  /sso/return              public
POST /logout                  person
GET  /account                 person
POST /account/look            person
POST /account/password        person
POST /account/second/begin    person
POST /account/second          person
POST /account/second/off      person
POST /account/recovery        person
POST /account/sessions/end    person
GET  /people                  whole      x
GET  /people/{name}           whole      x
POST /people/invite           whole      x
POST /people/{name}/roles     whole      x
POST /people/{name}/reset     whole      x
POST /people/{name}/end       whole      x
POST /people/{name}/disable   whole      x
POST /people/{name}/enable    whole      x
POST /people/{name}/remove    whole      x
GET  /now                     store      v m a p x
GET  /now/stream              store      v m a p x
POST /now/alerts/{code}       store      m x
GET  /shopper                 store      m p x
POST /shopper                 store      m p x
GET  /shopper/{link}          store      m p x
GET  /shopper/{link}/segments store      m p x
GET  /shopper/{link}/timeline store      m p x
GET  /shopper/{link}/why      store      m p x
GET  /shopper/{link}/now      store      m p x
POST /shopper/{link}/now      store      m p x
GET  /shopper/{link}/export   store      m p x
GET  /shopper/{link}/forget   store      p x
POST /shopper/{link}/forget   store      p x
GET  /segments                store      v m a p x
GET  /segments/of/{name}      store      v m a p x
GET  /segments/of/{name}/members  store  v m a p x
GET  /experiences             store      v m a p x
GET  /experiences/of/{name}   store      v m a p x
POST /experiences/switch      store      m x
GET  /experiments             store      v m a p x
GET  /guard                   store      v m a p x
GET  /experiments/{name}      store      v m a p x
GET  /experiments/{name}/file store      v m a p x
POST /experiments/{name}/stop   store    m x
POST /experiments/{name}/start  store    m x
GET  /offers                  store      v m a p x
POST /offers/check            store      v m a p x
GET  /offers/of/{name}        store      v m a p x
POST /offers/of/{name}/codes  store      m x
GET  /offers/of/{name}/shoppers/{code}  store  m p x
GET  /models                  store      v m a p x
GET  /models/{name}           store      v m a p x
GET  /models/{name}/training  store      v m a p x
GET  /models/{name}/version/{version}  store  v m a p x
POST /models/{name}/change    store      a x
POST /models/{name}/rollback  store      a x
POST /models/{name}/train     store      a x
GET  /data                    store      v m a p x
GET  /data/failed             store      v m a p x
GET  /data/failed/{number}    store      v m a p x
POST /data/failed/replay      store      a x
POST /data/failed/discard     store      a x
POST /data/failed/{number}/repair  store  a x
GET  /data/drift              store      v m a p x
GET  /data/catalogue          store      v m a p x
GET  /data/keeping            store      v m a p x
GET  /drafts                  store      v m a p x
POST /drafts                  playbook   m a x
GET  /drafts/new              store      m a x
GET  /drafts/{draft}          store      v m a p x
POST /drafts/{draft}          playbook   m a x
POST /drafts/{draft}/check    playbook   m a x
POST /drafts/{draft}/files    playbook   m a x
POST /drafts/{draft}/title    playbook   m a x
POST /drafts/{draft}/discard  playbook   m a x
GET  /drafts/{draft}/zip      store      v m a p x
GET  /drafts/{draft}/changes  store      v m a p x
GET  /drafts/{draft}/backtest store      v m a p x
POST /drafts/{draft}/backtest playbook   m a x
GET  /drafts/{draft}/publish  store      v m a p x
POST /drafts/{draft}/publish  playbook   m x
POST /drafts/{draft}/submit   playbook   m a x
POST /drafts/{draft}/approve  playbook   m x
GET  /drafts/{draft}/update   playbook   m a x
POST /drafts/{draft}/update   playbook   m a x
GET  /drafts/{draft}/fit      store      m a x
GET  /drafts/{draft}/plan     store      m a x
GET  /drafts/{draft}/preview  store      v m a p x
GET  /drafts/{draft}/segments/{name}     store     m a x
GET  /drafts/{draft}/experiences/{name}  store     m a x
GET  /drafts/{draft}/offers/{name}       store     m a x
GET  /drafts/{draft}/features/{name}     store     m a x
POST /drafts/{draft}/segments/{name}     playbook  m a x
POST /drafts/{draft}/experiences/{name}  playbook  m a x
POST /drafts/{draft}/offers/{name}       playbook  m a x
POST /drafts/{draft}/features/{name}     playbook  m a x
GET  /versions                store      v m a p x
GET  /versions/{version}      store      v m a p x
POST /versions/{version}/rollback  playbook  m x
GET  /settings                store      v m a p x
GET  /settings/stores         store      v m a p x
POST /settings/stores         store      x
GET  /settings/keys           store      x
POST /settings/keys           store      x
POST /settings/keys/{key}/revoke  store  x
GET  /settings/webhooks       store      x
POST /settings/webhooks       store      x
POST /settings/webhooks/remove  store    x
GET  /settings/audit          store      p x
GET  /settings/audit/export   store      p x
POST /settings/audit/verify   store      p x
"""
LETTERS = {"v": "viewer", "m": "marketer", "a": "analyst", "p": "privacy", "x": "admin"}
PLACES: dict[str, tuple[str, str]] = {
    "everywhere": ("*", "*"),
    "every store, live": ("*", "live"),
    "here": ("default", "live"),
    "this store": ("default", "*"),
    "another store": ("elsewhere", "live"),
    "another store, all of it": ("elsewhere", "*"),
    "test only": ("default", "test"),
    "every store, test": ("*", "test"),
}
"""Where somebody holds a role ..."""
COVERED = {
    "store": {"everywhere", "every store, live", "here", "this store"},
    "playbook": {"everywhere", "every store, live"},
    "whole": {"everywhere"},
}
"""... and what of that is enough, where the address is that of store ``default``, ``live``."""
Key = tuple[str, str]


@dataclass(frozen=True)
class Line:
    """What the table says of a route."""

    where: str
    roles: frozenset[str] = frozenset()


def expected() -> dict[Key, Line]:
    found = {}
    for line in EXPECTED.strip().splitlines():
        method, path, where, *letters = line.split()
        names = frozenset(LETTERS[letter] for letter in "".join(letters))
        assert (method, path) not in found, f"{method} {path} is there twice"
        found[method, path] = Line(where, names)
    return found


@dataclass
class Visitor:
    """Somebody who asks."""

    role: str = ""
    place: str = ""
    cookie: str = ""
    csrf: str = ""


class Matrix:
    """A console, somebody of each role in each place, and all cells."""

    def __init__(self, site: Site) -> None:
        self.console = site.console
        self.somebody = [self._signed_in(role, place) for role in LETTERS.values() for place in PLACES]
        self.nobody = [
            Visitor(),
            Visitor(cookie="x" * 43),
            self._disabled(),
            self._ended(),
            self._out(),
            self._removed(),
        ]
        self.cells = 0

    def _begin(self, name: str, *grants: Grant) -> tuple[Person, Visitor]:
        person = Person(name, grants=grants or (Grant("admin"),), password="kept")
        self.console.people.put(person)
        text, session = self.console.sessions.begin(person)
        return person, Visitor(cookie=text, csrf=session.csrf)

    def _signed_in(self, role: str, place: str) -> Visitor:
        _, visitor = self._begin(f"{role}-{list(PLACES).index(place)}", Grant(role, *PLACES[place]))  # type: ignore[arg-type]
        visitor.role, visitor.place = role, place
        return visitor

    def _disabled(self) -> Visitor:
        person, visitor = self._begin("disabled")
        self.console.people.put(replace(person, disabled=True))
        return visitor

    def _ended(self) -> Visitor:
        person, visitor = self._begin("ended")
        self.console.people.put(ended(person))
        return visitor

    def _out(self) -> Visitor:
        _, visitor = self._begin("out")
        session = self.console.sessions.find(visitor.cookie)
        assert session is not None
        self.console.sessions.end(session)
        return visitor

    def _removed(self) -> Visitor:
        person, visitor = self._begin("removed")
        self.console.people.remove(person.name)
        return visitor

    def wrong(self, routes: Iterable[Route], table: dict[Key, Line]) -> list[str]:
        """Every cell that is not as the table says."""
        return asyncio.run(self._wrong(list(routes), table))

    async def _wrong(self, routes: list[Route], table: dict[Key, Line]) -> list[str]:
        wrong = []
        for route in routes:
            line = table.get((route.method, route.path))
            if line is None:
                wrong.append(f"{route.method} {route.path} is not in the table")
                continue
            answer = endpoint(replace(route, handler=_through, fresh=False), self.console)
            async for said, got, right in self._cells(route, line, answer):
                self.cells += 1
                if got != right:
                    wrong.append(f"{route.method} {route.path}: {said} got {got} and not {right}")
        return wrong

    async def _cells(self, route: Route, line: Line, answer: Any) -> Any:
        for who in self.somebody:
            allowed = line.where in ("public", "person") or (
                who.role in line.roles and who.place in COVERED[line.where]
            )
            yield f"{who.role} of {who.place}", await _status(answer, route, who), 204 if allowed else 403
        out = 204 if line.where == "public" else 303 if route.method == "GET" else 401
        for who in self.nobody:
            yield "nobody", await _status(answer, route, who), out
        if route.method == "GET":
            return
        admin = next(who for who in self.somebody if (who.role, who.place) == ("admin", "everywhere"))
        other = next(who for who in self.somebody if (who.role, who.place) == ("viewer", "everywhere"))
        open_ = 204 if line.where == "public" else 403
        for said, csrf, headers, right in [
            ("no token", "", {}, open_),
            ("another session's token", other.csrf, {}, open_),
            ("a token cut short", admin.csrf[:-1], {}, open_),
            ("another origin", admin.csrf, {"origin": "https://evil.example"}, 403),
            ("an origin that is null", admin.csrf, {"origin": "null"}, 403),
            ("another port", admin.csrf, {"origin": "https://testserver:8443"}, 403),
            ("another site", admin.csrf, {"sec-fetch-site": "cross-site"}, 403),
            ("another host of the site", admin.csrf, {"sec-fetch-site": "same-site"}, 403),
            ("its own origin", admin.csrf, {"origin": "https://testserver", "sec-fetch-site": "same-origin"}, 204),
        ]:
            yield said, await _status(answer, route, Visitor(cookie=admin.cookie, csrf=csrf), headers), right


async def _through(_: Ask) -> Response:
    return Response(status_code=204)


async def _status(answer: Any, route: Route, who: Visitor, headers: dict[str, str] | None = None) -> int:
    given = {"host": "testserver", "cookie": f"{COOKIE}={who.cookie}", "x-csrf-token": who.csrf, **(headers or {})}
    scope = {
        "type": "http",
        "method": route.method,
        "path": route.address,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "path_params": {"store": "default", "environment": "live"}
        | {name.partition(":")[0]: "1" for name in re.findall(r"{([^}]+)}", route.path)},
        "scheme": "https",
        "server": ("testserver", 443),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    response: Response = await answer(Request(scope, receive))
    return response.status_code


@pytest.fixture
def matrix(site: Site, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    def plain(_: Ask, error: CashwrapError, status: int) -> Response:
        return Response(error.code, status)

    monkeypatch.setattr(Ask, "failed", plain)  # what a page looks like is tested elsewhere
    return Matrix(site)


def test_every_cell_is_as_the_table_says(matrix: Matrix, capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.wrong(ROUTES, expected()) == []
    with capsys.disabled():
        print(f"\nthe route matrix: {len(ROUTES)} routes, {matrix.cells} cells, none of them wrong")  # noqa: T201


def test_every_line_of_the_table_is_a_route() -> None:
    assert set(expected()) - {(route.method, route.path) for route in ROUTES} == set()


def test_nothing_is_answered_past_the_table(site: Site) -> None:
    paths = {
        (method, path.path)
        for path in application(site.console).routes
        if isinstance(path, Path)
        for method in path.methods or ()
        if method != "HEAD"
    }
    of_table = {(route.method, route.address) for route in ROUTES}
    own = {("GET", "/console"), ("GET", "/console/"), ("GET", "/console/static/{version}/{name}")}
    assert paths == of_table | own
    assert len(of_table) == len(ROUTES)


FRESH = ("/people/", "/settings/keys", "/settings/stores", "/settings/webhooks", "/account/second", "/account/recovery")
"""What nobody changes without a proof of the last ten minutes."""


def test_keys_people_and_second_factors_need_a_proof_of_now() -> None:
    changes = [route for route in ROUTES if route.method != "GET" and route.path.startswith(FRESH)]
    assert len(changes) >= 15
    assert [route.path for route in changes if not route.fresh] == []


def test_whoever_reads_names_or_changes_anything_needs_a_permission() -> None:
    bare = [route.address for route in ROUTES if route.permission is None and route.where not in ("person", "public")]
    assert bare == []


PLANTED: list[tuple[str, Callable[[Route], Route]]] = [
    ("public", lambda route: replace(route, where="public")),
    ("for anybody signed in", lambda route: replace(route, where="person", permission=None)),
    ("for whoever sees", lambda route: replace(route, permission="see")),
    ("in one store", lambda route: replace(route, where="tenant")),
    ("for the playbook", lambda route: replace(route, where="playbook")),
    ("for nobody", lambda route: replace(route, permission=None)),
    ("unknown", lambda route: replace(route, path="/people/{name}/befriend")),
]


class TestTheMatrixItself:
    """Planted mistakes: each must turn it red."""

    def test_sees_a_route_that_lets_others_in(self, matrix: Matrix) -> None:
        route = next(each for each in ROUTES if each.path == "/people/invite")
        unseen = [name for name, plant in PLANTED if matrix.wrong([plant(route)], expected()) == []]
        assert unseen == []

    def test_sees_a_role_with_too_much(self, matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
        route, honest = next(each for each in ROUTES if each.path == "/people"), roles.ROLES
        for role in ("viewer", "marketer", "analyst", "privacy"):
            monkeypatch.setattr(roles, "ROLES", honest | {role: honest[role] | {"people.change"}})
            assert matrix.wrong([route], expected()) == [f"GET /people: {role} of everywhere got 204 and not 403"]

    def test_sees_a_role_with_too_little(self, matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(roles, "ROLES", roles.ROLES | {"admin": roles.ROLES["admin"] - {"people.change"}})
        route = next(each for each in ROUTES if each.path == "/people")
        assert matrix.wrong([route], expected()) == ["GET /people: admin of everywhere got 403 and not 204"]

    def test_sees_a_change_that_asks_for_no_token(self, matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cashwrap.console.routing._READS", ("GET", "HEAD", "POST"))
        route = next(each for each in ROUTES if each.path == "/people/invite")
        wrong = matrix.wrong([route], expected())
        assert len([each for each in wrong if "got 204" in each]) == 8


def test_home_leads_to_the_first_store(site: Site) -> None:
    assert site.browser("viewer").get("/console").headers["location"] == "/console/default/live/now"


def test_no_such_page(site: Site) -> None:
    answer = site.browser("viewer").get("/nowhere")
    assert (answer.status_code, "no_such_path" in answer.text) == (404, True)
