"""Imports end to end: rows to events to profiles and the report, through the real window; and the real data sets."""

import csv
import gzip
import http.server
import json
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from typer.testing import CliRunner

from cashwrap.adapters.http import FetchLimits, fetch, public
from cashwrap.adapters.memory import MemoryStore
from cashwrap.adapters.system import SystemClock, SystemRandom
from cashwrap.adapters.vault import MemoryVault
from cashwrap.cli.main import app
from cashwrap.engine import World
from cashwrap.errors import InvalidInput
from cashwrap.history import Options, Report, import_file, load_mapping, read_mapping, rebuild
from cashwrap.library import open_world
from cashwrap.model import Product, Tenant
from cashwrap.playbook import Playbook, examine, load_playbook

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CASHWRAP_DATA", ROOT.parent / "shared" / "data"))
PLAYBOOK = """
shop: {currency: GBP, locale: en}
features:
  orders: {count: Order Completed}
  spent: {sum: Order Completed, of: total}
  views: {count: Product Viewed}
segments:
  buyer: orders >= 1
  regular: orders >= 2
  big: spent >= 1000
  looker: views >= 2
placements:
  hello: {component: message}
experiences:
  greet:
    in: hello
    when: '"regular" in segments'
    show: {text: {en: "Hello again."}}
"""
MAPPING = """
source: test
basis: [analytics, personalization]
currency: GBP
time: {column: at, unit: s}
shopper: {user: user, anonymous: device, session: visit}
skip:
  - {reason: test_rows, when: {user: robot}}
events:
  - name: Order Completed
    when: {what: [buy, order]}
    properties: {order_id: {text: "o-{row}"}}
    products: {product_id: item, price: price, quantity: {value: 2}}
    total: total
  - name: Product Viewed
    when: {what: view}
    properties: {product_id: item, price: price}
"""
HEADER = "at,user,device,visit,what,item,price\n"


def playbook_of(text: str = PLAYBOOK) -> Playbook:
    found, faults = examine({"p.yaml": text})
    assert found is not None, faults
    return found


PLAIN = playbook_of()


def new_world() -> World:
    store, dice = MemoryStore(), SystemRandom()
    return World(store, store, store, store, store, MemoryVault(dice), SystemClock(), dice)


def run(
    tmp_path: Path, text: str | bytes, mapping: str = MAPPING, *, name: str = "a.csv", world: World | None = None
) -> Report:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    read = read_mapping("m.yaml", mapping, PLAIN.vocabulary)
    return import_file(world or new_world(), PLAIN, read, path)


