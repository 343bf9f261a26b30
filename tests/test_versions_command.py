"""Publishing, taking back and comparing as an operator does it: by command, beside a real server."""

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.library import open_world
from cashwrap.playbook import load_playbook
from cashwrap.versions import Versions
from engines import STARTER
from processes import COMMAND, Process, client, process

STANDARD = "Standard delivery is free with this basket."
ASKED = {"context": {"cart": {"total": 60}}, "placements": ["basket_message"]}


def eventually(holds: Callable[[], bool]) -> bool:
    """Poll until it holds, for ten seconds at most."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.02) for _ in range(500))


def invoke(*arguments: str | Path, code: int = 0, answer: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def told(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(invoke(*arguments, "--json", code=code))


class Shop:
    """Three folders: what is served, a draft, and the data."""

    def __init__(self, folder: Path) -> None:
        self.served, self.draft, self.data = folder / "playbook", folder / "draft", folder / "data"
        for each in (self.served, self.draft):
            shutil.copytree(STARTER, each)
            shutil.rmtree(each / "expect")
        self.key = invoke("keys", "create", "secret", "--data", self.data).splitlines()[-1]
        self.log = folder / "serve.log"
        self.edits = 0
        self.write(self.draft, "From the draft.")

    def write(self, folder: Path, message: str) -> str:
        """Let the basket's message say something else; the hash of that."""
        source = (STARTER / "experiences.yaml").read_text()
        assert source.count(f'"{STANDARD}"') == 1
        self.edits += 1
        (folder / "experiences.yaml").write_text(source.replace(f'"{STANDARD}"', f'"{message}"'))
        return load_playbook(folder).hash

    def command(self, *arguments: str | Path, code: int = 0) -> Any:
        return told(*arguments, "--data", self.data, code=code)

    def live(self) -> str:
        return str(self.command("versions")["live"])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def message(http: httpx.Client) -> str:
    return str(http.post("/v1/decide", json=ASKED).json()["placements"]["basket_message"]["content"]["text"])


def serving(http: httpx.Client, text: str) -> bool:
    return eventually(lambda: message(http) == text)


def test_a_server_follows_whoever_published_last_also_over_restarts(shop: Shop) -> None:
    first = load_playbook(shop.served).hash
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        assert message(http) == STANDARD
        assert shop.live() == first
        shop.command("publish", shop.draft, "--yes", "-m", "summer", "--who", "ann")
        assert serving(http, "From the draft.")
        server.kill()
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        assert message(http) == "From the draft.", "a restart undoes no publish"
        assert eventually(lambda: "which is not live" in shop.log.read_text())
        second = shop.write(shop.served, "From the folder.")
        assert serving(http, "From the folder."), "a changed folder ends the pin"
        assert eventually(lambda: shop.live() == second)
        assert shop.command("rollback", "-m", "wrong")["live"]["message"] == "wrong"
        assert serving(http, "From the draft.")
        shop.command("rollback", first[:6])
        assert serving(http, STANDARD)
        server.stop()
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        assert message(http) == STANDARD, "a restart undoes no rollback"
        listed = shop.command("versions")
        assert (listed["live"], listed["folder"]) == (first, second)
        invoke("checkout", "live", shop.served, "--data", shop.data)
        assert eventually(lambda: shop.command("versions")["folder"] == first), "the folder is what is live again"
        assert message(http) == STANDARD
    moves = [one["by"] for each in listed["versions"] for one in each["releases"]]
    assert sorted(moves) == ["folder", "folder", "publish", "rollback", "rollback"]


def test_a_version_taken_back_over_http_is_served(shop: Shop) -> None:
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        first = load_playbook(shop.served).hash
        shop.write(shop.served, "A mistake.")
        assert serving(http, "A mistake.")
        answer = http.post("/v1/playbook/rollback", json={"message": "wrong price"}).json()["live"]
        assert (answer["hash"], answer["by"]) == (first, "rollback")
        assert serving(http, STANDARD)


