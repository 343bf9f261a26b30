"""One commit's worth of events: resolve, gate, deduplicate and fold many submissions into one ``Changes``.

A window belongs to the writer thread. It works on drafts (profiles decoded afresh), so nothing it does is visible
before its changes are durable; a window that cannot be committed is thrown away whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from cashwrap import codec, consent, profiles
from cashwrap.dedup import Seen, event_key
from cashwrap.enrich import enrich
from cashwrap.errors import Forgotten
from cashwrap.events import Accounting, Refused
from cashwrap.hot import MISSING, Hot, HotProfile, Identifier
from cashwrap.model import ConsentState, Event, Millis, Product, Profile, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, Failure, Random, Record, Row, ShopperKey, Store, Vault


class Submission:
    """What one request asks to keep, and what became of it."""

    __slots__ = ("accounting", "error", "events", "failures", "settled", "tenant")

    def __init__(
        self,
        tenant: Tenant,
        events: Sequence[Event],
        failures: Sequence[Failure] = (),
        settled: Callable[["Submission"], None] | None = None,
    ) -> None:
        self.tenant = tenant
        self.events = events
        self.failures = failures
        self.settled = settled
        """Called on the writer thread when the outcome is durable, or when it failed."""
        self.accounting = Accounting()
        self.error: Exception | None = None


class Draft:
    """A shopper being changed by this window."""

    __slots__ = ("base", "dirty", "folded", "gone", "key", "profile", "seen")

    def __init__(self, key: ShopperKey, profile: Profile, seen: Seen, base: bytes | None) -> None:
        self.key = key
        self.profile = profile
        self.seen = seen
        self.base = base
        self.folded: list[Event] = []
        self.dirty = False
        self.gone = False


class Context(Struct, frozen=True):
    """What a window needs from around it, fixed for its life."""

    playbook: Playbook
    catalogue: Callable[[Tenant], Mapping[str, Product]]
    store: Store
    vault: Vault
    random: Random
    hot: Hot


class Window:
    """Collects submissions of any tenants; ``changes`` says what to commit and ``publish`` what to show afterwards."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._drafts: dict[ShopperKey, Draft] = {}
        self._found: dict[Identifier, ShopperKey | None] = {}
        self._named: dict[Identifier, ShopperKey] = {}
        self._records: list[tuple[Draft, str, list[Event] | bytes, Millis]] = []
        self._failures: list[Failure] = []
        self._removed: list[ShopperKey] = []

    def prefetch(self, submissions: Iterable[Submission]) -> None:
        """Look up all identifiers and rows at once, so that the fold finds them in memory."""
        hot, store, vault = self._context.hot, self._context.store, self._context.vault
        wanted: dict[bytes, Identifier] = {}
        for submission in submissions:
            for event in submission.events:
                for identifier in _identifiers(submission.tenant, event):
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

    def take(self, submission: Submission) -> None:
        """Fold one submission. One bad event fails alone and is kept with its reason."""
        count = submission.accounting
        count.received = len(submission.failures) + len(submission.events)
        groups: dict[ShopperKey, list[Event]] = {}
        for failure in submission.failures:
            count.failed += 1
            self._failures.append(failure)
        for event in submission.events:
            self._take_event(submission.tenant, event, groups, count)

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
        out.failures = self._failures
        return out

    def publish(self) -> None:
        """Show the committed profiles to decisions."""
        hot = self._context.hot
        for name, key in self._named.items():
            hot.identities.put(name, key)
        for key, draft in self._drafts.items():
            if draft.gone:
                hot.profiles.drop(key)
            elif draft.dirty and draft.base is not None:
                hot.profiles.put(key, HotProfile(draft.profile, draft.base, draft.seen))

    def abandon(self) -> None:
        """Forget what this window touched: its changes were not committed."""
        for key in self._drafts:
            self._context.hot.profiles.drop(key)

    # --- one event ---

    def _take_event(
        self, tenant: Tenant, event: Event, groups: dict[ShopperKey, list[Event]], count: Accounting
    ) -> None:
        playbook = self._context.playbook
        draft = self._resolve(tenant, event)
        state = draft.profile.consent if draft is not None else ConsentState()
        mask = consent.gate(state, event, playbook.settings)
        if event.mask:
            mask |= event.mask & ~consent.denied(state)
        purpose = playbook.vocabulary.purpose(event)
        if not purpose & mask and not (draft is not None and event.choices):
            count.dropped_by_consent += 1
            return
        kept = enrich(event, self._context.catalogue(tenant))
        if kept is None:
            count.refused += 1
            return
        if draft is None:
            draft = self._create(tenant, event)
        key = event_key(event, self._context.vault)
        verdict = draft.seen.judge(key, event.fingerprint)
        if verdict == "duplicate":
            count.duplicate += 1
        elif verdict == "conflict":
            count.conflict += 1
            self._fail(draft, kept, "conflicting_message_id", "this message id was used for another body")
        elif self._fold(draft, msgspec.structs.replace(kept, mask=mask)):
            draft.seen.add(key, event.fingerprint, event.received)
            self._log(draft, draft.folded[-1], groups)
            count.stored += 1
        else:
            count.failed += 1
            self._fail(draft, kept, "fold_failed", "this event could not be taken into the profile")

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
        profile = profiles.decode(base) if base is not None else _fresh(draft.profile)
        for event in draft.folded:
            profiles.fold(profile, event, self._context.playbook.features)
        return profile

    def _fail(self, draft: Draft, event: Event, code: str, message: str) -> None:
        """Keep an event that could not be stored; its payload dies with the shopper's key like all others."""
        shopper, payload = draft.key.shopper, codec.encode(event)
        self._failures.append(
            Failure(
                tenant=draft.key.tenant,
                received=event.received,
                code=code,
                message=message,
                path="",
                size=len(payload),
                payload=shopper + self._context.vault.seal(shopper, payload),
            )
        )

    def _log(self, draft: Draft, event: Event, groups: dict[ShopperKey, list[Event]]) -> None:
        group = groups.get(draft.key)
        if group is None:
            group = groups[draft.key] = []
            self._records.append((draft, "events", group, event.received))
        group.append(event)

    # --- whose event ---

    def _resolve(self, tenant: Tenant, event: Event) -> Draft | None:
        """The shopper this event is about, merging a device into a person where the event proves they are one."""
        user = self._named_draft(tenant, "user", event.user_id)
        device = self._named_draft(tenant, "anonymous", event.anonymous_id)
        if user is not None and device is not None and user is not device:
            if profiles.may_absorb(user.profile, device.profile):
                self._merge(user, device)
            return user
        if user is not None:
            self._name(user, tenant, event)
            return user
        if device is not None:
            if event.user_id is not None and device.profile.user_id not in {None, event.user_id}:
                return None
            self._name(device, tenant, event)
            return device
        if event.trusted:
            for kind, value in (("email", event.email_hash), ("cart", event.cart_token)):
                draft = self._named_draft(tenant, kind, value)
                if draft is not None and (event.user_id is None or draft.profile.user_id in {None, event.user_id}):
                    self._name(draft, tenant, event)
                    return draft
        return None

    def _create(self, tenant: Tenant, event: Event) -> Draft:
        random = self._context.random
        profile = Profile(id=random.token(16), analytic_id=random.token(16), created=event.received)
        draft = Draft(ShopperKey(tenant, profile.id), profile, Seen(), None)
        self._drafts[draft.key] = draft
        self._name(draft, tenant, event)
        return draft

    def _name(self, draft: Draft, tenant: Tenant, event: Event) -> None:
        """Let the event's identifiers name this shopper; one that names another keeps doing so."""
        for identifier in _identifiers(tenant, event):
            if self._found.get(identifier) is None:
                if len(draft.profile.anonymous_ids) >= profiles.ANONYMOUS_IDS and identifier[1] == "anonymous":
                    continue
                self._found[identifier] = draft.key
                self._named[identifier] = draft.key

    def _named_draft(self, tenant: Tenant, kind: str, value: str | None) -> Draft | None:
        if value is None:
            return None
        key = self._found.get((tenant, kind, value))
        return self._drafts.get(key) or self._reopen(key) if key is not None else None

    def _merge(self, into: Draft, other: Draft) -> None:
        features = self._context.playbook.features
        profiles.merge(into.profile, other.profile, features)
        into.seen.merge(other.seen)
        into.base, into.folded = profiles.encode(into.profile), []
        into.dirty, other.gone = True, True
        received = max(into.profile.updated, other.profile.updated)
        self._records.append((into, "merge", other.profile.id, received))
        self._removed.append(other.key)
        for identifier in _identifiers_of(other.key.tenant, other.profile):
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
        except Forgotten:
            return
        self._drafts[key] = Draft(key, profiles.decode(state), seen, state)


