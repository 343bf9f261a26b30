"""Segments: order, three values, membership, and the moments at which time alone changes them."""

import itertools
from collections.abc import Iterable, Iterator, Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cashwrap import segments as module
from cashwrap.condition.check import check
from cashwrap.condition.environment import Environment, Type
from cashwrap.memberships import standing_values
from cashwrap.model import Profile, Value
from cashwrap.playbook import Playbook, examine
from cashwrap.request import clock_values, zone_of
from cashwrap.segments import (
    Segments,
    Zones,
    _millis,
    compile_segments,
    members_of,
    next_change,
    order,
    transitions,
)
from walks import DAY, MINUTE, START, Shopper

NAMES = frozenset("abcdef")
TYPES = {"x": Type.NUMBER, "y": Type.BOOL, "session.age_minutes": Type.NUMBER, "time.hour": Type.NUMBER}
TYPES |= {"now": Type.TIME, "traits.renewal": Type.TIME}
TYPES |= dict.fromkeys(("time.local", "time.weekday", "shop_time.hour", "shop_time.weekday"), Type.NUMBER)
ENVIRONMENT = Environment(TYPES, NAMES)


def compiled(**sources: str | None) -> Segments:
    checked = {name: check(source, ENVIRONMENT) if source else None for name, source in sources.items()}
    return compile_segments(checked)


def evaluated(found: Segments, lists: Mapping[str, bool] | None = None, **given: Value) -> dict[str, Value]:
    values: dict[str, Value] = dict(given)
    found.evaluate(values, lists or {})
    return {name: values[f"segments.{name}"] for name in found.names}


def test_segments_read_segments_whatever_the_order_written() -> None:
    found = compiled(a='"b" in segments && y', b='"c" in segments', c="x > 1")
    assert [segment.name for segment in found.ordered] == ["c", "b", "a"]
    assert evaluated(found, x=2, y=True) == {"a": True, "b": True, "c": True}
    assert evaluated(found, x=1, y=True) == {"a": False, "b": False, "c": False}


def test_unknown_spreads_only_where_it_matters() -> None:
    found = compiled(a="x > 1", b='"a" in segments || y', c='!("a" in segments)', d='"a" in segments && y')
    assert evaluated(found, y=True) == {"a": None, "b": True, "c": None, "d": None}
    assert evaluated(found, y=False) == {"a": None, "b": None, "c": None, "d": False}


def test_pushed_lists_are_known_unless_consent_hides_them() -> None:
    found = compiled(a=None, b='"a" in segments')
    assert evaluated(found, {"a": True}) == {"a": True, "b": True}
    assert evaluated(found, {}) == {"a": False, "b": False}
    values: dict[str, Value] = {}
    found.evaluate(values, None)
    assert values == {"segments.a": None, "segments.b": None}


def test_a_cycle_is_named() -> None:
    with pytest.raises(ValueError, match="b -> c -> b"):
        order({"a": ["b"], "b": ["c"], "c": ["b"]})


GRAPHS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3))


@given(GRAPHS)
def test_order_puts_needs_first_or_names_a_real_cycle(needs: dict[str, list[str]]) -> None:
    try:
        found = order(needs)
    except ValueError as error:
        cycle = str(error).split(" -> ")
        assert cycle[0] == cycle[-1]
        assert all(after in needs[before] for before, after in itertools.pairwise(cycle))
    else:
        assert sorted(found) == sorted(needs)
        assert all(found.index(below) < found.index(name) for name in needs for below in needs[name] if below in needs)


def test_only_keeps_what_is_wanted_and_what_that_needs() -> None:
    found = compiled(a='"b" in segments', b="x > 1", c="x > 2", d='"c" in segments')
    assert found.only(["a"]).names == {"a", "b"}
    assert found.only([]).ordered == ()
    assert found.only(["nobody"]).ordered == ()


def test_transitions_are_what_differs() -> None:
    assert transitions(frozenset("ab"), frozenset("bc")) == [("a", False), ("c", True)]
    assert transitions(frozenset("a"), frozenset("a")) == []


