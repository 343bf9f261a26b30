"""What the embedded store promises beyond the contract: power cuts, kills, full disks, locks, versions, no traces."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from cashwrap.adapters import database, queries
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.errors import Locked, StoreError, Unavailable
from cashwrap.model import Product, Tenant
from cashwrap.ports import Changes, Failure, Record, Row, ShopperKey, Transition
from faulty_disk import FaultyDisk

TENANT = Tenant("acme", "live")
KEY = ShopperKey(TENANT, b"s" * 16)


def everything(number: int, state: bytes = b"state") -> Changes:
    """A commit that touches every table and every statement of a commit."""
    other = ShopperKey(TENANT, b"o" * 16)
    return Changes(
        records=[Record(TENANT, KEY.shopper, number, "events", b"payload %d" % number)],
        rows={KEY: Row(state, b"seen", number), other: None if number % 2 else Row(b"", b"")},
        dues={KEY: number + 1},
        identities={number.to_bytes(16, "big"): KEY},
        transitions=[
            Transition(TENANT, KEY.shopper, "vip", number % 2 == 0, number),
            Transition(TENANT, other.shopper, "vip", number % 2 == 1, number),
        ],
        failures=[Failure(TENANT, number, "code", "message", "path", 1)],
    )


def content(store: SqliteStore) -> tuple[object, ...]:
    keys = [KEY, ShopperKey(TENANT, b"o" * 16)]
    return (
        list(store.log()),
        store.load(keys),
        store.resolve([n.to_bytes(16, "big") for n in range(50)]),
        store.members(TENANT, "vip"),
        store.pending(1000),
        store.failures(),
    )


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk(f"faulty-{uuid.uuid4()}")


@pytest.fixture
def store(tmp_path: Path, disk: FaultyDisk) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path, vfs=disk.name)
    yield store
    store.close()


# --- durability ---


def unsynced_commits(store: SqliteStore, disk: FaultyDisk) -> list[set[str]]:
    """After each of some commits: the files holding bytes that a power cut could take."""
    left = []
    for number in range(1, 6):
        store.commit(everything(number))
        left.append({name for name in disk.unsynced if name.endswith("-wal")})
    return left


def test_no_commit_returns_before_its_bytes_are_synced(store: SqliteStore, disk: FaultyDisk) -> None:
    assert unsynced_commits(store, disk) == [set()] * 5


def test_the_check_for_synced_bytes_is_red_with_synchronous_normal(store: SqliteStore, disk: FaultyDisk) -> None:
    writer = store._database._writer
    assert writer is not None
    writer.pragma("synchronous", "NORMAL")
    assert {"cashwrap.db-wal"} in unsynced_commits(store, disk)


def test_a_connection_that_would_not_sync_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = database._SETUP["writer"].replace("synchronous = FULL", "synchronous = NORMAL")
    assert weak != database._SETUP["writer"]
    monkeypatch.setitem(database._SETUP, "writer", weak)
    with pytest.raises(StoreError, match="power cut"):
        SqliteStore(tmp_path)


def test_every_setting_of_a_connection_is_effective(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(everything(1))
    writer = store._database._writer
    assert writer is not None
    settings = ("journal_mode", "synchronous", "wal_autocheckpoint", "secure_delete", "page_size", "foreign_keys")
    assert [writer.pragma(name) for name in settings] == ["wal", 2, 2000, 1, 4096, 1]
    with store._database.reading() as reader:
        assert (reader.pragma("query_only"), reader.pragma("mmap_size")) == (1, 1 << 30)
    with pytest.raises(Unavailable), store._database.reading() as reader:
        reader.execute("DELETE FROM log")
    store.close()


CHILD = """
import sys
from cashwrap.adapters.sqlite import SqliteStore
from cashwrap.model import Tenant
from cashwrap.ports import Changes, Record, Row, ShopperKey

store, tenant = SqliteStore(sys.argv[1]), Tenant()
number = int(sys.argv[2])
while True:
    number += 1
    key = ShopperKey(tenant, (number % 7).to_bytes(16, "big"))
    payload = number.to_bytes(8, "big") * 200
    store.commit(Changes(records=[Record(tenant, key.shopper, number, "events", payload)],
                         rows={key: Row(payload, b"", number)}, identities={number.to_bytes(16, "big"): key}))
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    chance, acknowledged = random.Random(3), 0
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 40)):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            for line in child.stdout:  # acknowledged before the kill arrived
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        store = SqliteStore(tmp_path)
        records = list(store.log())
        # one commit may have become durable without its acknowledgement
        assert len(records) in {acknowledged, acknowledged + 1}
        assert [r.received for r in records] == list(range(1, len(records) + 1))
        newest = {r.shopper: r for r in records}
        rows = store.load([ShopperKey(Tenant(), shopper) for shopper in newest])
        assert {key.shopper: row.state for key, row in rows.items()} == {s: r.payload for s, r in newest.items()}
        acknowledged = len(records)
        store.close()


