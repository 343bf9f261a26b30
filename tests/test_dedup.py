"""The ids of recent events: kept seven days of receipt, through encoding and merges, against a plain dictionary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashwrap.dedup import DAYS, Seen, event_key
from cashwrap.model import Event
from engines import START

DAY = 86_400_000


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_new_repeat_and_conflict() -> None:
    seen = Seen()
    assert seen.judge(key(1), key(7)) == "new"
    seen.add(key(1), key(7), START)
    assert seen.judge(key(1), key(7)) == "duplicate"
    assert seen.judge(key(1), key(8)) == "conflict"
    assert seen.judge(key(2), key(7)) == "new"


def test_ids_are_kept_for_seven_days_of_receipt() -> None:
    seen = Seen()
    seen.add(key(1), key(1), START)
    seen.add(key(2), key(2), START + (DAYS - 1) * DAY)
    assert seen.judge(key(1), key(1)) == "duplicate"
    seen.add(key(3), key(3), START + DAYS * DAY)
    assert seen.judge(key(1), key(1)) == "new"
    assert seen.judge(key(2), key(2)) == "duplicate"
    assert len(Seen.decode(seen.encode())) == len(seen) == 2


@pytest.mark.parametrize("size", [0, 1, 7, 9, 16])
def test_a_fingerprint_of_another_size_spoils_nobody_elses(size: int) -> None:
    """Events the server makes itself, such as pushed memberships, have no body to take a fingerprint of."""
    seen = Seen()
    seen.add(key(1), key(1), START)
    seen.add(key(2), b"x" * size, START)
    seen.add(key(3), key(3), START)
    assert seen.judge(key(2), b"x" * size) == "duplicate"
    again = Seen.decode(seen.encode())
    assert [again.judge(key(n), key(n)) for n in (1, 3)] == ["duplicate"] * 2
    assert again.judge(key(2), b"x" * size) == "duplicate"
    assert len(again) == 3


Adds = list[tuple[int, int, int]]
ADDS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.integers(0, 20)), max_size=40)


@given(ADDS, ADDS, st.booleans())
def test_against_a_plain_dictionary(
    first: list[tuple[int, int, int]], other: list[tuple[int, int, int]], merge: bool
) -> None:
    def fill(adds: list[tuple[int, int, int]]) -> tuple[Seen, dict[int, tuple[int, int]], int]:
        seen, plain, newest = Seen(), {}, 0
        for number, body, day in sorted(adds, key=lambda each: each[2]):
            newest = max(newest, day)
            plain = {each: known for each, known in plain.items() if known[1] > newest - DAYS}
            verdict = seen.judge(key(number), key(body))
            if number not in plain and verdict == "new":
                seen.add(key(number), key(body), START + day * DAY)
                plain[number] = body, day
            plain = {each: known for each, known in plain.items() if known[1] > newest - DAYS}
        return seen, plain, newest

    seen, plain, newest = fill(first)
    if merge:
        theirs, their_plain, their_newest = fill(other)
        seen.merge(theirs)
        plain = {**their_plain, **plain}
        newest = max(newest, their_newest)
        plain = {each: known for each, known in plain.items() if known[1] > newest - DAYS}
    again = Seen.decode(seen.encode())
    for number, (body, _) in plain.items():
        for each in (seen, again):
            assert each.judge(key(number), key(body)) == "duplicate"
            assert each.judge(key(number), key(body + 9)) == "conflict"
    assert len(again) == len(seen)


def test_an_events_key_is_its_senders_own() -> None:
    def named(**fields: object) -> bytes:
        known = {"id": "m", "name": "x", "time": 0, "received": 0, "mask": 0, "source": "k", "anonymous_id": "a"}
        return event_key(Event(**{**known, **fields}), b"a secret of the folder")  # type: ignore[arg-type]

    base = named()
    assert named(user_id="u") == base, "who they turn out to be does not change it"
    assert named(name="y", time=9, received=9) == base
    others = [named(source="l"), named(anonymous_id="b"), named(id="n"), named(anonymous_id=None, user_id="a2")]
    assert len({base, *others}) == 5
