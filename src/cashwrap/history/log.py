"""The log read back: profiles rebuilt from it."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

from msgspec import Struct

from cashwrap import profiles
from cashwrap.engine import World
from cashwrap.folding import fold_from_snapshots
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey

AT_ONCE = 1000
_T = TypeVar("_T")


# --- rebuild ---


class Rebuilt(Struct, frozen=True):
    """What the log says the profiles are. ``digest`` names them all; equal states have equal digests."""

    digest: str
    shoppers: int
    events: int
    differing: tuple[ShopperKey, ...] = ()
    """Shoppers whose live row says something else or is missing."""


def rebuild(world: World, playbook: Playbook) -> Rebuilt:
    """Fold snapshots and log into fresh profiles, in memory, and compare each with its live row byte for byte.

    All that is taken from the live row are the random analytic ids, which are in no event. Shoppers whose key was
    destroyed are left out, as they are everywhere. Nothing is written.
    """
    folding = fold_from_snapshots(world.store, world.vault, playbook.features)
    for record in world.store.log():
        folding.take(record)
    for key, _ in world.store.all_snapshots():
        folding.find(key)
    told = sorted(key for key, past in folding.pasts.items() if past is not None)
    digest = blake2b(digest_size=16)
    differing = []
    for page in _pages(told, AT_ONCE):
        rows = world.store.load(page)
        for key in page:
            past, row = folding.pasts[key], rows.get(key)
            if past is None:
                continue
            profile, live, ids = past.profile, b"", b""
            if row is not None:
                live, ids = world.vault.open(key.shopper, row.state), world.vault.open(key.shopper, row.seen)
                drawn = profiles.decode(live)
                profile.analytic_id, profile.former_analytic_ids = drawn.analytic_id, drawn.former_analytic_ids
            state, seen = profiles.encode(profile), past.seen.encode()
            digest.update(repr(key).encode() + state + seen)
            if (state, seen) != (live, ids):
                differing.append(key)
    return Rebuilt(digest.hexdigest(), len(told), folding.events, tuple(differing))


def _pages(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    waiting = iter(items)
    while page := list(islice(waiting, size)):
        yield page
