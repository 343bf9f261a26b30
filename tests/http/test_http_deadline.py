"""Decisions and events while the store is slow, hung, dead or broken: a real server, one fault after the other.

What is asserted is what callers are promised, never how long it took; a client that waits ten seconds is the proof
that nothing hangs. ``python -m bench.deadline`` measures the same server under load.
"""

import itertools
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from bench.faulty import switch

from engines import BROWSER, STARTER
from processes import cashwrap, client

ROOT = Path(__file__).parents[2]
numbers = itertools.count()
PATIENCE = 0.3
"""Seconds that collect waits for a commit in these tests."""
SLOW = 5.0
"""Seconds that a call of the slow store takes, unless it is well again before."""


FAULTY = ("-m", "bench.faulty")
PLANTED = """
from cashwrap.serve.hot import HotRoutes

async def read(self, ref, deadline_ms, caller):
    return self._find(ref, caller), False

HotRoutes._profile = read

from bench import faulty
faulty.main()
"""
"""A server that reads where it answers: what every test here must be able to see."""


class Server:
    """A ``serve`` whose store can fail. ``hot`` is in its memory, ``stored`` are in the store only."""

    def __init__(self, folder: Path, program: tuple[str, str] = FAULTY) -> None:
        self.program = program
        self.fault, self.playbook, self.data = folder / "fault", folder / "playbook", folder / "data"
        self.log = folder / "serve.log"
        self.key = cashwrap("keys", "create", "secret", "--data", self.data).strip().splitlines()[-1]
        shutil.copytree(STARTER, self.playbook)
        self.hot = {"anonymousId": "hot-shopper-0000"}
        self._stored = iter([{"anonymousId": f"stored-shopper-{number:04}"} for number in range(40)])
        everyone = [self.hot, *({"anonymousId": f"stored-shopper-{number:04}"} for number in range(40))]
        self._start()
        with self.client() as http:
            for who in everyone:
                assert http.post("/v1/batch", json={"batch": visit(who)}).status_code == 200
        self.stop()
        self._start()

    def _start(self) -> None:
        self.fault.write_text("")
        paths = ["--playbook", self.playbook, "--data", self.data, "--fault", self.fault]
        command = [
            sys.executable,
            *self.program,
            *map(str, paths),
            "--patience",
            str(PATIENCE),
            "--slow",
            str(SLOW),
        ]
        with self.log.open("a") as log:
            self.popen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line.startswith("cashwrap is ready at "):
            self.popen.kill()
            self.popen.wait()
            self.popen.stdout.close()
            raise AssertionError(self.log.read_text())
        self.url = line.split()[-1]

    def stop(self) -> None:
        self.fault.write_text("")
        self.popen.terminate()
        assert self.popen.wait(30) == 0
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    def client(self) -> httpx.Client:
        return client(self.url, self.key)

    def cold(self) -> dict[str, str]:
        """A shopper that nobody has asked for yet."""
        return next(self._stored)

    def is_now(self, fault: str) -> None:
        switch(self.fault, fault)


def visit(who: dict[str, str]) -> list[dict[str, Any]]:
    viewed = {"product_id": "mug-1", "category": "coffee"}
    name = who["anonymousId"]
    return [
        {"type": "consent", "messageId": f"{name}-c", "choices": {"personalization": "granted"}, **who},
        {"type": "track", "event": "Product Viewed", "messageId": f"{name}-v", "properties": viewed, **who},
    ]


def decided(http: httpx.Client, who: dict[str, str], **more: Any) -> dict[str, Any]:
    """A decision; anything but a whole answer with 200 fails the test."""
    question = {"shopper": who, "context": {"cart": {"total": 60}}, "deadlineMs": 20, **more}
    answer = http.post("/v1/decide", json=question, headers={"user-agent": BROWSER}, timeout=10)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["placements"]["basket_message"]["reason"] in {"match", "error"}
    return body


