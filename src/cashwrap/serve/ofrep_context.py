"""OFREP's evaluation context as a question to decide: who is asking, and what the page tells. Pure.

A context is free-form and shared by everything an application evaluates, so what nothing reads is ignored. What is read
has the names and limits of ``request.PageContext``, nested or as dotted paths, as on the wire or as in conditions:
``{"checkout": {"paymentMethods": []}}`` and ``{"checkout.payment_methods": []}`` say the same.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Struct, structs

from cashwrap.errors import InvalidInput
from cashwrap.request import DecideRequest, PageContext, ShopperRef

LIMIT = 64_000
"""Bytes of an evaluation request."""


class EvaluationRequest(Struct):
    """``POST /ofrep/v1/evaluate/flags`` and ``/{key}``; ``context`` has ``targetingKey`` and what the page tells."""

    context: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(EvaluationRequest, float_hook=Decimal)
_SHOPPER = {field.encode_name: field.encode_name for field in structs.fields(ShopperRef)}


def _paths() -> Iterator[tuple[str, tuple[str, str]]]:
    """Every spelling of a field that is read, and where it belongs: its group, or nothing, and its name."""
    for field in structs.fields(PageContext):
        group = field.type
        if isinstance(group, type) and issubclass(group, Struct):
            for inner in structs.fields(group):
                for name in (inner.name, inner.encode_name):
                    yield f"{field.name}.{name}", (field.encode_name, inner.encode_name)
        else:
            for name in (field.name, field.encode_name):
                yield name, ("", field.encode_name)


_PATHS = dict(_paths())
_GROUPS = frozenset(path.partition(".")[0] for path in _PATHS if "." in path)


def question(body: bytes, placement: str | None, *, trusted: bool) -> DecideRequest:
    """What an evaluation asks: one placement, or all for ``None``.

    ``targetingKey`` is the anonymous id, and from a secret key (``trusted``) the user id, unless the context names the
    same id in the other role. Raises ``InvalidInput``: ``invalid_json`` where the body cannot be read,
    ``invalid_context`` where what is read has another type or is too long.
    """
    context = _context(body)
    try:
        shopper = msgspec.convert(_shopper(context, trusted=trusted), ShopperRef)
        page = msgspec.convert(_page(context), PageContext)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the context does not fit: {error}", code="invalid_context") from None
    return DecideRequest(shopper, page, None if placement is None else [placement])


def _context(body: bytes) -> dict[str, Any]:
    try:
        return _decoder.decode(body).context or {}
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request does not fit: {error}", code="invalid_context") from None
    except InvalidOperation:
        raise InvalidInput("a number of the context is beyond all bounds", code="invalid_context") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}", code="invalid_json") from None


def _shopper(context: dict[str, Any], *, trusted: bool) -> dict[str, Any]:
    found = {name: context[name] for name in _SHOPPER if context.get(name) not in (None, "")}
    role, other = ("userId", "anonymousId") if trusted else ("anonymousId", "userId")
    subject = context.get("targetingKey")
    if subject not in (None, "") and subject != found.get(other):
        found.setdefault(role, subject)
    return found


def _page(context: dict[str, Any]) -> dict[str, Any]:
    page: dict[str, Any] = {}
    for path, value in _flat(context):
        known = _PATHS.get(path)
        if known is not None and value is not None:
            group, name = known
            (page.setdefault(group, {}) if group else page)[name] = value
    return page


def _flat(context: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in context.items():
        if name in _GROUPS and isinstance(value, dict):
            for inner, told in value.items():
                yield f"{name}.{inner}", told
        else:
            yield name, value
