"""``cashwrap serve --workers 2`` as operators run it: every promise of one process, kept by several."""

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.errors import Locked
from cashwrap.tallies import KIND, tallies
from crews import children, clients_of_each
from engines import LIVE, STARTER
from processes import Process, cashwrap, client, process

CHOICES = {"personalization": "granted", "analytics": "granted"}
WORKERS = ("--workers", "2")


def eventually(holds: Callable[[], bool]) -> bool:
    """Poll until it holds, for ten seconds at most."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(500))


class Team:
    """A server of several processes with a client for each."""

    def __init__(self, process: Process, key: str) -> None:
        self.process = process
        self.key = key
        self.clients = clients_of_each(process, key)
        self.sent = 0

    def close(self) -> None:
        for http in self.clients.values():
            http.close()

    def event(self, user: str, **more: Any) -> dict[str, Any]:
        self.sent += 1
        fields = {"type": "track", "event": "Product Viewed", "properties": {"product_id": "mug"}}
        return {**fields, "userId": user, "messageId": f"{os.getpid()}-{self.sent}", **more}

    def consent(self, user: str, choices: dict[str, str] = CHOICES) -> None:
        http = next(iter(self.clients.values()))
        body = {"userId": user, "messageId": f"c-{user}-{self.sent}", "choices": choices}
        self.sent += 1
        assert http.post("/v1/consent", json=body).status_code == 200


def views(http: httpx.Client, user: str) -> object:
    found = http.get("/v1/shoppers", params={"userId": user})
    return found.json()["attributes"].get("session_views") if found.status_code == 200 else None


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    shutil.copytree(STARTER, folder / "playbook")
    return folder


@pytest.fixture(scope="module")
def team(folder: Path) -> Iterator[Team]:
    key = cashwrap("keys", "create", "secret", "--data", folder / "data").splitlines()[-1]
    with process(folder / "playbook", folder / "data", *WORKERS) as server:
        team = Team(server, key)
        yield team
        team.close()


def test_two_serve_and_one_writes(team: Team) -> None:
    writer, serving = children(team.process)
    assert len(serving) == len(team.clients) == 2
    assert writer
    assert (team.process.errors.parent / "data" / "lock").read_text().strip() == str(writer)


def test_collect_on_one_decide_on_the_other(team: Team) -> None:
    team.consent("anna")
    one, two = team.clients.values()
    for number in range(1, 60):
        here, there = (one, two) if number % 2 else (two, one)
        assert here.post("/v1/track", json=team.event("anna")).status_code == 200
        assert views(there, "anna") == number


def test_a_delivery_to_both_at_once_counts_once(team: Team) -> None:
    team.consent("doppel")
    for _ in range(20):
        event = team.event("doppel")
        each = {"args": ("/v1/track",), "kwargs": {"json": event}}
        sending = [threading.Thread(target=http.post, **each) for http in team.clients.values()]  # type: ignore[arg-type]
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join(30)
    assert [views(http, "doppel") for http in team.clients.values()] == [20, 20]


def test_forgotten_by_one_unknown_to_all(team: Team) -> None:
    one, two = team.clients.values()
    team.consent("fritz")
    one.post("/v1/track", json=team.event("fritz"))
    assert views(two, "fritz") == views(one, "fritz") == 1
    assert two.delete("/v1/shoppers", params={"userId": "fritz"}).json() == {"forgotten": True}
    assert views(one, "fritz") is views(two, "fritz") is None
    assert one.delete("/v1/shoppers", params={"userId": "fritz"}).status_code == 404


def test_a_withdrawal_on_one_counts_on_the_other(team: Team) -> None:
    one, two = team.clients.values()
    team.consent("wilma")
    one.post("/v1/track", json=team.event("wilma"))
    assert views(two, "wilma") == 1
    body = {"userId": "wilma", "messageId": "w1", "choices": dict.fromkeys(CHOICES, "denied")}
    assert two.post("/v1/consent", json=body).status_code == 200
    assert views(one, "wilma") is None


def test_one_scrape_tells_of_all(team: Team) -> None:
    before = [http.get("/metrics").text for http in team.clients.values()]
    decided = metric(before[1], "cashwrap_decisions_total")
    received = metric(before[1], "cashwrap_events_received_total")
    team.consent("mona")
    for http in [*team.clients.values()] * 5:
        assert http.post("/v1/decide", json={"shopper": {"userId": "mona"}}).status_code == 200
        assert http.post("/v1/track", json=team.event("mona")).status_code == 200
    for http in team.clients.values():
        text = http.get("/metrics").text
        assert metric(text, "cashwrap_decisions_total") == decided + 10
        assert metric(text, "cashwrap_decision_seconds_count") == decided + 10
        assert metric(text, "cashwrap_events_received_total") == received + 11
        fates = re.findall(r'^cashwrap_events_total\{fate="\w+"\} (\S+)$', text, re.MULTILINE)
        assert sum(map(float, fates)) == received + 11
        assert len(re.findall(r"^cashwrap_decisions_total ", text, re.MULTILINE)) == 1


def test_a_decision_is_kept_and_explained_by_any(team: Team) -> None:
    team.consent("karla")
    one, two = team.clients.values()
    made = one.post("/v1/decide", json={"shopper": {"userId": "karla"}}).json()
    path = f"/v1/decisions/{made['decisionId']}"
    assert eventually(lambda: two.get(path).status_code == 200)
    assert two.get(path).json()["same"] is True


def test_a_changed_playbook_is_taken_up_by_all(team: Team, folder: Path) -> None:
    def hashes() -> set[str]:
        return {http.get("/readyz").json()["playbook"]["hash"] for http in team.clients.values()}

    (before,) = hashes()
    file = next(path for path in (folder / "playbook").glob("*.yaml") if "experiences:" in path.read_text())
    old = file.read_text()
    file.write_text(f"{old}\n  for_all:\n    in: basket_message\n    show: {{text: {{en: Hello}}}}\n")
    assert eventually(lambda: len(hashes()) == 1 and hashes() != {before}), team.process.errors.read_text()
    file.write_text(old)
    assert eventually(lambda: hashes() == {before})


def test_a_switch_thrown_on_one_is_thrown_on_all(team: Team) -> None:
    one, two = team.clients.values()

    def reasons(http: httpx.Client) -> set[str]:
        placements = http.post("/v1/decide", json={"shopper": {"anonymousId": "s"}}).json()["placements"]
        return {each["reason"] for each in placements.values()}

    assert one.put("/v1/kill", json={"scope": "all", "off": True}).status_code == 200
    assert reasons(one) == {"killed"}
    assert eventually(lambda: reasons(two) == {"killed"})
    two.put("/v1/kill", json={"scope": "all", "off": False})
    assert eventually(lambda: "killed" not in reasons(one))


def test_a_rate_is_of_all_together(team: Team, folder: Path) -> None:
    key = cashwrap("keys", "create", "publishable", "--data", folder / "data").splitlines()[-1]
    clients = clients_of_each(team.process, key)
    batch = {"batch": [team.event("r", event="Page Viewed") for _ in range(400)]}

    def sent(http: httpx.Client) -> int:
        return http.post("/v1/batch", json=batch, headers={"user-agent": "Mozilla/5.0 Firefox/140.0"}).status_code

    first = next(iter(clients.values()))
    assert eventually(lambda: sent(first) != 401)
    codes = [sent(http) for http, _ in zip(cycle(clients.values()), range(12), strict=False)]
    for http in clients.values():
        http.close()
    assert codes.count(200) <= 7  # 2,000 at once and 200 a second: twice that if each counted for itself
    assert codes[-2:] == [429, 429]


# --- ends, wanted and unwanted ---


class Load:
    """Shoppers who send one event after the other to whichever process takes them, and come back when told to."""

    def __init__(self, server: Process, key: str) -> None:
        self.server = server
        self.key = key
        self.acked: list[list[str]] = [[] for _ in range(4)]
        self.sent: list[list[str]] = [[] for _ in range(4)]
        self.refused: list[int] = []
        self.over = threading.Event()
        self.enough = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._send, args=(shopper,)) for shopper in range(4)]
        for thread in self.threads:
            thread.start()

    def acknowledged(self, count: int) -> None:
        for _ in range(count):
            assert self.enough.acquire(timeout=30)

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _send(self, shopper: int) -> None:
        number, http = 0, client(self.server.url, self.key)
        while not self.over.is_set():
            number += 1
            message = f"{shopper}-{number}"
            self.sent[shopper].append(message)
            body = {"type": "track", "event": "Product Viewed", "userId": f"load-{shopper}", "messageId": message}
            try:
                code = http.post("/v1/track", json={**body, "properties": {"product_id": "mug"}}).status_code
            except httpx.TransportError:
                http.close()
                http = client(self.server.url, self.key)
                self.over.wait(0.1)
                continue
            if code == 200:
                self.acked[shopper].append(message)
                self.enough.release()
            else:
                self.refused.append(code)
                self.over.wait(0.02)
        http.close()


def kept(server: Process, key: str, load: Load) -> None:
    """Everything acknowledged is there, nothing twice, and what is sent once more changes only what was not there."""
    with client(server.url, key) as http:
        for shopper in range(4):
            held = views(http, f"load-{shopper}")
            assert isinstance(held, int)
            assert len(load.acked[shopper]) <= held <= len(load.sent[shopper])


@contextmanager
def loaded(server: Process, key: str) -> Iterator[Load]:
    with client(server.url, key) as http:
        for shopper in range(4):
            body = {"userId": f"load-{shopper}", "messageId": f"c{shopper}", "choices": CHOICES}
            assert http.post("/v1/consent", json=body).status_code == 200
    load = Load(server, key)
    try:
        yield load
    finally:
        load.end()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    key = cashwrap("keys", "create", "secret", "--data", tmp_path / "data").splitlines()[-1]
    with process(STARTER, tmp_path / "data", *WORKERS) as server:
        yield server, key


def test_a_killed_worker_loses_nothing_and_is_replaced(fresh: tuple[Process, str]) -> None:
    server, key = fresh
    with loaded(server, key) as load:
        for _ in range(3):
            load.acknowledged(40)
            before = frozenset(children(server)[1])
            os.kill(min(before), signal.SIGKILL)
            assert eventually(lambda before=before: len(set(children(server)[1]) - before) == 1)  # type: ignore[misc]
        load.acknowledged(40)
    assert set(load.refused) <= {503}
    kept(server, key, load)
    fates = httpx.get(f"{server.url}/metrics").text
    assert metric(fates, 'cashwrap_events_total{fate="stored"}') >= sum(map(len, load.acked))


def test_a_killed_writer_loses_nothing_and_decisions_go_on(fresh: tuple[Process, str]) -> None:
    server, key = fresh
    decided: list[int] = []
    with loaded(server, key) as load, client(server.url, key) as http:
        for _ in range(3):
            load.acknowledged(40)
            writer = children(server)[0]
            os.kill(writer, signal.SIGKILL)
            decided += [http.post("/v1/decide", json={"shopper": {"userId": "load-1"}}).status_code for _ in range(20)]
            assert eventually(lambda writer=writer: children(server)[0] not in {0, writer})  # type: ignore[misc]
        load.acknowledged(200)
    assert set(decided) == {200}
    assert set(load.refused) == {503}
    kept(server, key, load)


def test_a_stopped_writer_gives_503_and_then_everything_goes_on(fresh: tuple[Process, str]) -> None:
    server, key = fresh
    writer = children(server)[0]
    with client(server.url, key) as http:
        os.kill(writer, signal.SIGSTOP)
        try:
            body = {"userId": "u", "messageId": "s1", "choices": CHOICES}
            answer = http.post("/v1/consent", json=body)
            decision = http.post("/v1/decide", json={"shopper": {"userId": "u"}})
        finally:
            os.kill(writer, signal.SIGCONT)
        assert (answer.status_code, decision.status_code) == (503, 200)
        assert answer.headers["retry-after"]
        assert http.post("/v1/consent", json=body).status_code == 200


def test_a_stop_answers_what_has_begun(tmp_path: Path) -> None:
    key = cashwrap("keys", "create", "secret", "--data", tmp_path / "data").splitlines()[-1]
    with process(STARTER, tmp_path / "data", *WORKERS) as server, loaded(server, key) as load:
        load.acknowledged(80)
        assert server.stop() == 0, server.errors.read_text()
    assert not (tmp_path / "data" / "cashwrap.db-wal").exists()
    with process(STARTER, tmp_path / "data") as server:
        kept(server, key, load)


TESTED = """
shop: {currency: EUR, locale: en}
placements:
  banner: {component: message}
