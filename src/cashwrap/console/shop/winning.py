"""Who wins, from the decisions that were kept: how often each experience was shown, and what kept it back."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from cashwrap import records
from cashwrap.errors import CashwrapError, Forgotten
from cashwrap.experiences import Names
from cashwrap.exposures import remembered
from cashwrap.model import Millis, Tenant
from cashwrap.records import Kept
from cashwrap.world import World

HOUR: Millis = 3_600_000
SPANS: tuple[Millis, ...] = (HOUR, 6 * HOUR, 24 * HOUR, 7 * 24 * HOUR)
"""How far back decisions are read: the shortest that has ``ENOUGH``, else the longest."""
ENOUGH = 1_000
MOST = 2_000
FEW = 20
"""Decisions: of fewer nothing is told but that they are few."""


class Wins(Struct, frozen=True):
    """What kept decisions say. ``asked`` counts decisions by placement, ``won`` by experience those that showed it,
    ``back`` by experience and outcome (``model.OUTCOMES``) those that came to it and showed it not, ``default`` by
    placement and reason those where the shop's own default stood."""

    seen: int = 0
    since: Millis = 0
    asked: Mapping[str, int] = {}
    won: Mapping[str, int] = {}
    back: Mapping[tuple[str, str], int] = {}
    default: Mapping[tuple[str, str], int] = {}

    def kept_back(self, experience: str) -> dict[str, int]:
        """How often each outcome kept this experience back."""
        return {outcome: count for (name, outcome), count in self.back.items() if name == experience}

    def reasons(self, placement: str) -> dict[str, int]:
        """How often the shop's default stood, by reason."""
        return {reason: count for (name, reason), count in self.default.items() if name == placement}


def wins(world: World, tenant: Tenant) -> Wins:
    """From the newest kept decisions of a store that are still to be opened."""
    now, found = world.clock.now(), []
    for span in SPANS:
        since = now - span
        found = world.store.decisions(tenant, since, limit=MOST)
        if len(found) >= ENOUGH:
            break
    names = remembered(world.registry)
    opened = []
    for each in found:
        try:
            opened.append(records.decode(world.vault.open(each.shopper, each.payload)))
        except (Forgotten, CashwrapError, msgspec.DecodeError):  # gone meanwhile, or of another version of cashwrap
            continue
    return counted(opened, names, since)


def counted(kept: Iterable[Kept], names: Mapping[str, Names], since: Millis = 0) -> Wins:
    """Add decisions up. Pure. What they came to is told of those whose playbook's ``names`` are known."""
    seen, asked, won = 0, Counter[str](), Counter[str]()
    back, default = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for each in kept:
        seen += 1
        for placement, answer in each.decision.placements.items():
            asked[placement] += 1
            if answer.experience is not None:
                won[answer.experience] += 1
            else:
                default[placement, answer.reason] += 1
        known = names.get(each.decision.playbook)
        for numbers in each.decision.exposures if known is not None else ():
            reached = known.read(numbers) if known is not None else None
            if reached is not None and reached.outcome != "shown":
                back[reached.experience, reached.outcome] += 1
    return Wins(seen, since, asked, won, back, default)
