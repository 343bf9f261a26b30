"""What the process that writes and the ones that serve say to each other: MessagePack behind its length.

Both ends are the same program on the same machine, forked from one process: there are no versions to keep apart.
"""

import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from cashwrap import codec
from cashwrap.errors import CashwrapError, DiskFull, StoreError, Unavailable
from cashwrap.events import Accounting
from cashwrap.model import Event, Line, Minor, Tenant
from cashwrap.ports import Failure, ShopperKey
from cashwrap.records import Told

LARGEST = 64 * 1024 * 1024
"""Bytes of one frame: above what any request may hold once it is read."""
_HEAD = struct.Struct("<I")


class Frame(Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One message."""


class Events(Frame, frozen=True):
    """To the writer: keep these; the answer is ``Settled`` with the same number."""

    number: int
    tenant: Tenant
    events: list[Event]
    failures: list[Failure]
    replays: int = 0
    """The number of the failed event that the only one of ``events`` was."""


class Decided(Frame, frozen=True):
    """To the writer: decisions to be kept. No answer."""

    decisions: list[Told]


class Forget(Frame, frozen=True):
    """To the writer: forget a shopper; the answer is ``Answered`` with a yes or no."""

    number: int
    key: ShopperKey


class Products(Frame, frozen=True):
    """To the writer: change prices and stock; the answer is ``Answered`` with what was told."""

    number: int
    tenant: Tenant
    changes: list[tuple[str, Minor | None, int | None]]


class Trouble(Struct, frozen=True, array_like=True):
    """An error as it crosses."""

    kind: str
    code: str
    message: str


class Settled(Frame, frozen=True):
    """From the writer: what became of events, durably; or why nothing was kept."""

    number: int
    accounting: Accounting
    trouble: Trouble | None = None


class Answered(Frame, frozen=True):
    """From the writer: what a call came to, as MessagePack."""

    number: int
    value: bytes
    trouble: Trouble | None = None


class Gone(Frame, frozen=True):
    """From the writer: whoever this was is forgotten."""

    shopper: ShopperKey


ToWriter = Events | Decided | Forget | Products
FromWriter = Settled | Answered | Gone
_to_writer: "msgspec.msgpack.Decoder[ToWriter]" = codec.decoder(ToWriter)
_from_writer: "msgspec.msgpack.Decoder[FromWriter]" = codec.decoder(FromWriter)
_KINDS: dict[str, type[CashwrapError]] = {kind.__name__: kind for kind in (Unavailable, DiskFull, StoreError)}


def framed(frame: Frame) -> bytes:
    """The frame as it goes over the socket."""
    body = codec.encode(frame)
    if len(body) > LARGEST:
        raise Unavailable("this request is too large to be handed over; send it in parts")
    return _HEAD.pack(len(body)) + body


def to_writer(body: bytes) -> ToWriter:
    """A message of a process that serves; products come back as what they were."""
    frame = _to_writer.decode(body)
    if isinstance(frame, Events):
        for event in frame.events:
            products = event.properties.get("products")
            if isinstance(products, list):
                event.properties["products"] = [msgspec.convert(line, Line) for line in products]
    return frame


def from_writer(body: bytes) -> FromWriter:
    """A message of the process that writes."""
    return _from_writer.decode(body)


class Splitter:
    """Cuts what arrives into the bodies of frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every frame that is whole now. Raises ``Unavailable`` for one that nobody could have sent."""
        held = self._held
        held += data
        at = 0
        while len(held) - at >= _HEAD.size:
            (length,) = _HEAD.unpack_from(held, at)
            if length > LARGEST:
                raise Unavailable("a frame has an impossible length")
            end = at + _HEAD.size + length
            if len(held) < end:
                break
            yield bytes(held[at + _HEAD.size : end])
            at = end
        del held[:at]


def trouble_of(error: Exception) -> Trouble:
    """An error, to be told to another process; of a mistake of ours no more than that there was one."""
    if isinstance(error, CashwrapError):
        return Trouble(type(error).__name__, error.code, error.message)
    return Trouble("Unavailable", Unavailable.code, "the events were not kept; try again")


def error_of(trouble: Trouble) -> CashwrapError:
    """The error again."""
    return _KINDS.get(trouble.kind, CashwrapError)(trouble.message, code=trouble.code)
