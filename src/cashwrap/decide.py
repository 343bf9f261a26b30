"""Decide what each placement shows: pure in ``Inputs``, so that a recorded decision can be computed again.

Per placement the experience with the highest priority whose condition is true, and then whose content fits,
wins; equal priorities go in the order written. Whatever is unknown, switched off or broken leaves the
placement to the shop's own default, with the reason, and never touches another placement.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from cashwrap.condition import Checked, Explanation
from cashwrap.condition import explain as explain_condition
from cashwrap.condition.index import Index, build_index
from cashwrap.content import MAX_RECENT, Catalogue, Ineligible, Rendering, Shop, compile_content
from cashwrap.declarations import Declarations, ExperienceDecl, PlacementDecl
from cashwrap.model import Answer, Decision, Inputs, Level, Reason

VARIATION = "main"
"""The name of an experience's one variation."""


class Kills(Struct, frozen=True):
    """What an operator has switched off."""

    everything: bool = False
    placements: frozenset[str] = frozenset()
    experiences: frozenset[str] = frozenset()


NOTHING_KILLED = Kills()
NO_CATALOGUE = Catalogue()


class Experience(Struct, frozen=True):
    """An experience, compiled. ``number`` counts from 0 in the order written; tokens carry it."""

    name: str
    number: int
    priority: int
    condition: Checked | None
    content: Rendering
    recent: dict[str, Answer] = {}
    """Answers of steady content by the locale asked for."""

    def answer(self, inputs: Inputs, catalogue: Catalogue) -> Answer | Ineligible:
        """What this experience shows, or why it cannot."""
        known = self.recent.get(inputs.locale)
        if known is not None:
            return known
        content = self.content.render(inputs, catalogue)
        if isinstance(content, Ineligible):
            return content
        answer = Answer(self.name, VARIATION, content, "match")
        if self.content.steady and len(self.recent) < MAX_RECENT:
            self.recent[inputs.locale] = answer
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


class Experiences(Struct, frozen=True):
    """All experiences of one playbook, ready to decide. ``playbook`` is its hash.

    ``ordered`` has them placement by placement, as the index counts its conditions; ``numbers`` by name.
    """

    playbook: str
    placements: dict[str, Placement]
    ordered: tuple[Experience, ...]
    index: Index
    numbers: dict[str, int]

    def shown(self, decision: Decision) -> tuple[tuple[int, int], ...]:
        """What a decision showed, as numbers of placement and experience, for its token."""
        placements, numbers = self.placements, self.numbers
        return tuple(
            [
                (placements[name].number, numbers[answer.experience])
                for name, answer in decision.placements.items()
                if answer.experience is not None
            ]
        )


def compile_experiences(
    declarations: Declarations,
    conditions: Mapping[str, Checked | None],
    *,
    playbook: str,
    money: frozenset[str] = frozenset(),
) -> Experiences:
    """Compile all enabled experiences.

    ``conditions`` holds each one's checked condition by name, ``None`` or absent for everyone; ``money`` names
    the attributes that hold amounts. Raises ContentError at the first mistake in a content.
    """
    shop = Shop(declarations.settings, money)
    waiting = _in_order(declarations)
    spans: dict[str, tuple[int, int]] = {}
    ordered: list[Experience] = []
    for name, placement in declarations.placements.items():
        first = len(ordered)
        ordered += [
            _experience(at, declared, placement, conditions.get(declared.name), shop) for at, declared in waiting[name]
        ]
        spans[name] = first, len(ordered)
    index = build_index([(each.name, each.condition) for each in ordered])
    placements = {
        name: Placement(name, number, int(declared.purpose or 0), *spans[name], *index.span(*spans[name]))
        for number, (name, declared) in enumerate(declarations.placements.items())
    }
    numbers = {name: number for number, name in enumerate(declarations.experiences)}
    return Experiences(playbook, placements, tuple(ordered), index, numbers)


