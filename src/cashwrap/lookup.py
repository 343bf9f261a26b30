"""Whose profile a request means: from memory where possible, else from the store.

A publishable key opens an identified profile with a signed token only: a bare user id from a browser opens nothing, and
a token that proves nothing is as good as none.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from cashwrap import profiles
from cashwrap.errors import Forgotten, InvalidEvent, NotAllowed
from cashwrap.events import Normaliser
from cashwrap.hot import MISSING, Hot, HotProfile, Identifier
from cashwrap.inputs import Caller
from cashwrap.keys import Keys
from cashwrap.model import Tenant
from cashwrap.names import digest_of
from cashwrap.ports import ShopperKey, Store, Vault
from cashwrap.request import DecideRequest, ShopperRef

IDS = 50_000
"""Ids as sent whose kept form is remembered; it depends on nothing that a new playbook changes."""


class Lookup:
    """Finds profiles. What it reads from the store it offers to memory, without ever hiding something newer."""

    def __init__(self, store: Store, vault: Vault, hot: Hot, keys: Keys, normaliser: Callable[[], Normaliser]) -> None:
        self._store = store
        self._vault = vault
        self._hot = hot
        self._keys = keys
        self._normaliser = normaliser
        self._id = lru_cache(maxsize=IDS)(self._read_id)

    def remembered(self, ref: ShopperRef, caller: Caller) -> tuple[HotProfile | None, bool]:
        """The shopper's profile from memory, and whether memory knew enough to say so."""
        user, identifiers = self._named(ref, caller)
        for identifier in identifiers:
            key = self._hot.identities.get(identifier)
            if key is None:
                return None, False
            if key is not MISSING:
                hot = self.recall(key)
                if hot is None:
                    return None, False
                if _is_theirs(hot, user):
                    return hot, True
        return None, True

    def find(self, ref: ShopperRef, caller: Caller) -> HotProfile | None:
        """The shopper's profile from memory or the store; may block, so a server calls it under the deadline."""
        user, identifiers = self._named(ref, caller)
        for identifier in identifiers:
            key = self._hot.identities.get(identifier)
            if key is None:
                digest = digest_of(self._vault, identifier)
                mark = self._hot.identities.mark(digest)
                found = self._store.resolve([digest]).get(digest, MISSING)
                key = self._hot.identities.offer(identifier, found, mark)
            hot = None if key is MISSING else self.recall(key) or self.fetch(key)
            if hot is not None and _is_theirs(hot, user):
                return hot
        return None

    def _named(self, ref: ShopperRef, caller: Caller) -> tuple[str | None, list[Identifier]]:
        """The user id that is proven, and the identifiers to try in order, as events keep them."""
        tenant = caller.key.tenant
        user = ref.user_id if caller.key.trusted else None
        if ref.token is not None:
            user = self._proven(ref.token, caller)
        user, anonymous = self._id(user), self._id(ref.anonymous_id)
        identifiers = [(tenant, "anonymous", anonymous)] if anonymous else []
        return user, [(tenant, "user", user), *identifiers] if user else identifiers

    def units(self, request: DecideRequest, caller: Caller, hot: HotProfile | None) -> dict[str, str]:
        """Who may be assigned, as events keep their ids: ``user`` only where a backend or a token says so."""
        ref = request.shopper
        user = ref.user_id if caller.key.trusted and ref.user_id else None
        if user is None and ref.token and hot is not None:
            user = hot.profile.user_id
        units = {"user": self._id(user), "anonymous": self._id(ref.anonymous_id)}
        units["cart"] = self._id(request.context.cart.token)
        return {kind: unit for kind, unit in units.items() if unit}

    def _read_id(self, text: str | None) -> str | None:
        """An id as events keep it; ``None`` for one that names nobody."""
        try:
            return self._normaliser().shopper_id(text)
        except InvalidEvent:
            return None

    def _proven(self, token: str, caller: Caller) -> str | None:
        try:
            return self._keys.verify(token, caller.key.tenant, caller.facts.received)
        except NotAllowed:
            return None

    def recall(self, key: ShopperKey) -> HotProfile | None:
        """The profile, if it is in memory."""
        return self._hot.profiles.get(key)

    def fetch(self, key: ShopperKey) -> HotProfile | None:
        """The profile from the store; may block, so a server calls it under the deadline."""
        mark = self._hot.profiles.mark(key.shopper)
        row = self._store.load([key]).get(key)
        if row is None:
            return None
        try:
            state = self._vault.open(key.shopper, row.state)
        except Forgotten:
            return None
        return self._hot.profiles.offer(key, HotProfile(profiles.decode(state), state, None), mark)

    def users(self, tenant: Tenant, shoppers: Iterable[bytes]) -> dict[bytes, str]:
        """The shop's own ids of these shoppers, where they are identified."""
        found = {}
        for shopper in shoppers:
            key = ShopperKey(tenant, shopper)
            hot = self.recall(key) or self.fetch(key)
            if hot is not None and hot.profile.user_id is not None:
                found[shopper] = hot.profile.user_id
        return found


def _is_theirs(hot: HotProfile, user: str | None) -> bool:
    """Whether a profile may be this user's: what another person left on the same device may not."""
    return user is None or hot.profile.user_id in {None, user}
