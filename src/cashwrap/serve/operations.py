"""What an operator and a browser fetch: health, metrics, schemas and the SDK. No key, no personal data."""

import importlib.metadata
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cashwrap.backlog import Backlog
from cashwrap.counts import BUCKETS, Counts
from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.overload import Overload
from cashwrap.playbook.schema import playbook_schema
from cashwrap.records import Recorder
from cashwrap.serve import kept
from cashwrap.serve.offers import metrics as offer_metrics
from cashwrap.serve.openapi import document
from cashwrap.serve.wire import error_body, status_of

VERSION = importlib.metadata.version("cashwrap")
_FATES = ("stored", "duplicate", "conflict", "failed", "dropped_by_consent", "refused")


class Health:
    """Whether the server takes requests, and what it last said about the playbook."""

    def __init__(self) -> None:
        self.ready = False
        self.playbook_error = ""
        """The mistakes of the newest change, while an older playbook stays live; empty when all is well."""


class EngineMetrics(Collector):
    """The engine's counts in Prometheus' form."""

    def __init__(self, engine: Engine, health: Health, overload: Overload) -> None:
        self._engine = engine
        self._health = health
        self._overload = overload

    def collect(self) -> Iterator[Metric]:
        """One scrape. The fates of events always add up to ``cashwrap_events_received_total``."""
        engine = self._engine
        account = engine.account()
        yield CounterMetricFamily("cashwrap_events_received", "Events received.", value=account.received)
        fates = CounterMetricFamily("cashwrap_events", "Received events by what became of them.", labels=["fate"])
        for fate in _FATES:
            fates.add_metric([fate], getattr(account, fate))
        yield fates
        counts = engine.counts
        yield CounterMetricFamily("cashwrap_decisions", "Decisions answered.", value=counts.decisions)
        yield CounterMetricFamily(
            "cashwrap_decisions_degraded", "Decisions that fell back a data level.", value=counts.degraded
        )
        yield _decision_seconds(counts)
        yield from _decision_records(engine.recorder)
        yield from kept.metrics(engine)
        arms = CounterMetricFamily(
            "cashwrap_arms",
            "What experiences came to, shown or kept back, where a test or a cap has a say in it.",
            labels=["experience", "arm", "outcome"],
        )
        for labels, count in list(counts.arms.items()):
            arms.add_metric(labels, count)
        yield arms
        filled = CounterMetricFamily(
            "cashwrap_places_filled",
            "Places of lists of products, by the source that filled each: complements, category and popular are what "
            "the catalogue fills where a model is silent.",
            labels=["placement", "source"],
        )
        for places, count in list(counts.filled.items()):
            filled.add_metric(places, count)
        yield filled
        refused = CounterMetricFamily(
            "cashwrap_exposures_refused", "Exposures whose token proved nothing.", labels=["code"]
        )
        for code, count in list(engine.exposures.refused.items()):
            refused.add_metric([code], count)
        yield refused
        yield GaugeMetricFamily(
            "cashwrap_requests_waiting", "Requests whose events wait to be stored.", value=engine.writer.waiting()
        )
        yield from _overload(self._overload)
        dropped = CounterMetricFamily("cashwrap_fields_dropped", "Undeclared fields dropped.", labels=["event"])
        for event, count in list(engine.live.normaliser.dropped.items()):
            dropped.add_metric([event], count)
        yield dropped
        yield from offer_metrics(engine.offering)
        yield from _failed(engine.backlog)
        reserve = engine.world.reserve
        full = GaugeMetricFamily("cashwrap_disk_full", "1 while events are refused because the disk is full.")
        full.add_metric([], 1 if reserve is not None and reserve.full() else 0)
        yield full
        broken = GaugeMetricFamily("cashwrap_playbook_broken", "1 while the newest playbook has mistakes.")
        broken.add_metric([], 1 if self._health.playbook_error else 0)
        yield broken


def _overload(overload: Overload) -> Iterator[Metric]:
    """How far the server is from answering everything in full."""
    step = GaugeMetricFamily("cashwrap_shedding", "What is left out: 0 nothing, 1 events ... 4 all decisions.")
    step.add_metric([], overload.shed)
    yield step
    yield GaugeMetricFamily("cashwrap_events_share", "The share of browsers' events that is taken.", overload.share)
    text = "Requests with events that were told to come back."
    yield CounterMetricFamily("cashwrap_requests_turned_away", text, value=overload.turned_away)


