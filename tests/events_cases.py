"""What the event tests share: a clock, a keyed hash, short ways to a normalised event."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from cashwrap.declarations import Declarations, EventDecl, Settings
from cashwrap.errors import NotAllowed
from cashwrap.events import (
    Limits,
    Normaliser,
    Refused,
    RequestFacts,
    compile_vocabulary,
    decode_batch,
    read_body,
)
from cashwrap.model import Event, Millis, Tenant

NOW: Millis = 1_763_798_400_000
"""2025-11-22T08:00:00Z"""
LIMITS = Limits()
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
OWN = EventDecl("Gift Wrapped", fields={"paper": "text", "cost": "money", "layers": "integer"})
VOCABULARY = compile_vocabulary(Declarations(events={OWN.name: OWN}, traits={"tier": "text", "points": "integer"}))


def digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16, key=b"test").digest()


def iso(moment: Millis) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")


def verify(token: str, tenant: Tenant, now: Millis) -> str:
    """Tokens ``good:<user>`` are true."""
    if not token.startswith("good:"):
        raise NotAllowed("no", code="invalid_token")
    return token.removeprefix("good:")


def normaliser(settings: Settings | None = None, **more: Any) -> Normaliser:
    return Normaliser(VOCABULARY, settings or Settings(), digest, verify=verify, **more)


def facts(**more: Any) -> RequestFacts:
    return RequestFacts(**({"received": NOW, "source": "key", "user_agent": CHROME} | more))


def track(name: str = "Product Viewed", properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    call = {"type": "track", "event": name, "messageId": "m1", "anonymousId": "a1", "properties": properties or {}}
    return call | more


def run(body: bytes, house: Normaliser | None = None, **request: Any) -> list[Event | Refused]:
    batch = decode_batch(read_body(body, LIMITS), LIMITS)
    return (house or normaliser()).batch(batch, facts(**request))


def one(call: dict[str, Any], house: Normaliser | None = None, *, batch: Any = None, **request: Any) -> Event | Refused:
    (result,) = run(msgspec.json.encode({"batch": [call]} | (batch or {})), house, **request)
    return result


def kept(call: dict[str, Any], house: Normaliser | None = None, **more: Any) -> Event:
    result = one(call, house, **more)
    assert isinstance(result, Event), result
    return result


def refused(call: dict[str, Any], house: Normaliser | None = None, **more: Any) -> Refused:
    result = one(call, house, **more)
    assert isinstance(result, Refused), result
    return result
