"""What happened to one shopper, newest first: their part of the log, decisions that were kept, segments entered.

The log has no index by shopper, because one would cost every commit. It is read backwards in stretches, until a page
is full, the shopper was not known yet, or it has taken long enough: then the page shows what it has, and goes on from
there when asked again. Three sources are merged by the time at which they became known to us.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap import consent, records
from cashwrap.engine import Engine
from cashwrap.errors import Forgotten, InvalidInput, StoreError
from cashwrap.events.standard import MEMBERSHIPS
from cashwrap.folding import read_events
from cashwrap.model import Event, Flag, Line, Millis, Profile
from cashwrap.offers.benefits import major
from cashwrap.ports import Changes, KeptDecision, Record, ShopperKey
from cashwrap.profiles import DISMISSED, EXPOSED

Kind = Literal["event", "order", "consent", "exposure", "offer", "identity", "segment", "decision"]
KINDS: tuple[Kind, ...] = ("event", "order", "consent", "exposure", "offer", "identity", "segment", "decision")
PAGE = 50
STRETCH = 50_000
"""Sequences of the log that are read at once."""
PATIENCE = 0.5
"""Seconds of reading after which a page shows what it has."""
FIELDS = 60
"""Fields of one event that are shown."""
GIST = 120
"""Characters of what says most of one event."""
TEXT = 300
"""Characters of a field that are shown."""
_OUT_OF_ORDER: Millis = 60_000
"""Records of one moment are committed within a minute: a shopper is not looked for before that."""
_NAMED: dict[str, Kind] = {
    "Consent Updated": "consent",
    EXPOSED: "exposure",
    DISMISSED: "exposure",
    "Identified": "identity",
    "Aliased": "identity",
    "Grouped": "identity",
    **dict.fromkeys(MEMBERSHIPS, "segment"),
}
_TELLING = (
    ("name", "product_id"),
    ("experience", "offer"),
    ("placement", "placement"),
    ("outcome", "outcome"),
    ("order_id", "order_id"),
    ("total", "price"),
    ("amount", "query"),
    ("step", "coupon"),
    ("path", "path"),
)
"""Fields that say most of an event: the first of each pair, else the second."""
Field = tuple[str, str]
_Key = tuple[Millis, int, int, int]


class Cursor(Struct, frozen=True):
    """Where a page ended: of the log everything before this event of this record is still to come, of all else
    everything before this moment."""

    at: Millis
    sequence: int
    index: int = 0

    @property
    def text(self) -> str:
        """As an address holds it."""
        return f"{self.at}-{self.sequence}-{self.index}"

    @staticmethod
    def read(text: str) -> "Cursor":
        """Undo ``text``. Raises ``InvalidInput`` (``invalid_request``)."""
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
            raise InvalidInput("this place in the list cannot be read: begin at its first page", code="invalid_request")
        return Cursor(*(int(part) for part in parts))


class Entry(Struct, frozen=True):
    """One line. ``at`` is when it happened, ``late`` when we heard of it, where that was much later (0 else)."""

    at: Millis
    kind: Kind
    title: str
    fields: tuple[Field, ...] = ()
    late: Millis = 0
    decision: str = ""
    """The id of a kept one."""
    gist: str = ""
    """What says most of it, in a few words."""


class Page(Struct, frozen=True):
    """Some lines. ``next`` is where the next page begins, empty where nothing is left.

    ``looked`` is how far back the log was read, where that took too long to fill the page (0 else).
    """

    entries: list[Entry]
    next: str
    looked: Millis = 0
    trimmed: bool = False
    """Older records were removed by retention: the profile still counts them."""


def page(engine: Engine, key: ShopperKey, profile: Profile, kind: Kind | None = None, after: str = "") -> Page:
    """A page of somebody's timeline, of one kind or of all. Raises ``InvalidInput`` for a place that is none."""
    now, newest = engine.world.clock.now(), engine.world.store.commit(Changes())
    start = Cursor.read(after) if after else Cursor(now + 1, newest + 1)
    return _Reading(engine, key, profile, kind, start).page()


