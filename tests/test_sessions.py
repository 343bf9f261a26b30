"""Sessions by any order of arrival are the sessions of the sorted events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap import sessions
from cashwrap.aggregates import DAY, HOUR, MINUTE
from cashwrap.model import Millis, Profile, Session
from cashwrap.sessions import GAP

NOW = 1_700_000_000_000
Interval = tuple[Millis, Millis, int]


def profile() -> Profile:
    return Profile(b"shopper", b"analyst", 0)


def touched(times: list[Millis]) -> Profile:
    draft = profile()
    for time in times:
        sessions.touch(draft, time)
    return draft


def naive(times: list[Millis]) -> list[Interval]:
    """Cut the sorted times wherever 30 minutes passed."""
    found: list[Interval] = []
    for time in sorted(times):
        if found and time - found[-1][1] < GAP:
            start, _, events = found[-1]
            found[-1] = (start, time, events + 1)
        else:
            found.append((time, time, 1))
    return found


def agree(draft: Profile, times: list[Millis]) -> bool:
    expected = naive(times)
    kept = [(session.start, session.end, session.events) for session in draft.sessions]
    return sessions.count(draft) == len(expected) and kept == expected[len(expected) - len(kept) :]


minutes = st.integers(0, 40 * 24 * 60).map(lambda minute: NOW + minute * MINUTE)
near = st.integers(0, 400).map(lambda minute: NOW + 39 * DAY + minute * MINUTE)
times_of = st.lists(st.one_of(minutes, near), max_size=30)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Millis]:
    """Times in an order of arrival in which none is more than seven days behind the newest."""
    late = [(time + draw(st.integers(0, 7 * DAY)), time) for time in draw(times_of)]
    return [time for _, time in sorted(late)]


@settings(max_examples=150)
@given(arrivals())
def test_any_order_within_seven_days(times: list[Millis]) -> None:
    assert agree(touched(times), times)


@settings(max_examples=100)
@given(st.lists(st.integers(0, 7 * 24 * 60).map(lambda minute: NOW + minute * MINUTE), max_size=20), st.data())
def test_split_and_merged_is_the_same(times: list[Millis], data: st.DataObject) -> None:
    sides = [data.draw(st.integers(0, 2)) for _ in times]
    parts = [touched([time for time, side in zip(times, sides, strict=True) if side == part]) for part in range(3)]
    one, two = profile(), profile()
    for part in parts:
        sessions.merge(one, part)
    sessions.merge(parts[1], parts[2])
    sessions.merge(two, parts[1])
    sessions.merge(two, parts[0])
    assert agree(one, times)
    assert agree(two, times)


def test_merging_adds_what_is_only_a_number() -> None:
    one, other = touched([NOW, NOW + 20 * DAY, NOW + 40 * DAY]), touched([NOW + DAY, NOW + 21 * DAY, NOW + 41 * DAY])
    assert other.session_count == 1
    sessions.merge(one, other)
    assert sessions.count(one) == 6


def test_merging_leaves_the_other_alone() -> None:
    one, other = touched([NOW]), touched([NOW + MINUTE])
    sessions.merge(one, other)
    sessions.touch(one, NOW + 2 * MINUTE)
    assert [(session.start, session.end) for session in other.sessions] == [(NOW + MINUTE, NOW + MINUTE)]


@pytest.mark.parametrize(("gap", "expected"), [(GAP - 1, 1), (GAP, 2)])
def test_thirty_minutes_exactly_is_a_new_session(gap: int, expected: int) -> None:
    assert sessions.count(touched([NOW, NOW + gap])) == expected
    assert sessions.count(touched([NOW + gap, NOW])) == expected


def test_a_late_event_joins_two_sessions() -> None:
    draft = touched([NOW, NOW + 50 * MINUTE])
    assert sessions.count(draft) == 2
    sessions.touch(draft, NOW + 25 * MINUTE)
    assert [(s.start, s.end, s.events) for s in draft.sessions] == [(NOW, NOW + 50 * MINUTE, 3)]


def test_old_sessions_become_a_number_and_the_newest_of_them_stays() -> None:
    visits = [NOW + day * DAY for day in range(0, 60, 2)]
    draft = touched(visits)
    assert sessions.count(draft) == 30
    assert draft.session_count > 20
    assert sessions.values(touched([NOW, NOW + 200 * DAY]), NOW + 200 * DAY)["days_since_last_visit"] == 200


def test_what_comes_too_late_is_left_out() -> None:
    draft = touched([NOW])
    sessions.touch(draft, NOW - 8 * DAY)
    assert sessions.count(draft) == 1


def test_a_robot_cannot_fill_the_profile() -> None:
    draft = touched([NOW + step * 31 * MINUTE for step in range(3_000)])
    assert len(draft.sessions) <= 340
    assert sessions.count(draft) == 3_000


def test_values() -> None:
    start = NOW + 3 * DAY
    draft = touched([NOW, start, start + 10 * MINUTE])
    during = start + 12 * MINUTE + 59_999
    assert sessions.values(draft, during) == {
        "sessions": 2,
        "session.age_minutes": 12,
        "session.events": 2,
        "days_since_last_visit": 3,
    }
    after = start + 10 * MINUTE + GAP
    assert sessions.values(draft, after) == {
        "sessions": 2,
        "session.age_minutes": 0,
        "session.events": 0,
        "days_since_last_visit": 0,
    }
    assert sessions.values(profile(), NOW) == {"sessions": 0, "session.age_minutes": 0, "session.events": 0}


@settings(max_examples=100)
@given(times_of, st.integers(0, 42 * 24 * 60), st.floats(0, 1))
def test_values_change_when_it_says(times: list[Millis], minute: int, share: float) -> None:
    draft, now = touched(sorted(times)), NOW + minute * MINUTE + 7
    moment = sessions.next_change(draft, now)
    until = now + 30 * DAY if moment is None else moment
    assert until > now
    for later in (now + int((until - 1 - now) * share), until - 1):
        assert sessions.values(draft, later) == sessions.values(draft, now)
    if moment is not None:
        assert sessions.values(draft, moment) != sessions.values(draft, now)


# --- planted bugs ---


def touch_in_order_only(draft: Profile, time: Millis) -> None:
    """What a first version does: only the newest session can grow."""
    newest = draft.sessions[-1] if draft.sessions else None
    if newest is not None and time - newest.end < GAP:
        newest.end = max(newest.end, time)
        newest.events += 1
    else:
        draft.sessions.append(Session(time, time))


def touch_with_a_wide_gap(draft: Profile, time: Millis) -> None:
    """Merges at 30 minutes exactly."""
    sessions.touch(draft, time - 1 if draft.sessions and time - draft.sessions[-1].end == GAP else time)


@pytest.mark.parametrize("touch", [touch_in_order_only, touch_with_a_wide_gap])
def test_the_oracle_catches(touch: object) -> None:
    assert callable(touch)
    histories = [[NOW, NOW + GAP], [NOW, NOW + HOUR, NOW + GAP], [NOW + DAY, NOW]]
    found = []
    for times in histories:
        draft = profile()
        for time in times:
            touch(draft, time)
        found.append(agree(draft, times))
    assert not all(found)