def digest_of(vault: Vault, identifier: Identifier) -> bytes:
    """The keyed hash under which an identifier is kept."""
    tenant, kind, value = identifier
    return vault.digest("identity", tenant.store, tenant.environment, kind, value)


def failures_of(tenant: Tenant, refused: Iterable[Refused], now: Millis) -> list[Failure]:
    """The events of a request that could not be read: their reason, path and size, and nothing of what they held."""
    return [
        Failure(tenant=tenant, received=now, code=each.code, message=each.message, path=each.path, size=each.size)
        for each in refused
    ]


def _identifiers(tenant: Tenant, event: Event) -> list[Identifier]:
    named = (
        ("user", event.user_id),
        ("anonymous", event.anonymous_id),
        ("email", event.email_hash if event.trusted else None),
        ("cart", event.cart_token),
    )
    return [(tenant, kind, value) for kind, value in named if value is not None]


def _identifiers_of(tenant: Tenant, profile: Profile) -> list[Identifier]:
    return [
        *((tenant, "anonymous", value) for value in profile.anonymous_ids),
        *((tenant, "email", value) for value in profile.email_hashes),
        *((tenant, "cart", value) for value in profile.cart_tokens),
    ]


def _fresh(profile: Profile) -> Profile:
    return Profile(id=profile.id, analytic_id=profile.analytic_id, created=profile.created)
