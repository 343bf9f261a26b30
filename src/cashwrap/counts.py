"""How decisions went and what became of events, as numbers that grow: what ``/metrics`` tells of them."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from cashwrap.events import Accounting
from cashwrap.experiences import Experiences, Names
from cashwrap.model import PLAIN, Decision, Reason, Tenant

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Upper bounds, in seconds, by which the time of decisions is told."""
LOOKS = 25
"""Decisions of a store whose placements are counted by reason between two pulses: all of a small shop's, and of a busy
one's those that come first, since to look at every placement costs a hundredth of a decision."""


class _Item(Struct, rename={"source": "from"}):
    source: str = ""


class _Shelf(Struct):
    """As much of a list of products as is counted."""

    items: list[_Item] = []


_shelf = msgspec.json.Decoder(_Shelf)


class StoreCounts(Struct, gc=False):
    """How decisions of one store went."""

    decisions: int = 0
    degraded: int = 0
    reasons: dict[Reason, int] = {}
    """Placements answered, of the decisions that were looked at."""
    looks: int = LOOKS
    """Decisions that are still to be looked at before the next pulse."""


class Accounts:
    """What became of events, added up by any thread."""

    def __init__(self) -> None:
        self._all = Accounting()
        self._adding = threading.Lock()
        self.stores: dict[Tenant, Accounting] = {}
        """By store; read without waiting for who adds, so that a request may be told in part."""

    def add(self, tenant: Tenant, accounting: Accounting) -> None:
        """Take a request's count in."""
        with self._adding:
            self._all.add(accounting)
            of_store = self.stores.get(tenant)
            if of_store is None:
                of_store = self.stores[tenant] = Accounting()
            of_store.add(accounting)

    def total(self) -> Accounting:
        """All of them so far."""
        with self._adding:
            return msgspec.structs.replace(self._all)


class Counts:
    """How many decisions were answered, how many fell back a level, and how long they took."""

    def __init__(self) -> None:
        self.decisions = 0
        self.degraded = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)
        self._names: Names | None = None
        """Those of the playbook that decided last."""
        self._reached: dict[tuple[int, ...], int] = {}
        """What it came to, as its decisions hold exposures."""
        self._before: Counter[tuple[str, str, str]] = Counter()
        """What playbooks before it came to."""
        self.filled: Counter[tuple[str, str]] = Counter()
        """Places of lists of products, by placement (``recommend`` for the route) and the source that filled them."""
        self.stores: dict[Tenant, StoreCounts] = {}

    def decided(self, decision: Decision, experiences: Experiences, tenant: Tenant, *, degraded: bool) -> None:
        """One more; only ever called from the thread that answers."""
        self.decisions += 1
        self.degraded += degraded
        store = self.stores.get(tenant)
        if store is None:
            store = self.stores[tenant] = StoreCounts()
        store.decisions += 1
        store.degraded += degraded
        if store.looks:
            store.looks -= 1
            for shown in decision.placements.values():
                store.reasons[shown.reason] = store.reasons.get(shown.reason, 0) + 1
        names = experiences.names
        for name in experiences.shelves:
            answer = decision.placements.get(name)
            if answer is not None and answer.content is not None:
                self.placed(name, [item.source for item in _shelf.decode(answer.content).items])
        if names is not self._names:
            self._before, self._names, self._reached = self.arms, names, {}
        for each in decision.exposures:
            if len(each) > PLAIN:
                self._reached[each] = self._reached.get(each, 0) + 1

    def placed(self, where: str, sources: Iterable[str]) -> None:
        """So many places of a list were filled, each by its source."""
        for source in sources:
            self.filled[where, source] += 1

    @property
    def arms(self) -> Counter[tuple[str, str, str]]:
        """How often by experience, arm and outcome: what experiences came to, since the process began."""
        found = Counter(self._before)
        for each, count in list(self._reached.items()):
            if self._names is not None:
                reached = self._names.read(each)
                found[reached.experience, reached.arm, reached.outcome] += count
        return found

    def took(self, seconds: float) -> None:
        """How long an answer took, from the whole request to the bytes."""
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
