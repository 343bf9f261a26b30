"""What the core needs from the world, as small protocols over ``model`` and ``ledger`` only.

Adapters are named by technology and live in ``adapters``; they are chosen in ``cli`` (or passed to
``Engine``). One contract suite,
``cashwrap.testing``, states what each must do, and every adapter runs it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from msgspec import Struct, field

from cashwrap.ledger import Books, Claim, Code, Entry, Once, Outcome, Reservation
from cashwrap.model import Event, Millis, Minor, Product, Tenant


class Clock(Protocol):
    """Time, injected so that a test can own it."""

    def now(self) -> Millis:
        """Wall-clock milliseconds since 1970 UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for deadlines."""


class Random(Protocol):
    """Unpredictable bytes, injected so that a run can be repeated."""

    def token(self, size: int) -> bytes:
        """``size`` random bytes, fit for keys."""


class Vault(Protocol):
    """Seals payloads under one key a shopper, so that destroying the key forgets the shopper everywhere
    at once."""

    def seal(self, shopper: bytes, plain: bytes) -> bytes:
        """Encrypt and authenticate under the shopper's key, made on first use."""

    def open(self, shopper: bytes, sealed: bytes) -> bytes:
        """Undo ``seal``. Raises ``Forgotten`` where the key is gone, ``StoreError`` where the bytes were changed."""

    def digest(self, *parts: str) -> bytes:
        """16 bytes: a keyed hash that only this data folder can make. Parts cannot run into each other."""

    def persist(self) -> None:
        """Make keys made since the last call durable.

        Must return before anything sealed under them is committed.
        """

    def destroy(self, shopper: bytes) -> bool:
        """Destroy the shopper's key, durably.

        ``True`` where there was one. It is never made again for this shopper.
        """

    def destroyed(self, shopper: bytes) -> bool:
        """Whether the key was destroyed, and is not just missing, as it may be from an older copy of the keys."""

    def bury(self, names: Iterable[bytes], at: Millis) -> None:
        """Keep, durably, that whoever had these names (keyed hashes) was forgotten at this time."""

    def buried(self, names: Sequence[bytes]) -> dict[bytes, Millis]:
        """When the last one who had each name was forgotten; names of nobody are left out."""


class ShopperKey(NamedTuple):
    """Names one shopper in every table."""

    tenant: Tenant
    shopper: bytes


class Row(Struct, frozen=True):
    """What is kept per shopper, sealed.

    ``seen`` holds the ids of the last seven days' events, apart so that a decision need not read it.
    """

    state: bytes
    seen: bytes
    due: Millis | None = None
    """When a time-driven segment may change next; ``None`` for never."""


class Record(Struct, frozen=True):
    """One entry of the log: what happened to one shopper in one request."""

    tenant: Tenant
    shopper: bytes
    received: Millis
    kind: Literal["events", "merge"]
    payload: bytes
    """Sealed: the encoded events, or the id of the shopper merged into this one."""
    mask: int = 0
    """Union of the purposes allowed for what is inside: lets a reader skip without opening."""
    sequence: int = 0
    """Given by the store at commit, ascending."""


class Failure(Struct, frozen=True):
    """An event that could not be kept.

    Held until an operator acts. ``payload`` is the shopper's id (16 bytes) and the event sealed under the
    shopper's key; ``None`` where nobody is known or consent does not allow more than the reason.
    """

    tenant: Tenant
    received: Millis
    code: str
    message: str
    path: str
    size: int
    payload: bytes | None = None
    sequence: int = 0
    event: Event | None = None
    """On its way to the writer only, never in a store: what could be read of it ..."""
    broken: Mapping[str, str] = {}
    """... and what was wrong in it."""


class Horizon(Struct, frozen=True):
    """How far the log was folded into snapshots."""

    sequence: int = 0
    """Every record up to this one is in; 0 for none."""
    received: Millis = 0
    """When the newest of them was received."""


class Snapshot(Struct, frozen=True):
    """A shopper as the log up to a horizon says: ``Row`` without what time changes, sealed alike."""

    state: bytes
    seen: bytes


Fold = Literal["horizon", "backfill"]
"""What snapshots are for: in place of removed records, or for the state of changed features on its way."""


class Transition(Struct, frozen=True):
    """A shopper entered or left a segment."""

    tenant: Tenant
    shopper: bytes
    segment: str
    entered: bool
    at: Millis


