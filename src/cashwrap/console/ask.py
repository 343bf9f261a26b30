"""One request of a person: what a page is given to answer with."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cashwrap.audit import Note
from cashwrap.console.console import Console
from cashwrap.console.look import Look, look_of
from cashwrap.console.people.people import Person
from cashwrap.console.people.sessions import Session
from cashwrap.console.roles import ALL, PLAYBOOK, Permission, may
from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.model import Tenant

FORM = 2_000_000
"""Bytes of a form: a playbook's file at most, and what stands around it."""
FIELDS = 5_000
P = ParamSpec("P")
T = TypeVar("T")


class Ask:
    """A request with who asks (``person`` and ``session`` once signed in) and for which ``tenant``."""

    def __init__(self, request: Request, console: Console, tenant: Tenant) -> None:
        self.request = request
        self.console = console
        self.tenant = tenant
        self.person: Person | None = None
        self.session: Session | None = None
        self._form: dict[str, list[str]] | None = None

    # --- what was asked ---

    @property
    def who(self) -> Person:
        """Who is signed in; only where the route lets nobody else in."""
        if self.person is None:
            raise InvalidInput("nobody is signed in", code="session_ended")
        return self.person

    @property
    def host(self) -> str:
        """Host and port as the browser addressed them."""
        return self.request.headers.get("host", "")

    @property
    def address(self) -> str:
        """Who is at the other end, as the server saw it."""
        return self._forwarded("x-forwarded-for") or (self.request.client.host if self.request.client else "")

    @property
    def scheme(self) -> str:
        """How the browser came: http or https."""
        return self._forwarded("x-forwarded-proto") or self.request.url.scheme

    @property
    def is_part(self) -> bool:
        """Whether a part of a page is asked for (by htmx) and not a page."""
        return self.request.headers.get("hx-request") == "true" and self.request.headers.get("hx-boosted") != "true"

    def param(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A value of the address's query."""
        return self.request.query_params.get(name, default)

    async def form(self) -> Mapping[str, str]:
        """The form's fields; of a repeated one the last. Raises ``TooMuch`` (``body_too_large``)."""
        return {name: values[-1] for name, values in (await self.fields()).items()}

    async def fields(self) -> Mapping[str, list[str]]:
        """The same with every value of a repeated field, in order."""
        if self._form is None:
            body = b""
            async for chunk in self.request.stream():
                body += chunk
                if len(body) > FORM:
                    raise TooMuch(f"a form may have at most {FORM // 1000} KB", code="body_too_large")
            self._form = _fields(body)
        return self._form

    def allows(self, permission: Permission) -> bool:
        """Whether the person may, in this store and environment."""
        return self.person is not None and may(self.person.grants, permission, self.tenant)

    def allows_playbook(self, permission: Permission) -> bool:
        """Whether the person may where all stores are concerned."""
        return self.person is not None and may(self.person.grants, permission, PLAYBOOK)

    def allows_all(self, permission: Permission) -> bool:
        """Whether the person may in the whole installation."""
        return self.person is not None and may(self.person.grants, permission, ALL)

    # --- what is answered ---

    @property
    def look(self) -> Look:
        """Words and numbers in the person's language, or the browser's before they have signed in."""
        language = self.person.language if self.person is not None else self._accepted()
        return look_of(language)

    def say(self, text: str, **values: object) -> str:
        """A text in the person's language; ``%(name)s`` is filled in."""
        return self.look.say(text, **values)

    def page(self, template: str, status: int = 200, /, **values: object) -> Response:
        """A whole page."""
        return HTMLResponse(self.look.render(template, self._frame() | values), status)

    def part(self, template: str, status: int = 200, /, **values: object) -> Response:
        """A part of a page, for htmx to put in its place."""
        return self.page(template, status, **values)

    def url(self, path: str, **values: object) -> str:
        """The address of a page of this store and environment; ``path`` begins with a slash."""
        return f"/console/{self.tenant.store}/{self.tenant.environment}{path}{query(**values)}"

    def go(self, path: str, **values: object) -> Response:
        """To another page of this store and environment, after a change. ``done`` is shown there, once."""
        return self.go_to(self.url(path, **values))

    def go_to(self, address: str) -> Response:
        """To another page, whether htmx or the browser asked."""
        if self.request.headers.get("hx-request") == "true":
            return Response(status_code=204, headers={"hx-redirect": address})
        return RedirectResponse(address, 303)

    def failed(self, error: CashwrapError, status: int) -> Response:
        """What went wrong, with its code, and what to do next."""
        template = "failed_part.html" if self.is_part else "failed.html"
        return self.page(template, status, error=error, status=status)

    # --- what is done ---

    def note(self, action: str, subject: str = "", **details: object) -> Note:
        """An entry for the audit log, of this person and this store."""
        return Note(self.who.actor, action, subject, details, self.tenant)

    async def change(self, note: Note, change: Callable[[], T]) -> T:
        """Make a change on a thread, with its entry in the audit log before."""
        return await self.run(self.console.trail.around, note, change)

    async def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Read or write on a thread."""
        return await asyncio.to_thread(partial(work, *args, **named))

    def _forwarded(self, name: str) -> str:
        """What the server before us says; a console without one would take anybody's word."""
        return self.request.headers.get(name, "") if self.console.options.runtime is not None else ""

    def _accepted(self) -> str:
        return "de" if self.request.headers.get("accept-language", "").lower().startswith("de") else "en"

    def _frame(self) -> dict[str, object]:
        """What the frame around every page needs."""
        return {
            "ask": self,
            "tenant": self.tenant,
            "person": self.person,
            "csrf": self.session.csrf if self.session else "",
        }


def query(**values: object) -> str:
    """A query of an address, with its question mark; nothing where no value is given."""
    given = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""


def host_of(origin: str) -> str:
    """Host and port of an origin."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise InvalidInput("the form cannot be read", code="invalid_form") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return found
