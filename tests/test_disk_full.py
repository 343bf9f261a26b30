"""A disk that is truly full and has room again, and a self-test of all kinds by its command."""

import errno
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from cashwrap.errors import DiskFull, Unavailable
from cashwrap.testing.chaos.full import disk_full
from cashwrap.testing.chaos.run import beside
from cashwrap.testing.chaos.tally import Tally
from chaos_room import room
from engines import TestClock, memory_world
from servers import Server, serving

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


@pytest.mark.slow
def test_a_full_disk_stops_events_and_nothing_else(folder: Path) -> None:
    tally = filled(folder, 1, 6)
    assert (tally.wrong, tally.lost, tally.double) == ([], 0, 0)
    assert (tally.runs, tally.faults) == (6, 6)


def test_a_folder_without_a_reserve_is_seen(folder: Path) -> None:
    wrong = filled(folder, 1, 1, reserve=0).wrong
    assert any("the reserve was not given away" in line for line in wrong)


# --- what clients, operators and actions meet ---


class Given:
    """A reserve that a test gives away and takes back."""

    def __init__(self) -> None:
        self.given = False
        self.gifts = 0

    def full(self) -> bool:
        return self.given

    def give(self) -> None:
        self.given = True
        self.gifts += 1

    def tend(self) -> None: ...


@pytest.fixture
def reserve() -> Given:
    return Given()


@pytest.fixture
def server(reserve: Given) -> Iterator[Server]:
    with serving(structs.replace(memory_world(TestClock()), reserve=reserve)) as found:
        yield found


def test_a_full_disk_is_said_to_clients_and_operators(server: Server, reserve: Given) -> None:
    batch = {"batch": [server.shop.orders({"userId": "jo"}, "o1", 5.0)]}
    assert server.post("/v1/batch", batch, secret=True).status_code == 200
    reserve.given = True
    refused = server.post("/v1/batch", batch, secret=True)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "disk_full", "1")
    assert server.post("/v1/decide", {"shopper": {"userId": "jo"}}, secret=True).status_code == 200
    ready = server.http.get("/readyz")
    assert (ready.status_code, ready.json()["disk"]) == (200, "full")
    assert "cashwrap_disk_full 1.0" in server.http.get("/metrics").text
    assert server.admin("DELETE", "/v1/shoppers?userId=jo").status_code < 300
    reserve.given = False
    assert server.post("/v1/batch", batch, secret=True).status_code == 200
    assert server.http.get("/readyz").json()["disk"] == "ok"
    assert "cashwrap_disk_full 0.0" in server.http.get("/metrics").text


@pytest.mark.parametrize("error", [DiskFull("no room"), OSError(errno.ENOSPC, "no room")])
def test_an_action_that_finds_the_disk_full_runs_again_on_the_reserve(
    server: Server, reserve: Given, error: Exception
) -> None:
    seen: list[bool] = []

    def action() -> None:
        seen.append(reserve.given)
        if not reserve.given:
            raise error

    server.shop.engine.writer.call(action)
    assert (seen, reserve.gifts) == ([False, True], 1)


def test_an_action_that_the_reserve_does_not_help_says_so(server: Server, reserve: Given) -> None:
    def action() -> None:
        raise DiskFull("no room at all")

    for gifts in (1, 1):
        with pytest.raises(DiskFull):
            server.shop.engine.writer.call(action)
        assert reserve.gifts == gifts


def test_another_failure_gives_nothing_away(server: Server, reserve: Given) -> None:
    def action() -> None:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        server.shop.engine.writer.call(action)
    assert reserve.gifts == 0


# --- the command ---


@pytest.mark.slow
def test_the_command_runs_all_of_it_and_leaves_the_data_alone(folder: Path) -> None:
    data = folder / "data"
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
    assert {path.name for path in folder.rglob("*")} == {"data", "mine"}


def test_its_folder_is_beside_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for there in (data, tmp_path / "not" / "there"):
        made = beside(there)
        assert made.parent == tmp_path
        shutil.rmtree(made)
