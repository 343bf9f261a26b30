"""Who is in which arm: a salted hash of the declared unit, and nothing else. Pure.

One 32-bit MurmurHash3 of ``salt:unit`` decides. Its remainder by 10,000 says whether the unit takes part, its
quotient which arm it is in: two numbers that do not know of each other, so that more traffic never moves anybody
from one arm to another. All shares are whole parts of 10,000.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cmp_to_key, lru_cache
from typing import Literal, NamedTuple

import mmh3
import msgspec
from msgspec import Struct

from cashwrap.declarations import HoldoutDecl
from cashwrap.model import Millis, Value

SHARES = 10_000
"""Parts of a whole: shares, weights and propensities count them."""
_TURNS = (1 << 32) // SHARES + 1
"""How many different quotients a 32-bit hash has."""
_CLEAR = 1e-12
"""What two logarithms differ by, at least, where rounding (below 1e-14) cannot have changed which is greater."""
_hash = mmh3.hash


class Layout(NamedTuple):
    """The arms along a line of 10,000 places: arm ``owners[i]`` has those below ``bounds[i]``."""

    bounds: tuple[int, ...]
    owners: tuple[int, ...]


class Slot(NamedTuple):
    """An experiment's part of its layer: the units whose place, by the layer's salt, is from ``start`` on."""

    salt: str
    start: int


class Assigned(NamedTuple):
    """A unit's arm, and the chance, of 10,000, with which it got it."""

    arm: int
    propensity: int


class Trial(Struct, frozen=True):
    """An experiment, compiled. Arms are counted as in ``arms``; the last one is always the holdout.

    ``holdout`` is the share of units kept out for good; ``chances`` what a unit of each arm is assigned.
    """

    salt: str
    units: tuple[str, ...]
    arms: tuple[str, ...]
    chances: tuple[Assigned, ...]
    layout: Layout
    traffic: tuple[tuple[Millis, int], ...] = ((0, SHARES),)
    holdout: int = 0
    slot: Slot | None = None
    sees: Literal["default", "next"] = "default"
    sticky: bool = True
    quick: tuple[str, tuple[int, ...], tuple[Assigned, ...]] = ("", (), ())
    """For ``assign``: what is hashed before the unit, the layout's bounds as quotients, and what lies below each."""
    everyone: bool = False
    """Whether every unit takes part in an arm, now and later."""


