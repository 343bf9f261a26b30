"""Converters by event and field, compiled once per vocabulary for each kind of request.

A table depends on the currency's minor digits and on whether the body needs scrubbing; both vary by request, so a
converter stays a plain function of one value.
"""

from typing import NamedTuple

from cashwrap.events import fields
from cashwrap.events.fields import Convert
from cashwrap.events.identifiers import Digest, Identify, email_of, identifier_of
from cashwrap.events.standard import (
    EVENT_ALIASES,
    EVENT_OF_CALL,
    FIELD_ALIASES,
    TRAIT_ALIASES,
    Fields,
    WireKind,
)
from cashwrap.events.vocabulary import Vocabulary

FieldTable = dict[str, tuple[str, Convert]]
"""Field as sent to its own name and its converter."""


class EventTable(NamedTuple):
    """What one event may hold."""

    name: str
    fields: FieldTable


class Tables(NamedTuple):
    """All converters for one kind of request."""

    tracked: dict[str, EventTable]
    """By the event name as sent, aliases included."""
    calls: dict[str, EventTable]
    """By the type of call, such as ``page``."""
    traits: FieldTable
    identifier: Identify
    text: Identify


def compile_tables(vocabulary: Vocabulary, digest: Digest, digits: int, *, scrubbing: bool) -> Tables:
    """All converters for amounts with that many minor digits, with or without scrubbing."""
    kinds = _converters(digest, digits, scrubbing=scrubbing)
    events = {
        name: EventTable(name, _table(event.fields, FIELD_ALIASES, kinds))
        for name, event in vocabulary.events.items()
        if not event.ours
    }
    aliases = {alias: events[name] for alias, name in EVENT_ALIASES.items()}
    return Tables(
        tracked={**aliases, **events},
        calls={call: events[name] for call, name in EVENT_OF_CALL.items()},
        traits=_table(dict(vocabulary.traits), TRAIT_ALIASES, kinds),
        identifier=identifier_of(digest, scrubbing=scrubbing),
        text=fields.clean_text if scrubbing else fields.plain_text,
    )


def _table(declared: Fields, aliases: dict[str, str], kinds: dict[WireKind, Convert]) -> FieldTable:
    table = {name: (name, kinds[kind]) for name, kind in declared.items()}
    for alias, name in aliases.items():
        if name in table:
            table.setdefault(alias, table[name])
    return table


def _converters(digest: Digest, digits: int, *, scrubbing: bool) -> dict[WireKind, Convert]:
    text: Convert = fields.clean_text if scrubbing else fields.plain_text
    identifier = identifier_of(digest, scrubbing=scrubbing)
    money = fields.money_in(digits)
    named: dict[str, Convert] = dict.fromkeys(("category", "brand", "name", "variant", "coupon"), text)
    product = {**named, "price": money, "quantity": fields.quantity}
    product |= dict.fromkeys(("id", "product_id", "sku"), identifier)
    return {
        "text": text,
        "texts": fields.texts_of(text),
        "filters": fields.filters_of(text),
        "id": identifier,
        "email": email_of(digest),
        "integer": fields.integer,
        "number": fields.number,
        "boolean": fields.boolean,
        "time": fields.time,
        "quantity": fields.quantity,
        "currency": fields.currency,
        "token": fields.token,
        "url": fields.url,
        "money": money,
        "products": fields.products_of(product),
    }
