"""From an envelope as sent to an ``Event`` as kept: declared fields only, exact money, corrected time, no secrets.

Pure but for two counters (dropped fields, senders' rates). The life of one envelope is ``_Request.event``, top to
bottom; anything wrong on the way refuses that event alone.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap import consent
from cashwrap.declarations import Settings
from cashwrap.errors import InvalidEvent, NotAllowed
from cashwrap.events.agent import read_agent
from cashwrap.events.envelope import Bag, Batch, Context, Envelope, Limits, Refused, too_deep
from cashwrap.events.fields import LONGEST_ID, millis, url
from cashwrap.events.money import minor_digits
from cashwrap.events.tables import Digest, EventTable, FieldTable, Tables, compile_tables
from cashwrap.events.traffic import RateWatch, is_bot, is_internal, networks
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.model import Event, Flag, Millis, Scalar, Tenant, Where

Verify = Callable[[str, Tenant, Millis], str]
"""Identity token, tenant, now to the user id it proves; raises ``NotAllowed``."""

EARLIEST: Millis = 7 * 86_400_000
"""How far before its receipt an event may have happened."""
LATEST: Millis = 5_000
"""How far after its receipt an event may claim to have happened: clocks differ."""

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
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_](?:[A-Za-z]{1,8}|\d{3,4})){0,3}")
_ZONE = re.compile(
    r"[A-Za-z][A-Za-z_-]{0,30}(?:[+-]?\d{1,2}[A-Z]{0,4})?(?:/[A-Za-z][A-Za-z_-]{0,30}(?:[+-]?\d{1,2})?){0,2}"
)
"""Both leave no room for twelve digits."""
_NO_COUNTRY = frozenset({"XX", "T1", "ZZ"})
_encode = msgspec.json.Encoder(order="deterministic").encode


class RequestFacts(Struct, frozen=True):
    """What the request itself says, beside its body. Nothing of it is kept as it is."""

    received: Millis
    source: str
    """The key's id: part of what makes a message id unique."""
    tenant: Tenant = Tenant()
    trusted: bool = False
    """Sent with a secret key."""
    ip: str | None = None
    user_agent: str | None = None
    gpc: bool = False
    """``Sec-GPC: 1``."""
    country: str | None = None
    """Value of the trusted country header the settings name."""
    qa: bool = False
    """``X-Cashwrap-QA: 1``."""
    historic: bool = False
    """An import: its times are taken as they are."""
    basis: int = 0
    """An import: the purposes it declares, as a mask."""


