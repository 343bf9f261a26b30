"""Failed events mended: what is kept of them opened, its fields set right, and the event as it is tried again. Pure.

A failed event is kept as far as it could be read (``events.normalise``): declared fields only, in the form they have
in the log, and beside it the fields that were wrong, as text without addresses and card numbers. So mending one is
setting its fields by the same converters that an event on its way in goes through.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap import codec
from cashwrap.errors import InvalidEvent, InvalidInput, StoreError
from cashwrap.events import Normaliser, Refused
from cashwrap.events.fields import Convert
from cashwrap.events.money import minor_digits
from cashwrap.events.tables import EventTable, FieldTable, Tables
from cashwrap.model import Event, Line, Millis, Tenant
from cashwrap.ports import Failure, Vault

CONFLICT = "conflicting_message_id"
"""The one failure of an event that is sound: it comes again under an id of its own."""
SHOPPER = 16
"""Bytes of the shopper's id in front of a sealed payload."""
_PATH = re.compile(r"(properties|traits)\.([^.\[\]]{1,200})(?:\[(\d{1,3})\]\.([a-z_]{1,40}))?")


class Unkept(Struct, frozen=True, array_like=True):
    """An event that could not be kept, as far as it could be read. ``broken`` has what it lacks, by path, as sent."""

    event: Event
    broken: dict[str, str] = {}


def failures_of(tenant: Tenant, refused: Iterable[Refused], now: Millis) -> list[Failure]:
    """The events of a request that could not be read: their reason, path and size, and what could be read of them.

    The latter goes no further than to the writer, which seals it where the shopper allows that.
    """
    return [
        Failure(
            tenant=tenant,
            received=now,
            code=each.code,
            message=each.message,
            path=each.path,
            size=each.size,
            event=each.event,
            broken=each.broken,
        )
        for each in refused
    ]


def failure_of(tenant: Tenant, event: Event, code: str) -> Failure:
    """An event that could not be kept, without what it held."""
    return Failure(
        tenant=tenant, received=event.received, code=code, message="this event could not be kept", path="", size=0
    )


def sealed(vault: Vault, shopper: bytes, unkept: Unkept) -> bytes:
    """What is kept of an event, for whoever has the shopper's key."""
    return shopper + vault.seal(shopper, codec.encode(unkept))


def opened(vault: Vault, failure: Failure) -> Unkept:
    """What was kept of an event.

    Raises ``InvalidInput`` (``no_payload``) where that is its reason only, ``Forgotten`` where its shopper is, and
    ``StoreError`` where it is damaged.
    """
    if failure.payload is None:
        text = f"of failed event {failure.sequence} only the reason is kept: mend its sender, which still has it"
        raise InvalidInput(text, code="no_payload")
    plain = vault.open(failure.payload[:SHOPPER], failure.payload[SHOPPER:])
    try:
        unkept = _unkept.decode(plain)
        products = unkept.event.properties.get("products")
        if isinstance(products, list):
            unkept.event.properties["products"] = [msgspec.convert(line, Line) for line in products]
    except msgspec.DecodeError as error:
        raise StoreError(f"failed event {failure.sequence} is damaged: discard it") from error
    return unkept


def mended(unkept: Unkept, sets: Mapping[str, str], unsets: Iterable[str], house: Normaliser) -> Unkept:
    """The event with fields set and left out, each by its path such as ``properties.products[2].price``.

    Values are as a sender writes them: amounts in major units, lists as JSON. Raises ``InvalidInput``
    (``no_such_field``) and ``InvalidEvent`` as an event that is sent.
    """
    event = unkept.event
    tables = house.tables(minor_digits(_currency(event, house)), scrubbing=True)
    table = tables.tracked.get(event.name)
    if table is None:
        raise InvalidInput(f"the playbook declares no event {event.name!r} any more", code="undeclared_event")
    properties, traits, broken = dict(event.properties), dict(event.traits), dict(unkept.broken)
    for path, text in [*sets.items(), *((path, None) for path in unsets)]:
        part, name, place, inner = _parted(path)
        fields = table.fields if part == "properties" else tables.traits
        bag: dict[str, object] = properties if part == "properties" else traits
        own, convert = _field(fields, name, path)
        if place is not None:
            bag[own] = _with_line(bag.get(own), int(place), inner, text, convert, path)
        elif text is None:
            bag.pop(own, None)
        else:
            bag[own] = _converted(convert, _value(text), path)
        mend = _named(path, table, tables)
        broken = {each: value for each, value in broken.items() if _named(each, table, tables) != mend}
    return Unkept(replace(event, properties=properties, traits=traits), broken)


