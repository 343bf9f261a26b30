"""One ASGI application: the hot routes first, everything else by Starlette."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.serve.admin import routes as admin_routes
from cashwrap.serve.bundle import routes as bundle_routes
from cashwrap.serve.companion import Companion
from cashwrap.serve.console import Forwarder
from cashwrap.serve.hot import PATHS, HotRoutes
from cashwrap.serve.offers import OfferRoutes
from cashwrap.serve.ofrep import ROOT, Ofrep
from cashwrap.serve.operations import EngineMetrics, Health, Scrape, own_metrics
from cashwrap.serve.operations import routes as operation_routes
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import Receive, Scope, Send, error_body, internal, respond


class Application:
    """What a server runs. ``health`` says whether it is ready; ``drain`` ends streams, ``close`` lets go of threads.

    ``scrape`` answers for all processes where there are several; ``companion`` is the console's process, if any.
    """

    def __init__(
        self,
        engine: Engine,
        rates: Rates,
        health: Health,
        scrape: Scrape | None = None,
        companion: Companion | None = None,
    ) -> None:
        self.health = health
        self._console = Forwarder(companion, rates)
        self._hot = HotRoutes(engine, rates)
        self.overload = self._hot.overload
        self._engine = engine
        self.metrics = EngineMetrics(engine, health, self.overload)
        self._ofrep = Ofrep(engine, self._hot, rates)
        self._offers = OfferRoutes(engine, self._hot)
        self._rest = Starlette(
            routes=[
                *operation_routes(engine, health, self.metrics, scrape or own_metrics),
                *bundle_routes(engine, self._hot, rates),
                *admin_routes(engine, self._hot, companion),
                *self._offers.routes(),
            ],
            exception_handlers={HTTPException: _unroutable, Exception: _failed},
        )
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        try:
            if scope["path"] in PATHS:
                await self._hot(scope, receive, send)
            elif scope["path"].startswith(ROOT):
                await self._ofrep(scope, receive, send)
            elif self._console.takes(scope["path"]):
                await self._console(scope, receive, send)
            else:
                await self._rest(scope, receive, send)
        except UnicodeDecodeError:
            await respond(send, 400, b'{"code":"invalid_request","message":"the path is not UTF-8"}')

    def beat(self, late: float, now: float) -> None:
        """The event loop is so many seconds ``late`` now, by its own clock: leave out as much as that asks for."""
        self.overload.note(int(late * 1000), int(self._hot.waits(now) * 1000), int(now * 1000))
        self._engine.shed = self.overload.shed

    def drain(self) -> None:
        """End what would otherwise last: the server is stopping."""
        self._ofrep.streams.close()
        self._console.close()

    def close(self) -> None:
        """Let go of the threads."""
        self._hot.close()
        self._offers.close()


async def _unroutable(_: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    known = {404: ("no_such_path", "see /openapi.json for the paths there are")}
    code, message = known.get(status, ("method_not_allowed", "see /openapi.json for the methods of this path"))
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(error_body(CashwrapError(message, code=code)), status, headers, "application/json")


async def _failed(_: Request, error: Exception) -> Response:
    return Response(error_body(internal(error)), 500, None, "application/json")
