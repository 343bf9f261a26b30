"""For how many a condition holds: of a sample of shoppers as they are now, and of the last decisions.

Told as ``groups`` says. The sample is always the same one, so that whoever asks again learns nothing more; ids are
random, so those behind a few places on the circle of ids are a fair one.
"""

from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cashwrap import profiles, records
from cashwrap.attributes import is_requested
from cashwrap.condition import Environment, check, compile_condition, to_text
from cashwrap.condition.check import Checked
from cashwrap.console.groups import STEP, Portion, Veil, portion
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


class Fitting:
    """Asks the shoppers and the decisions of one store."""

    def __init__(self, world: World, tenant: Tenant, veil: Veil) -> None:
        self._world = world
        self._tenant = tenant
        self._veil = veil

    def fit(self, text: str, playbook: Playbook, environment: Environment) -> Fit:
        """For how many a condition over a playbook's names holds. Raises ``ConditionError``."""
        checked = check(text, environment)
        question = f"fit {to_text(checked.node)}"
        seen, inside = self._shoppers(checked, playbook)
        everybody = self._world.store.population(self._tenant)
        decided, fitting, people = self._decisions(checked)
        decisions = portion(self._veil, f"decisions {question}", fitting, decided, decided)
        return Fit(
            asked=self._veil.count(f"{question} asked", seen),
            shoppers=portion(self._veil, question, inside, seen, everybody),
            everybody=self._veil.count("", everybody),
            decided=self._veil.count(f"{question} decided", decided),
            decisions=decisions if people >= STEP else Portion(few=True),
            visits=any(is_requested(name) for name in checked.attributes),
        )

    def _shoppers(self, checked: Checked, playbook: Playbook) -> tuple[int, int]:
        """How many were asked, and how many of them it holds for."""
        named = [name.removeprefix(_SEGMENT) for name in checked.attributes if name.startswith(_SEGMENT)]
        own = replace(playbook, segments=playbook.segments.only(named))
        holds, now = compile_condition(checked), self._world.clock.now()
        seen = inside = 0
        for profile in self._profiles():
            seen += 1
            inside += holds(standing_values(own, profile, now)) is True
        return seen, inside

    def _profiles(self) -> Iterator[Profile]:
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
                    yield profiles.decode(world.vault.open(key.shopper, row.state))
                except Forgotten:
                    continue
            if world.clock.monotonic() > until:
                return

    def _decisions(self, checked: Checked) -> tuple[int, int, int]:
        """How many decisions were asked, how many it holds for, and of how many shoppers those are."""
        holds, people = compile_condition(checked), set[bytes]()
        until = self._world.clock.monotonic() + PATIENCE
        seen = inside = 0
        for kept in reversed(self._newest()):
            try:
                inputs = records.decode(self._world.vault.open(kept.shopper, kept.payload)).inputs
            except (Forgotten, msgspec.DecodeError):
                continue
            seen += 1
            if holds(inputs.values) is True:
                inside += 1
                people.add(kept.shopper)
            if self._world.clock.monotonic() > until:
                break
        return seen, inside, len(people)

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
