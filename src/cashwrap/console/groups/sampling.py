"""What the members of a segment have in common, from a sample: counted, and told as ``groups`` says.

The sample is the same one for as long as the members are: whoever asks again learns nothing more. Shoppers' ids are
random, so those that follow a few places on the circle of ids are a fair sample. Nobody's name leaves this module.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from cashwrap import profiles
from cashwrap.console.groups.groups import STEP, Portion, Veil, portion
from cashwrap.errors import Forgotten
from cashwrap.memberships import standing_values
from cashwrap.model import Profile, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.world import World

MOST = 2_000
"""Members that are looked at."""
PLACES = 20
"""Places on the circle of ids where a sample begins."""
PATIENCE = 1.5
"""Seconds for looking at members: then those seen so far are the sample."""
AT_ONCE = 100
PROBES = 2_000_000
"""Memberships that may be asked for: of very many segments the overlap is from fewer members."""
ASKED = 400
"""Shoppers who are asked whether a condition is unknown."""
TOP = 8
"""Values and segments that are told of each kind: the most frequent."""
BANDS = ((0, 0), (1, 1), (2, 4), (5, None))
"""Numbers of orders that are told together."""


class Sample(NamedTuple):
    """Members that were drawn, by id, and whether they are all."""

    ids: list[bytes]
    whole: bool


class Part(NamedTuple):
    """A part of the members, by its name."""

    name: str
    portion: Portion


class Shape(Struct, frozen=True):
    """What members look like. ``seen`` is how many were looked at, as it may be told: 0 for too few to tell anything.

    ``orders`` are told by their place in ``BANDS``. ``compared`` is how many were asked for their other segments.
    """

    seen: int = 0
    whole: bool = True
    known: Portion = Portion(few=True)
    devices: tuple[Part, ...] = ()
    countries: tuple[Part, ...] = ()
    orders: tuple[Part, ...] = ()
    overlap: tuple[Part, ...] = ()
    compared: int = 0


class Unknown(Struct, frozen=True):
    """For what share of all shoppers nobody can say whether they are inside, from so many who were asked."""

    asked: int = 0
    portion: Portion = Portion(few=True)


class Looking:
    """Looks at the shoppers of one store, under a veil."""

    def __init__(self, world: World, tenant: Tenant, veil: Veil) -> None:
        self._world = world
        self._tenant = tenant
        self._veil = veil

    def shape(self, segment: str, question: str, size: int, segments: int) -> Shape:
        """What the members of a segment look like; ``size`` is how many there are, and ``segments`` how many segments.

        ``question`` names what the segment asks, for the veil.
        """
        sample = self.members(segment)
        if size < STEP or not self._veil.count(question, len(sample.ids)):
            return Shape()
        counted = _Counted()
        for profile in self._profiles(sample.ids):
            counted.add(profile)
        within = self._overlap(sample.ids[: max(STEP, PROBES // max(1, segments))], segment)
        whole = sample.whole and counted.seen == len(sample.ids)
        of = _Of(self._veil, question, counted.seen, counted.seen if whole else max(size, counted.seen))
        compared = len(within)
        others = Counter(name for names in within for name in names if name != segment)
        also = _seen(of, compared, whole=whole and compared == counted.seen, size=size)
        return Shape(
            seen=self._veil.count(question, counted.seen),
            whole=whole,
            known=of.told("known", counted.known),
            devices=of.most("device", counted.devices),
            countries=of.most("country", counted.countries),
            orders=tuple(Part(str(band), of.told(f"orders {band}", count)) for band, count in counted.orders.items()),
            overlap=also.most("segment", others),
            compared=self._veil.count(question, compared),
        )

    def members(self, segment: str) -> Sample:
        """At most ``MOST`` members: all, where there are no more."""
        store = self._world.store
        first = store.members(self._tenant, segment, limit=MOST + 1)
        if len(first) <= MOST:
            return Sample(first, whole=True)
        drawn: dict[bytes, None] = {}
        for start in self._starts(segment):
            drawn |= dict.fromkeys(store.members(self._tenant, segment, after=start, limit=MOST // PLACES))
        return Sample(list(drawn), whole=False)

    def unknown(self, playbook: Playbook, segment: str) -> Unknown:
        """How many of a sample of all shoppers a segment is unknown for."""
        own = replace(playbook, segments=playbook.segments.only([segment]))
        now, flat = self._world.clock.now(), f"segments.{segment}"
        asked = unknown = 0
        for profile in self._profiles(self._anybody(segment)):
            asked += 1
            unknown += standing_values(own, profile, now).get(flat) is None
        question = f"unknown {segment}"
        population = self._world.store.population(self._tenant)
        return Unknown(self._veil.count(question, asked), portion(self._veil, question, unknown, asked, population))

    def _anybody(self, segment: str) -> list[bytes]:
        store, drawn = self._world.store, dict[bytes, None]()
        for start in self._starts(f"anybody {segment}"):
            keys = store.shoppers(ShopperKey(self._tenant, start), ASKED // PLACES)
            drawn |= dict.fromkeys(key.shopper for key in keys if key.tenant == self._tenant)
        return list(drawn)

    def _starts(self, what: str) -> Iterator[bytes]:
        """The places where a sample begins: always the same ones."""
        for number in range(PLACES):
            yield self._world.vault.digest("console sample", self._tenant.name, what, str(number))

    def _profiles(self, ids: Sequence[bytes]) -> Iterator[Profile]:
        """As many as there is time for; those who were forgotten meanwhile are left out."""
        world = self._world
        until = world.clock.monotonic() + PATIENCE
        for start in range(0, len(ids), AT_ONCE):
            if world.clock.monotonic() > until:
                return
            keys = [ShopperKey(self._tenant, shopper) for shopper in ids[start : start + AT_ONCE]]
            for key, row in world.store.load(keys).items():
                try:
                    yield profiles.decode(world.vault.open(key.shopper, row.state))
                except Forgotten:
                    continue

    def _overlap(self, ids: Sequence[bytes], segment: str) -> list[frozenset[str]]:
        """The segments of as many as there is time for."""
        world, found = self._world, list[frozenset[str]]()
        until = world.clock.monotonic() + PATIENCE
        for start in range(0, len(ids), STEP):
            if world.clock.monotonic() > until:
                break
            keys = [ShopperKey(self._tenant, shopper) for shopper in ids[start : start + STEP]]
            inside = world.store.inside(keys)
            found += [names for key in keys if segment in (names := inside.get(key, frozenset()))]
        return found


class _Counted:
    """Sums over profiles."""

    def __init__(self) -> None:
        self.seen = self.known = 0
        self.devices: Counter[str] = Counter()
        self.countries: Counter[str] = Counter()
        self.orders: dict[int, int] = dict.fromkeys(range(len(BANDS)), 0)

    def add(self, profile: Profile) -> None:
        self.seen += 1
        self.known += profile.user_id is not None
        for name, counter in (("device", self.devices), ("country", self.countries)):
            stamped = profile.where.get(name)
            if stamped is not None and isinstance(stamped.value, str):
                counter[stamped.value] += 1
        bought = sum(order.state == "completed" for order in profile.orders.values())
        self.orders[sum(bought >= first for first, _ in BANDS) - 1] += 1


class _Of(NamedTuple):
    """Whom parts are told of: ``seen`` of ``size`` members."""

    veil: Veil
    question: str
    seen: int
    size: int

    def told(self, what: str, count: int) -> Portion:
        return portion(self.veil, f"{self.question} {what}", count, self.seen, self.size)

    def most(self, what: str, counts: Mapping[str, int]) -> tuple[Part, ...]:
        """The most frequent ones, without those that may not be told."""
        top = _top(counts.items())
        parts = (Part(name, self.told(f"{what} {name}", count)) for name, count in top)
        return tuple(part for part in parts if not part.portion.few)


def _seen(of: _Of, seen: int, *, whole: bool, size: int) -> _Of:
    """The same of fewer who were looked at."""
    return of._replace(seen=seen, size=seen if whole else max(size, seen))


def _top(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda each: (-each[1], each[0]))[:TOP]
