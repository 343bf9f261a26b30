"""What a backtest tells: what would have changed, for whom, and by which experience."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from cashwrap.engine import World
from cashwrap.errors import CashwrapError
from cashwrap.experiences import Names
from cashwrap.exposures import remembered
from cashwrap.model import OUTCOMES, PLAIN, SHOWN, Answer, Decision, Inputs, Millis, Minor
from cashwrap.playbook import Playbook
from cashwrap.ports import ShopperKey
from cashwrap.records import Kept
from cashwrap.segments import PREFIX
from cashwrap.versions import Versions

DEFAULT = ""
"""Stands for the shop's own default where an experience is named."""
SKIPPED = {
    "preview": "a preview, and no shopper's",
    "forgotten": "the shopper was forgotten",
    "removed": "the record went meanwhile",
    "no_profile": "the log has nothing of the shopper",
    "log_removed": "older than shop.retention keeps the log for",
    "damaged": "the record cannot be read",
}
"""Why a decision was left out."""


class Move(Struct, frozen=True):
    """So many decisions of a placement went from one answer to another: ``experience/variation``, empty for the
    shop's default."""

    before: str
    after: str
    decisions: int


class Share(Struct, frozen=True):
    """How often an experience was a placement's answer; ``won`` and ``lost`` are the decisions it came to and left."""

    experience: str
    before: int
    after: int
    won: int
    lost: int


class Placement(Struct, frozen=True):
    """One placement: answers compared, those that differ at all, those whose shown content does; the largest moves
    first."""

    name: str
    compared: int
    changed: int
    shown: int
    experiences: list[Share]
    moves: list[Move]


class Audience(Struct, frozen=True):
    """Shoppers of a segment, each at their last decision. ``before`` is null where no experience read it then."""

    segment: str
    before: int | None
    after: int


class Count(Struct, frozen=True):
    """How often an experience came to an arm, or was kept back by an outcome."""

    experience: str
    name: str
    before: int
    after: int


class Granted(Struct, frozen=True):
    """How often an offer was granted, and what it would have taken off those carts, in minor units of ``currency``.

    It is the most that it could have cost: who is granted an offer need not use it, and may ask more than once.
    """

    offer: str
    currency: str
    before: int
    after: int
    amount_before: Minor
    amount_after: Minor


class Backtest(Struct, frozen=True):
    """A draft against recorded decisions.

    ``changed`` counts decisions of which any answer differs, ``shown`` those that show something else, ``touched`` the
    shoppers of these. ``skipped`` are decisions that could not be compared, by reason; ``products_changed`` those made
    with other products, which are compared with what their playbook makes of today's; ``playbooks`` what made them.
    """

    playbook: str
    first: Millis
    last: Millis
    decisions: int
    changed: int
    shown: int
    shoppers: int
    touched: int
    skipped: dict[str, int]
    products_changed: int
    playbooks: dict[str, int]
    placements: list[Placement]
    audiences: list[Audience]
    arms: list[Count]
    ghosts: list[Count]
    offers: list[Granted] = []


def differing(audiences: list[Audience]) -> list[Audience]:
    """Segments with anybody in them, those that differ most first."""
    told = [each for each in audiences if each.after or each.before]
    return sorted(told, key=lambda each: (each.before is None, -abs(each.after - (each.before or 0)), each.segment))


class _Placed:
    """The counts of one placement."""

    def __init__(self) -> None:
        self.compared = self.changed = self.shown = 0
        self.before: Counter[str] = Counter()
        self.after: Counter[str] = Counter()
        self.won: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()

    def take(self, old: Answer, new: Answer) -> None:
        self.compared += 1
        self.before[old.experience or DEFAULT] += 1
        self.after[new.experience or DEFAULT] += 1
        if old.experience != new.experience:
            self.lost[old.experience or DEFAULT] += 1
            self.won[new.experience or DEFAULT] += 1
        if differs(old, new):
            self.changed += 1
            self.shown += _content(old) != _content(new)
            if _label(old) != _label(new) or _content(old) != _content(new):  # else the reason alone is another
                self.moves[_label(old), _label(new)] += 1

    def told(self, name: str) -> Placement:
        names = sorted({*self.before, *self.after} - {DEFAULT})
        shares = [Share(each, self.before[each], self.after[each], self.won[each], self.lost[each]) for each in names]
        moves = [Move(old, new, count) for (old, new), count in _largest(self.moves)]
        return Placement(name, self.compared, self.changed, self.shown, shares, moves)