class _Reading:
    """One page being read."""

    def __init__(self, engine: Engine, key: ShopperKey, profile: Profile, kind: Kind | None, start: Cursor) -> None:
        self._world = engine.world
        self._engine = engine
        self._key = key
        self._profile = profile
        self._kind = kind
        self._start = start
        self._bottom = self._world.store.horizon().sequence
        self._low = start.sequence if start.index else start.sequence - 1
        """Everything above is read."""
        self._at = start.at
        """When the lowest of the shopper's records came in, or a higher one that came earlier: they are not committed
        in the order in which they come in, and places in a list must not go up and down."""
        self._floor: Millis = 0
        """When the lowest record that was read came in; 0 where nothing is below it."""
        self._found: list[tuple[_Key, Entry]] = []

    def page(self) -> Page:
        if self._kind != "decision":
            self._read_log()
        else:
            self._low = self._bottom
        if self._kind in {None, "decision"}:
            self._read_decisions()
        if self._kind in {None, "segment"}:
            self._read_segments()
        self._found.sort(key=itemgetter(0), reverse=True)
        last = self._cut()
        shown = self._found[:last]
        full, done = last < len(self._found), self._low <= self._bottom
        looked = 0 if done or full or len(shown) >= PAGE else self._floor
        trimmed = done and not full and self._bottom > 0
        return Page([entry for _, entry in shown], self._next(shown, full=full, done=done), looked, trimmed)

    def _cut(self) -> int:
        """How many are shown: a page, and what happened besides the log in the moment at which it ends."""
        last = min(PAGE, len(self._found))
        while 0 < last < len(self._found) and (at := self._found[last - 1][0])[1] and at == self._found[last][0]:
            last += 1
        return last

    def _next(self, shown: list[tuple[_Key, Entry]], *, full: bool, done: bool) -> str:
        if not full and done:
            return ""
        if not full:
            return Cursor(self._floor, self._low + 1).text
        logged = [key for key, _ in shown if not key[1]]
        sequence, index = (logged[-1][2], logged[-1][3]) if logged else (self._start.sequence, self._start.index)
        return Cursor(shown[-1][0][0], sequence, index).text

    # --- the log ---

    def _read_log(self) -> None:
        store, clock = self._world.store, self._world.clock
        who, began = {self._key.shopper, *self._profile.absorbed}, clock.monotonic()
        while self._low > self._bottom and len(self._found) <= PAGE:
            after = max(self._bottom, self._low - STRETCH)
            for record in store.log_of(self._key.tenant, who, after, self._low):
                self._found += self._of(record)
            self._low = after
            lowest = next(iter(store.log(after)), None)
            self._floor = min(lowest.received, self._at) if lowest is not None else 0
            if lowest is not None and lowest.received < self._profile.created - _OUT_OF_ORDER:
                self._low = self._bottom
            if clock.monotonic() - began > PATIENCE:
                break
        if self._low <= self._bottom:
            self._floor = 0

    def _of(self, record: Record) -> Iterator[tuple[_Key, Entry]]:
        """A record's entries, as far as they are wanted and still to come."""
        try:
            payload = self._world.vault.open(record.shopper, record.payload)
            events = read_events(payload) if record.kind == "events" else []
        except Forgotten:
            return
        except (StoreError, msgspec.DecodeError):
            events = []
        at = self._at = min(record.received, self._at)
        if record.kind == "merge" and self._wants("identity", record, 0):
            yield (at, 0, record.sequence, 0), Entry(record.received, "identity", "Merged")
        for index, event in reversed(list(enumerate(events))):
            kind = kind_of(event)
            if self._wants(kind, record, index):
                yield (at, 0, record.sequence, index), self._event(event, kind)

    def _wants(self, kind: Kind, record: Record, index: int) -> bool:
        before = (record.sequence, index) < (self._start.sequence, self._start.index)
        return before and self._kind in {None, kind}

    def _event(self, event: Event, kind: Kind) -> Entry:
        late = event.received if event.received - event.time > _OUT_OF_ORDER else 0
        fields = tuple(self._fields(event))
        return Entry(event.time, kind, event.name, fields, late, gist=gist(fields))

    def _fields(self, event: Event) -> Iterator[Field]:
        vocabulary, settings = self._engine.live.playbook.vocabulary, self._engine.live.playbook.settings
        declared = vocabulary.events.get(event.name)
        kinds: Mapping[str, str] = declared.fields if declared is not None else {}
        currency = str(event.properties.get("currency") or settings.currency)
        for name, value in list(event.properties.items())[:FIELDS]:
            yield name, written(value, kinds.get(name, ""), currency)
        yield from ((f"traits.{name}", written(value, "", currency)) for name, value in event.traits.items())
        yield from ((f"consent.{name}", word) for name, word in event.choices.items())
        where = msgspec.structs.asdict(event.where)
        yield from ((name, written(value, "", currency)) for name, value in where.items() if value is not None)
        yield "allowed", ", ".join(name for name, purpose in consent.BY_NAME.items() if purpose & event.mask)
        yield "source", f"{event.source}{' (secret key)' if event.trusted else ''}"
        flags = [flag.name.lower() for flag in Flag if flag & event.flags and flag.name]
        if flags:
            yield "flags", ", ".join(flags)

    # --- what else there is ---

    def _read_decisions(self) -> None:
        kept = self._world.store.decisions_of(self._key, self._start.at, PAGE + 1)
        for each in kept:
            if each.time >= self._floor:
                self._found.append(((each.time, 1, 0, 0), self._decision(each)))

    def _decision(self, kept: KeptDecision) -> Entry:
        try:
            made = records.decode(self._world.vault.open(kept.shopper, kept.payload))
        except (Forgotten, StoreError, msgspec.DecodeError):
            return Entry(kept.time, "decision", "", (), 0, kept.id.hex())
        answers = made.decision.placements.items()
        told = tuple((name, f"{each.experience or '-'} ({each.reason})") for name, each in answers)
        won = ", ".join(each.experience for _, each in answers if each.experience and each.content is not None)
        return Entry(kept.time, "decision", "", told, 0, kept.id.hex(), won[:GIST])

    def _read_segments(self) -> None:
        for name, since in self._world.store.entered(self._key).items():
            if self._floor <= since < self._start.at:
                self._found.append(((since, 1, 0, 0), Entry(since, "segment", name)))