# --- all or nothing ---


def test_a_commit_that_fails_at_any_statement_leaves_nothing(store: SqliteStore) -> None:
    store.commit(everything(1))
    store.commit(everything(2))
    before = content(store)
    failed_at = 0
    while True:
        writer = store._database._writer
        if writer is None:
            store.put("any", "thing", b"")  # opens the next connection
            writer = store._database._writer
        assert writer is not None
        left = failed_at

        def stop(_cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            nonlocal left
            left -= 1
            return left >= 0

        writer.exec_trace = stop
        try:
            store.commit(everything(3))
        except Unavailable:
            assert content(store) == before
            failed_at += 1
            continue
        writer.exec_trace = None
        break
    # BEGIN, record, row, removed row and its memberships, due time, identity, enter, leave, two queued, failure,
    # the sequence, COMMIT
    assert failed_at == 14
    assert len(list(store.log())) == 3


def test_a_vetoed_commit_leaves_nothing(store: SqliteStore) -> None:
    store.commit(everything(1))
    before = content(store)
    writer = store._database._writer
    assert writer is not None
    writer.set_commit_hook(lambda: True)
    with pytest.raises(Unavailable):
        store.commit(everything(2))
    assert content(store) == before
    store.commit(everything(2))
    assert content(store) != before


def test_a_value_of_a_wrong_type_leaves_nothing_and_says_so(store: SqliteStore) -> None:
    before = content(store)
    changes = everything(1)
    changes.records.append(Record(TENANT, KEY.shopper, 1, "events", object()))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.commit(changes)
    assert content(store) == before
    assert store.commit(everything(1)) == 1


@pytest.mark.parametrize("moment", ["before_write", "before_sync"])
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
def test_the_store_refuses_while_the_disk_does_and_resumes_with_it(
    store: SqliteStore, disk: FaultyDisk, moment: str, error: type[apsw.Error]
) -> None:
    store.commit(everything(1))
    before = content(store)

    def refuse() -> None:
        raise error("no")

    setattr(disk, moment, refuse)
    for _ in range(3):
        with pytest.raises(Unavailable):
            store.commit(everything(2))
        assert content(store) == before
        with pytest.raises(Unavailable):
            store.put("kind", "name", b"")
    setattr(disk, moment, lambda: None)
    assert store.commit(everything(2)) == 2
    assert len(list(store.log())) == 2


@pytest.mark.parametrize("nth", [31, 83, 211])
def test_every_nth_write_and_sync_may_fail(tmp_path: Path, disk: FaultyDisk, nth: int) -> None:
    store, calls = SqliteStore(tmp_path, vfs=disk.name), 0
    acknowledged: list[int] = []

    def sometimes() -> None:
        nonlocal calls
        calls += 1
        if calls % nth == 0:
            raise apsw.IOError("no")

    disk.before_write = disk.before_sync = sometimes
    for number in range(1, 60):
        try:
            store.commit(everything(number))
            acknowledged.append(number)
        except Unavailable:
            continue
    disk.before_write = disk.before_sync = lambda: None
    store.close()
    again = SqliteStore(tmp_path)
    received = [record.received for record in again.log()]
    assert 5 < len(acknowledged) < 59
    assert set(acknowledged) <= set(received)
    assert received == sorted(set(received))
    assert again.load([KEY])[KEY].due == received[-1] + 1
    again.close()


# --- readers ---


def test_a_cold_read_does_not_wait_for_a_commit(store: SqliteStore, disk: FaultyDisk) -> None:
    store.commit(everything(1, state=b"before"))
    syncing, read = threading.Event(), threading.Event()

    def slow() -> None:
        syncing.set()
        assert read.wait(30)

    disk.before_sync = slow
    writer = threading.Thread(target=store.commit, args=(everything(2, state=b"after"),))
    writer.start()
    assert syncing.wait(30)
    assert store.load([KEY])[KEY].state == b"before"
    assert store.resolve([(1).to_bytes(16, "big")]) == {(1).to_bytes(16, "big"): KEY}
    read.set()
    writer.join(30)
    assert store.load([KEY])[KEY].state == b"after"


def test_a_log_reader_halfway_does_not_hold_anything_up(store: SqliteStore) -> None:
    for number in range(3):
        store.commit(Changes(records=[Record(TENANT, KEY.shopper, number, "events", b"x")] * 400))
    reader = store.log()
    next(reader)
    store.forget(KEY)  # empties the write-ahead log, which an open read transaction would forbid
    assert sum(1 for _ in reader) == 1199


# --- the folder ---


def test_a_second_server_is_refused_with_the_holder(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", f"from cashwrap.adapters.sqlite import SqliteStore; SqliteStore({str(tmp_path)!r})"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"Locked: {tmp_path} is served by process {os.getpid()}" in done.stderr
    with pytest.raises(Locked):
        SqliteStore(tmp_path)
    store.commit(everything(1))
    store.close()
    store.close()
    again = SqliteStore(tmp_path)
    assert len(list(again.log())) == 1
    again.close()


def test_beside_a_server_keys_can_be_made_and_profiles_cannot_be_changed(store: SqliteStore) -> None:
    beside = SqliteStore(store.folder, serving=False)
    store.commit(everything(2))
    assert content(beside) == content(store)
    beside.put("key", "name", b"hash")
    beside.upsert(Tenant("other", "test"), [Product("a")])
    assert store.documents("key") == {"name": b"hash"}
    assert list(store.products(Tenant("other", "test"))) == ["a"]
    for forbidden in (lambda: beside.commit(everything(3)), lambda: beside.forget(KEY)):
        with pytest.raises(Locked, match="stop the server"):
            forbidden()
    beside.close()
    store.commit(everything(3))
    assert len(list(store.log())) == 2


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data")
    store.commit(everything(1))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}
    store.close()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["cashwrap.db", "lock"]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.close()
    calls: list[Callable[[], object]] = [lambda: store.commit(everything(1)), lambda: store.load([KEY])]
    for call in calls:
        with pytest.raises(Unavailable, match="closed"):
            call()


# --- versions ---


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    db = apsw.Connection(str(tmp_path / "cashwrap.db"))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(StoreError, match="install a newer cashwrap") as refused:
        SqliteStore(tmp_path)
    assert refused.value.code == "schema_newer"
    with pytest.raises(StoreError, match="version 99"):  # and the lock was let go
        SqliteStore(tmp_path)


def test_an_interrupted_migration_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(tmp_path)
    store.commit(everything(1))
    store.close()
    first = queries.migrations("store")
    second = "CREATE TABLE extra (name TEXT) STRICT; INSERT INTO extra VALUES ('once');"
    broken = "".join([second, "INSERT INTO nowhere VALUES (1);"])
    for scripts in ([*first, broken], [*first, second], [*first, second]):
        monkeypatch.setattr(database, "migrations", lambda _, scripts=scripts: scripts)
        if scripts[-1] is broken:
            with pytest.raises(Unavailable, match="nowhere"):
                SqliteStore(tmp_path)
            continue
        migrated = SqliteStore(tmp_path)
        assert migrated._rows("tenants")
        with migrated._database.reading() as db:
            assert db.execute("SELECT name FROM extra").fetchall() == [("once",)]
            assert db.pragma("user_version") == len(first) + 1
        assert len(list(migrated.log())) == 1
        migrated.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "cashwrap.db").write_bytes(b"not a database, and long enough to be read as one" * 100)
    with pytest.raises(StoreError, match="restore it from a backup") as refused:
        SqliteStore(tmp_path)
    assert not isinstance(refused.value, Unavailable)


