"""Features: declared aggregates over a shopper's events, compiled once and folded event by event.

State lives in ``profile.features`` under a hash of the definition, so a changed feature has a state of its own and two
names for one definition share it. What comes from events is folded as they arrive; what comes from orders is rebuilt
from the profile's order book whenever that changes, under the same hash with an ``o`` behind it: each order once, net,
and only as the shop's backend reported it. Reading merges both.
"""

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from cashwrap import sessions
from cashwrap.aggregates import (
    DAY,
    DECAYED_SCALE,
    KEYS,
    LATE,
    MINUTE,
    TILE_KEYS,
    Aggregate,
    Average,
    Count,
    Decayed,
    Edge,
    Extreme,
    Keyed,
    Rate,
    State,
    Sum,
    Tiles,
    earliest,
)
from cashwrap.condition.environment import Type
from cashwrap.declarations import Condition, FeatureDecl, Kind
from cashwrap.errors import PlaybookError
from cashwrap.extract import (
    ORDER_EVENTS,
    Extract,
    Facts,
    Test,
    event_extractor,
    extractor,
    kind_of,
    local,
    order_facts,
)
from cashwrap.model import Event, Millis, Profile, Purpose, Value
from cashwrap.readings import ADDITIVE, Reader, reader, types

SESSION_TILE = 5 * MINUTE
"""Grain of session-scoped state: finer than the gap between two sessions, so a tile never spans two."""
LONGEST_SESSION = DAY
"""A session-scoped feature sees at most the last 24 hours of a session."""
LONGEST_WINDOW = 730 * DAY
SHORTEST = MINUTE

_ORDER = "o"
_SPLIT = ADDITIVE | {"distinct"}
_OVER_FIELD = frozenset({"sum", "average", "min", "max", "distinct", "top"})


class _Listener(NamedTuple):
    """How one definition takes one event."""

    purpose: int
    state_key: str
    update: Callable[[State, Any, Millis, str], State]
    init: Callable[[], State]
    extract: Extract


class _Feature(NamedTuple):
    """One declared feature, compiled."""

    decl: FeatureDecl
    purpose: int
    key: str
    order_key: str
    aggregate: Aggregate
    kind: Kind
    """Of what is measured: says how its integers read."""
    read: Reader
    nothing: dict[str, Value]
    """What it says of a shopper without a history."""


def problems(decl: FeatureDecl) -> list[str]:
    """What keeps a definition from meaning something, each as one sentence; empty where all is well."""
    measure, found = decl.measure, []
    if not decl.events:
        found.append(f"{measure} needs an event")
    if "Order Updated" in (*decl.events, *decl.per):
        found.append("an update is part of its order: name Order Completed instead")
    if measure in _OVER_FIELD and decl.of is None:
        found.append(f"{measure} needs 'of', the field it is over")
    if measure in ("count", "rate") and decl.of is not None:
        found.append(f"{measure} counts events and takes no 'of'")
    if (measure == "rate") is not bool(decl.per):
        found.append("'per' names the events that divide a rate: a rate needs it, nothing else takes it")
    if (measure == "decayed") is not (decl.half_life is not None):
        found.append("'half_life' says how fast a decayed feature forgets: it needs one, nothing else takes it")
    if decl.by is not None and measure not in _SPLIT:
        found.append(f"{measure} cannot be split; 'by' goes with {', '.join(sorted(_SPLIT))}")
    if decl.window is not None and decl.session:
        found.append("a feature has a window or a session, not both")
    for name, span in (("window", decl.window), ("half_life", decl.half_life)):
        if span is not None and not SHORTEST <= span <= LONGEST_WINDOW:
            found.append(f"'{name}' must be between a minute and two years")
    return found


