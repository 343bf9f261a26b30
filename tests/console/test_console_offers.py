"""Offers: their terms in words, how far limits are, codes, and patterns in the books."""

import random
import shutil
from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tests.console.conftest import Site

from cashwrap.adapters.sqlite_ledger import SqliteLedger
from cashwrap.console.remembered import Remembered
from cashwrap.console.shop.ledger_pages import LOOK_BACK, LedgerPages, by_day
from cashwrap.console.shop.suspicious import DAY, HOUR, Suspicion, suspicions, who
from cashwrap.errors import Unavailable
from cashwrap.ledger import Claim, Entry, Move, Once, Reservation
from cashwrap.model import Millis, Tenant
from cashwrap.offers.codes import code_digest, read_code
from cashwrap.publishing import draft_of

HERE = Tenant()
NOW: Millis = 1_800_000_000_000


# --- patterns ---


def move(kind: str, at: Millis, *, shopper: str = "", cart: str = "", code: str = "", number: int = 0) -> Move:
    name = (number or hash((kind, at, shopper, cart, code))).to_bytes(12, "big", signed=True)
    entry = Entry(1, name, "spring", "EUR", kind, 0, 0, at)  # type: ignore[arg-type]
    who, basket, opened = shopper.encode(), cart.encode(), code.encode()
    return Move(entry, Reservation(name, HERE, "spring", "EUR", 500, at, at, who, basket, opened))


def quiet() -> list[Move]:
    """A month of a shop where nothing is strange: 600 shoppers, half of them redeem, some give back or refund."""
    dice, moves = random.Random(5), list[Move]()
    for number in range(1, 601):
        at, shopper = NOW - dice.randrange(28 * DAY), f"shopper {number}"
        moves.append(move("reserve", at, shopper=shopper, cart=f"cart {number % 50}", number=number))
        fate = dice.choice(["redeem", "redeem", "release", "expire"])
        moves.append(move(fate, at + HOUR, shopper=shopper, number=number))
        if fate == "redeem" and number % 20 == 0:
            moves.append(move("roll_back", at + 3 * DAY, shopper=shopper, number=number))
    return sorted(moves, key=lambda each: each.entry.time)


