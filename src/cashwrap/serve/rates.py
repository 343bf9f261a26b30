"""How much one client may send with a publishable key: a token bucket per key and network, and one per shopper, so that
nobody's profile is folded over and over from many networks while the others wait. In memory and bounded."""

import math
from collections import Counter
from collections.abc import Iterable

from cashwrap.errors import TooMuch
from cashwrap.events.traffic import truncated
from cashwrap.keys import ApiKey
from cashwrap.ports import Clock

CLIENTS = 50_000
Client = tuple[str, str | None]
"""A key's id and a network, or a shopper's id."""
SHOPPER = 50.0
"""Events a second of one shopper: a person makes one now and then, a page that reloads some ..."""
SHOPPER_BURST = 1_000.0
"""... and a browser that comes back from a tunnel sends its whole queue, of 500 at most."""


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
        self._take((key.id, truncated(address)), amount, self._rate, self._most)

    def check_shoppers(self, key: ApiKey, shoppers: Iterable[str]) -> None:
        """Count one event of each. Raises ``TooMuch`` as ``check`` does."""
        if key.trusted or not self._rate:
            return
        for shopper, units in Counter(shoppers).items():
            self._take((f"{key.id} shopper", shopper), units, SHOPPER, SHOPPER_BURST)

    def _take(self, client: Client, units: int, rate: float, most: float) -> None:
        units = min(units, int(most))  # a batch larger than any burst waits for a full bucket, not for ever
        seconds = self._spend(client, units, rate, most)
        if seconds > 0:
            wait = max(1, math.ceil(seconds))
            raise TooMuch(f"too many requests; come back in {wait} s", code="rate_limited", retry_after=wait)

    def _spend(self, client: Client, units: int, rate: float, most: float) -> float:
        """Take ``units`` out of the client's bucket if it holds as much; else the seconds until it will."""
        now = self._clock.monotonic()
        left, then = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - then) * rate)
        if left < units:
            self._buckets[client] = (left, now)
            return (units - left) / rate
        self._buckets[client] = (left - units, now)
        if len(self._buckets) > CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0
