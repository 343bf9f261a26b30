"""Segments: named three-valued conditions, evaluated in the order they depend on each other.

A segment's value is stored beside the attributes it was made from, as ``segments.<name>``: true, false, or ``None``
where a condition meets something unknown. Only true is membership.
"""

import bisect
import calendar
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from cashwrap import carts, sessions
from cashwrap.attributes import ATTRIBUTES, DAY, MINUTE
from cashwrap.condition.ast import Attribute, Compare, In, ListLiteral, Literal, Node, walk
from cashwrap.condition.check import Checked
from cashwrap.condition.evaluate import Predicate, compile_condition
from cashwrap.features import FeatureSet
from cashwrap.model import Millis, Profile, Value, Where

PREFIX = "segments."
HOUR = 60 * MINUTE


class Segment(Struct, frozen=True):
    """One compiled segment. ``needs`` names the segments its condition reads."""

    name: str
    checked: Checked | None
    """``None`` where members are pushed in."""
    predicate: Predicate | None
    needs: tuple[str, ...]
    flat: str
    """Where its value is found: ``segments.<name>``."""


class Segments(Struct, frozen=True):
    """Segments in dependency order, and what makes them change without an event."""

    ordered: tuple[Segment, ...] = ()
    steps: Mapping[str, tuple[int, ...]] = {}
    """For each attribute that time moves: the values at which some segment may change, ascending."""
    names: frozenset[str] = frozenset()
    beside_now: frozenset[str] = frozenset()
    """The attributes that ``now`` is compared with."""

    def evaluate(self, values: MutableMapping[str, Value], lists: Mapping[str, bool] | None) -> None:
        """Add every segment's value to ``values``.

        ``lists`` are the memberships pushed in; ``None`` where consent hides them, which makes them unknown.
        """
        for segment in self.ordered:
            if segment.predicate is not None:
                values[segment.flat] = segment.predicate(values)
            else:
                values[segment.flat] = lists.get(segment.name, False) if lists is not None else None

    def only(self, wanted: Iterable[str]) -> "Segments":
        """These segments and the ones they need: what a decision has to evaluate."""
        needs = {segment.name: segment.needs for segment in self.ordered}
        found: set[str] = set()
        stack = [name for name in wanted if name in needs]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(needs[name])
        return build([segment for segment in self.ordered if segment.name in found])

    def split(self, stable: Callable[[str], bool]) -> "tuple[Segments, Segments]":
        """Those that read stable attributes alone, through other segments too, and the rest."""
        standing: set[str] = set()
        for segment in self.ordered:
            read = segment.checked.attributes if segment.checked is not None else ()
            own = [name for name in read if not name.startswith(PREFIX)]
            if all(map(stable, own)) and standing.issuperset(segment.needs):
                standing.add(segment.name)
        first, rest = ([each for each in self.ordered if (each.name in standing) is is_in] for is_in in (True, False))
        return build(first), build(rest)


def compile_segments(checked: Mapping[str, Checked | None]) -> Segments:
    """Order and compile. ``None`` stands for a pushed list. Raises ``ValueError`` on a cycle; ``cycle`` names it."""
    found = {
        name: Segment(
            name,
            condition,
            compile_condition(condition) if condition is not None else None,
            segments_read(condition) if condition is not None else (),
            PREFIX + name,
        )
        for name, condition in checked.items()
    }
    ordered = order({name: segment.needs for name, segment in found.items()})
    return build([found[name] for name in ordered])


def build(ordered: list[Segment]) -> Segments:
    """Segments that are in order already."""
    names = frozenset(segment.name for segment in ordered)
    return Segments(tuple(ordered), _steps(ordered), names, _beside_now(ordered))


def segments_read(condition: Checked) -> tuple[str, ...]:
    """The segments a condition reads."""
    return tuple(name[len(PREFIX) :] for name in condition.attributes if name.startswith(PREFIX))


