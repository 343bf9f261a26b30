"""The wire: Segment's tracking API as its clients and RudderStack's send it, from bytes to typed envelopes.

Fields nobody here reads are skipped by the decoder, at no cost. A batch is decoded strictly in one go; where
that fails it is split and each event decoded alone, so that a bad one only spoils itself.
"""

import re
import zlib
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from cashwrap.errors import InvalidEvent, InvalidInput, TooMuch
from cashwrap.events.scrub import suspicious
from cashwrap.events.split import malformed, split_batch
from cashwrap.model import Event

GZIP = b"\x1f\x8b"

Id = str | int | None
Bag = dict[str, Any]
"""Open fields. A number with a fraction arrives as the text it was written in, so that no digit is lost."""


class Limits(Struct, frozen=True):
    """How much one request may hold; sizes in bytes of JSON, after decompression."""

    body: int = 500 * 1024
    event: int = 32 * 1024
    events: int = 2500
    depth: int = 16
    keys: int = 1000


class Page(Struct):
    """``context.page``."""

    path: str | None = None
    referrer: str | None = None
    url: str | None = None
    type: str | None = None


class Named(Struct):
    """``context.device`` or ``context.os``."""

    type: str | None = None
    name: str | None = None


class Place(Struct):
    """``context.location``: what the shop itself knows."""

    country: str | None = None
    region: str | None = None


class CartRef(Struct):
    """``context.cart``: the shop's own cart."""

    token: Id = None


class ConsentStamp(Struct, rename="camel"):
    """``context.consent``: what the shopper had chosen when the event happened."""

    category_preferences: dict[str, bool] | None = None


class Context(Struct, rename="camel"):
    """``context``, as far as it is read."""

    page: Page | None = None
    locale: str | None = None
    timezone: str | None = None
    user_agent: str | None = None
    ip: str | None = None
    consent: ConsentStamp | None = None
    device: Named | None = None
    os: Named | None = None
    location: Place | None = None
    cart: CartRef | None = None
    traits: Bag | None = None
    """Where some clients put the traits of an ``identify`` call."""


class Envelope(Struct, rename="camel"):
    """One call of the tracking API."""

    type: str = ""
    message_id: Id = None
    anonymous_id: Id = None
    user_id: Id = None
    event: str | None = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    context: Context | None = None
    properties: Bag | None = None
    traits: Bag | None = None
    name: str | None = None
    category: str | None = None
    previous_id: Id = None
    group_id: Id = None
    write_key: str | None = None
    token: str | None = None
    """The signed identity token."""
    choices: dict[str, str] | None = None
    scope: Literal["device", "person"] | None = None
    source: str | None = None


class Refused(Struct, frozen=True):
    """One event of a request that cannot be used, and why. ``size`` is in bytes of JSON, 0 if not known."""

    index: int
    code: str
    message: str
    path: str = ""
    message_id: str | None = None
    size: int = 0
    event: Event | None = None
    """What could be read of it, where only single fields were wrong ..."""
    broken: dict[str, str] = {}
    """... and these as they were sent: by path, without addresses and card numbers."""


class Batch(Struct):
    """A decoded request: what it says about itself, and its events in the order sent."""

    items: list[Envelope | Refused]
    write_key: str | None = None
    sent_at: datetime | None = None
    context: Context | None = None
    """Facts for every event that does not say otherwise."""
    suspicious: bool = True
    """Some string in it might hold a card number or an e-mail address."""

    @property
    def shoppers(self) -> list[str]:
        """Whom each event says it is about, as sent."""
        named = (item.anonymous_id or item.user_id for item in self.items if isinstance(item, Envelope))
        return [str(name) for name in named if name]


class _Wire(Struct, rename="camel"):
    batch: list[Envelope]
    write_key: str | None = None
    sent_at: datetime | None = None
    context: Context | None = None


class _Head(Struct, rename="camel"):
    write_key: str | None = None
    sent_at: datetime | None = None
    context: Context | None = None


class _Pieces(Struct, rename="camel"):
    batch: list[msgspec.Raw]
    write_key: str | None = None
    sent_at: datetime | None = None
    context: Context | None = None


class _MessageId(Struct, rename="camel"):
    message_id: Id = None


_WIRE = msgspec.json.Decoder(_Wire, float_hook=str)
_PIECES = msgspec.json.Decoder(_Pieces, float_hook=str)
_HEAD = msgspec.json.Decoder(_Head, float_hook=str)
_ENVELOPE = msgspec.json.Decoder(Envelope, float_hook=str)
_MESSAGE_ID = msgspec.json.Decoder(_MessageId)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_WHERE = re.compile(r" - at `\$\.?(.*)`$")


