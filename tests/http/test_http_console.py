"""``/console``: what is passed on and what is not, whatever is at the other end; and what the console may ask."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from cashwrap.serve.companion import Companion
from cashwrap.serve.console import BODY
from engines import TestClock, memory_world
from servers import Server, serving

TOKEN = "0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Far:
    """The other end of the socket: takes one request after the other, and answers as it is told."""

    def __init__(self, path: Path) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[socket.socket], None] = lambda link: link.sendall(OK)
        self.left = threading.Event()
        """Set when somebody who was being answered has gone."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(link,), daemon=True).start()

    def _take(self, link: socket.socket) -> None:
        with link, suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += link.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            while len(body) < int(lines[b"content-length"]):
                body += link.recv(65536)
            self.heads.append(head)
            self.bodies.append(body)
            self.answer(link)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def companion(tmp_path: Path) -> Companion:
    return Companion(tmp_path, TOKEN)


@pytest.fixture
def server(companion: Companion) -> Iterator[Server]:
    with serving(memory_world(TestClock()), companion=companion) as server:
        yield server


@pytest.fixture
def far(companion: Companion) -> Iterator[Far]:
    far = Far(companion.socket)
    yield far
    far.close()


def test_a_request_arrives_as_it_was_sent(server: Server, far: Far) -> None:
    answer = server.http.post("/console/a%2Fb/%C3%BC?x=%20&y=2", content=b"body", headers={"x-own": "1", "te": "gzip"})
    assert (answer.status_code, answer.content, far.bodies) == (200, b"ok", [b"body"])
    head = far.heads[0].decode()
    assert head.startswith("POST /console/a%2Fb/%C3%BC?x=%20&y=2 HTTP/1.1\r\n")
    assert "x-own: 1" in head
    assert "te: gzip" not in head


def test_who_asks_is_said_by_us(server: Server, far: Far) -> None:
    server.http.get("/console", headers={"x-forwarded-for": "9.9.9.9, 7.7.7.7", "x-forwarded-proto": "https"})
    assert far.heads[0].count(b"x-forwarded-for") == 1
    assert b"x-forwarded-for: 7.7.7.7" in far.heads[0]  # this machine is a proxy of ours, which appended the last one
    assert b"x-forwarded-proto: https" in far.heads[0]
    server.rates._proxies = frozenset()
    server.http.get("/console", headers={"x-forwarded-for": "9.9.9.9", "x-forwarded-proto": "https"})
    assert b"x-forwarded-for: 127.0.0.1" in far.heads[1]
    assert b"x-forwarded-proto: http\r\n" in far.heads[1]


def test_an_answer_arrives_as_it_was_given(server: Server, far: Far) -> None:
    page = b"x" * 3_000_000
    head = b"HTTP/1.1 404 Not Found\r\ncontent-length: %d\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n"
    far.answer = lambda link: link.sendall(head % len(page) + page)
    answer = server.http.get("/console/x")
    assert (answer.status_code, answer.content == page) == (404, True)
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_stream_arrives_as_it_comes_and_ends_with_its_reader(server: Server, far: Far) -> None:
    def stream(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        if link.recv(1) == b"":
            far.left.set()

    far.answer = stream
    with server.http.stream("GET", "/console/x") as answer:
        assert next(answer.iter_raw()) == b"data: 1\n\n"  # while the other end is still answering
    assert far.left.wait(20)


def test_a_console_that_is_not_there_says_so(server: Server) -> None:
    answer = server.http.get("/console/x")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "starting" in answer.text
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-le", b"\x00\x01nonsense\r\n\r\n"])
def test_a_console_that_dies_or_talks_nonsense(server: Server, far: Far, said: bytes) -> None:
    far.answer = lambda link: link.sendall(said)
    assert server.http.get("/console/x").status_code == 502


def test_half_an_answer_is_not_taken_for_a_whole_one(server: Server, far: Far) -> None:
    far.answer = lambda link: link.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    with pytest.raises(httpx.RemoteProtocolError):
        server.http.get("/console/x")


def test_a_form_that_is_too_large_never_leaves(server: Server, far: Far) -> None:
    answer = server.http.post("/console/x", content=b"x" * (BODY + 1))
    assert (answer.status_code, far.heads) == (413, [])


def test_there_is_nothing_where_there_is_no_console() -> None:
    with serving(memory_world(TestClock())) as server:
        assert server.http.get("/console").json()["code"] == "no_such_path"
        assert server.http.post("/v1/console/forget").json()["code"] == "no_such_path"


# --- what the console asks ---


def asked(server: Server, path: str, method: str = "GET", token: str = TOKEN, **body: str) -> httpx.Response:
    given = {"authorization": f"Console {token}", "x-cashwrap-tenant": "default/live", "x-cashwrap-person": "ada"}
    headers = {name: value.encode("latin-1") for name, value in given.items()}
    return server.http.request(method, path, headers=headers, **({"json": body} if method == "POST" else {}))


def test_the_console_asks_in_the_name_of_a_person(server: Server) -> None:
    server.post("/v1/track", {"anonymousId": "a1", "event": "Product Viewed", "properties": {}}, secret=True)
    assert asked(server, "/v1/failed").status_code == 200
    answer = asked(server, "/v1/console/forget", "POST", shopper="00" * 16)
    assert answer.json() == {"forgotten": False}
    newest = server.shop.engine.world.audit.entries()[-1][1]
    assert (newest.actor, newest.action) == ("person:ada", "shopper.forget")


@pytest.mark.parametrize("token", ["x", TOKEN[:-1], TOKEN + "0", "é"])
def test_nobody_else_asks_as_the_console(server: Server, token: str) -> None:
    answer = asked(server, "/v1/console/forget", "POST", token, shopper="00" * 16)
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")


def test_a_secret_key_does_not_forget_by_random_ids(server: Server) -> None:
    answer = server.admin("POST", "/v1/console/forget", json={"shopper": "00" * 16})
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")


def test_a_shopper_who_is_none(server: Server) -> None:
    assert asked(server, "/v1/console/forget", "POST", shopper="zz").json()["code"] == "invalid_request"


def test_without_a_console_its_token_opens_nothing() -> None:
    with serving(memory_world(TestClock())) as server:
        assert asked(server, "/v1/failed").json()["code"] == "unknown_key"
