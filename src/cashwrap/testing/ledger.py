"""What every ledger must do, as a pytest class to subclass.

A subclass defines the fixture ``ledger``: a fresh, empty one for each test.
"""

from collections.abc import Callable, Sequence

from cashwrap.errors import Conflict, InvalidInput
from cashwrap.ledger import GRACE, Claim, Code, CodeCount, Holding, Once, Outcome, Reservation
from cashwrap.model import Millis, Minor, Tenant
from cashwrap.ports import Ledger
from cashwrap.testing.threads import together

LIVE = Tenant("acme", "live")
TEST = Tenant("acme", "test")
NOW: Millis = 1_800_000_000_000
HOLD: Millis = 900_000
LATE: Millis = NOW + HOLD + GRACE + 1
WEEK: Millis = 7 * 24 * 3_600_000
HOUR: Millis = 3_600_000
ANN = b"ann's digest 16b"
BOB = b"bob's digest 16b"


def asked(number: int, amount: Minor = 500, tenant: Tenant = LIVE, shopper: bytes = ANN) -> Reservation:
    """A reservation to ask for, its id sorting as ``number`` does."""
    name = number.to_bytes(12, "big")
    return Reservation(name, tenant, "spring", "EUR", amount, NOW, NOW + HOLD, shopper, b"cart", b"code")


def once(key: str, fingerprint: bytes = b"body") -> Once:
    """A request's key, and its body's fingerprint."""
    return Once(key, fingerprint)


def claims(total: int = 100, budget: Minor = 100_000, amount: Minor = 500, shopper: bytes = ANN) -> list[Claim]:
    """A limit in all, one for the shopper (as often as in all) and a budget."""
    return [
        Claim("spring/total", 1, total),
        Claim(f"spring/shopper/{shopper.hex()}", 1, total),
        Claim("spring/budget/EUR", amount, budget, money=True),
    ]


KEYS = [claim.key for claim in claims()]


def reserve(
    ledger: Ledger, number: int, wanted: Sequence[Claim] | None = None, now: Millis = NOW, tenant: Tenant = LIVE
) -> Outcome:
    """Ask once for reservation ``number``, of 5.00."""
    wanted = claims() if wanted is None else wanted
    return ledger.reserve(asked(number, tenant=tenant), wanted, once(f"reserve {number}"), now)


def redeem(
    ledger: Ledger, number: int, amount: Minor | None = None, now: Millis = NOW, tenant: Tenant = LIVE
) -> Outcome:
    """Redeem it once for an order of its own."""
    return ledger.redeem(tenant, asked(number).id, f"order {number}", amount, once(f"redeem {number}"), now)


def raised(call: Callable[[], object]) -> str:
    """The code of the error it raises."""
    try:
        call()
    except (Conflict, InvalidInput) as error:
        return error.code
    return ""