class Normaliser:
    """Turns decoded batches into events. One per playbook; safe to share between threads of one process.

    ``dropped`` counts undeclared fields by event; it cannot grow beyond the vocabulary.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        settings: Settings,
        digest: Digest,
        *,
        verify: Verify | None = None,
        rate: RateWatch | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.settings = settings
        self.digest = digest
        self.verify = verify
        self.rate = rate
        self.limits = Limits()
        self.internal = networks(settings.internal_networks)
        self.digits = minor_digits(settings.currency)
        self.fingerprint = blake2b(digest_size=8, key=digest("fingerprint"))
        self.dropped: Counter[str] = Counter()
        self._tables: dict[tuple[int, bool], Tables] = {}

    def batch(self, batch: Batch, facts: RequestFacts) -> list[Event | Refused]:
        """Every event of a request, in order; a bad one is ``Refused`` in its place."""
        request = _Request(self, batch, facts)
        return [
            item if type(item) is Refused else request.take(index, item)  # type: ignore[arg-type]
            for index, item in enumerate(batch.items)
        ]

    def tables(self, digits: int, *, scrubbing: bool) -> Tables:
        """The converters for a request, compiled on first use."""
        found = self._tables.get((digits, scrubbing))
        if found is None:
            found = compile_tables(self.vocabulary, self.digest, digits, scrubbing=scrubbing)
            self._tables[digits, scrubbing] = found
        return found

    def shopper_id(self, value: str | int | None) -> str | None:
        """An id as events keep it, for looking its shopper up: ``None`` for a blocked one such as ``null``.

        Raises ``InvalidEvent`` (``id_too_long``) above 200 characters.
        """
        return None if value is None else _shopper_id(value, self.tables(self.digits, scrubbing=True))


class _Request:
    """One request being normalised: what its events share, worked out once."""

    __slots__ = ("base", "counts", "facts", "house", "last", "scrubbing", "sent", "tables")

    def __init__(self, house: Normaliser, batch: Batch, facts: RequestFacts) -> None:
        self.house = house
        self.facts = facts
        self.scrubbing = batch.suspicious
        self.tables = house.tables(house.digits, scrubbing=batch.suspicious)
        self.sent = None if batch.sent_at is None else millis(batch.sent_at)
        self.counts = _senders(batch) if house.rate is not None and not facts.trusted else {}
        self.base = self.last = (*self.surroundings(batch.context), batch.context)

    def take(self, index: int, envelope: Envelope) -> Event | Refused:
        """One event, or why not."""
        try:
            return self.event(index, envelope)
        except InvalidEvent as error:
            reason = error
        except RecursionError:  # in a part of the body that is not kept, such as a product's own extras
            reason = too_deep()
        return Refused(index, reason.code, reason.message, reason.path, _told_id(envelope), _size(envelope))

    def event(self, index: int, envelope: Envelope) -> Event:
        """The life of one envelope."""
        facts = self.facts
        table = self.table(envelope)
        tables = self.tables
        bag = envelope.properties
        if bag and "currency" in bag:
            tables, table = self.in_currency(bag["currency"], envelope, table)
        properties = self.kept(table.fields, bag, "properties", table.name) if bag else {}
        where, flags, context = self.base if envelope.context is None else self.around(envelope.context)
        if envelope.type != "track":
            where = self.describe_call(envelope, properties, where)
        if "delivery_country" in properties:
            where = _delivered_to(where, properties)
        traits: dict[str, Scalar] = {}
        email: str | None = None
        if envelope.traits or "email" in properties or envelope.type == "identify":
            traits, email = self.traits(envelope, properties, table.name)
        anonymous_id = user_id = claimed = None
        if envelope.anonymous_id is not None:
            anonymous_id = _shopper_id(envelope.anonymous_id, tables)
        if envelope.user_id is not None or envelope.token is not None:
            user_id, claimed = self.identity(envelope, tables)
        cart_token = self.cart_token(context, properties, tables)
        if anonymous_id is None and user_id is None and cart_token is None and email is None:
            raise InvalidEvent("Nobody is named; send anonymousId or a verified userId.", code="missing_identity")
        device_time = envelope.original_timestamp or envelope.timestamp
        fingerprint = self.fingerprint(envelope, device_time)
        # By position: naming twenty fields would cost a fifth of an event's whole time.
        return Event(
            self.message_id(index, envelope, fingerprint),
            table.name,
            facts.received if device_time is None else self.time(device_time, envelope.sent_at),
            facts.received,
            facts.basis,
            facts.source,
            anonymous_id,
            user_id,
            claimed,
            cart_token,
            email,
            properties,
            traits,
            self.choices(envelope, context) if envelope.type == "consent" or context is not None else {},
            "person" if envelope.scope == "person" and user_id is not None else "device",
            facts.gpc,
            flags | self.crowd(envelope.anonymous_id) if self.counts else flags,
            fingerprint,
            facts.trusted,
            where,
        )

    # --- what happened ---

    def table(self, envelope: Envelope) -> EventTable:
        """Which event this is."""
        if envelope.type != "track":
            found = self.tables.calls.get(envelope.type)
            if found is None:
                raise InvalidEvent("The type is none of the tracking API's.", code="unknown_type", path="type")
            return found
        if envelope.event is None:
            raise InvalidEvent("A track call needs an event.", code="missing_event", path="event")
        found = self.tables.tracked.get(envelope.event) or self.tables.tracked.get(envelope.event.strip())
        if found is None:
            raise InvalidEvent(
                "This event is not declared; add it to the playbook's events.", code="undeclared_event", path="event"
            )
        return found

    def in_currency(self, given: object, envelope: Envelope, table: EventTable) -> tuple[Tables, EventTable]:
        """The tables for the event's own currency; its amounts are in that currency's minor units."""
        known = table.fields.get("currency")
        if known is None or given is None or given == "":
            return self.tables, table
        try:
            digits = minor_digits(str(known[1](given)))
        except InvalidEvent as error:
            error.path = "properties.currency"
            raise
        if digits == self.house.digits:
            return self.tables, table
        tables = self.house.tables(digits, scrubbing=self.scrubbing)
        return tables, (tables.calls if envelope.type != "track" else tables.tracked)[table.name]

    def kept(self, table: FieldTable, bag: Bag, path: str, name: str) -> dict[str, object]:
        """The declared ones of some fields, converted; the others are counted."""
        kept: dict[str, object] = {}
        dropped = 0
        key = ""
        try:
            for key, value in bag.items():
                entry = table.get(key)
                if entry is None:
                    dropped += 1
                    if type(value) is dict or type(value) is list:
                        _measure(value, self.house.limits)
                elif value is not None and value != "":
                    kept[entry[0]] = entry[1](value)
        except InvalidEvent as error:
            error.path = f"{path}.{key[:LONGEST_ID]}{error.path}"
            raise
        if dropped:
            self.house.dropped[name] += dropped
            if len(bag) > self.house.limits.keys:
                raise InvalidEvent("An event has too many properties.", code="too_many_fields", path=path)
        return kept

    def describe_call(self, envelope: Envelope, properties: dict[str, object], where: Where) -> Where:
        """Take in what calls other than ``track`` carry beside their properties."""
        text, identifier = self.tables.text, self.tables.identifier
        match envelope.type:
            case "page" | "screen":
                for name, value in (("name", envelope.name), ("category", envelope.category)):
                    if value:
                        properties.setdefault(name, text(value))
                path = properties.get("path")
                if where.path is None and isinstance(path, str):
                    where = replace(where, path=path)
            case "group" if envelope.group_id is not None:
                properties["group_id"] = identifier(envelope.group_id)
            case "alias" if envelope.previous_id is not None:
                properties["previous_id"] = identifier(envelope.previous_id)
            case "consent" if envelope.source:
                properties["source"] = text(envelope.source)
        return where

    def traits(
        self, envelope: Envelope, properties: dict[str, object], name: str
    ) -> tuple[dict[str, Scalar], str | None]:
        """The declared traits of an ``identify`` call, and the keyed hash of any e-mail address."""
        email = properties.pop("email", None)
        given = envelope.traits
        if envelope.type == "identify":
            if not given and envelope.context is not None:
                given = envelope.context.traits
            traits = self.kept(self.tables.traits, given, "traits", name) if given else {}
            email = traits.pop("email", None) or email
        else:
            traits = {}
            self.house.dropped[name] += len(given or ())
        # Whoever may claim an address could otherwise join somebody else's profile: only the backend's word counts.
        return traits, email if self.facts.trusted else None  # type: ignore[return-value]

    # --- who ---

    def identity(self, envelope: Envelope, tables: Tables) -> tuple[str | None, str | None]:
        """The verified user id, and the one merely claimed; at most one of them."""
        facts, verify = self.facts, self.house.verify
        claimed = None if envelope.user_id is None else _shopper_id(envelope.user_id, tables)
        if facts.trusted:
            return claimed, None
        if envelope.token is None or verify is None:
            return None, claimed
        try:
            proven = verify(envelope.token, facts.tenant, facts.received)
        except NotAllowed:
            return None, claimed
        user_id = _shopper_id(proven, self.house.tables(self.house.digits, scrubbing=True))
        return user_id, None if user_id is not None else claimed

    def cart_token(self, context: Context | None, properties: dict[str, object], tables: Tables) -> str | None:
        """The shop's own cart or checkout id."""
        if context is not None and context.cart is not None and context.cart.token is not None:
            return _shopper_id(context.cart.token, tables)
        get = properties.get
        given = get("cart_token") or get("cart_id") or get("checkout_id")
        return given if type(given) is str and not _blocked(given) else None

    # --- when ---

    def time(self, device: datetime, sent_at: datetime | None) -> Millis:
        """When it happened by our clock: the device's own delay before sending, subtracted from the receipt."""
        received, happened = self.facts.received, millis(device)
        if self.facts.historic:
            return happened
        sent = self.sent if sent_at is None else millis(sent_at)
        if sent is not None:
            happened += received - sent
        if received - EARLIEST <= happened <= received + LATEST:
            return happened
        if sent is None:
            return received  # a clock that wrong says nothing
        return received + LATEST if happened > received else received - EARLIEST

    def message_id(self, index: int, envelope: Envelope, fingerprint: bytes) -> str:
        """The event's own id; without one, the same body with the same time is the same event."""
        given = envelope.message_id
        if given is not None and given != "":
            return self.tables.identifier(given)
        if envelope.original_timestamp is None and envelope.timestamp is None:
            return f"h_{fingerprint.hex()}_{self.facts.received}_{index}"
        return f"h_{fingerprint.hex()}"

    def fingerprint(self, envelope: Envelope, device: datetime | None) -> bytes:
        """8 keyed bytes over the body as sent, without what a retry changes."""
        body = _encode((envelope.event, envelope.anonymous_id, envelope.user_id, device, envelope.properties))
        if envelope.type != "track":
            body += _encode(
                (
                    envelope.type,
                    envelope.traits,
                    envelope.choices,
                    envelope.scope,
                    envelope.name,
                    envelope.category,
                    envelope.previous_id,
                    envelope.group_id,
                )
            )
        state = self.house.fingerprint.copy()
        state.update(body)
        return state.digest()

    # --- around it ---

    def choices(self, envelope: Envelope, context: Context | None) -> dict[str, str]:
        """Explicit consent choices: of our own call, or the stamp of a consent banner."""
        if envelope.type == "consent":
            return _choices(envelope.choices)
        if context is None or context.consent is None or not context.consent.category_preferences:
            return {}
        return consent.from_categories(context.consent.category_preferences, self.house.settings.purposes)

    def around(self, context: Context) -> tuple[Where, int, Context | None]:
        """Where this event happened, what is odd about its sender, and its context; neighbours mostly share them."""
        if context != self.last[2]:
            self.last = (*self.surroundings(context), context)
        return self.last

    def surroundings(self, context: Context | None) -> tuple[Where, int]:
        """Reduce request and context to ``Where``, and flag what is no shopper."""
        facts = self.facts
        context = context or Context()
        page, place, device = context.page, context.location, context.device
        backend = facts.trusted
        user_agent = context.user_agent if backend else facts.user_agent
        agent = read_agent(user_agent)
        country, source = _place(facts.country, None if place is None else place.country)
        where = Where(
            device=agent.device or _device_word(None if device is None else device.type),
            os=agent.os,
            browser=agent.browser,
            locale=_matching(_LOCALE, context.locale),
            time_zone=_matching(_ZONE, context.timezone),
            country=country,
            region=None if place is None else self.short(place.region),
            location_source=source,
            path=None if page is None else _address(page.path or page.url),
            page_type=None if page is None else self.short(page.type),
            referrer=None if page is None else _address(page.referrer),
        )
        flags = Flag.QA.value if facts.qa else 0
        if is_bot(user_agent) and not (backend and not user_agent):
            flags |= Flag.BOT.value
        if is_internal(context.ip if backend else facts.ip, self.house.internal):
            flags |= Flag.INTERNAL.value
        return where, flags

    def short(self, text: str | None) -> str | None:
        """A short free text of the context."""
        return str(self.tables.text(text))[:64] if text else None

    def crowd(self, sender: str | int | None) -> int:
        """The bot flag for a sender of more events than a person makes; each sender counts once a request."""
        rate = self.house.rate
        if sender is None or rate is None or sender not in self.counts:
            return 0
        events, flag = self.counts[sender]
        if events:
            flag = Flag.BOT.value if rate.over(str(sender), self.facts.received, events) else 0
            self.counts[sender] = (0, flag)
        return flag


