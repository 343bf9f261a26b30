"""When an experiment is looked at, and what counts as significant then. Pure.

Look k of n counts the units exposed in the first k/n of the planned days, and comes when the last of them has had its
whole window and maturity. So every look adds whole units to those before it, and nothing that was counted changes.
"""

from collections.abc import Sequence
from itertools import chain, count, takewhile
from statistics import NormalDist

from msgspec import Struct

from cashwrap.analysis.statistics.sequential import boundaries, sequence_critical, spent
from cashwrap.declarations import DesignDecl
from cashwrap.experiments import SHARES
from cashwrap.model import Millis

DAY: Millis = 86_400_000
DAILY = 14
"""Always-valid designs are looked at on each of so many days, later once a week, and now: a holdout is years old,
and each look is a question to all of its facts."""


class Plan(Struct, frozen=True):
    """A design laid along the calendar: ``moments`` of the looks that have passed, ascending.

    ``of`` is how many there are in all, 0 where they have no end; ``ends`` the moment of the last one planned.
    """

    design: DesignDecl
    started: Millis
    moments: tuple[Millis, ...]
    of: int
    ends: Millis
    next: Millis | None

    @property
    def over(self) -> bool:
        """Whether the last planned look has passed."""
        return bool(self.moments) and self.moments[-1] >= self.ends


def lag(design: DesignDecl) -> Millis:
    """How long after an exposure nothing changes about its outcomes any more."""
    return design.window + design.maturity


def laid_out(design: DesignDecl, first: Millis, now: Millis) -> Plan:
    """The looks of a design whose first exposure was at ``first``: days begin at midnight, UTC."""
    started = first // DAY * DAY
    ends = started + design.days * DAY + lag(design)
    if design.method == "always_valid":
        newest = max(0, (now - started - lag(design)) // DAY)
        days = takewhile(lambda day: day < newest, chain(range(1, DAILY), count(DAILY, 7)))
        moments = tuple(started + day * DAY + lag(design) for day in (*days, newest) if day)
        return Plan(design, started, moments, 0, ends, started + (newest + 1) * DAY + lag(design))
    looks = 1 if design.method == "fixed" else design.looks
    planned = [started + design.days * DAY * look // looks + lag(design) for look in range(1, looks + 1)]
    passed = tuple(at for at in planned if at <= now)
    return Plan(design, started, passed, looks, ends, planned[len(passed)] if len(passed) < looks else None)


def critical(plan: Plan, information: Sequence[float], units: Sequence[int], alpha: float) -> tuple[float, ...]:
    """The z that counts at each look so far, for a false find with chance ``alpha`` over all of them.

    At each look ``information`` is 1 / variance of the effect, 0 for none, and ``units`` those of control and arm
    together. What counted at a look never changes afterwards.
    """
    if plan.design.method == "fixed":
        return (NormalDist().inv_cdf(1 - alpha / 2),) * len(information)
    if plan.design.method == "always_valid":
        return tuple(sequence_critical(count, alpha) for count in units)
    return boundaries([(look + 1) / plan.of for look in range(len(information))], information, alpha)


def spending(plan: Plan) -> float:
    """The share of the error that the looks so far have used up."""
    if plan.of == 0:
        return 1.0
    alpha = plan.design.alpha / SHARES
    return spent(len(plan.moments) / plan.of, alpha) / alpha if plan.moments else 0.0
