"""What is true of a simulated shop: what a change does, from what every shopper would do with it and without."""

from collections.abc import Callable, Collection, Iterable
from statistics import fmean

from msgspec import Struct

from cashwrap.model import Millis
from cashwrap.testing.shoppers.people import Outcome, Shopper

Beside = Callable[[Shopper, int], Collection[str]]
"""What else a shopper sees on a visit, by the names of effects."""


def nothing(_shopper: Shopper, _visit: int) -> Collection[str]:
    """Nothing else is seen."""
    return ()


class Means(Struct, frozen=True):
    """Of each shopper: the chance to order at all, and minor units of money."""

    conversion: float = 0.0
    revenue: float = 0.0
    """After discounts, refunds and returns."""
    profit: float = 0.0

    def __sub__(self, other: "Means") -> "Means":
        return Means(self.conversion - other.conversion, self.revenue - other.revenue, self.profit - other.profit)


class Truth(Struct, frozen=True):
    """Both worlds of the same shoppers."""

    shoppers: int
    seen: Means
    unseen: Means

    @property
    def effect(self) -> Means:
        """What seeing it does to a shopper, on average."""
        return self.seen - self.unseen


def truth(
    people: Iterable[Shopper], effects: Collection[str], beside: Beside = nothing, within: Millis | None = None
) -> Truth:
    """The average effect of seeing these effects on all visits, on exactly these people, against seeing none of them.

    ``beside`` is what they see either way; ``within`` leaves out visits that begin later after the first. Raises
    ``ValueError`` for an effect that adds products, since what it adds depends on what was shown.
    """
    people = list(people)
    if any(each.adds and each.name in effects for who in people for each in who.effects):
        raise ValueError("what an effect adds to the basket depends on the answer, so its truth is not known before")
    return Truth(
        len(people),
        means(told(who, effects, beside, within) for who in people),
        means(told(who, (), lambda who, visit: set(beside(who, visit)) - set(effects), within) for who in people),
    )


def told(who: Shopper, effects: Collection[str], beside: Beside = nothing, within: Millis | None = None) -> Outcome:
    """What comes of all visits of one shopper who sees these effects, and what is beside them, on each."""
    found = Outcome()
    for number, visit in enumerate(who.visits):
        if within is None or visit.after <= within:
            found += who.outcome({*effects, *beside(who, number)}, number)
    return found


def means(outcomes: Iterable[Outcome]) -> Means:
    """Averages over shoppers; zero over none."""
    found = list(outcomes)
    if not found:
        return Means()
    return Means(
        fmean(each.orders > 0 for each in found),
        fmean(each.net for each in found),
        fmean(each.profit for each in found),
    )
