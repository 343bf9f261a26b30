"""What a shopper may try to get more of an offer, and that none of it works: laws over the true fold and merge."""

from collections.abc import Callable
from itertools import count
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cashwrap import profiles
from cashwrap.declarations import AmountDecl, LimitsDecl, OfferDecl
from cashwrap.features import FeatureSet
from cashwrap.model import Event, OfferUse, Profile, Promise, Purpose
from cashwrap.offering import promises
from cashwrap.offers import guard
from cashwrap.offers.guard import closed, exhausted, promise
from cashwrap.offers.terms import Offer, compile_offer
from cashwrap.profiles import CONSIDERED, GRANTED, OFFERING, REDEEMED, RELEASED
from offer_shop import DAY, HOUR, playbook

LASTS, AGAIN, FREEZE = 48 * HOUR, 90 * DAY, 30 * DAY
T0 = 1_772_452_800_000
NO_FEATURES: FeatureSet = playbook("placements: {spot: {component: message}}\n").features
numbers = count(1)


def offer(**changes: object) -> Offer:
    declared = OfferDecl("win_back", AmountDecl("5"), lasts=LASTS, again_after=AGAIN, limits=LimitsDecl(shopper=2))
    return compile_offer(replace(declared, **changes), None, "EUR", personal=False)


class Device:
    """A profile, and the shop's side: what a page is granted is remembered as the engine does."""

    def __init__(self, terms: Offer) -> None:
        self.terms = terms
        number = next(numbers)
        self.profile = Profile(id=b"%016d" % number, analytic_id=b"%016d" % number, created=T0)
        self.holding: list[str] = []

    @property
    def use(self) -> OfferUse | None:
        return self.profile.offers.get("win_back")

    def note(self, name: str, now: int, **facts: object) -> None:
        event = Event(
            id=f"{name}{now}{facts}",
            name=name,
            time=now,
            received=now,
            mask=Purpose.PERSONALIZATION | Purpose.NECESSARY,
            source=OFFERING,
            properties={"offer": "win_back", **facts},
            trusted=True,
        )
        profiles.fold(self.profile, event, NO_FEATURES)

    def deal(self, now: int) -> int:
        """Until when the shopper has the offer, as a page would say now; 0 for not at all."""
        if closed(self.terms, self.use, now):
            return 0
        told = promise(self.terms, self.use, now)
        return told.expires if told is not None else now + LASTS

    def visit(self, now: int) -> int:
        """A page that grants it if it can, and what it promises."""
        ends = self.deal(now)
        if ends and promises._is_first(self.terms, self.use or OfferUse(), now):
            self.note(GRANTED, now, expires=ends)
        return ends

    def redeem(self, now: int) -> None:
        name = f"r{next(numbers)}"
        self.holding.append(name)
        self.note(REDEEMED, now, reservation=name)

    def give_back(self, now: int) -> None:
        if self.holding:
            self.note(RELEASED, now, reservation=self.holding.pop())

    def join(self, other: "Device") -> None:
        profiles.merge(self.profile, other.profile, NO_FEATURES)
        self.holding += other.holding


Step = tuple[Literal["visit", "redeem", "give_back", "switch", "join", "wait"], int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["visit", "visit", "redeem", "give_back", "switch", "join", "wait"]),
        st.sampled_from([0, 1, HOUR, 24 * HOUR, LASTS - 1, LASTS, 10 * DAY, AGAIN - LASTS, AGAIN]),
    ),
    max_size=25,
)


