"""How numbers read."""

import math
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import reports
from cashwrap.analysis.render import phrases, words
from cashwrap.analysis.render.words import MINUS, scale
from cashwrap.analysis.results import Interval
from cashwrap.declarations import Method

INF = math.inf


@pytest.mark.parametrize(
    ("currency", "level", "change"),
    [
        ("EUR", "€3.12", "+€0.19"),
        ("JPY", "¥312", "+¥19"),
        ("KWD", "KWD\xa00.312", "+KWD\xa00.019"),
        ("CHF", "CHF\xa03.12", "+CHF\xa00.19"),
    ],
)
def test_money_is_in_the_shops_currency_and_its_digits(currency: str, level: str, change: str) -> None:
    said = scale("money", currency, [312.4, 331.2], [6.2])
    assert (said.level(312.4), said.change(18.8)) == (level, change)


def test_a_number_is_as_fine_as_it_is_known() -> None:
    assert scale("money", "EUR", [312.4], [0.05]).level(312.4) == "€3.1240"
    assert scale("money", "EUR", [312_400], [9_000]).level(312_449) == "€3,124"
    assert scale("share", "EUR", [0.0412], [0.0009]).level(0.04123) == "4.12%"
    assert scale("share", "EUR", [0.0412], [0.03]).level(0.04123) == "4%"


def test_differences_have_a_sign_and_shares_differ_by_points() -> None:
    shares = scale("share", "EUR", [0.0412], [0.0009])
    assert (shares.change(0.0033), shares.change(-0.0033), shares.change(0.0)) == (
        "+0.33 pp",
        f"{MINUS}0.33 pp",
        "±0.00 pp",
    )
    assert shares.between(Interval(-0.001, 0.005)) == f"{MINUS}0.10 to +0.50 pp"


@pytest.mark.parametrize(
    ("ms", "said"),
    [(41.0, "41.0 ms"), (41_000.0, "41.0 s"), (190_000.0, "3.17 min"), (8_000_000.0, "2.22 h"), (2.6e8, "3.01 days")],
)
def test_times_are_in_the_unit_of_their_size(ms: float, said: str) -> None:
    assert scale("milliseconds", "EUR", [ms], [ms / 30]).level(ms) == said


def test_open_intervals_are_said_so() -> None:
    money = scale("money", "EUR", [300], [6])
    assert money.between(Interval(-INF, 33)) == "at most +€0.33"
    assert money.between(Interval(4, INF)) == "at least +€0.04"
    assert money.between(Interval(-INF, INF)) == words.relative_range(Interval(-INF, INF)) == "anything"
    assert words.relative_range(Interval(-INF, 0.2)) == "at most +20.0%"
    assert words.relative_range(None) == words.relative(None) == words.NONE


def test_money_at_stake_is_no_finer_than_its_interval() -> None:
    between = Interval(4_611_111, 32_233_333)
    assert words.stake(18_422_222, between, "EUR") == "+€180,000"
    assert words.stake_range(18_422_222, between, "EUR") == "+€50,000 to +€320,000"
    assert words.stake(-53_147_518.6, None, "EUR").startswith(f"{MINUS}€53")
    assert words.stake(0.0, Interval(-1e7, 1e7), "EUR") == "€0"
    assert words.stake_range(1e6, Interval(-INF, 2e6), "EUR").startswith("at most +€20,")


def test_chances_are_never_quite_nothing_and_never_certain() -> None:
    assert [words.chance(value) for value in (None, 0.0, 0.004, 0.41, 0.9995, 1.0)] == [
        words.NONE,
        "less than 0.1%",
        "0.4%",
        "41%",
        "more than 99.9%",
        "more than 99.9%",
    ]
    assert [words.p_value(value) for value in (None, 0.0, 0.0021, 0.041, 1.0)] == [
        words.NONE,
        "<0.0001",
        "0.0021",
        "0.041",
        "1.000",
    ]


FINITE = st.floats(-1e12, 1e12)


@example("money", "EUR", 0.0, 5e-324)
@settings(deadline=None)
@given(
    st.sampled_from(["money", "share", "milliseconds", "count"]), st.sampled_from(["EUR", "JPY", "KWD"]), FINITE, FINITE
)
def test_any_number_has_words_and_the_right_sign(worth: words.Worth, currency: str, value: float, error: float) -> None:
    change = scale(worth, currency, [value], [abs(error)]).change(value)
    assert "e+" not in change
    assert "nan" not in change
    if change[0] == "+":
        assert value > 0
    elif change[0] == MINUS:
        assert value < 0
    else:
        assert change[0] == "±"
    assert words.signed(value, worth, currency)[0] in f"+{MINUS}±"


@pytest.mark.parametrize("value", [math.nan, INF, -INF])
def test_what_is_no_number_is_said_and_breaks_nothing(value: float) -> None:
    for worth in ("money", "share", "milliseconds", "count"):
        said = scale(worth, "EUR", [value], [value])
        assert said.change(value)
        assert said.level(value)
    assert words.relative(value)


def test_better_is_what_is_better_for_the_shop() -> None:
    found = {
        result.metric: phrases.direction(result.effects[1], result)
        for result in reports.harm().results
        if result.effects
    }
    assert found["profit"] == "worse"
    assert found["payment_failures"] == "worse"
    assert found["order_value"] == "unclear"
    assert phrases.direction(reports.win().results[3].effects[0], reports.win().results[3]) == "better"


def test_the_headline_speaks_of_personalization() -> None:
    report = reports.headline()
    assert phrases.title(report) == "What personalization earned"
    assert phrases.heading(report) == "It pays"
    assert any("holdout" in step for step in phrases.next_steps(report))
    assert phrases.heading(reports.win()) == "Ship it"


def test_what_to_do_names_the_arm_the_doubts_and_the_next_look() -> None:
    assert "wallets_first" in " ".join(phrases.next_steps(reports.win()))
    assert phrases.next_steps(reports.harm())[0].startswith("Read the reasons for doubt")
    assert "Sep 29, 2026" in " ".join(phrases.next_steps(reports.nothing()))
    assert "doubt" not in " ".join(phrases.next_steps(reports.headline()))


def test_the_ratio_check_says_whether_it_blocks_warns_or_passes() -> None:
    said = [
        phrases.ratio_said(report.ratio)
        for report in (reports.win(), reports.harm(), reports.blocked())
        if report.ratio
    ]
    assert [text.partition(" (")[0] for text in said] == [
        "Units came in the declared shares, as far as chance lets them",
        "Units came in unlikely shares",
        "Units did not come in the declared shares",
    ]
    assert "p < 0.0001, however often one looks" in said[2]
    assert "p = 0.410" in said[0]


def test_where_nothing_can_be_told_nothing_is_shipped() -> None:
    assert phrases.heading(reports.blocked()) == "Cannot tell"
    assert "Do not ship on this" in " ".join(phrases.next_steps(reports.blocked()))


def test_every_method_of_a_design_has_words() -> None:
    assert set(get_args(Method)) == set(phrases.METHODS) == set(phrases.LOOKS)
