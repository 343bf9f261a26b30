"""Experiences, compiled: what a decision looks things up in. Built once a playbook, never changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from cashwrap.attention import ALL, Cap, keys_of
from cashwrap.condition import Checked
from cashwrap.condition.index import Index, build_index
from cashwrap.content import MAX_RECENT, Catalogue, Ineligible, Rendering
from cashwrap.declarations import (
    CONTROL,
    HOLDOUT,
    MAIN,
    CapsDecl,
    Declarations,
    ExperienceDecl,
    ExperimentDecl,
    HoldoutDecl,
    PlacementDecl,
    Settings,
)
from cashwrap.experiments import Assigned, Slot, Trial, lay_out, trial
from cashwrap.model import OUTCOMES, Answer, Exposure, Inputs
from cashwrap.offers.terms import Choice

_NO_CAPS = CapsDecl()
_NO_CHOICES: Mapping[str, Choice] = {}


Recent = tuple[Answer, tuple[int, int]]
Row = tuple[str, int, int, int]
"""A placement as a decision goes through it: name, purpose, offset and ones."""
NOBODYS = 1 << 30
"""A purpose that nobody allows: a placement that is unknown is looked at more closely."""
_NONE: dict[str, Recent] = {}
"""What a bit has to offer that must be looked at more closely."""


class Variation(Struct, frozen=True):
    """One content of an experience."""

    name: str
    content: Rendering


class Experience(Struct, frozen=True):
    """An experience, compiled. ``number`` counts from 0 in the order written; tokens carry it.

    ``arms`` names the variations first, then ``control`` where there is one, and last ``holdout``. ``caps`` are the
    limits that may keep it back, ``counted`` what showing it counts for. ``shown`` is its exposure when there is
    nothing else to say of it. ``recent`` has its answers by the locale asked for, each with that exposure; ``None``
    where more than its condition decides, or its content is not steady.
    """

    name: str
    number: int
    priority: int
    weight: int
    condition: Checked | None
    variations: tuple[Variation, ...]
    arms: tuple[str, ...]
    trial: Trial | None
    caps: tuple[Cap, ...]
    counted: tuple[str, ...]
    shown: tuple[int, int]
    recent: dict[str, "Recent"] | None = None
    choice: Choice | None = None
    """The offers of which it grants one."""

    def answer(self, variation: int, inputs: Inputs, catalogue: Catalogue) -> Answer | Ineligible:
        """What one of its variations shows, or why it cannot."""
        recent = self.recent
        if recent is not None and (known := recent.get(inputs.locale)) is not None:
            return known[0]
        shown = self.variations[variation]
        content = shown.content.render(inputs, catalogue)
        if isinstance(content, Ineligible):
            return content
        answer = Answer(self.name, shown.name, content, "match")
        if recent is not None:
            if len(recent) >= MAX_RECENT:  # else sixteen made-up locales would fill it for good
                recent.clear()
            recent[inputs.locale] = answer, self.shown
        return answer


class Placement(Struct, frozen=True):
    """A placement. Its enabled experiences are those from ``first`` up to ``stop``, the one to try first first.

    ``offset`` and ``ones`` cut their bits out of the index's.
    """

    name: str
    number: int
    purpose: int
    first: int
    stop: int
    offset: int
    ones: int
    recommends: bool = False
    """Whether it shows products: the first to be left out under load."""

    @property
    def row(self) -> Row:
        """What a decision goes through."""
        return self.name, self.purpose, self.offset, self.ones


class Names(Struct, frozen=True, array_like=True):
    """What the numbers in a token mean: outlives the playbook as long as its tokens do."""

    playbook: str
    placements: tuple[str, ...]
    experiences: tuple["ExperienceName", ...]

    def read(self, numbers: tuple[int, ...]) -> "Reached":
        """An exposure, as a decision and its token hold it, by its names."""
        exposure = Exposure(*numbers)
        shown = self.experiences[exposure.experience]
        return Reached(shown.name, shown.arms[exposure.arm], exposure.propensity, OUTCOMES[exposure.outcome])


class Reached(Struct, frozen=True):
    """An experience that a placement came to: the shopper's arm, its chance of 10,000, and what became of it."""

    experience: str
    arm: str
    propensity: int
    outcome: str


