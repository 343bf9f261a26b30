"""The nouns of the ledger: what offers hold and spend. Amounts are whole minor units, counts are uses."""

from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from cashwrap.model import Millis, Minor, Tenant

GRACE: Millis = 60_000
"""How long after its end a reservation is still honoured: clocks of a shop and ours may differ."""

OfferState = Literal["reserved", "redeemed", "released", "expired", "rolled_back"]


class Claim(NamedTuple):
    """One limit that a reservation counts against.

    ``key`` names a counter of the store, such as ``spring/total`` or ``spring/budget/EUR``; the reservation adds
    ``amount`` to it (1 for a use, minor units for money) and is refused where that would pass ``most``.
    """

    key: str
    amount: int
    most: int
    money: bool = False
    """It counts minor units: a redemption or refund of less gives the difference back."""


class Reservation(Struct, frozen=True, array_like=True, gc=False):
    """An offer held for one cart, and what became of it. Holds no identity: ``shopper`` and ``cart`` are digests."""

    id: bytes
    """12 random bytes; in hex the id that a shop knows it by."""
    tenant: Tenant
    offer: str
    currency: str
    amount: Minor
    """What it takes off: what is held while ``reserved``, what was granted once ``redeemed``."""
    created: Millis
    expires: Millis
    shopper: bytes = b""
    """A keyed digest of who it is for, empty where nobody is known."""
    cart: bytes = b""
    code: bytes = b""
    """The keyed digest of the code it was opened with, empty where there was none."""
    state: OfferState = "reserved"
    order: str = ""
    """The order it was redeemed for."""
    changed: Millis = 0
    """When it came to this state."""


class Outcome(Struct, frozen=True, array_like=True, gc=False):
    """What the ledger answers: the reservation as it is now, and, where nothing was done, why not."""

    reservation: Reservation | None = None
    refused: str = ""
    """Empty, or a stable code: ``limit_reached``, ``no_such_reservation``, ``reservation_expired``,
    ``already_redeemed``, ``not_redeemed``, ``already_closed``, ``amount_too_high``."""
    limit: str = ""
    """The key of the claim that found no room."""
    replayed: bool = False
    """The same request was answered before: this is that answer, and nothing happened again."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One line of the ledger. ``held`` and ``spent`` are signed minor units; the sum of all lines is the balance."""

    sequence: int
    reservation: bytes
    offer: str
    currency: str
    kind: Literal["reserve", "redeem", "release", "expire", "roll_back"]
    held: Minor
    spent: Minor
    time: Millis


class Code(Struct, frozen=True, array_like=True, gc=False):
    """A code that opens an offer, known by its keyed digest only. ``uses`` is how often, 0 for as the offer says."""

    digest: bytes
    offer: str
    uses: int = 1
    expires: Millis = 0
    """0 for never."""


class Once(NamedTuple):
    """Makes a request happen once: its key, and a fingerprint of its body.

    The same key with the same fingerprint is answered as the first time; with another one the ledger raises
    ``Conflict`` (``idempotency_key_reused``), and (``in_flight``) where the first is not yet answered.
    """

    key: str
    fingerprint: bytes


class Move(NamedTuple):
    """A line of the ledger with the reservation it is of, as that is now."""

    entry: Entry
    reservation: Reservation


class Holding(Struct, frozen=True, array_like=True, gc=False):
    """What an offer holds now in one currency: how many reservations, what they come to, and when the first ends."""

    offer: str
    currency: str
    count: int
    amount: Minor
    first: Millis


class CodeCount(Struct, frozen=True, array_like=True, gc=False):
    """How many codes of an offer there are, and how many of them hold or spent anything."""

    made: int = 0
    used: int = 0


class Books(Protocol):
    """What people read of a ledger, who look at all of it and not at one reservation."""

    def moves(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Move]:
        """Lines with a greater sequence, ascending, each with its reservation."""

    def holding(self, tenant: Tenant) -> list[Holding]:
        """What is reserved now, by offer and currency."""

    def code_counts(self, tenant: Tenant) -> dict[str, CodeCount]:
        """Codes by the offer that they open."""

    def refusals(self, tenant: Tenant, since: Millis) -> dict[tuple[str, Millis], int]:
        """How many requests were refused, by reason and hour (its first millisecond), as long as answers are kept."""
