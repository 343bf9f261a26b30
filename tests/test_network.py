"""Everything goes out through one port; a network that hangs, dies or talks nonsense costs nobody anything else."""

import ast
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from msgspec import structs

from cashwrap.errors import InvalidInput
from cashwrap.ports import Changes, Transition
from cashwrap.serve.deliver import Deliverer
from cashwrap.webhooks import Webhook
from engines import LIVE, Shop, TestClock, memory_world, shop_over

SOURCE = Path(__file__).parents[1] / "src" / "cashwrap"
OUTWARD = {"http.client", "urllib.request", "smtplib", "ftplib", "httpx", "requests", "aiohttp", "socket"}
MAY = {"adapters/http.py", "serve/run.py", "adapters/postgres_ledger.py"}
"""The port's adapter; a listener; a database. What only tests call (``testing``) is no part of a server."""
NEAR = {"serve/pulses.py", "cli/console.py", "console/now/live.py", "console/run.py", "console/upstream.py"}
"""Server and console of one machine, who speak over sockets in a private folder and over loopback."""
CONFIGURED = {"console/people/sso.py"}
"""Single sign-on asks the provider that its file names, where there is one (tests/console/test_console_sso.py)."""


def outward(source: str) -> set[str]:
    """Modules imported here that can open a connection."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & OUTWARD
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)} & OUTWARD
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("authlib."):
            found.add("authlib")
    return found


def test_nothing_else_opens_a_connection() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): outward(path.read_text())
        for path in SOURCE.rglob("*.py")
        if "testing" not in path.parts and "workers" not in path.parts  # workers speak to their own machine only
    }
    assert {name for name, modules in found.items() if modules} <= MAY | NEAR | CONFIGURED


def test_the_check_sees_a_way_out() -> None:
    assert outward("from urllib import request\nimport http.client") == {"urllib.request", "http.client"}


class Network:
    """Answers as a test says, and counts."""

    def __init__(self, behave: Callable[[], bool]) -> None:
        self._behave = behave
        self.calls = 0

    def fetch(self, url: str, into: BinaryIO) -> int:
        raise InvalidInput("no network", code="fetch_failed")

    def post(self, url: str, body: bytes, signed: str) -> bool:
        self.calls += 1
        return self._behave()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def told(shop: Shop, name: str) -> None:
    shop.engine.webhooks.put(Webhook(LIVE, name, f"https://{name}.example/"))
    moves = [Transition(LIVE, b"s" * 16, "vip", entered=True, at=shop.clock.now())]
    shop.engine.world.store.commit(Changes(transitions=moves))


def garbage() -> bool:
    raise ValueError("not HTTP at all")


@pytest.mark.parametrize("behave", [lambda: False, garbage])
def test_a_dead_network_keeps_the_notice(behave: Callable[[], bool]) -> None:
    network = Network(behave)
    with shop_over(structs.replace(memory_world(TestClock()), http=network)) as shop:
        told(shop, "crm")
        deliverer = Deliverer(shop.engine)
        if behave is garbage:
            with pytest.raises(ValueError, match="not HTTP"):
                deliverer.round()
        else:
            assert deliverer.round() == 0
        assert network.calls == 1
        assert len(shop.engine.world.outbox.pending(10)) == 1


def test_a_network_that_hangs_holds_up_neither_events_nor_decisions(gate: threading.Event) -> None:
    network = Network(lambda: gate.wait(60))
    with shop_over(structs.replace(memory_world(TestClock()), http=network)) as shop:
        told(shop, "crm")
        delivering = threading.Thread(target=Deliverer(shop.engine).round)
        delivering.start()
        who = {"userId": "jo"}
        assert shop.keeps(shop.orders(who, "o1", 5.0), trusted=True).stored == 1
        assert shop.decide(shopper=who, trusted=True)["placements"]
        assert delivering.is_alive()
        gate.set()
        delivering.join(30)
        assert not shop.engine.world.outbox.pending(10)
