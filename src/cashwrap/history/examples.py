"""What was known of shoppers at moments of the past: examples for predictions, by folding the log once more.

Each shopper is folded in the order of arrival, as the server did, and their attributes are read between two events: so
no feature knows anything that came later, and what comes out is what a decision at that moment had. What happened
afterwards gives the label and nothing else. Memory holds the shoppers of one share of the log at a time.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from cashwrap import consent, profiles
from cashwrap.declarations import PredictionDecl
from cashwrap.dedup import PROVEN
from cashwrap.errors import Forgotten
from cashwrap.features import FeatureSet
from cashwrap.folding import Folding, absorbed_by, from_snapshots
from cashwrap.model import Event, Millis, Profile, Purpose, Tenant, Value
from cashwrap.playbook import Playbook
from cashwrap.ports import Changes, ShopperKey
from cashwrap.profiles import EXPOSED, OFFERING
from cashwrap.sessions import GAP
from cashwrap.world import World

RECORDS = 100_000
"""Records of the log that one share of the shoppers comes to: their profiles are in memory together."""
SHARES = 64
EACH = 200
"""Examples of one shopper that are kept, the newest: nobody is what a model is about."""
LATE: Millis = GAP
"""An event that arrives so long after it happened is no moment: nobody was there to be asked."""
AT_ONCE = 1000
IMPORTED = "import:"
"""How the source of an imported event begins: it counts as known when it happened."""
Told = Callable[[int, int], None]
"""Hears how much is done, and of how much."""
_SOMETIMES = 1024


class Known(NamedTuple):
    """What was known of a shopper at a moment."""

    analytic_id: bytes
    """The shopper's of today."""
    time: Millis
    values: Mapping[str, Value]
    """The attributes by path; without those of single keys (``views["mugs"]``) that nobody asked for."""
    seen: Millis
    """When the newest thing happened that the values know of; 0 for nothing."""


class Example(NamedTuple):
    """What was known at a moment, and what came of it."""

    known: Known
    label: bool
    explored: bool
    """The shopper was in the shop's holdout, and saw nothing personal."""


def examples(
    world: World,
    playbook: Playbook,
    decl: PredictionDecl,
    tenant: Tenant,
    *,
    now: Millis,
    told: Told = lambda _, __: None,
) -> Iterator[Example]:
    """The examples of a prediction, shopper by shopper, in no order of time.

    A moment is the first event of each name in ``decl.at`` in each visit: just after it was taken in. The label says
    whether one of ``decl.events`` happened ``within`` a time afterwards, as far as the log knows today; moments for
    which that time is not over at ``now`` are left out. So are events that did not allow the prediction's purpose, and
    everything that its shopper did before withdrawing it. A merged shopper is one: what a device was about to do, the
    person may have done.
    """

    def begin(share: _Share) -> _Asking:
        return _Asking(world, playbook.features, share, decl, now)

    for asking in _replayed(world, tenant, begin, told):
        yield from asking.found()


def attributes_at(
    world: World,
    playbook: Playbook,
    tenant: Tenant,
    wanted: Mapping[bytes, Sequence[Millis]],
    *,
    purpose: Purpose = Purpose.PERSONALIZATION,
    names: Collection[str] = (),
) -> Iterator[Known]:
    """What was known just before given moments, such as exposures, by analytic id: ``names``, or all there is.

    Where a shopper was two then, the one that the moment's own event was about. Moments from before a withdrawal of the
    purpose, and shoppers who are gone, are left out; of whom nothing was known the values are empty.
    """
    owners = dict(_owners(world, tenant, wanted))

    def begin(share: _Share) -> _Looking:
        return _Looking(world, playbook.features, share, owners, _Lens(int(purpose), frozenset(names)))

    for looking in _replayed(world, tenant, begin, lambda _, __: None):
        yield from looking.found()


# --- share by share ---


