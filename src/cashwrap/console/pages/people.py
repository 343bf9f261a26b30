"""People and their roles. Nobody changes themselves here: another administrator does."""

from collections.abc import Callable, Mapping
from typing import get_args

from starlette.responses import Response

from cashwrap.console.ask import Ask
from cashwrap.console.pages.login import problem_of
from cashwrap.console.people.links import link_address
from cashwrap.console.people.people import Person
from cashwrap.console.people.staff import Staff
from cashwrap.console.roles import Grant, Role, told
from cashwrap.console.routing import Route
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed
from cashwrap.model import Millis
from cashwrap.serve.wire import status_of

PAGE = 50
_NOTHING = {"name": "", "role": "viewer", "store": "*", "environment": "*"}


async def show(ask: Ask) -> Response:
    """Everybody."""
    return await _list(ask, _NOTHING)


async def invite(ask: Ask) -> Response:
    """A new account, and the link by which its owner chooses a password."""
    form, staff = await ask.form(), Staff(ask.console.world)
    try:
        person = staff.newcomer(form.get("name", ""), [_grant(form)])
        note = ask.note("person.invite", person.actor, roles=told(person.grants))
        text = await ask.change(note, lambda: staff.invite(person))
    except CashwrapError as error:
        return await _list(ask, {**_NOTHING, **form}, error)
    return _link(ask, person, text)


async def one(ask: Ask) -> Response:
    """One person."""
    return await _one(ask, await _named(ask))


async def roles(ask: Ask) -> Response:
    """Give a role, or take one away."""
    form, person = await ask.form(), await _another(ask)
    if person.provided:
        raise NotAllowed("The single sign-on says this person's roles.", code="provided_roles")
    try:
        if "take" in form:
            taken = _grant({**form, "role": form["take"]})
            grants = [each for each in person.grants if each != taken]
        else:
            grants = [*person.grants, _grant(form)]
        staff = Staff(ask.console.world)
        note = ask.note("person.roles", person.actor, roles=told(tuple(grants)))
        await ask.change(note, lambda: staff.give(person.name, grants))
    except CashwrapError as error:
        return await _one(ask, person, error)
    return ask.go(f"/people/{person.name}")


async def reset(ask: Ask) -> Response:
    """A link for whoever lost their password or phone."""
    person, staff = await _another(ask), Staff(ask.console.world)
    text = await ask.change(ask.note("person.reset", person.actor), lambda: staff.reset(person.name))
    return _link(ask, person, text)


async def end(ask: Ask) -> Response:
    """End their sessions."""
    return await _done(ask, "person.sessions_end", lambda staff, name: staff.end(name))


async def disable(ask: Ask) -> Response:
    """Let them in no more."""
    return await _done(ask, "person.disable", lambda staff, name: staff.disable(name))


async def enable(ask: Ask) -> Response:
    """Let them in again."""
    return await _done(ask, "person.enable", lambda staff, name: staff.enable(name))


async def remove(ask: Ask) -> Response:
    """Remove the account."""
    return await _done(ask, "person.remove", lambda staff, name: staff.remove(name), to="/people")


async def _done(ask: Ask, action: str, change: Callable[[Staff, str], object], to: str = "") -> Response:
    person, staff = await _another(ask), Staff(ask.console.world)
    try:
        await ask.change(ask.note(action, person.actor), lambda: change(staff, person.name))
    except CashwrapError as error:
        return await _one(ask, person, error)
    ask.console.sessions.end(*([] if action == "person.enable" else ask.console.sessions.of(person.name)))
    return ask.go(to or f"/people/{person.name}")


async def _named(ask: Ask) -> Person:
    return await ask.run(ask.console.people.get, ask.param("name"))


async def _another(ask: Ask) -> Person:
    person = await _named(ask)
    if person.name == ask.who.name:
        message = "Nobody changes their own account here. Another administrator can."
        raise NotAllowed(message, code="own_account")
    return person


def _grant(form: Mapping[str, str]) -> Grant:
    role = next((each for each in get_args(Role) if each == form.get("role")), None)
    if role is None:
        raise InvalidInput("There is no such role.", code="unknown_role")
    return Grant(role, form.get("store", "").strip(), form.get("environment", ""))


async def _list(ask: Ask, entered: Mapping[str, str], error: CashwrapError | None = None) -> Response:
    wanted, after = ask.query("q").strip().lower()[:100], ask.query("after")
    everybody = await ask.run(ask.console.people.all)
    found = [each for each in everybody if wanted in each.name or wanted in each.display.lower()]
    rest = [each for each in found if each.name > after]
    shown = [(each, _seen(ask, each)) for each in rest[:PAGE]]
    values = {
        "listed": shown,
        "after": rest[PAGE - 1].name if len(rest) > PAGE else "",
        "first": not after,
        "q": wanted,
        "entered": entered,
        "stores": await _stores(ask),
        "problem": problem_of(ask, error) if error is not None else "",
    }
    return ask.page("people.html", status_of(error) if error is not None else 200, **values)


async def _one(ask: Ask, person: Person, error: CashwrapError | None = None) -> Response:
    values = {
        "one": person,
        "own": person.name == ask.who.name,
        "seen": _seen(ask, person),
        "sessions": ask.console.sessions.of(person.name),
        "entered": _NOTHING,
        "stores": await _stores(ask),
        "problem": problem_of(ask, error) if error is not None else "",
    }
    return ask.page("people_one.html", status_of(error) if error is not None else 200, **values)


def _link(ask: Ask, person: Person, text: str) -> Response:
    return ask.page("people_link.html", one=person, link=link_address(f"{ask.scheme}://{ask.host}", text))


async def _stores(ask: Ask) -> list[str]:
    tenants = await ask.run(ask.console.reading.tenants, ask.who.grants)
    return sorted({tenant.store for tenant in tenants})


def _seen(ask: Ask, person: Person) -> Millis:
    """When they last did anything here."""
    sessions = ask.console.sessions
    return max([person.signed_in, *(sessions.seen(each) for each in sessions.of(person.name))])


_ALL = [
    ("GET", "/people", show),
    ("GET", "/people/{name}", one),
    ("POST", "/people/invite", invite),
    ("POST", "/people/{name}/roles", roles),
    ("POST", "/people/{name}/reset", reset),
    ("POST", "/people/{name}/end", end),
    ("POST", "/people/{name}/disable", disable),
    ("POST", "/people/{name}/enable", enable),
    ("POST", "/people/{name}/remove", remove),
]
ROUTES: list[Route] = [
    Route(method, path, handler, "people.change", "all", fresh=method == "POST") for method, path, handler in _ALL
]
