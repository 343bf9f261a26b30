"""The commands as an operator types them: over a real data folder, and beside a real server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cashwrap.cli.main import app
from cashwrap.cli.world import operator
from cashwrap.engine import Engine
from cashwrap.errors import InvalidInput
from cashwrap.history import read_members
from cashwrap.library import open_world
from cashwrap.model import Tenant
from cashwrap.playbook import load_playbook, starter
from processes import cashwrap, client, process

VIP = """
segments:
  vip: {members: pushed}
experiences:
  vip_greeting:
    in: home_hero
    when: '"vip" in segments && "high_value" in segments'
    priority: 60
    show: {text: {en: Hello}}
"""
TEST = Tenant("outlet", "test")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    folder = tmp_path / "playbook"
    folder.mkdir()
    for name, text in starter.starter_files().items():
        if "/" not in name:
            (folder / name).write_text(text)
    (folder / "crm.yaml").write_text(VIP)
    return folder


def tell(book: Path, data: Path, *events: dict[str, object], tenant: Tenant = TEST) -> None:
    """What a backend would send."""
    with open_world(data, make=True) as world:
        engine = Engine(load_playbook(book), world)
        body = json.dumps({"batch": [{"messageId": str(at), **event} for at, event in enumerate(events)]}).encode()
        submission, refused = engine.collect(
            engine.parse(body, None), operator(tenant, world.clock), lambda settled: None
        )
        engine.close()
    assert submission.error is None
    assert submission.accounting.received == len(events)
    assert len(refused) == submission.accounting.failed


def agrees(user: str, **traits: str) -> list[dict[str, object]]:
    """A customer with an address who agreed, and one order of theirs."""
    return [
        {"type": "consent", "userId": user, "scope": "person", "choices": {"personalization": "granted"}},
        {"type": "identify", "userId": user, "traits": traits},
        {
            "type": "track",
            "userId": user,
            "event": "Order Completed",
            "properties": {"order_id": user, "subtotal": 120.5},
        },
    ]


def invoke(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def data(book: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    denied = {"type": "consent", "userId": "dora", "scope": "person", "choices": {"personalization": "denied"}}
    ordered = {"type": "track", "userId": "dora", "event": "Order Completed", "properties": {"order_id": "D1"}}
    tell(book, folder, *agrees("ann", email="Ann@Shop.example"), *agrees("bo@shop.example"), denied, ordered)
    return folder


class TestExplain:
    def explain(self, book: Path, data: Path, *more: str, store: str = "outlet") -> str:
        where = ("--playbook", book, "--data", data, "--store", store, "--env", "test")
        return invoke("explain", "--user", "ann", *where, "--context", '{"cart": {"total": 94}}', *more)

    def test_money_is_in_major_units_and_segments_are_opened_one_level(self, book: Path, data: Path) -> None:
        told = self.explain(book, data)
        assert "cart.total >= 50  (cart.total = 94.00 EUR)" in told
        lines = told.splitlines()
        at = next(number for number, line in enumerate(lines) if line.strip() == 'false   "high_value" in segments')
        depth = len(lines[at]) - len(lines[at].lstrip())
        assert lines[at + 2].strip() == "false   spent > 500  (spent = 120.50 EUR)"
        assert len(lines[at + 1]) - len(lines[at + 1].lstrip()) == depth + 2
        assert "vip: pushed in from outside" in told

    def test_what_is_granted_is_told_in_major_units(self, book: Path, data: Path) -> None:
        items = '[{"id": "KC-C02", "price": 74}, {"id": "KC-C03", "price": "28.00"}]'
        where = ("--playbook", book, "--data", data, "--context", f'{{"cart": {{"total": 102, "items": {items}}}}}')
        told = invoke("explain", "--user", "nobody", *where)
        assert "  grants pour_over_set: 10.20 EUR off this cart, the same for everyone" in told.splitlines()

    def test_another_store_knows_nothing_of_the_shopper(self, book: Path, data: Path) -> None:
        assert "Nobody is known" in self.explain(book, data, store="other")

    @pytest.mark.parametrize(
        "context", ['{"crt": 1}', '{"cart": {"totl": 1}}', '{"cart": {"items": [{"id": "a", "x": 1}]}}']
    )
    def test_a_misspelt_key_is_told(self, book: Path, data: Path, context: str) -> None:
        where = ("--playbook", book, "--data", data, "--context", context)
        assert "nothing reads" in invoke("explain", "--user", "ann", *where, code=1)

    def test_as_json_it_is_what_a_decide_request_is_told(self, book: Path, data: Path) -> None:
        assert json.loads(self.explain(book, data, "--json"))["home_hero"]["answer"]["experience"]


class TestAudienceImport:
    def push(self, book: Path, data: Path, text: str, *more: str) -> dict[str, int]:
        (book.parent / "list.csv").write_text(text)
        where = ("--playbook", book, "--data", data, "--store", "outlet", "--env", "test", "--json")
        told: dict[str, int] = json.loads(invoke("audience", "import", "vip", book.parent / "list.csv", *where, *more))
        fates = told["added"] + told["removed"] + told["unknown"] + told["invalid"] + told["dropped_by_consent"]
        assert told["read"] == fates + told["failed"]
        return {name: count for name, count in told.items() if count}

    def members(self, data: Path) -> int:
        with open_world(data, serving=False) as world:
            return world.store.sizes(TEST).get("vip", 0)

    def test_every_member_meets_one_fate(self, book: Path, data: Path) -> None:
        told = self.push(book, data, "name,User ID\nAnn,ann\nDora,dora\nNo,nobody\nNull,null\n", "--by", "user")
        assert told == {"read": 4, "added": 1, "dropped_by_consent": 1, "unknown": 1, "invalid": 1}
        assert self.push(book, data, "ann\n", "--by", "user", "--remove") == {"read": 1, "removed": 1}

    def test_an_address_is_found_by_its_hash_however_it_is_written(self, book: Path, data: Path) -> None:
        told = self.push(book, data, "E-Mail\n ANN@shop.EXAMPLE\nno address\n", "--by", "email")
        assert told == {"read": 2, "added": 1, "invalid": 1}
        assert b"ann@shop" not in b"".join(path.read_bytes().lower() for path in data.glob("cashwrap.db*"))

    def test_an_id_that_is_an_address_is_found_as_events_keep_it(self, book: Path, data: Path) -> None:
        assert self.push(book, data, "bo@shop.example\n", "--by", "user") == {"read": 1, "added": 1}

    def test_a_row_that_is_none_is_told_and_counted(self, book: Path, data: Path) -> None:
        (book.parent / "list.csv").write_text("name,id\nAnn,ann\nBo\n")
        told = invoke(
            "audience", "import", "vip", book.parent / "list.csv", "--by", "user", "--playbook", book, "--data", data,
            "--store", "outlet", "--env", "test",
        )  # fmt: skip
        assert "line 3: wrong_field_count" in told
        assert "2 read: 1 added" in told

    def test_only_a_pushed_segment_takes_members(self, book: Path, data: Path) -> None:
        (book.parent / "list.csv").write_text("ann\n")
        where = ("--by", "user", "--playbook", book, "--data", data)
        assert "not_pushed" in invoke("audience", "import", "high_value", book.parent / "list.csv", *where, code=1)

    @pytest.mark.parametrize(("text", "column"), [("a,b\n1,2\n", ""), ("a,b\n1,2\n", "c"), ("x\n", "id")])
    def test_a_column_that_is_not_there_is_told(self, tmp_path: Path, text: str, column: str) -> None:
        (tmp_path / "f.csv").write_text(text)
        with pytest.raises(InvalidInput) as raised:
            list(read_members(tmp_path / "f.csv", "user", column))
        assert raised.value.code == "missing_column"


@pytest.mark.parametrize(
    "command",
    [["failed", "list"], ["audit", "verify"], ["keys", "list"], ["kill", "all"], ["facts"], ["forget", "--user", "x"]],
)
def test_a_mistyped_folder_is_told_and_not_made(command: list[str], book: Path, tmp_path: Path) -> None:
    playbook = ["--playbook", str(book)] if command[0] == "forget" else []
    assert "no_data_folder" in invoke(*command, *playbook, "--data", tmp_path / "typo", code=1)
    assert not (tmp_path / "typo").exists()


def test_a_missing_playbook_is_told_with_what_to_do(tmp_path: Path) -> None:
    told = invoke("serve", "--playbook", tmp_path / "none", "--data", tmp_path / "data", code=1)
    assert "cashwrap init" in told
    assert not (tmp_path / "data").exists()


def test_a_mistyped_switch_is_thrown_with_a_warning(book: Path, data: Path) -> None:
    where = ("--data", data, "--playbook", book)
    assert "did you mean vip_greeting?" in invoke("kill", "experience", "vip_greting", *where)
    assert invoke("kill", "experience", "vip_greeting", *where).startswith("Off: ")
    assert invoke("kill", "all", *where).startswith("Off: ")


def test_the_version_is_told() -> None:
    assert invoke("--version").startswith("cashwrap 0.")


def test_a_running_server_sees_products_that_are_imported_beside_it(book: Path, tmp_path: Path) -> None:
    data, feed = tmp_path / "data", tmp_path / "feed.json"
    feed.write_text('[{"id": "mug", "title": "Mug", "price": "9.00 EUR", "availability": "in stock"}]')
    (book / "popular.yaml").write_text(
        "placements:\n  shelf: {component: products}\nexperiences:\n  best: {in: shelf, show: {from: popular}}\n"
    )
    key = cashwrap("keys", "create", "secret", "--data", data).split()[-1]
    with process(book, data) as running, client(running.url, key) as http:
        asked = {"shopper": {"anonymousId": "a"}, "placements": ["shelf"]}

        def shelf() -> str:
            return http.post("/v1/decide", json=asked).text

        assert "mug" not in shelf()
        assert "1 products written" in cashwrap("catalog", "import", feed, "--data", data)
        assert any("mug" in shelf() for _ in range(2000))
