"""Attention: how often a shopper has been shown something, and when that is enough. Pure.

What is counted are exposures, by what they claim attention for: the experience, its placement, the placement's
format, and everything together. The newest times are kept sorted and the rest as a number, so that any order of
arrival ends the same.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Literal

from msgspec import Struct

from cashwrap.declarations import CapsDecl
from cashwrap.model import Impressions, Millis

DAY: Millis = 86_400_000
KEPT = 50
"""Times kept of each thing that is counted: a cap for a session or a day is at most this."""
KEYS = 200
"""Things counted for one shopper: the ones that happened last."""
ALL = "all"
"""The key under which everything shown counts, and the name of its caps in a playbook."""

Limit = Literal["session", "day", "shopper", "cool_down"]


class Cap(Struct, frozen=True):
    """The limits of one thing that is counted, by its key."""

    key: str
    limits: CapsDecl


def keys_of(experience: str, placement: str, form: str) -> tuple[str, str, str, str]:
    """Everything that showing this experience counts for."""
    return f"experience:{experience}", f"placement:{placement}", f"format:{form}", ALL


def reached(
    caps: Iterable[Cap], impressions: Mapping[str, Impressions], now: Millis, session_start: Millis
) -> tuple[str, Limit] | None:
    """The first limit that forbids one more, as the key it counts under and its name."""
    for cap in caps:
        seen = impressions.get(cap.key)
        if seen is None:
            continue
        limits, times = cap.limits, seen.times
        if limits.cool_down is not None and seen.dismissed and now - seen.dismissed < limits.cool_down:
            return cap.key, "cool_down"
        if limits.shopper is not None and seen.count >= limits.shopper:
            return cap.key, "shopper"
        if limits.day is not None and _since(times, now - DAY) >= limits.day:
            return cap.key, "day"
        if limits.session is not None and _since(times, session_start - 1) >= limits.session:
            return cap.key, "session"
    return None


def _since(times: list[Millis], moment: Millis) -> int:
    """How many are later than the moment."""
    return len(times) - bisect_right(times, moment)


def count(impressions: MutableMapping[str, Impressions], keys: Iterable[str], time: Millis) -> None:
    """Count one exposure under each key."""
    for key in keys:
        seen = _at(impressions, key, time)
        if seen is not None:
            insort(seen.times, time)
            del seen.times[:-KEPT]
            seen.count += 1


def dismiss(impressions: MutableMapping[str, Impressions], keys: Iterable[str], time: Millis) -> None:
    """Note under each key that the shopper sent it away."""
    for key in keys:
        seen = _at(impressions, key, time)
        if seen is not None:
            seen.dismissed = max(seen.dismissed, time)


def merge(into: MutableMapping[str, Impressions], other: Mapping[str, Impressions]) -> None:
    """Take over what another device of the same shopper counted."""
    for key, theirs in other.items():
        seen = _at(into, key, _newest(theirs))
        if seen is not None:
            seen.times = sorted([*seen.times, *theirs.times])[-KEPT:]
            seen.count += theirs.count
            seen.dismissed = max(seen.dismissed, theirs.dismissed)


def _at(impressions: MutableMapping[str, Impressions], key: str, time: Millis) -> Impressions | None:
    """What is counted under a key. Where there is no room for another, what happened longest ago makes way: else the
    experiences of years ago would keep those of today from ever being counted."""
    seen = impressions.get(key)
    if seen is not None:
        return seen
    if len(impressions) >= KEYS:
        oldest, when = min(((each, _newest(counted)) for each, counted in impressions.items()), key=_when)
        if (when, oldest) > (time, key):
            return None
        del impressions[oldest]
    seen = impressions[key] = Impressions()
    return seen


def _newest(seen: Impressions) -> Millis:
    return max(seen.dismissed, seen.times[-1] if seen.times else 0)


def _when(counted: tuple[str, Millis]) -> tuple[Millis, str]:
    return counted[1], counted[0]
