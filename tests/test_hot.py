"""The caches in front of the store: bounded, and never out of date, however reads, writes and forgetting interleave."""

import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cashwrap.hot import Generations


def test_it_stays_bounded_and_keeps_what_is_asked_for() -> None:
    cache: Generations[int, int] = Generations(100)
    for number in range(1000):
        cache.put(number, number)
        cache.get(min(7, number))
        assert len(cache._young) + len(cache._old) <= 100
    assert cache.get(7) == 7
    assert cache.get(999) == 999
    assert cache.get(500) is None


def test_what_a_reader_loaded_never_hides_what_was_published() -> None:
    cache: Generations[str, str] = Generations(100)
    began = cache.rotations
    cache.put("a", "new")
    assert cache.offer("a", "old", began) == "new"
    assert cache.get("a") == "new"


def test_what_a_reader_loaded_before_a_forgetting_is_not_kept() -> None:
    for forget in (lambda cache: cache.drop("a"), lambda cache: cache.clear()):
        cache: Generations[str, str] = Generations(100)
        began = cache.rotations
        forget(cache)
        assert cache.offer("a", "forgotten", began) == "forgotten"
        assert cache.get("a") is None


def test_what_a_reader_loaded_long_ago_is_not_kept() -> None:
    """The newer value may have come and gone meanwhile."""
    cache: Generations[int, str] = Generations(4)
    began = cache.rotations
    cache.put(0, "new")
    for number in range(1, 20):
        cache.put(number, "other")
    assert cache.get(0) is None
    cache.offer(0, "old", began)
    assert cache.get(0) is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop", "clear", "begin", "offer"]), st.integers(0, 5)), max_size=60
)


@given(STEPS)
def test_it_answers_with_the_newest_value_or_none(steps: list[tuple[str, int]]) -> None:
    """Against a dictionary that forgets nothing: a reader loads what is true when it begins and offers it later."""
    cache: Generations[int, int] = Generations(4)
    truth: dict[int, int] = {}
    loading: dict[int, tuple[int, int]] = {}
    for version, (step, key) in enumerate(steps):
        if step == "put":
            truth[key] = version
            cache.put(key, version)
        elif step == "drop":
            truth.pop(key, None)
            cache.drop(key)
        elif step == "clear":
            truth.clear()
            cache.clear()
        elif step == "begin" and key in truth:
            loading[key] = cache.rotations, truth[key]
        elif step == "offer" and key in loading:
            began, value = loading.pop(key)
            cache.offer(key, value, began)
        assert cache.get(key) in {None, truth.get(key)}


class Naive(Generations[Any, Any]):
    """The planted bug: an older value is brought up without looking whether a newer one came."""

    def get(self, key: Any) -> Any:
        value = self._old.get(key)
        if value is not None:
            self._young[key] = value
        return value if value is not None else self._young.get(key)


def hidden(cache: Generations[int, int]) -> bool:
    cache.put(1, 1)
    cache.put(2, 2)
    cache.put(1, 3)
    return cache.get(1) != 3


def test_the_checker_sees_a_hidden_value() -> None:
    assert hidden(Naive(4))
    assert not hidden(Generations(4))


def test_readers_and_the_writer_at_once() -> None:
    """A value only ever grows: no reader may see it shrink, whatever the interleaving."""
    cache: Generations[int, int] = Generations(8)
    stop, shrunk = threading.Event(), []

    def read() -> None:
        seen = dict.fromkeys(range(6), 0)
        while not stop.is_set():
            for key in range(6):
                value = cache.get(key)
                if value is None:
                    began, loaded = cache.rotations, latest[key]
                    value = cache.offer(key, loaded, began)
                if value < seen[key]:
                    shrunk.append((key, seen[key], value))
                seen[key] = value

    latest = dict.fromkeys(range(6), 0)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 20_000):
        key = number % 6
        latest[key] = number
        cache.put(key, number)
    stop.set()
    for reader in readers:
        reader.join(30)
    assert shrunk == []