def _told_id(envelope: Envelope) -> str | None:
    """The id the client gave, to tell it which event was refused."""
    return None if envelope.message_id is None else str(envelope.message_id)[:LONGEST_ID]


def _size(envelope: Envelope) -> int:
    """Bytes of JSON, 0 where it cannot be told."""
    try:
        return len(msgspec.json.encode(envelope))
    except RecursionError:
        return 0


def _senders(batch: Batch) -> dict[str | int, tuple[int, int]]:
    """How many events each anonymous id has in this request, and the flag they get (none yet)."""
    counted = Counter(
        item.anonymous_id for item in batch.items if type(item) is Envelope and item.anonymous_id is not None
    )
    return {sender: (count, 0) for sender, count in counted.items()}


def _blocked(text: str) -> bool:
    return not text.strip("0- ") or (len(text) <= _LONGEST_BLOCKED and text.lower() in _BLOCKED)


def _shopper_id(value: str | int, tables: Tables) -> str | None:
    """An id of a shopper; what shops send by mistake for everyone ("null", "0000") counts as absent."""
    text = value.strip() if type(value) is str else str(value)
    return None if _blocked(text) else tables.identifier(text)


def _choices(given: dict[str, str] | None) -> dict[str, str]:
    """The explicit choices of a consent call; ``unknown`` is no choice."""
    if not given:
        raise InvalidEvent("A consent call needs choices.", code="missing_choices", path="choices")
    for name, word in given.items():
        if name not in consent.BY_NAME:
            raise InvalidEvent("A choice names no purpose of ours.", code="unknown_purpose", path="choices")
        if word not in {consent.GRANTED, consent.DENIED, consent.UNKNOWN}:
            raise InvalidEvent("A choice is granted, denied or unknown.", code="invalid_choice", path=f"choices.{name}")
    return {name: word for name, word in given.items() if name in consent.CHOOSABLE and word != consent.UNKNOWN}


