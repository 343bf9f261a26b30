"""Values as bytes and back, exactly: MessagePack with extensions for what it has no type for.

msgspec writes a ``Decimal`` as text, which comes back as text. A ``Number`` comes back as a ``Number``, so that what is
rebuilt from the log equals what was folded live.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from cashwrap.model import Number, Value

T = TypeVar("T")
_NUMBER, _DECIMAL, _SET, _PAIR = 1, 2, 3, 4


def _write(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, Number):
        return msgspec.msgpack.Ext(_NUMBER, str(value).encode())
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _read(code: int, data: memoryview) -> object:
    if code == _NUMBER:
        return Number(bytes(data).decode())
    if code == _DECIMAL:
        return Decimal(bytes(data).decode())
    if code in (_SET, _PAIR):
        members = msgspec.msgpack.decode(data)
        return frozenset(members) if code == _SET else tuple(members)
    raise ValueError(f"unknown extension {code}")


encode = msgspec.msgpack.Encoder(enc_hook=_write).encode
"""Any value of ``model`` as bytes."""


def exact(values: Mapping[str, Value]) -> dict[str, object]:
    """Attributes in a form that ``encode`` keeps the type of: a ``dict[str, Any]`` decodes to the very same values."""
    return {name: value if type(value) in _PLAIN else _exact(value) for name, value in values.items()}


_PLAIN = frozenset({str, int, bool, type(None), Number})
"""What ``encode`` keeps the type of by itself: most values, and a call for each would be half of the work."""


def _exact(value: Value) -> object:
    if isinstance(value, frozenset):
        return msgspec.msgpack.Ext(_SET, msgspec.msgpack.encode(sorted(value)))
    if isinstance(value, tuple):
        return msgspec.msgpack.Ext(_PAIR, msgspec.msgpack.encode(value))
    if type(value) is Decimal:
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    return value


def decoder(kind: type[T] | Any) -> msgspec.msgpack.Decoder[T]:
    """Reads values of one type. Its ``decode`` raises ``msgspec.DecodeError`` where the bytes are none."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_read)
