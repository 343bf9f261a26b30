"""What a draft would have decided: recorded decisions made again under another playbook, before it is published.

The profile of each decision is folded anew from the log, with the draft's own features and up to the very place in the
log that the decision saw. What came with the request, what had been shown and in which arms, consent, and what was
switched off are as recorded. So the playbook that made the decisions changes none of them (a law, and a test): what
differs is the draft's doing. Except where the shop's products changed since, or what sells best of them, which no
record keeps (it is counted), and where a feature is younger than the events it counts: the draft counts from the log's
first one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from cashwrap import consent, profiles, records
from cashwrap.attributes import is_requested
from cashwrap.catalogues import Catalogues
from cashwrap.content import Catalogue
from cashwrap.decide import decide
from cashwrap.engine import World
from cashwrap.errors import CashwrapError, Forgotten, InvalidInput
from cashwrap.experiences import Experiences
from cashwrap.folding import absorbed_by, fold_from_snapshots
from cashwrap.history.tally import Backtest, Tally
from cashwrap.learned.serving import Models
from cashwrap.model import PERSONALIZATION, Decision, Inputs, Millis, Profile, Tenant, Value
from cashwrap.offers.grant import PROMISED, running
from cashwrap.playbook import Playbook
from cashwrap.ports import KeptDecision, ShopperKey
from cashwrap.records import Kept
from cashwrap.request import clock_values
from cashwrap.versions import Versions

LIMIT = 100_000
"""Decisions compared where nobody says how many: their places are held in memory."""
PAGE = 1000
SOMETIMES = 256
"""Records of the log after which progress is told."""
_SHOP_TIME = "shop_time."


class Scope(Struct, frozen=True):
    """Which decisions: of one tenant, since a moment, at most so many of the newest; ``told`` hears of the progress.

    It is called now and then, with how much is done and of how much.
    """

    tenant: Tenant
    since: Millis = 0
    limit: int = LIMIT
    told: Callable[[int, int], None] = lambda _, __: None


class Replay(NamedTuple):
    """A recorded decision, and what the draft makes of it."""

    shopper: ShopperKey
    kept: Kept
    inputs: Inputs
    decision: Decision


class _Place(NamedTuple):
    """Where a decision stands in the log. Sorts as they are to be replayed."""

    position: int
    time: Millis
    id: bytes
    shopper: bytes


def backtest(world: World, draft: Playbook, scope: Scope) -> Backtest:
    """Compare recorded decisions with what the draft would have decided.

    Raises ``InvalidInput`` (``no_decisions``) where none is recorded.
    """
    places = _places(world, scope)
    if not places:
        raise InvalidInput(_NONE, code="no_decisions")
    tally = Tally(world, draft)
    for replay in _replays(world, draft, scope, places):
        if isinstance(replay, str):
            tally.skip(replay)
        else:
            tally.take(*replay)
    return tally.report()


def replays(world: World, draft: Playbook, scope: Scope) -> Iterator[Replay]:
    """Each recorded decision that can be made again, in the order of the log."""
    for replay in _replays(world, draft, scope, _places(world, scope)):
        if not isinstance(replay, str):
            yield replay


def replayed(kept: Kept, profile: Profile, draft: Playbook) -> Inputs:
    """What the decision would have depended on under the draft, of a profile that was folded with its features."""
    inputs, mask = kept.inputs, kept.inputs.mask
    values: dict[str, Value] = profiles.attributes(profile, draft.features, kept.as_of, mask)
    values.update(consent.values(mask))
    values.update({name: value for name, value in inputs.values.items() if is_requested(name)})
    told = frozenset(draft.predictions).intersection(inputs.models)  # what models say of it today would be hindsight
    values.update({name: inputs.values[name] for name in told if name in inputs.values})
    zone = draft.settings.time_zone
    clock = clock_values(inputs.now, zone, zone)
    values.update({name: value for name, value in clock.items() if name.startswith(_SHOP_TIME)})
    if mask & PERSONALIZATION and draft.offers:
        values[PROMISED] = running(inputs.promised, inputs.now)
    draft.segments.evaluate(values, profiles.lists(profile))
    return msgspec.structs.replace(inputs, values=values)


def _replays(world: World, draft: Playbook, scope: Scope, places: list[_Place]) -> Iterator[Replay | str]:
    """Each decision replayed, or why it cannot be."""
    if not places:
        return
    tenant, last = scope.tenant, places[-1].position
    catalogue = Catalogues(world.catalogue, world.registry, models=Models(world).of).of(tenant)
    only = _relevant(world, scope, {place.shopper for place in places}, last)
    folding = fold_from_snapshots(world.store, world.vault, draft.features, only)
    horizon, then = world.store.horizon().sequence, _Then(world, catalogue)
    waiting = deque(places)

    def until(sequence: int) -> Iterator[Replay | str]:
        while waiting and waiting[0].position < sequence:
            place = waiting.popleft()
            key = ShopperKey(tenant, place.shopper)
            kept = _open(world, world.store.decision(tenant, place.id))
            profile = folding.profile(key)
            if isinstance(kept, str):
                yield kept
            elif place.position < horizon:
                yield "log_removed"
            elif profile is None:
                yield "no_profile"
            else:
                inputs = replayed(kept, profile, draft)
                yield Replay(key, then.of(kept), inputs, decide(draft.experiences, inputs, catalogue, kept.kills))

    for record in world.store.log():
        if record.sequence > last:
            break
        yield from until(record.sequence)
        folding.take(record)
        if record.sequence % SOMETIMES == 0:
            scope.told(last + record.sequence, 2 * last)
    yield from until(last + 1)


class _Then:
    """What a draft is compared with: the recorded decision, or, where the shop's products have changed since, what its
    own playbook makes of the same inputs with those of today. Else the draft would be blamed for the shelves."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        self._versions = Versions(world.registry, world.clock)
        self._catalogue = catalogue
        self._experiences: dict[str, Experiences | None] = {}

    def of(self, kept: Kept) -> Kept:
        """The record with the decision to compare with."""
        experiences = None if kept.catalogue == self._catalogue.version else self._of(kept.decision.playbook)
        if experiences is None:
            return kept
        decision = decide(experiences, kept.inputs, self._catalogue, kept.kills)
        return msgspec.structs.replace(kept, decision=decision)

    def _of(self, playbook: str) -> Experiences | None:
        if playbook not in self._experiences:
            try:
                self._experiences[playbook] = self._versions.load(playbook).experiences
            except CashwrapError:
                self._experiences[playbook] = None
        return self._experiences[playbook]


