"""Several engines over one folder, of which one writes: what one acknowledged all know, and what they share."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.adapters.shared import Board, Cells, VersionArray
from cashwrap.errors import Forgotten, Locked, TooMuch, Unavailable
from cashwrap.events import Accounting, RateWatch
from cashwrap.hot import Checked, Hot
from cashwrap.keys import ApiKey
from cashwrap.model import Event, Impressions, Line, Number, Product
from cashwrap.ports import ShopperKey
from cashwrap.serve.rates import Rates
from cashwrap.serve.workers.client import Quota, WriterClient
from cashwrap.serve.workers.common import CART, SharedCarts, SharedRates, SharedRateWatch
from cashwrap.serve.workers.desk import Desk
from cashwrap.serve.workers.frames import Events, Splitter, error_of, framed, to_writer, trouble_of
from cashwrap.serve.workers.metrics import Family, merged
from cashwrap.window import Submission
from cashwrap.writer import AT_ONCE
from crews import QUOTA, Crew, crew
from engines import LIVE, START, TestClock

PUBLIC = ApiKey("id", "publishable", LIVE, b"")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Crew]:
    with crew(tmp_path) as team:
        yield team


# --- freshness ---


def views(shop: Any, who: dict[str, str]) -> object:
    return shop.explained(who).get("session_views")


def test_an_acknowledged_event_changes_the_next_decision_of_every_worker(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    assert two.profile(anonymous="anna") is None  # and remembers that nobody is called so
    one.consents(who)
    for number in range(1, 50):
        here, there = (one, two) if number % 2 else (two, one)
        here.keeps(here.views(who))
        assert views(there, who) == number
        assert views(here, who) == number


def test_a_cached_profile_is_read_once(team: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = team.shops
    one.consents({"anonymousId": "anna"})
    reads: list[object] = []
    load = two.engine.world.store.load
    monkeypatch.setattr(two.engine.world.store, "load", lambda keys: reads.append(keys) or load(keys))
    for _ in range(10):
        assert two.profile(anonymous="anna") is not None
    assert len(reads) == 1


def test_a_merge_is_seen_by_all(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "device"}
    one.consents(who)
    one.keeps(one.views(who))
    two.consents({"userId": "ute"}, trusted=True)
    before = two.key(anonymous="device")
    assert one.key(user="ute") != before
    one.keeps(one.event("identify", userId="ute", anonymousId="device", traits={}), trusted=True)
    for shop in (one, two):
        assert shop.key(anonymous="device") == shop.key(user="ute") != before
        assert shop.profile(anonymous="device").user_id == "ute"  # type: ignore[union-attr]


def test_a_withdrawal_is_seen_by_all(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    one.consents(who)
    two.keeps(two.views(who))
    assert views(one, who) == 1
    two.consents(who, personalization="denied", analytics="denied")
    assert views(one, who) is None
    assert one.keeps(one.views(who)).dropped_by_consent == 1


def test_who_is_forgotten_by_one_is_known_by_none(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    one.consents(who)
    one.keeps(one.views(who))
    key = two.key(anonymous="anna")
    assert key is not None
    row = two.engine.world.store.load([key])[key]
    held = two.engine.hot.profiles.get(key)
    assert held is not None
    assert two.engine.world.vault.open(key.shopper, row.state) == held.state
    assert one.engine.forget(key)
    for shop in (one, two):
        assert shop.profile(anonymous="anna") is None
        assert views(shop, who) is None
        with pytest.raises(Forgotten):
            shop.engine.world.vault.open(key.shopper, row.state)
        assert not shop.engine.world.vault._hot  # type: ignore[attr-defined]
    assert not two.engine.forget(key)
    two.consents(who)
    assert one.key(anonymous="anna") not in {None, key}


def test_memory_lets_go_of_who_was_forgotten(team: Crew) -> None:
    """Not only are they not answered from: the very objects go."""
    one, two = team.shops
    one.consents({"anonymousId": "anna"})
    key = two.key(anonymous="anna")
    assert key is not None
    one.engine.forget(key)
    kept = two.engine.hot.profiles._kept  # type: ignore[attr-defined]
    pause = threading.Event()
    assert any(key not in {**kept._young, **kept._old} or pause.wait(0.01) for _ in range(500))


def test_without_versions_a_worker_would_answer_from_the_past(team: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: a writer that announces nothing."""
    one, two = team.shops
    who = {"anonymousId": "anna"}
    monkeypatch.setattr(VersionArray, "advance", lambda *_: None)
    one.consents(who)
    assert two.profile(anonymous="anna") is not None
    one.keeps(one.views(who))
    assert views(two, who) == 0


