"""START HERE: the life of an event and the life of a decision, top to bottom.

An event: bytes -> envelopes -> events (limits, shape, scrubbing) -> the writer thread: shopper, consent, duplicates,
catalogue, fold -> one commit of log and profiles, fsync included -> acknowledged -> afterwards: segments and webhooks.

A decision: who -> one profile read (memory, else disk under the deadline) -> consent lens -> one frozen ``Inputs`` with
its segments -> the first fitting experience of each placement -> token -> bytes.

The engine sequences the steps and owns no rule of its own; what it needs from the world comes in as ports. It is a
library: ``serve`` puts HTTP in front of it, and any Python program may hold one.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from cashwrap.catalogues import Catalogues
from cashwrap.decide import Explained, decide, defaults, encode_answer, explain
from cashwrap.events import (
    Accounting,
    Batch,
    Limits,
    Normaliser,
    RateWatch,
    Refused,
    decode_batch,
    decode_one,
    read_body,
)
from cashwrap.hot import Hot, HotProfile
from cashwrap.inputs import Caller, gather
from cashwrap.keys import Keys
from cashwrap.lookup import Lookup
from cashwrap.model import Event, Millis, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import (
    CatalogueStore,
    Clock,
    Facts,
    FailedEvents,
    Outbox,
    Random,
    Registry,
    ShopperKey,
    Store,
    Vault,
)
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.sweep import Sweeper
from cashwrap.switches import Switches
from cashwrap.tokens import Proof, decision_token
from cashwrap.webhooks import Webhooks
from cashwrap.window import Context, Submission, failures_of
from cashwrap.writer import Writer

TOKEN_LIFE: Millis = 24 * 3_600_000
"""How long an exposure may bring its decision's token back."""


class World(Struct, frozen=True):
    """The ports an engine stands on; ``cli`` (or a test) chooses the adapters."""

    store: Store
    outbox: Outbox
    failed: FailedEvents
    registry: Registry
    catalogue: CatalogueStore
    vault: Vault
    clock: Clock
    random: Random
    facts: Facts | None = None
    """The fact table, where there is one."""


class Live(Struct, frozen=True):
    """What is swapped together: a request reads it once and sees exactly one playbook."""

    playbook: Playbook
    normaliser: Normaliser


BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Upper bounds, in seconds, by which the time of decisions is told."""


class Counts:
    """How many decisions were answered, how many fell back a level, and how long they took."""

    def __init__(self) -> None:
        self.decisions = 0
        self.degraded = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def decided(self, *, degraded: bool) -> None:
        """One more; only ever called from the thread that answers."""
        self.decisions += 1
        self.degraded += degraded

    def took(self, seconds: float) -> None:
        """How long an answer took, from the whole request to the bytes."""
        self.seconds += seconds
        self.buckets[bisect_left(BUCKETS, seconds)] += 1


class Engine:
    """One data folder, one playbook at a time, any number of threads."""

    def __init__(self, playbook: Playbook, world: World, *, limits: Limits | None = None) -> None:
        self.world = world
        self.limits = limits if limits is not None else Limits()
        self.hot = Hot()
        self.keys = Keys(world.registry)
        self.switches = Switches(world.registry)
        self.webhooks = Webhooks(world.registry, world.random)
        self.catalogues = Catalogues(world.catalogue)
        self.counts = Counts()
        self._accounting = Accounting()
        self._counting = threading.Lock()
        self._rate = RateWatch()
        self._token_key = world.vault.digest("decision tokens") + world.vault.digest("decision tokens", "2")
        self.publish(playbook)
        self.lookup = Lookup(world.store, world.vault, self.hot, self.keys, lambda: self.live.normaliser)
        self.sweeper = Sweeper(world.store, world.vault, world.clock, self.hot, lambda: self.live.playbook)
        self.writer = Writer(self._context, self.sweeper.run, world.clock.monotonic)

    # --- the life of an event ---

    def parse(self, body: bytes, kind: str | None) -> Batch:
        """A request of the tracking API as envelopes: a batch, or a single call of ``kind``.

        Raises ``InvalidInput`` or ``TooMuch`` where the request as a whole cannot be used.
        """
        plain = read_body(body, self.limits)
        return decode_batch(plain, self.limits) if kind is None else decode_one(plain, kind, self.limits)

    def collect(
        self, batch: Batch, caller: Caller, settled: Callable[[Submission], None]
    ) -> tuple[Submission, list[Refused]]:
        """Take a request's events; ``settled`` is called, on the writer thread, when they are durable.

        The refused ones are told by their index; the rest of the batch goes on. Raises ``Unavailable`` where nothing
        can be kept now.
        """
        taken = self.live.normaliser.batch(batch, caller.facts)
        events = [item for item in taken if isinstance(item, Event)]
        refused = [item for item in taken if isinstance(item, Refused)]
        return self.submit(caller.key.tenant, events, refused, settled), refused

    def submit(
        self, tenant: Tenant, events: list[Event], refused: list[Refused], settled: Callable[[Submission], None]
    ) -> Submission:
        """Hand events over to the writer, counting what becomes of them."""

        def done(submission: Submission) -> None:
            with self._counting:
                self._accounting.add(submission.accounting)
            settled(submission)

        submission = Submission(tenant, events, failures_of(tenant, refused, self.world.clock.now()), done)
        self.writer.submit(submission)
        return submission

    def submit_and_wait(self, tenant: Tenant, events: list[Event]) -> Submission:
        """Hand events over and return when they are durable, or when they failed (``error`` says why)."""
        done = threading.Event()
        submission = self.submit(tenant, events, [], lambda _: done.set())
        done.wait()
        return submission

    # --- the life of a decision ---

    def decide(self, request: DecideRequest, caller: Caller) -> bytes:
        """Decide synchronously: memory, else disk. What ``serve`` does under a deadline, in one call."""
        return self.answer(request, caller, self.find(request.shopper, caller))

    def find(self, ref: ShopperRef, caller: Caller) -> HotProfile | None:
        """The shopper's profile from memory or the store; may block, so a server calls it under the deadline."""
        return self.lookup.find(ref, caller)

    def answer(self, request: DecideRequest, caller: Caller, hot: HotProfile | None, *, late: bool = False) -> bytes:
        """The decision as bytes. ``late`` says that the profile did not come in time."""
        live, switches = self.live, self.switches
        inputs = gather(live.playbook, request, caller, hot, self.world.clock.now())
        catalogue = self.catalogues.of(inputs.tenant)
        decision = decide(live.playbook.experiences, inputs, catalogue, switches.kills(inputs.tenant))
        decision_id = self.world.random.token(12).hex()
        proof = Proof(
            tenant=inputs.tenant,
            decision=decision_id,
            playbook=live.playbook.hash,
            level=decision.level,
            expires=inputs.now + TOKEN_LIFE,
            shown=live.playbook.experiences.shown(decision),
        )
        self.counts.decided(degraded=late or decision.degraded)
        token = decision_token(proof, inputs.unit, self._token_key)
        return encode_answer(decision, decision_id, token, degraded=late)

    def default_answer(self, request: DecideRequest) -> bytes:
        """The shop's default everywhere, as bytes: what is left to say when deciding itself failed."""
        asked = tuple(request.placements) if request.placements is not None else None
        self.counts.decided(degraded=True)
        decision = defaults(self.live.playbook.experiences, asked, "error", degraded=True)
        return encode_answer(decision, "", None)

    def explain(self, request: DecideRequest, caller: Caller, hot: HotProfile | None) -> dict[str, Explained]:
        """Each placement's answer with every experience that could have been it, and why it was not."""
        playbook = self.live.playbook
        inputs = gather(playbook, request, caller, hot, self.world.clock.now())
        return explain(
            playbook.experiences, inputs, self.catalogues.of(inputs.tenant), self.switches.kills(inputs.tenant)
        )

    # --- what changes around them ---

    def publish(self, playbook: Playbook) -> None:
        """Swap the playbook: requests that began see the old one, all others the new one."""
        normaliser = Normaliser(
            playbook.vocabulary, playbook.settings, self.world.vault.digest, verify=self.keys.verify, rate=self._rate
        )
        self.live = Live(playbook, normaliser)

    def forget(self, key: ShopperKey) -> bool:
        """Destroy the shopper's keys and rows, merged devices included; ``False`` where nobody was there."""
        found: list[bool] = []

        def erase() -> None:
            hot = self.lookup.fetch(key)
            others: list[bytes] = []
            if hot is not None:
                others = hot.profile.absorbed
                self._forget_facts([hot.profile.analytic_id, *hot.profile.former_analytic_ids])
            for shopper in (*others, key.shopper):  # the last key is what finds the others, should this be cut off
                found.append(self.world.vault.destroy(shopper))
                self.world.store.forget(ShopperKey(key.tenant, shopper))
                self.hot.profiles.drop(ShopperKey(key.tenant, shopper))
            self.hot.identities.clear()

        self.writer.call(erase)
        return any(found)

    def _forget_facts(self, analytic_ids: Iterable[bytes]) -> None:
        """Before the keys go: afterwards nobody knows the shopper's name in the fact table."""
        if self.world.facts is not None:
            for analytic_id in analytic_ids:
                self.world.facts.forget(analytic_id)

    def refresh(self) -> None:
        """See keys, switches, webhooks and products that another process wrote."""
        self.keys.refresh()
        self.switches.refresh()
        self.webhooks.refresh()
        self.catalogues.refresh()

    def account(self) -> Accounting:
        """What became of all events received since the start."""
        with self._counting:
            return msgspec.structs.replace(self._accounting)

    def close(self) -> None:
        """Commit what waits and stop."""
        self.writer.close()

    def _context(self) -> Context:
        world = self.world
        products = self.catalogues.products
        return Context(self.live.playbook, products, world.store, world.vault, world.random, self.hot)