class TestRows:
    def test_a_file_becomes_shoppers_orders_and_segments(self, tmp_path: Path) -> None:
        rows = [
            "1600000000,ann,,s1,view,p1,5.00",
            "1600000060,ann,,s1,buy,p1,5.00",
            "1600009000,ann,,s2,order,p2,700",
            "1600000000,,dev,s3,view,p1,",
            "1600000000,robot,,s4,view,p1,",
            "1600000000,ann,,s5,sing,p1,",
        ]
        report = run(tmp_path, HEADER + "\n".join(rows))
        assert report.rows == 6
        assert report.skipped == {"no_event": 1, "test_rows": 1}
        assert (report.events.received, report.events.stored, report.events.balanced()) == (4, 4, True)
        assert (report.shoppers, report.sessions, report.orders) == (2, 3, 2)
        assert report.revenue == {"GBP": "1410.00"}
        assert report.segments == {"big": 1, "buyer": 1, "regular": 1}
        assert report.experiences == {"greet": 1}
        assert (report.first, report.last) == (1_600_000_000_000, 1_600_009_000_000)

    def test_the_same_file_again_changes_nothing(self, tmp_path: Path) -> None:
        world, text = new_world(), HEADER + "1600000000,ann,,,buy,p1,5\n1600000000,ann,,,buy,p1,5\n"
        assert run(tmp_path, text, world=world).events.stored == 2
        again = run(tmp_path, text, world=world)
        assert (again.events.stored, again.events.duplicate, again.shoppers) == (0, 2, 0)
        assert rebuild(world, PLAIN).differing == ()

    def test_another_body_under_a_known_id_is_a_conflict(self, tmp_path: Path) -> None:
        world = new_world()
        run(tmp_path, HEADER + "1600000000,ann,,,buy,p1,5\n", world=world)
        changed = run(tmp_path, HEADER + "1600000000,ann,,,buy,p1,6\n", world=world)
        assert (changed.events.conflict, changed.failed) == (1, {"conflicting_message_id": 1})

    def test_another_file_is_another_source_of_ids(self, tmp_path: Path) -> None:
        world = new_world()
        run(tmp_path, HEADER + "1600000000,ann,,,buy,p1,5\n", world=world)
        assert run(tmp_path, HEADER + "1600000000,ann,,,buy,p1,6\n", world=world, name="b.csv").events.stored == 1

    def test_bad_rows_fail_alone_and_are_kept_with_their_reason(self, tmp_path: Path) -> None:
        rows = [
            b"1600000000,ann,,,view,p1,5",
            b"yesterday,ann,,,view,p1,5",
            b"99999999999,ann,,,view,p1,5",
            b"-5,ann,,,view,p1,5",
            b"1600000000,ann,,,view,p1,NaN",
            b"1600000000,ann,,,view,p1,-3",
            b"1600000000,,,,view,p1,5",
            b"1600000000,null,,,view,p1,5",
            b"1600000000,ann,,,view,p1",
            b"1600000000,ann,,,view,\xff,5",
            b'1600000000,ann,,,view,"p"1,5',
            b"1600000000,ann,,,view," + b"x" * (1 << 20) + b",5",
            b"1600000000,ann,,,view," + b"x" * 70_000 + b",5",
            b"1600000000,ann,,,view," + b"x" * 300 + b",5",
            b"1600000000,ann,,,buy,p1,five",
            b"1600000000,ann,,,view,p1,5",
        ]
        world = new_world()
        report = run(tmp_path, HEADER.encode() + b"\n".join(rows), world=world)
        assert report.failed == {
            "bad_csv": 2,
            "id_too_long": 1,
            "invalid_money": 1,
            "invalid_number": 1,
            "invalid_time": 1,
            "missing_identity": 2,
            "negative_money": 1,
            "not_utf8": 1,
            "row_too_long": 1,
            "time_out_of_range": 2,
            "wrong_field_count": 1,
        }
        assert report.events.stored == 2
        assert report.events.balanced()
        kept = world.failed.failures()
        assert Counter(failure.code for failure in kept) == report.failed
        assert {failure.path for failure in kept} >= {"a.csv:2 at", "a.csv:5 properties.price", "a.csv, line 10"}
        assert len(report.examples) == len(kept)
        assert (report.examples[0].place, report.examples[0].field) == ("a.csv:2", "at")

    def test_the_basis_bounds_what_is_kept(self, tmp_path: Path) -> None:
        rows = HEADER + "1600000000,ann,,,view,p1,5\n1600000000,ann,,,buy,p1,5\n"
        report = run(tmp_path, rows, MAPPING.replace("basis: [analytics, personalization]\n", ""))
        assert (report.events.stored, report.events.dropped_by_consent) == (1, 1)  # the order is necessary
        assert report.segments == {}

    def test_sensitive_products_are_refused_and_thin_ones_completed(self, tmp_path: Path) -> None:
        world = new_world()
        world.catalogue.upsert(Tenant(), [Product(id="p1", price=900), Product(id="p9", sensitive=True)])
        rows = HEADER + "1600000000,ann,,,view,p9,5\n1600000000,ann,,,view,p1,\n"
        report = run(tmp_path, rows, world=world)
        assert (report.events.stored, report.events.refused) == (1, 1)

    def test_secrets_do_not_reach_the_disk(self, tmp_path: Path) -> None:
        world = new_world()
        run(tmp_path, HEADER + "1600000000,a@example.com,,,view,4111 1111 1111 1111,5\n", world=world)
        (record,) = world.store.log()
        plain = world.vault.open(record.shopper, record.payload)
        assert b"example.com" not in plain
        assert b"4111" not in plain

    def test_what_is_probably_not_meant_is_told(self, tmp_path: Path) -> None:
        rows = HEADER + "1600009000,ann,,,view,p1,5\n1600000000,ann,,,view,p1,5\n"
        assert run(tmp_path, rows).notes == [
            "1 rows are older than the one before of their shopper; sort the file by time"
        ]
        (note,) = run(tmp_path, HEADER, MAPPING.replace("GBP", "USD")).notes
        assert note.startswith("the data are in USD and the shop in GBP")

    def test_a_limit_ends_the_reading(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(HEADER + "1600000000,ann,,,view,p1,5\n" * 10)
        read = read_mapping("m.yaml", MAPPING, PLAIN.vocabulary)
        assert import_file(new_world(), PLAIN, read, path, Options(limit=3)).rows == 3

    def test_progress_is_told_up_to_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text(HEADER + "1600000000,ann,,,view,p1,5\n" * 5000)
        read, told = read_mapping("m.yaml", MAPPING, PLAIN.vocabulary), []
        import_file(new_world(), PLAIN, read, path, Options(progress=told.append))
        assert told == sorted(told)
        assert told[-1] == path.stat().st_size


class TestFormats:
    ROW: ClassVar = {"at": 1_600_000_000, "user": "ann", "what": "view", "item": "p1", "price": 5.25}

    def test_json_lines(self, tmp_path: Path) -> None:
        lines = [json.dumps(self.ROW), "", "[1]", "{", json.dumps({**self.ROW, "item": {"a": 1}})]
        report = run(tmp_path, "\n".join(lines), name="a.jsonl")
        assert (report.events.stored, report.failed) == (1, {"bad_json": 2, "invalid_type": 1})

    def test_gzip_and_tsv(self, tmp_path: Path) -> None:
        text = (HEADER + "1600000000,ann,,,view,p1,5\n").replace(",", "\t").encode()
        assert run(tmp_path, gzip.compress(text), name="a.tsv.gz").events.stored == 1

    def test_a_file_that_breaks_off_keeps_what_came_before(self, tmp_path: Path) -> None:
        rows = "".join(f"{1_600_000_000 + n},ann{n * 7919},,,view,p{n},5\n" for n in range(3000))
        packed = gzip.compress((HEADER + rows).encode())
        report = run(tmp_path, packed[: len(packed) // 2], name="a.csv.gz")
        assert 0 < report.events.stored < 3000
        assert "breaks off" in report.interrupted

    def test_parquet(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {name: [value, value] for name, value in self.ROW.items()} | {"device": [None, None], "visit": [1, 2]}
        parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
        read = read_mapping("m.yaml", MAPPING, PLAIN.vocabulary)
        report = import_file(new_world(), PLAIN, read, tmp_path / "a.parquet")
        assert (report.rows, report.events.stored) == (2, 2)

    @pytest.mark.parametrize(
        ("name", "text", "code"),
        [
            ("a.csv", "at,usr\n1,2\n", "missing_column"),
            ("a.doc", "x", "unknown_format"),
            ("a.parquet", "PAR1 no", "unreadable_file"),
        ],
    )
    def test_a_file_that_cannot_be_used(self, tmp_path: Path, name: str, text: str, code: str) -> None:
        with pytest.raises(InvalidInput) as raised:
            run(tmp_path, text, name=name)
        assert raised.value.code == code


class TestOrders:
    MAPPING = """
source: invoices
basis: [personalization]
currency: GBP
time: {column: day, zone: Europe/London}
shopper: {user: {column: who, kind: integer}}
context: {country: {column: land, values: {Britain: GB}}}
events:
  - name: Order Refunded
    when: {no: {prefix: C}}
    lines: no
    returns: true
    products: {product_id: item, quantity: {column: pieces, kind: integer, negate: true}, price: price}
  - name: Order Completed
    lines: no
    properties: {order_id: no}
    products: {product_id: item, quantity: pieces, price: price}
    total: total
"""
    HEADER = "no,item,pieces,day,price,who,land\n"

    def test_lines_of_one_number_are_one_order_even_when_others_lie_between(self, tmp_path: Path) -> None:
        rows = (
            "1,a,2,2020-07-01 10:00:00,1.50,7.0,Britain\n"
            "2,a,1,2020-07-01 10:01:00,1.50,8.0,Britain\n"
            "1,b,1,2020-07-01 10:02:00,4,7.0,Britain\n"
        )
        report = run(tmp_path, self.HEADER + rows, self.MAPPING)
        assert (report.orders, report.joined, report.revenue) == (2, 1, {"GBP": "8.50"})
        assert report.first == 1_593_594_000_000  # 09:00 UTC: summer time in London

    def test_returns_pay_back_the_newest_orders_of_the_goods(self, tmp_path: Path) -> None:
        rows = (
            "1,a,2,2020-07-01,10,7,Britain\n"
            "2,a,3,2020-07-02,10,7,Britain\n"
            "C3,a,-4,2020-07-03,10,7,Britain\n"
            "C4,z,-1,2020-07-03,10,7,Britain\n"
        )
        report = run(tmp_path, self.HEADER + rows, self.MAPPING)
        assert report.names == {"Order Completed": 2, "Order Refunded": 2}
        assert (report.unmatched_returns, report.orders, report.orders_undone) == (1, 1, 1)
        assert (report.revenue, report.refunded) == ({"GBP": "10.00"}, {"GBP": "40.00"})

    def test_a_return_before_the_sale_is_nobodys(self, tmp_path: Path) -> None:
        rows = "C1,a,-1,2020-07-01,10,7,Britain\n2,a,1,2020-07-02,10,7,Britain\n"
        report = run(tmp_path, self.HEADER + rows, self.MAPPING)
        assert (report.unmatched_returns, report.refunded) == (1, {})

    def test_a_line_that_comes_much_too_late_is_told(self, tmp_path: Path) -> None:
        rows = [f"{n},a,1,2020-07-01,10,7,Britain" for n in range(300)]
        report = run(tmp_path, self.HEADER + "\n".join([*rows, rows[0]]), self.MAPPING)
        assert (report.orders, report.failed) == (300, {"scattered_order": 1})


class TestSessions:
    MAPPING = MAPPING.replace("shopper: {user: user, anonymous: device, session: visit}", "shopper: {session: visit}")

    def test_a_given_session_names_who_nothing_else_names(self, tmp_path: Path) -> None:
        rows = HEADER + "1600000000,x,,s1,view,p1,5\n1600000001,x,,s2,view,p1,5\n"
        assert run(tmp_path, rows, self.MAPPING).shoppers == 2

    def test_differences_to_the_given_sessions_add_up(self, tmp_path: Path) -> None:
        visits = [(0, "a"), (600, "a"), (700, "b"), (800, "a"), (10_000, "a"), (99_000, "c")]
        rows = "".join(f"{1_600_000_000 + at},ann,,{name},view,p1,5\n" for at, name in visits)
        report = run(tmp_path, HEADER + rows)
        found = report.compared
        assert (found.given, found.resumed, found.split, found.joined) == (3, 1, 1, 2)
        assert report.sessions == found.visits == found.given + found.resumed + found.split - found.joined == 3


FILES = {
    "retailrocket": "retailrocket_events/events.csv.gz",
    "rees46": "rees46_events_sample/events.csv.gz",
    "online_retail": "online_retail/lines_2010-12_2011-08.csv.gz",
}


@cache
def real_report(name: str) -> Report:
    """The import of one real data set, done once."""
    file = DATA / FILES[name]
    if not file.is_file():
        pytest.skip(f"no real data at {DATA}; set CASHWRAP_DATA")
    mapping = load_mapping(ROOT / f"mappings/{name}.yaml", PLAIN.vocabulary)
    return import_file(new_world(), PLAIN, mapping, file)


@pytest.mark.data
class TestRealData:
    @pytest.mark.parametrize("name", FILES)
    def test_the_report_is_what_the_mapping_expects(self, name: str) -> None:
        report = real_report(name)
        plain = msgspec.to_builtins(report)
        mapping = load_mapping(ROOT / f"mappings/{name}.yaml", PLAIN.vocabulary)
        found = {}
        for path in mapping.expect:
            value = plain
            for step in path.split(".", 1):
                value = value.get(step, 0)
            found[path] = str(value)
        expected = {path: each.value for path, each in mapping.expect.items()}
        expected.pop("revenue.EUR", None)  # the currency is the playbook's where the data name none
        found.pop("revenue.EUR", None)
        assert found == expected
        assert report.events.balanced()
        compared = report.compared
        if compared.given:
            assert compared.visits == compared.given + compared.resumed + compared.split - compared.joined

    def test_invoices_agree_with_a_plain_reading(self) -> None:
        report = real_report("online_retail")
        orders: dict[str, Decimal] = defaultdict(Decimal)
        owner = {}
        with gzip.open(DATA / FILES["online_retail"], "rt") as lines:
            for row in csv.DictReader(lines):
                if row["CustomerID"] and not row["InvoiceNo"].startswith("C"):
                    orders[row["InvoiceNo"]] += Decimal(row["UnitPrice"]) * int(row["Quantity"])
                    owner[row["InvoiceNo"]] = row["CustomerID"]
        assert len(orders) == report.orders + report.orders_undone
        gross = sum(round(total, 2) for total in orders.values())
        assert gross == Decimal(report.revenue["GBP"]) + Decimal(report.refunded["GBP"])
        before_returns = Counter(owner.values())
        assert report.segments["buyer"] <= len(before_returns)
        assert report.segments["regular"] <= sum(count >= 2 for count in before_returns.values())
        assert report.segments["regular"] > 0.95 * sum(count >= 2 for count in before_returns.values())

    def test_views_agree_with_a_plain_reading(self) -> None:
        report = real_report("retailrocket")
        with gzip.open(DATA / FILES["retailrocket"], "rt") as lines:
            rows = [row for row in csv.DictReader(lines) if row["visitor"] != "0"]
        views = Counter(row["visitor"] for row in rows if row["event"] == "view")
        bought = Counter(row["visitor"] for row in rows if row["event"] == "transaction")
        assert report.segments["looker"] == sum(count >= 2 for count in views.values())
        assert report.segments["buyer"] == len(bought)
        assert report.segments["regular"] == report.experiences["greet"] == sum(n >= 2 for n in bought.values())


class TestCommands:
    def invoke(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.output

    def test_import_reports_and_repeats_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "book").mkdir()
        (tmp_path / "book/p.yaml").write_text(PLAYBOOK)
        (tmp_path / "m.yaml").write_text(MAPPING)
        (tmp_path / "a.csv").write_text(HEADER + "1600000000,ann,,,buy,p1,5\n")
        common = ("import", str(tmp_path / "a.csv"), "--mapping", str(tmp_path / "m.yaml"))
        common += ("--playbook", str(tmp_path / "book"), "--data", str(tmp_path / "data"))
        code, text = self.invoke(*common, "--dry-run", "--json")
        assert (code, json.loads(text)["events"]["stored"]) == (0, 1)
        assert not (tmp_path / "data").exists()
        code, text = self.invoke(*common)
        assert code == 0
        assert "revenue, net" in text
        code, text = self.invoke(*common, "--json")
        assert json.loads(text)["events"]["duplicate"] == 1

    def test_a_bad_mapping_is_told_with_every_place(self, tmp_path: Path) -> None:
        (tmp_path / "book").mkdir()
        (tmp_path / "book/p.yaml").write_text(PLAYBOOK)
        (tmp_path / "m.yaml").write_text("source: x\ntime: t\nshopper: {user: u}\nevents:\n  - {name: Nope}\n")
        (tmp_path / "a.csv").write_text(HEADER)
        code, text = self.invoke(
            "import",
            str(tmp_path / "a.csv"),
            "--mapping",
            str(tmp_path / "m.yaml"),
            "--playbook",
            str(tmp_path / "book"),
        )
        assert code == 1
        assert "m.yaml:5:12 unknown_event" in text

    def test_catalogue_keeps_good_rows_and_tells_bad_ones(self, tmp_path: Path) -> None:
        (tmp_path / "f.csv").write_text("id,price\na,1.00\nb,x\n")
        code, text = self.invoke("catalog", "import", str(tmp_path / "f.csv"), "--data", str(tmp_path / "d"), "--json")
        assert code == 1
        report = json.loads(text)
        assert (report["written"], report["failed"], report["faults"][0]["line"]) == (1, {"invalid_price": 1}, 3)

    def test_catalogue_beside_a_running_server(self, tmp_path: Path) -> None:
        (tmp_path / "f.csv").write_text("id,price\na,1.00\n")
        with open_world(tmp_path / "d", make=True) as world:
            code, text = self.invoke("catalog", "import", str(tmp_path / "f.csv"), "--data", str(tmp_path / "d"))
            assert (code, text) == (0, "1 products written, 0 rows failed.\n")
            assert list(world.catalogue.products(Tenant())) == ["a"]

    def test_a_feed_without_a_product_replaces_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "f.csv").write_text("id,price\n")
        code, text = self.invoke(
            "catalog", "import", str(tmp_path / "f.csv"), "--data", str(tmp_path / "d"), "--replace"
        )
        assert code == 1
        assert "nothing was replaced" in text


class _Feeds(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'[{"id": "a"}]'
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
        else:
            self.send_response(404 if self.path == "/gone" else 200)
            self.send_header("Content-Length", str(len(body) + (5 if self.path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def feeds() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Feeds)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestFetch:
    @pytest.mark.parametrize(
        ("path", "limits", "code"),
        [
            ("/feed", FetchLimits(), "private_address"),
            ("/moved", FetchLimits(private=True), "invalid_url"),
            ("/gone", FetchLimits(private=True), "fetch_failed"),
            ("/short", FetchLimits(private=True), "fetch_failed"),
            ("/feed", FetchLimits(private=True, size=5), "feed_too_large"),
            ("/feed", FetchLimits(private=True, seconds=-1), "fetch_too_slow"),
        ],
    )
    def test_what_is_refused(self, feeds: str, tmp_path: Path, path: str, limits: FetchLimits, code: str) -> None:
        with (tmp_path / "f").open("wb") as into, pytest.raises(InvalidInput) as raised:
            fetch(feeds + path, into, SystemClock(), limits)
        assert raised.value.code == code

    @pytest.mark.parametrize(
        "url", ["file:///etc/hostname", "ftp://x/y", "http://", "http://a:b@c/", "http://x:99999/"]
    )
    def test_what_is_no_address(self, url: str, tmp_path: Path) -> None:
        with (tmp_path / "f").open("wb") as into, pytest.raises(InvalidInput) as raised:
            fetch(url, into, SystemClock())
        assert raised.value.code == "invalid_url"

    def test_a_command_reads_an_address(self, feeds: str, tmp_path: Path) -> None:
        result = CliRunner().invoke(
            app, ["catalog", "import", f"{feeds}/feed", "--data", str(tmp_path / "d"), "--allow-private", "--json"]
        )
        assert json.loads(result.output)["written"] == 1

    @pytest.mark.parametrize(
        ("address", "is_public"),
        [
            ("93.184.216.34", True),
            ("127.0.0.1", False),
            ("10.1.2.3", False),
            ("169.254.169.254", False),
            ("::1", False),
            ("::ffff:10.0.0.1", False),
            ("2002:a00:1::", False),
            ("fe80::1%eth0", False),
            ("224.0.0.1", False),
        ],
    )
    def test_which_addresses_are_public(self, address: str, is_public: bool) -> None:
        assert public(address) is is_public


def test_every_mapping_reads_with_the_starter_playbook() -> None:
    vocabulary = load_playbook(ROOT / "playbooks/starter").vocabulary
    for path in sorted((ROOT / "mappings").glob("*.yaml")):
        mapping = load_mapping(path, vocabulary)
        assert mapping.source == path.stem
        assert mapping.expect
