"""Decide what each placement shows: pure in ``Inputs``, so that a recorded decision can be computed again.

Per placement the experience with the highest priority whose condition is true, and then whose content fits,
wins; equal priorities go in the order written. Whatever is unknown, switched off or broken leaves the
placement to the shop's own default, with the reason, and never touches another placement.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from cashwrap.condition import Checked, Explanation, Predicate, compile_condition
from cashwrap.condition import explain as explain_condition
from cashwrap.content import Catalogue, Ineligible, Render, Shop, compile_content
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
    holds: Predicate
    render: Render


class Placement(Struct, frozen=True):
    """A placement and its enabled experiences, the one to try first first."""

    name: str
    number: int
    purpose: int
    experiences: tuple[Experience, ...]


class Experiences(Struct, frozen=True):
    """All experiences of one playbook, ready to decide. ``playbook`` is its hash."""

    playbook: str
    placements: dict[str, Placement]
    numbers: dict[str, int]


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
    compiled: dict[str, list[Experience]] = {name: [] for name in declarations.placements}
    for number, declared in enumerate(declarations.experiences.values()):
        if declared.enabled:
            placement = declarations.placements[declared.placement]
            condition = conditions.get(declared.name)
            compiled[declared.placement].append(_experience(number, declared, placement, condition, shop))
    return Experiences(
        playbook,
        {
            name: Placement(name, number, declared.purpose or 0, _in_order(compiled[name]))
            for number, (name, declared) in enumerate(declarations.placements.items())
        },
        {name: number for number, name in enumerate(declarations.experiences)},
    )


def _experience(
    number: int, declared: ExperienceDecl, placement: PlacementDecl, condition: Checked | None, shop: Shop
) -> Experience:
    return Experience(
        name=declared.name,
        number=number,
        priority=declared.priority,
        condition=condition,
        holds=compile_condition(condition) if condition is not None else _everyone,
        render=compile_content(declared.show, placement, shop),
    )


def _everyone(_: object) -> bool:
    return True


def _in_order(experiences: list[Experience]) -> tuple[Experience, ...]:
    return tuple(sorted(experiences, key=lambda each: (-each.priority, each.number)))


# --- decide ---


def _default(reason: Reason) -> Answer:
    return Answer(None, None, None, reason)


_DEFAULTS: dict[Reason, Answer] = {
    reason: _default(reason)
    for reason in ("no_match", "no_such_placement", "killed", "no_consent", "no_content", "late", "error")
}


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
    asked = experiences.placements if inputs.placements is None else inputs.placements
    answers = {name: _answer(experiences.placements.get(name), inputs, catalogue, kills) for name in asked}
    broken = any(answer.reason == "error" for answer in answers.values())
    return Decision(experiences.playbook, answers, inputs.level, degraded=broken)


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


def _answer(placement: Placement | None, inputs: Inputs, catalogue: Catalogue, kills: Kills) -> Answer:
    if placement is None:
        return _DEFAULTS["no_such_placement"]
    if placement.name in kills.placements:
        return _DEFAULTS["killed"]
    if placement.purpose & ~inputs.mask:
        return _DEFAULTS["no_consent"]
    try:
        return _first_that_fits(placement, inputs, catalogue, kills)
    except Exception:  # a broken experience costs its own placement the default, and nothing else
        return _DEFAULTS["error"]


def _first_that_fits(placement: Placement, inputs: Inputs, catalogue: Catalogue, kills: Kills) -> Answer:
    lost: Reason | None = None
    for experience in placement.experiences:
        if experience.holds(inputs.values) is not True:
            continue
        if experience.name in kills.experiences:
            lost = lost or "killed"
            continue
        content = experience.render(inputs, catalogue)
        if isinstance(content, Ineligible):
            lost = lost or content.reason
            continue
        return Answer(experience.name, VARIATION, content, "match")
    return _DEFAULTS[lost or "no_match"]


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
        listed = placement.experiences if placement is not None else ()
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
        content = experience.render(inputs, catalogue)
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
    return msgspec.structs.replace(considered, outcome="killed", why="switched off by an operator")


# --- answer ---


class _Wire(Struct, frozen=True, rename="camel"):
    decision_id: str
    playbook: str
    placements: dict[str, Answer]
    token: str | None
    level: Level
    degraded: bool


_encode = msgspec.json.Encoder().encode


def encode_answer(decision: Decision, decision_id: str, token: str | None) -> bytes:
    """The body of ``POST /v1/decide``. Content that was encoded when the playbook was compiled is copied."""
    return _encode(_Wire(decision_id, decision.playbook, decision.placements, token, decision.level, decision.degraded))


def shown(experiences: Experiences, decision: Decision) -> tuple[tuple[int, int], ...]:
    """What a decision showed, as numbers of placement and experience, for its token."""
    numbers = experiences.numbers
    placements = experiences.placements
    return tuple(
        (placements[name].number, numbers[answer.experience])
        for name, answer in decision.placements.items()
        if answer.experience is not None
    )