def eventually(holds: Callable[[], bool]) -> bool:
    """Poll until it holds, for ten seconds at most."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(500))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("deadline"))
    try:
        # Before anything else was asked: what a first decision needs besides the profile hangs as well.
        running.is_now("hung")
        with running.client() as http:
            first = decided(http, running.hot)
        assert (first["level"], first["degraded"]) == ("default", True)
        running.is_now("")
        with running.client() as http:
            assert eventually(lambda: decided(http, running.hot)["level"] == "session")
        yield running
    finally:
        running.stop()


@pytest.fixture(params=["slow", "hung", "dead", "broken"])
def fault(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    server.is_now(request.param)
    yield request.param
    server.is_now("")


def test_who_is_in_memory_notices_nothing(server: Server, fault: str) -> None:
    with server.client() as http:
        for _ in range(10):
            body = decided(http, server.hot)
            assert (body["level"], body["degraded"]) == ("session", False)


def test_who_is_not_falls_back_one_level_and_is_told_so(server: Server, fault: str) -> None:
    with server.client() as http:
        for who in (server.cold(), server.cold(), {"anonymousId": f"never-seen-{next(numbers):08}"}):
            body = decided(http, who)
            assert (body["level"], body["degraded"]) == ("request", True)
            assert body["placements"]["basket_message"]["experience"] == "free_delivery_reached"


def test_more_of_them_than_threads_to_read_with(server: Server, fault: str) -> None:
    """Reads that never return use up the threads; whoever comes then is not read for, and answered all the same."""
    answers: list[dict[str, Any]] = []

    def ask(number: int) -> None:
        with server.client() as http:
            answers.append(decided(http, {"anonymousId": f"crowd-{fault}-{number:08}"}))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [(body["level"], body["degraded"]) for body in answers] == [("request", True)] * 40
    with server.client() as http:
        assert decided(http, server.hot)["degraded"] is False


def test_when_the_store_is_well_again_nobody_is_degraded(server: Server, fault: str) -> None:
    who = server.cold()
    with server.client() as http:
        assert decided(http, who)["degraded"] is True
        server.is_now("")
        assert eventually(lambda: decided(http, who)["level"] == "session")
        assert decided(http, who)["degraded"] is False


def test_events_are_refused_with_a_time_to_come_back_and_kept_once_after_it(server: Server, fault: str) -> None:
    who = {"anonymousId": f"sender-{fault}-0000"}
    with server.client() as http:
        answer = http.post("/v1/batch", json={"batch": visit(who)}, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert decided(http, server.hot)["degraded"] is False
        server.is_now("")
        assert eventually(lambda: http.post("/v1/batch", json={"batch": visit(who)}).status_code == 200)
        assert eventually(lambda: decided(http, who)["level"] == "session")
        assert views(http, who) == 1


def views(http: httpx.Client, who: dict[str, str]) -> int:
    """How many views the shopper's profile has."""
    answer = http.get("/v1/shoppers", params=who)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["attributes"]["session_views"])


def test_a_playbook_that_changes_meanwhile_goes_live_afterwards(server: Server, fault: str) -> None:
    with server.client() as http:
        before = decided(http, server.hot)["playbook"]
        file = server.playbook / "experiences.yaml"
        file.write_text(file.read_text().replace("is free with this basket.", f"is free, {fault}."))
        for _ in range(20):
            assert decided(http, server.hot)["degraded"] is False
        server.is_now("")
        assert eventually(lambda: decided(http, server.hot)["playbook"] != before)
        file.write_text(file.read_text().replace(f"is free, {fault}.", "is free with this basket."))
        assert eventually(lambda: decided(http, server.hot)["playbook"] == before)


# --- a planted bug ---


def test_a_server_that_reads_where_it_answers_is_caught(tmp_path: Path) -> None:
    server = Server(tmp_path, ("-c", PLANTED))
    try:
        with server.client() as http:
            assert decided(http, server.hot)["level"] == "session"
            server.is_now("hung")
            with pytest.raises(httpx.ReadTimeout):
                http.post("/v1/decide", json={"shopper": server.cold()}, timeout=1)
    finally:
        server.stop()
