"""Cuts a batch into its events without understanding them.

Runs only where strict decoding failed or a batch is large: one event with ``NaN``, a lone surrogate or a
thousand brackets must not take the other ones with it. No recursion, one pass, linear time.
"""

import re

import msgspec

from cashwrap.errors import InvalidInput

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[][{},]', re.DOTALL)
_OPEN, _CLOSE = b"[{", b"]}"


def malformed() -> InvalidInput:
    """The error for a body that is no JSON object as a whole."""
    return InvalidInput("The body is not valid JSON; send one JSON object.", code="invalid_json")


def _check(body: bytes) -> None:
    """Raise where a body is no JSON at all."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed() from error


def split_batch(body: bytes) -> tuple[bytes, list[bytes]]:
    """The body with an empty batch, and each event's own text.

    Raises ``InvalidInput`` (``invalid_json``) where brackets or quotes do not close, ``missing_batch`` where
    there is no array named ``batch``.
    """
    depth, key, begin = 0, b"", -1
    start = end = -1
    items: list[bytes] = []
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in _OPEN:
            depth += 1
            if depth == 2 and text == b"[" and key == b'"batch"' and start < 0:
                start = begin = token.end()
        elif text in _CLOSE:
            if depth == 2 and begin >= 0:
                items.append(body[begin : token.start()].strip())
                end, begin = token.start(), -1
            depth -= 1
        elif text == b",":
            if depth == 2 and begin >= 0:
                items.append(body[begin : token.start()].strip())
                begin = token.end()
        elif depth == 1:
            key = text
    if depth != 0 or b'"' in _TOKEN.sub(b"", body):
        raise malformed()
    if end < 0:
        _check(body)
        raise InvalidInput("The body has no array named batch.", code="missing_batch")
    if items == [b""]:
        items = []
    return body[:start] + body[end:], items
