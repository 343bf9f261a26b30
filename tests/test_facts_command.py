"""``cashwrap facts`` and forgetting: the fact table is derived from the log, and gives nobody back."""

import time
from pathlib import Path

from pyarrow import parquet
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.engine import Engine
from cashwrap.library import open_world
from cashwrap.model import Event, Tenant
from cashwrap.playbook import load_playbook

STARTER = Path(__file__).parents[1] / "playbooks" / "starter"
NOW = int(time.time() * 1000) - 86_400_000
"""Yesterday: what is much older would be past its retention."""
EVERYTHING = 1 | 2 | 4


def event(number: int, anonymous_id: str, user_id: str | None = None) -> Event:
    properties = {"product_id": f"p{number}", "category": "coffee"}
    return Event(
        id=f"e{number}",
        name="Product Viewed",
        time=NOW + number,
        received=NOW + number,
        mask=EVERYTHING,
        source="import",
        anonymous_id=anonymous_id,
        user_id=user_id,
        properties=properties,
        fingerprint=number.to_bytes(8, "big"),
        trusted=True,
    )


def collect(data: Path, events: list[Event]) -> None:
    with open_world(data, make=True) as world:
        engine = Engine(load_playbook(STARTER), world)
        submission = engine.submit_and_wait(Tenant(), events)
        engine.close()
    assert submission.accounting.stored == len(events)


def analytic_ids(data: Path) -> set[bytes]:
    return {
        value.as_py()
        for path in (data / "facts").rglob("*.parquet")
        for value in parquet.read_table(path)["analytic_id"]
    }


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output


def test_facts_are_written_again_from_the_log(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collect(data, [event(1, "device-a"), event(2, "device-b")])
    run("facts", "--data", str(data))
    first = analytic_ids(data)
    assert len(first) == 2
    run("facts", "--data", str(data))
    assert analytic_ids(data) == first


def test_forgetting_reaches_facts_written_before_a_merge(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collect(data, [event(1, "device-a"), event(2, "device-b", "jonas")])
    run("facts", "--data", str(data))
    collect(data, [event(3, "device-a", "jonas")])
    run("forget", "--user", "jonas", "--data", str(data), "--playbook", str(STARTER))
    assert analytic_ids(data) == set()