def compile_features(
    features: Mapping[str, FeatureDecl],
    *,
    currency: str,
    compile_where: Callable[[Condition], Test],
    kinds: Mapping[str, Kind] | None = None,
) -> "FeatureSet":
    """Compile what a playbook declares.

    ``kinds`` tells of what kind the shop's own fields are. Raises PlaybookError with every definition that cannot
    mean anything, and whatever ``compile_where`` raises for a condition.
    """
    faults = tuple(
        f"{decl.spot.file}:{decl.spot.line}:{decl.spot.column} invalid_feature {name}: {problem}"
        for name, decl in features.items()
        for problem in problems(decl)
    )
    if faults:
        raise PlaybookError(faults[0], faults=faults)
    return FeatureSet(features, currency, compile_where, kinds or {})


class FeatureSet:
    """The features of a playbook. Pure but for the drafts handed to it; safe to share between threads."""

    def __init__(
        self,
        features: Mapping[str, FeatureDecl],
        currency: str,
        compile_where: Callable[[Condition], Test],
        kinds: Mapping[str, Kind],
    ) -> None:
        self.currency = currency
        self._kinds = kinds
        self._features = {name: _compile(name, decl, currency, kinds) for name, decl in features.items()}
        self._listeners: dict[str, tuple[_Listener, ...]] = {}
        self._order_listeners: dict[str, tuple[_Listener, ...]] = {}
        self._aggregates = {feature.key: feature.aggregate for feature in self._features.values()}
        self._asked: tuple[tuple[_Feature, str], ...] = ()
        self._shown = tuple(self._features.values())
        for feature in {feature.key: feature for feature in self._features.values()}.values():
            where = compile_where(feature.decl.where) if feature.decl.where is not None else None
            self._listen(feature, where)

    def _listen(self, feature: _Feature, where: Test | None) -> None:
        decl = feature.decl
        if decl.measure == "rate":
            roles = [
                (decl.events, event_extractor(where, counted=True)),
                (decl.per, event_extractor(None, counted=False)),
            ]
        else:
            roles = [(decl.events, extractor(decl, where, self._kinds))]
        for events, extract in roles:
            for event in dict.fromkeys(events):
                of_orders = event in ORDER_EVENTS
                table = self._order_listeners if of_orders else self._listeners
                key = feature.order_key if of_orders else feature.key
                aggregate = feature.aggregate
                listener = _Listener(feature.purpose, key, aggregate.update, aggregate.init, extract)
                table[event] = (*table.get(event, ()), listener)

    def asking(self, attributes: Iterable[str]) -> "FeatureSet":
        """The same features, which answer these names too where a shopper has no such key.

        ``category_views["boots"]`` is 0 for a shopper who never saw boots. Other names are ignored.
        """
        asked = []
        for name in attributes:
            feature = self._features.get(name.partition("[")[0])
            if feature is not None and feature.decl.by is not None and name.endswith("]"):
                asked.append((feature, name))
        return self._with(_asked=tuple(asked))

    def hiding(self, keys: Container[str]) -> "FeatureSet":
        """The same features, of which these, by the keys of their state, are folded and not told: they are unknown."""
        shown = tuple(feature for feature in self._features.values() if feature.key not in keys)
        asked = tuple((feature, name) for feature, name in self._asked if feature.key not in keys)
        return self._with(_shown=shown, _asked=asked)

    def joined(self, other: "FeatureSet") -> "FeatureSet":
        """These features, and ``other``'s that are defined otherwise: folds the state of both playbooks at once."""
        if other.currency != self.currency:
            return self
        new = other.keys() - self.keys()
        features = {feature.key: feature for feature in (*self._features.values(), *other._features.values())}
        return self._with(
            _features=self._features | {key: features[key] for key in sorted(new)},
            _aggregates={key: feature.aggregate for key, feature in features.items()},
            _listeners=_added(self._listeners, other._listeners, new),
            _order_listeners=_added(self._order_listeners, other._order_listeners, new),
        )

    def keys(self) -> frozenset[str]:
        """The keys of these features' state in a profile: a hash of each definition."""
        return frozenset(self._aggregates)

    def of_orders(self) -> frozenset[str]:
        """The keys of features that orders alone feed: a profile's order book has all they need."""
        told = {listener.state_key for listeners in self._listeners.values() for listener in listeners}
        return self.keys() - told

    def spans(self) -> dict[str, tuple[str, Millis | None]]:
        """Each feature's key and how far it looks back; ``None`` for ever."""
        return {
            name: (feature.key, LONGEST_SESSION if feature.decl.session else feature.decl.window)
            for name, feature in self._features.items()
        }

    def adopt(self, profile: Profile) -> None:
        """Drop, from the draft, state that no feature here claims, and compute what comes from its orders."""
        states = profile.features
        for key in [key for key in states if key.removesuffix(_ORDER) not in self._aggregates]:
            del states[key]
        self.rebuild_orders(profile)

    def _with(self, **changed: object) -> "FeatureSet":
        other = object.__new__(FeatureSet)
        other.__dict__.update(self.__dict__, **changed)
        return other

    def types(self) -> dict[str, Type]:
        """What conditions may name, with types; ``name[*]`` stands for every key of a feature split by something."""
        found: dict[str, Type] = {}
        for name, feature in self._features.items():
            found |= types(name, feature.decl, feature.kind)
        return found

    # --- an event ---

    def update(self, profile: Profile, event: Event) -> None:
        """Take an event into the draft: into the features that listen to it and whose purpose it may serve."""
        listeners = self._listeners.get(event.name)
        if listeners is None or event.flags:
            return
        facts: Facts = event.properties
        if "currency" in facts:
            facts = local(facts, self.currency, self._kinds)
        _take(profile.features, listeners, facts, int(event.mask), (event.time, event.id))

    def rebuild_orders(self, profile: Profile) -> None:
        """Compute what comes from orders anew from the draft's book. Call it whenever the book changes."""
        if not self._order_listeners:
            return
        states = profile.features
        for listeners in self._order_listeners.values():
            for listener in listeners:
                states.pop(listener.state_key, None)
        book = sorted(profile.orders.values(), key=lambda order: (order.time, order.id))
        for event, listeners in self._order_listeners.items():
            for order in book:
                told = order_facts(order, event, self.currency)
                if told is not None:
                    facts = local(told[0], self.currency, self._kinds)
                    _take(states, listeners, facts, order.mask, (told[1], order.id))

    def merge(self, into: Profile, other: Profile) -> None:
        """Add another profile's state to the draft's. Orders merge by their book: rebuild them afterwards."""
        mine = into.features
        for key, theirs in other.features.items():
            aggregate = self._aggregates.get(key)
            if aggregate is not None:
                mine[key] = aggregate.merge(mine[key] if key in mine else aggregate.init(), theirs)

    def reset(self, profile: Profile, purpose: Purpose) -> None:
        """Forget what was kept for this purpose: its features, its use of orders, and state no definition claims."""
        for order in profile.orders.values():
            order.mask &= ~int(purpose)
        kept = {feature.key for feature in self._features.values() if not feature.purpose & purpose}
        states = profile.features
        for key in [key for key in states if key not in kept]:
            del states[key]
        self.rebuild_orders(profile)

    # --- a reading ---

    def values(self, profile: Profile, now: Millis, mask: int) -> dict[str, Value]:
        """Every feature whose purpose ``mask`` allows, by path. What is missing is unknown."""
        mask = int(mask)
        session = sessions.current(profile, now)
        start = session.start if session is not None else None
        states = profile.features
        found: dict[str, Value] = {}
        for feature in self._shown:
            if feature.purpose & mask:
                state = _state(feature, states)
                if state is None:
                    found |= feature.nothing
                else:
                    feature.read(found, _value(feature, state, now, start))
        for feature, name in self._asked:
            if feature.purpose & mask:
                found.setdefault(name, 0)
        return found

    def next_change(self, profile: Profile, now: Millis, names: Container[str] | None = None) -> Millis | None:
        """The earliest time after ``now`` at which a value may differ without an event; None for never.

        ``names`` restricts it to the features somebody watches.
        """
        session = sessions.current(profile, now)
        states = profile.features
        moments: list[Millis | None] = []
        for name, feature in self._features.items():
            state = _state(feature, states)
            if state is None or (names is not None and name not in names):
                continue
            if feature.decl.session:
                if session is None:
                    continue
                moments.append(session.end + sessions.GAP)
            moments.append(feature.aggregate.next_change(state, now))
        return earliest(moments)


