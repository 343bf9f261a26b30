"""For how many a condition holds: of a sample of shoppers as they are now, and of the last decisions.

Told as ``groups`` says. The sample is always the same one, so that whoever asks again learns nothing more; ids are
random, so those behind a few places on the circle of ids are a fair one. What a count is told as depends on who is
counted and not on how the condition is written: there are endless ways to ask for the same shoppers, and whoever could
take the mean of what each is told would know their number, and by the difference of two the answer of one shopper.
"""

from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap import profiles, records
from cashwrap.attributes import is_requested
from cashwrap.condition import Environment, check, compile_condition
from cashwrap.condition.check import Checked
from cashwrap.console.groups.groups import Portion, Veil, portion
from cashwrap.errors import Forgotten
from cashwrap.memberships import standing_values
from cashwrap.model import Millis, Profile, Tenant
from cashwrap.playbook import Playbook
from cashwrap.ports import KeptDecision, ShopperKey
from cashwrap.world import World

MOST = 2_000
"""Shoppers that are asked, and decisions."""
PLACES = 20
PATIENCE = 1.0
"""Seconds for each of the two: what was asked until then is the sample."""
LATELY: Millis = 7 * 86_400_000
"""Decisions are of the last seven days."""
LONGEST = 4_000
"""Characters of a condition that is asked about by an address."""
_SEGMENT = "segments."
_PAGES = 50


class Fit(Struct, frozen=True):
    """How many it holds for. ``asked`` shoppers were looked at and ``decided`` decisions, as may be told; ``everybody``
    is how many shoppers there are. ``visits`` says that it asks about a visit (cart, device, time), which of a shopper
    who is not here nobody knows."""

    asked: int
    shoppers: Portion
    everybody: int
    decided: int
    decisions: Portion
    visits: bool


class _Group:
    """Some of those who were asked, each once, and what this very group is called."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._sum = 0
        self.size = 0

    @property
    def question(self) -> str:
        """For the veil: ids are random, so their sum names the group."""
        return f"{self._kind} {self._sum:x}"

    def add(self, key: bytes) -> None:
        self._sum ^= int.from_bytes(key, "big")
        self.size += 1


class Fitting:
    """Asks the shoppers and the decisions of one store."""

    def __init__(self, world: World, tenant: Tenant, veil: Veil) -> None:
        self._world = world
        self._tenant = tenant
        self._veil = veil

    def fit(self, text: str, playbook: Playbook, environment: Environment) -> Fit:
        """For how many a condition over a playbook's names holds. Raises ``ConditionError``."""
        checked = check(text, environment)
        seen, inside = self._shoppers(checked, playbook)
        everybody = self._world.store.population(self._tenant)
        decided, fitting, people = self._decisions(checked)
        decisions = portion(self._veil, fitting.question, fitting.size, decided, decided)
        return Fit(
            asked=self._veil.count("fit asked", seen),
            shoppers=portion(self._veil, inside.question, inside.size, seen, everybody),
            everybody=self._veil.count("", everybody),
            decided=self._veil.count("fit decided", decided),
            decisions=decisions if self._veil.count(people.question, people.size) else Portion(few=True),
            visits=any(is_requested(name) for name in checked.attributes),
        )

    def _shoppers(self, checked: Checked, playbook: Playbook) -> tuple[int, _Group]:
        """How many were asked, and those of them it holds for."""
        named = [name.removeprefix(_SEGMENT) for name in checked.attributes if name.startswith(_SEGMENT)]
        own = replace(playbook, segments=playbook.segments.only(named))
        holds, now = compile_condition(checked), self._world.clock.now()
        seen, inside = 0, _Group("fit shoppers")
        for shopper, profile in self._profiles():
            seen += 1
            if holds(standing_values(own, profile, now)) is True:
                inside.add(shopper)
        return seen, inside

    def _profiles(self) -> Iterator[tuple[bytes, Profile]]:
        world = self._world
        until, drawn = world.clock.monotonic() + PATIENCE, set[bytes]()
        for number in range(PLACES):
            start = world.vault.digest("console fitting", self._tenant.name, str(number)) if number else b""
            keys = [
                key
                for key in world.store.shoppers(ShopperKey(self._tenant, start), MOST // PLACES)
                if key.tenant == self._tenant and key.shopper not in drawn
            ]
            drawn |= {key.shopper for key in keys}
            for key, row in world.store.load(keys).items():
                try:
                    yield key.shopper, profiles.decode(world.vault.open(key.shopper, row.state))
                except Forgotten:
                    continue
            if world.clock.monotonic() > until:
                return

    def _decisions(self, checked: Checked) -> tuple[int, _Group, _Group]:
        """How many decisions were asked, those it holds for, and the shoppers whose those are."""
        holds, known = compile_condition(checked), set[bytes]()
        until = self._world.clock.monotonic() + PATIENCE
        seen, inside, people = 0, _Group("fit decisions"), _Group("fit people")
        for kept in reversed(self._newest()):
            try:
                inputs = records.decode(self._world.vault.open(kept.shopper, kept.payload)).inputs
            except (Forgotten, msgspec.DecodeError):
                continue
            seen += 1
            if holds(inputs.values) is True:
                inside.add(kept.id)
                if kept.shopper not in known:
                    known.add(kept.shopper)
                    people.add(kept.shopper)
            if self._world.clock.monotonic() > until:
                break
        return seen, inside, people

    def _newest(self) -> list[KeptDecision]:
        store, found = self._world.store, deque[KeptDecision](maxlen=MOST)
        since, after = self._world.clock.now() - LATELY, b""
        for _ in range(_PAGES):
            page = store.decisions(self._tenant, since, after, 1000)
            found += page
            if len(page) < 1000:
                break
            since, after = page[-1].time, page[-1].id
        return list(found)
