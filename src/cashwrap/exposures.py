"""Exposures: what a decision token proves, when an event brings it back.

An ``Experience Viewed`` (or ``Dismissed``) event says only which placement was reached and carries the token; what was
shown there, in which arm and with what chance, is read from the token alone. Each is counted once for a decision and
an experience, however often it is sent.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Protocol

import msgspec

from cashwrap import attention
from cashwrap.declarations import HOLDOUT
from cashwrap.dedup import PROVEN
from cashwrap.errors import NotAllowed
from cashwrap.events import Refused
from cashwrap.experiences import Names
from cashwrap.hot import Generations
from cashwrap.model import HELD_OUT, OUTCOMES, SHOWN, Decision, Event, Exposure, Impressions, Millis, Tenant
from cashwrap.ports import Registry
from cashwrap.profiles import DISMISSED, EXPOSED
from cashwrap.tokens import Proof, Tokens

KIND = "names"
TOKEN_LIFE: Millis = 24 * 3_600_000
"""How long an exposure may bring its decision's token back."""
CARTS = 50_000
"""Carts without a profile whose impressions are remembered."""
COUNTED = 4_000_000
"""Times that they were shown something, in all carts together: some 200 MB, whoever makes carts up and fills them."""
LONGEST = 600_000
"""Milliseconds that a page may have waited for a decision; one that tells of more had other things to do."""

_names: msgspec.msgpack.Decoder[Names] = msgspec.msgpack.Decoder(Names)


def remembered(registry: Registry) -> dict[str, Names]:
    """What the numbers of decisions and tokens mean, by playbook, for as long as tokens live."""
    return {playbook: _names.decode(document) for playbook, document in registry.documents(KIND).items()}


class Carts(Protocol):
    """What was shown under carts, in bounded memory."""

    def of(self, tenant: Tenant, cart: str) -> Mapping[str, Impressions]:
        """What was shown under a cart, by what counts it."""

    def change(self, tenant: Tenant, cart: str, edit: Callable[[dict[str, Impressions]], None], now: Millis) -> None:
        """Let ``edit`` change what was shown under a cart, with nobody in between."""


class LocalCarts:
    """Port ``Carts`` for one process, changed by one thread."""

    def __init__(self) -> None:
        self._carts: Generations[tuple[Tenant, str], Mapping[str, Impressions]] = Generations(CARTS, COUNTED, _held)

    def of(self, tenant: Tenant, cart: str) -> Mapping[str, Impressions]:
        """What was shown under a cart, by what counts it."""
        return self._carts.get((tenant, cart)) or {}

    def change(self, tenant: Tenant, cart: str, edit: Callable[[dict[str, Impressions]], None], _: Millis) -> None:
        """Let ``edit`` change a copy: another thread may be deciding by the old one."""
        impressions = {
            key: Impressions(list(seen.times), seen.count, seen.dismissed)
            for key, seen in self.of(tenant, cart).items()
        }
        edit(impressions)
        self._carts.put((tenant, cart), impressions)


