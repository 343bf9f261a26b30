"""What somebody should look at: each rule with a situation planted for it, and with one that must not wake anybody."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.console.test_console_now import CODES

from cashwrap.console.now import alerts as rules
from cashwrap.console.now.alerts import (
    CHANCE,
    HELD,
    Alert,
    Situation,
    Usual,
    Watch,
    alerts,
    chance_of_none,
    hours_between,
)
from cashwrap.console.now.confirmed import Loss
from cashwrap.console.now.figures import HOUR, MINUTE, Point

NOW = 1_800_000_000_000
CALM = Situation(
    now=NOW,
    waited=HOUR,
    processes={"server": NOW - 900},
    whole=Point(buckets=[0, 9_950, 0, 0, 0, 0, 0, 50, 0]),
    recent=Point(decisions=10_000, degraded=100, answers=1_000, shown=900, fallbacks=20, stored=9_000, failed=19),
    day=Point(answers=100_000, shown=90_000, fallbacks=1_900),
    last_order=NOW - 9 * MINUTE,
    usual=((9.0, (Usual(10_000, 840),)),),
    loss=Loss(orders=1_000, unseen=290, silent=20, unconfirmed=19),
    failed=999,
    undelivered=NOW - 9 * MINUTE,
    stocked=NOW - 48 * HOUR,
)
"""A day like any other, each figure just below where somebody is told."""


def codes(situation: Situation) -> list[str]:
    return [alert.code for alert in alerts(situation)]


def test_a_usual_day_wakes_nobody() -> None:
    assert codes(CALM) == []


PLANTED: dict[str, dict[str, Any]] = {
    "no_orders": {"last_order": NOW - 11 * MINUTE, "usual": ((11.0, (Usual(1_700, 840),)),)},
    "process_silent": {"processes": {"writer": NOW - 500, "worker 1": NOW - 11_000}},
    "server_silent": {"processes": {}, "waited": 11_000},
    "disk_full": {"disk_full": True},
    "playbook_broken": {"playbook_error": "shop.yaml:3: no such placement"},
    "shedding": {"shed": 2},
    "no_room": {"whole": Point(no_room=1)},
    "slow": {"whole": Point(buckets=[0, 9_800, 0, 0, 0, 0, 0, 150, 50])},
    "degraded": {"recent": Point(decisions=10_000, degraded=101)},
    "fallbacks": {"recent": Point(answers=1_000, fallbacks=60)},
    "switched_off": {"switched_off": ("basket_message",)},
    "events_failing": {"recent": Point(stored=1_000, failed=20)},
    "events_conflicting": {"recent": Point(stored=1_000, conflict=20)},
    "backlog": {"failed": 1_000},
    "no_backend_orders": {"loss": Loss(unconfirmed=5)},
    "unconfirmed_orders": {"loss": Loss(orders=900, unconfirmed=20)},
    "unseen_orders": {"loss": Loss(orders=100, unseen=30, silent=10)},
    "catalogue_stale": {"stocked": NOW - 49 * HOUR},
    "webhooks_failing": {"undelivered": NOW - 10 * MINUTE},
}


@pytest.mark.parametrize("code", PLANTED)
def test_each_rule_finds_what_is_planted_for_it(code: str) -> None:
    assert codes(replace(CALM, **PLANTED[code])) == [code]


def test_all_at_once_with_the_worst_first() -> None:
    together = replace(CALM, **{name: value for case in PLANTED.values() for name, value in case.items()})
    tones = [alert.tone for alert in alerts(together)]
    assert tones == sorted(tones)
    assert len(set(codes(together))) == len(tones)


def test_every_code_is_known_documented_and_has_a_case() -> None:
    told = set(re.findall(r'Alert\(\s*"(\w+)"', Path(rules.__file__).read_text(encoding="utf-8")))
    assert told == set(CODES) == set(PLANTED)
    page = (Path(__file__).parents[2] / "docs/reference/console-now.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"`{code}`" not in page] == []


# --- no orders ---


def quiet(minutes: float, *ways: Usual) -> Situation:
    last = NOW - round(minutes * MINUTE)
    return replace(CALM, last_order=last, usual=((minutes, ways),))


def test_a_shop_at_night_does_not_cry() -> None:
    """Nobody orders from eleven to six, today as in the two weeks before."""
    night = tuple((60.0, (Usual(0, 14 * 60), Usual(0, 120))) for _ in range(7))
    assert codes(replace(CALM, last_order=NOW - 7 * HOUR, usual=night)) == []


def test_a_shop_closed_on_sundays_does_not_cry_on_sunday() -> None:
    assert codes(quiet(60, Usual(1_200, 14 * 60), Usual(0, 120))) == []
    assert codes(quiet(60, Usual(1_200, 14 * 60), Usual(170, 120))) == ["no_orders"]


def test_a_small_shop_is_told_later_than_a_large_one() -> None:
    an_hour_each = [(10, Usual(28_000, 14 * 60)), (200, Usual(84, 14 * 60)), (300, Usual(84, 14 * 60))]
    assert [codes(quiet(minutes, usual)) for minutes, usual in an_hour_each] == [
        ["no_orders"],
        ["no_orders"],
        ["no_orders"],
    ]
    assert codes(quiet(100, Usual(84, 14 * 60))) == []


def test_a_shop_that_was_hardly_seen_is_not_believed() -> None:
    assert codes(quiet(30, Usual(20, 60))) == []
    assert codes(quiet(30)) == []
    assert codes(replace(CALM, last_order=None)) == []


def test_it_says_since_when_and_how_many_were_to_be_expected() -> None:
    (alert,) = alerts(quiet(20, Usual(168_000, 840)))
    assert alert.values["expected"] == 4_000
    (alert,) = alerts(quiet(20, Usual(1_710, 840)))
    assert alert.values["expected"] == 41
    (alert,) = alerts(quiet(20, Usual(1_680, 840)))
    assert alert == Alert("no_orders", "bad", {"lasted": 20 * MINUTE, "expected": 40}, NOW - 20 * MINUTE)


@given(st.integers(0, 500), st.floats(1, 20_000), st.floats(0.1, 600))
@settings(max_examples=40)
def test_the_chance_is_that_of_an_unknown_rate(orders: int, minutes: float, silence: float) -> None:
    """Against the integral it stands for: Poisson's chance of none, over all rates as likely as they are."""
    told = chance_of_none(((silence, (Usual(orders, minutes),)),))
    shape, steps = orders + 0.5, 20_000
    top = (shape + 12 * math.sqrt(shape) + 12) / minutes
    total = 0.0
    for step in range(steps):
        root = (step + 0.5) / steps  # rate = top * root^2 tames the prior's pole at nothing
        rate, width = top * root * root, 2 * top * root / steps
        density = shape * math.log(minutes) + (shape - 1) * math.log(rate) - minutes * rate - math.lgamma(shape)
        total += math.exp(density - rate * silence) * width
    assert math.isclose(told, total, rel_tol=2e-3, abs_tol=1e-12)


