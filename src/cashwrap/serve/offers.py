"""What a shop's backend asks of offers: hold, spend, give back, look. Secret keys only, and no browser (no CORS).

The ledger waits for its disk or its database, so it is asked on threads of its own: however slow it is, the loop and
decisions are not held up. Beyond what those threads can take a request is told to come back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError, InvalidInput, NotAllowed, TooMuch, Unavailable
from cashwrap.events.money import minor_digits
from cashwrap.inputs import Caller
from cashwrap.model import Tenant
from cashwrap.offering import Offering, RedeemBody, ReleaseBody, ReserveBody, TakeBackBody
from cashwrap.serve.hot import HotRoutes, heads
from cashwrap.serve.wire import error_body, internal, retry_after, status_of

BODY = 300_000
THREADS = 16
"""Requests to the ledger at once: it brings those that wait together in one write."""
WAITING = 512
"""Requests under way, those that wait for a thread included."""
LONGEST_KEY = 200
T = TypeVar("T")
Work = Callable[[Tenant, bytes, str], object]


class OfferRoutes:
    """The routes, and the threads that answer them."""

    def __init__(self, engine: Engine, hot: HotRoutes) -> None:
        self._offering = engine.offering
        self._hot = hot
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cashwrap-offers")
        self._under_way = 0

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[Route]:
        """All of them."""
        desk = self._offering.desk

        def reserve(tenant: Tenant, body: bytes, key: str) -> object:
            return desk.reserve(tenant, _read(body, ReserveBody), key)

        def redeem(tenant: Tenant, body: bytes, key: str) -> object:
            return desk.redeem(tenant, _read(body, RedeemBody), key)

        def release(tenant: Tenant, body: bytes, key: str) -> object:
            return desk.release(tenant, _read(body, ReleaseBody), key)

        def roll_back(tenant: Tenant, body: bytes, key: str) -> object:
            asked = _read(body, TakeBackBody)
            told = desk.roll_back(tenant, asked, key)
            return told[0] if asked.reservation is not None else {"reservations": told}

        async def one(request: Request) -> Response:
            number = request.path_params["id"]
            return await self._answer(request, lambda tenant: desk.reservation(tenant, number))

        async def everything(request: Request) -> Response:
            return await self._answer(request, lambda tenant: {"offers": desk.report(tenant)})

        changes = {"reserve": reserve, "redeem": redeem, "release": release, "rollback": roll_back}
        return [
            *(Route(f"/v1/offers/{name}", self._change(work), methods=["POST"]) for name, work in changes.items()),
            Route("/v1/offers/reservations/{id}", one, methods=["GET"]),
            Route("/v1/offers", everything, methods=["GET"]),
        ]

    def _change(self, work: Work) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            async def asked(tenant: Tenant) -> object:
                key = _key(request)
                body = await _body(request)
                return await self._run(partial(work, tenant, body, key))

            return await self._guarded(request, asked)

        return endpoint

    async def _answer(self, request: Request, work: Callable[[Tenant], object]) -> Response:
        return await self._guarded(request, lambda tenant: self._run(partial(work, tenant)))

    async def _guarded(self, request: Request, work: Callable[[Tenant], Awaitable[object]]) -> Response:
        try:
            caller = self._hot.caller(request.scope, heads(request.scope), None, [])
            value = await work(_backend(caller))
        except Exception as failure:
            error = failure if isinstance(failure, CashwrapError) else internal(failure)
            wait = retry_after(error)
            extra = {"retry-after": str(wait)} if wait else {}
            return Response(error_body(error), status_of(error), extra, "application/json")
        private = {"cache-control": "private, no-store"}
        return Response(msgspec.json.encode(value), 200, private, "application/json")

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= WAITING:
            raise Unavailable("too many requests wait for the ledger; send the same request again")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def metrics(offering: Offering) -> Iterable[Metric]:
    """What offers came to, in Prometheus' form; money in major units."""
    asked = CounterMetricFamily(
        "cashwrap_offer_requests", "What backends asked of offers, by what became of it.", labels=["asked", "outcome"]
    )
    for labels, count in list(offering.desk.outcomes.items()):
        asked.add_metric(labels, count)
    yield asked
    yield from _balances(offering)
    told = CounterMetricFamily("cashwrap_offer_notices", "Changes told to the log, by fate.", labels=["fate"])
    for fate, count in list(offering.notices.told.items()):
        told.add_metric([fate], count)
    yield told
    back = CounterMetricFamily(
        "cashwrap_offer_refunds",
        "Redemptions that refunded orders took back, by what became of it.",
        labels=["outcome"],
    )
    for outcome, count in list(offering.refunds.outcomes.items()):
        back.add_metric([outcome], count)
    yield back


def _balances(offering: Offering) -> Iterator[Metric]:
    labels = ["store", "environment", "offer", "currency"]
    held = GaugeMetricFamily("cashwrap_offer_held", "What reservations hold, in major units.", labels=labels)
    spent = GaugeMetricFamily("cashwrap_offer_spent", "What redemptions came to, in major units.", labels=labels)
    for (tenant, offer, currency), balance in sorted(offering.balances.items()):
        named, unit = [tenant.store, tenant.environment, offer, currency], 10 ** minor_digits(currency)
        held.add_metric(named, balance[0] / unit)
        spent.add_metric(named, balance[1] / unit)
    yield held
    yield spent


def _backend(caller: Caller) -> Tenant:
    """The store and environment of the shop's own backend."""
    if not caller.key.trusted:
        raise NotAllowed("this needs a secret key, from a backend and never from a browser")
    return caller.key.tenant


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not key:
        message = "send an Idempotency-Key header, a new one for each new request: then it can be sent again safely"
        raise InvalidInput(message, code="missing_idempotency_key")
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"an Idempotency-Key has at most {LONGEST_KEY} printable characters", code="invalid_request")
    return key


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY:
            raise TooMuch(f"the body may have at most {BODY // 1000} KB", code="body_too_large")
    return body


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_request") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", code="invalid_json") from None


async def tend(offering: Offering, every: float) -> None:
    """What one process of a data folder does for offers, until cancelled."""
    while True:
        await asyncio.sleep(every)
        await asyncio.to_thread(offering.tend)
