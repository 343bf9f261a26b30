"""Versions of the playbook over HTTP: read with any secret key, taken back with one of the environment live."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cashwrap.model import Tenant
from cashwrap.playbook import examine
from cashwrap.versions import Versions
from engines import Shop
from servers import Server, serving_folder

TEXT = """
placements:
  note: {component: message}
experiences:
  hello:
    in: note
    when: cart.total > LIMIT
    show: {text: {en: Hello}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_folder(tmp_path / "data") as server:
        yield server


@pytest.fixture
def hashes(server: Server) -> list[str]:
    """Two versions that went live one after the other."""
    world = server.shop.engine.world
    versions = Versions(world.registry, world.clock)
    made = []
    for limit in ("10", "20"):
        files = {"shop.yaml": TEXT.replace("LIMIT", limit)}
        playbook, _ = examine(files)
        assert playbook is not None
        versions.keep(playbook, files)
        versions.go_live(playbook.hash, "publish", message=f"over {limit}")
        made.append(playbook.hash)
    return made


def read(server: Server, path: str, status: int = 200, query: Mapping[str, str] | None = None) -> Any:
    answer = server.admin("GET", path, params=query)
    assert answer.status_code == status, answer.text
    assert answer.headers.get("cache-control", "private, no-store") == "private, no-store"
    return answer.json()


def test_versions_are_listed_and_read(server: Server, hashes: list[str]) -> None:
    listed = read(server, "/v1/playbook/versions")
    assert [each["hash"] for each in listed["versions"]] == hashes[::-1]
    assert (listed["live"], listed["folder"]) == (hashes[1], None)
    assert listed["serving"] == server.shop.engine.live.playbook.hash
    one = read(server, f"/v1/playbook/versions/{hashes[0][:6]}")
    assert one["texts"] == {"shop.yaml": TEXT.replace("LIMIT", "10")}
    assert one["releases"][0]["message"] == "over 10"
    assert read(server, "/v1/playbook/versions/live")["hash"] == hashes[1]
    assert read(server, "/v1/playbook/versions/ffffff", 404)["code"] == "no_such_version"


def test_two_versions_are_compared(server: Server, hashes: list[str]) -> None:
    told = read(server, "/v1/playbook/diff", query={"from": hashes[0], "to": hashes[1]})
    assert told == {
        "from": hashes[0],
        "to": hashes[1],
        "changes": [
            {
                "section": "experiences",
                "name": "hello",
                "what": "changed",
                "keys": [{"key": "when", "old": "cart.total > 10", "new": "cart.total > 20"}],
                "after": None,
            }
        ],
    }
    assert read(server, "/v1/playbook/diff", query={"from": "live"})["changes"] == []
    assert read(server, "/v1/playbook/diff", 404)["code"] == "no_such_version"


def test_a_version_is_taken_back_by_whoever_holds_a_live_key(server: Server, hashes: list[str]) -> None:
    answer = server.admin("POST", "/v1/playbook/rollback", json={"message": "wrong price"})
    live = answer.json()["live"]
    assert (live["hash"], live["by"], live["message"]) == (hashes[0], "rollback", "wrong price")
    assert live["who"] == f"key {server.shop.secret.id}"
    again = server.admin("POST", "/v1/playbook/rollback", json={"hash": hashes[0]})
    assert (again.status_code, again.json()["code"]) == (400, "already_live")
    named = server.admin("POST", "/v1/playbook/rollback", json={"hash": hashes[1], "who": "ann"}).json()["live"]
    assert (named["hash"], named["who"]) == (hashes[1], "ann")


@pytest.mark.parametrize("body", [{"hash": "x" * 17}, {"message": "x" * 501}, {"who": 1}, []])
def test_a_body_that_does_not_fit_is_refused(server: Server, hashes: list[str], body: Any) -> None:
    answer = server.admin("POST", "/v1/playbook/rollback", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert read(server, "/v1/playbook/versions")["live"] == hashes[1]


def test_a_key_for_tests_changes_nothing_that_is_live(server: Server, hashes: list[str]) -> None:
    other = Shop(server.shop.engine, server.shop.clock, Tenant("default", "test"))
    headers = {"authorization": f"Bearer {other.secret_text}"}
    answer = server.http.post("/v1/playbook/rollback", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert server.http.get("/v1/playbook/versions", headers=headers).json()["live"] == hashes[1]


def test_nothing_was_ever_live(server: Server) -> None:
    assert read(server, "/v1/playbook/versions")["versions"] == []
    answer = server.admin("POST", "/v1/playbook/rollback", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "nothing_before")