def _added(
    mine: Mapping[str, tuple[_Listener, ...]], theirs: Mapping[str, tuple[_Listener, ...]], new: Container[str]
) -> dict[str, tuple[_Listener, ...]]:
    """Who listens to which event, with those of ``theirs`` whose state is new."""
    added = {
        event: tuple(each for each in listeners if each.state_key.removesuffix(_ORDER) in new)
        for event, listeners in theirs.items()
    }
    return {event: (*mine.get(event, ()), *added.get(event, ())) for event in {**mine, **added}}


def _take(
    states: dict[str, State], listeners: Iterable[_Listener], facts: Facts, mask: int, stamp: tuple[Millis, str]
) -> None:
    time, name = stamp
    for purpose, key, update, init, extract in listeners:
        if purpose & mask:
            for value in extract(facts):
                states[key] = update(states[key] if key in states else init(), value, time, name)


def _compile(name: str, decl: FeatureDecl, currency: str, kinds: Mapping[str, Kind]) -> _Feature:
    counts = decl.of is None or decl.measure in ("distinct", "top")
    kind: Kind = "integer" if counts else kind_of(decl.of or "", decl.measure, kinds)
    key = _hash(decl, kind, currency)
    bounded = decl.window is not None or decl.session
    limit = TILE_KEYS if bounded else KEYS
    seed = int(key[:8], 16)
    aggregate = _measure(decl, kind)
    if decl.measure in ("distinct", "top"):
        aggregate = Keyed(aggregate, seed, limit)
    if decl.by is not None:
        aggregate = Keyed(aggregate, seed, limit)
    if decl.session:
        aggregate = Tiles(aggregate, LONGEST_SESSION, size=SESSION_TILE, late=0)
    elif decl.window is not None:
        aggregate = Tiles(aggregate, decl.window, late=LATE)
    read = reader(name, decl, kind)
    nothing: dict[str, Value] = {}
    read(nothing, aggregate.value(aggregate.init(), 0))
    return _Feature(decl, int(decl.purpose), key, key + _ORDER, aggregate, kind, read, nothing)