def _in_order(declarations: Declarations) -> dict[str, list[tuple[int, ExperienceDecl]]]:
    """Each placement's enabled experiences with their numbers: the highest priority first, then as written."""
    listed: dict[str, list[tuple[int, ExperienceDecl]]] = {name: [] for name in declarations.placements}
    for number, declared in enumerate(declarations.experiences.values()):
        if declared.enabled:
            listed[declared.placement].append((number, declared))
    return {name: sorted(each, key=lambda pair: -pair[1].priority) for name, each in listed.items()}


def _experience(
    number: int, declared: ExperienceDecl, placement: PlacementDecl, condition: Checked | None, shop: Shop
) -> Experience:
    return Experience(
        declared.name, number, declared.priority, condition, compile_content(declared.show, placement, shop)
    )


# --- decide ---


def _default(reason: Reason) -> Answer:
    return Answer(None, None, None, reason)


_DEFAULTS: dict[Reason, Answer] = {
    reason: _default(reason)
    for reason in ("no_match", "no_such_placement", "killed", "no_consent", "no_content", "late", "error")
}
_NO_MATCH = _DEFAULTS["no_match"]
_NO_SUCH_PLACEMENT = _DEFAULTS["no_such_placement"]
_ERROR = _DEFAULTS["error"]


def decide(
    experiences: Experiences,
    inputs: Inputs,
    catalogue: Catalogue = NO_CATALOGUE,
    kills: Kills = NOTHING_KILLED,
) -> Decision:
    """What each placement asked for shows. Never raises: at worst every answer is the shop's default."""
    if kills.everything:
        return defaults(experiences, inputs.placements, "killed", inputs.level)
    if inputs.level == "default":
        return defaults(experiences, inputs.placements, "no_consent", "default")
    try:
        mask = experiences.index.matches(inputs.values)
    except Exception:  # a default everywhere is an answer, an exception at a checkout is not
        return defaults(experiences, inputs.placements, "error", inputs.level, degraded=True)
    case = _Case(experiences, inputs, catalogue, kills)
    ordered, owners, residuals = experiences.ordered, experiences.index.owners, experiences.index.residuals
    answers = {}
    broken = False
    for name in experiences.placements if inputs.placements is None else inputs.placements:
        placement = experiences.placements.get(name)
        if placement is None:
            answers[name] = _NO_SUCH_PLACEMENT
        elif placement.purpose & ~inputs.mask:
            answers[name] = _DEFAULTS["no_consent"]
        elif name in kills.placements:
            answers[name] = _DEFAULTS["killed"]
        elif left := mask >> placement.offset & placement.ones:
            bit = placement.offset + (left & -left).bit_length() - 1
            known = None  # mostly the first bit stands, and its answer is at hand: a call saved at every placement
            if bit not in residuals and not kills.experiences:
                known = ordered[owners[bit]].recent.get(inputs.locale)
            answers[name] = answer = known or _answer(placement, left, case)
            broken = broken or answer is _ERROR
        else:
            answers[name] = _NO_MATCH
    return Decision(experiences.playbook, answers, inputs.level, broken)


def defaults(
    experiences: Experiences,
    asked: tuple[str, ...] | None,
    reason: Reason,
    level: Level = "default",
    *,
    degraded: bool = False,
) -> Decision:
    """The shop's default everywhere, for one reason."""
    known = experiences.placements
    answers = {
        name: _DEFAULTS[reason if name in known else "no_such_placement"]
        for name in (known if asked is None else asked)
    }
    return Decision(experiences.playbook, answers, level, degraded)


_KILLED = Ineligible("switched off by an operator", "killed")


class _Case(NamedTuple):
    """What one decision depends on."""

    experiences: Experiences
    inputs: Inputs
    catalogue: Catalogue
    kills: Kills


def _answer(placement: Placement, left: int, case: _Case) -> Answer:
    """The first experience that fits, of those whose bits are ``left``."""
    experiences, inputs, catalogue, kills = case
    index, offset, values = experiences.index, placement.offset, inputs.values
    owners, residuals = index.owners, index.residuals
    lost: Reason = "no_match"
    try:
        while left:
            low = left & -left
            left ^= low
            bit = offset + low.bit_length() - 1
            if bit in residuals and not index.holds(bit, values):
                continue
            experience = experiences.ordered[owners[bit]]
            found = _KILLED if experience.name in kills.experiences else experience.answer(inputs, catalogue)
            if isinstance(found, Answer):
                return found
            lost = found.reason if lost == "no_match" else lost
    except Exception:  # a broken experience costs its own placement the default, and nothing else
        return _ERROR
    return _DEFAULTS[lost]


