"""START HERE: the life of an event and the life of a decision, top to bottom.

An event: bytes -> envelopes -> events (limits, shape, scrubbing) -> the writer thread: shopper, consent, duplicates,
catalogue, fold -> one commit of log and profiles, fsync included -> acknowledged -> afterwards: segments and webhooks.

A decision: who -> one profile read (memory, else disk under the deadline) -> consent lens -> one frozen ``Inputs`` with
its segments -> the first fitting experience of each placement -> token -> bytes.

The engine sequences the steps and owns no rule of its own; what it needs from the world comes in as ports. It is a
library: ``serve`` puts HTTP in front of it, and any Python program may hold one.
"""

import threading
from collections.abc import Callable, Mapping

from msgspec import Struct

from cashwrap.backfill import Backfill
from cashwrap.backlog import Backlog
from cashwrap.catalogues import Catalogues
from cashwrap.counts import Accounts, Counts
from cashwrap.decide import decide, defaults, encode_answer
from cashwrap.events import (
    Accounting,
    Batch,
    Limits,
    Normaliser,
    Refused,
    decode_batch,
    decode_one,
    read_body,
)
from cashwrap.explain import explain
from cashwrap.exposures import TOKEN_LIFE, Exposures
from cashwrap.forgetting import Forgetting
from cashwrap.hot import HotProfile
from cashwrap.inputs import Caller, Gathered, Known, gather
from cashwrap.keys import Keys
from cashwrap.learned.serving import Models
from cashwrap.lookup import Lookup
from cashwrap.model import PERSONALIZATION, Event, Tenant
from cashwrap.offering import Around, Offering
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.previews import forced as previewed
from cashwrap.records import ID, Made, Recorder
from cashwrap.remote import Common
from cashwrap.repair import failures_of
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.retention import Retention
from cashwrap.suggesting import Suggesting
from cashwrap.sweep import Sweeper
from cashwrap.switches import Switches
from cashwrap.tallies import Tallies
from cashwrap.tell import Placed, tell
from cashwrap.tokens import Proof, tokens_of
from cashwrap.webhooks import Webhooks
from cashwrap.window import UNGUESSABLE, Context, Submission
from cashwrap.world import World
from cashwrap.writer import Writer, Writing

__all__ = ["Engine", "Live", "World"]


class Live(Struct, frozen=True):
    """What is swapped together: a request reads it once and sees exactly one playbook."""

    playbook: Playbook
    normaliser: Normaliser