def _measure(decl: FeatureDecl, kind: Kind) -> Aggregate:
    match decl.measure:
        case "count" | "distinct" | "top":
            return Count()
        case "sum":
            return Sum()
        case "average":
            return Average()
        case "min":
            return Extreme(min)
        case "max":
            return Extreme(max)
        case "first" | "last":
            return Edge(last=decl.measure == "last")
        case "rate":
            return Rate()
        case _:
            return Decayed(decl.half_life or DAY, 1 if kind in ("money", "number") else DECAYED_SCALE)


def _hash(decl: FeatureDecl, kind: Kind, currency: str) -> str:
    """Twelve hex digits over all that gives a state its meaning."""
    meaning = (
        *(decl.measure, decl.events, decl.of, decl.by, decl.per, decl.where.text if decl.where else None),
        *(decl.window, decl.session, decl.half_life, int(decl.purpose), kind, currency),
    )
    return hashlib.blake2b(msgspec.json.encode(meaning), digest_size=6).hexdigest()


def _state(feature: _Feature, states: Mapping[str, State]) -> State:
    """What events and orders left together; None for no history."""
    told = states.get(feature.key)
    ordered = states.get(feature.order_key)
    if ordered is None or told is None:
        return told if ordered is None else ordered
    return feature.aggregate.merge(told, ordered)


def _value(feature: _Feature, state: State, now: Millis, session: Millis | None) -> Any:
    aggregate = feature.aggregate
    if feature.decl.session and isinstance(aggregate, Tiles):
        start = now + SESSION_TILE if session is None else max(session, now - LONGEST_SESSION)
        return aggregate.since(state, start, now)
    return aggregate.value(state, now)
