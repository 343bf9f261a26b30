"""Published experiments put through the whole way, from facts to the verdict: the figures are the published ones.

The data are converted in a folder that goes with the test; what stands in their READMEs is written down here.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from pyarrow import compute, csv

from cashwrap.analysis.facts import FactTable
from cashwrap.analysis.question import Metric, Part, Question
from cashwrap.analysis.report import report
from cashwrap.analysis.results import Effect, Report, Result
from cashwrap.declarations import DesignDecl
from cashwrap.model import Millis, Tenant
from cashwrap.testing.facts import write_columns

DATA = Path(os.environ.get("CASHWRAP_DATA", Path(__file__).parents[2] / "shared" / "data"))
DAY: Millis = 86_400_000
START: Millis = 1_483_228_800_000
"""2017-01-01."""
HALVES = {"control": 5000, "treatment": 5000}
ONCE = DesignDecl(method="fixed", days=1, window=15 * DAY)

pytestmark = pytest.mark.data


def rows(name: str) -> Any:
    """A data set's columns, by name."""
    if not (DATA / name).is_file():
        pytest.skip(f"no real data at {DATA}; set CASHWRAP_DATA")
    return csv.read_csv(DATA / name)


def exposures(experiment: str, units: Any, arms: Any, control: str, time: Any = START, **more: Any) -> dict[str, Any]:
    """Columns of one exposure for each row; the arm called ``control`` in the data is ours."""
    named = ["control" if arm == control else arm for arm in arms]
    return {
        "event": "Experience Viewed",
        "analytic_id": units,
        "time": np.full(len(units), time) if isinstance(time, int) else time,
        "experience": experiment,
        "experiment": experiment,
        "variation": named,
        "outcome": ["control" if arm == "control" else "shown" for arm in named],
        "placement": "page",
        "playbook": "published",
        "decision": [f"{experiment}-{row}" for row in range(len(units))],
        **more,
    }


def events(name: str, units: Any, time: Any = START + DAY // 2, **more: Any) -> dict[str, Any]:
    """Columns of one event for each unit."""
    times = np.full(len(units), time) if isinstance(time, int) else time
    return {"event": name, "analytic_id": units, "time": times, **more}


def share(name: str, event: str, role: Any = "secondary") -> Metric:
    return Metric(name, name, "proportion", role, "share", "higher", ONCE.window, Part((event,), once=True))


def rounds(name: str, caps: tuple[float, float] | None = None) -> Metric:
    part = Part(("Game Played",), "rounds")
    return Metric(name, name, "mean", "secondary", "count", "higher", ONCE.window, part, caps=caps)


def question(experiment: str, arms: dict[str, int], *metrics: Metric, design: DesignDecl = ONCE) -> Question:
    asked = tuple(replace(metric, window=design.window) for metric in metrics)
    return Question(
        *(experiment, Tenant(), experiment, arms, "shopper", asked, design, "USD"), measures={"rounds": "number"}
    )


def found(said: Report, metric: str) -> Result:
    return next(each for each in said.results if each.metric == metric)


def effect(said: Report, metric: str, arm: str) -> Effect:
    return next(each for each in found(said, metric).effects if each.arm == arm)


def z(each: Effect) -> float:
    return each.absolute / each.error


def codes(said: Report) -> set[str]:
    return {each.code for each in said.doubts}


class Opened:
    """A fact table in a folder of its own."""

    def __init__(self, *tables: dict[str, Any]) -> None:
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        for number, columns in enumerate(tables):
            write_columns(folder, f"part-{number}", columns)
        self.table = FactTable(folder)

    def close(self) -> None:
        self.table.close()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., FactTable]]:
    """Opens fact tables and puts them away at the end."""
    there: list[Opened] = []

    def open_(*tables: dict[str, Any]) -> FactTable:
        there.append(Opened(*tables))
        return there[-1].table

    yield open_
    for each in there:
        each.close()


# --- the landing page: no effect, rows in conflict, one user twice ---


@cache
def landing_page() -> tuple[int, int, tuple[dict[str, Any], ...]]:
    """Rows as they are, rows in conflict, and facts of the others: group and page must be the same arm."""
    table = rows("ab_landing_page/ab_data.csv.gz")
    treated = compute.equal(table["group"], "treatment")
    agree = compute.equal(treated, compute.equal(table["landing_page"], "new_page"))
    kept = table.filter(agree)
    time = kept["timestamp"].cast("timestamp[ms]", safe=False).cast("int64").to_numpy()
    units = kept["user_id"].to_numpy()
    bought = kept["converted"].to_numpy() == 1
    return (
        len(table),
        len(table) - len(kept),
        (
            exposures("landing_page", units, kept["group"].to_pylist(), "control", time),
            events("Order Completed", units[bought], time[bought] + 60_000, order=np.flatnonzero(bought)),
        ),
    )


