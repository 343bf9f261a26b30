"""OFREP's event streams: told what changes and nothing else, limited, paced, and gone when the server stops."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook
from cashwrap.serve import ofrep_streams
from cashwrap.serve.ofrep_streams import PACE, PATH, STREAMS_PER_NETWORK, Streams
from cashwrap.serve.protocol import MAX_WAIT, LimitedProtocol, expire
from cashwrap.switches import Switch
from engines import STARTER, TestClock, memory_world, shop_over
from processes import cashwrap, client, process
from servers import ORIGIN, Server, serving

BULK = "/ofrep/v1/evaluate/flags"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(ofrep_streams, "LOOK", 0.01)
    with serving(memory_world(TestClock())) as server:
        yield server


def eventually(holds: Any) -> bool:
    return any(holds() or threading.Event().wait(0.02) for _ in range(500))


def streams(server: Server) -> Streams:
    return server._app._ofrep.streams


def address(server: Server, key: str | None = None, **headers: str) -> str:
    answer = server.http.post(BULK, json={}, headers={"x-api-key": key or server.shop.public_text, **headers})
    (stream,) = answer.json()["eventStreams"]
    assert (stream["type"], stream["inactivityDelaySec"]) == ("sse", 30)
    return str(stream["endpoint"]["requestUri"])


class Events:
    """What an ``EventSource`` makes of a stream: blocks of fields, and the last id it would reconnect with."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        self.answer = answer
        self.last_id = ""
        self._lines = answer.iter_lines()

    def block(self) -> dict[str, str] | None:
        """The next block, comments included; ``None`` at the end."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                break
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        self.last_id = fields.get("id", self.last_id)
        return fields or None

    def event(self) -> Any:
        """The data of the next event."""
        while (block := self.block()) is not None:
            if "data" in block:
                assert block["event"] == "message", "browsers hand over others only to who listens by name"
                return msgspec.json.decode(block["data"])
        raise EOFError


@contextmanager
def listening(server: Server, uri: str, **headers: str) -> Iterator[Events]:
    with httpx.Client(base_url=server.url, timeout=20) as http, http.stream("GET", uri, headers=headers) as answer:
        events = Events(answer)
        hello = events.block()
        assert hello is not None
        assert set(hello) == {"retry", "id"}
        yield events


def throw(server: Server, *, off: bool, name: str = "home_hero") -> None:
    body = {"scope": "placement", "name": name, "off": off}
    assert server.admin("PUT", "/v1/kill", json=body).status_code == 200


# --- what is told ---


def test_a_kill_switch_is_told_at_once(server: Server) -> None:
    before = server.post(BULK, {}).headers["etag"]
    with listening(server, address(server)) as events:
        assert events.answer.headers["content-type"] == "text/event-stream"
        assert "no-store" in events.answer.headers["cache-control"]
        first = events.last_id
        throw(server, off=True)
        told = events.event()
        assert told == {"type": "refetchEvaluation", "etag": events.last_id}
        assert events.last_id != first
        again = server.post(f"{BULK}?flagConfigEtag={told['etag']}", {}, headers={"if-none-match": before})
        assert again.status_code == 200
        throw(server, off=False)
        assert events.event()["etag"] == first, "the same configuration has the same version"


def test_a_new_playbook_is_told(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "playbook"
    shutil.copytree(STARTER, folder)
    page = folder / "experiences.yaml"
    page.write_text(page.read_text().replace("priority: 30", "priority: 31"))
    with listening(server, address(server)) as events:
        server.shop.engine.publish(load_playbook(folder))
        assert events.event()["type"] == "refetchEvaluation"


def test_what_happened_before_the_stream_opened_is_told(server: Server) -> None:
    uri = address(server)
    throw(server, off=True)
    with listening(server, uri) as events:
        assert events.event()["type"] == "refetchEvaluation"
        seen = events.last_id
    with listening(server, uri, **{"last-event-id": seen}) as events:  # it was told already
        throw(server, off=False)
        assert events.event()["etag"] != seen
        seen = events.last_id
    throw(server, off=True)  # while nobody listens
    with listening(server, uri, **{"last-event-id": seen}) as events:
        assert events.event()["etag"] != seen


@pytest.mark.parametrize("since", ["", "?since=", "?since=x", "?since=%00&since=y", "?%ff", "?since=" + "a" * 3000])
def test_an_address_without_a_version_begins_now(server: Server, since: str) -> None:
    with listening(server, address(server).partition("?")[0] + since, **{"last-event-id": "nonsense"}) as events:
        assert events.last_id == streams(server).version(server.shop.tenant)


def test_silence_is_broken_by_comments(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ofrep_streams, "HEARTBEAT", 0.01)
    with listening(server, address(server)) as events:
        assert [events.block(), events.block()] == [{"": ""}, {"": ""}]


def test_a_version_is_of_one_stores_configuration() -> None:
    with shop_over(memory_world(TestClock())) as shop:
        told, other = Streams(shop.engine), Tenant("default", "test")
        ours, theirs = told.version(shop.tenant), told.version(other)
        assert ours == theirs
        shop.engine.switches.set(_switch(shop.tenant), off=True)
        assert (told.version(shop.tenant) == ours, told.version(other) == theirs) == (False, True)


def _switch(tenant: Tenant) -> Switch:
    return Switch("placement", "home_hero", 0, "", tenant)


# --- who may listen ---


def test_an_address_is_a_permission(server: Server) -> None:
    uri = address(server)
    key, secret = server.shop.public.id, server.shop.secret.id
    assert server.shop.public_text.rpartition("_")[2] not in uri, "a key's secret has no place in an address"
    for wrong in (
        f"{PATH}{key}/",
        f"{PATH}{key}",
        f"{PATH}",
        f"{PATH}{key}/{'0' * 32}",
        f"{PATH}{secret}/{uri.split('/')[-1].partition('?')[0]}",
        f"{PATH}nobody/{'0' * 32}",
        f"{PATH}{key}/%F0%9F%A6%84",
    ):
        answer = server.http.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key"), wrong


def test_a_page_listens_from_its_keys_origins_only(server: Server) -> None:
    uri = address(server)
    with listening(server, uri, origin=ORIGIN) as events:
        assert events.answer.headers["access-control-allow-origin"] == ORIGIN
    assert server.http.get(uri, headers={"origin": "https://evil.example"}).status_code == 403
    assert server.http.get(address(server, server.shop.secret_text), headers={"origin": ORIGIN}).status_code == 403


def test_a_revoked_keys_streams_end(server: Server) -> None:
    keys, shop = server.shop.engine.keys, server.shop
    text = keys.create("publishable", shop.tenant, (), shop.engine.world.random)
    with listening(server, address(server, text)) as gone, listening(server, address(server)) as stays:
        keys.revoke(text.split("_")[2])
        with pytest.raises(EOFError):
            gone.event()
        throw(server, off=True)
        assert stays.event()["type"] == "refetchEvaluation"


@pytest.mark.parametrize(
    ("prefix", "start"),
    [
        ("/cw", "/cw/ofrep/v1/streams/"),
        ("/shop/cw/", "/shop/cw/ofrep/v1/streams/"),
        ("//evil.example", PATH),
        ("https://evil.example", PATH),
        ("/a b", PATH),
        ("/" + "a/" * 50, PATH),
    ],
)
def test_a_proxy_says_what_it_took_off_the_path(server: Server, prefix: str, start: str) -> None:
    assert address(server, **{"x-forwarded-prefix": prefix}).startswith(start)


def test_only_a_proxy_of_ours_is_believed(server: Server) -> None:
    server.rates._proxies = frozenset()
    assert address(server, **{"x-forwarded-prefix": "/cw"}).startswith(PATH)


# --- how many ---


def opened(server: Server, uri: str, *headers: str) -> tuple[socket.socket, bytes]:
    """A stream on a socket of its own, and the status line it was answered with."""
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sendall("\r\n".join([f"GET {uri} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    return connection, connection.recv(4096).partition(b"\r\n")[0]


def test_a_thousand_streams_of_one_client_are_limited_and_decisions_go_on(server: Server) -> None:
    uri = address(server)
    with ExitStack() as held:
        statuses = []
        for _ in range(1_000):
            connection, status = opened(server, uri)
            statuses.append(status)
            if b"200" in status:
                held.callback(connection.close)
            else:
                connection.close()
        assert statuses == [b"HTTP/1.1 200 OK"] * STREAMS_PER_NETWORK + [b"HTTP/1.1 429 Too Many Requests"] * (
            1_000 - STREAMS_PER_NETWORK
        )
        assert server.http.get(uri).headers["retry-after"] == "30"
        assert server.post("/v1/decide", {}).status_code == 200
        elsewhere, status = opened(server, uri, "X-Forwarded-For: 203.0.113.9")
        held.callback(elsewhere.close)
        assert status == b"HTTP/1.1 200 OK", "another network has room"
        assert len(streams(server)) == STREAMS_PER_NETWORK + 1
    assert eventually(lambda: not len(streams(server))), "who hung up holds no place"
    assert not streams(server)._networks


@pytest.mark.parametrize("limit", ["STREAMS", "STREAMS_PER_KEY"])
def test_where_there_is_no_room_none_is_offered(server: Server, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(ofrep_streams, limit, 2)
    uri = address(server)
    with listening(server, uri), listening(server, uri):
        assert "eventStreams" not in server.post(BULK, {}).json()
        assert server.http.get(uri).status_code == 429
        others = "eventStreams" in server.post(BULK, {}, secret=True).json()
        assert others == (limit == "STREAMS_PER_KEY")
    assert eventually(lambda: len(streams(server)) == 0)
    assert address(server) == uri


def test_opening_streams_counts_as_asking() -> None:
    with serving(memory_world(TestClock()), rate=1) as server:
        uri = address(server)
        statuses = []
        for _ in range(12):
            connection, status = opened(server, uri)
            connection.close()
            statuses.append(status)
        assert b"HTTP/1.1 429 Too Many Requests" in statuses


def test_who_does_not_read_is_let_go(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unread heartbeats fill the buffers; the server's own stays bounded, and the connection is given up."""
    monkeypatch.setattr(ofrep_streams, "HEARTBEAT", 0.0001)
    monkeypatch.setattr(ofrep_streams, "_COMMENT", b":" + b" " * 20_000 + b"\n\n")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(f"GET {address(server)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        connections = server.uvicorn.server_state.connections
        found: list[LimitedProtocol] = []

        def blocked() -> bool:
            found[:] = [each for each in list(connections) if isinstance(each, LimitedProtocol) and each.blocked]
            return bool(found)

        assert eventually(blocked)
        assert found[0].transport.get_write_buffer_size() < 1_000_000
        assert server.post("/v1/decide", {}).status_code == 200
        assert server.loop is not None
        late = (found[0].blocked or 0) + MAX_WAIT + 1
        server.loop.call_soon_threadsafe(expire, found, late)
        assert eventually(lambda: len(streams(server)) == 0)


# --- decisions come first ---


def test_a_change_is_told_to_few_at_a_time() -> None:
    """Telling a thousand in one turn of the loop would hold up every decision that arrives meanwhile."""
    with shop_over(memory_world(TestClock())) as shop:
        assert max(asyncio.run(_told_per_turn(shop))) <= PACE


def test_telling_all_at_once_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ofrep_streams, "PACE", 1_000)
    with shop_over(memory_world(TestClock())) as shop:
        assert max(asyncio.run(_told_per_turn(shop))) > PACE


