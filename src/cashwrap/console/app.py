"""START HERE: the console, from its table of routes to one application.

A request comes in through the server's ``/console`` (``serve/console.py`` passes it on), ``routing.py`` finds out who
it is and whether they may, a module of ``pages`` answers with a template (``look.py``), and what they change goes
through the audit log. Nothing here runs in a process that decides (docs/decisions/0042).
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as Path

from cashwrap.console import routing
from cashwrap.console.ask import Ask
from cashwrap.console.assets import asset
from cashwrap.console.console import Console
from cashwrap.console.pages import (
    account,
    data,
    drafts,
    experiences,
    experiments,
    forms,
    login,
    models,
    now,
    offers,
    people,
    segments,
    settings,
    shopper,
)
from cashwrap.console.routing import HEADERS, ROOT, Route
from cashwrap.errors import InvalidInput
from cashwrap.model import Tenant

ROUTES: list[Route] = [
    *login.ROUTES,
    *account.ROUTES,
    *now.ROUTES,
    *shopper.ROUTES,
    *segments.ROUTES,
    *experiences.ROUTES,
    *experiments.ROUTES,
    *offers.ROUTES,
    *models.ROUTES,
    *data.ROUTES,
    *forms.ROUTES,
    *drafts.ROUTES,
    *settings.ROUTES,
    *people.ROUTES,
]
"""Everything the console answers, but its own scripts and styles."""


def application(console: Console) -> Starlette:
    """The console as an ASGI application."""
    paths = [
        Path(ROOT, _home(console)),
        Path(f"{ROOT}/", _home(console)),
        Path(f"{ROOT}/static/{{version}}/{{name}}", asset),
        *(Path(each.address, routing.endpoint(each, console), methods=[each.method]) for each in ROUTES),
    ]
    app = Starlette(routes=paths, exception_handlers={HTTPException: _nowhere(console)})
    app.router.redirect_slashes = False
    return app


def _home(console: Console) -> Callable[[Request], Awaitable[Response]]:
    """To where somebody's work begins: the first store they may see."""

    async def answer(request: Request) -> Response:
        ask = Ask(request, console, Tenant())
        found = await ask.run(routing.signed_in, ask)
        if found is None:
            return RedirectResponse(f"{ROOT}/login", 303)
        tenant = console.reading.tenants(found[0].grants)[0]
        return RedirectResponse(f"{ROOT}/{tenant.store}/{tenant.environment}/now", 303)

    return answer


def _nowhere(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        ask = Ask(request, console, Tenant())
        found = await ask.run(routing.signed_in, ask)
        if found is not None:
            ask.person, ask.session = found
        response = ask.failed(InvalidInput(ask.say("There is no such page."), code="no_such_path"), status)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return answer
