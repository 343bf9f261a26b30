"""``cashwrap report`` and ``cashwrap guard``, on data folders as a shop has them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from cashwrap.cli.main import app
from cashwrap.history import write_facts
from cashwrap.learned import registry
from cashwrap.library import open_world
from cashwrap.model import Millis, Tenant
from cashwrap.switches import Switches
from cashwrap.testing.facts import write_columns
from learned_world import draft

DAY: Millis = 86_400_000
SHOPPERS = 3000
PLAYBOOK = """
shop: {currency: EUR, locale: en}
holdout: {share: 10%}
placements:
  top: {component: message}
experiences:
  hello:
    in: top
    show: {text: {en: "Hi"}}
    experiment:
      control: 50%
      guardrails: {conversion: 5%}
      design: {days: 14, looks: 2, window: 1d}
  plain:
    in: top
    show: {text: {en: "Hi"}}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    folder = tmp_path / "playbook"
    folder.mkdir()
    (folder / "p.yaml").write_text(PLAYBOOK)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose experiment began 30 days ago and did harm."""
    folder = tmp_path / "data"
    with open_world(folder, make=True) as world:
        now = world.clock.now()
        write_facts(world, folder / "facts")
    dice = np.random.default_rng(5)
    ids = np.arange(SHOPPERS)
    treated = dice.random(SHOPPERS) < 0.5
    exposed = now - 30 * DAY + dice.integers(0, 13 * DAY, SHOPPERS)
    bought = dice.random(SHOPPERS) < np.where(treated, 0.1, 0.3)
    exposure: dict[str, Any] = {"event": "Experience Viewed", "experiment": "hello", "experience": "hello"}
    exposure |= {"variation": np.where(treated, "main", "control"), "propensity": 5000, "playbook": "one"}
    exposure |= {"outcome": np.where(treated, "shown", "control"), "decision": [f"d{each}" for each in ids]}
    write_columns(folder / "facts", "seen", {"analytic_id": ids, "time": exposed, **exposure})
    orders = {"event": "Order Completed", "order": ids[bought], "subtotal": 5000, "currency": "EUR"}
    write_columns(folder / "facts", "orders", {"analytic_id": ids[bought], "time": exposed[bought] + 1000, **orders})
    return folder


def test_a_report_is_printed_and_written_in_every_form(data: Path, playbook: Path, tmp_path: Path) -> None:
    page, rows, pictures = tmp_path / "r.html", tmp_path / "r.csv", tmp_path / "plots"
    files = ("--html", page, "--csv", rows, "--png", pictures, "--exposures", tmp_path / "units.parquet")
    done = run("report", "hello", "--data", data, "--playbook", playbook, *files)
    assert done.exit_code == 0, done.output
    assert "Roll back main: it makes conversion worse by more than the 5% allowed." in done.output
    assert "Roll back main" in page.read_text()
    assert {row["metric"] for row in csv.DictReader(rows.read_text().splitlines())} >= {"profit", "conversion"}
    assert {path.suffix for path in pictures.iterdir()} == {".png"}
    units = parquet.read_table(tmp_path / "units.parquet")
    assert units.num_rows == SHOPPERS
    assert set(units["arm"].to_pylist()) == {"main", "control"}
    assert "exposures.export" in run("audit", "list", "--data", data, "--json").output
    told = json.loads(run("report", "hello", "--data", data, "--playbook", playbook, "--json").output)
    assert told["verdict"]["code"] == "roll_back"


def test_the_sql_is_printed(data: Path, playbook: Path) -> None:
    printed = run("report", "hello", "--data", data, "--playbook", playbook, "--sql").output
    assert "-- units" in printed
    assert "read_parquet" in printed


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        (("helo",), "no_such_experience", "did you mean 'hello'?"),
        (("plain",), "no_experiment", "Give it 'experiment'"),
        (("hello", "--env", "prod"), "unknown_environment", "live or test"),
        (("hello", "--exposures", "units.xls"), "unknown_format", ".csv or .parquet"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(
    data: Path, playbook: Path, asked: tuple[str, ...], code: str, word: str
) -> None:
    done = run("report", *asked, "--data", data, "--playbook", playbook)
    assert done.exit_code == 1
    assert f"({code})" in done.output
    assert word in done.output
    assert len(done.output.splitlines()) == 1


def test_without_a_playbook_the_live_one_is_asked(data: Path) -> None:
    done = run("report", "hello", "--data", data)
    assert (done.exit_code, "no_playbook" in done.output) == (1, True)


def test_the_headline_of_a_shop_without_exposures_says_so(data: Path, playbook: Path) -> None:
    facts = data / "facts"
    for path in facts.rglob("*.parquet"):
        path.unlink()
    done = run("report", "--data", data, "--playbook", playbook)
    assert done.exit_code == 0
    assert "no_exposures" in done.output


def test_guard_rolls_back_what_does_harm_and_says_why(data: Path, playbook: Path) -> None:
    watch = ("guard", "--data", data, "--playbook", playbook)
    assert "Would roll back hello: main harms" in run(*watch, "--dry-run").output
    assert off(data) == {}
    assert "Rolled back hello: main harms" in run(*watch).output
    assert off(data).keys() == {"hello"}
    assert off(data)["hello"].startswith("guard: main harms")
    assert "No experiment that runs does harm." in run(*watch).output
    assert "switched_off" in run("report", "hello", "--data", data, "--playbook", playbook).output
    told = run("audit", "list", "--data", data, "--json").output
    assert "switch.off" in told
    assert "experience hello" in told


def test_guard_takes_a_candidate_back_with_the_experience_that_it_harmed(data: Path, playbook: Path) -> None:
    shows = '{text: {en: "Hi"}}'
    text = PLAYBOOK.replace("component: message", "component: products").replace(shows, "{from: popular}")
    candidate = "{from: recommended, model: next_item, version: candidate}"
    (playbook / "p.yaml").write_text(text.replace("{from: popular}", candidate, 1))
    with open_world(data, serving=False) as world:
        for name in ("basket", "next_item"):
            registry.register(world, Tenant(), draft(name=name))
            registry.candidate(world, Tenant(), name, reason="trusted")
    watch = ("guard", "--data", data, "--playbook", playbook)
    assert "Would roll back hello" in run(*watch, "--dry-run").output
    assert candidates(data) == {"basket", "next_item"}
    assert "Rolled back hello" in run(*watch).output
    assert candidates(data) == {"basket"}
    assert "guard: hello: main harms" in run("models", "show", "next_item", "--data", data).output
    assert "model.take_back" in run("audit", "list", "--data", data, "--json").output


def candidates(data: Path) -> set[str]:
    with open_world(data, serving=False) as world:
        return {model.name for model in registry.models_of(world.registry).values() if model.candidate}


def off(data: Path) -> dict[str, str]:
    with open_world(data, serving=False) as world:
        return {switch.name: switch.reason for switch in Switches(world.registry).of(Tenant())}