class Exposed(Struct, frozen=True):
    """An exposure that outside tools are to be told of."""

    tenant: Tenant
    shopper: bytes
    body: bytes
    """What they are told: JSON, without the number it gets here."""
    at: Millis
    """When it was received."""


Notice = Transition | Exposed
"""What webhooks are told."""


class KeptDecision(Struct, frozen=True):
    """A decision kept with everything it depended on, so that it can be explained later."""

    tenant: Tenant
    id: bytes
    """12 random bytes: the decision's id, which its answer carries in hex."""
    shopper: bytes
    time: Millis
    position: int
    """The newest sequence of the log that the decision's profile was folded from, or any before the shopper's next."""
    payload: bytes
    """Sealed."""


class Changes(Struct):
    """What one commit makes durable, all or nothing."""

    records: list[Record] = field(default_factory=list)
    rows: dict[ShopperKey, Row | None] = field(default_factory=dict)
    """``None`` removes the row."""
    dues: dict[ShopperKey, Millis | None] = field(default_factory=dict)
    """New ``due`` of rows that are otherwise unchanged."""
    identities: dict[bytes, ShopperKey] = field(default_factory=dict)
    """Keyed hash of an identifier to the shopper it names."""
    transitions: list[Transition] = field(default_factory=list)
    exposed: list[Exposed] = field(default_factory=list)
    """They and ``transitions`` wait in the outbox, until they are delivered."""
    failures: list[Failure] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    """Failures that go: what they held is stored with this commit, or was before."""
    cleared: list[ShopperKey] = field(default_factory=list)
    """Shoppers whose kept decisions go, before those of ``decisions`` come."""
    decisions: list[KeptDecision] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        events = self.records, self.rows, self.dues, self.identities, self.transitions, self.failures
        return any((*events, self.exposed, self.settled, self.cleared, self.decisions))


class Store(Protocol):
    """Log, profiles, identities and segment membership of all tenants, advanced together."""

    def commit(self, changes: Changes) -> int:
        """Make all of it durable (fsync included) or nothing.

        The log's newest sequence. Raises ``Unavailable``.
        """

    def resolve(self, digests: Sequence[bytes]) -> dict[bytes, ShopperKey]:
        """Which shoppers these identifiers name; unknown ones are left out."""

    def load(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, Row]:
        """The rows that exist."""

    def log(self, after: int = 0) -> Iterator[Record]:
        """Records with a greater sequence, ascending; those that retention has passed are gone."""

    def log_of(self, tenant: Tenant, shoppers: Collection[bytes], after: int, until: int) -> list[Record]:
        """These shoppers' records with a sequence above ``after`` and up to ``until``, descending."""

    def horizon(self, fold: Fold = "horizon") -> Horizon:
        """How far a fold has come."""

    def snapshots(self, keys: Sequence[ShopperKey], fold: Fold = "horizon") -> dict[ShopperKey, Snapshot]:
        """The snapshots that exist."""

    def all_snapshots(self, fold: Fold = "horizon") -> Iterator[tuple[ShopperKey, Snapshot]]:
        """All of a fold."""

    def advance(
        self, horizon: Horizon, snapshots: Mapping[ShopperKey, Snapshot | None], fold: Fold = "horizon"
    ) -> None:
        """Write snapshots (``None`` removes one) and move a fold's horizon, durably, all or nothing; with ``horizon``
        the records up to it are removed in the same step."""

    def clear(self, fold: Fold, limit: int) -> bool:
        """Remove so many snapshots of a fold, and its horizon with the last; whether there may be more."""

    def tidy(self) -> None:
        """Leave no trace of what was removed in any file."""

    def shoppers(self, after: ShopperKey | None, limit: int) -> list[ShopperKey]:
        """Everybody who has a row, in the store's own order, for paging."""

    def tenants(self) -> list[Tenant]:
        """All stores and environments that ever had a row of any kind, sorted."""

    def names(self, key: ShopperKey) -> list[bytes]:
        """The keyed hashes of all identifiers that name the shopper."""

    def due(self, until: Millis, limit: int) -> list[ShopperKey]:
        """Shoppers whose ``due`` has come, earliest first."""

    def members(self, tenant: Tenant, segment: str, *, after: bytes = b"", limit: int = 1000) -> list[bytes]:
        """Shoppers inside, by id, for paging."""

    def inside(self, keys: Sequence[ShopperKey]) -> dict[ShopperKey, frozenset[str]]:
        """The segments each shopper is in; shoppers in none are left out."""

    def entered(self, key: ShopperKey) -> dict[str, Millis]:
        """When the shopper entered each segment that they are in."""

    def sizes(self, tenant: Tenant) -> dict[str, int]:
        """How many shoppers each segment holds; empty ones are left out."""

    def population(self, tenant: Tenant) -> int:
        """How many shoppers have a row."""

    def decision(self, tenant: Tenant, decision_id: bytes) -> KeptDecision | None:
        """The decision with this id, if it was kept."""

    def decisions(self, tenant: Tenant, since: Millis = 0, after: bytes = b"", limit: int = 1000) -> list[KeptDecision]:
        """Those made at ``since`` or later, ascending by time and id; of ``since`` itself ids above ``after`` only."""

    def decisions_of(self, key: ShopperKey, before: Millis, limit: int) -> list[KeptDecision]:
        """The shopper's, made before a moment, descending by time and id."""

    def prune(self, before: Millis, keep: int, limit: int) -> int:
        """Look at the ``limit`` decisions kept first; remove those made before a moment or not of the newest ``keep``.

        How many were removed.
        """

    def forget(self, key: ShopperKey) -> None:
        """Remove all rows that are the shopper's, durably. Log payloads die with the vault's key."""