class ExperienceName(Struct, frozen=True, array_like=True):
    """One experience: ``salt`` is its experiment's, empty where there is none."""

    name: str
    salt: str
    arms: tuple[str, ...]
    counted: tuple[str, ...]


class Experiences(Struct, frozen=True):
    """All experiences of one playbook, ready to decide. ``playbook`` is its hash.

    ``ordered`` has them placement by placement, as the index counts its conditions; ``recent`` by bit the answers at
    hand, where its condition needs no second look. ``alone`` are the trials of which
    a shopper may be in one only, where the shop says so.
    """

    playbook: str
    placements: dict[str, Placement]
    ordered: tuple[Experience, ...]
    index: Index
    holdout: HoldoutDecl
    alone: tuple[Trial, ...]
    names: Names
    recent: tuple[dict[str, Recent], ...]
    everywhere: tuple[Row, ...]
    settings: Settings = Settings()
    shelves: tuple[str, ...] = ()
    """The placements that show products."""

    def rows(self, asked: tuple[str, ...] | None) -> Sequence[Row]:
        """The placements asked for, each once; ``None`` for all."""
        if asked is None:
            return self.everywhere
        known = self.placements
        return [known[name].row if name in known else (name, NOBODYS, 0, 0) for name in asked]


def _nothing(_: str) -> bool:
    return False


def compile_experiences(
    declarations: Declarations,
    conditions: Mapping[str, Checked | None],
    renderings: Mapping[tuple[str, str], Rendering],
    *,
    playbook: str,
    stable: Callable[[str], bool] = _nothing,
    choices: Mapping[str, Choice] = _NO_CHOICES,
) -> Experiences:
    """Compile all enabled experiences.

    ``conditions`` holds each one's checked condition by name, ``None`` or absent for everyone; ``renderings`` the
    contents by experience and variation; ``stable`` tells the attributes that are the same for some time, so that what
    they leave standing of the index can be kept; ``choices`` the offers that each one grants one of.
    """
    compiler = _Compiler(declarations, renderings, choices)
    waiting = _in_order(declarations, choices)
    spans: dict[str, tuple[int, int]] = {}
    ordered: list[Experience] = []
    for name in declarations.placements:
        first = len(ordered)
        ordered += [compiler.experience(at, declared, conditions.get(declared.name)) for at, declared in waiting[name]]
        spans[name] = first, len(ordered)
    index = build_index([(each.name, each.condition) for each in ordered], stable)
    placements = {
        name: Placement(
            name,
            number,
            int(declared.purpose or 0),
            *spans[name],
            *index.span(*spans[name]),
            declared.component == "products",
        )
        for number, (name, declared) in enumerate(declarations.placements.items())
    }
    settings = declarations.settings
    trials = [each.trial for each in ordered if each.trial is not None]
    return Experiences(
        playbook,
        placements,
        tuple(ordered),
        index,
        settings.holdout,
        tuple(trials) if settings.one_experiment_per_shopper else (),
        Names(playbook, tuple(placements), tuple(compiler.names())),
        tuple(_at_hand(ordered[owner], bit in index.residuals) for bit, owner in enumerate(index.owners)),
        tuple(placement.row for placement in placements.values()),
        settings,
        tuple(placement.name for placement in placements.values() if placement.recommends),
    )


def _at_hand(experience: Experience, second_look: bool) -> dict[str, Recent]:  # noqa: FBT001
    return _NONE if second_look or experience.recent is None else experience.recent


def _in_order(declarations: Declarations, choices: Mapping[str, Choice]) -> dict[str, list[tuple[int, ExperienceDecl]]]:
    """Each placement's experiences with their numbers: the highest priority first, then as written.

    Left out is what is switched off, and what has an offer of which none is switched on.
    """
    listed: dict[str, list[tuple[int, ExperienceDecl]]] = {name: [] for name in declarations.placements}
    for number, declared in enumerate(declarations.experiences.values()):
        grants = declared.offer is not None or declared.best_of is not None
        if declared.enabled and (not grants or declared.name in choices):
            listed[declared.placement].append((number, declared))
    return {name: sorted(each, key=lambda pair: -pair[1].priority) for name, each in listed.items()}


