"""What an engine counts in memory, counted once for all processes: rates, senders and what was shown under carts."""

import struct
from collections.abc import Callable, Mapping

import msgspec

from cashwrap.adapters.shared import Cells
from cashwrap.events import RateWatch
from cashwrap.model import Impressions, Millis, Tenant
from cashwrap.ports import Clock
from cashwrap.serve.rates import Client, Rates

CLIENTS = 1 << 16
SENDERS = 1 << 14
CARTS = 1 << 14
CART = 4_000
"""Bytes of what one cart was shown: some 400 times. Of more the older times are forgotten."""
_MOMENT = struct.Struct("<d")
_SLOTS = struct.Struct("<qqq")
_impressions: "msgspec.msgpack.Decoder[dict[str, Impressions]]" = msgspec.msgpack.Decoder(dict[str, Impressions])
_encode = msgspec.msgpack.Encoder().encode


class SharedRates(Rates):
    """A token bucket per key and network for all processes, kept as the moment at which it will be full (GCRA)."""

    def __init__(self, cells: Cells, clock: Clock, per_second: int, proxies: frozenset[str] = frozenset()) -> None:
        super().__init__(clock, per_second, proxies=proxies)
        self._cells = cells

    def _spend(self, client: Client, units: int, rate: float, most: float) -> float:
        now, wait = self._clock.monotonic(), 0.0

        def spend(value: bytes) -> bytes:
            nonlocal wait
            full = max(now, *_MOMENT.unpack(value)) if value else now
            then = full + units / rate
            wait = then - now - most / rate
            return _MOMENT.pack(full if wait > 0 else then)

        self._cells.change(f"{client[0]} {client[1]}", spend, int(now * 1000))
        return wait


class SharedRateWatch(RateWatch):
    """Notices a sender of more events than a person makes, whichever process they came to."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self._cells = cells

    def over(self, sender: str, now: Millis, events: int = 1) -> bool:
        """Count ``events`` of a sender at ``now``; whether that is more than the limit."""
        over = False

        def count(value: bytes) -> bytes:
            nonlocal over
            known = _SLOTS.unpack(value) if value else None
            counted, over = self._judge(known, now, events)
            return _SLOTS.pack(*counted)

        self._cells.change(sender, count, now)
        return over


class SharedCarts:
    """Port ``exposures.Carts`` for all processes: encoded, one cell a cart."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def of(self, tenant: Tenant, cart: str) -> Mapping[str, Impressions]:
        """What was shown under a cart, by what counts it."""
        return _decoded(self._cells.read(_name(tenant, cart)))

    def change(self, tenant: Tenant, cart: str, edit: Callable[[dict[str, Impressions]], None], now: Millis) -> None:
        """Let ``edit`` change what was shown under a cart, with nobody in between."""

        def changed(value: bytes) -> bytes:
            impressions = _decoded(value)
            edit(impressions)
            return _fitting(impressions)

        self._cells.change(_name(tenant, cart), changed, now)


def _name(tenant: Tenant, cart: str) -> str:
    return f"{tenant.name}/{cart}"


def _decoded(value: bytes) -> dict[str, Impressions]:
    return _impressions.decode(value) if value else {}


def _fitting(impressions: dict[str, Impressions]) -> bytes:
    """Encoded, with as many of the newest times as there is room for; counts stay whole."""
    value = _encode(impressions)
    kept = max((len(seen.times) for seen in impressions.values()), default=0)
    while len(value) > CART and kept:
        kept //= 2
        for seen in impressions.values():
            seen.times = seen.times[-kept:] if kept else []
        value = _encode(impressions)
    while len(value) > CART:
        del impressions[next(iter(impressions))]
        value = _encode(impressions)
    return value
