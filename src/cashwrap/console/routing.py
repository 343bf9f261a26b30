"""From a request to a page: who is it, may they, is it really them, and what to say where it fails.

Every route passes here, and none is reached in another way. In this order: the session of the cookie, the person and
their permission in the store and environment of the address, and for a change the session's token and the origin.
"""

import hmac
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cashwrap.console.ask import Ask, host_of, query
from cashwrap.console.console import Console
from cashwrap.console.people.people import Person
from cashwrap.console.people.proving import proof_asked
from cashwrap.console.people.sessions import COOKIE, Session
from cashwrap.console.roles import ALL, PLAYBOOK, Permission, may
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed
from cashwrap.model import Tenant
from cashwrap.serve.wire import internal, retry_after, status_of

log = logging.getLogger("cashwrap")
ROOT = "/console"
Where = Literal["tenant", "playbook", "all", "person", "public"]
Handler = Callable[[Ask], Awaitable[Response]]
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_READS = ("GET", "HEAD")
_STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a store may be called; never the ``*`` of a grant."""


class Route(Struct, frozen=True):
    """One line of the table. ``path`` is below ``/console``, and of a tenant's pages below ``/{store}/{environment}``.

    ``where`` says where the permission must be held: in the address's ``tenant``, for all that the ``playbook``
    decides, for ``all`` there is; any signed-in ``person`` may use their own account, and the ``public`` may sign in.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission | None = None
    where: Where = "tenant"
    fresh: bool = False
    """Whether they have to prove anew who they are, unless they did so a moment ago: for keys and people."""

    @property
    def address(self) -> str:
        """The whole path, with its parameters in braces."""
        of_tenant = "" if self.where in ("person", "public") else "/{store}/{environment}"
        return f"{ROOT}{of_tenant}{self.path}"


def allowed(route: Route, person: Person, tenant: Tenant) -> bool:
    """Whether this person may use a route in this store and environment."""
    if route.permission is None:
        return route.where in ("person", "public")
    needed = {"playbook": PLAYBOOK, "all": ALL}.get(route.where, tenant)
    return may(person.grants, "see", tenant) and may(person.grants, route.permission, needed)


def endpoint(route: Route, console: Console) -> Callable[[Request], Awaitable[Response]]:
    """What answers a route."""

    async def answer(request: Request) -> Response:
        ask = Ask(request, console, _tenant(request))
        try:
            response = await _answered(route, ask)
        except Exception as failure:
            error = failure if isinstance(failure, CashwrapError) else internal(failure)
            error.message = ask.say(error.message)
            response = ask.failed(error, status_of(error))
            if retry_after(error):
                response.headers["retry-after"] = str(retry_after(error))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return answer


async def _answered(route: Route, ask: Ask) -> Response:
    if not _STORE.fullmatch(ask.tenant.store) or ask.tenant.environment not in ("live", "test"):
        raise InvalidInput("There is no such page.", code="no_such_path")
    found = await ask.run(signed_in, ask)
    if found is not None:
        ask.person, ask.session = found
        if route.where in ("person", "public"):
            ask.tenant = (await ask.run(ask.console.reading.tenants, found[0].grants))[0]
    if route.where != "public":
        if found is None:
            return _to_sign_in(ask)
        if not allowed(route, found[0], ask.tenant):
            raise NotAllowed(ask.say("Your role does not allow this. Ask an administrator."), code="role_not_allowed")
    if route.method not in _READS:
        await _must_be_theirs(route, ask)
    if route.fresh:
        question = await proof_asked(ask)
        if question is not None:
            return question
    return await route.handler(ask)


def signed_in(ask: Ask) -> tuple[Person, Session] | None:
    """Who a request comes from; ``None`` where its cookie opens nothing (any more)."""
    text = ask.request.cookies.get(COOKIE, "")
    session = ask.console.sessions.find(text) if text else None
    person = ask.console.people.find(session.person) if session is not None else None
    if session is None or person is None or person.disabled:
        return None
    if person.epoch != session.epoch or session.began < person.made:
        return None  # everything of theirs was ended, or another one has the name now
    return person, session


def _to_sign_in(ask: Ask) -> Response:
    """To the page where one signs in, and back from there; a part of a page makes the whole page go."""
    if ask.request.method not in _READS or ask.is_part:
        message = ask.say("Your session has ended. Sign in again; what you entered is still in this page.")
        return ask.failed(NotAllowed(message, code="session_ended"), 401)
    asked = ask.request.url
    return RedirectResponse(f"{ROOT}/login{query(to=f'{asked.path}?{asked.query}'.rstrip('?'))}", 303)


async def _must_be_theirs(route: Route, ask: Ask) -> None:
    """That a change was asked for by a page of ours: its token, and what browsers say of where it came from."""
    form, origin = await ask.form(), ask.request.headers.get("origin")
    site = ask.request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") or (origin is not None and host_of(origin) != ask.host):
        raise NotAllowed(ask.say("This came from another site, and was not done."), code="wrong_origin")
    if route.where == "public":
        return
    given = ask.request.headers.get("x-csrf-token") or form.get("csrf", "")
    if ask.session is None or not hmac.compare_digest(given.encode(), ask.session.csrf.encode()):
        raise NotAllowed(ask.say("This page is out of date. Load it again and repeat the change."), code="invalid_csrf")


def _tenant(request: Request) -> Tenant:
    """Of the address; where it has none, the shop's usual one."""
    params = request.path_params
    return Tenant(params.get("store", "default"), params.get("environment", "live"))
