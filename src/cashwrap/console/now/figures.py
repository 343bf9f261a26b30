"""What pulses say, added up: points of seconds, minutes and hours, by store and of the whole installation. Pure.

Pulses carry counters that grow, so two of one process tell what happened between them, and a process that began anew
begins at nothing. Everything in a point adds up: over processes, over stores, over time.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf

from msgspec import Struct

from cashwrap.counts import BUCKETS
from cashwrap.model import Millis
from cashwrap.pulse import FALLBACK, SHOWN, Pulse, StorePulse

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DAY = 24 * HOUR
KEPT: Mapping[Millis, int] = {SECOND: 10 * 60, MINUTE: 24 * 60, HOUR: 90 * 24}
"""How many points of each length are kept."""
ALL = ""
"""Names the whole installation where a store's name would stand."""
STORES = 300
"""Stores whose points are kept; of more, only what they come to together."""
FORGOTTEN: Millis = 10 * MINUTE
"""How long a process that says nothing is remembered."""


class Point(Struct, array_like=True, gc=False):
    """What happened in one second, minute or hour. Kept on disk: new fields go last."""

    decisions: int = 0
    degraded: int = 0
    answers: int = 0
    """Placements answered, of the decisions that were looked at ..."""
    shown: int = 0
    """... that showed an experience, and ..."""
    fallbacks: int = 0
    """... that showed the shop's default in place of one."""
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    failed: int = 0
    dropped: int = 0
    refused: int = 0
    orders: int = 0
    """Orders by their own time, as the backend reported them, each once ..."""
    hints: int = 0
    """... and as browsers told of them, each once."""
    no_room: int = 0
    """Failed events there was no room for."""
    seconds: float = 0.0
    """How long decisions took together; of the whole installation only, as what follows."""
    buckets: list[int] = []

    @property
    def events(self) -> int:
        """Events received."""
        return self.stored + self.duplicate + self.conflict + self.failed + self.dropped + self.refused

    def add(self, other: "Point") -> None:
        """Take another point in."""
        for name in _SUMS:
            more = getattr(other, name)
            if more:
                setattr(self, name, getattr(self, name) + more)
        if other.buckets:
            self.buckets = _summed(self.buckets, other.buckets)

    def share(self, part: str, whole: str) -> float:
        """One figure as a share of another; 0 of nothing."""
        of = getattr(self, whole)
        return getattr(self, part) / of if of else 0.0


_SUMS = tuple(name for name in Point.__struct_fields__ if name != "buckets")


class Series:
    """Points of one length, the newest ``KEPT`` of them; where nothing happened there is none."""

    def __init__(self, length: Millis) -> None:
        self.length = length
        self.points: dict[int, Point] = {}
        """By when they began, in milliseconds."""
        self.changed: set[int] = set()
        """Points that are not on disk yet."""

    def add(self, at: Millis, point: Point) -> None:
        """Something happened at this moment."""
        began = at - at % self.length
        known = self.points.get(began)
        if known is None:
            known = self.points[began] = Point()
        known.add(point)
        self.changed.add(began)

    def prune(self, now: Millis) -> None:
        """Forget what is too old."""
        oldest = now - KEPT[self.length] * self.length
        for began in [began for began in self.points if began < oldest]:
            del self.points[began]
            self.changed.discard(began)

    def between(self, since: Millis, until: Millis) -> Point:
        """The points that began at ``since`` or later and before ``until``, added up."""
        total = Point()
        for began in range(since + -since % self.length, until, self.length):
            point = self.points.get(began)
            if point is not None:
                total.add(point)
        return total

    def steps(self, now: Millis, span: Millis, step: Millis) -> Iterator[tuple[Millis, Point]]:
        """The last ``span`` in steps, up to the last one that has ended: each with when it began."""
        until = now - now % step
        for began in range(until - span, until, step):
            yield began, self.between(began, began + step)


