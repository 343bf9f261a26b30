"""Schedules mean what they say: the condition of each against a calendar, through every change of the clocks."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashwrap.condition import compile_condition
from cashwrap.condition.check import check
from cashwrap.condition.environment import Environment, Type
from cashwrap.condition.evaluate import explain
from cashwrap.decide import decide
from cashwrap.declarations import ScheduleDecl
from cashwrap.model import Inputs, Tenant, Value
from cashwrap.playbook import Playbook, examine, schedule
from cashwrap.playbook.schedule import ends, instant, schedule_text
from cashwrap.request import clock_values

ZONES = ("Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
CLOCKS = {"time.hour", "time.weekday", "time.local", "shop_time.hour", "shop_time.weekday"}
NAMES = Environment({"now": Type.TIME, **dict.fromkeys(CLOCKS, Type.NUMBER)})


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def expected(declared: ScheduleDecl, moment: datetime, shop: str, shopper: str) -> bool:
    """By the wall clock alone, but for the shop's ``from`` and ``until``, which are moments."""
    zone = ZoneInfo(shop if declared.zone == "shop" else shopper)
    wall = moment.astimezone(zone).replace(tzinfo=None)
    for text, begins in ((declared.start, True), (declared.end, False)):
        if text is None:
            continue
        local = datetime.fromisoformat(text)
        reached = moment >= local.replace(tzinfo=zone) if declared.zone == "shop" else wall >= local
        if reached is not begins:
            return False
    day, hour = wall.isoweekday(), wall.hour
    first, stop = declared.hours or (0, 24)
    if first >= stop and hour < stop:
        day, hour = (wall - timedelta(days=1)).isoweekday(), hour + 24
    if first >= stop:
        stop += 24
    return (not declared.days or day in declared.days) and first <= hour < stop


def judged(declared: ScheduleDecl, moment: datetime, shop: str, shopper: str) -> bool:
    text = schedule_text(declared, shop)
    if not text:
        return True
    return compile_condition(check(text, NAMES))(clock_values(millis(moment), shopper, shop)) is True


MOMENTS = st.integers(
    millis(datetime(2026, 1, 1, tzinfo=UTC)) // 60_000, millis(datetime(2027, 1, 1, tzinfo=UTC)) // 60_000
)
SCHEDULES = st.builds(
    ScheduleDecl,
    start=st.sampled_from([None, "2026-03-29T02:30", "2026-06-01T08:00", "2026-11-01T01:30"]),
    end=st.sampled_from([None, "2026-10-25T02:30", "2026-12-24T18:00", "2026-11-01T01:31"]),
    days=st.lists(st.integers(1, 7), unique=True).map(tuple),
    hours=st.none() | st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] != pair[1]),
    zone=st.sampled_from(["shop", "shopper"]),
)


