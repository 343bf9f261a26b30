"""A disk that is truly full and has room again, and a self-test of all kinds by its command."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cashwrap.errors import Unavailable
from cashwrap.testing.chaos.full import disk_full
from cashwrap.testing.chaos.run import beside
from cashwrap.testing.chaos.tally import Tally
from chaos_room import room

COMMAND = [str(Path(sys.executable).parent / "cashwrap"), "selftest"]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1, "cashwrap")


@pytest.fixture
def folder() -> Iterator[Path]:
    with room() as found:
        yield found


def filled(folder: Path, seed: int, runs: int, **more: int) -> Tally:
    try:
        return disk_full(folder, seed, runs, **more)
    except Unavailable as error:
        if "may not mount" in error.message:
            pytest.skip(error.message)
        raise


def test_a_full_disk_stops_events_and_nothing_else(folder: Path) -> None:
    tally = filled(folder, 1, 6)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert (tally.runs, tally.faults) == (6, 6)


def test_a_folder_without_a_reserve_is_seen(folder: Path) -> None:
    wrong = filled(folder, 1, 1, reserve=0).wrong
    assert any("the reserve was not given away" in line for line in wrong)


# --- the command ---


def test_the_command_runs_all_of_it_and_leaves_the_data_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("untouched")
    done = subprocess.run(
        [*COMMAND, "--chaos", "--data", str(data), "--minutes", "0.05", "--seed", "9", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    report = json.loads(done.stdout)
    kinds = {each["what"] for each in report["runs"]} | report["skipped"].keys()
    assert (done.returncode, report["seed"], len(kinds)) == (0, 9, 8), done.stdout + done.stderr
    assert all(each["runs"] and not each["lost"] and not each["wrong"] for each in report["runs"])
    assert {path.name for path in tmp_path.rglob("*")} == {"data", "mine"}


def test_its_folder_is_beside_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for there in (data, tmp_path / "not" / "there"):
        made = beside(there)
        assert made.parent == tmp_path
        shutil.rmtree(made)
