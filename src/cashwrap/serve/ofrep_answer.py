"""A decision as OFREP says it: each placement is a flag whose value is its content. Pure.

The shop's default is a flag without a value: the client then takes the default its code gave, which is the same thing.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from cashwrap.errors import CashwrapError, InvalidInput, TooMuch
from cashwrap.model import Disclosure, Level
from cashwrap.request import ShopperRef
from cashwrap.serve.wire import status_of

HOUR = 3_600_000
"""How long, in milliseconds, an unchanged answer keeps its ETag: its decision token lives a day."""
DEFAULT_VARIANT = "default"
"""The variant of the shop's default: some clients fail on a flag without one."""
_NULL = b"null"

FlagReason = Literal["TARGETING_MATCH", "SPLIT", "DEFAULT", "DISABLED", "STALE", "ERROR"]
ErrorCode = Literal["PARSE_ERROR", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]
_ERROR_CODES: dict[str, ErrorCode] = {
    "invalid_json": "PARSE_ERROR",
    "invalid_context": "INVALID_CONTEXT",
    "body_too_large": "INVALID_CONTEXT",
    "no_such_placement": "FLAG_NOT_FOUND",
}
_REASONS: dict[str, FlagReason] = {
    "match": "TARGETING_MATCH",
    "preview": "TARGETING_MATCH",
    "killed": "DISABLED",
    "late": "STALE",
    "error": "ERROR",
    "control": "SPLIT",
    "holdout": "SPLIT",
}
"""Where a reason of ours is one of OpenFeature's; whatever else leaves the shop's default is ``DEFAULT``."""


class Offered(Struct, omit_defaults=True):
    """The offer that a placement grants, as far as OpenFeature is told of it."""

    name: str
    amount: str
    currency: str
    token: str | None = None
    disclosure: Disclosure | None = None


class Placed(Struct):
    """One placement of a decision, as decide encodes it; its content is copied and never read."""

    reason: str
    experience: str | None = None
    variation: str | None = None
    content: Raw = Raw(_NULL)
    offer: Offered | None = None


class Decided(Struct, rename="camel"):
    """A decision, as decide encodes it."""

    decision_id: str
    playbook: str
    placements: dict[str, Placed]
    level: Level
    degraded: bool
    token: str | None = None


class FlagMetadata(Struct, rename="camel", omit_defaults=True):
    """What is behind a flag's value, scalars only. ``token`` goes back with the exposure."""

    playbook: str
    level: str
    degraded: bool
    decision_id: str = ""
    token: str | None = None
    experience: str | None = None
    reason: str = ""
    """Decide's own reason, which says more than OpenFeature's."""
    offer: str | None = None
    """What is granted with the value; ``offerAmount`` is in major units of ``offerCurrency``."""
    offer_amount: str | None = None
    offer_currency: str | None = None
    offer_token: str | None = None
    disclosure: str | None = None
    """What must be said beside the value, where personal data had a part in the offer."""


class Flag(Struct, rename="camel"):
    """One evaluated flag; without ``value`` the client's own default stands."""

    key: str
    reason: FlagReason
    variant: str
    metadata: FlagMetadata
    value: Raw | UnsetType = UNSET


class EventStreamEndpoint(Struct, rename="camel"):
    """Where a stream is, on the origin the client already asks."""

    request_uri: str


class EventStream(Struct, rename="camel"):
    """A stream that says when to evaluate again; it closes after ``inactivityDelaySec`` of a hidden page."""

    type: str
    endpoint: EventStreamEndpoint
    inactivity_delay_sec: int


class Flags(Struct, rename="camel", omit_defaults=True):
    """All flags of one decision. ``metadata`` is that of the decision as a whole."""

    flags: list[Flag]
    metadata: FlagMetadata
    event_streams: list[EventStream] = []


