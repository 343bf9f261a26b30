"""Clients that use a connection as no browser would."""

import gzip
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cashwrap.serve import protocol
from cashwrap.serve.hot import LARGE
from cashwrap.serve.protocol import MAX_WAIT, PIPELINED, LimitedProtocol, expire
from engines import STARTER
from processes import process
from servers import Server, serving_folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("connections")
    with serving_folder(folder / "data") as server:
        yield server


def question(server: Server, *headers: str) -> bytes:
    head = ["POST /v1/decide HTTP/1.1", "Host: x", f"Authorization: Bearer {server.shop.public_text}", *headers]
    return ("\r\n".join([*head, "Content-Length: 2"]) + "\r\n\r\n{}").encode()


def connections(server: Server) -> list[LimitedProtocol]:
    return [each for each in server.uvicorn.server_state.connections if isinstance(each, LimitedProtocol)]


def test_a_few_pipelined_requests_are_all_answered(server: Server) -> None:
    last = question(server, "Connection: close")
    answer = server.raw(question(server) * (PIPELINED // 2) + last)
    assert answer.count(b"HTTP/1.1 200 OK") == PIPELINED // 2 + 1


def test_a_client_that_asks_without_end_and_reads_nothing_fills_no_memory(server: Server) -> None:
    """It was read on and on: 60 MB of requests became a gigabyte of waiting ones."""
    flood = question(server) * 200
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), 5) as greedy:
        with suppress(ConnectionResetError, BrokenPipeError, TimeoutError):
            while sent < 20_000_000:
                sent += greedy.send(flood)
        assert all(len(each.pipeline) <= PIPELINED for each in connections(server))
    assert sent < 20_000_000


def test_who_takes_no_answer_is_let_go(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 5) as slow:
        slow.sendall(question(server))
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK")
        (connection,) = (each for each in connections(server) if each.client == slow.getsockname())
        assert server.loop is not None
        now = server.loop.time()
        connection.blocked = now - MAX_WAIT - 1
        server.loop.call_soon_threadsafe(expire, [connection], now)
        with suppress(ConnectionResetError):
            assert slow.recv(65536) == b""


@pytest.mark.parametrize("spelling", ["Upgrade: h2c", "upgrade:h2c"])
def test_an_offer_of_http_2_costs_no_body(server: Server, spelling: str) -> None:
    """Java's client makes it with every first request over plain HTTP."""
    offer = (spelling, "Connection: Upgrade, HTTP2-Settings, close", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    assert server.raw(question(server, *offer)).startswith(b"HTTP/1.1 200 OK")


def test_what_takes_long_to_read_does_not_hold_up_decisions(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = server.shop.engine
    parse, collect, where = engine.parse, engine.collect, []

    def noting(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            where.append(threading.current_thread().name.startswith("cashwrap-parse"))
            return work(*arguments)

        return noted

    monkeypatch.setattr(engine, "parse", noting(parse))
    monkeypatch.setattr(engine, "collect", noting(collect))
    events = [server.shop.event(event="Products Searched", properties={"query": "9 " * 500}, anonymousId="d")] * 100
    large = json.dumps({"batch": events}).encode()
    assert len(large) > LARGE
    brackets = b'{"batch":' + b"[" * LARGE
    assert server.post("/v1/batch", content=large).status_code == 200
    assert server.post("/v1/batch", content=gzip.compress(large)).status_code == 200
    assert server.post("/v1/batch", content=brackets).status_code == 400
    assert where == [True] * 5
    assert server.post("/v1/batch", {"batch": events[:1]}).status_code == 200
    assert where[5:] == [False] * 2


def test_a_server_takes_more_connections_than_an_account_usually_may(tmp_path: Path) -> None:
    """With the usual soft limit a thousand idle connections shut everybody else out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(len(list(Path("/proc/self/fd").iterdir())) + 64, hard)  # this process has files open too
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        with process(STARTER, tmp_path / "data") as running:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            host, port = running.url.removeprefix("http://").split(":")
            idle = [socket.create_connection((host, int(port)), 30) for _ in range(2 * few)]
            try:
                assert httpx.get(f"{running.url}/healthz", timeout=30).status_code == 200
            finally:
                for connection in idle:
                    connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_connections_give_way_to_whoever_asks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand connections that asked for nothing had every decision answered with 503, the backend's too."""
    monkeypatch.setattr(protocol, "CONNECTIONS", 40)
    asked = {"shopper": {"anonymousId": "mira-1"}, "placements": ["basket_message"]}
    idle: list[socket.socket] = []

    def decide(http: httpx.Client) -> int:
        return http.post("/v1/decide", json=asked).status_code

    try:
        with httpx.Client(
            base_url=server.url, headers={"authorization": f"Bearer {server.shop.secret_text}"}
        ) as backend:
            for turn in range(200):
                if turn % 20 == 0:
                    assert decide(backend) == 200
                idle.append(socket.create_connection(("127.0.0.1", server.port), 30))
                if turn % 2:
                    idle[-1].sendall(b"POST /v1/decide HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert decide(backend) == 200
            assert len(connections(server)) <= 41
        assert server.post("/v1/decide", asked, secret=True).status_code == 200
    finally:
        for connection in idle:
            connection.close()
