"""Values as bytes and back, exactly: MessagePack with one extension for exact decimals.

msgspec writes a ``Decimal`` as text, which comes back as text. A ``Number`` comes back as a ``Number``, so that what is
rebuilt from the log equals what was folded live.
"""

from typing import Any, TypeVar

import msgspec

from cashwrap.model import Number

T = TypeVar("T")
_NUMBER = 1


def _write(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, Number):
        return msgspec.msgpack.Ext(_NUMBER, str(value).encode())
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _read(code: int, data: memoryview) -> object:
    if code == _NUMBER:
        return Number(bytes(data).decode())
    raise ValueError(f"unknown extension {code}")


encode = msgspec.msgpack.Encoder(enc_hook=_write).encode
"""Any value of ``model`` as bytes."""


def decoder(kind: type[T] | Any) -> msgspec.msgpack.Decoder[T]:
    """Reads values of one type. Its ``decode`` raises ``msgspec.DecodeError`` where the bytes are none."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_read)