def test_a_damaged_page_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    for number in range(40):
        store.commit(everything(number, state=b"s" * 3000))
    store.close()
    path = tmp_path / "cashwrap.db"
    whole = bytearray(path.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(whole)
    with pytest.raises(StoreError, match="damaged"), closing(SqliteStore(tmp_path)) as broken:
        list(broken.log())


# --- no traces ---


def traces(folder: Path, canary: bytes) -> list[str]:
    """The files that hold the bytes, looked for by another process: opening them here would drop SQLite's locks."""
    found = subprocess.run(
        [shutil.which("grep") or "grep", "-rlaF", canary.decode(), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(Path(line).name for line in found.stdout.splitlines())


def test_forgetting_leaves_no_byte_in_any_file(store: SqliteStore) -> None:
    """The store's own part: row, identities, memberships. Payloads are the vault's part."""
    tag, digest, shopper = b"CANARY-STATE", b"CANARYIDENTITY16", b"CANARY-SHOPPER16"
    key = ShopperKey(TENANT, shopper)
    for number in range(200):  # so that rows move between pages and leave copies in the write-ahead log
        other = ShopperKey(TENANT, number.to_bytes(16, "big"))
        changes = Changes(
            rows={key: Row(tag * (1 + number * 5), tag * number, number), other: Row(b"o" * 3000, b"")},
            identities={digest: key, number.to_bytes(16, "big"): other},
            transitions=[Transition(TENANT, other.shopper, "vip", True, 1)],
        )
        store.commit(changes)
    for canary in (tag, digest, shopper):
        assert "cashwrap.db-wal" in traces(store.folder, canary)
    store.forget(key)
    for canary in (tag, digest, shopper):
        assert traces(store.folder, canary) == []
    assert len(store.members(TENANT, "vip")) == 200


def test_the_scan_is_red_without_secure_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = database._SETUP["writer"].replace("secure_delete = ON", "secure_delete = OFF")
    monkeypatch.setitem(database._SETUP, "writer", careless)
    store = SqliteStore(tmp_path)
    store.commit(Changes(rows={KEY: Row(b"CANARY-STATE" * 800, b"")}))
    store.forget(KEY)
    assert traces(tmp_path, b"CANARY-STATE") == ["cashwrap.db"]
    store.close()
