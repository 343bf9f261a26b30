"""One commit's worth of events: resolve, gate, deduplicate and fold many submissions into one ``Changes``.

A window belongs to the writer thread. It works on drafts (profiles decoded afresh), so nothing it does is visible
before its changes are durable; a window that cannot be committed is thrown away whole.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from cashwrap import codec, consent, profiles
from cashwrap.backlog import Backlog, full
from cashwrap.dedup import MOST, PROVEN, Seen, event_key
from cashwrap.drafts import (
    Draft,
    choice_alone,
    consent_of,
    devices_of,
    fresh,
    keys_of,
    lasting,
    may_be,
    opened_by_a_browser,
    says_otherwise,
    withdrawn,
)
from cashwrap.enrich import enrich
from cashwrap.errors import Forgotten, StoreError, Unavailable
from cashwrap.events import Accounting
from cashwrap.hot import MISSING, Hot, HotProfile, Identifier
from cashwrap.memberships import segments_at
from cashwrap.model import Event, Millis, Product, Profile, Tenant
from cashwrap.names import PROMPT, Graves, digest_of
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, Exposed, Failure, Random, Record, Row, ShopperKey, Store, Vault
from cashwrap.profiles import EXPOSED
from cashwrap.records import Recorder
from cashwrap.repair import CONFLICT, Unkept, failure_of, sealed
from cashwrap.webhooks import exposed

log = logging.getLogger(__name__)

UNGUESSABLE = 16
"""Characters a cart token from a browser needs to name its shopper: whoever counts up basket numbers names nobody."""


class Submission:
    """What one request asks to keep, and what became of it."""

    __slots__ = ("accounting", "error", "events", "failures", "replays", "settled", "tenant")

    def __init__(
        self,
        tenant: Tenant,
        events: Sequence[Event],
        failures: Sequence[Failure] = (),
        settled: Callable[["Submission"], None] | None = None,
        replays: int = 0,
    ) -> None:
        self.tenant = tenant
        self.events = events
        self.failures = failures
        self.settled = settled
        """Called on the writer thread when the outcome is durable, or when it failed."""
        self.replays = replays
        """The number of the failed event that its one event was: gone as soon as that has met its fate."""
        self.accounting = Accounting()
        self.error: Exception | None = None

    def counting(self, count: Callable[[Tenant, Accounting], None]) -> None:
        """Have what became of the events counted, before whoever waits for them is told."""
        settled = self.settled

        def done(submission: "Submission") -> None:
            count(submission.tenant, submission.accounting)
            if settled is not None:
                settled(submission)

        self.settled = done


class Context(Struct, frozen=True):
    """What a window needs from around it, fixed for its life."""

    playbook: Playbook
    catalogue: Callable[[Tenant], Mapping[str, Product]]
    store: Store
    vault: Vault
    random: Random
    hot: Hot
    recorder: Recorder | None = None
    """Where decisions are kept too."""
    backlog: Backlog | None = None
    """How many failed events may be kept; without one, all."""
    tells: Callable[[Tenant], bool] | None = None
    """Whether outside tools are told of a store's exposures."""


