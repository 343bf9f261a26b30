"""The fact table kept up with the log: what is new is added, and what merges and withdrawals say of the old is heeded.

Beside a running server, cut off at any moment and begun again: each step is one change of the table, and says itself
how far in the log it reaches. What comes out is the same however many runs it took (docs/decisions/0035).
"""

import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from cashwrap import consent, profiles
from cashwrap.adapters import parquet
from cashwrap.adapters.parquet import Fact, Seen, Turn, day_of
from cashwrap.collector import paused
from cashwrap.declarations import MetricDecl
from cashwrap.engine import World
from cashwrap.errors import CashwrapError, Forgotten
from cashwrap.folding import absorbed_by, read_events
from cashwrap.history import selling
from cashwrap.history.columns import Making
from cashwrap.learned.forgetting import forget
from cashwrap.model import Event, Millis, Purpose, Tenant
from cashwrap.ports import Changes, Record, ShopperKey
from cashwrap.sessions import GAP
from cashwrap.versions import Versions

log = logging.getLogger(__name__)

_ANALYTICS: int = Purpose.ANALYTICS.value
EVENTS = 20_000
"""Events in one step, which others wait for who want a turn."""
AT_ONCE = 1000
_DAY: Millis = 86_400_000
_BYTES = 250
"""Of a sealed event, about."""
_KEPT = 64 * 1024 * 1024
"""Bytes of events that are kept from the first look at the log for the second."""
_DENIED = msgspec.msgpack.encode({"analytics": consent.DENIED})[1:]
"""Every payload with a withdrawal holds these bytes."""
_T = TypeVar("_T")


def write_facts(
    world: World,
    folder: Path,
    *,
    metrics: Mapping[str, MetricDecl] | None = None,
    again: bool = False,
    told: Callable[[int, int], None] = lambda _, __: None,
) -> int:
    """Add to the fact table what the log has beyond it: how many facts are new.

    Only events whose mask allows analytics, and that were not withdrawn since, are in it, under the analytic id of
    whoever the shopper is now. ``metrics`` are the shop's own, ``None`` for those of the live playbook: the fields they
    ask for are kept from here on. With ``again`` all is written anew from what the log still has. ``told`` hears now
    and then how many records are done, and of how many.

    Raises ``CashwrapError`` with code ``extra_missing`` without Parquet, and ``facts_mismatch`` where the folder holds
    facts of another log.
    """
    making = Making(world.vault.digest, _live_metrics(world) if metrics is None else metrics)
    _begin(world, folder, again=again)
    count = 0
    while True:
        run = _Run(world, folder, making)
        begun = run.position
        try:
            for new in run.steps():
                count += new
                told(run.position - begun, run.tail.newest - begun)
        except _Overtaken:
            continue
        return count


def _live_metrics(world: World) -> Mapping[str, MetricDecl]:
    """The metrics of the playbook that is live, as far as this cashwrap can read it."""
    versions = Versions(world.registry, world.clock)
    live = versions.live()
    try:
        return versions.load(live.hash).declarations.metrics if live is not None else {}
    except CashwrapError as error:
        log.warning("facts lack what the live playbook's metrics ask for: %s", error.message)
        return {}


class _Overtaken(Exception):
    """Somebody else has written facts meanwhile."""


def _begin(world: World, folder: Path, *, again: bool) -> None:
    """Tie the folder to this log, at its first facts; the log's records before that are for the taking."""
    mark = world.vault.digest("facts", "log").hex()
    horizon = world.store.horizon().sequence
    with parquet.turn(folder) as turn:
        if again:
            turn.clear()
        state = turn.state
        if not state.log and not (turn.files() and not again):
            turn.commit(log=mark)
            selling.begin_anew(world)
            return
        if state.log != mark or state.position > world.store.commit(Changes()):
            message = f"the facts in {folder} come from another log: write them again with 'cashwrap facts --again'"
            raise CashwrapError(message, code="facts_mismatch")
        if horizon > state.position > 0:
            log.warning("facts were not written in time: the log has removed records that never became any")


# --- one run ---