class Outbox(Protocol):
    """Committed notices on their way to webhooks: written with the profile, removed when delivered."""

    def pending(self, limit: int) -> list[tuple[int, Notice]]:
        """The oldest undelivered, with a number to settle them by."""

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the delivered ones."""


class FailedEvents(Protocol):
    """Events that failed, kept until an operator acts."""

    def failures(self, after: int = 0, limit: int = 1000) -> list[Failure]:
        """Ascending by sequence."""

    def failure(self, sequence: int) -> Failure | None:
        """One of them."""

    def rewrite(self, sequence: int, payload: bytes) -> bool:
        """Keep a mended payload in place of the old one; ``False`` where there is none any more."""

    def discard(self, sequences: Iterable[int]) -> None:
        """Remove the ones an operator settled."""

    def tally(self) -> list[tuple[Tenant, str, Millis, int]]:
        """How many there are by tenant, code and the day they were received on (its first millisecond)."""


class Registry(Protocol):
    """Small documents by kind and name.

    API keys (hashed), kill switches, webhooks. Read whole, written one at a time, durable.
    """

    def documents(self, kind: str) -> dict[str, bytes]:
        """All of a kind."""

    def put(self, kind: str, name: str, document: bytes | None) -> None:
        """Write one; ``None`` removes it."""


class CatalogueStore(Protocol):
    """The shop's products."""

    def products(self, tenant: Tenant) -> Mapping[str, Product]:
        """All of them, by id."""

    def upsert(self, tenant: Tenant, products: Iterable[Product], *, replace: bool = False) -> int:
        """Write products; with ``replace`` all others go. How many were written."""

    def version(self, tenant: Tenant) -> int:
        """Grows with every change."""


class Facts(Protocol):
    """The fact table, as far as an engine has to do with it."""

    def forget(self, analytic_ids: Collection[bytes]) -> int:
        """Write what holds these ids anew without them, durably; how many files that were.

        What was read before and is written later brings none of them back.
        """


