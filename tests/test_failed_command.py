"""Failed events settled by command, and the entries that commands leave."""

import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.cli.world import operator
from cashwrap.engine import Engine
from cashwrap.folding import read_events
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook, starter
from cashwrap.ports import AuditEntry
from cashwrap.versions import Versions
from processes import COMMAND

LIVE = Tenant("default", "live")
CANARY = "canary-ada"
USER = f"{CANARY}-1"


def invoke(*arguments: str | Path, code: int = 0, says: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=says)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    for name, text in starter.starter_files().items():
        if "/" not in name:
            (folder / name).write_text(text)
    (folder / "crm.yaml").write_text("segments:\n  vip: {members: pushed}\n")
    return folder


def tell(book: Path, data: Path, *events: dict[str, object]) -> None:
    with open_world(data, make=True) as world:
        engine = Engine(load_playbook(book), world)
        body = json.dumps({"batch": [{"userId": USER, **event} for event in events]}).encode()
        engine.collect(engine.parse(body, None), operator(LIVE, world.clock), lambda _: None)
        engine.close()


def view(name: str, price: object) -> dict[str, object]:
    properties = {"product_id": "mug", "price": price}
    return {"type": "track", "event": "Product Viewed", "messageId": name, "properties": properties}


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A folder of its own for each test: nobody has the first one open any more."""
    return shutil.copytree(made, tmp_path / "data")


@pytest.fixture(scope="module")
def made(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    granted = {"personalization": "granted", "analytics": "granted"}
    tell(book, folder, {"type": "consent", "scope": "person", "choices": granted, "messageId": "c"})
    tell(book, folder, view("1", "12,50"), view("2", "x"), {"type": "track", "event": "Ordr", "messageId": "3"})
    return folder


def numbers(data: Path) -> list[int]:
    return [each["number"] for each in json.loads(invoke("failed", "list", "--data", data, "--json"))]


def entries(data: Path) -> list[AuditEntry]:
    with open_world(data, serving=False) as world:
        assert world.audit is not None
        return [entry for _, entry in world.audit.entries()]


def test_from_the_list_to_the_log(book: Path, data: Path) -> None:
    first, second, third = numbers(data)
    told = invoke("failed", "list", "--data", data)
    assert f"* {first}" in told
    assert f"  {third}" in told
    assert "3 failed events" in told
    assert "broken.properties.price: 12,50" in invoke("failed", "show", str(first), "--data", data)
    where = ("--data", data, "--playbook", book)
    assert "still_broken" in invoke("failed", "replay", str(first), *where, code=1)
    invoke("failed", "repair", str(first), "--set", "properties.price=12.50", *where)
    invoke("failed", "repair", str(second), "--unset", "properties.price", *where)
    told = invoke("failed", "replay", "--code", "invalid_money", *where)
    assert "2 stored" in told
    assert numbers(data) == [third]
    report = json.loads(invoke("failed", "replay", "--all", *where, "--json", code=1))
    assert report["left"] == {str(third): "no_payload"}
    assert "1 discarded" in invoke("failed", "discard", "--all", "--data", data)
    assert "0 failed events" in invoke("failed", "list", "--data", data)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["discard"], "invalid_request"),
        (["discard", "1", "--all"], "invalid_request"),
        (["discard", "1", "999"], "no_such_event"),
        (["replay", "999", "--playbook"], "no_such_event"),
        (["show", "999"], "no_such_event"),
        (["repair", "1", "--playbook"], "invalid_request"),
        (["repair", "1", "--set", "properties.price", "--playbook"], "invalid_request"),
    ],
)
def test_what_makes_no_sense_is_told(book: Path, data: Path, arguments: list[str], code: str) -> None:
    before = numbers(data)
    arguments = [*arguments, str(book)] if arguments[-1] == "--playbook" else arguments
    assert code in invoke("failed", *arguments, "--data", data, code=1)
    assert numbers(data) == before


def test_the_forgotten_are_forgotten_here_too(book: Path, data: Path) -> None:
    before = numbers(data)
    invoke("forget", "--user", USER, "--playbook", book, "--data", data)
    assert set(numbers(data)) <= set(before)
    for number in numbers(data):
        told = CliRunner().invoke(app, ["failed", "show", str(number), "--data", str(data)]).output
        assert "12,50" not in told


@pytest.mark.parametrize("point", ["writer.folded", "vault.persisted", "store.committed", "writer.published"])
def test_killed_while_it_is_tried_again_it_counts_once(point: str, book: Path, data: Path) -> None:
    number = str(numbers(data)[0])
    invoke("failed", "repair", number, "--set", "properties.price=12.50", "--playbook", book, "--data", data)
    command = [*COMMAND, "failed", "replay", number, "--playbook", str(book), "--data", str(data)]
    killed = subprocess.run(command, env={**os.environ, "CASHWRAP_CRASH_AT": point}, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = numbers(data)
    again = CliRunner().invoke(app, ["failed", "replay", "--code", "invalid_money", *command[-4:], "--json"])
    assert json.loads(again.output)["stored"] == (1 if int(number) in left else 0)
    assert (int(number) in left) == (point in {"writer.folded", "vault.persisted"})
    with open_world(data, serving=False) as world:
        events = [
            event
            for record in world.store.log()
            if record.kind == "events"
            for event in read_events(world.vault.open(record.shopper, record.payload))
        ]
    assert [event.properties.get("price") for event in events if event.name == "Product Viewed"] == [1250]


# --- entries of commands ---

CHANGES: dict[str, str | None] = {
    "publish": "playbook.publish",
    "rollback": "playbook.rollback",
    "checkout": "playbook.checkout",
    "bundle": "bundle.write",
    "keys create": "key.create",
    "keys revoke": "key.revoke",
    "import": "events.import",
    "catalog import": "catalogue.import",
    "explain": "shopper.explain",
    "preview": "preview.make",
    "forget": "shopper.forget",
    "audience import": "audience.import",
    "kill": "switch.off",
    "facts": "facts.write",
    "report": "exposures.export",
    "guard": "switch.off",
    "train": "model.train",
    "score": "shoppers.score",
    "models shadow": "model.shadow",
    "models candidate": "model.candidate",
    "models promote": "model.promote",
    "models rollback": "model.rollback",
    "people invite": "person.invite",
    "people roles": "person.roles",
    "people disable": "person.disable",
    "people enable": "person.enable",
    "people reset": "person.reset",
    "people remove": "person.remove",
    "models retire": "model.retire",
    "failed show": "failed.read",
    "failed repair": "failed.repair",
    "failed replay": "failed.replay",
    "failed discard": "failed.discard",
    "offers codes": "offer.codes",
    "backup": "backup.make",
    "restore": "backup.restore",
    "retain": "retention.run",
}
"""What each command that changes or shows something leaves."""
NOTHING = {
    "init",
    "check",
    "serve",
    "demo",
    "test",
    "versions",
    "diff",
    "keys list",
    "backtest",
    "selftest",
    "failed list",
    "audit list",
    "audit verify",
    "offers check",
    "offers list",
    "offers entries",
    "evaluate",
    "drift",
    "models list",
    "models show",
    "models verify",
    "people list",
    "console",
}
"""Those that show no person and change no rule; a server leaves entries of its own."""
ELSEWHERE = {
    "offers codes",
    "import",
    "report",
    "guard",
    "train",
    "score",
    *(each for each in CHANGES if each.startswith(("models ", "people "))),
}
"""Shown by the tests of their own rooms."""


def commands(command: Any, name: str = "") -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield name
        return
    for inner, each in command.commands.items():
        yield from commands(each, f"{name} {inner}".strip())


def test_every_command_is_in_the_matrix() -> None:
    found = set(commands(typer.main.get_command(app)))
    assert found - CHANGES.keys() - NOTHING == set()


def run(command: str, book: Path, data: Path, tmp_path: Path) -> None:
    """A command that does what it is for."""
    both, only = ("--playbook", book, "--data", data), ("--data", data)
    number = str(numbers(data)[0])
    members, products = tmp_path / "members.csv", tmp_path / "products.json"
    members.write_text(f"id\n{USER}\n")
    products.write_text('[{"id": "mug", "title": "Mug", "price": "9.00 EUR"}]')
    experience = next(iter(load_playbook(book).declarations.experiences))
    asked: dict[str, tuple[str | Path, ...]] = {
        "publish": (book, "--yes", "--who", CANARY, "-m", CANARY, *only),
        "bundle": (tmp_path / "b.jws", *both),
        "keys create": ("secret", *only),
        "catalog import": (products, *only),
        "explain": ("--user", USER, *both),
        "preview": (experience, "--url", f"https://shop.example/?who={CANARY}", *both),
        "forget": ("--user", USER, *both),
        "audience import": ("vip", members, "--by", "user", *both),
        "kill": ("all", "--reason", CANARY, *both),
        "failed show": (number, *only),
        "failed repair": (number, "--set", "properties.price=9", *both),
        "failed discard": (number, *only),
    }
    if command == "failed replay":
        invoke("failed", "repair", number, "--unset", "properties.price", *both)
        asked[command] = (number, *both)
    if command in {"rollback", "checkout"}:
        live_twice(book, data)
        asked["rollback"] = only
        asked["checkout"] = ("live", tmp_path / "out", *only)
    if command == "keys revoke":
        invoke("keys", "create", "secret", *only)
        with open_world(data, serving=False) as world:
            asked[command] = (next(iter(world.registry.documents("key"))), *only)
    asked |= {"facts": only, "retain": both, "backup": (tmp_path / "copy", *only)}
    if command == "restore":
        invoke("backup", tmp_path / "copy", *only)
        asked[command] = (tmp_path / "copy", "--data", tmp_path / "restored")
    invoke(*command.split(), *asked[command])


def live_twice(book: Path, data: Path) -> None:
    invoke("publish", book, "--yes", "--data", data)
    other = book.parent / f"{book.name}-other"
    other.mkdir(exist_ok=True)
    for path in book.glob("*.yaml"):
        (other / path.name).write_text(path.read_text())
    (other / "crm.yaml").write_text("segments:\n  vip: {members: pushed}\n  gold: {members: pushed}\n")
    invoke("publish", other, "--yes", "--data", data)


@pytest.mark.parametrize("command", sorted(CHANGES.keys() - ELSEWHERE))
def test_it_leaves_an_entry_that_names_nobody(command: str, book: Path, data: Path, tmp_path: Path) -> None:
    run(command, book, data, tmp_path)
    data = tmp_path / "restored" if command == "restore" else data
    found = [entry for entry in entries(data) if entry.action == CHANGES[command]]
    assert found, entries(data)
    assert found[-1].actor == f"command:{pwd.getpwuid(os.getuid()).pw_name}"
    assert CANARY not in repr(entries(data))
    assert "as it was written" in invoke("audit", "verify", "--data", data)


def test_the_log_is_listed_and_found_by_shopper(book: Path, data: Path) -> None:
    invoke("kill", "all", "--data", data, "--playbook", book)
    invoke("explain", "--user", USER, "--data", data, "--playbook", book)
    invoke("kill", "all", "--on", "--data", data, "--playbook", book)
    told = invoke("audit", "list", "--data", data)
    assert "3 entries" in told
    assert [each["number"] for each in listed(data, "--after", "1", "--limit", "1")] == [2]
    assert [each["action"] for each in listed(data, "--user", USER)] == ["shopper.explain"]
    assert "no_such_shopper" in invoke("audit", "list", "--user", "nobody", "--data", data, code=1)


def listed(data: Path, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(invoke("audit", "list", "--data", data, "--json", *more))
    return found


def test_a_changed_log_is_told_with_its_place(book: Path, data: Path) -> None:
    for _ in range(3):
        invoke("kill", "all", "--data", data, "--playbook", book)
    file = data / "audit.jsonl"
    file.write_bytes(file.read_bytes().replace(b"switch.off", b"switch.on_", 1))
    told = invoke("audit", "verify", "--data", data, code=1)
    assert "line 1 (byte 0) is not as it was written" in told
    report = json.loads(invoke("audit", "verify", "--data", data, "--json", code=1))
    assert report == {"sound": False, "breaks": ["line 1 (byte 0) is not as it was written"]}


def test_nothing_is_killed_when_it_cannot_be_told(book: Path, data: Path) -> None:
    (data / "audit.jsonl").unlink(missing_ok=True)
    (data / "audit.jsonl").mkdir()
    told = invoke("kill", "all", "--data", data, "--playbook", book, code=1)
    assert "audit_unavailable" in told
    with open_world(data, serving=False) as world:
        assert world.registry.documents("kill") == {}
        assert Versions(world.registry, world.clock).live() is None
    assert "Forgotten." in invoke("forget", "--user", USER, "--data", data, "--playbook", book)