def play(steps: list[Step], terms: Offer | None = None) -> list[str]:  # noqa: C901 - one branch a step
    """What a sequence of tries got that it should not have."""
    now, wrong = T0, []
    devices = [Device(terms or offer())]
    mine = devices[0]
    first: dict[int, list[tuple[int, int]]] = {0: []}
    """By device: each promise made to its shopper, with its end."""
    at = 0
    for kind, number in steps:
        if kind == "wait":
            now += number
        elif kind == "visit":
            ends = mine.visit(now)
            known = [(made, end) for made, end in first[at] if now - made < AGAIN]
            if ends and known and ends > min(end for _, end in known):
                wrong.append(f"a later end than what was promised first: {ends}")
            if ends and any(end <= now for _, end in known):
                wrong.append("granted again before again_after had passed")
            if ends and (not known):
                first[at].append((now, ends))
        elif kind == "redeem" and mine.deal(now):
            mine.redeem(now)
        elif kind == "give_back":
            mine.give_back(now)
        elif kind == "switch":
            at = number % (len(devices) + 1)
            if at == len(devices):
                devices.append(Device(mine.terms))
                first[at] = []
            mine = devices[at]
        elif kind == "join" and len(devices) > 1:
            other = (at + 1) % len(devices)
            before = [deal for deal in (mine.deal(now), devices[other].deal(now)) if deal]
            mine.join(devices[other])
            after = mine.deal(now)
            if after > max(before, default=0):
                wrong.append("a better deal by a merge than on any of the devices")
            first[at] = sorted(first[at] + first[other])
            devices[other], first[other] = Device(mine.terms), []
    return wrong


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_nothing_a_shopper_does_betters_what_was_promised_first(steps: list[Step]) -> None:
    assert play(steps) == []


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the newest promise counts": lambda patch: patch.setattr(
        guard,
        "promise",
        lambda offer, use, now: Promise(max(end for _, end in use.grants)) if use and use.grants else None,
    ),
    "a refund starts the clock anew": lambda patch: patch.setattr(
        guard, "round_of", _forgets_at_a_refund(guard.round_of)
    ),
    "a merge forgets the other device": lambda patch: patch.setattr(profiles, "_merge_use", lambda mine, theirs: None),
    "a promise that is over is made anew": lambda patch: patch.setattr(guard, "_over", lambda *_: ""),
}