def test_pieces_of_a_time_are_whole_hours() -> None:
    pieces = hours_between(NOW - NOW % HOUR - 30 * MINUTE, NOW - NOW % HOUR + 61 * MINUTE)
    began = NOW - NOW % HOUR
    assert pieces == [(began - HOUR, 30.0), (began, 60.0), (began + HOUR, 1.0)]
    assert hours_between(NOW, NOW) == []


def test_the_threshold_is_what_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/console-now.md").read_text(encoding="utf-8")
    assert CHANCE == 1e-6
    assert "a millionth" in page


# --- the life of an alert ---


def test_an_alert_that_comes_and_goes_is_one() -> None:
    watch, alert = Watch(), Alert("disk_full", "bad")
    assert watch.see("a/live", [alert], NOW)[0].since == NOW
    assert watch.see("a/live", [], NOW + HELD)[0].since == NOW
    assert watch.see("a/live", [alert], NOW + 2 * HELD)[0].since == NOW
    assert watch.see("a/live", [], NOW + 3 * HELD + 1) == []
    assert watch.see("a/live", [alert], NOW + 4 * HELD)[0].since == NOW + 4 * HELD


def test_who_takes_one_on_quiets_it_until_it_clears() -> None:
    watch, alert, other = Watch(), Alert("shedding", "warn", {"step": 1}), Alert("disk_full", "bad")
    watch.see("a/live", [alert, other], NOW)
    assert watch.acknowledge("a/live", "disk_full", "ada", NOW + 1)
    assert not watch.acknowledge("b/live", "disk_full", "ada", NOW + 1), "another store's"
    told = watch.see("a/live", [alert, other], NOW + 2)
    assert [(each.alert.code, each.who) for each in told] == [("shedding", ""), ("disk_full", "ada")]
    watch.see("a/live", [], NOW + 3 + HELD)
    assert [each.who for each in watch.see("a/live", [other], NOW + 4 + HELD)] == [""]


def test_stores_do_not_see_each_others_alerts() -> None:
    watch = Watch()
    watch.see("a/live", [Alert("backlog", "warn")], NOW)
    assert watch.see("b/live", [], NOW) == []
    assert len(watch.of("a/live")) == 1
