"""The console's process beside a true server: it comes, comes back, and goes when the server goes, however that is."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from cashwrap.adapters.system import SystemClock
from processes import Process, cashwrap

T = TypeVar("T")


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server over the folder ``data``; what still runs at the end is ended."""
    started = []
    cashwrap("init", tmp_path / "playbook")

    def run(*more: str) -> Process:
        started.append(Process(tmp_path / "playbook", tmp_path / "data", *more))
        return started[-1]

    yield run
    for server in started:
        if server.popen.returncode is None:
            server.stop()


def until(look: Callable[[], T | None]) -> T:
    """What is looked for, as soon as it is there."""
    clock, pause = SystemClock(), threading.Event()
    end = clock.monotonic() + 60
    while clock.monotonic() < end:
        if (found := look()) is not None:
            return found
        pause.wait(0.05)
    raise AssertionError("it never came")


def answering(server: Process) -> bool | None:
    """True once the console answers."""
    answer = httpx.get(f"{server.url}/console/login", timeout=30)
    return True if answer.status_code == 200 else None


def console_of(data: Path) -> int | None:
    """The process id of the console of a folder, if there is one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"\0console\0" in command and str(data).encode() in command:
                return int(entry.name)
    return None


def gone(data: Path) -> bool | None:
    return True if console_of(data) is None else None


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_it_comes_and_goes_with_the_server(tmp_path: Path, start: Start, workers: tuple[str, ...]) -> None:
    server, data = start("--console", *workers), tmp_path / "data"
    until(lambda: answering(server))
    assert httpx.get(f"{server.url}/console").headers["location"] == "/console/login"
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert server.stop() == 0
    until(lambda: gone(data))


def test_it_comes_back_and_costs_nobody_else_anything(tmp_path: Path, start: Start) -> None:
    server, data = start("--console"), tmp_path / "data"
    until(lambda: answering(server))
    first = console_of(data)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: None if console_of(data) == first else True)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    until(lambda: answering(server))
    assert "the console ended with code -9" in server.errors.read_text()
    server.kill()  # as a power cut would: nobody tells the console
    until(lambda: gone(data))


def test_there_is_none_where_none_is_wanted(tmp_path: Path, start: Start) -> None:
    server = start("--no-console")
    assert httpx.get(f"{server.url}/console").json()["code"] == "no_such_path"
    assert console_of(tmp_path / "data") is None
    server.stop()


def test_nobody_else_can_look_at_its_sockets(tmp_path: Path, start: Start) -> None:
    server, data = start("--console"), tmp_path / "data"
    pid = until(lambda: console_of(data))
    command = Path(f"/proc/{pid}/cmdline").read_text()
    found = re.search("--runtime\0([^\0]+)", command)
    assert found is not None
    assert Path(found[1]).stat().st_mode & 0o077 == 0
    until(lambda: answering(server))
    server.stop()
    assert not Path(found[1]).exists()