def _forgets_at_a_refund(true: Callable[..., object]) -> Callable[..., object]:
    return lambda offer, use, now: None if use.released else true(offer, use, now)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_bug_is_seen(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[planted](monkeypatch)
    monkeypatch.setattr("test_offer_guard.promise", guard.promise)
    monkeypatch.setattr(promises, "round_of", guard.round_of)
    tries: list[list[Step]] = [
        [("visit", 0), ("wait", LASTS), ("visit", 0)],
        [
            ("visit", 0),
            ("redeem", 0),
            ("give_back", 0),
            ("wait", HOUR),
            ("visit", 0),
            ("wait", LASTS - 1),
            ("visit", 0),
        ],
        [("visit", 0), ("switch", 1), ("wait", HOUR), ("visit", 0), ("join", 0), ("visit", 0)],
    ]
    assert any(play(steps) for steps in tries), f"nobody saw it: {planted}"


# --- single rules ---


def with_uses(**fields: object) -> OfferUse:
    return replace(OfferUse(), **fields)


def test_abandoning_again_earns_nothing() -> None:
    shopper = Device(offer())
    granted = [shopper.visit(T0 + day * DAY) for day in range(0, 400, 5)]
    begun = sorted({ends - LASTS for ends in granted if ends})
    assert begun == [T0, T0 + AGAIN, T0 + 2 * AGAIN, T0 + 3 * AGAIN, T0 + 4 * AGAIN]


def test_without_again_after_it_never_comes_back() -> None:
    shopper = Device(offer(again_after=None))
    assert shopper.visit(T0) == T0 + LASTS
    assert shopper.visit(T0 + LASTS - 1) == T0 + LASTS
    assert [shopper.visit(T0 + LASTS + day * DAY) for day in range(0, 4000, 100)] == [0] * 40
    assert closed(shopper.terms, shopper.use, T0 + LASTS) == "ended"


def test_a_refund_gives_the_use_back_and_not_the_time() -> None:
    shopper = Device(offer(limits=LimitsDecl(shopper=1)))
    shopper.visit(T0)
    shopper.redeem(T0 + HOUR)
    assert closed(shopper.terms, shopper.use, T0 + 2 * HOUR) == "used"
    shopper.give_back(T0 + 3 * HOUR)
    assert shopper.deal(T0 + 4 * HOUR) == T0 + LASTS
    assert shopper.deal(T0 + LASTS) == 0


def test_a_use_ends_the_round_where_another_may_come_later() -> None:
    shopper = Device(offer(limits=LimitsDecl()))
    shopper.visit(T0)
    shopper.redeem(T0 + HOUR)
    assert closed(shopper.terms, shopper.use, T0 + 2 * HOUR) == "cooling"
    assert closed(shopper.terms, shopper.use, T0 + AGAIN) == "cooling", "the use itself counts too"
    assert closed(shopper.terms, shopper.use, T0 + HOUR + AGAIN) == ""


def test_a_verdict_is_kept_and_does_not_take_back_a_promise() -> None:
    terms = offer(freeze=FREEZE)
    assert closed(terms, with_uses(considered=T0), T0 + FREEZE - 1) == "frozen"
    assert closed(terms, with_uses(considered=T0), T0 + FREEZE) == ""
    promised_first = with_uses(grants=[(T0, T0 + LASTS)], considered=T0 + HOUR)
    assert closed(terms, promised_first, T0 + 2 * HOUR) == ""
    refused_first = with_uses(grants=[(T0 + HOUR, T0 + HOUR + LASTS)], considered=T0)
    assert closed(terms, refused_first, T0 + 2 * HOUR) == "frozen"


def test_an_offer_without_a_clock_is_promised_nothing() -> None:
    plain = offer(lasts=None, again_after=None)
    used = with_uses(grants=[(T0, 0)])
    assert promise(plain, used, T0) is None
    assert closed(plain, used, T0 + 1000 * DAY) == ""


@pytest.mark.parametrize(
    ("counters", "limits", "expected"),
    [
        ({}, LimitsDecl(total=1), False),
        ({"win_back/total": 1}, LimitsDecl(total=1), True),
        ({"win_back/total": 9}, LimitsDecl(), False),
        ({"win_back/day/2026-03-02": 4}, LimitsDecl(day=4), True),
        ({"win_back/day/2026-03-01": 4}, LimitsDecl(day=4), False),
        ({"win_back/budget/EUR": 999}, LimitsDecl(budget="10"), False),
        ({"win_back/budget/EUR": 1000}, LimitsDecl(budget="10"), True),
        ({"win_back/budget/USD": 1000}, LimitsDecl(budget="10"), False),
    ],
)
def test_what_is_exhausted(counters: dict[str, int], limits: LimitsDecl, expected: bool) -> None:
    assert exhausted(offer(limits=limits), counters, "2026-03-02") is expected


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_past_is_the_same_in_any_order_of_arrival(order: list[int], cut: int) -> None:
    def told(numbers: list[int]) -> Device:
        device = Device(offer())
        for number in numbers:
            name, time = (GRANTED, CONSIDERED, REDEEMED, RELEASED)[number % 4], T0 + number * HOUR
            device.note(name, time, reservation=f"r{number // 8}", **({"expires": time} if name == GRANTED else {}))
        return device

    one, other, whole = told(list(order[:cut])), told(list(order[cut:])), told(list(range(12)))
    one.join(other)
    assert one.use == whole.use


def test_the_past_is_bounded() -> None:
    device = Device(offer())
    for number in range(300):
        device.note(REDEEMED, T0 + number, reservation=f"r{number}")
        device.note(GRANTED, T0 + number, expires=T0)
    use = device.use
    assert use is not None
    assert len(use.redeemed) == profiles.USES
    assert max(use.redeemed.values()) == T0 + 299
    assert [time - T0 for time, _ in use.grants] == [*range(10), *range(290, 300)]
