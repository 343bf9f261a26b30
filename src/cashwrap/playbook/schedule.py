"""Moments as a shop writes them, and a schedule as the condition that it is. Local times, and what they mean in UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

from cashwrap.declarations import ScheduleDecl, Spot
from cashwrap.model import Millis
from cashwrap.playbook.document import Node
from cashwrap.playbook.json_schema import DAY
from cashwrap.playbook.schema import DAYS, DEFINITIONS, HOURS, MOMENT, ZONES
from cashwrap.playbook.shape import Shape

_MOMENT, _DAY, _HOURS = re.compile(MOMENT), re.compile(DAY), re.compile(HOURS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_WESTERNMOST = timedelta(hours=12)
"""How long after UTC's the clocks of the last place on earth show a time."""


class Instant(NamedTuple):
    """A local time's moment in UTC, and whether the clocks were set then."""

    moment: datetime
    oddity: Literal["", "skipped", "repeated"]

    @property
    def millis(self) -> Millis:
        """Milliseconds since 1970."""
        return (self.moment - _EPOCH) // _MILLISECOND

    @property
    def text(self) -> str:
        """As conditions write a moment."""
        return f"{self.moment:%Y-%m-%dT%H:%M:%SZ}"


def instant(local: str, zone: str) -> Instant:
    """The moment of a local time such as ``2026-12-01T08:00``.

    One that the clocks skip is taken as much later as they are put forward; one that comes twice is the first.
    """
    wall = datetime.fromisoformat(local)
    first, second = (wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return Instant(first, "")
    skipped = first.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall
    return Instant(first, "skipped" if skipped else "repeated")


def ends(schedule: ScheduleDecl, zone: str) -> Millis | None:
    """When it is over for everyone, wherever they are."""
    if schedule.end is None:
        return None
    if schedule.zone == "shop":
        return instant(schedule.end, zone).millis
    return (datetime.fromisoformat(schedule.end).replace(tzinfo=UTC) + _WESTERNMOST - _EPOCH) // _MILLISECOND


# --- as a condition ---


def schedule_text(schedule: ScheduleDecl, zone: str) -> str:
    """The schedule as a condition; empty where it always holds. ``zone`` is the shop's."""
    parts = []
    for op, local in ((">=", schedule.start), ("<", schedule.end)):
        if local is not None and schedule.zone == "shop":
            parts.append(f'now {op} timestamp("{instant(local, zone).text}")')
        elif local is not None:
            parts.append(f"time.local {op} {re.sub('[^0-9]', '', local)}")
    parts += _hours(schedule, "shop_time" if schedule.zone == "shop" else "time")
    return " && ".join(parts)


def _hours(schedule: ScheduleDecl, clock: str) -> list[str]:
    """Days and hours. What comes after midnight belongs to the day on which it began."""
    days = schedule.days
    today = _on(days, clock)
    if schedule.hours is None:
        return today
    first, stop = schedule.hours
    late = [f"{clock}.hour >= {first}"] if first else []
    early = [f"{clock}.hour < {stop}"] if stop < 24 else []
    if first < stop:
        return [*today, *late, *early]
    if not days:
        return [f"({late[0]} || {early[0]})"]
    tomorrow = _on([day % 7 + 1 for day in days], clock)
    return [f"({' && '.join([*today, *late])} || {' && '.join([*tomorrow, *early])})"]


def _on(days: Sequence[int], clock: str) -> list[str]:
    return [f"{clock}.weekday in [{', '.join(map(str, sorted(days)))}]"] if 0 < len(days) < 7 else []


# --- reading ---


def read_schedule(shape: Shape, node: Node, zone: str) -> ScheduleDecl | None:
    """A schedule. ``zone`` is the shop's."""
    before = len(shape.faults)
    fields = shape.fields(node, DEFINITIONS["schedule"], "a schedule")
    whose = shape.choice(fields["zone"], ZONES, "a clock") if "zone" in fields else "shop"
    in_zone = zone if whose == "shop" else ""
    schedule = ScheduleDecl(
        start=read_moment(shape, fields["from"], in_zone) if "from" in fields else None,
        end=read_moment(shape, fields["until"], in_zone) if "until" in fields else None,
        days=_days(shape, fields["days"]) if "days" in fields else (),
        hours=_read_hours(shape, fields["hours"]) if "hours" in fields else None,
        zone=cast("Literal['shop', 'shopper']", whose or "shop"),
    )
    if len(shape.faults) > before:
        return None
    if not fields.keys() - {"zone"}:
        shape.fail(node, "empty", "a schedule has from, until, days or hours")
    elif schedule.start is not None and schedule.end is not None and schedule.end <= schedule.start:
        shape.fail(fields["until"], "bad_value", f"this is not after {schedule.start}, when it starts")
    return schedule


def read_moment(shape: Shape, node: Node, zone: str) -> str | None:
    """A local time as written. Where the clocks of ``zone`` are set then, a warning says which moment is meant."""
    return _moment(shape, shape.text(node, "a moment"), zone, shape.spot(node))


def read_step(shape: Shape, node: Node, text: str, zone: str) -> Millis | None:
    """The moment that a key says: a local time of ``zone``, or a day."""
    spot = shape.key_spot(node)
    local = _moment(shape, f"{text}T00:00" if _DAY.fullmatch(text) else text, zone, spot)
    return instant(local, zone).millis if local is not None else None


def _moment(shape: Shape, text: str, zone: str, spot: Spot) -> str | None:
    if not _is_moment(text):
        if _is_moment(f"{text}T00:00"):
            shape.faults.error(spot, "bad_value", f"{text} is a whole day; write {text}T00:00 for its beginning")
        elif text:
            message = f"{text[:40]!r} is not a moment of this century; write it as 2026-12-01T08:00"
            shape.faults.error(spot, "bad_value", message)
        return None
    found = instant(text, zone) if zone else None
    if found is not None and found.oddity:
        how = "does not exist" if found.oddity == "skipped" else "comes twice"
        message = f"{text} {how} in {zone}, where the clocks are set then; taken as {found.text}"
        shape.faults.warn(spot, f"time_{found.oddity}", message)
    return text


def _is_moment(text: str) -> bool:
    try:
        return _MOMENT.fullmatch(text) is not None and 2000 <= datetime.fromisoformat(text).year < 2100
    except ValueError:  # a 13th month
        return False


def _days(shape: Shape, node: Node) -> tuple[int, ...]:
    names = [(member, shape.choice(member, DAYS, "a day of the week")) for member in shape.items(node, "days")]
    if not names:
        shape.fail(node, "empty", "name at least one day, such as [mon, fri]")
    found = dict.fromkeys(DAYS.index(name) + 1 for _, name in names if name)
    if len(found) < len(names):
        shape.texts(node, "a day")
    return tuple(found)


def _read_hours(shape: Shape, node: Node) -> tuple[int, int] | None:
    """``9-18``; where the second is not after the first, it is past midnight."""
    match = _HOURS.fullmatch(node.value) if isinstance(node.value, str) else None
    if match is None:
        shape.fail(node, "wrong_type", "hours are written as 9-18, or 22-2 past midnight")
        return None
    first, _, second = match.group().partition("-")
    start, stop = int(first), int(second) or 24
    if start > 23 or stop > 24 or start == stop:
        shape.fail(node, "bad_value", "hours are from 0-23 up to another hour, 24 at most")
        return None
    return start, stop
