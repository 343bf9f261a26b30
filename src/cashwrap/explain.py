"""Why a decision was what it was: every experience of a placement, and what became of it. Pure.

The choice is not judged a second time: ``decide`` itself is asked to note what it tries.
"""

from msgspec import Struct

from cashwrap.condition import Explanation
from cashwrap.condition import explain as explain_condition
from cashwrap.content import Catalogue
from cashwrap.decide import NO_CATALOGUE, NOTHING_KILLED, Kills, Noted, decide
from cashwrap.experiences import Experience, Experiences, Reached
from cashwrap.model import Answer, Decision, Inputs

OUTCOMES = (
    "shown", "outranked", "condition_false", "condition_unknown", "killed", "no_consent", "no_content", "error",
    "control", "holdout", "capped", "not_enrolled", "preview", "quiet", "no_offer", "unfunded",
)  # fmt: skip
"""What may become of an experience."""


class Considered(Struct, frozen=True):
    """One experience, and why it was shown or not. ``condition`` has every part with the values it read."""

    experience: str
    priority: int
    outcome: str
    why: str
    condition: Explanation | None


class Explained(Struct, frozen=True):
    """A placement's answer, every experience that could have been it, and the exposures it came to."""

    answer: Answer
    considered: list[Considered]
    reached: list[Reached] = []


def explain(
    experiences: Experiences,
    inputs: Inputs,
    catalogue: Catalogue = NO_CATALOGUE,
    kills: Kills = NOTHING_KILLED,
) -> dict[str, Explained]:
    """Each placement asked for with its answer and all its experiences, the one to try first first."""
    notes: dict[str, list[Noted]] = {}
    decision = decide(experiences, inputs, catalogue, kills, notes=notes)
    found = {}
    for name, answer in decision.placements.items():
        placement = experiences.placements.get(name)
        listed = experiences.ordered[placement.first : placement.stop] if placement is not None else ()
        noted = {each.experience: each for each in notes.get(name, [])}
        considered = [_considered(each, answer, inputs, noted.get(each.name)) for each in listed]
        found[name] = Explained(answer, considered, reached(experiences, decision, name))
    return found


def reached(experiences: Experiences, decision: Decision, placement: str) -> list[Reached]:
    """The exposures that a decision came to in a placement, by their names."""
    names = experiences.names
    return [names.read(each) for each in decision.exposures if names.placements[each[0]] == placement]


def _considered(experience: Experience, answer: Answer, inputs: Inputs, noted: Noted | None) -> Considered:
    checked = experience.condition
    condition = explain_condition(checked, inputs.values) if checked is not None else None
    outcome, why = (noted.outcome, noted.why) if noted is not None else _untried(condition, answer)
    return Considered(experience.name, experience.priority, outcome, why, condition)


_ALL = {
    "killed": "switched off by an operator",
    "no_consent": "the shopper does not allow what this placement needs",
    "quiet": "the shopper is typing payment data",
    "error": "deciding failed here",
}
"""Reasons that keep a whole placement to the shop's default."""


def _untried(condition: Explanation | None, answer: Answer) -> tuple[str, str]:
    """What to say of an experience that the choice never came to."""
    if condition is not None and condition.result is None:
        return "condition_unknown", "a value it needs is not known"
    if condition is not None and condition.result is False:
        return "condition_false", "its condition does not hold"
    if answer.experience is None and answer.reason in _ALL:
        return answer.reason, _ALL[answer.reason]
    return "outranked", f"{answer.experience} comes first"
