"""How far the limits of all offers are, as decisions see them: read in the background, never while deciding.

What is read may be a quarter of a second old; a limit holds all the same, because the ledger counts anew when an offer
is reserved.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from cashwrap.declarations import Settings
from cashwrap.ledger import Claim
from cashwrap.model import Millis, Minor, Tenant
from cashwrap.offering.around import Around
from cashwrap.offers.guard import counted, exhausted, exhausted_parts, needs_memory, total_key
from cashwrap.playbook import Playbook
from cashwrap.request import zone_of

TRUSTED = 30.0
"""Seconds that a reading is believed. After that nobody can say what is left, and nothing is promised."""
NOTHING: Mapping[str, str] = {}


class Standing(Struct, frozen=True):
    """The offers of one store that are closed to everybody, as of one reading.

    ``unremembered`` are those closed to a shopper whose past may not be kept: all the others, and those with a clock.
    ``read`` are the offers that the reading was about.
    """

    playbook: str
    closed: Mapping[str, str]
    unremembered: Mapping[str, str]
    counters: Mapping[str, int]
    read: frozenset[str] = frozenset()


class Availability:
    """The newest reading of each store."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._tenants: set[Tenant] = set()
        self._standing: dict[Tenant, Standing] = {}
        self._read_at = around.world.clock.monotonic()
        self._reading = threading.Lock()

    def watch(self, tenants: Iterable[Tenant]) -> None:
        """Read the counters of these stores too, from the next reading on."""
        self._tenants.update(tenants)

    def tenants(self) -> list[Tenant]:
        """The stores whose counters are read."""
        return sorted(self._tenants)

    def refresh(self) -> None:
        """Read all counters again. Raises ``Unavailable``; what was read before then stands for half a minute."""
        around = self._around
        if around.world.ledger is None:
            return
        with self._reading:
            playbook, began = around.live().playbook, around.world.clock.monotonic()
            day = day_of(around.world.clock.now(), playbook.settings)
            keys = counted(playbook.offers.values(), day)
            for tenant in self.tenants():
                counters = around.world.ledger.used(tenant, keys) if keys else {}
                self._standing[tenant] = _standing(playbook, counters, day, frozenset(playbook.offers))
            self._read_at = began

    def balances(self) -> Iterator[tuple[tuple[Tenant, str, str], tuple[Minor, Minor]]]:
        """What is held and spent of the live offers, by store, offer and currency. Raises ``Unavailable``."""
        ledger, offers = self._around.books(), list(self._around.offers())
        for tenant in self.tenants():
            used = ledger.used(tenant, [total_key(offer) for offer in offers]) if offers else {}
            for offer in offers:
                if total_key(offer) in used:  # else nothing of it is held or spent
                    for currency, balance in ledger.balance(tenant, offer).items():
                        yield (tenant, offer, currency), balance

    def of(self, tenant: Tenant) -> Standing:
        """What is closed in a store. In one that was never read, or not for long, or by another playbook, all is."""
        playbook = self._around.live().playbook
        standing = self._standing.get(tenant)
        if standing is None:
            self._tenants.add(tenant)
        fresh = self._around.world.clock.monotonic() - self._read_at <= TRUSTED
        if standing is not None and fresh:
            if standing.playbook == playbook.hash:
                return standing
            return self._compiled(tenant, standing, standing.counters)
        everything = dict.fromkeys(playbook.offers, "unavailable")
        return Standing(playbook.hash, everything, everything, {})

    def counted(self, tenant: Tenant, claims: Sequence[Claim]) -> None:
        """A reservation of this process was granted: decisions know at once."""
        standing = self._standing.get(tenant)
        if standing is not None:
            counters = dict(standing.counters)
            for claim in claims:
                counters[claim.key] = counters.get(claim.key, 0) + claim.amount
            self._compiled(tenant, standing, counters)

    def _compiled(self, tenant: Tenant, old: Standing, counters: Mapping[str, int]) -> Standing:
        playbook = self._around.live().playbook
        day = day_of(self._around.world.clock.now(), playbook.settings)
        new = self._standing[tenant] = _standing(playbook, counters, day, old.read)
        return new


def _standing(playbook: Playbook, counters: Mapping[str, int], day: str, read: frozenset[str]) -> Standing:
    offers = playbook.offers.values()
    closed = {offer.name: "exhausted" for offer in offers if exhausted(offer, counters, day)}
    closed |= {part: "exhausted" for offer in offers for part in exhausted_parts(offer, counters, day)}
    closed |= {offer.name: "unavailable" for offer in offers if offer.name not in read}
    clocked = {offer.name: "nobody" for offer in offers if needs_memory(offer)}
    return Standing(playbook.hash, closed, {**clocked, **closed}, counters, read)


def day_of(now: Millis, settings: Settings) -> str:
    """Today where the shop is, such as ``2026-12-31``."""
    zone = zone_of(settings.time_zone) or UTC
    return datetime.fromtimestamp(now // 1000, UTC).astimezone(zone).date().isoformat()