class LedgerContract:
    """The promises of ``Ledger``."""

    def test_an_empty_ledger_answers_everywhere(self, ledger: Ledger) -> None:
        """Nothing is there, and asking is no error."""
        one = asked(1).id
        assert ledger.reservation(LIVE, one) is None
        assert ledger.of_order(LIVE, "order 1") == []
        assert ledger.used(LIVE, KEYS) == {} == ledger.used(LIVE, [])
        assert ledger.entries(LIVE) == []
        assert ledger.balance(LIVE, "spring") == {}
        assert ledger.code(LIVE, b"digest") is None
        assert ledger.notices(10) == []
        assert ledger.expire(NOW, 10) == 0
        ledger.settle([])
        ledger.settle([1, 2])
        assert not ledger.forget(LIVE, [ANN])
        assert redeem(ledger, 1).refused == "no_such_reservation"
        assert ledger.release(LIVE, one, once("b"), NOW).refused == "no_such_reservation"
        assert ledger.roll_back(LIVE, one, None, once("c"), NOW).refused == "no_such_reservation"
        assert ledger.check() == []

    def test_a_reservation_holds_money_and_counts_every_claim(self, ledger: Ledger) -> None:
        """Every field comes back; what was not claimed is not counted."""
        outcome = reserve(ledger, 1)
        expected = asked(1)
        assert outcome.reservation is not None
        assert (outcome.refused, outcome.replayed, outcome.reservation.state) == ("", False, "reserved")
        kept = ledger.reservation(LIVE, expected.id)
        assert kept == outcome.reservation
        assert (kept.offer, kept.currency, kept.amount, kept.created, kept.expires, kept.changed) == (
            *("spring", "EUR", 500, NOW, NOW + HOLD, NOW),
        )
        assert (kept.shopper, kept.cart, kept.code, kept.order) == (ANN, b"cart", b"code", "")
        assert ledger.used(LIVE, [*KEYS, "other"]) == dict(zip(KEYS, (1, 1, 500), strict=True))
        assert ledger.balance(LIVE, "spring") == {"EUR": (500, 0)}
        assert ledger.check() == []

    def test_where_one_claim_finds_no_room_none_is_counted(self, ledger: Ledger) -> None:
        """Whichever it is; the outcome names it."""
        assert reserve(ledger, 1).refused == ""
        before = ledger.used(LIVE, KEYS)
        for number, short in enumerate(KEYS, start=2):
            wanted = [claim._replace(most=before[short]) if claim.key == short else claim for claim in claims()]
            outcome = reserve(ledger, number, wanted)
            assert (outcome.refused, outcome.limit, outcome.reservation) == ("limit_reached", short, None)
            assert ledger.used(LIVE, KEYS) == before
            assert ledger.reservation(LIVE, asked(number).id) is None
        assert reserve(ledger, 9, [Claim("none", 1, 0), Claim("less", 1, -5)]).refused == "limit_reached"
        assert ledger.used(LIVE, ["none", "less"]) == {}
        assert len(ledger.entries(LIVE)) == 1
        assert ledger.check() == []

    def test_a_limit_holds_while_it_changes(self, ledger: Ledger) -> None:
        """The one that is asked with counts, whatever was granted under another."""
        for number in range(3):
            assert reserve(ledger, number, claims(total=3)).refused == ""
        assert reserve(ledger, 4, claims(total=3)).refused == "limit_reached"
        assert reserve(ledger, 5, claims(total=2)).refused == "limit_reached"
        assert reserve(ledger, 6, claims(total=4)).refused == ""
        assert reserve(ledger, 7, claims(budget=2_499)).limit == "spring/budget/EUR"
        assert reserve(ledger, 8, claims(budget=2_500)).refused == ""
        assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 5}

    def test_redeeming_spends_and_less_frees_the_rest_of_the_money(self, ledger: Ledger) -> None:
        """Uses stay counted; more than was held is refused and does nothing."""
        reserve(ledger, 1)
        one = asked(1).id
        assert ledger.redeem(LIVE, one, "o", 501, once("too much"), NOW).refused == "amount_too_high"
        assert ledger.balance(LIVE, "spring") == {"EUR": (500, 0)}
        outcome = redeem(ledger, 1, 420, NOW + 5)
        assert outcome.refused == ""
        assert outcome.reservation is not None
        redeemed = outcome.reservation
        assert (redeemed.state, redeemed.amount, redeemed.order, redeemed.changed) == (
            *("redeemed", 420, "order 1", NOW + 5),
        )
        assert ledger.balance(LIVE, "spring") == {"EUR": (0, 420)}
        assert ledger.used(LIVE, KEYS) == dict(zip(KEYS, (1, 1, 420), strict=True))
        assert ledger.of_order(LIVE, "order 1") == [redeemed] == [ledger.reservation(LIVE, one)]
        assert ledger.check() == []

    def test_an_order_redeems_once_and_asking_again_is_no_error(self, ledger: Ledger) -> None:
        """Also with another key; another order is refused."""
        reserve(ledger, 1)
        one, first = asked(1).id, redeem(ledger, 1)
        again = ledger.redeem(LIVE, one, "order 1", None, once("again"), NOW + 9)
        assert (again.refused, again.replayed, again.reservation) == ("", False, first.reservation)
        other = ledger.redeem(LIVE, one, "order 2", None, once("other"), NOW)
        assert (other.refused, other.reservation) == ("already_redeemed", first.reservation)
        assert ledger.balance(LIVE, "spring") == {"EUR": (0, 500)}
        assert [line.kind for line in ledger.entries(LIVE)] == ["reserve", "redeem"]

    def test_a_reservation_is_honoured_a_little_beyond_its_end(self, ledger: Ledger) -> None:
        """Up to ``GRACE``, by the millisecond; then it cannot be redeemed, released by somebody or not."""
        for number in (1, 2, 3):
            reserve(ledger, number)
        assert redeem(ledger, 1, now=LATE - 1).refused == ""
        assert redeem(ledger, 2, now=LATE).refused == "reservation_expired"
        assert ledger.expire(LATE - 1, 10) == 0
        assert ledger.expire(LATE, 10) == 2
        assert ledger.redeem(LIVE, asked(3).id, "o", None, once("late"), NOW).refused == "reservation_expired"
        assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 1}
        assert ledger.check() == []

    def test_releasing_gives_everything_back(self, ledger: Ledger) -> None:
        """Twice is no error; what is spent is not released."""
        for number in (1, 2, 3):
            reserve(ledger, number)
        redeem(ledger, 2)
        one, two = asked(1).id, asked(2).id
        outcome = ledger.release(LIVE, one, once("a"), NOW + 1)
        assert outcome.reservation is not None
        assert (outcome.refused, outcome.reservation.state, outcome.reservation.changed) == ("", "released", NOW + 1)
        assert ledger.release(LIVE, one, once("b"), NOW + 2) == outcome
        assert ledger.release(LIVE, two, once("c"), NOW).refused == "already_redeemed"
        assert redeem(ledger, 1).refused == "already_closed"
        assert ledger.used(LIVE, KEYS) == dict(zip(KEYS, (2, 2, 1_000), strict=True))
        assert ledger.balance(LIVE, "spring") == {"EUR": (500, 500)}
        ledger.expire(LATE, 10)
        expired = ledger.release(LIVE, asked(3).id, once("d"), LATE)
        assert expired.reservation is not None
        assert (expired.refused, expired.reservation.state) == ("", "expired")
        assert ledger.check() == []

    def test_a_refund_takes_back_a_part_or_all(self, ledger: Ledger) -> None:
        """A part is money only; the last part, or all at once, gives the claims back too."""
        for number in (1, 2, 3):
            reserve(ledger, number)
            redeem(ledger, number)
        one, two, three = (asked(number).id for number in (1, 2, 3))
        part = ledger.roll_back(LIVE, one, 120, once("a"), NOW + 1)
        assert part.reservation is not None
        assert (part.refused, part.reservation.state, part.reservation.amount) == ("", "redeemed", 380)
        assert ledger.used(LIVE, KEYS) == dict(zip(KEYS, (3, 3, 1_380), strict=True))
        assert ledger.roll_back(LIVE, one, 381, once("b"), NOW).refused == "amount_too_high"
        assert ledger.roll_back(LIVE, one, 0, once("b0"), NOW).reservation == part.reservation
        last = ledger.roll_back(LIVE, one, 380, once("c"), NOW)
        assert last.reservation is not None
        assert last.reservation.state == "rolled_back"
        whole = ledger.roll_back(LIVE, two, None, once("d"), NOW)
        assert ledger.roll_back(LIVE, two, None, once("e"), NOW) == whole
        assert ledger.roll_back(LIVE, two, 5, once("f"), NOW).refused == "already_closed"
        assert ledger.redeem(LIVE, two, "order 2", None, once("g"), NOW).refused == "already_closed"
        assert ledger.release(LIVE, two, once("h"), NOW).refused == "already_closed"
        assert ledger.used(LIVE, KEYS) == dict(zip(KEYS, (1, 1, 500), strict=True))
        assert ledger.balance(LIVE, "spring") == {"EUR": (0, 500)}
        assert ledger.of_order(LIVE, "order 3") == [ledger.reservation(LIVE, three)]
        reserve(ledger, 4)
        assert ledger.roll_back(LIVE, asked(4).id, None, once("i"), NOW).refused == "not_redeemed"
        assert ledger.check() == []

    # --- once ---

    def test_a_request_asked_again_is_answered_as_the_first_time(self, ledger: Ledger) -> None:
        """Granted or refused, and whatever happened since."""
        first = reserve(ledger, 1, claims(total=1))
        refused = reserve(ledger, 2, claims(total=1))
        redeemed = redeem(ledger, 1)
        ledger.roll_back(LIVE, asked(1).id, None, once("back"), NOW)
        for again, before in (
            (reserve(ledger, 1, claims(total=1)), first),
            (reserve(ledger, 2, claims(total=9)), refused),
            (redeem(ledger, 1), redeemed),
        ):
            assert again.replayed is True
            assert (again.reservation, again.refused, again.limit) == (
                *(before.reservation, before.refused, before.limit),
            )
        assert len(ledger.entries(LIVE)) == 3
        assert ledger.check() == []

    def test_a_key_belongs_to_one_request_of_one_tenant(self, ledger: Ledger) -> None:
        """Another body is a conflict that changes nothing; another tenant's key is another key."""
        same = once("k", b"body")
        ledger.reserve(asked(1), claims(), same, NOW)
        other = once("k", b"another body")
        assert raised(lambda: ledger.reserve(asked(2), claims(), other, NOW)) == "idempotency_key_reused"
        assert raised(lambda: ledger.release(LIVE, asked(1).id, other, NOW)) == "idempotency_key_reused"
        assert ledger.reserve(asked(3, tenant=TEST), claims(), other, NOW).refused == ""
        assert len(ledger.entries(LIVE)) == len(ledger.entries(TEST)) == 1

    def test_an_answer_is_remembered_for_seven_days(self, ledger: Ledger) -> None:
        """To the millisecond; a refusal too. Then the key is free."""
        reserve(ledger, 1, claims(total=0))
        ledger.expire(NOW + WEEK, 10)
        assert reserve(ledger, 1, now=NOW + WEEK).replayed is True
        ledger.expire(NOW + WEEK + 1, 10)
        assert reserve(ledger, 1, now=NOW + WEEK).replayed is False

    def test_a_request_sent_many_times_at_once_happens_once(self, ledger: Ledger) -> None:
        """The others get its answer, or hear that it is in flight."""
        heard: list[str] = []

        def ask() -> None:
            for number in range(12):
                try:
                    heard.append("again" if reserve(ledger, number).replayed else "done")
                except Conflict as error:
                    heard.append(error.code)

        together(*[ask] * 4)
        assert heard.count("done") == 12
        assert set(heard) <= {"done", "again", "in_flight"}
        assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 12}
        assert len(ledger.entries(LIVE)) == 12

    def test_threads_racing_for_the_last_ones_get_exactly_those(self, ledger: Ledger) -> None:
        """Whatever they ask for and in which order they claim."""
        outcomes: list[str] = []

        def race(first: int) -> Callable[[], None]:
            def run() -> None:
                wanted = claims(total=20, budget=7_500)
                for number in range(first, first + 8):
                    outcomes.append(reserve(ledger, number, wanted[::-1] if first % 200 else wanted).refused)
                    if not outcomes[-1]:
                        redeem(ledger, number)

            return run

        together(*(race(100 * number) for number in range(4)))
        assert outcomes.count("") == 15
        assert ledger.used(LIVE, KEYS[2:]) == {"spring/budget/EUR": 7_500}
        assert ledger.balance(LIVE, "spring") == {"EUR": (0, 7_500)}
        assert ledger.check() == []

    # --- time ---

    def test_what_expires_goes_oldest_first(self, ledger: Ledger) -> None:
        """As many as are asked for, and each once."""
        for number, expires in ((1, 30), (2, 10), (3, 20)):
            wanted = asked(number)
            late = Reservation(wanted.id, LIVE, "spring", "EUR", 5, NOW, NOW + expires)
            ledger.reserve(late, [], once(f"{number}"), NOW)
        assert ledger.expire(NOW + GRACE + 31, 2) == 2
        states = [ledger.reservation(LIVE, asked(number).id) for number in (1, 2, 3)]
        assert [each.state for each in states if each is not None] == ["reserved", "expired", "expired"]
        assert [ledger.expire(NOW + GRACE + 31, 5) for _ in range(2)] == [1, 0]
        assert [line.kind for line in ledger.entries(LIVE)][3:] == ["expire"] * 3
        assert ledger.balance(LIVE, "spring") == {"EUR": (0, 0)}
        assert ledger.check() == []

    def test_what_is_due_makes_room_for_who_asks(self, ledger: Ledger) -> None:
        """Nobody has to have called ``expire``."""
        for number in (1, 2):
            reserve(ledger, number, claims(total=2))
        assert reserve(ledger, 3, claims(total=2), LATE - 1).refused == "limit_reached"
        assert reserve(ledger, 4, claims(total=2), LATE).refused == ""
        assert ledger.used(LIVE, KEYS[:1]) == {"spring/total": 1}
        assert ledger.check() == []

    def test_a_clock_that_goes_back_breaks_nothing(self, ledger: Ledger) -> None:
        """Lines keep their order, and nothing expires early."""
        reserve(ledger, 1, now=NOW + 10 * WEEK)
        assert redeem(ledger, 1, now=NOW).refused == ""
        reserve(ledger, 2, now=0)
        assert ledger.expire(0, 10) == 0
        assert redeem(ledger, 1, now=0).replayed is True
        assert [(line.kind, line.time) for line in ledger.entries(LIVE)] == [
            *(("reserve", NOW + 10 * WEEK), ("redeem", NOW), ("reserve", 0)),
        ]
        assert ledger.check() == []

    # --- books ---

    def test_lines_are_numbered_without_a_gap_and_add_up(self, ledger: Ledger) -> None:
        """By tenant, over more than a page; the sum of all is the balance."""
        for number in range(7):
            reserve(ledger, number)
            reserve(ledger, 50 + number, claims(), tenant=TEST)
            if number % 2:
                redeem(ledger, number, 100 * number)
        lines = ledger.entries(LIVE)
        assert [line.sequence for line in lines] == list(range(1, len(lines) + 1))
        paged = [line for after in range(0, len(lines), 3) for line in ledger.entries(LIVE, after, 3)]
        assert paged == lines
        held, spent = sum(line.held for line in lines), sum(line.spent for line in lines)
        assert ledger.balance(LIVE, "spring") == {"EUR": (held, spent)} == {"EUR": (4 * 500, 900)}
        assert [(line.held, line.spent) for line in lines if line.reservation == asked(1).id] == [(500, 0), (-500, 100)]
        assert ledger.check() == []

    def test_a_tenant_never_sees_another_ones_books(self, ledger: Ledger) -> None:
        """Not its reservations, counters, balances, codes or orders."""
        reserve(ledger, 1, claims(total=1))
        redeem(ledger, 1)
        ledger.add_codes(LIVE, [Code(b"digest", "spring")])
        one = asked(1).id
        assert ledger.reservation(TEST, one) is None
        assert ledger.redeem(TEST, one, "order 1", None, once("a"), NOW).refused == "no_such_reservation"
        assert ledger.roll_back(TEST, one, None, once("b"), NOW).refused == "no_such_reservation"
        assert (ledger.of_order(TEST, "order 1"), ledger.entries(TEST)) == ([], [])
        assert (ledger.used(TEST, KEYS), ledger.balance(TEST, "spring"), ledger.code(TEST, b"digest")) == ({}, {}, None)
        ledger.forget(TEST, [ANN])
        kept = ledger.reservation(LIVE, one)
        assert kept is not None
        assert kept.shopper == ANN
        assert reserve(ledger, 2, claims(total=1), tenant=TEST).refused == ""

    def test_a_code_is_made_once(self, ledger: Ledger) -> None:
        """Every field survives; one that is there stays as it is."""
        codes = [Code(b"one", "spring"), Code(b"two", "autumn", 0, NOW)]
        ledger.add_codes(LIVE, codes)
        ledger.add_codes(LIVE, [Code(b"one", "winter", 9, 9), Code(b"three", "winter")])
        assert [ledger.code(LIVE, each.digest) for each in codes] == codes
        assert ledger.code(LIVE, b"three") == Code(b"three", "winter")

    def test_every_change_of_state_leaves_a_notice(self, ledger: Ledger) -> None:
        """As it was then, oldest first, until it is settled. What changed no state leaves none."""
        one = asked(1).id
        reserve(ledger, 1)
        redeem(ledger, 1, 400)
        ledger.redeem(LIVE, one, "order 1", None, once("again"), NOW)
        ledger.roll_back(LIVE, one, 100, once("part"), NOW)
        reserve(ledger, 2, claims(total=0))
        ledger.roll_back(LIVE, one, None, once("all"), NOW)
        waiting = ledger.notices(10)
        told = [(each.state, each.amount, each.shopper, each.tenant) for _, each in waiting]
        expected = [("reserved", 500), ("redeemed", 400), ("rolled_back", 300)]
        assert told == [(*each, ANN, LIVE) for each in expected]
        assert ledger.notices(2) == waiting[:2]
        ledger.settle(number for number, _ in waiting)
        ledger.settle([waiting[0][0]])
        assert ledger.notices(10) == []
        reserve(ledger, 3)
        assert ledger.notices(10)[0][0] > waiting[-1][0]

    def test_a_forgotten_shopper_leaves_the_money_and_no_name(self, ledger: Ledger) -> None:
        """Not in reservations, notices, answers or the names of counters; others keep theirs."""
        reserve(ledger, 1)
        redeem(ledger, 1)
        bobs = asked(2, shopper=BOB)
        ledger.reserve(bobs, claims(shopper=BOB), once("bob"), NOW)
        assert reserve(ledger, 3, [Claim(KEYS[1], 1, 1)]).limit == KEYS[1]
        assert ledger.forget(LIVE, [ANN])
        assert not ledger.forget(LIVE, [ANN])
        kept = ledger.reservation(LIVE, asked(1).id)
        assert kept is not None
        assert (kept.shopper, kept.state, kept.amount) == (b"", "redeemed", 500)
        assert [each.shopper for _, each in ledger.notices(9)] == [b"", b"", BOB]
        replayed = [reserve(ledger, 1), redeem(ledger, 1)]
        assert [each.reservation.shopper for each in replayed if each.reservation] == [b"", b""]
        refused = reserve(ledger, 3)
        assert (refused.replayed, refused.refused, refused.limit) == (True, "limit_reached", "")
        bob = f"spring/shopper/{BOB.hex()}"
        assert ledger.used(LIVE, [*KEYS, bob]) == {"spring/total": 2, bob: 1, "spring/budget/EUR": 1_000}
        assert ledger.balance(LIVE, "spring") == {"EUR": (500, 500)}
        assert ledger.check() == []
        ledger.roll_back(LIVE, asked(1).id, None, once("back"), NOW)
        assert ledger.used(LIVE, KEYS) == {"spring/total": 1, "spring/budget/EUR": 500}
        assert ledger.check() == []

    # --- what people read ---

    def test_books_tell_what_moved_what_is_held_and_what_was_refused(self, ledger: Ledger) -> None:
        """Lines with reservations as they are now, codes made and used, and why requests were refused, by the hour."""
        hour = NOW // HOUR * HOUR
        assert (ledger.moves(LIVE), ledger.holding(LIVE), ledger.code_counts(LIVE), ledger.refusals(LIVE, 0)) == (
            *([], [], {}),
            {},
        )
        digests = [bytes([number]) * 16 for number in range(3)]
        ledger.add_codes(LIVE, [Code(digest, "spring") for digest in digests])
        ledger.add_codes(TEST, [Code(digests[0], "spring")])
        reserve(ledger, 1, [*claims(), Claim(f"spring/code/{digests[0].hex()}", 1, 1)])
        redeem(ledger, 1)
        reserve(ledger, 2)
        reserve(ledger, 3)
        reserve(ledger, 4, [Claim("spring/total", 1, 0)], NOW - HOUR)
        reserve(ledger, 5, [Claim("refused:unknown_code", 1, 0)])
        reserve(ledger, 6, [Claim("refused:unknown_code", 1, 0)], NOW + 1)
        reserve(ledger, 7, tenant=TEST)
        lines = ledger.moves(LIVE)
        assert [each.entry for each in lines] == ledger.entries(LIVE)
        assert [(each.entry.kind, each.reservation.state) for each in lines] == [
            *(("reserve", "redeemed"), ("redeem", "redeemed")),
            *(("reserve", "reserved"), ("reserve", "reserved")),
        ]
        assert lines[0].reservation == ledger.reservation(LIVE, asked(1).id)
        assert ledger.moves(LIVE, after=1, limit=2) == lines[1:3]
        assert ledger.holding(LIVE) == [Holding("spring", "EUR", 2, 1_000, NOW + HOLD)]
        assert ledger.code_counts(LIVE) == {"spring": CodeCount(3, 1)}
        assert ledger.refusals(LIVE, 0) == {("unknown_code", hour): 2, ("limit_reached", hour - HOUR): 1}
        assert ledger.refusals(LIVE, NOW + 1) == {("unknown_code", hour): 1}

    # --- what makes no sense ---

    def test_what_makes_no_sense_is_refused_whole(self, ledger: Ledger) -> None:
        """Before anything is counted."""
        reserve(ledger, 1)
        one = asked(1).id
        senseless: list[Callable[[], object]] = [
            lambda: ledger.reserve(asked(2, -1), [], once("a"), NOW),
            lambda: ledger.reserve(asked(2, 2**60), [], once("a"), NOW),
            lambda: reserve(ledger, 2, [Claim("k", -1, 5)]),
            lambda: reserve(ledger, 2, [Claim("k", 1, 5), Claim("k", 2, 5)]),
            lambda: ledger.redeem(LIVE, one, "o", -1, once("b"), NOW),
            lambda: ledger.redeem(LIVE, one, "", None, once("b"), NOW),
            lambda: ledger.redeem(LIVE, one, "o\0", None, once("b"), NOW),
            lambda: ledger.roll_back(LIVE, one, -1, once("c"), NOW),
            lambda: ledger.release(LIVE, one, once(""), NOW),
            lambda: ledger.release(LIVE, one, once("x" * 501), NOW),
            lambda: ledger.release(LIVE, one, once("\ud800"), NOW),
        ]
        assert [raised(each) for each in senseless] == ["invalid_input"] * len(senseless)
        assert raised(lambda: ledger.reserve(asked(1), claims(), once("twin"), NOW)) == "conflict"
        assert ledger.used(LIVE, [*KEYS, "k"]) == dict(zip(KEYS, (1, 1, 500), strict=True))
        assert reserve(ledger, 2, [Claim("k", 1, 2**70), Claim("k", 1, 2**70)]).refused == ""
        assert ledger.used(LIVE, ["k"]) == {"k": 1}
        assert ledger.check() == []
