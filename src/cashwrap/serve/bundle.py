"""The playbook for browsers and edges, signed, and the public key that it is verified by."""

import asyncio
import threading
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap.bundle import bundle_of, encode
from cashwrap.decide import Kills
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, NotAllowed
from cashwrap.model import Millis, Tenant
from cashwrap.serve.hot import HotRoutes, heads
from cashwrap.serve.rates import Rates
from cashwrap.serve.wire import PREFLIGHT, Headers, error_body, internal, retry_after, status_of
from cashwrap.signing import OFFER, jwks, signer_of

PATH = "/v1/bundle"
KEYS = "/.well-known/cashwrap/jwks.json"
TYPE = "application/jose"
AGE: Millis = 86_400_000
"""After this a bundle is made again, so that what is handed out is good for some days more."""
_FRESH = b"max-age=60"
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

    def current(self, tenant: Tenant) -> Made | None:
        """The bundle at hand, if it is of what is live now."""
        made = self._made.get(tenant)
        if made is None or made.playbook != self._engine.live.playbook.hash:
            return None
        young = 0 <= self._engine.world.clock.now() - made.at < AGE
        return made if young and made.kills == self._engine.switches.kills(tenant) else None

    def make(self, tenant: Tenant) -> Made:
        """The bundle of what is live now, made where there is none; takes long, so a server calls it on a thread."""
        with self._making:
            made = self.current(tenant)
            if made is None:
                playbook, now = self._engine.live.playbook, self._engine.world.clock.now()
                kills = self._engine.switches.kills(tenant)
                bundle = bundle_of(playbook, tenant, now, kills)
                signed = self.signer.sign(encode(bundle))
                made = self._made[tenant] = Made(playbook.hash, kills, now, f'"{bundle.version}-{now}"', signed)
            return made


def routes(engine: Engine, hot: HotRoutes, rates: Rates) -> list[Route]:
    """``GET /v1/bundle`` for any key, and the keys that sign for everyone."""
    bundles = Bundles(engine)
    public = jwks(bundles.signer, signer_of(engine.world.vault, OFFER))

    async def bundle(request: Request) -> Response:
        headers, granted = heads(request.scope), Headers()
        if request.method == "OPTIONS":
            return _answer(204, "", [*hot.known_origin(headers), *PREFLIGHT])
        try:
            tenant = _tenant(request, hot, rates, granted)
            made = bundles.current(tenant)
            if made is None:
                made = await asyncio.to_thread(bundles.make, tenant)
        except Exception as failure:
            error = failure if isinstance(failure, CashwrapError) else internal(failure)
            return _refusal(error, granted or hot.known_origin(headers))
        shared = b"public" if b"authorization" not in headers else b"private"
        by_origin = granted or [(b"vary", b"origin")]  # else a cache would give every page what none asked for
        kept = [*by_origin, (b"etag", made.tag.encode()), (b"cache-control", b"%s, %s" % (shared, _FRESH))]
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        return _answer(304, "", kept) if made.tag in known else _answer(200, made.body, kept)

    async def keys(_: Request) -> Response:
        shared = {"access-control-allow-origin": "*", "cache-control": "public, max-age=3600"}
        return Response(public, 200, shared, "application/jwk-set+json")

    return [Route(PATH, bundle, methods=["GET", "OPTIONS"]), Route(KEYS, keys)]


def _tenant(request: Request, hot: HotRoutes, rates: Rates, granted: Headers) -> Tenant:
    """Whose bundle is asked for. Raises ``NotAllowed`` and ``TooMuch``."""
    named = request.query_params.get("key")
    caller = hot.caller(request.scope, heads(request.scope), named, granted)
    rates.check(caller.key, caller.facts.ip, 1)
    if named and caller.key.trusted:
        raise NotAllowed("an address is kept in many logs; send a secret key in a header", code="secret_in_address")
    return caller.key.tenant


def _refusal(error: CashwrapError, granted: Headers) -> Response:
    wait = retry_after(error)
    extra = {"retry-after": str(wait)} if wait else None
    answer = Response(error_body(error), status_of(error), extra, "application/json")
    answer.raw_headers.extend(granted)
    return answer


def _answer(status: int, body: str | bytes, headers: Headers) -> Response:
    answer = Response(body, status, None, TYPE if body else None)
    answer.raw_headers.extend(headers)
    return answer
