"""Bytes in, bytes out: what every route shares. The hot routes use it directly, without a framework in between."""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from cashwrap.errors import (
    CashwrapError,
    Conflict,
    Forgotten,
    InvalidInput,
    Locked,
    NotAllowed,
    StoreError,
    TooMuch,
)

log = logging.getLogger("cashwrap")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
PRIVATE = (b"cache-control", b"private, no-store")
_BODILESS = (204, 304)
_UNAUTHORIZED = {"missing_key", "unknown_key"}
_encode = msgspec.json.Encoder().encode


class ApiError(msgspec.Struct, frozen=True):
    """What a client reads about an error: a stable code, and what to do next."""

    code: str
    message: str


class Disconnected(Exception):
    """The client went away before its request was whole."""


def header(scope: Scope, wanted: bytes) -> str | None:
    """The last header with this lower-case name, as text; ``None`` where there is none."""
    found = None
    for name, value in scope["headers"]:
        if name == wanted:
            found = value
    return found.decode("latin-1") if found is not None else None


async def read(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises ``TooMuch`` above ``limit`` bytes without reading on."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    chunks, size = [body], len(body)
    while message.get("more_body"):
        if size > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


async def respond(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """One JSON answer."""
    length = (JSON, (b"content-length", b"%d" % len(body))) if status not in _BODILESS else ()
    await send({"type": "http.response.start", "status": status, "headers": [*length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Send, error: CashwrapError, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """The error as ``{"code", "message"}`` with its status, and when to come back."""
    extra = list(headers)
    wait = retry_after(error)
    if wait:
        extra.append((b"retry-after", b"%d" % wait))
    await respond(send, status_of(error), error_body(error), extra)


def error_body(error: CashwrapError) -> bytes:
    """What a client reads about an error."""
    return _encode(ApiError(error.code, error.message))


def status_of(error: CashwrapError) -> int:
    """The one place where an error becomes an HTTP status."""
    if isinstance(error, NotAllowed):
        return 401 if error.code in _UNAUTHORIZED else 403
    if isinstance(error, TooMuch):
        return 429 if error.retry_after else 413
    if isinstance(error, Conflict):
        return 422 if error.code == "idempotency_key_reused" else 409
    if isinstance(error, Forgotten) or error.code == "decision_expired":
        return 410
    if isinstance(error, Locked | StoreError):
        return 503
    if isinstance(error, InvalidInput):
        return 404 if error.code.startswith("no_such_") else 400
    return 500


def internal(failure: Exception) -> CashwrapError:
    """A mistake of ours, logged; the client learns no more than that it was not theirs."""
    log.error("a request failed", exc_info=failure)
    return CashwrapError("something is wrong on the server; it is in its log", code="internal_error")


def retry_after(error: CashwrapError) -> int:
    """Seconds until the same request may be sent again; 0 for never."""
    if isinstance(error, TooMuch):
        return error.retry_after
    return 1 if isinstance(error, StoreError) and not isinstance(error, Forgotten) else 0


def cors(origin: str | None, allowed: Iterable[str]) -> Headers:
    """The headers that let a page of an allowed origin read the answer: no wildcard, no credentials."""
    if origin is None or origin.lower() not in allowed:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"etag, retry-after"),
        (b"vary", b"origin"),
    ]


PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match, x-api-key, x-retry-count"),
    (b"access-control-max-age", b"600"),
]


def _too_large(limit: int) -> TooMuch:
    return TooMuch(f"the body may have at most {limit // 1000} KB; send it in parts", code="body_too_large")
