"""What requests of a backend are read by: their body as a struct, and numbers in their address."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from cashwrap.errors import InvalidInput, TooMuch

BODY = 2_000_000
T = TypeVar("T")


def integer(request: Request, name: str, default: int, *, most: int) -> int:
    """A number from 1 to ``most``."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
        raise InvalidInput(f"{name} is a number from 1 to {most}", code="invalid_request")
    return int(text)


def whole(request: Request, name: str) -> int:
    """A number from 0 on; left out, 0."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(f"{name} is a number from 0 on", code="invalid_request")
    return int(text)


async def body_of(request: Request, kind: type[T]) -> T:
    """The body as a struct. Raises ``TooMuch`` and ``InvalidInput``."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY:
            raise TooMuch(f"the body may have at most {BODY // 1000} KB; send it in parts", code="body_too_large")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_request") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", code="invalid_json") from None