def test_a_delivery_to_two_workers_at_once_counts_once(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    one.consents(who)
    total = Accounting()
    for _ in range(20):
        event = one.views(who)
        both = [threading.Thread(target=_deliver, args=(shop, event, total)) for shop in (one, two)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(30)
    assert (total.stored, total.duplicate) == (20, 20)
    assert views(two, who) == 20


def _deliver(shop: Any, event: dict[str, Any], total: Accounting) -> None:
    total.add(shop.keeps(event))


def test_what_is_counted_is_counted_where_it_is_written(team: Crew) -> None:
    one, two = team.shops
    for number, shop in enumerate([one, two, one]):
        shop.consents({"anonymousId": f"a{number}"})
    one.batch(one.event("track", anonymousId="a0"), one.views({"anonymousId": "a0"}))
    total = team.writer.account()
    assert total.balanced()
    assert (total.received, total.stored, total.failed) == (5, 4, 1)
    assert one.engine.account() == two.engine.account() == Accounting()


def test_decisions_are_kept_whichever_worker_made_them(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    one.consents(who)
    made = [shop.decide(shopper=who)["decisionId"] for shop in (one, two, one)]
    store, pause = team.writer.world.store, threading.Event()
    for decision in made:
        found = bytes.fromhex(decision)
        assert any(store.decision(LIVE, found) or pause.wait(0.02) for _ in range(500))
    assert team.writer.recorder.kept == 3


def test_products_change_one_after_the_other(team: Crew) -> None:
    from_feed = msgspec.convert({"id": "mug", "name": "Mug", "price": 900, "stock": 3}, type=Product)
    team.writer.world.catalogue.upsert(LIVE, [from_feed])
    one, two = team.shops
    asked = [(one, ("mug", price, None)) for price in range(50)] + [(two, ("mug", None, 7))]
    changes = [threading.Thread(target=shop.engine.catalogues.change, args=(LIVE, [change])) for shop, change in asked]
    for thread in changes:
        thread.start()
    for thread in changes:
        thread.join(30)
    two.engine.refresh()
    assert two.engine.catalogues.products(LIVE)["mug"].stock == 7
    assert one.engine.catalogues.change(LIVE, [("cup", 1, None)])["unknown"] == ["cup"]


# --- when the writer is away ---


def test_without_a_writer_decisions_go_on_and_events_come_again(team: Crew) -> None:
    one, two = team.shops
    who = {"anonymousId": "anna"}
    one.consents(who)
    one.keeps(one.views(who))
    team.desk.close()
    pause = threading.Event()
    assert any(all(link._link is None for link in team.clients) or pause.wait(0.01) for _ in range(500))
    assert views(two, who) == 1
    with pytest.raises(Unavailable):
        one.batch(one.views(who))
    key = one.key(anonymous="anna")
    assert key is not None
    with pytest.raises(Unavailable):
        one.engine.forget(key)


def test_what_waits_for_a_writer_that_dies_is_told_to_come_again() -> None:
    ours, theirs = socket.socketpair()
    link = WriterClient(Hot(), Quota(10, 10))
    link.attach(ours)
    told = threading.Event()
    waiting = Submission(LIVE, [], [], lambda _: told.set())
    link.submit(waiting)
    theirs.close()
    assert told.wait(10)
    assert isinstance(waiting.error, Unavailable)
    link.close()


def test_a_slow_writer_is_handed_a_bounded_amount() -> None:
    """Neither more requests nor more bytes than were agreed wait for one who does not read."""
    ours, theirs = socket.socketpair()
    link = WriterClient(Hot(), Quota(5, 1000))
    link.attach(ours)
    for _ in range(5):
        link.submit(Submission(LIVE, []))
    with pytest.raises(Unavailable):
        link.submit(Submission(LIVE, []))
    other = WriterClient(Hot(), Quota(10_000, 10))
    mine, others = socket.socketpair()
    other.attach(mine)
    events = [Event("m", "e", 0, 0, 0, "k")] * 8
    other.submit(Submission(LIVE, events))
    with pytest.raises(Unavailable):
        other.submit(Submission(LIVE, events))
    for each, end in ((link, theirs), (other, others)):
        end.close()  # what waits is told to come again
        each.close()


def test_an_action_cannot_cross(team: Crew) -> None:
    with pytest.raises(Locked):
        team.shops[0].engine.writer.call(lambda: None)


def test_a_new_writer_is_taken_up(team: Crew) -> None:
    one, _ = team.shops
    one.consents({"anonymousId": "anna"})
    for _ in range(3):
        team.introduce(team.clients[0])
        assert one.keeps(one.views({"anonymousId": "anna"})).stored == 1


def test_nonsense_ends_one_connection_and_no_other(team: Crew) -> None:
    ours, theirs = socket.socketpair()
    team.desk.admit(theirs)
    ours.sendall(b"\x05\x00\x00\x00hello")
    assert ours.recv(10) == b""
    ours.close()
    assert team.shops[0].consents({"anonymousId": "anna"}).stored == 1


def test_a_desk_that_closes_rings_no_file_of_somebody_else(team: Crew) -> None:
    """Its thread may end before it is rung for the last time, and the writer may answer after it."""
    desk = Desk(team.writer)
    number = desk._bell
    desk._closed = True
    desk.tell_gone(ShopperKey(LIVE, b"nobody"))
    desk._thread.join()
    desk.close()
    desk.close()
    reader, writer = os.pipe()
    try:
        os.dup2(writer, number)
        desk.tell_gone(ShopperKey(LIVE, b"nobody"))
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        for each in {reader, writer, number}:
            os.close(each)


# --- frames ---

TEXTS = st.text(max_size=20)
SCALARS = st.one_of(TEXTS, st.integers(-(2**60), 2**60), st.booleans(), st.decimals(-1000, 1000, places=2).map(Number))
EVENTS = st.builds(
    Event,
    id=TEXTS,
    name=TEXTS,
    time=st.integers(0, 2**50),
    received=st.just(START),
    mask=st.just(0),
    source=TEXTS,
    anonymous_id=st.none() | TEXTS,
    properties=st.dictionaries(st.sampled_from("abc"), SCALARS | st.lists(TEXTS, max_size=3), max_size=3).map(
        lambda found: {**found, "products": [Line("p", 2, 499)]}
    ),
    traits=st.dictionaries(TEXTS, SCALARS, max_size=2),
    choices=st.dictionaries(TEXTS, TEXTS, max_size=2),
)


@given(st.lists(EVENTS, max_size=3), st.integers(1, 40))
def test_events_arrive_as_they_were_however_they_are_cut(events: list[Event], piece: int) -> None:
    sent = framed(Events(7, LIVE, events, [])) + framed(Events(8, LIVE, [], []))
    splitter, arrived = Splitter(), []
    for at in range(0, len(sent), piece):
        arrived += [to_writer(body) for body in splitter.feed(sent[at : at + piece])]
    assert [frame.number for frame in arrived] == [7, 8]  # type: ignore[union-attr]
    taken = arrived[0].events  # type: ignore[union-attr]
    assert taken == events
    kinds = [[type(value) for value in event.properties.values()] for event in taken]
    assert kinds == [[type(value) for value in event.properties.values()] for event in events]


def test_an_error_crosses_with_its_kind() -> None:
    for error in (Unavailable("full", code="disk_full"), TooMuch("much"), ValueError("a secret")):
        crossed = error_of(trouble_of(error))
        assert crossed.code == getattr(error, "code", "unavailable")
        assert "secret" not in crossed.message


# --- shared memory ---


def test_a_value_is_good_as_long_as_its_version_stands() -> None:
    versions = VersionArray(1024)
    cache: Checked[str, str] = Checked(100, versions)
    first, other = bytes(16), b"\x01" + bytes(15)
    mark = cache.mark(first)
    assert cache.offer("a", "old", mark) == "old"
    assert cache.get("a") == "old"
    versions.advance([other])
    assert cache.get("a") == "old"
    versions.advance([first])
    assert cache.get("a") is None
    cache.offer("a", "read before", mark)
    assert cache.get("a") is None
    cache.offer("a", "new", cache.mark(first))
    assert cache.get("a") == "new"
    versions.renew()
    assert cache.get("a") is None


def forked(count: int, body: Any) -> list[int]:
    """Run ``body(number)`` in processes of their own; their exit codes."""
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                body(number)
            finally:
                os._exit(0)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_processes_count_together_and_lose_nothing() -> None:
    cells = Cells(1024, 24, b"secret")

    def count(_: int) -> None:
        for _ in range(500):
            cells.change("one", lambda value: b"%d" % (int(value or b"0") + 1), 1)

    assert forked(3, count) == [0, 0, 0]
    assert cells.read("one") == b"1500"
    assert not cells.has("two")


def test_a_process_that_dies_holds_up_nobody() -> None:
    cells = Cells(64, 24, b"secret")

    def die(_: int) -> None:
        cells.change("one", lambda _: os.kill(os.getpid(), 9) or b"", 1)  # type: ignore[func-returns-value]

    assert forked(1, die) == [-9]
    cells.change("one", lambda value: value + b"x", 2)
    assert cells.read("one") == b"x"


def test_cells_are_bounded_and_the_oldest_makes_way() -> None:
    cells = Cells(64, 8, b"secret")
    for number in range(1000):
        cells.change(f"name {number}", lambda _, number=number: b"%d" % number, number)  # type: ignore[misc]
    there = [number for number in range(1000) if cells.read(f"name {number}")]
    assert 40 <= len(there) <= 64
    assert min(there) > 700
    assert all(cells.read(f"name {number}") == b"%d" % number for number in there)
    with pytest.raises(ValueError, match="larger"):
        cells.change("large", lambda _: bytes(9), 1)


def test_a_board_is_read_whole() -> None:
    board = Board(2, 100_000)
    assert board.read(1) == b""

    def speak(_: int) -> None:
        for number in range(300):
            board.write(1, bytes([number % 256]) * (50_000 + number))

    pid = os.fork()
    if pid == 0:
        speak(0)
        os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        told = board.read(1)
        assert len(set(told)) <= 1
    assert len(board.read(1)) == 50_299
    number = board.ask()
    assert board.asked(0)
    assert board.asked(1)
    board.write(0, b"")
    assert not board.answered(number)
    board.write(1, b"here")
    assert board.answered(number)
    with pytest.raises(ValueError, match="more than"):
        board.write(0, bytes(100_001))


AMOUNTS = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 30), st.integers(0, 2)), max_size=40)