def _open(world: World, found: KeptDecision | None) -> Kept | str:
    """A record, or why it cannot be compared."""
    if found is None:
        return "removed"  # meanwhile: too old, withdrawn or forgotten
    try:
        kept = records.decode(world.vault.open(found.shopper, found.payload))
    except Forgotten:
        return "forgotten"
    except msgspec.DecodeError:
        return "damaged"
    return "preview" if kept.inputs.forced else kept


def _places(world: World, scope: Scope) -> list[_Place]:
    """The newest decisions of the scope, in the order of the log."""
    found: deque[_Place] = deque(maxlen=scope.limit)
    since, after = scope.since, b""
    while page := world.store.decisions(scope.tenant, since, after, PAGE):
        found.extend(_Place(kept.position, kept.time, kept.id, kept.shopper) for kept in page)
        since, after = page[-1].time, page[-1].id
    return sorted(found)


def _relevant(world: World, scope: Scope, shoppers: set[bytes], last: int) -> set[ShopperKey]:
    """Those whose decisions are replayed, and who was merged into them."""
    tenant = scope.tenant
    members: dict[ShopperKey, list[ShopperKey]] = {}
    for record in world.store.log():
        if record.sequence > last:
            break
        if record.sequence % SOMETIMES == 0:
            scope.told(record.sequence, 2 * last)
        if record.tenant == tenant and (other := absorbed_by(world.vault, record)) is not None:
            members.setdefault(ShopperKey(tenant, record.shopper), []).append(other)
    found = {ShopperKey(tenant, shopper) for shopper in shoppers}
    stack = list(found)
    while stack:
        for other in members.get(stack.pop(), ()):
            if other not in found:
                found.add(other)
                stack.append(other)
    return found


_NONE = (
    "no decision is recorded here, so there is nothing to compare with. Records are kept by shop.decision_records, "
    "such as 'decision_records: 10%', of shoppers who allow personalization; serve with it for a while and come back"
)