def _failed(backlog: Backlog) -> Iterator[Metric]:
    """What waits for an operator, and what there was no room for."""
    text = "Failed events that wait for an operator, by code and age, as of some seconds ago."
    waiting = GaugeMetricFamily("cashwrap_failed_events", text, labels=["code", "age"])
    for (code, age), count in sorted(backlog.ages().items()):
        waiting.add_metric([code, age], count)
    yield waiting
    text = "Failed events there was no room for; whoever sent them was told."
    yield CounterMetricFamily("cashwrap_failed_events_missed", text, value=backlog.missed)
    text = "Requests refused because one of their events failed and there was no room for it."
    yield CounterMetricFamily("cashwrap_failed_events_full", text, value=backlog.turned_away)


def _decision_records(recorder: Recorder) -> Iterator[Metric]:
    fates = CounterMetricFamily("cashwrap_decision_records", "Decisions drawn to be kept, by fate.", labels=["fate"])
    fates.add_metric(["kept"], recorder.kept)
    fates.add_metric(["dropped"], recorder.dropped)
    yield fates


def _decision_seconds(counts: Counts) -> HistogramMetricFamily:
    """The time of decisions as Prometheus wants it: each bucket holds all below it."""
    bounds = [*map(str, BUCKETS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(counts.buckets)), strict=True))
    text = "Seconds from a whole request to its answer."
    return HistogramMetricFamily("cashwrap_decision_seconds", text, buckets=buckets, sum_value=counts.seconds)


Scrape = Callable[[Collector], Awaitable[bytes]]
"""From what a process counts to what ``/metrics`` answers."""


async def own_metrics(own: Collector) -> bytes:
    """What this process counts, in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(own)
    return generate_latest(registry)


def routes(engine: Engine, health: Health, own: Collector, scrape: Scrape) -> list[Route]:
    """The routes that need no key."""
    sdk = _sdk_files()

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok", "version": VERSION})

    async def readyz(_: Request) -> Response:
        playbook = {"hash": engine.live.playbook.hash, "error": health.playbook_error or None}
        reserve = engine.world.reserve
        disk = "full" if reserve is not None and reserve.full() else "ok"
        found = {"ready": health.ready, "disk": disk, "playbook": playbook}
        return _json(found, 200 if health.ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(await scrape(own), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(_: Request) -> Response:
        return _json(document(VERSION))

    async def schema(_: Request) -> Response:
        return _json(playbook_schema(), headers={"cache-control": "public, max-age=300"})

    async def script(request: Request) -> Response:
        found = sdk.get((request.path_params["version"], request.path_params["name"]))
        if found is None:
            return _json({"code": "no_such_file", "message": f"the SDK's version here is {VERSION}"}, 404)
        return Response(found, media_type="text/javascript; charset=utf-8", headers=_IMMUTABLE)

    async def settings(request: Request) -> Response:
        try:
            engine.keys.find(request.path_params["key"])
        except CashwrapError as error:
            return Response(error_body(error), status_of(error), _OPEN, "application/json")
        return _json(
            {"integrations": {"Segment.io": {"apiKey": request.path_params["key"]}}, "plan": {}}, headers=_OPEN
        )

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/schemas/playbook.json", schema),
        Route("/sdk/{version}/{name}", script),
        Route("/v1/projects/{key}/settings", settings),
    ]


_IMMUTABLE = {
    "cache-control": "public, max-age=31536000, immutable",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "x-content-type-options": "nosniff",
}
_OPEN = {"access-control-allow-origin": "*", "cache-control": "public, max-age=60"}


def sdk_folder() -> Path:
    """Where the SDK's files are: inside the package, or beside it in a working tree."""
    inside = Path(__file__).parent / "static" / "sdk"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "sdk" / "lib"


def _sdk_files() -> dict[tuple[str, str], bytes]:
    folder = sdk_folder()
    return {(VERSION, path.name): path.read_bytes() for path in sorted(folder.glob("*.js"))}


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")
