"""The ledger as simply as it can be said: lists in memory, everything added up anew. An oracle for the real ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from cashwrap.errors import Conflict, InvalidInput
from cashwrap.ledger import GRACE, Claim, Code, CodeCount, Entry, Holding, Move, Once, Outcome, Reservation
from cashwrap.model import Millis, Minor, Tenant

_WEEK: Millis = 7 * 24 * 3_600_000
_HOUR: Millis = 3_600_000
_LIVE = {"reserved", "redeemed"}


class ModelLedger:
    """Port ``Ledger`` for one thread, without durability."""

    def __init__(self) -> None:
        self.reservations: dict[bytes, Reservation] = {}
        self.claims: dict[bytes, list[Claim]] = {}
        self.answers: dict[tuple[Tenant, str], tuple[bytes, Outcome, Millis]] = {}
        self.lines: dict[Tenant, list[Entry]] = {}
        self.codes: dict[tuple[Tenant, bytes], Code] = {}
        self.waiting: list[tuple[int, Reservation]] = []
        self.told = 0

    # --- changes ---

    def reserve(self, asked: Reservation, claims: Sequence[Claim], once: Once, now: Millis) -> Outcome:
        """Hold an offer where every claim finds room."""
        wanted = sorted(set(claims))
        _sensible(asked.amount, *(claim.amount for claim in wanted))
        if len({claim.key for claim in wanted}) < len(wanted):
            raise InvalidInput("two claims on one counter")
        asked = replace(asked, state="reserved", order="", changed=now)
        return self._once(asked.tenant, once, now, lambda: self._reserve(asked, wanted, now))

    def _reserve(self, asked: Reservation, wanted: list[Claim], now: Millis) -> Outcome:
        short = self._short(asked.tenant, wanted)
        if short:
            self.expire(now, 1_000)
            short = self._short(asked.tenant, wanted)
        if short:
            return Outcome(refused="limit_reached", limit=short)
        if asked.id in self.reservations:
            raise Conflict("there already", code="conflict")
        self.claims[asked.id] = wanted
        self._enter(asked, "reserve", held=asked.amount, spent=0)
        self._tell(asked)
        return Outcome(asked)

    def redeem(
        self, tenant: Tenant, reservation: bytes, order: str, amount: Minor | None, once: Once, now: Millis
    ) -> Outcome:
        """Spend what is held."""
        _sensible(amount or 0)
        _plain(order)
        return self._once(tenant, once, now, lambda: self._redeem(tenant, reservation, order, amount, now))

    def _redeem(self, tenant: Tenant, reservation: bytes, order: str, amount: Minor | None, now: Millis) -> Outcome:
        found = self.reservation(tenant, reservation)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "redeemed":
            return Outcome(found, "" if found.order == order else "already_redeemed")
        if found.state in {"released", "rolled_back"}:
            return Outcome(found, "already_closed")
        if found.state == "expired" or found.expires + GRACE < now:
            return Outcome(found, "reservation_expired")
        spent = found.amount if amount is None else amount
        if spent > found.amount:
            return Outcome(found, "amount_too_high")
        self._shrink(found, found.amount - spent)
        redeemed = replace(found, state="redeemed", order=order, amount=spent, changed=now)
        self._enter(redeemed, "redeem", held=-found.amount, spent=spent)
        self._tell(redeemed)
        return Outcome(redeemed)

    def release(self, tenant: Tenant, reservation: bytes, once: Once, now: Millis) -> Outcome:
        """Give back what is held."""
        return self._once(tenant, once, now, lambda: self._release(tenant, reservation, now))

    def _release(self, tenant: Tenant, reservation: bytes, now: Millis) -> Outcome:
        found = self.reservation(tenant, reservation)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "redeemed":
            return Outcome(found, "already_redeemed")
        if found.state == "rolled_back":
            return Outcome(found, "already_closed")
        if found.state != "reserved":
            return Outcome(found)
        released = replace(found, state="released", changed=now)
        self._enter(released, "release", held=-found.amount, spent=0)
        self._tell(released)
        return Outcome(released)

    def roll_back(self, tenant: Tenant, reservation: bytes, amount: Minor | None, once: Once, now: Millis) -> Outcome:
        """Take back what was spent."""
        _sensible(amount or 0)
        return self._once(tenant, once, now, lambda: self._roll_back(tenant, reservation, amount, now))

    def _roll_back(self, tenant: Tenant, reservation: bytes, amount: Minor | None, now: Millis) -> Outcome:
        found = self.reservation(tenant, reservation)
        if found is None:
            return Outcome(refused="no_such_reservation")
        if found.state == "reserved":
            return Outcome(found, "not_redeemed")
        if found.state == "rolled_back" and amount is None:
            return Outcome(found)
        if found.state != "redeemed":
            return Outcome(found, "already_closed")
        if amount is not None and amount > found.amount:
            return Outcome(found, "amount_too_high")
        if amount == 0:
            return Outcome(found)
        if amount is None or amount == found.amount:
            back = replace(found, state="rolled_back", changed=now)
            self._enter(back, "roll_back", held=0, spent=-found.amount)
            self._tell(back)
            return Outcome(back)
        self._shrink(found, amount)
        less = replace(found, amount=found.amount - amount, changed=now)
        self._enter(less, "roll_back", held=0, spent=-amount)
        return Outcome(less)

    def expire(self, now: Millis, limit: int) -> int:
        """Release what is due, and forget old answers."""
        held = [each for each in self.reservations.values() if each.state == "reserved"]
        due = [each for each in held if each.expires + GRACE < now]
        gone = sorted(due, key=lambda each: (each.expires, each.id))[:limit]
        for each in gone:
            expired = replace(each, state="expired", changed=now)
            self._enter(expired, "expire", held=-each.amount, spent=0)
            self._tell(expired)
        if limit > 0:
            self.answers = {name: kept for name, kept in self.answers.items() if kept[2] >= now - _WEEK}
        return len(gone)

    def add_codes(self, tenant: Tenant, codes: Sequence[Code]) -> None:
        """Those that are not there yet."""
        for code in codes:
            self.codes.setdefault((tenant, code.digest), code)

    def settle(self, numbers: Iterable[int]) -> None:
        """Forget the told ones."""
        told = set(numbers)
        self.waiting = [each for each in self.waiting if each[0] not in told]

    def forget(self, tenant: Tenant, shoppers: Sequence[bytes]) -> bool:
        """Take the digests out of everything that names them. Whether any was there."""
        names = {digest.hex() for digest in shoppers}
        before = dict(self.reservations), {name: list(each) for name, each in self.claims.items()}, dict(self.answers)
        for each in list(self.reservations.values()):
            if each.tenant != tenant:
                continue
            if each.shopper in shoppers:
                self.reservations[each.id] = replace(each, shopper=b"")
            self.claims[each.id] = [
                claim._replace(key=f"forgotten/{claim.key}") if _names(claim.key, names) else claim
                for claim in self.claims[each.id]
            ]
        for name, (fingerprint, outcome, time) in self.answers.items():
            if name[0] == tenant and outcome.limit.rpartition("/")[2] in names:
                self.answers[name] = (fingerprint, replace(outcome, limit=""), time)
        return before != (self.reservations, self.claims, self.answers)

    # --- questions ---

    def reservation(self, tenant: Tenant, reservation: bytes) -> Reservation | None:
        """As it is now."""
        found = self.reservations.get(reservation)
        return found if found is not None and found.tenant == tenant else None

    def of_order(self, tenant: Tenant, order: str) -> list[Reservation]:
        """What was redeemed for it."""
        found = [each for each in self.reservations.values() if (each.tenant, each.order) == (tenant, order)]
        return sorted(found, key=lambda each: (each.created, each.id)) if order else []

    def used(self, tenant: Tenant, keys: Sequence[str]) -> dict[str, int]:
        """Every live claim, added up."""
        found: Counter[str] = Counter()
        for each in self.reservations.values():
            if each.tenant == tenant and each.state in _LIVE:
                for claim in self.claims[each.id]:
                    found[claim.key] += claim.amount
        return {key: found[key] for key in keys if found[key]}

    def entries(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Entry]:
        """A page of them."""
        return self.lines.get(tenant, [])[after : after + limit]

    def balance(self, tenant: Tenant, offer: str) -> dict[str, tuple[Minor, Minor]]:
        """Every line, added up."""
        found: dict[str, tuple[Minor, Minor]] = {}
        for line in self.lines.get(tenant, []):
            if line.offer == offer:
                held, spent = found.get(line.currency, (0, 0))
                found[line.currency] = (held + line.held, spent + line.spent)
        return found

    def code(self, tenant: Tenant, digest: bytes) -> Code | None:
        """The code."""
        return self.codes.get((tenant, digest))

    def notices(self, limit: int) -> list[tuple[int, Reservation]]:
        """The oldest."""
        return [(n, replace(each, shopper=self.reservations[each.id].shopper)) for n, each in self.waiting[:limit]]

    def moves(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Move]:
        """A page of lines, each with its reservation."""
        return [Move(each, self.reservations[each.reservation]) for each in self.entries(tenant, after, limit)]

    def holding(self, tenant: Tenant) -> list[Holding]:
        """Every reservation that holds, added up."""
        held: dict[tuple[str, str], list[Reservation]] = {}
        for each in self.reservations.values():
            if (each.tenant, each.state) == (tenant, "reserved"):
                held.setdefault((each.offer, each.currency), []).append(each)
        return [
            Holding(*of, len(them), sum(each.amount for each in them), min(each.expires for each in them))
            for of, them in sorted(held.items())
        ]

    def code_counts(self, tenant: Tenant) -> dict[str, CodeCount]:
        """Every code, and whether its counter counts."""
        made = [code for (of, _), code in self.codes.items() if of == tenant]
        return {
            offer: CodeCount(
                sum(code.offer == offer for code in made),
                sum(len(self.used(tenant, [f"{offer}/code/{code.digest.hex()}"])) for code in made),
            )
            for offer in {code.offer for code in made}
        }

    def refusals(self, tenant: Tenant, since: Millis) -> dict[tuple[str, Millis], int]:
        """Every answer that refused."""
        found: Counter[tuple[str, Millis]] = Counter()
        for (of, _), (_, outcome, time) in self.answers.items():
            if of == tenant and outcome.refused and time >= since:
                why = outcome.limit.removeprefix("refused:") if outcome.limit.startswith("refused:") else ""
                found[why or outcome.refused, time // _HOUR * _HOUR] += 1
        return dict(found)

    def check(self) -> list[str]:
        """Nothing can disagree where everything is added up anew."""
        return []

    def close(self) -> None:
        """Nothing to let go of."""

    # --- how ---

    def _once(self, tenant: Tenant, once: Once, now: Millis, work: Callable[[], Outcome]) -> Outcome:
        _plain(once.key)
        if (tenant, once.key) in self.answers:
            fingerprint, before, _ = self.answers[tenant, once.key]
            if fingerprint != once.fingerprint:
                raise Conflict("another request", code="idempotency_key_reused")
            found = before.reservation
            if found is not None:
                found = replace(found, shopper=self.reservations[found.id].shopper)
            return replace(before, reservation=found, replayed=True)
        outcome = work()
        self.answers[tenant, once.key] = (once.fingerprint, outcome, now)
        return outcome

    def _short(self, tenant: Tenant, wanted: list[Claim]) -> str:
        used = self.used(tenant, [claim.key for claim in wanted])
        return next((claim.key for claim in wanted if used.get(claim.key, 0) + claim.amount > claim.most), "")

    def _shrink(self, found: Reservation, less: Minor) -> None:
        self.claims[found.id] = [
            claim._replace(amount=max(0, claim.amount - less)) if claim.money else claim
            for claim in self.claims[found.id]
        ]

    def _enter(self, after: Reservation, kind: str, *, held: Minor, spent: Minor) -> None:
        self.reservations[after.id] = after
        lines = self.lines.setdefault(after.tenant, [])
        number = len(lines) + 1
        lines.append(Entry(number, after.id, after.offer, after.currency, kind, held, spent, after.changed))  # type: ignore[arg-type]

    def _tell(self, after: Reservation) -> None:
        self.told += 1
        self.waiting.append((self.told, after))


def _names(key: str, names: set[str]) -> bool:
    return key.rpartition("/")[2] in names and not key.startswith("forgotten/")


def _sensible(*amounts: int) -> None:
    if not all(0 <= amount <= 2**53 for amount in amounts):
        raise InvalidInput("an amount out of range")


def _plain(text: str) -> None:
    if not (text.isprintable() and 0 < len(text) <= 500):
        raise InvalidInput("a text out of range")