class _Share:
    """The shoppers of one share, by who they are now."""

    def __init__(self, tenant: Tenant, into: Mapping[ShopperKey, ShopperKey], number: int, shares: int) -> None:
        self._tenant = tenant
        self._into = into
        self._number = number
        self._shares = shares

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, ShopperKey) or key.tenant != self._tenant:
            return False
        return self.owner(key).shopper[0] % self._shares == self._number

    def owner(self, key: ShopperKey) -> ShopperKey:
        """Who the shopper is now."""
        while key in self._into:
            key = self._into[key]
        return key


class _Replay(Folding):
    """Folds the shoppers of one share, each from a snapshot on where there is one."""

    def __init__(self, world: World, features: FeatureSet, share: _Share) -> None:
        super().__init__(world.vault, features, from_snapshots(world.store, world.vault, features), share)
        self._world = world
        self._share = share

    def fold(self, key: ShopperKey, event: Event) -> None:
        """Take one event. The ids of recent ones are for a writer, who may get them twice: the log has each once."""
        profiles.fold(self._past(key, event.received).profile, event, self._features)


_Fold = TypeVar("_Fold", bound=_Replay)


def _replayed(world: World, tenant: Tenant, begin: Callable[[_Share], _Fold], told: Told) -> Iterator[_Fold]:
    """The log as of now, folded for one share of the shoppers after the other."""
    newest = world.store.commit(Changes())
    into: dict[ShopperKey, ShopperKey] = {}
    records = 0
    for record in world.store.log():
        if record.sequence > newest:
            break
        records += 1
        if record.tenant == tenant and (other := absorbed_by(world.vault, record)) is not None:
            into[other] = ShopperKey(tenant, record.shopper)
    shares = min(SHARES, 1 + records // RECORDS)
    for number in range(shares):
        folding = begin(_Share(tenant, into, number, shares))
        for done, record in enumerate(world.store.log(), number * records):
            if record.sequence > newest:
                break
            folding.take(record)
            if done % _SOMETIMES == 0:
                told(done, shares * records)
        yield folding
    told(shares * records, shares * records)


def _known_at(event: Event) -> Millis:
    """When the server knew of an event; an imported one is taken as if it had come when it happened."""
    return event.time if event.source.startswith(IMPORTED) else max(event.time, event.received)


def _counts(event: Event, purpose: int) -> bool:
    """Whether an event is something that its shopper did and that may be learned from."""
    return not event.flags and bool(event.mask & purpose)


def _told(profile: Profile, features: FeatureSet, time: Millis, mask: int, names: Collection[str]) -> dict[str, Value]:
    """The attributes of a profile that may be columns."""
    values = profiles.attributes(profile, features, time, mask)
    return {name: value for name, value in values.items() if name in names or (not names and "[" not in name)}


# --- the moments of a prediction ---


class _Row:
    """A moment whose label may still come."""

    __slots__ = ("happened", "label", "seen", "time", "values")

    def __init__(self, happened: Millis, time: Millis, values: Mapping[str, Value], seen: Millis) -> None:
        self.happened = happened
        self.time = time
        self.values = values
        self.seen = seen
        self.label = False


class _Gathered:
    """What was gathered of one shopper so far."""

    __slots__ = ("asked", "held", "newest", "rows")

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.newest: Millis = 0
        """When the shopper was last active."""
        self.asked: set[str] = set()
        """The events of this visit that were a moment."""
        self.held = False


class _Asking(_Replay):
    """Folds, and gathers the moments that a prediction asks about."""

    def __init__(self, world: World, features: FeatureSet, share: _Share, decl: PredictionDecl, now: Millis) -> None:
        super().__init__(world, features, share)
        self._decl = decl
        self._purpose = int(decl.purpose)
        self._names = frozenset(decl.features)
        self._now = now
        self._gathered: dict[ShopperKey, _Gathered] = defaultdict(_Gathered)

    def fold(self, key: ShopperKey, event: Event) -> None:
        """Take one event: first it is what follows the moments so far, then it may be one itself."""
        mine, decl = self._gathered[key], self._decl
        if event.name in decl.events and _counts(event, self._purpose):
            for row in mine.rows:
                if row.happened <= event.time <= row.time + decl.within:
                    row.label = True
        super().fold(key, event)
        if _withdraws(event, self._purpose):
            mine.rows.clear()
        if event.name == EXPOSED and event.source == PROVEN and event.properties.get("held") == "shop":
            mine.held = True
        if event.source != OFFERING and not event.flags and self._begins(mine, event):
            self._ask(key, mine, event)

    def _begins(self, mine: _Gathered, event: Event) -> bool:
        """Whether an event of the shopper's own is the first of its name in a visit, and no old one."""
        newest, mine.newest = mine.newest, max(mine.newest, event.time)
        if event.time >= newest + GAP:
            mine.asked.clear()
        if event.time < newest - GAP or event.name not in self._decl.at or event.name in mine.asked:
            return False
        if not _counts(event, self._purpose) or _known_at(event) - event.time > LATE:
            return False
        mine.asked.add(event.name)
        return True

    def _ask(self, key: ShopperKey, mine: _Gathered, event: Event) -> None:
        profile = self.profile(key)
        if profile is None:
            return
        time = max(_known_at(event), profile.updated)  # of a file in no order it already knows what is later
        if time + self._decl.within > self._now:
            return
        values = _told(profile, self._features, time, event.mask, self._names)
        mine.rows.append(_Row(event.time, time, values, profile.updated))
        del mine.rows[:-EACH]

    def merge(self, key: ShopperKey, absorbed: ShopperKey, received: Millis) -> None:
        """Two become one: what either of them does from here on follows the moments of both."""
        super().merge(key, absorbed, received)
        mine, other = self._gathered[key], self._gathered.pop(absorbed, None)
        if other is not None:
            mine.rows = sorted([*mine.rows, *other.rows], key=lambda row: row.time)[-EACH:]
            mine.newest = max(mine.newest, other.newest)
            mine.asked |= other.asked
            mine.held |= other.held

    def found(self) -> Iterator[Example]:
        """The examples of everybody who is there now and has not withdrawn."""
        rows = {key: each for key, each in self._gathered.items() if each.rows}
        for key, analytic_id in _allowing(self._world, rows, self._purpose):
            for row in rows[key].rows:
                known = Known(analytic_id, row.time, row.values, row.seen)
                yield Example(known, row.label is not self._decl.without, rows[key].held)


# --- given moments ---


class _Lens(NamedTuple):
    """What moments are looked at through: the purpose, and which attributes; none for all."""

    purpose: int
    names: frozenset[str]


_Read = dict[Millis, tuple[Mapping[str, Value], Millis]]
"""By moment: the values, and the newest thing that they know of."""


class _Looking(_Replay):
    """Folds, and reads what is known just before each wanted moment."""

    def __init__(
        self,
        world: World,
        features: FeatureSet,
        share: _Share,
        wanted: Mapping[ShopperKey, Sequence[Millis]],
        lens: _Lens,
    ) -> None:
        super().__init__(world, features, share)
        self._wanted = {key: frozenset(times) for key, times in wanted.items() if key in share}
        self._purpose, self._names = lens
        self._masks: dict[ShopperKey, int] = {}
        self._left: dict[ShopperKey, list[Millis]] = {}
        """What is still to be read of each shopper as they were then, the earliest last."""
        self._read: dict[ShopperKey, _Read] = defaultdict(dict)
        self._about: dict[tuple[ShopperKey, Millis], ShopperKey] = {}
        """Who each moment's own event was about, by who that is today."""

    def fold(self, key: ShopperKey, event: Event) -> None:
        """Take one event, once everything is read that is wanted from before it."""
        owner = self._share.owner(key)
        if owner not in self._wanted:
            super().fold(key, event)
            return
        self._look(key, _known_at(event))
        if event.time in self._wanted[owner]:
            self._about[owner, event.time] = key
        super().fold(key, event)
        if not event.flags:
            self._masks[key] = event.mask
        if _withdraws(event, self._purpose):
            self._read[key].clear()

    def merge(self, key: ShopperKey, absorbed: ShopperKey, received: Millis) -> None:
        """Two become one: of each moment counts whom it was about, else who was known better."""
        owner = self._share.owner(key)
        if owner in self._wanted:
            self._look(key, received)
            self._look(absorbed, received)
            self._join(owner, key, absorbed)
            self._masks.pop(absorbed, None)
        super().merge(key, absorbed, received)

    def _join(self, owner: ShopperKey, key: ShopperKey, absorbed: ShopperKey) -> None:
        """Put together what was read of two; what one of them withdrew stays away."""
        mine, other = self._read[key], self._read.pop(absorbed, {})
        for time in {*mine, *other}:
            about = self._about.get((owner, time))
            if about == absorbed:
                self._about[owner, time] = key
                mine.pop(time, None)
            if time in other and (about == absorbed or (about != key and other[time][1] > mine.get(time, _NOTHING)[1])):
                mine[time] = other[time]

    def _look(self, key: ShopperKey, until: Millis) -> None:
        """Read what is wanted up to a moment."""
        left = self._left.get(key)
        if left is None:
            left = self._left[key] = sorted(self._wanted[self._share.owner(key)], reverse=True)
        while left and left[-1] <= until:
            time, profile = left.pop(), self.profile(key)
            self._read[key][time] = _NOTHING if profile is None else self._known(key, profile, time)

    def _known(self, key: ShopperKey, profile: Profile, time: Millis) -> tuple[Mapping[str, Value], Millis]:
        """What may be known by the newest event's consent, or of a snapshot by the choices in it."""
        mask = self._masks.get(key)
        lens = int(consent.mask_of(profile.consent)) if mask is None else mask
        return _told(profile, self._features, time, lens, self._names), profile.updated

    def found(self) -> Iterator[Known]:
        """What was known of everybody who is there now and has not withdrawn."""
        for key, analytic_id in _allowing(self._world, self._wanted, self._purpose):
            self._look(key, _FOR_EVER)
            for time, (values, seen) in sorted(self._read[key].items()):
                yield Known(analytic_id, time, values, seen)


_NOTHING: tuple[Mapping[str, Value], Millis] = ({}, 0)
_FOR_EVER: Millis = 1 << 62


# --- who they are ---


def _withdraws(event: Event, purpose: int) -> bool:
    """Whether the shopper takes back the purpose with this event."""
    return bool(event.choices) and any(
        word == consent.DENIED and consent.BY_NAME[name] & purpose
        for name, word in event.choices.items()
        if name in consent.BY_NAME
    )


def _allowing(world: World, keys: Iterable[ShopperKey], purpose: int) -> Iterator[tuple[ShopperKey, bytes]]:
    """Those who are there now and do not refuse the purpose, with their analytic ids."""
    for key, profile in _profiles(world, sorted(keys)):
        if not consent.denied(profile.consent) & purpose:
            yield key, profile.analytic_id


def _owners(
    world: World, tenant: Tenant, wanted: Mapping[bytes, Sequence[Millis]]
) -> Iterator[tuple[ShopperKey, Sequence[Millis]]]:
    """Whose moments are wanted."""
    after: ShopperKey | None = None
    while page := world.store.shoppers(after, AT_ONCE):
        after = page[-1]
        for key, profile in _profiles(world, [each for each in page if each.tenant == tenant]):
            if profile.analytic_id in wanted:
                yield key, wanted[profile.analytic_id]


def _profiles(world: World, keys: Iterable[ShopperKey]) -> Iterator[tuple[ShopperKey, Profile]]:
    """The profiles of today, as far as they are there."""
    waiting = iter(keys)
    while page := list(islice(waiting, AT_ONCE)):
        for key, row in world.store.load(page).items():
            try:
                yield key, profiles.decode(world.vault.open(key.shopper, row.state))
            except Forgotten:
                continue
