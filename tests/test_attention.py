"""Caps: enough is enough, in a session, a day, ever, and after a dismissal; in any order of arrival."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap import attention
from cashwrap.attention import DAY, KEPT, KEYS, Cap, keys_of, reached
from cashwrap.declarations import CapsDecl
from cashwrap.model import Impressions

NOW = 1_760_000_000_000
HOUR = 3_600_000


def seen(*times: int, dismissed: int = 0) -> dict[str, Impressions]:
    return {"all": Impressions(sorted(times), len(times), dismissed)}


def limit(impressions: dict[str, Impressions], *, session_start: int = NOW - HOUR, **limits: int) -> str | None:
    found = reached([Cap("all", CapsDecl(**limits))], impressions, NOW, session_start)
    return found[1] if found is not None else None


@pytest.mark.parametrize(
    ("limits", "times", "expected"),
    [
        ({"session": 2}, [NOW - 1], None),
        ({"session": 2}, [NOW - 2, NOW - 1], "session"),
        ({"session": 2}, [NOW - 2 * HOUR, NOW - 1], None),
        ({"session": 1}, [NOW - HOUR], "session"),
        ({"day": 1}, [NOW - DAY], None),
        ({"day": 1}, [NOW - DAY + 1], "day"),
        ({"shopper": 2}, [NOW - 90 * DAY, NOW - 80 * DAY], "shopper"),
        ({}, [NOW] * 10, None),
    ],
)
def test_each_limit(limits: dict[str, int], times: list[int], expected: str | None) -> None:
    assert limit(seen(*times), **limits) == expected


def test_after_a_dismissal_it_stays_away_for_as_long_as_said() -> None:
    assert limit(seen(dismissed=NOW - HOUR), cool_down=HOUR + 1) == "cool_down"
    assert limit(seen(dismissed=NOW - HOUR), cool_down=HOUR) is None
    assert limit(seen(), cool_down=HOUR) is None


def test_each_key_counts_for_itself_and_the_narrowest_is_named() -> None:
    keys = keys_of("thanks", "top", "banner")
    assert keys == ("experience:thanks", "placement:top", "format:banner", "all")
    impressions: dict[str, Impressions] = {}
    attention.count(impressions, keys[1:3], NOW - 1)
    caps = [Cap(key, CapsDecl(shopper=1)) for key in keys]
    assert reached(caps, impressions, NOW, 0) == ("placement:top", "shopper")
    assert reached([caps[0], caps[3]], impressions, NOW, 0) is None


Happening = tuple[str, int]
HAPPENINGS = st.lists(st.tuples(st.sampled_from(["show", "dismiss"]), st.integers(0, 10**6)), max_size=80)


def counted(happenings: list[Happening]) -> dict[str, Impressions]:
    impressions: dict[str, Impressions] = {}
    for what, time in happenings:
        (attention.count if what == "show" else attention.dismiss)(impressions, ["all"], time)
    return impressions


def naive(happenings: list[Happening]) -> dict[str, Impressions]:
    times = sorted(time for what, time in happenings if what == "show")
    dismissed = max((time for what, time in happenings if what == "dismiss"), default=0)
    return {"all": Impressions(times[-KEPT:], len(times), dismissed)} if happenings else {}


@given(HAPPENINGS, st.randoms(use_true_random=False))
def test_any_order_of_arrival_ends_the_same(happenings: list[Happening], rng: Any) -> None:
    shuffled = list(happenings)
    rng.shuffle(shuffled)
    assert counted(shuffled) == counted(happenings) == naive(happenings)


@given(HAPPENINGS, HAPPENINGS)
def test_two_devices_merge_into_what_one_would_have_counted(one: list[Happening], other: list[Happening]) -> None:
    into = counted(one)
    attention.merge(into, counted(other))
    assert into == naive([*one, *other])


@given(HAPPENINGS, st.integers(1, KEPT), st.integers(0, 10**6), st.sampled_from(["session", "day", "shopper"]))
def test_what_is_kept_decides_as_the_whole_history_would(
    happenings: list[Happening], cap: int, start: int, kind: str
) -> None:
    """Fifty times are enough for every cap up to fifty."""
    whole = [time for what, time in happenings if what == "show"]
    within = {
        "session": [t for t in whole if t >= start],
        "day": [t for t in whole if t > 10**6 - DAY],
        "shopper": whole,
    }
    found = reached([Cap("all", CapsDecl(**{kind: cap}))], counted(happenings), 10**6, start)
    assert (found is not None) == (len(within[kind]) >= cap)


def test_a_shopper_cannot_make_the_counts_grow_without_end() -> None:
    impressions: dict[str, Impressions] = {}
    for number in range(3 * KEYS):
        attention.count(impressions, [f"experience:{number}"], NOW)
        attention.count(impressions, ["experience:0"], NOW + number)
    assert len(impressions) == KEYS
    assert len(impressions["experience:0"].times) == KEPT
    assert len(msgspec.msgpack.encode(impressions)) < 20_000


def test_the_order_law_notices_a_list_that_is_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "insort", lambda times, time: times.append(time))
    with pytest.raises(AssertionError):
        test_any_order_of_arrival_ends_the_same()
