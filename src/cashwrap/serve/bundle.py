"""The playbook for browsers and edges, signed, and the public key that it is verified by."""

import asyncio
import threading
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap.bundle import bundle_of, encode, signer_of
from cashwrap.decide import Kills
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.model import Millis, Tenant
from cashwrap.serve.hot import HotRoutes, heads
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import PREFLIGHT, Headers, error_body, internal, retry_after, status_of

PATH = "/v1/bundle"
KEYS = "/.well-known/cashwrap/jwks.json"
TYPE = "application/jose"
AGE: Millis = 86_400_000
"""After this a bundle is made again, so that what is handed out is good for some days more."""
_FRESH = "max-age=60"
"""How long a browser need not ask again, in seconds: a switch that is thrown reaches every page by then."""


class Made(NamedTuple):
    """A signed bundle and what it was made of."""

    playbook: str
    kills: Kills
    at: Millis
    tag: str
    body: str


class Bundles:
    """The newest bundle of each store, made when it is first asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.signer = signer_of(engine.world.vault)
        self._made: dict[Tenant, Made] = {}
        self._making = threading.Lock()

    def of(self, tenant: Tenant) -> Made:
        """The bundle of what is live now; may take long after a change, so a server calls it on a thread."""
        with self._making:
            playbook, now = self._engine.live.playbook, self._engine.world.clock.now()
            kills = self._engine.switches.kills(tenant)
            made = self._made.get(tenant)
            if made is None or (made.playbook, made.kills) != (playbook.hash, kills) or not 0 <= now - made.at < AGE:
                bundle = bundle_of(playbook, tenant, now, kills)
                tag = f'"{bundle.version}-{now}"'
                made = Made(playbook.hash, kills, now, tag, self.signer.sign(encode(bundle)))
                self._made[tenant] = made
            return made


def routes(engine: Engine, hot: HotRoutes, rates: Rates) -> list[Route]:
    """``GET /v1/bundle`` for any key, and the keys that sign for everyone."""
    bundles = Bundles(engine)

    async def bundle(request: Request) -> Response:
        headers, granted = heads(request.scope), Headers()
        if request.method == "OPTIONS":
            return _answer(204, "", [*hot.known_origin(headers), *PREFLIGHT])
        try:
            named = request.query_params.get("key")
            caller = hot.caller(request.scope, headers, named, granted)
            rates.check(caller.key, caller.facts.ip, 1)
            made = await asyncio.to_thread(bundles.of, caller.key.tenant)
        except Exception as failure:
            error = failure if isinstance(failure, CashwrapError) else internal(failure)
            wait = retry_after(error)
            again = [(b"retry-after", b"%d" % wait)] if wait else []
            told = _answer(status_of(error), error_body(error), [*(granted or hot.known_origin(headers)), *again])
            told.headers["content-type"] = "application/json"
            return told
        shared = b"public" if b"authorization" not in headers else b"private"
        kept = [*granted, (b"etag", made.tag.encode()), (b"cache-control", b"%s, %s" % (shared, _FRESH.encode()))]
        if made.tag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return _answer(304, "", kept)
        return _answer(200, made.body, kept)

    async def keys(_: Request) -> Response:
        shared = {"access-control-allow-origin": "*", "cache-control": "public, max-age=3600"}
        return Response(bundles.signer.jwks, 200, shared, "application/jwk-set+json")

    return [Route(PATH, bundle, methods=["GET", "OPTIONS"]), Route(KEYS, keys)]


def _answer(status: int, body: str | bytes, headers: Headers) -> Response:
    answer = Response(body, status, None, TYPE if body else None)
    answer.raw_headers.extend(headers)
    return answer
