"""Numbers that can be worked out by hand; what holds for every aggregate is in laws/."""

from decimal import Decimal

import pytest

from cashwrap import aggregates
from cashwrap.aggregates import DAY, HOUR, LARGEST, LATE, MINUTE, Count, Decayed, Edge, Keyed, Tiles, earliest

NOW = 1_700_000_000_000


def test_sums_stop_inside_64_bits() -> None:
    total = 0
    for _ in range(600_000 // 1000):
        total = aggregates.add(total, LARGEST * 1000)
    assert total == 1 << 62
    assert aggregates.decode(aggregates.encode(total)) == total
    assert aggregates.add(-(1 << 61), -(1 << 62)) == -(1 << 62)


def test_decay_is_within_two_steps_of_the_exact_curve() -> None:
    aggregate = Decayed(7 * DAY, 1_000_000)
    for age in (0, 1, 3, 7, 7.5, 14, 30, 63):
        state = aggregate.update({}, 1_000, NOW - int(age * DAY), "id")
        exact = 1_000 * 2 ** (-age / 7)
        assert abs(Decimal(aggregate.value(state, NOW)) / 1_000_000 - Decimal(exact)) < Decimal(exact * 0.025)


def test_a_half_life_halves_exactly() -> None:
    aggregate = Decayed(64 * MINUTE)
    state = aggregate.update({}, 1 << 20, NOW, "id")
    for halvings in range(20):
        assert aggregate.value(state, NOW + halvings * 64 * MINUTE) == 1 << (20 - halvings)


def test_the_keys_that_stay_are_counted_exactly() -> None:
    aggregate = Keyed(Count(), 11, 256)
    state = aggregate.init()
    for turn in range(3):
        for number in range(1_000):
            state = aggregate.update(state, (f"p{(number * 7 + turn) % 1000}", 1), NOW, "id")
    assert len(state) == 256
    assert set(state.values()) == {3}


@pytest.mark.parametrize(
    ("window", "size"),
    [(MINUTE, 5 * MINUTE), (4 * HOUR, 5 * MINUTE), (4 * HOUR + 1, HOUR), (2 * DAY, HOUR), (2 * DAY + 1, DAY)],
)
def test_tile_sizes(window: int, size: int) -> None:
    assert aggregates.tile_size(window) == size


def test_a_window_holds_an_event_for_its_length_and_less_than_a_tile_more() -> None:
    aggregate = Tiles(Count(), 30 * DAY)
    start = NOW - NOW % DAY
    for moment in (start, start + DAY - 1):
        state = aggregate.update({}, 1, moment, "id")
        leaves = start + 31 * DAY
        assert aggregate.value(state, moment + 30 * DAY) == 1
        assert aggregate.value(state, leaves - 1) == 1
        assert aggregate.value(state, leaves) == 0
        assert aggregate.next_change(state, NOW) == leaves


def test_late_events_find_their_tile_until_seven_days_behind_the_window() -> None:
    aggregate = Tiles(Count(), 10 * DAY)
    midnight = NOW - NOW % DAY
    for late, kept in ((17 * DAY, 2), (18 * DAY, 2), (19 * DAY, 1)):
        state = aggregate.update({}, 1, midnight, "newest")
        state = aggregate.update(state, 1, midnight - late, "late")
        assert len(state) == kept
    assert LATE == 7 * DAY


def test_first_and_last_tell_their_age_in_whole_days() -> None:
    state = [NOW, "id", "shoes"]
    for aggregate in (Edge(last=True), Edge(last=False)):
        assert aggregate.value(state, NOW + DAY - 1) == ("shoes", 0)
        assert aggregate.value(state, NOW + DAY) == ("shoes", 1)
        assert aggregate.value(state, NOW - DAY) == ("shoes", 0)
        assert aggregate.next_change(state, NOW + DAY) == NOW + 2 * DAY


def test_last_breaks_a_tie_by_event_id_and_then_by_value() -> None:
    aggregate = Edge(last=True)
    for order in (("b", "a"), ("a", "b")):
        state = None
        for name in order:
            state = aggregate.update(state, f"from {name}", NOW, name)
        assert state[2] == "from b"
    assert aggregate.merge([NOW, "a", "x"], [NOW, "a", "y"])[2] == "y"


def test_earliest() -> None:
    assert earliest([3, None, 2]) == 2
    assert earliest([None]) is None