@settings(max_examples=400, deadline=None)
@given(SCHEDULES, MOMENTS, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_a_schedule_is_what_the_calendar_says(declared: ScheduleDecl, minute: int, shop: str, shopper: str) -> None:
    moment = datetime.fromtimestamp(minute * 60, UTC)
    assert judged(declared, moment, shop, shopper) is expected(declared, moment, shop, shopper)


@settings(max_examples=200, deadline=None)
@given(SCHEDULES.filter(lambda declared: declared.end), MOMENTS, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_what_has_ended_is_over_everywhere(declared: ScheduleDecl, minute: int, shop: str, shopper: str) -> None:
    over = ends(declared, shop)
    assert over is not None
    if minute * 60_000 >= over:
        assert not judged(declared, datetime.fromtimestamp(minute * 60, UTC), shop, shopper)


def counter_example() -> bool:
    rng = random.Random(1)
    for _ in range(3000):
        declared = ScheduleDecl(
            start=rng.choice([None, "2026-06-01T08:00"]),
            days=rng.choice([(), (5,)]),
            hours=rng.choice([None, (22, 2), (9, 18)]),
            zone=rng.choice(["shop", "shopper"]),
        )
        moment = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(rng.choice([600, 200_000])))
        if judged(declared, moment, "Europe/Berlin", "Asia/Kolkata") is not expected(
            declared, moment, "Europe/Berlin", "Asia/Kolkata"
        ):
            return True
    return False


def test_planted_hours_that_end_at_midnight_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not counter_example()
    monkeypatch.setattr(schedule, "_on", lambda days, clock: [f"{clock}.weekday in [5]"] if days else [])
    assert counter_example()


def test_planted_a_wrong_zone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[[str, str], schedule.Instant] = schedule.instant
    monkeypatch.setattr(schedule, "instant", lambda local, _: original(local, "UTC"))
    assert counter_example()


# --- clocks that are set ---


@pytest.mark.parametrize(
    ("local", "zone", "moment", "oddity"),
    [
        ("2026-03-29T01:59", "Europe/Berlin", "2026-03-29T00:59:00Z", ""),
        ("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00:00Z", "skipped"),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30:00Z", "skipped"),
        ("2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00:00Z", ""),
        ("2026-10-25T01:59", "Europe/Berlin", "2026-10-24T23:59:00Z", ""),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "repeated"),
        ("2026-10-25T03:00", "Europe/Berlin", "2026-10-25T02:00:00Z", ""),
        ("2026-04-05T01:45", "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "repeated"),
        ("2026-12-24T18:00", "UTC", "2026-12-24T18:00:00Z", ""),
    ],
)
def test_the_moment_of_a_local_time(local: str, zone: str, moment: str, oddity: str) -> None:
    found = instant(local, zone)
    assert (found.text, found.oddity) == (moment, oddity)
    assert found.millis == millis(datetime.fromisoformat(moment))


TEXT = """
shop: {time_zone: Europe/Berlin}
placements:
  spot: {component: message}
experiences:
  late:
    in: spot
    when: cart.count > 1 || device.type == "mobile"
    schedule: SCHEDULE
    show: {text: {en: Hello}}
"""


def compiled(written: str) -> tuple[Playbook, list[str]]:
    playbook, faults = examine({"a.yaml": TEXT.replace("SCHEDULE", written)})
    assert playbook is not None, faults
    return playbook, [f"{fault.line}:{fault.column} {fault.code} {fault.severity}" for fault in faults]


def test_a_time_that_is_not_or_is_twice_is_a_warning() -> None:
    assert compiled("{from: 2026-03-29T02:30, until: 2026-10-25T02:30}")[1] == [
        "9:22 time_skipped warning",
        "9:47 time_repeated warning",
    ]
    assert compiled("{from: 2026-03-29T02:30, zone: shopper}")[1] == []


def winner(playbook: Playbook, moment: str, **more: Value) -> str | None:
    now = millis(datetime.fromisoformat(moment))
    values = {**clock_values(now, "America/New_York", "Europe/Berlin"), **more}
    return (
        decide(playbook.experiences, Inputs(now, Tenant(), values, "profile", 255, None)).placements["spot"].experience
    )


def test_a_schedule_decides_and_binds_the_whole_condition() -> None:
    playbook, _ = compiled("{from: 2026-12-01T08:00, until: 2026-12-24T18:00}")
    phone = {"device.type": "mobile"}
    assert winner(playbook, "2026-12-01T06:59:59.999Z", **phone) is None
    assert winner(playbook, "2026-12-01T07:00:00Z", **phone) == "late"
    assert winner(playbook, "2026-12-01T07:00:00Z") is None
    assert winner(playbook, "2026-12-24T16:59:59.999Z", **phone) == "late"
    assert winner(playbook, "2026-12-24T17:00:00Z", **phone) is None


def test_explanations_show_the_schedule_as_conditions() -> None:
    playbook, _ = compiled("{from: 2026-12-01T08:00, days: [fri], hours: 22-2, zone: shopper}")
    checked = playbook.experiences.ordered[0].condition
    assert checked is not None
    told = explain(checked, {"time.local": 202612050130, "time.hour": 1, "time.weekday": 6, "cart.count": 2})
    assert told.result is True
    assert [part.text for part in told.parts] == [
        "time.local >= 202612010800",
        "time.weekday in [5] && time.hour >= 22 || time.weekday in [6] && time.hour < 2",
        'cart.count > 1 || device.type == "mobile"',
    ]


def test_a_schedule_changes_the_version_and_so_does_the_zone_it_is_read_in() -> None:
    first, _ = compiled("{from: 2026-12-01T08:00}")
    second, _ = compiled("{from: 2026-12-01T09:00}")
    assert first.hash != second.hash


def test_a_condition_that_is_too_long_with_its_schedule_says_so() -> None:
    wide = " && ".join(f"cart.count != {number}" for number in range(128))
    text = TEXT.replace('cart.count > 1 || device.type == "mobile"', wide).replace("SCHEDULE", "{hours: 9-18}")
    playbook, faults = examine({"a.yaml": text})
    assert playbook is None
    assert [(fault.line, fault.message[:19]) for fault in faults] == [(9, "with its schedule: ")]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("2026-12-01", "2026-12-01 is a whole day; write 2026-12-01T00:00 for its beginning"),
        ("2026-13-01", "'2026-13-01' is not a moment of this century; write it as 2026-12-01T08:00"),
        ("1.12.2026", "'1.12.2026' is not a moment of this century; write it as 2026-12-01T08:00"),
    ],
)
def test_a_time_that_cannot_be_meant_is_told_how_to_write(written: str, message: str) -> None:
    _, faults = examine({"a.yaml": TEXT.replace("SCHEDULE", f"{{until: {written}}}")})
    assert [(fault.code, fault.message) for fault in faults] == [("bad_value", message)]
