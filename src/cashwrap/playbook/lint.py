"""What works and is probably not meant, judged by when conditions can hold and not by how they look. Pure.

Everything said here is so: a condition called never true is true for nobody, an experience called shadowed can never
win. Not everything that is so is said: see ``boxes`` for where conditions get too large.
"""

from collections import Counter, defaultdict
from itertools import combinations

from cashwrap import collector
from cashwrap.condition.ast import Literal, Node
from cashwrap.content.locales import canonical, chain
from cashwrap.declarations import Content, Spot
from cashwrap.experiences import Experience
from cashwrap.experiments import SHARES
from cashwrap.model import Millis
from cashwrap.playbook.boxes import Box, Boxes, within
from cashwrap.playbook.check import texts_of
from cashwrap.playbook.compile import Playbook
from cashwrap.playbook.faults import Fault, Faults
from cashwrap.playbook.lint_offers import lint_offers
from cashwrap.playbook.measuring import lint_measured
from cashwrap.playbook.schedule import ends

MAX_COMPARISONS = 300_000
"""Comparisons of experiences within one placement; what they did not come to is said."""
Blocker = tuple[Box, Experience]


def lint(playbook: Playbook, now: Millis) -> tuple[Fault, ...]:
    """Warnings, by place. ``now`` tells which schedules and ramps are over."""
    with collector.paused():
        linter = _Linter(playbook, now)
        linter.run()
    return linter.faults.sorted()


class _Linter:
    def __init__(self, playbook: Playbook, now: Millis) -> None:
        self.playbook = playbook
        self.declared = playbook.declarations
        self.now = now
        self.faults = Faults()
        segments = {each.flat: each.checked.node for each in playbook.segments.ordered if each.checked is not None}
        conditions = [each.condition.node for each in playbook.experiences.ordered if each.condition is not None]
        self.segments = segments
        default = playbook.settings.locale
        self.locales = frozenset(chain(default, default))
        """Those whose texts everyone falls back to."""
        self.boxes = Boxes(conditions, segments, playbook.money | {"time.local"}, now)

    def run(self) -> None:
        self.judge_segments()
        found: dict[str, list[Box] | None] = {}
        for experience in self.playbook.experiences.ordered:
            boxes = found[experience.name] = self.of(experience.condition.node if experience.condition else None)
            if self.is_over(experience):
                continue
            if boxes == []:
                message = f"the condition of {experience.name!r} is never true: nobody will see it"
                self.faults.warn(self.spot(experience), "never_true", message)
            elif boxes == [{}] and experience.condition is not None:
                self.needless(experience, experience.condition.node)
            self.experiment(experience)
        for placement in self.playbook.experiences.placements.values():
            listed = self.playbook.experiences.ordered[placement.first : placement.stop]
            _Placement(self, listed, found).judge(self.declared.placements[placement.name].spot)
        lint_offers(self.playbook, self.faults)

    def of(self, node: Node | None) -> list[Box] | None:
        return self.boxes.of(node) if node is not None else [{}]

    def spot(self, experience: Experience) -> Spot:
        declared = self.declared.experiences[experience.name]
        return declared.when.spot if declared.when is not None else declared.spot

    def judge_segments(self) -> None:
        for name, declared in self.declared.segments.items():
            node = self.segments.get(f"segments.{name}")
            if node is None or declared.when is None:
                continue
            boxes = self.of(node)
            if boxes == []:
                message = f"the condition of segment {name!r} is never true: nobody is in it"
                self.faults.warn(declared.when.spot, "empty_segment", message)
            elif boxes == [{}] and not isinstance(node, Literal):
                message = f"the condition of segment {name!r} is always true: everyone is in it"
                self.faults.warn(declared.when.spot, "always_true", message)

    def needless(self, experience: Experience, node: Node) -> None:
        if not isinstance(node, Literal):
            message = f"the condition of {experience.name!r} is always true; leave out 'when'"
            self.faults.warn(self.spot(experience), "always_true", message)

    def is_over(self, experience: Experience) -> bool:
        """Whether its schedule has ended, with a warning."""
        declared = self.declared.experiences[experience.name]
        over = ends(declared.schedule, self.playbook.settings.time_zone) if declared.schedule is not None else None
        if over is None or over > self.now:
            return False
        message = f"the schedule of {experience.name!r} is over; take it out, or give it another end"
        self.faults.warn(declared.spot, "schedule_over", message)
        return True

    def experiment(self, experience: Experience) -> None:
        """Arms nobody is in, and experiments nobody takes part in."""
        declared = self.declared.experiences[experience.name]
        experiment = declared.experiment
        if experiment is None:
            return
        lint_measured(experience.name, experiment, self.declared, self.faults)
        current = sum(since <= self.now for since, _ in experiment.traffic) - 1
        if not any(share for _, share in experiment.traffic[max(current, 0) :]) or experiment.holdout == SHARES:
            message = f"nobody takes part in the experiment of {experience.name!r}, now or later"
            self.faults.warn(declared.spot, "unreachable_variation", message)
            return
        for name in declared.variations:
            if not experiment.arms.get(name):
                message = f"nobody is in the arm {name!r} of {experience.name!r}: its share is 0%"
                self.faults.warn(declared.spot, "unreachable_variation", message)


