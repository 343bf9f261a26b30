"""What the rooms of offering share: the ports they stand on, and who a shopper is to the ledger."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from cashwrap.errors import Unavailable
from cashwrap.events import Normaliser, Refused
from cashwrap.hot import HotProfile
from cashwrap.lookup import Lookup
from cashwrap.model import Event, Millis, Tenant
from cashwrap.names import digest_of
from cashwrap.offers.terms import Offer
from cashwrap.playbook import Playbook
from cashwrap.ports import Ledger, Vault
from cashwrap.profiles import OFFERING
from cashwrap.window import Submission
from cashwrap.world import World

Settled = Callable[[Submission], None]


class Live(Protocol):
    """The playbook and what reads events by it, swapped together."""

    @property
    def playbook(self) -> Playbook:
        """The one that decides now."""

    @property
    def normaliser(self) -> Normaliser:
        """Knows ids as events keep them."""


class Around(Struct, frozen=True):
    """The ports and neighbours that offering works with. Without a ledger no offer is ever granted."""

    world: World
    lookup: Lookup
    live: Callable[[], Live]
    submit: Callable[[Tenant, list[Event], list[Refused], Settled], object]
    """Hands events to the writer without waiting; may raise ``Unavailable``."""

    def books(self) -> Ledger:
        """The ledger. Raises ``Unavailable`` (``no_ledger``) where there is none."""
        if self.world.ledger is None:
            raise Unavailable("there is no ledger here, so no offer can be held or spent", code="no_ledger")
        return self.world.ledger

    def offers(self) -> Mapping[str, Offer]:
        """The live playbook's offers."""
        return self.live().playbook.offers


class Named(Struct, frozen=True):
    """Who a backend says the shopper is, as events keep ids; ``others`` are what only the shop has a name for."""

    user: str | None = None
    anonymous: str | None = None
    email: str | None = None
    cart: str | None = None
    others: Mapping[str, str] = {}

    def digests(self, vault: Vault, tenant: Tenant, *, with_cart: bool = False) -> list[bytes]:
        """What stands for the shopper: the same digests that find their profile, the person before the device."""
        named = [("user", self.user), ("anonymous", self.anonymous), ("email", self.email)]
        if with_cart:
            named.append(("cart", self.cart))
        return [digest_of(vault, (tenant, kind, value)) for kind, value in named if value is not None]

    def identities(self, vault: Vault, tenant: Tenant) -> list[bytes]:
        """All that a limit for each shopper counts."""
        others = [
            vault.digest("offer identity", tenant.store, tenant.environment, name, _plain(value))
            for name, value in sorted(self.others.items())
        ]
        return [*self.digests(vault, tenant), *others]

    def units(self) -> dict[str, str]:
        """What a decision may have known them by."""
        named = {"user": self.user, "anonymous": self.anonymous, "cart": self.cart}
        return {kind: value for kind, value in named.items() if value is not None}


class Found(NamedTuple):
    """A shopper with a profile, and the digest that names them."""

    digest: bytes
    hot: HotProfile


def _plain(value: str) -> str:
    """An identity as its look-alikes have it too: the same letters in any case, width, composition and spacing."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    seen = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")  # those without a width
    return " ".join(seen.split())


def find(around: Around, digests: Sequence[bytes]) -> Found | None:
    """The first of these who is known. Raises ``Unavailable``."""
    known = around.world.store.resolve(digests) if digests else {}
    for digest in digests:
        key = known.get(digest)
        hot = None if key is None else around.lookup.recall(key) or around.lookup.fetch(key)
        if hot is not None:
            return Found(digest, hot)
    return None


def name_of(hot: HotProfile) -> Named | None:
    """One identifier by which an event of ours finds the shopper's profile again; ``None`` where there is none."""
    profile = hot.profile
    if profile.user_id is not None:
        return Named(user=profile.user_id)
    if profile.anonymous_ids:
        return Named(anonymous=profile.anonymous_ids[-1])
    if profile.email_hashes:
        return Named(email=profile.email_hashes[-1])
    return Named(cart=profile.cart_tokens[-1]) if profile.cart_tokens else None


def note(name: str, event_id: str, time: Millis, who: Named, facts: dict[str, object]) -> Event:
    """An event of ours about a shopper. Its id names what happened, so that telling it twice counts once."""
    return Event(
        id=event_id,
        name=name,
        time=time,
        received=time,
        mask=0,
        source=OFFERING,
        anonymous_id=who.anonymous,
        user_id=who.user,
        email_hash=who.email,
        cart_token=who.cart,
        properties=facts,
        trusted=True,
    )
