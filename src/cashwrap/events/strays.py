"""What arrives beside what was declared: names of fields and of events, counted; never a value.

A name may be about a person too, when a sender puts ids where names belong. Only what looks like a name in a program
is noted; all others are counted together, under no name.
"""

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from cashwrap.events.scrub import scrub
from cashwrap.model import Tenant

NAMES = 500
"""Names of a kind that are noted between two readings; later ones are counted under no name."""
ALL_OF = 1_000
"""Events whose fields are looked at one by one; then those of every ``EVERY``-th are."""
EVERY = 16
_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$. -]{0,40}[0-9]{0,3}[A-Za-z_]{0,20}")


class Place(NamedTuple):
    """An event of a store, as the playbook names it, and a field such as ``properties.price``."""

    tenant: Tenant
    event: str
    field: str = ""


class Seen(Struct):
    """What was counted since the last reading."""

    undeclared: Counter[Place]
    """Fields that were dropped because nothing declares them."""
    unknown: Counter[Place]
    """Events that were refused because nothing declares them."""
    looked: Counter[Place]
    """Events that were looked at ..."""
    fields: Counter[Place]
    """... and the declared fields that they brought."""


def _nothing() -> Seen:
    return Seen(Counter(), Counter(), Counter(), Counter())


class Strays:
    """Counts for one process. Threads share it without a lock: of two counting at once one may be missed."""

    def __init__(self) -> None:
        self._seen = _nothing()
        self._arrived = 0
        self._strayed = 0

    def undeclared(self, tenant: Tenant, event: str, path: str, bag: Iterable[str], declared: Container[str]) -> None:
        """An event came with fields that are not declared; of many such events every ``EVERY``-th counts for all."""
        self._strayed += 1
        if self._strayed > ALL_OF and self._strayed % EVERY:
            return
        weight, counted = 1 if self._strayed <= ALL_OF else EVERY, self._seen.undeclared
        for name in bag:
            if name not in declared:
                told = told_name(name)
                _count(counted, Place(tenant, event, f"{path}.{told}" if told else ""), weight)

    def unknown(self, tenant: Tenant, event: str) -> None:
        """An event came that nobody declared."""
        _count(self._seen.unknown, Place(tenant, told_name(event)), 1)

    def arrived(
        self, tenant: Tenant, event: str, properties: Mapping[str, object], traits: Mapping[str, object]
    ) -> None:
        """An event came: which of its declared fields it brought."""
        self._arrived += 1
        if self._arrived > ALL_OF and self._arrived % EVERY:
            return
        seen = self._seen
        seen.looked[Place(tenant, event)] += 1
        for name in properties:
            seen.fields[Place(tenant, event, f"properties.{name}")] += 1
        for name in traits:
            seen.fields[Place(tenant, event, f"traits.{name}")] += 1

    def take(self) -> Seen:
        """What was counted since the last call."""
        taken, self._seen = self._seen, _nothing()
        return taken


@lru_cache(maxsize=2048)
def told_name(name: str) -> str:
    """A name as it may be noted: what looks like one in a program, else nothing."""
    return name if _NAME.fullmatch(name) and scrub(name) == name else ""


def _count(counted: Counter[Place], place: Place, weight: int) -> None:
    if place not in counted and len(counted) >= NAMES:
        place = Place(place.tenant, "" if not place.field else place.event)
    counted[place] += weight
