"""How much one client may send with a publishable key: a token bucket per key and network, in memory and bounded."""

import math

from cashwrap.errors import TooMuch
from cashwrap.events.traffic import truncated
from cashwrap.keys import ApiKey
from cashwrap.ports import Clock

CLIENTS = 50_000
Client = tuple[str, str | None]
"""A key's id and a network."""


class Rates:
    """Counts events and decisions; a secret key is the shop itself and is not limited.

    ``per_second`` may be passed on for ``burst`` seconds; 0 switches limits off. ``proxies`` are the addresses whose
    ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self, clock: Clock, per_second: int = 200, burst: int = 10, proxies: frozenset[str] = frozenset()
    ) -> None:
        self._clock = clock
        self._rate = float(per_second)
        self._most = float(per_second * burst)
        self._proxies = proxies
        self._buckets: dict[Client, tuple[float, float]] = {}

    def trusts(self, address: str | None) -> bool:
        """Whether this address is a proxy of ours."""
        return address in self._proxies

    def check(self, key: ApiKey, address: str | None, amount: int) -> None:
        """Count ``amount``. Raises ``TooMuch`` (``rate_limited``) with the seconds until it would pass."""
        if key.trusted or not self._rate:
            return
        amount = min(amount, int(self._most))  # a batch larger than any burst waits for a full bucket, not for ever
        seconds = self._spend((key.id, truncated(address)), amount, self._clock.monotonic())
        if seconds > 0:
            wait = max(1, math.ceil(seconds))
            raise TooMuch(f"too many requests; come back in {wait} s", code="rate_limited", retry_after=wait)

    def _spend(self, client: Client, amount: int, now: float) -> float:
        """Take ``amount`` out of the client's bucket if it holds as much; else the seconds until it will."""
        left, then = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - then) * self._rate)
        if left < amount:
            self._buckets[client] = (left, now)
            return (amount - left) / self._rate
        self._buckets[client] = (left - amount, now)
        if len(self._buckets) > CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0