STRANGE: dict[str, list[Move]] = {
    "loop": [move("release", NOW - 5 * HOUR * n, shopper="ann") for n in range(4, -1, -1)],
    "code_loop": [move("expire", NOW - HOUR * n, code="c") for n in range(4, -1, -1)],
    "held_for_nothing": [move("expire", NOW - HOUR * n, shopper=f"held {n}") for n in range(49, -1, -1)],
    "refunds": [
        each
        for n in (1, 2, 3)
        for each in (
            move("redeem", NOW - 10 * DAY, shopper="bob", number=9_000 + n),
            move("roll_back", NOW - 4 * DAY, shopper="bob", number=9_000 + n),
        )
    ],
    "same_basket": [move("reserve", NOW // HOUR * HOUR + n, shopper=f"s{n}", cart="same") for n in range(10)],
    "rush": [move("redeem", NOW // HOUR * HOUR + n, shopper=f"r{n}", number=8_000 + n) for n in range(30)],
}


def codes_of(moves: Sequence[Move], refusals: dict[tuple[str, Millis], int] | None = None) -> set[str]:
    return {each.code for each in suspicions(sorted(moves, key=lambda each: each.entry.time), refusals or {})}


def test_a_quiet_shop_has_no_patterns() -> None:
    assert codes_of(quiet(), {("unknown_code", NOW): 99, ("limit_reached", NOW): 5_000}) == set()
    assert codes_of([]) == set()


@pytest.mark.parametrize("code", [code for code in STRANGE if code != "held_for_nothing"])
def test_each_pattern_is_found_and_told_apart(code: str) -> None:
    assert codes_of([*quiet(), *STRANGE[code]]) == {code}


def test_what_is_held_for_nothing() -> None:
    assert codes_of(STRANGE["held_for_nothing"]) == {"held_for_nothing"}
    bought = [move("redeem", NOW - n, shopper=f"b{n}", number=7_000 + n) for n in range(5)]
    assert codes_of([*STRANGE["held_for_nothing"], *bought]) == set()


@pytest.mark.parametrize("code", ["loop", "code_loop", "refunds", "same_basket"])
def test_one_time_fewer_is_no_pattern(code: str) -> None:
    fewer = STRANGE[code][:-1] if code != "refunds" else STRANGE[code][:4]
    assert codes_of([*quiet(), *fewer]) == set()


def test_the_same_over_a_longer_time_is_no_loop() -> None:
    slow = [replace(each.entry, time=NOW - n * DAY) for n, each in enumerate(STRANGE["loop"])]
    assert codes_of([Move(entry, STRANGE["loop"][0].reservation) for entry in slow]) == set()


def test_guessing_is_told_by_the_hour() -> None:
    found = suspicions([], {("unknown_code", NOW): 150, ("unknown_code", NOW + HOUR): 100, ("unknown_code", 0): 99})
    assert found == [Suspicion("guessing", "", 2, 250, NOW, NOW + 2 * HOUR - 1)]


def test_who_is_behind_a_pattern() -> None:
    moves = [*quiet(), *STRANGE["loop"], *STRANGE["refunds"]]
    assert who("loop", "spring", moves) == [(b"ann", 5)]
    assert who("refunds", "spring", moves) == [(b"bob", 3)]
    assert who("rush", "spring", moves) == []


# --- the books ---


class Frozen:
    """A clock that stands."""

    def now(self) -> Millis:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def reserve(ledger: SqliteLedger, number: int, at: Millis, offer: str = "same_again", shopper: bytes = b"ann") -> bytes:
    name = number.to_bytes(12, "big")
    asked = Reservation(name, HERE, offer, "EUR", 500, at, at + HOUR, shopper, b"cart")
    claims = [Claim(f"{offer}/total", 1, 10**6), Claim(f"{offer}/budget/EUR", 500, 10**9, money=True)]
    assert not ledger.reserve(asked, claims, Once(f"r{number}", b""), at).refused
    return name


def redeem(ledger: SqliteLedger, name: bytes, at: Millis) -> None:
    assert not ledger.redeem(HERE, name, f"o{name.hex()}", None, Once(f"p{name.hex()}", b""), at).refused


def test_only_lines_of_the_last_days_are_read() -> None:
    ledger = SqliteLedger(None)
    for number in range(1, 40):
        reserve(ledger, number, NOW - LOOK_BACK + (number - 20) * DAY, "same_again", b"")
    pages = LedgerPages(ledger, Frozen(), Remembered(Frozen()))
    moves, complete = pages.moves(HERE)
    assert (len(moves), complete) == (20, True)
    assert min(each.entry.time for each in moves) == NOW - LOOK_BACK
    assert by_day(moves)["same_again"].of("reserve") == 20
    assert pages.moves(Tenant("other", "live")) == ([], True)
    assert pages.checked() is None
    assert pages.check().wrong == []
    assert pages.checked() == pages.check()
    ledger.close()


@pytest.fixture
def sold(site: Site) -> tuple[Site, SqliteLedger]:
    """A shop that sold with an offer, and one shopper who reserves again and again."""
    ledger, now = site.console.world.ledger, site.console.world.clock.now()
    assert isinstance(ledger, SqliteLedger)
    for number in range(1, 4):
        redeem(ledger, reserve(ledger, number, now - DAY), now - DAY + 1)
    reserve(ledger, 10, now)
    for number in range(20, 25):
        name = reserve(ledger, number, now, shopper=b"loop")
        ledger.release(HERE, name, Once(f"x{number}", b""), now)
    return site, ledger


def test_the_list_tells_limits_money_and_patterns(sold: tuple[Site, SqliteLedger]) -> None:
    site, _ = sold
    page = site.browser("viewer").get("/offers").text
    assert "10% off, €15.00 at most" in page
    assert "€20.00" in page  # held or spent, of the budget
    assert "€2,980.00 left" in page
    assert "Reserved and given back, again and again" in page
    assert "fewer than 20 shoppers" in page
    assert b"loop".hex() not in page
    assert "To these shoppers" not in page
    assert "To these shoppers" in site.browser("privacy").get("/offers").text


def test_one_offer_with_terms_lines_and_days(sold: tuple[Site, SqliteLedger]) -> None:
    site, _ = sold
    page = site.browser("viewer").get("/offers/of/same_again").text
    assert "At most 3 times for one shopper" in page
    assert "repeat_buyer" in page
    assert "best_offer_on_the_basket" in page
    assert "€15.00" in page  # spent
    assert "data-plot" in page
    assert site.browser("viewer").get("/offers/of/none").status_code == 404


def test_who_is_behind_it_is_for_whoever_reads_shoppers(sold: tuple[Site, SqliteLedger]) -> None:
    site, _ = sold
    path = "/offers/of/same_again/shoppers/loop"
    assert site.browser("viewer").get(path).status_code == 403
    assert "Nobody is known" in site.browser("privacy").get(path).text
    assert site.browser("privacy").get("/offers/of/same_again/shoppers/other").status_code == 404


def test_the_books_are_checked_when_asked(sold: tuple[Site, SqliteLedger]) -> None:
    site, ledger = sold
    browser = site.browser("viewer")
    assert "not checked yet" in browser.get("/offers").text
    assert browser.post("/offers/check").status_code == 303
    assert "add up" in browser.get("/offers").text
    with ledger._database.writing() as db:
        db.execute("UPDATE balances SET spent = spent + 1")
    browser.post("/offers/check")
    assert "The books do not add up" in browser.get("/offers").text


def test_books_that_cannot_be_read_leave_the_terms(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise Unavailable("the ledger's database cannot be reached", code="ledger_unreachable")

    monkeypatch.setattr(SqliteLedger, "_read", gone)
    for path in ("/offers", "/offers/of/same_again"):
        answer = site.browser("viewer").get(path)
        assert answer.status_code == 200
        assert "The books cannot be read now" in answer.text
        assert "10% off" in answer.text


# --- codes ---


@pytest.fixture
def coded(site: Site) -> Site:
    """The starter playbook with an offer that takes codes, live."""
    file = site.playbook / "offers.yaml"
    friends = "offers:\n  friends:\n    benefit: {amount: 5}\n    codes: single\n    limits: {total: 50}\n"
    file.write_text(file.read_text().replace("offers:\n", friends, 1))
    go_live(site)
    return site


def test_codes_are_made_told_once_and_noted(coded: Site) -> None:
    browser = coded.browser("marketer")
    assert "Make codes and download them" in browser.get("/offers/of/friends").text
    answer = browser.post("/offers/of/friends/codes", {"count": "3", "uses": "", "expires": "2027-01-31"})
    texts = answer.text.split()
    assert answer.headers["content-disposition"] == 'attachment; filename="friends-codes.txt"'
    assert (answer.headers["cache-control"], len(set(texts))) == ("no-store", 3)
    world = coded.console.world
    assert world.ledger is not None
    found = [world.ledger.code(HERE, code_digest(world.vault, HERE, read_code(text) or "")) for text in texts]
    assert all(each is not None and (each.offer, each.uses) == ("friends", 1) and each.expires for each in found)
    assert world.audit is not None
    entry = world.audit.entries()[-1][1]
    assert (entry.actor, entry.action, entry.subject, entry.details["count"]) == (
        *("person:marketer", "offer.codes", "friends"),
        "3",
    )
    page = browser.get("/offers/of/friends").text
    assert not any(text in page for text in texts)


@pytest.mark.parametrize(
    "fields",
    [
        {"count": "0"},
        {"count": "100001"},
        {"count": "x"},
        {"count": "1", "uses": "-1"},
        {"count": "1", "expires": "31.1.2027"},
    ],
)
def test_codes_that_cannot_be_made_say_why_and_lose_nothing(coded: Site, fields: dict[str, str]) -> None:
    answer = coded.browser("marketer").post("/offers/of/friends/codes", fields)
    assert answer.status_code == 422
    assert f'value="{fields["count"]}"' in answer.text
    assert coded.console.world.ledger is not None
    assert coded.console.world.ledger.code_counts(HERE) == {}


def test_codes_need_their_permission_and_an_offer_that_takes_them(coded: Site) -> None:
    assert coded.browser("analyst").post("/offers/of/friends/codes", {"count": "1"}).status_code == 403
    assert coded.browser("marketer").post("/offers/of/same_again/codes", {"count": "1"}).status_code == 400
    assert coded.browser("marketer").post("/offers/of/none/codes", {"count": "1"}).status_code == 404
    other = coded.browser("marketer", name="m2", store="other")
    assert other.post("/offers/of/friends/codes", {"count": "1"}).status_code == 403


# --- hostile texts ---


def test_hostile_texts_stay_texts(site: Site) -> None:
    file = site.playbook / "offers.yaml"
    text = "<script>alert(1)</script>\\u202e" + "x" * 120
    file.write_text(file.read_text().replace("10 % for buying again", text))
    go_live(site)
    for path in ("/offers", "/offers/of/same_again"):
        assert "<script>alert" not in site.browser("viewer").get(path).text
    assert "<script>alert" not in site.browser("viewer").get("/offers", q='"><script>alert(1)').text


def test_an_empty_playbook_says_what_would_be_here(site: Site) -> None:
    shutil.rmtree(site.playbook)
    site.playbook.mkdir()
    (site.playbook / "shop.yaml").write_text("placements:\n  hero: {component: message}\n")
    go_live(site)
    assert "No offers yet" in site.browser("viewer").get("/offers").text


def go_live(site: Site) -> None:
    draft = draft_of(site.playbook)
    site.console.versions.keep(draft.playbook, draft.files)
    site.console.versions.go_live(draft.playbook.hash, "folder")


def test_who_may_write_drafts_is_led_to_the_forms(site: Site) -> None:
    writes, looks = site.browser("marketer"), site.browser("viewer")
    assert "/drafts/new?offer=new" in writes.get("/offers").text
    assert "/drafts/new?offer=gold_thanks" in writes.get("/offers/of/gold_thanks").text
    assert "/drafts/new" not in looks.get("/offers").text + looks.get("/offers/of/gold_thanks").text