@pytest.fixture(scope="module")
def table(opened: Callable[..., FactTable]) -> FactTable:
    return opened(*landing_page()[2])


class TestLandingPage:
    CONVERSION = share("conversion", "Order Completed", "primary")

    def test_rows_in_conflict_are_dropped_and_counted(self) -> None:
        assert landing_page()[:2] == (294_478, 3_893)

    def test_the_published_figures(self, table: FactTable) -> None:
        asked = question("landing_page", HALVES, self.CONVERSION, design=DesignDecl(method="fixed", days=28))
        said = report(table, asked, START + 60 * DAY)
        told = found(said, "conversion")
        assert told.units == {"control": 145_274, "treatment": 145_310}  # the user who came twice counts once
        assert {arm: round(value, 5) for arm, value in told.values.items()} == {
            "control": 0.12039,
            "treatment": 0.11881,
        }
        only = told.effects[0]
        assert z(only) == pytest.approx(-1.311, abs=0.0005)
        assert only.p == pytest.approx(0.1899, abs=0.0001)
        assert only.interval == pytest.approx((-0.0039, 0.0008), abs=0.00005)
        assert said.ratio is not None
        assert said.ratio.classic == pytest.approx(0.947, abs=0.0005)
        assert said.ratio.found == told.units
        assert codes(said) == set()
        assert said.verdict.code == "cannot_tell"

    @pytest.mark.parametrize("method", ["group_sequential", "always_valid"])
    def test_read_by_time_it_never_crosses(self, table: FactTable, method: Any) -> None:
        design = DesignDecl(method=method, days=24, looks=4, window=DAY)
        said = report(table, question("landing_page", HALVES, self.CONVERSION, design=design), START + 30 * DAY)
        assert len(said.timeline) >= 4
        assert [point for point in said.timeline if abs(point.effect) > (point.boundary or 0)] == []
        assert said.verdict.code != "ship"


# --- Cookie Cats: an uneven split, and one player who played 49,854 rounds ---


@cache
def cookie_cats() -> tuple[dict[str, Any], ...]:
    table = rows("ab_cookie_cats/cookie_cats.csv.gz")
    units = table["userid"].to_numpy()
    days = [units[table[f"retention_{day}"].to_numpy(zero_copy_only=False)] for day in (1, 7)]
    played = table["sum_gamerounds"].to_pylist()
    return (
        exposures("gate", units, table["version"].to_pylist(), "gate_30"),
        events("Back After 1", days[0]),
        events("Back After 7", days[1]),
        events("Game Played", units, measures=[[("rounds", float(each))] for each in played]),
    )


CATS_METRICS = (
    share("retention_7", "Back After 7", "primary"),
    share("retention_1", "Back After 1"),
    Metric("rounds", "rounds", "mean", "secondary", "count", "higher", ONCE.window, Part(("Game Played",), "rounds")),
    Metric(
        *("capped", "rounds, capped", "mean", "secondary", "count", "higher", ONCE.window),
        numerator=Part(("Game Played",), "rounds"),
        caps=(0.005, 0.995),
    ),
)


@pytest.fixture(scope="module")
def cats(opened: Callable[..., FactTable]) -> Report:
    asked = question("gate", {"control": 5000, "gate_40": 5000}, *CATS_METRICS)
    return report(opened(*cookie_cats()), asked, START + 60 * DAY)


