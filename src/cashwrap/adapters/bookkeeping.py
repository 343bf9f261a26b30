"""The ledger's rules, written once over named statements: what a reservation may become, and what moves with it.

A change reads and writes within one transaction, with the answer that is remembered for its idempotency key. An adapter
brings the transaction and the statements (``sql/ledger.sql`` and its twin), this brings everything else.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from cashwrap.adapters.books import BookReader, Run
from cashwrap.errors import Conflict, InvalidInput
from cashwrap.faults import crash_point
from cashwrap.ledger import GRACE, Claim, Code, Entry, Once, Outcome, Reservation
from cashwrap.model import Millis, Minor, Tenant

ANSWERS_KEPT: Millis = 7 * 24 * 3_600_000
"""How long the answer to an idempotency key is remembered."""
LARGEST = 2**53
"""The largest amount or limit, in minor units or uses: what every client can count exactly."""
TEXT_MOST = 500
"""Characters of an order's id or an idempotency key."""
_LIVE = ("reserved", "redeemed")
_DUE_AT_ONCE = 1_000
_DIGEST_HEX = 32
_T = TypeVar("_T")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Reservation).decode
_WRONG = {
    "wrong_counters": "{}: the counter {} is at {}, its claims add up to {}",
    "stray_claims": "{}: reservation {} is {} and still has claims",
    "wrong_balances": "{}: the balance of {} in {} is off its lines by {} held and {} spent",
    "wrong_states": "{}: the balance of {} in {} is off its reservations by {} held and {} spent",
    "wrong_books": "{}: there should be {} lines and there are {}, or their numbers have gaps",
}


class _SomeAreDue(Exception):
    """A claim found no room, but there is something to expire: the transaction is given up."""


