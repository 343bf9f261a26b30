"""Pulses added up, orders compared, curves kept: each against a plainer count of the same."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from math import inf
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from cashwrap.adapters.console_store import ConsoleStore
from cashwrap.console.now import live as module
from cashwrap.console.now.confirmed import BACKEND, BROWSER, Follower, Loss, Orders, first_since
from cashwrap.console.now.figures import ALL, HOUR, KEPT, MINUTE, SECOND, Curves, Heard, Point, Series, at_most, slower
from cashwrap.console.now.live import Live
from cashwrap.console.shop.goods import KIND as GOODS
from cashwrap.console.shop.goods import Goods
from cashwrap.counts import BUCKETS, Counts
from cashwrap.events import Accounting
from cashwrap.model import Event, Tenant
from cashwrap.ports import Changes, Exposed, Failure
from cashwrap.pulse import Pulse, StorePulse, encode
from cashwrap.serve.companion import PULSE
from cashwrap.switches import Switch, Switches
from cashwrap.versions import Versions
from engines import LIVE, Shop, TestClock, memory_world, shop_over

NOW = 1_800_000_000_000
GRANTED = {"analytics": "granted"}


def pulse(role: str = "server", began: int = NOW + 1, at: int = NOW + SECOND, **counts: int) -> Pulse:
    decisions, events = counts.get("decisions", 0), counts.get("events", 0)
    reasons = {"match": decisions, "error": counts.get("errors", 0), "no_match": counts.get("meant", 0)}
    store = StorePulse(decisions, counts.get("degraded", 0), reasons, Accounting(events, events))  # type: ignore[arg-type]
    return Pulse(role, counts.get("pid", 1), began, at, {LIVE.name: store}, [decisions] + [0] * len(BUCKETS))


# --- pulses ---


def test_pulses_say_what_happened_between_them() -> None:
    heard = Heard(NOW)
    first = heard.take(pulse(decisions=10, events=4), NOW + SECOND)
    again = heard.take(pulse(decisions=25, events=4, errors=5, meant=7, at=NOW + 2 * SECOND), NOW + 2 * SECOND)
    assert first[LIVE.name] == Point(decisions=10, answers=10, shown=10, stored=4)
    assert again[LIVE.name] == Point(decisions=15, answers=27, shown=15, fallbacks=5)
    assert again[ALL].buckets[0] == 15


def test_what_an_older_process_counted_before_belongs_to_no_moment() -> None:
    heard = Heard(NOW)
    assert heard.take(pulse(began=NOW - 1, decisions=1_000_000), NOW + SECOND) == {}
    more = heard.take(pulse(began=NOW - 1, decisions=1_000_003, at=NOW + 2 * SECOND), NOW + 2 * SECOND)
    assert more[LIVE.name].decisions == 3


def test_a_process_that_began_again_begins_at_nothing() -> None:
    heard = Heard(NOW)
    heard.take(pulse(decisions=50), NOW + SECOND)
    anew = heard.take(pulse(decisions=8, pid=2, began=NOW + 5 * SECOND, at=NOW + 6 * SECOND), NOW + 6 * SECOND)
    assert anew[LIVE.name].decisions == 8, "planted: 8 - 50 would draw a hole"
    assert len(heard.processes) == 1


def test_a_process_that_ends_is_not_missed_and_a_late_pulse_is_left_out() -> None:
    heard = Heard(NOW)
    heard.take(pulse(decisions=5, at=NOW + 3 * SECOND), NOW + 3 * SECOND)
    assert heard.take(pulse(decisions=4, at=NOW + 2 * SECOND), NOW + 3 * SECOND) == {}
    last = heard.take(replace(pulse(decisions=9, at=NOW + 4 * SECOND), ending=True), NOW + 4 * SECOND)
    assert last[LIVE.name].decisions == 4
    assert heard.processes == {}


def test_who_is_silent_for_long_is_forgotten() -> None:
    heard = Heard(NOW)
    heard.take(pulse(), NOW)
    heard.prune(NOW + 10 * MINUTE)
    assert list(heard.processes) == ["server"]
    heard.prune(NOW + 10 * MINUTE + 1)
    assert heard.processes == {}


@pytest.mark.parametrize("seed", range(3))
def test_lost_repeated_and_mixed_pulses_add_up_to_what_processes_counted(seed: int) -> None:
    """Whatever is lost, the last pulse of each process says it all: the sum over time is what they counted."""
    chance, heard, total, counted = random.Random(seed), Heard(NOW), Counter[str](), Counter[str]()
    lives = [(role, pid, NOW + 1 + pid) for pid, role in enumerate(["writer", "worker 1", "worker 2", "worker 1"])]
    for role, pid, began in lives:
        decisions = events = 0
        for second in range(1, 30):
            decisions, events = decisions + chance.randrange(9), events + chance.randrange(9)
            if second == 29 or chance.random() < 0.6:
                told = pulse(role, began, began + second * SECOND, pid=pid, decisions=decisions, events=events)
                point = heard.take(told, told.at).get(LIVE.name, Point())
                total.update(decisions=point.decisions, events=point.events)
        counted.update(decisions=decisions, events=events)
    assert total == counted


# --- curves ---


def test_a_point_is_in_all_series_and_leaves_each_in_time() -> None:
    curves = Curves()
    curves.add(NOW, Point(decisions=1), NOW)
    curves.add(NOW - 11 * MINUTE, Point(decisions=2), NOW)
    curves.add(NOW - 25 * HOUR, Point(decisions=4), NOW)
    sums = {length: sum(p.decisions for p in series.points.values()) for length, series in curves.series.items()}
    assert sums == {SECOND: 1, MINUTE: 3, HOUR: 7}
    for length, series in curves.series.items():
        series.prune(NOW + KEPT[length] * length + length)
        assert series.points == {}


def test_steps_add_up_to_the_whole_and_end_with_the_last_that_ended() -> None:
    series, chance = Series(SECOND), random.Random(1)
    for _ in range(300):
        series.add(NOW - chance.randrange(300 * SECOND), Point(decisions=1))
    steps = list(series.steps(NOW, 300 * SECOND, 5 * SECOND))
    assert len(steps) == 60
    assert steps[-1][0] == NOW - 5 * SECOND
    assert sum(point.decisions for _, point in steps) == series.between(NOW - 300 * SECOND, NOW).decisions == 300


def test_quantiles_are_upper_bounds_of_what_was_measured() -> None:
    chance, counts = random.Random(2), Counts()
    taken = [chance.expovariate(200) for _ in range(2_000)]
    for seconds in taken:
        counts.took(seconds)
    for share in (0.5, 0.95, 0.99):
        exact, bound = sorted(taken)[int(share * len(taken)) - 1], at_most(counts.buckets, share)
        assert bound is not None
        assert exact <= bound
        below = max((each for each in (0.0, *BUCKETS) if each < bound), default=0.0)
        assert below < sorted(taken)[min(len(taken) - 1, int(share * len(taken)))]
    assert slower(counts.buckets, 0.01) == sum(seconds > 0.01 for seconds in taken)
    assert at_most([], 0.5) is None
    assert at_most([0] * len(BUCKETS) + [1], 0.5) == inf


# --- orders ---


def order(name: str, *, trusted: bool, at: int = NOW, mask: int = 7, flags: int = 0) -> Event:
    properties = {"order_id": name}
    return Event(f"m{name}", "Order Completed", at, at, mask, "k", trusted=trusted, properties=properties, flags=flags)


def digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


@pytest.mark.parametrize("seed", range(3))
def test_browser_and_backend_meet_exactly(seed: int) -> None:
    """Against sets of ids, in any order of arrival, with repeats, for two stores."""
    chance, orders = random.Random(seed), Orders(digest, 6)
    reports = [
        (tenant, f"o{number}", trusted, chance.choice((1, 7)) if trusted else 7)
        for tenant in (LIVE, Tenant("other"))
        for number in range(200)
        for trusted in (True, False)
        if chance.random() < 0.8
    ]
    chance.shuffle(reports)
    at = NOW - HOUR
    news = Counter(
        orders.take(tenant, order(name, trusted=trusted, at=at, mask=mask), NOW)
        for tenant, name, trusted, mask in reports * 2
    )
    backend = {name: mask for tenant, name, trusted, mask in reports if tenant == LIVE and trusted}
    browser = {name for tenant, name, trusted, _ in reports if tenant == LIVE and not trusted}
    missed = {name for name in backend if name not in browser}
    silent = {name for name in missed if not backend[name] & 6}
    assert orders.loss(LIVE, NOW) == Loss(
        len(backend), len(missed - silent), len(silent), len(browser - backend.keys())
    )
    assert news[BACKEND] + news[BROWSER] == len(reports) == news[0]


def test_a_late_page_or_backend_has_a_quarter_of_an_hour() -> None:
    orders = Orders(digest, 6)
    for name, minutes in (("new", 10), ("settled", 16), ("old", 24 * 60 + 1)):
        orders.take(LIVE, order(name, trusted=True, at=NOW - minutes * MINUTE), NOW)
    assert orders.loss(LIVE, NOW) == Loss(orders=1, unseen=1)
    assert orders.newest == {LIVE: NOW - 10 * MINUTE}


def test_bots_other_events_and_the_far_past_are_left_out() -> None:
    orders = Orders(digest, 6)
    odd = [
        order("bot", trusted=False, flags=1),
        order("", trusted=True),
        replace(order("x", trusted=True), name="Order Refunded"),
        order("old", trusted=True, at=NOW - 49 * HOUR),
        replace(order("imported", trusted=True), source="import:orders"),
        order("future", trusted=True, at=NOW + HOUR),
    ]
    assert [orders.take(LIVE, each, NOW) for each in odd] == [0] * 6
    assert orders.loss(LIVE, NOW + HOUR) == Loss()


def test_memory_is_bounded_by_time_and_number() -> None:
    orders = Orders(digest, 6, most=10)
    for number in range(50):
        orders.take(LIVE, order(f"o{number}", trusted=True, at=NOW - HOUR), NOW)
    assert orders.loss(LIVE, NOW).orders == 10
    orders.prune(NOW + 49 * HOUR)
    assert (orders._known[LIVE], len(orders._line)) == ({}, 0)


# --- following a log ---


@pytest.fixture
def shop() -> Iterator[Shop]:
    clock = TestClock()
    with shop_over(memory_world(clock)) as found:
        yield found


def test_the_log_is_followed_from_where_two_days_begin(shop: Shop) -> None:
    clock = shop.clock
    who = {"anonymousId": "a-0001"}
    for hour in range(72):
        shop.keeps(shop.orders(who, f"o{hour}", 10), trusted=True)
        shop.keeps(shop.views({"userId": f"u{hour}"}), trusted=True)
        clock.wait(minutes=60)
    store, vault, now = shop.engine.world.store, shop.engine.world.vault, clock.now()
    for hours in (1, 47, 71.5, 100):
        since = now - round(hours * HOUR)
        records = list(store.log(0))
        exact = max((each.sequence for each in records if each.received < since), default=0)
        assert first_since(store, since) == exact
    told: list[tuple[int, Tenant, int, int]] = []
    orders = Orders(vault.digest, 6)
    follower = Follower(store, vault, orders, lambda *news: told.append(news))
    while follower.step(now, 10):
        assert not follower.caught_up
    assert follower.caught_up
    assert len(told) == 47
    assert {bit for bit, *_ in told} == {BACKEND}
    shop.keeps(shop.orders(who, "o70", 10), trusted=False)
    follower.step(clock.now(), 10)
    shop.keeps(shop.orders(who, "new", 10), trusted=True)
    follower.step(clock.now(), 10)
    assert [bit for bit, *_ in told[47:]][-1] == BACKEND


def test_who_is_forgotten_is_passed_over(shop: Shop) -> None:
    shop.consents({"anonymousId": "a-0001"})
    shop.keeps(shop.orders({"anonymousId": "a-0001"}, "o1", 10), trusted=True)
    for record in shop.engine.world.store.log(0):
        shop.engine.world.vault.destroy(record.shopper)
    told: list[object] = []
    world = shop.engine.world
    follower = Follower(world.store, world.vault, Orders(world.vault.digest, 6), lambda *news: told.append(news))
    assert not follower.step(shop.clock.now())
    assert (told, follower.caught_up) == ([], True)


# --- all of it ---


def live_over(shop: Shop, store: ConsoleStore, runtime: Path | None = None) -> Live:
    return Live(shop.engine.world, Versions(shop.engine.world.registry, shop.clock), store, runtime)


def test_a_restart_of_the_console_keeps_curves_and_counts_no_order_twice(shop: Shop, tmp_path: Path) -> None:
    store = ConsoleStore(tmp_path)
    first = live_over(shop, store)
    for number in range(5):
        shop.keeps(shop.orders({"userId": f"u{number}"}, f"o{number}", 10), trusted=True)
    first.follow()
    first.hear(encode(pulse(began=shop.clock.now() + 1, at=shop.clock.now() + 2, decisions=30)))
    first.hear(
        encode(replace(pulse(began=shop.clock.now() + 1, at=shop.clock.now() + 3, decisions=30), playbook_error="x"))
    )
    first.state(LIVE)
    assert first.acknowledge(LIVE, "playbook_broken", "ada")
    first.close()
    shop.clock.wait(minutes=2)
    second = live_over(shop, store)
    assert [each.who for each in second.state(LIVE).told] == ["ada"], "nobody has said yet that it is mended"
    shop.keeps(shop.orders({"userId": "new"}, "o5", 10), trusted=True)
    second.follow()
    shop.clock.wait(minutes=5)
    points = [point for _, point in second.curve(LIVE, HOUR, MINUTE)]
    assert sum(point.orders for point in points) == 6
    assert sum(point.decisions for point in points) == 30
    assert [each.who for each in second._watch.of(LIVE.name)] == ["ada"]
    assert second.state(LIVE).situation.last_order is not None
    second.close()
    store.close()


def test_old_points_leave_the_disk_too(shop: Shop, tmp_path: Path) -> None:
    store = ConsoleStore(tmp_path)
    live = live_over(shop, store)
    live.hear(encode(pulse(began=shop.clock.now() + 1, decisions=1)))
    live.keep()
    assert {length for length, *_ in store.points()} == {MINUTE, HOUR}
    shop.clock.wait(days=2)
    live.keep()
    assert {length for length, *_ in store.points()} == {HOUR}
    shop.clock.wait(days=91)
    live.keep()
    assert store.points() == []
    store.close()


def test_what_another_console_wrote_otherwise_is_lost_and_no_more(shop: Shop, tmp_path: Path) -> None:
    store = ConsoleStore(tmp_path)
    store.keep_points([(MINUTE, ALL, 0, b"\xc1"), (HOUR, ALL, 0, msgspec.msgpack.encode(Point(stored=1)))], 7, {})
    store.keep_alerts([(LIVE.name, "disk_full", b"\x01")])
    live = live_over(shop, store)
    assert live._curves[ALL].series[HOUR].points == {0: Point(stored=1)}
    assert live._watch.told == {}
    store.close()


def test_a_store_sees_its_own_and_everybody_the_whole(shop: Shop, tmp_path: Path) -> None:
    store = ConsoleStore(tmp_path)
    live = live_over(shop, store)
    live.hear(encode(pulse(began=shop.clock.now() + 1, decisions=7)))
    mine, theirs = live.state(LIVE), live.state(Tenant("other"))
    assert (mine.minute.decisions, theirs.minute.decisions) == (7, 0)
    assert sum(mine.latency.buckets) == sum(theirs.latency.buckets) == 7
    store.close()


def test_a_catalogue_that_stopped_changing_is_told_of_and_one_that_never_did_is_not(shop: Shop, tmp_path: Path) -> None:
    store, registry, now = ConsoleStore(tmp_path), shop.engine.world.registry, shop.clock.now()
    live = live_over(shop, store)
    first = Goods(LIVE, 1, now - 60 * HOUR, 9, {}, 0, 0, 0)
    registry.put(GOODS, "2026-01-01/default/live", msgspec.msgpack.encode(first))
    assert live.state(LIVE).situation.stocked is None
    registry.put(
        GOODS, "2026-01-02/default/live", msgspec.msgpack.encode(replace(first, version=2, at=now - 50 * HOUR))
    )
    shop.clock.wait(minutes=1)
    assert [each.alert.code for each in live.state(LIVE).told] == ["catalogue_stale"]
    assert live.state(Tenant("other")).told == []
    store.close()


def test_what_the_data_folder_says_is_of_each_store(shop: Shop, tmp_path: Path) -> None:
    """Kill switches, failed events and notices of one store are nobody else's."""
    world, store, other = shop.engine.world, ConsoleStore(tmp_path), Tenant("other")
    live = live_over(shop, store)
    shop.keeps(shop.views({"userId": "u"}), trusted=True)
    Switches(world.registry).set(Switch("placement", "basket_message", 0), off=True)
    failure = Failure(LIVE, shop.clock.now(), "x", "x", "x", 1)
    notice = Exposed(LIVE, b"s" * 16, b"{}", shop.clock.now())
    world.store.commit(Changes(failures=[failure], exposed=[notice]))
    mine, theirs = live.state(LIVE).situation, live.state(other).situation
    assert (mine.switched_off, mine.failed, mine.undelivered) == (("basket_message",), 1, shop.clock.now())
    assert (theirs.switched_off, theirs.failed, theirs.undelivered) == ((), 0, None)
    store.close()