def _measure(value: object, limits: Limits, depth: int = 2, keys: int = 0) -> int:
    """Refuse absurd nesting even in what is dropped; returns how many values there are."""
    if depth > limits.depth:
        raise too_deep()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    keys += len(inner)
    if keys > limits.keys:
        raise InvalidEvent("An event has too many values.", code="too_many_fields")
    for item in inner:
        if type(item) is dict or type(item) is list:
            keys = _measure(item, limits, depth + 1, keys)
    return keys


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None


def _address(text: str | None) -> str | None:
    return url(text) or None if text else None


def _device_word(text: str | None) -> str | None:
    return text if text in {"mobile", "tablet", "desktop"} else None


def _place(header: str | None, shop: str | None) -> tuple[str | None, str | None]:
    """The country and who said so: a trusted header before the shop's own field."""
    for country, source in ((header, "header"), (shop, "shop")):
        if country is not None and _COUNTRY.fullmatch(country) and country.upper() not in _NO_COUNTRY:
            return country.upper(), source
    return None, None


def _delivered_to(where: Where, properties: dict[str, object]) -> Where:
    """Where nothing else names the country, the one the order goes to does."""
    given = properties["delivery_country"]
    if where.country is not None or not isinstance(given, str) or not _COUNTRY.fullmatch(given):
        return where
    return replace(where, country=given.upper(), location_source="delivery")
