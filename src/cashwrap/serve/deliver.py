"""Deliver webhooks: committed segment changes, in order, each until its receiver took it or a day has passed."""

import asyncio
import http.client
import ipaddress
import logging
import socket
from urllib.parse import urlsplit

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.ports import Transition
from cashwrap.webhooks import Webhook, notice, signature

log = logging.getLogger("cashwrap")
PAUSE = 0.25
AT_ONCE = 100
PATIENCE = 24 * 3_600_000
"""Milliseconds until a notice that nobody takes is given up, and said so in the log."""
LONGEST_WAIT = 300.0
TIMEOUT = 5.0


class Deliverer:
    """One loop over the outbox. A receiver that fails waits longer each time; the others are not held up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._taken: set[tuple[int, str]] = set()
        self._waits: dict[str, tuple[float, float]] = {}
        """By webhook: the clock time before which it is left alone, and the wait that led to it."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await asyncio.to_thread(self.round)
            except CashwrapError as error:
                log.warning("webhooks wait: %s", error)
            except Exception:
                log.exception("webhooks wait")

    def round(self) -> int:
        """Deliver what is pending; how many notices are settled."""
        engine, settled = self._engine, []
        now = engine.world.clock.now()
        for number, transition in engine.world.outbox.pending(AT_ONCE):
            wanted = [webhook for webhook in engine.webhooks.all() if webhook.wants(transition)]
            done = [self._deliver(webhook, number, transition) for webhook in wanted]
            if all(done):
                settled.append(number)
            elif now - transition.at > PATIENCE:
                log.error("notice %d was taken by nobody for a day; it is given up", number)
                settled.append(number)
        if settled:
            engine.writer.call(lambda: engine.world.outbox.settle(settled))
            self._taken -= {pair for pair in self._taken if pair[0] in settled}
        return len(settled)

    def _deliver(self, webhook: Webhook, number: int, transition: Transition) -> bool:
        if (number, webhook.url) in self._taken:
            return True
        clock = self._engine.world.clock
        not_before, wait = self._waits.get(webhook.url, (0.0, 0.0))
        if clock.monotonic() < not_before:
            return False
        users = self._engine.lookup.users(transition.tenant, [transition.shopper])
        body = notice(transition, number, users.get(transition.shopper))
        if post(webhook.url, body, signature(webhook.secret, body, clock.now())):
            self._taken.add((number, webhook.url))
            self._waits.pop(webhook.url, None)
            return True
        wait = min(LONGEST_WAIT, max(1.0, wait * 2))
        self._waits[webhook.url] = (clock.monotonic() + wait, wait)
        return False


def post(url: str, body: bytes, signed: str) -> bool:
    """Whether the receiver took it (2xx). No redirect is followed; link-local and metadata addresses are refused."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0][4][0]
        if not _reachable(str(address)):
            log.warning("webhook %s names an address that is never called", parts.hostname)
            return False
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", port, timeout=TIMEOUT)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"content-type": "application/json", "cashwrap-signature": signed}
            connection.request("POST", path, body, headers)
            return 200 <= connection.getresponse().status < 300
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _reachable(address: str) -> bool:
    """A shop's own network may be called; addresses that only a cloud's metadata service has may not."""
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved)