def order(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names so that each comes after those it needs. Raises ``ValueError`` where that cannot be."""
    done: dict[str, None] = {}
    for name in needs:
        stack = [(name, iter(needs[name]))]
        path = {name}
        while stack:
            current, rest = stack[-1]
            below = next((other for other in rest if other not in done and other in needs), None)
            if below is None:
                stack.pop()
                path.discard(current)
                done[current] = None
            elif below in path:
                names = [step for step, _ in stack]
                raise ValueError(" -> ".join([*names[names.index(below) :], below]))
            else:
                path.add(below)
                stack.append((below, iter(needs[below])))
    return list(done)


# --- membership over time ---


class Change(NamedTuple):
    """A shopper entered or left a segment."""

    segment: str
    entered: bool


def members_of(values: Mapping[str, Value], segments: Segments) -> frozenset[str]:
    """The segments the shopper is in."""
    return frozenset(segment.name for segment in segments.ordered if values.get(segment.flat) is True)


def transitions(before: frozenset[str], after: frozenset[str]) -> list[Change]:
    """What changed between two memberships, by name."""
    changes = [Change(name, entered=name in after) for name in before ^ after]
    return sorted(changes)


_FROM_WHERE = {
    "device": "device.type",
    "os": "device.os",
    "browser": "device.browser",
    "locale": "locale",
    "country": "location.country",
    "region": "location.region",
    "location_source": "location.source",
}


NOWHERE = Where()


def remembered_values(profile: Profile, newer: Where = NOWHERE) -> dict[str, Value]:
    """Request attributes as last seen, for asking about segments where there is no request.

    What ``newer`` tells comes before what the profile remembers.
    """
    found: dict[str, Value] = {}
    for name, path in _FROM_WHERE.items():
        seen = getattr(newer, name)
        if seen is None and (stamped := profile.where.get(name)) is not None:
            seen = stamped.value
        if seen is not None:
            found[path] = seen
    locale = found.get("locale")
    if isinstance(locale, str):
        found["language"] = locale.replace("_", "-").partition("-")[0].lower()
    return found


# --- what time alone changes ---


class Zones(NamedTuple):
    """The time zones that clocks are read in; ``None`` where one is not known."""

    shopper: ZoneInfo | None
    shop: ZoneInfo | None


def next_change(
    segments: Segments,
    features: FeatureSet,
    profile: Profile,
    now: Millis,
    zones: Zones,
    values: Mapping[str, Value],
) -> Millis | None:
    """The earliest moment after ``now`` at which a segment may change without an event; never too late.

    It may be early: then nothing has changed, and the question is asked again. ``values`` are the shopper's own at
    ``now``: some of them are moments that ``now`` is compared with.
    """
    moments = [features.next_change(profile, now)]
    steps = segments.steps
    session = sessions.current(profile, now)
    if session is not None and _SESSION & steps.keys():
        moments.append(session.end + sessions.GAP)
    for path, base in _bases(profile, now).items():
        if path in steps and base is not None:
            moments.append(_next_step(base, _MOVES[path], steps[path], now))
    for name in segments.beside_now:
        beside = values.get(name)
        moments += [beside, beside + 1] if isinstance(beside, int) else []
    if zones.shopper is not None:
        moments.append(_next_clock(steps, "time", zones.shopper, now))
        moments.append(_next_wall(steps.get("time.local", ()), zones.shopper, now))
    if zones.shop is not None:
        moments.append(_next_clock(steps, "shop_time", zones.shop, now))
    later = [moment for moment in moments if moment is not None and moment > now]
    return min(later, default=None)


_MOVES = {attribute.path: attribute.moves for attribute in ATTRIBUTES if attribute.moves}
_CLOCK = frozenset({"time.hour", "time.weekday", "time.is_weekend", "shop_time.hour", "shop_time.weekday"})
_WALL = frozenset({"time.local"})
_SESSION = frozenset({"session.events", "session.age_minutes", "days_since_last_visit"})
_NOW = "now"
_EVERY = -1
"""Stands for a change at every step: the attribute is compared with another one."""


def _bases(profile: Profile, now: Millis) -> dict[str, Millis | None]:
    """Since when each moving attribute counts."""
    session = sessions.current(profile, now)
    ended = profile.sessions[:-1] if session else profile.sessions
    return {
        "now": 0,
        "session.age_minutes": session.start if session else None,
        "days_since_last_visit": ended[-1].end if ended else None,
        "open_cart.idle_minutes": profile.cart.touched if carts.lines(profile.cart) else None,
    }


def _next_step(base: Millis, unit: int, thresholds: tuple[int, ...], now: Millis) -> Millis | None:
    value = max(0, now - base) // unit
    if _EVERY in thresholds:
        return base + (value + 1) * unit
    place = bisect.bisect_right(thresholds, value)
    return base + thresholds[place] * unit if place < len(thresholds) else None


def _next_clock(steps: Mapping[str, tuple[int, ...]], clock: str, zone: ZoneInfo, now: Millis) -> Millis | None:
    """The next local hour, or midnight, that some segment asks for; after at most a day the question is asked again."""
    if not any(name in steps for name in _CLOCK if name.startswith(f"{clock}.")):
        return None
    hours = {0, *steps.get(f"{clock}.hour", ())}
    moment = now - now % (15 * MINUTE)
    for _ in range(4 * 24):  # quarters of an hour: no zone is finer
        moment += 15 * MINUTE
        local, past = _local(moment, zone), _local(moment - 15 * MINUTE, zone)
        if local.hour != past.hour and (local.hour in hours or _EVERY in hours):
            return moment
    return now + DAY


def _next_wall(thresholds: Iterable[int], zone: ZoneInfo, now: Millis) -> Millis | None:
    """When the clock on the wall next shows, or jumps over, one of the dates and times.

    Where clocks are turned, a time is there twice or never; between its two readings every quarter of an hour is looked
    at, as no clock is turned at another minute.
    """
    moments = []
    for threshold in thresholds:
        if threshold == _EVERY:
            moments.append(now - now % MINUTE + MINUTE)
            continue
        wall = _first_at(threshold)
        if wall is not None:
            first, second = sorted(_millis(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
            turned = first <= now < second
            moments += [first, second, *([now - now % (15 * MINUTE) + 15 * MINUTE] if turned else [])]
    return min([moment for moment in moments if moment > now], default=None)


_YEARS = range(1970, 9999)
"""All thresholds before are passed, and those after never come."""


def _first_at(number: int) -> datetime | None:
    """The first real date and time at or after one written as yyyymmddHHMM, such as 202612241800; None beyond years."""
    rest, minute = divmod(number, 100)
    rest, hour = divmod(rest, 100)
    rest, day = divmod(rest, 100)
    year, month = divmod(rest, 100)
    if year not in _YEARS:
        return None
    if minute > 59:
        hour, minute = hour + 1, 0
    if hour > 23:
        day, hour, minute = day + 1, 0, 0
    if not month:
        month, day, hour, minute = 1, 1, 0, 0
    if not day:
        day, hour, minute = 1, 0, 0
    if month <= 12 and day > calendar.monthrange(year, month)[1]:
        month, day, hour, minute = month + 1, 1, 0, 0
    if month > 12:
        year, month, day, hour, minute = year + 1, 1, 1, 0, 0
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 - its zone is the caller's


def _millis(moment: datetime) -> Millis:
    return (moment - datetime.fromtimestamp(0, ZoneInfo("UTC"))) // timedelta(milliseconds=1)


def _local(moment: Millis, zone: ZoneInfo) -> datetime:
    return (datetime.fromtimestamp(0, ZoneInfo("UTC")) + timedelta(milliseconds=moment)).astimezone(zone)


def _steps(segments: Iterable[Segment]) -> dict[str, tuple[int, ...]]:
    """For every attribute that time moves, where a comparison with it may flip."""
    found: dict[str, set[int]] = {}
    for segment in segments:
        if segment.checked is None:
            continue
        for node in walk(segment.checked.node):
            for path, flips in _flips(node):
                if path in _MOVES or path in _CLOCK or path in _SESSION or path in _WALL:
                    found.setdefault(path, set()).update(flips)
    found.get(_NOW, set()).discard(_EVERY)  # what it is compared with says when: see beside_now
    return {path: tuple(sorted(flips)) for path, flips in found.items()}


def _beside_now(segments: Iterable[Segment]) -> frozenset[str]:
    nodes = [node for segment in segments if segment.checked is not None for node in walk(segment.checked.node)]
    sides = [
        {node.left.name, node.right.name}
        for node in nodes
        if isinstance(node, Compare) and isinstance(node.left, Attribute) and isinstance(node.right, Attribute)
    ]
    return frozenset(name for pair in sides if _NOW in pair for name in pair - {_NOW})


def _flips(node: Node) -> Iterator[tuple[str, set[int]]]:
    """The attributes a node reads, and the whole values at which what the node says may change."""
    match node:
        case Compare(op, Attribute(path), Literal(value)):
            yield path, _passing(op, value)
        case Compare(_, Attribute(path), Attribute(other)):
            yield path, {_EVERY}
            yield other, {_EVERY}
        case In(Attribute(path), ListLiteral(items)):
            yield path, {step for item in items for step in _passing("==", item.value)}
        case Attribute(path):
            yield path, set()


def _passing(op: str, value: object) -> set[int]:
    """The values at which a comparison flips for an integer that grows by one at a time."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return set()
    after = int(Decimal(value).to_integral_value(ROUND_FLOOR)) + 1
    reached = after if Decimal(value) % 1 else int(value)
    return {after} if op in {">", "<="} else {reached} if op in {">=", "<"} else {reached, after}