class EvaluationFailure(Struct, rename="camel", omit_defaults=True):
    """Why nothing was evaluated: OpenFeature's code, what to do, and our own ``code`` (docs/reference/errors.md)."""

    error_code: ErrorCode
    error_details: str
    code: str
    key: str | None = None


_decided = msgspec.json.Decoder(Decided)
_encode = msgspec.json.Encoder().encode


def decided(answer: bytes) -> Decided:
    """The decision in decide's answer."""
    return _decided.decode(answer)


def flag(decision: Decided, name: str, trials: frozenset[str]) -> Flag:
    """One placement as a flag; ``trials`` are the experiences whose variations an experiment chooses.

    Raises ``InvalidInput`` (``no_such_placement``) where the playbook declares no such placement.
    """
    placed = decision.placements.get(name)
    if placed is None or placed.reason == "no_such_placement":
        raise no_such_placement(name)
    metadata = _metadata(decision)
    metadata.experience, metadata.reason = placed.experience, placed.reason
    if placed.offer is not None:
        _tell_offer(metadata, placed.offer)
    shown = bytes(placed.content) != _NULL
    reason = _REASONS.get(placed.reason, "DEFAULT")
    if reason == "TARGETING_MATCH" and placed.experience in trials:
        reason = "SPLIT"
    return Flag(name, reason, placed.variation or DEFAULT_VARIANT, metadata, placed.content if shown else UNSET)


def single(decision: Decided, name: str, trials: frozenset[str]) -> bytes:
    """The answer for one placement."""
    return _encode(flag(decision, name, trials))


def bulk(decision: Decided, trials: frozenset[str], streams: list[EventStream]) -> bytes:
    """The bulk answer."""
    listed = [flag(decision, name, trials) for name in decision.placements]
    return _encode(Flags(listed, _metadata(decision), streams))


def no_such_placement(name: str) -> InvalidInput:
    """The playbook declares no placement with this name."""
    return InvalidInput(f"there is no placement {name[:200]!r}; see the playbook", code="no_such_placement")


def _metadata(decision: Decided) -> FlagMetadata:
    return FlagMetadata(decision.playbook, decision.level, decision.degraded, decision.decision_id, decision.token)


def _tell_offer(metadata: FlagMetadata, offer: Offered) -> None:
    metadata.offer, metadata.offer_token = offer.name, offer.token
    metadata.offer_amount, metadata.offer_currency = offer.amount, offer.currency
    metadata.disclosure = offer.disclosure.text if offer.disclosure is not None else None


def etag(decision: Decided, *, key: str, shopper: ShopperRef, version: str, now: int) -> str:
    """Names what a bulk answer says: equal for equal answers to one key about one shopper, within an hour.

    The decision's id and the tokens are left out, as they differ every time; the hour lets the client have a new token
    long before its own expires. ``version`` is that of the configuration (``ofrep_streams``).
    """
    placements = {name: _without_token(each) for name, each in decision.placements.items()}
    said = [key, shopper, version, now // HOUR, decision.level, decision.degraded, placements]
    return f'"{blake2b(_encode(said), digest_size=16).hexdigest()}"'


def _without_token(placed: Placed) -> Placed:
    return placed if placed.offer is None else replace(placed, offer=replace(placed.offer, token=None))


def matches(etag: str, asked: str | None) -> bool:
    """Whether ``If-None-Match`` names this ETag; weak and unquoted ones count, as proxies and the spec make them."""
    return asked is not None and etag.strip('"') in _tags(asked)


def _tags(header: str) -> Iterator[str]:
    return (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))


def failure(error: CashwrapError, key: str | None) -> tuple[int, bytes]:
    """Status and body for an error; ``key`` is the flag asked for, ``None`` in bulk.

    A request that is too large is a bad one here: the protocol knows no 413.
    """
    large = isinstance(error, TooMuch) and not error.retry_after
    code = _ERROR_CODES.get(error.code, "GENERAL")
    return 400 if large else status_of(error), _encode(EvaluationFailure(code, error.message, error.code, key))