def again(unkept: Unkept, failure: Failure, now: Millis) -> Event:
    """The event as it is tried again: received now, happened then.

    One that came under another event's id gets an id of its own, made of that id and of what it said: however often
    it was delivered, and is tried again, it counts once. Raises ``InvalidInput`` (``still_broken``).
    """
    if unkept.broken:
        path = next(iter(unkept.broken))
        number = failure.sequence
        text = f"{path} of failed event {number} is still wrong: repair {number} --set {path}=..., or --unset {path}"
        raise InvalidInput(text, code="still_broken")
    event = unkept.event
    name = f"{event.id[:180]}~{event.fingerprint.hex()}" if failure.code == CONFLICT else event.id
    return replace(event, id=name, received=now)


_json: msgspec.json.Decoder[object] = msgspec.json.Decoder(object, float_hook=str)
_unkept: msgspec.msgpack.Decoder[Unkept] = codec.decoder(Unkept)


def _currency(event: Event, house: Normaliser) -> str:
    return str(event.properties.get("currency") or house.settings.currency)


def _parted(path: str) -> tuple[str, str, str | None, str]:
    found = _PATH.fullmatch(path)
    if found is None or found[2] in {"email", "currency"}:  # one is never kept, the other says what amounts mean
        text = f"{path[:100]!r} cannot be mended; name a field such as properties.price or properties.products[0].price"
        raise InvalidInput(text, code="no_such_field")
    return found[1], found[2], found[3], found[4] or ""


def _field(fields: FieldTable, name: str, path: str) -> tuple[str, Convert]:
    found = fields.get(name)
    if found is None:
        raise InvalidInput(f"the playbook declares no {path[:100]} for this event", code="no_such_field")
    return found


def _named(path: str, table: EventTable, tables: Tables) -> str:
    """A path by the field's own name, whichever older name it was sent by."""
    found = _PATH.fullmatch(path)
    if found is None:
        return path
    fields = table.fields if found[1] == "properties" else tables.traits
    own = fields[found[2]][0] if found[2] in fields else found[2]
    return f"{found[1]}.{own}" + (f"[{found[3]}].{found[4]}" if found[3] else "")


def _value(text: str) -> object:
    """A list or an object where it is written as one, else the text itself: converters read numbers out of text."""
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return _json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"a list is written as JSON: {error}", code="invalid_json") from None


def _converted(convert: Convert, value: object, path: str) -> object:
    try:
        return convert(value)
    except InvalidEvent as error:
        error.path = path + error.path
        raise


def _with_line(lines: object, place: int, inner: str, text: str | None, convert: Convert, path: str) -> list[Line]:
    """The products with one field of one of them changed."""
    if not isinstance(lines, list) or place >= len(lines) or inner not in Line.__struct_fields__:
        raise InvalidInput(f"this event has no {path[:100]}", code="no_such_field")
    line: Line = lines[place]
    if text is None:
        if inner == "product_id":
            raise InvalidInput("a product needs its product_id", code="missing_product_id")
        changed: object = 1 if inner == "quantity" else None
    else:
        single = _converted(convert, [{"product_id": line.product_id, inner: text}], path)
        changed = getattr(single[0], inner) if isinstance(single, list) else None
    return [*lines[:place], replace(line, **{inner: changed}), *lines[place + 1 :]]