class Window:
    """Collects submissions of any tenants; ``changes`` says what to commit and ``publish`` what to show afterwards."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secret = context.vault.digest("event ids")
        self._drafts: dict[ShopperKey, Draft] = {}
        self._found: dict[Identifier, ShopperKey | None] = {}
        self._named: dict[Identifier, ShopperKey] = {}
        self._records: list[tuple[Draft, str, list[Event] | bytes, Millis]] = []
        self._failures: list[Failure] = []
        self._settled: list[int] = []
        self._exposed: list[Exposed] = []
        self._removed: list[ShopperKey] = []
        self._decisions = 0
        self._unreadable: set[ShopperKey] = set()
        self._last: tuple[object, list[Identifier]] = (None, [])
        self._groups: dict[ShopperKey, list[Event]] = {}
        """The open log record of each shopper in the submission at hand."""
        self._graves = Graves(context.vault)

    def prefetch(self, submissions: Iterable[Submission]) -> None:
        """Look up all identifiers and rows at once, so that the fold finds them in memory."""
        hot, store, vault = self._context.hot, self._context.store, self._context.vault
        wanted: dict[bytes, Identifier] = {}
        for submission in submissions:
            broken = (failure.event for failure in submission.failures if failure.event is not None)
            for event in (*submission.events, *broken):
                for identifier in self._identifiers(submission.tenant, event):
                    if identifier in self._found:
                        continue
                    known = hot.identities.get(identifier)
                    self._found[identifier] = None if known is MISSING else known
                    if known is None:
                        wanted[digest_of(vault, identifier)] = identifier
        for digest, key in store.resolve(list(wanted)).items() if wanted else ():
            self._found[wanted[digest]] = key
        cold = {key for key in self._found.values() if key is not None and not self._is_hot(key)}
        for key, row in store.load(list(cold)).items() if cold else ():
            self._open(key, row)
        if dangling := cold - self._drafts.keys() - self._unreadable:
            # Names of a shopper who is gone: free for whoever comes.
            self._found = {name: None if key in dangling else key for name, key in self._found.items()}
        self._graves.ask(
            name
            for submission in submissions
            for event in submission.events
            for name in self._identifiers(submission.tenant, event)
            if self._found[name] is None or event.time < event.received - PROMPT
        )

    def take(self, submission: Submission) -> None:
        """Fold one submission. One bad event fails alone and is kept with its reason."""
        count = submission.accounting
        count.received = len(submission.failures) + len(submission.events)
        count.failed = len(submission.failures)
        self._groups = {}
        before = len(self._failures)
        for event in submission.events:
            try:
                self._take_event(submission.tenant, event, count)
            except StoreError:
                raise
            except _UnreadableProfile:
                count.failed += 1
                self._failures.append(failure_of(submission.tenant, event, "profile_unreadable"))
            except Exception:  # whatever is wrong with this event, its neighbours go on
                log.exception("an event could not be taken")
                count.failed += 1
                self._failures.append(failure_of(submission.tenant, event, "event_failed"))
        self._set_aside(submission, before)

    def _set_aside(self, submission: Submission, before: int) -> None:
        """Keep the failed ones of a submission as far as there is room; one that is tried again is kept already."""
        count, backlog = submission.accounting, self._context.backlog
        failed, self._failures[before:] = self._failures[before:], []
        if submission.replays:
            if count.stored or count.duplicate or count.dropped_by_consent:
                self._settled.append(submission.replays)
            return
        told = submission.failures  # that they failed, in the answer to their request
        if backlog is not None and (failed or told):
            room = backlog.room() - before
            if len(failed) > room:
                submission.error = full()
                backlog.turned_away += 1
                for failure in failed[room:]:  # no fate yet: it is to be sent again
                    count.received -= 1
                    count.conflict -= failure.code == CONFLICT
                    count.failed -= failure.code != CONFLICT
                failed = failed[:room]
            backlog.missed += max(0, len(failed) + len(told) - room)
            told = told[: room - len(failed)]
        self._failures += [*failed, *(self._as_kept(failure) for failure in told)]

    def _as_kept(self, failure: Failure) -> Failure:
        """With what could be read of the event, sealed, where its shopper is known and allows that."""
        event, broken = failure.event, dict(failure.broken)
        bare = msgspec.structs.replace(failure, event=None, broken={})
        if event is None:
            return bare
        try:
            draft, device = self._whose(failure.tenant, event)
        except _UnreadableProfile:
            return bare
        playbook = self._context.playbook
        mask = consent.gate(consent_of(draft, device), event, playbook.settings)
        if draft is None or not lasting(draft) or says_otherwise(draft, event):
            return bare
        if not playbook.vocabulary.purpose(event) & mask:
            return bare
        payload = sealed(self._context.vault, draft.key.shopper, Unkept(self._own_names(draft, event), broken))
        return msgspec.structs.replace(bare, payload=payload)

    def changes(self) -> Changes:
        """Everything to commit: encoded and sealed once per shopper, however many events it had."""
        vault, out = self._context.vault, Changes()
        for draft, kind, content, received in self._records:
            mask = 0
            if isinstance(content, list):
                for event in content:
                    mask |= event.mask
            payload = codec.encode(content)
            out.records.append(
                Record(
                    tenant=draft.key.tenant,
                    shopper=draft.key.shopper,
                    received=received,
                    kind="events" if kind == "events" else "merge",
                    payload=vault.seal(draft.key.shopper, payload),
                    mask=mask,
                )
            )
        for key, draft in self._drafts.items():
            if draft.dirty and not draft.gone:
                draft.base = profiles.encode(draft.profile)
                out.rows[key] = Row(
                    state=vault.seal(key.shopper, draft.base),
                    seen=vault.seal(key.shopper, draft.seen.encode()),
                    due=draft.profile.updated or draft.profile.created,
                )
        for key in self._removed:
            out.rows[key] = None
        out.identities = {digest_of(vault, name): key for name, key in self._named.items()}
        out.failures, out.settled, out.exposed = self._failures, self._settled, self._exposed
        out.cleared = [key for draft in self._drafts.values() if withdrawn(draft) for key in keys_of(draft)]
        if self._context.recorder is not None:
            out.decisions = self._context.recorder.settle(self._may_keep)
            self._decisions = len(out.decisions)
        return out

    def _may_keep(self, key: ShopperKey) -> bool:
        """Whether this window leaves the shopper there, and their consent to personalization."""
        draft = self._drafts.get(key)
        return draft is None or not (draft.gone or withdrawn(draft))

    def publish(self, newest: int = 0) -> None:
        """Show the committed profiles to decisions; ``newest`` is the log's last sequence now."""
        hot = self._context.hot
        if self._context.recorder is not None:
            self._context.recorder.committed(self._decisions, newest)
        if self._context.backlog is not None:
            self._context.backlog.grew(len(self._failures) - len(self._settled))
        for name, key in self._named.items():
            hot.identities.put(name, key)
        for key, draft in self._drafts.items():
            if draft.gone:
                hot.profiles.drop(key)
            elif draft.dirty and draft.base is not None:
                hot.profiles.put(key, HotProfile(draft.profile, draft.base, draft.seen, newest))

    def abandon(self) -> None:
        """Forget what this window touched: its changes were not committed."""
        if self._context.recorder is not None:
            self._context.recorder.lost(self._decisions)
        for key in self._drafts:
            self._context.hot.profiles.drop(key)

    # --- one event ---

    def _take_event(self, tenant: Tenant, event: Event, count: Accounting) -> None:
        if self._graves.found and self._graves.hold(self._identifiers(tenant, event), event.time):
            count.refused += 1
            return
        playbook = self._context.playbook
        draft, device = self._whose(tenant, event)
        mask = consent.gate(consent_of(draft, device), event, playbook.settings)
        kept = None
        if not playbook.vocabulary.purpose(event) & mask:
            fate = "dropped_by_consent"
        elif says_otherwise(draft, event) or (kept := enrich(event, self._context.catalogue(tenant))) is None:
            fate = "refused"
        if kept is None:
            if draft is None or not event.choices:
                setattr(count, fate, getattr(count, fate) + 1)
                return
            kept = choice_alone(event)  # what came with it is not kept; a withdrawal is never lost
        if draft is None:
            draft = self._create(tenant, event)
        elif device is not None:
            self._merge(draft, device, event.received)
        kept = self._own_names(draft, kept)
        key = event_key(event, self._secret)
        verdict = draft.seen.judge(key, event.fingerprint)
        if verdict == "duplicate":
            count.duplicate += 1
        elif verdict == "conflict":
            count.conflict += 1
            self._fail(draft, kept, CONFLICT, "this message id was used for another body")
        elif len(draft.seen) >= MOST and not event.choices:
            count.failed += 1
            self._failures.append(failure_of(tenant, event, "shopper_too_busy"))
        elif self._fold(draft, self._known_of(draft, kept, mask)):
            draft.seen.add(key, event.fingerprint, event.received)
            self._name(draft, tenant, kept)
            self._log(draft, draft.folded[-1])
            self._tell(draft, draft.folded[-1])
            count.stored += 1
        else:
            count.failed += 1
            self._fail(draft, kept, "fold_failed", "this event could not be taken into the profile")

    def _known_of(self, draft: Draft, event: Event, mask: int) -> Event:
        """The event with what nobody may send: its purposes, and an exposure's segments before it happened."""
        if event.name != EXPOSED:
            return msgspec.structs.replace(event, mask=mask)
        properties = {name: value for name, value in event.properties.items() if name != "segments"}
        if event.source == PROVEN and (inside := segments_at(self._context.playbook, draft.profile, event, mask)):
            properties["segments"] = inside
        return msgspec.structs.replace(event, mask=mask, properties=properties)

    def _fold(self, draft: Draft, event: Event) -> bool:
        features = self._context.playbook.features
        try:
            profiles.fold(draft.profile, event, features)
        except Exception:  # whatever is wrong with this event, its neighbours go on
            draft.profile = self._refold(draft)
            return False
        draft.folded.append(event)
        draft.dirty = True
        return True

    def _refold(self, draft: Draft) -> Profile:
        """The draft as it was before a fold that failed half-way."""
        base = draft.base
        profile = profiles.decode(base) if base is not None else fresh(draft.profile)
        for event in draft.folded:
            profiles.fold(profile, event, self._context.playbook.features)
        return profile

    def _fail(self, draft: Draft, event: Event, code: str, message: str) -> None:
        """Keep an event that could not be stored; its payload dies with the shopper's key like all others."""
        tenant, shopper, size = draft.key.tenant, draft.key.shopper, len(codec.encode(event))
        payload = sealed(self._context.vault, shopper, Unkept(event)) if lasting(draft) else None
        self._failures.append(Failure(tenant, event.received, code, message, "", size, payload))

    def _log(self, draft: Draft, event: Event) -> None:
        group = self._groups.get(draft.key)
        if group is None:
            group = self._groups[draft.key] = []
            self._records.append((draft, "events", group, event.received))
        group.append(event)

    def _tell(self, draft: Draft, event: Event) -> None:
        """Have outside tools told of an exposure, where any wants to know."""
        tells = self._context.tells
        if event.name != EXPOSED or event.source != PROVEN or tells is None or not tells(draft.key.tenant):
            return
        if (notice := exposed(event, *draft.key, draft.profile.analytic_id)) is not None:
            self._exposed.append(notice)

    # --- whose event ---

    def _whose(self, tenant: Tenant, event: Event) -> tuple[Draft | None, Draft | None]:
        """The shopper this event is about, and the device that it proves to be theirs, to be merged into them.

        Changes nothing: an event that is not kept leaves no trace of who belongs to whom.
        """
        user = self._named_draft(tenant, "user", event.user_id)
        device = self._named_draft(tenant, "anonymous", event.anonymous_id)
        if user is not None:
            joins = device is not None and device is not user and profiles.may_absorb(user.profile, device.profile)
            return user, device if joins else None
        if device is not None:
            return (device if may_be(device, event) else None), None
        if event.trusted:
            for kind, value in (("email", event.email_hash), ("cart", event.cart_token)):
                draft = self._named_draft(tenant, kind, value)
                if draft is not None and may_be(draft, event) and not opened_by_a_browser(draft, event):
                    return draft, None
        return None, None

    def _own_names(self, draft: Draft, event: Event) -> Event:
        """The event without a cart or address that names somebody else: a merge hands on only what is the shopper's."""
        email, cart = event.email_hash, _cart_of(event)
        tenant = draft.key.tenant
        if self._found.get((tenant, "email", email or "")) not in {None, draft.key}:
            email = None
        if self._found.get((tenant, "cart", cart or "")) not in {None, draft.key}:
            cart = None
        if (email, cart) == (event.email_hash, event.cart_token):
            return event
        return msgspec.structs.replace(event, email_hash=email, cart_token=cart)

    def _create(self, tenant: Tenant, event: Event) -> Draft:
        random = self._context.random
        profile = Profile(id=random.token(16), analytic_id=random.token(16), created=event.received)
        draft = Draft(ShopperKey(tenant, profile.id), profile, Seen(), None)
        self._drafts[draft.key] = draft
        return draft

    def _name(self, draft: Draft, tenant: Tenant, event: Event) -> None:
        """Let the event's identifiers name this shopper; one that names another keeps doing so."""
        for identifier in self._identifiers(tenant, event):
            if self._found.get(identifier) is None:
                if identifier[1] == "anonymous" and identifier[2] not in draft.profile.anonymous_ids:
                    continue  # the shopper has gathered too many devices
                self._found[identifier] = draft.key
                self._named[identifier] = draft.key

    def _identifiers(self, tenant: Tenant, event: Event) -> list[Identifier]:
        """What the event names its shopper by; neighbours mostly name the same one."""
        email = event.email_hash if event.trusted else None
        named = (tenant, event.user_id, event.anonymous_id, email, _cart_of(event))
        if named != self._last[0]:
            pairs = zip(("user", "anonymous", "email", "cart"), named[1:], strict=True)
            self._last = (named, [(tenant, kind, value) for kind, value in pairs if value is not None])
        return self._last[1]

    def _named_draft(self, tenant: Tenant, kind: str, value: str | None) -> Draft | None:
        if value is None:
            return None
        key = self._found.get((tenant, kind, value))
        if key is None:
            return None
        if key in self._unreadable:
            raise _UnreadableProfile
        return self._drafts.get(key) or self._reopen(key)

    def _merge(self, into: Draft, other: Draft, received: Millis) -> None:
        features = self._context.playbook.features
        merged = profiles.decode(profiles.encode(into.profile))  # a copy: a merge that fails leaves both as they were
        profiles.merge(merged, other.profile, features)
        into.base, into.folded = profiles.encode(merged), []
        into.profile = merged
        into.seen.merge(other.seen)
        into.dirty, other.gone = True, True
        into.allowed = into.allowed or other.allowed
        self._records.append((into, "merge", other.profile.id, received))
        self._removed.append(other.key)
        self._groups = {}  # what follows is logged after the merge
        for identifier in devices_of(other.key.tenant, other.profile):
            self._found[identifier] = into.key
            self._named[identifier] = into.key

    # --- rows ---

    def _is_hot(self, key: ShopperKey) -> bool:
        return self._reopen(key) is not None

    def _reopen(self, key: ShopperKey) -> Draft | None:
        draft = self._drafts.get(key)
        if draft is None:
            hot = self._context.hot.profiles.get(key)
            if hot is None or hot.seen is None:
                return None
            draft = Draft(key, profiles.decode(hot.state), hot.seen, hot.state)
            self._drafts[key] = draft
        return draft

    def _open(self, key: ShopperKey, row: Row) -> None:
        vault = self._context.vault
        try:
            state = vault.open(key.shopper, row.state)
            seen = Seen.decode(vault.open(key.shopper, row.seen))
            profile = profiles.decode(state)
        except (Forgotten, Unavailable) as error:
            if isinstance(error, Unavailable):
                raise
            return
        except (StoreError, msgspec.DecodeError):
            log.exception("a profile cannot be read; its events are set aside until it is restored")
            self._unreadable.add(key)
            return
        self._drafts[key] = Draft(key, profile, seen, state)


class _UnreadableProfile(Exception):
    """The row of the shopper an event is about is damaged."""


def _cart_of(event: Event) -> str | None:
    """The cart token, if it may name a shopper."""
    token = event.cart_token
    return token if token is not None and (event.trusted or len(token) >= UNGUESSABLE) else None
