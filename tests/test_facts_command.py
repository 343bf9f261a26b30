"""``cashwrap facts`` and forgetting: the fact table is derived from the log, and gives nobody back."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
from pyarrow import parquet
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.engine import Engine
from cashwrap.library import open_world
from cashwrap.model import Event, Tenant
from cashwrap.names import digest_of
from cashwrap.playbook import examine, load_playbook, read_files
from cashwrap.versions import Versions

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
        for value in parquet.ParquetFile(path).read()["analytic_id"]
    }


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_each_run_adds_what_is_new_and_again_writes_all_of_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collect(data, [event(1, "device-a"), event(2, "device-b")])
    assert json.loads(run("facts", "--data", str(data), "--json")) == {"facts": 2}
    first = analytic_ids(data)
    assert len(first) == 2
    assert "0 new facts" in run("facts", "--data", str(data))
    collect(data, [event(3, "device-c")])
    assert "1 new facts" in run("facts", "--data", str(data))
    assert json.loads(run("facts", "--data", str(data), "--again", "--json")) == {"facts": 3}
    assert analytic_ids(data) > first
    assert len(analytic_ids(data)) == 3


def test_they_are_written_while_the_folder_is_served_and_forgetting_goes_on(tmp_path: Path) -> None:
    data, tenant = tmp_path / "data", Tenant()
    with open_world(data, make=True) as world:
        engine = Engine(load_playbook(STARTER), world)
        assert engine.submit_and_wait(tenant, [event(1, "device-a"), event(2, "device-b")]).accounting.stored == 2
        assert json.loads(run("facts", "--data", str(data), "--json")) == {"facts": 2}
        assert engine.submit_and_wait(tenant, [event(3, "device-a")]).accounting.stored == 1
        assert json.loads(run("facts", "--data", str(data), "--json")) == {"facts": 1}
        key = next(iter(world.store.resolve([digest_of(world.vault, (tenant, "anonymous", "device-a"))]).values()))
        assert engine.forget(key)
        assert len(analytic_ids(data)) == 1
        assert json.loads(run("facts", "--data", str(data), "--again", "--json")) == {"facts": 1}
        engine.close()


def test_what_the_live_playbooks_metrics_ask_for_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collect(data, [event(1, "device-a")])
    files = {**read_files(STARTER)}
    name = next(each for each in files if each.endswith(".yaml") and "features:" in files[each])
    files[name] += "\nmetrics:\n  seen: {mean: Product Viewed, of: position}\n"
    with open_world(data) as world:
        playbook, faults = examine(files)
        assert playbook is not None, faults
        versions = Versions(world.registry, world.clock)
        versions.keep(playbook, files)
        versions.go_live(playbook.hash, "publish")
        engine = Engine(playbook, world)
        told = msgspec.structs.replace(event(2, "device-b"), properties={"product_id": "p", "position": 4})
        assert engine.submit_and_wait(Tenant(), [told]).accounting.stored == 1
        engine.close()
    run("facts", "--data", str(data))
    found = [row["measures"] for path in (data / "facts").rglob("*.parquet") for row in read_rows(path)]
    assert sorted(map(dict, found), key=len) == [{}, {"position": 4.0}]


def read_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.ParquetFile(path).read().to_pylist()
    return rows


def test_forgetting_reaches_facts_written_before_a_merge(tmp_path: Path) -> None:
    data = tmp_path / "data"
    collect(data, [event(1, "device-a"), event(2, "device-b", "jonas")])
    run("facts", "--data", str(data))
    collect(data, [event(3, "device-a", "jonas")])
    run("forget", "--user", "jonas", "--data", str(data), "--playbook", str(STARTER))
    assert analytic_ids(data) == set()
