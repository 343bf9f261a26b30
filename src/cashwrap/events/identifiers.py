"""Ids as events keep them, and the ones that name nobody."""

from collections.abc import Callable

from cashwrap.errors import InvalidEvent
from cashwrap.events.fields import LONGEST_ID, Convert, plain_text
from cashwrap.events.scrub import scrub

Digest = Callable[..., bytes]
"""``Vault.digest``: a keyed hash of some texts."""

Identify = Callable[[object], str]

_BLOCKED = frozenset(
    {
        "",
        "-1",
        "0",
        "anonymous",
        "false",
        "guest",
        "n/a",
        "na",
        "nan",
        "nil",
        "none",
        "null",
        "[object object]",
        "true",
        "undefined",
        "unknown",
    }
)
_LONGEST_BLOCKED = max(map(len, _BLOCKED))


def blocked(text: str) -> bool:
    """Whether an id is one that shops send by mistake for everyone: ``null``, ``undefined``, only zeros or dashes."""
    return not text.strip("0- ") or (len(text) <= _LONGEST_BLOCKED and text.lower() in _BLOCKED)


def shopper_id(value: str | int, identifier: Identify) -> str | None:
    """An id of a shopper; a blocked one counts as absent."""
    text = value.strip() if type(value) is str else str(value)
    return None if blocked(text) else identifier(text)


def identifier_of(digest: Digest, *, scrubbing: bool) -> Identify:
    """A converter for ids. One that looks like an e-mail address or a card number is kept as its keyed hash."""

    def convert(value: object) -> str:
        text = value if type(value) is str else plain_text(value)
        if len(text) > LONGEST_ID:
            raise InvalidEvent(f"An id is longer than {LONGEST_ID} characters.", code="id_too_long")
        if scrubbing and scrub(text) != text:
            return "h_" + digest("id", text.strip().lower()).hex()
        return text

    return convert


def email_of(digest: Digest) -> Convert:
    """A converter from an e-mail address to its keyed hash, 32 hex digits; upper and lower case are one."""

    def convert(value: object) -> str | None:
        address = value.strip().lower() if type(value) is str else ""
        return digest("email", address).hex() if "@" in address and len(address) <= LONGEST_ID else None

    return convert
