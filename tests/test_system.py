"""The machine's clock and randomness have the units and the freshness that the ports ask for."""

import time

from cashwrap.adapters.system import SystemClock, SystemRandom


def test_the_wall_clock_is_in_whole_milliseconds() -> None:
    before = time.time_ns()
    now = SystemClock().now()
    assert before // 1_000_000 <= now <= time.time_ns() // 1_000_000
    assert isinstance(now, int)


def test_the_monotonic_clock_is_in_seconds_and_never_goes_back() -> None:
    clock = SystemClock()
    readings = [time.monotonic(), *(clock.monotonic() for _ in range(100)), time.monotonic()]
    assert readings == sorted(readings)


def test_tokens_have_their_size_and_never_repeat() -> None:
    source = SystemRandom()
    assert [len(source.token(size)) for size in (0, 1, 12, 32)] == [0, 1, 12, 32]
    assert len({source.token(16) for _ in range(1_000)}) == 1_000
