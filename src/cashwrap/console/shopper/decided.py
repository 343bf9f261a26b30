"""A decision as pages show it: what each placement looks like, and what kept every other experience from it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cashwrap.decide import GrantedOffer
from cashwrap.experiences import Reached
from cashwrap.experiments import SHARES
from cashwrap.playbook import Playbook
from cashwrap.tell import Opened, Part, Placed, Told

FAILED = 3
"""Parts of a condition that are told in one line; the whole of it is below."""


class Considered(Struct, frozen=True):
    """One experience that could have been it."""

    told: Told
    failed: tuple[Part, ...]
    """The smallest parts of its condition that do not hold, with the values they read: the first few."""
    reached: tuple[Reached, ...]
    """The arms it came to, where that says more than that it was shown."""


class Shown(Struct, frozen=True):
    """One placement's answer. ``content`` is what its component was told, ``None`` for the shop's own default."""

    name: str
    component: str
    experience: str | None
    variation: str | None
    content: Mapping[str, Any] | None
    reason: str
    offer: GrantedOffer | None
    considered: tuple[Considered, ...]


def shown(playbook: Playbook, placements: Mapping[str, Placed]) -> list[Shown]:
    """Every placement of an explained decision (``tell.tell``), as ``decision_parts.html`` renders it."""
    return [_shown(playbook, name, placed) for name, placed in placements.items()]


def failing(part: Part) -> Iterator[Part]:
    """The smallest parts of a condition that keep it from holding; segments are opened."""
    if part.result is True:
        return
    below = [each for each in _below(part) if each.result is not True]
    if not below:
        yield part
    for each in below:
        yield from failing(each)


def _below(part: Part) -> list[Part]:
    return [*part.parts, *(each.condition or _alone(each) for each in part.segments)]


def _alone(segment: Opened) -> Part:
    """A segment that has no condition to show, such as one that is pushed in from outside."""
    return Part(segment.name, segment.result, written={segment.name: segment.why})


def _shown(playbook: Playbook, name: str, placed: Placed) -> Shown:
    answer, declared = placed.answer, playbook.declarations.placements.get(name)
    content = None if answer.content is None else msgspec.json.decode(answer.content, type=dict[str, Any])
    return Shown(
        name,
        declared.component if declared is not None else "",
        answer.experience,
        answer.variation,
        content,
        answer.reason,
        answer.offer if isinstance(answer.offer, GrantedOffer) else None,
        tuple(_considered(each, placed) for each in placed.considered),
    )


def _considered(told: Told, placed: Placed) -> Considered:
    failed = list(failing(told.condition)) if told.condition is not None else []
    reached = (each for each in placed.reached if each.experience == told.experience)
    telling = tuple(each for each in reached if each.propensity < SHARES or each.outcome != "shown")
    return Considered(told, tuple(failed[:FAILED]), telling)
