"""Every ledger keeps the public contract, and the contract notices one that does not."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from cashwrap.adapters.postgres_ledger import PostgresLedger
from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.errors import Conflict
from cashwrap.ledger import Claim, Move, Once, Outcome, Reservation
from cashwrap.model import Millis, Minor, Tenant
from cashwrap.ports import Ledger
from cashwrap.testing.ledger import LedgerContract
from cashwrap.testing.ledger_model import ModelLedger
from postgres import MISSING, Server, installed, server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server() as running:
        yield running


class TestModelLedger(LedgerContract):
    """The oracle keeps the contract too, but for threads, of which it knows nothing."""

    test_a_request_sent_many_times_at_once_happens_once = None  # type: ignore[assignment]
    test_threads_racing_for_the_last_ones_get_exactly_those = None  # type: ignore[assignment]

    @pytest.fixture
    def ledger(self) -> Ledger:
        return ModelLedger()


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        ledger = SqliteLedger(tmp_path)
        yield ledger
        ledger.close()


class TestSqliteLedgerInMemory(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Iterator[Ledger]:
        ledger = SqliteLedger(None)
        yield ledger
        ledger.close()


@pytest.mark.skipif(not installed, reason=MISSING)
class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, postgres: Server) -> Iterator[Ledger]:
        ledger = PostgresLedger(postgres.database(f"d{uuid.uuid4().hex}"))
        yield ledger
        ledger.close()


class CountsFirst(ModelLedger):
    """Counts the claims that found room before it meets one that does not."""

    def _reserve(self, asked: Reservation, wanted: list[Claim], now: Millis) -> Outcome:
        outcome = super()._reserve(asked, wanted, now)
        if outcome.refused:
            self.reservations[asked.id] = asked
            self.claims[asked.id] = wanted[:1]
        return outcome


class ForgetsAnswers(ModelLedger):
    def _once(self, *given: object) -> Outcome:
        self.answers.clear()
        return super()._once(*given)  # type: ignore[arg-type]


class KeepsMoney(ModelLedger):
    def _shrink(self, found: Reservation, less: Minor) -> None:
        """A smaller redemption frees nothing."""


class FreesUses(ModelLedger):
    def _shrink(self, found: Reservation, less: Minor) -> None:
        self.claims[found.id] = []


class NoGrace(ModelLedger):
    def expire(self, now: Millis, limit: int) -> int:
        return super().expire(now + 60_000, limit)


class NewestFirst(ModelLedger):
    def expire(self, now: Millis, limit: int) -> int:
        self.reservations = {name: replace(each, expires=-each.expires) for name, each in self.reservations.items()}
        return super().expire(now, limit)


class ForgetsHalf(ModelLedger):
    def forget(self, tenant: Tenant, shoppers: object) -> bool:
        for each in self.reservations.values():
            if each.tenant == tenant and each.shopper in shoppers:  # type: ignore[operator]
                self.claims[each.id] = []
        return True


class OneBook(ModelLedger):
    def reservation(self, tenant: Tenant, reservation: bytes) -> Reservation | None:
        return self.reservations.get(reservation)


class RedeemsTwice(ModelLedger):
    def redeem(
        self, tenant: Tenant, reservation: bytes, order: str, amount: Minor | None, once: Once, now: Millis
    ) -> Outcome:
        found = self.reservations.get(reservation)
        if found is not None and found.state == "redeemed":
            self._enter(found, "redeem", held=0, spent=found.amount)
        return super().redeem(tenant, reservation, order, amount, once, now)


class TellsAsItWas(ModelLedger):
    def moves(self, tenant: Tenant, after: int = 0, limit: int = 1000) -> list[Move]:
        found = super().moves(tenant, after, limit)
        return [Move(each.entry, replace(each.reservation, state="reserved")) for each in found]


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (CountsFirst, "test_where_one_claim_finds_no_room_none_is_counted"),
        (ForgetsAnswers, "test_a_request_asked_again_is_answered_as_the_first_time"),
        (ForgetsAnswers, "test_an_answer_is_remembered_for_seven_days"),
        (KeepsMoney, "test_redeeming_spends_and_less_frees_the_rest_of_the_money"),
        (FreesUses, "test_a_refund_takes_back_a_part_or_all"),
        (NoGrace, "test_a_reservation_is_honoured_a_little_beyond_its_end"),
        (NewestFirst, "test_what_expires_goes_oldest_first"),
        (ForgetsHalf, "test_a_forgotten_shopper_leaves_the_money_and_no_name"),
        (OneBook, "test_a_tenant_never_sees_another_ones_books"),
        (TellsAsItWas, "test_books_tell_what_moved_what_is_held_and_what_was_refused"),
        (RedeemsTwice, "test_an_order_redeems_once_and_asking_again_is_no_error"),
    ],
)
def test_the_contract_is_red_on_a_planted_bug(broken: type[ModelLedger], promise: str) -> None:
    with pytest.raises((AssertionError, Conflict)):
        getattr(LedgerContract(), promise)(broken())