class _Run:
    """From where the table is to the end of the log, in steps."""

    def __init__(self, world: World, folder: Path, making: Making) -> None:
        self._world = world
        self._folder = folder
        self._making = making
        with parquet.turn(folder) as turn:
            self._state, self._graves = turn.state, turn.graves
        self.position = self._state.position
        self._settled = self._state.settled
        self.tail = Tail(world, self._state.position)

    def steps(self) -> Iterator[int]:
        """Take step by step; how many facts each added. Raises ``_Overtaken``: a new run goes on from there."""
        self._settle()
        for batch in _batches(self._world.store.log(self.position), self.tail.newest):
            with paused():
                added = self._take(batch)
            yield added
        with parquet.turn(self._folder) as turn:
            self._check(turn)
            turn.level(self._graves)  # all that was read while they were alive is written, or left out

    def _check(self, turn: Turn) -> None:
        """Whether the table is as this run left it, but for whom somebody forgot."""
        now, mine = turn.state, self._state
        if (now.log, now.position, now.settled) != (mine.log, mine.position, mine.settled):
            raise _Overtaken

    # --- what merges and withdrawals say of facts that are there ---

    def _settle(self) -> None:
        tail, settled = self.tail, self._settled
        people: dict[ShopperKey, _Person] = {}
        owners = concerned = tail.concerned(settled)
        while concerned:  # rows are of now, and the log says what they are to be told by: it has to be as new as they
            people |= _people(self._world, concerned)
            before = tail.newest
            tail.extend(self._world)
            concerned = tail.concerned(before)
            owners = tail.concerned(settled)
        if owners:
            renamed, gone = _verdicts(tail, people, owners, settled)
            self._leave(people, gone)
            with parquet.turn(self._folder) as turn:
                self._check(turn)
                _reshape(turn, renamed, gone)
                turn.commit(settled=tail.newest)
                self._state = turn.state
        self._settled = tail.newest

    def _leave(self, people: Mapping[ShopperKey, "_Person"], gone: Collection[bytes]) -> None:
        """Take who withdrew out of models, too; before the facts go, so that whoever is cut off does it again."""
        leaving: dict[Tenant, set[bytes]] = defaultdict(set)
        for key, person in people.items():
            leaving[key.tenant] |= {person.analytic_id, *person.former} & set(gone)
        for tenant, analytic_ids in leaving.items():
            if analytic_ids:
                forget(self._world, tenant, analytic_ids)

    # --- new facts ---

    def _take(self, batch: list[Record]) -> int:
        found, people = self._owned(batch)
        facts = []
        for owner, event in found:
            person = people.get(owner)
            if person is not None and not person.denies:
                fact = self._making.fact(owner.tenant, event, analytic_id=person.analytic_id)
                if fact is not None:
                    facts.append(fact)
        with parquet.turn(self._folder) as turn:
            self._check(turn)
            added = turn.add(facts, _sessions_of(turn, facts))
            turn.commit(position=batch[-1].sequence, settled=self._settled)
            self._state = turn.state
        self.position = batch[-1].sequence
        selling.count(self._world, facts)
        return added

    def _owned(self, batch: list[Record]) -> tuple[list[tuple[ShopperKey, Event]], dict[ShopperKey, "_Person"]]:
        """The events of a step with whose they are now, and who that is; nobody has the row of who was forgotten."""
        missing: set[ShopperKey] = set()
        while True:
            found = list(self._allowed(batch))
            owners = {owner for owner, _ in found}
            people = _people(self._world, owners)
            if owners - people.keys() == missing:
                return found, people
            missing = owners - people.keys()  # who became somebody else since the log was read, or was forgotten
            self.tail.extend(self._world)
            self._settle()

    def _allowed(self, batch: Iterable[Record]) -> Iterator[tuple[ShopperKey, Event]]:
        """The events that analysis may see, and whose they are now."""
        for record in batch:
            if record.kind != "events" or not record.mask & _ANALYTICS:
                continue
            payload = self.tail.opened(self._world, record)
            if payload is None:
                continue
            key = ShopperKey(record.tenant, record.shopper)
            for index, event in enumerate(read_events(payload)):
                place = Place(record.sequence, index)
                if event.mask & _ANALYTICS and not self.tail.withdrawn(key, place):
                    yield self.tail.owner(key), event


def _batches(records: Iterable[Record], newest: int) -> Iterator[list[Record]]:
    """Records up to the newest, a step's worth at a time; a record holds the events of one request."""
    batch: list[Record] = []
    size = 0
    for record in records:
        if record.sequence > newest:
            break
        batch.append(record)
        size += 1 + len(record.payload) // _BYTES
        if size >= EVENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