class TestCookieCats:
    def test_the_published_figures(self, cats: Report) -> None:
        assert found(cats, "retention_7").units == {"control": 44_700, "gate_40": 45_489}
        seven, one = effect(cats, "retention_7", "gate_40"), effect(cats, "retention_1", "gate_40")
        assert seven.absolute == pytest.approx(-0.0082, abs=0.00005)
        assert z(seven) == pytest.approx(-3.164, abs=0.0005)
        assert seven.p == pytest.approx(0.00155, abs=0.00001)
        assert one.absolute == pytest.approx(-0.0059, abs=0.00005)
        assert one.p == pytest.approx(0.074, abs=0.0005)
        assert cats.verdict.code == "roll_back"

    def test_the_uneven_split_is_warned_of(self, cats: Report) -> None:
        assert cats.ratio is not None
        assert cats.ratio.classic == pytest.approx(0.0086, abs=0.00005)
        assert codes(cats) == {"sample_ratio_warning"}

    def test_one_player_does_not_decide_once_both_ends_are_capped(self, cats: Report) -> None:
        """He is 0.7 % of all rounds of his arm: capping halves the error and takes most of the difference with it."""
        plain, capped = effect(cats, "rounds", "gate_40"), effect(cats, "capped", "gate_40")
        assert (plain.absolute, plain.error) == pytest.approx((-1.157, 1.307), abs=0.001)
        assert (capped.absolute, capped.error) == pytest.approx((-0.260, 0.597), abs=0.002)
        caps = found(cats, "capped").caps
        assert caps is not None
        assert caps == pytest.approx((0, 624))
        assert not plain.significant
        assert not capped.significant


# --- Hillstrom: three arms, three metrics, most customers spend nothing ---


@cache
def hillstrom() -> tuple[dict[str, Any], ...]:
    table = rows("hillstrom_email/hillstrom_70.csv.gz")
    units, spent = table["row"].to_numpy(), np.rint(table["spend"].to_numpy() * 100).astype(int)
    bought = table["conversion"].to_numpy() == 1
    return (
        exposures("email", units, table["segment"].to_pylist(), "No E-Mail"),
        events("Visited", units[table["visit"].to_numpy() == 1]),
        events(
            *("Order Completed", units[bought]),
            order=units[bought],
            amount=spent[bought],
            subtotal=spent[bought],
            currency="USD",
        ),
    )


THIRDS = {"control": 3334, "Mens E-Mail": 3333, "Womens E-Mail": 3333}
PUBLISHED = {
    "visit": {"control": 0.106, "Mens E-Mail": 0.183, "Womens E-Mail": 0.151},
    "conversion": {"control": 0.0057, "Mens E-Mail": 0.0125, "Womens E-Mail": 0.0088},
    "spend": {"control": 65, "Mens E-Mail": 142, "Womens E-Mail": 108},
}
"""Of all 64,000; here are seven tenths of them."""


MAIL_METRICS = (
    Metric("spend", "spend", "mean", "primary", "money", "higher", ONCE.window, Part(("Order Completed",), "net")),
    share("visit", "Visited"),
    share("conversion", "Order Completed"),
)


@pytest.fixture(scope="module")
def mail(opened: Callable[..., FactTable]) -> Report:
    return report(opened(*hillstrom()), question("email", THIRDS, *MAIL_METRICS), START + 60 * DAY)


class TestHillstrom:
    def test_the_published_figures(self, mail: Report) -> None:
        assert found(mail, "visit").units == {"control": 14_894, "Mens E-Mail": 14_886, "Womens E-Mail": 14_899}
        assert effect(mail, "visit", "Womens E-Mail").absolute == pytest.approx(0.0421, abs=0.00005)
        assert effect(mail, "visit", "Mens E-Mail").absolute == pytest.approx(0.0736, abs=0.00006)
        for metric, arms in PUBLISHED.items():
            errors = {each.arm: each.error for each in found(mail, metric).effects}
            for arm, value in arms.items():
                error = errors.get(arm, max(errors.values()))
                assert found(mail, metric).values[arm] == pytest.approx(value, abs=3 * error), (metric, arm)

    def test_skewed_spend_by_two_arms(self, mail: Report) -> None:
        """Welch's z of each arm; the two share the error, and the women's 2.34 is just enough."""
        mens, womens = effect(mail, "spend", "Mens E-Mail"), effect(mail, "spend", "Womens E-Mail")
        assert (mens.absolute, z(mens)) == pytest.approx((70.99, 3.889), abs=0.005)
        assert (womens.absolute, z(womens)) == pytest.approx((38.14, 2.337), abs=0.005)
        assert (mens.significant, womens.significant) == (True, True)
        assert (mail.verdict.code, mail.verdict.arm) == ("ship", "Mens E-Mail")

    def test_secondary_metrics_are_told_under_false_discovery_control(self, mail: Report) -> None:
        tested = [each for metric in ("visit", "conversion") for each in found(mail, metric).effects]
        assert all(each.q is not None and each.p is not None and each.q >= each.p for each in tested)
        assert all(each.significant for each in tested)

    def test_the_split_is_even(self, mail: Report) -> None:
        assert mail.ratio is not None
        assert mail.ratio.classic > 0.5
        assert "sample_ratio_warning" not in codes(mail)