async def _told_per_turn(shop: Any) -> list[int]:
    """How many of 80 streams hear of a change in each turn of the event loop."""
    turn, turns, told = 0, [0], Streams(shop.engine)
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if b"refetchEvaluation" in message.get("body", b""):
            turns[-1] += 1

    held = [asyncio.create_task(told.serve(shop.caller(), None, receive, send, [])) for _ in range(80)]  # type: ignore[arg-type]
    while len(told) < 80:  # noqa: ASYNC110 - the turns of the loop are what is counted
        await asyncio.sleep(0)
    shop.engine.switches.set(_switch(shop.tenant), off=True)
    while sum(turns) < 80:
        turn += 1
        turns.append(0)
        await asyncio.sleep(0)
    ended.set()
    await asyncio.gather(*held)
    assert len(told) == 0
    return turns


# --- the server stops ---


def test_a_stopping_server_does_not_wait_for_streams(tmp_path: Path) -> None:
    folder, data = tmp_path / "playbook", tmp_path / "data"
    shutil.copytree(STARTER, folder)
    with process(folder, data) as running:
        key = cashwrap("keys", "create", "publishable", "--data", data).split()[-1]
        with client(running.url, key) as http:
            assert eventually(lambda: http.post(BULK, json={}).status_code == 200)
            uri = http.post(BULK, json={}).json()["eventStreams"][0]["endpoint"]["requestUri"]
            with http.stream("GET", uri) as answer:
                events = Events(answer)
                events.block()
                stopping = threading.Thread(target=running.stop)
                stopping.start()
                with pytest.raises(EOFError):
                    events.event()
                stopping.join(60)
        assert "ERROR" not in running.errors.read_text(), "uvicorn says so if it had to cancel what was left"


def test_a_closed_server_opens_no_stream() -> None:
    with serving(memory_world(TestClock())) as server:
        uri = address(server)
        server._app.drain()
        assert "eventStreams" not in server.post(BULK, {}).json()
        assert server.http.get(uri).status_code == 429