# --- what the log says beyond single events ---


class Place(NamedTuple):
    """Where an event stands in the log."""

    sequence: int
    within: int


_NEVER = Place(0, 0)


class Tail:
    """Who became whom, and who withdrew analytics, in the log from a place on."""

    def __init__(self, world: World, after: int) -> None:
        self.newest = after
        self._into: dict[ShopperKey, tuple[ShopperKey, Place]] = {}
        self._denied: dict[ShopperKey, Place] = {}
        self._payloads: dict[int, bytes] = {}
        self._room = _KEPT
        self.extend(world)

    def extend(self, world: World) -> None:
        """Take in what has come since."""
        newest = world.store.commit(Changes())
        for record in world.store.log(self.newest):
            if record.sequence > newest:
                break
            self._read(world, record)
        self.newest = newest

    def _read(self, world: World, record: Record) -> None:
        key = ShopperKey(record.tenant, record.shopper)
        if (other := absorbed_by(world.vault, record)) is not None:
            self._into[other] = key, Place(record.sequence, 0)
        if record.kind != "events":
            return
        payload = self.opened(world, record)
        if payload is None:
            return
        if record.mask & _ANALYTICS and self._room > len(payload):
            self._payloads[record.sequence] = payload
            self._room -= len(payload)
        if _DENIED in payload:
            for index, event in enumerate(read_events(payload)):
                if event.choices.get("analytics") == consent.DENIED:
                    self._denied[key] = Place(record.sequence, index)

    def opened(self, world: World, record: Record) -> bytes | None:
        """A record's events, still encoded; ``None`` where the shopper was forgotten."""
        payload = self._payloads.pop(record.sequence, None)
        if payload is not None:
            return payload
        try:
            return world.vault.open(record.shopper, record.payload)
        except Forgotten:
            return None

    def owner(self, key: ShopperKey) -> ShopperKey:
        """Who the shopper is now."""
        while key in self._into:
            key, _ = self._into[key]
        return key

    def withdrawn(self, key: ShopperKey, place: Place) -> bool:
        """Whether what the shopper did there was withdrawn later, by them or by whom they had become by then."""
        while True:
            if self._denied.get(key, _NEVER) > place:
                return True
            if key not in self._into:
                return False
            key, merged = self._into[key]
            place = max(place, merged)

    def absorbed(self, settled: int) -> dict[ShopperKey, list[ShopperKey]]:
        """By who they are now, those who were somebody else when the table was settled."""
        found: dict[ShopperKey, list[ShopperKey]] = defaultdict(list)
        for key, (_, place) in self._into.items():
            if place.sequence > settled:
                found[self.owner(key)].append(key)
        return found

    def concerned(self, settled: int) -> set[ShopperKey]:
        """Whose earlier facts may be another's now, or withdrawn."""
        denied = {self.owner(key) for key, place in self._denied.items() if place.sequence > settled}
        return denied | self.absorbed(settled).keys()


# --- who they are ---


class _Person(NamedTuple):
    analytic_id: bytes
    former: list[bytes]
    denies: bool
    """They refuse analytics now."""


def _people(world: World, keys: Iterable[ShopperKey]) -> dict[ShopperKey, _Person]:
    """Those who are there, as their rows say."""
    found: dict[ShopperKey, _Person] = {}
    for page in _pages(sorted(keys), AT_ONCE):
        for key, row in world.store.load(page).items():
            try:
                profile = profiles.decode(world.vault.open(key.shopper, row.state))
            except Forgotten:
                continue
            denies = bool(consent.denied(profile.consent) & Purpose.ANALYTICS)
            found[key] = _Person(profile.analytic_id, profile.former_analytic_ids, denies)
    return found