class _Placement:
    """The experiences of one placement, the one to try first first."""

    def __init__(self, linter: _Linter, listed: tuple[Experience, ...], found: dict[str, list[Box] | None]) -> None:
        self.linter = linter
        self.listed = listed
        self.found = found
        uses = Counter(axis for each in listed for box in found[each.name] or () for axis in box)
        self.order = {axis: rank for rank, (axis, _) in enumerate(reversed(uses.most_common()))}
        self.blockers: dict[tuple[int, ...], list[Blocker]] = defaultdict(list)
        """What always wins where its box holds, by the two axes of the box that are used least."""
        self.comparisons = 0

    def judge(self, spot: Spot) -> None:
        """Warn of each experience that another one always wins over."""
        for experience in self.listed:
            boxes = self.found[experience.name]
            if not boxes:
                continue
            if self.comparisons > MAX_COMPARISONS:
                message = f"from {experience.name!r} on, experiences were not compared with those before: too many"
                self.linter.faults.warn(spot, "not_compared", message)
                return
            blockers = [self.blocker(box, experience) for box in boxes]
            known = [each for each in blockers if each is not None]
            if len(known) == len(boxes):
                self.tell(experience, boxes, list(dict.fromkeys(each.name for each in known)))
            elif self.always_wins(experience):
                for box in boxes:
                    axes = sorted(box, key=self.order.__getitem__)
                    self.blockers[tuple(axes[:2])].append((box, experience))

    def blocker(self, box: Box, experience: Experience) -> Experience | None:
        """An experience before this one that wins wherever the box holds."""
        axes = sorted(box, key=self.order.__getitem__)
        for size in (0, 1, 2):
            for key in combinations(axes, size):
                for other, first in self.blockers.get(key, ()):
                    self.comparisons += 1
                    if within(box, other) and not _drawn_together(first, experience):
                        return first
        return None

    def tell(self, experience: Experience, boxes: list[Box], names: list[str]) -> None:
        others = self.found[names[0]] or []
        same = len(names) == 1 and all(any(within(other, box) for box in boxes) for other in others)
        first = " or ".join(map(repr, names[:3]))
        if same:
            message = f"{experience.name!r} has the same condition as {first}, which always comes first"
            self.linter.faults.warn(self.linter.spot(experience), "duplicate_condition", message)
        else:
            message = f"{experience.name!r} can never win: wherever its condition is true, {first} comes first"
            self.linter.faults.warn(self.linter.spot(experience), "shadowed", message)

    def always_wins(self, experience: Experience) -> bool:
        """Whether everyone for whom its condition is true, and no one before it wins, sees this one."""
        declared = self.linter.declared.experiences[experience.name]
        held_back = experience.trial is not None or experience.caps or experience.choice is not None
        return not held_back and all(
            variation.content.steady and _has_text(declared.variations[variation.name], self.linter.locales)
            for variation in experience.variations
        )


def _drawn_together(one: Experience, other: Experience) -> bool:
    return bool(one.weight and other.weight) and one.priority == other.priority


def _has_text(show: Content, locales: frozenset[str]) -> bool:
    """Whether there is a text for everyone, so that steady content is never without one."""
    return all(any(canonical(tag) in locales for tag in texts) for _, texts in texts_of(show))