def test_unknown_is_no_member() -> None:
    found = compiled(a="x > 1", b="y")
    values: dict[str, Value] = {"y": True}
    found.evaluate(values, {})
    assert members_of(values, found) == {"b"}


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        ("session.age_minutes >= 10", (10,)),
        ("session.age_minutes > 10", (11,)),
        ("session.age_minutes < 10", (10,)),
        ("session.age_minutes <= 10", (11,)),
        ("session.age_minutes == 10", (10, 11)),
        ("session.age_minutes in [3, 7]", (3, 4, 7, 8)),
        ("session.age_minutes > 10.5", (11,)),
        ("session.age_minutes >= 10.5", (11,)),
        ("!(session.age_minutes >= 10 && time.hour > 3)", (10,)),
        ("x < session.age_minutes", (-1,)),
        ("has(session.age_minutes)", ()),
    ],
)
def test_thresholds_of_what_time_moves(source: str, steps: tuple[int, ...]) -> None:
    assert compiled(a=source).steps["session.age_minutes"] == steps


def test_now_is_looked_at_exactly_when_it_passes_a_moment() -> None:
    found = compiled(
        a='now >= timestamp("2026-12-24T18:00:00Z") && now < timestamp("2026-12-26T00:00:00.001Z")',
        b="now > traits.renewal || traits.renewal == now",
    )
    assert found.steps["now"] == (1798135200000, 1798243200001)
    assert found.beside_now == {"traits.renewal"}


# --- clocks that are turned, against looking at every minute ---

SPRING, AUTUMN = 1774659600000, 1792803600000
"""The days before Europe turns its clocks in 2026: 28 March and 24 October, 01:00 UTC."""
ZONES = ("Europe/Vienna", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "UTC")
WALLS = [202603290000 + each for each in (0, 145, 200, 201, 215, 230, 259, 260, 300, 301, 2400)]
WALLS += [202610250000 + each for each in (0, 159, 200, 201, 230, 259, 300, 9999)] + [
    202603280000,
    202602310000,
    20261024,
]
COMPARED = st.one_of(
    st.tuples(st.just("time.local"), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from(WALLS)),
    st.tuples(st.sampled_from(["time.hour", "shop_time.hour"]), st.sampled_from([">=", "==", "<"]), st.integers(0, 23)),
    st.tuples(st.just("shop_time.weekday"), st.just("=="), st.integers(1, 7)),
)