class Engine:
    """One data folder, one playbook at a time, any number of threads."""

    def __init__(
        self, playbook: Playbook, world: World, *, limits: Limits | None = None, common: Common | None = None
    ) -> None:
        self.world = world
        self.limits = limits if limits is not None else Limits()
        self._common = common if common is not None else Common()
        self.hot = self._common.hot
        self.keys = Keys(world.registry)
        self.switches = Switches(world.registry)
        self.webhooks = Webhooks(world.registry, world.random)
        self.models = Models(world)
        self.catalogues = Catalogues(world.catalogue, world.registry, self._common.changing(), self.models.of)
        self.counts = Counts()
        self.tallies = Tallies(world)
        self.backlog = Backlog(world.failed, world.clock)
        self.accounts = Accounts()
        self.tokens = tokens_of(world.vault)
        self.exposures = Exposures(world.registry, self.tokens, self._common.carts)
        self.recorder = Recorder(world.store, world.vault, self.hot)
        self._publishing = threading.RLock()
        self.backfill = Backfill(world, self.hot, self._show_features)
        self.publish(playbook)
        self.lookup = Lookup(world.store, world.vault, self.hot, self.keys, lambda: self.live.normaliser)
        self.suggesting = Suggesting(lambda: self.live.playbook, self.lookup, self.catalogues, self.models.of, self)
        self.forgetting = Forgetting(world, self.hot, self.lookup)
        self.retention = Retention(
            world, self.forgetting, lambda: self.live.playbook.settings.retention, self.backfill.union
        )
        self.sweeper = Sweeper(world.store, world.vault, world.clock, self.hot, lambda: self.live.playbook)
        around = Around(world, self.lookup, lambda: self.live, self.submit)
        self.offering = Offering(around, self.submit_and_wait, self.keys)
        monotonic, self.shed = world.clock.monotonic, 0  # what a server leaves out under load: ``overload.Shed``
        self.writer: Writing = self._common.remote or Writer(self._context, self._tend, monotonic, world.reserve)

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
        taken = list(self.exposures.open(self.live.normaliser.batch(batch, caller.facts), caller.key.tenant))
        events = [item for item in taken if isinstance(item, Event)]
        refused = [item for item in taken if isinstance(item, Refused)]
        return self.submit(caller.key.tenant, events, refused, settled), refused

    def submit(
        self, tenant: Tenant, events: list[Event], refused: list[Refused], settled: Callable[[Submission], None]
    ) -> Submission:
        """Hand events over to the writer."""
        submission = Submission(tenant, events, failures_of(tenant, refused, self.world.clock.now()), settled)
        self.keep(submission)
        return submission

    def keep(self, submission: Submission) -> None:
        """Hand a submission over; where it is written it is counted too. Raises ``Unavailable``."""
        if self._common.remote is None:
            submission.counting(self.accounts.add)
            self.offering.follow(submission, self.recorder)
        self.writer.submit(submission)

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

    def answer(
        self, request: DecideRequest, caller: Caller, hot: HotProfile | None, *, late: bool = False, ahead: bool = False
    ) -> bytes:
        """The decision as bytes. ``late`` says that the profile did not come in time, ``ahead`` that it is fetched
        ahead of being shown, so that it is nobody's impression yet.

        Raises ``NotAllowed`` where the request asks for a preview that is not its to see.
        """
        live = self.live
        inputs, narrowed, as_of = self.inputs(live.playbook, request, caller, hot)
        tenant, units = inputs.tenant, inputs.units
        kills = self.switches.kills(tenant)
        catalogue = self.catalogues.of(tenant)
        decision = decide(live.playbook.experiences, inputs, catalogue, kills, narrowed=narrowed)
        drawn = self.world.random.token(ID)
        decision_id = drawn.hex()
        if hot is not None and inputs.mask & PERSONALIZATION and self.recorder.draws(drawn):
            self.recorder.take(Made(drawn, hot, inputs, decision, kills, catalogue.version, as_of))
        exposures = () if inputs.forced else decision.exposures  # nobody is exposed by a preview
        proof = Proof(
            tenant=tenant,
            decision=decision_id,
            playbook=live.playbook.hash,
            level=decision.level,
            expires=inputs.now + TOKEN_LIFE,
            exposures=exposures,
        )
        self.counts.decided(decision, live.playbook.experiences, tenant, degraded=late or decision.degraded)
        if exposures:
            self.tallies.count(inputs, exposures, live.playbook.experiences, caller.facts, live.normaliser.internal)
        if exposures and not ahead and not inputs.mask & PERSONALIZATION and (cart := _own_cart(units)):
            self.exposures.count(tenant, cart, decision, inputs.now)
        token = self.tokens.sign(proof, units.values())
        offers = self.offering.granted(hot, inputs, decision, shown=not (ahead or inputs.forced))
        return encode_answer(decision, decision_id, token, degraded=late, offers=offers)

    def inputs(self, playbook: Playbook, request: DecideRequest, caller: Caller, hot: HotProfile | None) -> Gathered:
        """Everything a decision by this playbook may depend on. Raises ``NotAllowed`` as ``answer`` does."""
        units = self.lookup.units(request, caller, hot)
        tenant, now = caller.key.tenant, self.world.clock.now()
        cart = _own_cart(units)
        impressions = self.exposures.of_cart(tenant, cart) if cart else {}
        forced = previewed(request, caller.key, self.tokens, now) if request.preview or request.force else {}
        past = self.offering.past(tenant, hot, now)
        known = Known(units, hot, impressions, forced, past, self.shed, self.models.of(tenant))
        return gather(playbook, request, caller, known, now)

    def default_answer(self, request: DecideRequest, tenant: Tenant) -> bytes:
        """The shop's default everywhere, as bytes: what is left to say when deciding itself failed."""
        asked = tuple(request.placements) if request.placements is not None else None
        experiences = self.live.playbook.experiences
        decision = defaults(experiences, asked, "error", degraded=True)
        self.counts.decided(decision, experiences, tenant, degraded=True)
        return encode_answer(decision, "", None)

    def explain(self, request: DecideRequest, caller: Caller, hot: HotProfile | None) -> dict[str, Placed]:
        """Each placement's answer with every experience that could have been it, and why it was not."""
        playbook = self.live.playbook
        inputs = self.inputs(playbook, request, caller, hot).inputs
        catalogue, kills = self.catalogues.of(inputs.tenant), self.switches.kills(inputs.tenant)
        return tell(playbook, inputs, explain(playbook.experiences, inputs, catalogue, kills))

    # --- what changes around them ---

    def publish(self, playbook: Playbook) -> None:
        """Swap the playbook: requests that began see the old one, all others the new one.

        New features are told as soon as they are as true as if they had always been there.
        """
        vocabulary, rate = playbook.vocabulary, self._common.rate
        settings, digest, strays = playbook.settings, self.world.vault.digest, self.tallies.drift.strays
        normaliser = Normaliser(vocabulary, settings, digest, verify=self.keys.verify, rate=rate, strays=strays)
        with self._publishing:
            self.exposures.learn(playbook.experiences.names)
            self.recorder.follow(playbook.settings)
            shown = self.backfill.follow(playbook, writes=self._common.remote is None)
            self.live = Live(shown, normaliser)

    def _show_features(self) -> None:
        """Tell features that are whole by now."""
        with self._publishing:
            if self.backfill.declared is not None:
                self.publish(self.backfill.declared)

    def forget(self, key: ShopperKey) -> bool:
        """Destroy the shopper's keys and rows, merged devices included; ``False`` where nobody was there."""
        if self._common.remote is not None:
            return self._common.remote.forget(key)
        found: list[bool] = []
        self.writer.call(lambda: found.append(self.forgetting.erase(key)))
        return any(found)

    def refresh(self) -> None:
        """See keys, switches, webhooks, products and models that another process wrote; tell what was decided here."""
        self.keys.refresh()
        self.switches.refresh()
        self.webhooks.refresh()
        self.models.refresh()
        self.catalogues.refresh()
        self.backlog.refresh()
        self.tallies.flush()
        self.models.flush()
        if self.backfill.outdated():
            self._show_features()
        self.offering.look()

    def account(self) -> Accounting:
        """What became of all events that this process has written since the start."""
        return self.accounts.total()

    def close(self) -> None:
        """Commit what waits and stop."""
        self.writer.close()
        self.tallies.flush(ending=True)
        self.models.flush(ending=True)

    def _context(self) -> Context:
        world, products, kept = self.world, self.catalogues.products, (self.hot, self.recorder, self.backlog)
        playbook, tells = self.live.playbook, self.webhooks.tell_exposures
        return Context(playbook, products, world.store, world.vault, world.random, *kept, tells)

    def _tend(self) -> bool:
        """What the writer does between commits; whether more of it waits."""
        self.tallies.flush()
        pruned = self.recorder.prune(self.world.clock.now())
        swept = self.sweeper.run()
        return self.backfill.run() or self.retention.run() or swept or pruned


def _own_cart(units: Mapping[str, str]) -> str | None:
    """The cart that counts what is shown without consent: one that nobody else could name by counting up numbers."""
    cart = units.get("cart", "")
    return cart if len(cart) >= UNGUESSABLE else None
