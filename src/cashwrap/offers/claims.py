"""The limits a reservation counts against, each as a claim on a counter of its own. Pure.

Every identity of a shopper is a claim of its own (user, device, address, whatever the shop names), so that a second
account on the same device finds the first one's use. Digests stand for identities, carts and codes: a counter's name
says nothing about anybody.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cashwrap.ledger import Claim
from cashwrap.model import Minor
from cashwrap.offers.guard import budget_key, day_key, part_of, total_key
from cashwrap.offers.terms import Limits, Offer

BOUNDLESS = 2**53
"""The most of a limit that is none: the counter still tells how far it is."""


class Held(NamedTuple):
    """What a reservation is about. Digests are of 16 bytes."""

    amount: Minor
    currency: str
    day: str
    """Today where the shop is, such as ``2026-12-31``."""
    shoppers: Sequence[bytes] = ()
    cart: bytes = b""
    """Stands for the cart by its token; empty where none was named."""
    code: bytes = b""
    code_uses: int = 0
    """How often the code may be used; 0 for as the offer says."""
    token: str = ""
    """The id of the token that granted it: one reservation at a time may stand on it."""
    arm: str = ""
    """The arm it was granted in, where the offer's limits are split by arm."""


def claims_of(offer: Offer, held: Held) -> list[Claim]:
    """All of them; a reservation finds room in every one, or is none."""
    limits, name = offer.limits, offer.name
    claims = _of_the_shop(name, limits, held)
    if held.arm in offer.parts:
        claims += _of_the_shop(part_of(name, held.arm), offer.parts[held.arm], held)
    if limits.shopper is not None:
        claims += [_use(shopper_key(name, digest), limits.shopper) for digest in sorted(set(held.shoppers))]
    if held.code:
        claims.append(_use(code_key(name, held.code), held.code_uses or limits.code))
    if offer.group is not None and held.cart:
        claims.append(_use(group_key(offer.group, held.cart), 1))
    if held.token:
        claims.append(_use(f"{name}/token/{held.token}", 1))
    return claims


def _of_the_shop(name: str, limits: Limits, held: Held) -> list[Claim]:
    """The limits that hold for all shoppers together, of an offer or of an arm's part of it."""
    claims = [_use(total_key(name), limits.total)]
    if limits.day is not None:
        claims.append(_use(day_key(name, held.day), limits.day))
    if limits.budget is not None:
        claims.append(Claim(budget_key(name, held.currency), held.amount, limits.budget, money=True))
    return claims


def refusal(why: str) -> list[Claim]:
    """A claim that finds no room: lets the ledger refuse, and remember it, as it does everything else."""
    return [_use(REFUSED + why, 0)]


def shopper_key(offer: str, digest: bytes) -> str:
    """The counter of one identity's uses."""
    return f"{offer}/shopper/{digest.hex()}"


def code_key(offer: str, digest: bytes) -> str:
    """The counter of one code's uses."""
    return f"{offer}/code/{digest.hex()}"


def group_key(group: str, cart: bytes) -> str:
    """The counter of what a group gives to one cart; an offer's name has no colon, so it is no offer's."""
    return f"group:{group}/{cart.hex()}"


REFUSED = "refused:"
"""What a refusal's counter begins with."""


def _use(key: str, most: int | None) -> Claim:
    return Claim(key, 1, BOUNDLESS if most is None else most)
