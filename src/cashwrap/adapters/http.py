"""Fetch one document over HTTP within limits. Built for feeds an operator names; it still trusts nobody.

A name that leads to a private address is refused unless that is asked for, and the connection is made to the very
address that was checked, so that the name cannot lead elsewhere a moment later. Redirects are checked in the same way
and may not leave encryption.
"""

import http.client
import ipaddress
import socket
import ssl
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.ports import Clock

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
