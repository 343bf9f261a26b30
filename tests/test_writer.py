"""The writer thread: order, group commit, what happens when it is full, closing, or somebody who waited is gone."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cashwrap.errors import Unavailable
from cashwrap.events.accounting import Accounting
from cashwrap.model import Event
from cashwrap.ports import Changes
from cashwrap.window import Context, Submission
from cashwrap.writer import AT_ONCE, WAITING, Writer
from engines import LIVE, START, Shop, TestClock, memory_world, shop_over


class Gate:
    """A store that waits before each commit until it is let go, and counts commits."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()
        self.commits: list[int] = []
        self.error: Exception | None = None

    def commit(self, changes: Changes) -> int:
        self.entered.release()
        assert self.go.wait(30)
        if self.error is not None:
            raise self.error
        self.commits.append(len(changes.records))
        return int(self._store.commit(changes))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as shop:
        yield shop


def event(number: int) -> Event:
    return Event(
        id=f"m{number}",
        name="Product Viewed",
        time=START,
        received=START,
        mask=7,
        source="key",
        anonymous_id=f"anon-{number}",
        fingerprint=number.to_bytes(8, "big"),
    )


class Desk:
    """A writer over a gated store, with what it told."""

    def __init__(self, shop: Shop) -> None:
        self.gate = Gate(shop.engine.world.store)
        self.shop = shop
        self.told: list[Submission] = []
        self.sweeps = 0
        self.writer = Writer(self.context, self.sweep, shop.clock.monotonic, pause=0.01)

    def context(self) -> Context:
        found = self.shop.engine._context()
        return Context(found.playbook, found.catalogue, self.gate, found.vault, found.random, found.hot)  # type: ignore[arg-type]

    def sweep(self) -> None:
        self.sweeps += 1

    def submit(self, number: int) -> Submission:
        submission = Submission(LIVE, [event(number)], (), self.told.append)
        self.writer.submit(submission)
        return submission

    def busy(self) -> None:
        """Let the writer begin a commit that waits."""
        self.submit(0)
        assert self.gate.entered.acquire(timeout=30)


@pytest.fixture
def desk(shop: Shop) -> Iterator[Desk]:
    desk = Desk(shop)
    yield desk
    desk.gate.go.set()
    desk.writer.close()


def test_what_waits_shares_a_commit_and_is_told_in_order(desk: Desk) -> None:
    desk.busy()
    waiting = [desk.submit(number) for number in range(1, AT_ONCE + 11)]
    assert desk.told == []
    desk.gate.go.set()
    desk.writer.close()
    assert desk.told[1:] == waiting
    assert desk.gate.commits == [1, AT_ONCE, 10]
    assert all(each.error is None and each.accounting == Accounting(received=1, stored=1) for each in desk.told)


def test_an_action_runs_between_commits_in_its_turn(desk: Desk) -> None:
    desk.busy()
    desk.submit(1)
    seen: list[int] = []
    calling = threading.Thread(target=desk.writer.call, args=(lambda: seen.append(len(desk.gate.commits)),))
    calling.start()
    while desk.writer._waiting.qsize() < 2:
        threading.Event().wait(0.001)
    desk.submit(2)
    desk.gate.go.set()
    calling.join(30)
    assert seen == [2]


def test_what_an_action_raises_is_raised_where_it_was_asked(desk: Desk) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.writer.call(fails)
    desk.writer.call(lambda: None)


def test_too_much_waiting_is_turned_away_with_nothing_lost(desk: Desk) -> None:
    desk.busy()
    for number in range(1, WAITING + 1):
        desk.submit(number)
    with pytest.raises(Unavailable, match="wait"):
        desk.submit(WAITING + 1)
    desk.gate.go.set()
    desk.writer.close()
    assert len(desk.told) == WAITING + 1
    assert sum(desk.gate.commits) == WAITING + 1


def test_closing_keeps_what_waits_and_takes_nothing_more(desk: Desk) -> None:
    desk.busy()
    last = desk.submit(1)
    closing = threading.Thread(target=desk.writer.close)
    closing.start()
    while not desk.writer._closed:
        threading.Event().wait(0.001)
    with pytest.raises(Unavailable) as refused:
        desk.submit(2)
    assert refused.value.code == "stopping"
    with pytest.raises(Unavailable):
        desk.writer.call(lambda: None)
    desk.gate.go.set()
    closing.join(30)
    assert desk.told[-1] is last
    assert last.accounting.stored == 1
    desk.writer.close()


def test_nothing_that_was_taken_is_left_behind_a_close(shop: Shop) -> None:
    """Whoever got in is told, however close to the end: nobody waits for ever."""
    for _ in range(20):
        desk = Desk(shop)
        desk.gate.go.set()
        taken: list[Submission] = []

        def send(desk: Desk = desk, taken: list[Submission] = taken) -> None:
            try:
                for number in range(1000):
                    taken.append(desk.submit(number))  # noqa: PERF401 - each may be refused
            except Unavailable:
                return

        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        desk.writer.close()
        for sender in senders:
            sender.join(30)
        assert sorted(map(id, desk.told)) == sorted(map(id, taken))


def test_a_listener_that_is_gone_does_not_stop_the_writer(desk: Desk) -> None:
    def gone(_: Submission) -> None:
        raise RuntimeError("the event loop is closed")

    desk.gate.go.set()
    desk.writer.submit(Submission(LIVE, [event(1)], (), gone))
    desk.writer.call(lambda: None)
    desk.submit(2)
    desk.writer.close()
    assert desk.told[-1].accounting.stored == 1


@pytest.mark.parametrize("error", [Unavailable("the disk is full"), ZeroDivisionError("a mistake of ours")])
def test_a_failed_commit_acknowledges_and_counts_nothing(desk: Desk, error: Exception) -> None:
    desk.gate.go.set()
    desk.gate.error = error
    desk.submit(1)
    desk.submit(2)
    desk.writer.call(lambda: None)
    assert [isinstance(each.error, Unavailable) for each in desk.told] == [True, True]
    assert all(each.accounting == Accounting() for each in desk.told)
    desk.gate.error = None
    desk.submit(1)
    desk.writer.close()
    assert desk.told[-1].error is None
    assert desk.told[-1].accounting.stored == 1


def test_it_sweeps_when_idle_and_survives_a_sweep_that_fails(shop: Shop) -> None:
    swept = threading.Semaphore(0)

    def sweep() -> None:
        swept.release()
        shop.clock.time += 1000
        raise ZeroDivisionError

    writer = Writer(shop.engine._context, sweep, shop.clock.monotonic, pause=0.001)
    for _ in range(3):
        assert swept.acquire(timeout=30)
    writer.close()