@given(AMOUNTS)
def test_shared_rates_refuse_what_one_bucket_would(steps: list[tuple[int, int, int]]) -> None:
    clock = TestClock()
    alone = Rates(clock, 5, burst=10)
    cells = Cells(64, 24, b"secret")
    together = [SharedRates(cells, clock, 5), SharedRates(cells, clock, 5)]
    for number, (wait, amount, network) in enumerate(steps):
        clock.time += wait
        address = f"203.0.{network}.1"
        assert _seconds(alone, address, amount) == _seconds(together[number % 2], address, amount)


def _seconds(rates: Rates, address: str, amount: int) -> int:
    try:
        rates.check(PUBLIC, address, amount)
    except TooMuch as error:
        return error.retry_after
    return 0


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 400)), max_size=20))
def test_a_busy_sender_is_noticed_across_processes(steps: list[tuple[int, int]]) -> None:
    alone, cells, now = RateWatch(), Cells(64, 24, b"secret"), START
    together = [SharedRateWatch(cells), SharedRateWatch(cells)]
    for number, (wait, events) in enumerate(steps):
        now += wait
        assert alone.over("a", now, events) == together[number % 2].over("a", now, events)


def test_what_a_cart_was_shown_is_counted_by_all(team: Crew) -> None:
    one, two = (shop.engine.exposures for shop in team.shops)
    one._carts.change(LIVE, "cart", lambda seen: seen.update(all=Impressions([START], 1)), START)
    assert two.of_cart(LIVE, "cart") == {"all": Impressions([START], 1)}
    two._carts.change(LIVE, "cart", lambda seen: seen["all"].times.append(START + 1), START)
    assert one.of_cart(LIVE, "cart")["all"].times == [START, START + 1]
    assert one.of_cart(LIVE, "other") == {}


