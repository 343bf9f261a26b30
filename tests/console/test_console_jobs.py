"""Jobs: in a process of their own, bounded, told on the way, and gone with the console."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console import chores

from cashwrap.adapters.system import SystemClock
from cashwrap.console.work import jobs as room
from cashwrap.console.work.jobs import WAITING, Job, Jobs, Limits, named
from cashwrap.errors import TooMuch
from cashwrap.model import Tenant

PATIENCE = 30
"""Seconds, on a machine that is busy with everything else; nothing here takes one."""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """One process for all tests that leave it alive."""
    found = Jobs(tmp_path_factory.mktemp("data"), SystemClock(), Limits(memory=1024**3))
    yield found
    found.close()


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Jobs]:
    """Jobs that may take a moment only."""
    found = Jobs(tmp_path, SystemClock(), Limits(seconds=0.3))
    yield found
    found.close()


def ended(job: Job) -> Job:
    limit = time.monotonic() + PATIENCE
    while job.awaited:
        assert time.monotonic() < limit, job
        time.sleep(0.005)
    return job


def gone(pid: int) -> bool:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def sleeping(folder: Path) -> int:
    limit = time.monotonic() + PATIENCE
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < limit
        time.sleep(0.01)
    return int((folder / "pid").read_text())


def test_a_job_is_done_told_of_and_shared(jobs: Jobs) -> None:
    first = jobs.ask("double", chores.double, 21)
    assert jobs.ask("double", chores.double, 21, fresh=60_000) is first
    assert (ended(first).state, first.result, first.words) == ("done", 42, "doubling")
    assert jobs.ask("double", chores.double, 21, fresh=60_000) is first
    assert jobs.find("double") is first
    assert jobs.find("another") is None


def test_a_newer_one_keeps_the_last_result_until_it_has_its_own(jobs: Jobs) -> None:
    first = ended(jobs.ask("again", chores.double, 1))
    second = jobs.ask("again", chores.refuse, fresh=-1)
    assert second is not first
    assert (second.result, second.made) == (2, first.made)
    assert (ended(second).state, second.code, second.result) == ("failed", "cannot_be", 2)


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (chores.refuse, "cannot_be"),
        (chores.fail, "internal_error"),
        (chores.swell, "job_too_large"),
        (chores.unsendable, "internal_error"),
    ],
)
def test_what_fails_says_why_and_ends_alone(jobs: Jobs, work: object, code: str) -> None:
    assert ended(jobs.ask(f"bad {work}", work)).code == code  # type: ignore[arg-type]
    assert ended(jobs.ask(f"good after {work}", chores.double, 2)).result == 4


def test_the_process_steps_back(jobs: Jobs) -> None:
    assert ended(jobs.ask("nice", chores.nice)).result == min(19, os.nice(0) + 10)


def test_a_process_that_dies_takes_one_job_along(jobs: Jobs) -> None:
    assert ended(jobs.ask("die", chores.die)).code == "job_died"
    assert ended(jobs.ask("after death", chores.double, 3)).result == 6


def test_a_job_that_takes_too_long_is_ended_with_its_process(short: Jobs, tmp_path: Path) -> None:
    assert ended(short.ask("sleep", chores.sleep)).code == "job_too_long"
    assert gone(sleeping(tmp_path))


def test_so_many_wait_and_no_more(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, SystemClock())
    jobs.ask("sleep", chores.sleep)
    pid = sleeping(tmp_path)
    waiting = [jobs.ask(str(number), chores.double, number) for number in range(WAITING)]
    with pytest.raises(TooMuch) as refused:
        jobs.ask("one more", chores.double, 1)
    assert refused.value.code == "too_many_jobs"
    assert jobs.find("one more") is None
    assert [jobs.ahead(job) for job in waiting[:3]] == [1, 2, 3]
    assert jobs.ask("3", chores.double, 3) is waiting[3]  # who asks for the same waits with the others
    jobs.close()
    assert gone(pid)


def test_only_the_newest_are_remembered(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT", 5)
    ended(jobs.ask("oldest", chores.double, 0))
    for number in range(5):
        ended(jobs.ask(f"many {number}", chores.double, number))
    assert jobs.find("oldest") is None
    assert jobs.find("many 4") is not None


def test_a_killed_console_leaves_no_process_behind(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nimport sys, time\n"
        "from tests.console import chores\nfrom cashwrap.adapters.system import SystemClock\n"
        "from cashwrap.console.work.jobs import Jobs\n"
        f"Jobs(Path({str(tmp_path)!r}), SystemClock()).ask('sleep', chores.sleep)\ntime.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    console = subprocess.Popen([sys.executable, "-c", code], cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    try:
        pid = sleeping(tmp_path)
        console.send_signal(signal.SIGKILL)
        assert gone(pid)
    finally:
        console.kill()
        console.wait()


def test_no_two_stores_share_a_name() -> None:
    assert named(Tenant("a", "live"), "report", "x") != named(Tenant("b", "live"), "report", "x")
    assert named(Tenant("a", "live"), "report", "b", "c") != named(Tenant("a", "live"), "report", "b c")


def test_pages_need_no_heavy_library() -> None:
    """What runs jobs may need a gigabyte; what answers pages stays small."""
    heavy = ("duckdb", "scipy", "matplotlib", "sklearn", "ibis")
    code = f"import cashwrap.console.app, sys; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
