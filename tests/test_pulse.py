"""Pulses: what a process has counted, by store, sent to whoever listens and to nobody else's cost."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from cashwrap import pulse as module
from cashwrap.counts import LOOKS
from cashwrap.model import Reason, Tenant
from cashwrap.overload import Overload, Shed
from cashwrap.pulse import FALLBACK, MEANT, SHOWN, STORES, Pulse, decode, encode
from cashwrap.request import DecideRequest, ShopperRef
from cashwrap.serve import pulses
from cashwrap.serve.companion import Companion
from cashwrap.serve.operations import Health
from engines import LIVE, Shop, TestClock, memory_world, shop_over

ASKED = DecideRequest(ShopperRef(), placements=["payment_methods", "no_such"])


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_over(memory_world(TestClock())) as found:
        yield found


def source(shop: Shop) -> pulses.Source:
    return pulses.Source(shop.engine, Health(), Overload())


def test_every_reason_is_shown_meant_or_a_fallback() -> None:
    assert set(get_args(Reason)) == SHOWN | MEANT | FALLBACK
    assert not SHOWN & MEANT
    assert {"late", "error", "killed", "shed", "no_content", "no_such_placement"} == FALLBACK


def test_a_pulse_says_by_store_what_was_decided_and_kept(shop: Shop) -> None:
    other = Tenant("second", "live")
    shop.keeps(shop.views({"userId": "u"}), shop.views({"anonymousId": "nobody"}), trusted=True)
    for _ in range(3):
        shop.engine.decide(ASKED, shop.caller())
    shop.engine.default_answer(ASKED, other)
    told = pulses.take(source(shop), 7)
    mine, theirs = told.stores[LIVE.name], told.stores[other.name]
    assert (mine.decisions, mine.degraded, mine.reasons["no_such_placement"]) == (3, 0, 3)
    assert (theirs.decisions, theirs.degraded, dict(theirs.reasons)) == (1, 1, {"error": 1, "no_such_placement": 1})
    assert mine.events.balanced()
    assert mine.events.received == 2
    assert theirs.events.received == 0
    assert (told.began, told.role, told.playbook) == (7, "server", shop.engine.live.playbook.hash)
    assert sum(each.decisions for each in told.stores.values()) == shop.engine.counts.decisions
    assert decode(encode(told)) == told


def test_only_so_many_decisions_are_looked_at_between_two_pulses(shop: Shop) -> None:
    for _ in range(LOOKS + 10):
        shop.engine.decide(ASKED, shop.caller())
    first = pulses.take(source(shop), 0).stores[LIVE.name]
    assert (first.decisions, first.reasons["no_such_placement"]) == (LOOKS + 10, LOOKS)
    shop.engine.decide(ASKED, shop.caller())
    again = pulses.take(source(shop), 0).stores[LIVE.name]
    assert (again.decisions, again.reasons["no_such_placement"]) == (LOOKS + 11, LOOKS + 1)


def test_how_things_are_with_the_process(shop: Shop) -> None:
    told = source(shop)
    told.health.playbook_error = "x" * 5_000
    told.overload.shed = Shed.EXPERIMENTS
    found = pulses.take(told, 0)
    assert (len(found.playbook_error), found.shed) == (module.LONGEST, 3)


def test_a_pulse_of_many_stores_fits_a_datagram(shop: Shop) -> None:
    for number in range(STORES + 50):
        shop.engine.default_answer(ASKED, Tenant(f"store-{number:03}-with-a-name-as-long-as-names-may-be-here", "live"))
    told = pulses.take(source(shop), 0)
    assert len(told.stores) == STORES
    assert len(encode(told)) < 150_000


def test_nothing_of_a_person_is_in_it() -> None:
    """Planted: a field that holds text of a request would show here."""
    texts = {name for name, kind in Pulse.__annotations__.items() if kind is str}
    assert texts == {"role", "playbook", "playbook_error"}


@pytest.mark.parametrize("sent", [b"", b"\xc1", b"\x93\x01\x02\x03", msgspec.msgpack.encode({"role": "server"})])
def test_what_is_no_pulse_is_none(sent: bytes) -> None:
    assert decode(sent) is None


def test_pulses_are_sent_and_the_last_one_says_so(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulses, "PERIOD", 0.001)
    companion = Companion(tmp_path, "")
    shop.engine.decide(ASKED, shop.caller())

    async def run() -> list[Pulse | None]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            running = asyncio.create_task(*pulses.pulses(source(shop), companion))
            await asyncio.sleep(0.005)  # nobody listens yet, and nobody minds
            assert not running.done()
            receiver.bind(str(companion.pulse))
            receiver.settimeout(0)
            while not _waits(receiver):  # noqa: ASYNC110 - a socket has no event
                await asyncio.sleep(0.001)
            found = [decode(receiver.recv(1 << 18))]
            while _waits(receiver):
                receiver.recv(1 << 18)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            while _waits(receiver):
                found.append(decode(receiver.recv(1 << 18)))
        return found

    first, *_, last = asyncio.run(run())
    assert first is not None
    assert last is not None
    assert (first.stores[LIVE.name].decisions, first.ending, last.ending) == (1, False, True)
    assert first.process == last.process


def test_a_listener_that_does_not_read_holds_nobody_up(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulses, "PERIOD", 0)
    companion = Companion(tmp_path, "")
    sent: list[int] = []
    monkeypatch.setattr(pulses, "take", lambda *_: sent.append(1) or Pulse("server", 1, 0, 0))

    async def run() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(companion.pulse))
            running = asyncio.create_task(pulses.pulsing(source(shop), companion))
            async with asyncio.timeout(5):
                while len(sent) < 1_000:  # noqa: ASYNC110 - far more than the socket holds
                    await asyncio.sleep(0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    assert len(sent) > 1_000


def test_without_a_console_nothing_is_told(shop: Shop) -> None:
    assert pulses.pulses(source(shop), None) == []


def _waits(receiver: socket.socket) -> bool:
    try:
        return bool(receiver.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