def test_a_cart_that_was_shown_too_much_forgets_the_oldest() -> None:
    carts = SharedCarts(Cells(64, CART, b"secret"))
    full = {f"experience:{number}": Impressions(list(range(START, START + 50)), 50) for number in range(40)}
    carts.change(LIVE, "cart", lambda seen: seen.update(full), START)
    kept = carts.of(LIVE, "cart")
    assert len(kept) == 40
    assert all(seen.count == 50 and seen.times and seen.times[-1] == START + 49 for seen in kept.values())


# --- metrics ---


def test_what_grows_is_added_up_and_what_does_not_is_judged() -> None:
    def told(events: float, waiting: float, share: float) -> list[Family]:
        return [
            Family("n", "", "counter", [("n_total", {"fate": "stored"}, events)]),
            Family("waiting", "", "gauge", [("waiting", {}, waiting)]),
            Family("cashwrap_events_share", "", "gauge", [("cashwrap_events_share", {}, share)]),
        ]

    counter, waiting, share = merged([told(2, 5, 1.0), told(3, 1, 0.5), []])
    assert counter.samples == [("n_total", {"fate": "stored"}, 5)]
    assert waiting.samples[0][2] == 5
    assert share.samples[0][2] == 0.5


# --- nobody is kept out ---


def test_a_busy_worker_holds_up_no_other(tmp_path: Path) -> None:
    """One hands over all that its quota allows while the disk hangs; the other's is taken, and waits for no more."""
    with crew(tmp_path) as team:
        one, two = team.shops
        one.consents({"anonymousId": "anna"})
        two.consents({"anonymousId": "bert"})
        store, commit = team.writer.world.store, team.writer.world.store.commit
        going, commits = threading.Event(), []

        def slowly(changes: Any) -> int:
            assert going.wait(30)
            commits.append(len(changes.records))
            return commit(changes)

        store.commit = slowly  # type: ignore[method-assign]
        events = [one.views({"anonymousId": "anna"}) for _ in range(QUOTA.submissions)]
        waiting = [_send(one, event) for event in events]
        with pytest.raises(Unavailable):
            _send(one, one.views({"anonymousId": "anna"}))
        last = _send(two, two.views({"anonymousId": "bert"}))
        going.set()
        assert last.wait(30)
        assert all(each.wait(30) for each in waiting)
        assert len(commits) <= QUOTA.submissions // AT_ONCE + 3


def _send(shop: Any, event: dict[str, Any]) -> threading.Event:
    done = threading.Event()
    engine = shop.engine
    engine.collect(engine.parse(msgspec.json.encode({"batch": [event]}), None), shop.caller(), lambda _: done.set())
    return done
