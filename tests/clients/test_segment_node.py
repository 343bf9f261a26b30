"""Segment's client for node, as a shop's backend uses it."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from servers import Server

pytestmark = pytest.mark.clients
SCRIPT = Path(__file__).parent / "backend.mjs"


def run(node: str, *arguments: str) -> list[str]:
    done = subprocess.run([node, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60, check=True)
    errors: list[str] = msgspec.json.decode(done.stdout)
    return errors


@pytest.mark.parametrize("flush_at", [1, 15], ids=["one by one", "batched"])
def test_a_backend_tells_everything_with_segments_client(server: Server, node: str, flush_at: int) -> None:
    assert run(node, server.url, server.shop.secret_text, str(flush_at)) == []
    account = server.shop.engine.account()
    assert (account.received, account.stored) == (11, 11)
    seen = server.shop.explained({"userId": "mira"})
    assert (seen["session_views"], seen["orders"], seen["spent"]) == (5, 1, 5005)
    assert seen["traits.first_name"] == "Mira"
    assert server.shop.key(anonymous="anon-2") == server.shop.key(user="mira")


def test_an_unknown_key_is_reported(server: Server, node: str) -> None:
    assert any("401" in error or "nauthorized" in error for error in run(node, server.url, "cws_live_a_b", "15"))
