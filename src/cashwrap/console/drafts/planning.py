"""How long an experiment of a draft would take, as its report says before it begins. Worked out in the job process."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cashwrap.errors import InvalidInput
from cashwrap.extras import part_of
from cashwrap.history import write_facts
from cashwrap.library import FACTS, open_world
from cashwrap.model import Tenant
from cashwrap.playbook import examine
from cashwrap.versions import playbook_files


class Planned(Struct, frozen=True):
    """What is planned, and what it would find: shares are of one. ``days`` is what the design says, ``needed`` how many
    days it takes at the traffic of now (``None`` where that is not known), ``units`` how many have to take part."""

    days: int
    wanted: float
    needed: float | None
    units: int | None
    a_day: float
    detectable: float | None
    notes: tuple[str, ...] = ()


def planned(data: Path, tenant: Tenant, files: Mapping[str, str], experience: str) -> Planned:
    """The prospect of a draft's experiment, from what lately reached its placement. Runs in the job process.

    Raises ``InvalidInput``: ``invalid_playbook`` where the draft has a mistake, ``no_experiment``.
    """
    playbook, _ = examine(playbook_files(files))
    if playbook is None:
        raise InvalidInput("the draft has a mistake; mend it first", code="invalid_playbook")
    making = part_of("analysis", "making")
    with open_world(data, serving=False) as world:
        question = making.question_of(world, experience, tenant, playbook)
        write_facts(world, data / FACTS)
        found = making.made(world, data / FACTS, question)
    plan, days = found.plan, question.design.days
    if plan is None:
        return Planned(days, question.design.detect / 10_000, None, None, 0.0, None)
    notes = tuple(note.message for note in plan.notes)
    return Planned(days, plan.wanted, plan.days_left, plan.units_needed, plan.units_a_day, plan.detectable, notes)
