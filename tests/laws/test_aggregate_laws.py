"""The law book of the aggregate algebra: every aggregate in the module is found, and every law holds for each.

A law is a function of an aggregate and generated events; it raises AssertionError where the aggregate breaks it. The
planted aggregates at the end break one law each, and the test is that the law says so.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cashwrap import aggregates
from cashwrap.aggregates import (
    DAY,
    HOUR,
    LARGEST,
    MINUTE,
    Aggregate,
    Average,
    Count,
    Decayed,
    Edge,
    Extreme,
    Keyed,
    Rate,
    State,
    Sum,
    Tiles,
)

NOW = 1_700_000_000_000
SPAN = 60 * DAY

amounts = st.one_of(st.integers(-50, 500), st.integers(-LARGEST, LARGEST))
keys = st.sampled_from(["shoes", "hats", "bags", "ties", "socks", "é", "a.b", 'q"'])
ones = st.just(1)
scalars = st.one_of(st.text(max_size=3), st.integers(0, 3), st.booleans())


class Sample(NamedTuple):
    make: Callable[[], Aggregate]
    values: st.SearchStrategy[Any]
    nothing: Any
    """What it means over no events."""


SAMPLES = {
    "count": Sample(Count, ones, 0),
    "sum": Sample(Sum, amounts, 0),
    "average": Sample(Average, amounts, None),
    "rate": Sample(Rate, st.booleans(), None),
    "min": Sample(lambda: Extreme(min), amounts, None),
    "max": Sample(lambda: Extreme(max), amounts, None),
    "first": Sample(lambda: Edge(last=False), scalars, None),
    "last": Sample(lambda: Edge(last=True), scalars, None),
    "decayed": Sample(lambda: Decayed(3 * DAY, 1000), st.integers(-LARGEST, LARGEST), 0),
    "decayed, quick": Sample(lambda: Decayed(MINUTE), st.integers(0, 1000), 0),
    "keyed count": Sample(lambda: Keyed(Count(), 7, 3), st.tuples(keys, ones), {}),
    "keyed sum": Sample(lambda: Keyed(Sum(), 7, 100), st.tuples(keys, amounts), {}),
    "keyed keyed": Sample(lambda: Keyed(Keyed(Count(), 1, 2), 2, 3), st.tuples(keys, st.tuples(keys, ones)), {}),
    "tiles of count": Sample(lambda: Tiles(Count(), 30 * DAY), ones, 0),
    "tiles of five minutes": Sample(lambda: Tiles(Count(), HOUR), ones, 0),
    "tiles of hours": Sample(lambda: Tiles(Sum(), 2 * DAY), amounts, 0),
    "tiles of last": Sample(lambda: Tiles(Edge(last=True), 7 * DAY), scalars, None),
    "tiles of average": Sample(lambda: Tiles(Average(), 7 * DAY), amounts, None),
    "tiles of keyed": Sample(lambda: Tiles(Keyed(Count(), 3, 4), 10 * DAY), st.tuples(keys, ones), {}),
    "tiles of decayed": Sample(lambda: Tiles(Decayed(DAY, 1000), 10 * DAY), st.integers(0, 1000), 0),
}

Events = list[tuple[Any, int, str]]
few = settings(max_examples=12, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))


def events_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Events]:
    """Values with times that collide often and ids that never do."""
    times = st.one_of(
        st.integers(NOW - SPAN, NOW), st.sampled_from([NOW, NOW - DAY, NOW - 7 * DAY, NOW - 30 * DAY, NOW - HOUR])
    )
    pairs = st.lists(st.tuples(values, times), max_size=12)
    return pairs.map(lambda found: [(value, time, f"id{number}") for number, (value, time) in enumerate(found)])


def fold(aggregate: Aggregate, events: Events, state: State = ...) -> State:
    state = aggregate.init() if state is ... else state
    for value, time, name in events:
        state = aggregate.update(state, value, time, name)
    return state


def same(a: State, b: State) -> bool:
    return aggregates.encode(a) == aggregates.encode(b)


# --- the laws ---


def law_any_order(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    shuffled = data.draw(st.permutations(events))
    assert same(fold(aggregate, events), fold(aggregate, shuffled))


def law_merge_is_commutative(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    cut = data.draw(st.integers(0, len(events)))
    a, b = fold(aggregate, events[:cut]), fold(aggregate, events[cut:])
    assert same(aggregate.merge(a, b), aggregate.merge(b, a))


def law_merge_is_associative(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    first, second = sorted((data.draw(st.integers(0, len(events))), data.draw(st.integers(0, len(events)))))
    a, b, c = (fold(aggregate, part) for part in (events[:first], events[first:second], events[second:]))
    merge = aggregate.merge
    assert same(merge(merge(a, b), c), merge(a, merge(b, c)))


def law_merge_is_one_history(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    cut = data.draw(st.integers(0, len(events)))
    halves = fold(aggregate, events[:cut]), fold(aggregate, events[cut:])
    assert same(aggregate.merge(*halves), fold(aggregate, events))


def law_nothing_changes_nothing(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    state = fold(aggregate, events)
    assert same(aggregate.merge(state, aggregate.init()), state)
    assert same(aggregate.merge(aggregate.init(), state), state)


def law_reading_and_merging_touch_nothing(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    cut = data.draw(st.integers(0, len(events)))
    a, b = fold(aggregate, events[:cut]), fold(aggregate, events[cut:])
    before = aggregates.encode(a), aggregates.encode(b)
    aggregate.value(a, NOW)
    aggregate.next_change(a, NOW)
    merged = aggregate.merge(a, b)
    fold(aggregate, events, merged)  # what grows on must not share anything with what it came from
    assert (aggregates.encode(a), aggregates.encode(b)) == before


def law_survives_msgpack(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    cut = data.draw(st.integers(0, len(events)))
    state = fold(aggregate, events[:cut])
    stored = aggregates.decode(aggregates.encode(state))
    assert stored == state
    assert aggregate.value(stored, NOW) == aggregate.value(state, NOW)
    assert same(fold(aggregate, events[cut:], stored), fold(aggregate, events))


def law_changes_when_it_says(aggregate: Aggregate, data: st.DataObject, events: Events) -> None:
    state = fold(aggregate, events)
    moment = aggregate.next_change(state, NOW)
    until = NOW + 400 * DAY if moment is None else moment
    assert until > NOW
    later = data.draw(st.integers(NOW, until - 1))
    assert aggregate.value(state, later) == aggregate.value(state, NOW)
    assert aggregate.value(state, until - 1) == aggregate.value(state, NOW)


LAWS = [law for name, law in sorted(globals().items()) if name.startswith("law_")]


def check(
    law: Callable[..., None],
    aggregate: Aggregate,
    values: st.SearchStrategy[Any],
    examples: int = 12,
    phases: Sequence[Phase] = tuple(Phase),
) -> None:
    @settings(few, max_examples=examples, phases=phases, derandomize=True, database=None)
    @given(st.data(), events_of(values))
    def run(data: st.DataObject, events: Events) -> None:
        law(aggregate, data, events)

    run()


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[..., None], name: str) -> None:
    sample = SAMPLES[name]
    check(law, sample.make(), sample.values)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_means(name: str) -> None:
    aggregate = SAMPLES[name].make()
    assert aggregate.value(aggregate.init(), NOW) == SAMPLES[name].nothing
    assert aggregate.next_change(aggregate.init(), NOW) is None


def test_every_aggregate_has_a_sample() -> None:
    found = {
        member
        for _, member in inspect.getmembers(aggregates, inspect.isclass)
        if hasattr(member, "update") and hasattr(member, "merge") and member is not Aggregate
    }
    assert found == {type(sample.make()) for sample in SAMPLES.values()}


@pytest.mark.parametrize("name", SAMPLES)
def test_memory_is_bounded(name: str) -> None:
    """5,000 events of ever new keys, over two years, leave no more than a fixed number of bytes."""
    aggregate = SAMPLES[name].make()
    state = aggregate.init()
    depth = 2 if name == "keyed keyed" else 1 if "keyed" in name else 0
    value: Any
    for number in range(5_000):
        value = {"first": f"v{number}", "last": f"v{number}"}.get(name, 10**12)
        for _ in range(depth):
            value = (f"key{number}", value)
        state = aggregate.update(state, value, NOW + number * 730 * DAY // 5_000, f"id{number}")
    assert state != aggregate.init()
    assert len(aggregates.encode(state)) <= 2_000


# --- planted bugs: each breaks a law, and the law says so ---


class LastWithoutTieBreak(Edge):
    def __init__(self) -> None:
        super().__init__(last=True)

    def _better(self, a: State, b: State) -> State:
        if a is None or b is None:
            return a if b is None else b
        return b if b[0] >= a[0] else a


class KeepsTheFirstKeys(Keyed):
    def update(self, state: State, value: Any, time: int, event_id: str) -> State:
        if value[0] not in state and len(state) >= 3:
            return state
        return super().update(state, value, time, event_id)


class AveragesAverages(Average):
    def merge(self, a: State, b: State) -> State:
        return [(a[0] + b[0]) // 2, max(a[1], b[1])]


class MergesInPlace(Average):
    def merge(self, a: State, b: State) -> State:
        a[0] += b[0]
        a[1] += b[1]
        return a


class KeepsTuples(Average):
    def init(self) -> State:
        return (0, 0)

    def update(self, state: State, value: Any, time: int, event_id: str) -> State:
        return (state[0] + value, state[1] + 1)


class LeavesTooLate(Tiles):
    """Says that the oldest tile leaves one tile later than it does."""

    def next_change(self, state: State, now: int) -> int | None:
        moment = super().next_change(state, now)
        return None if moment is None else moment + DAY


class PrunesByArrival(Tiles):
    """Forgets tiles relative to the event at hand, not to the newest."""

    def update(self, state: State, value: Any, time: int, event_id: str) -> State:
        state = super().update(state, value, time, event_id)
        return {tile: part for tile, part in state.items() if tile <= time // DAY}


class DecaysAtWrite(Sum):
    """Backward decay: halves what is there whenever something comes."""

    def update(self, state: State, value: Any, time: int, event_id: str) -> State:
        return state // 2 + value


PLANTED = [
    (LastWithoutTieBreak(), scalars, law_any_order),
    (KeepsTheFirstKeys(Count(), 7, 100), st.tuples(keys, ones), law_any_order),
    (AveragesAverages(), amounts, law_merge_is_one_history),
    (AveragesAverages(), amounts, law_nothing_changes_nothing),
    (MergesInPlace(), amounts, law_reading_and_merging_touch_nothing),
    (KeepsTuples(), amounts, law_survives_msgpack),
    (LeavesTooLate(Count(), 30 * DAY), ones, law_changes_when_it_says),
    (PrunesByArrival(Count(), 30 * DAY), ones, law_any_order),
    (DecaysAtWrite(), amounts, law_any_order),
    (DecaysAtWrite(), amounts, law_merge_is_one_history),
]


@pytest.mark.parametrize(
    ("planted", "values", "law"), PLANTED, ids=[f"{type(bug).__name__}-{law.__name__}" for bug, _, law in PLANTED]
)
def test_the_laws_catch(planted: Aggregate, values: st.SearchStrategy[Any], law: Callable[..., None]) -> None:
    with pytest.raises((AssertionError, TypeError)):
        check(law, planted, values, examples=300, phases=(Phase.generate,))
