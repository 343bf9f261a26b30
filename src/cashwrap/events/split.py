"""Cuts a batch into its events without understanding them.

Runs only where strict decoding failed or a batch is large: one event with ``NaN``, a lone surrogate or a
thousand brackets must not take the other ones with it. No recursion, one pass, linear time.
"""

import re
from itertools import pairwise

import msgspec

from cashwrap.errors import InvalidInput

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[][{},]', re.DOTALL)
"""A text that never closes is a token too: trying again from each quote inside it would take quadratic time."""
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
    cuts = _cuts(body)
    if not cuts:
        _check(body)
        raise InvalidInput("The body has no array named batch.", code="missing_batch")
    items = [body[begin + 1 : end].strip() for begin, end in pairwise(cuts)]
    return body[: cuts[0] + 1] + body[cuts[-1] :], [] if items == [b""] else items


def _cuts(body: bytes) -> list[int]:
    """Where the batch opens, where its commas stand, and where it closes; nothing where there is none."""
    depth, key, inside = 0, b"", False
    cuts: list[int] = []
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in _OPEN:
            depth += 1
            if depth == 2 and text == b"[" and key == b'"batch"' and not cuts:
                inside = True
                cuts.append(token.start())
        elif text in _CLOSE or text == b",":
            if depth == 2 and inside:
                inside = text == b","
                cuts.append(token.start())
            depth -= text != b","
        elif not token[1]:
            raise malformed()
        elif depth == 1:
            key = text
    if depth != 0:
        raise malformed()
    return cuts