KILLED = """
import os, signal, sys
from pathlib import Path
from cashwrap.library import open_world
from cashwrap.publishing import draft_of
from cashwrap.versions import Versions

with open_world(Path(sys.argv[2]), serving=False) as world:
    versions, draft = Versions(world.registry, world.clock), draft_of(Path(sys.argv[1]))
    versions.keep(draft.playbook, draft.files)
    if sys.argv[3] == "after":
        versions.go_live(draft.playbook.hash, "publish")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_between_storing_and_moving_leaves_one_version_live(shop: Shop, when: str) -> None:
    old = shop.command("publish", shop.served, "--yes")["live"]["hash"]
    command = [sys.executable, "-c", KILLED, str(shop.draft), str(shop.data), when]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    new = load_playbook(shop.draft).hash
    assert shop.live() == (old if when == "before" else new)
    assert {each["hash"] for each in shop.command("versions")["versions"]} == {old, new}
    with process(shop.draft, shop.data) as server, client(server.url, shop.key) as http:
        assert message(http) == "From the draft."


def test_a_server_with_a_broken_folder_starts_with_what_is_live(shop: Shop) -> None:
    shop.command("publish", shop.draft, "--yes")
    (shop.served / "experiences.yaml").write_text("experiences:\n  a: {in: nowhere}\n")
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        assert message(http) == "From the draft."
        assert eventually(lambda: bool(http.get("/readyz").json()["playbook"]["error"]))
    shutil.rmtree(shop.served)
    assert "cashwrap init" in invoke("serve", "--playbook", shop.served, "--data", shop.data, code=1)


class TestPublish:
    def test_the_difference_is_shown_and_nothing_moves_without_a_yes(self, shop: Shop) -> None:
        shop.command("publish", shop.served, "--yes")
        before = shop.live()
        out = invoke("publish", shop.draft, "--data", shop.data, answer="n\n", code=1)
        assert "~ experiences.free_delivery_reached changed" in out
        assert "From the draft." in out
        assert "not_confirmed" in out
        assert shop.live() == before
        assert "is live" in invoke("publish", shop.draft, "--data", shop.data, answer="y\n")
        assert shop.live() != before
        assert "live already" in invoke("publish", shop.draft, "--data", shop.data)

    def test_a_draft_with_mistakes_or_a_failing_case_is_told_and_not_published(self, shop: Shop) -> None:
        shop.command("publish", shop.served, "--yes")
        before = shop.live()
        shutil.copytree(STARTER / "expect", shop.draft / "expect")
        (shop.draft / "shoppers.yaml").write_text(
            (STARTER / "shoppers.yaml").read_text().replace("spent > 500", "spent > 5000")
        )
        assert "expectation_failed" in invoke("publish", shop.draft, "--data", shop.data, "--yes", code=1)
        (shop.draft / "shoppers.yaml").write_text("segments: {a: {}}")
        assert "mistake" in invoke("publish", shop.draft, "--data", shop.data, "--yes", code=1)
        assert shop.live() == before
        assert len(shop.command("versions")["versions"]) == 1

    def test_a_live_version_that_cannot_be_read_stands_in_nobodys_way(self, shop: Shop) -> None:
        shop.command("publish", shop.served, "--yes")
        with open_world(shop.data, serving=False) as world:
            versions = Versions(world.registry, world.clock)
            playbook = msgspec.structs.replace(load_playbook(shop.served), hash="f" * 16)
            versions.keep(playbook, {"shop.yaml": "what an older cashwrap understood: 1"})
            versions.go_live(playbook.hash, "publish")
        out = invoke("publish", shop.draft, "--data", shop.data, "--yes")
        assert "cannot be compared" in out
        assert shop.live() == load_playbook(shop.draft).hash

    def test_a_program_must_say_yes(self, shop: Shop) -> None:
        assert "not_confirmed" in invoke("publish", shop.draft, "--data", shop.data, "--json", code=1)
        assert shop.command("versions")["live"] is None

    @pytest.mark.parametrize("command", [["versions"], ["rollback"], ["publish", "DRAFT"], ["diff", "live", "DRAFT"]])
    def test_a_mistyped_data_folder_is_told_and_not_made(self, shop: Shop, tmp_path: Path, command: list[str]) -> None:
        named = [str(shop.draft) if each == "DRAFT" else each for each in command]
        assert "no_data_folder" in invoke(*named, "--data", tmp_path / "typo", code=1)
        assert not (tmp_path / "typo").exists()


class TestRollback:
    def test_there_must_be_somewhere_to_go(self, shop: Shop) -> None:
        assert "nothing_before" in invoke("rollback", "--data", shop.data, code=1)
        digest = shop.command("publish", shop.served, "--yes")["live"]["hash"]
        assert "nothing_before" in invoke("rollback", "--data", shop.data, code=1)
        assert "already_live" in invoke("rollback", digest[:5], "--data", shop.data, code=1)
        assert "no_such_version" in invoke("rollback", "ffffff", "--data", shop.data, code=1)

    def test_it_says_what_it_changes_and_twice_is_nothing(self, shop: Shop) -> None:
        first = shop.command("publish", shop.served, "--yes")["live"]["hash"]
        second = shop.command("publish", shop.draft, "--yes")["live"]["hash"]
        out = invoke("rollback", "--data", shop.data, "--who", "ann", "-m", "oops")
        assert "~ experiences.free_delivery_reached changed" in out
        assert shop.live() == first
        listed = invoke("versions", "--data", shop.data).splitlines()
        assert listed[0].startswith(f"* {first}")
        assert listed[0].endswith("ann  oops")
        assert listed[1].startswith(f"  {second}")
        shop.command("rollback")
        assert shop.live() == second


class TestDiff:
    def test_no_difference_is_zero_and_a_difference_is_one(self, shop: Shop) -> None:
        assert "No difference" in invoke("diff", shop.served, shop.served)
        out = invoke("diff", shop.served, shop.draft, code=1)
        assert out.splitlines()[0] == "~ experiences.free_delivery_reached changed"
        told_ = told("diff", shop.served, shop.draft, code=1)
        assert [change["what"] for change in told_["changes"]] == ["changed"]
        assert told_["from"] == load_playbook(shop.served).hash

    def test_live_a_hash_and_a_folder_may_be_compared(self, shop: Shop) -> None:
        digest = shop.command("publish", shop.served, "--yes")["live"]["hash"]
        shop.command("publish", shop.draft, "--yes")
        where = ("--data", shop.data)
        invoke("diff", "live", shop.draft, *where)
        invoke("diff", digest[:8], shop.served, *where)
        invoke("diff", digest[:8], "live", *where, code=1)
        assert "no_such_version" in invoke("diff", "nothing", "live", *where, code=1)

    def test_a_folder_with_mistakes_is_told(self, shop: Shop) -> None:
        (shop.draft / "experiences.yaml").write_text("experiences: 1")
        assert "experiences.yaml:1:14" in invoke("diff", shop.served, shop.draft, code=1)


class TestCheckout:
    def test_changes_that_nobody_published_are_not_lost(self, shop: Shop) -> None:
        shop.command("publish", shop.served, "--yes")
        mine = (shop.draft / "experiences.yaml").read_text()
        refused = invoke("checkout", "live", shop.draft, "--data", shop.data, code=1)
        assert "unpublished_changes" in refused
        assert (shop.draft / "experiences.yaml").read_text() == mine
        (shop.draft / "mine.yaml").write_text("traits: {tier: text}\n")
        (shop.draft / "README.md").write_text("mine")
        out = invoke("checkout", "live", shop.draft, "--data", shop.data, "--force")
        assert "removed mine.yaml" in out
        assert load_playbook(shop.draft).hash == load_playbook(shop.served).hash
        assert (shop.draft / "README.md").read_text() == "mine"

    def test_a_published_folder_may_become_another_version_and_back(self, shop: Shop, tmp_path: Path) -> None:
        first = shop.command("publish", shop.served, "--yes")["live"]["hash"]
        second = shop.command("publish", shop.draft, "--yes")["live"]["hash"]
        for digest in (first, second):
            shop.command("checkout", digest, shop.draft)
            assert load_playbook(shop.draft).hash == digest
        assert shop.command("checkout", first, tmp_path / "new" / "folder")["removed"] == []
        assert load_playbook(tmp_path / "new" / "folder").hash == first


def test_commands_publish_while_the_folder_changes_and_all_agree(shop: Shop) -> None:
    with process(shop.served, shop.data) as server, client(server.url, shop.key) as http:
        commands = [
            subprocess.Popen(
                [*COMMAND, "publish", str(shop.draft), "--data", str(shop.data), "--yes"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        shop.write(shop.served, "From the folder.")
        for each in commands:
            each.wait(60)
        assert serving_what_is_live(shop, server, http)


def serving_what_is_live(shop: Shop, server: Process, http: httpx.Client) -> bool:
    """The folder settles within a moment; from then on the server runs what the journal says."""
    folder = load_playbook(shop.served).hash
    assert eventually(lambda: shop.command("versions")["folder"] == folder)
    return eventually(lambda: http.get("/readyz").json()["playbook"]["hash"] == shop.live())
