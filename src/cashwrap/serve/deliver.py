"""Deliver webhooks: committed segment changes, in order, each until its receiver took it or a day has passed."""

import asyncio
import contextlib
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from cashwrap.engine import Engine
from cashwrap.errors import CashwrapError
from cashwrap.ports import Transition
from cashwrap.webhooks import Webhook, notice, signature

log = logging.getLogger("cashwrap")
PAUSE = 0.25
AT_ONCE = 100
"""Notices that may become settled in one round."""
HELD = 10_000
"""Notices that wait for a receiver and are looked past, so that they do not hold up the others'."""
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
        self._held = 0

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
        pending = engine.world.outbox.pending(AT_ONCE + min(self._held, HELD))
        for number, transition in pending:
            wanted = [webhook for webhook in engine.webhooks.all() if webhook.wants(transition)]
            done = [self._deliver(webhook, number, transition) for webhook in wanted]
            if all(done):
                settled.append(number)
            elif now - transition.at > PATIENCE:
                log.error("notice %d was taken by nobody for a day; it is given up", number)
                settled.append(number)
        self._held = len(pending) - len(settled)
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
    """Whether the receiver took it (2xx). No redirect is followed; link-local and metadata addresses are refused.

    The address that was checked is the one that is called: the name is not looked up again.
    """
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        if not is_reachable(address):
            log.warning("webhook %s names an address that is never called", host)
            return False
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        with contextlib.closing(kind(host, port, timeout=TIMEOUT)) as connection:
            connection.sock = _connect(address, port, host if secure else None)
            with _ended_after(2 * TIMEOUT, connection.sock):
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                headers = {"content-type": "application/json", "cashwrap-signature": signed}
                connection.request("POST", path, body, headers)
                return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _connect(address: str, port: int, secure_name: str | None) -> socket.socket:
    plain = socket.create_connection((address, port), TIMEOUT)
    if secure_name is None:
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=secure_name)
    except BaseException:
        plain.close()
        raise


@contextlib.contextmanager
def _ended_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """A receiver that answers a byte at a time never times out by itself; this ends it."""

    def end() -> None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    ending = threading.Timer(seconds, end)
    ending.daemon = True
    ending.start()
    try:
        yield
    finally:
        ending.cancel()


def is_reachable(address: str) -> bool:
    """A shop's own network may be called; addresses that only a cloud's metadata service has may not."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        else:
            parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    odd = parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved
    return parsed.is_loopback or not (odd or parsed in _METADATA)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)
"""Metadata services outside the link-local range."""