def kind_of(event: Event) -> Kind:
    """Which of the timeline's filters an event belongs to."""
    if event.choices:
        return "consent"
    if event.name in _NAMED:
        return _NAMED[event.name]
    head = event.name.partition(" ")[0]
    return "order" if head == "Order" else "offer" if head == "Offer" else "event"


def gist(fields: Sequence[Field]) -> str:
    """The few fields that say most of an event, whichever it is."""
    known = dict(fields)
    names = ((known.get(name) or known.get(other, "")) for name, other in _TELLING)
    choices = (f"{name.removeprefix('consent.')} {word}" for name, word in fields if name.startswith("consent."))
    return ", ".join(text for text in (*names, *choices) if text)[:GIST]


def written(value: object, kind: str, currency: str) -> str:
    """A field's value as people read it: amounts in major units, products as pieces and prices, outcomes by name."""
    if isinstance(value, list):
        return ", ".join(_line(each, currency) if isinstance(each, Line) else str(each) for each in value)[:TEXT]
    if isinstance(value, bool):
        return str(value).lower()
    if kind == "money" and isinstance(value, int):
        return f"{major(value, currency)} {currency}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)[:TEXT]


def _line(line: Line, currency: str) -> str:
    price = f" ({major(line.price, currency)} {currency})" if line.price is not None else ""
    return f"{line.quantity} × {line.name or line.product_id}{price}"
