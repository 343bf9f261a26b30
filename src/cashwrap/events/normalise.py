"""From an envelope as sent to an ``Event`` as kept: declared fields only, exact money, corrected time, no secrets.

Pure but for two counters (dropped fields, senders' rates) and remembered hints. The life of one envelope is
``_Request.event``, top to bottom; anything wrong on the way refuses that event alone.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from cashwrap import consent
from cashwrap.declarations import Settings
from cashwrap.errors import InvalidEvent, NotAllowed
from cashwrap.events.cut import cut
from cashwrap.events.envelope import Bag, Batch, Context, Envelope, Limits, Refused, too_deep
from cashwrap.events.fields import LONGEST_ID, LONGEST_TEXT, millis
from cashwrap.events.identifiers import Digest, blocked, email_of, shopper_id
from cashwrap.events.money import minor_digits
from cashwrap.events.scrub import scrub
from cashwrap.events.strays import Strays
from cashwrap.events.surroundings import RequestFacts, delivered_to, reduce
from cashwrap.events.tables import EventTable, FieldTable, Tables, compile_tables
from cashwrap.events.traffic import RateWatch, is_bot, networks
from cashwrap.events.vocabulary import Vocabulary
from cashwrap.model import Event, Flag, Millis, Scalar, Tenant, Where

__all__ = ["EARLIEST", "LATEST", "Normaliser", "RequestFacts", "Verify"]

Verify = Callable[[str, Tenant, Millis], str]
"""Identity token, tenant, now to the user id it proves; raises ``NotAllowed``."""

EARLIEST: Millis = 7 * 86_400_000
"""How far before its receipt an event may have happened."""
LATEST: Millis = 5_000
"""How far after its receipt an event may claim to have happened: clocks differ."""

WRONG_FIELDS = 8
"""Wrong fields of an event beyond which nothing of it is kept."""
_MENDABLE = ("properties.", "traits.")

HINTS = 200
"""Undeclared names that are compared with the declared ones, which takes a while; later ones get no hint."""
LONGEST_HINTED = 60

_encode = msgspec.json.Encoder(order="deterministic").encode


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
        strays: Strays | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.strays = strays if strays is not None else Strays()
        self.settings = settings
        self.digest = digest
        self.verify = verify
        self.rate = rate
        self.limits = Limits()
        self.internal = networks(settings.internal_networks)
        is_bot("any")  # compiles the list of crawlers now, not under the first request
        self.digits = minor_digits(settings.currency)
        self.fingerprint = blake2b(digest_size=8, key=digest("fingerprint"))
        self.dropped: Counter[str] = Counter()
        self._tables: dict[tuple[int, bool], Tables] = {}
        self._hints: dict[str, str] = {}

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
        return None if value is None else shopper_id(value, self.tables(self.digits, scrubbing=True).identifier)

    def hint(self, event: str) -> str:
        """The declared event that an undeclared one may mean; never the name as sent, which may be about a person."""
        found = self._hints.get(event)
        if found is None:
            if len(self._hints) >= HINTS or len(event) > LONGEST_HINTED:
                return ""
            close = get_close_matches(event, self.tables(self.digits, scrubbing=False).tracked, n=1, cutoff=0.7)
            found = self._hints[event] = f"did you mean {close[0]!r}? Else " if close else ""
        return found

    def email_hash(self, address: str) -> str | None:
        """An e-mail address as events keep it: its keyed hash; ``None`` for what is none."""
        found = email_of(self.digest)(address)
        return found if isinstance(found, str) else None


class _Request:
    """One request being normalised: what its events share, worked out once."""

    __slots__ = ("base", "counts", "device", "facts", "house", "last", "scrubbing", "sent", "stamp", "tables")

    def __init__(self, house: Normaliser, batch: Batch, facts: RequestFacts) -> None:
        self.house = house
        self.facts = facts
        self.scrubbing = batch.suspicious
        self.tables = house.tables(house.digits, scrubbing=batch.suspicious)
        self.sent = None if batch.sent_at is None else millis(batch.sent_at)
        self.counts = _senders(batch) if house.rate is not None and not facts.trusted else {}
        self.stamp: tuple[dict[str, bool], dict[str, str]] = ({}, {})
        """The banner's categories seen last, and the choices they are: neighbours share them."""
        self.device: tuple[str | int | None, str | None] = (None, None)
        self.base = self.last = (*self.reduced(batch.context), batch.context)

    def take(self, index: int, envelope: Envelope) -> Event | Refused:
        """One event, or why not."""
        try:
            return self.event(index, envelope)
        except InvalidEvent as error:
            reason = error
        except RecursionError:  # in a part of the body that is not kept, such as a product's own extras
            reason = too_deep()
        size, rest = _size(envelope), None
        if reason.path.startswith(_MENDABLE):
            rest = self.without_wrong_fields(index, envelope, reason)
        event, broken = rest if rest is not None else (None, {})
        return Refused(index, reason.code, reason.message, reason.path, _told_id(envelope), size, event, broken)

    def without_wrong_fields(
        self, index: int, envelope: Envelope, error: InvalidEvent
    ) -> tuple[Event, dict[str, str]] | None:
        """What is left of an event without its wrong fields, and these; ``None`` where it is wrong beyond mending."""
        broken: dict[str, str] = {}
        for _ in range(WRONG_FIELDS):
            value = cut(envelope, error.path)
            if value is None:
                return None
            broken[error.path] = scrub(value)[:LONGEST_TEXT]
            try:
                return self.event(index, envelope), broken
            except InvalidEvent as another:
                error = another
            except RecursionError:
                return None
        return None

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
            where = delivered_to(where, properties["delivery_country"])
        traits: dict[str, Scalar] = {}
        email: str | None = None
        if envelope.traits or "email" in properties or envelope.type == "identify":
            traits, email = self.traits(envelope, properties, table.name)
        given, anonymous_id = self.device
        if envelope.anonymous_id != given:
            anonymous_id = self.device_of(envelope.anonymous_id)
        user_id = claimed = None
        if envelope.user_id is not None or envelope.token is not None:
            user_id, claimed = self.identity(envelope, tables)
        cart_token = self.cart_token(context, properties, tables)
        # A cart alone is nobody's name in a browser: the next event could not be told to be the same shopper's.
        if anonymous_id is None and user_id is None and not (facts.trusted and (cart_token or email)):
            raise InvalidEvent("Nobody is named; send anonymousId or a verified userId.", code="missing_identity")
        device_time = envelope.original_timestamp or envelope.timestamp
        happened = facts.received if device_time is None else self.time(device_time, envelope.sent_at)
        choices = self.choices(envelope, context) if envelope.type == "consent" or context is not None else {}
        fingerprint = self.fingerprint(envelope, device_time)
        self.house.strays.arrived(facts.tenant, table.name, properties, traits)
        # By position: naming twenty fields would cost a fifth of an event's whole time.
        return Event(
            self.message_id(index, envelope, fingerprint),
            table.name,
            self.chosen_at(happened, envelope) if choices else happened,
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
            choices,
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
            self.house.strays.unknown(self.facts.tenant, envelope.event)
            message = f"This event is not declared; {self.house.hint(envelope.event)}add it to the playbook's events."
            raise InvalidEvent(message, code="undeclared_event", path="event")
        return found

    def in_currency(self, given: object, envelope: Envelope, table: EventTable) -> tuple[Tables, EventTable]:
        """The tables for the event's own currency; its amounts are in that currency's minor units."""
        known = table.fields.get("currency")
        if known is None or given is None or given in ("", self.house.settings.currency):
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
            self.house.strays.undeclared(self.facts.tenant, name, path, bag, table)
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

    def device_of(self, given: str | int | None) -> str | None:
        """The anonymous id; a batch is mostly of one device, so the last one is remembered."""
        anonymous_id = None if given is None else shopper_id(given, self.tables.identifier)
        self.device = (given, anonymous_id)
        return anonymous_id

    def identity(self, envelope: Envelope, tables: Tables) -> tuple[str | None, str | None]:
        """The verified user id, and the one merely claimed; at most one of them."""
        facts, verify = self.facts, self.house.verify
        claimed = None if envelope.user_id is None else shopper_id(envelope.user_id, tables.identifier)
        if facts.trusted:
            return claimed, None
        if envelope.token is None or verify is None:
            return None, claimed
        try:
            proven = verify(envelope.token, facts.tenant, facts.received)
        except NotAllowed:
            return None, claimed
        user_id = self.house.shopper_id(proven)
        return user_id, None if user_id is not None else claimed

    def cart_token(self, context: Context | None, properties: dict[str, object], tables: Tables) -> str | None:
        """The shop's own cart or checkout id."""
        if context is not None and context.cart is not None and context.cart.token is not None:
            return shopper_id(context.cart.token, tables.identifier)
        get = properties.get
        given = get("cart_token") or get("cart_id") or get("checkout_id")
        return given if type(given) is str and not blocked(given) else None

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

    def chosen_at(self, happened: Millis, envelope: Envelope) -> Millis:
        """When a choice counts from: never the future, or it would outlive the withdrawal that follows.

        A browser's own call without ``sentAt`` counts from its receipt: by a slow clock, a withdrawal would be older
        than the grant it takes back.
        """
        if self.facts.historic:
            return happened
        dated = self.facts.trusted or self.sent is not None or envelope.sent_at is not None
        return min(happened, self.facts.received) if dated or envelope.type != "consent" else self.facts.received

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
        preferences = context.consent.category_preferences
        if preferences != self.stamp[0]:
            self.stamp = (preferences, consent.from_categories(preferences, self.house.settings.purposes))
        return self.stamp[1]

    def around(self, context: Context) -> tuple[Where, int, Context | None]:
        """Where this event happened, what is odd about its sender, and its context; neighbours mostly share them."""
        if context != self.last[2]:
            self.last = (*self.reduced(context), context)
        return self.last

    def reduced(self, context: Context | None) -> tuple[Where, int]:
        """Where, and the flags of who sent it."""
        return reduce(self.facts, context, self.tables.text, self.house.internal)

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