class Exposures:
    """Opens exposures, and counts those of shoppers who have nothing but a cart: in memory, never on disk."""

    def __init__(self, registry: Registry, tokens: Tokens, carts: Carts | None = None) -> None:
        self._registry = registry
        self._tokens = tokens
        self._names = remembered(registry)
        self.refused: Counter[str] = Counter()
        """Exposures that proved nothing, by the code they were refused with."""
        self._counting = threading.Lock()
        self._carts = carts if carts is not None else LocalCarts()
        self.of_cart = self._carts.of

    def learn(self, names: Names) -> None:
        """Remember what a playbook's numbers mean, for as long as tokens may hold them."""
        if names.playbook not in self._names and self._told_since(names.playbook) is None:
            self._registry.put(KIND, names.playbook, msgspec.msgpack.encode(names))
            self._names[names.playbook] = names

    def keep_only(self, playbooks: Collection[str]) -> None:
        """Forget what the numbers of all other playbooks mean: no token of theirs is good any more."""
        for old in set(self._names).difference(playbooks):
            self._registry.put(KIND, old, None)
        self._names = {name: names for name, names in self._names.items() if name in playbooks}

    def open(self, taken: Iterable[Event | Refused], tenant: Tenant) -> Iterator[Event | Refused]:
        """Put in place of each exposure what its token proves in this store; all other events go on as they are."""
        for index, item in enumerate(taken):
            if isinstance(item, Refused) or item.name not in (EXPOSED, DISMISSED):
                yield item
                continue
            try:
                yield from self._proven(item, tenant)
            except NotAllowed as error:
                with self._counting:
                    self.refused[error.code] += 1
                yield Refused(index, error.code, error.message, "properties.token", item.id, 0)

    def _proven(self, event: Event, tenant: Tenant) -> list[Event]:
        token, placement = event.properties.get("token"), event.properties.get("placement")
        if not isinstance(token, str):
            raise NotAllowed("an exposure carries the token of its decision", code="token_missing")
        named = (event.user_id, event.claimed_user_id, event.anonymous_id, event.cart_token)
        proof = self._tokens.open(token, [name for name in named if name is not None], event.received)
        if proof.tenant != tenant:
            raise NotAllowed("this decision token belongs to another store or environment", code="token_of_another")
        names = self._names.get(proof.playbook) or self._told_since(proof.playbook)
        if names is None:
            raise NotAllowed("this decision's playbook is no longer known; decide again", code="token_expired")
        exposures = [Exposure(*each) for each in proof.exposures]
        found = [
            _event(event, proof, names, exposure)
            for exposure in exposures
            if names.placements[exposure.placement] == placement
        ]
        if not found:
            raise NotAllowed("this decision showed nothing in that placement", code="not_exposed")
        return found

    def _told_since(self, playbook: str) -> Names | None:
        """What the numbers mean of a playbook that only another process had: the token is ours, so it was live."""
        document = self._registry.documents(KIND).get(playbook)
        if document is not None:
            self._names[playbook] = _names.decode(document)
        return self._names.get(playbook)

    # --- shoppers known by their cart alone ---

    def count(self, tenant: Tenant, cart: str, decision: Decision, now: Millis) -> None:
        """Count what a decision shows under its cart: without consent no event would come to say so."""
        known = self._names[decision.playbook].experiences
        shown = [Exposure(*each) for each in decision.exposures]
        counted = [key for each in shown if each.outcome == SHOWN for key in known[each.experience].counted]
        if not counted:
            return
        self._carts.change(tenant, cart, lambda impressions: attention.count(impressions, counted, now), now)


def _held(impressions: Mapping[str, Impressions]) -> int:
    """How much memory a cart takes, in times: what they are listed under takes as much as some of them."""
    return sum(len(seen.times) + 5 for seen in impressions.values())


def _event(event: Event, proof: Proof, names: Names, exposure: Exposure) -> Event:
    """The event as proven. Its id is the exposure's own, so that whatever repeats it is a duplicate."""
    shown = names.experiences[exposure.experience]
    properties: dict[str, object] = {
        "placement": names.placements[exposure.placement],
        "experience": shown.name,
        "variation": shown.arms[exposure.arm],
        "outcome": OUTCOMES[exposure.outcome],
        "propensity": exposure.propensity,
        "decision": proof.decision,
        "playbook": proof.playbook,
        "level": proof.level,
    }
    if exposure.outcome == HELD_OUT:  # whoever is in the shop's holdout takes part in no experiment
        properties["held"] = "shop"
    elif shown.salt:
        properties["experiment"] = shown.salt
        if shown.arms[exposure.arm] == HOLDOUT:
            properties["held"] = "experiment"
    if shown.counted and exposure.outcome == SHOWN:
        properties["counted"] = list(shown.counted)
    waited = event.properties.get("latency")
    if event.name == EXPOSED and type(waited) is int and 0 <= waited <= LONGEST:
        properties["latency"] = waited
    told = f"{event.name}:{proof.decision}:{exposure.placement}:{exposure.experience}"
    fingerprint = blake2b(told.encode(), digest_size=8).digest()
    return msgspec.structs.replace(event, id=told, source=PROVEN, properties=properties, fingerprint=fingerprint)