class _Compiler:
    """What all experiences of a playbook are compiled against."""

    def __init__(
        self,
        declarations: Declarations,
        renderings: Mapping[tuple[str, str], Rendering],
        choices: Mapping[str, Choice],
    ) -> None:
        self.declared = declarations
        self.renderings = renderings
        self.choices = choices
        self.slots = slots_of(declarations)
        self.numbers = {name: number for number, name in enumerate(declarations.placements)}

    def experience(self, number: int, declared: ExperienceDecl, condition: Checked | None) -> Experience:
        placement = self.declared.placements[declared.placement]
        variations = tuple([Variation(name, self.renderings[declared.name, name]) for name in declared.variations])
        caps = tuple(self.caps(declared, placement))
        trial = self.trial(declared)
        choice = self.choices.get(declared.name)
        held_back = trial is not None or caps or declared.weight or choice is not None
        plain = not held_back and variations[0].content.steady
        return Experience(
            name=declared.name,
            number=number,
            priority=declared.priority,
            weight=declared.weight,
            condition=condition,
            variations=variations,
            arms=arms_of(declared),
            trial=trial,
            caps=caps,
            counted=tuple(cap.key for cap in caps),
            shown=(self.numbers[declared.placement], number),
            recent={} if plain else None,
            choice=choice,
        )

    def caps(self, declared: ExperienceDecl, placement: PlacementDecl) -> Iterator[Cap]:
        """The caps that hold for an experience, the narrowest first."""
        attention, form = self.declared.settings.attention, placement.format or placement.component
        limits = declared.caps, placement.caps, attention.get(form, _NO_CAPS), attention.get(ALL, _NO_CAPS)
        for key, limit in zip(keys_of(declared.name, placement.name, form), limits, strict=True):
            if limit != _NO_CAPS:
                yield Cap(key, limit)

    def trial(self, declared: ExperienceDecl) -> Trial | None:
        experiment = declared.experiment
        if experiment is None:
            return None
        arms = arms_of(declared)
        control = arms.index(CONTROL) if CONTROL in arms else -1
        shares = tuple(experiment.arms.get(arm, 0) for arm in arms)
        layer = self.declared.layers.get(experiment.layer or "")
        return trial(
            Trial(
                salt=salt_of(declared, experiment),
                units=layer.unit if layer is not None else experiment.unit,
                arms=arms,
                chances=tuple(Assigned(number, share) for number, share in enumerate(shares)),
                layout=lay_out(shares, control),
                traffic=experiment.traffic,
                holdout=experiment.holdout,
                slot=self.slots.get(declared.name),
                sees=experiment.control_sees,
                sticky=experiment.sticky,
            )
        )

    def names(self) -> Iterator[ExperienceName]:
        for declared in self.declared.experiences.values():
            placement, experiment = self.declared.placements[declared.placement], declared.experiment
            salt = salt_of(declared, experiment) if experiment is not None else ""
            counted = tuple(cap.key for cap in self.caps(declared, placement))
            yield ExperienceName(declared.name, salt, arms_of(declared), counted)


def arms_of(declared: ExperienceDecl) -> tuple[str, ...]:
    """The arms of an experience as tokens count them: variations, ``control`` where there is one, ``holdout``."""
    control = (CONTROL,) if declared.experiment is not None and CONTROL in declared.experiment.arms else ()
    return (*(declared.variations or (MAIN,)), *control, HOLDOUT)


def salt_of(declared: ExperienceDecl, experiment: ExperimentDecl) -> str:
    """What names an experiment to the hash and to the shopper's memory."""
    return experiment.salt or declared.name


def slots_of(declarations: Declarations) -> dict[str, Slot]:
    """Each layered experiment's part of its layer, one after the other as written, disabled ones included.

    A part is as large as the experiment's traffic ever gets, so that a ramp moves nobody else.
    """
    taken: dict[str, int] = {}
    slots = {}
    for declared in declarations.experiences.values():
        experiment = declared.experiment
        if experiment is not None and experiment.layer is not None:
            start = taken.get(experiment.layer, 0)
            slots[declared.name] = Slot(f"layer:{experiment.layer}", start)
            taken[experiment.layer] = start + max(share for _, share in experiment.traffic)
    return slots