class Ledgered(BookReader):
    """The port ``Ledger`` over a database that runs our statements."""

    expired_at_once = 1
    """How many reservations one transaction may expire."""

    def __init__(self) -> None:
        self._answering: set[tuple[Tenant, str]] = set()
        self._answering_lock = threading.Lock()

    # --- what an adapter brings ---

    @abstractmethod
    def _write(self, work: Callable[[Run], _T]) -> _T:
        """Run it in one durable transaction, again from the start where the database asks for that."""

    @abstractmethod
    def _list(self, values: Sequence[str | int]) -> object:
        """A list as a parameter."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    @abstractmethod
    def _lock(self, run: Run, tenant: Tenant, key: str) -> bool:
        """Whether no other process answers this key now, until the transaction ends."""

    @abstractmethod
    def _forgotten(self) -> None:
        """Remove the traces of what was just forgotten."""

    # --- changes ---

    def reserve(self, asked: Reservation, claims: Sequence[Claim], once: Once, now: Millis) -> Outcome:
        """Hold an offer: all claims find room, and are counted, or none is.

        Raises ``InvalidInput`` for negative or huge amounts and for two different claims on one key.
        """
        wanted = _in_order(claims)
        _must_fit(asked.amount)
        asked = replace(asked, state="reserved", order="", changed=now)
        try:
            return self._once(asked.tenant, once, now, lambda book: book.reserve(asked, wanted, give_up=True))
        except _SomeAreDue:
            self.expire(now, _DUE_AT_ONCE)
            return self._once(asked.tenant, once, now, lambda book: book.reserve(asked, wanted, give_up=False))

    def redeem(
        self, tenant: Tenant, reservation: bytes, order: str, amount: Minor | None, once: Once, now: Millis
    ) -> Outcome:
        """Spend what was held, for an order; ``amount`` may be less than what was held (``None``: all of it)."""
        _must_be_plain(order)
        _must_fit(amount or 0)
        return self._once(tenant, once, now, lambda book: book.redeem(reservation, order, amount))

    def release(self, tenant: Tenant, reservation: bytes, once: Once, now: Millis) -> Outcome:
        """Give back what is held; where it was given back before, nothing happens and that is no error."""
        return self._once(tenant, once, now, lambda book: book.release(reservation))

    def roll_back(self, tenant: Tenant, reservation: bytes, amount: Minor | None, once: Once, now: Millis) -> Outcome:
        """Take a redemption back: wholly, with its claims, or money for a part of it.

        A part leaves it redeemed, with less, and no notice; the part that is all that was left takes it back wholly.
        """
        _must_fit(amount or 0)
        return self._once(tenant, once, now, lambda book: book.roll_back(reservation, amount))

    def expire(self, now: Millis, limit: int) -> int:
        """Release what expired more than ``GRACE`` ago, oldest first, and forget answers of a week ago; how many."""
        count = 0
        while count < limit:
            some = min(limit - count, self.expired_at_once)
            found = self._write(lambda run, some=some: _expire(run, now, some))  # type: ignore[misc]
            count += found
            if found < some:
                break
        return count

    def add_codes(self, tenant: Tenant, codes: Sequence[Code]) -> None:
        """Make codes good; one that is there stays as it is."""
        name = tenant.name

        def work(run: Run) -> None:
            for each in sorted(codes, key=lambda code: code.digest):
                values = {"digest": each.digest, "offer": each.offer, "uses": each.uses, "expires": each.expires}
                run("add_code", tenant=name, **values)

        self._write(work)

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the told ones."""
        told = sorted(set(numbers))
        if told:
            self._write(lambda run: run("settle", numbers=self._list(told)))

    def forget(self, tenant: Tenant, shoppers: Sequence[bytes]) -> bool:
        """Remove these digests from reservations and counters' names; the money stays in the books.

        With them go those of other names that their reservations were counted under. Whether any of them was there.
        Raises ``Unavailable``, also where the removal is durable but its traces are not gone yet: call again.
        """
        name = tenant.name

        def work(run: Run) -> bool:
            named = 0
            for digest in sorted(set(shoppers)):
                run("forget_kin", tenant=name, shopper=digest)
                named += len(run("forget_reservations", tenant=name, shopper=digest))
                named += len(run("forget_counters", tenant=name, who=digest.hex()))
                named += len(run("forget_answers", tenant=name, who=digest.hex()))
            return named > 0

        found = self._write(work)
        self._forgotten()
        return found

    # --- questions ---

    def reservation(self, tenant: Tenant, reservation: bytes) -> Reservation | None:
        """The reservation as it is now."""
        rows = self._read(lambda run: run("reservation", tenant=tenant.name, id=reservation))
        return _reservation(tenant, rows[0]) if rows else None

    def of_order(self, tenant: Tenant, order: str) -> list[Reservation]:
        """What was redeemed for an order; nothing for a name that no order may have, and no database need hear of."""
        if not _is_plain(order):
            return []
        rows = self._read(lambda run: run("of_order", tenant=tenant.name, order_id=order))
        return [_reservation(tenant, row) for row in rows]

    def used(self, tenant: Tenant, keys: Sequence[str]) -> dict[str, int]:
        """How far these counters are; those at nothing are left out."""
        return dict(self._read(lambda run: run("used", tenant=tenant.name, keys=self._list(keys))))

    def entries(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Lines with a greater sequence, ascending; a tenant's are numbered from one without a gap."""
        rows = self._read(lambda run: run("entries", tenant=tenant.name, after=after, limit=limit))
        return [Entry(*row) for row in rows]

    def balance(self, tenant: Tenant, offer: str) -> dict[str, tuple[Minor, Minor]]:
        """By currency what is held and what was spent."""
        rows = self._read(lambda run: run("balance", tenant=tenant.name, offer=offer))
        return {currency: (held, spent) for currency, held, spent in rows}

    def code(self, tenant: Tenant, digest: bytes) -> Code | None:
        """The code with this digest."""
        rows = self._read(lambda run: run("code", tenant=tenant.name, digest=digest))
        return Code(*rows[0]) if rows else None

    def notices(self, limit: int) -> list[tuple[int, Reservation]]:
        """Changes of state that nobody was told of yet, oldest first, with a number to settle them by."""
        rows = self._read(lambda run: run("notices", limit=limit))
        return [(number, replace(_decode(document), shopper=shopper)) for number, document, shopper in rows]

    def check(self) -> list[str]:
        """What does not add up, in words. Empty when all is well. Reads everything there is."""
        return self._read(lambda run: [words.format(*row) for name, words in _WRONG.items() for row in run(name)])

    # --- how ---

    def _once(self, tenant: Tenant, once: Once, now: Millis, work: Callable[["_Book"], Outcome]) -> Outcome:
        """Do it and remember the answer, or answer as the first time."""
        _must_be_plain(once.key)

        def answer(run: Run) -> Outcome:
            if not self._lock(run, tenant, once.key):
                raise _in_flight()
            before = _remembered(run, tenant, once)
            if before is not None:
                return before
            outcome = work(_Book(run, tenant, now))
            _remember(run, tenant, once, outcome, now)
            return outcome

        with self._alone(tenant, once.key):
            return self._write(answer)

    @contextmanager
    def _alone(self, tenant: Tenant, key: str) -> Iterator[None]:
        name = (tenant, key)
        with self._answering_lock:
            if name in self._answering:
                raise _in_flight()
            self._answering.add(name)
        try:
            yield
        finally:
            with self._answering_lock:
                self._answering.discard(name)


class _Book:
    """One tenant's book, open in a transaction: what each request may do to a reservation."""

    def __init__(self, run: Run, tenant: Tenant, now: Millis) -> None:
        self._run = run
        self._tenant = tenant
        self._name = tenant.name
        self._now = now

    def reserve(self, asked: Reservation, claims: Sequence[Claim], *, give_up: bool) -> Outcome:
        counters: list[int] = []
        for claim in claims:
            room = self._run("count", tenant=self._name, who=_who(claim.key), **_counted(claim))
            if not room:
                self._must_be_final(give_up=give_up)
                for counter, counted in zip(counters, claims, strict=False):
                    self._give_back(counter, counted.amount)
                return Outcome(refused="limit_reached", limit=claim.key)
            counters.append(room[0][0])
        crash_point("ledger.counted")
        if not self._run("add_reservation", **_columns(asked)):
            raise Conflict("a reservation with this id is there already: take 12 random bytes", code="conflict")
        for counter, claim in zip(counters, claims, strict=True):
            values = {"counter": counter, "amount": claim.amount, "money": int(claim.money)}
            self._run("add_claim", reservation=asked.id, **values)
        self._book(None, asked, "reserve")
        return Outcome(asked)

    def redeem(self, number: bytes, order: str, amount: Minor | None) -> Outcome:
        found = self._found(number)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "redeemed":
            return Outcome(found, "" if found.order == order else "already_redeemed")
        if found.state == "expired" or (found.state == "reserved" and self._now > found.expires + GRACE):
            return Outcome(found, "reservation_expired")
        if found.state != "reserved":
            return Outcome(found, "already_closed")
        spent = found.amount if amount is None else amount
        if spent > found.amount:
            return Outcome(found, "amount_too_high")
        redeemed = replace(found, state="redeemed", order=order, amount=spent, changed=self._now)
        return self._changed(found, redeemed, "redeem")

    def release(self, number: bytes) -> Outcome:
        found = self._found(number)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "reserved":
            return self._changed(found, replace(found, state="released", changed=self._now), "release")
        refused = {"redeemed": "already_redeemed", "rolled_back": "already_closed"}
        return Outcome(found, refused.get(found.state, ""))

    def roll_back(self, number: bytes, amount: Minor | None) -> Outcome:
        found = self._found(number)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "rolled_back" and amount is None:
            return Outcome(found)
        if found.state != "redeemed":
            return Outcome(found, "not_redeemed" if found.state == "reserved" else "already_closed")
        if amount is None or (amount == found.amount and amount > 0):
            return self._changed(found, replace(found, state="rolled_back", changed=self._now), "roll_back")
        if amount > found.amount:
            return Outcome(found, "amount_too_high")
        if amount == 0:
            return Outcome(found)
        return self._changed(found, replace(found, amount=found.amount - amount, changed=self._now), "roll_back")

    def expire(self, number: bytes) -> None:
        found = self._found(number)
        if found is not None and found.state == "reserved":
            self._changed(found, replace(found, state="expired", changed=self._now), "expire")

    def _found(self, number: bytes) -> Reservation | None:
        rows = self._run("reservation_to_change", tenant=self._name, id=number)
        return _reservation(self._tenant, rows[0]) if rows else None

    def _must_be_final(self, *, give_up: bool) -> None:
        """Where something can be expired first, this transaction is not the last word."""
        if give_up and self._run("due", before=self._now - GRACE, limit=1):
            raise _SomeAreDue

    def _changed(self, before: Reservation, after: Reservation, kind: str) -> Outcome:
        values = {"state": after.state, "amount": after.amount, "order_id": after.order, "changed": after.changed}
        self._run("change_reservation", id=after.id, **values)
        if after.state not in _LIVE:
            self._close(after.id)
        elif after.amount < before.amount:
            self._shrink(after.id, before.amount - after.amount)
        crash_point("ledger.counted")
        self._book(before, after, kind)
        return Outcome(after)

    def _close(self, number: bytes) -> None:
        claims = self._claims(number)
        self._run("drop_claims", reservation=number)
        for _, counter, amount, _ in claims:
            self._give_back(counter, amount)

    def _shrink(self, number: bytes, less: Minor) -> None:
        for _, counter, amount, money in self._claims(number):
            back = min(less, amount)
            if money and back:
                self._run("shrink_claim", reservation=number, counter=counter, amount=back)
                self._give_back(counter, back)

    def _claims(self, number: bytes) -> list[tuple[str, int, int, int]]:
        """In the order in which ``reserve`` counts them: who locks rows in one order cannot wait in a circle."""
        return sorted(self._run("claims", reservation=number))

    def _give_back(self, counter: int, amount: int) -> None:
        rows = self._run("uncount", counter=counter, amount=amount)
        if rows[0][0] == 0:
            self._run("drop_counter", counter=counter)

    def _book(self, before: Reservation | None, after: Reservation, kind: str) -> None:
        """The line, the balance and the notice of a change."""
        held, spent = _money(after)
        if before is not None:
            held, spent = held - _money(before)[0], spent - _money(before)[1]
        place = {"tenant": self._name, "offer": after.offer, "currency": after.currency}
        if before is None:
            self._run("open_balance", **place)
        self._run("change_balance", held=held, spent=spent, **place)
        if before is None or before.state != after.state:
            self._run("add_notice", reservation=after.id, document=_document(after))
        sequence = self._run("next_line", tenant=self._name)[0][0]
        values = {"sequence": sequence, "kind": kind, "held": held, "spent": spent, "time": self._now}
        self._run("add_entry", reservation=after.id, **place, **values)


def _expire(run: Run, now: Millis, limit: int) -> int:
    due = run("due", before=now - GRACE, limit=limit)
    for name, number in due:
        _Book(run, _tenant(name), now).expire(number)
    run("prune_answers", before=now - ANSWERS_KEPT, limit=_DUE_AT_ONCE)
    return len(due)


def _remembered(run: Run, tenant: Tenant, once: Once) -> Outcome | None:
    rows = run("answer", tenant=tenant.name, key=once.key)
    if not rows:
        return None
    fingerprint, refused, missing, document = rows[0]
    if fingerprint != once.fingerprint:
        message = "this idempotency key came with another request before: use a new key for a new request"
        raise Conflict(message, code="idempotency_key_reused")
    reservation = None
    if document:
        reservation = _decode(document)
        reservation = replace(reservation, shopper=run("shopper", id=reservation.id)[0][0])
    return Outcome(reservation, refused, missing, replayed=True)


def _remember(run: Run, tenant: Tenant, once: Once, outcome: Outcome, now: Millis) -> None:
    document = b"" if outcome.reservation is None else _document(outcome.reservation)
    values = {"refused": outcome.refused, "missing": outcome.limit, "who": _who(outcome.limit), "document": document}
    run("remember", tenant=tenant.name, key=once.key, fingerprint=once.fingerprint, time=now, **values)


def _document(reservation: Reservation) -> bytes:
    """Without the shopper's digest, which stands in one place only: where forgetting finds it."""
    return _encode(replace(reservation, shopper=b""))


def _in_flight() -> Conflict:
    return Conflict("the first request with this idempotency key has no answer yet: ask again", code="in_flight")


def _in_order(claims: Sequence[Claim]) -> list[Claim]:
    """By key, in which order everybody counts; the same claim twice is one."""
    wanted = sorted(set(claims))
    for claim in wanted:
        _must_fit(claim.amount)
    keys = [claim.key for claim in wanted]
    if len(set(keys)) < len(keys):
        raise InvalidInput("two different claims name one counter: leave one of them out")
    return wanted


def _counted(claim: Claim) -> dict[str, object]:
    return {"key": claim.key, "amount": claim.amount, "most": max(-1, min(claim.most, LARGEST))}


def _must_fit(amount: int) -> None:
    if not 0 <= amount <= LARGEST:
        raise InvalidInput("an amount is between 0 and 2^53 minor units")


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= TEXT_MOST and text.isprintable()


def _must_be_plain(text: str) -> None:
    if not _is_plain(text):
        raise InvalidInput(f"an order's id and an idempotency key have 1 to {TEXT_MOST} printable characters")


def _who(key: str) -> str:
    """The digest that ends a counter's name, in hex; empty where none does."""
    last = key.rpartition("/")[2]
    return last if len(last) == _DIGEST_HEX and set(last) <= set("0123456789abcdef") else ""


def _money(reservation: Reservation) -> tuple[Minor, Minor]:
    """What it holds and what it spent."""
    held = reservation.amount if reservation.state == "reserved" else 0
    spent = reservation.amount if reservation.state == "redeemed" else 0
    return held, spent


def _tenant(name: str) -> Tenant:
    store, _, environment = name.rpartition("/")
    return Tenant(store, environment)


def _columns(reservation: Reservation) -> dict[str, object]:
    return {
        "id": reservation.id,
        "tenant": reservation.tenant.name,
        "offer": reservation.offer,
        "currency": reservation.currency,
        "amount": reservation.amount,
        "created": reservation.created,
        "expires": reservation.expires,
        "shopper": reservation.shopper,
        "cart": reservation.cart,
        "code": reservation.code,
        "changed": reservation.changed,
    }


def _reservation(tenant: Tenant, row: tuple[Any, ...]) -> Reservation:
    number, *rest = row
    return Reservation(number, tenant, *rest)