class ModelFiles(Protocol):
    """Learned models as folders of plain files, by tenant, name and version. Nothing that is there is ever changed, but
    what ``forget`` has to take out."""

    def save(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Write a version, durably and all or nothing. Raises ``Unavailable``."""

    def read(self, tenant: Tenant, name: str, version: str, file: str) -> bytes:
        """One file. Raises ``StoreError`` (``no_such_model``)."""

    def path(self, tenant: Tenant, name: str, version: str, file: str) -> Path:
        """Where it is, to be mapped into memory."""

    def rewrite(self, tenant: Tenant, name: str, version: str, files: Mapping[str, bytes]) -> None:
        """Put files in place of what was there, durably and all or nothing: only to take a forgotten shopper out."""

    def versions(self, tenant: Tenant) -> dict[str, list[str]]:
        """The versions of every model, oldest first."""

    def remove(self, tenant: Tenant, name: str, version: str) -> None:
        """Remove one, durably."""


class Ledger(Books, Protocol):
    """Offers held and spent: limits, codes and money in whole minor units, exact under any concurrency and crash.

    Every change is one durable transaction with its answer: a caller who heard nothing asks again with the same
    ``Once``. What a limit or state forbids is an ``Outcome`` with ``refused``, remembered like any other; what is
    broken raises ``Unavailable`` and did nothing that was promised.
    """

    def reserve(self, asked: Reservation, claims: Sequence[Claim], once: Once, now: Millis) -> Outcome:
        """Hold an offer: all claims find room, and are counted, or none is."""

    def redeem(
        self, tenant: Tenant, reservation: bytes, order: str, amount: Minor | None, once: Once, now: Millis
    ) -> Outcome:
        """Spend what was held, for an order; ``amount`` may be less than what was held (``None``: all of it).

        Redeeming again for the same order is no error and does nothing. Up to ``GRACE`` after it expires a
        reservation that was not yet released can still be redeemed.
        """

    def release(self, tenant: Tenant, reservation: bytes, once: Once, now: Millis) -> Outcome:
        """Give back what is held: the claims are free again."""

    def roll_back(self, tenant: Tenant, reservation: bytes, amount: Minor | None, once: Once, now: Millis) -> Outcome:
        """Take a redemption back (a refund): wholly, with its claims, or money for a part of it."""

    def expire(self, now: Millis, limit: int) -> int:
        """Release what expired more than ``GRACE`` ago, oldest first; how many."""

    def reservation(self, tenant: Tenant, reservation: bytes) -> Reservation | None:
        """The reservation as it is now."""

    def of_order(self, tenant: Tenant, order: str) -> list[Reservation]:
        """What was redeemed for an order."""

    def used(self, tenant: Tenant, keys: Sequence[str]) -> dict[str, int]:
        """How far these counters are; those never counted are left out."""

    def entries(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Lines with a greater sequence, ascending."""

    def balance(self, tenant: Tenant, offer: str) -> dict[str, tuple[Minor, Minor]]:
        """By currency what is held and what was spent."""

    def add_codes(self, tenant: Tenant, codes: Sequence[Code]) -> None:
        """Make codes good; one that is there stays as it is."""

    def code(self, tenant: Tenant, digest: bytes) -> Code | None:
        """The code with this digest."""

    def notices(self, limit: int) -> list[tuple[int, Reservation]]:
        """Changes of state that nobody was told of yet, oldest first, with a number to settle them by."""

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the told ones."""

    def forget(self, tenant: Tenant, shoppers: Sequence[bytes]) -> bool:
        """Remove these digests from reservations and counters' names; the money stays in the books.

        Whether any of them was there.
        """

    def check(self) -> list[str]:
        """What does not add up, in words: counters against claims, balances against states. Empty when all is well."""

    def close(self) -> None:
        """Let go of connections."""


class Http(Protocol):
    """Everything that cashwrap calls by itself: a test brings a network that is slow, dead or talks nonsense."""

    def fetch(self, url: str, into: BinaryIO) -> int:
        """Write the document at ``url`` into a file; its size in bytes. Raises ``InvalidInput``."""

    def post(self, url: str, body: bytes, signed: str) -> bool:
        """Send a JSON notice with its signature; whether the receiver took it. Waits for some seconds at most."""


class Reserve(Protocol):
    """Space kept back on the disk, so that what must go on when it is full can: forget, redeem, release."""

    def full(self) -> bool:
        """Whether it is given away: events and everything else that only adds must not touch the disk."""

    def give(self) -> None:
        """Give it away, because the disk refused a write."""

    def tend(self) -> None:
        """Take it again as soon as there is room for twice of it."""


class AuditEntry(Struct, frozen=True):
    """Who did what to what, when. ``subject`` and ``details`` hold no personal data: shoppers by pseudonym only."""

    time: Millis
    actor: str
    """A key's id, or ``command:`` and the account that ran it."""
    action: str
    """What was done, such as ``offer.codes``, ``playbook.publish``, ``shopper.forget``, ``decision.read``."""
    subject: str = ""
    details: Mapping[str, str] = {}


class AuditLog(Protocol):
    """Append-only and hash-chained: an entry, once durable, can neither be changed nor left out unseen."""

    def append(self, entry: AuditEntry) -> int:
        """Make it durable; its number, ascending by one. Raises ``Unavailable``."""

    def entries(self, after: int = 0, limit: int = 1000) -> list[tuple[int, AuditEntry]]:
        """Entries with a greater number, ascending."""

    def verify(self) -> list[str]:
        """Every break of the chain, in words with its number or place; empty when all is as it was written."""