def _verdicts(
    tail: Tail, people: Mapping[ShopperKey, _Person], owners: Iterable[ShopperKey], settled: int
) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Which analytic ids of the table are another one now, and which are to go.

    A row does not say which of its former ids was whose. Where several shoppers became one since the table was settled,
    and one of them had withdrawn before, the facts of all of them go.
    """
    renamed: dict[bytes, bytes] = {}
    gone: set[bytes] = set()
    absorbed, then = tail.absorbed(settled), Place(settled + 1, -1)
    for owner in owners:
        person = people.get(owner)
        if person is None:
            continue  # forgotten, and their facts with them
        if person.denies or tail.withdrawn(owner, then):
            gone.add(person.analytic_id)
        group = absorbed.get(owner, [])
        if person.denies or any(tail.withdrawn(key, then) for key in group):
            gone.update(person.former)
        elif group:
            renamed.update(dict.fromkeys(person.former, person.analytic_id))
    return renamed, gone


def _reshape(turn: Turn, renamed: Mapping[bytes, bytes], gone: Collection[bytes]) -> None:
    """Stage it: whole sessions of who was two, and nothing of who withdrew."""
    seen = turn.seen({*renamed, *renamed.values(), *gone})
    sessions = _Sessions()
    for each in seen:
        if each.analytic_id not in gone:
            sessions.see(renamed.get(each.analytic_id, each.analytic_id), each.time, None)

    def edit(analytic_id: bytes, time: Millis, start: Millis) -> tuple[bytes, Millis] | None:
        if analytic_id in gone:
            return None
        name = renamed.get(analytic_id, analytic_id)
        return name, sessions.start(name, time, start)

    _rewrite(turn, seen, edit)


def _rewrite(turn: Turn, seen: Iterable[Seen], edit: parquet.Edit) -> None:
    """Stage the files in which a fact changes."""
    changed = {
        each.path
        for each in seen
        if edit(each.analytic_id, each.time, each.session_start) != (each.analytic_id, each.session_start)
    }
    for path in sorted(changed):
        turn.rewrite(path, edit)


# --- sessions ---


class _Sessions:
    """When each session began: the first of a run of one shopper's facts without a gap of 30 minutes.

    Facts may be known in part, day by day: then one that is there already says itself where its session began.
    """

    def __init__(self) -> None:
        self._times: dict[bytes, list[tuple[Millis, Millis | None]]] = defaultdict(list)
        self._starts: dict[bytes, tuple[list[Millis], list[Millis]]] = {}

    def see(self, analytic_id: bytes, time: Millis, start: Millis | None) -> None:
        """Take a fact, with the session it is known to be in."""
        self._times[analytic_id].append((time, start))

    def start(self, analytic_id: bytes, time: Millis, otherwise: Millis) -> Millis:
        """The session of a fact that was taken; ``otherwise`` for facts of whom none was."""
        if analytic_id not in self._times:
            return otherwise
        known = self._starts.get(analytic_id)
        if known is None:
            known = self._starts[analytic_id] = _runs(self._times[analytic_id])
        begins, starts = known
        place = bisect_right(begins, time)
        return starts[place - 1] if place else otherwise


def _runs(times: list[tuple[Millis, Millis | None]]) -> tuple[list[Millis], list[Millis]]:
    """Where each run of these begins, and when its session did, which may be on a day before."""
    begins: list[Millis] = []
    starts: list[Millis] = []
    last = -GAP
    for time, start in sorted(times, key=lambda each: each[0]):
        if not begins or time - last >= GAP:
            begins.append(time)
            starts.append(time if start is None else start)
        last = time
    return begins, starts


def _sessions_of(turn: Turn, facts: list[Fact]) -> list[Millis]:
    """When the session of each new fact began; facts of the table whose session they change are staged."""
    ids = {fact.analytic_id for fact in facts}
    dated = {fact.time // _DAY * _DAY for fact in facts}
    days = {day for time in dated for day in _around(day_of(time))}
    while True:
        seen, sessions = turn.seen(ids, days), _Sessions()
        for fact in facts:
            sessions.see(fact.analytic_id, fact.time, None)
        for each in seen:
            sessions.see(each.analytic_id, each.time, each.session_start)
        reached = {
            day_of(each.time + GAP)
            for each in seen
            if sessions.start(each.analytic_id, each.time, each.session_start) != each.session_start
        }
        if reached <= days:
            break
        days |= reached  # a session that goes on over another midnight

    def edit(analytic_id: bytes, time: Millis, start: Millis) -> tuple[bytes, Millis]:
        return analytic_id, sessions.start(analytic_id, time, start)

    _rewrite(turn, seen, edit)
    return [sessions.start(fact.analytic_id, fact.time, fact.time) for fact in facts]


def _around(day: date) -> tuple[date, date, date]:
    return day - timedelta(days=1), day, day + timedelta(days=1)


def _pages(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    waiting = iter(items)
    while page := list(islice(waiting, size)):
        yield page
