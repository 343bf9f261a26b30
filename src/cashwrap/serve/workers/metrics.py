"""``/metrics`` of several processes as one: each says what it counts when one is asked, and counts are added up.

What a process counted before it died stays counted, as far as it was ever told: so no sum goes back.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from cashwrap.adapters.shared import Board
from cashwrap.serve.operations import own_metrics

log = logging.getLogger("cashwrap")

PATIENCE = 0.5
"""Seconds until a process that does not answer is taken as it was when it last did."""
LOOK = 0.005
_LEAST = frozenset({"cashwrap_events_share"})
"""Of these the smallest tells how things are; of all others that do not grow, the largest."""


class Family(Struct, frozen=True, array_like=True):
    """One metric as it crosses."""

    name: str
    documentation: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


_families: "msgspec.msgpack.Decoder[list[Family]]" = msgspec.msgpack.Decoder(list[Family])


class Telling:
    """One process' part: ``tell`` what it counts, and answer for all when it is the one that was asked."""

    def __init__(self, board: Board, place: int) -> None:
        self._board = board
        self._place = place
        self._before = [family for family in _read(board, place) if family.kind != "gauge"]
        """What this place counted in an earlier life."""

    def asked(self) -> bool:
        """Whether somebody waits to be told."""
        return self._board.asked(self._place)

    def tell(self, own: Collector) -> None:
        """Say what is counted here now."""
        told = [
            Family(
                metric.name,
                metric.documentation,
                metric.type,
                [(sample.name, sample.labels, sample.value) for sample in metric.samples],
            )
            for metric in own.collect()
        ]
        try:
            self._board.write(self._place, msgspec.msgpack.encode(list(merged([self._before, told]))))
        except ValueError as error:
            log.warning("this process' metrics are left out: %s", error)

    async def scrape(self, own: Collector) -> bytes:
        """What all processes count, in Prometheus' text form."""
        number = self._board.ask()
        self.tell(own)
        try:
            async with asyncio.timeout(PATIENCE):
                while not self._board.answered(number):  # noqa: ASYNC110 - other processes answer, in shared memory
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            log.warning("a process does not say what it counts; it is taken as it was")
        return await own_metrics(_All([_read(self._board, place) for place in range(self._board.places)]))


class _All(Collector):
    def __init__(self, told: list[list[Family]]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        for family in merged(self._told):
            metric = Metric(family.name, family.documentation, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric


def merged(told: Iterable[Iterable[Family]]) -> Iterator[Family]:
    """What grows is added up, sample by sample; of what does not, the one that says most of how things are."""
    kinds: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for families in told:
        for family in families:
            kinds.setdefault(family.name, family)
            known = values.setdefault(family.name, {})
            for name, labels, value in family.samples:
                key = (name, tuple(sorted(labels.items())))
                known[key] = _together(family, known[key], value) if key in known else value
    for name, family in kinds.items():
        samples = [(sample, dict(labels), value) for (sample, labels), value in values[name].items()]
        yield msgspec.structs.replace(family, samples=samples)


def _together(family: Family, one: float, other: float) -> float:
    if family.kind != "gauge":
        return one + other
    return min(one, other) if family.name in _LEAST else max(one, other)


def _read(board: Board, place: int) -> list[Family]:
    told = board.read(place)
    return _families.decode(told) if told else []
