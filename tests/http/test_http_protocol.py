"""The bytes below HTTP: heads that are too large, half-sent or nonsense, requests that drip."""

import socket
import threading
from contextlib import suppress

import msgspec
import pytest

from cashwrap.serve.protocol import MAX_HEAD, MAX_WAIT, expire
from servers import Server


def alive(server: Server) -> None:
    assert server.post("/v1/batch", {"batch": []}).json() == {"success": True}


def body_of(answer: bytes) -> dict[str, str]:
    body: dict[str, str] = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])
    return body


def test_a_head_of_100_mb_is_cut_off_early(server: Server) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"POST /v1/batch HTTP/1.1\r\nhost: x\r\nx-large: ")
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 100_000_000:
                sent += connection.send(b"y" * 1_000_000)
    assert sent < 50_000_000, "the server took it all"
    alive(server)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: " + b"y" * (MAX_HEAD + 1),
        b"GET /" + b"y" * (MAX_HEAD + 1),
        b"GET /healthz HTTP/1.1\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(6000)),
    ],
    ids=["one header", "the path", "many headers"],
)
def test_a_large_head_is_told_so(server: Server, head: bytes) -> None:
    answer = server.raw(head)
    assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
    assert body_of(answer)["code"] == "headers_too_large"
    alive(server)


def test_a_head_within_the_limit_is_served_again_and_again(server: Server) -> None:
    """The count begins anew with each request of a connection, and a body does not count."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        for _ in range(5):
            key = server.shop.public_text
            body = b'{"batch":[' + b" " * 60_000 + b"]}"
            head = f"POST /v1/batch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nx: {'y' * 20_000}\r\n"
            connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"POST /v1/ba",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\nx-half: sen",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["nothing", "path", "head", "body", "chunk"],
)
def test_what_is_half_sent_is_ended(server: Server, part: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(part)
        known = connection.getsockname()

        def arrived() -> bool:
            return any(
                getattr(each, "client", None) == known and getattr(each, "began", None) is not None
                for each in list(server.uvicorn.server_state.connections)
            )

        assert any(arrived() or threading.Event().wait(0.01) for _ in range(1000))
        assert end(server, MAX_WAIT / 2) == 0, "it still has time"
        assert end(server, MAX_WAIT + 1) >= 1
        answer = b""
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert body_of(answer)["code"] == "request_timeout"
    alive(server)


def end(server: Server, later: float) -> int:
    """What ``_expire`` does each second, ``later`` seconds from now; how many connections ended."""
    done, ended = threading.Event(), []

    def look() -> None:
        assert server.loop is not None
        ended.append(expire(list(server.uvicorn.server_state.connections), server.loop.time() + later))
        done.set()

    assert server.loop is not None
    server.loop.call_soon_threadsafe(look)
    assert done.wait(30)
    return ended[0]


def test_a_connection_between_requests_is_left_alone(server: Server) -> None:
    alive(server)
    assert end(server, MAX_WAIT * 10) == 0
    alive(server)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /v1/batch HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_nonsense_is_refused(server: Server, data: bytes) -> None:
    answer = server.raw(data)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:100]
    alive(server)


def test_a_large_body_is_refused_without_being_kept(server: Server) -> None:
    for path in ("/v1/batch", "/v1/decide"):
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 30000000\r\n\r\n".encode()
        answer = server.raw(head + b" " * 2_000_000)
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
        assert body_of(answer)["code"] == "body_too_large"
    alive(server)
