"""The benchmarks' own checks: peers that agree with us on every answer, and an open loop that hides no waiting."""

import asyncio
from collections.abc import Iterator

import pytest
from bench import peers, shop
from bench.decide import Ours, compare
from bench.openloop import Answered, Load, Planned, arrivals, request
from bench.shop import Experience

from cashwrap.playbook import examine

RULES, SHOPPERS = 400, 25


@pytest.fixture(scope="module")
def made() -> list[Experience]:
    return shop.experiences(RULES)


@pytest.fixture(scope="module")
def ours(made: list[Experience]) -> Iterator[Ours]:
    playbook, faults = examine(shop.playbook_files(made))
    assert playbook is not None, faults
    found = Ours(playbook, SHOPPERS)
    yield found
    found.engine.close()


def compared(peer: peers.Peer, ours: Ours) -> int:
    prepared = [peer.prepare(shop.plain(dict(each.values))) for each in ours.inputs]
    return compare(peer, prepared, ours, [ours.winners(each) for each in ours.inputs])


@pytest.mark.parametrize("make", peers.PEERS, ids=lambda make: make.__name__)
def test_a_peer_gives_our_answers(make: peers.Make, made: list[Experience], ours: Ours) -> None:
    assert compared(make(made), ours) == SHOPPERS * shop.PLACEMENTS


def test_shoppers_meet_what_they_do_not_know_and_winners_differ(ours: Ours) -> None:
    winners = [ours.winners(each) for each in ours.inputs]
    assert len(set(winners)) > SHOPPERS / 2
    assert {each.level for each in ours.inputs} >= {"request", "session"}
    assert any("device.type" not in each.values for each in ours.inputs)


@pytest.mark.parametrize("make", peers.PEERS, ids=lambda make: make.__name__)
def test_a_peer_with_one_other_rule_is_caught(make: peers.Make, made: list[Experience], ours: Ours) -> None:
    won = next(name for each in ours.inputs for name in ours.winners(each) if name is not None)
    planted = [
        each._replace(rule=each.rule._replace(cel="1 > 2", growthbook={"no": "body"}, jsonlogic=False))
        if each.name == won
        else each
        for each in made
    ]
    with pytest.raises(SystemExit, match="differs for shopper"):
        compared(make(planted), ours)


class OneByOne(asyncio.Protocol):
    """Answers one request after the other, each after a pause, whoever sent it."""

    def __init__(self, pause: float, state: dict[str, float]) -> None:
        self._pause = pause
        self._state = state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._state["free"] = max(loop.time(), self._state.get("free", 0.0)) + self._pause
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
        loop.call_at(self._state["free"], self._transport.write, answer)


def test_a_request_waits_from_when_it_was_due() -> None:
    """Ten requests that are due at once at a server that takes a while for each: the last one waited for all."""
    pause = 0.02

    async def run() -> list[Answered]:
        state: dict[str, float] = {}
        server = await asyncio.get_running_loop().create_server(lambda: OneByOne(pause, state), "127.0.0.1", 0)
        load = Load(server.sockets[0].getsockname()[1])
        answers = await load.run([Planned(0.0, "decide", request("/", "key", b"{}"))] * 10, ready=2)
        load.close()
        server.close()
        await asyncio.sleep(0)
        return answers

    answers = asyncio.run(run())
    assert [each.status for each in answers] == [200] * 10
    assert max(each.seconds for each in answers) >= 9 * pause


def test_arrivals_are_as_many_as_were_asked_for() -> None:
    moments = list(arrivals(300, 20, "seed"))
    assert moments == sorted(moments)
    assert abs(len(moments) - 6000) < 6 * 6000**0.5