def trial(plain: Trial) -> Trial:
    """A trial with what ``assign`` needs to be quick."""
    bounds = tuple(-(-bound * _TURNS // SHARES) for bound in plain.layout.bounds)
    picks = tuple(plain.chances[owner] for owner in plain.layout.owners)
    everyone = plain.traffic == ((0, SHARES),) and not plain.holdout and plain.slot is None
    return msgspec.structs.replace(plain, quick=(f"{plain.salt}:", bounds, picks), everyone=everyone)


def hash_unit(salt: str, unit: str) -> int:
    """A 32-bit hash, the same in every language: MurmurHash3 x86_32, seed 0, of ``salt:unit`` in UTF-8."""
    return _hash(f"{salt}:{unit}", 0, False)  # noqa: FBT003 - mmh3 takes it by position only


def in_holdout(holdout: HoldoutDecl, units: Mapping[str, str], values: Mapping[str, Value]) -> bool:
    """Whether a shopper is in the shop's holdout, by the first of its units that is known."""
    unit = unit_of(holdout.unit, units, values) if holdout.share else ""
    return bool(unit) and hash_unit(holdout.salt, unit) % SHARES < holdout.share


def unit_of(chain: Sequence[str], units: Mapping[str, str], values: Mapping[str, Value]) -> str:
    """The first of the chain that is known; empty where none is: nobody is assigned by chance.

    An attribute counts where it is a text or a whole number.
    """
    for name in chain:
        found = units.get(name)
        if found:
            return found
        value = values.get(name)
        if value is not None and (isinstance(value, str) or type(value) is int):
            return str(value)
    return ""


def share_at(traffic: Sequence[tuple[Millis, int]], now: Millis) -> int:
    """The share of units that take part now: that of the newest step that has begun."""
    share = traffic[0][1]
    for since, step in traffic[1:]:
        if now < since:
            break
        share = step
    return share


def assign(trial: Trial, unit: str, now: Millis, seen: Mapping[str, str]) -> Assigned | None:
    """The unit's arm, or ``None`` where it does not take part.

    ``seen`` has the arm that the shopper saw first, by salt: it stands as long as the experiment runs at all.
    """
    if trial.everyone and unit and not seen:
        prefix, bounds, picks = trial.quick
        return picks[bisect_right(bounds, _hash(prefix + unit, 0, False) // SHARES)]  # noqa: FBT003
    share = share_at(trial.traffic, now)
    if not share:
        return None
    if seen and trial.sticky and (arm := seen.get(trial.salt)) is not None and arm in trial.arms:
        return trial.chances[trial.arms.index(arm)]  # also where the unit of that time is not known here and now
    if not unit:
        return None
    if trial.holdout and hash_unit(f"{trial.salt}:holdout", unit) % SHARES < trial.holdout:
        return trial.chances[-1]
    slot = trial.slot
    if slot is not None and (hash_unit(slot.salt, unit) - slot.start) % SHARES >= share:
        return None
    prefix, bounds, picks = trial.quick
    hashed = _hash(prefix + unit, 0, False)  # noqa: FBT003
    if slot is None and hashed % SHARES >= share:
        return None
    return picks[bisect_right(bounds, hashed // SHARES)]


@lru_cache(maxsize=1024)
def lay_out(shares: tuple[int, ...], rest: int) -> Layout:
    """Arms along the line, so that an arm which grows at the cost of arm ``rest`` moves nobody between the others.

    Every arm but ``rest`` has a home of equal size and fills it from its start; what does not fit goes to the free
    ends of the other homes, the last first. ``rest`` (-1 for none) has whatever is left. ``shares`` come to 10,000.
    """
    arms = [arm for arm, share in enumerate(shares) if arm != rest and share]
    places = [rest] * SHARES
    over: list[tuple[int, int]] = []
    for order, arm in enumerate(arms):
        start, stop = SHARES * order // len(arms), SHARES * (order + 1) // len(arms)
        filled = min(shares[arm], stop - start)
        places[start : start + filled] = [arm] * filled
        over.append((arm, shares[arm] - filled))
    free = [place for place in reversed(range(SHARES)) if places[place] == rest]
    for arm, missing in over:
        for place in free[:missing]:
            places[place] = arm
        del free[:missing]
    starts = [place for place in range(1, SHARES) if places[place] != places[place - 1]]
    bounds = (*starts, SHARES)
    return Layout(bounds, tuple(places[bound - 1] for bound in bounds))


def draw(salt: str, unit: str, weights: Mapping[str, int]) -> list[str]:
    """Names in the order that the unit draws them: the first with a chance in proportion to its weight.

    Weighted rendezvous hashing: each name has a number u of its own in (0, 1], and the greatest u ** (1 / weight)
    comes first, so that a name which joins, leaves or gains weight changes nothing between the others. Compared
    exactly, where logarithms do not tell, as whole numbers: u ** w_other against u_other ** w. Efraimidis and
    Spirakis (2006), doi 10.1016/j.ipl.2005.11.003.
    """
    numbers = {name: hash_unit(f"{salt}:{name}", unit) + 1 for name in weights}
    logarithms = {name: (math.log2(numbers[name]) - 32) / weight for name, weight in weights.items()}

    def compare(one: str, other: str) -> int:
        apart = logarithms[other] - logarithms[one]
        if abs(apart) > _CLEAR:
            return 1 if apart > 0 else -1
        earlier = _before(numbers[one], weights[one], numbers[other], weights[other])
        return _before(numbers[other], weights[other], numbers[one], weights[one]) - earlier

    return sorted(weights, key=cmp_to_key(compare))


def _before(mine: int, weight: int, other: int, its: int) -> bool:
    """Whether (mine / 2**32) ** (1 / weight) is greater than (other / 2**32) ** (1 / its)."""
    return bool(mine**its << 32 * weight > other**weight << 32 * its)
