"""Whoever floods ``/console`` without an account takes no memory from the process that decides."""

import asyncio
from collections import Counter
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from cashwrap.serve import console
from cashwrap.serve.companion import Companion
from cashwrap.serve.console import HELD, Forwarder
from cashwrap.serve.rates import Rates
from engines import TestClock

PIECE = b"x" * 2_000_000
MANY = 2 * HELD // len(PIECE)


async def flood(forwarder: Forwarder) -> tuple[Counter[int], int]:
    """Forms that never end: how they were answered, and how many bytes were held at most."""
    answers, gone, most = Counter[int](), asyncio.Event(), 0

    def body() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": PIECE, "more_body": True}

    async def one() -> None:
        sent = [body()]

        async def receive() -> MutableMapping[str, Any]:
            if sent:
                return sent.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answers[message["status"]] += 1

        await forwarder({"type": "http", "headers": []}, receive, send)

    tasks = [asyncio.create_task(one()) for _ in range(MANY)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    most = forwarder._held
    gone.set()
    await asyncio.gather(*tasks)
    return answers, most


def attacked(tmp_path: Path) -> tuple[Forwarder, Counter[int], int]:
    forwarder = Forwarder(Companion(tmp_path, ""), Rates(TestClock(), 0))
    return forwarder, *asyncio.run(flood(forwarder))


def test_forms_that_never_end_hold_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    forwarder, answers, most = attacked(tmp_path)
    assert most <= HELD
    assert answers == {503: MANY - HELD // len(PIECE)}  # who hung up is told nothing, and is no mistake of ours
    assert forwarder._held == 0


def test_a_planted_bug_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes whatever is sent."""
    monkeypatch.setattr(console, "HELD", 1 << 40)
    _, answers, most = attacked(tmp_path)
    assert most > HELD
    assert not answers
