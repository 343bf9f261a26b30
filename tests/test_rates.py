"""How much one client may send: a bucket per key and network, in bounded memory."""

import pytest

from cashwrap.errors import TooMuch
from cashwrap.keys import ApiKey
from cashwrap.serve import rates
from cashwrap.serve.rates import Rates
from engines import LIVE, TestClock

PUBLIC = ApiKey("id", "publishable", LIVE, b"")


def refused(bucket: Rates, address: str | None, amount: int = 1, key: ApiKey = PUBLIC) -> int:
    """The seconds to wait, 0 where it may pass."""
    try:
        bucket.check(key, address, amount)
    except TooMuch as error:
        return error.retry_after if error.code == "rate_limited" else -1
    return 0


def test_a_burst_then_a_steady_rate() -> None:
    clock = TestClock()
    bucket = Rates(clock, 5, burst=2)
    assert [refused(bucket, "203.0.113.1") for _ in range(11)] == [0] * 10 + [1]
    clock.time += 1000
    assert [refused(bucket, "203.0.113.1") for _ in range(6)] == [0] * 5 + [1]


def test_one_shopper_from_many_networks_is_told_to_come_back_and_others_are_not() -> None:
    clock = TestClock()
    bucket = Rates(clock, 10_000)
    bucket.check_shoppers(PUBLIC, ["hot"] * int(rates.SHOPPER_BURST))
    with pytest.raises(TooMuch) as told:
        bucket.check_shoppers(PUBLIC, ["hot"])
    assert told.value.code == "rate_limited"
    bucket.check_shoppers(PUBLIC, ["calm", "other"])
    bucket.check_shoppers(ApiKey("id", "secret", LIVE, b""), ["hot"] * 5_000)
    clock.time += 1_000
    bucket.check_shoppers(PUBLIC, ["hot"] * int(rates.SHOPPER))
    Rates(clock, 0).check_shoppers(PUBLIC, ["hot"] * 5_000)


def test_a_network_shares_a_bucket_and_others_do_not() -> None:
    bucket = Rates(TestClock(), 1, burst=1)
    assert refused(bucket, "203.0.113.1") == 0
    assert refused(bucket, "203.0.113.99") == 1
    assert refused(bucket, "203.0.114.1") == 0
    assert refused(bucket, "2001:db8:1::1") == 0
    assert refused(bucket, "2001:db8:1:2::9") == 1
    assert refused(bucket, None) == 0
    assert refused(bucket, "nonsense") == 1
    other = ApiKey("other", "publishable", LIVE, b"")
    assert refused(bucket, "203.0.113.1", key=other) == 0


@pytest.mark.parametrize("amount", [1, 7, 10, 11, 2500])
def test_who_waits_as_told_passes(amount: int) -> None:
    clock = TestClock()
    bucket = Rates(clock, 5, burst=2)
    refused(bucket, "a", 10)
    wait = refused(bucket, "a", amount)
    assert 0 < wait <= 2
    clock.time += wait * 1000
    assert refused(bucket, "a", amount) == 0


def test_a_backend_and_a_switched_off_limit_pass() -> None:
    bucket = Rates(TestClock(), 1, burst=1)
    secret = ApiKey("id", "secret", LIVE, b"")
    assert [refused(bucket, "a", 100, secret) for _ in range(3)] == [0, 0, 0]
    assert [refused(Rates(TestClock(), 0), "a", 100) for _ in range(3)] == [0, 0, 0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "CLIENTS", 100)
    bucket = Rates(TestClock(), 5)
    for number in range(500):
        refused(bucket, f"10.{number // 250}.{number % 250}.1")
    assert len(bucket._buckets) <= 100