def times_of(sources: list[str], zones: tuple[str, str], start: int, renewal: int) -> tuple[list[object], list[object]]:
    """The changes seen when looking at every minute, and when looking only when told to."""
    playbook, _ = examine({"a.yaml": "placements: {}\n"})
    assert playbook is not None
    found = compiled(**{f"s{number}": source for number, source in enumerate(sources)})
    profile = Profile("p", "a", start)
    pair = Zones(zone_of(zones[0]), zone_of(zones[1]))

    def standing(now: int) -> tuple[Mapping[str, Value], frozenset[str]]:
        values: dict[str, Value] = {**clock_values(now, *zones), "traits.renewal": renewal}
        found.evaluate(values, {})
        return values, members_of(values, found)

    def seen(moments: Iterable[int]) -> list[object]:
        changes, before = [], standing(start)[1]
        for moment in moments:
            after = standing(moment)[1]
            if after != before:
                changes.append((-(-(moment - start) // MINUTE), after))
            before = after
        return changes

    def told() -> Iterator[int]:
        now = start
        for _ in range(3000):
            due = next_change(found, playbook.features, profile, now, pair, standing(now)[0])
            if due is None or due > start + 50 * 60 * MINUTE:
                return
            assert due > now
            now = due
            yield now

    return seen(start + minute * MINUTE for minute in range(1, 50 * 60 + 1)), seen(told())


@settings(max_examples=25, deadline=None)
@given(
    tests=st.lists(COMPARED, min_size=1, max_size=3),
    zones=st.tuples(st.sampled_from(ZONES), st.sampled_from(ZONES)),
    start=st.sampled_from([SPRING, AUTUMN]),
)
@example(tests=[("time.local", ">=", 202603290230)], zones=("Europe/Vienna", "UTC"), start=SPRING)
@example(tests=[("time.local", ">=", 202610250230)], zones=("Europe/Vienna", "UTC"), start=AUTUMN)
def test_clocks_that_are_turned_are_followed(
    tests: list[tuple[str, str, int]], zones: tuple[str, str], start: int
) -> None:
    expected, found = times_of([f"{name} {op} {value}" for name, op, value in tests], zones, start, 0)
    assert found == expected


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
def test_a_moment_of_the_shoppers_own_is_kept(op: str) -> None:
    expected, found = times_of([f"now {op} traits.renewal"], ("UTC", "UTC"), SPRING, SPRING + 7 * MINUTE)
    assert expected
    assert found == expected


def test_planted_a_clock_that_is_never_turned_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_millis", lambda moment: plain(moment.replace(fold=0)))
    plain = _millis
    expected, found = times_of(["time.local >= 202603290230"], ("Europe/Vienna", "UTC"), SPRING, 0)
    assert found != expected


# --- what time alone changes, against looking at every minute ---

TIMED = """
shop: {time_zone: Asia/Kathmandu}
features:
  viewed: {count: Product Viewed, window: 2h}
  visit_views: {count: Product Viewed, session: true}
segments:
  short: session.age_minutes < 7
  exactly: session.age_minutes == 12
  in_visit: session.events > 0
  away: days_since_last_visit >= 1
  left: open_cart.count > 0 && open_cart.idle_minutes >= 25
  long_left: open_cart.idle_minutes > 90
  watched: viewed >= 2
  this_visit: visit_views >= 1
  evening: time.hour >= 17 && time.hour < 20
  weekend: time.is_weekend
  both: '"left" in segments && !("evening" in segments)'
"""


@pytest.fixture(scope="module")
def timed() -> Playbook:
    playbook, faults = examine({"a.yaml": TIMED})
    assert playbook is not None, faults
    return playbook


STEPS = st.lists(
    st.tuples(st.integers(0, 200), st.sampled_from(["Product Viewed", "Product Added", "Product Removed"])),
    min_size=1,
    max_size=6,
)


def walk(playbook: Playbook, steps: list[tuple[int, str]]) -> Shopper:
    shopper = Shopper(playbook)
    for minutes, event in steps:
        line = {"product_id": "p", "category": "c", "price": 5, "quantity": 1}
        shopper.wait(minutes=minutes).does(event, browser=True, **line)
    return shopper


def later(shopper: Shopper) -> int | None:
    assert shopper.profile is not None
    playbook = shopper.playbook
    zones = Zones(zone_of(playbook.settings.time_zone), zone_of(playbook.settings.time_zone))
    values = standing_values(playbook, shopper.profile, shopper.now)
    return next_change(playbook.segments, playbook.features, shopper.profile, shopper.now, zones, values)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_change_is_missed_and_none_comes_late(timed: Playbook, steps: list[tuple[int, str]]) -> None:
    """Oracle: look at every minute of the next 27 hours; asking only when told to must see the same memberships."""
    shopper = walk(timed, steps)
    start, horizon = shopper.now, shopper.now + 27 * 60 * MINUTE
    expected, before = [], shopper.standing()
    for minute in range(1, 27 * 60 + 1):
        shopper.now = start + minute * MINUTE
        now = shopper.standing()
        if now != before:
            expected.append((minute, now))
            before = now
    shopper.now = start
    found, before = [], shopper.standing()
    for _ in range(400):
        moment = later(shopper)
        if moment is None or moment > horizon:
            break
        assert moment > shopper.now
        shopper.now = moment
        now = shopper.standing()
        if now != before:
            found.append((-(-(moment - start) // MINUTE), now))
            before = now
    assert found == expected


def test_nothing_timed_is_never_due() -> None:
    playbook, _ = examine({"a.yaml": "segments:\n  known: traits.known\n"})
    assert playbook is not None
    assert later(walk(playbook, [(0, "Product Viewed")])) is None


def test_a_clock_segment_is_due_at_its_own_hour(timed: Playbook) -> None:
    shopper = walk(timed, [(0, "Product Viewed")])
    shopper.wait(days=40)
    moment = later(shopper)
    assert moment is not None
    shopper.now = moment
    assert shopper.inputs().values["time.hour"] in {0, 17, 20}
    assert (moment - START) % DAY < DAY


def test_planted_a_threshold_one_late_is_seen(timed: Playbook, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {path: tuple(step + 1 for step in found) for path, found in timed.segments.steps.items()}
    late = Segments(timed.segments.ordered, steps, timed.segments.names)
    shopper = walk(timed, [(0, "Product Added")])
    assert shopper.profile is not None
    rest = (timed.features, shopper.profile, shopper.now, Zones(None, None), {})
    assert module.next_change(late, *rest) != module.next_change(timed.segments, *rest)