class Tally:
    """Counts replays as they come; holds numbers and, of each shopper, the segments of the last decision."""

    def __init__(self, world: World, draft: Playbook) -> None:
        self._world = world
        self._draft = draft
        self._names: dict[str, Names | None] = {**remembered(world.registry)}
        self._placements: dict[str, _Placed] = {}
        self._shoppers: dict[ShopperKey, tuple[Mapping[str, bool], frozenset[str]]] = {}
        self._touched: set[ShopperKey] = set()
        self._skipped: Counter[str] = Counter()
        self._playbooks: Counter[str] = Counter()
        self._arms = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self._ghosts = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self._grants = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self._amounts = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        self._products = world.catalogue
        self._first = self._last = self._decisions = self._changed = self._shown = self._other_products = 0

    def skip(self, reason: str) -> None:
        """One that could not be compared."""
        self._skipped[reason] += 1

    def take(self, shopper: ShopperKey, kept: Kept, inputs: Inputs, decision: Decision) -> None:
        """One recorded decision and the draft's."""
        old, new = kept.decision.placements, decision.placements
        self._first = min(self._first or inputs.now, inputs.now)
        self._last = max(self._last, inputs.now)
        self._decisions += 1
        self._playbooks[kept.decision.playbook] += 1
        self._other_products += kept.catalogue != self._products.version(shopper.tenant)
        changed, shown = False, False
        for name in dict.fromkeys([*old, *new]):
            before, after = old.get(name, _NOWHERE), new.get(name, _NOWHERE)
            self._placements.setdefault(name, _Placed()).take(before, after)
            changed = changed or differs(before, after)
            shown = shown or _content(before) != _content(after)
        self._changed += changed
        self._shown += shown
        if shown:
            self._touched.add(shopper)
        self._count(kept.decision, self._names_of(kept.decision.playbook), 0)
        self._count(decision, self._draft.experiences.names, 1)
        for side, each in enumerate((kept.decision, decision)):
            for grant in each.grants:
                self._grants[side][grant.offer, grant.currency] += 1
                self._amounts[side][grant.offer, grant.currency] += grant.amount
        self._shoppers[shopper] = _segments(kept.inputs, inputs)

    def report(self) -> Backtest:
        """Everything counted so far."""
        return Backtest(
            playbook=self._draft.hash,
            first=self._first,
            last=self._last,
            decisions=self._decisions,
            changed=self._changed,
            shown=self._shown,
            shoppers=len(self._shoppers),
            touched=len(self._touched),
            skipped=dict(sorted(self._skipped.items())),
            products_changed=self._other_products,
            playbooks=dict(sorted(self._playbooks.items())),
            placements=[placed.told(name) for name, placed in sorted(self._placements.items())],
            audiences=self._audiences(),
            arms=_counts(*self._arms),
            ghosts=_counts(*self._ghosts),
            offers=self._offers(),
        )

    def _count(self, decision: Decision, names: Names | None, side: int) -> None:
        """Arms and ghosts of one side, by their names."""
        if names is None:
            return
        for reached in [names.read(each) for each in decision.exposures if len(each) > PLAIN]:
            self._arms[side][reached.experience, reached.arm] += 1
            if reached.outcome != OUTCOMES[SHOWN]:
                self._ghosts[side][reached.experience, reached.outcome] += 1

    def _names_of(self, playbook: str) -> Names | None:
        """What the numbers of a recorded decision mean: remembered for tokens, else by the version itself."""
        if playbook not in self._names:
            self._names[playbook] = self._compiled(playbook)
        return self._names[playbook]

    def _compiled(self, playbook: str) -> Names | None:
        try:
            return Versions(self._world.registry, self._world.clock).load(playbook).experiences.names
        except CashwrapError:
            return None

    def _offers(self) -> list[Granted]:
        (before, after), (cost, draft) = self._grants, self._amounts
        return [
            Granted(*each, before[each], after[each], cost[each], draft[each]) for each in sorted({*before, *after})
        ]

    def _audiences(self) -> list[Audience]:
        found = []
        for segment in self._draft.segments.ordered:
            known = [before[segment.name] for before, _ in self._shoppers.values() if segment.name in before]
            after = sum(segment.name in inside for _, inside in self._shoppers.values())
            found.append(Audience(segment.name, sum(known) if known else None, after))
        return sorted(found, key=lambda each: each.segment)


_NOWHERE = Answer(None, None, None, "no_such_placement")


def differs(old: Answer, new: Answer) -> bool:
    """Whether anything of an answer is another one: who won, in which arm, what is shown and granted, and why."""
    told = old.experience, old.variation, old.reason, old.offer
    return told != (new.experience, new.variation, new.reason, new.offer) or _content(old) != _content(new)


def _content(answer: Answer) -> bytes | None:
    return None if answer.content is None else bytes(answer.content)


def _label(answer: Answer) -> str:
    if answer.experience is None:
        return DEFAULT
    return f"{answer.experience}/{answer.variation}" if answer.variation else answer.experience


def _segments(old: Inputs, new: Inputs) -> tuple[Mapping[str, bool], frozenset[str]]:
    """The memberships that were recorded, and the segments the draft puts the shopper in."""
    before = {name[len(PREFIX) :]: value is True for name, value in old.values.items() if name.startswith(PREFIX)}
    return before, frozenset(
        name[len(PREFIX) :] for name, value in new.values.items() if name.startswith(PREFIX) and value is True
    )


def _counts(before: Counter[tuple[str, str]], after: Counter[tuple[str, str]]) -> list[Count]:
    return [Count(*pair, before[pair], after[pair]) for pair in sorted({*before, *after})]


def _largest(moves: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return sorted(moves.items(), key=lambda pair: (-pair[1], pair[0]))
