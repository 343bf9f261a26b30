"""The one way out: documents that an operator names are fetched, receivers that a shop names are told. Both within
limits, and nobody is trusted.

A document's name that leads to a private address is refused unless that is asked for. A connection is made to the very
address that was checked, so that the name cannot lead elsewhere a moment later. Redirects of a document are checked in
the same way and may not leave encryption; those of a receiver are not followed.
"""

import contextlib
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.ports import Clock

log = logging.getLogger("cashwrap")

_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchLimits(Struct, frozen=True):
    """How much one fetch may cost: bytes, seconds in all, seconds without a byte, redirects."""

    size: int = 512 * 1024 * 1024
    seconds: float = 300.0
    silence: float = 20.0
    redirects: int = 3
    private: bool = False
    """Whether addresses of private networks and of this machine may be asked."""


USUAL = FetchLimits()
TIMEOUT = 5.0
"""Seconds without a byte that a receiver may take, and half of what it may take in all."""


class Internet:
    """Port ``Http`` over the machine's own network."""

    def __init__(self, clock: Clock, limits: FetchLimits = USUAL) -> None:
        self._clock = clock
        self._limits = limits

    def fetch(self, url: str, into: BinaryIO) -> int:
        """Write the document at ``url`` into a file; its size in bytes. Raises as the function does."""
        return fetch(url, into, self._clock, self._limits)

    def post(self, url: str, body: bytes, signed: str) -> bool:
        """Whether the receiver took it."""
        return post(url, body, signed)


def fetch(url: str, into: BinaryIO, clock: Clock, limits: FetchLimits = USUAL) -> int:
    """Write the document at ``url`` into a file; its size in bytes.

    Raises ``InvalidInput``: ``invalid_url``, ``private_address``, ``insecure_redirect``, ``fetch_failed``,
    ``feed_too_large``, ``fetch_too_slow``.
    """
    deadline = clock.monotonic() + limits.seconds
    for _ in range(limits.redirects + 1):
        parts = _checked(url)
        connection = _connect(parts, limits)
        try:
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("GET", target, headers={"Accept-Encoding": "identity", "User-Agent": "cashwrap"})
            with connection.getresponse() as response:
                if response.status not in _REDIRECTS:
                    return _document(response, into, clock, deadline, limits.size)
                url = _redirected(url, response.getheader("Location") or "")
        except (OSError, http.client.HTTPException) as error:
            raise InvalidInput(f"{parts.netloc} cannot be read: {error}", code="fetch_failed") from error
        finally:
            connection.close()
    raise InvalidInput("the address redirects too often", code="fetch_failed")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or port == 0:
        raise InvalidInput("an address begins with https:// or http:// and a host", code="invalid_url")
    return parts


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise InvalidInput("the address redirects from https to something else", code="insecure_redirect")
    return target


def _connect(parts: SplitResult, limits: FetchLimits) -> http.client.HTTPConnection:
    """A connection to an address that was checked; the name is used for the certificate only."""
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"{host} is not known: {error}", code="fetch_failed") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not limits.private:
        for address in addresses:
            if not public(address):
                raise InvalidInput(
                    f"{host} is the private address {address}; say --allow-private if that is meant",
                    code="private_address",
                )
    try:
        plain = socket.create_connection((addresses[0], port), timeout=limits.silence)
    except OSError as error:
        raise InvalidInput(f"{host} cannot be reached: {error}", code="fetch_failed") from error
    connection = http.client.HTTPConnection(host, port, timeout=limits.silence)
    try:
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain
    except OSError as error:
        plain.close()
        raise InvalidInput(f"{host} cannot be trusted: {error}", code="fetch_failed") from error
    return connection


def public(address: str) -> bool:
    """Whether an address belongs to the public internet; one that hides another is judged by that."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    return (inner or parsed).is_global and not (inner or parsed).is_multicast


def _document(response: http.client.HTTPResponse, into: BinaryIO, clock: Clock, deadline: float, largest: int) -> int:
    if response.status != 200:
        raise InvalidInput(f"the address answered {response.status}", code="fetch_failed")
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > largest:
            raise InvalidInput(f"the document has more than {largest} bytes", code="feed_too_large")
        if clock.monotonic() > deadline:
            raise InvalidInput("the document takes too long to come", code="fetch_too_slow")
        into.write(chunk)
    if response.length:
        raise InvalidInput(f"the document broke off, {response.length} bytes are missing", code="fetch_failed")
    return size


# --- receivers ---


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
            connection.sock = _dial(address, port, host if secure else None)
            with _ended_after(2 * TIMEOUT, connection.sock):
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                headers = {"content-type": "application/json", "cashwrap-signature": signed}
                connection.request("POST", path, body, headers)
                return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException, ValueError):
        return False


def _dial(address: str, port: int, secure_name: str | None) -> socket.socket:
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
