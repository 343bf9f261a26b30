"""The page of results: from what a training said to what a reader finds; an absent set stays as it was."""

import msgspec
import pytest
from bench import results

import trainings
from cashwrap.learning.render import to_json

RUN = results.RUNS[0]._replace(claims=(results.Claim("recall@20", "clear"), results.Claim("mrr@20", part=results.NEW)))


@pytest.fixture
def found() -> dict:
    return results.told(RUN, msgspec.json.decode(to_json([trainings.basket()]))["models"][0])


def test_a_claim_is_told_with_its_interval_and_against_every_baseline(found: dict):
    page = results.page({RUN.mapping: found})
    recall = trainings.basket().evaluation.figures["recall@20"]
    assert results._figure({"value": recall.value, "low": recall.low, "high": recall.high}) in page
    assert "| item_knn |" in page
    assert "| popular |" in page
    assert "The gate lets it through." in page
    assert "83 s and 412 MB" in page


def test_a_set_that_is_absent_keeps_its_figures_and_says_so(found: dict):
    kept = {RUN.mapping: found}
    again = results.page(kept, frozenset({RUN.mapping}))
    assert "figures are of an earlier run" in again
    assert results._summary(kept) == results._summary(msgspec.json.decode(msgspec.json.encode(kept)))
    assert "Not measured yet." in again


@pytest.mark.parametrize(
    ("bar", "figure", "low", "said"),
    [
        (0.5, 0.51, 0.4, "met"),
        (0.5, 0.49, 0.4, "not met"),
        ("clear", 0.5, 0.01, "met"),
        ("clear", 0.5, -0.01, "not met"),
        ("nothing", 0.5, -0.01, "met"),
        ("nothing", 0.5, 0.01, "not met"),
        ("", 0.5, 0.01, ""),
    ],
)
def test_a_bar_is_met_or_not(bar: results.Bar, figure: float, low: float, said: str):
    got = {"figure": {"value": figure, "low": low}}
    assert results._verdict(results.Claim("recall@20", bar), got, {"low": low}) == said


def test_every_run_has_its_mapping():
    for run in results.RUNS:
        assert (results.ROOT / "mappings" / "learn" / f"{run.mapping}.yaml").exists()
