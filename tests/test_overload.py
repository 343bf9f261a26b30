"""What is left out under overload: in order, no sooner than needed, and taken back."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.content import Catalogue
from cashwrap.decide import decide
from cashwrap.model import Exposure, Inputs, Product, Tenant
from cashwrap.overload import Overload, Shed, Tuning
from cashwrap.playbook import examine

DECIDE, COLLECT, REFUSE = 0.1, 1.0, 0.03
"""Milliseconds of work, about as measured."""
SIMPLER = {Shed.NOTHING: 1.0, Shed.EVENTS: 1.0, Shed.RECOMMENDATIONS: 0.9, Shed.EXPERIMENTS: 0.8, Shed.DEFAULTS: 0.4}
"""What a decision costs at each step, as a part of the whole."""


class Server:
    """One core: what arrives waits in line. ``guarded`` is off for the server that sheds nothing."""

    def __init__(self, *, guarded: bool = True) -> None:
        self.overload, self.guarded = Overload(), guarded
        self.line: deque[tuple[float, str]] = deque()
        self.free_at = 0.0
        self.waits: list[float] = []
        self.taken = 0
        self.seen: list[Shed] = []

    def run(self, millis: int, decisions: int, batches: int) -> None:
        """So many of each a second, evenly."""
        arrivals = sorted(
            [(at * 1000 / decisions, "decide") for at in range(millis * decisions // 1000)]
            + [(at * 1000 / batches, "collect") for at in range(millis * batches // 1000)]
        )
        start, beat = self.free_at, self.free_at
        for offset, kind in arrivals:
            at = start + offset
            while beat <= at:
                late = max(0.0, self.free_at - beat)
                if self.guarded:
                    self.overload.note(int(late), 0, int(beat))
                self.seen.append(self.overload.shed)
                beat += 10
            self.free_at = max(self.free_at, at)
            if kind == "decide":
                self.free_at += DECIDE * SIMPLER[self.overload.shed]
                self.waits.append(self.free_at - at)
            elif self.overload.takes(trusted=False):
                self.free_at += COLLECT
                self.taken += 1
            else:
                self.free_at += REFUSE


def test_five_times_as_many_events_leave_decisions_fast_and_most_of_the_work_done() -> None:
    server = Server()
    server.run(60_000, decisions=300, batches=4_500)  # nine hundred and seventy batches a second would fill the core
    late = sorted(server.waits[len(server.waits) // 4 :])
    assert late[len(late) * 99 // 100] < 60
    assert server.taken / 60 >= 0.8 * 970
    assert max(server.seen) == Shed.EVENTS, "decisions lose nothing where turning events away is enough"


def test_without_it_decisions_wait_for_ever_longer() -> None:
    server = Server(guarded=False)
    server.run(20_000, decisions=300, batches=4_500)
    assert max(server.waits) > 10_000


def test_too_many_decisions_are_made_simpler_in_order() -> None:
    server = Server()
    server.run(20_000, decisions=16_000, batches=200)
    steps = [step for step, before in zip(server.seen[1:], server.seen, strict=False) if step > before]
    first = list(dict.fromkeys(steps))
    assert first == [Shed.EVENTS, Shed.RECOMMENDATIONS, Shed.EXPERIMENTS, Shed.DEFAULTS]


def test_a_burst_is_no_overload() -> None:
    overload = Overload()
    for at in range(0, 5_000, 10):
        overload.note(80 if at % 200 < 50 else 0, 400 if at % 200 < 50 else 0, at)
        assert overload.shed is Shed.NOTHING


def test_calm_brings_everything_back() -> None:
    overload = Overload()
    for at in range(0, 20_000, 10):
        overload.note(50, 0, at)
    assert overload.shed is Shed.DEFAULTS
    for at in range(20_000, 40_000, 10):
        overload.note(0, 0, at)
    assert (overload.shed, overload.share) == (Shed.NOTHING, 1.0)


def test_a_slow_disk_turns_events_away_and_leaves_decisions_alone() -> None:
    overload = Overload()
    for at in range(0, 20_000, 10):
        overload.note(0, 2_000, at)
    assert (overload.shed, overload.share) == (Shed.EVENTS, Tuning().least)


def test_what_a_backend_sends_is_taken() -> None:
    overload = Overload()
    for at in range(0, 20_000, 10):
        overload.note(50, 0, at)
    assert all(overload.takes(trusted=True) for _ in range(100))
    assert 1 <= sum(overload.takes(trusted=False) for _ in range(100)) <= 6


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 5_000), st.integers(0, 300)), max_size=300))
@settings(max_examples=200)
def test_never_leaves_its_bounds_whatever_it_is_told(samples: list[tuple[int, int, int]]) -> None:
    overload, now = Overload(), 0
    for late, wait, pause in samples:
        before, now = overload.shed, now + pause
        overload.note(late, wait, now)
        assert abs(overload.shed - before) <= 1, "one step at a time"
        assert Tuning().least <= overload.share <= 1
        assert (overload.shed is Shed.NOTHING) == (overload.share == 1.0)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.7])
def test_the_share_is_exact(share: float) -> None:
    overload = Overload()
    overload.shed, overload.share = Shed.EVENTS, share
    taken = sum(overload.takes(trusted=False) for _ in range(1_000))
    assert abs(taken - 1_000 * share) <= 1
    assert overload.turned_away == 1_000 - taken


# --- what a decision leaves out ---

PLAYBOOK = """
shop: {currency: EUR, locale: en}
placements: {top: {component: message}, tested: {component: message}, more: {component: products}}
experiences:
  plain: {in: top, show: {text: {en: Hello}}}
  trial: {in: tested, show: {text: {en: New}}, experiment: {control: 50%}}
  below: {in: tested, show: {text: {en: Old}}}
  bought_with: {in: more, show: {from: popular}}
"""


@pytest.mark.parametrize("unit", ["a", "b", "c", "d"])
def test_products_go_first_then_what_is_in_a_test_then_everything(unit: str) -> None:
    playbook, _ = examine({"shop.yaml": PLAYBOOK})
    assert playbook is not None
    experiences = playbook.experiences
    products = Catalogue(products={"p1": Product("p1", "One", price=100)}, popular=("p1",))
    left_out = {}
    for step in Shed:
        inputs = Inputs(0, Tenant(), {}, "request", 1, None, "en", "EUR", units={"anonymous": unit}, shed=int(step))
        decision = decide(experiences, inputs, products)
        left_out[step] = {name for name, answer in decision.placements.items() if answer.reason == "shed"}
        exposed = {list(experiences.placements)[Exposure(*each).placement] for each in decision.exposures}
        assert not exposed & left_out[step], "nobody is exposed by what is left out, whatever the arm"
        assert exposed | left_out[step] == set(experiences.placements)
    assert left_out == {
        Shed.NOTHING: set(),
        Shed.EVENTS: set(),
        Shed.RECOMMENDATIONS: {"more"},
        Shed.EXPERIMENTS: {"more", "tested"},
        Shed.DEFAULTS: {"top", "tested", "more"},
    }