def test_rubbish_is_no_pulse(shop: Shop, tmp_path: Path) -> None:
    store = ConsoleStore(tmp_path)
    live = live_over(shop, store)
    for sent in (b"", b"\xc1", encode({"role": 1}), encode(["server"]), b"x" * 100_000):
        live.hear(sent)
    assert live.heard.processes == {}
    store.close()


def test_pulses_come_in_over_the_socket_and_a_look_finds_what_is_wrong(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)
    store = ConsoleStore(tmp_path)
    live = live_over(shop, store, tmp_path)
    shop.keeps(shop.orders({"userId": "u"}, "o", 10), trusted=True)

    async def run() -> None:
        running = asyncio.create_task(live.run())
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told = encode(replace(pulse(began=shop.clock.now() + 1, decisions=3), disk_full=True))
        async with asyncio.timeout(5):
            while not live.heard.processes:
                if (tmp_path / PULSE).exists():
                    sender.sendto(told, str(tmp_path / PULSE))
                await asyncio.sleep(0.005)
            while not (live._watch.of(LIVE.name) and live.follower.caught_up):  # noqa: ASYNC110 - a thread does it
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        sender.close()

    asyncio.run(run())
    assert [each.alert.code for each in live._watch.of(LIVE.name)] == ["disk_full"]
    assert not (tmp_path / PULSE).exists()
    store.close()
