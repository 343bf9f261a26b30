"""Failed events by their reason: how many wait, how old they are, an example, and what to do about them."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from cashwrap.model import Millis, Tenant
from cashwrap.ports import Failure
from cashwrap.world import World

EXAMPLES = 5_000
"""Failed events that are looked through for an example of each code: the oldest."""
DAY: Millis = 86_400_000
Remedy = Literal["field", "declare", "repeat", "sender", "report", "wait"]
_REMEDIES: Mapping[str, Remedy] = {
    "undeclared_event": "declare",
    "conflicting_message_id": "repeat",
    "fold_failed": "report",
    "event_failed": "report",
    "shopper_too_busy": "sender",
    "profile_unreadable": "wait",
    "missing_identity": "sender",
    "unknown_type": "sender",
    "missing_event": "sender",
}


class Group(Struct, frozen=True):
    """All failed events of one code. ``ages`` are how many are younger than a day, than a week, and older."""

    code: str
    count: int
    ages: tuple[int, int, int]
    remedy: Remedy
    example: Failure | None = None


def remedy_of(code: str) -> Remedy:
    """What is to be done about events of a code."""
    return _REMEDIES.get(code, "field" if code.startswith(("invalid_", "missing_", "too_", "no_")) else "sender")


def groups(world: World, tenant: Tenant) -> list[Group]:
    """The failed events of a store by code, most of them first."""
    today = world.clock.now() // DAY * DAY
    counts: dict[str, list[int]] = {}
    for of, code, day, count in world.failed.tally():
        if of == tenant:
            counts.setdefault(code, [0, 0, 0])[0 if day >= today else 1 if day >= today - 6 * DAY else 2] += count
    examples = _examples(world, tenant, set(counts))
    found = [
        Group(code, sum(ages), (ages[0], ages[1], ages[2]), remedy_of(code), examples.get(code))
        for code, ages in counts.items()
    ]
    return sorted(found, key=lambda each: (-each.count, each.code))


def _examples(world: World, tenant: Tenant, codes: set[str]) -> dict[str, Failure]:
    found: dict[str, Failure] = {}
    after, looked = 0, 0
    while len(found) < len(codes) and looked < EXAMPLES and (page := world.failed.failures(after)):
        for failure in page:
            if failure.tenant == tenant:
                found.setdefault(failure.code, failure)
        after, looked = page[-1].sequence, looked + len(page)
    return found