def read_body(body: bytes, limits: Limits) -> bytes:
    """The body as plain JSON text: gzip is recognised by its first bytes, whatever the headers say.

    Raises ``TooMuch`` (``body_too_large``) beyond ``limits.body``, before more than that is in memory, and
    ``InvalidInput`` (``invalid_gzip``) for a damaged stream.
    """
    if body.startswith(GZIP):
        body = _inflate(body, limits.body)
    if len(body) > limits.body:
        raise _too_large(limits.body)
    return body


def _inflate(body: bytes, most: int) -> bytes:
    """Decompress at most one byte more than allowed: a zip bomb never unfolds."""
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as error:
        raise InvalidInput("The body is not valid gzip.", code="invalid_gzip") from error
    if len(plain) > most:
        raise _too_large(most)
    if not stream.eof or stream.unused_data:
        raise InvalidInput("The gzip stream is cut or followed by other bytes.", code="invalid_gzip")
    return plain


def _too_large(most: int) -> TooMuch:
    return TooMuch(f"The body is above {most // 1024} KB; send fewer events at once.", code="body_too_large")


def decode_batch(body: bytes, limits: Limits) -> Batch:
    """Decode a ``/v1/batch`` body. Events that cannot be read are ``Refused`` in their place.

    Raises ``InvalidInput`` (``invalid_json``, ``missing_batch``, ``invalid_type``) where the request as a whole
    cannot be read, ``TooMuch`` (``too_many_events``).
    """
    if len(body) <= limits.event:  # then no single event is above its limit either
        try:
            wire = _WIRE.decode(body)
        except _UNREADABLE:
            pass
        else:
            _check_count(len(wire.batch), limits)
            return Batch(list(wire.batch), wire.write_key, wire.sent_at, wire.context, suspicious(body))
    head, texts = _pieces(body)
    _check_count(len(texts), limits)
    items = [_decode_item(index, text, limits) for index, text in enumerate(texts)]
    return Batch(items, head.write_key, head.sent_at, head.context, suspicious(body))


def _pieces(body: bytes) -> tuple[_Head, list[bytes]]:
    """A batch's own fields and each event's text: by the decoder where the JSON is sound, else by ``split``."""
    try:
        pieces = _PIECES.decode(body)
    except _UNREADABLE:
        pass
    else:
        return _Head(pieces.write_key, pieces.sent_at, pieces.context), [bytes(piece) for piece in pieces.batch]
    rest, texts = split_batch(body)
    try:
        return _HEAD.decode(rest), texts
    except _UNREADABLE as error:
        raise _whole(error) from error


def decode_one(body: bytes, kind: str, limits: Limits) -> Batch:
    """Decode the body of a single call such as ``/v1/track`` as a batch of one; ``kind`` is its type.

    Never raises: what cannot be read, or is above the size of one event, is ``Refused``.
    """
    item = _decode_item(0, body, limits)
    if isinstance(item, Refused):
        return Batch([item])
    item.type = kind
    return Batch([item], item.write_key, item.sent_at, suspicious=suspicious(body))


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.events:
        raise TooMuch(f"More than {limits.events} events in one batch; send several batches.", code="too_many_events")


def _decode_item(index: int, text: bytes, limits: Limits) -> Envelope | Refused:
    """One event, or why not."""
    if len(text) > limits.event:
        message = f"The event is above {limits.event // 1024} KB; send fewer properties."
        return Refused(index, "event_too_large", message, size=len(text))
    try:
        return _ENVELOPE.decode(text)
    except _UNREADABLE as error:
        reason = _reason(error)
        return Refused(index, reason.code, reason.message, reason.path, _message_id(text), len(text))


def _message_id(text: bytes) -> str | None:
    """The id of an event that cannot be used, if that much can be read."""
    try:
        found = _MESSAGE_ID.decode(text).message_id
    except _UNREADABLE:
        return None
    return None if found is None else str(found)[:200]


def too_deep() -> InvalidEvent:
    """The error for absurd nesting."""
    return InvalidEvent("The event is nested too deeply; send flat properties.", code="too_deep")


def _reason(error: Exception) -> InvalidEvent:
    """A decoder's complaint in our words, with a stable code and the field at fault."""
    if isinstance(error, RecursionError):
        return too_deep()
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        where = _WHERE.search(text)
        path = where[1].replace("[...]", "") if where else ""
        return InvalidEvent(_WHERE.sub("", text) + ".", code="invalid_type", path=path)
    return InvalidEvent("The event is not valid JSON (NaN and lone surrogates are not).", code="invalid_json")


def _whole(error: Exception) -> InvalidInput:
    """The error for a request whose own fields cannot be read."""
    if isinstance(error, msgspec.ValidationError):
        return InvalidInput(f"{error}.", code="invalid_type")
    return malformed()