experiences:
  greeting:
    in: banner
    show: {text: {en: Good day.}}
    experiment: {arms: {control: 50%, main: 50%}, goal: conversion}
"""


def test_what_each_decided_is_written_down_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "playbook").mkdir()
    (tmp_path / "playbook" / "shop.yaml").write_text(TESTED)
    key = cashwrap("keys", "create", "secret", "--data", tmp_path / "data").splitlines()[-1]
    with process(tmp_path / "playbook", tmp_path / "data", *WORKERS) as server:
        team = Team(server, key)
        team.consent("tested")
        for http in team.clients.values():
            for _ in range(10):
                assert http.post("/v1/decide", json={"shopper": {"userId": "tested"}}).status_code == 200
        team.close()
        assert server.stop() == 0, server.errors.read_text()
    with closing(SqliteStore(tmp_path / "data", serving=False)) as store:
        assert len(store.documents(KIND)) == 2, "one of each process"
        found = tallies(store, LIVE)
    assert [(key[0], sum(days.values())) for key, days in found.items()] == [("greeting", 20)]


def test_a_killed_supervisor_takes_the_others_along(tmp_path: Path) -> None:
    cashwrap("keys", "create", "secret", "--data", tmp_path / "data")
    with process(STARTER, tmp_path / "data", *WORKERS) as server:
        writer, serving = children(server)
        server.kill()
        assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in (writer, *serving)))
    assert eventually(lambda: is_free(tmp_path / "data"))


def is_free(data: Path) -> bool:
    """Whether nobody serves the folder: a process lets go of it in its last moments."""
    try:
        SqliteStore(data).close()
    except Locked:
        return False
    return True


def test_what_cannot_start_says_why(team: Team, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="playbook"):
        Process(tmp_path / "nothing", tmp_path / "data", *WORKERS)
    with pytest.raises(AssertionError, match="data_folder_locked"):
        Process(STARTER, folder / "data", *WORKERS)
    port = team.process.url.rpartition(":")[2]
    with pytest.raises(AssertionError, match="port_taken"):
        Process(STARTER, tmp_path / "other", *WORKERS, "--port", port)