class Curves:
    """All series of one store, or of all."""

    def __init__(self) -> None:
        self.series = {length: Series(length) for length in KEPT}
        self._day: tuple[int, Point] = (-1, Point())

    def add(self, at: Millis, point: Point, now: Millis) -> None:
        """Something happened at a moment, which may be a while ago."""
        for length, series in self.series.items():
            if at > now - KEPT[length] * length:
                series.add(at, point)

    def last(self, now: Millis, span: Millis) -> Point:
        """What the time just past came to: up to ten minutes by the second, a day by the minute."""
        length = SECOND if span <= KEPT[SECOND] * SECOND else MINUTE
        return self.series[length].between(now - span, now + 1)

    def day(self, now: Millis, but: Millis) -> Point:
        """What the last day came to, ``but`` its end; added up once a minute."""
        minute = now // MINUTE
        if self._day[0] != minute:
            self._day = minute, self.series[MINUTE].between(now - DAY, now - but)
        return self._day[1]


class Process(Struct, frozen=True):
    """A process as it was heard last."""

    pulse: Pulse
    heard: Millis


class Heard:
    """Everything that processes said, subtracted: what each pulse adds to what was known."""

    def __init__(self, began: Millis) -> None:
        self._began = began
        """Since when somebody listens."""
        self.processes: dict[str, Process] = {}
        """By role: whoever has one next takes the place of who had it before."""

    def take(self, pulse: Pulse, now: Millis) -> dict[str, Point]:
        """What happened since the process's last pulse, by store and in all.

        Of a process that is older than this listener, what it counted before belongs to no moment, and is left out.
        """
        known = self.processes.get(pulse.role)
        before = known.pulse if known is not None and known.pulse.process == pulse.process else None
        if before is not None and pulse.at < before.at:
            return {}  # it was overtaken
        if pulse.ending:
            self.processes.pop(pulse.role, None)
        else:
            self.processes[pulse.role] = Process(pulse, now)
        if before is None and pulse.began < self._began:
            return {}
        return _between(before, pulse)

    def prune(self, now: Millis) -> None:
        """Forget who has been silent for long."""
        for role in [role for role, each in self.processes.items() if now - each.heard > FORGOTTEN]:
            del self.processes[role]


def at_most(buckets: list[int], share: float) -> float | None:
    """Seconds that so large a share of decisions took at most, as far as buckets tell: an upper bound.

    ``inf`` where it took longer than the last bound; ``None`` of no decisions.
    """
    total = sum(buckets)
    if not total:
        return None
    for bound, reached in zip((*BUCKETS, inf), accumulate(buckets), strict=False):
        if reached >= share * total:
            return bound
    return inf


def slower(buckets: list[int], seconds: float) -> int:
    """How many decisions took longer than one of ``BUCKETS``' bounds."""
    return sum(buckets[BUCKETS.index(seconds) + 1 :])


def _between(before: Pulse | None, pulse: Pulse) -> dict[str, Point]:
    """What two pulses of a process have between them; all of the second where there is no first."""
    stores = before.stores if before is not None else {}
    found = {name: _store(stores.get(name, StorePulse()), store) for name, store in pulse.stores.items()}
    whole = _sum(found.values())
    earlier = before.buckets if before is not None else []
    whole.buckets = _summed(pulse.buckets, [-count for count in earlier])
    whole.seconds = pulse.seconds - (before.seconds if before is not None else 0.0)
    whole.no_room = pulse.no_room - (before.no_room if before is not None else 0)
    return {ALL: whole, **{name: point for name, point in found.items() if point != Point()}}


def _store(before: StorePulse, after: StorePulse) -> Point:
    reasons = {reason: count - before.reasons.get(reason, 0) for reason, count in after.reasons.items()}
    old, new = before.events, after.events
    return Point(
        decisions=after.decisions - before.decisions,
        degraded=after.degraded - before.degraded,
        answers=sum(reasons.values()),
        shown=sum(count for reason, count in reasons.items() if reason in SHOWN),
        fallbacks=sum(count for reason, count in reasons.items() if reason in FALLBACK),
        stored=new.stored - old.stored,
        duplicate=new.duplicate - old.duplicate,
        conflict=new.conflict - old.conflict,
        failed=new.failed - old.failed,
        dropped=new.dropped_by_consent - old.dropped_by_consent,
        refused=new.refused - old.refused,
    )


def _sum(points: Iterable[Point]) -> Point:
    total = Point()
    for point in points:
        total.add(point)
    return total


def _summed(one: list[int], other: list[int]) -> list[int]:
    longest = max(len(one), len(other))
    padded = [each + [0] * (longest - len(each)) for each in (one, other)]
    return [mine + theirs for mine, theirs in zip(*padded, strict=True)]