# --- explain ---

Outcome = Literal[
    "shown", "outranked", "condition_false", "condition_unknown", "killed", "no_consent", "no_content", "error"
]


class Considered(Struct, frozen=True):
    """One experience, and why it was shown or not. ``condition`` has every part with the values it read."""

    experience: str
    priority: int
    outcome: Outcome
    why: str
    condition: Explanation | None


class Explained(Struct, frozen=True):
    """A placement's answer, and every experience that could have been it."""

    answer: Answer
    considered: list[Considered]


def explain(
    experiences: Experiences,
    inputs: Inputs,
    catalogue: Catalogue = NO_CATALOGUE,
    kills: Kills = NOTHING_KILLED,
) -> dict[str, Explained]:
    """Each placement asked for with its answer and all its experiences, the one to try first first."""
    decision = decide(experiences, inputs, catalogue, kills)
    found = {}
    for name, answer in decision.placements.items():
        placement = experiences.placements.get(name)
        listed = experiences.ordered[placement.first : placement.stop] if placement is not None else ()
        considered = [_considered(each, answer, inputs, catalogue) for each in listed]
        found[name] = Explained(answer, [_with_kills(each, name, kills) for each in considered])
    return found


def _considered(experience: Experience, answer: Answer, inputs: Inputs, catalogue: Catalogue) -> Considered:
    checked = experience.condition
    condition = explain_condition(checked, inputs.values) if checked is not None else None
    outcome, why = _outcome(experience, condition, answer, inputs, catalogue)
    return Considered(experience.name, experience.priority, outcome, why, condition)


def _outcome(
    experience: Experience,
    condition: Explanation | None,
    answer: Answer,
    inputs: Inputs,
    catalogue: Catalogue,
) -> tuple[Outcome, str]:
    if answer.experience == experience.name:
        return "shown", "its condition holds and nothing above it fits"
    if condition is not None and condition.result is None:
        return "condition_unknown", "a value it needs is not known"
    if condition is not None and condition.result is False:
        return "condition_false", "its condition does not hold"
    try:
        content = experience.content.render(inputs, catalogue)
    except Exception as error:
        return "error", f"its content failed: {type(error).__name__}"
    if isinstance(content, Ineligible):
        return "no_consent" if content.reason == "no_consent" else "no_content", content.why
    if answer.experience is not None:
        return "outranked", f"{answer.experience} comes first"
    return "no_consent" if answer.reason == "no_consent" else "error", f"the placement answers {answer.reason}"


def _with_kills(considered: Considered, placement: str, kills: Kills) -> Considered:
    """What an operator switched off is named as that wherever its condition alone would have shown it."""
    if considered.outcome.startswith("condition") or considered.outcome == "shown":
        return considered
    off = kills.everything or placement in kills.placements or considered.experience in kills.experiences
    if not off:
        return considered
    return msgspec.structs.replace(considered, outcome="killed", why=_KILLED.why)


# --- answer ---


class _Wire(Struct, frozen=True, rename="camel"):
    decision_id: str
    playbook: str
    placements: dict[str, Answer]
    token: str | None
    level: Level
    degraded: bool


_encode = msgspec.json.Encoder().encode


def encode_answer(decision: Decision, decision_id: str, token: str | None, *, degraded: bool = False) -> bytes:
    """The body of ``POST /v1/decide``. Content that was encoded when the playbook was compiled is copied.

    ``degraded`` adds what happened around the decision, such as a profile that came too late.
    """
    answer = _Wire(
        decision_id,
        decision.playbook,
        decision.placements,
        token,
        decision.level,
        decision.degraded or degraded,
    )
    return _encode(answer)
