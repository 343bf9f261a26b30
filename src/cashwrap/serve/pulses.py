"""Tells the console once a second what this process has counted: a datagram that nobody waits for.

It is taken on the event loop, where decisions are counted, so it waits for no lock; where nobody listens or the
listener is behind, it is gone, and the next one says it all again.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Coroutine

from msgspec import Struct
from msgspec.structs import replace

from cashwrap.counts import LOOKS
from cashwrap.engine import Engine
from cashwrap.events import Accounting
from cashwrap.model import Millis, Tenant
from cashwrap.overload import Overload
from cashwrap.pulse import LONGEST, STORES, Pulse, StorePulse, encode
from cashwrap.serve.companion import Companion
from cashwrap.serve.operations import Health

PERIOD = 1.0
"""Seconds between two pulses."""
_NOTHING = Accounting()


class Source(Struct, frozen=True):
    """What is told of one process. ``role`` says what it is there for, see ``Pulse``."""

    engine: Engine
    health: Health
    overload: Overload
    role: str = "server"


def take(source: Source, began: Millis) -> Pulse:
    """The pulse of this moment. On the thread that answers decisions; the next second's looks begin."""
    engine, counts, reserve = source.engine, source.engine.counts, source.engine.world.reserve
    pulse = Pulse(
        role=source.role,
        pid=os.getpid(),
        began=began,
        at=engine.world.clock.now(),
        stores=_stores(engine),
        buckets=counts.buckets,
        seconds=counts.seconds,
        shed=source.overload.shed,
        turned_away=source.overload.turned_away,
        no_room=engine.backlog.missed + engine.backlog.turned_away,
        waiting=engine.writer.waiting(),
        disk_full=reserve is not None and reserve.full(),
        playbook=engine.live.playbook.hash,
        playbook_error=source.health.playbook_error[:LONGEST],
    )
    for store in counts.stores.values():
        store.looks = LOOKS
    return pulse


def _stores(engine: Engine) -> dict[str, StorePulse]:
    decided, events = engine.counts.stores, engine.accounts.stores
    tenants: list[Tenant] = list({**decided, **events})
    found: dict[str, StorePulse] = {}
    for tenant in tenants[:STORES]:
        store, account = decided.get(tenant), events.get(tenant, _NOTHING)
        if store is None:
            found[tenant.name] = StorePulse(events=account)
        else:
            found[tenant.name] = StorePulse(store.decisions, store.degraded, store.reasons, account)
    return found


async def pulsing(source: Source, companion: Companion) -> None:
    """Send pulses to the console until cancelled, and a last one then."""
    began, address = source.engine.world.clock.now(), str(companion.pulse)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)
        try:
            while True:
                _send(sender, take(source, began), address)
                await asyncio.sleep(PERIOD)
        finally:
            _send(sender, replace(take(source, began), ending=True), address)


def pulses(source: Source, companion: Companion | None) -> list[Coroutine[None, None, None]]:
    """What is to run beside requests, where there is a console to tell."""
    return [pulsing(source, companion)] if companion is not None else []


def _send(sender: socket.socket, pulse: Pulse, address: str) -> None:
    with contextlib.suppress(OSError):  # nobody is there, or does not keep up: the next one says it all again
        sender.sendto(encode(pulse), address)
